//! The examples in the documentation of the filters are policies, and right ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::fixture::world;
use crate::{LIBRARY, not_yet};

/// The module documentation of a file.
fn module_docs(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n").collect()
}

/// The ```toml blocks in the module documentation of a file.
fn blocks(source: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in module_docs(source).lines() {
        match (&mut open, line.trim_end()) {
            (None, "```toml") => open = Some(String::new()),
            (None, _) => {}
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

/// All files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The examples of all filters as policies, with the file of each.
fn policies() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let blocks_of = |file: PathBuf| {
        let blocks = blocks(&fs::read_to_string(&file).expect("UTF-8"));
        blocks.into_iter().filter(|block| block.contains("[[")).map(move |block| (file.clone(), block))
    };
    let blocks = files.into_iter().flat_map(blocks_of);
    blocks.map(|(file, block)| (file, format!("route = \"/example\"\n\n{block}"))).collect()
}

/// The examples of all filters as policies.
pub(crate) fn all() -> impl Iterator<Item = String> {
    policies().into_iter().map(|(_, text)| text)
}

#[test]
fn every_filter_has_an_example_and_every_example_is_right() {
    let mut shown = BTreeSet::new();
    for (file, text) in policies() {
        let problems = world().policy("example", &text).problems();
        // An example of a filter that goes on shows no answer: it gets one.
        let answered = || world().policy("example", &format!("{text}\n[[filter]]\nuse = \"respond\"\n")).problems();
        let problems = if problems.is_empty() { problems } else { answered() };
        assert_eq!(problems, Vec::<String>::new(), "{}:\n{text}", file.display());
        shown.extend(LIBRARY.kinds().map(|k| k.name).filter(|name| text.contains(&format!("= \"{name}\""))));
    }
    let later: BTreeSet<_> = not_yet::FILTERS.iter().map(|kind| kind.name).collect();
    let unshown: Vec<_> =
        LIBRARY.kinds().map(|k| k.name).filter(|n| !shown.contains(n) && !later.contains(n)).collect();
    assert_eq!(unshown, Vec::<&str>::new(), "filters whose file shows no example");
}
