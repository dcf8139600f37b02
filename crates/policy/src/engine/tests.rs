//! Control flow, rule by rule.

use http::Method;

use crate::compile::ListenerFacts;
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
fn any_takes_the_first_chain_that_succeeds() {
    expect(
        "filter = [{ use = 'any', of = ['a', 'b'] }, { use = 'answer', text = 'on' }]
         chain.a = [{ use = 'fail', absent = true }]
         chain.b = [{ use = 'ok' }]",
        200,
        "on",
        "any:success fail:failure ok:success answer:answered",
    );
}

#[test]
fn any_ends_at_a_bad_credential() {
    let chains = "chain.a = [{ use = 'fail', reason = 'bad' }]\nchain.b = [{ use = 'ok' }]";
    let filters = |more: &str| {
        format!("filter = [{{ use = 'any', of = ['a', 'b']{more} }}, {{ use = 'answer', text = 'on' }}]\n{chains}")
    };
    expect(&filters(""), 403, "bad", "any:failure fail:failure");
    expect(&filters(", try = 'all'"), 200, "on", "any:success fail:failure ok:success answer:answered");
}

#[test]
fn any_merges_challenges_and_a_bad_credential_says_more_than_an_absent_one() {
    let ran = policy(
        "filter = [{ use = 'any', of = ['a', 'b', 'c'] }, { use = 'answer' }]
         chain.a = [{ use = 'fail', reason = 'none', absent = true, challenge = 'Bearer' }]
         chain.b = [{ use = 'fail', reason = 'wrong', challenge = 'Basic' }]
         chain.c = [{ use = 'fail', reason = 'never', challenge = 'Never' }]",
    )
    .get("/");
    assert_eq!(ran.text(), "wrong");
    let challenges: Vec<_> = ran.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Bearer", "Basic"]);
}

#[test]
fn any_rolls_back_what_a_failed_chain_set_and_edited() {
    let ran = policy(
        "filter = [{ use = 'mark', word = 'kept' }, { use = 'any', of = ['a', 'b'] }, { use = 'want', optional = true, answers = true }]
         chain.a = [{ use = 'find', id = 'joe' }, { use = 'mark', word = 'gone' }, { use = 'fail', absent = true }]
         chain.b = [{ use = 'ok' }]",
    )
    .get("/");
    assert_eq!(ran.text(), "nobody false");
    assert_eq!(ran.headers.get_all("x-mark").iter().collect::<Vec<_>>(), ["kept"]);
    let kept = policy("filter = [{ use = 'any', of = ['a'] }, { use = 'want', answers = true }]\nchain.a = [{ use = 'find', id = 'joe' }]").get("/");
    assert_eq!(kept.text(), "joe true");
}

#[test]
fn an_abort_within_any_goes_up() {
    expect(
        "filter = [{ use = 'any', of = ['a', 'b'], try = 'all' }, { use = 'answer' }]
         chain.a = [{ use = 'abort' }]
         chain.b = [{ use = 'ok' }]",
        503,
        "broken",
        "any:abort abort:abort",
    );
}

#[test]
fn the_response_side_runs_on_every_answer() {
    for (filter, status) in [("ok", 200), ("fail", 403), ("abort", 503), ("leave", 200), ("panic", 500)] {
        let ran = policy(&format!(
            "filter = [{{ use = '{filter}' }}, {{ use = 'answer' }}]\nresponse = [{{ use = 'mark', word = 'r' }}]"
        ))
        .get("/");
        assert_eq!((ran.status, ran.header("x-mark")), (status, "r"), "{filter}");
    }
}

#[test]
fn a_response_chain_that_fails_replaces_the_answer() {
    let ran =
        policy("filter = [{ use = 'answer', text = 'secret' }]\nresponse = [{ use = 'fail', status = 502 }]").get("/");
    assert_eq!((ran.status, ran.text()), (502, "refused"));
    assert_eq!(ran.refused(), Some("refused"));
}

