//! `docs/reference/`: what `portcullis explain` says, as files. `BLESS=1 cargo test --bin portcullis reference` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ::policy::diagnostic::codes;
use ::policy::schema::FLOW_WORDS;
use ::policy::selector::vocabulary::ROOTS;
use clap::{Command, CommandFactory};
use filters::LIBRARY;

use super::setting::{self, File};
use super::{attribute, filter};
use crate::args::Cli;

const NOTE: &str = "Written by `BLESS=1 cargo test --bin portcullis reference` from the program itself, which says the same to \
                    `portcullis explain`; a test holds it to that.\n";

#[allow(clippy::disallowed_methods, reason = "BLESS is for the person who runs the test")]
#[test]
fn the_reference_is_what_explain_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let pages = pages();
    if std::env::var_os("BLESS").is_some() {
        let _ = fs::remove_dir_all(&root);
        for (path, text) in &pages {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    let mut there = BTreeMap::new();
    collect(&root, &root, &mut there);
    let stale: Vec<_> =
        pages.iter().filter(|(path, text)| there.get(*path) != Some(*text)).map(|(path, _)| path).collect();
    let more: Vec<_> = there.keys().filter(|path| !pages.contains_key(*path)).collect();
    let cure = "run `BLESS=1 cargo test --bin portcullis reference`";
    assert!(
        stale.is_empty() && more.is_empty(),
        "docs/reference: {stale:?} are stale, {more:?} are of nothing: {cure}"
    );
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder).map_or(Vec::new(), |all| all.map(|entry| entry.unwrap().path()).collect());
    for path in entries {
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, fs::read_to_string(path).unwrap());
        }
    }
}

/// Every page, by its path.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let names = FLOW_WORDS.iter().map(|(word, _)| *word).chain(LIBRARY.there().map(|kind| kind.name));
    for name in names {
        pages.insert(format!("filters/{name}.md"), filter::page(name).unwrap());
    }
    pages.insert("filters/README.md".into(), filters_page());
    pages.insert("attributes.md".into(), attributes());
    pages.insert("settings.md".into(), settings());
    pages.insert("diagnostics.md".into(), diagnostics());
    pages.insert("commands.md".into(), commands());
    pages.insert(
        "README.md".into(),
        format!(
            "# Reference\n\n{NOTE}\n\
             - [The filters](filters/README.md), a page each\n\
             - [Attributes and selectors](attributes.md): what stands in `${{...}}`\n\
             - [Settings](settings.md) of policy files, `node.toml`, `stores/stores.toml` and `policies/oauth/server.toml`\n\
             - [Diagnostics](diagnostics.md): every code, with the mistake and its cure\n\
             - [Commands](commands.md)\n"
        ),
    );
    pages
}

fn filters_page() -> String {
    let mut page = format!("# The filters\n\n{NOTE}");
    for (title, words) in filter::groups() {
        let _ = write!(page, "\n## {title}\n\n| `use` | |\n|---|---|\n");
        for (name, said) in words {
            let _ = writeln!(page, "| [`{name}`]({name}.md) | {} |", said.replace('|', "\\|"));
        }
    }
    page.push_str("\n## Not there yet\n\nA later version brings these. Until then, using one is an error that says what to do instead.\n\n");
    for kind in LIBRARY.kinds().filter(|kind| kind.later) {
        let _ = writeln!(page, "- `{}`", kind.name);
    }
    page
}

fn attributes() -> String {
    let mut page = format!("# Attributes and selectors\n\n{NOTE}\n{}", include_str!("selectors.md"));
    page.push_str("\n# What every request has\n");
    for root in ROOTS {
        page.push_str(&lowered(&attribute::explained(root.name).unwrap().text));
    }
    page.push_str("\n# What filters set\n");
    for known in LIBRARY.attributes {
        page.push_str(&lowered(&attribute::explained(known.name()).unwrap().text));
    }
    page
}

fn settings() -> String {
    let mut page = format!(
        "# Settings\n\n{NOTE}\n`NAME` stands for a name that you choose. What is not marked as required may be left out.\n"
    );
    for (title, file) in [
        ("A policy file", File::Policy),
        ("node.toml", File::Node),
        ("stores/stores.toml", File::Stores),
        ("policies/oauth/server.toml", File::Server),
    ] {
        let _ = write!(page, "\n## {title}\n\n{}", setting::table(&file.settings(), ""));
    }
    page
}

fn diagnostics() -> String {
    let mut page = format!("# Diagnostics\n\n{NOTE}");
    for (code, _) in codes::ALL {
        page.push_str(&lowered(codes::explanation(code.as_str()).unwrap()));
    }
    page
}

fn commands() -> String {
    let mut page = format!("# Commands\n\n{NOTE}");
    let mut command = Cli::command().term_width(110);
    command.build();
    command_page(&mut page, &command, "portcullis");
    page
}

fn command_page(page: &mut String, command: &Command, name: &str) {
    let mut shown = command.clone();
    let help = shown.render_long_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        command_page(page, inner, &format!("{name} {}", inner.get_name()));
    }
}

/// A page within a page: its headings a level lower.
fn lowered(text: &str) -> String {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.trim_end().lines() {
        fenced ^= line.starts_with("```");
        lines.push(if line.starts_with('#') && !fenced { format!("#{line}") } else { line.to_owned() });
    }
    format!("\n{}\n", lines.join("\n"))
}
