//! The commands on records: clients, tokens, stores.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::folder::text;
use crate::harness::program::portcullis_with;
use crate::harness::{Folder, Node, portcullis};

/// Everything that SQLite keeps, as bytes.
fn kept(folder: &Folder) -> Vec<u8> {
    let files = ["var/portcullis.db", "var/portcullis.db-wal"];
    files.iter().flat_map(|file| std::fs::read(folder.at(file)).unwrap_or_default()).collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_life_of_a_client() {
    let folder = Folder::shipped();
    assert_eq!(folder.run(["client", "list", "--json"]).code(0).json(), Value::Array(Vec::new()));
    let added = folder
        .run([
            "client",
            "add",
            "--id",
            "app",
            "--name",
            "Grüße \u{1b}[31m",
            "--grant",
            "client_credentials",
            "--scope",
            "a b",
            "--scope",
            "c",
            "--json",
        ])
        .code(0)
        .json();
    assert_eq!(added["client_id"], "app");
    assert_eq!(added["grant_types"], serde_json::json!(["client_credentials"]));
    assert_eq!(added["scope"], "a b c");
    assert_eq!(added["enabled"], true);
    let secret = text(&added, "client_secret");

    let again = folder.run(["client", "add", "--id", "app", "--json"]).code(1);
    assert!(again.json()["error"]["message"].as_str().is_some_and(|text| text.contains("app")), "{}", again.stdout);
    let shown = folder.run(["client", "show", "app", "--json"]).code(0);
    assert!(!shown.stdout.contains(&secret), "the secret is shown once");
    assert_eq!(shown.json()["client_name"], "Grüße \u{1b}[31m");
    for line in [["client", "show", "app"].as_slice(), &["client", "list"]] {
        let run = portcullis(folder.path(), line).code(0);
        assert!(
            run.stdout.contains("Grüße") && !run.stdout.contains('\u{1b}'),
            "nothing that colours a terminal: {}",
            run.stdout
        );
        assert!(run.stdout.contains("app") && run.stdout.contains("enabled"), "{}", run.stdout);
    }
    folder.run(["client", "disable", "app"]).code(0).says("disabled");
    assert_eq!(folder.run(["client", "show", "app", "--json"]).json()["enabled"], false);
    folder.run(["client", "enable", "app"]).code(0).says("enabled");
    let rotated = folder.run(["client", "rotate", "app", "--json"]).code(0).json();
    assert_ne!(text(&rotated, "client_secret"), secret);
    assert_eq!(folder.run(["client", "show", "app", "--json"]).json()["secrets"], 2);
    folder.run(["client", "delete", "app"]).code(0).says("app");
    for line in ["show", "rotate", "enable", "disable", "delete"] {
        folder.run(["client", line, "app"]).code(1).says("app");
    }
}

/// Generated ids and secrets use unreserved characters only, and are never two alike.
#[test]
fn what_is_generated_needs_no_encoding() {
    let folder = Folder::shipped();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let added = folder.run(["client", "add", "--grant", "client_credentials", "--json"]).code(0).json();
        for word in [text(&added, "client_id"), text(&added, "client_secret")] {
            assert!(word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{word}");
            assert!(!word.starts_with('-'), "it reads as an option: {word}");
            assert!(seen.insert(word.clone()), "{word} twice");
        }
        assert!(text(&added, "client_secret").len() >= 43, "256 bits");
    }
    let list = folder.run(["client", "list", "--json"]).code(0).json();
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|client| text(client, "client_id")).collect();
    assert_eq!(ids.len(), 12);
    assert!(ids.is_sorted(), "{ids:?}");
}

