//! `portcullis test`: what the files' own tests can say, what they run in, and what comes out.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::harness::Folder;
use crate::harness::program::{Run, command, finish};

const NODE: &str = "[upstream.orders]\ntargets = [\"http://127.0.0.1:1\"]\n";

/// A protected API in front of the upstream `orders`.
const ORDERS: &str = r#"route = "/orders/{*rest}"

[[filter]]
use = "oauth.validate-token"

[[filter]]
use     = "oauth.check-scope"
asked   = ["orders:read"]
allowed = "${token.scopes}"

[[filter]]
use      = "proxy"
upstream = "orders"
"#;

const ONE_TOKEN: &str =
    r#"clients = [{ id = "app", secret = "s" }], tokens = [{ token = "good", client = "app", scope = "orders:read" }]"#;

/// The shipped policies, an API, and these tests of it.
fn orders(tests: &str) -> Folder {
    let folder = Folder::shipped();
    folder.write("node.toml", NODE);
    folder.write("policies/orders.toml", ORDERS);
    folder.write("policies/orders.test.toml", &tests.replace("ONE_TOKEN", ONE_TOKEN));
    folder
}

fn run(folder: &Folder) -> Run {
    folder.run(["test", "orders"])
}

#[test]
fn a_token_from_its_birth_to_its_end_over_three_policies() {
    let tests = r#"
[[test]]
name  = "a token from its birth to its end"
given = { clients = [{ id = "app", secret = "s", grants = ["client_credentials"], scope = "orders:read" }], upstreams = { orders = { json = { id = 7 } } } }

[[test.step]]
policy  = "oauth/token"
request = { form = { grant_type = "client_credentials" }, basic = ["app", "s"] }
expect  = { status = 200, stores = { access-token = [{ client_id = "app", scope = "orders:read", revoked_at = 0 }] } }
keep    = { token = "$.access_token", type = "header.content-type" }

[[test.step]]
request = { path = "/orders/7?full=yes", bearer = "${kept.token}", headers = { accept = "${kept.type}" } }
expect  = { status = 200, outcome = "success", json = { "$.id" = 7 }, attributes = { "client.id" = "app" }, upstreams = { orders = [{ method = "GET", path = "/orders/7?full=yes", headers = { authorization = false, accept = "application/json" } }] } }

[[test.step]]
policy  = "oauth/revoke"
request = { form = { token = "${kept.token}" }, basic = ["app", "s"] }
expect  = { status = 200, text = "", upstreams = { orders = [] } }

[[test.step]]
request = { path = "/orders/7", bearer = "${kept.token}" }
expect  = { status = 401, outcome = "failure", reason = "invalid_token", upstreams = { orders = [] } }
"#;
    // A record that is not revoked has no such field: the expectation is wrong, and says what is there.
    let failed = run(&orders(tests)).code(1);
    failed.says("in step 1: the store `access-token` has no record").says("\"revoked_at\":null");
    run(&orders(&tests.replace(", revoked_at = 0", ""))).code(0).says("1 passed, 0 failed");
}

#[test]
fn time_passes_when_a_step_says_so_and_no_earlier() {
    let tests = r#"
[[test]]
name  = "a token and a limit both end with time"
given = { ONE_TOKEN, upstreams = { orders = {} } }
[[test.step]]
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 200 }
[[test.step]]
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 429 }
[[test.step]]
advance = "59m59s"
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 200 }
[[test.step]]
advance = "1s"
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 401, reason = "invalid_token" }

[[test]]
name    = "another test finds nothing of it"
given   = { ONE_TOKEN, upstreams = { orders = {} } }
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 200 }
"#;
    let folder = orders(tests);
    let limit = "[[filter]]\nuse = \"rate-limit\"\nkey = \"${client.id}\"\nlimit = \"1/30m\"\n\n[[filter]]\nuse      = \"proxy\"";
    folder.edit("policies/orders.toml", "[[filter]]\nuse      = \"proxy\"", limit);
    run(&folder).code(0).says("2 passed, 0 failed");
    // Even a limit that takes a month to come back does not reach into the next test.
    folder.edit("policies/orders.toml", "1/30m", "1/30d");
    run(&folder).code(1).says("in step 3: the status is 429").says("1 passed, 1 failed");
}

