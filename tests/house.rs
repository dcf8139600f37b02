//! The rules of the house that neither the compiler, clippy nor `deny.toml` can hold: who may depend on whom, and where some
//! words may stand. See `docs/architecture.md`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test reads its own environment, and panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A file of the repository: its path with `/`, and its text.
type File = (String, String);

/// Which of our crates each one may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("oauth", &[]),
    ("policy", &[]),
    ("store", &["oauth"]),
    ("filters", &["oauth", "policy", "store"]),
    ("server", &["policy", "store"]),
];

/// Words that may stand below these places only.
const WORDS: &[(&[&str], &[&str], &str)] = &[
    (
        &["toml::", "toml_edit::", "toml_parser::"],
        &["crates/policy/src/reader/"],
        "files are read in one place, with places and the same errors",
    ),
    (
        &[
            "rusqlite::",
            "r2d2::",
            "r2d2_sqlite::",
            "tokio_postgres::",
            "deadpool_postgres::",
            "mysql_async::",
            "redis::",
            "scylla::",
            "odbc_api::",
        ],
        &["crates/store/src/sources/"],
        "a driver is a source's own",
    ),
    (
        &["println!", "print!(", "eprintln!", "eprint!("],
        &["crates/cli/"],
        "what is not the command line logs (tracing)",
    ),
    (&["hyper::", "hyper_util::"], &["crates/server/src/"], "sockets are the server's; others use policy's ports"),
];

/// Words that may not stand below these places.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "crates/oauth/src/",
        &["tokio::", "SystemTime", "Instant", "async fn", "std::fs", "std::net::Tcp", "ToSocketAddrs"],
        "rules are pure functions",
    ),
    ("crates/store/src/sources/", &["crate::record", "serde_json::", "oauth::Client"], "a source knows plain rows"),
    ("crates/filters/src/", &["store::sources", "tokio::spawn"], "a filter knows typed stores, and starts no tasks"),
    ("crates/policy/src/", &["std::net::Tcp", "tokio::net"], "the engine knows no socket"),
];

/// What is wrong with the dependencies in the manifests.
fn wrong_arrows(manifests: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in manifests {
        let name = path.trim_start_matches("crates/").trim_end_matches("/Cargo.toml");
        let Some((_, allowed)) = ARROWS.iter().find(|(crate_, _)| *crate_ == name) else {
            wrong.push(format!("{path}: a new crate needs its arrows, in ARROWS here and in docs/architecture.md"));
            continue;
        };
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']);
            }
            // Tests may use more.
            let counts = matches!(section, "dependencies" | "build-dependencies");
            let dependency = line.split(['.', '=', ' ']).next().unwrap_or_default();
            let ours = ARROWS.iter().any(|(crate_, _)| *crate_ == dependency);
            if counts && ours && !allowed.contains(&dependency) {
                wrong.push(format!("{path}:{}: {name} may not depend on {dependency}", number + 1));
            }
        }
    }
    wrong
}

/// What is wrong with words in the sources.
fn wrong_words(sources: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources {
        // Files that are tests, or there for tests only.
        if ["/tests.rs", "/fixture.rs"].iter().any(|end| path.ends_with(end)) || path.contains("/tests/") {
            continue;
        }
        // What stands after it is the file's tests.
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("//") {
                continue;
            }
            let place = format!("{path}:{}", number + 1);
            for (words, places, why) in WORDS {
                if let Some(word) = words.iter().find(|word| has(line, word))
                    && !places.iter().any(|place| path.starts_with(place))
                {
                    wrong.push(format!("{place}: `{word}` belongs below {}: {why}", places.join(", ")));
                }
            }
            for (start, words, why) in FORBIDDEN {
                if let Some(word) = words.iter().find(|word| path.starts_with(start) && has(line, word)) {
                    wrong.push(format!("{place}: `{word}` may not stand below {start}: {why}"));
                }
            }
        }
    }
    wrong
}

