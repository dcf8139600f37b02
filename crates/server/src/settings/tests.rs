//! Problems and where they are told.

use std::collections::BTreeMap;

use policy::diagnostic::Severity;
use policy::reader::SecretError;

use super::*;

/// Variables that are set, and nothing else.
struct Variables(BTreeMap<&'static str, &'static str>, bool);

impl Outside for Variables {
    fn variable(&self, name: &str) -> Result<String, SecretError> {
        self.0.get(name).map(|v| (*v).to_owned()).ok_or(SecretError::Missing)
    }
    fn file(&self, _: &str) -> Result<String, SecretError> {
        Err(SecretError::Missing)
    }
    fn strict(&self) -> bool {
        self.1
    }
}

/// The host and port of the one target.
fn at(upstream: &crate::upstream::UpstreamSettings) -> (&str, u16) {
    assert_eq!(upstream.targets.len(), 1);
    (&upstream.targets[0].host, upstream.targets[0].port)
}

fn read_texts(node: &str, stores: &str) -> (Settings, Vec<String>) {
    let mut texts = vec![("node.toml", node)];
    if !stores.is_empty() {
        texts.push(("stores/stores.toml", stores));
    }
    let outside = Variables(BTreeMap::from([("SET", "from outside")]), true);
    let (settings, diagnostics) = read(&Files::from_texts(texts), None, &outside);
    let diagnostics = diagnostics.sorted();
    let shown = diagnostics.iter().map(|d| {
        let severity = if d.problem.severity == Severity::Error { "" } else { "warning " };
        let place = d.place.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{place} {severity}{} {}", d.problem.code, d.problem.message)
    });
    (settings, shown.collect())
}

fn node_problems(node: &str) -> Vec<String> {
    read_texts(node, "").1
}

#[test]
fn without_files_there_are_defaults() {
    let (settings, problems) = read_texts("", "");
    assert_eq!(problems, [] as [&str; 0]);
    assert_eq!(settings.node, NodeSettings::default());
    assert_eq!(settings.node.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.node.admin.to_string(), "127.0.0.1:8090");
    assert_eq!(settings.stores.mapping.default, "local");
    assert!(matches!(settings.stores.mapping.sources["local"], store::sources::SourceSettings::Sqlite(_)));
}

#[test]
fn all_of_it_is_read() {
    let (settings, problems) = read_texts(
        r#"
name = "node-1"
trusted_proxies = ["10.0.0.0/8", "::1"]
[cluster]
nodes = 1
[values]
a = "x"
b = { env = "SET" }
c = { env = "UNSET", default = "d" }
n = 5
[[listener]]
name = "public"
address = "0.0.0.0:80"
before = ["b"]
after = ["a"]
on_error = "e"
[[listener]]
name = "inside"
address = "127.0.0.1:81"
[admin]
address = "127.0.0.1:1"
[upstream.orders]
targets = ["http://orders.example:9001"]
timeouts = { connect = "1s", first_byte = "2s" }
[upstream.v6]
targets = ["http://[::1]"]
[limits]
body = "2MiB"
headers = 9000
connections = 5
header_timeout = "1s"
body_timeout = "4s"
write_timeout = "3s"
drain = "2s"
[debug]
generation_header = true
[log]
format = "json"
level = "debug"
access = false
"#,
        "default = \"a\"\n[source.a]\ntype = \"memory\"\n[source.b]\ntype = \"memory\"\n\
         [store.clients]\nsource = \"b\"\n[store.more]\nkind = \"access-token\"\nsource = \"b\"\n[kps.p]\nkey = \"id\"\nsource = \"a\"\n",
    );
    assert_eq!(problems, [] as [&str; 0]);
    let node = settings.node;
    assert_eq!((node.listeners.len(), node.trusted_proxies.len()), (2, 2));
    assert_eq!(node.listeners[0].on_error.as_ref().map(|policy| policy.name.as_str()), Some("e"));
    assert_eq!(node.values["b"].to_string(), "from outside");
    assert_eq!(node.values["c"].to_string(), "d");
    assert_eq!(node.values["n"], policy::Value::Int(5));
    let orders = node.upstreams["orders"].as_ref().unwrap();
    assert_eq!((at(orders), orders.timeouts.first_byte.as_secs()), (("orders.example", 9001), 2));
    let v6 = node.upstreams["v6"].as_ref().unwrap();
    assert_eq!(at(v6), ("::1", 80));
    assert_eq!((node.limits.body, node.limits.clients.headers, node.limits.connections), (2 << 20, 9000, 5));
    let clients = &node.limits.clients;
    assert_eq!((clients.write_timeout.as_secs(), clients.body_timeout.as_secs()), (3, 4));
    assert_eq!(node.listeners[0].limits, *clients);
    assert!(node.generation_header && node.log.access == Access::Off);
    let stores = settings.stores.mapping.stores();
    assert_eq!(stores["clients"].1, "b");
    assert_eq!(stores["access-token"].1, "a");
}

