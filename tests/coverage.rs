//! `portcullis test --coverage`: what the tests of policies reach, and what they do not.

use crate::harness::{Folder, portcullis};

const NODE: &str = "[upstream.orders]\ntargets = [\"http://127.0.0.1:1\"]\n";

/// Calls a policy, chooses, and asks an upstream.
const SHOP: &str = r#"route = "/shop/{*rest}"

[[filter]]
use = "oauth.validate-token"

[[filter]]
use    = "call"
policy = "limits"

[[filter]]
use  = "switch"
on   = "${request.method}"
else = "refused"

[filter.case]
GET  = "reads"
POST = "writes"

[[filter]]
use      = "proxy"
upstream = "orders"

[[chain.reads]]
use     = "oauth.check-scope"
asked   = ["read"]
allowed = "${token.scopes}"

[[chain.writes]]
use     = "oauth.check-scope"
asked   = ["write"]
allowed = "${token.scopes}"

[[chain.refused]]
use    = "fail"
status = 405
"#;

const LIMITS: &str = "[[filter]]\nuse = \"rate-limit\"\nkey = \"${client.id}\"\nlimit = \"2/1s\"\n";

const GOOD: &str = r#"[[test]]
name    = "who may read reads"
given   = { clients = [{ id = "app" }], tokens = [{ token = "t", client = "app", scope = "read" }], upstreams = { orders = {} } }
request = { path = "/shop/1", bearer = "t" }
expect  = { status = 200 }
"#;

const REST: &str = r#"
[[test]]
name    = "no token"
request = { path = "/shop/1" }
expect  = { status = 401 }

[[test]]
name    = "${case.method} with ${case.scope}"
given   = { clients = [{ id = "app" }], tokens = [{ token = "t", client = "app", scope = "${case.scope}" }], upstreams = { orders = {} } }
request = { method = "${case.method}", path = "/shop/1", bearer = "t" }
expect  = { status = "${case.status}" }
cases   = [
    { method = "GET", scope = "write", status = 403 },
    { method = "POST", scope = "write", status = 200 },
    { method = "POST", scope = "read", status = 403 },
    { method = "PUT", scope = "read write", status = 405 },
]

[[test]]
name  = "more than the limit"
given = { clients = [{ id = "app" }], tokens = [{ token = "t", client = "app", scope = "read" }], upstreams = { orders = {} } }

[[test.step]]
times   = 2
request = { path = "/shop/1", bearer = "t" }
expect  = { status = 200 }

[[test.step]]
request = { path = "/shop/1", bearer = "t" }
expect  = { status = 429 }

[[test]]
name    = "what is down"
given   = { clients = [{ id = "app" }], tokens = [{ token = "t", client = "app", scope = "read" }], stores = { access-token = "${case.store}" } }
request = { path = "/shop/1", bearer = "t" }
expect  = { status = "${case.status}" }
cases   = [{ store = "down", status = 503 }, { store = "up", status = 502 }]
"#;

fn shop(tests: &str) -> Folder {
    let folder = Folder::empty();
    folder.write("node.toml", NODE);
    folder.write("policies/shop.toml", SHOP);
    folder.write("policies/limits.toml", LIMITS);
    folder.write("policies/shop.test.toml", tests);
    folder
}

#[test]
fn what_no_test_reaches_is_named_with_its_line() {
    let folder = shop(GOOD);
    let ran = folder.run(["test", "--coverage"]).code(0);
    let expected = "
no test reaches
policies/limits.toml:2: rate-limit:failure
policies/shop.toml:4: oauth.validate-token:failure
policies/shop.toml:4: oauth.validate-token:abort
policies/shop.toml:13: switch:else
policies/shop.toml:17: switch:case POST
policies/shop.toml:20: proxy:abort
policies/shop.toml:24: oauth.check-scope:failure
policies/shop.toml:29: all of `chain.writes` (2)
policies/shop.toml:34: all of `chain.refused` (1)
  help: a test breaks a store by";
    ran.says("limits   50.0 %  1 of 2").says(expected);
    // A policy that is called counts where it stands, whoever's test comes there.
    folder.run(["test", "--coverage", "limits"]).code(2).says("there is no test of a policy `limits`");
}