#[test]
fn upstreams_fail_and_stores_are_down_as_the_test_says() {
    let tests = r#"
[[test]]
name    = "an upstream fails: ${case.fail}"
given   = { ONE_TOKEN, upstreams = { orders = { fail = "${case.fail}" } } }
request = { path = "/orders/7", bearer = "good" }
expect  = { status = "${case.status}", outcome = "abort", upstreams = { orders = [{ path = "/orders/7" }] } }
cases   = [{ fail = "timeout", status = 504 }, { fail = "unreachable", status = 502 }, { fail = "malformed", status = 502 }]

[[test]]
name  = "one answer after the other, and then none"
given = { ONE_TOKEN, upstreams = { orders = [{ status = 200, text = "first" }, { status = 404, headers = { x-why = "gone" } }] } }
[[test.step]]
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 200, text = "first" }
[[test.step]]
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 404, headers = { x-why = "gone" } }
[[test.step]]
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 502 }

[[test]]
name  = "a store that goes down and comes back"
given = { ONE_TOKEN, upstreams = { orders = {} } }
[[test.step]]
given   = { stores = { access-token = "down" } }
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 503, outcome = "abort", reason = "store-unavailable", stores = { access-token = 1 }, upstreams = { orders = [] } }
[[test.step]]
given   = { stores = { access-token = "up" } }
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 200 }
[[test.step]]
given   = { clients = [{ id = "app", enabled = false }] }
request = { path = "/orders/7", bearer = "good" }
expect  = { status = 401 }
"#;
    let folder = orders(tests);
    run(&folder).code(0).says("an upstream fails: malformed").says("5 passed, 0 failed");
    for (given, words) in [
        ("stores = { acess-token = \"down\" }", "there is no store `acess-token`"),
        ("stores = { access-token = \"gone\" }", "`gone` is none of the words known here"),
        ("upstreams = { order = {} }", "there is no upstream `order`"),
        ("upstreams = { orders = { fail = \"timeout\", status = 200 } }", "this answers and fails at once"),
        ("upstreams = { orders = [{ json = 1, text = \"x\" }] }", "this answer has two bodies"),
        ("upstreams = { orders = { stauts = 200 } }", "did you mean `status`?"),
        ("now = \"soon\"", "`soon` is no time"),
        ("clients = [{ id = \"a\", grants = [\"client_credential\"] }]", "did you mean `client_credentials`?"),
        ("clients = [{ id = \"a\", auth_method = \"basic\" }]", "`basic` is no way to authenticate a client"),
    ] {
        let test = format!(
            "[[test]]\nname = 'n'\ngiven = {{ {given} }}\nrequest = {{ path = '/orders/7' }}\nexpect = {{ status = 401 }}"
        );
        folder.write("policies/orders.test.toml", &test);
        run(&folder).code(1).says("error[P0115]").says(words).says("policies/orders.test.toml:3:");
    }
}

#[test]
fn a_failure_shows_what_came_and_the_way_beside_the_lines() {
    let folder = orders(
        "[[test]]\nname = 'n'\ngiven = { ONE_TOKEN, upstreams = { orders = { json = { id = 8 } } } }\n\
         request = { path = '/orders/8', bearer = 'good' }\nexpect = { status = 201, json = { '$.id' = 7 } }\n",
    );
    let expected = r#"error[P0601]: the test `n` failed: 2 things differ
 --> policies/orders.test.toml:1:1
  |
1 | [[test]]
  | ^^^^^^^^
  |
  = note: the status is 200, expected 201
          `$.id` is 8, expected 7
  = note: what came: 200
            {"id":8}
  = note: the way it took:
            policies/orders.toml
             4 | use = "oauth.validate-token"   success
             7 | use     = "oauth.check-scope"  success
            12 | use      = "proxy"             success
  = note: what reached upstreams:
            orders: GET /orders/8 -> 200
"#;
    let failed = run(&folder).code(1);
    assert!(failed.stdout.contains(expected), "{}", failed.stdout);
    let json = folder.run(["test", "orders", "--json"]).code(1).json();
    let failure = &json["tests"][0]["failure"];
    assert_eq!(failure["notes"][0], "the status is 200, expected 201\n`$.id` is 8, expected 7");
    assert_eq!((failure["file"].as_str(), failure["line"].as_u64()), (Some("policies/orders.test.toml"), Some(1)));
}

