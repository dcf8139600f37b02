//! `session.end`: ends the session that the request came with, for every node at once, and takes its cookie off the browser. In
//! Oracle API Gateway: End Session.
//!
//! Where there is none, there is nothing to do: whoever logs out twice is logged out. Let it stand behind a POST, so that no other
//! site's page can log somebody out with a picture.
//!
//! ```toml
//! [[filter]]
//! use = "session.end"
//!
//! [[filter]]
//! use     = "respond"
//! status  = 303
//! headers = { location = "/" }
//! ```

use std::sync::Arc;

use http::header::SET_COOKIE;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::HeaderEdit;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome};
use store::{Sessions, StoreError};

use super::cookie;
use crate::{StoreExt, abort_from};

/// `use = "session.end"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store of the kind `sessions`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "session.end";
    type Filter = End;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<End, Diagnostics> {
        Ok(End { sessions: cx.store(&self.store)? })
    }
}

/// The compiled filter.
pub(crate) struct End {
    sessions: Arc<Sessions>,
}

impl Filter for End {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        end(&self.sessions, exchange).await.map_err(abort_from)?;
        Ok(Outcome::Success)
    }
}

/// Ends the session that the request came with, where it came with one, and takes its cookie off the browser.
pub(crate) async fn end(sessions: &Sessions, exchange: &mut Exchange) -> Result<(), StoreError> {
    if let Some(session) = exchange.request.cookie(cookie::NAME) {
        sessions.end(session).await?;
        exchange.edit_response_header(HeaderEdit::Append(SET_COOKIE, cookie::clear()));
    }
    Ok(())
}
