//! `portcullis explain`: what a word means. The same text, as files, is `docs/reference/` ([`reference`]).

mod attribute;
mod effects;
mod filter;
mod policy;
#[cfg(test)]
mod reference;
mod selector;
mod setting;

use ::policy::diagnostic::codes;
use ::policy::reader::did_you_mean;
use serde_json::json;

use crate::Ended;
use crate::args::{ExplainArgs, Global};
use crate::output::{Failure, Output};

/// What a word means: Markdown.
pub(super) struct Explained {
    /// What it is: `filter`, `attribute`, `setting`, `selector`, `diagnostic`, `policy`.
    pub(super) kind: &'static str,
    /// In full.
    pub(super) name: String,
    pub(super) text: String,
}

pub(crate) fn run(global: &Global, args: &ExplainArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let Some(word) = args.word.as_deref().map(str::trim).filter(|word| !word.is_empty()) else {
        list(output);
        return Ok(0);
    };
    let explained = match selector::is_one(word) {
        true => Some(selector::explained(word)?),
        false => of_all(word).or_else(|| policy::explained(global, word)),
    };
    let Some(explained) = explained else { return Err(unknown(global, word)) };
    output.json(&json!({ "kind": explained.kind, "name": explained.name, "text": explained.text }));
    output.line(explained.text.trim_end());
    Ok(0)
}

/// What is the same in every configuration.
fn of_all(word: &str) -> Option<Explained> {
    diagnostic(word)
        .or_else(|| filter::explained(word))
        .or_else(|| attribute::explained(word))
        .or_else(|| setting::explained(word))
}

fn diagnostic(word: &str) -> Option<Explained> {
    let text = codes::explanation(word)?.to_owned();
    Some(Explained { kind: "diagnostic", name: word.to_ascii_uppercase(), text })
}

fn unknown(global: &Global, word: &str) -> Failure {
    let mut words: Vec<String> = groups().into_iter().flat_map(|(_, words)| words).map(|(word, _)| word).collect();
    words.extend(setting::words());
    words.extend(policy::names(global));
    let failure = Failure::wrong(format!("nothing is known of `{word}`"));
    // Whoever writes `check-scope` means `oauth.check-scope`.
    let end = words.iter().find(|known| known.rsplit('.').next() == Some(word)).map(String::as_str);
    match end.or_else(|| did_you_mean(word, words.iter().map(String::as_str))) {
        Some(near) => failure.with_help(format!("did you mean `{near}`?")),
        None => failure.with_help("`portcullis explain` lists what there is"),
    }
}

/// Everything that has a name in every configuration: a title, and the words with a line on each.
fn groups() -> Vec<(String, Vec<(String, String)>)> {
    let mut groups = filter::groups();
    groups.push((String::from("Attributes, in `${...}`"), attribute::lines()));
    groups.push((String::from("Settings of a policy file"), setting::lines(setting::File::Policy)));
    groups.push((String::from("Settings of node.toml"), setting::lines(setting::File::Node)));
    groups.push((String::from("Settings of stores/stores.toml"), setting::lines(setting::File::Stores)));
    groups.push((String::from("Settings of policies/oauth/server.toml"), setting::lines(setting::File::Server)));
    let codes = codes::ALL.iter().map(|(code, meaning)| (code.to_string(), meaning.trim().to_owned()));
    groups.push((String::from("Diagnostics"), codes.collect()));
    groups
}

fn list(output: Output) {
    let groups = groups();
    output.json(&json!(
        groups.iter().map(|(title, words)| json!({ "title": title, "words": words.iter().map(|(word, said)| json!({ "name": word, "text": said })).collect::<Vec<_>>() })).collect::<Vec<_>>()
    ));
    for (title, words) in groups {
        output.line(format_args!("{title}"));
        for (word, said) in words {
            output.line(format_args!("  {word:<28} {said}"));
        }
        output.line("");
    }
    output.line("And: a filter's setting (`oauth.check-scope.match`), a selector ('${request.form.x ?? y}'), a policy (`oauth/token`)");
}

/// The first sentence of a text, in one line.
fn first_sentence(text: &str) -> String {
    let text = text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    // A full stop that ends a sentence has a blank and a capital behind it.
    let end =
        text.match_indices(". ").find(|(at, _)| text[at + 2..].starts_with(char::is_uppercase)).map(|(at, _)| at + 1);
    end.map_or(text.clone(), |end| text[..end].to_owned())
}

/// With a capital at its start.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters).collect()
}

/// Words with commas and an `and`.
fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn code(word: &str) -> String {
    format!("`{word}`")
}