#[test]
fn values_of_another_file_lie_over_those_of_the_node() {
    for text in ["[values]\na = \"other\"\n", "a = \"other\"\n"] {
        let files = Files::from_texts([("node.toml", "[values]\na = \"x\"\nb = \"y\"\n"), (VALUES_FILE, text)]);
        let (settings, diagnostics) = read(&files, None, &Variables(BTreeMap::new(), true));
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let values: Vec<_> = settings.node.values.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(values, ["a=other", "b=y"]);
    }
}

#[test]
fn node_problems_have_places() {
    for (text, expected) in [
        ("nam = \"x\"", "node.toml:1:1 P0101 `nam` is not known here"),
        ("name = \" \"", "node.toml:1:8 P0103 a node's name is not empty"),
        ("[cluster]\nnodes = 0", "node.toml:2:9 P0103 a cluster of 0 nodes cannot be"),
        ("[values]\na = { env = \"UNSET\" }", "node.toml:2:13 P0006 the environment variable `UNSET` is not set"),
        ("[[listener]]\nname = \"a\"", "node.toml:1:1 P0102 `address` is missing"),
        ("[[listener]]\nname = \"a\"\naddress = \"x\"", "node.toml:3:11 P0103 `x` is no address to listen on"),
        ("[[listener]]\nname = \"a\"\naddress = \"unix:\"", "node.toml:3:11 P0103 `unix:` names no socket"),
        (
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\nmode = \"0660\"",
            "node.toml:4:8 P0103 a mode is for the file of a Unix socket, and this listener has none",
        ),
        (
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\nhttp = [\"3\"]",
            "node.toml:4:8 P0103 a listener speaks HTTP/1.1, HTTP/2, or both",
        ),
        (
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n[[listener]]\nname = \"b\"\naddress = \"127.0.0.1:1\"",
            "node.toml:4:1 P0113 two listeners have one address",
        ),
        (
            "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:8090\"",
            "node.toml:1:1 P0113 the listener `a` has the admin address",
        ),
        (
            "[admin]\naddress = \"127.0.0.1:1\"\n[[listener]]\nname = \"a\"\naddress = \"0.0.0.0:1\"",
            "node.toml:3:1 P0113 the listener `a` has the admin address",
        ),
        ("[admin]\naddress = \"127.0.0.1:8080\"", "node.toml:2:11 P0113 the listener `default` has the admin address"),
        (
            "trusted_proxies = [\"::1\", \"10.0.0.1/8\"]",
            "node.toml:1:27 P0103 expected an address, or a network without bits behind its length: `10.1.0.0/16`, found \"10.0.0.1/8\"",
        ),
        ("[upstream.a]", "node.toml:1:1 P0102 `targets` is missing"),
        ("[upstream.a]\ntargets = []", "node.toml:2:11 P0103 an upstream needs a target"),
        ("[upstream.a]\ntargets = [\"http://a\", \"http://a\"]", "node.toml:2:24 P0103 two targets are one"),
        (
            "[upstream.a]\ntargets = [{ url = \"http://a\", weight = 0 }]",
            "node.toml:2:41 P0103 `weight` is out of its bounds",
        ),
        ("[upstream.a]\ntargets = [{ weight = 2 }]", "node.toml:2:12 P0102 `url` is missing"),
        (
            "[upstream.a]\ntargets = [\"http://a\"]\nbalance = \"random\"",
            "node.toml:3:11 P0103 `random` is no way to choose a target",
        ),
        ("[upstream.a]\ntargets = [\"http://a\"]\nhttp = \"3\"", "node.toml:3:8 P0103 `3` is no version"),
        ("[upstream.a]\ntargets = [\"http://a\"]\ntls = {}", "node.toml:3:7 P0103 no target is reached over TLS"),
        (
            "[upstream.a]\ntargets = [\"https://a\"]\ntls = { ca = \"none.pem\" }",
            "node.toml:3:14 P0006 the file `none.pem` does not exist",
        ),
        ("[upstream.a]\ntargets = [\"http://a\"]\nhealth = { path = \"x\" }", "node.toml:3:19 P0103 `x` is no path"),
        (
            "[upstream.a]\ntargets = [\"http://a\"]\nhealth = { path = \"/\", expect = [\"299-200\"] }",
            "node.toml:3:34 P0103 expected a status, found text",
        ),
        (
            "[upstream.a]\ntargets = [\"http://a\"]\neject = { share = \"120%\" }",
            "node.toml:3:19 P0103 `share` is no percentage",
        ),
        (
            "[upstream.a]\ntargets = [\"http://a\"]\nretries = { on = [200] }",
            "node.toml:3:19 P0103 this is nothing after which a request is sent again",
        ),
        (
            "[upstream.a]\ntargets = [\"http://a\"]\nlimits = { requests = 0 }",
            "node.toml:3:23 P0103 `requests` is out of its bounds",
        ),
        (
            "[upstream.a]\ntargets = [{ env = \"UNSET\" }]",
            "node.toml:2:20 P0006 the environment variable `UNSET` is not set",
        ),
        ("[upstream.a]\ntargets = [{ env = \"SET\" }]", "node.toml:2:12 P0103 `from outside` is no URL"),
        ("[upstream.a]\ntargets = [\"http://a/b\"]", "node.toml:2:12 P0103 a target has no path"),
        ("[upstream.a]\ntargets = [\"http://u:p@a\"]", "node.toml:2:12 P0103 a target has no user name and password"),
        ("[upstream.a]\ntargets = [\"a:9001\"]", "node.toml:2:12 P0103 `a:9001` is no http URL"),
        (
            "[upstream.a]\ntargets = [\"http://localhost:8090\"]",
            "node.toml:2:12 P0103 an upstream may not point at the admin address",
        ),
        (
            "[upstream.a]\ntargets = [\"http://[::1]:8090\"]",
            "node.toml:2:12 P0103 an upstream may not point at the admin address",
        ),
        ("[limits]\nheaders = 10", "node.toml:2:11 P0103 `headers` is out of its bounds"),
        ("[limits]\nconnections = 0", "node.toml:2:15 P0103 `connections` is out of its bounds"),
        ("[log]\nlevel = \"loud\"", "node.toml:2:9 P0103 `loud` is no log level"),
        ("[log]\nformat = \"xml\"", "node.toml:2:10 P0103 `xml` is no format of log lines"),
        ("[admin]\nadress = \"127.0.0.1:1\"", "node.toml:2:1 P0101 `adress` is not known here"),
    ] {
        assert_eq!(node_problems(text), [expected], "{text}");
    }
}

#[test]
fn all_problems_at_once() {
    assert_eq!(node_problems("nam = 1\n[log]\nlevel = \"loud\"\n[limits]\nheaders = 10").len(), 3);
}

#[test]
fn store_problems_have_places() {
    let local = "[source.local]\ntype = \"memory\"\n";
    for (text, expected) in [
        (local.to_owned(), "stores/stores.toml:1:1 P0102 `default` is missing"),
        (format!("default = \"lokal\"\n{local}"), "stores/stores.toml:1:11 P0401 there is no data source `lokal`"),
        (
            "default = \"a\"\n[source.a]\ntype = \"sqllite\"".to_owned(),
            "stores/stores.toml:3:8 P0103 `sqllite` is no type of data source",
        ),
        ("default = \"a\"\n[source.a]\npath = \"x\"".to_owned(), "stores/stores.toml:2:1 P0102 `type` is missing"),
        (
            "default = \"a\"\n[source.a]\ntype = \"memory\"\npath = \"x\"".to_owned(),
            "stores/stores.toml:4:1 P0101 `path` is not known here",
        ),
        (
            format!("default = \"local\"\n{local}[store.clients]\nsource = \"x\""),
            "stores/stores.toml:5:10 P0401 there is no data source `x`",
        ),
        (
            format!("default = \"local\"\n{local}[store.acces-token]\nsource = \"local\""),
            "stores/stores.toml:4:8 P0108 `acces-token` is no kind of store",
        ),
        (
            format!("default = \"local\"\n{local}[store.clients]\ncache = {{}}"),
            "stores/stores.toml:5:9 P0108 clients have a cache of their own, of at most 1 s",
        ),
        (
            format!("default = \"local\"\n{local}[store.access-token]\ncache = {{ entries = 0 }}"),
            "stores/stores.toml:5:21 P0103 `entries` is out of its bounds",
        ),
        (
            format!("default = \"local\"\n{local}[store.access-token]\ncache = {{ max_age = \"2m\" }}"),
            "stores/stores.toml:5:21 P0103 `max_age` is out of its bounds",
        ),
        (
            format!("default = \"local\"\n{local}[store.clients]\nprevious = \"x\""),
            "stores/stores.toml:5:12 P0401 there is no data source `x`",
        ),
        (
            format!("default = \"local\"\n{local}[store.more]\nkind = \"clients\""),
            "stores/stores.toml:1:11 P0108 stores `more` and `clients` are of one kind and would share one table of `local`",
        ),
        (
            format!("default = \"local\"\n{local}[kps.p]\nkey = \"id\"\nsource = \"x\""),
            "stores/stores.toml:6:10 P0401 there is no data source `x`",
        ),
    ] {
        assert_eq!(read_texts("", &text).1, [expected], "{text}");
    }
}

#[test]
fn a_target_may_come_from_the_environment() {
    let node = "[upstream.a]\ntargets = [{ env = \"UNSET\", default = \"http://a:1\" }]";
    let (settings, problems) = read_texts(node, "");
    assert_eq!(problems, [] as [&str; 0]);
    let upstream = settings.node.upstreams["a"].as_ref().unwrap();
    assert_eq!(at(upstream), ("a", 1));
    // `check` warns of a variable that is not set, and of nothing that follows from it.
    let files = Files::from_texts([("node.toml", "[upstream.a]\ntargets = [{ env = \"UNSET\" }]")]);
    let (settings, diagnostics) = read(&files, None, &Variables(BTreeMap::new(), false));
    assert_eq!(diagnostics.iter().map(|d| d.problem.severity).collect::<Vec<_>>(), [Severity::Warning]);
    assert_eq!(settings.node.upstreams["a"], None);
}

#[test]
fn several_nodes_need_a_source_that_all_can_reach() {
    let node = "[cluster]\nnodes = 2";
    let (_, problems) = read_texts(node, "default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = \"x\"");
    assert_eq!(
        problems,
        ["stores/stores.toml:1:11 P0402 stores `access-token`, `clients` keep their records on this node alone: \
          source `local` is local to a node, and `[cluster] nodes` is 2"]
    );
    let (_, problems) =
        read_texts(node, "default = \"local\"\n[source.local]\ntype = \"memory\"\n[store.clients]\nsource = \"local\"");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[1].starts_with("stores/stores.toml:5:10 P0402 store `clients` keeps its records"), "{problems:?}");
    assert_eq!(read_texts("[cluster]\nnodes = 1", "").1, [] as [&str; 0]);
}

