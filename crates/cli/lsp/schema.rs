//! What a JSON Schema says of the place that a path leads to: its keys, its values, its description.

use serde_json::Value;

/// So often is a schema followed to another one.
const DEEPEST: usize = 16;

/// The schemas that a place may have: one, or several that are alternatives.
#[derive(Clone, Debug)]
pub(super) struct Shape<'s> {
    root: &'s Value,
    nodes: Vec<&'s Value>,
}

/// A key that may stand at a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) required: bool,
}

impl<'s> Shape<'s> {
    /// The whole of a schema.
    pub(super) fn of(root: &'s Value) -> Self {
        let mut nodes = Vec::new();
        alternatives(root, root, DEEPEST, &mut nodes);
        Shape { root, nodes }
    }

    /// What stands behind a key.
    pub(super) fn key(&self, name: &str) -> Shape<'s> {
        let mut nodes = Vec::new();
        for node in &self.nodes {
            let own = node.get("properties").and_then(|properties| properties.get(name));
            if let Some(next) = own.or_else(|| node.get("additionalProperties").filter(|next| next.is_object())) {
                alternatives(self.root, next, DEEPEST, &mut nodes);
            }
        }
        Shape { root: self.root, nodes }
    }

    /// What an item of the list is.
    pub(super) fn item(&self) -> Shape<'s> {
        let mut nodes = Vec::new();
        for next in self.nodes.iter().filter_map(|node| node.get("items")) {
            alternatives(self.root, next, DEEPEST, &mut nodes);
        }
        Shape { root: self.root, nodes }
    }

    /// The same, or an item of it where it is a list: what a header leads to.
    pub(super) fn or_item(self) -> Shape<'s> {
        let item = self.item();
        if item.nodes.is_empty() { self } else { item }
    }

    /// The keys that may stand here.
    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for node in &self.nodes {
            let required = |name: &str| {
                let list = node.get("required").and_then(Value::as_array);
                list.is_some_and(|list| list.iter().any(|item| item == name))
            };
            for (name, next) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if keys.iter().all(|key| key.name != *name) {
                    let doc = described(self.root, next, DEEPEST).unwrap_or_default();
                    keys.push(Key { name: name.clone(), doc, required: required(name) });
                }
            }
        }
        keys
    }

    /// The words, or `true` and `false`, that may stand here, each with what it means; whether they stand in quotes.
    pub(super) fn values(&self) -> Vec<(Value, String)> {
        let mut values: Vec<(Value, String)> = Vec::new();
        for node in &self.nodes {
            let doc = node.get("description").and_then(Value::as_str).unwrap_or_default();
            let listed = node.get("enum").and_then(Value::as_array).into_iter().flatten();
            let all = listed.chain(node.get("const")).filter(|value| !value.is_null());
            values.extend(all.map(|value| (value.clone(), doc.to_owned())));
            let of = node.get("type");
            if of.is_some_and(|of| {
                of == "boolean" || of.as_array().is_some_and(|all| all.iter().any(|t| t == "boolean"))
            }) {
                values.extend([true, false].map(|value| (Value::Bool(value), doc.to_owned())));
            }
        }
        values
    }
}

/// The description of what stands at `name`.
pub(super) fn doc_of(shape: &Shape<'_>, name: &str) -> Option<String> {
    shape.keys().into_iter().find(|key| key.name == name).map(|key| key.doc).filter(|doc| !doc.is_empty())
}

/// The schema itself, or what it refers to, or each of its alternatives.
fn alternatives<'s>(root: &'s Value, node: &'s Value, left: usize, found: &mut Vec<&'s Value>) {
    if left == 0 {
        return;
    }
    if let Some(next) = referred(root, node) {
        alternatives(root, next, left - 1, found);
    }
    for list in ["anyOf", "oneOf", "allOf"] {
        for next in node.get(list).and_then(Value::as_array).into_iter().flatten() {
            alternatives(root, next, left - 1, found);
        }
    }
    if ["properties", "additionalProperties", "items", "enum", "const", "type"]
        .iter()
        .any(|word| node.get(word).is_some())
    {
        found.push(node);
    }
}

/// Its own description, or that of what it refers to.
fn described(root: &Value, node: &Value, left: usize) -> Option<String> {
    let own = node.get("description").and_then(Value::as_str).map(str::to_owned);
    own.or_else(|| described(root, referred(root, node)?, left.checked_sub(1)?))
}

fn referred<'s>(root: &'s Value, node: &Value) -> Option<&'s Value> {
    root.pointer(node.get("$ref")?.as_str()?.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["b"],
            "properties": {
                "a": { "$ref": "#/$defs/A" },
                "b": { "anyOf": [{ "enum": ["x", "y"], "description": "words" }, { "type": "null" }], "description": "b!" },
                "c": { "additionalProperties": { "type": ["boolean", "null"] } },
                "d": { "type": "array", "items": { "oneOf": [{ "const": "one" }, { "$ref": "#/$defs/A" }] } },
            },
            "$defs": {
                "A": { "description": "an A", "properties": { "again": { "$ref": "#/$defs/A" } } },
                "Loop": { "$ref": "#/$defs/Loop" },
            },
        })
    }

    #[test]
    fn keys_and_values() {
        let schema = schema();
        let shape = Shape::of(&schema);
        let keys: Vec<_> = shape.keys().into_iter().map(|k| format!("{} {} {}", k.name, k.doc, k.required)).collect();
        assert_eq!(keys, ["a an A false", "b b! true", "c  false", "d  false"]);
        assert_eq!(shape.key("b").values(), [(json!("x"), "words".to_owned()), (json!("y"), "words".to_owned())]);
        assert_eq!(shape.key("c").key("any").values().len(), 2);
        assert_eq!(shape.key("d").item().values(), [(json!("one"), String::new())]);
        assert_eq!(doc_of(&shape.key("a").key("again"), "again").as_deref(), Some("an A"));
        assert!(shape.key("no").nodes.is_empty() && shape.key("b").key("x").keys().is_empty());
        assert!(Shape::of(&json!({ "$ref": "#/$defs/L", "$defs": { "L": { "$ref": "#/$defs/L" } } })).nodes.is_empty());
    }
}
