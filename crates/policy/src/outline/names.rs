//! Names of things in a file: what each stands for, and where.

use std::collections::HashMap;

use super::leaves::{Leaf, LeafKind, Segment, leaves};
use crate::compile::policy::{ENTERED, WORDS};
use crate::diagnostic::Span;
use crate::reader::Sketch;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Thing {
    /// A policy file.
    Policy,
    /// A named chain of the policy that the name stands in.
    Chain,
    /// A store of `stores.toml`.
    Store,
    /// A data source of `stores.toml`.
    Source,
    /// An upstream of `node.toml`.
    Upstream,
    /// A provider of `node.toml`.
    Provider,
    /// A listener of `node.toml`.
    Listener,
    /// A value of `node.toml`.
    Value,
    /// An input of the policy that the name stands in.
    Input,
    /// A variable (`vars.NAME`) of the policy.
    Variable,
}

/// A name at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// What it stands for.
    pub thing: Thing,
    /// The name.
    pub name: String,
    /// Where it stands, without quotes.
    pub span: Span,
    /// It is declared here, not used.
    pub declares: bool,
}

/// Which keys and values of a file are names of what: a path with `*` for any key and `[]` for an item of a list.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// The path.
    pub path: &'static [&'static str],
    /// What the name stands for.
    pub thing: Thing,
    /// The last key of the path is the name, not the value behind it.
    pub key: bool,
    /// It declares what it names.
    pub declares: bool,
}

impl Pattern {
    /// The text at this path names such a thing.
    pub const fn uses(thing: Thing, path: &'static [&'static str]) -> Self {
        Pattern { path, thing, key: false, declares: false }
    }

    /// The last key of this path names such a thing.
    pub const fn uses_as_key(thing: Thing, path: &'static [&'static str]) -> Self {
        Pattern { path, thing, key: true, declares: false }
    }

    /// The last key of this path declares such a thing.
    pub const fn declares(thing: Thing, path: &'static [&'static str]) -> Self {
        Pattern { path, thing, key: true, declares: true }
    }

    /// The text at this path declares such a thing.
    pub const fn declares_as_text(thing: Thing, path: &'static [&'static str]) -> Self {
        Pattern { path, thing, key: false, declares: true }
    }

    fn matches(&self, path: &[Segment]) -> bool {
        self.path.len() == path.len()
            && self.path.iter().zip(path).all(|(wanted, segment)| match segment {
                Segment::Key(key) => *wanted == "*" || *wanted == key,
                Segment::Item(_) => *wanted == "[]",
            })
    }
}

/// Names in a policy, or in the file of its tests, that do not stand in a filter.
const IN_POLICY: &[Pattern] = &[
    Pattern::declares(Thing::Chain, &["chain", "*"]),
    Pattern::declares(Thing::Input, &["input", "*"]),
    Pattern::uses(Thing::Listener, &["listener"]),
    Pattern::uses(Thing::Policy, &["before", "[]"]),
    Pattern::uses(Thing::Policy, &["test", "[]", "policy"]),
    Pattern::uses(Thing::Policy, &["test", "[]", "step", "[]", "policy"]),
    Pattern::uses_as_key(Thing::Store, &["test", "[]", "given", "stores", "*"]),
    Pattern::uses_as_key(Thing::Upstream, &["test", "[]", "given", "upstreams", "*"]),
    Pattern::uses_as_key(Thing::Store, &["test", "[]", "expect", "stores", "*"]),
    Pattern::uses_as_key(Thing::Upstream, &["test", "[]", "expect", "upstreams", "*"]),
];

/// Names in any filter.
const IN_FILTER: &[Pattern] = &[
    Pattern::uses(Thing::Chain, &["on_failure"]),
    Pattern::uses(Thing::Chain, &["on_failure", "to"]),
    Pattern::uses(Thing::Chain, &["on_abort"]),
    Pattern::uses(Thing::Chain, &["on_abort", "to"]),
    Pattern::uses(Thing::Chain, &["on_success"]),
    Pattern::uses(Thing::Store, &["store"]),
    // A filter that takes stores of two kinds calls the second by its kind.
    Pattern::uses(Thing::Store, &["clients"]),
    Pattern::uses(Thing::Upstream, &["upstream"]),
    Pattern::uses(Thing::Provider, &["provider"]),
];

/// Names in the flow words, and in filters whose settings are called otherwise than what they name.
const IN_WORD: &[(&str, Pattern)] = &[
    ("switch", Pattern::uses(Thing::Chain, &["case", "*"])),
    ("switch", Pattern::uses(Thing::Policy, &["case", "*", "call"])),
    ("switch", Pattern::uses(Thing::Chain, &["else"])),
    ("switch", Pattern::uses(Thing::Policy, &["else", "call"])),
    ("switch", Pattern::uses(Thing::Chain, &["missing"])),
    ("switch", Pattern::uses(Thing::Policy, &["missing", "call"])),
    ("call", Pattern::uses(Thing::Policy, &["policy"])),
    ("call", Pattern::uses(Thing::Chain, &["chain"])),
    ("any", Pattern::uses(Thing::Chain, &["of", "[]"])),
    ("proxy", Pattern::uses(Thing::Provider, &["token"])),
    ("set", Pattern { path: &["vars", "*"], thing: Thing::Variable, key: true, declares: true }),
];

