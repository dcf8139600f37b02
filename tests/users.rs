//! People: the commands on them, log-in and its sessions, wrong passwords that lock a name for all nodes.

use serde_json::{Value, json};

use crate::harness::folder::text;
use crate::harness::http::Response;
use crate::harness::program::portcullis_with;
use crate::harness::{Folder, Node, portcullis, wait_until};

/// `/login`, `/logout`, and `/me`, which lets in by a session, by a password or by a token.
const LOGIN: &str = r#"
route = "POST /login"

[[filter]]
use = "auth.password"

[[filter]]
use = "session.start"

[[filter]]
use    = "respond"
status = 204

[[test]]
name    = "who logs in gets a session"
given   = { users = [{ name = "ann", password = "right", claims = { email = "ann@example.com" } }] }
request = { form = { username = "ann", password = "right" } }
expect  = { status = 204, stores = { users = [{ name = "ann", claims = { email = "ann@example.com" } }], sessions = [{ subject = "ann" }] } }

[[test]]
name    = "nobody else does"
given   = { users = [{ name = "ann", password = "right", enabled = false }] }
request = { form = { username = "ann", password = "right" } }
expect  = { status = 403, path = ["auth.password:failure"], stores = { sessions = 0 } }

[[test]]
name    = "nobody without a password"
request = { form = { username = "ann" } }
expect  = { status = 403 }
"#;
const LOGOUT: &str = r#"
route = "POST /logout"

[[filter]]
use = "session.end"

[[filter]]
use    = "respond"
status = 204

[[test]]
name    = "the session is ended"
given   = { sessions = [{ session = "ANN", subject = "ann" }] }
request = { headers = { cookie = "a=b; __Host-portcullis-session=ANN" } }
expect  = { status = 204, stores = { sessions = 0 } }
"#;
const ME: &str = r#"
route = "GET /me"

[[filter]]
use = "any"
of  = ["session", "password", "token"]

[[filter]]
use  = "respond"
text = "${subject.id} ${subject.methods}"

[[chain.session]]
use = "auth.session"

[[chain.password]]
use = "auth.basic"

[[chain.token]]
use = "oauth.validate-token"

[[test]]
name    = "by a session"
given   = { sessions = [{ session = "ANN", subject = "ann" }] }
request = { headers = { cookie = "__Host-portcullis-session=ANN" } }
expect  = { status = 200, text = "ann pwd" }

[[test]]
name    = "not by one that was left unused"
given   = { sessions = [{ session = "ANN", subject = "ann", age = "2h", unused = "30m" }] }
request = { headers = { cookie = "__Host-portcullis-session=ANN" } }
expect  = { status = 401 }

[[test]]
name    = "by a password"
given   = { users = [{ name = "ann", password = "right" }] }
request = { basic = ["ann", "right"] }
expect  = { status = 200, text = "ann pwd" }

[[test]]
name    = "by a token"
given   = { clients = [{ id = "app" }], tokens = [{ token = "T", client = "app", subject = "bob" }] }
request = { bearer = "T" }
expect  = { status = 200, text = "bob " }
"#;

/// The shipped configuration with these policies.
fn folder() -> Folder {
    with_policies(Folder::shipped())
}

fn with_policies(folder: Folder) -> Folder {
    folder.write("policies/login.toml", LOGIN);
    folder.write("policies/logout.toml", LOGOUT);
    folder.write("policies/me.toml", ME);
    folder
}

/// Two nodes' folders over one database.
fn two() -> [Folder; 2] {
    let first = Folder::shipped();
    let stores =
        format!("default = \"both\"\n[source.both]\ntype = \"sqlite\"\npath = {:?}\n", first.at("var/both.db"));
    first.write("stores/stores.toml", &stores);
    let second = Folder::shipped();
    second.write("stores/stores.toml", &stores);
    [with_policies(first), with_policies(second)]
}

/// Adds a user whose password this is.
fn add(folder: &Folder, name: &str, password: &str) {
    portcullis_with(folder.path(), ["user", "add", name, "--password-stdin"], password.as_bytes()).code(0);
}

fn log_in(node: &Node, name: &str, password: &str) -> Response {
    node.post("/login").form(&[("username", name), ("password", password)]).send()
}

/// The cookie of the session that an answer began.
fn cookie(response: &Response) -> String {
    let set = response.header("set-cookie").expect("a cookie");
    set.split(';').next().unwrap_or_default().to_owned()
}

fn me(node: &Node, cookie: &str) -> Response {
    node.get("/me").header("cookie", cookie).send()
}

#[test]
fn the_policies_of_these_tests_have_tests_that_hold() {
    folder().run(["test"]).code(0).says("me: by a session");
}

