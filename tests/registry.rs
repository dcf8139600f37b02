//! The client registry: what can be said of a client, and changed.

use serde_json::{Value, json};

use crate::harness::{Folder, Node, portcullis};

const CODE: [&str; 4] = ["--grant", "authorization_code", "--redirect-uri", "https://shop.example.com/cb"];

fn add(folder: &Folder, id: &str, more: &[&str]) -> Value {
    let words = ["client", "add", "--id", id, "--json"];
    portcullis(folder.path(), words.iter().chain(more)).code(0).json()
}

#[test]
fn everything_that_is_said_of_a_client_comes_back() {
    let folder = Folder::shipped();
    folder.write("keys.json", r#"{ "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }] }"#);
    let keys = folder.at("keys.json").display().to_string();
    let more = [
        "--redirect-uri",
        "http://127.0.0.1/cb",
        "--post-logout-redirect-uri",
        "https://shop.example.com/bye",
        "--client-uri",
        "https://shop.example.com/",
        "--logo-uri",
        "https://shop.example.com/logo.png",
        "--tos-uri",
        "https://shop.example.com/tos",
        "--policy-uri",
        "https://shop.example.com/privacy",
        "--contact",
        "ops@shop.example.com",
        "--jwks",
        &keys,
        "--software-id",
        "shop",
        "--software-version",
        "2.1",
        "--scope",
        "a b",
        "--default-scope",
        "a",
        "--description",
        "The shop",
        "--owner",
        "Sales",
        "--tag",
        "region=eu",
        "--tag",
        "tier=gold",
    ];
    let added = add(&folder, "shop", &[&CODE[..], &more].concat());
    let said = json!({
        "redirect_uris": ["https://shop.example.com/cb", "http://127.0.0.1/cb"],
        "post_logout_redirect_uris": ["https://shop.example.com/bye"],
        "client_uri": "https://shop.example.com/",
        "logo_uri": "https://shop.example.com/logo.png",
        "tos_uri": "https://shop.example.com/tos",
        "policy_uri": "https://shop.example.com/privacy",
        "contacts": ["ops@shop.example.com"],
        "jwks": { "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }] },
        "software_id": "shop",
        "software_version": "2.1",
        "scope": "a b",
        "default_scope": "a",
        "description": "The shop",
        "owner": "Sales",
        "tags": { "region": "eu", "tier": "gold" },
    });
    let shown = folder.run(["client", "show", "shop", "--json"]).code(0).json();
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(&added[name], value, "{name}");
        assert_eq!(&shown[name], value, "{name}");
    }
    let table = folder.run(["client", "show", "shop"]).code(0).stdout;
    for word in [
        "https://shop.example.com/cb",
        "http://127.0.0.1/cb",
        "/bye",
        "Sales",
        "region=eu",
        "1 public keys",
        "default_scope",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
}

/// The rules are those of RFC 7591, whoever registers (D40, D42, D43, D90).
#[test]
fn what_cannot_be_registered_is_refused_with_what_would_be_right() {
    let folder = Folder::shipped();
    for (words, said) in [
        (&["--grant", "authorization_code"][..], "has a redirect URI"),
        (&["--redirect-uri", "http://shop.example.com/cb"], "use `https`"),
        (&["--redirect-uri", "shop:/cb"], "domain name turned round"),
        (&["--redirect-uri", "https://shop.example.com/#x"], "fragment"),
        (&["--application-type", "web", "--redirect-uri", "http://127.0.0.1/cb"], "`web`"),
        (&["--application-type", "native"], "keeps no secret"),
        (&["--auth-method", "none", "--grant", "client_credentials"], "public client"),
        (&["--logo-uri", "http://shop.example.com/"], "https"),
        (&["--scope", "a", "--default-scope", "b"], "may ask for"),
        (&["--contact", ""], "empty"),
    ] {
        let run = portcullis(folder.path(), ["client", "add", "--id", "app"].iter().chain(words)).code(2);
        assert!(run.stderr.contains(said), "{words:?}: {}", run.stderr);
        assert!(run.stderr.contains("help:"), "{words:?}: {}", run.stderr);
    }
    folder.run(["client", "show", "app"]).code(1);
    let run = portcullis(folder.path(), ["client", "add", "--id", "app", "--jwks", "/nowhere.json"]).code(2);
    assert!(run.stderr.contains("/nowhere.json"), "{}", run.stderr);
}

#[test]
fn a_public_client_without_a_redirect_uri_is_warned_of() {
    let folder = Folder::shipped();
    let warned = |id: &str, more: &[&str]| {
        let words = ["client", "add", "--json", "--auth-method", "none", "--id", id];
        let run = portcullis(folder.path(), words.iter().chain(more)).code(0);
        run.json();
        run.stderr.contains("without a redirect URI")
    };
    assert!(warned("bare", &["--grant", "refresh_token"]));
    assert!(!warned("app", &CODE));
    assert!(!warned("tv", &["--grant", "urn:ietf:params:oauth:grant-type:device_code"]));
}

#[test]
fn a_client_is_changed_by_the_command_with_and_without_a_node() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a b", &["--owner", "Sales", "--tag", "x=1"]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let set = |by_node: bool, more: &[&str]| {
        let words: Vec<&str> = ["client", "set", "app", "--json"].iter().chain(more).copied().collect();
        if by_node { node.command(&words) } else { portcullis(folder.path(), words) }
    };
    for by_node in [false, true] {
        let name = format!("by node: {by_node}");
        let changed = set(by_node, &["--name", &name, "--scope", "b c", "--tag", "y=2"]).code(0).json();
        assert_eq!(
            (&changed["client_name"], &changed["scope"], &changed["owner"]),
            (&json!(name), &json!("b c"), &json!("Sales"))
        );
        assert_eq!(changed["tags"], json!({ "x": "1", "y": "2" }));
        let changed = set(by_node, &["--unset", "name", "--unset", "tags", "--tag", "x=1"]);
        changed.code(2).says("both set and unset");
        let changed = set(by_node, &["--unset", "name"]).code(0).json();
        assert_eq!(changed.get("client_name"), None);
        // Where the whole does not fit, nothing is changed.
        set(by_node, &["--scope", "z", "--grant", "authorization_code"]).code(2).says("redirect URI");
        assert_eq!(folder.run(["client", "show", "app", "--json"]).json()["scope"], "b c");
    }
    set(false, &[]).code(2).says("nothing to change");
    set(false, &["--auth-method", "none"]).code(2).says("public client");
    folder.run(["client", "set", "nobody", "--scope", "a"]).code(1).says("nobody");
    assert!(folder.read("var/audit.log").contains("\"client set\""), "it is noted");
    // The node goes by what was said: the client may not have `a` any more, and gets what it may have.
    crate::harness::wait_until("the new scopes", || {
        node.ask_token(&client, &[("scope", "a")]).status == 400
            && node.ask_token(&client, &[]).json()["scope"] == "b c"
    });
    node.tokeninfo(&token).status(200);
}

