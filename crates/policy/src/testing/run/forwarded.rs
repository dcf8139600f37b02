//! The requests that reached upstreams, compared with those expected.

use super::came::Came;
use super::compare::message;
use super::kept::Kept;
use super::world::Received;
use crate::diagnostic::{Diagnostics, Problem, codes};
use crate::reader::did_you_mean;
use crate::testing::model::{Expect, Forwarded, Step};

/// Whether there are upstreams of all the names that are expected: else it is a mistake in the test.
pub(super) fn known(step: &Step, came: &Came) -> Result<(), Diagnostics> {
    let unknown = step.expect.upstreams.iter().find(|(name, _)| !came.received.contains_key(&name.value));
    let Some((name, _)) = unknown else { return Ok(()) };
    let help = match did_you_mean(&name.value, came.received.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("declare `[upstream.{}]` in node.toml", name.value),
    };
    let problem = Problem::error(codes::BAD_TEST, format!("there is no upstream `{}`", name.value)).with_help(help);
    Err(problem.at(step.place.with_span(name.span)).into())
}

/// What is otherwise about the requests that reached upstreams.
pub(super) fn compare(expect: &Expect, came: &Came, kept: &Kept, differences: &mut Vec<String>) {
    for (name, expected) in &expect.upstreams {
        let upstream = &name.value;
        // That there is one of this name was checked before the request.
        let received = came.received.get(upstream).map_or(&[][..], Vec::as_slice);
        if received.len() != expected.len() {
            let count = match received.len() {
                0 => "no request".to_owned(),
                1 => "1 request".to_owned(),
                more => format!("{more} requests"),
            };
            differences.push(format!("{count} reached upstream `{upstream}`, expected {}", expected.len()));
        }
        for (number, (received, expected)) in received.iter().zip(expected).enumerate() {
            let mut own = Vec::new();
            one(expected, received, kept, &mut own);
            let which = match received_count(came, upstream) {
                1 => format!("the request to upstream `{upstream}`"),
                _ => format!("request {} to upstream `{upstream}`", number + 1),
            };
            differences.extend(own.into_iter().map(|difference| format!("{which}: {difference}")));
        }
    }
}

fn received_count(came: &Came, upstream: &str) -> usize {
    came.received.get(upstream).map_or(0, Vec::len)
}

fn one(expected: &Forwarded, received: &Received, kept: &Kept, differences: &mut Vec<String>) {
    if let Some(method) = expected.method.as_ref().filter(|method| **method != received.method) {
        differences.push(format!("the method is {}, expected {method}", received.method));
    }
    if let Some(path) = expected.path.as_ref().map(|path| kept.text(path)) {
        let found = match path.contains('?') {
            true => received.target.as_str(),
            false => received.target.split('?').next().unwrap_or_default(),
        };
        if found != path {
            differences.push(format!("the path is `{found}`, expected `{path}`"));
        }
    }
    message(&expected.message, &received.headers, &received.body, kept, differences);
}
