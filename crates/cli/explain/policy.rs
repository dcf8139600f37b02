//! A policy of the configuration, as a colleague would tell it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ::policy::compile::{StepSurvey, Survey};
use ::policy::diagnostic::SourceFile;
use ::policy::filter::{Effects, Role};
use ::policy::reader::{Files, Node, NodeKind, Table, parse, read_folder};
use filters::LIBRARY;

use super::{Explained, and, code, effects, filter};
use crate::args::Global;

/// A longer value is not shown.
const LONGEST: usize = 90;

/// The chains that the engine enters by itself, and what that means.
const ENTERED: &[(&str, &str)] = &[
    ("on_failure", "Where a failure is not taken"),
    ("on_abort", "Where a fault is not taken"),
    ("on_error", "Where a failure or fault is not taken"),
    ("response", "On every answer, refusals included"),
];

/// The names of the configuration's policies.
pub(super) fn names(global: &Global) -> Vec<String> {
    policies(&read_folder(&global.dir)).into_iter().map(|(name, _)| name).collect()
}

fn policies(files: &Files) -> Vec<(String, Arc<SourceFile>)> {
    let named = |(path, file): (&String, &Arc<SourceFile>)| {
        Some((::policy::compile::policy_name(path)?.to_owned(), file.clone()))
    };
    files.files.iter().filter_map(named).collect()
}

/// `orders`, `policies/orders.toml`.
pub(super) fn explained(global: &Global, word: &str) -> Option<Explained> {
    let look = server::look(&global.options(), &BTreeMap::new());
    let name = word.trim_start_matches("./");
    let name = name.strip_prefix("policies/").map_or(name, |path| path.trim_end_matches(".toml"));
    let (name, file) = policies(&look.files).into_iter().find(|(known, _)| known == name)?;
    let text = match parse(&file) {
        Ok(document) => Story { name: &name, file: &file, root: &document.root, survey: &look.survey }.tell(),
        Err(_) => format!("# {name}\n\n{} is no TOML: `portcullis check` says why.\n", file.path),
    };
    Some(Explained { kind: "policy", name, text })
}

struct Story<'a> {
    name: &'a str,
    file: &'a SourceFile,
    root: &'a Table,
    survey: &'a Survey,
}

