use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::reader::{Node, NodeKind, Table};
use crate::testing::dice::Dice;

fn formatted(text: &str) -> String {
    format(&Arc::new(SourceFile::new("a.toml", text))).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// What a file means, without places.
fn meaning(text: &str) -> Option<String> {
    parse(&Arc::new(SourceFile::new("a.toml", text))).ok().map(|document| table(&document.root))
}

fn table(table: &Table) -> String {
    let mut entries: Vec<_> = table.entries.iter().map(|e| format!("{:?}: {}", e.name, node(&e.value))).collect();
    // Where parts of one table stand apart, their order is that of the first part.
    entries.sort();
    format!("{{{}}}", entries.join(", "))
}

fn node(value: &Node) -> String {
    match &value.kind {
        NodeKind::List(items) => format!("[{}]", items.iter().map(node).collect::<Vec<_>>().join(", ")),
        NodeKind::Table(inner) => table(inner),
        other => format!("{other:?}"),
    }
}

/// All comments, in order.
fn comments(text: &str) -> Vec<String> {
    fn collect(parts: &[tree::Part], found: &mut Vec<String>) {
        for part in parts {
            let behind = match part {
                tree::Part::Blank => continue,
                tree::Part::Comment(comment) => Some(comment),
                tree::Part::Header { comment, .. } => comment.as_ref(),
                tree::Part::Entry(entry) => {
                    if let tree::Value::List(group) | tree::Value::Table(group) = &entry.value {
                        collect(&group.parts, found);
                    }
                    entry.comment.as_ref()
                }
            };
            found.extend(behind.map(|comment| comment.text.clone()));
        }
    }
    let mut found = Vec::new();
    collect(&tree::parts(text), &mut found);
    found
}

/// Whatever is true of every file; what it has become.
fn holds(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let once = formatted(text);
    assert_eq!(formatted(&once), once, "twice is once:\n{text}");
    assert_eq!(meaning(&once), meaning(text), "the same meaning:\n{text}\n--\n{once}");
    assert_eq!(comments(&once), comments(text), "the same comments:\n{text}\n--\n{once}");
    // The number of `#` does not depend on what is taken for a comment.
    assert_eq!(once.matches('#').count(), text.matches('#').count(), "{text}\n--\n{once}");
    once
}

/// All files of the repository that are TOML.
fn files() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden && !path.ends_with("target") {
                collect(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "toml")
                && let Ok(text) = fs::read_to_string(&path)
            {
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["policies", "stores", "examples", "tests/diagnostics", "crates"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder), &mut found);
    }
    found.sort();
    assert!(found.len() > 50, "the files of the repository are found");
    found
}

#[test]
fn the_style() {
    for (name, before, after) in STYLE {
        assert_eq!(holds(before), *after, "{name}");
    }
}

/// A name, a file, and what becomes of it.
const STYLE: &[(&str, &str, &str)] = &[
    ("an empty file stays one", " \n\n\t\n", ""),
    ("a comment alone", "  #  x  ", "#  x\n"),
    ("blanks, line ends and the mark at the start", "\u{feff}a=1\t \r\nb =  2\r\n", "a = 1\nb = 2\n"),
    (
        "names in one column",
        "use=\"x\"\nmethods = []\nwhen  =\"y\"\n",
        "use     = \"x\"\nmethods = []\nwhen    = \"y\"\n",
    ),
    (
        "a blank line ends the column, a comment does not",
        "a=1\n\nbcd=1\n# x\ne=1\n",
        "a = 1\n\nbcd = 1\n# x\ne   = 1\n",
    ),
    (
        "nobody waits for a very long name",
        "a=1\nbc=2\nabcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz=3\n",
        "a  = 1\nbc = 2\nabcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz = 3\n",
    ),
    ("wide letters count twice", "\"名前\"=1\nabc=2\n", "\"名前\" = 1\nabc    = 2\n"),
    (
        "a blank line between tables, none below a header and at the ends",
        "\n\n[a]\n\n\nx=1\n\n\n\ny=2\n[[b]]\n[ c . \"d\" ]\n\n",
        "[a]\nx = 1\n\ny = 2\n\n[[b]]\n\n[c.d]\n",
    ),
    ("a comment goes with the header below it", "a = 1\n# of b\n[b]\n", "a = 1\n\n# of b\n[b]\n"),
    ("or with what stands above it", "a = 1\n# c = 2\n\n[b]\n", "a = 1\n# c = 2\n\n[b]\n"),
    ("inline", "a={b=1,c=[1,2 , 3],d={ }}\n", "a = { b = 1, c = [1, 2, 3], d = {} }\n"),
    ("dotted names", "a . b. 'c' = 1\n\"x y\".z = 2\n", "a.b.c   = 1\n\"x y\".z = 2\n"),
    (
        "text stands in double quotes where nothing needs escaping",
        "a = 'x'\nb = 'x\"y'\nc = 'x\\y'\n\"d\" = \"\\u0041\"\n'$.e' = ''\n",
        "a     = \"x\"\nb     = 'x\"y'\nc     = 'x\\y'\nd     = \"\\u0041\"\n\"$.e\" = \"\"\n",
    ),
    (
        "text of several lines",
        "a = \"\"\"\n x  \n\n\n y\"\"\"  # z\nbc=1",
        "a  = \"\"\"\n x  \n\n\n y\"\"\"  # z\nbc = 1\n",
    ),
    (
        "a list that was written over lines stays so",
        "a = [\n1,   2\n\n\n, 3]\nb = [ ]\nc = [\n]",
        "a = [\n    1,\n    2,\n\n    3,\n]\nb = []\nc = []\n",
    ),
    (
        "lists in tables in lists",
        "a = [\n[1,2],[\n3],{b=[\n4],c=5}]",
        "a = [\n    [1, 2],\n    [\n        3,\n    ],\n    { b = [\n        4,\n    ], c = 5 },\n]\n",
    ),
    (
        "a list that is too long is written over lines, a table is not",
        concat!(
            "a = [\"0123456789012345678901234567890123456789\", \"0123456789012345678901234567890123456789\", ",
            "\"0123456789012345678901234567890123456789\", \"01234567\"]\n",
            "b = {c = \"0123456789012345678901234567890123456789\", d = [\"0123456789012345678901234567890123456789\", ",
            "\"0123456789012345678901234567890123456789\"]}\n",
        ),
        concat!(
            "a = [\n    \"0123456789012345678901234567890123456789\",\n    \"0123456789012345678901234567890123456789\",\n",
            "    \"0123456789012345678901234567890123456789\",\n    \"01234567\",\n]\n",
            "b = { c = \"0123456789012345678901234567890123456789\", d = [\"0123456789012345678901234567890123456789\", ",
            "\"0123456789012345678901234567890123456789\"] }\n",
        ),
    ),
    (
        "comments in a list",
        "a = [ # first\n 1 # one\n ,   # more\n 2 , # two\n# last\n] # all",
        "a = [\n    # first\n    1, # one\n    # more\n    2, # two\n    # last\n] # all\n",
    ),
    ("comments in a table", "a = { b = 1, # one\n cd = 2 # two\n}", "a = {\n    b  = 1, # one\n    cd = 2, # two\n}\n"),
    (
        "the parser takes line ends and comments before `=` in an inline table",
        "a = { b # one\n = # two\n 1, c . d\n\n = 2 }",
        "a = {\n    # one\n    # two\n    b   = 1,\n    c.d = 2,\n}\n",
    ),
    (
        "comments of lines that follow each other stand in one column",
        "a=1 # one\nlong=2   # two\n\nb=1# three\nc=2\nd=3# four",
        "a    = 1 # one\nlong = 2 # two\n\nb = 1 # three\nc = 2\nd = 3 # four\n",
    ),
    ("a comment keeps one blank before it", "a   =   1 # x\n", "a = 1 # x\n"),
    ("line ends in a text are part of it", "a = \"\"\"\r\nx\r\ny\"\"\"\r\n", "a = \"\"\"\r\nx\r\ny\"\"\"\n"),
    ("they stay where they stood", "[a]     # x\nb=1     # y\n", "[a]     # x\nb = 1   # y\n"),
];

