//! `portcullis test --mutants`: what could be lost from policies without any test noticing.

use crate::harness::Folder;

const POLICY: &str = r#"route = "/hello/{name}"

[[filter]]
name   = "no-robots"
use    = "require"
that   = '!(has(request.header["x-robot"]))'
status = 406

[[filter]]
use = "set-header"
of  = "response"
set = { x-greeted = "${path.name}" }

[[filter]]
use  = "respond"
text = "hello"
"#;

const GREETS: &str = r#"
[[test]]
name    = "it greets"
request = { path = "/hello/ann" }
expect  = { status = 200, text = "hello" }
"#;

const REFUSES: &str = r#"
[[test]]
name    = "no robots"
request = { path = "/hello/ann", headers = { x-robot = "1" } }
expect  = { status = 406 }
"#;

const TELLS: &str = r#"
[[test]]
name    = "it tells whom"
request = { path = "/hello/ann" }
expect  = { headers = { x-greeted = "ann" } }
"#;

fn hello(rest: &str) -> Folder {
    let folder = Folder::empty();
    folder.write("policies/hello.toml", &format!("{POLICY}{rest}"));
    folder
}

#[test]
fn what_no_test_notices_is_named_and_what_is_noticed_is_not() {
    let ran = hello(GREETS).run(["test", "--mutants"]).code(1);
    let ran = ran.says("policies/hello.toml:5: no-robots removed: no test notices (it does nothing, and succeeds)");
    let ran =
        ran.says("policies/hello.toml:5: no-robots failure-inverted: no test reaches it (where it fails, it succeeds)");
    let ran = ran.says("policies/hello.toml:10: set-header removed: no test notices");
    let ran = ran.says("[mutants] with \"no-robots:removed\" = \"why no test can notice it\"");
    let ran = ran.says("5 mutants: 2 noticed, 0 explained, 3 survive");
    // What the one test does notice.
    assert!(!ran.stdout.contains("respond") && !ran.stdout.contains("success-inverted"), "{}", ran.stdout);

    let ran = hello(&format!("{GREETS}{REFUSES}{TELLS}")).run(["test", "--mutants"]).code(0);
    ran.says("5 mutants: 5 noticed, 0 explained, 0 survive");
}

#[test]
fn a_survivor_is_explained_in_the_policy_and_an_explanation_holds_as_long_as_it_is_one() {
    let explained = |key: &str| format!("{GREETS}{REFUSES}\n[mutants]\n\"{key}\" = \"for people who look\"\n");
    let ran = hello(&explained("set-header:removed")).run(["test", "--mutants"]).code(0);
    let ran = ran.says("5 mutants: 4 noticed, 1 explained, 0 survive");
    assert!(!ran.stdout.contains("warning"), "{}", ran.stdout);

    let ran = hello(&explained("respond:removed")).run(["test", "--mutants"]).code(1);
    ran.says("warning[P0603]: a test notices the mutant `respond:removed`").says("policies/hello.toml:29:1");
    let ran = hello(&explained("no-such:removed")).run(["test", "--mutants"]).code(1);
    ran.says("warning[P0603]: there is no mutant `no-such:removed`");

    let unsaid = hello(&format!("{GREETS}\n[mutants]\n\"set-header:removed\" = \" \"\n"));
    unsaid.run(["test", "--mutants"]).code(1).says("no reason is given for the mutant `set-header:removed`");
    unsaid.run(["check"]).code(1).says("no reason is given for the mutant `set-header:removed`");
}

#[test]
fn tests_that_fail_notice_nothing() {
    let wrong =
        "\n[[test]]\nname = \"it shouts\"\nrequest = { path = \"/hello/ann\" }\nexpect = { text = \"HELLO\" }\n";
    let ran = hello(wrong).run(["test", "--mutants"]).code(1);
    ran.says("P0601").says("1 of the tests failed: no mutant was tried");
}

#[test]
fn a_policy_without_a_test_is_named_as_a_whole() {
    let folder = hello(&format!("{GREETS}{REFUSES}{TELLS}"));
    folder.write("policies/other.toml", "route = \"/other\"\n[[filter]]\nuse = \"respond\"\n");
    let ran = folder.run(["test", "--mutants"]).code(1);
    ran.says("policies/other.toml: no test reaches this policy").says("5 mutants: 5 noticed");
    folder.run(["test", "--mutants", "hello"]).code(0);
    folder.run(["test", "--mutants", "nobody"]).code(2).says("there is no policy `nobody`");
}

#[test]
fn programs_are_told_of_every_mutant() {
    let json = hello(&format!("{GREETS}{REFUSES}")).run(["test", "--mutants", "--json"]).code(1).json();
    assert_eq!(
        (&json["ok"], &json["survive"], json["untested"].as_array().map(Vec::len)),
        (&false.into(), &1.into(), Some(0))
    );
    let mutants = json["mutants"].as_array().unwrap();
    let of = |key: &str| mutants.iter().find(|one| one["mutant"] == key).unwrap();
    assert_eq!(mutants.len(), 5);
    let noticed = of("no-robots:removed");
    assert_eq!(noticed["noticed_by"], serde_json::json!({ "policy": "hello", "name": "no robots" }));
    assert_eq!(
        (&noticed["fate"], &noticed["line"], &noticed["file"]),
        (&"noticed".into(), &5.into(), &"policies/hello.toml".into())
    );
    assert_eq!(
        (&of("set-header:removed")["fate"], &of("set-header:removed")["noticed_by"]),
        (&"survived".into(), &serde_json::Value::Null)
    );
}

#[test]
fn the_scopes_of_a_method_and_an_audience_that_no_test_asks_after() {
    let folder = Folder::empty();
    folder.write("node.toml", "[upstream.orders]\ntargets = [\"http://127.0.0.1:1\"]\n");
    let policy = r#"route = "/orders"

[[filter]]
use      = "oauth.validate-token"
audience = ["https://orders.example.com"]

[[filter]]
use     = "oauth.check-scope"
by      = "${request.method}"
asked   = { GET = ["read"], POST = ["write"] }
allowed = "${token.scopes}"

[[filter]]
use      = "proxy"
upstream = "orders"

[[test]]
name    = "${case.method} with ${case.scope} for ${case.audience}"
given   = { clients = [{ id = "app" }], tokens = [{ token = "t", client = "app", scope = "${case.scope}", audience = ["${case.audience}"] }], upstreams = { orders = {} } }
request = { method = "${case.method}", bearer = "t" }
expect  = { status = "${case.status}" }
cases   = [
    { method = "GET", scope = "read", audience = "https://orders.example.com", status = 200 },
    { method = "GET", scope = "write", audience = "https://orders.example.com", status = 403 },
    { method = "POST", scope = "write", audience = "https://orders.example.com", status = 200 },
    # MORE
]
"#;
    let run = |more: &str| {
        folder.write("policies/orders.toml", &policy.replace("# MORE", more));
        folder.run(["test", "--mutants"])
    };
    let ran = run("");
    let ran = ran.says("policies/orders.toml:8: oauth.check-scope asked POST emptied: no test notices");
    let ran = ran.says("policies/orders.toml:4: oauth.validate-token audience emptied: no test notices");
    assert!(!ran.stdout.contains("asked GET emptied"), "{}", ran.stdout);
    let ran = run(r#"{ method = "POST", scope = "read", audience = "https://orders.example.com", status = 403 },
    { method = "GET", scope = "read", audience = "https://other.example.com", status = 401 },"#);
    assert!(!ran.stdout.contains("emptied"), "{}", ran.stdout);
}