/// Enough tests for several workers: what comes out is the same every time, and in the order of the files.
fn many() -> Folder {
    let folder = Folder::empty();
    folder.write("stores/stores.toml", "default = \"local\"\n[source.local]\ntype = \"memory\"\n");
    for policy in ["a", "b", "c"] {
        let cases: String = (0..100).map(|n| format!("{{ n = {n} }}, ")).collect();
        let test = format!(
            "route = '/{policy}/{{n}}'\n[[filter]]\nuse = 'respond'\ntext = '${{path.n}}'\n\
             [[test]]\nname = 'answers'\nrequest = {{ path = '/{policy}/${{case.n}}' }}\nexpect = {{ text = '${{case.n}}' }}\ncases = [{cases}]\n\
             [[test]]\nname = 'a slip'\nrequest = {{ path = '/{policy}/1' }}\nexpect = {{ text = '2' }}\n"
        );
        folder.write(&format!("policies/{policy}.toml"), &test);
    }
    folder
}

#[test]
fn what_comes_out_is_in_the_order_of_the_files() {
    let folder = many();
    let first = folder.run(["test"]).code(1);
    let lines: Vec<&str> = first.stdout.lines().filter(|line| line.contains(": answers [")).collect();
    let expected: Vec<String> =
        ["a", "b", "c"].iter().flat_map(|p| (1..=100).map(move |n| format!("ok      {p}: answers [{n}]"))).collect();
    assert_eq!(lines, expected);
    assert!(first.stdout.contains("300 passed, 3 failed"), "{}", first.stdout);
    assert_eq!(folder.run(["test"]).code(1).stdout, first.stdout);
}

#[test]
fn tests_are_chosen_by_policy_and_by_name() {
    let folder = many();
    folder.run(["test", "a", "c", "--filter", "answers [7]"]).code(0).says("2 passed, 0 failed");
    folder.run(["test", "--name", "slip"]).code(1).says("0 passed, 3 failed");
    folder.run(["test", "--filter", "nothing like this"]).code(2).says("no test has that text in its name");
    folder.run(["test", "d"]).code(2).says("there is no test of a policy `d`");
}

#[test]
fn results_as_junit_xml_are_read_by_others() {
    let folder = many();
    folder.run(["test", "--junit", "results.xml"]).code(1);
    let suites = junit_parser::from_reader(folder.read("results.xml").as_bytes()).expect("JUnit XML");
    assert_eq!((suites.tests, suites.failures, suites.errors), (303, 3, 0));
    let names: Vec<&str> = suites.suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let suite = &suites.suites[1];
    assert_eq!((suite.tests, suite.failures, suite.cases.len()), (101, 1, 101));
    let slip = suite.cases.iter().find(|case| case.original_name == "a slip").expect("the test that fails");
    assert_eq!(slip.classname.as_deref(), Some("b"));
    let failure = slip.status.failure_as_ref();
    assert_eq!(failure.failure_type, "P0601");
    assert!(failure.message.contains("the body is another text than `2`: `1`"), "{}", failure.message);
    assert!(
        failure.text.contains("policies/b.toml:10:1") && failure.text.contains("the way it took:"),
        "{}",
        failure.text
    );
    assert!(suite.cases[0].status.is_success());
    folder.run(["test", "--junit", "no/such/folder.xml"]).code(1).says("no/such/folder.xml");
}