#[test]
fn a_comment_that_goes_on_below_moves_along() {
    let before =
        "[[a]]      # one\n           # more\nlonger-name=\"x\"  # two\n                 # and more\n   # apart\nb=1\n";
    let after = "[[a]]             # one\n                  # more\nlonger-name = \"x\" # two\n                  # and more\n# apart\nb           = 1\n";
    assert_eq!(holds(before), after);
}

#[test]
fn long_lines_push_nobody() {
    let long = format!("a = \"{}\"", "x".repeat(WIDTH));
    let text =
        format!("b = 1  # one\n{long}  # two\n{}# more\nc = 1{}# three\n", " ".repeat(long.len() + 2), " ".repeat(200));
    let expected = format!("b = 1  # one\n{long} # two\n# more\nc = 1 # three\n");
    assert_eq!(holds(&text), expected);
}

#[test]
fn what_is_no_toml_has_no_other_form() {
    for text in ["a = ", "a = 1\na = 2\n", "[a", "a = 1\r", "\u{0}", "a = [[[", "a = \"x\n"] {
        let problems = format(&Arc::new(SourceFile::new("a.toml", text))).expect_err(text);
        assert!(problems.has_errors(), "{text}");
    }
}

#[test]
fn every_file_of_the_repository_keeps_its_meaning() {
    let mut parsed = 0;
    for (_, text) in files() {
        if meaning(&text).is_some() {
            holds(&text);
            parsed += 1;
        }
    }
    assert!(parsed > 50);
}

/// Files of the repository with blanks, line ends, comments and brackets put in or taken out anywhere.
#[test]
fn files_that_chance_has_been_at() {
    const PIECES: &[&str] = &[
        " ",
        "\n",
        "\t",
        "\r\n",
        "\n\n\n",
        "# x\n",
        " # \"y\" \n",
        ",",
        "[",
        "]",
        "{}",
        "{ a = 1 }",
        "[1, 2]",
        "\n[z]\n",
        "\n[[z]]\n",
        "z.y = 1\n",
        "'",
        "\"",
        "\"\"\"",
        "'''",
        "=",
        ".",
        "1",
        "'z'",
        "é",
    ];
    let files: Vec<String> = files().into_iter().map(|(_, text)| text).filter(|text| text.len() < 3000).collect();
    let mut dice = Dice::new(7);
    let mut right = 0;
    for _ in 0..4000 {
        let mut text = files[dice.below(files.len())].clone();
        for _ in 0..=dice.below(4) {
            let at = text.floor_char_boundary(dice.below(text.len() + 1));
            match dice.below(4) {
                0 => text.truncate(at),
                1 => {
                    let end = text.ceil_char_boundary((at + dice.below(30)).min(text.len()));
                    text.replace_range(at..end, "");
                }
                _ => text.insert_str(at, PIECES[dice.below(PIECES.len())]),
            }
        }
        if meaning(&text).is_some() {
            holds(&text);
            right += 1;
        }
    }
    assert!(right > 500, "{right} were TOML");
}