/// The names in a policy's file, or in the file of its tests.
pub fn policy_mentions(text: &str, sketch: &Sketch) -> Vec<Mention> {
    let leaves = leaves(sketch);
    let mut uses: HashMap<&[Segment], &str> = HashMap::new();
    for leaf in &leaves {
        if let (Some((filter, [Segment::Key(key)])), LeafKind::Text(word, _)) = (in_filter(&leaf.path), &leaf.kind)
            && key == "use"
        {
            uses.insert(filter, word);
        }
    }
    let mut found = Vec::new();
    for leaf in &leaves {
        found.extend(IN_POLICY.iter().find_map(|pattern| mention(text, leaf, &leaf.path, pattern)));
        if let Some((filter, rest)) = in_filter(&leaf.path) {
            let word = uses.get(filter).copied().unwrap_or_default();
            let own = IN_WORD.iter().filter(|(of, _)| *of == word).map(|(_, pattern)| pattern);
            found.extend(IN_FILTER.iter().chain(own).find_map(|pattern| mention(text, leaf, rest, pattern)));
        }
        in_expression(text, leaf, &mut found);
    }
    // "continue" and "fail" stand where a chain's name may stand.
    found.retain(|mention| mention.thing != Thing::Chain || !WORDS.contains(&mention.name.as_str()));
    found
}

/// The names in any other file, by its own patterns.
pub fn mentions(text: &str, sketch: &Sketch, patterns: &[Pattern]) -> Vec<Mention> {
    let mut found = Vec::new();
    for leaf in leaves(sketch) {
        found.extend(patterns.iter().find_map(|pattern| mention(text, &leaf, &leaf.path, pattern)));
        in_expression(text, &leaf, &mut found);
    }
    found
}

/// The path to a filter, and the rest of the path within it.
fn in_filter(path: &[Segment]) -> Option<(&[Segment], &[Segment])> {
    let filter = match path {
        [Segment::Key(chain), Segment::Item(_), ..] if ENTERED.contains(&chain.as_str()) => 2,
        [Segment::Key(chain), Segment::Key(_), Segment::Item(_), ..] if chain == "chain" => 3,
        _ => return None,
    };
    Some(path.split_at(filter))
}

fn mention(text: &str, leaf: &Leaf, path: &[Segment], pattern: &Pattern) -> Option<Mention> {
    if !pattern.matches(path) {
        return None;
    }
    let (name, span) = match (&leaf.kind, pattern.key, path.last()) {
        (LeafKind::Key(span), true, Some(Segment::Key(name))) => (name.clone(), unquoted(text, *span)),
        (LeafKind::Text(name, span), false, _) => (name.clone(), *span),
        _ => return None,
    };
    Some(Mention { thing: pattern.thing, name, span, declares: pattern.declares })
}

/// A key's place without its quotes.
fn unquoted(text: &str, span: Span) -> Span {
    match text.get(span.start..span.end) {
        Some(word) if word.len() >= 2 && word.starts_with(['"', '\'']) => {
            Span { start: span.start + 1, end: span.end - 1 }
        }
        _ => span,
    }
}

/// Names in selectors and conditions: `values.NAME`, `input.NAME`, `vars.NAME`, `kps.NAME`.
fn in_expression(text: &str, leaf: &Leaf, found: &mut Vec<Mention>) {
    let (LeafKind::Text(_, inner), Some(Segment::Key(key))) = (&leaf.kind, last_key(&leaf.path)) else { return };
    let Some(raw) = text.get(inner.start..inner.end) else { return };
    let expression = ["when", "that", "cel"].contains(&key.as_str());
    for (root, thing) in
        [("values", Thing::Value), ("input", Thing::Input), ("vars", Thing::Variable), ("kps", Thing::Store)]
    {
        for (at, _) in raw.match_indices(root) {
            let rest = &raw[at + root.len()..];
            let Some(name) = rest.strip_prefix('.') else { continue };
            let length = name.bytes().take_while(|byte| is_name_byte(*byte)).count();
            let before = raw[..at].bytes().next_back();
            if length == 0 || before.is_some_and(|byte| is_name_byte(byte) || byte == b'.') {
                continue;
            }
            if expression || in_selector(&raw[..at]) {
                let start = inner.start + at + root.len() + 1;
                let span = Span { start, end: start + length };
                found.push(Mention { thing, name: name[..length].to_owned(), span, declares: false });
            }
        }
    }
}

fn last_key(path: &[Segment]) -> Option<&Segment> {
    path.iter().rev().find(|segment| matches!(segment, Segment::Key(_)))
}

/// Whether a selector is open at the end of this text.
fn in_selector(before: &str) -> bool {
    before.rfind("${").is_some_and(|open| !before[..open].ends_with('$') && !before[open..].contains('}'))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
