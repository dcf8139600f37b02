//! `portcullis token held`: tokens that the gateway holds as a client of others, with and without a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::harness::upstream::Upstream;
use crate::harness::{Folder, Node};

/// A provider that counts how often it gave a token.
struct Partner {
    at: Upstream,
    gave: Arc<AtomicU32>,
}

fn partner() -> Partner {
    let gave = Arc::<AtomicU32>::default();
    let count = gave.clone();
    let at = Upstream::start(move |incoming| {
        incoming.body();
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let json = format!(r#"{{"access_token":"geheim-{number}","token_type":"Bearer","expires_in":600}}"#);
        incoming.answer("200 OK", &[("Content-Type", "application/json")], json.as_bytes());
        true
    });
    Partner { at, gave }
}

impl Partner {
    fn gave(&self) -> u32 {
        self.gave.load(Ordering::Relaxed)
    }
}

/// Which sealing keys there are, the first one first.
fn seal_with(folder: &Folder, partner: &Partner, ids: &[&str]) {
    let keys: Vec<_> = ids.iter().map(|id| format!("{{ id = \"{id}\", file = \"{id}.key\" }}")).collect();
    let provider = format!(
        "[provider.partner]\ntoken_endpoint = \"http://{}/token\"\nclient_id = \"gateway\"\n\
         client_secret = {{ file = \"partner.secret\" }}\nscopes = [\"stock:read\"]\n",
        partner.at.address
    );
    folder.write("node.toml", &format!("[encryption]\nkeys = [{}]\n\n{provider}", keys.join(", ")));
}

fn folder(partner: &Partner) -> Folder {
    let folder = Folder::shipped();
    for (name, text) in [("old.key", "a".repeat(64)), ("new.key", "b".repeat(64)), ("partner.secret", "geheim".into())]
    {
        folder.write_private(name, &text);
    }
    folder.write(
        "policies/stock.toml",
        "route = \"/stock/{scope}\"\n\n[[filter]]\nuse = \"oauth-client.get-token\"\nprovider = \"partner\"\nscopes = \"${path.scope}\"\n\n\
         [[filter]]\nuse = \"respond\"\ntext = \"done\"\n",
    );
    seal_with(&folder, partner, &["old"]);
    folder
}

fn scopes(list: &Value) -> Vec<&str> {
    let mut scopes: Vec<_> = list.as_array().unwrap().iter().map(|held| held["scope"].as_str().unwrap()).collect();
    scopes.sort_unstable();
    scopes
}

#[test]
fn what_is_held_is_listed_deleted_and_sealed_anew() {
    let partner = partner();
    let folder = folder(&partner);
    let node = Node::start(&folder);
    folder.run(["token", "held", "list"]).code(0).says("nothing is held");
    for scope in ["read", "write", "read"] {
        node.get(&format!("/stock/{scope}")).send().status(200);
    }
    assert_eq!(partner.gave(), 2);
    for run in [folder.run(["token", "held", "list", "--json"]), node.command(&["token", "held", "list", "--json"])] {
        let run = run.code(0);
        let list = run.json();
        assert_eq!(scopes(&list), ["read", "write"]);
        let first = &list[0];
        assert_eq!((&first["provider"], &first["client_id"]), (&json!("partner"), &json!("gateway")));
        assert_eq!((first.get("subject"), &first["store"]), (None, &json!("client-access-token")));
        assert!(first["expires_at"].as_u64() > first["obtained_at"].as_u64());
        assert!(!run.stdout.contains("geheim") && !run.stdout.contains("sealed"), "{}", run.stdout);
    }
    folder.run(["token", "held", "list", "--provider", "partner", "--own"]).code(0).says("gateway");
    for nobody in [["--provider", "other"], ["--client", "other"], ["--subject", "ann"]] {
        let [option, name] = nobody;
        folder.run(["token", "held", "list", option, name]).code(0).says("nothing is held");
        folder.run(["token", "held", "delete", option, name]).code(0).says("0 holdings");
    }

    // A change of keys: what is held is good still, and the provider is not asked.
    seal_with(&folder, &partner, &["new", "old"]);
    node.reload().code(0);
    assert_eq!(
        node.command(&["token", "held", "reencrypt", "--json"]).code(0).json(),
        json!({ "records": 2, "sealed": 2 })
    );
    folder.run(["token", "held", "reencrypt"]).code(0).says("0 of 2 holdings");
    seal_with(&folder, &partner, &["new"]);
    node.reload().code(0);
    node.get("/stock/read").send().status(200);
    assert_eq!(partner.gave(), 2);

    // What is deleted is got anew.
    for wrong in [
        &["token", "held", "delete"][..],
        &["token", "held", "delete", "--own", "--subject", "ann"],
        &["token", "held", "delete", "--all", "--own"],
    ] {
        node.command(wrong).code(2);
    }
    node.command(&["token", "held", "delete", "--provider", "partner", "--own"]).code(0).says("2 holdings");
    folder.run(["token", "held", "list"]).code(0).says("nothing is held");
    node.get("/stock/read").send().status(200);
    assert_eq!(partner.gave(), 3);
    folder.run(["token", "held", "delete", "--all", "--json"]).code(0).says("1 holdings");

    let audit = folder.read("var/audit.log");
    assert!(audit.contains("token held delete") && audit.contains("provider partner"), "{audit}");
}
