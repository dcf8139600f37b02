//! A database by ODBC as the data source of everything: an outage; the commands of `store`. The database is PostgreSQL, behind a driver
//! that knows nothing of ours.

use crate::harness::postgres::{Line, Postgres};
use crate::harness::program::{command, finish};
use crate::harness::{Folder, Node, wait_until};

/// The connection string that leads where a URL does.
fn string(url: &str) -> String {
    assert!(
        std::env::var("PORTCULLIS_TEST_ODBC").is_ok(),
        "PORTCULLIS_TEST_ODBC is not set: run the tests with tests/run, which installs the drivers and sets it"
    );
    let parts: Vec<&str> = url.split(['/', '@', ':']).filter(|part| !part.is_empty()).collect();
    let [_, user, host, port, database] = parts[..] else { panic!("{url}") };
    format!("Driver=PostgreSQL;Server={host};Port={port};Database={database};Uid={user};Pwd={{secret-word}}")
}

/// A node's folder whose stores are all there.
pub fn on(name: &str, url: &str) -> Folder {
    let stores = "default = \"tokens\"\n[source.tokens]\ntype = \"odbc\"\nconnection = { file = \"connection\" }\ndialect = \"postgres\"\n";
    let folder = Folder::of_two(name, stores);
    folder.write("connection", &string(url));
    folder
}

#[test]
fn what_needs_the_source_is_503_until_it_is_back() {
    let database = Postgres::create();
    let line = database.line();
    let folder = on("node-1", &database.url_over(&line));
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    for fall in [Line::cut, Line::silence] {
        fall(&line);
        wait_until("nothing is let in", || node.get("/hello").bearer(&token).send().status == 503);
        let answer = node.ask_token(&client, &[]).status(503);
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        line.mend();
        wait_until("back", || node.get("/hello").bearer(&token).send().status == 200);
        wait_until("tokens are given", || node.ask_token(&client, &[]).status == 200);
    }
}

#[test]
fn the_commands_of_store() {
    let database = Postgres::create();
    let folder = on("node-1", &database.url());
    folder.run(["store", "migrate"]).code(0).says("tokens");
    folder.run(["store", "check"]).code(0).says("tokens").says("PostgreSQL ");
    folder.client("app", "a", &[]);
    assert_eq!(database.number("SELECT count(*) FROM client"), 1);
    folder.run(["client", "list"]).code(0).says("app");
    folder.run(["store", "purge"]).code(0).says("tokens");
    folder.run(["client", "delete", "app"]).code(0);
    assert_eq!(database.number("SELECT count(*) FROM client"), 0);

    let nowhere = string(&database.url()).replace("Server=127.0.0.1;Port=", "Server=127.0.0.1;Port=1;Was=");
    folder.write("connection", &nowhere);
    let check = folder.run(["store", "check"]).code(1).says("tokens");
    assert!(!check.stdout.contains("secret-word") && !check.stderr.contains("secret-word"), "no secret is shown");
    folder.write("connection", "Server=127.0.0.1;Pwd=secret-word");
    let refused = folder.run(["store", "check"]).code(1);
    let told = format!("{}{}", refused.stdout, refused.stderr);
    assert!(told.contains("neither a Driver nor a DSN") && !told.contains("secret-word"), "{told}");
}

/// PostgreSQL's driver takes text by the locale of the process: without a UTF-8 one the source is not opened, before a record with text
/// beyond ASCII is refused at night.
#[test]
fn a_locale_without_unicode_is_told_at_once() {
    let database = Postgres::create();
    let folder = on("node-1", &database.url());
    folder.run(["store", "migrate"]).code(0);
    let check = finish(command(folder.path(), &[]).args(["store", "check"]).env("LC_ALL", "C"), b"");
    check.code(1).says("start this program with a UTF-8 locale (LC_ALL=C.UTF-8)");
}
