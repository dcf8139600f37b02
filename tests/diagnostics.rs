//! Golden files: what `portcullis check` says of small configurations that are wrong, one folder each below
//! `tests/diagnostics/`, with what is to be said in `expected.txt`.
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
    ("P0405", "said by a program that was built without the driver"),
    ("P0502", "said by a reload, of what the running node had before"),
    ("P0503", "said by a reload, of what the running node had before"),
    ("P0602", "said of tests that take longer than 2 s"),
];

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let entries = fs::read_dir(folder).expect("the cases are there");
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
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
        let file = case.join("expected.txt");
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
