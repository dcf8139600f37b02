//! Key property stores: rows put by commands and over HTTP, seen by policies.

use serde_json::{Value, json};

use crate::harness::cassandra::Keyspace;
use crate::harness::folder::text;
use crate::harness::mysql::Mysql;
use crate::harness::postgres::Postgres;
use crate::harness::program::portcullis_with;
use crate::harness::redis::Redis;
use crate::harness::{Folder, Node, wait_until};

const PARTNERS: &str = "
[kps.partners]
key        = \"id\"
second_key = \"email\"
columns    = { id = \"text\", email = \"text\", limit = \"integer\", since = \"time\", password = { type = \"text\", encrypted = true } }

[kps.calls]
key     = \"id\"
auto_id = true
ttl     = \"1h\"
";

const POLICY: &str = "
route = \"/partners/{id}\"

[[filter]]
use   = \"kps.put\"
store = \"calls\"
row   = { of = \"${path.id}\", at = \"${now}\" }
into  = \"call\"

[[filter]]
use  = \"respond\"
json = { limit = \"${kps.partners[path.id].limit ?? none}\", password = \"${kps.partners[path.id].password ?? none}\", call = \"${vars.call}\" }

[[test]]
name    = \"a partner has its limit\"
given   = { kps.partners = [{ id = \"acme\", limit = 7, password = \"x\" }] }
request = { path = \"/partners/acme\" }
expect  = { json = { \"$.limit\" = 7, \"$.password\" = \"x\" }, stores = { \"kps.calls\" = [{ of = \"acme\" }] } }

[[test]]
name    = \"a stranger has none\"
request = { path = \"/partners/nobody\" }
expect  = { json = { \"$.limit\" = \"none\" } }

[[test]]
name    = \"a store that is down\"
given   = { stores.\"kps.partners\" = \"down\" }
request = { path = \"/partners/acme\" }
expect  = { status = 503, reason = \"store-unavailable\" }
";

fn folder() -> Folder {
    let folder = Folder::shipped();
    folder.append("stores/stores.toml", PARTNERS);
    folder.write("policies/partners.toml", POLICY);
    folder
}

fn asked(node: &Node, id: &str) -> Value {
    node.get(&format!("/partners/{id}")).send().status(200).json()
}

#[test]
fn a_row_put_by_a_command_is_seen_by_a_policy() {
    let folder = folder();
    folder.run(["check"]).code(0);
    folder.run(["test", "partners"]).code(0);
    let node = Node::start(&folder);
    assert_eq!(asked(&node, "acme")["limit"], "none");
    // The stores themselves, while the node runs.
    folder
        .run(["kps", "put", "partners", "id=acme", "limit=10", "password=geheim"])
        .code(0)
        .says("row `acme` is added");
    let start = std::time::Instant::now();
    wait_until("the policy sees the row", || asked(&node, "acme")["limit"] == 10);
    eprintln!("seen after {:?}", start.elapsed());
    assert_eq!(asked(&node, "acme")["password"], "geheim");
    // Through the node.
    node.command(&["kps", "put", "partners", "id=acme", "limit=20", "--merge"]).code(0).says("is changed");
    let answer = asked(&node, "acme");
    assert_eq!((&answer["limit"], &answer["password"]), (&json!(20), &json!("geheim")));
    let call = folder.run(["kps", "get", "calls", &text(&answer, "call"), "--json"]).code(0).json();
    assert_eq!(call["columns"]["of"], "acme");
    assert!(call["expires_at"].is_u64(), "{call}");
    // Sealed where it is kept and shown, in clear where that is asked for.
    let kept = folder.run(["kps", "get", "partners", "acme", "--json"]).code(0).json();
    assert!(text(&kept["columns"], "password").starts_with("sealed:1:"), "{kept}");
    for run in [folder.run(["kps", "list", "partners"]), node.command(&["kps", "list", "partners"])] {
        assert!(!run.code(0).says("sealed:1:").stdout.contains("geheim"));
    }
    let open = node.command(&["kps", "get", "partners", "acme", "--open", "--json"]).code(0).json();
    assert_eq!(open["columns"]["password"], "geheim");
    node.command(&["kps", "delete", "partners", "acme"]).code(0);
    assert_eq!(asked(&node, "acme")["limit"], "none");
    node.command(&["kps", "delete", "partners", "acme"]).code(1).says("there is no row `acme`");
}

#[test]
fn what_does_not_fit_is_refused_and_names_the_column() {
    let folder = folder();
    for (words, code, told) in [
        (&["kps", "put", "partners", "id=a", "limit=ten"][..], 1, "column `limit`: it is to be a whole number"),
        (&["kps", "put", "partners", "limit=1"], 1, "column `id`: it is the key, and is missing"),
        (&["kps", "put", "partners", "id=a", "lmit=1"], 1, "column `lmit`: `kps.partners` has no such column"),
        (&["kps", "put", "partners", "id"], 2, "`id` is no `COLUMN=VALUE`"),
        (&["kps", "put", "partners"], 2, "no column is given"),
        (&["kps", "put", "partners", "--row", "[1]"], 2, "`--row` is no JSON object"),
        (&["kps", "put", "partner", "id=a"], 1, "did you mean `partners`?"),
        (&["kps", "get", "partners", "a"], 1, "there is no row `a`"),
        (&["kps", "get", "calls", "a", "--second"], 2, "has no second key"),
        (&["kps", "reencrypt", "calls"], 2, "has no encrypted column"),
    ] {
        crate::harness::portcullis(folder.path(), words).code(code).says(told);
    }
    folder.run(["kps", "put", "partners", "id=a", "email=e"]).code(0);
    folder.run(["kps", "put", "partners", "id=a", "--insert"]).code(1).says("there is a row `a`");
    folder.run(["kps", "put", "partners", "id=b", "email=e"]).code(1).says("that of the row `a`");
    portcullis_with(folder.path(), ["kps", "put", "partners", "--row", "-"], b"{\"id\":\"c\",\"limit\":3}").code(0);
    assert_eq!(folder.run(["kps", "list", "partners", "--json"]).code(0).json().as_array().unwrap().len(), 2);
}

#[test]
fn many_rows_go_in_and_come_out() {
    let folder = folder();
    folder.write("rows.csv", "id,limit,since\na,1,2026-01-31\nb,two,\nc,3,soon\na,4,\n");
    let refused = folder.run(["kps", "import", "partners", "rows.csv", "--json"]).code(1).json();
    let rows: Vec<_> = refused["refused"].as_array().unwrap().iter().map(|row| row["row"].as_u64().unwrap()).collect();
    assert_eq!((&refused["written"], rows), (&json!(0), vec![2, 3, 4]), "all are told, and nothing is written");
    folder.run(["kps", "list", "partners"]).code(0).says("there are no rows");
    let many: Vec<Value> =
        (0..1200).map(|n| json!({ "id": format!("p{n:04}"), "limit": n, "password": "geheim" })).collect();
    folder.write("rows.json", &Value::from(many).to_string());
    folder.run(["kps", "import", "partners", "rows.json", "--check"]).code(0).says("nothing was written");
    folder.run(["kps", "import", "partners", "rows.json"]).code(0).says("1200 rows are added");
    folder.run(["kps", "import", "partners", "rows.json"]).code(0).says("1200 changed");
    // Sealed values are exported as they are kept, and are good in the same rows.
    let node = Node::start(&folder);
    for (name, open) in [("x.toml", false), ("x.csv", false), ("x.json", true)] {
        let mut words = vec!["kps", "export", "partners", "--out", name];
        words.extend(open.then_some("--open"));
        crate::harness::portcullis(folder.path(), &words).code(0).says("1200 rows");
        assert_eq!(folder.read(name).contains("geheim"), open, "{name}");
        node.command(&["kps", "import", "partners", folder.at(name).to_str().unwrap()]).code(0).says("1200 changed");
    }
    assert_eq!(asked(&node, "p1199")["password"], "geheim");
    // A backup, after which everything is lost.
    folder.run(["kps", "backup", "partners", "--out", "partners.backup"]).code(0);
    folder.run(["kps", "restore", "partners", "partners.backup"]).code(1).says("is not empty");
    folder.run(["kps", "restore", "calls", "partners.backup"]).code(2).says("a backup of `kps.partners`");
    node.command(&["kps", "delete", "partners", "--all"]).code(0).says("1200 rows");
    assert_eq!(asked(&node, "p1199")["limit"], "none");
    folder.run(["kps", "restore", "partners", "partners.backup"]).code(0).says("1200 of 1200 rows are back");
    let answer = asked(&node, "p0007");
    assert_eq!((&answer["limit"], &answer["password"]), (&json!(7), &json!("geheim")));
}

#[test]
fn sealed_anew_under_another_key() {
    let folder = folder();
    let key = |name: &str, digit: &str| {
        folder.write(name, &digit.repeat(64));
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.at(name), private).unwrap();
    };
    key("old.key", "a");
    key("new.key", "b");
    let keys = |ids: &[&str]| {
        let keys: Vec<_> = ids.iter().map(|id| format!("{{ id = \"{id}\", file = \"{id}.key\" }}")).collect();
        folder.write("node.toml", &format!("[encryption]\nkeys = [{}]\n", keys.join(", ")));
    };
    keys(&["old"]);
    for id in ["a", "b"] {
        folder.run(["kps", "put", "partners", &format!("id={id}"), "password=geheim"]).code(0);
    }
    keys(&["new", "old"]);
    folder.run(["kps", "put", "partners", "id=c", "password=geheim"]).code(0);
    assert_eq!(
        folder.run(["kps", "reencrypt", "partners", "--json"]).code(0).json(),
        json!({ "rows": 3, "sealed": 2, "refused": [] })
    );
    keys(&["new"]);
    let open = folder.run(["kps", "get", "partners", "a", "--open", "--json"]).code(0).json();
    assert_eq!(open["columns"]["password"], "geheim");
    keys(&["old"]);
    folder.run(["kps", "get", "partners", "a", "--open"]).code(1).says("`new`, which this node does not have");
    // A row that was sealed by another key of the same name keeps nobody else's from being sealed, and is told.
    keys(&["new", "old"]);
    folder.run(["kps", "put", "partners", "id=d", "password=geheim"]).code(0);
    key("new.key", "7");
    folder.run(["kps", "put", "partners", "id=e", "password=geheim"]).code(0);
    let done = folder.run(["kps", "reencrypt", "partners", "--json"]).code(1).json();
    let stay: Vec<_> = done["refused"].as_array().unwrap().iter().map(|row| text(row, "key")).collect();
    assert_eq!((&done["rows"], stay.join(" ").as_str()), (&json!(5), "a b c d"), "{done}");
    folder.run(["kps", "reencrypt", "partners"]).code(1).says("4 rows stay as they are");
}

/// Rows whose key none could have under the settings of now are deleted as well.
#[test]
fn a_key_that_became_a_number() {
    let folder = folder();
    let settings = |of: &str| {
        let stores = folder.read("stores/stores.toml");
        let stores = stores.split("\n[kps.switches]").next().unwrap();
        let switches = format!("\n[kps.switches]\nkey = \"id\"\ncolumns = {{ id = \"{of}\" }}\n");
        folder.write("stores/stores.toml", &(stores.to_owned() + &switches));
    };
    settings("text");
    for id in ["acme", "007", "7"] {
        folder.run(["kps", "put", "switches", &format!("id={id}")]).code(0);
    }
    settings("integer");
    folder.run(["kps", "get", "switches", "007"]).code(0);
    folder.run(["kps", "delete", "switches", "--all"]).code(0).says("3 rows");
    folder.run(["kps", "list", "switches"]).code(0).says("there are no rows");
    folder.run(["kps", "put", "switches", "id=7"]).code(0);
    folder.run(["kps", "delete", "switches", "007"]).code(0);
}

#[test]
fn the_shapes_of_oracle_api_gateway() {
    let folder = folder();
    let node = Node::start(&folder);
    let send = |method: &str, path: &str, body: &str| node.admin(method, &format!("/api/kps{path}")).body(body).send();
    node.request("GET", "/api/kps").send().status(404);
    let model = send("GET", "", "").status(200).json();
    assert_eq!((&model["aliases"]["partners"], model["stores"].as_array().unwrap().len()), (&json!("partners"), 2));
    send("GET", "/partners/acme", "").status(404);
    send("GET", "/nothing", "").status(404);
    send("PUT", "/partners/acme", "{\"limit\":10,\"email\":\"e\",\"password\":\"geheim\"}").status(201);
    send("PUT", "/partners/acme", "{\"limit\":20,\"email\":null}").status(204);
    let row = send("GET", "/partners/acme", "").status(200).json();
    assert_eq!((&row["id"], &row["limit"], row.get("email")), (&json!("acme"), &json!(20), None));
    assert!(text(&row, "password").starts_with("sealed:1:"), "{row}");
    assert_eq!(asked(&node, "acme")["password"], "geheim");
    send("PUT", "/partners/acme", "{\"id\":\"other\"}").status(400);
    send("PUT", "/partners/acme", "{\"limit\":\"ten\"}").status(400);
    send("POST", "/partners", "{\"id\":\"acme\"}").status(409);
    let made = send("POST", "/calls", "{\"of\":\"acme\"}").status(201);
    let location = made.header("location").unwrap().to_owned();
    let id = text(&made.json(), "id");
    assert_eq!(location, format!("/api/kps/calls/{id}"));
    node.admin("GET", &location).send().status(200);
    for n in 0..5 {
        send("PUT", &format!("/partners/p{n}"), "{}").status(201);
    }
    let page = node.admin("GET", "/api/kps/partners").header("range", "items=1-2").send().status(200);
    assert_eq!(page.header("content-range"), Some("items 1-2/*"));
    assert_eq!(page.json(), json!([{ "id": "p0" }, { "id": "p1" }]));
    let all = send("GET", "/partners", "").status(200);
    assert_eq!((all.header("content-range"), all.json().as_array().unwrap().len()), (Some("items 0-5/6"), 6));
    node.admin("GET", "/api/kps/partners").header("range", "bytes=1-2").send().status(400);
    send("DELETE", "/partners/acme", "").status(204);
    send("DELETE", "/partners/acme", "").status(404);
    send("PATCH", "/partners/acme", "").status(405);
    // As all of the admin address.
    crate::harness::http::Request::new(node.admin, "GET", "/api/kps").send().status(401);
}

#[test]
fn two_nodes_share_rows() {
    let database = Postgres::create();
    let [first, second] = ["node-1", "node-2"].map(|name| {
        let folder = Folder::shipped();
        folder.write("url", &database.url());
        let source = "default = \"db\"\n[source.db]\ntype = \"postgres\"\nurl = { file = \"url\" }\n";
        folder.write("stores/stores.toml", &format!("{source}{PARTNERS}"));
        folder.write("shared.key", &"c".repeat(64));
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.at("shared.key"), private).unwrap();
        let keys = "[encryption]\nkeys = [{ id = \"shared\", file = \"shared.key\" }]\n";
        folder.write("node.toml", &format!("name = \"{name}\"\n[cluster]\nnodes = 2\n{keys}"));
        folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
        folder.write("policies/partners.toml", POLICY);
        folder
    });
    first.run(["check"]).code(0);
    let (one, two) = (Node::start(&first), Node::start(&second));
    one.command(&["kps", "put", "partners", "id=acme", "limit=10", "password=geheim"]).code(0);
    let answer = asked(&two, "acme");
    assert_eq!((&answer["limit"], &answer["password"]), (&json!(10), &json!("geheim")));
    // What a policy on one put, the other finds.
    one.command(&["kps", "get", "calls", &text(&answer, "call")]).code(0);
    two.command(&["kps", "delete", "partners", "acme"]).code(0);
    assert_eq!(asked(&one, "acme")["limit"], "none");
    // A table that was there, of somebody else's.
    database.execute("CREATE TABLE old_partners (partner_id INTEGER PRIMARY KEY, max_calls INTEGER)");
    database.execute("INSERT INTO old_partners VALUES (7, 70)");
    for folder in [&first, &second] {
        folder.append(
            "stores/stores.toml",
            "[kps.old]\nkey = \"id\"\ntable = \"old_partners\"\n[kps.old.columns]\n\
             id = { type = \"integer\", column = \"partner_id\" }\nlimit = { type = \"integer\", column = \"max_calls\" }\n",
        );
        folder.edit("policies/partners.toml", "kps.partners[path.id].limit ?? none", "kps.old[path.id].limit ?? none");
        folder.edit("policies/partners.toml", "\"$.limit\" = 7, ", "");
    }
    wait_until("the table is read", || asked(&two, "7")["limit"] == 70);
    assert_eq!(asked(&two, "8")["limit"], "none");
    assert_eq!(asked(&two, "seven")["limit"], "none");
    first.run(["kps", "put", "old", "id=8"]).code(2).says("which is only read");
    first.run(["kps", "list", "old"]).code(0).says("70");
    // Who asks hears no more than that it failed; the log says what did.
    database.execute("DROP TABLE old_partners");
    wait_until("the log says it", || {
        two.get("/partners/7").send().status(500);
        let log = two.log();
        log.contains("the data source refused what was asked") && log.contains("old_partners")
    });
}

#[test]
fn rows_in_a_file_that_people_write() {
    let folder = Folder::shipped();
    folder.append(
        "stores/stores.toml",
        "[source.rows]\ntype = \"file\"\npath = \"rows.toml\"\n[kps.partners]\nsource = \"rows\"\nkey = \"id\"\n\
         columns = { id = \"text\", limit = \"integer\", since = \"time\" }\n",
    );
    let row = |limit: &str| format!("[[kps.partners]]\nid = \"acme\"\nlimit = {limit}\nsince = 2026-01-31T12:00:00Z\n");
    folder.write("rows.toml", &row("10"));
    let policy = "route = \"/partners/{id}\"\n[[filter]]\nuse = \"respond\"\njson = { limit = \"${kps.partners[path.id].limit ?? none}\", \
                  since = \"${kps.partners[path.id].since ?? none}\" }\n";
    folder.write("policies/partners.toml", policy);
    let node = Node::start(&folder);
    assert_eq!(asked(&node, "acme"), json!({ "limit": 10, "since": 1_769_860_800 }));
    folder.write("rows.toml", &row("20"));
    wait_until("the file is taken up", || asked(&node, "acme")["limit"] == 20);
    // Broken: what was there serves on.
    folder.write("rows.toml", &row("\"ten\""));
    folder.run(["check"]).code(1).says("rows.toml:3:9");
    wait_until("it is told", || node.log().contains("rows.toml:3"));
    assert_eq!(asked(&node, "acme")["limit"], 20);
    folder.run(["kps", "list", "partners"]).code(1);
    folder.write("rows.toml", &row("30"));
    folder.run(["kps", "put", "partners", "id=acme", "limit=1"]).code(2).says("is read-only");
    folder.run(["kps", "get", "partners", "acme"]).code(0).says("30");
}

/// Rows that one node puts and the other finds by both keys, in order, until they are deleted. The folders are those of two nodes.
fn are_shared(first: &Folder, second: &Folder) {
    for folder in [first, second] {
        folder
            .append("stores/stores.toml", &PARTNERS.replace(", password = { type = \"text\", encrypted = true }", ""));
        let policy = "route = \"/partners/{id}\"\n[[filter]]\nuse = \"respond\"\n\
                      json = { limit = \"${kps.partners[path.id].limit ?? none}\" }\n";
        folder.write("policies/partners.toml", policy);
    }
    let (one, two) = (Node::start(first), Node::start(second));
    wait_until("the stores are there", || one.is_ready() && two.is_ready());
    for (id, email, limit) in [("b", "e1", "2"), ("a", "e2", "1"), ("c", "e3", "3")] {
        let words = [format!("id={id}"), format!("email={email}"), format!("limit={limit}")];
        one.command(&["kps", "put", "partners", &words[0], &words[1], &words[2]]).code(0);
        assert_eq!(asked(&two, id)["limit"].to_string(), limit);
    }
    let list = two.command(&["kps", "list", "partners", "--json"]).code(0).json();
    let keys: Vec<String> = list.as_array().unwrap().iter().map(|row| text(row, "key")).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    let second = two.command(&["kps", "get", "partners", "e3", "--second", "--json"]).code(0).json();
    assert_eq!(text(&second, "key"), "c");
    two.command(&["kps", "put", "partners", "id=c", "limit=4", "--merge"]).code(0);
    assert_eq!(asked(&one, "c")["limit"], 4);
    one.command(&["kps", "put", "partners", "id=d", "email=e3"]).code(1).says("that of the row `c`");
    two.command(&["kps", "delete", "partners", "c"]).code(0);
    assert_eq!(asked(&one, "c")["limit"], "none");
    one.command(&["kps", "get", "partners", "e3", "--second"]).code(1);
}

#[test]
fn on_redis_too() {
    let redis = Redis::create();
    are_shared(&redis.folder("node-1", &redis.url()), &redis.folder("node-2", &redis.url()));
}

#[test]
fn on_cassandra_too() {
    let keyspace = Keyspace::create();
    are_shared(&keyspace.folder("node-1"), &keyspace.folder("node-2"));
}

#[test]
fn on_mariadb_too() {
    let database = Mysql::create();
    let [first, second] = ["node-1", "node-2"].map(|name| {
        let source = "default = \"db\"\n[source.db]\ntype = \"mysql\"\nurl = { file = \"url\" }\n";
        let folder = Folder::of_two(name, source);
        folder.write("url", &database.url());
        folder
    });
    are_shared(&first, &second);
}
