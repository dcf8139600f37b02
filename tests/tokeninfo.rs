//! Token information as Oracle API Gateway answers it.

use crate::harness::{Folder, Node, wait_until};

const TOKENINFO: &str = "/api/oauth/tokeninfo";

#[test]
fn what_is_told_of_a_good_token() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a b", &[]);
    let node = Node::start(&folder);
    let response = node.tokeninfo(&node.token(&client)).status(200);
    let json = response.json();
    assert_eq!(json["audience"], "app");
    assert_eq!(json["scope"], "a b");
    let left = json["expires_in"].as_u64().expect("a number");
    assert!((3590..=3600).contains(&left), "{left}");
    let mut names: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["audience", "expires_in", "scope", "user_id"], "and nothing more where nothing is configured");
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[test]
fn what_is_told_of_all_others() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let changed = format!("{}{}", &token[..token.len() - 1], if token.ends_with('x') { 'y' } else { 'x' });
    for bad in ["nonsense", "pca_", &changed, &token[1..], &format!("{token}=")] {
        let error = node.tokeninfo(bad).status(400).json()["error"].clone();
        assert!(error == "invalid_token" || error == "invalid_request", "{error}");
    }
    node.post(TOKENINFO).form(&[]).send().error(400, "invalid_request");
    node.post(TOKENINFO).form(&[("access_token", "")]).send().error(400, "invalid_request");
    let twice = [("access_token", token.as_str()), ("access_token", token.as_str())];
    node.post(TOKENINFO).form(&twice).send().error(400, "invalid_request");
    node.post(&format!("{TOKENINFO}?access_token={token}")).form(&[]).send().error(400, "invalid_request");
    node.post(TOKENINFO).bearer(&token).form(&[]).send().error(400, "invalid_request");
    let refused = node.get(&format!("{TOKENINFO}?access_token={token}")).send().status(405);
    assert_eq!(refused.header("allow"), Some("POST"));
    folder.run(["token", "revoke", &token]).code(0);
    wait_until("revoked", || node.tokeninfo(&token).status == 400);
}

#[test]
fn an_expired_token() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let policy = folder.read("policies/oauth/token.toml");
    let line = policy.lines().find(|line| line.trim_start().starts_with("lifetime")).expect("a lifetime").to_owned();
    folder.edit("policies/oauth/token.toml", &line, "lifetime = \"2s\"");
    let node = Node::on(&folder).arg("--no-tests").start();
    let token = node.token(&client);
    assert!(node.tokeninfo(&token).status(200).json()["expires_in"].as_u64().unwrap() <= 2);
    wait_until("expired", || node.tokeninfo(&token).status == 400);
    let purged = folder.run(["store", "purge", "--json"]).code(0);
    assert!(purged.json().is_array());
}
