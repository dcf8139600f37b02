//! `${kps.NAME[KEY].COLUMN}`: the look-up that a step makes before it runs.

use std::sync::Arc;

use policy::diagnostic::{Problem, codes};
use policy::filter::{LookUp, LookedUp};
use policy::settings::Spanned;
use policy::value::Type;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, Getter, Outcome, Slot, Value};
use store::Kps;
use store::kps::{ColumnType, Settings};

use super::{now, seen};
use crate::stores::{StoreExt, abort_from};

/// Compiles a look-up.
pub(crate) fn look_up(cx: &mut BuildContext<'_>, wanted: &LookUp<'_>) -> Result<LookedUp, Diagnostics> {
    let store = cx.kps(&wanted.store.clone().map(str::to_owned))?;
    let of = match &wanted.column {
        None => Type::Map,
        Some(column) => of(store.settings(), column, cx)?,
    };
    let key = cx.dynamic(&wanted.key)?;
    Ok(LookedUp { filter: Box::new(Row { store, key, slot: wanted.slot }), of })
}

/// The type of a column, as policies see it.
fn of(settings: &Settings, column: &Spanned<&str>, cx: &BuildContext<'_>) -> Result<Type, Diagnostics> {
    let found = settings.column(column.value).map_err(|why| {
        let help = format!("see `[kps.{}]` in stores/stores.toml", settings.name);
        Problem::error(codes::UNKNOWN_ATTRIBUTE, why.to_string()).with_help(help).at(cx.place(column.span))
    })?;
    Ok(match found.map(|column| column.of) {
        Some(ColumnType::Text) => Type::Text,
        Some(ColumnType::Integer | ColumnType::Time) => Type::Int,
        Some(ColumnType::Boolean) => Type::Bool,
        Some(ColumnType::List) => Type::List,
        Some(ColumnType::Table) => Type::Map,
        // 1 is a number, and a whole one.
        Some(ColumnType::Number) | None => Type::Any,
    })
}

/// Puts a row into its slot, or takes out what is there.
struct Row {
    store: Arc<Kps>,
    key: Getter<String>,
    slot: Slot<Value>,
}

impl Filter for Row {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let key = match self.key.get_optional(exchange) {
            Ok(key) => key,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let found = match key {
            Some(key) => self.store.get(&key, now(exchange)).await.map_err(abort_from)?,
            None => None,
        };
        match found.and_then(|found| seen::value(&self.store, found)) {
            Some(row) => exchange.set(self.slot, row),
            None => exchange.unset(self.slot),
        }
        Ok(Outcome::Success)
    }
}