/// Whether the word stands there as a word: `toml::` is not in `ours_toml::`.
fn has(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

/// What is wrong with files as such.
fn wrong_files(sources: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources {
        if path.ends_with("/lib.rs") && !text.starts_with("//! ") {
            wrong.push(format!("{path}: a lib.rs opens with what it is, what it is not, and whom it may use"));
        }
        if text.contains("#[ignore") {
            wrong.push(format!("{path}: no test is ignored"));
        }
    }
    wrong
}

/// All files below `folder` with this ending.
fn files(folder: &Path, ending: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().replace('\\', "/");
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn below_crates(ending: &str) -> Vec<File> {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crates"), ending, &mut found);
    assert!(!found.is_empty());
    found
}

/// The names of header fields in this piece of a source: from `start` to the first line that is `end`. As text or as
/// constants of `http::header`.
fn fields(source: &str, start: &str, end: &str) -> BTreeSet<String> {
    let piece = source.split_once(start).unwrap_or_else(|| panic!("no `{start}`")).1;
    let piece = piece.split_once(&format!("\n{end}\n")).unwrap_or_else(|| panic!("no `{end}` after `{start}`")).0;
    let constants = piece.split("header::").skip(1);
    let constants = constants.map(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap());
    let texts = piece.split('"').skip(1).step_by(2);
    constants.map(|name| name.to_ascii_lowercase().replace('_', "-")).chain(texts.map(str::to_owned)).collect()
}

/// What is wrong with the lists of fields that belong to a connection or a message's frame: what the server strips (`hop`),
/// what no policy may write (`fields_`), and what comes off requests in another spelling (`listen`).
fn wrong_fields(hop: &str, fields_: &str, listen: &str) -> Vec<String> {
    let mut framing = fields(hop, "fn is_hop_by_hop", "}");
    // Not stripped: the server writes them from what it sends (trailers.rs).
    framing.extend(["content-length".into(), "trailer".into()]);
    let spelled: BTreeSet<String> = framing.iter().filter(|name| name.contains('-')).cloned().collect();
    let mut wrong = Vec::new();
    for (known, list, place) in [
        (&framing, fields(fields_, "const FRAMING: ", "];"), "FRAMING of crates/filters/src/http/fields.rs"),
        (&spelled, fields(listen, "const FRAMES: ", "];"), "FRAMES of crates/server/src/listen/headers.rs"),
    ] {
        let missing = known.difference(&list).map(|name| format!("{place} lacks `{name}`, which hop.rs strips"));
        let more = list.difference(known).map(|name| format!("{place} has `{name}`, which hop.rs does not strip"));
        wrong.extend(missing.chain(more));
    }
    wrong
}

fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn crates_depend_on_whom_they_may() {
    report(wrong_arrows(&below_crates("Cargo.toml")));
}

#[test]
fn words_stand_where_they_belong() {
    report(wrong_words(&below_crates(".rs")));
}

#[test]
fn files_are_as_they_should_be() {
    report(wrong_files(&below_crates(".rs")));
}

#[test]
fn fields_of_a_connection_are_the_same_everywhere() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let hop = read("crates/server/src/hop.rs");
    report(wrong_fields(
        &hop,
        &read("crates/filters/src/http/fields.rs"),
        &read("crates/server/src/listen/headers.rs"),
    ));
}

#[test]
fn each_rule_can_fail() {
    let file = |path: &str, text: &str| vec![(path.to_owned(), text.to_owned())];
    let one = |wrong: Vec<String>| assert_eq!(wrong.len(), 1, "{wrong:?}");
    one(wrong_arrows(&file("crates/oauth/Cargo.toml", "[dependencies]\nstore.workspace = true\n")));
    one(wrong_arrows(&file("crates/store/Cargo.toml", "[dependencies]\npolicy = { path = \"../policy\" }\n")));
    one(wrong_arrows(&file("crates/other/Cargo.toml", "")));
    assert!(wrong_arrows(&file("crates/oauth/Cargo.toml", "[dev-dependencies]\nstore.workspace = true\n")).is_empty());
    for (words, _, _) in WORDS {
        for word in *words {
            one(wrong_words(&file("crates/x/src/lib.rs", &format!("use {word}X;\n"))));
        }
    }
    for (place, words, _) in FORBIDDEN {
        for word in *words {
            one(wrong_words(&file(&format!("{place}lib.rs"), &format!("    let x = {word}X;\n"))));
        }
    }
    assert!(wrong_words(&file("crates/x/src/lib.rs", "// println!\nlet my_toml::x = 1;\n")).is_empty());
    one(wrong_files(&file("crates/x/src/lib.rs", "use std;\n")));
    one(wrong_files(&file("crates/x/src/x.rs", "#[ignore = \"slow\"]\n")));
    let hop = |more: &str| format!("fn is_hop_by_hop() {{\n    header::KEEP_ALIVE\n        | \"te\"{more}\n}}\n");
    let list = |name: &str, names: &str| format!("const {name}: &[&str] = &[\n{names}\n];\n");
    let framing = list("FRAMING", "\"content-length\", \"keep-alive\", \"te\", \"trailer\"");
    let frames = list("FRAMES", "\"content-length\", \"keep-alive\"");
    assert!(wrong_fields(&hop(""), &framing, &frames).is_empty());
    one(wrong_fields(&hop(" | \"upgrade\""), &framing, &frames));
    assert_eq!(wrong_fields(&hop(" | header::PROXY_AUTHENTICATE"), &framing, &frames).len(), 2);
    one(wrong_fields(&hop(""), &list("FRAMING", "\"content-length\", \"keep-alive\", \"trailer\""), &frames));
    one(wrong_fields(&hop(""), &framing, &list("FRAMES", "\"content-length\"")));
    one(wrong_fields(&hop(""), &framing, &list("FRAMES", "\"content-length\", \"keep-alive\", \"x-y\"")));
}
