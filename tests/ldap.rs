//! `auth.ldap`, before a real OpenLDAP (`tests/services/slapd.sh` says who is in it).

use std::net::TcpListener;

use crate::harness::http::Response;
use crate::harness::{Folder, Node, wait_until};

fn directory() -> String {
    std::env::var("PORTCULLIS_TEST_LDAP")
        .expect("PORTCULLIS_TEST_LDAP is not set: run the tests with tests/run, which starts slapd and sets it")
}

/// `POST /login`, against the directory at this URL.
fn policy(url: &str) -> String {
    format!(
        r#"
route = "POST /login"

[[filter]]
use        = "auth.ldap"
url        = "{url}"
base       = "dc=example,dc=com"
filter     = "(&(objectClass=inetOrgPerson)(uid={{name}}))"
bind       = {{ dn = "cn=gateway,dc=example,dc=com", password = {{ env = "LDAP_PASSWORD" }} }}
attributes = ["MAIL", "title", "description"]
into       = "person"
timeout    = "1s"

[[filter]]
use = "session.start"

[[filter]]
use  = "respond"
text = "${{subject.id}} ${{vars.person.MAIL ?? -}} ${{vars.person.title ?? -}} ${{vars.person.description ?? -}}"

[[test]]
name    = "somebody of the directory"
given   = {{ directory = [{{ name = "ann", password = "right", attributes = {{ MAIL = ["a@b"], title = ["x", "y"] }} }}] }}
request = {{ form = {{ username = "ann", password = "right" }} }}
expect  = {{ status = 200, text = "ann a@b x y -", stores = {{ sessions = 1 }} }}

[[test]]
name    = "nobody else"
given   = {{ directory = [{{ name = "ann", password = "right" }}] }}
request = {{ form = {{ username = "ann", password = "wrong" }} }}
expect  = {{ status = 403, stores = {{ sessions = 0 }} }}

[[test]]
name    = "a directory that is down is a fault"
given   = {{ directory = "down" }}
request = {{ form = {{ username = "ann", password = "right" }} }}
expect  = {{ status = 503, reason = "directory-unavailable" }}
"#
    )
}

fn node(url: &str, password: &str) -> (Folder, Node) {
    let folder = Folder::shipped();
    folder.write("policies/login.toml", &policy(url));
    let node = Node::on(&folder).env("LDAP_PASSWORD", password).start();
    (folder, node)
}

fn log_in(node: &Node, name: &str, password: &str) -> Response {
    node.post("/login").form(&[("username", name), ("password", password)]).send()
}

#[test]
fn people_of_the_directory_are_let_in_under_its_own_names() {
    let (folder, node) = node(&directory(), "gateway secret");
    folder.run(["test"]).code(0).says("login: somebody of the directory");
    for name in ["ann", "ANN"] {
        let response = log_in(&node, name, "correct horse").status(200);
        assert_eq!(response.text(), "ann ann@example.com one two -");
        assert!(
            response.header("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-portcullis-session=pcw_"))
        );
    }
    assert_eq!(log_in(&node, "star*", "asterisk").status(200).text(), "star* - - -");
    for (name, password) in [
        ("ann", "wrong"),
        ("ann", "asterisk"),
        ("eve", "correct horse"),
        // What means something in a filter means nothing here.
        ("*", "correct horse"),
        ("a*", "correct horse"),
        ("star\\2a", "asterisk"),
        ("ann)(uid=*", "correct horse"),
        ("ann)(|(uid=ann", "correct horse"),
        // Nobody knows which one is meant.
        ("twin", "correct horse"),
    ] {
        let refused = log_in(&node, name, password).status(403);
        assert!(refused.header("set-cookie").is_none(), "{name}");
    }
    // A bind without a password would succeed.
    log_in(&node, "ann", "").status(403);
    let log = node.log();
    assert!(!log.contains("correct horse") && !log.contains("gateway secret"), "{log}");
}

#[test]
fn many_at_once_are_all_answered() {
    let (_folder, node) = node(&directory(), "gateway secret");
    std::thread::scope(|scope| {
        for round in 0..60 {
            let node = &node;
            let (password, expected) = if round % 2 == 0 { ("correct horse", 200) } else { ("wrong", 403) };
            scope.spawn(move || log_in(node, "ann", password).status(expected));
        }
    });
}

#[test]
fn a_directory_that_cannot_be_asked_is_a_fault_and_lets_nobody_in() {
    let (_folder, refusing) = node(&directory(), "not the gateway's");
    log_in(&refusing, "ann", "correct horse").status(503);
    // Nobody listens there.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (_folder, gone) = node(&format!("ldap://{address}"), "x");
    assert_eq!(log_in(&gone, "ann", "correct horse").status(503).header("retry-after"), Some("5"));
    // Somebody does, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_folder, waiting) = node(&format!("ldap://{}", silent.local_addr().unwrap()), "x");
    log_in(&waiting, "ann", "correct horse").status(503);
    wait_until("the access log says why", || waiting.log().contains("directory-unavailable"));
}

#[test]
fn what_would_show_a_password_is_refused() {
    let folder = Folder::shipped();
    let policy = policy("ldap://127.0.0.1:389");
    for (from, to, says) in [
        ("{ env = \"LDAP_PASSWORD\" }", "\"gateway secret\"", "P0005"),
        ("ldap://127.0.0.1:389", "ldap://ldap.example.com", "stunnel"),
    ] {
        folder.write("policies/login.toml", &policy.replace(from, to));
        let run = folder.run(["check"]).code(1).says(says);
        assert!(!run.stdout.contains("gateway secret\" is"), "{}", run.stdout);
    }
}
