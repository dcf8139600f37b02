//! Control flow, rule by rule: chains, moves, calls, and what takes a failure.

mod after;
mod flow_words;
mod serving;

use crate::testing::Ran;
use crate::testing::lab::policy;

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
    assert_eq!(ran.decision.why.as_deref(), Some("it is broken"), "for the log");
}

#[test]
fn a_response_that_is_left_is_the_answer_at_the_end() {
    expect("filter = [{ use = 'leave', text = 'r' }, { use = 'ok' }]", 200, "r", "leave:success ok:success");
}

#[test]
fn on_failure_moves_to_a_chain_and_the_end_of_it_is_still_the_failure() {
    expect(
        "filter = [{ use = 'fail', reason = 'no', on_failure = 'other' }, { use = 'answer' }]
         chain.other = [{ use = 'ok' }]",
        403,
        "no",
        "fail:failure ok:success",
    );
}

#[test]
fn a_chain_that_a_failure_moved_to_may_answer() {
    let ran = policy(
        "filter = [{ use = 'fail', on_failure = 'other' }, { use = 'answer' }]
         chain.other = [{ use = 'answer', text = 'other' }]",
    )
    .get("/");
    assert_eq!(short(&ran), (200, "other".into(), "fail:failure answer:answered".into()));
    assert_eq!(ran.refused(), None, "a failure that an on_failure took is a branch, not a refusal");
}

#[test]
fn a_chain_that_a_failure_moved_to_may_succeed_on_purpose() {
    expect(
        "filter = [{ use = 'call', chain = 'try' }, { use = 'answer', text = 'went on' }]
         chain.try = [{ use = 'fail', on_failure = { to = 'other', as = 'success' } }]
         chain.other = [{ use = 'ok' }]",
        200,
        "went on",
        "call:success fail:failure ok:success answer:answered",
    );
}

#[test]
fn a_move_is_a_failure_for_whoever_runs_the_chain() {
    expect(
        "filter = [{ use = 'call', chain = 'try' }, { use = 'answer', text = 'went on' }]
         chain.try = [{ use = 'fail', reason = 'first', on_failure = 'other' }]
         chain.other = [{ use = 'ok' }]",
        403,
        "first",
        "call:failure fail:failure ok:success",
    );
}

#[test]
fn a_failure_after_a_move_is_the_one_that_counts() {
    expect(
        "filter = [{ use = 'fail', reason = 'first', on_failure = { to = 'other', as = 'success' } }, { use = 'answer' }]
         chain.other = [{ use = 'fail', reason = 'second', always = true }]",
        403, "second", "fail:failure fail:failure",
    );
}

#[test]
fn on_failure_continue_ignores_the_failure() {
    expect(
        "filter = [{ use = 'fail', on_failure = 'continue' }, { use = 'answer', text = 'on' }]",
        200,
        "on",
        "fail:failure answer:answered",
    );
}

#[test]
fn on_abort_takes_faults_and_on_failure_does_not() {
    let chains = "chain.other = [{ use = 'answer', text = 'other' }]";
    expect(
        &format!("filter = [{{ use = 'abort', always = true, on_abort = 'other' }}]\n{chains}"),
        200,
        "other",
        "abort:abort answer:answered",
    );
    expect(
        &format!("filter = [{{ use = 'abort', always = true, on_failure = 'other' }}]\n{chains}"),
        503,
        "broken",
        "abort:abort",
    );
    expect(
        &format!("filter = [{{ use = 'fail', always = true, on_abort = 'other' }}]\n{chains}"),
        403,
        "refused",
        "fail:failure",
    );
    expect(
        "filter = [{ use = 'abort', on_abort = 'continue' }, { use = 'answer' }]",
        200,
        "",
        "abort:abort answer:answered",
    );
}

#[test]
fn on_success_goes_on_with_a_shared_tail() {
    expect(
        "filter = [{ use = 'call', chain = 'a' }, { use = 'answer', text = 'main' }]
         chain.a = [{ use = 'ok', on_success = 'tail' }]
         chain.tail = [{ use = 'ok', name = 'tail' }]",
        200,
        "main",
        "call:success ok:success tail:success answer:answered",
    );
}

#[test]
fn an_answer_in_a_chain_ends_all_callers_as_a_success() {
    let fixture = policy("filter = [{ use = 'call', policy = 'q' }, { use = 'answer' }]").policy(
        "q",
        "filter = [{ use = 'call', chain = 'c' }]\nchain.c = [{ use = 'sometimes', text = 'deep' }, { use = 'fail' }]",
    );
    assert_eq!(short(&fixture.get("/")), (200, "deep".into(), "call:answered call:answered sometimes:answered".into()));
}

