//! Runs a `[[test]]` and compares.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value as Json;

use super::test::{Expect, Given, Test, TestBody};
use crate::diagnostic::{Diagnostic, Diagnostics, Problem, codes};
use crate::engine::{Decision, Explained, Program, Served};
use crate::exchange::{Body, FORM, Request};
use crate::ports::{BoxFuture, Environment};
use crate::reader::Files;

/// An answer that is larger is no answer that a test looks at.
const LARGEST: usize = 16 * 1024 * 1024;

/// Parameters that hold tokens: a test's word for one is replaced by the token itself.
const TOKEN_PARAMETERS: &[&str] = &["token", "access_token", "refresh_token", "code", "subject_token", "assertion"];

/// What tests run in: stores, upstreams and a clock that are all the test's own.
pub trait World: Send + Sync {
    /// Puts there what the test asks for, and nothing else.
    fn arrange<'a>(&'a self, given: &'a Given) -> BoxFuture<'a, Result<(), Diagnostics>>;
    /// The clock and the randomness.
    fn environment(&self) -> Environment;
    /// What a word of the test stands for: the token that was made for it.
    fn substitute(&self, text: &str) -> Option<String>;
}

/// What came.
struct Came {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    decision: Explained,
}

/// Compiled policies in a world of their own: where tests run, one after the other.
pub struct Stage<W> {
    /// The policies, compiled against the world's things.
    pub program: Arc<Program>,
    /// The files they come from, for what a failure shows.
    pub files: Arc<Files>,
    /// The world.
    pub world: W,
}

/// What came of one test.
#[derive(Debug)]
pub struct Verdict {
    /// Why it failed (`P0601`, at its place; `P0115` where it could not be carried out); `None` where it passed.
    pub failure: Option<Diagnostic>,
    /// The decision records of its requests, in their order: one a step, as far as it came.
    pub decisions: Vec<Decision>,
}

impl<W: World> Stage<W> {
    /// Runs one test. Nothing of the tests before it is left.
    pub async fn run(&self, test: &Test) -> Verdict {
        let mut decisions = Vec::new();
        let failure = run(&self.program, &self.world, test, &mut decisions).await.err();
        Verdict { failure, decisions }
    }
}

/// Runs one test. A failure is `P0601` at the test's place, with what was expected, what came, and the way it took.
async fn run(
    program: &Arc<Program>,
    world: &dyn World,
    test: &Test,
    decisions: &mut Vec<Decision>,
) -> Result<(), Diagnostic> {
    if let Err(problems) = world.arrange(&test.given).await {
        let first = problems.into_iter().next();
        return Err(first.unwrap_or_else(|| failed(test, "what is given could not be arranged".into(), String::new())));
    }
    let environment = world.environment();
    let request = request(program, world, test).map_err(|why| failed(test, why, String::new()))?;
    let served = match test.routed {
        true => Some(program.serve(&environment, request).await),
        false => program.serve_policy(&test.policy, &environment, request).await,
    };
    let Some(served) = served else {
        return Err(failed(test, format!("there is no policy `{}`", test.policy), String::new()));
    };
    decisions.push(served.decision.clone());
    let came = read(program, served).await.map_err(|why| failed(test, why, String::new()))?;
    let mut differences = test.expect.differences(&came);
    if test.routed && came.decision.policy.as_deref() != Some(test.policy.as_str()) {
        let other = came.decision.policy.as_deref().map_or_else(|| "no policy".into(), |other| format!("`{other}`"));
        differences.insert(0, format!("the request was routed to {other}, not to `{}`", test.policy));
    }
    match differences.is_empty() {
        true => Ok(()),
        false => Err(failed(test, differences.join("; "), came.story())),
    }
}

fn failed(test: &Test, message: String, story: String) -> Diagnostic {
    let problem = Problem::error(codes::TEST_FAILED, format!("the test `{}` failed: {message}", test.name));
    match story.is_empty() {
        true => problem.at(test.place.clone()),
        false => problem.with_help(story).at(test.place.clone()),
    }
}

