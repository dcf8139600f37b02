//! Filters over key property stores (`[kps.NAME]` in `stores/stores.toml`), and the look-ups of `${kps.NAME[KEY].COLUMN}`.

mod delete;
mod get;
mod put;
mod seen;
mod selector;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::StatusCode;

use policy::diagnostic::{Problem, codes};
use policy::filter::FilterKind;
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Exchange, Reason, ReasonCode};
use store::Kps;

pub(crate) use self::selector::look_up;
use crate::stores::StoreExt;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![get, put, delete,];

/// There is no row with this key.
const NO_ROW: ReasonCode = ReasonCode::new("no-row");
/// There is a row with this key, or second key, already.
const ROW_EXISTS: ReasonCode = ReasonCode::new("row-exists");
/// The row does not fit its store.
const BAD_ROW: ReasonCode = ReasonCode::new("bad-row");

fn no_row(store: &Kps) -> Reason {
    // The key is the client's, perhaps: it stands in the access log of the request, and nowhere else.
    let message = format!("there is no such row in `kps.{}`", store.settings().name);
    Reason::new(NO_ROW, message).with_status(StatusCode::NOT_FOUND)
}

/// A store that can be written to.
fn writable(cx: &mut BuildContext<'_>, name: &Spanned<String>) -> Result<Arc<Kps>, Diagnostics> {
    let store = cx.kps(name)?;
    let why = match &store.settings().table {
        Some(table) => format!("it is the table `{table}` of the database, which is only read"),
        None if store.source().capabilities().read_only => {
            String::from("it is in a data source that people write, and filters do not")
        }
        None => return Ok(store),
    };
    let problem = Problem::error(codes::STORE, format!("nothing can be written to `kps.{}`: {why}", name.value));
    Err(problem.with_help("name a store on a data source that can be written to").at(cx.place(name.span)).into())
}

/// The time of the request, in Unix seconds.
fn now(exchange: &Exchange) -> u64 {
    exchange.now_millis() / 1_000
}
