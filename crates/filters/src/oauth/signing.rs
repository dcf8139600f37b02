//! What filters share that sign tokens or publish the keys: which keys there are to be, told to the node that keeps their schedule.

use std::sync::Arc;

use policy::settings::Spanned;
use policy::{BuildContext, Value};
use store::signing_keys::schedule::Schedule;

/// The fact that the keys of a store are to be kept by a schedule: its `store`, `algorithms`, `rotate` and `publish` (seconds).
pub const SIGNING_KEYS: &str = "signing-keys";

/// Tells the node which keys there are to be.
pub(super) fn publish_schedule(cx: &mut BuildContext<'_>, store: &Option<Spanned<String>>, schedule: &Schedule) {
    let store = store.as_ref().map_or("keys", |store| &store.value);
    let seconds = |seconds| Value::Int(i64::try_from(seconds).unwrap_or(i64::MAX));
    let fact = [
        ("store", Value::text(store)),
        ("algorithms", Value::texts(schedule.algorithms.iter().map(|algorithm| algorithm.as_str()))),
        ("rotate", seconds(schedule.rotate)),
        ("publish", seconds(schedule.publish)),
    ];
    cx.publish(
        SIGNING_KEYS,
        Value::Map(Arc::new(fact.into_iter().map(|(name, value)| (name.into(), value)).collect())),
    );
}
