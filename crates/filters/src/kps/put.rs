//! `kps.put`: puts a row into a key property store. In Oracle API Gateway: a script that calls `createRecord` or `updateRecord`.
//!
//! The row is written whole, by one compare and swap, and is durable when the filter succeeds; every node sees it with its next
//! look-up.
//!
//! ```toml
//! [[filter]]
//! use   = "kps.put"
//! store = "partners"                # [kps.partners] in stores/stores.toml
//! mode  = "merge"
//! ttl   = "30d"
//!
//! [filter.row]
//! id        = "${request.query.partner}"
//! last_seen = "${now}"
//! ```

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::diagnostic::{Problem, codes};
use policy::settings::{Duration, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, Slot, Value,
};
use store::Kps;
use store::kps::{self, Columns, KpsError};

use super::{BAD_ROW, ROW_EXISTS, now, writable};
use crate::entries::Entries;
use crate::stores::abort_from;

/// `use = "kps.put"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store: NAME of `[kps.NAME]`.
    store: Spanned<String>,
    /// The columns, the key among them. One whose value is absent (`${x ??}`) is left out. One that does not fit its column makes the
    /// filter fail (`bad-row`, 400).
    row: Spanned<Entries<Dynamic<Value>>>,
    /// Where there is a row with this key: `replace` it (default), `merge` the columns that are given into it, or `insert`, which fails
    /// (`row-exists`, 409).
    #[serde(default)]
    mode: Mode,
    /// How long the row lives, at least `1s`. Default: as the store says.
    ttl: Option<Spanned<Duration>>,
    /// A variable that gets the row's key: for rows whose key is made (`auto_id`). Default: none.
    into: Option<Spanned<String>>,
}

/// What happens to a row that is there.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// The new row takes its place.
    #[default]
    Replace,
    /// The columns that are given are changed.
    Merge,
    /// The new row is refused.
    Insert,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "kps.put";
    type Filter = Put;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Put, Diagnostics> {
        cx.shapes_nothing();
        let store = writable(cx, &self.store)?;
        let settings = store.settings();
        let mut problems = Diagnostics::new();
        let mut row = Vec::new();
        let does_not_fit = |cx: &BuildContext<'_>, span, why: kps::Unfit| {
            let help = format!("see `[kps.{}]` in stores/stores.toml", settings.name);
            Problem::error(codes::BAD_VALUE, why.to_string()).with_help(help).at(cx.place(span))
        };
        for (name, value) in &self.row.value.0 {
            if let Err(why) = settings.column(&name.value) {
                problems.push(does_not_fit(cx, name.span, why));
            }
            match cx.dynamic(value) {
                Ok(getter) => {
                    let constant = getter.constant().map(Value::to_json);
                    if let Some(Err(why)) = constant.map(|constant| settings.fit_one(&name.value, constant))
                        && problems.is_empty()
                    {
                        problems.push(does_not_fit(cx, value.span(), why));
                    }
                    row.push((name.value.clone(), getter));
                }
                Err(more) => problems.extend(more),
            }
        }
        if !settings.auto_id && row.iter().all(|(name, _)| *name != settings.key) {
            let message = format!("the key `{}` is missing", settings.key);
            let help = format!("write `{} = \"${{...}}\"` in `row`", settings.key);
            problems.push(cx.error(self.row.span, message, help));
        }
        if let Some(ttl) = self.ttl.as_ref().filter(|ttl| ttl.value.0.as_secs() == 0) {
            problems.push(cx.error(ttl.span, "a row lives for at least one second", "for example `ttl = \"24h\"`"));
        }
        if problems.has_errors() {
            return Err(problems);
        }
        cx.fails_rarely(&[BAD_ROW]);
        let may_exist = matches!(self.mode, Mode::Insert) || settings.second_key.is_some();
        if may_exist {
            cx.fails(&[ROW_EXISTS]);
        }
        Ok(Put {
            row,
            mode: match self.mode {
                Mode::Replace => kps::Mode::Replace,
                Mode::Merge => kps::Mode::Merge,
                Mode::Insert => kps::Mode::Insert,
            },
            ttl: self.ttl.as_ref().map(|ttl| ttl.value.0),
            key: self.into.as_ref().map(|into| cx.writes_var(&into.value)),
            store,
        })
    }
}

/// The compiled filter.
pub(crate) struct Put {
    store: Arc<Kps>,
    row: Vec<(String, Getter<Value>)>,
    mode: kps::Mode,
    ttl: Option<std::time::Duration>,
    key: Option<Slot<Value>>,
}

impl Filter for Put {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let columns = match self.columns(exchange) {
            Ok(columns) => columns,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let put = kps::Put { mode: self.mode, ttl: self.ttl, now: now(exchange), id: exchange.random() };
        match self.store.put(columns, &put).await {
            Ok(written) => {
                if let Some(slot) = self.key {
                    exchange.set(slot, Value::text(written.key));
                }
                Ok(Outcome::Success)
            }
            Err(KpsError::Unfit(why)) => {
                Ok(Outcome::Failure(Reason::new(BAD_ROW, why.to_string()).with_status(StatusCode::BAD_REQUEST)))
            }
            Err(KpsError::Taken(why)) => {
                Ok(Outcome::Failure(Reason::new(ROW_EXISTS, why).with_status(StatusCode::CONFLICT)))
            }
            Err(KpsError::ReadOnly(why)) => Err(abort_from(store::StoreError::Broken(why))),
            Err(KpsError::Store(why)) => Err(abort_from(why)),
        }
    }
}

impl Put {
    fn columns(&self, exchange: &Exchange) -> Result<Columns, Reason> {
        let mut columns = Columns::new();
        for (name, getter) in &self.row {
            if let Some(value) = getter.get_optional(exchange)? {
                columns.insert(name.clone(), value.to_json());
            }
        }
        Ok(columns)
    }
}
