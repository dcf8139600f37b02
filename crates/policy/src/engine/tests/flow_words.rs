//! Control flow, rule by rule: `switch`, `call`, `any` and `when`.

use http::Method;

use super::{expect, short};
use crate::testing::lab::policy;
use crate::testing::request;

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
fn of_absent_credentials_the_one_with_a_challenge_is_told() {
    let ran = policy(
        "filter = [{ use = 'any', of = ['a', 'b', 'c'] }, { use = 'answer' }]
         chain.a = [{ use = 'fail', reason = 'silent', absent = true, status = 400 }]
         chain.b = [{ use = 'fail', reason = 'none', absent = true, challenge = 'Bearer', status = 401 }]
         chain.c = [{ use = 'fail', reason = 'never', absent = true, challenge = 'Basic', status = 401 }]",
    )
    .get("/");
    assert_eq!((ran.status, ran.text()), (401, "none"));
    assert_eq!(ran.headers.get_all("www-authenticate").iter().collect::<Vec<_>>(), ["Bearer", "Basic"]);
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
