//! The files' own tests, as a gate and as a command.

use super::{TestNode, folder, options, status};
use crate::admin::api::ReloadOutcome;

fn policy(text: &str, expected: &str) -> String {
    format!(
        "route = \"GET /say\"\n[[filter]]\nuse = \"say\"\ntext = \"{text}\"\n\
         [[test]]\nname = \"says so\"\nexpect = {{ status = 200, text = \"{expected}\", path = [\"say:answered\"] }}\n"
    )
}

#[tokio::test]
async fn a_test_that_fails_holds_up_a_reload_and_not_a_start() {
    let node = TestNode::start(&[("policies/say.toml", &policy("one", "two"))]).await;
    assert_eq!(status(&node.get("/say").await), "200");
    node.write("policies/say.toml", &policy("three", "four"));
    let reloaded = node.reload().await;
    assert_eq!(reloaded.outcome, ReloadOutcome::Refused);
    assert!(reloaded.text.contains("P0601") && reloaded.text.contains("says so"), "{}", reloaded.text);
    assert!(node.get("/say").await.ends_with("one"));
    node.write("policies/say.toml", &policy("five", "five"));
    node.must_load().await;
    assert!(node.get("/say").await.ends_with("five"));
}

#[tokio::test]
async fn tests_that_take_too_long_are_told_and_not_waited_for() {
    let slow = "route = \"GET /slow\"\n[[filter]]\nuse = \"sleep\"\nmillis = 3000\n[[filter]]\nuse = \"say\"\ntext = \"x\"\n\
                [[test]]\nname = \"slow\"\nexpect = { status = 404 }\n";
    let node = TestNode::start(&[("policies/say.toml", &policy("one", "one"))]).await;
    node.write("policies/slow.toml", slow);
    let reloaded = node.reload().await;
    assert_eq!(reloaded.outcome, ReloadOutcome::Loaded, "{}", reloaded.text);
    assert!(reloaded.text.contains("warning[P0602]"), "{}", reloaded.text);
    // But what failed by then is told, and holds the files up.
    node.write("policies/say.toml", &policy("one", "two"));
    let reloaded = node.reload().await;
    assert_eq!(reloaded.outcome, ReloadOutcome::Refused, "{}", reloaded.text);
    assert!(reloaded.text.contains("error[P0601]") && reloaded.text.contains("warning[P0602]"), "{}", reloaded.text);
}

#[tokio::test]
async fn check_and_test_tell_what_failed() {
    let folder = folder(&[
        ("policies/a.toml", &policy("one", "two")),
        ("policies/b.toml", &policy("one", "one").replace("/say", "/b")),
    ]);
    let found = crate::check(&options(&folder)).await;
    assert_eq!(found.iter().filter(|d| d.problem.code.as_str() == "P0601").count(), 1, "{found:?}");
    let untested = crate::check(&crate::Options { tests: false, ..options(&folder) }).await;
    assert!(!untested.has_errors(), "{untested:?}");
    let report = crate::test(&options(&folder), &crate::TestChoice::default()).await;
    let failed: Vec<_> = report.tests.iter().map(|t| (t.policy.as_str(), t.failure.is_some())).collect();
    assert_eq!(failed, [("a", true), ("b", false)]);
    assert!(!report.passed());
}

#[tokio::test]
async fn an_upstream_of_a_test_answers_what_the_test_says() {
    let policy = "route = \"/f\"\n[[filter]]\nuse = \"forward\"\nupstream = \"u\"\n\
                  [[test]]\nname = \"answers\"\ngiven = { upstreams = { u = { status = 201, json = { a = 1 }, headers = { x-y = \"z\" } } } }\n\
                  expect = { status = 201, json = { \"$.a\" = 1 }, headers = { x-y = \"z\" } }\n\
                  [[test]]\nname = \"says nothing\"\nexpect = { status = 502 }\n\
                  [[test]]\nname = \"another\"\ngiven = { upstreams = { v = {} } }\nexpect = { status = 200 }\n";
    let folder =
        folder(&[("policies/f.toml", policy), ("node.toml", "[upstream.u]\ntargets = [\"http://127.0.0.1:9\"]\n")]);
    let report = crate::test(&options(&folder), &crate::TestChoice::default()).await;
    let failures: Vec<_> = report.tests.iter().map(|t| t.failure.as_ref().map(|f| f.problem.message.clone())).collect();
    assert_eq!(failures[..2], [None, None], "{failures:?}");
    assert!(failures[2].as_ref().is_some_and(|f| f.contains("no upstream `v`")), "{failures:?}");
}

/// Editors and the reference say what each key means; they know it from here.
#[test]
fn every_key_of_what_is_given_says_what_it_means() {
    let schema = schemars::schema_for!(crate::GivenTable).to_value();
    let mut found = Vec::new();
    let tables = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for table in tables.filter_map(|table| table["properties"].as_object()) {
        for (name, key) in table {
            assert!(key["description"].is_string(), "`{name}` says nothing: {key}");
            found.push(name.as_str());
        }
    }
    for key in ["clients", "tokens", "upstreams", "stores", "now", "secret", "lifetime", "fail"] {
        assert!(found.contains(&key), "no `{key}` in {found:?}");
    }
}
