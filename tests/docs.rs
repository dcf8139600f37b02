//! The examples in the documentation are right: every `toml` block of these pages is compiled as `portcullis check` does.
//!
//! A block that begins with `# PATH` is that file of the page's configuration; any other is a part of a policy, and becomes
//! a policy of its own, with a route and an answer where it shows none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGES: &[&str] = &[
    "README.md",
    "docs/policies.md",
    "docs/node.md",
    "docs/coming-from-oag.md",
    "docs/people.md",
    "docs/authorization.md",
    "docs/pages.md",
];

/// What the pages' policies name, where a page does not show it.
const NODE: &str = "[upstream.orders]\ntargets = [\"http://127.0.0.1:9001\"]\n";

/// Examples that are run too: the block that has this text, and tests of it. That it compiles does not say that it does what
/// the page says of it.
const TESTS: &[(&str, &str)] = &[
    (
        "name = \"mark internal calls\"",
        r#"
[[test]]
name    = "without the header it is skipped"
request = { path = "/tried" }
expect  = { status = 200, path = ["mark internal calls:skipped", "respond:answered"] }

[[test]]
name    = "with another value it is skipped"
request = { path = "/tried", headers = { x-internal = "no" } }
expect  = { status = 200, path = ["mark internal calls:skipped", "respond:answered"] }

[[test]]
name    = "with the value it runs"
request = { path = "/tried", headers = { x-internal = "yes" } }
expect  = { status = 200, path = ["mark internal calls:success", "respond:answered"] }
"#,
    ),
    (
        "of  = [\"by-key\", \"by-address\"]",
        r#"
[[test]]
name    = "by key"
request = { path = "/tried", headers = { x-key = "k" } }
expect  = { status = 200, path = ["any:success", "require:success", "respond:answered"] }

[[test]]
name    = "by address"
request = { path = "/tried" }
expect  = { status = 200, path = ["any:success", "require:failure", "require:success", "respond:answered"] }

[[test]]
name    = "a bad key ends the search"
request = { path = "/tried", headers = { x-key = "no" } }
expect  = { status = 403, path = ["any:failure", "require:failure"] }
"#,
    ),
    (
        "(has(request.query.version)",
        r#"
[[test]]
name    = "the default"
request = { path = "/tried", headers = { accept = "application/json" } }
expect  = { status = 200 }

[[test]]
name    = "another version"
request = { path = "/tried", query = { version = "3" }, headers = { accept = "application/json" } }
expect  = { status = 406 }

[[test]]
name    = "no header is no fault"
request = { path = "/tried" }
expect  = { status = 406 }
"#,
    ),
];

/// The ```toml blocks of a page, with the line each begins on.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line) {
            (None, "```toml") => open = Some((number + 2, String::new())),
            (None, _) => {}
            (Some(_), "```") => blocks.extend(open.take()),
            (Some((_, block)), line) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

/// Where the block goes, and what is there.
fn file(number: usize, block: &str) -> (String, String) {
    let first = block.lines().next().unwrap_or_default();
    if let Some(path) = first.strip_prefix("# ").filter(|path| path.ends_with(".toml")) {
        return (path.to_owned(), block.to_owned());
    }
    let mut text = String::new();
    if !block.contains("route") {
        text.push_str(&format!("route = \"/line-{number}\"\n"));
    }
    text.push_str(block);
    let answers = ["\"respond\"", "\"proxy\"", "\"fail\"", "\"redirect\""].iter().any(|word| block.contains(word));
    if !answers {
        text.push_str("\n[[filter]]\nuse = \"respond\"\n");
    }
    (format!("policies/line-{number}.toml"), text)
}

/// Looks at a node's settings, with the certificates that they may name.
fn checks_alone(page: &str, node: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("tls")).expect("a folder");
    let made = rcgen::generate_simple_self_signed([String::from("gateway.example")]).expect("a certificate");
    for name in ["server.pem", "other.pem", "partner-ca.pem", "ca.pem", "client.pem"] {
        fs::write(folder.path().join("tls").join(name), made.cert.pem()).expect("a file");
    }
    for name in ["server.key", "other.key", "client.key"] {
        fs::write(folder.path().join("tls").join(name), made.signing_key.serialize_pem()).expect("a file");
    }
    fs::write(folder.path().join("node.toml"), node).expect("a file");
    checks(page, folder.path());
}