#[test]
fn a_response_chain_may_answer_anew() {
    let ran = policy(
        "filter = [{ use = 'fail', always = true }]\nresponse = [{ use = 'answer', text = 'page', status = 418 }]",
    )
    .get("/");
    assert_eq!((ran.status, ran.text()), (418, "page"));
}

#[test]
fn header_edits_made_early_are_merged_into_whatever_answer_there_is() {
    for filter in ["ok", "fail", "abort", "leave"] {
        let ran = policy(&format!(
            "filter = [{{ use = 'mark', word = 'early' }}, {{ use = '{filter}' }}, {{ use = 'answer' }}]"
        ))
        .get("/");
        assert_eq!(ran.headers.get_all("x-mark").iter().collect::<Vec<_>>(), ["early"], "{filter}");
    }
    let ran =
        policy("filter = [{ use = 'mark', word = '1' }, { use = 'leave' }, { use = 'mark', word = '2' }]").get("/");
    assert_eq!(ran.headers.get_all("x-mark").iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn a_panic_is_a_fault_of_the_request_and_says_where() {
    let ran = policy("filter = [{ use = 'ok' }, { use = 'panic', name = 'buggy' }, { use = 'answer' }]").get("/");
    assert_eq!((ran.status, ran.text()), (500, "panic"));
    assert_eq!(ran.path(), ["ok:success", "buggy:unfinished"]);
    assert_eq!(ran.decision.refused, Some(("panic".into(), "policies/p.toml:2".into())));
}

#[test]
fn head_is_served_as_get_without_the_body() {
    let fixture = Fixture::new(LAB).policy("p", "route = 'GET /'\nfilter = [{ use = 'answer', text = 'four' }]");
    let ran = fixture.run(request(Method::HEAD, "/", &[], ""));
    assert_eq!((ran.status, ran.text(), ran.header("content-length")), (200, "", "4"));
}

#[test]
fn a_known_path_with_another_method_is_405_with_allow_through_the_policys_response() {
    let fixture = Fixture::new(LAB).policy(
        "p",
        "routes = ['GET /x', 'PUT /x']\nfilter = [{ use = 'answer' }]\nresponse = [{ use = 'mark', word = 'r' }]",
    );
    let ran = fixture.run(request(Method::POST, "/x", &[], ""));
    assert_eq!(
        (ran.status, ran.text(), ran.header("allow"), ran.header("x-mark")),
        (405, "method-not-allowed", "GET, HEAD, PUT", "r")
    );
    assert_eq!(ran.decision.policy.as_deref(), Some("p"));
    let ran = fixture.get("/y");
    assert_eq!((ran.status, ran.text(), ran.header("x-mark")), (404, "not-found", ""));
}

#[test]
fn a_filter_that_serves_options_is_given_them_by_the_router() {
    let with = |first: &str| {
        Fixture::new(LAB).policy("p", &format!("route = 'GET /'\nfilter = [{first}{{ use = 'answer' }}]"))
    };
    assert_eq!(with("{ use = 'options' }, ").run(request(Method::OPTIONS, "/", &[], "")).status, 204);
    assert_eq!(with("").run(request(Method::OPTIONS, "/", &[], "")).status, 405);
}

#[test]
fn a_body_that_is_read_is_in_memory_and_within_the_limit() {
    let fixture = policy("filter = [{ use = 'read-body' }]").node(|node| node.body_limit = 10);
    let post = |body: &str| short(&fixture.run(request(Method::POST, "/", &[], body)));
    assert_eq!(post("0123456789"), (200, "10".into(), "read-body:answered".into()));
    assert_eq!(post("0123456789a"), (413, "body-too-large".into(), "read-body:failure".into()));
}

#[test]
fn a_streamed_body_has_no_limit_and_a_response_body_that_is_read_has() {
    let fixture = policy("filter = [{ use = 'send-body' }]").node(|node| node.body_limit = 2);
    assert_eq!(fixture.run(request(Method::POST, "/", &[], "abcd")).text(), "abcd");
    let reading =
        policy("filter = [{ use = 'send-body' }, { use = 'read-response' }]").node(|node| node.body_limit = 4);
    let streamed = |body: &'static str| {
        let mut request = request(Method::POST, "/", &[], "");
        request.body = crate::exchange::RequestBody::Stream(crate::Body::stream(http_body_util::Full::new(
            bytes::Bytes::from(body),
        )));
        reading.run(request)
    };
    assert_eq!(streamed("abcd").header("x-length"), "4");
    assert_eq!(short(&streamed("abcde")).1, "bad-response");
}

#[test]
fn a_request_header_that_a_filter_injects_is_dropped_from_what_came_in() {
    let fixture =
        policy("filter = [{ use = 'call', policy = 'q' }, { use = 'want', optional = true, answers = true }]")
            .policy("q", "filter = [{ use = 'header', header = 'x-found' }]");
    assert_eq!(fixture.run(request(Method::GET, "/", &[("x-found", "forged")], "")).text(), "nobody false");
}

#[test]
fn the_style_of_the_answer_follows_the_filters() {
    for (chains, expected) in [
        ("filter = [{ use = 'ok' }, { use = 'fail', always = true }]", "refused"),
        (
            "filter = [{ use = 'call', chain = 'c' }, { use = 'fail', always = true }]\nchain.c = [{ use = 'endpoint' }]",
            "endpoint refused",
        ),
        ("filter = [{ use = 'endpoint' }, { use = 'resource' }, { use = 'fail', always = true }]", "resource refused"),
        (
            "filter = [{ use = 'call', chain = 'c' }, { use = 'fail', always = true }]\nchain.c = [{ use = 'resource' }]",
            "refused",
        ),
    ] {
        assert_eq!(run(chains).1, expected, "{chains}");
    }
}

/// A node with one listener that has policies of its own, and requests on it.
fn listener(change: impl FnOnce(&mut ListenerFacts)) -> Fixture {
    let mut facts = ListenerFacts { name: "public".into(), ..ListenerFacts::default() };
    change(&mut facts);
    policy("filter = [{ use = 'want', optional = true, answers = true }]")
        .policy("refuse", "route = '/refuse'\nfilter = [{ use = 'fail', reason = 'no', always = true }]")
        .policy("bare", "route = '/bare'\nbefore = []\nfilter = [{ use = 'want', optional = true, answers = true }]")
        .policy("first", "filter = [{ use = 'find', id = 'joe' }]")
        .policy("closed", "filter = [{ use = 'fail', reason = 'closed', always = true }]")
        .policy("last", "filter = [{ use = 'mark', word = 'last' }]")
        .policy("page", "filter = [{ use = 'answer', text = 'page', status = 418 }]")
        .policy("quiet", "filter = [{ use = 'ok' }]")
        .node(|node| node.listeners.push(facts))
}

fn public(fixture: &Fixture, path: &str) -> Ran {
    let mut request = request(Method::GET, path, &[], "");
    request.listener = "public".into();
    fixture.run(request)
}

#[test]
fn a_listeners_before_runs_before_every_policy_and_a_policys_own_replaces_it() {
    let fixture = listener(|facts| facts.before = vec!["first".into()]);
    assert_eq!(public(&fixture, "/").text(), "joe true");
    assert_eq!(public(&fixture, "/bare").text(), "nobody false");
    let fixture = listener(|facts| facts.before = vec!["closed".into()]);
    assert_eq!((public(&fixture, "/").status, public(&fixture, "/").text()), (403, "closed"));
    assert_eq!(fixture.get("/").text(), "nobody false", "another listener has none of it");
}

#[test]
fn a_listeners_after_runs_on_every_answer() {
    let fixture = listener(|facts| facts.after = vec!["last".into()]);
    for (path, status) in [("/", 200), ("/refuse", 403), ("/nowhere", 404)] {
        let ran = public(&fixture, path);
        assert_eq!((ran.status, ran.header("x-mark")), (status, "last"), "{path}");
    }
}

#[test]
fn a_listeners_on_error_answers_what_nothing_took() {
    let fixture = listener(|facts| facts.on_error = Some("page".into()));
    for path in ["/refuse", "/nowhere"] {
        let ran = public(&fixture, path);
        assert_eq!((ran.status, ran.text()), (418, "page"), "{path}");
        assert!(ran.refused().is_some(), "{path}");
    }
    assert_eq!(public(&fixture, "/").text(), "nobody false");
    for on_error in ["quiet", "closed"] {
        let fixture = listener(|facts| facts.on_error = Some(on_error.into()));
        assert_eq!(public(&fixture, "/refuse").text(), "no", "{on_error} does not answer: the built-in answer does");
    }
}

#[test]
fn switch_runs_the_case_of_the_value_and_else_otherwise() {
    let fixture = |more: &str| {
        policy(&format!(
            "filter = [{{ use = 'switch', on = '${{request.query.v}}', case = {{ a = 'a', B = 'b' }}, else = 'other'{more} }}, {{ use = 'answer', text = 'main' }}]
             chain.a = [{{ use = 'answer', text = 'a' }}]
             chain.b = [{{ use = 'ok', name = 'b' }}]
             chain.other = [{{ use = 'fail', reason = 'other' }}]"
        ))
    };
    for (query, more, expected) in [
        ("/?v=a", "", (200, "a", "switch:answered answer:answered")),
        ("/?v=B", "", (200, "main", "switch:success b:success answer:answered")),
        ("/?v=b", "", (403, "other", "switch:failure fail:failure")),
        ("/?v=b", ", fold_case = true", (200, "main", "switch:success b:success answer:answered")),
        ("/", "", (400, "missing-value", "switch:failure")),
        ("/", ", missing = 'b'", (200, "main", "switch:success b:success answer:answered")),
        ("/", ", missing = 'continue'", (200, "main", "switch:success answer:answered")),
        ("/", ", missing = 'fail'", (403, "no-case", "switch:failure")),
        ("/?v=x", ", missing = 'b'", (403, "other", "switch:failure fail:failure")),
    ] {
        let ran = fixture(more).get(query);
        assert_eq!(short(&ran), (expected.0, expected.1.into(), expected.2.into()), "{query}{more}");
    }
}

#[test]
fn switch_targets_may_be_policies_and_words() {
    let fixture = policy(
        "filter = [{ use = 'switch', on = '${request.method}', case = { PUT = { call = 'q' } }, else = 'fail' }]",
    )
    .policy("q", "filter = [{ use = 'answer', text = 'q' }]");
    assert_eq!(fixture.run(request(Method::PUT, "/", &[], "")).text(), "q");
    assert_eq!(fixture.get("/").text(), "no-case");
}

#[test]
fn a_called_policy_sees_its_inputs_and_the_caller_its_own_again() {
    let fixture = policy("filter = [{ use = 'call', policy = 'q', with = { text = '${request.query.v}' } }]")
        .policy(
            "q",
            "input.text = 'string'
             filter = [{ use = 'call', policy = 'r', with = { text = 'inner' } }, { use = 'say', text = '${input.text}' }]",
        )
        .policy("r", "input.text = 'string'\nfilter = [{ use = 'say', text = '${input.text}', quiet = true }]");
    assert_eq!(fixture.get("/?v=outer").text(), "outer");
    assert_eq!(short(&fixture.get("/")), (400, "missing-value".into(), "call:failure".into()));
}

#[test]
fn an_input_of_the_wrong_type_fails_the_call() {
    let fixture = policy("filter = [{ use = 'call', policy = 'q', with = { flag = '${request.json:$.x}' } }, { use = 'answer', text = 'on' }]")
        .policy("q", "input.flag = 'boolean'\nfilter = [{ use = 'ok' }]");
    let post = |body: &str| fixture.run(request(Method::POST, "/", &[("content-type", "application/json")], body));
    assert_eq!(post(r#"{"x":true}"#).text(), "on");
    assert_eq!(post(r#"{"x":1}"#).text(), "wrong-type");
}

#[test]
fn a_filter_whose_when_does_not_hold_is_skipped() {
    let text =
        "filter = [{ use = 'fail', when = \"request.query.v == 'x'\", on_failure = 'continue' }, { use = 'answer' }]";
    assert_eq!(policy(text).get("/?v=x").path(), ["fail:failure", "answer:answered"]);
    assert_eq!(policy(text).get("/?v=y").path(), ["fail:skipped", "answer:answered"]);
    assert_eq!(
        policy(text).get("/").path(),
        ["fail:failure", "answer:answered"],
        "a missing value is a failure of the filter"
    );
}

#[test]
fn a_skipped_filter_goes_on_with_its_shared_tail() {
    expect(
        "filter = [{ use = 'ok', when = 'false', on_success = 'tail' }]\nchain.tail = [{ use = 'answer', text = 'tail' }]",
        200,
        "tail",
        "ok:skipped answer:answered",
    );
}

#[test]
fn the_failure_is_told_to_whoever_takes_it() {
    let say = "{ use = 'say', text = '${failure.reason} ${failure.filter} ${failure.status}' }";
    let taken = [
        format!(
            "filter = [{{ use = 'fail', name = 'f', status = 401, on_failure = 'c' }}, {{ use = 'answer' }}]\nchain.c = [{say}]"
        ),
        format!("filter = [{{ use = 'fail', name = 'f', status = 401 }}, {{ use = 'answer' }}]\non_failure = [{say}]"),
        format!(
            "filter = [{{ use = 'fail', name = 'f', status = 401, on_failure = 'continue' }}, {{ use = 'say', text = '${{failure.reason ?? x}} ${{failure.filter ?? x}} ${{failure.status ?? x}}' }}]"
        ),
    ];
    for text in taken {
        assert_eq!(policy(&text).get("/").text(), "refused f 401", "{text}");
    }
}

#[test]
fn names_of_the_path_are_decoded() {
    let fixture = Fixture::new(LAB)
        .policy("p", "route = '/a/{id}/{*rest}'\nfilter = [{ use = 'say', text = '${path.id}|${path.rest}' }]");
    assert_eq!(fixture.get("/a/x%20y/b/%C3%A9").text(), "x y|b/é");
    assert_eq!(fixture.get("/a/%ff/b").status, 400);
}

#[test]
fn a_body_that_was_read_is_still_there_after_it_was_sent_on() {
    let fixture = policy(
        "filter = [{ use = 'say', text = '${request.body}', quiet = true }, { use = 'send-body' }, { use = 'say', text = '${request.body}' }]",
    );
    assert_eq!(fixture.run(request(Method::POST, "/", &[], "abc")).text(), "abc");
}

#[test]
fn facts_are_found_by_name_with_the_policy_and_its_paths() {
    let program = Fixture::new(LAB)
        .policy("p", "routes = ['/a', 'GET /b']\nfilter = [{ use = 'header', header = 'x-y' }, { use = 'answer' }]")
        .program();
    let facts = program.facts(crate::filter::INJECTED_HEADER);
    assert_eq!(facts.len(), 1);
    assert_eq!(
        (facts[0].0, facts[0].1, facts[0].2.as_text()),
        ("p", &["/a".to_owned(), "/b".to_owned()][..], Some("x-y"))
    );
    assert_eq!((program.policies(), program.generation()), (vec!["p"], 1));
}
