//! `oauth.open-form`: takes up a form of ours that a request carries, for pages that are no authorization request: the code of a device, what a
//! user has granted. It comes before the log-in, which it lets go on afterwards where the request was. A form that came without the cookie
//! that was given with it was sent by somebody else's page, and is refused (cross-site request forgery).
//!
//! ```toml
//! [[filter]]
//! use = "oauth.open-form"
//!
//! [[filter]]
//! use = "auth.session"
//!
//! [[filter]]
//! use = "oauth.granted"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::filter::Role;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome};
use store::seal::Sealer;

use super::answers::AUTHORIZATION;
use super::attributes::{VISIT, Visit};
use super::live::unix_seconds;
use super::resume::{self, FORM_EXPIRED};
use super::stop::{Stop, settle};
use crate::StoreExt;

/// `use = "oauth.open-form"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.open-form";
    const ROLE: Role = Role::Endpoint(&AUTHORIZATION);
    type Filter = OpenForm;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<OpenForm, Diagnostics> {
        cx.reads_request_body();
        cx.fails(&[FORM_EXPIRED]);
        Ok(OpenForm { sealer: cx.sealer()?, visit: cx.writes(&VISIT) })
    }
}

/// The compiled filter.
pub(crate) struct OpenForm {
    sealer: Arc<Sealer>,
    visit: Slot<Visit>,
}

impl Filter for OpenForm {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.open(exchange))
    }
}

impl OpenForm {
    fn open(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let visit = resume::visit(exchange, &self.sealer, unix_seconds(exchange))?;
        exchange.set(self.visit, visit);
        Ok(Outcome::Success)
    }
}
