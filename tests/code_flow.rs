//! The authorization code flow and its kin through real nodes: begun on one node and ended on the other, and eight at once who want the same.

use std::sync::Barrier;

use serde_json::Value;

use crate::harness::browser::{Browser, location, resume};
use crate::harness::cassandra::Keyspace;
use crate::harness::folder::{Client, text};
use crate::harness::mysql::Mysql;
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::harness::{Folder, Node, Response, wait_until};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "https://app.example/cb";
const PASSWORD: &str = "correct horse battery";
const EIGHT: usize = 8;

fn asked(more: &str) -> String {
    format!(
        "/api/oauth/authorize?response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=s1\
         &code_challenge={CHALLENGE}&code_challenge_method=S256{more}"
    )
}

/// The client `app`, and the user `ann`.
fn registered(folder: &Folder) -> Client {
    folder.shares_the_key();
    folder.write("secrets/password", PASSWORD);
    let password = folder.at("secrets/password");
    folder.run(["user", "add", "ann", "--password-file", password.to_str().unwrap()]).code(0);
    let added = folder.run([
        "client",
        "add",
        "--id",
        "app",
        "--json",
        "--scope",
        "a b",
        "--redirect-uri",
        CALLBACK,
        "--grant",
        "authorization_code",
        "--grant",
        "refresh_token",
        "--grant",
        "urn:ietf:params:oauth:grant-type:device_code",
    ]);
    Client { id: "app".into(), secret: text(&added.code(0).json(), "client_secret") }
}

/// Logs in and agrees, each step at the next of the nodes: a browser behind a balancer.
fn log_in(browser: &mut Browser, nodes: &[&Node]) -> String {
    let at = |step: usize| nodes[step % nodes.len()];
    let page = browser.send(at(0).get(&asked(""))).status(200);
    let form = [("resume", resume(&page)), ("username", "ann".into()), ("password", PASSWORD.into())];
    let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = browser.send(at(1).post("/api/oauth/authorize").form(&form)).status(200);
    let resumed = resume(&page);
    let form = [("resume", resumed.as_str()), ("decision", "allow"), ("scope.0", "a"), ("scope.1", "b")];
    let sent = browser.send(at(0).post("/api/oauth/authorize").form(&form)).status(303);
    assert_eq!(location(&sent, "state").as_deref(), Some("s1"));
    assert_eq!(location(&sent, "iss").as_deref(), Some("https%3A%2F%2Flogin.example.com"));
    location(&sent, "code").unwrap()
}

/// Another code: who is logged in and has agreed sees no page.
fn another_code(browser: &mut Browser, node: &Node) -> String {
    location(&browser.send(node.get(&asked(""))).status(303), "code").unwrap()
}

fn redeem(node: &Node, client: &Client, code: &str) -> Response {
    let form =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    node.post("/api/oauth/token").basic(&client.id, &client.secret).form(&form).send()
}

fn refresh(node: &Node, client: &Client, token: &str) -> Response {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    node.post("/api/oauth/token").basic(&client.id, &client.secret).form(&form).send()
}

