//! JSON Schemas of our files, for editors, reference pages and `portcullis schema`.
//!
//! They are made of the types that read the files: a filter's own settings, a test's own tables. The keys that the engine takes apart
//! by hand stand in `tables`, and a test holds them to the lists by which it does.
//!
//! Draft 7, since that is what Taplo (and with it VS Code) validates by. A filter's settings hang on its `use` by `if` and `then`:
//! what is wrong is then told of that filter, and not of all of them.

mod clean;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::filter::Library;
use tables::{Any, Call, Common, PolicyFile, Switch, TestsFile};

/// The words of `use` that are the engine's own, with what they do.
pub const FLOW_WORDS: &[(&str, &str)] = &[
    ("switch", "Runs the chain or policy that a value chooses, and comes back with its outcome."),
    ("call", "Runs a chain or another policy, and comes back with its outcome."),
    ("any", "Runs the first of several chains that succeeds; the next one only where a credential is absent."),
];

const USE: &str = "Which filter it is.";

/// The schema of what this type reads.
pub fn of<T: JsonSchema>() -> Value {
    let mut generator = generator();
    let root = T::json_schema(&mut generator);
    finished(generator, root)
}

/// The schema of a policy file. `G` is what may be given to a test.
pub fn policy_file<G: JsonSchema>(library: Library) -> Value {
    let mut generator = generator();
    let root = PolicyFile::json_schema(&mut generator);
    given::<G>(&mut generator);
    filters(&mut generator, library);
    finished(generator, root)
}

/// The schema of a file of tests beside a policy.
pub fn tests_file<G: JsonSchema>() -> Value {
    let mut generator = generator();
    let root = TestsFile::json_schema(&mut generator);
    given::<G>(&mut generator);
    finished(generator, root)
}

/// The schema of a filter's table, or a flow word's: its own settings, and the keys that every filter has.
pub fn filter(library: Library, uses: &str) -> Option<Value> {
    let mut generator = generator();
    let root = step(&mut generator, library, uses)?;
    Some(finished(generator, root))
}

/// The same without the keys that every filter has.
pub fn settings(library: Library, uses: &str) -> Option<Value> {
    let mut generator = generator();
    let root = own(&mut generator, library, uses)?;
    Some(finished(generator, root))
}

/// The schema of the keys that every filter has.
pub fn common() -> Value {
    of::<Common>()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft07().into_generator()
}

/// What a test's `given` may hold, in place of the stand-in that the engine has for it.
fn given<G: JsonSchema>(generator: &mut SchemaGenerator) {
    let schema = G::json_schema(generator);
    generator.definitions_mut().insert(String::from("Given"), schema.to_value());
}

/// The definition `Filter`, in place of its stand-in, and one for each filter.
fn filters(generator: &mut SchemaGenerator, library: Library) {
    let words = FLOW_WORDS.iter().map(|(word, _)| *word);
    let names: Vec<&str> = words.chain(library.there().map(|kind| kind.name)).collect();
    let mut each = Vec::new();
    let mut known: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for name in &names {
        let Some(schema) = step(generator, library, name) else { continue };
        for (key, setting) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let of = known.entry(key.clone()).or_default();
            if !of.contains(setting) {
                of.push(setting.clone());
            }
        }
        let definition = format!("Filter.{name}");
        each.push(json!({
            "if": { "properties": { "use": { "const": name } }, "required": ["use"] },
            "then": { "$ref": format!("#/definitions/{definition}") },
        }));
        generator.definitions_mut().insert(definition, schema.to_value());
    }
    let any_of = |(key, mut of): (String, Vec<Value>)| match of.len() {
        1 => (key, of.remove(0)),
        _ => (key, json!({ "anyOf": of })),
    };
    // Editors that know nothing of `if` offer these; what may stand there is said by the filter's own schema.
    let mut properties: Map<String, Value> = known.into_iter().map(any_of).collect();
    properties.insert(String::from("use"), json!({ "description": USE, "type": "string", "enum": names }));
    let filter = json!({
        "description": "A step of a chain.",
        "type": "object",
        "required": ["use"],
        "properties": properties,
        "allOf": each,
    });
    generator.definitions_mut().insert(String::from("Filter"), filter);
}

fn step(generator: &mut SchemaGenerator, library: Library, uses: &str) -> Option<Schema> {
    let mut schema = own(generator, library, uses)?;
    let common = Common::json_schema(generator).to_value();
    let object = schema.ensure_object();
    let properties = object.entry("properties").or_insert_with(|| json!({}));
    if let (Some(properties), Some(common)) = (properties.as_object_mut(), common["properties"].as_object()) {
        properties.extend(common.clone());
        properties.insert(String::from("use"), json!({ "description": USE, "const": uses }));
    }
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut() {
        required.push(Value::from("use"));
    }
    object.insert(String::from("additionalProperties"), Value::Bool(false));
    Some(schema)
}

fn own(generator: &mut SchemaGenerator, library: Library, uses: &str) -> Option<Schema> {
    Some(match uses {
        "switch" => Switch::json_schema(generator),
        "call" => Call::json_schema(generator),
        "any" => Any::json_schema(generator),
        name => (library.filter(name)?.schema)(generator),
    })
}

fn finished(mut generator: SchemaGenerator, root: Schema) -> Value {
    let mut root = root.to_value();
    let definitions = generator.take_definitions(false);
    root["$schema"] = Value::from("http://json-schema.org/draft-07/schema#");
    if !definitions.is_empty() {
        root["definitions"] = Value::Object(definitions);
    }
    if let Ok(schema) = <&mut Schema>::try_from(&mut root) {
        generator.transforms_mut().for_each(|transform| transform.transform(schema));
    }
    clean::clean(&mut root);
    root
}
