//! Control flow, rule by rule.

use http::Method;

use crate::testing::lab::{LAB, policy};
use crate::testing::{Fixture, Ran, request};

/// Runs a policy on `/`: the status, the body, and the path in short.
fn run(text: &str) -> (u16, String, String) {
    short(&policy(text).get("/"))
}

fn short(ran: &Ran) -> (u16, String, String) {
    (ran.status, ran.text().to_owned(), ran.path().join(" "))
}

fn expect(text: &str, status: u16, body: &str, path: &str) {
    assert_eq!(run(text), (status, body.to_owned(), path.to_owned()), "\n{text}");
}

#[test]
fn a_chain_runs_its_filters_in_order() {
    expect("filter = [{ use = 'ok' }, { use = 'answer', text = 'done' }]", 200, "done", "ok:success answer:answered");
}

#[test]
fn a_failure_that_nothing_takes_is_the_built_in_answer() {
    let ran = policy("filter = [{ use = 'fail', reason = 'no' }, { use = 'answer' }]").get("/");
    assert_eq!(short(&ran), (403, "no".into(), "fail:failure".into()));
    assert_eq!(ran.decision.outcome, "failure");
    assert_eq!(ran.decision.refused, Some(("no".into(), "policies/p.toml:2".into())));
}

#[test]
fn an_abort_that_nothing_takes_is_the_built_in_answer() {
    let ran = policy("filter = [{ use = 'abort' }, { use = 'answer' }]").get("/");
    assert_eq!(short(&ran), (503, "broken".into(), "abort:abort".into()));
    assert_eq!(ran.decision.outcome, "abort");
}

#[test]
fn a_response_that_is_left_is_the_answer_at_the_end() {
    expect("filter = [{ use = 'leave', text = 'r' }, { use = 'ok' }]", 200, "r", "leave:success ok:success");
}
