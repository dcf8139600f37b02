//! The audit log: who changed what, by a command or over the admin address; never a secret.

use serde_json::Value;

use crate::harness::{Folder, Node};

fn changes(folder: &Folder) -> Vec<(String, String, String, String)> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or("").to_owned();
    let log = folder.read("var/audit.log");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.map(|line| (text(&line, "by"), text(&line, "change"), text(&line, "of"), text(&line, "outcome"))).collect()
}

#[test]
fn every_change_leaves_a_line_and_no_secret() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    folder.run(["client", "add", "--id", "app", "--grant", "client_credentials"]).code(1);
    let node = Node::start(&folder);
    let token = node.token(&client);
    node.command(&["token", "revoke", &token]).code(0);
    node.command(&["token", "revoke", "--client", "app"]).code(0);
    let rotated = node.command(&["client", "rotate", "app", "--json"]).code(0).json();
    node.command(&["client", "disable", "app"]).code(0);
    node.command(&["client", "list"]).code(0);
    folder.run(["client", "enable", "app"]).code(0);
    folder.run(["client", "delete", "app"]).code(0);
    folder.run(["store", "purge"]).code(0);
    folder.append("stores/stores.toml", "\n[kps.partners]\nkey = \"id\"\n");
    folder.run(["kps", "put", "partners", "id=acme", "password=geheim"]).code(0);
    folder.run(["kps", "put", "partners", "id=acme", "--insert"]).code(1);
    folder.run(["kps", "get", "partners", "acme"]).code(0);
    folder.run(["kps", "delete", "partners", "acme"]).code(0);
    folder.append("stores/stores.toml", "\n[kps.calls]\nkey = \"id\"\nauto_id = true\n");
    folder.append("stores/stores.toml", "\n[kps.limits]\nkey = \"id\"\ncolumns = { id = \"integer\" }\n");
    let call = folder.run(["kps", "put", "calls", "of=acme", "--json"]).code(0).json();
    let call = format!("kps.calls/{}", call["key"].as_str().expect("a key"));
    folder.run(["kps", "put", "limits", "--row", "{\"id\":7}"]).code(0);
    folder.run(["kps", "backup", "limits", "--out", "limits.json"]).code(0);
    folder.run(["kps", "backup", "limits", "--out", "limits.json"]).code(1).says("nothing is written over it");
    folder.run(["kps", "delete", "limits", "007"]).code(0);
    folder.run(["kps", "restore", "limits", "limits.json"]).code(0);
    let expected = [
        ("command", "client add", "app", "done"),
        ("command", "client add", "app", "refused"),
        ("admin", "token revoke", "one token", "done"),
        ("admin", "token revoke", "client app", "done"),
        ("admin", "client rotate", "app", "done"),
        ("admin", "client disable", "app", "done"),
        ("command", "client enable", "app", "done"),
        ("command", "client delete", "app", "done"),
        ("command", "store purge", "", "done"),
        ("command", "kps put", "kps.partners/acme", "done"),
        ("command", "kps put", "kps.partners/acme", "refused"),
        ("command", "kps delete", "kps.partners/acme", "done"),
        ("command", "kps put", &call, "done"),
        ("command", "kps put", "kps.limits/7", "done"),
        ("command", "kps delete", "kps.limits/7", "done"),
        ("command", "kps restore", "kps.limits/7", "done"),
    ];
    let found = changes(&folder);
    let found: Vec<_> = found.iter().map(|(a, b, c, d)| (a.as_str(), b.as_str(), c.as_str(), d.as_str())).collect();
    assert_eq!(found, expected);
    let log = folder.read("var/audit.log");
    for secret in [client.secret.as_str(), &token, rotated["client_secret"].as_str().expect("a secret"), "geheim"] {
        assert!(!log.contains(secret), "{log}");
    }
}