#[test]
fn an_upstream_may_not_point_at_the_admin_address_of_the_command_line_either() {
    let node = "[admin]\naddress = \"127.0.0.1:1\"\n[upstream.a]\ntargets = [\"http://127.0.0.1:2\"]\n";
    let files = Files::from_texts([("node.toml", node)]);
    let problems = |admin: &str| {
        let (_, found) = read(&files, Some(admin.parse().unwrap()), &Variables(BTreeMap::new(), true));
        found.iter().count()
    };
    assert_eq!((problems("127.0.0.1:2"), problems("127.0.0.1:3")), (1, 0));
}

/// What the reader says that it knows in a table: a key that it cannot know is put there.
fn known(file: &str, before: &str) -> std::collections::BTreeSet<String> {
    let text = format!("{before}\nzzzzzzzz = 1\n");
    let texts = [(file, text.as_str())];
    let (_, diagnostics) = read(&Files::from_texts(texts), None, &Variables(BTreeMap::new(), true));
    let unknown = diagnostics.iter().find(|d| d.problem.message.contains("`zzzzzzzz`")).expect("it is told");
    let help = unknown.problem.help.clone().unwrap_or_default();
    let names: std::collections::BTreeSet<String> = help.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    // What a later version brings is known, and refused.
    let later = |name: &String| {
        let text = format!("{before}\n{name} = [1]\n");
        let (_, found) = read(&Files::from_texts([(file, text.as_str())]), None, &Variables(BTreeMap::new(), true));
        found.iter().any(|d| d.problem.code == codes::NOT_YET)
    };
    names.into_iter().filter(|name| !later(name)).collect()
}