/// Scopes that are given where none is asked for can be fewer than those that may be asked for.
#[test]
fn default_scopes_are_given_where_none_is_asked_for() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a b c", &["--default-scope", "b"]);
    let node = Node::start(&folder);
    assert_eq!(node.ask_token(&client, &[]).status(200).json()["scope"], "b");
    let token = node.ask_token(&client, &[("scope", "a c")]).status(200).json();
    assert_eq!(node.tokeninfo(token["access_token"].as_str().unwrap()).json()["scope"], "a c");
}

/// RFC 7662, section 4: whose tokens a client sees is changed as well.
#[test]
fn the_right_to_introspect_is_given_and_taken() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let api = folder.client("api", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let sees = || {
        let form = [("token", token.as_str())];
        let answer = node.post("/api/oauth/introspect").basic(&api.id, &api.secret).form(&form).send().status(200);
        answer.json()["active"] == json!(true)
    };
    assert!(!sees());
    folder.run(["client", "set", "api", "--introspect", "any"]).code(0).says("any");
    crate::harness::wait_until("it sees all", sees);
    folder.run(["client", "set", "api", "--introspect", "https://orders.example.com"]).code(0);
    crate::harness::wait_until("it sees those for its audience alone", || !sees());
    node.command(&["client", "set", "api", "--unset", "introspect", "--json"]).code(0);
    assert_eq!(folder.run(["client", "show", "api", "--json"]).json().get("introspect"), None);
}

