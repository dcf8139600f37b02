//! `oauth-client.callback`: takes a person back from the provider that `oauth-client.redirect` sent them to, gets a token for the code that
//! they bring (RFC 6749, section 4.1.3), and keeps it for the user of that redirection. In Oracle API Gateway: the callback policy with Get
//! OAuth Access Token, and Verify ID Token.
//!
//! The code counts only with the `state` that this very browser was sent away with, and from the provider that it was sent to (RFC 9207).
//! With the scope `openid` an ID token must come along: its signature, issuer, audience, times and nonce are checked (OpenID Connect Core,
//! section 3.1.3.7), and `${journey.subject}` and `${journey.claims}` are what it says. `log_in` makes that the subject of the request, for
//! `session.start`. A token of nobody yet is not kept; `oauth-client.save-token` can do that.
//!
//! A state that is not this browser's is `unknown-journey`, a provider that says no `authorization-refused`, a code that is no good
//! `authorization-needed`. After all but the first whoever takes the failure knows `${journey.return_to}`.
//!
//! ```toml
//! [[filter]]
//! use      = "oauth-client.callback"
//! provider = "partner"
//!
//! [[filter]]
//! use     = "respond"
//! status  = 303
//! headers = { location = "${journey.return_to ?? /}" }
//! ```

use http::StatusCode;
use http::header::SET_COOKIE;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::provider::answer::Tokens;
use ::oauth::provider::authorization::{Return, Unfit, check};
use policy::attribute::Slot;
use policy::exchange::{Form, HeaderEdit};
use policy::settings::Spanned;
use policy::value::Value;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};
use store::client_access_tokens::Holding;

use super::journey::{Arrival, JOURNEY, Journey, clear};
use super::target::Target;
use crate::holding::{AUTHORIZATION_NEEDED, Asked, Grant, HELD, Held};
use crate::oauth::{SUBJECT, Subject};
use crate::stop::{Stop, settle};

/// This browser was not sent away with this state, or too long ago.
const UNKNOWN_JOURNEY: ReasonCode = ReasonCode::new("unknown-journey");
/// The user, or the provider, said no.
const AUTHORIZATION_REFUSED: ReasonCode = ReasonCode::new("authorization-refused");
/// The answer is another provider's.
const OTHER_ISSUER: ReasonCode = ReasonCode::new("other-issuer");
/// The ID token cannot be believed.
const BAD_ID_TOKEN: ReasonCode = ReasonCode::new("bad-id-token");

/// `use = "oauth-client.callback"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The provider: `[provider.NAME]` in `node.toml`.
    provider: Spanned<String>,
    /// The claim that names the user who is then logged in: `"sub"`. The subject is `PROVIDER:CLAIM`, so that it can be no user of the store
    /// `users`. Default: nobody is.
    log_in: Option<Spanned<String>>,
    /// The store of the kind `client-access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth-client.callback";
    type Filter = Callback;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Callback, Diagnostics> {
        cx.fails(&[UNKNOWN_JOURNEY, AUTHORIZATION_REFUSED, AUTHORIZATION_NEEDED]);
        cx.fails_rarely(&[OTHER_ISSUER, BAD_ID_TOKEN, policy::outcome::BAD_REQUEST]);
        if self.log_in.is_some() {
            cx.authorizes();
        }
        let target = Target::compile(&self.provider, &None, &None, &self.store, cx)?;
        let log_in = self.log_in.as_ref().map(|claim| (claim.value.clone(), cx.writes(&SUBJECT)));
        Ok(Callback { target, log_in, held: cx.writes(&HELD), journey: cx.writes(&JOURNEY) })
    }
}

/// The compiled filter.
pub(crate) struct Callback {
    target: Target,
    log_in: Option<(String, Slot<Subject>)>,
    held: Slot<Held>,
    journey: Slot<Arrival>,
}

impl Filter for Callback {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.arrive(exchange).await)
    }
}

