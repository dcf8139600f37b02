//! What can be expected beside the answer: how the run ended, attributes, stores, upstreams.

use super::{POLICY, failures};

fn failed(expect: &str) -> Vec<String> {
    failures(&format!("{POLICY}[[test]]\nname = 'n'\nexpect = {{ {expect} }}"))
}

#[test]
fn what_holds_passes() {
    for expect in [
        "outcome = 'answered'",
        "attributes = { 'request.method' = 'POST', 'client.id' = { absent = true } }",
        "stores = { words = 2 }",
        "stores = { words = [{ word = 'b' }, { word = 'a', count = 1 }] }",
        "upstreams = { silent = [] }",
        "upstreams = { orders = [{ method = 'POST', path = '/orders/7' }] }",
        "upstreams = { orders = [{ path = '/orders/7?x=1', headers = { accept = 'text/plain', cookie = false }, json = { '$.a' = 1 } }] }",
        "json = { '$.nothing' = { absent = true }, '$.n[5:]' = { absent = true } }",
    ] {
        assert_eq!(failed(expect), [""; 0], "{expect}");
    }
    let refused = "route = '/'\nfilter = [{ use = 'find', id = 'app' }, { use = 'fail', reason = 'nope', always = true }]\n[[test]]\nname = 'n'\n";
    let expect = "expect = { outcome = 'failure', reason = 'nope', attributes = { 'client.id' = 'app' } }";
    assert_eq!(failures(&format!("{refused}{expect}")), [""; 0]);
    let wrong = failures(&format!("{refused}expect = {{ outcome = 'abort', reason = 'other' }}"));
    assert!(wrong[0].contains("the outcome is failure, expected abort"), "{wrong:?}");
    assert!(wrong[0].contains("the reason is `nope` (at policies/p.toml:2), expected `other`"), "{wrong:?}");
}

#[test]
fn what_does_not_hold_is_told() {
    for (expect, words) in [
        ("outcome = 'success'", "the outcome is answered, expected success"),
        ("reason = 'x'", "nothing was refused, expected the reason `x`"),
        ("attributes = { 'request.method' = 'GET' }", "`request.method` is \"POST\", expected \"GET\""),
        ("attributes = { 'request.method' = { absent = true } }", "`request.method` is \"POST\", expected absent"),
        ("stores = { words = 3 }", "the store `words` holds 2 records, expected 3"),
        (
            "stores = { words = [{ word = 'a' }, { word = 'a' }] }",
            "the store `words` has no record {\"word\":\"a\"}, but {\"word\":\"b\"}",
        ),
        ("stores = { words = [{ word = 'a' }] }", "the store `words` holds 2 records, expected 1"),
        ("upstreams = { orders = [] }", "1 request reached upstream `orders`, expected 0"),
        ("upstreams = { silent = [{}] }", "no request reached upstream `silent`, expected 1"),
        (
            "upstreams = { orders = [{ method = 'GET' }] }",
            "the request to upstream `orders`: the method is POST, expected GET",
        ),
        (
            "upstreams = { orders = [{ path = '/orders/7?x=2' }] }",
            "the path is `/orders/7?x=1`, expected `/orders/7?x=2`",
        ),
        (
            "upstreams = { orders = [{ headers = { accept = 'a' } }] }",
            "the header `accept` is `text/plain`, expected `a`",
        ),
        ("upstreams = { orders = [{ json = { '$.a' = 2 } }] }", "`$.a` is 1, expected 2"),
        ("upstreams = { orders = [{ text = 'x' }] }", "the body is another text than `x`: `{\"a\":1}`"),
        ("json = { '$.token' = { absent = true } }", "`$.token` is \"none\", expected absent"),
    ] {
        let found = failed(expect);
        assert!(found.len() == 1 && found[0].contains(words), "{expect}: {found:?}");
        assert!(found[0].contains("what reached upstreams:\n  orders: POST /orders/7?x=1 -> 200"), "{}", found[0]);
    }
}

#[test]
fn all_that_differs_is_told_at_once() {
    let found = failed("status = 201, json = { '$.n[0]' = 2 }, stores = { words = 1 }");
    let lines = "the status is 200, expected 201\n`$.n[0]` is 1, expected 2\nthe store `words` holds 2 records, expected 1\nwhat came: 200\n";
    assert!(found[0].starts_with("the test `n` failed: 3 things differ|"), "{}", found[0]);
    assert!(found[0].contains(lines), "{}", found[0]);
}

#[test]
fn what_cannot_be_asked_is_a_mistake_in_the_test() {
    for (expect, words) in [
        ("attributes = { 'vras.x' = 1 }", "`vras`"),
        ("attributes = { 'vars.x' = { absent = true } }", "no policy sets `vars.x`"),
        ("attributes = { 'vars.x' = 1 }", "no policy sets `vars.x`"),
        ("attributes = { 'request.header.x ?? a' = 'a' }", "takes no `??`"),
        ("attributes = { '${vars.x}' = 1 }", "`${vars.x}` is no name of an attribute"),
        ("attributes = { 'response.status' = 200 }", "the response is gone at the end of the run"),
        ("stores = { wrods = 1 }", "there is no store `wrods`"),
        ("upstreams = { order = [] }", "there is no upstream `order`"),
    ] {
        let found = failed(expect);
        assert!(found.len() == 1 && found[0].starts_with("P0115 ") && found[0].contains(words), "{expect}: {found:?}");
    }
}

/// What a `switch` ran stands under it, further in.
#[test]
fn the_way_shows_what_ran_inside_of_what() {
    let policy = "route = 'POST /'\n[[filter]]\nuse = 'switch'\non = '${request.method}'\ncase = { POST = 'post' }\nelse = 'fail'\n\
        [[filter]]\nuse = 'answer'\nwhen = 'false'\n[[filter]]\nuse = 'fail'\nalways = true\nname = 'the end'\n\
        [[chain.post]]\nuse = 'ok'\n[[test]]\nname = 'n'\nexpect = { status = 200 }";
    let way = "the way it took:\n  policies/p.toml\n   3 | use = 'switch'           success\n  15 |   use = 'ok'             success\n   \
        8 | use = 'answer'           skipped\n  11 | use = 'fail'  # the end  failure (refused)";
    let found = failures(policy);
    assert!(found[0].contains(way), "{}\n{way}", found[0]);
}