/// A file says the same by the same names, and is held to the same rules.
#[test]
fn a_file_of_clients_has_the_same_words() {
    let folder = Folder::shipped();
    let stores = "default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = \"var/p.db\"\n\
                  [source.f]\ntype = \"file\"\npath = \"clients.toml\"\n[store.clients]\nsource = \"f\"\n";
    folder.write("stores/stores.toml", stores);
    let text = "[[client]]\nid = \"shop\"\ngrants = [\"authorization_code\"]\nauth_method = \"none\"\n\
                redirect_uris = [\"https://shop.example.com/cb\"]\nscope = \"a b\"\ndefault_scope = \"a\"\n\
                contacts = [\"ops@shop.example.com\"]\nowner = \"Sales\"\ntags = { region = \"eu\" }\n\
                jwks = { keys = [{ kty = \"EC\", crv = \"P-256\", x = \"AA\", y = \"AA\" }] }\n";
    folder.write("clients.toml", text);
    folder.run(["check"]).code(0);
    let shown = folder.run(["client", "show", "shop", "--json"]).code(0).json();
    assert_eq!(shown["redirect_uris"], json!(["https://shop.example.com/cb"]));
    assert_eq!(shown["jwks"]["keys"][0]["kty"], "EC");
    assert_eq!(
        (&shown["default_scope"], &shown["owner"], &shown["tags"]),
        (&json!("a"), &json!("Sales"), &json!({ "region": "eu" }))
    );
    for (from, to, said) in [
        ("https://shop.example.com/cb", "http://shop.example.com/cb", "clients.toml:5"),
        ("redirect_uris", "contact_uris", "is not known here"),
        ("default_scope = \"a\"", "default_scope = \"c\"", "clients.toml:7"),
        ("kty", "kt", "clients.toml:11"),
    ] {
        folder.write("clients.toml", &text.replace(from, to));
        folder.run(["check"]).code(1).says(said);
    }
    folder.run(["client", "set", "shop", "--scope", "b"]).code(1);
}