/// Eight at once, half of them at each node.
fn at_once(nodes: &[&Node], ask: impl Fn(&Node) -> Response + Sync) -> Vec<Response> {
    let barrier = Barrier::new(EIGHT);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..EIGHT)
            .map(|number| {
                let (node, barrier, ask) = (nodes[number % nodes.len()], &barrier, &ask);
                scope.spawn(move || {
                    barrier.wait();
                    ask(node)
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    })
}

fn statuses(answers: &[Response]) -> (usize, usize) {
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(200) + count(400), EIGHT, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    (count(200), count(400))
}

fn json(answers: &[Response]) -> Vec<Value> {
    answers.iter().filter(|answer| answer.status == 200).map(Response::json).collect()
}

/// The whole story on two nodes, and D8, D45 and D85 by eight at once.
fn is_one_server(first: &Folder, second: &Folder) {
    let client = registered(first);
    second.shares_the_key();
    let (one, two) = (Node::start(first), Node::start(second));
    let (nodes, mut browser) = ([&one, &two], Browser::default());
    let good = |token: &Value| nodes.iter().all(|node| node.tokeninfo(token.as_str().unwrap()).status == 200);

    let code = log_in(&mut browser, &nodes);
    let tokens = redeem(&two, &client, &code).status(200).json();
    assert_eq!(tokens["scope"], "a b");
    assert_eq!(one.tokeninfo(&text(&tokens, "access_token")).status(200).json()["user_id"], "ann");
    let renewed = refresh(&one, &client, &text(&tokens, "refresh_token")).status(200).json();
    assert!(good(&renewed["access_token"]));
    redeem(&one, &client, &code).error(400, "invalid_grant");
    assert!(!good(&renewed["access_token"]) && !good(&tokens["access_token"]), "a replay ends what the code gave");

    let code = another_code(&mut browser, &two);
    let answers = at_once(&nodes, |node| redeem(node, &client, &code));
    assert!(statuses(&answers).0 <= 1);
    for tokens in json(&answers) {
        assert!(!good(&tokens["access_token"]), "seven replays end what the one gave");
    }

    let first = redeem(&one, &client, &another_code(&mut browser, &one)).status(200).json();
    let first = text(&first, "refresh_token");
    let answers = at_once(&nodes, |node| refresh(node, &client, &first));
    assert_eq!(statuses(&answers), (EIGHT, 0), "within the grace all get the same");
    let all = json(&answers);
    assert!(all.iter().all(|tokens| tokens["refresh_token"] == all[0]["refresh_token"]), "two families live");
    assert!(all.iter().all(|tokens| tokens["access_token"] == all[0]["access_token"]) && good(&all[0]["access_token"]));
    let second = refresh(&two, &client, &text(&all[0], "refresh_token")).status(200).json();
    refresh(&one, &client, &first).error(400, "invalid_grant");
    assert!(!good(&second["access_token"]), "a reuse after the new one was used ends the family");

    device(&nodes, &client, &mut browser);
    log_out(&nodes, &mut browser);
}

fn device(nodes: &[&Node], client: &Client, browser: &mut Browser) {
    let [one, two] = nodes else { panic!("two nodes") };
    let begun = one
        .post("/api/oauth/device")
        .basic(&client.id, &client.secret)
        .form(&[("scope", "a")])
        .send()
        .status(200)
        .json();
    let (device, user_code) = (text(&begun, "device_code"), text(&begun, "user_code"));
    let page = browser.send(two.get("/api/oauth/verify")).status(200);
    let (resumed, typed) = (resume(&page), user_code.to_lowercase());
    let page =
        browser.send(one.post("/api/oauth/verify").form(&[("resume", &resumed), ("user_code", &typed)])).status(200);
    let resumed = resume(&page);
    browser
        .send(two.post("/api/oauth/verify").form(&[("resume", resumed.as_str()), ("decision", "allow")]))
        .status(200);
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let answers = at_once(nodes, |node| {
        let form = [("grant_type", grant), ("device_code", device.as_str())];
        node.post("/api/oauth/token").basic(&client.id, &client.secret).form(&form).send()
    });
    assert_eq!(statuses(&answers), (1, EIGHT - 1));
    let token = text(&json(&answers)[0], "access_token");
    assert_eq!(two.tokeninfo(&token).status(200).json()["user_id"], "ann");

    let page = browser.send(one.get("/api/oauth/granted")).status(200);
    let resumed = resume(&page);
    browser.send(two.post("/api/oauth/granted").form(&[("resume", resumed.as_str()), ("withdraw", "app")])).status(200);
    one.tokeninfo(&token).status(400);
    let page = browser.send(one.get(&asked(""))).status(200);
    assert!(page.text().contains("name=\"decision\""), "what was taken back is asked again");
}

/// Asked by one node, done by the other: nobody is logged in any more on either.
fn log_out(nodes: &[&Node], browser: &mut Browser) {
    let [one, two] = nodes else { panic!("two nodes") };
    let page = browser.send(one.get("/api/oauth/logout?client_id=app")).status(200);
    let (resumed, session) = (resume(&page), browser.cookies.clone());
    browser
        .send(two.post("/api/oauth/logout").form(&[("resume", resumed.as_str()), ("decision", "log-out")]))
        .status(200);
    let cookie = |name: &str| browser.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(cookie("__Host-portcullis-session"), Some(""));
    let mut thief = Browser { cookies: session };
    for node in nodes {
        assert!(thief.send(node.get(&asked(""))).status(200).text().contains("name=\"password\""), "the session lives");
    }
}

fn shared_on(kind: &str, url: &str) -> [Folder; 2] {
    ["node-1", "node-2"].map(|name| {
        let stores = format!("default = \"db\"\n[source.db]\ntype = \"{kind}\"\nurl = {{ file = \"url\" }}\n");
        let folder = Folder::of_two(name, &stores);
        folder.write("url", url);
        folder
    })
}

#[test]
fn on_postgres() {
    let database = Postgres::create();
    let [first, second] = shared_on("postgres", &database.url());
    is_one_server(&first, &second);
}

#[test]
fn on_mariadb() {
    let database = Mysql::create();
    let [first, second] = shared_on("mysql", &database.url());
    is_one_server(&first, &second);
}

#[test]
fn on_redis() {
    let server = Redis::create();
    let [first, second] = ["node-1", "node-2"].map(|name| server.folder(name, &server.url()));
    is_one_server(&first, &second);
}

#[test]
fn on_cassandra() {
    let keyspace = Keyspace::create();
    let [first, second] = ["node-1", "node-2"].map(|name| keyspace.folder(name));
    is_one_server(&first, &second);
}

#[cfg(feature = "odbc")]
#[test]
fn by_odbc() {
    let database = Postgres::create();
    let [first, second] = ["node-1", "node-2"].map(|name| crate::odbc::on(name, &database.url()));
    is_one_server(&first, &second);
}

/// One file of SQLite, two processes.
#[test]
fn on_sqlite() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("shared.db");
    let folders = ["node-1", "node-2"].map(|name| {
        let folder =
            Folder::of_two(name, &format!("default = \"db\"\n[source.db]\ntype = \"sqlite\"\npath = {path:?}\n"));
        // Two nodes on one machine: SQLite's file is no source that several machines share.
        folder.edit("node.toml", "[cluster]\nnodes = 2\n", "");
        folder
    });
    is_one_server(&folders[0], &folders[1]);
}