/// No network, no file written: what strace sees of a run with everything in it.
#[test]
fn tests_touch_nothing_outside() {
    let folder = orders(
        "[[test]]\nname = 'n'\ngiven = { ONE_TOKEN, upstreams = { orders = { json = { id = 8 } } } }\n\
         request = { path = '/orders/8', bearer = 'good' }\nexpect = { status = 200 }\n",
    );
    let traced = |what: &str, args: &[&str]| {
        let calls = "trace=openat,open,creat,socket,connect,mkdir,unlink,rename,mkdirat,unlinkat,renameat2";
        let words = ["strace", "-f", "-e", calls, "-o"].map(str::to_owned);
        let under: Vec<String> = words.into_iter().chain([folder.at(what).display().to_string()]).collect();
        finish(command(folder.path(), &under).args(args), b"").code(0);
        folder.read(what)
    };
    let tested = traced("test.trace", &["test"]);
    let touches = |line: &&str| {
        let written = line.contains("O_WRONLY") || line.contains("O_RDWR") || line.contains("O_CREAT");
        let opened = line.contains("open") && written && !line.contains("\"/dev/") && !line.contains("\"/proc/");
        let socket = line.contains("socket(") || line.contains("connect(");
        let changed = ["mkdir", "unlink", "rename", "creat("].iter().any(|call| line.contains(call));
        opened || socket || changed
    };
    let touched: Vec<&str> = tested.lines().filter(touches).collect();
    assert!(tested.contains("policies/orders.toml"), "the trace has what is read: {tested}");
    assert!(touched.is_empty(), "{touched:#?}");
    // What writes is seen: the JUnit file, and nothing else.
    let written = traced("junit.trace", &["test", "--junit", "results.xml"]);
    let touched: Vec<&str> = written.lines().filter(touches).collect();
    assert!(touched.len() == 1 && touched[0].contains("results.xml"), "{touched:#?}");
}

/// A program that goes on, and the lines it says.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(folder: &Folder, args: &[&str]) -> Watching {
        // Where the tests run in the background of a shell, Control-C would be ignored.
        let under = ["env", "--default-signal=INT"].map(String::from);
        let mut command: Command = command(folder.path(), &under);
        let command = command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (sender, lines) = channel();
        let out: Box<dyn std::io::Read + Send> = Box::new(child.stdout.take().expect("piped"));
        let err: Box<dyn std::io::Read + Send> = Box::new(child.stderr.take().expect("piped"));
        for stream in [out, err] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                // The test may have seen enough.
                BufReader::new(stream).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
            });
        }
        Watching { child, lines }
    }

    /// Reads until a line has this text.
    #[track_caller]
    fn says(&self, text: &str) {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(30)) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no `{text}` in\n{}", seen.join("\n"))
                }
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watch_runs_again_whenever_a_file_changes() {
    let folder = many();
    let watching = Watching::start(&folder, &["test", "a", "--filter", "slip", "--watch"]);
    watching.says("0 passed, 1 failed");
    folder.edit("policies/a.toml", "text = '2'", "text = '1'");
    watching.says("changed: policies/a.toml");
    watching.says("1 passed, 0 failed");
    // Files that cannot be read are told, and looked at again.
    folder.edit("policies/a.toml", "use = 'respond'", "use = 'respnd'");
    watching.says("P0105");
    folder.edit("policies/a.toml", "use = 'respnd'", "use = 'respond'");
    watching.says("1 passed, 0 failed");
    folder.write("policies/new.toml", "route = '/new'\n[[filter]]\nuse = 'respond'\n");
    watching.says("changed: policies/new.toml");
    watching.says("1 passed, 0 failed");
}

#[test]
fn a_watch_ends_by_control_c() {
    let folder = many();
    let mut watching = Watching::start(&folder, &["test", "a", "--watch"]);
    watching.says("waiting for a change");
    let pid = watching.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    let ended = watching.child.wait().expect("it ends");
    assert!(!ended.success());
}

