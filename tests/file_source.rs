//! Clients in a file that people write: `type = "file"`.

use crate::harness::folder::{Client, text};
use crate::harness::{Folder, Node, wait_until};

const STORES: &str = "\
default = \"local\"
[source.local]
type = \"sqlite\"
path = \"var/portcullis.db\"
[source.partners]
type = \"file\"
path = \"clients.toml\"
[store.clients]
source = \"partners\"
";

/// The shipped configuration with one client, `app`, in a file.
fn folder() -> (Folder, Client) {
    let folder = Folder::shipped();
    folder.write("stores/stores.toml", STORES);
    let made = folder.run(["client", "hash", "--json"]).code(0).json();
    let client = Client { id: String::from("app"), secret: text(&made, "client_secret") };
    folder.write("clients.toml", &entry("app", &text(&made, "secret_hash")));
    (folder, client)
}

fn entry(id: &str, hash: &str) -> String {
    format!(
        "[[client]]\nid = \"{id}\"\nsecret_hash = \"{hash}\"\ngrants = [\"client_credentials\"]\nscope = \"a b\"\nenabled = true\n"
    )
}

fn status(node: &Node, client: &Client) -> u16 {
    node.ask_token(client, &[]).status
}

#[test]
fn a_change_of_the_file_is_taken_up_and_a_broken_one_is_not() {
    let (folder, client) = folder();
    let node = Node::start(&folder);
    let token = node.token(&client);
    node.tokeninfo(&token).status(200);
    // A second client, whose secret a person chose.
    let hash = folder.run(["client", "hash", "--secret", "correct horse", "--json"]).code(0).json();
    assert!(hash.get("client_secret").is_none(), "whoever chose it knows it: {hash}");
    folder.append("clients.toml", &entry("other", &text(&hash, "secret_hash")));
    let other = Client { id: String::from("other"), secret: String::from("correct horse") };
    wait_until("the second client", || status(&node, &other) == 200);
    assert_eq!(status(&node, &client), 200);
    let wrong = Client { secret: String::from("correct horses"), ..other.clone() };
    assert_eq!(status(&node, &wrong), 401);
    // The first one disabled: it gets no token, and its tokens are refused.
    let both = folder.read("clients.toml");
    folder.write("clients.toml", &both.replacen("enabled = true", "enabled = false", 1));
    wait_until("the first is disabled", || status(&node, &client) == 401);
    assert_eq!(status(&node, &other), 200);
    assert_ne!(node.tokeninfo(&token).status, 200);
    // Broken: what was there serves on, and everybody is told.
    folder.write("clients.toml", &format!("{both}\n[[client]]\nid = \n"));
    wait_until("it is told", || node.log().contains("clients.toml:"));
    assert_eq!(status(&node, &client), 401, "the file before the broken one");
    assert_eq!(status(&node, &other), 200);
    folder.run(["check"]).code(1).says("clients.toml:");
    node.command(&["reload", "--wait"]).code(1);
    // Gone: the same.
    std::fs::remove_file(folder.at("clients.toml")).unwrap();
    node.command(&["reload", "--wait"]).code(1).says("there is no file `clients.toml`");
    assert_eq!(status(&node, &other), 200);
    folder.write("clients.toml", &both);
    wait_until("it is mended", || status(&node, &client) == 200);
    node.tokeninfo(&token).status(200);
}

#[test]
fn commands_that_would_write_are_refused() {
    let (folder, client) = folder();
    let node = Node::start(&folder);
    let token = node.token(&client);
    for words in [
        &["client", "add", "--id", "new", "--grant", "client_credentials"][..],
        &["client", "rotate", "app"],
        &["client", "disable", "app"],
        &["client", "delete", "app"],
    ] {
        crate::harness::program::portcullis(folder.path(), words).code(2).says("read-only");
    }
    assert_eq!(status(&node, &client), 200);
    node.tokeninfo(&token).status(200);
    folder.run(["client", "show", "app"]).code(0).says("1 valid");
    folder.run(["client", "list"]).code(0).says("app");
    folder.run(["store", "check"]).code(0).says("reads; people write it");
    folder.run(["store", "purge"]).code(0).says("partners");
}

#[test]
fn what_is_wrong_with_the_file_is_told_at_its_place() {
    let (folder, _) = folder();
    let large = "# 0123456789abcdef\n".repeat(300_000);
    for (bytes, says) in [
        (&b"[[client]]\nid = \"\xff\"\n"[..], "no UTF-8"),
        (large.as_bytes(), "larger than"),
        (b"[[client]]\nid = \"a\"\n[[client]]\nid = \"a\"\n", "clients.toml:4:6"),
        (b"[[clients]]\nid = \"a\"\n", "did you mean `client`"),
    ] {
        std::fs::write(folder.at("clients.toml"), bytes).unwrap();
        folder.run(["check"]).code(1).says(says);
    }
    std::fs::remove_file(folder.at("clients.toml")).unwrap();
    std::fs::create_dir(folder.at("clients.toml")).unwrap();
    folder.run(["check"]).code(1).says("cannot be read");
}
