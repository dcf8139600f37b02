//! Golden files: what `portcullis check` says of small configurations that are wrong, one folder each below
//! `tests/diagnostics/`, with what is to be said in `expected.txt`.
//!
//! What depends on the feature `odbc` has a second file, `expected.without-odbc.txt`, for a program that was built without it.
//!
//! `BLESS=1 cargo test --test diagnostics` writes the expectations anew, for a person to read before they are committed.

#![allow(clippy::disallowed_methods, reason = "BLESS is for the person who runs the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use policy::diagnostic::codes;

/// Codes without a golden file, each with the reason.
const WITHOUT: &[(&str, &str)] = &[
    ("P0403", "said by a reload, of what the running node had before"),
    ("P0404", "said by a start and by `store check`: `check` opens no source"),
    ("P0405", "said by a program that was built without the driver: `expected.without-odbc.txt`"),
    ("P0502", "said by a reload, of what the running node had before"),
    ("P0503", "said by a reload, of what the running node had before"),
    ("P0602", "said of tests that take longer than 2 s"),
    ("P0603", "said by `test --mutants`"),
];

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let entries = fs::read_dir(folder).expect("the cases are there");
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// Where it stands what is to be said.
fn expectation(case: &Path) -> PathBuf {
    let without = case.join("expected.without-odbc.txt");
    if cfg!(not(feature = "odbc")) && without.exists() { without } else { case.join("expected.txt") }
}

/// The exit code, and what is printed.
fn said(case: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", "-c"])
        .arg(case)
        .env_remove("RUST_LOG")
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let code = output.status.code().expect("it exits");
    format!("{}{}exit {code}\n", text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_case_is_said_as_expected() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let said = said(&case);
        let file = expectation(&case);
        if bless {
            fs::write(&file, &said).expect("the expectation can be written");
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if said != expected {
            wrong.push(format!("--- {}: expected\n{expected}--- said\n{said}", case.display()));
        }
        assert!(!case.join("var").exists(), "`check` makes no files, and made {}/var", case.display());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case_or_a_reason() {
    let expected: String =
        cases().iter().filter_map(|case| fs::read_to_string(case.join("expected.txt")).ok()).collect();
    let all: BTreeSet<_> = codes::ALL.iter().map(|(code, _)| code.as_str()).collect();
    let shown: BTreeSet<_> = all.iter().copied().filter(|code| expected.contains(&format!("[{code}]"))).collect();
    let excused: BTreeSet<_> = WITHOUT.iter().map(|(code, _)| *code).collect();
    let missing: Vec<_> = all.iter().filter(|code| !shown.contains(*code) && !excused.contains(*code)).collect();
    let needless: Vec<_> = excused.iter().filter(|code| shown.contains(*code) || !all.contains(*code)).collect();
    assert!(
        missing.is_empty() && needless.is_empty(),
        "without a case: {missing:?}; excused without need: {needless:?}"
    );
}

/// Pages without a mistake in files, each with the reason.
const WITHOUT_FILES: &[(&str, &str)] = &[
    ("P0001", "what cannot be read cannot be shown"),
    ("P0003", "bytes that are no text cannot be shown"),
    ("P0403", "said by a reload, of what the running node had before"),
    ("P0404", "said by a start and by `store check`: `check` opens no source"),
    ("P0405", "said by a program that was built without the driver"),
    ("P0502", "said by a reload, of what the running node had before"),
    ("P0503", "said by a reload, of what the running node had before"),
    ("P0602", "said of tests that take longer than 2 s"),
    ("P0603", "said by `test --mutants`"),
    ("P0712", "said of what a file beside the configuration has in it"),
];

/// The files of a part of a page: its blocks, each of which begins with its path. One that is no TOML is marked as text.
fn files(part: &str) -> Vec<(&str, &str)> {
    let fences = part.split("```").skip(1).step_by(2);
    let blocks = fences.filter_map(|block| block.strip_prefix("toml\n").or_else(|| block.strip_prefix("text\n")));
    let path = |block: &str| block.lines().next().and_then(|line| line.strip_prefix("# ")).map(str::len);
    blocks.map(|block| (&block[2..2 + path(block).expect("a block begins with `# PATH`")], block)).collect()
}

/// What `check` says of these files: the codes, and whether it refuses them.
fn codes_of(files: &[(&str, &str)]) -> (BTreeSet<String>, bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["check", "--json", "-c"])
        .arg(folder.path())
        .env_remove("RUST_LOG")
        .output()
        .expect("the program starts");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = said["diagnostics"].as_array().expect("a list");
    let codes = found.iter().map(|one| one["code"].as_str().expect("a code").to_owned());
    (codes.collect(), !output.status.success())
}

#[test]
fn every_page_shows_its_mistake_and_its_cure() {
    let excused: BTreeSet<_> = WITHOUT_FILES.iter().map(|(code, _)| *code).collect();
    for (code, meaning) in codes::ALL {
        let code = code.as_str();
        let page = codes::explanation(code).expect("every code has a page");
        let title = page.lines().next().unwrap_or_default().to_lowercase();
        assert_eq!(title, format!("# {code}: {}", meaning.trim().trim_end_matches('.')).to_lowercase());
        let (_, cure) = page.split_once("\n## The cure\n").unwrap_or_else(|| panic!("{code} has a cure"));
        let Some((_, mistake)) = page.split_once("\n## The mistake\n") else {
            assert!(excused.contains(code), "{code} shows a mistake");
            assert!(page.contains("\n## When\n"), "{code} says when it arises");
            continue;
        };
        assert!(!excused.contains(code), "{code} is excused without need");
        let mistake = mistake.split("\n## The cure\n").next().unwrap_or_default();
        let (found, _) = codes_of(&files(mistake));
        assert!(found.contains(code), "{code}: the mistake is not found: {found:?}");
        let (found, refused) = codes_of(&files(cure));
        assert!(!found.contains(code) && !refused, "{code}: the cure is none: {found:?}");
    }
}
