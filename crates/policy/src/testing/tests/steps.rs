//! Tests of several steps, what they keep, and cases.

use super::{failures, problems};

/// Answers with what it was asked, and sets some headers.
const ECHO: &str = "route = 'POST /x'\n[[filter]]\nuse = 'say'\ntext = '{\"a\":\"${request.form.a ?? none}\",\"n\":${request.form.n ?? 1}}'\n";

#[test]
fn what_a_step_keeps_later_ones_have() {
    let steps = "
[[test]]
name = 'n'
[[test.step]]
request = { form = { a = 'first', n = 7 } }
keep = { a = '$.a', n = '$.n', all = 'text' }
[[test.step]]
request = { form = { a = '${kept.a}-${kept.n}' } }
expect = { json = { '$.a' = '${kept.a}-7' } }
[[test.step]]
request = { form = { a = '$${kept.a}', n = '${kept.n}' } }
expect = { json = { '$.a' = '$${kept.a}', '$.n' = '${kept.n}' } }
[[test.step]]
request = { path = '/x', text = '${kept.all}' }
expect = { attributes = { 'request.method' = 'POST' } }
";
    assert_eq!(failures(&format!("{ECHO}{steps}")), [""; 0]);
    let wrong = failures(&format!("{ECHO}{}", steps.replace("${kept.a}-7", "${kept.a}-8")));
    assert!(
        wrong[0].contains("the test `n` failed in step 2: `$.a` is \"first-7\", expected \"first-8\""),
        "{wrong:?}"
    );
    let absent = failures(&format!("{ECHO}{}", steps.replace("'$.a', n", "'$.b', n")));
    assert!(
        absent[0].contains("failed in step 1: there is nothing to keep as `a`: the answer's JSON has no such value"),
        "{absent:?}"
    );
}

#[test]
fn headers_are_kept_too() {
    let policy = "route = 'POST /x'\nfilter = [{ use = 'mark', word = 'w' }, { use = 'answer', text = 'x' }]\n[[test]]\nname = 'n'\n";
    let steps = "[[test.step]]\nkeep = { mark = 'header.x-mark' }\n[[test.step]]\nexpect = { headers = { x-mark = '${kept.mark}' } }\n";
    assert_eq!(failures(&format!("{policy}{steps}")), [""; 0]);
    for (from, words) in [
        ("header.x-none", "the answer has no header `x-none`"),
        ("cookie.sid", "the answer sets no cookie `sid`"),
        ("location.code", "the answer's `location` has no parameter `code`"),
    ] {
        let found = failures(&format!("{policy}{}", steps.replace("header.x-mark", from)));
        assert!(found[0].contains(words), "{from}: {found:?}");
    }
}

/// A step may be for another policy; where its request goes elsewhere, the test fails.
#[test]
fn a_step_is_for_the_policy_that_it_names() {
    let own = "route = 'POST /x'\nfilter = [{ use = 'ok' }, { use = 'answer', text = 'x' }]\n[[test]]\nname = 'n'\n[[test.step]]\nexpect = { text = 'x' }\n";
    let other = |step: &str| format!("{own}[[test.step]]\n{step}\n");
    assert_eq!(failures(&other("policy = 'p'\nexpect = { path = ['ok:success', 'answer:answered'] }")), [""; 0]);
    let file = ("policies/p.toml", other("policy = 'q'\nexpect = { status = 200 }"));
    assert_eq!(problems(&[(file.0, &file.1)]), ["8 P0115 there is no policy `q`"]);
    // One that cannot be parsed is there, and compiling tells what is wrong with it.
    assert_eq!(problems(&[(file.0, &file.1), ("policies/q.toml", "[")]), [""; 0]);
}