#[test]
fn schemas_have_the_keys_of_the_reader() {
    let (node, stores) = (node_schema(), stores_schema());
    let tables = [
        ("node.toml", "", &node, ""),
        ("node.toml", "[cluster]", &node, "ClusterTable"),
        ("node.toml", "[encryption]", &node, "EncryptionTable"),
        ("node.toml", "[[encryption.keys]]", &node, "EncryptionKeyTable"),
        ("node.toml", "[[listener]]", &node, "ListenerTable"),
        ("node.toml", "[[listener]]\n[listener.tls]", &node, "TlsTable"),
        ("node.toml", "[[listener]]\n[listener.tls.acme]", &node, "AcmeTable"),
        ("node.toml", "[[listener]]\n[listener.tls.acme.external_account]", &node, "ExternalAccountTable"),
        ("node.toml", "[[listener]]\n[[listener.tls.more]]", &node, "CertificateTable"),
        ("node.toml", "[[listener]]\n[listener.tls.clients]", &node, "TlsClientsTable"),
        ("node.toml", "[[listener]]\n[listener.limits]", &node, "ListenerLimitsTable"),
        ("node.toml", "[admin]", &node, "AdminTable"),
        ("node.toml", "[upstream.a]", &node, "UpstreamTable"),
        ("node.toml", "[upstream.a.tls]", &node, "UpstreamTlsTable"),
        ("node.toml", "[upstream.a.timeouts]", &node, "TimeoutsTable"),
        ("node.toml", "[upstream.a.limits]", &node, "UpstreamLimitsTable"),
        ("node.toml", "[upstream.a.health]", &node, "HealthTable"),
        ("node.toml", "[upstream.a.eject]", &node, "EjectTable"),
        ("node.toml", "[upstream.a.retries]", &node, "RetriesTable"),
        ("node.toml", "[provider.a]", &node, "ProviderTable"),
        ("node.toml", "[limits]", &node, "LimitsTable"),
        ("node.toml", "[log]", &node, "LogTable"),
        ("node.toml", "[telemetry]", &node, "TelemetryTable"),
        ("node.toml", "[debug]", &node, "DebugTable"),
        ("stores/stores.toml", "", &stores, ""),
        ("stores/stores.toml", "[store.clients]", &stores, "StoreTable"),
        ("stores/stores.toml", "[store.access-token.cache]", &stores, "CacheTable"),
        ("stores/stores.toml", "[kps.a]", &stores, "KpsTable"),
    ];
    let mut closed = 0;
    for (file, before, schema, definition) in tables {
        let schema = if definition.is_empty() { schema } else { &schema["definitions"][definition] };
        let properties = schema["properties"].as_object().expect(definition);
        assert_eq!(
            properties.keys().cloned().collect::<std::collections::BTreeSet<_>>(),
            known(file, before),
            "{file} {before}"
        );
        for (key, setting) in properties {
            assert!(setting["description"].as_str().is_some_and(|said| !said.is_empty()), "{file} {before} {key}");
        }
        closed += usize::from(schema["additionalProperties"] == false);
    }
    assert_eq!(closed, tables.len());
    // No other table is there than those that were looked at, the sources' and the types of values.
    let others = ["Allow", "Duration", "ByteSize", "FromOutside", "Value"];
    for name in node["definitions"].as_object().expect("definitions").keys() {
        assert!(others.contains(&name.as_str()) || tables.iter().any(|(.., known)| known == name), "{name}");
    }
}

