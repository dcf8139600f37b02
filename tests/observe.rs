//! What is seen from outside: metrics, access logs, what filters tell, levels of the log, spans; and that no secret is in any of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::upstream::Upstream;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node, wait_until};

const HELLO: &str = r#"
routes = ["GET /hello/{name}", "/other/**"]
[[filter]]
use        = "require"
that       = 'request.uri == request.path'
on_failure = "bad"
[[filter]]
use  = "respond"
text = "hello"
[[chain.bad]]
use    = "fail"
reason = "no-query"
status = 403
"#;

fn folder(node: &str) -> Folder {
    let folder = Folder::shipped();
    folder.append("node.toml", node);
    folder.write("policies/hello.toml", HELLO);
    folder
}

fn metrics(node: &Node) -> String {
    node.admin("GET", "/metrics").send().status(200).text()
}

#[track_caller]
fn counted(node: &Node, line: &str) {
    wait_until(line, || metrics(node).lines().any(|found| found == line));
}

/// A file's lines, once there are so many.
#[track_caller]
fn lines(folder: &Folder, path: &str, count: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(folder.at(path)).unwrap_or_default();
    wait_until(&format!("{count} lines in {path}"), || read().lines().count() >= count);
    read().lines().map(str::to_owned).collect()
}

#[test]
fn requests_are_counted_by_route_outcome_and_reason() {
    let folder = folder("");
    let node = Node::start(&folder);
    node.get("/hello/ann").send().status(200);
    node.get("/hello/ann?x=1").send().status(403);
    node.get("/other/a/b").send().status(200);
    node.get("/nowhere").send().status(404);
    for line in [
        "portcullis_route_requests_total{policy=\"hello\",route=\"/hello/{name}\",outcome=\"answered\",reason=\"\"} 1",
        "portcullis_route_requests_total{policy=\"hello\",route=\"/hello/{name}\",outcome=\"failure\",reason=\"no-query\"} 1",
        "portcullis_route_requests_total{policy=\"hello\",route=\"/other/**\",outcome=\"answered\",reason=\"\"} 1",
        "portcullis_route_requests_total{policy=\"\",route=\"\",outcome=\"failure\",reason=\"not-found\"} 1",
        "portcullis_requests_total{policy=\"hello\",status=\"2xx\"} 2",
        "portcullis_refusals_total{policy=\"hello\",reason=\"no-query\"} 1",
        "portcullis_route_request_duration_seconds_count{policy=\"hello\",route=\"/other/**\"} 1",
        "portcullis_route_sent_bytes_total{policy=\"hello\",route=\"/other/**\"} 5",
        "portcullis_requests_in_flight{listener=\"default\"} 0",
    ] {
        counted(&node, line);
    }
    let all = metrics(&node);
    assert!(all.contains("portcullis_build_info{version=\""), "{all}");
    assert!(all.contains("portcullis_connections{listener=\"default\"}"), "{all}");
}

#[test]
fn what_is_in_flight_and_what_was_sent_is_counted_by_listener() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |incoming| {
        incoming.body();
        incoming.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        let _ = wait.lock().unwrap().recv();
        incoming.send(b"2\r\nde\r\n0\r\n\r\n");
        true
    });
    let folder = folder(&upstream.toml("up"));
    folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    let mut wire = Wire::open(node.address);
    wire.send("POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n1234");
    wire.head().expect("a head").status(200);
    counted(&node, "portcullis_requests_in_flight{listener=\"default\"} 1");
    counted(&node, "portcullis_received_bytes_total{listener=\"default\"} 4");
    go.send(()).unwrap();
    counted(&node, "portcullis_requests_in_flight{listener=\"default\"} 0");
    counted(&node, "portcullis_sent_bytes_total{listener=\"default\"} 5");
    // A client that goes away in the middle of its answer.
    let mut wire = Wire::open(node.address);
    wire.send("GET /up HTTP/1.1\r\nhost: a\r\n\r\n");
    wire.head().expect("a head").status(200);
    drop(wire);
    go.send(()).unwrap();
    counted(&node, "portcullis_route_broken_answers_total{policy=\"up\",route=\"/up\"} 1");
    counted(&node, "portcullis_requests_in_flight{listener=\"default\"} 0");
}

