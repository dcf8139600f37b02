//! One entry of a chain: the keys that every filter has, and which filter or flow word it is.

use std::sync::Arc;

use super::flow_words::{read_any, read_call, read_switch};
use super::model::{ChainId, Move, Node, Step};
use super::policy::Linker;
use super::table::{Reporter, did_you_mean};
use crate::diagnostic::{Span, codes};
use crate::reader::{Entry, NodeKind, Table};
use crate::settings::Spanned;

/// The keys that the engine reads; the rest is the filter's own.
pub(crate) const COMMON: &[&str] = &["use", "name", "when", "on_failure", "on_abort", "on_success"];

/// The words of `use` that are the engine's own.
pub(crate) const FLOW_WORDS: &[&str] = &["switch", "call", "any"];

/// Reads one step; `last` says that it is the last of its chain.
pub(crate) fn read_step(r: &mut Reporter<'_>, linker: &Linker<'_>, table: &Arc<Table>, last: bool) -> Option<Step> {
    let Some(entry) = table.entry("use") else {
        r.missing_key(table.span, "use", "the filter", "`use = \"...\"` says which filter it is");
        return None;
    };
    let uses = r.text(entry)?;
    let text = |r: &mut Reporter<'_>, key: &str| table.entry(key).and_then(|entry| r.text(entry));
    let on_success = read_on_success(r, linker, table.entry("on_success"), last);
    Some(Step {
        on_success_unknown: on_success.is_none() && table.entry("on_success").is_some(),
        on_success,
        node: read_node(r, linker, table, &uses),
        name: text(r, "name").map(|name| name.value),
        when: text(r, "when"),
        on_failure: read_move(r, linker, table.entry("on_failure")),
        on_abort: read_move(r, linker, table.entry("on_abort")),
        table: table.clone(),
        uses,
    })
}

fn read_node(r: &mut Reporter<'_>, linker: &Linker<'_>, table: &Table, uses: &Spanned<String>) -> Node {
    let node = match uses.value.as_str() {
        "switch" => read_switch(r, linker, table).map(Node::Switch),
        "call" => read_call(r, linker, table).map(Node::Call),
        "any" => read_any(r, linker, table).map(Node::Any),
        "todo" => {
            report_todo(r, table, uses);
            None
        }
        name => match linker.library.filter(name) {
            Some(kind) => Some(Node::Filter(kind)),
            None => {
                report_unknown(r, linker, uses);
                None
            }
        },
    };
    node.unwrap_or(Node::Broken)
}

fn report_todo(r: &mut Reporter<'_>, table: &Table, uses: &Spanned<String>) {
    let was = table.get("was").and_then(|node| node.as_text());
    let message = match was {
        Some(was) => format!("a step is still to be written: it was `{was}`"),
        None => String::from("a step is still to be written"),
    };
    r.error(codes::TODO, uses.span, message, "write the filters that do its work here, or take it out");
}

fn report_unknown(r: &mut Reporter<'_>, linker: &Linker<'_>, uses: &Spanned<String>) {
    let known = linker.library.kinds().map(|kind| kind.name).chain(FLOW_WORDS.iter().copied());
    // Whoever writes `check-scope` means `oauth.check-scope`: the last part of the name is enough to offer it.
    let same_end =
        linker.library.kinds().map(|kind| kind.name).find(|name| name.rsplit('.').next() == Some(&uses.value));
    let help = same_end
        .map(|name| format!("did you mean `{name}`?"))
        .or_else(|| did_you_mean(&uses.value, known))
        .unwrap_or_else(|| String::from("`portcullis explain` lists the filters"));
    r.error(codes::UNKNOWN_FILTER, uses.span, format!("there is no filter `{}`", uses.value), help);
}

/// `"chain"`, `"continue"`, or `{ to = "chain", as = "success" }`.
fn read_move(r: &mut Reporter<'_>, linker: &Linker<'_>, entry: Option<&Entry>) -> Move {
    let Some(entry) = entry else { return Move::Up };
    match &entry.value.kind {
        NodeKind::Text(text) if text == "continue" => Move::Continue,
        NodeKind::Text(text) => {
            let name = Spanned { span: entry.value.span, value: text.clone() };
            move_to(r, linker, &name, false)
        }
        NodeKind::Table(table) => read_long_move(r, linker, entry, table),
        _ => {
            r.wrong_type(
                &entry.name,
                &entry.value,
                "a chain's name, \"continue\", or { to = \"chain\", as = \"success\" }",
            );
            Move::Unknown
        }
    }
}

fn read_long_move(r: &mut Reporter<'_>, linker: &Linker<'_>, entry: &Entry, table: &Table) -> Move {
    r.unknown_keys(table, &["to", "as"], &format!("`{}`", entry.name));
    let success = match table.entry("as").and_then(|entry| r.text(entry)) {
        Some(word) if word.value == "success" => true,
        Some(word) => {
            let message = format!("`as` is `{}`", word.value);
            r.error(
                codes::BAD_VALUE,
                word.span,
                message,
                "the only word is \"success\"; without `as` the run stays a failure",
            );
            false
        }
        None => false,
    };
    match table.entry("to").map(|to| r.text(to)) {
        Some(Some(name)) => move_to(r, linker, &name, success),
        Some(None) => Move::Unknown,
        None => {
            r.missing_key(entry.value.span, "to", &format!("`{}`", entry.name), "`to` names the chain");
            Move::Unknown
        }
    }
}

fn move_to(r: &mut Reporter<'_>, linker: &Linker<'_>, name: &Spanned<String>, success: bool) -> Move {
    match linker.chain(r, name) {
        Some(chain) => Move::To { chain, success, span: name.span },
        None => Move::Unknown,
    }
}

fn read_on_success(
    r: &mut Reporter<'_>,
    linker: &Linker<'_>,
    entry: Option<&Entry>,
    last: bool,
) -> Option<(ChainId, Span)> {
    let entry = entry?;
    if !last {
        let help = "it may stand on the last filter of a chain; filters in between go on with the next one, or `switch` chooses";
        r.error(codes::BAD_MOVE, entry.name_span, "`on_success` stands before the end of its chain", help);
    }
    let name = r.text(entry)?;
    let chain = linker.chain(r, &name)?;
    last.then_some((chain, name.span))
}