/// Of secrets and tokens only hashes are kept: SHA-256 of what was generated, Argon2id of what somebody chose.
#[test]
fn no_secret_and_no_token_is_kept() {
    let folder = Folder::shipped();
    let generated = folder.client("app", "a", &[]);
    let chosen = folder.client("chosen", "a", &["--secret", "correct horse battery"]);
    let node = Node::start(&folder);
    let token = node.token(&generated);
    node.token(&chosen);
    let bytes = kept(&folder);
    assert!(has(&bytes, "client_credentials"), "the records are there");
    for secret in [&generated.secret, &chosen.secret, &token, &token["pca_".len()..].to_owned()] {
        assert!(!has(&bytes, secret), "`{secret}` is kept");
    }
    assert!(has(&bytes, "sha256:") && has(&bytes, "$argon2id$"));
    for file in ["var", "var/portcullis.db"] {
        let mode = std::fs::metadata(folder.at(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is for its owner alone: {mode:o}");
    }
}

#[test]
fn chosen_secrets_and_where_they_are_read() {
    let folder = Folder::shipped();
    folder.write("secret.txt", "from a file\n");
    let add = |id: &str, more: &[&str], input: &[u8]| {
        let args = [&["client", "add", "--json", "--id", id, "--grant", "client_credentials"], more].concat();
        portcullis_with(folder.path(), args, input)
    };
    let warned = add("a", &["--secret", "on the line"], b"").code(0);
    assert!(warned.stderr.contains("warning"), "{}", warned.stderr);
    let quiet = add("b", &["--secret-stdin"], b"from a pipe\n").code(0);
    assert_eq!(quiet.stderr, "");
    add("c", &["--secret-file", "secret.txt"], b"").code(0);
    add("d", &["--secret-stdin"], b"\n").code(2);
    add("e", &["--secret-file", "nowhere"], b"").code(2).says("nowhere");
    add("f", &["--secret-stdin"], b"\xff\xfe").code(2);
    let node = Node::start(&folder);
    for (id, secret) in [("a", "on the line"), ("b", "from a pipe"), ("c", "from a file")] {
        node.ask_token(&crate::harness::folder::Client { id: id.into(), secret: secret.into() }, &[]).status(200);
    }
    for id in ["d", "e", "f"] {
        folder.run(["client", "show", id]).code(1);
    }
}

#[test]
fn ids_scopes_and_grants_that_cannot_be() {
    let folder = Folder::shipped();
    for line in [
        ["client", "add", "--scope", "a\"b"],
        ["client", "add", "--scope", "ö"],
        ["client", "add", "--id", "a\nb"],
        ["client", "add", "--id", ""],
        ["client", "add", "--grant", "client credentials"],
    ] {
        let run = folder.run(line);
        assert_eq!(run.code, 2, "{line:?}: {}{}", run.stdout, run.stderr);
    }
    assert_eq!(folder.run(["client", "list", "--json"]).json(), Value::Array(Vec::new()));
}

#[test]
fn the_secret_alone() {
    let folder = Folder::shipped();
    let run = folder.run(["client", "add", "-q", "--id", "app", "--grant", "client_credentials"]).code(0);
    let secret = run.stdout.trim_end().to_owned();
    assert_eq!(run.stdout, format!("{secret}\n"));
    let node = Node::start(&folder);
    node.token(&crate::harness::folder::Client { id: "app".into(), secret });
}

#[test]
fn tokens_are_looked_at_and_revoked() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a b", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let view = folder.run(["token", "inspect", &token, "--json"]).code(0).json();
    assert_eq!(
        (view["active"].as_bool(), view["client_id"].as_str(), view["scope"].as_str()),
        (Some(true), Some("app"), Some("a b"))
    );
    let piped =
        portcullis_with(folder.path(), ["token", "inspect", "-", "--json"], format!("{token}\n").as_bytes()).code(0);
    assert_eq!(piped.json(), view);
    let text = folder.run(["token", "inspect", &token]).code(0).stdout;
    assert!(text.contains("app") && text.contains("active"), "{text}");
    folder.run(["token", "revoke", &token]).code(0);
    let view = folder.run(["token", "inspect", &token, "--json"]).code(1).json();
    assert_eq!((view["active"].as_bool(), view["state"].as_str()), (Some(false), Some("revoked")));
    folder.run(["token", "inspect", "nonsense"]).code(1);
    folder.run(["token", "inspect", "pca_nonsense", "--json"]).code(1);
}

#[test]
fn sources_are_checked_migrated_and_purged() {
    let folder = Folder::shipped();
    folder.run(["store", "migrate"]).code(0).says("local");
    let check = folder.run(["store", "check"]).code(0);
    for word in ["local", "sqlite", "schema", "round trip"] {
        assert!(check.stdout.contains(word), "no {word} in {}", check.stdout);
    }
    let json = folder.run(["store", "check", "--json"]).code(0).json();
    assert_eq!((json[0]["source"].as_str(), json[0]["ok"].as_bool()), (Some("local"), Some(true)));
    folder.run(["store", "purge"]).code(0).says("local");

    folder.append("stores/stores.toml", "[source.far]\ntype = \"postgres\"\nurl = { file = \"url\" }\n");
    folder.write("url", "postgres://nobody:secret-word@127.0.0.1:1/none");
    folder.append("stores/stores.toml", "[source.off]\ntype = \"mysql\"\nurl = { file = \"url-2\" }\n");
    folder.write("url-2", "mysql://nobody:secret-word@127.0.0.1:1/none");
    let check = folder.run(["store", "check"]).code(1).says("far, off");
    assert!(check.stdout.contains("help"), "the remedy: {}", check.stdout);
    assert!(!check.stdout.contains("secret-word") && !check.stderr.contains("secret-word"), "no secret is shown");

    let kinds = folder.run(["store", "schema", "--json"]).code(0).json();
    assert_eq!(
        kinds,
        serde_json::json!([
            "cassandra",
            "mysql",
            "odbc-db2",
            "odbc-mssql",
            "odbc-oracle",
            "postgres",
            "redis",
            "sqlite"
        ])
    );
    for kind in ["sqlite", "postgres", "mysql", "cassandra", "odbc-oracle", "odbc-db2", "odbc-mssql"] {
        let sql = folder.run(["store", "schema", kind]).code(0).stdout;
        for table in ["access_token", "client"] {
            assert!(sql.contains(&format!("{table} (")) || sql.contains(&format!("{table}(")), "{kind}: {table}");
        }
    }
    folder.run(["store", "schema", "redis"]).code(0).says("ACL SETUSER");
}

/// A file that is no database, and one of a later version: a clear line, and nothing is changed.
#[test]
fn a_file_that_is_not_ours() {
    let folder = Folder::shipped();
    folder.write("var/portcullis.db", &"this is no database, it is a poem\n".repeat(100));
    let before = folder.read("var/portcullis.db");
    folder.run(["client", "list"]).code(1).says("portcullis.db");
    folder.run(["store", "check"]).code(1);
    assert_eq!(folder.read("var/portcullis.db"), before);
}

/// At night, while one database is down: what does not need it is done, and what needs it says how far it came.
#[test]
fn a_source_that_is_down_keeps_no_command_from_the_others() {
    let folder = Folder::shipped();
    let stores = "default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = \"var/portcullis.db\"\n\
                  [source.partner-db]\ntype = \"postgres\"\nurl = { file = \"url\" }\n\
                  [store.partner-tokens]\nkind = \"access-token\"\nsource = \"partner-db\"\n";
    folder.write("stores/stores.toml", stores);
    folder.write("url", "postgres://app@127.0.0.1:1/x");
    let added = folder.run(["client", "add", "--id", "app", "--grant", "client_credentials", "--json"]).code(0);
    assert_eq!(added.json()["client_id"], "app");
    added.says("warning[P0404]").says("data source `partner-db` cannot be opened");
    let refused = folder.run(["token", "revoke", "--client", "app"]).code(1);
    refused.says("`partner-db`").says("in the other stores of access tokens they are revoked");
    folder.write("stores/stores.toml", &stores.replace("var/portcullis.db", "url/x.db"));
    folder.run(["client", "list"]).code(1).says("error[P0404]");
}

/// A second store of tokens: what is revoked is revoked there too, and a copy does not mix the two.
#[test]
fn tokens_of_every_store_are_revoked() {
    let folder = Folder::shipped();
    let stores = "default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = \"var/portcullis.db\"\n\
                  [source.partner-db]\ntype = \"sqlite\"\npath = \"var/partners.db\"\n\
                  [store.partner-tokens]\nkind = \"access-token\"\nsource = \"partner-db\"\n";
    folder.write("stores/stores.toml", stores);
    let issue = folder.read("policies/oauth/token.toml").split("\n[[test]]").next().expect("its filters").to_owned();
    let issue = issue.replace("POST /api/oauth/token", "POST /partners/token");
    let issue = issue
        .replace("use      = \"oauth.issue-token\"", "use      = \"oauth.issue-token\"\nstore    = \"partner-tokens\"");
    folder.write("policies/partner-token.toml", &issue);
    let hello = "route = \"GET /partners\"\n[[filter]]\nuse = \"oauth.validate-token\"\nstore = \"partner-tokens\"\n[[filter]]\nuse = \"respond\"\nstatus = 204\n";
    folder.write("policies/partners.toml", hello);
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let issue = || {
        let form = [("grant_type", "client_credentials")];
        let answer = node.post("/partners/token").basic(&client.id, &client.secret).form(&form).send();
        text(&answer.status(200).json(), "access_token")
    };
    let good = |token: &str| node.get("/partners").bearer(token).send().status == 204;
    let (one, other) = (issue(), issue());
    assert!(good(&one) && good(&other));
    folder.run(["token", "inspect", &one]).code(0).says("active");
    folder.run(["token", "revoke", &one]).code(0);
    assert!(!good(&one) && good(&other));
    node.command(&["token", "revoke", "--client", "app"]).code(0);
    assert!(!good(&other));
    folder
        .run(["store", "copy", "--from", "local", "--to", "partner-db", "access-token"])
        .code(2)
        .says("store `partner-tokens` keeps records of the same kind");
}