/// An upstream that breaks off is told of as a client that does.
#[test]
fn an_answer_that_its_upstream_breaks_off_is_broken() {
    let upstream = Upstream::start(move |incoming| {
        incoming.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
        false
    });
    let folder = folder(&upstream.toml("up"));
    folder.append("node.toml", "[log]\naccess = \"json\"\naccess_file = \"var/access.log\"\n");
    folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    assert!(!node.get("/up").send().status(200).whole);
    counted(&node, "portcullis_route_broken_answers_total{policy=\"up\",route=\"/up\"} 1");
    let line = &lines(&folder, "var/access.log", 1)[0];
    assert!(line.contains("\"outcome\":\"broken off\""), "{line}");
}

#[test]
fn an_access_log_of_its_own_in_json() {
    let folder = folder(
        "[log]\naccess = \"json\"\naccess_file = \"var/log/access.log\"\n\
         access_fields = [\"method\", \"path\", \"status\", \"policy\", \"route\", \"reason\", \"place\", \"bytes\", \"user_agent\"]\n",
    );
    let node = Node::start(&folder);
    node.get("/hello/ann").header("user-agent", "x\"\u{e9}").send().status(200);
    node.get("/hello/ann?password=geheim").send().status(403);
    let lines = lines(&folder, "var/log/access.log", 2);
    let read = |at: usize| serde_json::from_str::<Value>(&lines[at]).expect("JSON");
    let expected = json!({
        "method": "GET", "path": "/hello/ann", "status": 200, "policy": "hello", "route": "/hello/{name}", "bytes": 5,
        "user_agent": read(0)["user_agent"],
    });
    assert_eq!(read(0), expected);
    assert_eq!((&read(1)["reason"], &read(1)["place"]), (&json!("no-query"), &json!("policies/hello.toml:11")));
    assert!(!node.log().contains("/hello/ann"), "it is in no other log");
    assert!(lines.iter().all(|line| !line.contains("geheim")));
}

#[test]
fn the_common_and_the_combined_format_and_a_file_that_logrotate_moved() {
    let folder = folder("[log]\naccess = \"combined\"\naccess_file = \"access.log\"\n");
    let node = Node::start(&folder);
    let forged = "/hello/a%22%20200%20-%20%C3%A9";
    let get = |path: &str| {
        node.get(path)
            .header("referer", "https://a.example/x?token=geheim")
            .header("user-agent", "a \"b\"")
            .send()
            .status(200)
    };
    get("/hello/ann");
    get(forged);
    let first = lines(&folder, "access.log", 2);
    let ends = "HTTP/1.1\" 200 5 \"https://a.example/x\" \"a \\\"b\\\"\"";
    assert!(first[0].starts_with("127.0.0.1 - - [") && first[0].ends_with(ends), "{first:?}");
    assert!(first[0].contains("\"GET /hello/ann HTTP/1.1\""), "{first:?}");
    assert!(first.len() == 2 && first[1].ends_with(ends), "{first:?}");
    std::fs::rename(folder.at("access.log"), folder.at("access.log.1")).unwrap();
    get("/hello/ann");
    assert_eq!(lines(&folder, "access.log", 1).len(), 1);
    assert_eq!(lines(&folder, "access.log.1", 2), first);
    // The format is taken up by a reload.
    folder.edit("node.toml", "combined", "common");
    node.reload();
    get("/hello/ann");
    let last = lines(&folder, "access.log", 2).remove(1);
    assert!(last.ends_with("\"GET /hello/ann HTTP/1.1\" 200 5"), "{last}");
}

#[test]
fn an_access_log_that_cannot_be_written_delays_no_request_and_its_lines_are_counted() {
    let folder = folder("[log]\naccess = \"common\"\naccess_file = \"file/access.log\"\n");
    folder.write("file", "no folder");
    let node = Node::start(&folder);
    (0..3).for_each(|_| drop(node.get("/hello/ann").send().status(200)));
    counted(&node, "portcullis_access_lines_lost_total 3");
    assert_eq!(node.log().matches("the access log cannot be written").count(), 1, "told once");
}

#[test]
fn settings_of_access_logs_are_checked() {
    for (log, told) in [
        ("access = \"clf\"", "`clf` is no format of the access log"),
        ("access_file = \"a.log\"", "`access_file` says nothing here"),
        ("access = \"common\"\naccess_fields = [\"id\"]", "`access_fields` says nothing here"),
        ("access = \"json\"\naccess_fields = [\"idd\"]", "did you mean `id`?"),
        ("access = \"json\"\naccess_fields = [\"id\", \"id\"]", "stands there twice"),
        ("targets = { access = \"loud\" }", "`loud` is no log level"),
        ("targets = { \"a b\" = \"info\" }", "is no target of log lines"),
    ] {
        let folder = folder(&format!("[log]\n{log}\n"));
        let run = folder.run(["check", "--no-tests"]).code(1);
        assert!(format!("{}{}", run.stdout, run.stderr).contains(told), "{log}: {}", run.stdout);
    }
}

