use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde_json::Value;

use super::*;
use crate::compile::known;
use crate::testing::lab::LAB;

/// What the tests of a configuration may be given.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Given {
    #[allow(dead_code, reason = "for its schema")]
    clients: Option<Vec<String>>,
}

fn keys(schema: &Value) -> BTreeSet<&str> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// The tables that are taken apart by hand have the keys that the reader knows, each with what it means.
#[test]
fn keys_are_those_of_the_reader() {
    let tables = [
        ("a policy", of::<PolicyFile>(), known::POLICY),
        ("a route", of::<tables::RouteTable>(), known::ROUTE),
        ("a filter", common(), known::COMMON),
        ("switch", settings(LAB, "switch").unwrap(), known::SWITCH),
        ("call", settings(LAB, "call").unwrap(), known::CALL),
        ("any", settings(LAB, "any").unwrap(), known::ANY),
    ];
    for (table, schema, expected) in tables {
        assert_eq!(keys(&schema), expected.iter().copied().collect(), "{table}");
        for (key, setting) in schema["properties"].as_object().unwrap() {
            assert!(setting["description"].as_str().is_some_and(|said| !said.is_empty()), "{table}: {key}");
        }
        assert!(table == "a filter" || schema["additionalProperties"] == Value::Bool(false), "{table}");
    }
    let words: BTreeSet<_> = FLOW_WORDS.iter().map(|(word, _)| *word).collect();
    assert_eq!(words, known::FLOW_WORDS.iter().copied().collect());
}

#[test]
fn a_filter_has_its_own_settings_and_those_of_all() {
    let schema = policy_file::<Given>(LAB);
    let definitions = &schema["definitions"];
    let answer = &definitions["Filter.answer"];
    assert!(keys(answer).is_superset(&keys(&common())));
    assert_eq!(answer["properties"]["use"]["const"], "answer");
    assert_eq!(answer["additionalProperties"], false);
    let filter = &definitions["Filter"];
    let names: BTreeSet<_> =
        filter["properties"]["use"]["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(names.len(), filter["allOf"].as_array().unwrap().len());
    assert!(names.contains("switch") && names.contains("answer"), "{names:?}");
    assert!(keys(filter).is_superset(&keys(answer)), "for editors that know no `if`");
    assert_eq!(keys(&definitions["Given"]), BTreeSet::from(["clients"]));
    assert!(super::filter(LAB, "no-such").is_none());
}

/// `null` is nothing that stands in a TOML file, and `uint16` no format of JSON Schema.
#[test]
fn what_only_rust_knows_is_not_said() {
    let text = policy_file::<Given>(LAB).to_string() + &tests_file::<Given>().to_string();
    for word in ["null", "\"uint", "$defs", "2020-12"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}

/// Every reference leads somewhere.
#[test]
fn references_lead_somewhere() {
    fn walk(root: &Value, at: &Value) {
        if let Some(to) = at["$ref"].as_str() {
            assert!(root.pointer(to.trim_start_matches('#')).is_some(), "{to}");
        }
        match at {
            Value::Array(items) => items.iter().for_each(|item| walk(root, item)),
            Value::Object(object) => object.values().for_each(|value| walk(root, value)),
            _ => {}
        }
    }
    for schema in [policy_file::<Given>(LAB), tests_file::<Given>(), super::filter(LAB, "switch").unwrap()] {
        walk(&schema, &schema);
    }
}
