//! `[[test]]`: what can be written, and what a failure says.

mod expectations;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::lab::LAB;
use super::{Fixture, Given, Received, Stage, Test, World, block_on, tests};
use crate::diagnostic::{Diagnostics, codes};
use crate::ports::{BoxFuture, Environment};
use crate::reader::Files;

/// A world where everything is there, and `good` is a token.
struct Paradise(Environment);

impl World for Paradise {
    fn arrange<'a>(&'a self, given: &'a Given) -> BoxFuture<'a, Result<(), Diagnostics>> {
        let fails = given.table.entry("broken").is_some();
        Box::pin(async move {
            match fails {
                true => Err(crate::diagnostic::Problem::error(codes::BAD_TEST, "arranged badly").nowhere().into()),
                false => Ok(()),
            }
        })
    }
    fn change<'a>(&'a self, given: &'a Given) -> BoxFuture<'a, Result<(), Diagnostics>> {
        self.arrange(given)
    }
    fn advance(&self, _: Duration) {}
    fn environment(&self) -> Environment {
        self.0.clone()
    }
    fn receive(&self, request: &mut crate::exchange::Request) -> Result<(), String> {
        if request.path.contains("..") { Err("no node takes this".into()) } else { Ok(()) }
    }
    fn records<'a>(&'a self, store: &'a str) -> BoxFuture<'a, Result<Vec<Map<String, Json>>, String>> {
        let records = match store {
            "words" => Ok(vec![record("a", 1), record("b", 2)]),
            other => Err(format!("there is no store `{other}`")),
        };
        Box::pin(std::future::ready(records))
    }
    fn told(&self) -> Vec<String> {
        Vec::new()
    }

    fn received(&self) -> BTreeMap<String, Vec<Received>> {
        BTreeMap::from([("silent".into(), Vec::new()), ("orders".into(), vec![received()])])
    }
    fn substitute(&self, text: &str) -> Option<String> {
        (text == "good").then(|| "pca_minted".into())
    }
}

fn record(word: &str, count: i64) -> Map<String, Json> {
    Map::from_iter([("word".to_owned(), Json::from(word)), ("count".to_owned(), Json::from(count))])
}

fn received() -> Received {
    Received {
        method: http::Method::POST,
        target: "/orders/7?x=1".into(),
        headers: http::HeaderMap::from_iter([(http::header::ACCEPT, http::HeaderValue::from_static("text/plain"))]),
        body: "{\"a\":1}".into(),
        met: "200".into(),
    }
}

/// Runs the tests of a policy; the failures' messages and notes.
fn failures(policy: &str) -> Vec<String> {
    let files = Files::from_texts([("policies/p.toml", policy)]);
    let (tests, problems) = tests(&files);
    assert!(problems.is_empty(), "{problems:?}");
    let fixture = Fixture::new(LAB).policy("p", policy);
    let world = Paradise(fixture.environment());
    let stage = Stage { program: fixture.program(), files: Arc::new(files), world };
    let failed = |test: &Test| {
        block_on(stage.run(test)).failure.map(|failure| {
            let problem = failure.problem;
            let code = if problem.code == codes::TEST_FAILED { String::new() } else { format!("{} ", problem.code) };
            format!("{code}{}|{}", problem.message, failure.notes.join("\n"))
        })
    };
    tests.iter().filter_map(failed).collect()
}

/// The problems of tests: `LINE message`.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let (_, problems) = tests(&Files::from_texts(files.iter().copied()));
    let line = |d: &crate::Diagnostic| {
        format!("{} {} {}", d.place.as_ref().unwrap().line_column().0, d.problem.code, d.problem.message)
    };
    problems.iter().map(line).collect()
}

const POLICY: &str = "route = 'POST /x'\n[[filter]]\nuse = 'ok'\n[[filter]]\nuse = 'say'\ntext = '{\"token\":\"${request.form.token ?? none}\",\"auth\":\"${request.header.authorization ?? none}\",\"query\":\"${request.query.q ?? none}\",\"n\":[1,2]}'\n";

#[test]
fn what_is_expected_and_comes_passes() {
    let tests = "
[[test]]
name = 'all kinds'
request = { form = { token = 'good' }, basic = ['app', 'right'], query = { q = 'a b' }, headers = { x-y = '1' } }
expect = { status = 200, headers = { allow = false }, json = { '$.token' = 'pca_minted', '$.auth' = 'Basic YXBwOnJpZ2h0', '$.query' = 'a b', '$.n[*]' = [1, 2], '$.n[0]' = 1 }, path = ['say:answered'] }
[[test]]
name = 'bearer'
request = { bearer = 'good', path = '/x?q=1', text = '' }
expect = { json = { '$.auth' = 'Bearer pca_minted', '$.query' = '1' }, path = ['ok:success', 'say:answered'] }
";
    assert_eq!(failures(&format!("{POLICY}{tests}")), [""; 0]);
}