#[test]
fn the_level_of_a_running_node_is_changed_and_goes_back_by_itself() {
    let folder = folder("");
    folder.write(
        "policies/say.toml",
        "route = \"/say\"\n[[filter]]\nuse = \"log\"\nlevel = \"debug\"\nmessage = \"said ${request.query.n}\"\n[[filter]]\nuse = \"respond\"\n",
    );
    let node = Node::start(&folder);
    let say = |n: &str| node.get(&format!("/say?n={n}")).send().status(200);
    say("one");
    node.command(&["log", "level"]).code(0).says("info (as the settings say)");
    node.command(&["log", "level", "DEBUG", "--target", "policy"]).code(0).says("policy: debug");
    say("two");
    wait_until("a line", || node.log().contains("said two"));
    node.command(&["log", "level", "--back"]).code(0).says("as the settings say");
    say("three");
    node.command(&["log", "level", "debug", "--for", "1s"]).code(0).says("debug (as was asked for, until");
    wait_until("it is back", || {
        node.command(&["log", "level"]).code(0).stdout.starts_with("info (as the settings say)")
    });
    say("four");
    // Settings are taken up by a reload, for some targets alone.
    folder.append("node.toml", "[log]\ntargets = { policy = \"debug\" }\n");
    node.reload();
    say("five");
    wait_until("a line", || node.log().contains("said five"));
    let log = node.log();
    assert!(!log.contains("said one") && !log.contains("said three") && !log.contains("said four"), "{log}");
    node.command(&["log", "level", "loud"]).code(2);
    let audit = folder.read("var/audit.log");
    assert!(audit.contains("\"change\":\"log level\",\"of\":\"policy\",\"outcome\":\"done\""), "{audit}");
}

const TELLS: &str = r#"
route = "/tell"
[[filter]]
use     = "log"
message = "told by ${request.header.authorization ?? nobody}"
fields  = { body = "${request.json:$ ??}", key = "${request.header[\"x-api-key\"] ??}", uri = "${request.uri}" }
redact  = ["$.card.number"]
[[filter]]
use    = "audit"
action = "tell"
of     = "card ${request.json:$.card.name}"
who    = "${request.header.x-who ?? somebody}"
fields = { body = "${request.json:$}" }
redact = ["$.card.number"]
[[filter]]
use    = "metric"
metric = "told"
labels = { who = "${request.header.x-who ?? somebody}", token = "${request.header.authorization ?? none}" }
most   = 2
[[filter]]
use = "trace-point"
set = { "app.who" = "${request.header.x-who ?? somebody}", "app.token" = "${request.header.authorization ??}", "app.card" = "${request.json:$.card}" }
secret = ["number"]
[[filter]]
use = "respond"
text = "told"
"#;

#[test]
fn filters_tell_the_log_the_audit_log_and_metrics() {
    let folder = folder("[log]\nformat = \"json\"\n");
    folder.write("policies/tell.toml", TELLS);
    let node = Node::start(&folder);
    for who in ["ann", "bob", "eve", "ann"] {
        node.post("/tell")
            .header("x-who", who)
            .header("content-type", "application/json")
            .body("{\"card\":{\"name\":\"c\",\"number\":\"4711\"}}")
            .send()
            .status(200);
    }
    let audit = lines(&folder, "var/audit-policies.log", 4);
    let first: Value = serde_json::from_str(&audit[0]).expect("JSON");
    assert_eq!(
        (&first["by"], &first["user"], &first["change"], &first["of"]),
        (&json!("policy"), &json!("ann"), &json!("tell"), &json!("card c"))
    );
    assert_eq!(first["fields"]["body"]["card"], json!({ "name": "c", "number": "[redacted]" }));
    counted(&node, "portcullis_custom_told_total{who=\"ann\",token=\"[redacted]\"} 2.0");
    counted(&node, "portcullis_custom_told_total{who=\"bob\",token=\"[redacted]\"} 1.0");
    counted(&node, "portcullis_custom_told_total{who=\"other\",token=\"other\"} 1.0");
    let said = || {
        let lines = node.log();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["target"] == "policy").collect::<Vec<_>>()
    };
    wait_until("all is in the log", || said().len() == 4);
    assert_eq!(said()[0]["fields"]["body"]["card"]["number"], json!("[redacted]"), "fields are an object");
    // Metrics outlive a reload that does not change them.
    folder.append("policies/hello.toml", "\n# a change\n");
    node.reload();
    counted(&node, "portcullis_custom_told_total{who=\"ann\",token=\"[redacted]\"} 2.0");
}

