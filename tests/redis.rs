//! Redis as the data source of everything: an outage; the commands of `store`.

use crate::harness::postgres::Line;
use crate::harness::redis::Redis;
use crate::harness::{Node, wait_until};

#[test]
fn what_needs_the_source_is_503_until_it_is_back() {
    let server = Redis::create();
    let line = server.line();
    let folder = server.folder("node-1", &server.url_over(&line));
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    for fall in [Line::cut, Line::silence] {
        fall(&line);
        wait_until("nothing is let in", || node.get("/hello").bearer(&token).send().status == 503);
        let answer = node.ask_token(&client, &[]).status(503);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        node.get("/hello").bearer("nonsense").send().status(401);
        line.mend();
        wait_until("back", || node.get("/hello").bearer(&token).send().status == 200);
        wait_until("tokens are given", || node.ask_token(&client, &[]).status == 200);
    }
}

/// The password is changed at the server first: nothing is let in, and all goes on once the node's file has the new one.
#[test]
fn a_log_in_that_is_refused_is_503_until_it_is_mended() {
    let server = Redis::create();
    let user = format!("node{}", std::process::id());
    let folder = server.folder("node-1", &server.user(&user, "first-word"));
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let changed = server.user(&user, "second-word");
    wait_until("nothing is let in", || node.get("/hello").bearer(&token).send().status == 503);
    let answer = node.ask_token(&client, &[]).status(503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    folder.run(["store", "check"]).code(1).says("mend the user or password");
    assert!(!node.log().contains("first-word"), "{}", node.log());
    folder.write("url", &changed);
    wait_until("back", || node.get("/hello").bearer(&token).send().status == 200);
    node.ask_token(&client, &[]).status(200);
}

#[test]
fn the_commands_of_store() {
    let server = Redis::create();
    let folder = server.folder("node-1", &server.url());
    folder.run(["store", "migrate"]).code(0).says("tokens");
    folder.run(["store", "check"]).code(0).says("tokens").says("Redis ");
    folder.client("app", "a", &[]);
    assert_eq!(server.keys("client"), 2, "the row and the set of rows");
    folder.run(["client", "list"]).code(0).says("app");
    folder.run(["store", "purge"]).code(0).says("tokens");
    folder.run(["client", "delete", "app"]).code(0);
    assert_eq!(server.keys("client"), 0);

    folder.write("url", "redis://somebody:secret-word@127.0.0.1:1/0");
    let check = folder.run(["store", "check"]).code(1).says("tokens");
    assert!(!check.stdout.contains("secret-word") && !check.stderr.contains("secret-word"), "no secret is shown");
    folder.write("url", "rediss://somebody:secret-word@127.0.0.1:1/0");
    let refused = folder.run(["store", "check"]).code(1);
    let told = format!("{}{}", refused.stdout, refused.stderr);
    assert!(told.contains("TLS to Redis is not supported yet") && !told.contains("secret-word"), "{told}");
}