/// What a schema says is the default is what the reader takes where the file says nothing.
#[test]
fn defaults_of_the_schema_are_those_of_the_reader() {
    let schema = node_schema();
    let mut text = String::new();
    for (header, definition) in [
        ("[limits]", "LimitsTable"),
        ("[log]", "LogTable"),
        ("[debug]", "DebugTable"),
        ("[admin]", "AdminTable"),
        ("[cluster]", "ClusterTable"),
    ] {
        text.push_str(&format!("{header}\n"));
        for (key, setting) in schema["definitions"][definition]["properties"].as_object().expect(definition) {
            if let Some(default) = setting.get("default") {
                text.push_str(&format!("{key} = {default}\n"));
            }
        }
    }
    let (settings, problems) = read_texts(&text, "");
    assert_eq!(problems, [] as [&str; 0], "{text}");
    assert_eq!(settings.node, NodeSettings::default());
    let defaults = |definition: &str| {
        let settings = schema["definitions"][definition]["properties"].as_object().expect(definition).iter();
        let said = settings.filter(|(_, setting)| !setting["default"].is_null());
        said.map(|(key, setting)| format!("{key} = {}", setting["default"])).collect::<Vec<_>>()
    };
    let upstream = |more: &str| {
        let (settings, problems) = read_texts(&format!("[upstream.a]\ntargets = [\"http://127.0.0.1:1\"]\n{more}"), "");
        assert_eq!(problems, [] as [&str; 0], "{more}");
        settings.node
    };
    for (key, definition) in [
        ("timeouts", "TimeoutsTable"),
        ("limits", "UpstreamLimitsTable"),
        ("eject", "EjectTable"),
        ("retries", "RetriesTable"),
    ] {
        assert_eq!(upstream(&format!("{key} = {{ {} }}", defaults(definition).join(", "))), upstream(""), "{key}");
    }
    assert_eq!(upstream(&defaults("UpstreamTable").join("\n")), upstream(""));
    let health = defaults("HealthTable").join(", ");
    assert_eq!(upstream(&format!("health = {{ path = \"/\", {health} }}")), upstream("health = { path = \"/\" }"));
}