#[test]
fn what_cannot_be_audited_does_not_happen() {
    let folder = folder("");
    folder.write(
        "policies/tell.toml",
        "route = \"/tell\"\n[[filter]]\nuse = \"audit\"\naction = \"tell\"\n[[filter]]\nuse = \"respond\"\n",
    );
    let node = Node::start(&folder);
    std::fs::create_dir(folder.at("var/audit-policies.log")).unwrap();
    node.get("/tell").send().status(503);
    std::fs::remove_dir(folder.at("var/audit-policies.log")).unwrap();
    node.get("/tell").send().status(200);
    assert_eq!(lines(&folder, "var/audit-policies.log", 1).len(), 1);
}

/// A collector that keeps what it is sent.
struct Collector {
    upstream: Upstream,
    sent: Arc<Mutex<HashMap<String, Vec<Vec<u8>>>>>,
}

impl Collector {
    fn start(status: &'static str) -> Collector {
        let sent: Arc<Mutex<HashMap<String, Vec<Vec<u8>>>>> = Arc::default();
        let kept = sent.clone();
        let upstream = Upstream::start(move |incoming| {
            let path = incoming.lines[0].split(' ').nth(1).unwrap_or_default().to_owned();
            let body = incoming.body();
            kept.lock().unwrap().entry(path).or_default().push(body);
            incoming.answer(status, &[], b"");
            true
        });
        Collector { upstream, sent }
    }

    /// All that came to this path, as text where there is some.
    fn text(&self, path: &str) -> String {
        let sent = self.sent.lock().unwrap();
        let all = sent.get(path).map(|bodies| bodies.concat()).unwrap_or_default();
        String::from_utf8_lossy(&all).into_owned()
    }
}

const SECRETS: [&str; 6] =
    ["GEHEIM-bearer-1", "GEHEIM-cookie-2", "GEHEIM-query-3", "GEHEIM-body-4", "GEHEIM-key-5", "GEHEIM-basic-6"];

#[test]
fn no_secret_is_in_any_log_metric_or_trace() {
    let collector = Collector::start("200 OK");
    let folder = folder(&format!(
        "{}[log]\nlevel = \"trace\"\naccess = \"json\"\naccess_file = \"access.log\"\naccess_fields = [\"id\", \"method\", \"path\", \"host\", \"subject\", \"client_id\", \"user_agent\", \"referer\", \"why\", \"reason\"]\n\
         [telemetry]\nupstream = \"collector\"\nmetrics_every = \"1s\"\n",
        collector.upstream.toml("collector")
    ));
    folder.write("policies/tell.toml", TELLS);
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let [bearer, cookie, query, body, key, basic] = SECRETS;
    let tell = node
        .post(&format!("/tell?access_token={query}&code={query}"))
        .header("authorization", &format!("Bearer {bearer}"))
        .header("cookie", &format!("session={cookie}"))
        .header("referer", &format!("https://a.example/?code={query}"))
        .header("x-api-key", key)
        .header("content-type", "application/json")
        .body(format!("{{\"card\":{{\"name\":\"c\",\"number\":\"{body}\"}},\"password\":\"{body}\",\"deep\":[{{\"clientSecret\":\"{body}\"}}]}}"));
    tell.send().status(200);
    node.tokeninfo(&token).status(200);
    node.post("/api/oauth/token").basic("app", basic).form(&[("grant_type", "client_credentials")]).send().status(401);
    node.get(&format!("/nowhere?token={query}")).bearer(bearer).send().status(404);
    wait_until("spans and metrics are there", || {
        collector.text("/v1/traces").contains("/nowhere")
            && collector.text("/v1/metrics").contains("portcullis.requests")
    });
    let outputs = [
        ("the log", node.log()),
        ("the access log", lines(&folder, "access.log", 5).join("\n")),
        ("the audit logs", format!("{}{}", folder.read("var/audit.log"), folder.read("var/audit-policies.log"))),
        ("metrics", metrics(&node)),
        ("traces", collector.text("/v1/traces")),
        ("exported metrics", collector.text("/v1/metrics")),
    ];
    for (name, text) in &outputs {
        for secret in SECRETS.iter().chain([&token.as_str(), &client.secret.as_str()]) {
            assert!(!text.contains(secret), "{secret} is in {name}:\n{text}");
        }
    }
    assert!(outputs[0].1.contains("told by Bearer [redacted]"), "it is told, without the secret");
    assert!(outputs[4].1.contains("app.who"), "and marked on the span");
}

