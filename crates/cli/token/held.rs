//! `portcullis token held`: tokens that the gateway holds as a client of others.

use server::admin::api::held::{HeldView, ListHeld, WhichHeld};

use crate::args::{Global, HeldArgs, HeldCommand};
use crate::output::{Output, shown, table, time};
use crate::{Ended, on_records, sealed};

pub(super) fn run(global: &Global, command: HeldCommand, output: Output) -> Ended {
    match command {
        HeldCommand::List(args) => list(global, which(args, false), output),
        HeldCommand::Delete(args) => delete(global, which(args.which, args.all), output),
        HeldCommand::Reencrypt => on_records(global, output, async |records| {
            Ok(sealed::tell(&records.reencrypt_held().await?, "holdings", output))
        }),
    }
}

fn which(args: HeldArgs, all: bool) -> WhichHeld {
    let HeldArgs { provider, client, subject, own } = args;
    WhichHeld { provider, client_id: client, subject, own, all }
}

fn list(global: &Global, which: WhichHeld, output: Output) -> Ended {
    on_records(global, output, async |records| {
        let (mut held, mut after) = (Vec::new(), None);
        loop {
            let page = records.list_held(&ListHeld { which: which.clone(), after }).await?;
            held.extend(page.held);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        output.json(&held);
        if held.is_empty() {
            output.line("nothing is held");
            return Ok(0);
        }
        let head = ["PROVIDER", "CLIENT", "SUBJECT", "SCOPES", "EXPIRES", "RENEWED UNTIL"].map(str::to_owned).to_vec();
        output.line(table(&std::iter::once(head).chain(held.iter().map(row)).collect::<Vec<_>>()));
        Ok(0)
    })
}

fn row(held: &HeldView) -> Vec<String> {
    let or_dash = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| String::from("-"));
    vec![
        shown(&held.provider),
        shown(&held.client_id),
        or_dash(held.subject.as_deref().map(shown)),
        or_dash(Some(shown(&held.granted))),
        time(held.expires_at),
        or_dash(held.refresh_until.map(time)),
    ]
}

fn delete(global: &Global, which: WhichHeld, output: Output) -> Ended {
    on_records(global, output, async |records| {
        let done = records.delete_held(&which).await?;
        output.json(&done);
        output.line(shown(&done.done));
        Ok(0)
    })
}
