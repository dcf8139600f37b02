//! The JSON Schemas, against every file that we ship or show: right ones are taken, and a key that is misspelt is refused.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use crate::harness::Folder;

/// Tables whose keys are anybody's: their names are no words of ours.
const FREE: &[&str] = &[
    "claims",
    "provider",
    "asked",
    "attributes",
    "case",
    "cases",
    "chain",
    "form",
    "headers",
    "input",
    "json",
    "keep",
    "query",
    "replication",
    "scopes",
    "set",
    "source",
    "store",
    "stores",
    "upstream",
    "upstreams",
    "values",
    "vars",
    "with",
];

struct Schemas(Vec<(&'static str, Validator)>);

impl Schemas {
    fn new() -> Schemas {
        let folder = Folder::empty();
        folder.run(["schema", "--out", "."]).code(0);
        let read = |name| {
            let schema: Value = serde_json::from_str(&folder.read(&format!("{name}.json"))).expect("JSON");
            (name, jsonschema::validator_for(&schema).expect("a schema"))
        };
        Schemas(["policy", "tests", "node", "stores", "server"].map(read).into())
    }

    fn of(&self, path: &str) -> &Validator {
        let name = match path {
            path if path.ends_with("node.toml") => "node",
            path if path.ends_with("stores.toml") => "stores",
            path if path.ends_with("oauth/server.toml") => "server",
            path if path.ends_with(".test.toml") => "tests",
            _ => "policy",
        };
        &self.0.iter().find(|(known, _)| *known == name).expect("a schema").1
    }
}

/// The files of the repository and of its examples.
fn files() -> Vec<(String, Value)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => collect(&path, found),
                false if path.extension().is_some_and(|ending| ending == "toml") => found.push(path),
                false => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("crates/cli/node.toml")];
    ["policies", "stores", "examples"].iter().for_each(|folder| collect(&root.join(folder), &mut found));
    let parsed = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("text");
        let value: toml::Value = toml::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        (path.display().to_string(), serde_json::to_value(value).expect("JSON"))
    };
    found.into_iter().map(parsed).collect()
}

#[test]
fn right_files_are_taken() {
    let schemas = Schemas::new();
    let files = files();
    assert!(files.len() > 15, "only {} files", files.len());
    for (path, file) in files {
        let wrong: Vec<_> =
            schemas.of(&path).iter_errors(&file).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{path}: {wrong:#?}");
    }
}

#[test]
fn misspelt_keys_are_refused() {
    let schemas = Schemas::new();
    let mut tried = 0;
    for (path, file) in files() {
        let mut keys = Vec::new();
        pointers(&file, "", &mut keys);
        for (table, key) in keys {
            let mut wrong = file.clone();
            let at = wrong.pointer_mut(&table).and_then(Value::as_object_mut).expect("a table");
            let value = at.remove(&key).expect("the key");
            at.insert(format!("{key}x"), value);
            assert!(!schemas.of(&path).is_valid(&wrong), "{path}: {table}/{key}x is taken");
            tried += 1;
        }
    }
    assert!(tried > 300, "only {tried} keys");
}

/// Every key that is a word of ours, with the table that it stands in.
fn pointers(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    let free = at.rsplit('/').find(|part| part.parse::<usize>().is_err()).is_some_and(|last| FREE.contains(&last));
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found))
        }
        Value::Object(table) => {
            for (key, value) in table {
                let anything = ["json", "attributes", "vars", "with", "cases", "stores"].contains(&key.as_str());
                if !free {
                    found.push((at.to_owned(), key.clone()));
                }
                if !anything {
                    pointers(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn wrong_values_are_refused() {
    let schemas = Schemas::new();
    for (file, text) in [
        ("policies/a.toml", "[[filter]]\nuse = \"no-such\"\n"),
        ("policies/a.toml", "[[filter]]\nname = \"x\"\n"),
        ("policies/a.toml", "[[filter]]\nuse = \"oauth.check-scope\"\nallowed = \"x\"\n"),
        ("policies/a.toml", "[[filter]]\nuse = \"respond\"\nasked = \"x\"\n"),
        ("policies/a.toml", "[[filter]]\nuse = \"respond\"\nstatus = 99\n"),
        ("policies/a.toml", "[[filter]]\nuse = \"fail\"\nstatus = 200\n"),
        ("policies/a.toml", "[[filter]]\nuse = \"switch\"\non = \"x\"\n"),
        ("policies/a.toml", "route = \"orders\"\n[[filter]]\nuse = \"respond\"\n"),
        ("policies/a.toml", "route = \"/a\"\n"),
        ("policies/a.test.toml", "[[test]]\nname = \"x\"\nexpect = { statsu = 200 }\n"),
        ("node.toml", "[log]\nformat = \"xml\"\n"),
        ("node.toml", "[cluster]\nnodes = 0\n"),
        ("node.toml", "[limits]\ndrain = 30\n"),
        ("stores/stores.toml", "default = \"a\"\n[source.a]\ntype = \"oracle\"\n"),
        ("stores/stores.toml", "default = \"a\"\n[source.a]\ntype = \"sqlite\"\nurl = { env = \"X\" }\n"),
        ("stores/stores.toml", "default = \"a\"\n[source.a]\ntype = \"postgres\"\nurl = \"postgres://clear\"\n"),
        ("stores/stores.toml", "[source.a]\ntype = \"memory\"\n"),
        ("policies/oauth/server.toml", "isuer = \"x\"\n"),
    ] {
        let value: toml::Value = toml::from_str(text).expect("TOML");
        assert!(!schemas.of(file).is_valid(&serde_json::to_value(value).expect("JSON")), "{file}: {text}");
    }
}

#[test]
fn one_schema_or_all() {
    let folder = Folder::empty();
    let policy = folder.run(["schema", "policy"]).code(0).json();
    assert_eq!(policy["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(folder.run(["schema", "--json"]).code(0).json()["policy"], policy);
    folder.run(["schema"]).code(0).says("stores/stores.toml");
    folder.run(["schema", "polici"]).code(2);
    folder.run(["schema", "node", "--out", "made/here"]).code(0);
    let made: Value = serde_json::from_str(&folder.read("made/here/node.json")).unwrap();
    assert!(made["title"].as_str().unwrap().contains("node.toml"));
    assert!(!folder.at("made/here/policy.json").exists());
}

/// What `init` leaves for editors leads to schemas, and stops nothing where it is there already.
#[test]
fn init_tells_editors() {
    let folder = Folder::shipped();
    let rules: toml::Value = toml::from_str(&folder.read(".taplo.toml")).unwrap();
    for rule in rules["rule"].as_array().unwrap() {
        let path = rule["schema"]["path"].as_str().unwrap();
        assert!(folder.at(path).is_file(), "{path}");
    }
    let other = Folder::empty();
    other.write(".taplo.toml", "# mine\n");
    other.run(["init", "."]).code(0);
    assert_eq!(other.read(".taplo.toml"), "# mine\n");
}