impl Story<'_> {
    fn tell(&self) -> String {
        let mut text = format!("# {}\n\n", self.name);
        if let Some(said) = self.root.get("description").and_then(Node::as_text) {
            let _ = writeln!(text, "{said}\n");
        }
        let _ = writeln!(text, "{}", self.route());
        self.chain(&mut text, "In this order", "filter", self.root.get("filter"));
        let named = self.root.get("chain").and_then(Node::as_table);
        for entry in named.into_iter().flat_map(|table| &table.entries) {
            self.chain(
                &mut text,
                &format!("Chain `{}`", entry.name),
                &format!("chain.{}", entry.name),
                Some(&entry.value),
            );
        }
        for (key, title) in ENTERED {
            if let Some(node) = self.root.get(key) {
                self.chain(&mut text, title, key, Some(node));
            }
        }
        let _ = write!(text, "\n## In the end\n\n{}\n", self.end());
        text
    }

    fn route(&self) -> String {
        let one = self.root.get("route").into_iter();
        let many = self.root.get("routes").and_then(Node::as_list).into_iter().flatten();
        let routes: Vec<String> = one.chain(many).map(route).collect();
        if routes.is_empty() {
            return String::from("It has no route: other policies call it, or a listener runs it.");
        }
        let on = match self.root.get("listener").and_then(Node::as_text) {
            Some(listener) => format!(" on the listener `{listener}`"),
            None => String::new(),
        };
        format!("It takes {}{on}.", and(&routes))
    }

    fn chain(&self, text: &mut String, title: &str, path: &str, node: Option<&Node>) {
        let steps: Vec<&Table> =
            node.and_then(Node::as_list).into_iter().flatten().filter_map(Node::as_table).collect();
        let surveyed = self.survey.policy(self.name).and_then(|policy| policy.chains.get(path));
        let _ = write!(text, "\n## {title}\n\n");
        for (index, step) in steps.into_iter().enumerate() {
            let known = surveyed.and_then(|chain| chain.steps.get(index));
            let _ = writeln!(text, "{}. {}", index + 1, self.step(step, known));
            self.details(step, known).into_iter().for_each(|line| text.push_str(&format!("   - {line}\n")));
        }
    }

    /// What the step is, in a sentence.
    fn step(&self, step: &Table, known: Option<&StepSurvey>) -> String {
        let written = |key: &str| step.get(key).and_then(Node::as_text).unwrap_or_default();
        let uses = known.map_or(written("use"), |known| known.uses.as_str());
        let name = match written("name") {
            "" => code(uses),
            name => format!("*{name}* (`{uses}`)"),
        };
        let does = match uses {
            "switch" => self.switch(step),
            "call" if step.get("policy").is_some() => {
                format!("Runs the policy `{}`, and comes back with its outcome.", written("policy"))
            }
            "call" => format!("Runs the chain `{}`, and comes back with its outcome.", written("chain")),
            "any" => {
                let of = step.get("of").and_then(Node::as_list).into_iter().flatten().filter_map(Node::as_text);
                format!("Runs the first of the chains {} that succeeds.", and(&of.map(code).collect::<Vec<_>>()))
            }
            other => {
                filter::summary(other).unwrap_or_else(|| String::from("`portcullis check` says what is wrong with it."))
            }
        };
        let (line, _) = self.file.line_column(step.span.start);
        match written("when") {
            "" => format!("{name}, line {line}: {does}"),
            when => format!("{name}, line {line}, only when `{when}`: {does}"),
        }
    }

    fn switch(&self, step: &Table) -> String {
        let cases = step.get("case").and_then(Node::as_table).into_iter().flat_map(|table| &table.entries);
        let mut ways: Vec<String> = cases.map(|case| format!("`{}` {}", case.name, target(&case.value))).collect();
        for (key, title) in [("else", "anything else"), ("missing", "no value")] {
            ways.extend(step.get(key).map(|node| format!("{title} {}", target(node))));
        }
        format!("Chooses by {}: {}.", self.source(step.get("on")), ways.join("; "))
    }

    /// Its settings, what it reads, sets and can end in, and where it goes then.
    fn details(&self, step: &Table, known: Option<&StepSurvey>) -> Vec<String> {
        const TOLD: &[&str] = &[
            "use",
            "name",
            "when",
            "on",
            "case",
            "else",
            "missing",
            "policy",
            "chain",
            "of",
            "on_failure",
            "on_abort",
            "on_success",
        ];
        let settings = step.entries.iter().filter(|entry| !TOLD.contains(&entry.name.as_str()));
        let settings: Vec<_> =
            settings.map(|entry| format!("`{}` = {}", entry.name, self.source(Some(&entry.value)))).collect();
        let mut lines = Vec::new();
        if !settings.is_empty() {
            lines.push(settings.join(", "));
        }
        lines.extend(known.map(|known| effects::lines(&known.effects)).unwrap_or_default());
        for (key, title) in
            [("on_failure", "after a failure"), ("on_abort", "after a fault"), ("on_success", "after a success")]
        {
            lines.extend(step.get(key).map(|node| format!("{title} {}", moved(node))));
        }
        lines
    }

    /// A value as it stands in the file.
    fn source(&self, node: Option<&Node>) -> String {
        let Some(node) = node else { return String::from("nothing") };
        let text = self.file.text.get(node.span.start..node.span.end).unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text =
            if text.starts_with("\"${") && text.ends_with("}\"") { text.trim_matches('"').to_owned() } else { text };
        if text.chars().count() > LONGEST || matches!(node.kind, NodeKind::Table(_)) && text.starts_with('[') {
            return String::from("what stands there");
        }
        code(&text)
    }

    /// How the policy answers what nothing took.
    fn end(&self) -> String {
        let steps = |path: &str| {
            let chains = self.survey.policy(self.name).map(|policy| &policy.chains);
            chains
                .into_iter()
                .flatten()
                .filter(move |(of, _)| path.is_empty() || *of == path)
                .flat_map(|(_, chain)| chain.steps.iter())
                .collect::<Vec<_>>()
        };
        let role = |step: &&StepSurvey| LIBRARY.filter(&step.uses).map_or(Role::Plain, |kind| kind.role);
        let resource = steps("filter").iter().any(|step| matches!(role(step), Role::Resource(_)));
        let endpoint = steps("").iter().any(|step| matches!(role(step), Role::Endpoint(_)));
        let answers: Vec<&Effects> = steps("").into_iter().map(|step| &step.effects).collect();
        let taken = ENTERED.iter().filter(|(key, _)| *key != "response").any(|(key, _)| self.root.get(key).is_some());
        let style = match (resource, endpoint) {
            (true, _) => {
                "as a protected resource answers (RFC 6750: 401 or 403 with `WWW-Authenticate`, a missing token without a word of why)"
            }
            (false, true) => "as an OAuth endpoint answers (RFC 6749: JSON with `error`)",
            (false, false) => "with problem details (RFC 9457), which name nothing of the inside",
        };
        let who = if taken {
            "What its own chains for failures and faults do not answer is answered"
        } else {
            "A failure or fault that no filter takes is answered"
        };
        let called = if self.root.get("route").is_none() && self.root.get("routes").is_none() {
            "; where another policy called it, it is that one's"
        } else {
            ""
        };
        let uses = |kind: &str| answers.iter().any(|effects| effects.uses.iter().any(|(of, _)| of == kind));
        let mut down = String::new();
        if uses("store") {
            down.push_str(" A store that is down is answered with 503.");
        }
        if uses("upstream") {
            down.push_str(" An upstream that is unreachable is answered with 502, one that is silent with 504.");
        }
        format!("{who} {style}{called}, unless the listener's `on_error` policy does.{down}")
    }
}

