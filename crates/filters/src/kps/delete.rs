//! `kps.delete`: deletes a row of a key property store. In Oracle API Gateway: a script that calls `deleteRecord`.
//!
//! ```toml
//! [[filter]]
//! use   = "kps.delete"
//! store = "partners"                # [kps.partners] in stores/stores.toml
//! key   = "${request.query.partner}"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome};
use store::kps::KpsError;
use store::{Kps, StoreError};

use super::{NO_ROW, no_row, now, writable};
use crate::stores::abort_from;

/// `use = "kps.delete"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store: NAME of `[kps.NAME]`.
    store: Spanned<String>,
    /// The key of the row.
    key: Dynamic<String>,
    /// Whether the filter fails (`no-row`, 404) where there is no such row. Default: `false`.
    #[serde(default)]
    required: bool,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "kps.delete";
    type Filter = Delete;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Delete, Diagnostics> {
        cx.shapes_nothing();
        let store = writable(cx, &self.store)?;
        if self.required {
            cx.fails(&[NO_ROW]);
        }
        Ok(Delete { store, key: cx.dynamic(&self.key)?, required: self.required })
    }
}

/// The compiled filter.
pub(crate) struct Delete {
    store: Arc<Kps>,
    key: Getter<String>,
    required: bool,
}

impl Filter for Delete {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let key = match self.key.get(exchange) {
            Ok(key) => key,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        match self.store.delete(&key, now(exchange)).await {
            Ok(false) if self.required => Ok(Outcome::Failure(no_row(&self.store))),
            Ok(_) => Ok(Outcome::Success),
            Err(KpsError::Store(why)) => Err(abort_from(why)),
            Err(why) => Err(abort_from(StoreError::Broken(why.to_string()))),
        }
    }
}