/// `check` of this folder has nothing against it.
fn checks(page: &str, folder: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", "-c"])
        .arg(folder)
        .env("OAUTH_DB_URL", "postgres://gateway@db.example.com/oauth")
        .env("PARTNER_SECRET", "a secret")
        .env("OTLP_AUTHORIZATION", "Bearer a-secret")
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // Examples are parts: what lints would have of a whole configuration, they need not show.
    let warned = said.lines().any(|line| line.starts_with("warning[") && !line.starts_with("warning[P07"));
    assert!(output.status.success() && !warned, "{page}:\n{said}");
}

#[test]
fn every_example_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tested = 0;
    for page in PAGES {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        put("pages/help.html", "<h1>Help</h1>\n");
        put("pages/login.html", &own_login());
        put("node.toml", NODE);
        let text = fs::read_to_string(root.join(page)).expect("the page is there");
        let blocks = blocks(&text);
        assert!(!blocks.is_empty(), "{page} has examples");
        let mut nodes = 0;
        for (number, block) in blocks {
            let (path, text) = file(number, &block);
            if path == "node.toml" {
                nodes += 1;
                // The first is the page's node; others are looked at by themselves.
                if nodes > 1 {
                    checks_alone(page, &text);
                    continue;
                }
            }
            put(&path, &text);
            if let Some((_, tests)) = TESTS.iter().find(|(has, _)| block.contains(has)) {
                assert!(path.contains("/line-"), "{path} is a policy with a route of its own");
                put(&path.replace(".toml", ".test.toml"), &tests.replace("/tried", &format!("/line-{number}")));
                tested += 1;
            }
        }
        checks(page, folder.path());
    }
    assert_eq!(tested, TESTS.len(), "each test is of one block");
}

/// What the page says of each filter is so: `docs/reference/filters/`, which is written from the filters themselves, has a page of
/// each that is there, and the others in a list.
#[test]
fn coming_from_oag_tells_what_is_there_and_what_is_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |page: &str| fs::read_to_string(root.join(page)).expect("the page is there");
    let (filters, page) = (read("docs/reference/filters/README.md"), read("docs/coming-from-oag.md"));
    let there = |name: &str| root.join(format!("docs/reference/filters/{name}.md")).is_file();
    let later = |name: &str| filters.lines().any(|line| line == format!("- `{name}`"));
    let mut rows = 0;
    for line in page.lines() {
        let cells: Vec<_> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let [_, ours, when] = cells[..] else { continue };
        let known: &dyn Fn(&str) -> bool = match when {
            "now" => &there,
            "later" => &later,
            _ => continue,
        };
        let ours = ours.split(';').next().unwrap_or_default(); // what follows is more about it
        let names: Vec<_> = ours.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no filter in: {line}");
        names.iter().for_each(|name| assert!(known(name), "`{name}` is not as it is told: {line}"));
        rows += 1;
    }
    assert!(rows > 20, "only {rows} rows were found");
}

/// The template that the page on templates shows.
fn own_login() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/pages.md")).expect("the page is there");
    let after = page.split("```html\n").nth(1).expect("a template");
    after.split("```").next().unwrap_or_default().to_owned()
}

/// What we show is in the style that we ask for: `portcullis fmt` changes no example.
#[test]
fn every_example_is_in_the_style() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut pages = vec![root.join("README.md")];
    pages_below(&root.join("docs"), &mut pages);
    pages_below(&root.join("examples"), &mut pages);
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["fmt", "--check"]).current_dir(folder.path());
    let mut shown = 0;
    for (number, page) in pages.iter().enumerate() {
        let name = page.file_stem().unwrap_or_default().to_string_lossy();
        for (line, block) in blocks(&fs::read_to_string(page).expect("a page")) {
            let file = format!("{number}-{name}-line-{line}.toml");
            fs::write(folder.path().join(&file), block).expect("a file");
            command.arg(file);
            shown += 1;
        }
    }
    assert!(shown > 50, "only {shown} examples were found");
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn pages_below(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            pages_below(&path, pages);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.push(path);
        }
    }
}