impl Callback {
    async fn arrive(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let holder = &self.target.holder;
        let provider = holder.calls.provider();
        let query = exchange.request.query_form()?;
        // RFC 6749, section 4.1.2: no parameter twice.
        if ["state", "iss", "code", "error"].iter().any(|name| query.repeated(name)) {
            return Err(Reason::bad_request("a parameter is repeated").into());
        }
        let state = query.get("state").unwrap_or_default().to_owned();
        let journey = Journey::of(exchange, &state, &provider.name, &holder.store);
        let journey = journey.ok_or_else(|| unfit(&Unfit::State))?;
        let endpoints = holder.calls.endpoints(exchange.now()).await?;
        let code = check(provider, &endpoints, &journey.state, &came(query)).map_err(|why| unfit(&why));
        // It has ended, whatever came of it.
        if let Some(cookie) = clear(&state) {
            exchange.edit_response_header(HeaderEdit::Append(SET_COOKIE, cookie));
        }
        // Whoever takes the failure can send the browser back all the same: the application that waits there must hear of it.
        let return_to = journey.return_to.clone();
        exchange.set(self.journey, Arrival { return_to, claims: None, subject: None });
        let code = code?;
        let holding = Holding {
            provider: provider.name.clone(),
            client_id: provider.client_id.clone(),
            subject: journey.subject.clone(),
            scopes: journey.scopes.clone(),
        };
        let tokens = holder.redeem(&code, &journey.redirect_uri, &journey.verifier(), &holding, exchange.now()).await?;
        let claims = self.claims(&journey, &tokens, exchange.now()).await?;
        if let Some((claim, slot)) = &self.log_in {
            let subject = self.subject(claim, claims.as_ref(), journey.asks_age, exchange.now())?;
            exchange.set(*slot, subject);
        }
        if holding.subject.is_some() {
            holder.store.save(&holding, &tokens).await?;
        }
        let subject = claims.as_ref().and_then(|claims| claims.text("sub")).map(str::to_owned);
        let claims = claims.and_then(|claims| Value::from_json(&serde_json::Value::Object(claims.all().clone())));
        exchange.set(self.journey, Arrival { return_to: journey.return_to, claims, subject });
        let asked = Asked::new(holding, Grant::AuthorizationCode, 0);
        exchange.set(self.held, Held::new(holder.clone(), asked, tokens));
        Ok(Outcome::Success)
    }

    /// What the provider says of the user, proved; none where it was not asked.
    async fn claims(
        &self,
        journey: &Journey,
        tokens: &Tokens,
        now: u64,
    ) -> Result<Option<::oauth::jose::Claims>, Stop> {
        if journey.nonce.is_none() {
            return Ok(None);
        }
        let calls = &self.target.holder.calls;
        let Some(token) = &tokens.id_token else {
            return Err(bad_id_token("there is none, though `openid` was asked for").into());
        };
        match calls.id_token(token, journey.nonce.as_deref(), now).await? {
            Ok(claims) => Ok(Some(claims)),
            Err(why) => Err(bad_id_token(&why.to_string()).into()),
        }
    }

    fn subject(
        &self,
        claim: &str,
        claims: Option<&::oauth::jose::Claims>,
        asks_age: bool,
        now: u64,
    ) -> Result<Subject, Reason> {
        let id = claims.and_then(|claims| claims.text(claim)).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| bad_id_token(&format!("it has no text `{claim}`: is `openid` among the scopes?")))?;
        let authenticated_at = claims.and_then(|claims| claims.time("auth_time").ok().flatten());
        // OpenID Connect Core, section 3.1.3.7, step 13.
        if asks_age && authenticated_at.is_none() {
            return Err(bad_id_token(
                "it does not say when the user logged in (`auth_time`), though `max_age` was asked for",
            ));
        }
        Ok(Subject {
            id: format!("{}:{id}", self.target.holder.calls.provider().name).into(),
            is_client: false,
            authenticated_at: Some(authenticated_at.unwrap_or(now)),
            methods: Vec::new(),
            // The words of the provider are no words of ours: `session.start` names the class.
            acr: None,
        })
    }
}

fn came(query: &Form) -> Return<'_> {
    let get = |name| query.get(name).filter(|value: &&str| !value.is_empty());
    Return { state: get("state"), iss: get("iss"), code: get("code"), error: get("error") }
}

fn bad_id_token(why: &str) -> Reason {
    Reason::new(BAD_ID_TOKEN, format!("the ID token is not believed: {why}"))
}

fn unfit(why: &Unfit) -> Reason {
    match why {
        Unfit::State => {
            Reason::new(UNKNOWN_JOURNEY, "this browser was not sent away with this `state`, or too long ago")
                .with_status(StatusCode::BAD_REQUEST)
        }
        Unfit::Issuer => Reason::new(OTHER_ISSUER, "the answer is not this provider's, or does not say whose (`iss`)")
            .with_status(StatusCode::BAD_REQUEST),
        Unfit::Refused(error) => {
            let error = error.as_deref().unwrap_or("an error that is none of RFC 6749");
            Reason::new(AUTHORIZATION_REFUSED, format!("the provider says: {error}"))
        }
        Unfit::Empty => Reason::bad_request("there is neither a code nor an error"),
    }
}
