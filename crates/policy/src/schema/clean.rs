//! What the schemas of Rust types say that has no meaning in a TOML file.

use serde_json::Value;

/// Names of Rust's number types: no formats that JSON Schema knows.
const NUMBERS: &[&str] = &["uint", "uint8", "uint16", "uint32", "uint64", "int", "int32", "int64", "float", "double"];

/// Takes off `null`, which TOML does not have, and formats that are Rust's alone.
pub(super) fn clean(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(object) => {
            if object.get("format").and_then(Value::as_str).is_some_and(|format| NUMBERS.contains(&format)) {
                object.remove("format");
            }
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            for list in ["type", "enum", "anyOf", "oneOf"] {
                if let Some(Value::Array(items)) = object.get_mut(list) {
                    items.retain(|item| !item.is_null() && *item != "null" && item["type"] != "null");
                }
            }
            if let Some([one]) = object.get("type").and_then(Value::as_array).map(Vec::as_slice) {
                let one = one.clone();
                object.insert(String::from("type"), one);
            }
            // An alternative that is left alone is no alternative: where it can, it stands beside what is said of it.
            if let Some([one]) = object.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) {
                let one = one.clone();
                object.remove("anyOf");
                object.insert(String::from("allOf"), Value::Array(vec![one]));
            }
            object.values_mut().for_each(clean);
        }
        _ => {}
    }
}
