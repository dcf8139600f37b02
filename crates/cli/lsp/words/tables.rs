//! `node.toml` and `stores/stores.toml`: their keys, each with what it is for.

use serde_json::{Map, Value, json};

/// A key: the keys that lead to it (`*` is any name, `[]` an item of a list), what it is for, and the words that it may have.
type Key = (&'static str, &'static str, &'static [&'static str]);

const BOTH: &[&str] = &["true", "false"];

const ALLOW: Key = ("allow", "Lints that are silent in this file, each with a reason.", &[]);

/// `node.toml`.
pub(super) const NODE: &[Key] = &[
    ("name", "The node's name: `${node.name}`. Default: the host's.", &[]),
    ("cluster.nodes", "How many nodes share the stores.", &[]),
    ("values.*", "What differs between environments: text, or `{ env = \"NAME\", default = \"...\" }`.", &[]),
    ("listener.[].name", "Its name, for `listener` in policies.", &[]),
    ("listener.[].address", "An IP address and a port: `\"0.0.0.0:8080\"`.", &[]),
    ("listener.[].before", "Policies that run before every policy on it.", &[]),
    ("listener.[].after", "Policies that run on every answer.", &[]),
    ("listener.[].on_error", "The policy that answers what nothing took.", &[]),
    ("admin.address", "The address for the commands. Default: `\"127.0.0.1:8090\"`.", &[]),
    ("upstream.*.targets", "Where it is: `[\"http://127.0.0.1:9001\"]`.", &[]),
    ("upstream.*.timeouts.connect", "How long a connection may take. Default: `\"3s\"`.", &[]),
    ("upstream.*.timeouts.first_byte", "How long the answer may take to begin. Default: `\"30s\"`.", &[]),
    ("upstream.*.timeouts.idle", "How long nothing may come in the middle of an answer. Default: `\"60s\"`.", &[]),
    ("provider.*.issuer", "Who it is; endpoints that are not named are looked up there (RFC 8414).", &[]),
    ("provider.*.authorization_endpoint", "Where a person's browser is sent to log in.", &[]),
    ("provider.*.token_endpoint", "Where tokens are got.", &[]),
    ("provider.*.revocation_endpoint", "Where they are given back (RFC 7009).", &[]),
    ("provider.*.jwks_uri", "Its public keys.", &[]),
    ("provider.*.client_id", "Who the gateway is there.", &[]),
    ("provider.*.client_secret", "What it proves that with, a secret: `{ env = \"NAME\" }`.", &[]),
    (
        "provider.*.auth_method",
        "How it proves it. Default: `\"client_secret_basic\"`.",
        &["client_secret_basic", "client_secret_post", "none"],
    ),
    ("provider.*.scopes", "The scopes that are asked for where a policy names none.", &[]),
    ("provider.*.upstream", "The upstream that it is reached through. Default: connections of its own.", &[]),
    ("provider.*.timeout", "How long a call may take, 1s to 60s. Default: `\"10s\"`.", &[]),
    ("provider.*.answer_limit", "How large an answer may be. Default: `\"64KiB\"`.", &[]),
    ("provider.*.token_lifetime", "How long an access token is good where it does not say. Default: `\"1h\"`.", &[]),
    ("provider.*.refresh_lifetime", "How long a refresh token is kept. Default: `\"30d\"`.", &[]),
    ("limits.body", "How much of a body a filter may read into memory. Default: `\"1MiB\"`.", &[]),
    ("limits.headers", "How large a request's head may be. Default: `\"32KiB\"`.", &[]),
    ("limits.connections", "How many connections may be open. Default: `20000`.", &[]),
    ("limits.header_timeout", "How long a request's head may take. Default: `\"60s\"`.", &[]),
    ("limits.body_timeout", "How long a client may send nothing in the middle of a body. Default: `\"60s\"`.", &[]),
    ("limits.write_timeout", "How long a client may take nothing of its answer. Default: `\"60s\"`.", &[]),
    ("limits.drain", "How long requests may take to finish when the node ends. Default: `\"30s\"`.", &[]),
    ("log.format", "How log lines look. Default: `\"text\"`.", &["text", "json"]),
    ("log.level", "From which level on. Default: `\"info\"`.", &["error", "warn", "info", "debug", "trace"]),
    ("log.access", "Whether every request leaves a line. Default: `true`.", BOTH),
    ("debug.generation_header", "Whether every answer names the generation that gave it. Default: `false`.", BOTH),
    ALLOW,
];

