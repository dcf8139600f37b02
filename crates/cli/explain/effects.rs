//! What a filter said of itself while it was built, in words.

use ::policy::filter::{Answers, Effects, Read};

use super::{and, code};

/// What it reads, sets, and can end in: a line each.
pub(super) fn lines(effects: &Effects) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |title: &str, words: Vec<String>| {
        if !words.is_empty() {
            lines.push(format!("{title} {}", and(&words)));
        }
    };
    line("reads", reads(effects));
    line("sets", effects.writes.iter().map(|name| code(name)).collect());
    line("takes off", effects.removes.iter().map(|name| code(name)).collect());
    line("uses", effects.uses.iter().map(|(kind, name)| format!("the {kind} `{}`", name.value)).collect());
    line("can fail with", endings(effects.failures.iter().map(|ending| (ending.code.as_str(), ending.rare))));
    line("can come to the faults", endings(effects.faults.iter().map(|ending| (ending.code.as_str(), ending.rare))));
    match effects.answers {
        Answers::Never if effects.sets_response => {
            lines.push(String::from("leaves a response for the filters after it"))
        }
        Answers::Never => {}
        Answers::Sometimes => {
            lines.push(String::from("may answer: the response is then complete, and nothing further runs"))
        }
        Answers::Always => lines.push(String::from("answers: the response is complete, and nothing further runs")),
    }
    lines
}

fn reads(effects: &Effects) -> Vec<String> {
    let mut reads: Vec<String> = Vec::new();
    for read in &effects.reads {
        let sure = |other: &Read| other.attribute == read.attribute && !other.optional;
        let word = match read.optional {
            true if effects.reads.iter().any(sure) => continue,
            true => format!("`{}` where it is set", read.attribute),
            false => code(&read.attribute),
        };
        if !reads.contains(&word) {
            reads.push(word);
        }
    }
    if effects.reads_request_body {
        reads.push(String::from("the request's body"));
    }
    if effects.streams_request_body {
        reads.push(String::from("the request's body, which it sends on"));
    }
    if effects.reads_response_body {
        reads.push(String::from("the response's body"));
    }
    reads
}

fn endings<'a>(endings: impl Iterator<Item = (&'a str, bool)>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (name, rare) in endings {
        words.push(if rare { format!("`{name}` (rarely)") } else { code(name) });
    }
    words
}