#[test]
fn the_life_of_a_user() {
    let folder = folder();
    assert_eq!(folder.run(["user", "list", "--json"]).code(0).json(), json!([]));
    let line = [
        "user",
        "add",
        "ann",
        "--json",
        "--email",
        "ann@example.com",
        "--name",
        "Ann \u{1b}[31m",
        "--claim",
        "email_verified=true",
        "--claim",
        "locale=de",
        "--claim",
        "groups=[\"a\"]",
    ];
    let added = portcullis(folder.path(), line).code(0).json();
    let password = text(&added, "password");
    assert_eq!(password.len(), 22);
    let claims = json!({
        "email": "ann@example.com", "email_verified": true, "groups": ["a"], "locale": "de", "name": "Ann \u{1b}[31m",
    });
    assert_eq!((&added["name"], &added["enabled"], &added["claims"]), (&json!("ann"), &json!(true), &claims));
    folder.run(["user", "add", "ann"]).code(1).says("there is a user `ann` already");
    let shown = folder.run(["user", "show", "ann", "--json"]).code(0);
    assert!(!shown.stdout.contains(&password) && !shown.stdout.contains("argon2"), "{}", shown.stdout);
    for line in [&["user", "show", "ann"][..], &["user", "list"]] {
        let run = portcullis(folder.path(), line).code(0).says("ann@example.com").says("enabled");
        assert!(!run.stdout.contains('\u{1b}'), "nothing that colours a terminal: {}", run.stdout);
    }
    let set = ["user", "set", "ann", "--email", "a@example.com", "--claim", "locale=null", "--json"];
    let set = portcullis(folder.path(), set).code(0).json();
    assert_eq!((&set["claims"]["email"], set["claims"].get("locale")), (&json!("a@example.com"), None));
    assert_eq!(set["claims"]["groups"], json!(["a"]));
    folder.run(["user", "set", "ann"]).code(2).says("nothing to set");
    folder.run(["user", "set", "ann", "--claim", "sub=eve"]).code(2).says("`sub`");
    folder.run(["user", "set", "ann", "--claim", "sub"]).code(2).says("NAME=VALUE");

    let node = Node::start(&folder);
    let session = cookie(&log_in(&node, "ann", &password).status(204));
    assert_eq!(me(&node, &session).status(200).text(), "ann pwd");
    // Another password ends what the one before began.
    let quiet = folder.run(["user", "set-password", "ann", "--quiet"]).code(0).stdout;
    let another = quiet.trim_end();
    log_in(&node, "ann", &password).status(403);
    me(&node, &session).status(401);
    let mut session = cookie(&log_in(&node, "ann", another).status(204));
    // Disabled, on a running node: no log-in, and no session that there was; so by way of the node as well.
    for by_node in [false, true] {
        let line = ["user", "disable", "ann"];
        let disabled = if by_node { node.command(&line) } else { folder.run(line) };
        disabled.code(0).says("disabled");
        log_in(&node, "ann", another).status(403);
        node.get("/me").basic("ann", another).send().status(401);
        me(&node, &session).status(401);
        node.command(&["user", "enable", "ann"]).code(0).says("enabled");
        me(&node, &session).status(401);
        session = cookie(&log_in(&node, "ann", another).status(204));
    }
    node.command(&["user", "delete", "ann"]).code(0).says("deleted");
    log_in(&node, "ann", another).status(403);
    me(&node, &session).status(401);
    for word in ["show", "set-password", "enable", "disable", "unlock", "delete"] {
        folder.run(["user", word, "ann"]).code(1).says("there is no user `ann`");
        node.command(&["user", word, "ann"]).code(1).says("there is no user `ann`");
    }
}

#[test]
fn a_session_is_every_node_s_until_it_is_ended_on_any() {
    let [first, second] = two();
    let nodes = [Node::start(&first), Node::start(&second)];
    add(&first, "ann", "correct horse");
    let session = cookie(&log_in(&nodes[0], "ann", "correct horse").status(204));
    assert_eq!(me(&nodes[1], &session).status(200).text(), "ann pwd");
    nodes[1].post("/logout").header("cookie", &session).send().status(204);
    for node in &nodes {
        me(node, &session).status(401);
    }
}

#[test]
fn wrong_passwords_lock_a_name_for_all_nodes() {
    let [first, second] = two();
    let nodes = [Node::start(&first), Node::start(&second)];
    add(&first, "ann", "correct horse");
    for round in 0..10 {
        log_in(&nodes[round % 2], "ann", "wrong").status(403);
        log_in(&nodes[round % 2], "nobody", "wrong").status(403);
    }
    let locked = nodes.iter().map(|node| log_in(node, "ann", "correct horse").status(403).text());
    let locked: Vec<_> = locked.map(|text| told(&text)).collect();
    assert_eq!(locked[0], told(&log_in(&nodes[0], "nobody", "correct horse").status(403).text()), "told apart");
    nodes[1].get("/me").basic("ann", "correct horse").send().status(401);
    let shown = second.run(["user", "show", "ann", "--json"]).code(0).json();
    assert!(shown["locked_until"].is_u64(), "{shown}");
    first.run(["user", "list"]).code(0).says("locked until");
    assert_eq!(first.run(["user", "list", "--json"]).json().as_array().map(Vec::len), Some(1), "a count is no user");
    nodes[0].command(&["user", "unlock", "ann"]).code(0).says("not locked");
    for node in &nodes {
        log_in(node, "ann", "correct horse").status(204);
        log_in(node, "nobody", "correct horse").status(403);
    }
}