#[test]
fn requests_leave_spans_where_they_are_sampled_or_went_wrong() {
    let collector = Collector::start("200 OK");
    let folder = folder(&format!(
        "{}[upstream.gone]\ntargets = [\"http://127.0.0.1:9\"]\n[telemetry]\nupstream = \"collector\"\nsample = 0\nattributes = {{ \"service.name\" = \"shop-gateway\" }}\n",
        collector.upstream.toml("collector")
    ));
    folder.write(
        "policies/gone.toml",
        "route = \"/gone\"\n[[filter]]\nname = \"ask\"\nuse = \"proxy\"\nupstream = \"gone\"\n",
    );
    let node = Node::start(&folder);
    node.get("/hello/ann").send().status(200);
    node.get("/gone").send().status(502);
    wait_until("the span of what went wrong", || collector.text("/v1/traces").contains("GET /gone"));
    let text = collector.text("/v1/traces");
    for part in ["shop-gateway", "http.route", "upstream-unreachable", "policies/gone.toml:", "service.instance.id"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("/hello/ann"), "it was not sampled");
    folder.edit("node.toml", "sample = 0", "sample = 1.0");
    node.reload();
    node.get("/hello/ann").send().status(200);
    wait_until("a span of each", || collector.text("/v1/traces").contains("/hello/ann"));
    wait_until("they are counted", || {
        metrics(&node)
            .lines()
            .any(|line| line.starts_with("portcullis_spans_sent_total ") && line != "portcullis_spans_sent_total 0")
    });
}

#[test]
fn a_collector_that_takes_nothing_costs_no_request() {
    let collector = Collector::start("400 Bad Request");
    let folder = folder(&format!(
        "{}[telemetry]\nupstream = \"collector\"\nmetrics = false\n",
        collector.upstream.toml("collector")
    ));
    let mut node = Node::start(&folder);
    (0..5).for_each(|_| drop(node.get("/hello/ann").send().status(200)));
    counted(&node, "portcullis_spans_lost_total 5");
    assert_eq!(node.log().matches("the collector does not take spans").count(), 1, "told once");
    assert!(!collector.text("/v1/traces").is_empty() && collector.text("/v1/metrics").is_empty());
    node.signal("TERM");
    assert!(node.end().success());
}

#[test]
fn a_node_that_ends_sends_its_last_spans_and_lines() {
    let collector = Collector::start("200 OK");
    let folder = folder(&format!(
        "{}[log]\naccess = \"common\"\naccess_file = \"access.log\"\n[telemetry]\nupstream = \"collector\"\n",
        collector.upstream.toml("collector")
    ));
    let mut node = Node::start(&folder);
    node.get("/hello/last").send().status(200);
    node.signal("TERM");
    assert!(node.end().success());
    assert!(collector.text("/v1/traces").contains("/hello/last"));
    assert!(folder.read("access.log").contains("/hello/last"));
}

#[test]
fn settings_of_telemetry_are_checked() {
    let timeouts = "timeouts = { connect = \"1s\", first_byte = \"10s\", idle = \"10s\" }";
    let whole =
        format!("[upstream.c]\ntargets = [\"http://127.0.0.1:4318\"]\n{timeouts}\n[telemetry]\nupstream = \"c\"\n");
    let checked = folder(&whole).run(["check", "--no-tests"]).code(0);
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert!(!said.contains("nothing is sent to the upstream"), "{said}");
    for (telemetry, told) in [
        ("", "`upstream` is missing"),
        ("upstream = \"nobody\"", "there is no upstream `nobody`"),
        ("upstream = \"c\"\nsample = 1.5", "from 0, none, to 1, all"),
        ("upstream = \"c\"\nmetrics_every = \"2h\"", "from 1s to 3600s"),
        ("upstream = \"c\"\nheaders = { authorization = \"Bearer x\" }", "clear text"),
        ("upstream = \"c\"\nsampling = 1", "sampl"),
    ] {
        let folder =
            folder(&format!("[upstream.c]\ntargets = [\"http://127.0.0.1:4318\"]\n[telemetry]\n{telemetry}\n"));
        let run = folder.run(["check", "--no-tests"]).code(1);
        assert!(format!("{}{}", run.stdout, run.stderr).contains(told), "{telemetry}: {}{}", run.stdout, run.stderr);
    }
}