fn request(program: &Program, world: &dyn World, test: &Test) -> Result<Request, String> {
    let spec = &test.request;
    let word = |name: &str, value: &str| match TOKEN_PARAMETERS.contains(&name) {
        true => world.substitute(value).unwrap_or_else(|| value.to_owned()),
        false => value.to_owned(),
    };
    let encode = |pairs: &[(String, String)]| {
        let pairs = pairs.iter().map(|(name, value)| (name, word(name, value)));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    let (body, content_type): (Bytes, _) = match &spec.body {
        TestBody::None => (Bytes::new(), None),
        TestBody::Form(pairs) => (encode(pairs).into(), Some(FORM)),
        TestBody::Json(json) => (json.to_string().into(), Some("application/json")),
        TestBody::Text(text) => (text.clone().into(), Some("text/plain; charset=utf-8")),
    };
    let (path, own_query) = match spec.path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (spec.path.as_str(), None),
    };
    let mut request = Request::new(spec.method.clone(), path, body.clone().into());
    let query = (!spec.query.is_empty()).then(|| encode(&spec.query));
    request.query = match (own_query, query) {
        (Some(own), Some(more)) => Some(format!("{own}&{more}")),
        (own, more) => own.or(more),
    };
    let listener = test.listener.as_deref().or_else(|| program.first_listener());
    request.listener = Arc::from(listener.unwrap_or_default());
    request.id = Arc::from("test");
    if let Some(content_type) = content_type {
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        request.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let credentials = match (&spec.basic, &spec.bearer) {
        (Some((id, secret)), _) => Some(format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))),
        (None, Some(bearer)) => Some(format!("Bearer {}", world.substitute(bearer).unwrap_or_else(|| bearer.clone()))),
        (None, None) => None,
    };
    if let Some(credentials) = credentials {
        let value =
            HeaderValue::from_str(&credentials).map_err(|_| "the credential cannot stand in a header".to_owned())?;
        request.headers.insert(header::AUTHORIZATION, value);
    }
    for (name, value) in &spec.headers {
        if let (&header::HOST, Ok(host)) = (name, value.to_str()) {
            request.host = host.to_owned();
        }
        // The test's own content type replaces ours.
        if name == header::CONTENT_TYPE {
            request.headers.remove(name);
        }
        request.headers.append(name, value.clone());
    }
    Ok(request)
}

async fn read(program: &Program, served: Served) -> Result<Came, String> {
    let Served { response, decision } = served;
    let body = match response.body {
        Body::Empty => Bytes::new(),
        body => body.collect(LARGEST).await.map_err(|why| format!("the answer's body could not be read: {why:?}"))?,
    };
    Ok(Came { status: response.status.as_u16(), headers: response.headers, body, decision: program.explain(&decision) })
}

impl Came {
    fn path(&self) -> Vec<String> {
        self.decision.steps.iter().map(|step| format!("{}:{}", step.filter, step.outcome)).collect()
    }

    /// What came, and the way it took, for a person.
    fn story(&self) -> String {
        const LONGEST: usize = 400;
        let text = String::from_utf8_lossy(&self.body);
        let shown: String = text.chars().take(LONGEST).collect();
        let more = if text.chars().nth(LONGEST).is_some() { " ..." } else { "" };
        let steps: Vec<String> = self
            .decision
            .steps
            .iter()
            .map(|step| {
                let reason = step.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
                format!("{} {}:{}{reason}", step.place, step.filter, step.outcome)
            })
            .collect();
        let way = if steps.is_empty() { "no filter ran".to_owned() } else { format!("the way: {}", steps.join(", ")) };
        format!("what came: {} {shown}{more}; {way}", self.status)
    }
}

impl Expect {
    fn differences(&self, came: &Came) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some(status) = self.status.filter(|status| *status != came.status) {
            differences.push(format!("the status is {}, expected {status}", came.status));
        }
        for (name, expected) in &self.headers {
            let found: Vec<String> = came
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            match expected {
                Some(expected) if !found.contains(expected) => {
                    let found =
                        if found.is_empty() { "absent".to_owned() } else { format!("`{}`", found.join("`, `")) };
                    differences.push(format!("the header `{name}` is {found}, expected `{expected}`"));
                }
                None if !found.is_empty() => differences.push(format!("the header `{name}` is there, expected none")),
                _ => {}
            }
        }
        self.json_differences(came, &mut differences);
        if let Some(text) = self.text.as_ref().filter(|text| text.as_bytes() != came.body) {
            differences.push(format!("the body is another text than `{text}`"));
        }
        if let Some(path) = self.path.as_ref().filter(|path| !came.path().ends_with(path)) {
            differences.push(format!("the way does not end with {}", path.join(", ")));
        }
        differences
    }

    fn json_differences(&self, came: &Came, differences: &mut Vec<String>) {
        if self.json.is_empty() {
            return;
        }
        let Ok(body) = serde_json::from_slice::<Json>(&came.body) else {
            differences.push("the body is no JSON".to_owned());
            return;
        };
        for (text, path, expected) in &self.json {
            let found = path.find(&body);
            let same = match (path.is_single(), found.as_slice()) {
                (true, [one]) => same(one, expected),
                (true, _) => false,
                (false, all) => expected.as_array().is_some_and(|expected| {
                    expected.len() == all.len()
                        && expected.iter().zip(all).all(|(expected, found)| same(found, expected))
                }),
            };
            if !same {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                let found = if found.is_empty() { "absent".to_owned() } else { found.join(", ") };
                differences.push(format!("`{text}` is {found}, expected {expected}"));
            }
        }
    }
}

/// Equal, also where one writes a whole number as `1` and the other as `1.0`.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}