#[test]
fn an_expectation_that_cannot_fail_is_a_mistake() {
    let test = |rest: &str| {
        format!(
            "[[test]]\nname = \"n\"\ngiven = {{ ONE_TOKEN }}\nrequest = {{ path = \"/orders/7\", bearer = \"good\" }}\n{rest}\n"
        )
    };
    for (rest, words) in [
        ("expect = { status = 502, path = [] }", "`path` is empty, and every way ends so"),
        ("expect = { attributes = { \"vars.teir\" = { absent = true } } }", "no policy sets `vars.teir`"),
    ] {
        run(&orders(&test(rest))).code(1).says("P0115").says(words);
    }
    let twice = test("expect = { status = 502 }")
        .replace("ONE_TOKEN", "tokens = [{ token = \"t\", client = \"a\" }, { token = \"t\", client = \"b\" }]");
    run(&orders(&twice)).code(1).says("P0115").says("token `t` is given twice");
}

#[test]
fn what_a_step_is_given_may_be_kept_from_an_earlier_one() {
    let tests = r#"
[[test]]
name  = "kept"
given = { ONE_TOKEN }
[[test.step]]
given   = { upstreams = { orders = { text = "first" } } }
request = { path = "/orders/7", bearer = "good" }
expect  = { text = "first" }
keep    = { word = "text" }
[[test.step]]
given   = { upstreams = { orders = { text = "again ${kept.word}" } } }
request = { path = "/orders/7", bearer = "good" }
expect  = { text = "again first" }
"#;
    run(&orders(tests)).code(0).says("1 passed, 0 failed");
}

/// A test that is sent something else than a node would hand to a policy proves nothing of a node.
#[test]
fn a_request_is_received_as_a_node_receives_it() {
    let tests = r#"
[[test]]
name    = "one form of the path, and no word of a proxy that nobody trusts"
given   = { ONE_TOKEN, upstreams = { orders = {} } }
request = { path = "//%6frders/./7", bearer = "good", headers = { x-real-ip = "1.2.3.4", connection = "x-a", x-a = "1" } }
expect  = { status = 200, attributes = { "request.header.x-real-ip" = { absent = true }, "request.header.x-a" = { absent = true } }, upstreams = { orders = [{ path = "/orders/7" }] } }
"#;
    run(&orders(tests)).code(0).says("1 passed, 0 failed");
    for path in ["/orders/../x", "orders/7", "/orders/%zz"] {
        let refused = run(&orders(&tests.replace("//%6frders/./7", path))).code(1);
        refused.says("a node answers this request 400 (").says("before any policy sees it");
    }
}

#[test]
fn a_filter_that_fits_nothing_is_wrong_usage_for_mutants_too() {
    let folder = orders("[[test]]\nname = \"n\"\nrequest = { path = \"/orders/7\" }\nexpect = { status = 401 }\n");
    folder.run(["test", "--mutants", "--filter", "zzz"]).code(2).says("no test has that text in its name");
}

#[test]
fn junit_holds_no_character_that_xml_has_not() {
    let folder = orders(
        "[[test]]\nname = \"a\\uFFFEb\\u0001c\"\nrequest = { path = \"/orders/7\" }\nexpect = { status = 402 }\n",
    );
    folder.run(["test", "orders", "--junit", "results.xml"]).code(1);
    let xml = folder.read("results.xml");
    assert!(!xml.contains(['\u{fffe}', '\u{ffff}', '\u{1}']), "{xml}");
}

#[test]
fn no_two_tests_of_a_policy_have_one_name_whichever_file_they_stand_in() {
    let test = "[[test]]\nname = \"n\"\nrequest = { path = \"/orders/7\" }\nexpect = { status = 401 }\n";
    let folder = orders(test);
    folder.append("policies/orders.toml", test);
    run(&folder).code(1).says("P0115").says("two tests are called `n`");
}
