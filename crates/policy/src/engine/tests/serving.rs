//! What is around a policy: routes, bodies, the response side, listeners, built-in answers.

use http::Method;

use super::{run, short};
use crate::compile::ListenerFacts;
use crate::testing::lab::{LAB, policy};
use crate::testing::{Fixture, Ran, request};

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
    // Else a method that the route does not name would come to other filters.
    for not_always in
        ["{ use = 'options', when = 'request.path == \"/\"' }, ", "{ use = 'mark', word = 'a' }, { use = 'options' }, "]
    {
        assert_eq!(with(not_always).run(request(Method::OPTIONS, "/", &[], "")).status, 405, "{not_always}");
    }
}

#[test]
fn a_policy_that_runs_before_others_may_serve_their_options() {
    let first = "filter = [{ use = 'options' }]";
    let own = |before: &str| format!("route = 'GET /'\n{before}filter = [{{ use = 'answer' }}]");
    let options = |fixture: Fixture| fixture.run(request(Method::OPTIONS, "/", &[], "")).status;
    assert_eq!(options(Fixture::new(LAB).policy("first", first).policy("p", &own("before = ['first']\n"))), 204);
    let listener = |node: &mut crate::compile::NodeFacts| {
        let before = vec![crate::compile::NamedPolicy { name: "first".into(), place: None }];
        node.listeners.push(crate::compile::ListenerFacts { name: "public".into(), before, ..Default::default() });
    };
    for (before, expected) in [("", 204), ("before = []\n", 405)] {
        let fixture = Fixture::new(LAB).node(listener).policy("first", first).policy("p", &own(before));
        let mut asked = request(Method::OPTIONS, "/", &[], "");
        asked.listener = "public".into();
        assert_eq!(fixture.run(asked).status, expected, "{before}");
    }
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

fn marks(ran: &Ran) -> String {
    ran.headers.get_all("x-mark").iter().map(|mark| mark.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// By filters before the one that fails, after it, and in what is called; nothing else runs once more.
#[test]
fn the_answer_in_the_place_of_another_one_has_the_headers_of_every_answer() {
    for (failing, status) in [("fail', status = 502", 502), ("abort'", 503), ("panic'", 500)] {
        let fixture = policy(&format!(
            "filter = [{{ use = 'mark', word = '0' }}, {{ use = 'answer', text = 'secret' }}]\nresponse = [{{ use = 'mark', word = '1' }}, {{ use = 'mark', word = 'well', when = 'response.status == 200' }}, {{ use = '{failing} }}, {{ use = 'sometimes', text = 'anew' }}, {{ use = 'call', chain = 'more' }}, {{ use = 'mark', word = '3' }}]\nchain.more = [{{ use = 'fail' }}, {{ use = 'mark', word = 'none', when = \"request.query.none == '1'\" }}, {{ use = 'mark', word = '2' }}]"
        ));
        let ran = fixture.get("/");
        assert_eq!((ran.status, marks(&ran).as_str()), (status, "0 1 2 3"), "{failing}");
        assert!(!ran.text().contains("secret") && !ran.text().contains("anew"), "{}", ran.text());
    }
    let fixture = listener(|facts| facts.after = vec!["last".into(), "wrong".into(), "last".into()])
        .policy("wrong", "filter = [{ use = 'fail', reason = 'wrong' }, { use = 'mark', word = 'right' }]")
        .policy("own", "route = '/own'\nfilter = [{ use = 'answer' }]\nresponse = [{ use = 'mark', word = 'own' }]");
    assert_eq!(
        (public(&fixture, "/own").text(), marks(&public(&fixture, "/own")).as_str()),
        ("wrong", "own last right last")
    );
}

/// Nor what one of several chains does, nor what a called policy does with its inputs.
#[test]
fn what_stands_behind_a_step_that_may_lead_elsewhere_is_not_for_every_answer() {
    let guard = "{ use = 'fail', when = \"request.query.none == '1'\"";
    for (steps, marked) in [
        (
            format!("{{ use = 'mark', word = '1' }}, {guard}, on_failure = 'other' }}, {{ use = 'mark', word = '2' }}"),
            "1",
        ),
        (
            format!("{{ use = 'mark', word = '1' }}, {guard}, on_abort = 'other' }}, {{ use = 'mark', word = '2' }}"),
            "1",
        ),
        (String::from("{ use = 'any', of = ['other'] }, { use = 'mark', word = '2' }"), "2"),
        (
            String::from(
                "{ use = 'call', chain = 'other', when = 'response.status == 200' }, { use = 'mark', word = '2' }",
            ),
            "2",
        ),
    ] {
        let fixture = policy(&format!(
            "filter = [{{ use = 'answer', text = 'secret' }}]\nresponse = [{steps}, {{ use = 'fail' }}]\nchain.other = [{{ use = 'mark', word = 'other' }}]"
        ));
        assert_eq!(marks(&fixture.get("/")), marked, "{steps}");
    }
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
