//! The conversation of a real editor with `portcullis lsp`, as `tests/editors/run` recorded it, had again.
//!
//! `BLESS=1 cargo test --test node lsp_recorded` writes down what the server says now; the editor's side is recorded anew by
//! `RECORD=1 tests/editors/run`, which needs Neovim.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Editor, Folder};

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/editors/neovim.jsonl");

/// The folder that the conversation is about.
fn shop() -> Folder {
    let folder = Folder::shipped();
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/editors/shop");
    for path in ["node.toml", "policies/orders.toml", "policies/greet.toml"] {
        folder.write(path, &std::fs::read_to_string(shop.join(path)).unwrap());
    }
    folder
}

/// Without what changes with the filters' own words, with the version, and with the folder.
fn normal(message: &Value, root: &str) -> Value {
    let text = message.to_string().replace(root, "file://$FOLDER");
    let mut message: Value = serde_json::from_str(&text).unwrap();
    without_texts(&mut message);
    if let Some(version) = message.pointer_mut("/result/serverInfo/version") {
        *version = json!("...");
    }
    message
}

fn without_texts(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_texts),
        Value::Object(fields) => {
            let is_text = fields.get("kind").is_some_and(|kind| kind == "markdown" || kind == "plaintext");
            match fields.get_mut("value").filter(|_| is_text) {
                Some(text) => *text = json!("..."),
                None => fields.values_mut().for_each(without_texts),
            }
        }
        _ => {}
    }
}

/// What an editor does with the answer to a renaming: the file's text is its own affair, the name is the folder's.
fn rename_files(folder: &Folder, message: &Value, root: &str) {
    let name = |uri: &Value| uri.as_str().unwrap().strip_prefix(root).unwrap().trim_start_matches('/').to_owned();
    let changes = message["result"]["documentChanges"].as_array();
    for change in changes.into_iter().flatten().filter(|change| change["kind"] == "rename") {
        std::fs::rename(folder.at(&name(&change["oldUri"])), folder.at(&name(&change["newUri"]))).unwrap();
    }
}

#[test]
fn what_an_editor_said_is_answered_as_it_was() {
    let record = std::fs::read_to_string(RECORD).unwrap();
    let lines: Vec<Value> = record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let folder = shop();
    let mut editor = Editor::start(folder.path(), &[]);
    let root = editor.root.clone();
    let mut said = Vec::new();
    let mut expected = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if line["to"] == "server" {
            let text = line["message"].to_string().replace("$FOLDER", root.trim_start_matches("file://"));
            editor.send(&serde_json::from_str(&text).unwrap());
            said.push(line.clone());
            continue;
        }
        expected.push(line["message"].clone());
        // What the server says at one time, it may say in any order.
        if lines.get(number + 1).is_some_and(|next| next["to"] == "client") {
            continue;
        }
        let mut found: Vec<Value> = expected.iter().map(|_| editor.next().expect("the server answers")).collect();
        found.iter().for_each(|message| rename_files(&folder, message, &root));
        found = found.iter().map(|message| normal(message, &root)).collect();
        said.extend(found.iter().map(|message| json!({ "message": message, "to": "client" })));
        let sort = |messages: &mut Vec<Value>| messages.sort_by_key(ToString::to_string);
        sort(&mut found);
        sort(&mut expected);
        if std::env::var_os("BLESS").is_none() {
            let show = |messages: &[Value]| serde_json::to_string_pretty(messages).unwrap();
            assert!(found == expected, "line {}:\n{}\nis to be\n{}", number + 1, show(&found), show(&expected));
        }
        expected.clear();
    }
    assert_eq!(editor.exit_code(), 0);
    if std::env::var_os("BLESS").is_some() {
        let text: String = said.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(RECORD, text).unwrap();
    }
}
