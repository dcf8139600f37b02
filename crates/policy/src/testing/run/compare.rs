//! What is otherwise than a step expects.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::Value as Json;

use super::came::Came;
use super::forwarded;
use super::kept::Kept;
use crate::outcome::NOT_FOUND;
use crate::testing::model::{Expect, Message, Step};

/// So much of a text is shown.
const SHOWN: usize = 200;

/// All that is otherwise, each in a line.
pub(super) fn differences(step: &Step, came: &Came, kept: &Kept) -> Vec<String> {
    let mut differences = Vec::new();
    // A test may say that a path is not the policy's: then it is nobody's.
    let nowhere = came.decision.policy.is_none() && step.expect.reason.as_deref() == Some(NOT_FOUND.as_str());
    if step.routed && !nowhere && came.decision.policy.as_deref() != Some(step.policy.as_str()) {
        let other = came.decision.policy.as_deref().map_or_else(|| "no policy".into(), |other| format!("`{other}`"));
        differences.push(format!("the request was routed to {other}, not to `{}`", step.policy));
    }
    let expect = &step.expect;
    if let Some(status) = expect.status.filter(|status| *status != came.status) {
        differences.push(format!("the status is {}, expected {status}", came.status));
    }
    ending(expect, came, &mut differences);
    message(&expect.message, &came.headers, &came.body, kept, &mut differences);
    attributes(expect, came, kept, &mut differences);
    forwarded::compare(expect, came, kept, &mut differences);
    told(expect, came, kept, &mut differences);
    differences
}

/// How the run ended, and by which way.
fn ending(expect: &Expect, came: &Came, differences: &mut Vec<String>) {
    let decision = &came.decision;
    if let Some(outcome) = expect.outcome.map(|outcome| outcome.as_str()).filter(|word| *word != decision.outcome) {
        differences.push(format!("the outcome is {}, expected {outcome}", decision.outcome));
    }
    if let Some(reason) = &expect.reason {
        match &decision.refused {
            Some((code, _)) if code == reason => {}
            Some((code, place)) => {
                let at = if place.is_empty() { String::new() } else { format!(" (at {place})") };
                differences.push(format!("the reason is `{code}`{at}, expected `{reason}`"));
            }
            None => differences.push(format!("nothing was refused, expected the reason `{reason}`")),
        }
    }
    if !came.path().ends_with(&expect.path) {
        differences.push(format!("the way does not end with {}", expect.path.join(", ")));
    }
}

/// What filters told, line by line.
fn told(expect: &Expect, came: &Came, kept: &Kept, differences: &mut Vec<String>) {
    let Some(expected) = &expect.told else { return };
    let expected: Vec<String> = expected.iter().map(|line| kept.text(line)).collect();
    if expected == came.told {
        return;
    }
    let lines = |lines: &[String]| match lines {
        [] => String::from("nothing"),
        lines => lines.iter().map(|line| format!("`{}`", short(line))).collect::<Vec<_>>().join(", "),
    };
    differences.push(format!("the filters told {}, expected {}", lines(&came.told), lines(&expected)));
}

fn attributes(expect: &Expect, came: &Came, kept: &Kept, differences: &mut Vec<String>) {
    for ((name, expected), found) in expect.attributes.iter().zip(&came.attributes) {
        let expected = expected.as_ref().map(|expected| kept.json(expected));
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                differences.push(format!("`{}` cannot be read: {why}", name.value));
                continue;
            }
        };
        let same = match (found, &expected) {
            (Some(found), Some(expected)) => same(found, expected),
            (None, None) => true,
            _ => false,
        };
        if !same {
            let word = |value: &Option<Json>| value.as_ref().map_or_else(|| "absent".into(), ToString::to_string);
            differences.push(format!("`{}` is {}, expected {}", name.value, word(found), word(&expected)));
        }
    }
}

/// Headers and body of an answer, or of a request that was forwarded.
pub(super) fn message(expect: &Message, headers: &HeaderMap, body: &Bytes, kept: &Kept, differences: &mut Vec<String>) {
    for (name, expected) in &expect.headers {
        header(name, expected.as_ref().map(|expected| kept.text(expected)), headers, differences);
    }
    if !expect.json.is_empty() {
        json(expect, body, kept, differences);
    }
    if let Some(expected) = expect.text.as_ref().map(|text| kept.text(text)).filter(|text| text.as_bytes() != body) {
        let found = String::from_utf8_lossy(body);
        differences.push(format!("the body is another text than `{}`: `{}`", short(&expected), short(&found)));
    }
}

fn header(name: &HeaderName, expected: Option<String>, headers: &HeaderMap, differences: &mut Vec<String>) {
    let values = headers.get_all(name).iter();
    let found: Vec<String> = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    match expected {
        Some(expected) if !found.contains(&expected) => {
            let found = if found.is_empty() { "absent".to_owned() } else { format!("`{}`", found.join("`, `")) };
            differences.push(format!("the header `{name}` is {found}, expected `{expected}`"));
        }
        None if !found.is_empty() => {
            differences.push(format!("the header `{name}` is there (`{}`), expected none", found.join("`, `")));
        }
        _ => {}
    }
}

fn json(expect: &Message, body: &Bytes, kept: &Kept, differences: &mut Vec<String>) {
    let Ok(body) = serde_json::from_slice::<Json>(body) else {
        differences.push("the body is no JSON".to_owned());
        return;
    };
    for (text, path, expected) in &expect.json {
        let found = path.find(&body);
        let expected = expected.as_ref().map(|expected| kept.json(expected));
        let same = match (&expected, path.is_single(), found.as_slice()) {
            (None, _, []) => true,
            (None, ..) => false,
            (Some(expected), true, [one]) => same(one, expected),
            (Some(_), true, _) => false,
            (Some(expected), false, all) => expected.as_array().is_some_and(|expected| {
                expected.len() == all.len() && expected.iter().zip(all).all(|(expected, found)| same(found, expected))
            }),
        };
        if !same {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            let found = if found.is_empty() { "absent".to_owned() } else { found.join(", ") };
            let expected = expected.map_or_else(|| "absent".to_owned(), |expected| expected.to_string());
            differences.push(format!("`{text}` is {}, expected {}", short(&found), short(&expected)));
        }
    }
}

/// Equal, also where one writes a whole number as `1` and the other as `1.0`.
pub(super) fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

/// A text in a line of a message.
pub(super) fn short(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect::<String>().replace('\n', "\\n");
    if text.chars().nth(SHOWN).is_some() {
        short.push_str(" ...");
    }
    short
}
