//! `portcullis token`: look at a token, revoke one or many; and the tokens of others that the gateway holds.

mod held;

use std::io::Read;

use server::admin::api::{InspectToken, RevokeTokens, TokenView};

use crate::args::{Global, InspectArgs, RevokeArgs, TokenCommand};
use crate::output::{Failure, Output, shown, table, time};
use crate::outside::without_end;
use crate::{Ended, on_records};

pub(crate) fn run(global: &Global, command: TokenCommand, output: Output) -> Ended {
    match command {
        TokenCommand::Inspect(args) => inspect(global, args, output),
        TokenCommand::Revoke(args) => revoke(global, args, output),
        TokenCommand::Held(command) => held::run(global, command, output),
    }
}

fn inspect(global: &Global, args: InspectArgs, output: Output) -> Ended {
    let request = InspectToken { token: given(args.token)? };
    on_records(global, output, async |records| {
        let view = records.inspect_token(&request).await?;
        output.json(&view);
        output.line(text(&view));
        Ok(u8::from(!view.active))
    })
}

fn revoke(global: &Global, args: RevokeArgs, output: Output) -> Ended {
    let token = args.token.map(given).transpose()?;
    let request = RevokeTokens { token, client_id: args.client, subject: args.subject };
    on_records(global, output, async |records| {
        let done = records.revoke_tokens(&request).await?;
        output.json(&done);
        output.line(shown(&done.done));
        Ok(0)
    })
}

/// The token itself, from standard input where it is `-`.
fn given(token: String) -> Result<String, Failure> {
    if token != "-" {
        return Ok(token);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|why| Failure::usage(format!("standard input: {why}")))?;
    match without_end(&text) {
        "" => Err(Failure::usage("there is no token on standard input")),
        token => Ok(token.to_owned()),
    }
}

fn text(view: &TokenView) -> String {
    let mut rows = vec![("state", view.state.clone()), ("client", view.client_id.clone())];
    rows.extend(view.subject.clone().map(|subject| ("subject", subject)));
    rows.push(("scope", view.scope.clone()));
    rows.push(("grant", view.grant_type.clone()));
    rows.push(("issued", time(view.issued_at)));
    rows.push(("expires", time(view.expires_at)));
    rows.extend(view.revoked_at.map(|at| ("revoked", time(at))));
    if !view.audience.is_empty() {
        rows.push(("audience", view.audience.join(" ")));
    }
    table(&rows.into_iter().map(|(name, value)| vec![name.to_owned(), shown(&value)]).collect::<Vec<_>>())
}
