//! `auth.basic`: lets in who sends the name and the password of a user in `Authorization: Basic` (RFC 7617), and sets `subject.*`. In
//! Oracle API Gateway: HTTP Basic Authentication.
//!
//! What is right is remembered for a minute, so that not every request costs a slow hash. Wrong passwords lock a name as with
//! `auth.password`, and all refusals are answered alike: 401 with the challenge. Before the request goes on, the credentials are taken
//! off, so that no upstream can use them. Only behind TLS: every request carries the password.
//!
//! ```toml
//! [[filter]]
//! use   = "auth.basic"
//! realm = "reports"
//! ```

use http::HeaderValue;
use http::header::AUTHORIZATION;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::basic::{self, Presented};
use ::oauth::client_auth;
use policy::attribute::Slot;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason};

use super::people::{self, People, WRONG_CREDENTIALS};
use crate::oauth::{SUBJECT, Stop, Subject, settle};

/// `use = "auth.basic"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The realm of the challenge. Default: `api`.
    realm: Option<String>,
    /// Whether the credentials stay on the request that goes upstream. Default: false.
    #[serde(default)]
    keep_credential: bool,
    /// The store of the kind `users`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.basic";
    type Filter = Basic;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Basic, Diagnostics> {
        people::fails(cx);
        let challenge = client_auth::challenge(self.realm.as_deref().unwrap_or("api"));
        Ok(Basic {
            // Quoting leaves only what a header may hold.
            challenge: HeaderValue::from_str(&challenge).unwrap_or_else(|_| HeaderValue::from_static("Basic")),
            keep_credential: self.keep_credential,
            people: People::build(&self.store, cx)?,
            subject: cx.writes(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct Basic {
    challenge: HeaderValue,
    keep_credential: bool,
    people: People,
    subject: Slot<Subject>,
}

impl Filter for Basic {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.prove(exchange).await)
    }
}

impl Basic {
    async fn prove(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let values = exchange.request.headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let refuse = |reason: Reason| Stop::from(people::challenged(reason, &self.challenge));
        let (name, password) = match basic::read(&values.collect::<Vec<_>>()) {
            Presented::Credentials(name, password) => (name, password),
            Presented::Absent => return Err(refuse(people::absent("the request has no name and password"))),
            Presented::Malformed => {
                return Err(refuse(Reason::new(WRONG_CREDENTIALS, "`Authorization` is malformed or repeated")));
            }
        };
        let subject = self.people.prove(&name, &password, exchange).await?.map_err(refuse)?;
        if !self.keep_credential {
            exchange.request.headers.remove(AUTHORIZATION);
        }
        exchange.set(self.subject, subject);
        Ok(Outcome::Success)
    }
}