/// An answer without what belongs to one request.
fn told(text: &str) -> Value {
    let mut json: Value = serde_json::from_str(text).expect("JSON");
    json.as_object_mut().map(|members| members.remove("request_id"));
    json
}

/// D49: nobody can take a token's `sub` for somebody else.
#[test]
fn rfc9700_4_15_no_user_has_a_client_s_name_and_no_client_a_user_s() {
    let folder = folder();
    let node = Node::start(&folder);
    folder.client("app", "a", &[]);
    add(&folder, "ann", "correct horse");
    for by_node in [false, true] {
        let run = |args: &[&str]| if by_node { node.command(args) } else { portcullis(folder.path(), args) };
        run(&["user", "add", "app"]).code(1).says("there is a client `app`");
        run(&["client", "add", "--id", "ann"]).code(1).says("there is a user `ann`");
    }
    folder.run(["user", "show", "app"]).code(1);
    folder.run(["client", "show", "ann"]).code(1);
}

#[test]
fn passwords_come_from_where_nobody_sees_them_and_only_hashes_are_kept() {
    let folder = folder();
    folder.write("password.txt", "from a file\n");
    let file = folder.at("password.txt");
    let file = file.to_str().expect("UTF-8");
    let added = folder.run(["user", "add", "bob", "--password-file", file, "--json"]).code(0).json();
    assert_eq!(added.get("password"), None, "whoever chose it knows it");
    add(&folder, "ann", "from standard input\r\n");
    for (input, says) in [("", "empty"), ("\n", "empty"), ("short", "8 characters"), (&"x".repeat(2_000), "1024")] {
        portcullis_with(folder.path(), ["user", "add", "eve", "--password-stdin"], input.as_bytes()).code(2).says(says);
    }
    folder.run(["user", "add", "eve", "--password-file", "nowhere"]).code(2).says("nowhere");
    folder.run(["user", "add", "no name"]).code(2).says("255");
    let node = Node::start(&folder);
    log_in(&node, "bob", "from a file").status(204);
    log_in(&node, "ann", "from standard input").status(204);
    let files = ["var/portcullis.db", "var/portcullis.db-wal"];
    let kept: Vec<u8> = files.iter().flat_map(|file| std::fs::read(folder.at(file)).unwrap_or_default()).collect();
    let has = |text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("$argon2id$") && has("pwd"));
    assert!(!has("from a file") && !has("from standard input") && !has("pcw_"));
    let log = folder.read("var/audit.log") + &node.log();
    assert!(log.contains("user add") && !log.contains("from a file") && !log.contains("from standard"), "{log}");
}

#[test]
fn users_of_a_file() {
    let folder = folder();
    folder.append(
        "stores/stores.toml",
        "[source.people]\ntype = \"file\"\npath = \"people.toml\"\n[store.users]\nsource = \"people\"",
    );
    let hashed = folder.run(["user", "hash", "--json"]).code(0).json();
    let (password, hash) = (text(&hashed, "password"), text(&hashed, "password_hash"));
    let entry = |name: &str| {
        format!("[[user]]\nname = \"{name}\"\npassword_hash = \"{hash}\"\nclaims = {{ email = \"a@b\" }}\n")
    };
    folder.write("people.toml", &entry("ann"));
    let node = Node::start(&folder);
    let session = cookie(&log_in(&node, "ann", &password).status(204));
    me(&node, &session).status(200);
    log_in(&node, "ann", "wrong").status(403);
    folder.run(["user", "show", "ann"]).code(0).says("a@b");
    for word in ["set-password", "enable", "disable", "delete"] {
        folder.run(["user", word, "ann"]).code(2).says("read-only");
    }
    folder.run(["user", "add", "bob"]).code(2).says("read-only");
    log_in(&node, "bob", &password).status(403);
    folder.append("people.toml", &entry("bob"));
    // Not by trying: that would lock the name.
    wait_until("bob", || node.command(&["user", "show", "bob"]).code == 0);
    log_in(&node, "bob", &password).status(204);
    for (file, says) in [
        ("[[user]]\nname = \"ann\"\npassword = \"correct horse\"\n", "people.toml:3:12"),
        ("[[user]]\nname = \"ann\"\npassword_hash = \"correct horse\"\n", "people.toml:3:17"),
        ("[[user]]\nname = \"a b\"\n", "people.toml:2:8"),
        ("[[user]]\nname = \"a\"\n[[user]]\nname = \"a\"\n", "people.toml:4:8"),
        ("[[user]]\nname = \"a\"\nclaims = { iss = \"x\" }\n", "people.toml:3:10"),
        ("[[users]]\nname = \"a\"\n", "did you mean `user`"),
    ] {
        folder.write("people.toml", file);
        let run = folder.run(["check"]).code(1).says(says);
        assert!(!run.stdout.contains("correct horse\" is"), "{}", run.stdout);
    }
}