/// The tests that the tables of what is supported name are there: in each row's last cell, names and then the file that has them, or scripts.
#[test]
fn conformance_names_tests_that_are_there() {
    for (page, at_least) in [("docs/conformance.md", 150), ("docs/gateway.md", 10)] {
        let found = tests_named_in(page);
        assert!(found > at_least, "only {found} tests were found in {page}");
    }
}

/// How many tests the rows of a page name; all of them are there.
fn tests_named_in(page: &str) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(page)).expect("the page is there");
    let mut found = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let shown = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        let mut names: Vec<&str> = Vec::new();
        for word in shown.split('`').skip(1).step_by(2) {
            let Ok(file) = fs::read_to_string(root.join(word)) else {
                names.push(word);
                continue;
            };
            // A script is a proof by itself; what stands before it are the clients that it uses.
            if word.ends_with("/run") {
                names.clear();
                found += 1;
                continue;
            }
            assert!(!names.is_empty(), "no test before the file in: {row}");
            for name in names.drain(..) {
                let stands = if name.starts_with('"') { format!("= {name}") } else { format!("fn {name}(") };
                assert!(file.contains(&stands), "{word} has no test {name}");
                found += 1;
            }
        }
        assert!(names.is_empty(), "no file after the test in: {row}");
    }
    found
}

/// Each row of the checklist has a mutant in `tests/mutants`, or no test and says why; each mutant can be made: its text stands once in
/// its file, and the test that has to notice it is one of the row. That it is noticed is what `tests/mutants/run` sees.
#[test]
fn conformance_has_a_mutant_for_each_row() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Mutant {
        breaks: String,
        file: String,
        test: Option<String>,
        from: String,
        to: String,
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/conformance.md")).expect("the page is there");
    let mut mutants: BTreeMap<String, Vec<(PathBuf, Mutant)>> = BTreeMap::new();
    for entry in fs::read_dir(root.join("tests/mutants")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = fs::read_to_string(&path).expect("a mutant");
            let mutant = toml::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            let name = path.file_stem().expect("a name").to_string_lossy();
            let item = name.split('-').next().unwrap_or_default().replacen("D0", "D", 1);
            mutants.entry(item).or_default().push((path, mutant));
        }
    }
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| D")) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [item, _, shown] = cells[..] else { panic!("three cells: {row}") };
        let tests: Vec<&str> = shown.split('`').skip(1).step_by(2).filter(|word| !root.join(word).is_file()).collect();
        let has = mutants.remove(item).unwrap_or_default();
        assert_eq!(has.is_empty(), shown.starts_with("does not apply"), "a mutant, or why there is none: {row}");
        for (path, mutant) in has {
            let path = path.display();
            assert!(!mutant.breaks.is_empty() && mutant.from != mutant.to, "{path}");
            let named = mutant.test.as_deref().or(if tests.len() == 1 { Some(tests[0]) } else { None });
            let named = named.unwrap_or_else(|| panic!("{path}: `test` says which of {tests:?}"));
            assert!(
                tests.iter().any(|test| test.trim_matches('"') == named.trim_matches('"')),
                "{path}: {named} is not in {row}"
            );
            let file = fs::read_to_string(root.join(&mutant.file))
                .unwrap_or_else(|why| panic!("{path}: {}: {why}", mutant.file));
            assert_eq!(file.matches(&mutant.from).count(), 1, "{path}: how often its text stands in {}", mutant.file);
        }
        rows += 1;
    }
    assert!(rows > 60 && mutants.is_empty(), "{rows} rows; of no row: {:?}", mutants.keys());
}
