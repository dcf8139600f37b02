//! Hot reload: whole or not at all, and no request is lost.

use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::Value;

use crate::harness::postgres::Postgres;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node, wait_until};

fn says(text: &str) -> String {
    format!("route = \"/hello\"\n[[filter]]\nuse = \"respond\"\ntext = \"{text}\"\n")
}

fn hello(node: &Node) -> String {
    node.get("/hello").send().text()
}

#[test]
fn a_saved_policy_takes_effect_by_itself() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("one"));
    let node = Node::start(&folder);
    let mut wire = Wire::open(node.address);
    let ask = |wire: &mut Wire| node.get("/hello").send_on(wire).expect("the connection is not cut").text();
    assert_eq!(ask(&mut wire), "one");
    folder.write("policies/hello.toml", &says("two"));
    wait_until("renamed over", || ask(&mut wire) == "two");
    std::fs::write(folder.at("policies/hello.toml"), says("three")).unwrap();
    wait_until("written in place", || ask(&mut wire) == "three");
    folder
        .write("policies/deep/er/other.toml", "route = \"/other\"\n[[filter]]\nuse = \"respond\"\ntext = \"other\"\n");
    wait_until("a folder that appeared", || node.get("/other").send().status == 200);
    std::fs::remove_dir_all(folder.at("policies/deep")).unwrap();
    wait_until("a folder that went", || node.get("/other").send().status == 404);
    std::fs::remove_file(folder.at("policies/hello.toml")).unwrap();
    wait_until("a file that went", || node.get("/hello").send().status == 404);
}

/// As Kubernetes mounts a ConfigMap: links to `..data`, itself a link that is swapped.
#[test]
fn a_configmap_is_swapped() {
    let folder = Folder::shipped();
    let mount = folder.at("policies/mounted");
    std::fs::create_dir_all(&mount).unwrap();
    let version = |name: &str, text: &str| {
        std::fs::create_dir(mount.join(name)).unwrap();
        std::fs::write(mount.join(name).join("hello.toml"), says(text)).unwrap();
    };
    version("..2026_1", "one");
    symlink("..2026_1", mount.join("..data")).unwrap();
    symlink("..data/hello.toml", mount.join("hello.toml")).unwrap();
    let node = Node::start(&folder);
    assert_eq!(hello(&node), "one");
    for round in 2..6 {
        let (name, text) = (format!("..2026_{round}"), format!("round {round}"));
        version(&name, &text);
        symlink(&name, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        std::fs::remove_dir_all(mount.join(format!("..2026_{}", round - 1))).unwrap();
        wait_until("the swap is taken up", || hello(&node) == text);
    }
}

#[test]
fn reload_answers_for_the_files_as_they_stand() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("one"));
    let node = Node::start(&folder);
    let reload = |code: i32| node.command(&["reload", "--wait", "--json"]).code(code).json();
    assert_eq!(reload(0)["outcome"], "unchanged");
    for round in 0..5 {
        let text = format!("round {round}");
        folder.write("policies/hello.toml", &says(&text));
        // Perhaps the watcher was faster: then nothing changed for the command, and the files are in force all the same.
        assert_ne!(reload(0)["outcome"], "refused");
        assert_eq!(hello(&node), text, "in force when the command says so");
    }
    // A broken file, however often it is asked for, also after the watcher refused it.
    folder.write("policies/hello.toml", "route = \"/hello\"\n[[filter]]\nuse = \"respnd\"\n");
    for _ in 0..3 {
        let refused = reload(1);
        assert_eq!(refused["outcome"], "refused");
        assert_eq!(refused["diagnostics"][0]["file"], "policies/hello.toml");
        assert_eq!(refused["diagnostics"][0]["line"], 3);
        assert_eq!(hello(&node), "round 4", "the generation before serves on");
        std::thread::sleep(Duration::from_millis(120));
    }
    let text = node.command(&["reload", "--wait"]).code(1);
    assert!(text.stdout.contains("policies/hello.toml:3:"), "{}", text.stdout);
    assert!(text.stdout.contains("respond"), "did you mean: {}", text.stdout);
    folder.write("policies/hello.toml", &says("mended"));
    assert_ne!(reload(0)["outcome"], "refused");
    assert_eq!(hello(&node), "mended");
}