/// A session, a form and a code outlive the node that made them.
#[test]
fn a_flow_goes_on_after_a_restart() {
    let folder = Folder::shipped();
    folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
    let client = registered(&folder);
    let mut browser = Browser::default();
    let mut node = Node::start(&folder);
    let page = browser.send(node.get(&asked(""))).status(200);
    node.signal("KILL");
    node.end();
    let node = Node::start(&folder);
    let resumed = resume(&page);
    let form = [("resume", resumed.as_str()), ("username", "ann"), ("password", PASSWORD)];
    let page = browser.send(node.post("/api/oauth/authorize").form(&form)).status(200);
    let resumed = resume(&page);
    let form = [("resume", resumed.as_str()), ("decision", "allow"), ("scope.0", "a")];
    let code = location(&browser.send(node.post("/api/oauth/authorize").form(&form)).status(303), "code").unwrap();
    assert_eq!(redeem(&node, &client, &code).status(200).json()["scope"], "a");
    // What a user is, is known at once: a disabled one is logged in nowhere.
    folder.run(["user", "disable", "ann"]).code(0);
    wait_until("logged out", || browser.send(node.get(&asked(""))).status == 200);
}

/// Whose tokens are revoked is logged in nowhere; and whoever gets the name of a user who was deleted has agreed to nothing.
#[test]
fn who_is_cast_out_leaves_nothing_to_the_next() {
    let folder = Folder::shipped();
    let client = registered(&folder);
    let node = Node::start(&folder);
    let mut browser = Browser::default();
    let log_in = |browser: &mut Browser| {
        let resumed = resume(&browser.send(node.get(&asked(""))).status(200));
        let form = [("resume", resumed.as_str()), ("username", "ann"), ("password", PASSWORD)];
        browser.send(node.post("/api/oauth/authorize").form(&form))
    };
    let resumed = resume(&log_in(&mut browser).status(200));
    let form = [("resume", resumed.as_str()), ("decision", "allow"), ("scope.0", "a"), ("scope.1", "b")];
    let code = location(&browser.send(node.post("/api/oauth/authorize").form(&form)).status(303), "code").unwrap();
    redeem(&node, &client, &code).status(200);
    browser.send(node.get(&asked(""))).status(303);
    folder.run(["token", "revoke", "--subject", "ann"]).code(0).says("the sessions are ended");
    log_in(&mut browser).status(303);
    folder.run(["user", "delete", "ann"]).code(0);
    let password = folder.at("secrets/password");
    folder.run(["user", "add", "ann", "--password-file", password.to_str().unwrap()]).code(0);
    let page = log_in(&mut Browser::default()).status(200);
    assert!(page.text().contains("name=\"decision\""), "another Ann is asked");
}