#[test]
fn a_called_policy_comes_back_with_its_outcome() {
    let caller = "filter = [{ use = 'call', policy = 'q' }, { use = 'answer', text = 'on' }]";
    for (called, expected) in [
        ("ok", (200, "on", "call:success ok:success answer:answered")),
        ("fail", (403, "refused", "call:failure fail:failure")),
        ("abort", (503, "broken", "call:abort abort:abort")),
    ] {
        let ran = policy(caller).policy("q", &format!("filter = [{{ use = '{called}' }}]")).get("/");
        assert_eq!(short(&ran), (expected.0, expected.1.into(), expected.2.into()), "{called}");
    }
}

#[test]
fn a_policys_on_failure_takes_what_nothing_took_and_its_outcome_is_the_policys() {
    let ran = policy("filter = [{ use = 'fail', reason = 'no', always = true }]\non_failure = [{ use = 'answer', text = 'page', status = 418 }]").get("/");
    assert_eq!(short(&ran), (418, "page".into(), "fail:failure answer:answered".into()));
    assert_eq!(ran.refused(), Some("no"), "the answer is a refusal all the same");
    expect(
        "filter = [{ use = 'fail', reason = 'no', always = true }]\non_failure = [{ use = 'fail', reason = 'worse', always = true }]",
        403,
        "worse",
        "fail:failure fail:failure",
    );
    let called = policy("filter = [{ use = 'call', policy = 'q' }, { use = 'answer', text = 'on' }]")
        .policy("q", "filter = [{ use = 'fail' }]\non_failure = [{ use = 'ok' }]");
    assert_eq!(
        short(&called.get("/")),
        (200, "on".into(), "call:success fail:failure ok:success answer:answered".into())
    );
}

#[test]
fn on_failure_on_abort_and_on_error_take_what_they_say() {
    for (handler, filter, taken) in [
        ("on_failure", "fail", true),
        ("on_failure", "abort", false),
        ("on_abort", "fail", false),
        ("on_abort", "abort", true),
        ("on_error", "fail", true),
        ("on_error", "abort", true),
    ] {
        let ran = policy(&format!(
            "filter = [{{ use = '{filter}', always = true }}]\n{handler} = [{{ use = 'answer', text = 'page' }}]"
        ))
        .get("/");
        assert_eq!(ran.text() == "page", taken, "{handler} of {filter}");
    }
}

#[test]
fn what_a_filter_refused_does_not_go_out_because_a_handler_succeeds() {
    let problems =
        policy("filter = [{ use = 'leave', text = 'secret' }, { use = 'fail' }]\non_failure = [{ use = 'ok' }]")
            .problems();
    assert!(problems.iter().any(|problem| problem.contains("P0204")), "{problems:?}");
    let ran = policy("filter = [{ use = 'leave', text = 'secret' }, { use = 'fail', on_failure = 'log' }, { use = 'ok' }]\nchain.log = [{ use = 'ok' }]").get("/");
    assert_eq!((ran.status, ran.text()), (403, "refused"));
}

#[test]
fn the_failure_is_told_to_whoever_takes_it() {
    let say = "{ use = 'say', text = '${failure.reason} ${failure.filter} ${failure.status}' }";
    let taken = [
        format!(
            "filter = [{{ use = 'fail', name = 'f', status = 401, on_failure = 'c' }}, {{ use = 'answer' }}]\nchain.c = [{say}]"
        ),
        format!("filter = [{{ use = 'fail', name = 'f', status = 401 }}, {{ use = 'answer' }}]\non_failure = [{say}]"),
        String::from(
            "filter = [{ use = 'fail', name = 'f', status = 401, on_failure = 'continue' }, { use = 'say', text = '${failure.reason ?? x} ${failure.filter ?? x} ${failure.status ?? x}' }]",
        ),
    ];
    for text in taken {
        assert_eq!(policy(&text).get("/").text(), "refused f 401", "{text}");
    }
}

#[test]
fn a_handler_of_the_policy_begins_without_the_response_that_was_refused() {
    expect(
        "filter = [{ use = 'leave', text = 'secret' }, { use = 'fail' }]
         on_failure = [{ use = 'say', text = '${response.status ?? none}' }]",
        200,
        "none",
        "leave:success fail:failure say:answered",
    );
}
