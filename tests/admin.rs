//! The admin address: always behind a credential, but for health and metrics.

use std::os::unix::fs::PermissionsExt;

use crate::harness::upstream::Upstream;
use crate::harness::wire::Wire;
use crate::harness::{DEADLINE, Folder, Node, Request, portcullis, wait_until};

#[test]
fn what_is_open_and_what_is_not() {
    let folder = Folder::shipped();
    folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let open = |target: &str| Request::new(node.admin, "GET", target).send();
    assert_eq!(open("/health/live").status, 200);
    assert_eq!(open("/health/ready").status, 200);
    assert_eq!(open("/metrics").status, 200);
    let token = folder.read("var/admin.token");
    let token = token.trim_end();
    for (method, target) in [
        ("GET", "/status"),
        ("POST", "/reload"),
        ("GET", "/clients"),
        ("POST", "/clients"),
        ("GET", "/clients/app"),
        ("DELETE", "/clients/app"),
        ("POST", "/tokens/inspect"),
        ("POST", "/tokens/revoke"),
        ("POST", "/stores/check"),
        ("POST", "/stores/purge"),
        ("GET", "/nowhere"),
        ("GET", "/"),
    ] {
        let refused = |request: Request, what: &str| {
            let answer = request.send();
            assert_eq!(answer.status, 401, "{method} {target} {what}: {}", answer.text());
        };
        let request = || Request::new(node.admin, method, target);
        refused(request(), "without");
        refused(request().bearer("wrong"), "wrong");
        refused(request().bearer(&token[..token.len() - 1]), "a part");
        refused(request().bearer(""), "empty");
        refused(request().basic("admin", token), "Basic");
    }
    assert_eq!(node.admin("GET", "/status").send().status, 200);
    assert_eq!(node.admin("GET", "/nowhere").send().status, 404);
    let mode = std::fs::metadata(folder.at("var/admin.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    node.command(&["client", "show", "app"]).code(0);
}

/// A page in a browser on this machine reaches loopback under a name of its own: `Host` gives it away (DNS rebinding).
#[test]
fn host_is_checked() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    for host in ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "localhost.evil.example"] {
        for target in ["/status", "/health/ready", "/metrics"] {
            let answer = node.admin("GET", target).header("Host", host).send();
            assert!(matches!(answer.status, 400 | 403 | 421), "{host} {target}: {}", answer.status);
        }
    }
    let port = node.admin.port();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        assert_eq!(node.admin("GET", "/status").header("Host", &host).send().status, 200, "{host}");
    }
}

#[test]
fn the_token_is_kept_over_starts_and_made_once() {
    let folder = Folder::shipped();
    let first = {
        let _node = Node::start(&folder);
        folder.read("var/admin.token")
    };
    let node = Node::start(&folder);
    assert_eq!(folder.read("var/admin.token"), first);
    node.command(&["status"]).code(0);
    assert!(first.trim_end().len() >= 40, "not to be guessed");
    assert!(!node.log().contains(first.trim_end()), "not in the log");
}

/// A node serves on while its files are broken, and it is then that it is asked about them.
#[test]
fn a_node_is_found_while_its_node_toml_cannot_be_read() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    for (broken, said) in [("[admin\n", "node.toml:1:"), ("[admin]\naddress = \"here\"\n", "node.toml:2:11")] {
        folder.write("node.toml", broken);
        portcullis(folder.path(), ["reload", "--wait"]).code(1).says(said).says("serves on");
        portcullis(folder.path(), ["status"]).code(0).says("The files on disk were refused").says(said);
    }
    std::fs::remove_file(folder.at("node.toml")).expect("it was there");
    portcullis(folder.path(), ["reload", "--wait"]).code(1).says("P0503");

    folder.write("node.toml", "[admin\n");
    let admin = node.admin.to_string();
    drop(node);
    portcullis(folder.path(), ["status"]).code(1).says(&admin).says("`node.toml` cannot be read: node.toml:1:");
    std::fs::remove_file(folder.at("var/admin.address")).expect("the start made it");
    let unknown = portcullis(folder.path(), ["reload", "--wait"]).code(2);
    assert!(unknown.stderr.contains("cannot be read") && unknown.stderr.contains("node.toml:1:"), "{}", unknown.stderr);
    assert!(!unknown.stderr.contains("no node answers"), "{}", unknown.stderr);
}

#[test]
fn commands_without_a_node() {
    let folder = Folder::shipped();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    portcullis(folder.path(), ["reload", "--wait", "--admin", &free]).code(2);
    portcullis(folder.path(), ["status", "--admin", &free]).code(1);
    drop(Node::start(&folder));
    portcullis(folder.path(), ["reload", "--wait", "--admin", &free]).code(2).says("no node");
    let json = portcullis(folder.path(), ["reload", "--wait", "--json", "--admin", &free]).code(2).json();
    assert!(json["error"]["message"].is_string());
    portcullis(folder.path(), ["client", "list", "--admin", &free]).code(1).says("no node");
}

