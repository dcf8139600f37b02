//! Seeded mistakes: each is made in a fresh copy of what `init` makes, and must be found, by the means and at the place that
//! [`table`] says. `docs/mistakes.md` is the same table, for people; `BLESS=1 cargo test --test node mistakes` writes it anew.

mod table;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Folder, portcullis};
use table::{Found, MISTAKES, Mistake};

/// The page, before its table.
const HEAD: &str = "\
# Who finds which mistake

Each of these mistakes is made in a fresh copy of a template (`portcullis init --template NAME`) whenever Portcullis is tested, and is found as this
page says. `check` reads the files and follows every path; `test` runs the tests that stand in them, and so do `check` and a reload; `test --mutants`
finds what the tests themselves would not notice. Written from `tests/mistakes` by `BLESS=1 cargo test --test node mistakes`.

PKCE cannot be left out by mistake in this version: there is no authorization code yet.

";

/// The configuration of each template, made once.
fn made(template: &'static str, made: &mut BTreeMap<&'static str, Vec<(String, String)>>) -> Folder {
    let files = made.entry(template).or_insert_with(|| {
        let folder = Folder::empty();
        let json = portcullis(folder.path(), ["init", ".", "--template", template, "--json"]).code(0).json();
        let paths =
            json["files"].as_array().expect("files").iter().map(|path| path.as_str().expect("a path").to_owned());
        paths.map(|path| (path.clone(), folder.read(&path))).collect()
    });
    let folder = Folder::empty();
    files.iter().for_each(|(path, text)| drop(folder.write(path, text)));
    folder
}

/// Makes the mistake.
fn seed(mistake: &Mistake, folder: &Folder) {
    let text = folder.read(mistake.file);
    let times = text.matches(mistake.find).count();
    assert_eq!(times, 1, "`{}`: `{}` stands {times} times in {}", mistake.what, mistake.find, mistake.file);
    folder.write(mistake.file, &text.replacen(mistake.find, mistake.replace, 1));
}

/// The diagnostics of `check`, without tests.
fn checked(folder: &Path) -> Vec<Value> {
    let run = portcullis(folder, ["check", "--no-tests", "--json"]);
    run.json()["diagnostics"].as_array().expect("diagnostics").clone()
}

/// The tests that fail.
fn failing(folder: &Path) -> Vec<String> {
    let json = portcullis(folder, ["test", "--json"]).json();
    let tests = json["tests"].as_array().expect("tests").iter();
    let failed = tests.filter(|test| test["ok"] == false);
    failed.map(|test| format!("{}: {}", test["policy"].as_str().unwrap(), test["name"].as_str().unwrap())).collect()
}

/// What is otherwise than the table says.
fn wrong(mistake: &Mistake, folder: &Folder) -> Option<String> {
    let found = checked(folder.path());
    let places: Vec<_> =
        found.iter().map(|d| format!("{} {}:{}", text(d, "code"), text(d, "file"), d["line"])).collect();
    if let Found::Check { code, place } = mistake.found {
        let said =
            format!("{code} {}", if place.contains(':') { place.into() } else { format!("{}:{place}", mistake.file) });
        return (!places.contains(&said)).then(|| format!("`check` does not say {said}, but {places:?}"));
    }
    if !places.is_empty() {
        return Some(format!("`check` finds it first: {places:?}"));
    }
    let failed = failing(folder.path());
    if let Found::Test(name) = mistake.found {
        return (!failed.iter().any(|test| test == name))
            .then(|| format!("the test `{name}` does not fail, but {failed:?}"));
    }
    None
}

fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or("-")
}

#[test]
fn every_mistake_is_found_as_the_table_says() {
    let mut templates = BTreeMap::new();
    let mut all_wrong = Vec::new();
    for mistake in MISTAKES {
        let folder = made(mistake.template, &mut templates);
        seed(mistake, &folder);
        all_wrong.extend(wrong(mistake, &folder).map(|why| format!("{}: {why}", mistake.what)));
    }
    assert!(all_wrong.is_empty(), "{}", all_wrong.join("\n"));
}

#[test]
fn the_page_is_the_table() {
    let mut page = format!("{HEAD}| mistake | in | found by |\n|---|---|---|\n");
    for mistake in MISTAKES {
        let by = match mistake.found {
            Found::Check { code, .. } => format!("`check`: {code}"),
            Found::Test(name) => format!("`test`: {name}"),
        };
        page.push_str(&format!("| {} | `{}` of {} | {by} |\n", mistake.what, mistake.file, mistake.template));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mistakes.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &page).expect("the page can be written");
    }
    assert!(MISTAKES.len() >= 40, "{} mistakes", MISTAKES.len());
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), page, "BLESS=1 writes docs/mistakes.md anew");
}
