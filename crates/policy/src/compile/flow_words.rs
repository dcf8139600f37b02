//! The flow words: `switch`, `call` and `any`.

use std::collections::BTreeSet;

use super::model::{Any, Argument, Call, Switch, Target};
use super::policy::Linker;
use super::step::COMMON;
use super::table::{Reporter, literal};
use crate::diagnostic::codes;
use crate::reader::{Entry, Node, NodeKind, Table};
use crate::settings::Spanned;

/// The settings of `switch`.
pub(crate) const SWITCH: &[&str] = &["on", "case", "else", "missing", "fold_case"];
/// The settings of `call`.
pub(crate) const CALL: &[&str] = &["policy", "chain", "with"];
/// The settings of `any`.
pub(crate) const ANY: &[&str] = &["of", "try"];

fn known(own: &[&'static str]) -> Vec<&'static str> {
    COMMON.iter().chain(own).copied().collect()
}

/// `use = "switch"`.
pub(crate) fn read_switch(r: &mut Reporter<'_>, linker: &Linker<'_>, table: &Table) -> Option<Switch> {
    r.unknown_keys(table, &known(SWITCH), "`switch`");
    let fold_case = table.entry("fold_case").and_then(|entry| r.bool(entry)).unwrap_or(false);
    let on = table.entry("on");
    if on.is_none() {
        r.missing_key(table.span, "on", "`switch`", "`on = \"${...}\"` is the value that chooses the case");
    }
    let otherwise = table.entry("else");
    if otherwise.is_none() {
        let help = "what happens to every other value: a chain, { call = \"policy\" }, \"continue\" or \"fail\"";
        r.missing_key(table.span, "else", "`switch`", help);
    }
    let cases = read_cases(r, linker, table, fold_case);
    let missing = table.entry("missing").map(|entry| read_target(r, linker, &entry.name, &entry.value, true));
    let otherwise = otherwise.map(|entry| read_target(r, linker, "else", &entry.value, true));
    Some(Switch { on: literal(&on?.value), cases, otherwise: otherwise?, missing, fold_case })
}

fn read_cases(r: &mut Reporter<'_>, linker: &Linker<'_>, table: &Table, fold_case: bool) -> Vec<(String, Target)> {
    let Some(entry) = table.entry("case") else {
        let help = "write [filter.case] with a line a value, or case = { value = \"chain\" }";
        r.missing_key(table.span, "case", "`switch`", help);
        return Vec::new();
    };
    let Some(cases) = r.table(entry) else { return Vec::new() };
    if cases.entries.is_empty() {
        r.error(codes::BAD_VALUE, entry.name_span, "`case` is empty", "without a case there is nothing to choose");
    }
    let mut seen = BTreeSet::new();
    let mut read = Vec::new();
    for case in &cases.entries {
        let value = if fold_case { case.name.to_lowercase() } else { case.name.clone() };
        if !seen.insert(value.clone()) {
            let message = format!("the case `{}` stands here twice", case.name);
            r.error(
                codes::NAME_COLLISION,
                case.name_span,
                message,
                "with `fold_case`, upper and lower case are the same",
            );
        }
        read.push((value, read_target(r, linker, &case.name, &case.value, false)));
    }
    read
}

/// A chain's name or `{ call = "policy" }`; where `words` says so, also "continue" and "fail".
fn read_target(r: &mut Reporter<'_>, linker: &Linker<'_>, what: &str, node: &Node, words: bool) -> Target {
    let found = match &node.kind {
        NodeKind::Text(text) if words && text == "continue" => Some(Target::Continue),
        NodeKind::Text(text) if words && text == "fail" => Some(Target::Fail),
        NodeKind::Text(text) if text == "continue" || text == "fail" => {
            let message = format!("a case cannot be \"{text}\"");
            r.error(
                codes::BAD_MOVE,
                node.span,
                message,
                "name a chain: only `else` and `missing` take \"continue\" and \"fail\"",
            );
            None
        }
        NodeKind::Text(text) => {
            let name = Spanned { span: node.span, value: text.clone() };
            linker.chain(r, &name).map(|chain| Target::Chain(chain, node.span))
        }
        NodeKind::Table(table) => {
            r.unknown_keys(table, &["call"], &format!("`{what}`"));
            if table.entry("call").is_none() {
                r.missing_key(node.span, "call", &format!("`{what}`"), "`{ call = \"policy\" }` runs a policy");
            }
            let name = table.entry("call").and_then(|entry| r.text(entry));
            name.and_then(|name| linker.policy(r, &name).map(|policy| Target::Policy(policy, name.span)))
        }
        _ => {
            r.wrong_type(what, node, "a chain's name or { call = \"policy\" }");
            None
        }
    };
    found.unwrap_or(Target::Unknown)
}

/// `use = "call"`.
pub(crate) fn read_call(r: &mut Reporter<'_>, linker: &Linker<'_>, table: &Table) -> Option<Call> {
    r.unknown_keys(table, &known(CALL), "`call`");
    let (policy, chain, with) = (table.entry("policy"), table.entry("chain"), table.entry("with"));
    let target = match (policy, chain) {
        (Some(entry), None) => {
            let name = r.text(entry)?;
            linker.policy(r, &name).map(|policy| Target::Policy(policy, name.span))
        }
        (None, Some(entry)) => {
            let name = r.text(entry)?;
            linker.chain(r, &name).map(|chain| Target::Chain(chain, name.span))
        }
        (Some(_), Some(chain)) => {
            r.error(
                codes::BAD_MOVE,
                chain.name_span,
                "`call` has both `policy` and `chain`",
                "a call runs one of them",
            );
            return None;
        }
        (None, None) => {
            r.missing_key(table.span, "policy", "`call`", "`policy = \"name\"` or `chain = \"name\"` says what to run");
            return None;
        }
    };
    if let (Some(with), Some(_)) = (with, chain) {
        r.error(
            codes::INPUT,
            with.name_span,
            "`with` beside `chain`",
            "only policies have inputs; a chain sees `vars` as they are",
        );
    }
    let with = with.map_or(Vec::new(), |entry| read_arguments(r, entry));
    Some(Call { target: target.unwrap_or(Target::Unknown), with })
}

fn read_arguments(r: &mut Reporter<'_>, entry: &Entry) -> Vec<Argument> {
    let table = r.table(entry);
    let entries = table.iter().flat_map(|table| &table.entries);
    entries
        .map(|entry| Argument { name: entry.name.clone(), name_span: entry.name_span, value: literal(&entry.value) })
        .collect()
}

/// `use = "any"`.
pub(crate) fn read_any(r: &mut Reporter<'_>, linker: &Linker<'_>, table: &Table) -> Option<Any> {
    r.unknown_keys(table, &known(ANY), "`any`");
    let all = match table.entry("try").and_then(|entry| r.text(entry)) {
        Some(word) if word.value == "all" => true,
        Some(word) => {
            let message = format!("`try` is `{}`", word.value);
            let help = "the only word is \"all\"; without it, a credential that is bad ends the search";
            r.error(codes::BAD_VALUE, word.span, message, help);
            false
        }
        None => false,
    };
    let Some(entry) = table.entry("of") else {
        r.missing_key(table.span, "of", "`any`", "`of = [\"a\", \"b\"]` names the chains to try");
        return None;
    };
    let names = r.texts(entry)?;
    if names.is_empty() {
        r.error(codes::BAD_VALUE, entry.value.span, "`of` is empty", "name the chains to try");
    }
    let of: Vec<_> = names.iter().filter_map(|name| Some((linker.chain(r, name)?, name.span))).collect();
    (of.len() == names.len() && !of.is_empty()).then_some(Any { of, all })
}
