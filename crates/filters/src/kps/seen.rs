//! Rows as policies see them.

use policy::Value;
use serde_json::Value as Json;
use store::Kps;
use store::kps::Found;

/// The row as a value: its columns by name, times in Unix seconds as `now` is.
pub(super) fn value(store: &Kps, found: Found) -> Option<Value> {
    Value::from_json(&Json::Object(store.settings().seen_by_policies(found.columns)))
}