#[test]
fn steps_that_cannot_be_read_are_told_at_their_place() {
    let first = "[[test.step]]\nkeep = { a = '$.a' }\n";
    for (test, expected) in [
        (
            format!(
                "{first}[[test.step]]\nrequest = {{ form = {{ a = '${{kept.b}}' }} }}\nexpect = {{ status = 200 }}"
            ),
            "9 P0115 no step before this keeps `b`",
        ),
        (
            "[[test.step]]\nrequest = { text = '${kept.a}' }\nkeep = { a = '$.a' }".into(),
            "7 P0115 no step before this keeps `a`",
        ),
        ("request = { text = '${kept.a}' }\nexpect = { status = 200 }".into(), "6 P0115 no step before this keeps `a`"),
        ("[[test.step]]\nrequest = {}".into(), "6 P0115 the step expects nothing"),
        (
            format!("{first}expect = {{ status = 200 }}\n[[test.step]]\nexpect = {{ staus = 1 }}"),
            "10 P0115 `staus` is not known here",
        ),
        (format!("request = {{}}\n{first}"), "6 P0115 a test with steps has no `request` of its own"),
        (format!("expect = {{ status = 200 }}\n{first}"), "6 P0115 a test with steps has no `expect` of its own"),
        ("[[test.step]]\nkeep = { a = 'b' }".into(), "7 P0115 `b` is nothing that can be kept"),
        ("[[test.step]]\nkeep = { 'a b' = 'text' }".into(), "7 P0115 `a b` is no name"),
        ("[[test.step]]\nkeep = { a = '$[' }".into(), "7 P0115 `$[` is no JSONPath"),
        ("[[test.step]]\nadvance = 'soon'\nkeep = { a = 'text' }".into(), "7 P0115 expected a duration"),
        ("[[test.step]]\ntimes = 0\nkeep = { a = 'text' }".into(), "7 P0115 a request is not sent 0 times"),
        ("[[test.step]]\ngiven = 1\nkeep = { a = 'text' }".into(), "7 P0115 expected a table, found a whole number"),
        (
            "request = { text = '${keep.a}' }\nexpect = { status = 200 }".into(),
            "6 P0115 `${keep.a}` is no name of a case",
        ),
    ] {
        let policy = format!("route = '/x'\nfilter = [{{ use = 'ok' }}]\n\n[[test]]\nname = 'n'\n{test}");
        let found = problems(&[("policies/p.toml", &policy)]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{test}\n{found:?}");
    }
}

#[test]
fn a_test_with_cases_is_one_for_each() {
    let test = "
[[test]]
name = 'n'
request = { form = { a = 'x${case.a}', n = '${case.n}' } }
expect = { status = '${case.status}', json = '${case.json}' }
cases = [
  { a = 'one', n = 1, status = 200, json = { '$.a' = 'xone', '$.n' = 1 } },
  { a = 2, n = 2, status = 201, json = { '$.a' = 'x2' } },
  { a = true, n = 3, status = 200, json = { '$.a' = 'xfalse' } },
]
";
    let found = failures(&format!("{ECHO}{test}"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("the test `n [2]` failed: the status is 200, expected 201|"), "{found:?}");
    assert!(found[1].starts_with("the test `n [3]` failed: `$.a` is \"xtrue\", expected \"xfalse\"|"), "{found:?}");
    let place = crate::testing::tests(&crate::reader::Files::from_texts([("policies/p.toml", test)])).0[1].case.clone();
    assert_eq!(place.unwrap().line_column(), (8, 3));
    let named = failures(&format!("{ECHO}{}", test.replace("name = 'n'", "name = 'with ${case.a}'")));
    assert!(named[0].starts_with("the test `with 2` failed"), "{named:?}");
}

#[test]
fn cases_that_do_not_fit_are_told_at_their_place() {
    let body = "request = { form = { a = '${case.a}' } }\nexpect = { status = 200 }";
    for (test, expected) in [
        (body.to_owned(), "6 P0115 there is no `case.a`: the test has no `cases`"),
        (format!("{body}\ncases = []"), "8 P0115 `cases` is to be a list of tables"),
        (format!("{body}\ncases = [{{ a = 1 }}, {{}}]"), "8 P0115 this case has no `a`"),
        (format!("{body}\ncases = [{{ a = 1, b = 2 }}]"), "8 P0115 no text of the test asks for `b`"),
        (format!("{body}\ncases = [{{ a = {{}} }}]"), "8 P0115 expected text, or a list of texts, found a table"),
        (
            format!("{}\ncases = [{{ a = [] }}]", body.replace("'$", "'x$")),
            "6 P0115 `case.a` is a list, and stands inside of a text here",
        ),
        (
            "request = {}\nexpect = { status = '${case.s}' }\ncases = [{ s = 'x' }]".into(),
            "7 P0115 expected a status from 200 to 599",
        ),
    ] {
        let policy = format!("route = '/x'\nfilter = [{{ use = 'ok' }}]\n\n[[test]]\nname = 'n'\n{test}");
        let found = problems(&[("policies/p.toml", &policy)]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{test}\n{found:?}");
    }
    let misspelt =
        "[[test]]\nname = 'n'\nrequest = { text = '${case.aa}' }\nexpect = { status = 200 }\ncases = [{ ab = 1 }]";
    let found = problems(&[("policies/p.toml", &format!("route = '/x'\n{misspelt}"))]);
    assert_eq!(found, ["4 P0115 no case has a `aa`", "6 P0115 no text of the test asks for `ab`"]);
    let same = "[[test]]\nname = 'n ${case.a}'\nexpect = { status = 200 }\ncases = [{ a = 1 }, { a = 1 }]";
    assert_eq!(
        problems(&[("policies/p.toml", &format!("route = '/x'\n{same}"))]),
        ["2 P0115 two tests are called `n 1`"]
    );
}

/// Editors and the reference say what each key means; they know it from here.
#[test]
fn every_key_of_a_test_says_what_it_means() {
    let schema = schemars::schema_for!(crate::testing::TestTable).to_value();
    let mut found = Vec::new();
    let tables = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for table in tables.filter_map(|table| table["properties"].as_object()) {
        for (name, key) in table {
            assert!(key["description"].is_string(), "`{name}` says nothing: {key}");
            found.push(name.as_str());
        }
    }
    for key in ["name", "given", "cases", "step", "advance", "keep", "policy", "form", "bearer", "outcome", "upstreams"]
    {
        assert!(found.contains(&key), "no `{key}` in {found:?}");
    }
}