/// The same registry, as a file: what is exported is what is there, and importing it twice is importing it once.
#[test]
fn a_registry_goes_into_a_file_and_comes_back() {
    let old = Folder::shipped();
    old.write("keys.json", r#"{ "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }] }"#);
    let keys = old.at("keys.json").display().to_string();
    let client = old.client(
        "app",
        "a b",
        &["--name", "Größe \"1\"", "--tag", "x.y=z", "--introspect", "https://api", "--jwks", &keys],
    );
    add(&old, "shop", &[&CODE[..], &["--owner", "Sales"]].concat());
    old.run(["client", "disable", "shop"]).code(0);
    add(&old, "public", &["--auth-method", "none"]);
    old.write("export.key", &"ab".repeat(32));
    let key = old.at("export.key").display().to_string();

    for (name, by_node) in [("clients.json", false), ("clients.toml", false), ("clients.json", true)] {
        let file = old.at(name).display().to_string();
        let exported = old.run(["client", "export", "--out", &file, "--key-file", &key, "--json"]).code(0).json();
        assert_eq!(exported["clients"], 3);
        let text = old.read(name);
        assert!(text.contains("sealed:1:export:") && !text.contains("sha256:"), "{text}");

        let new = Folder::shipped();
        let node = by_node.then(|| Node::start(&new));
        let import = |more: &[&str]| {
            portcullis(new.path(), ["client", "import", &file, "--json", "--key-file", &key].iter().chain(more))
        };
        // What a node seals it seals with its own keys.
        if let Some(node) = &node {
            node.command(&["client", "import", &file, "--key-file", &key]).code(2).says("its own keys");
        }
        let dry = import(&["--dry-run"]).code(0).json();
        assert_eq!((&dry["written"], &dry["sha256"]), (&json!(false), &exported["sha256"]));
        assert_eq!(new.run(["client", "list", "--json"]).json(), json!([]));
        let fates = |answer: &Value| -> Vec<String> {
            answer["clients"]
                .as_array()
                .unwrap()
                .iter()
                .map(|client| client["fate"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(fates(&import(&[]).code(0).json()), ["added"; 3]);
        assert_eq!(fates(&import(&[]).code(0).json()), ["unchanged"; 3]);
        for id in ["app", "shop", "public"] {
            let show = |folder: &Folder| folder.run(["client", "show", id, "--json"]).code(0).json();
            assert_eq!(show(&new), show(&old), "{id}: whether it is enabled, too");
        }
        // Its secret is what it was.
        let node = node.unwrap_or_else(|| Node::start(&new));
        node.token(&client);

        // One that differs is replaced on purpose only, and then as a whole or not at all.
        new.run(["client", "set", "app", "--scope", "z"]).code(0);
        new.run(["client", "delete", "shop"]).code(0);
        let refused = import(&[]).code(1);
        assert!(
            refused.stderr.contains("`--replace`") && refused.stderr.contains("nothing was written"),
            "{}",
            refused.stderr
        );
        new.run(["client", "show", "shop"]).code(1);
        assert_eq!(fates(&import(&["--replace"]).code(0).json()), ["replaced", "unchanged", "added"]);
        assert_eq!(new.run(["client", "show", "app", "--json"]).json()["scope"], "a b");
    }
}

/// Secrets: none without being asked for; sealed for one client, by one key.
#[test]
fn hashes_of_secrets_leave_the_registry_sealed_or_not_at_all() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let bare = folder.run(["client", "export"]).code(0);
    assert!(
        !bare.stdout.contains("sealed") && bare.stderr.contains("1 clients, sha256 "),
        "{} {}",
        bare.stdout,
        bare.stderr
    );
    folder.write("bare.json", &bare.stdout);
    let sealed = folder.run(["client", "export", "--with-secrets", "--json"]).code(0).json();
    assert!(sealed[0]["sealed_secrets"].as_str().is_some_and(|text| text.starts_with("sealed:1:own-")), "{sealed}");
    let node = Node::start(&folder);
    let by_node = node.command(&["client", "export", "--with-secrets", "--json"]).code(0).json();
    assert_eq!(by_node[0]["scope"], "a");

    // Without secrets in the file, those that there are stay; a new client has none.
    folder.run(["client", "set", "app", "--scope", "b"]).code(0);
    let bare = folder.at("bare.json").display().to_string();
    folder.run(["client", "import", &bare, "--replace"]).code(0).says("1 replaced");
    assert_eq!(folder.run(["client", "show", "app", "--json"]).json()["secrets"], 1);
    node.token(&client);

    // Sealed for `app`: as another's it does not open; nor with another node's key.
    let mut moved = sealed.clone();
    moved[0]["client_id"] = json!("mallory");
    folder.write("moved.json", &moved.to_string());
    let moved = folder.at("moved.json").display().to_string();
    let refused = folder.run(["client", "import", &moved]).code(1);
    assert!(refused.stderr.contains("mallory") && refused.stderr.contains("does not open"), "{}", refused.stderr);
    let other = Folder::shipped();
    other.write("sealed.json", &sealed.to_string());
    let sealed = other.at("sealed.json").display().to_string();
    other.run(["client", "import", &sealed]).code(1);
    other.run(["client", "show", "app"]).code(1);
}

#[test]
fn what_cannot_be_imported_is_listed_and_nothing_is_written() {
    let folder = Folder::shipped();
    let import = |name: &str, text: &str| {
        folder.write(name, text);
        let file = folder.at(name).display().to_string();
        portcullis(folder.path(), ["client", "import", &file])
    };
    let list = json!([
        { "client_id": "good", "grant_types": ["client_credentials"] },
        { "client_id": "bad", "redirect_uris": ["http://a.example/"] },
        { "client_id": "worse", "grant_types": ["password "] },
        { "client_id": "hash", "secret_hash": "hunter2hunter2" },
        { "client_id": "a b" },
        { "client_id": "public", "token_endpoint_auth_method": "none", "secret_hash": "$2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy" },
        { "client_id": "good" },
    ]);
    let refused = import("list.json", &list.to_string()).code(1);
    for words in
        ["`bad`", "use `https`", "`worse`", "`hash`", "`a b`", "`public`", "client 1 of the file too", "6 of 7"]
    {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    assert_eq!(folder.run(["client", "list", "--json"]).json(), json!([]));
    for (name, text, said) in [
        ("x.json", "{}", "no list of clients"),
        ("x.json", r#"[{ "client_id": "app", "redirect_uri": "x" }]"#, "did you mean `redirect_uris`?"),
        ("x.json", r#"[{ "scope": "a" }]"#, "`client_id` is missing"),
        ("x.json", r#"[{ "client_id": "app", "enabled": "yes" }]"#, "`enabled`"),
        ("x.toml", "[[client]]\nclient_id = ", "x.toml:2"),
        ("x.toml", "[[clients]]\nclient_id = \"a\"\n", "`clients`"),
        ("x.txt", "", "--format"),
        ("x.csv", "", "CSV"),
    ] {
        import(name, text).code(2).says(said);
    }
}

/// A hash of another system is good over every way in, and becomes one of ours when the secret is first seen.
#[test]
fn secrets_of_another_system_stay_what_they_are() {
    // Of `correct horse`, by libxcrypt and Python's hashlib.
    let hashes = [
        "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHRzYWx0c2FsdA$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM",
    ];
    let folder = Folder::shipped();
    let clients = hashes.iter().enumerate().map(|(at, hash)| {
        json!({ "client_id": format!("app-{at}"), "grant_types": ["client_credentials"], "scope": "a", "secret_hash": hash })
    });
    folder.write("clients.json", &Value::from_iter(clients).to_string());
    let file = folder.at("clients.json").display().to_string();
    let node = Node::start(&folder);
    node.command(&["client", "import", &file]).code(0).says("2 clients added");
    for at in 0..hashes.len() {
        let client =
            |secret: &str| crate::harness::folder::Client { id: format!("app-{at}"), secret: secret.to_owned() };
        assert_eq!(node.ask_token(&client("wrong"), &[]).status, 401);
        node.ask_token(&client("correct horse"), &[]).status(200);
        node.ask_token(&client("correct horse"), &[]).status(200);
    }
    let kept = ["var/portcullis.db", "var/portcullis.db-wal"]
        .map(|file| std::fs::read(folder.at(file)).unwrap_or_default())
        .concat();
    let kept = String::from_utf8_lossy(&kept);
    assert!(kept.matches("$argon2id$").count() >= 2, "they are ours now");
}

/// RFC 7523: a client that proves itself with a key has its public half here, and no secret.
#[test]
fn a_client_with_a_key_has_no_secret() {
    let folder = Folder::shipped();
    folder.write("keys.json", r#"{ "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }] }"#);
    folder.write("private.json", r#"{ "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA" }] }"#);
    let (keys, private) =
        (folder.at("keys.json").display().to_string(), folder.at("private.json").display().to_string());
    let by_key = ["--grant", "client_credentials", "--auth-method", "private_key_jwt"];
    let added = add(&folder, "app", &[&by_key[..], &["--jwks", &keys]].concat());
    assert_eq!((added.get("client_secret"), &added["secrets"]), (None, &json!(0)));
    folder.run(["client", "rotate", "app"]).code(2).says("proves itself otherwise");
    for (more, said) in [
        (&["--jwks", &private][..], "private or symmetric key"),
        (&[], "has `jwks`"),
        (&["--jwks-uri", "http://app.example.com/keys"], "no place of keys"),
        (&["--jwks", &keys, "--secret", "long enough"], "no secret"),
    ] {
        let words = ["client", "add", "--id", "other"];
        portcullis(folder.path(), words.iter().chain(&by_key).chain(more)).code(2).says(said);
    }
    folder.run(["client", "set", "app", "--auth-method", "client_secret_basic"]).code(0);
    folder.run(["client", "rotate", "app", "-q"]).code(0);
}