#[test]
fn what_comes_differently_is_told_with_the_way() {
    for (expect, words) in [
        ("status = 201", "the status is 200, expected 201"),
        ("headers = { x-mark = 'a' }", "the header `x-mark` is absent, expected `a`"),
        ("json = { '$.token' = 'other' }", "`$.token` is \"none\", expected \"other\""),
        ("json = { '$.nothing' = 1 }", "`$.nothing` is absent, expected 1"),
        ("json = { '$.n[*]' = [1] }", "`$.n[*]` is 1, 2, expected [1]"),
        ("text = 'x'", "the body is another text than `x`"),
        ("path = ['ok:failure', 'say:answered']", "the way does not end with ok:failure, say:answered"),
    ] {
        let found = failures(&format!("{POLICY}[[test]]\nname = 'n'\nexpect = {{ {expect} }}"));
        assert!(found.len() == 1 && found[0].contains("the test `n` failed") && found[0].contains(words), "{found:?}");
        let way = "\n  policies/p.toml\n  3 | use = 'ok'   success\n  5 | use = 'say'  answered";
        assert!(found[0].contains(way), "{}", found[0]);
    }
    let elsewhere =
        failures(&format!("{POLICY}[[test]]\nname = 'n'\nrequest = {{ path = '/y' }}\nexpect = {{ status = 404 }}"));
    assert!(elsewhere[0].contains("the request was routed to no policy, not to `p`"), "{elsewhere:?}");
    // A policy that is off is tested all the same.
    let off = POLICY.replace(&POLICY[..POLICY.find('\n').unwrap_or_default()], "routes = []");
    let test = "[[test]]\nname = 'n'\nrequest = { path = '/anywhere' }\nexpect = { status = 200 }";
    assert_eq!(failures(&format!("{off}{test}")), [] as [&str; 0]);
    let nowhere = |path: &str| {
        failures(&format!(
            "{POLICY}[[test]]\nname = 'n'\nrequest = {{ path = '{path}' }}\nexpect = {{ reason = 'not-found' }}"
        ))
    };
    assert_eq!(nowhere("/y"), [] as [&str; 0]);
    assert!(nowhere("/x")[0].contains("nothing was refused, expected the reason `not-found`"));
    let broken =
        failures(&format!("{POLICY}[[test]]\nname = 'n'\ngiven = {{ broken = 1 }}\nexpect = {{ status = 200 }}"));
    assert_eq!(broken, ["P0115 arranged badly|"]);
}

#[test]
fn a_policy_without_a_route_is_tested_as_if_a_route_led_to_it() {
    let text = "filter = [{ use = 'answer', text = 'x' }]\n[[test]]\nname = 'n'\nexpect = { text = 'x' }";
    assert_eq!(failures(text), [""; 0]);
}

#[test]
fn a_test_that_cannot_be_read_is_told_at_its_place() {
    for (test, expected) in [
        ("expect = { status = 200 }", "4 P0115 `name` is missing"),
        ("name = 'x'", "4 P0115 `expect` is missing"),
        ("name = 'x'\nexpect = 1", "6 P0115 expected a table, found a whole number"),
        ("name = 'x'\nexpect = {}", "6 P0115 the test expects nothing"),
        ("name = 'x'\nexpect = { stauts = 200 }", "6 P0115 `stauts` is not known here"),
        ("name = 'x'\nexpect = { status = 99 }", "6 P0115 expected a status from 200 to 599, found 99"),
        ("name = 'x'\nexpect = { path = ['ok'] }", "6 P0115 `ok` is no step"),
        ("name = 'x'\nexpect = { json = { 'a[' = 1 } }", "6 P0115 `a[` is no JSONPath"),
        (
            "name = 'x'\nexpect = { status = 200 }\nrequest = { json = 1, text = 'x' }",
            "7 P0115 the test's request has more than one body",
        ),
        ("name = 'x'\nexpect = { status = 200 }\nrequest = { basic = ['x'] }", "7 P0115 `basic` is to have two texts"),
        (
            "name = 'x'\nexpect = { status = 200 }\nrequest = { form = { a = {} } }",
            "7 P0115 expected text, or a list of texts, found a table",
        ),
    ] {
        let found =
            problems(&[("policies/p.toml", &format!("route = '/x'\nfilter = [{{ use = 'ok' }}]\n\n[[test]]\n{test}"))]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{test}\n{found:?}");
    }
    let named = problems(&[("policies/p.toml", "route = '/{x}'\n[[test]]\nname = 'x'\nexpect = { status = 200 }")]);
    assert_eq!(named, ["2 P0115 the test's request has no `path`"]);
}

#[test]
fn tests_beside_a_policy_are_tests_of_it() {
    let test = "[[test]]\nname = 'n'\nexpect = { status = 200 }";
    let policy = ("policies/a/p.toml", "route = 'GET /x'\nfilter = [{ use = 'answer' }]");
    let (found, told) = tests(&Files::from_texts([policy, ("policies/a/p.test.toml", test)]));
    assert!(told.is_empty());
    assert_eq!((found.len(), found[0].policy.as_str(), found[0].steps[0].request.path.as_str()), (1, "a/p", "/x"));
    assert_eq!(
        problems(&[("policies/q.test.toml", test)])[0],
        "1 P0115 these are tests of a policy `q`, which does not exist"
    );
    assert_eq!(
        problems(&[policy, ("policies/a/p.test.toml", "route = '/'")])[0],
        "1 P0115 `route` stands in a file of tests"
    );
    assert_eq!(problems(&[("policies/p.toml", &format!("{test}\n{test}"))])[0], "4 P0115 two tests are called `n`");
}
