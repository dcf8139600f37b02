//! A filter: what its own file says, its settings, and what it said of itself when the examples of its file were compiled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ::policy::Diagnostics;
use ::policy::diagnostic::SourceFile;
use ::policy::filter::{Effects, FilterKind};
use ::policy::reader::NoOutside;
use ::policy::schema::{self, FLOW_WORDS};
use filters::LIBRARY;

use super::{Explained, capital, effects, first_sentence, setting};

/// What the examples of the filters name: the upstream and the provider are there, the stores are in memory.
const NODE: &str = "[upstream.orders]\ntargets = [\"http://127.0.0.1:9001\"]\n\n[provider.partner]\n\
                    issuer = \"http://127.0.0.1:9100\"\nclient_id = \"gateway\"\nauth_method = \"none\"\n\n\
                    [values]\npartner_key = \"told by an example\"\n";
const STORES: &str = "default = \"memory\"\n\n[source.memory]\ntype = \"memory\"\n";

/// The categories, by the start of a filter's name: that of the table it stands in.
const CATEGORIES: &[(&str, &str)] = &[
    ("fail", "Filters of flow and attributes"),
    ("proxy", "Filters of HTTP"),
    ("json-path", "Filters of content"),
    ("rate-limit", "Filters of traffic"),
    ("oauth.authenticate-client", "Filters of OAuth"),
    ("oauth-client.get-token", "Filters of the gateway as a client of others"),
    ("kps.get", "Filters of key property stores"),
    ("auth.basic", "Filters of who calls"),
    ("session.start", "Filters of sessions"),
];

pub(super) fn explained(word: &str) -> Option<Explained> {
    if let Some(text) = page(word) {
        return Some(Explained { kind: "filter", name: word.to_owned(), text });
    }
    // A setting: the longest filter's name that the word begins with.
    let (filter, key) = names().filter_map(|name| Some((name, word.strip_prefix(name)?.strip_prefix('.')?))).max()?;
    let settings = setting::of_schema(&schema::filter(LIBRARY, filter)?);
    let text = setting::text(&settings, key, word)?;
    Some(Explained { kind: "setting", name: word.to_owned(), text })
}

/// Filters and flow words.
fn names() -> impl Iterator<Item = &'static str> {
    FLOW_WORDS.iter().map(|(word, _)| *word).chain(LIBRARY.kinds().map(|kind| kind.name))
}

/// The page of a filter or flow word.
pub(super) fn page(name: &str) -> Option<String> {
    if let Some((word, doc)) = FLOW_WORDS.iter().find(|(word, _)| *word == name) {
        let mut page = format!(
            "# {word}\n\n{doc} It is a word of the engine itself: the checks see through it.\n\n{}",
            example(word)?
        );
        settings(&mut page, name);
        return Some(page);
    }
    let kind = LIBRARY.filter(name)?;
    if kind.later {
        return Some(format!(
            "# {name}\n\nIt is not there yet: a later version brings it. Until then: {}.\n",
            kind.docs
        ));
    }
    let mut page = format!("# {name}\n\n{}", docs(kind));
    settings(&mut page, name);
    let said = effects::lines(&said(kind));
    if !said.is_empty() {
        page.push_str("\n## What it does to a request\n\nAs in the example above:\n\n");
        said.iter().for_each(|line| page.push_str(&format!("- {line}\n")));
    }
    Some(page)
}

fn settings(page: &mut String, name: &str) {
    let own = schema::settings(LIBRARY, name).unwrap_or_default();
    page.push_str("\n## Settings\n\n");
    page.push_str(&setting::table(&setting::of_schema(&own), "It has none of its own."));
    page.push_str("\nAnd those of every filter: `name`, `when`, `on_failure`, `on_abort`, `on_success`.\n");
}

/// What its file says, without the name that is the title already.
fn docs(kind: &FilterKind) -> String {
    let text = kind.documentation();
    capital(text.trim_start_matches(&format!("`{}`: ", kind.name)).trim()) + "\n"
}

/// In a line.
pub(super) fn summary(name: &str) -> Option<String> {
    if let Some((_, doc)) = FLOW_WORDS.iter().find(|(word, _)| *word == name) {
        return Some((*doc).to_owned());
    }
    LIBRARY.filter(name).filter(|kind| !kind.later).map(|kind| first_sentence(&docs(kind)))
}

/// The filters by category, each with a line; those of later versions last.
pub(super) fn groups() -> Vec<(String, Vec<(String, String)>)> {
    let line = |name: &str| (name.to_owned(), summary(name).unwrap_or_default());
    let mut groups =
        vec![(String::from("Flow words, in `use`"), FLOW_WORDS.iter().map(|(word, _)| line(word)).collect())];
    for category in LIBRARY.filters {
        let of =
            |first: &str| CATEGORIES.iter().find(|(known, _)| *known == first).map(|(_, title)| (*title).to_owned());
        match category.first() {
            Some(first) if !first.later => {
                let mut lines: Vec<_> = category.iter().map(|kind| line(kind.name)).collect();
                lines.sort();
                groups.push((category.iter().find_map(|kind| of(kind.name)).unwrap_or_default(), lines));
            }
            _ => {}
        }
    }
    groups
}

/// What a flow word looks like.
fn example(word: &str) -> Option<&'static str> {
    Some(match word {
        "switch" => {
            "```toml\n[[filter]]\nuse  = \"switch\"\non   = \"${request.form.grant_type}\"\nelse = \"unsupported\"\n\n[filter.case]\nclient_credentials = \"client-credentials\"\n```\n"
        }
        "call" => {
            "```toml\n[[filter]]\nuse    = \"call\"\npolicy = \"shared/check\"\nwith   = { message = \"hello\" }\n```\n"
        }
        "any" => "```toml\n[[filter]]\nuse = \"any\"\nof  = [\"bearer\", \"api-key\"]\n```\n",
        _ => return None,
    })
}

/// What the filter said of itself in the first example of its file that has it.
pub(super) fn said(kind: &FilterKind) -> Effects {
    let docs = kind.documentation();
    let blocks = docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut said = blocks.map(|block| effects_of(&format!("route = \"/example\"\n\n{block}"), kind.name));
    said.find_map(|found| found).unwrap_or_default()
}

/// What the compiler finds in a policy that stands alone.
pub(super) fn problems(policy: &str) -> Diagnostics {
    look(policy).diagnostics
}

fn effects_of(policy: &str, name: &str) -> Option<Effects> {
    let look = look(policy);
    let mut steps = look.survey.policy("example")?.chains.values().flat_map(|chain| &chain.steps);
    steps.find(|step| step.uses == name).map(|step| step.effects.clone())
}

fn look(policy: &str) -> server::Look {
    let texts = [("policies/example.toml", policy), ("node.toml", NODE), ("stores/stores.toml", STORES)];
    let texts: BTreeMap<_, _> =
        texts.into_iter().map(|(path, text)| (path.to_owned(), Arc::new(SourceFile::new(path, text)))).collect();
    let options = server::Options {
        // No folder: these texts are all there is.
        dir: PathBuf::from("/dev/null"),
        values: None,
        library: LIBRARY,
        listen: None,
        admin: None,
        tests: false,
        outside: Arc::new(NoOutside),
    };
    server::look(&options, &texts)
}
