//! What is compiled from a file and evaluated for a request: selectors, conditions, routes, JSONPath.

use http::Method;
use policy::selector::JsonPath;
use policy::testing::{Fixture, block_on, read, request};

use crate::{quoted, text, told};

/// Compiles a policy, and serves a request with it, where it can be compiled. What a filter ends in is what it states.
fn serve(policy: &str, requests: &[(Method, &str, &str)]) {
    let fixture = Fixture::new(filters::LIBRARY).policy("a", policy);
    let compiled = fixture.compile();
    told(&compiled.diagnostics);
    assert_eq!(compiled.program.is_none(), compiled.diagnostics.has_errors());
    let Some(program) = compiled.program else { return };
    for (method, path, body) in requests {
        let headers = [("content-type", "application/json"), ("x-a", "1, 2"), ("cookie", "a=b; c")];
        let asked = request(method.clone(), path, &headers, body);
        let ran = block_on(async { read(&program, program.serve(&fixture.environment(), asked).await).await });
        assert_ne!(ran.refused(), Some("panic"), "{policy}\n{method} {path} {body}");
    }
}

/// The first line, and what comes after it.
fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, "{\"a\":[1,2.5,\"x\",null,{\"b\":true}],\"b\":{}}"))
}

/// Text with selectors, in a place that takes any value and in one that takes text; after the first line, the request's body.
pub(crate) fn selector(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let (selector, body) = first_line(text);
    let selector = quoted(selector);
    let policy = format!(
        "route = '/{{p}}/**'\n[[filter]]\nuse = 'set'\nvars = {{ x = {selector}, y = [{selector}], z = {{ k = {selector} }} }}\non_failure = 'continue'\n[[filter]]\nuse = 'respond'\ntext = {selector}\n",
    );
    serve(&policy, &[(Method::POST, "/p/q?a=1&a=2&b=%ff", body), (Method::GET, "/%20/", "")]);
}

/// A CEL condition, where it decides and where its value counts; after the first line, the request's body.
pub(crate) fn condition(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let (condition, body) = first_line(text);
    let condition = quoted(condition);
    let policy = format!(
        "route = '/{{p}}/**'\n[[filter]]\nuse = 'json-path'\ninto = {{ a = '$.a', b = '$.b' }}\nrequired = false\non_failure = 'continue'\n[[filter]]\nuse = 'set'\nvars = {{ x = {{ cel = {condition} }} }}\non_failure = 'continue'\n[[filter]]\nuse = 'require'\nthat = {condition}\nwhen = {condition}\n[[filter]]\nuse = 'respond'\ntext = '${{vars.x ?? none}}'\n",
    );
    serve(&policy, &[(Method::POST, "/p/q?a=1&b=%ff", body), (Method::GET, "/p", "")]);
}

/// Routes, one a line; each is asked for as it is written, and with more and less.
pub(crate) fn route(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let lines: Vec<&str> = text.lines().take(12).collect();
    let routes: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
    let policy = format!("routes = [{}]\n[[filter]]\nuse = 'respond'\ntext = 'x'\n", routes.join(", "));
    let mut requests = Vec::new();
    let longer: Vec<String> = lines.iter().map(|line| format!("{line}/x/%2e")).collect();
    for path in lines.iter().copied().chain(longer.iter().map(String::as_str)) {
        let path = path.split_once(' ').map_or(path, |(_, path)| path);
        requests.push((Method::GET, path, ""));
        requests.push((Method::OPTIONS, path.trim_end_matches('/'), ""));
    }
    serve(&policy, &requests);
}

/// A JSONPath in the first line, and a document after it. A path that names one place finds at most one.
pub(crate) fn json_path(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let (path, json) = first_line(text);
    let Ok(path) = JsonPath::parse(path) else { return };
    let Ok(json) = serde_json::from_str(json) else { return };
    let found = path.find(&json);
    assert!(!path.is_single() || found.len() <= 1);
    assert_eq!(path.first(&json), found.first().copied());
}
