//! `kps.get`: looks a row up in a key property store, and keeps it in a variable. In Oracle API Gateway: `${kps.Table[key]}` and the
//! filters that read KPS tables.
//!
//! `${kps.partners[client.id].limit}` does the same within any setting; this filter is for rows of which several columns are used, for
//! look-ups by the second key, and for requests that are to be refused where there is no row.
//!
//! ```toml
//! [[filter]]
//! use   = "kps.get"
//! store = "partners"                # [kps.partners] in stores/stores.toml
//! key   = "${request.query.partner}"
//! into  = "partner"                 # ${vars.partner.limit}
//! ```
//!
//! Times are Unix seconds, as `now` is; what is encrypted is in clear. The row is read from its source each time.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use policy::filter::Judges;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Slot, Value};
use store::Kps;

use super::{NO_ROW, no_row, now, seen};
use crate::stores::{StoreExt, abort_from};

/// `use = "kps.get"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store: NAME of `[kps.NAME]`.
    store: Spanned<String>,
    /// The key of the row.
    key: Option<Dynamic<String>>,
    /// The second key of the row, in place of `key`.
    second_key: Option<Dynamic<String>>,
    /// The variable that gets the row: `${vars.NAME.COLUMN}`.
    into: Spanned<String>,
    /// Whether the filter fails (`no-row`, 404) where there is no such row. Default: `true`. With `false` the variable stays absent.
    #[serde(default = "yes")]
    required: bool,
}

fn yes() -> bool {
    true
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "kps.get";
    type Filter = Get;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Get, Diagnostics> {
        cx.shapes_nothing();
        let store = cx.kps(&self.store)?;
        let key = match (&self.key, &self.second_key) {
            (Some(key), None) => Key::First(cx.dynamic(key)?),
            (None, Some(second)) => {
                if store.settings().second_key.is_none() {
                    let message = format!("`kps.{}` has no second key", self.store.value);
                    return Err(cx.error(second.span(), message, "look it up by `key`").into());
                }
                Key::Second(cx.dynamic(second)?)
            }
            (given, _) => {
                let span = given.as_ref().map_or(cx.own_place().span, Dynamic::span);
                let help = "`key = \"${client.id}\"`, or `second_key` where the store has one";
                return Err(cx.error(span, "a row is looked up by `key` or by `second_key`", help).into());
            }
        };
        if self.required {
            cx.fails(&[NO_ROW]);
            cx.judges(Judges::Alike);
        }
        let slot = if self.required { cx.writes_var(&self.into.value) } else { cx.may_write_var(&self.into.value) };
        Ok(Get { store, key, slot, required: self.required })
    }
}

enum Key {
    First(Getter<String>),
    Second(Getter<String>),
}

/// The compiled filter.
pub(crate) struct Get {
    store: Arc<Kps>,
    key: Key,
    slot: Slot<Value>,
    required: bool,
}

impl Filter for Get {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let (Key::First(key) | Key::Second(key)) = &self.key;
        let key = match key.get(exchange) {
            Ok(key) => key,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let found = match self.key {
            Key::First(_) => self.store.get(&key, now(exchange)).await,
            Key::Second(_) => self.store.get_second(&key, now(exchange)).await,
        };
        match found.map_err(abort_from)?.and_then(|found| seen::value(&self.store, found)) {
            Some(row) => exchange.set(self.slot, row),
            None if self.required => return Ok(Outcome::Failure(no_row(&self.store))),
            None => exchange.unset(self.slot),
        }
        Ok(Outcome::Success)
    }
}
