//! `docs/filters.md` is what the filters' own files say: their documentation and their settings. `BLESS=1 cargo test -p filters`
//! writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use policy::filter::FilterKind;

use crate::examples::{module_docs, sources};
use crate::{LIBRARY, not_yet};

/// Titles of the categories, by their folders, in the order of the page.
const CATEGORIES: &[(&str, &str)] = &[
    ("flow", "Flow and attributes"),
    ("http", "HTTP"),
    ("content", "Content"),
    ("traffic", "Traffic"),
    ("oauth", "OAuth"),
];

#[test]
fn the_page_of_the_filters_is_what_their_files_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/filters.md");
    let page = page();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/filters.md is not what the filters say: run `BLESS=1 cargo test -p filters`");
}

fn page() -> String {
    let mut page = String::from(
        "# The filters\n\nWritten from the filters' own files by `BLESS=1 cargo test -p filters`; a test holds it to them. The keys that every filter has\n\
         (`name`, `when`, `on_failure` ...), and `switch`, `call` and `any`, are in [`policies.md`](policies.md).\n",
    );
    let files = files();
    for (folder, title) in CATEGORIES {
        let _ = write!(page, "\n## {title}\n");
        for kind in LIBRARY.kinds() {
            if let Some((_, text)) = files.get(kind.name).filter(|(of, _)| of == folder) {
                section(&mut page, kind, text);
            }
        }
    }
    page.push_str("\n## Not there yet\n\nA later version brings these. Until then, using one is an error that says what to do instead.\n\n");
    for kind in not_yet::FILTERS {
        let _ = writeln!(page, "- `{}`", kind.name);
    }
    page
}

/// The category and the text of each filter's file, by the filter's name.
fn files() -> BTreeMap<String, (String, String)> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let mut files = BTreeMap::new();
    for path in found {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let name = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("const TYPE: &'static str = \"")?.strip_suffix("\";"));
        if let Some(name) = name {
            let folder = path.parent().and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default();
            files.insert(name.to_owned(), (folder.to_owned(), text.clone()));
        }
    }
    files
}

fn section(page: &mut String, kind: &FilterKind, source: &str) {
    let docs = module_docs(source);
    // `NAME: what it does`: the name is the title already.
    let docs = docs.trim_start_matches(&format!("`{}`: ", kind.name)).trim();
    let mut first = docs.chars();
    let docs: String = first.next().map(char::to_uppercase).into_iter().flatten().chain(first).collect();
    let _ = write!(page, "\n### {}\n\n{docs}\n", kind.name);
    let schema = policy::schema::settings(LIBRARY, kind.name).unwrap_or_default();
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let settings = schema["properties"].as_object().filter(|settings| !settings.is_empty());
    let Some(settings) = settings else { return };
    page.push_str("\n| setting | |\n|---|---|\n");
    for (name, setting) in settings {
        let said = setting["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let must = if required.contains(&name.as_str()) { "Required. " } else { "" };
        let _ = writeln!(page, "| `{name}` | {must}{said} |");
    }
}
