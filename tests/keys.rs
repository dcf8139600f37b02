//! Signing keys: what is published, the schedule that a node keeps, and the commands, with and without a node.

use serde_json::Value;

use crate::harness::{Folder, Node, wait_until};

const JWKS: &str = "/api/oauth/jwks";

fn kids(node: &Node) -> Vec<String> {
    let keys = node.get(JWKS).send().status(200).json();
    keys["keys"].as_array().expect("a list").iter().map(|key| key["kid"].as_str().expect("text").to_owned()).collect()
}

fn states(list: &Value) -> Vec<(String, String)> {
    let text = |key: &Value, name: &str| key[name].as_str().expect("text").to_owned();
    list["keys"].as_array().expect("a list").iter().map(|key| (text(key, "kid"), text(key, "state"))).collect()
}

#[test]
fn the_first_key_is_made_when_it_is_needed_and_stays() {
    let folder = Folder::shipped();
    assert_eq!(states(&folder.run(["key", "list", "--json"]).code(0).json()), []);
    let node = Node::start(&folder);
    let first = kids(&node);
    assert_eq!(first.len(), 1);
    let metadata = node.get("/.well-known/openid-configuration").send().status(200).json();
    assert!(metadata["jwks_uri"].as_str().expect("a URL").ends_with(JWKS), "{metadata}");
    let signing = vec![(first[0].clone(), "signing".to_owned())];
    assert_eq!(states(&node.command(&["key", "list", "--json"]).code(0).json()), signing);
    assert_eq!(states(&folder.run(["key", "list", "--json"]).code(0).json()), signing);
    drop(node);
    let node = Node::start(&folder);
    assert_eq!(kids(&node), first);
}

#[test]
fn a_node_keeps_the_schedule() {
    let folder = Folder::shipped();
    folder.append("policies/oauth/server.toml", "\n[keys]\nrotate = \"6s\"\npublish = \"2s\"\n");
    let node = Node::start(&folder);
    let first = kids(&node).remove(0);
    let key = |list: &Value, kid: &str| states(list).into_iter().find(|(of, _)| of == kid).map(|(_, state)| state);
    let list = || folder.run(["key", "list", "--json"]).code(0).json();
    wait_until("another key is published beside it", || kids(&node).iter().any(|kid| *kid != first));
    wait_until("it signs no more", || key(&list(), &first).as_deref() == Some("retired"));
    assert!(kids(&node).contains(&first), "what it signed is good still");
    wait_until("another one signs", || states(&list()).iter().any(|(kid, state)| *kid != first && state == "signing"));
}

#[test]
fn keys_are_made_and_retired_by_hand() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    let first = kids(&node).remove(0);
    // Without a node and through one.
    let made = folder.run(["key", "rotate", "--after", "1h", "--json"]).code(0).json();
    let next = made["kid"].as_str().expect("text").to_owned();
    assert_eq!(made["state"], "upcoming");
    wait_until("the node publishes it", || kids(&node) == [first.clone(), next.clone()]);
    let eddsa = node.command(&["key", "rotate", "--algorithm", "EdDSA", "--json"]).code(0).json();
    assert_eq!((&eddsa["alg"], &eddsa["public"]["crv"]), (&"EdDSA".into(), &"Ed25519".into()));

    let retired = node.command(&["key", "retire", &first, "--json"]).code(0).json();
    assert_eq!(retired["state"], "retired");
    assert!(kids(&node).contains(&first));
    wait_until("another one signs", || kids(&node)[0] != first);
    folder.run(["key", "retire", &first, "--withdraw"]).code(0);
    wait_until("it is published no more", || !kids(&node).contains(&first));

    folder.run(["key", "retire", "nobody"]).code(1);
    folder.run(["key", "rotate", "--algorithm", "HS256"]).code(2);
    assert_eq!(folder.run(["key", "reencrypt", "--json"]).code(0).json()["sealed"], 0);
    for text in [folder.run(["key", "list"]).code(0).stdout, node.command(&["key", "list", "--json"]).code(0).stdout] {
        assert!(text.contains(&next) && !text.contains("sealed:"), "{text}");
    }
}

/// A node that is given a key goes on with what it sealed by its own; one that cannot open the key that signs says so, before a user finds out.
#[test]
fn a_node_whose_keys_do_not_open_says_so() {
    let folder = Folder::shipped();
    let mut node = Node::start(&folder);
    wait_until("a key is there", || node.log().contains("a signing key was made"));
    node.signal("TERM");
    node.end();
    folder.shares_the_key();
    std::fs::copy(folder.at("var/secret.key"), folder.at("own.key")).unwrap();
    std::fs::remove_file(folder.at("var/secret.key")).unwrap();
    let node = Node::start(&folder);
    wait_until("it is told", || node.log().contains("no ID token can be signed"));
    assert!(node.log().contains("which this node does not have (it has `shared`)"), "{}", node.log());
    std::fs::copy(folder.at("own.key"), folder.at("var/secret.key")).unwrap();
    folder.run(["key", "reencrypt"]).code(0).says("1 of 1 keys");
}
