//! What the compiler finds, rule by rule: a policy, and its problems in short.

use crate::compile::ListenerFacts;
use crate::testing::Fixture;
use crate::testing::lab::{LAB, policy};

/// The problems of a policy on `/`, each as `LINE CODE` (a warning as `LINE (CODE)`); of other files with their name before.
fn problems(fixture: &Fixture) -> Vec<String> {
    let short = |diagnostic: crate::Diagnostic| {
        let place = diagnostic.place.as_ref();
        let file = place.map(|place| place.file.path.as_str()).filter(|path| *path != "policies/p.toml");
        let line = place.map_or(0, |place| place.line_column().0);
        let code = diagnostic.problem.code;
        let code = match diagnostic.problem.severity {
            crate::diagnostic::Severity::Error => format!("{code}"),
            crate::diagnostic::Severity::Warning => format!("({code})"),
        };
        format!("{}{line} {code}", file.map_or(String::new(), |file| format!("{file} ")))
    };
    fixture.compile().diagnostics.iter().cloned().map(short).collect()
}

/// The policy's text begins on line 2: `route` stands before it.
fn check(text: &str, expected: &[&str]) {
    let fixture = policy(text);
    assert_eq!(problems(&fixture), expected, "{text}\n{}", fixture.problems().join("\n"));
}

fn message(text: &str) -> String {
    policy(text).problems().join("\n")
}

#[test]
fn the_smallest_policy_is_right() {
    check("[[filter]]\nuse = 'answer'", &[]);
}

#[test]
fn a_policy_without_a_filter_is_refused() {
    check("description = 'nothing'", &["1 P0104"]);
    check("filter = []", &["1 P0104"]);
    check("filter = [{ name = 'x' }]", &["2 P0102"]);
}