fn route(node: &Node) -> String {
    match &node.kind {
        NodeKind::Text(text) => code(text),
        NodeKind::Table(table) => {
            let text = |key: &str| table.get(key).and_then(Node::as_text);
            let methods = table.get("methods").and_then(Node::as_list).into_iter().flatten().filter_map(Node::as_text);
            let mut words = methods.map(str::to_owned).collect::<Vec<_>>().join(", ");
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(text("path").unwrap_or_default());
            match text("host") {
                Some(host) => format!("`{words}` for the host `{host}`"),
                None => code(&words),
            }
        }
        _ => String::from("something that is no route"),
    }
}

/// Where a `switch` goes.
fn target(node: &Node) -> String {
    match &node.kind {
        NodeKind::Text(word) if word == "continue" => String::from("goes on with the next filter"),
        NodeKind::Text(word) if word == "fail" => String::from("fails"),
        NodeKind::Text(chain) => format!("runs the chain `{chain}`"),
        NodeKind::Table(table) => {
            format!("runs the policy `{}`", table.get("call").and_then(Node::as_text).unwrap_or_default())
        }
        _ => String::new(),
    }
}

/// Where a run goes.
fn moved(node: &Node) -> String {
    match &node.kind {
        NodeKind::Text(word) if word == "continue" => String::from("the next filter runs"),
        NodeKind::Text(chain) => format!("the run goes to the chain `{chain}`, and ends with it"),
        NodeKind::Table(table) => {
            let to = table.get("to").and_then(Node::as_text).unwrap_or_default();
            let of = if table.get("as").is_some() { "as a success" } else { "as a failure" };
            format!("the run goes to the chain `{to}`, and ends with it, {of}")
        }
        _ => String::new(),
    }
}
