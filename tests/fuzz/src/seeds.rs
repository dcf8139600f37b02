//! Where the search begins: what stands in the repository anyway. Nothing is copied: shipped policies, examples, the cases of diagnostics
//! and the examples in the docs are read where they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use policy::reader::{Node, NodeKind, Table};

use crate::parsed;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The seeds of a target, in a stable order.
pub fn of(target: &str) -> Vec<String> {
    let files = || files().into_iter().map(|(_, text)| text);
    match target {
        "toml" | "format" => files().chain(docs()).collect(),
        "folder" => folders().into_iter().chain(files()).collect(),
        "tests" => files().filter(|text| text.contains("[[test]]")).map(|text| only_tests(&text)).collect(),
        "selector" => texts(|text| text.contains("${")),
        "condition" => texts(|text| ["==", "size(", "has(", " in ", "matches("].iter().any(|word| text.contains(word))),
        "route" => texts(|text| text.starts_with('/') || text.split_once(" /").is_some()),
        "json-path" => texts(|text| text.starts_with("$.") || text.starts_with("$[")),
        _ => Vec::new(),
    }
}

/// Writes them to a folder, a file each.
pub fn write(target: &str, folder: &Path) {
    fs::create_dir_all(folder).expect("the folder can be made");
    for (number, seed) in of(target).iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:04}")), seed).expect("the seed can be written");
    }
}

/// The inputs that were found and saved for a target: regressions.
pub fn saved(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).expect("the input can be read"))).collect()
}

/// All files of configurations in the repository: path and text.
fn files() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in ["policies", "stores", "examples", "tests/diagnostics"] {
        walk(&repository().join(folder), "toml", &mut found);
    }
    found
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, ending, found);
        } else if path.extension().is_some_and(|known| known == ending)
            && let Ok(text) = fs::read_to_string(&path)
        {
            found.push((path, text));
        }
    }
}

/// The TOML in the docs, block by block.
fn docs() -> Vec<String> {
    let mut pages = Vec::new();
    walk(&repository().join("docs"), "md", &mut pages);
    walk(&repository().join("crates/policy/src/diagnostic/explain"), "md", &mut pages);
    let blocks = pages.iter().flat_map(|(_, text)| text.split("```toml\n").skip(1));
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// Each case of diagnostics as one input: all its files, each after a line with its path.
fn folders() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut last = PathBuf::new();
    let cases = repository().join("tests/diagnostics");
    for (path, text) in files() {
        let Ok(below) = path.strip_prefix(&cases) else { continue };
        let case = below.components().next().map(|c| PathBuf::from(c.as_os_str())).unwrap_or_default();
        if case != last {
            all.push(String::new());
        }
        let path = below.strip_prefix(&case).expect("it begins with it").display();
        if let Some(input) = all.last_mut() {
            input.push_str(&format!("--- {path}\n{text}\n"));
        }
        last = case;
    }
    all
}

/// The file's tests, without the policy.
fn only_tests(text: &str) -> String {
    text.find("[[test]]").map_or_else(String::new, |at| text[at..].to_owned())
}

/// All texts of all files that are like this, each once.
fn texts(like: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = BTreeSet::new();
    for text in files().into_iter().map(|(_, text)| text).chain(docs()) {
        if let Ok(document) = parsed(&text) {
            table(&document.root, &like, &mut found);
        }
    }
    found.into_iter().collect()
}

fn table(of: &Table, like: &impl Fn(&str) -> bool, found: &mut BTreeSet<String>) {
    for entry in &of.entries {
        if like(&entry.name) {
            found.insert(entry.name.clone());
        }
        node(&entry.value, like, found);
    }
}

fn node(of: &Node, like: &impl Fn(&str) -> bool, found: &mut BTreeSet<String>) {
    match &of.kind {
        NodeKind::Text(text) if like(text) => drop(found.insert(text.clone())),
        NodeKind::List(items) => items.iter().for_each(|item| node(item, like, found)),
        NodeKind::Table(inner) => table(inner, like, found),
        _ => {}
    }
}
