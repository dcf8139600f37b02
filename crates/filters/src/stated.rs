//! What filters state of their ends is what tests of a policy are asked to show: of each filter, and of what stands before it.

use policy::coverage::Coverage;

use crate::fixture::policy;

/// `NAME:WHAT` of all that a policy's tests are to show.
fn asked(filters: &str) -> Vec<String> {
    let coverage = Coverage::new(&policy(filters).program());
    let steps = coverage.policies.iter().flat_map(|policy| &policy.chains).flat_map(|chain| &chain.steps);
    steps.flat_map(|step| step.items.iter().map(|item| format!("{}:{}", step.name, item.what))).collect()
}

/// The same of the filter that is called `tested`, without its name.
fn of_tested(before: &str, tested: &str) -> String {
    let text = format!("{before}\n[[filter]]\nname = 'tested'\n{tested}\n[[filter]]\nuse = 'respond'\n");
    let all = asked(&text);
    all.iter().filter_map(|item| item.strip_prefix("tested:")).collect::<Vec<_>>().join(" ")
}

const TOKEN: &str = "[[filter]]\nuse = 'oauth.validate-token'\n";

#[test]
fn each_filter_is_asked_for_the_ends_that_a_request_can_bring_about() {
    for (tested, expected) in [
        ("use = 'require'\nthat = 'request.scheme == \"https\"'", "success failure"),
        ("use = 'require'\nthat = 'true'\nwhen = 'request.scheme == \"https\"'", "success failure skipped"),
        ("use = 'set'\nvars = { a = 'x' }", "success"),
        ("use = 'set'\nvars = { a = '${request.query.a}' }", "success failure"),
        ("use = 'set'\nvars = { a = '${request.query.a ??}' }", "success"),
        ("use = 'unset'\nvars = ['a']", "success"),
        ("use = 'set-header'\nset = { x-a = '${request.path}' }", "success"),
        ("use = 'remove-header'\nnames = ['x-a']", "success"),
        ("use = 'remove-header'\nnames = ['x-a']\nrequired = true", "success failure"),
        ("use = 'security-headers'", "success"),
        ("use = 'json-path'\ninto = { a = '$.a' }", "success failure"),
        ("use = 'json-path'\ninto = { a = '$.a' }\nrequired = false", "success"),
        ("use = 'rate-limit'\nlimit = '1/1s'", "success failure"),
        ("use = 'proxy'\nupstream = 'orders'", "success abort"),
        ("use = 'cache'", "success answered"),
        ("use = 'fetch'\nupstream = 'orders'\npath = '/'\ninto = 'x'", "success failure abort"),
        ("use = 'webhook'\nupstream = 'orders'", "success failure abort"),
        ("use = 'webhook'\nupstream = 'orders'\nfallback = 'allow'", "success failure"),
        ("use = 'oauth.validate-token'", "success failure abort"),
        ("use = 'oauth.authenticate-client'", "success failure abort"),
    ] {
        assert_eq!(of_tested("", tested), expected, "{tested}");
    }
    for (last, expected) in [
        ("use = 'respond'", "respond:answered"),
        ("use = 'fail'", "fail:failure"),
        ("use = 'oauth.fail'\nerror = 'invalid_request'", "oauth.fail:failure"),
    ] {
        assert_eq!(asked(&format!("[[filter]]\n{last}")), [expected]);
    }
}

#[test]
fn what_stands_before_a_filter_decides_what_it_can_lack() {
    let set = |value: &str| format!("[[filter]]\nuse = 'set'\nvars = {{ a = '{value}' }}\n");
    let reads = "use = 'set'\nvars = { b = '${vars.a}' }";
    assert_eq!(of_tested(&set("x"), reads), "success");
    assert_eq!(of_tested(&set("${request.query.a ??}"), reads), "success failure");
    let twice = set("${request.query.a ??}") + &set("x");
    assert_eq!(of_tested(&twice, reads), "success");
    assert_eq!(of_tested(TOKEN, "use = 'set'\nvars = { b = '${client.id}' }"), "success");
    assert_eq!(of_tested(TOKEN, "use = 'set'\nvars = { b = '${token.subject}' }"), "success failure");
    assert_eq!(of_tested(TOKEN, "use = 'set'\nvars = { b = '${token.subject ?? none}' }"), "success");
}

#[test]
fn a_store_that_was_there_a_moment_ago_is_not_asked_to_be_down() {
    // Both use the store of clients; the token's is new to the second.
    let authenticates = "[[filter]]\nuse = 'oauth.authenticate-client'\n";
    assert_eq!(of_tested(authenticates, "use = 'oauth.authenticate-client'"), "success failure");
    assert_eq!(of_tested(authenticates, "use = 'oauth.validate-token'"), "success failure abort");
    let sometimes = format!("{authenticates}when = 'request.scheme == \"https\"'\n");
    assert_eq!(of_tested(&sometimes, "use = 'oauth.authenticate-client'"), "success failure abort");
}