#[test]
fn reload_prints_what_changed() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("one"));
    // No watcher in the way: the change is the command's.
    let node = Node::start(&folder);
    let before = node.command(&["status", "--json"]).code(0).json()["generation"]["number"].as_u64().unwrap();
    folder.write("policies/hello.toml", &says("two"));
    folder.write("policies/new.toml", "route = \"/new\"\n[[filter]]\nuse = \"respond\"\ntext = \"x\"\n");
    node.reload();
    let status = node.command(&["status", "--json"]).code(0).json();
    assert!(status["generation"]["number"].as_u64().unwrap() > before);
    let policies = status["generation"]["policies"].to_string();
    assert!(policies.contains("\"new\"") && policies.contains("\"hello\""), "{policies}");
}

/// Bad, good, bad, good: a refusal does not wedge the watcher.
#[test]
fn a_broken_file_is_told_and_does_no_harm() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("one"));
    let node = Node::start(&folder);
    let refused =
        |node: &Node| node.command(&["status", "--json"]).code(0).json().get("refused").cloned().unwrap_or(Value::Null);
    for (round, broken) in
        ["route = ", "route = \"/hello\"\n[[filter]]\nuse = \"no-such\"\n", "", "\u{0}"].iter().enumerate()
    {
        std::fs::write(folder.at("policies/hello.toml"), broken).unwrap();
        wait_until("the refusal is told", || {
            refused(&node)["text"].as_str().is_some_and(|t| t.contains("policies/hello.toml"))
        });
        assert_ne!(node.get("/hello").send().status, 404);
        let text = format!("good {round}");
        folder.write("policies/hello.toml", &says(&text));
        wait_until("mended", || hello(&node) == text);
        assert_eq!(refused(&node), Value::Null);
    }
    assert!(node.log().contains("P0105"), "the log tells too:\n{}", node.log());
}

/// The policies' own tests gate a reload.
#[test]
fn a_policy_whose_test_fails_is_refused() {
    let folder = Folder::shipped();
    // Its tests alone, so that they end in time (P0602) on any machine.
    std::fs::remove_dir_all(folder.at("policies")).unwrap();
    folder.write("policies/hello.toml", &says("one"));
    let node = Node::start(&folder);
    let test = "[[test]]\nname = \"it greets\"\nrequest = {}\nexpect = { status = 200, text = \"hello\" }\n";
    folder.write("policies/hello.toml", &format!("{}{test}", says("goodbye")));
    node.command(&["reload", "--wait"]).code(1).says("P0601").says("it greets");
    assert_eq!(hello(&node), "one");
    folder.write("policies/hello.toml", &format!("{}{test}", says("hello")));
    node.reload();
    assert_eq!(hello(&node), "hello");
}

#[test]
fn sighup_loads_at_once() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("one"));
    let mut node = Node::start(&folder);
    folder.write("policies/hello.toml", &says("two"));
    node.signal("HUP");
    wait_until("loaded", || hello(&node) == "two");
    assert!(node.runs(), "SIGHUP does not end a node");
}

#[test]
fn node_settings_are_taken_up() {
    let folder = Folder::shipped();
    folder.append("node.toml", "[values]\nword = \"one\"\n");
    folder.write("policies/hello.toml", &says("${values.word}"));
    let node = Node::start(&folder);
    assert_eq!(hello(&node), "one");
    folder.edit("node.toml", "word = \"one\"", "word = \"two\"");
    node.reload();
    assert_eq!(hello(&node), "two");
    folder.edit("node.toml", "word = \"two\"", "wort = \"two\"");
    node.command(&["reload", "--wait"]).code(1).says("P0112");
    assert_eq!(hello(&node), "two");
}