#[test]
fn status_and_metrics_say_what_goes_on() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    node.token(&client);
    let status = node.command(&["status", "--json"]).code(0).json();
    assert_eq!(status["ready"], true);
    assert_eq!(status["state"], "serving");
    assert_eq!(status["listeners"][0]["address"], node.address.to_string());
    assert_eq!(status["sources"][0]["up"], true);
    assert_eq!(status["stores"]["clients"], "local");
    let text = node.command(&["status"]).code(0).stdout;
    assert!(text.contains("generation") && text.contains("local") && !text.contains('\u{1b}'), "{text}");
    let metrics = Request::new(node.admin, "GET", "/metrics").send().status(200);
    let text = metrics.text();
    assert!(text.lines().any(|line| line.starts_with("portcullis_") && !line.ends_with(" 0")), "{text}");
    assert!(text.ends_with("# EOF\n") || text.contains("# TYPE"), "{text}");
}

/// The access log: one line a request, with status and policy, and never a secret.
#[test]
fn the_log_tells_who_refused_and_no_secret() {
    let folder = Folder::shipped();
    folder.append("node.toml", "[log]\nformat = \"json\"\n");
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    node.tokeninfo(&token).status(200);
    node.ask_token(&client, &[("scope", "b")]).error(400, "invalid_scope");
    let lines = |log: &str| {
        let lines: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect();
        lines.into_iter().filter(|line| line["status"].is_number()).collect::<Vec<_>>()
    };
    wait_until("three lines", || lines(&node.log()).len() >= 3);
    let log = node.log();
    let refused = lines(&log).into_iter().find(|line| line["status"] == 400).expect("the refusal's line");
    let text = refused.to_string();
    for word in ["\"oauth/token\"", "policies/oauth/token.toml:", "invalid_scope"] {
        assert!(text.contains(word), "who refused, where and why: {text}");
    }
    for secret in [&client.secret, &token] {
        assert!(!log.contains(secret.as_str()), "a secret in the log");
    }
}

/// A fault says in the log what happened: its reason alone would leave whoever has to mend it in the dark. The client is not told.
#[test]
fn the_log_tells_why_there_was_a_fault() {
    let folder = Folder::shipped();
    folder.append("node.toml", "[upstream.nobody]\ntargets = [\"http://127.0.0.1:1\"]\n");
    folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"nobody\"\n");
    let node = Node::start(&folder);
    let answer = node.get("/up").send().status(502);
    wait_until("it is logged", || node.log().contains("status=502"));
    let log = node.log();
    let line = log.lines().find(|line| line.contains("status=502")).expect("the line");
    assert!(line.contains("why=\"unreachable: "), "{line}");
    assert!(!answer.text().contains("unreachable"), "{}", answer.text());
}

/// A client that hangs up before there is an answer leaves a line and a count, and no status that nobody was sent.
#[test]
fn the_log_and_the_metrics_tell_of_clients_that_went_away() {
    let folder = Folder::shipped();
    let upstream = Upstream::start(|_| {
        std::thread::sleep(DEADLINE);
        false
    });
    folder.append("node.toml", &format!("[log]\nformat = \"json\"\n{}", upstream.toml("up")));
    folder.write("policies/up.toml", "route = \"/up\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"up\"\n");
    let node = Node::start(&folder);
    let mut wire = Wire::open(node.address);
    wire.send("GET /up?secret HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request is at the upstream", || !upstream.heads().is_empty());
    drop(wire);
    let counted = "portcullis_unanswered_requests_total{outcome=\"client gone\"} 1";
    let metrics = Request::new(node.admin, "GET", "/metrics");
    wait_until("it is counted", || metrics.send().text().lines().any(|line| line == counted));
    wait_until("it is logged", || node.log().contains("client gone"));
    let log = node.log();
    let line = log.lines().find(|line| line.contains("client gone")).expect("the line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(
        (&line["outcome"], &line["method"], &line["path"]),
        (&"client gone".into(), &"GET".into(), &"/up".into())
    );
    assert!(line["status"].is_null() && !line["id"].is_null(), "{line}");
}

/// What `/clients` and its kin do over the admin address is what the commands do on the stores.
#[test]
fn records_through_a_node_are_records_in_the_stores() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    let added = node
        .command(&["client", "add", "--id", "app", "--grant", "client_credentials", "--scope", "a", "--json"])
        .code(0)
        .json();
    let client = crate::harness::folder::Client {
        id: "app".into(),
        secret: crate::harness::folder::text(&added, "client_secret"),
    };
    let token = node.token(&client);
    for args in [
        &["client", "list", "--json"][..],
        &["client", "show", "app", "--json"],
        &["token", "inspect", &token, "--json"],
    ] {
        let direct = portcullis(folder.path(), args).code(0).json();
        assert_eq!(node.command(args).code(0).json(), direct, "{args:?}");
    }
    node.command(&["token", "revoke", &token]).code(0);
    node.tokeninfo(&token).status(400);
    node.command(&["client", "disable", "app"]).code(0);
    wait_until("disabled", || node.ask_token(&client, &[]).status == 401);
    node.command(&["client", "add", "--id", "app"]).code(1).says("app");
    node.command(&["client", "delete", "app"]).code(0);
    node.command(&["client", "show", "app"]).code(1);
    node.command(&["store", "check"]).code(0).says("local");
    node.command(&["store", "purge"]).code(0);
}