#[test]
fn unknown_names_are_reported_with_what_was_meant() {
    for (text, code, words) in [
        ("filter = [{ use = 'answr' }]", "P0105", "did you mean `answer`?"),
        ("filter = [{ use = 'answer', nam = 'x' }]", "P0101", "did you mean `name`?"),
        ("filtre = []\nfilter = [{ use = 'answer' }]", "P0101", "did you mean `filter`?"),
        (
            "filter = [{ use = 'call', chain = 'othr' }]\nchain.other = [{ use = 'answer' }]",
            "P0106",
            "did you mean `other`?",
        ),
        ("filter = [{ use = 'call', policy = 'pp' }, { use = 'answer' }]", "P0107", "policies/pp.toml"),
        ("filter = [{ use = 'todo', was = 'ConnectToURL' }]", "P0114", "ConnectToURL"),
        ("filter = [{ name = 'x' }]", "P0102", "has no `use`"),
        (
            "filter = [{ use = 'answer', on_failure = { to = 'x', as = 'failure' } }]\nchain.x = [{ use = 'ok' }]",
            "P0103",
            "`as` is `failure`",
        ),
        ("filter = { use = 'answer' }", "P0103", "[[filter]]"),
        ("filter = [{ use = 'answer' }]\nchain.continue = [{ use = 'ok' }]", "P0113", "cannot be called `continue`"),
        ("filter = [{ use = 'any', of = [] }, { use = 'answer' }]", "P0103", "`of` is empty"),
        (
            "filter = [{ use = 'any', of = ['c'], try = 'some' }, { use = 'answer' }]\nchain.c = [{ use = 'ok' }]",
            "P0103",
            "`try` is `some`",
        ),
        (
            "filter = [{ use = 'switch', on = 'x', case = { a = 'c' } }, { use = 'answer' }]\nchain.c = [{ use = 'ok' }]",
            "P0102",
            "has no `else`",
        ),
        (
            "filter = [{ use = 'switch', on = 'x', case = { a = 'continue' }, else = 'fail' }, { use = 'answer' }]",
            "P0208",
            "cannot be \"continue\"",
        ),
        ("filter = [{ use = 'call' }, { use = 'answer' }]", "P0102", "has no `policy`"),
    ] {
        let found = message(text);
        assert!(found.contains(code) && found.contains(words), "{text}\n{found}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    check(
        "filter = [{ use = 'answr' },\n{ use = 'fail', reasn = 'x' },\n{ use = 'say', text = '${nobody.id}' }]\nlistener = 'nowhere'",
        &["2 P0105", "3 P0101", "4 P0111", "5 P0303"],
    );
}

#[test]
fn an_attribute_must_be_set_before_it_is_read() {
    check("filter = [{ use = 'want', answers = true }]", &["2 P0201"]);
    check("filter = [{ use = 'want', optional = true, answers = true }]", &[]);
    check("filter = [{ use = 'find', id = 'x' }, { use = 'want', answers = true }]", &[]);
    check("filter = [{ use = 'say', text = '${vars.x}' }]", &["2 P0201"]);
    check("filter = [{ use = 'say', text = '${vars.x ?? none}' }]", &[]);
    check("filter = [{ use = 'set-var', var = 'x' }, { use = 'say', text = '${vars.x}' }]", &[]);
    check(
        "filter = [{ use = 'set-var', var = 'x' }, { use = 'set-var', var = 'x', remove = true }, { use = 'say', text = '${vars.x}' }]",
        &["2 P0201"],
    );
    assert!(
        message("filter = [{ use = 'want', answers = true }]\nchain.c = [{ use = 'find' }]").contains("`find` sets it")
    );
}

#[test]
fn an_attribute_that_only_some_ways_set_is_a_warning() {
    let switch = |cases: &str, chains: &str| {
        format!(
            "filter = [{{ use = 'switch', on = '${{request.method}}', case = {{ {cases} }}, else = 'fail' }},\n{{ use = 'want', answers = true }}]\n{chains}"
        )
    };
    check(&switch("GET = 'a', PUT = 'b'", "chain.a = [{ use = 'find' }]\nchain.b = [{ use = 'find' }]"), &[]);
    check(&switch("GET = 'a', PUT = 'b'", "chain.a = [{ use = 'find' }]\nchain.b = [{ use = 'ok' }]"), &["3 (P0202)"]);
    check(
        &switch("GET = 'a', PUT = 'b'", "chain.a = [{ use = 'find' }]\nchain.b = [{ use = 'fail', always = true }]"),
        &[],
    );
    check(&switch("GET = 'a'", "chain.a = [{ use = 'ok' }]"), &["3 P0201"]);
    check(
        "filter = [{ use = 'find', when = \"request.method == 'GET'\" },\n{ use = 'want', answers = true }]",
        &["3 (P0202)"],
    );
    check("filter = [{ use = 'find', on_failure = 'continue' },\n{ use = 'want', answers = true }]", &["3 (P0202)"]);
    check(
        "filter = [{ use = 'find', on_failure = { to = 'c', as = 'success' } },\n{ use = 'want', answers = true }]\nchain.c = [{ use = 'answer' }]",
        &[],
    );
    check(
        "filter = [{ use = 'any', of = ['a', 'b'] },\n{ use = 'want', answers = true }]\nchain.a = [{ use = 'find' }]\nchain.b = [{ use = 'ok' }]",
        &["3 (P0202)"],
    );
    check(
        "filter = [{ use = 'any', of = ['a', 'b'] },\n{ use = 'want', answers = true }]\nchain.a = [{ use = 'find' }]\nchain.b = [{ use = 'find' }]",
        &[],
    );
}

#[test]
fn a_chain_is_judged_by_all_ways_that_lead_to_it() {
    let called_twice = |first: &str| {
        format!(
            "filter = [{first}{{ use = 'call', chain = 'c' }}, {{ use = 'find' }}, {{ use = 'call', chain = 'c' }}, {{ use = 'answer' }}]\n\nchain.c = [{{ use = 'want' }}]"
        )
    };
    check(&called_twice(""), &["4 (P0202)"]);
    check(&called_twice("{ use = 'find' }, "), &[]);
}

#[test]
fn the_flow_is_followed_through_calls() {
    let caller = |first: &str| {
        policy(&format!("filter = [{first}{{ use = 'call', policy = 'q' }},\n{{ use = 'say', text = '${{vars.y}}' }}]"))
    };
    let called = "filter = [{ use = 'want' }, { use = 'set-var', var = 'y' }]";
    assert_eq!(problems(&caller("").policy("q", called)), ["policies/q.toml 1 P0201"]);
    assert_eq!(problems(&caller("{ use = 'find' }, ").policy("q", called)), [""; 0]);
    let fails = "filter = [{ use = 'fail' }]\non_failure = [{ use = 'ok' }]";
    assert_eq!(problems(&caller("").policy("q", fails)), ["3 P0201"]);
}

#[test]
fn what_is_surely_set_on_the_failure_side_is_what_was_set_before() {
    check(
        "filter = [{ use = 'find' }, { use = 'answer' }]\non_failure = [{ use = 'want' }, { use = 'answer' }]",
        &["3 (P0202)"],
    );
    check("filter = [{ use = 'answer' }]\non_failure = [{ use = 'want' }, { use = 'answer' }]", &["3 P0201"]);
    check("filter = [{ use = 'answer' }]\non_failure = [{ use = 'say', text = '${failure.reason}' }]", &[]);
    check("filter = [{ use = 'say', text = '${failure.reason}' }]", &["2 P0201"]);
    check("filter = [{ use = 'leave' }]\non_failure = [{ use = 'say', text = '${response.status}' }]", &["3 P0201"]);
}

#[test]
fn on_the_response_side_there_is_a_response_and_the_rest_may_be() {
    check(
        "filter = [{ use = 'answer' }]\nresponse = [{ use = 'say', quiet = true, text = '${response.status}' }]",
        &[],
    );
    check("filter = [{ use = 'find' }, { use = 'answer' }]\nresponse = [{ use = 'want' }]", &["3 (P0202)"]);
    check("filter = [{ use = 'answer' }]\nresponse = [{ use = 'want' }]", &["3 P0201"]);
}

#[test]
fn names_of_the_path_are_set_by_the_route() {
    let with = |route: &str| {
        let text = format!("{route}\nfilter = [{{ use = 'say', text = '${{path.id}}' }}]");
        problems(&Fixture::new(LAB).policy("p", &text))
    };
    assert_eq!(with("route = '/{id}'"), [""; 0]);
    assert_eq!(with("route = '/'"), ["2 P0201"]);
    assert_eq!(with("routes = ['/{id}', '/']"), ["2 (P0202)"]);
}

#[test]
fn a_chain_that_nothing_leads_to_is_refused_and_so_is_a_filter_that_never_runs() {
    check("filter = [{ use = 'answer' }]\nchain.c = [{ use = 'ok' }]", &["3 P0203"]);
    check(
        "filter = [{ use = 'answer' }]\nchain.c = [{ use = 'call', chain = 'd' }]\nchain.d = [{ use = 'ok' }]",
        &["3 P0203", "4 P0203"],
    );
    check("filter = [{ use = 'answer' },\n{ use = 'ok' }, { use = 'ok' }]", &["3 P0203"]);
    check("filter = [{ use = 'fail', always = true },\n{ use = 'answer' }]", &["3 P0203"]);
    check("filter = [{ use = 'answer', when = \"request.method == 'GET'\" },\n{ use = 'answer' }]", &[]);
}

#[test]
fn a_policy_that_nothing_runs_is_a_warning() {
    let fixture = policy("filter = [{ use = 'answer' }]").policy("q", "filter = [{ use = 'want' }]");
    assert_eq!(problems(&fixture), ["policies/q.toml 1 (P0203)"]);
}

#[test]
fn a_way_that_ends_without_an_answer_is_refused() {
    check("filter = [{ use = 'ok' }]", &["2 P0204"]);
    check("filter = [{ use = 'leave' }]", &[]);
    check("filter = [{ use = 'sometimes' }]", &["2 P0204"]);
    check("filter = [{ use = 'fail', always = true }]", &[]);
    check("filter = [{ use = 'fail', always = true, on_failure = 'c' }]\nchain.c = [{ use = 'ok' }]", &[]);
    check(
        "filter = [{ use = 'fail', always = true, on_failure = { to = 'c', as = 'success' } }]\nchain.c = [{ use = 'ok' }]",
        &["3 P0204"],
    );
    check("filter = [{ use = 'answer' }]\non_failure = [{ use = 'ok' }]", &["3 P0204"]);
    check("filter = [{ use = 'leave' }]\non_failure = [{ use = 'ok' }]", &["3 P0204"]);
    check("filter = [{ use = 'ok', on_success = 'tail' }]\nchain.tail = [{ use = 'ok' }]", &["3 P0204"]);
    check(
        "filter = [{ use = 'switch', on = 'x', case = { a = 'a' }, else = 'continue' }]\nchain.a = [{ use = 'answer' }]",
        &["2 P0204"],
    );
    check(
        "filter = [{ use = 'switch', on = 'x', case = { a = 'a' }, else = 'fail' }]\nchain.a = [{ use = 'answer' }]",
        &[],
    );
}

#[test]
fn loops_are_refused_with_the_whole_loop_named() {
    let found = message(
        "filter = [{ use = 'call', chain = 'a' }, { use = 'answer' }]\nchain.a = [{ use = 'call', chain = 'b' }]\nchain.b = [{ use = 'fail', on_failure = 'a' }]",
    );
    assert!(found.contains("error[P0205]: a loop: chain `a` -> chain `b` -> chain `a`"), "{found}");
    check(
        "filter = [{ use = 'call', chain = 'a' }, { use = 'answer' }]\nchain.a = [{ use = 'fail', on_failure = 'a' }]",
        &["3 P0205"],
    );
    let policies = policy("filter = [{ use = 'call', policy = 'q' }, { use = 'answer' }]")
        .policy("q", "filter = [{ use = 'fail' }]\non_failure = [{ use = 'call', policy = 'p' }]");
    let found = policies.problems().join("\n");
    assert!(found.contains("the main chain of `p` -> [[on_failure]] of `q` -> the main chain of `p`"), "{found}");
    check(
        "filter = [{ use = 'call', chain = 'a' }, { use = 'call', chain = 'b' }, { use = 'answer' }]\nchain.a = [{ use = 'call', chain = 'b' }]\nchain.b = [{ use = 'ok' }]",
        &[],
    );
}

#[test]
fn chains_that_follow_one_another_without_end_are_refused() {
    let chains = |count: usize| {
        let mut text = String::from("filter = [{ use = 'call', chain = 'c1' }, { use = 'answer' }]\n");
        for i in 1..count {
            text += &format!("chain.c{i} = [{{ use = 'call', chain = 'c{}' }}]\n", i + 1);
        }
        text + &format!("chain.c{count} = [{{ use = 'ok' }}]\n")
    };
    check(&chains(63), &[]);
    check(&chains(64), &["2 P0208"]);
    assert_eq!(policy(&chains(500)).compile().diagnostics.iter().count(), 1);
}

#[test]
fn a_body_that_was_streamed_away_cannot_be_read() {
    check("filter = [{ use = 'send-body' },\n{ use = 'read-body' }]", &["3 P0206"]);
    check(
        "filter = [{ use = 'send-body', when = \"request.method == 'PUT'\" },\n{ use = 'read-body' }]",
        &["3 (P0206)"],
    );
    check(
        "filter = [{ use = 'say', text = '${request.body}', quiet = true }, { use = 'send-body' },\n{ use = 'read-body' }]",
        &[],
    );
}

#[test]
fn a_body_can_be_sent_away_once() {
    check("filter = [{ use = 'send-body' },\n{ use = 'send-body' }]", &["3 P0206"]);
    check("filter = [{ use = 'send-body', on_success = 'next' }]\nchain.next = [{ use = 'send-body' }]", &["3 P0206"]);
    let called =
        "filter = [{ use = 'call', chain = 'first' },\n{ use = 'send-body' }]\nchain.first = [{ use = 'send-body' }]";
    check(called, &["3 P0206"]);
    // One of the ways has sent it already.
    check("filter = [{ use = 'send-body', when = \"request.path == '/'\" },\n{ use = 'send-body' }]", &["3 (P0206)"]);
    check("filter = [{ use = 'send-body', on_abort = 'continue' },\n{ use = 'send-body' }]", &["3 (P0206)"]);
    // Another try, with a body that is in memory or empty.
    for to in ["on_abort", "on_failure"] {
        let spare = format!("filter = [{{ use = 'send-body', {to} = {{ to = 'spare', as = 'success' }} }}]");
        check(&format!("{spare}\nchain.spare = [{{ use = 'send-body' }}]"), &[]);
        check(&format!("{spare}\nchain.spare = [{{ use = 'send-body' }},\n{{ use = 'send-body' }}]"), &["4 P0206"]);
    }
    // The same body, for both.
    let held = "{ use = 'say', text = '${request.body ??}', quiet = true }";
    check(&format!("filter = [{held}, {{ use = 'send-body' }}, {{ use = 'send-body' }}]"), &[]);
}

/// RFC 9110, sections 9.3.1 and 9.3.2.
#[test]
fn a_request_that_has_no_body_can_be_sent_twice() {
    let twice = |route: &str| {
        let text = format!("{route}\nfilter = [{{ use = 'send-body' }},\n{{ use = 'send-body' }}]");
        problems(&Fixture::new(LAB).policy("p", &text))
    };
    assert_eq!(twice("route = 'GET /'"), [""; 0]);
    assert_eq!(twice("route = { path = '/', methods = ['GET', 'HEAD'] }"), [""; 0]);
    assert_eq!(twice("route = { path = '/', methods = ['GET', 'POST'] }"), ["3 P0206"]);
    assert_eq!(twice("routes = ['GET /', 'PUT /']"), ["3 P0206"]);
}

#[test]
fn a_guard_behind_a_when_must_leave_nothing_open() {
    let with = |routes: &str, filters: &str| {
        let fixture = Fixture::new(LAB).policy("p", &format!("{routes}\nfilter = [{filters}{{ use = 'answer' }}]\nchain.open = [{{ use = 'ok' }}]\nchain.closed = [{{ use = 'guard' }}]"));
        fixture.problems().into_iter().filter(|problem| !problem.contains("P0203")).collect::<Vec<_>>().join("\n")
    };
    let get = "{ use = 'guard', when = \"request.method == 'GET'\" }, ";
    let rest = "{ use = 'guard', when = \"request.method != 'GET'\" }, ";
    assert!(
        with("route = 'GET /'", get).contains("error[P0207]: this `when` leaves HEAD without `guard`"),
        "{}",
        with("route = 'GET /'", get)
    );
    assert!(
        with("route = '/'", get).contains("leaves HEAD, POST, PUT, PATCH, DELETE, OPTIONS, every other method without")
    );
    assert_eq!(with("route = '/'", &format!("{get}{rest}")), "");
    assert_eq!(with("route = 'POST /'", rest), "");
    assert_eq!(
        with("route = '/'", &format!("{get}{{ use = 'fail', always = true, when = \"request.method != 'GET'\" }}, ")),
        ""
    );
    assert_eq!(with("route = '/'", &format!("{{ use = 'guard' }}, {get}")), "", "one of its kind ran before");
    assert_eq!(
        with("route = '/'", "{ use = 'switch', on = '${request.method}', case = { GET = 'open' }, else = 'closed' }, "),
        ""
    );
    assert!(with("route = '/'", "{ use = 'guard', when = \"request.path == '/x'\" }, ").contains("warning[P0207]"));
    let switch =
        format!("{get}{{ use = 'switch', on = '${{request.method}}', case = {{ GET = 'open' }}, else = 'fail' }}, ");
    assert_eq!(with("route = '/'", &switch), "");
    let refused = "{ use = 'guard', when = \"request.method == 'GET'\", on_failure = 'continue' }, ";
    assert!(with("route = '/'", refused).contains("error[P0207]"));
}

#[test]
fn on_success_stands_at_the_end_of_a_chain() {
    check(
        "filter = [{ use = 'ok', on_success = 'tail' },\n{ use = 'answer' }]\nchain.tail = [{ use = 'answer' }]",
        &["2 P0208"],
    );
}

#[test]
fn a_call_gives_the_inputs_that_are_declared() {
    let with = |call: &str| {
        let caller = format!("filter = [{{ use = 'call', policy = 'q'{call} }}]");
        problems(&policy(&caller).policy(
            "q",
            "[input]\ntext = 'string'\ncount = 'integer'\n[[filter]]\nuse = 'say'\ntext = '${input.text}'",
        ))
    };
    assert_eq!(with(", with = { text = 'x', count = 1 }"), [""; 0]);
    assert_eq!(with(", with = { text = 'x' }")[..], ["2 P0209"]);
    assert_eq!(with("")[..], ["2 P0209", "2 P0209"]);
    assert_eq!(with(", with = { text = 'x', count = 'one' }")[..], ["2 P0209"]);
    assert_eq!(with(", with = { text = 'x', count = 1, more = 1 }")[..], ["2 P0209"]);
    check("input.x = 'text'\nfilter = [{ use = 'answer' }]", &["2 P0103"]);
    check("input.x = 'string'\nfilter = [{ use = 'say', text = '${input.x}' }]", &["3 P0201"]);
}

#[test]
fn routes_that_nobody_can_tell_apart_are_refused_with_both_files_named() {
    let with = |other: &str| {
        let fixture = Fixture::new(LAB)
            .policy("p", "routes = ['GET /a/{x}', '/c']\nfilter = [{ use = 'answer' }]")
            .policy("q", &format!("{other}\nfilter = [{{ use = 'answer' }}]"));
        fixture.problems().join("\n")
    };
    let found = with("route = 'GET /a/{y}'");
    assert!(
        found.contains("error[P0301]: policies/p.toml and policies/q.toml have routes that match the same requests"),
        "{found}"
    );
    for other in ["POST /a/{y}", "/a/{y}", "GET /a/b", "GET /a/{*y}", "GET /b/{x}"] {
        assert_eq!(with(&format!("route = '{other}'")), "", "{other}");
    }
    assert_eq!(with("route = { path = '/a/{y}', methods = ['GET'], host = 'api.example.com' }"), "");
    assert_eq!(with("route = { path = '/a/{y}', methods = ['GET'], headers = { x = '1' } }"), "");
    // What is left of a route without its method is nobody's route.
    for wrong in [
        "'get /c'",
        "{ path = '/c', methods = ['get'] }",
        "{ path = '/a/{y}', methods = ['GET', 'put'] }",
        // No policy ever sees it.
        "'TRACE /c'",
        "{ path = '/c', methods = ['GET', 'CONNECT'] }",
    ] {
        let found = with(&format!("route = {wrong}"));
        assert!(found.contains("P0302") && !found.contains("P0301"), "{found}");
    }
    assert!(with("route = { path = '/b', method = 'GET' }").contains("did you mean `methods`?"));
}

#[test]
fn routes_of_different_listeners_do_not_collide() {
    let listeners = |known: &[&str]| {
        let mut fixture = Fixture::new(LAB)
            .policy("p", "route = '/'\nlistener = 'public'\nfilter = [{ use = 'answer' }]")
            .policy("q", "route = '/'\nlistener = 'private'\nfilter = [{ use = 'answer' }]");
        for name in known {
            fixture = fixture
                .node(|node| node.listeners.push(ListenerFacts { name: (*name).into(), ..ListenerFacts::default() }));
        }
        fixture.problems().join("\n")
    };
    assert_eq!(listeners(&["public", "private"]), "");
    assert!(listeners(&["public"]).contains("policies/q.toml:2:12: error[P0303]: there is no listener `private`"));
}

#[test]
fn a_listener_that_the_command_line_left_out_is_not_told_as_one_that_the_file_lacks() {
    let mut fixture = Fixture::new(LAB).policy("q", "route = '/'\nlistener = 'private'\nfilter = [{ use = 'answer' }]");
    fixture = fixture.node(|node| {
        node.listeners.push(ListenerFacts { name: "public".into(), ..ListenerFacts::default() });
        node.listeners_left_out.push("private".into());
    });
    let found = fixture.problems().join("\n");
    assert!(
        found.contains("policies/q.toml:2:12: error[P0303]: `--listen` leaves out the listener `private`"),
        "{found}"
    );
}

#[test]
fn what_a_listener_names_must_exist() {
    let fixture = policy("filter = [{ use = 'answer' }]").node(|node| {
        node.listeners.push(ListenerFacts { name: "x".into(), before: vec!["pp".into()], ..ListenerFacts::default() })
    });
    assert!(
        fixture.problems()[0].contains("error[P0107]: `before` of the listener `x` names the policy `pp`"),
        "{:?}",
        fixture.problems()
    );
}

#[test]
fn a_policy_whose_file_cannot_be_parsed_is_no_unknown_policy() {
    let fixture = policy("filter = [{ use = 'call', policy = 'q' }, { use = 'answer' }]").policy("q", "filter = [");
    let found = problems(&fixture);
    assert!(
        !found.is_empty()
            && found.iter().all(|problem| problem.starts_with("policies/q.toml") && problem.ends_with("P0002")),
        "{found:?}"
    );
}

#[test]
fn a_filter_that_cannot_be_built_hides_nothing_and_causes_nothing() {
    check("filter = [{ use = 'find', idd = 'x' },\n{ use = 'want', answers = true }]", &["2 P0101"]);
    check(
        "filter = [{ use = 'find', idd = 'x' },\n{ use = 'fail', on_failure = 'nowhere' },\n{ use = 'answer' }]",
        &["2 P0101", "3 P0106"],
    );
}

#[test]
fn a_before_that_takes_the_place_of_the_listeners_is_told() {
    let with = |before: &str| {
        let fixture = Fixture::new(LAB)
            .policy("p", &format!("route = '/'\n{before}\nfilter = [{{ use = 'answer' }}]"))
            .policy("closed", "filter = [{ use = 'guard' }]")
            .policy("other", "filter = [{ use = 'guard' }]")
            .node(|node| {
                let before = vec!["closed".into()];
                node.listeners.push(ListenerFacts { name: "x".into(), before, ..ListenerFacts::default() });
            });
        fixture.problems().into_iter().filter(|problem| !problem.contains("P0203")).collect::<Vec<_>>().join("\n")
    };
    assert!(with("before = []").starts_with("policies/p.toml:2:1: warning[P0210]: `closed` of the listener `x`"));
    assert!(with("before = ['other']").contains("P0210"));
    assert_eq!(with("before = ['other', 'closed']"), "");
    assert_eq!(with(""), "");
}