/// `--values` is laid over the values of node.toml, also when they are loaded again.
#[test]
fn values_from_another_file() {
    let folder = Folder::shipped();
    folder.append("node.toml", "[values]\nword = \"one\"\nother = \"x\"\n");
    folder.write("policies/hello.toml", &says("${values.word} ${values.other}"));
    folder.write("prod.toml", "[values]\nword = \"production\"\n");
    let values = folder.at("prod.toml");
    let node = Node::on(&folder).arg("--values").arg(values.to_str().unwrap()).start();
    assert_eq!(hello(&node), "production x");
    folder.edit("node.toml", "other = \"x\"", "other = \"y\"");
    node.reload();
    assert_eq!(hello(&node), "production y");
}

#[test]
fn listeners_come_and_go_and_those_that_stay_are_not_touched() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("here"));
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (one, two) = (free(), free());
    let listener = |name: &str, address| format!("[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\n");
    folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
    folder.write("node.toml", &listener("one", one));
    let node = Node::on(&folder).own_listeners().start();
    assert_eq!(node.address, one);
    let mut kept = Wire::open(one);
    assert_eq!(node.get("/hello").send_on(&mut kept).expect("an answer").text(), "here");
    folder.write("node.toml", &format!("{}{}", listener("one", one), listener("two", two)));
    node.reload();
    let second = crate::harness::Request::new(two, "GET", "/hello");
    wait_until("the second listens", || second.try_send().is_some_and(|answer| answer.status == 200));
    assert_eq!(node.get("/hello").send_on(&mut kept).expect("not cut").text(), "here");
    folder.write("node.toml", &listener("one", one));
    node.reload();
    wait_until("the second is closed", || second.try_send().is_none());
    assert_eq!(node.get("/hello").send_on(&mut kept).expect("not cut").text(), "here");
}

/// `--listen` and `--admin` hold over reloads.
#[test]
fn the_command_lines_addresses_hold() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("here"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let node = Node::on(&folder).own_listeners().arg("--listen").arg(&free).start();
    folder.append(
        "node.toml",
        "[[listener]]\nname = \"other\"\naddress = \"127.0.0.1:1\"\n[admin]\naddress = \"127.0.0.1:2\"\n",
    );
    node.reload();
    assert_eq!(hello(&node), "here");
    node.command(&["status"]).code(0);
}

/// Stores go to another source while the node runs: one line, and a warning that old records stay behind.
#[test]
fn stores_move_to_another_source() {
    let database = Postgres::create();
    let folder = Folder::shipped();
    folder.append("stores/stores.toml", "[source.oauth-db]\ntype = \"postgres\"\nurl = { env = \"OAUTH_DB_URL\" }\n");
    let old = folder.client("app", "a", &[]);
    let node = Node::on(&folder).env("OAUTH_DB_URL", &database.url()).start();
    let token = node.token(&old);
    folder.edit("stores/stores.toml", "default = \"local\"", "default = \"oauth-db\"");
    let reload = node.command(&["reload", "--wait"]).code(0);
    let status = node.command(&["status", "--json"]).code(0).json();
    assert_eq!(status["stores"]["access-token"], "oauth-db");
    assert!(reload.stdout.contains("P0403") || node.log().contains("P0403"), "{}\n{}", reload.stdout, node.log());
    node.tokeninfo(&token).status(400);
    node.ask_token(&old, &[]).error(401, "invalid_client");
    let added =
        node.command(&["client", "add", "--id", "app", "--grant", "client_credentials", "--scope", "a", "--json"]);
    let secret = crate::harness::folder::text(&added.code(0).json(), "client_secret");
    let new = crate::harness::folder::Client { id: "app".into(), secret };
    let token = node.token(&new);
    node.tokeninfo(&token).status(200);
    assert_eq!(database.number("SELECT count(*) FROM access_token"), 1);
    // And back: what was there before is there again.
    folder.edit("stores/stores.toml", "default = \"oauth-db\"", "default = \"local\"");
    node.reload();
    node.ask_token(&old, &[]).status(200);
}

/// A source that cannot be opened does not replace one that works.
#[test]
fn a_source_that_is_not_there_is_refused() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    folder.append("stores/stores.toml", "[source.oauth-db]\ntype = \"postgres\"\nurl = { file = \"url\" }\n");
    folder.write("url", "postgres://nobody@127.0.0.1:1/nothing\n");
    folder.edit("stores/stores.toml", "default = \"local\"", "default = \"oauth-db\"");
    node.command(&["reload", "--wait"]).code(1).says("P0404").says("oauth-db");
    node.ask_token(&client, &[]).status(200);
}

