//! `oauth-client.save-token`: keeps the token that a filter before it got, for this user: after a callback that began before it was known who
//! they are. What was kept under another name goes. In Oracle API Gateway: Save an OAuth Client Access Token.
//!
//! ```toml
//! [[filter]]
//! use      = "oauth-client.callback"
//! provider = "partner"
//!
//! [[filter]]
//! use = "oauth-client.save-token"
//! for = "${journey.subject}"
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};

use crate::holding::{HELD, Held};
use crate::stop::{Stop, settle};
use crate::{STORE_BROKEN, STORE_UNAVAILABLE};

/// There is no name to keep it under.
const NO_SUBJECT: ReasonCode = ReasonCode::new("no-subject");

/// `use = "oauth-client.save-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The user whose token it is from now on.
    r#for: Dynamic<String>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth-client.save-token";
    type Filter = SaveToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SaveToken, Diagnostics> {
        cx.shapes_nothing();
        cx.fails_rarely(&[NO_SUBJECT]);
        cx.aborts(&[STORE_UNAVAILABLE]);
        cx.aborts_rarely(&[STORE_BROKEN]);
        let before = cx.reads(&HELD);
        Ok(SaveToken { subject: cx.dynamic(&self.r#for)?, before, held: cx.writes(&HELD) })
    }
}

/// The compiled filter.
pub(crate) struct SaveToken {
    subject: Getter<String>,
    before: Slot<Held>,
    held: Slot<Held>,
}

impl Filter for SaveToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.save(exchange).await)
    }
}

impl SaveToken {
    async fn save(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let subject = self.subject.get(exchange)?;
        if subject.is_empty() {
            return Err(Reason::new(NO_SUBJECT, "`for` is empty: a token of nobody is not kept").into());
        }
        let held = exchange.needs_shared(self.before)?;
        let saved = held.save_for(subject).await?;
        exchange.set(self.held, saved);
        Ok(Outcome::Success)
    }
}
