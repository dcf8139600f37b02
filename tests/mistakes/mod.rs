//! Seeded mistakes: each is made in a fresh copy of what `init` makes, and must be found, by the means and at the place that
//! [`table`] says. `docs/mistakes.md` is the same, for people; `BLESS=1 cargo test --test node mistakes` writes it anew.

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

PKCE cannot be left out by mistake: `oauth.authorize` asks every client for it, and `check` tells of each that a policy excepts (P0715).

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
    for (path, text) in files {
        folder.write(path, text);
    }
    folder
}

/// Makes the mistake.
fn seed(mistake: &Mistake, folder: &Folder) {
    let text = folder.read(mistake.file);
    let times = text.matches(mistake.find).count();
    assert_eq!(times, 1, "`{}`: `{}` stands {times} times in {}", mistake.what, mistake.find, mistake.file);
    folder.write(mistake.file, &text.replacen(mistake.find, mistake.replace, 1));
}

/// What `check` has to say of the files; tests that fail are another matter.
fn checked(folder: &Path) -> Vec<Value> {
    let found = portcullis(folder, ["check", "--json"]).json()["diagnostics"].clone();
    let found = found.as_array().expect("diagnostics").iter();
    found.filter(|diagnostic| diagnostic["code"] != "P0601").cloned().collect()
}

/// The tests that fail.
fn failing(folder: &Path) -> Vec<String> {
    let json = portcullis(folder, ["test", "--json"]).json();
    let tests = json["tests"].as_array().expect("tests").iter();
    let failed = tests.filter(|test| test["ok"] == false);
    failed.map(|test| format!("{}: {}", test["policy"].as_str().unwrap(), test["name"].as_str().unwrap())).collect()
}

/// What the page says of it: who finds it, and how; or what is otherwise than the table says.
fn found(mistake: &Mistake, folder: &Folder) -> Result<String, String> {
    let said = checked(folder.path());
    let places: Vec<_> =
        said.iter().map(|d| format!("{} {}:{}", text(d, "code"), text(d, "file"), d["line"])).collect();
    if let Found::Check { code, place } = mistake.found {
        let place = if place.contains(':') { place.into() } else { format!("{}:{place}", mistake.file) };
        let expected = format!("{code} {place}");
        let at = places.iter().position(|place| *place == expected);
        let at = at.ok_or_else(|| format!("`check` does not say {expected}, but {places:?}"))?;
        let severity = if text(&said[at], "severity") == "warning" { " (a warning)" } else { "" };
        return Ok(format!("`check`{severity}: {code} {}", text(&said[at], "message")));
    }
    if !places.is_empty() {
        return Err(format!("`check` finds it first: {places:?}"));
    }
    let failed = failing(folder.path());
    match mistake.found {
        Found::Test(name) if failed.iter().any(|test| test == name) => return Ok(format!("`test`: {name}")),
        Found::Test(name) => return Err(format!("the test `{name}` does not fail, but {failed:?}")),
        _ if !failed.is_empty() => return Err(format!("`test` finds it first: {failed:?}")),
        _ => {}
    }
    let Found::Mutants(name) = mistake.found else { unreachable!("the other ways were looked at") };
    let surviving = surviving(folder.path());
    match surviving.iter().any(|mutant| mutant == name) {
        true => Ok(format!("`test --mutants`: {name}")),
        false => Err(format!("the mutant `{name}` does not survive, but {surviving:?}")),
    }
}

/// The mutants that no test notices, and that nobody explains.
fn surviving(folder: &Path) -> Vec<String> {
    let json = portcullis(folder, ["test", "--mutants", "--json"]).json();
    let mutants = json["mutants"].as_array().expect("mutants").iter();
    let surviving = mutants.filter(|mutant| mutant["fate"] != "noticed" && mutant["explained"].is_null());
    surviving.map(|mutant| format!("{} {}", text(mutant, "policy"), text(mutant, "mutant"))).collect()
}

/// The page's lines of these, and what is otherwise.
fn lines(mistakes: &[Mistake]) -> Vec<Result<String, String>> {
    let mut templates = BTreeMap::new();
    let line = |mistake: &Mistake| {
        let folder = made(mistake.template, &mut templates);
        seed(mistake, &folder);
        let Mistake { what, file, template, .. } = mistake;
        match found(mistake, &folder) {
            Ok(by) => Ok(format!("| {what} | `{file}` of {template} | {} |\n", by.replace('|', "\\|"))),
            Err(why) => Err(format!("{what}: {why}")),
        }
    };
    mistakes.iter().map(line).collect()
}

fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or("-")
}

#[test]
fn every_mistake_is_found_and_the_page_says_by_whom() {
    // Each is a few runs of the program: side by side they take half the time.
    let lines: Vec<_> = std::thread::scope(|scope| {
        let parts = MISTAKES.chunks(MISTAKES.len().div_ceil(4)).map(|part| scope.spawn(|| lines(part)));
        let parts: Vec<_> = parts.collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    });
    let wrong: Vec<_> = lines.iter().filter_map(|line| line.as_ref().err().cloned()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lines.len() >= 40, "{} mistakes", lines.len());

    let rows: String = lines.into_iter().flatten().collect();
    let page = format!("{HEAD}| mistake | in | found by |\n|---|---|---|\n{rows}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mistakes.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &page).expect("the page can be written");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), page, "BLESS=1 writes docs/mistakes.md anew");
}