/// `stores/stores.toml`.
pub(super) const STORES: &[Key] = &[
    ("default", "The data source of every store that names none.", &[]),
    (
        "source.*.type",
        "What kind of data source it is.",
        &["sqlite", "postgres", "mysql", "redis", "cassandra", "odbc", "file", "memory"],
    ),
    ("source.*.path", "The file (`sqlite`), relative to the configuration folder.", &[]),
    ("source.*.synchronous", "How durable an answered write is (`sqlite`). Default: `\"full\"`.", &["full", "normal"]),
    ("source.*.readers", "How many threads read, 1 to 64 (`sqlite`).", &[]),
    ("source.*.busy_timeout", "How long a write waits for another process (`sqlite`). Default: `\"1s\"`.", &[]),
    ("source.*.url", "Where it is (`postgres`, `mysql`, `redis`), a secret: `{ env = \"OAUTH_DB_URL\" }`.", &[]),
    (
        "source.*.max_connections",
        "The most connections of this node (`postgres`, `mysql`, `odbc`). Default: `16`.",
        &[],
    ),
    ("source.*.listen_url", "Where changes are told, past a pooler (`postgres`), a secret. Default: `url`.", &[]),
    ("source.*.prepared_statements", "Whether statements go by name (`postgres`).", BOTH),
    ("source.*.prefix", "What the names of all keys begin with (`redis`). Default: `\"portcullis\"`.", &[]),
    ("source.*.connect_timeout", "How long connecting may take (`redis`). Default: `\"2s\"`.", &[]),
    ("source.*.command_timeout", "How long an answer may take (`redis`). Default: `\"3s\"`.", &[]),
    ("source.*.contact_points", "Some of its servers (`cassandra`): `[\"10.0.0.7:9042\"]`.", &[]),
    ("source.*.keyspace", "The keyspace (`cassandra`), Portcullis's own.", &[]),
    ("source.*.user", "The role (`cassandra`).", &[]),
    ("source.*.password", "The role's password (`cassandra`), a secret: `{ env = \"NAME\" }`.", &[]),
    ("source.*.datacenter", "Whose servers are asked (`cassandra`). Default: the only one.", &[]),
    (
        "source.*.consistency",
        "How many replicas must have answered (`cassandra`). Default: `\"local_quorum\"`.",
        &["local_quorum", "quorum"],
    ),
    ("source.*.replication", "Replicas by datacenter (`cassandra`), to make a missing keyspace.", &[]),
    ("source.*.connection", "The ODBC connection string (`odbc`), a secret: `{ env = \"OAUTH_DB\" }`.", &[]),
    (
        "source.*.dialect",
        "Which SQL the database speaks (`odbc`).",
        &["oracle", "db2", "mssql", "postgres", "mysql", "sqlite"],
    ),
    ("store.*.kind", "Its kind, where that is not its name.", &["access-token", "client-access-token", "clients"]),
    ("store.*.source", "The data source that keeps its records.", &[]),
    (
        "store.*.next",
        "The source to which it will move; still written in `source`, read in both. First step, on all nodes.",
        &[],
    ),
    (
        "store.*.previous",
        "The source from which it moves to `source`. Second step; take it out when that is empty.",
        &[],
    ),
    ("store.*.timeout", "The most that one read or write may wait for its source, 50ms to 4s. Default: `\"4s\"`.", &[]),
    ("store.*.retries", "How often a read that failed quickly is tried again, 0 to 3. Default: `1`.", &[]),
    ("store.*.cache.entries", "How many records are remembered at most. Default: `100_000`.", &[]),
    ("store.*.cache.max_age", "How long one is believed at most, 10ms to 60s. Default: `\"1s\"`.", &[]),
    ("kps.*.source", "The data source that keeps its rows.", &[]),
    ("kps.*.key", "The column that rows are found by.", &[]),
    ("kps.*.second_key", "Another column that rows are found by, no two alike in it.", &[]),
    ("kps.*.columns", "The columns and their types: `{ id = \"text\", limit = \"integer\" }`. Default: any.", &[]),
    (
        "kps.*.columns.*",
        "What its values are: `\"text\"`, `\"integer\"`, `\"number\"`, `\"boolean\"`, `\"time\"`, `\"list\"`, `\"table\"`, or a table.",
        &[],
    ),
    (
        "kps.*.columns.*.type",
        "What its values are.",
        &["text", "integer", "number", "boolean", "time", "list", "table"],
    ),
    ("kps.*.columns.*.encrypted", "Whether its values are kept sealed.", BOTH),
    ("kps.*.columns.*.column", "Its name in the `table` of the database.", &[]),
    ("kps.*.auto_id", "Whether a row without a key gets one, a UUID.", BOTH),
    ("kps.*.ttl", "How long a row lives. Default: for ever.", &[]),
    ("kps.*.timeout", "The most that one read or write may wait for its source, 50ms to 4s. Default: `\"4s\"`.", &[]),
    ("kps.*.retries", "How often a read that failed quickly is tried again, 0 to 3. Default: `1`.", &[]),
    ("kps.*.table", "A table that the database has already: read, never written.", &[]),
    ALLOW,
];

/// A list of keys as a JSON Schema.
pub(super) fn schema(keys: &[Key]) -> Value {
    let mut root = json!({});
    for (path, doc, words) in keys {
        let mut node = &mut root;
        for part in path.split('.') {
            node = match part {
                "*" => below(node, "additionalProperties"),
                "[]" => below(node, "items"),
                name => below(below(node, "properties"), name),
            };
        }
        node["description"] = Value::from(*doc);
        if *words == BOTH {
            node["type"] = Value::from("boolean");
        } else if !words.is_empty() {
            node["enum"] = Value::from(*words);
        }
    }
    root
}

fn below<'v>(node: &'v mut Value, name: &str) -> &'v mut Value {
    if !node.is_object() {
        *node = Value::Object(Map::new());
    }
    &mut node[name]
}