/// A folder with key files; one of them is open to every user.
struct KeyFiles(bool);

impl Outside for KeyFiles {
    fn variable(&self, _: &str) -> Result<String, SecretError> {
        Err(SecretError::Missing)
    }
    fn file(&self, path: &str) -> Result<String, SecretError> {
        match path {
            "a.key" | "open.key" => Ok("a".repeat(64)),
            "b.key" => Ok("b".repeat(64)),
            "short.key" => Ok(String::from("secret")),
            _ => Err(SecretError::Missing),
        }
    }
    fn open_to_others(&self, path: &str) -> bool {
        path == "open.key"
    }
    fn strict(&self) -> bool {
        self.0
    }
}

#[test]
fn keys_of_what_is_sealed() {
    use store::seal::{Encryption, Key};
    let read = |node: &str, strict: bool| {
        let (settings, found) = super::read(&Files::from_texts([("node.toml", node)]), None, &KeyFiles(strict));
        let told = found.iter().map(|d| (d.problem.severity == Severity::Error, d.problem.message.clone()));
        (settings.stores.mapping.encryption.clone(), told.collect::<Vec<_>>())
    };
    let keys = |keys: &str| format!("[encryption]\nkeys = [{keys}]\n");
    assert_eq!(read("", true), (Encryption::Own, vec![]));
    assert_eq!(read("[cluster]\nnodes = 1\n", true).0, Encryption::Own);
    let key = |id: &str, digit: &str| Key::parse(id, &digit.repeat(64)).unwrap();
    let two = keys("{ id = \"new\", file = \"b.key\" }, { id = \"old\", file = \"a.key\" }");
    assert_eq!(read(&two, true), (Encryption::Keys(vec![key("new", "b"), key("old", "a")]), vec![]));
    for (given, told) in [
        ("", "names no key"),
        ("{ id = \"a\", file = \"short.key\" }", "64 hexadecimal digits"),
        ("{ id = \"a\", file = \"open.key\" }", "every user of this machine"),
        ("{ id = \"a:b\", file = \"a.key\" }", "cannot be the name of a key"),
        ("{ id = \"a\", file = \"a.key\" }, { id = \"a\", file = \"b.key\" }", "two keys `a`"),
        ("{ id = \"a\" }", "`file`"),
        ("{ id = \"a\", file = \"none.key\" }", "does not exist"),
    ] {
        let (_, problems) = read(&keys(given), true);
        assert!(matches!(&problems[..], [(true, message)] if message.contains(told)), "{given}: {problems:?}");
    }
    assert!(matches!(&read("[encryption]\n", true).1[..], [(true, message)] if message.contains("`keys`")));
    // The machine that checks need not have the key.
    let (encryption, problems) = read(&keys("{ id = \"a\", file = \"none.key\" }"), false);
    assert!(matches!(&problems[..], [(false, _)]), "{problems:?}");
    assert_eq!(encryption, Encryption::Missing);
}