#[test]
fn everything_can_be_reached_and_then_nothing_is_missing() {
    let folder = shop(&format!("{GOOD}{REST}"));
    let ran = folder.run(["test", "--coverage", "--min", "100"]).code(0);
    let ran = ran.says("all     100.0 %");
    assert!(!ran.stdout.contains("no test reaches"), "{}", ran.stdout);
}

#[test]
fn less_than_the_least_is_1_and_says_what_is_missing() {
    let folder = shop(GOOD);
    let ran = folder.run(["test", "--coverage", "--min", "90"]).code(1);
    ran.says("policies/limits.toml:2: rate-limit:failure").says("and `--min` asks for 90 %");
    folder.run(["test", "--coverage", "--min", "20"]).code(0);
    for (args, why) in [
        (&["test", "--min", "90"][..], "give both"),
        (&["test", "--coverage", "--min", "101"], "a percentage is 0 to 100"),
        (&["test", "--coverage", "--min", "most"], "this is no number"),
        (&["test", "--coverage", "--mutants"], "cannot be used with"),
    ] {
        portcullis(folder.path(), args).code(2).says(why);
    }
}

#[test]
fn programs_are_told_all_of_it() {
    let folder = shop(GOOD);
    let ran = folder.run(["test", "--coverage", "--min", "90", "--json"]).code(1);
    let json = ran.json();
    assert_eq!((&json["ok"], &json["failed"]), (&false.into(), &0.into()));
    let coverage = &json["coverage"];
    let reached = coverage["reached"].as_u64().unwrap();
    let asked = coverage["asked"].as_u64().unwrap();
    assert_eq!(coverage["percent"], ((reached * 1000 / asked) as f64 / 10.0));
    let shop = &coverage["policies"][1];
    assert_eq!((&shop["policy"], &shop["file"]), (&"shop".into(), &"policies/shop.toml".into()));
    let validate = &shop["chains"][0]["filters"][0];
    assert_eq!(
        (&validate["filter"], &validate["line"], &validate["runs"]),
        (&"oauth.validate-token".into(), &4.into(), &1.into())
    );
    assert_eq!(validate["items"][0], serde_json::json!({ "what": "success", "line": 4, "reached": 1 }));
    assert_eq!(validate["items"][1], serde_json::json!({ "what": "failure", "line": 4, "reached": 0 }));
    assert_eq!((&shop["chains"][2]["chain"], &shop["chains"][2]["runs"]), (&"chain.writes".into(), &0.into()));
}

#[test]
fn a_tracefile_names_the_files_as_they_are_found_from_here() {
    let folder = shop(GOOD);
    let file = folder.path().join("coverage.info");
    folder.run(["test", "--coverage-lcov", file.to_str().unwrap()]).code(0).says("no test reaches");
    let text = std::fs::read_to_string(&file).unwrap();
    let shop = "SF:policies/shop.toml\n";
    let of_shop = text.split("TN:\n").find(|part| part.starts_with(shop)).expect(&text);
    for line in [
        "FN:4,filter",
        "FNDA:1,filter",
        "FNDA:0,chain.writes",
        "DA:4,1",
        "DA:29,0",
        "BRDA:4,0,0,1",
        "BRDA:4,0,1,0",
        "end_of_record",
    ] {
        assert!(of_shop.lines().any(|one| one == line), "{line} in\n{of_shop}");
    }
    let elsewhere = ["-c", folder.path().to_str().unwrap(), "test", "--coverage-lcov", "from-elsewhere.info"];
    let other = Folder::empty();
    portcullis(other.path(), elsewhere).code(0);
    assert!(
        other.read("from-elsewhere.info").contains(&format!("SF:{}/policies/shop.toml\n", folder.path().display()))
    );
    folder.run(["test", "--coverage-lcov", "no/such/folder/x"]).code(1).says("the coverage cannot be written");
}