/// On a running node, files that are gone are a mistake (a folder moved, a mount lost), and no configuration without them.
#[test]
fn files_that_are_gone_are_refused() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("here"));
    folder.append("node.toml", "name = \"here\"\n");
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let refused = || node.command(&["status", "--json"]).code(0).json()["refused"]["text"].to_string();
    for (moved, named) in [
        ("stores/stores.toml", "stores/stores.toml"),
        ("stores", "stores/stores.toml"),
        ("node.toml", "node.toml"),
        ("policies", "policies/"),
    ] {
        std::fs::rename(folder.at(moved), folder.at("aside")).unwrap();
        wait_until("the watcher notices", || refused().contains("P0503") && refused().contains(named));
        let said = node.command(&["reload", "--wait"]).code(1).says("P0503").says(named).says("put it back");
        assert_eq!(said.stdout.matches("P0503").count(), 1, "{}", said.stdout);
        assert_eq!(hello(&node), "here", "without {moved}");
        node.ask_token(&client, &[]).status(200);
        std::fs::rename(folder.at("aside"), folder.at(moved)).unwrap();
        assert_eq!(node.command(&["reload", "--wait", "--json"]).code(0).json()["outcome"], "unchanged");
        assert_eq!(refused(), "null");
    }
    // All at once, by SIGHUP.
    for name in ["node.toml", "stores", "policies"] {
        std::fs::rename(folder.at(name), folder.at(&format!("{name}.aside"))).unwrap();
    }
    node.signal("HUP");
    wait_until("it is refused", || refused().contains("P0001"));
    assert_eq!(hello(&node), "here");
    for name in ["node.toml", "stores", "policies"] {
        std::fs::rename(folder.at(&format!("{name}.aside")), folder.at(name)).unwrap();
    }
    // An empty file says that there is to be nothing in it.
    folder.write("node.toml", "");
    node.reload();
    assert_eq!(hello(&node), "here");
}

/// What a node never had, it does not miss; and a start asks for nothing that was.
#[test]
fn files_that_never_were_are_not_missed() {
    let folder = Folder::shipped();
    std::fs::remove_file(folder.at("node.toml")).unwrap();
    std::fs::remove_dir_all(folder.at("stores")).unwrap();
    let node = Node::start(&folder);
    folder.write("policies/hello.toml", &says("here"));
    node.reload();
    assert_eq!(hello(&node), "here");
    folder.write("node.toml", "name = \"here\"\n");
    node.reload();
    std::fs::remove_file(folder.at("node.toml")).unwrap();
    node.command(&["reload", "--wait"]).code(1).says("P0503");
    drop(node);
    assert_eq!(hello(&Node::start(&folder)), "here");
}

/// A listener that is to move from one address to all of them, or back, is in its own way; that is no other process.
#[test]
fn a_listener_does_not_take_its_own_port_at_another_address() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", &says("here"));
    folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let on =
        |address: &str| folder.write("node.toml", &format!("[[listener]]\nname = \"one\"\naddress = \"{address}\"\n"));
    on(&free.to_string());
    let node = Node::on(&folder).own_listeners().start();
    let overlaps = |address: &str, own: &str| {
        on(address);
        let said = node.command(&["reload", "--wait"]).code(1);
        let said =
            said.says(&format!("cannot listen on {address}")).says(&format!("this node itself listens on {own}"));
        assert!(!said.stdout.contains("another process"), "{}", said.stdout);
        assert!(said.stdout.contains("another port") && said.stdout.contains("restart"), "{}", said.stdout);
        assert_eq!(hello(&node), "here");
    };
    let own = free.to_string();
    overlaps(&format!("0.0.0.0:{}", free.port()), &own);
    on(&taken.local_addr().unwrap().to_string());
    node.command(&["reload", "--wait"]).code(1).says("another process");
    on(&own);
    node.reload();
}
