//! The tables of `node.toml` and `stores/stores.toml`, written down as types: for their JSON Schemas, and never read. The reader takes
//! these files apart by hand, to tell all that is wrong at once; a test holds it and these tables to each other.

#![allow(dead_code, reason = "they are never made: what they say is what may stand in a file")]

mod upstream;

use std::borrow::Cow;
use std::collections::BTreeMap;

use policy::lint::AllowTable;
use policy::settings::{ByteSize, Duration, FromOutside, Network};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use store::Kind;
use store::kps::ColumnType;
use store::sources::SourceSettings;

use self::upstream::{Files, UpstreamTable};

/// Settings of a node. All of it is optional.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct NodeFile {
    /// The node's name, `${node.name}` in policies. Default: the host's name.
    name: Option<String>,
    /// The nodes that share the stores.
    cluster: Option<ClusterTable>,
    /// The keys of what is kept in a form that can be recovered. Default: a single node makes `var/secret.key` for itself.
    encryption: Option<EncryptionTable>,
    /// What differs between environments, as `${values.NAME}` in every file: text, a number, true or false, a list, or
    /// `{ env = "NAME", default = "..." }`.
    values: Option<BTreeMap<String, Setting>>,
    /// The addresses that requests come in on. Default: one, `default`, on `127.0.0.1:8080`.
    listener: Option<Vec<ListenerTable>>,
    /// The proxies before the gateway that are believed about the client: addresses and networks. What anybody else says in `Forwarded`,
    /// `X-Forwarded-*`, `X-Real-IP`, `X-Request-Id`, `traceparent` and `tracestate` is dropped. Default: nobody, also not on loopback.
    trusted_proxies: Option<Vec<Network>>,
    /// The address for the commands: reload, status, metrics, health.
    admin: Option<AdminTable>,
    /// The servers behind the gateway, by their names.
    upstream: Option<BTreeMap<String, UpstreamTable>>,
    /// Other authorization servers, of which the gateway is a client, by their names.
    provider: Option<BTreeMap<String, ProviderTable>>,
    /// Sizes, connections, and how long clients may take.
    limits: Option<LimitsTable>,
    /// How log lines look.
    log: Option<LogTable>,
    /// Traces and metrics for a collector (OTLP). Default: none are sent.
    telemetry: Option<TelemetryTable>,
    /// Help for whoever looks for a mistake.
    debug: Option<DebugTable>,
    /// Lints that are silent in this file, each with the reason.
    allow: Option<AllowTable>,
}

/// `[cluster]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ClusterTable {
    /// How many nodes there are. With more than one, `check` refuses stores whose records only one node sees; while the store of a limit is down, each keeps that part of it.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 1))]
    nodes: Option<u32>,
}

/// `[encryption]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct EncryptionTable {
    /// The first seals, all of them open; the same on all nodes that share a source.
    keys: Vec<EncryptionKeyTable>,
}

/// A key of `[encryption]`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct EncryptionKeyTable {
    /// Its name, which stands in what it sealed: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    id: String,
    /// The file that holds it, relative to the configuration folder: 64 hexadecimal digits, as `openssl rand -hex 32` prints them.
    file: String,
}

/// `[[listener]]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ListenerTable {
    /// Its name, for `listener` in policies.
    name: String,
    /// An IP address and a port: `"0.0.0.0:8080"`, `"[::]:8080"`; port 0 is one that is free. Or a Unix socket, relative to the
    /// configuration folder: `"unix:run/gateway.sock"`.
    address: String,
    /// The mode of a Unix socket's file.
    #[schemars(extend("default" = "0660"))]
    mode: Option<String>,
    /// TLS. Default: in the clear.
    tls: Option<TlsTable>,
    /// Which HTTP is spoken; in the clear, HTTP/2 is by prior knowledge.
    #[schemars(extend("items" = { "enum": ["1.1", "2"] }, "default" = ["1.1", "2"]))]
    http: Option<Vec<String>>,
    /// The balancers that say by the PROXY protocol whose connection they pass on, and must: addresses and networks. Others are served as
    /// they are. Default: none.
    proxy_protocol: Option<Vec<Network>>,
    /// Limits of its own, in the place of `[limits]`.
    limits: Option<ListenerLimitsTable>,
    /// Policies that run before every policy on it.
    before: Option<Vec<String>>,
    /// Policies that run on every answer, built-in ones included.
    after: Option<Vec<String>>,
    /// The policy that answers what nothing took.
    on_error: Option<String>,
}

/// `tls` of a listener.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TlsTable {
    /// The file of the certificate (PEM), the server's own first, then those that signed it. A file that changes is taken up while running.
    /// This and `key`, or `acme`.
    certificate: Option<String>,
    /// Its private key (PEM: PKCS #8, PKCS #1 or SEC 1): `{ file = "tls/server.key" }` or `{ env = "NAME" }`.
    key: Option<SecretTable>,
    /// An authority that makes the certificate and renews it (ACME, RFC 8555).
    acme: Option<AcmeTable>,
    /// More certificates: a client that asks for one of their names (SNI) gets that one, all others the first.
    more: Option<Vec<CertificateTable>>,
    /// The oldest TLS that is spoken.
    #[schemars(extend("enum" = ["1.2", "1.3"], "default" = "1.2"))]
    min_version: Option<String>,
    /// Certificates of clients (mutual TLS): `request.cert` in policies. Default: none is asked for.
    clients: Option<TlsClientsTable>,
}

/// `acme` of a listener's `tls`. The certificate and its key are kept in `var/acme/LISTENER.pem`, the account beside it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AcmeTable {
    /// The URL of the authority's directory.
    #[schemars(extend("default" = "https://acme-v02.api.letsencrypt.org/directory"))]
    directory: Option<String>,
    /// The names that the certificate is for.
    names: Vec<String>,
    /// Where the authority may write to: `["mailto:ops@example.com"]`. Default: nowhere.
    contact: Option<Vec<String>>,
    /// That you agree to the authority's terms: it makes no certificates for others.
    terms_agreed: bool,
    /// How it is proven that the names are yours: the authority comes to port 443 of each over TLS, or to port 80.
    #[schemars(extend("enum" = ["tls-alpn-01", "http-01"], "default" = "tls-alpn-01"))]
    proof: Option<String>,
    /// The file of the authorities that signed the certificate of the directory's own server (PEM). Default: the machine's.
    ca: Option<String>,
    /// The account at the authority that a new one is bound to, where the authority wants that.
    external_account: Option<ExternalAccountTable>,
}

/// `external_account` of `acme`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ExternalAccountTable {
    /// Its id.
    id: String,
    /// Its key, in base64url.
    key: SecretTable,
}

/// One of `more` certificates.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CertificateTable {
    /// The file of the certificate.
    certificate: String,
    /// Its private key.
    key: SecretTable,
}

/// `clients` of a listener's `tls`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TlsClientsTable {
    /// The file of the authorities whose certificates count (PEM).
    ca: String,
    /// Whether a connection without a certificate is refused, or policies decide. One that is not good is refused always.
    #[schemars(extend("enum" = ["required", "optional"], "default" = "required"))]
    verify: Option<String>,
    /// Files of certificate revocation lists (PEM). Where there is one, every certificate of a chain but the authority's own must be in the
    /// reach of a list that has not run out.
    crl: Option<Vec<String>>,
}

/// `[admin]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct AdminTable {
    /// An IP address and a port; never for the world.
    #[schemars(extend("default" = "127.0.0.1:8090"))]
    address: Option<String>,
}

/// `[provider.NAME]`: another authorization server, of which the gateway is a client.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ProviderTable {
    /// Who it is. Endpoints that are not named are looked up in its metadata (RFC 8414, OpenID Connect Discovery). This or `token_endpoint`
    /// must be there.
    issuer: Option<FromOutside>,
    /// Where a person's browser is sent to log in.
    authorization_endpoint: Option<FromOutside>,
    /// Where tokens are got.
    token_endpoint: Option<FromOutside>,
    /// Where they are given back (RFC 7009).
    revocation_endpoint: Option<FromOutside>,
    /// Its public keys.
    jwks_uri: Option<FromOutside>,
    /// Who the gateway is there.
    client_id: FromOutside,
    /// What it proves that with.
    client_secret: Option<SecretTable>,
    /// How it proves it; `none` is a public client.
    #[schemars(extend("enum" = ["client_secret_basic", "client_secret_post", "none"], "default" = "client_secret_basic"))]
    auth_method: Option<String>,
    /// The scopes that are asked for where a policy names none. Default: none.
    scopes: Option<Vec<String>>,
    /// The upstream that it is reached through: `[upstream.NAME]`. Default: connections of its own, to the one host and port of its URLs.
    upstream: Option<String>,
    /// PEM files of the authorities that are trusted where it is reached by connections of its own over `https`: one, or a list. Default: the
    /// machine's.
    ca: Option<Files>,
    /// How long a call may take, with all of its answer, 1s to 60s.
    #[schemars(extend("default" = "10s"))]
    timeout: Option<Duration>,
    /// How large an answer may be, 1KiB to 1MiB.
    #[schemars(extend("default" = "64KiB"))]
    answer_limit: Option<ByteSize>,
    /// How long an access token is good where the provider does not say.
    #[schemars(extend("default" = "1h"))]
    token_lifetime: Option<Duration>,
    /// How long a refresh token is kept.
    #[schemars(extend("default" = "30d"))]
    refresh_lifetime: Option<Duration>,
}

/// A secret: the variable or the file that holds it.
struct SecretTable;

impl JsonSchema for SecretTable {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Secret")
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        store::sources::secret_schema(generator)
    }
}

/// `[limits]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct LimitsTable {
    /// How much of a body a filter may read into memory, up to 1GiB; a larger one is 413. Bodies that stream have no limit.
    #[schemars(extend("default" = "1MiB"))]
    body: Option<ByteSize>,
    /// How many connections may be open, of all listeners together.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 20_000))]
    connections: Option<u32>,
    /// How long requests may take to finish when the node ends.
    #[schemars(extend("default" = "30s"))]
    drain: Option<Duration>,
    /// How large a request's head may be, from 8KiB to 1MiB.
    #[schemars(extend("default" = "32KiB"))]
    headers: Option<ByteSize>,
    /// How many fields a request's head may have.
    #[schemars(range(min = 10, max = 10_000), extend("default" = 100))]
    header_count: Option<u32>,
    /// How many connections one address may have open; of IPv6, the first 64 bits of it. Default: any number.
    #[schemars(range(min = 1, max = 1_000_000))]
    connections_per_address: Option<u32>,
    /// How many requests one connection of HTTP/2 may have open.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 100))]
    streams: Option<u32>,
    /// How long a connection may take until its first request begins, with the PROXY protocol and TLS before it.
    #[schemars(extend("default" = "20s"))]
    first_byte_timeout: Option<Duration>,
    /// How long a request's head may take from its first byte.
    #[schemars(extend("default" = "20s"))]
    header_timeout: Option<Duration>,
    /// How long a connection may lie idle between two requests.
    #[schemars(extend("default" = "60s"))]
    idle_timeout: Option<Duration>,
    /// How long a client may send nothing in the middle of a body.
    #[schemars(extend("default" = "60s"))]
    body_timeout: Option<Duration>,
    /// How long a client may take nothing of its answer.
    #[schemars(extend("default" = "60s"))]
    write_timeout: Option<Duration>,
    /// How long a request may take in all, from the end of its head to the end of its answer. Default: as long as it goes on.
    request_timeout: Option<Duration>,
}

/// `limits` of a listener.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ListenerLimitsTable {
    /// How many connections may be open on it. Default: as many as on all listeners together.
    #[schemars(range(min = 1, max = 1_000_000))]
    connections: Option<u32>,
    /// How large a request's head may be, from 8KiB to 1MiB.
    #[schemars(extend("default" = "32KiB"))]
    headers: Option<ByteSize>,
    /// How many fields a request's head may have.
    #[schemars(range(min = 10, max = 10_000), extend("default" = 100))]
    header_count: Option<u32>,
    /// How many connections one address may have open; of IPv6, the first 64 bits of it. Default: any number.
    #[schemars(range(min = 1, max = 1_000_000))]
    connections_per_address: Option<u32>,
    /// How many requests one connection of HTTP/2 may have open.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 100))]
    streams: Option<u32>,
    /// How long a connection may take until its first request begins, with the PROXY protocol and TLS before it.
    #[schemars(extend("default" = "20s"))]
    first_byte_timeout: Option<Duration>,
    /// How long a request's head may take from its first byte.
    #[schemars(extend("default" = "20s"))]
    header_timeout: Option<Duration>,
    /// How long a connection may lie idle between two requests.
    #[schemars(extend("default" = "60s"))]
    idle_timeout: Option<Duration>,
    /// How long a client may send nothing in the middle of a body.
    #[schemars(extend("default" = "60s"))]
    body_timeout: Option<Duration>,
    /// How long a client may take nothing of its answer.
    #[schemars(extend("default" = "60s"))]
    write_timeout: Option<Duration>,
    /// How long a request may take in all, from the end of its head to the end of its answer. Default: as long as it goes on.
    request_timeout: Option<Duration>,
}

/// `[log]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct LogTable {
    /// How lines look: for people, or one JSON object each.
    #[schemars(extend("enum" = ["text", "json"], "default" = "text"))]
    format: Option<String>,
    /// From which level on.
    #[schemars(extend("enum" = ["error", "warn", "info", "debug", "trace"], "default" = "info"))]
    level: Option<String>,
    /// Other levels for some targets of lines, and what is below them: `{ "server::upstream" = "debug" }`.
    targets: Option<BTreeMap<String, String>>,
    /// Where every request leaves a line: `true` in the log (at `info`), `false` nowhere, `"json"`, `"common"` or `"combined"` in a log of its own.
    #[schemars(schema_with = "access_choice", extend("default" = true))]
    access: Option<bool>,
    /// The file of an access log of its own, relative to the configuration folder; appended to, and made anew where it was moved away. Default: standard output.
    access_file: Option<String>,
    /// What stands in a line of `access = "json"`, in this order: `time`, `id`, `listener`, `client`, `method`, `path`, `status`, `outcome`, `policy`, `route`, `reason`, `place`,
    /// `why`, `bytes`, `micros`, `generation` and `trace_id` are there by default, `version`, `host`, `subject`, `client_id`, `user_agent` and `referer` (without its query) where they are asked for.
    access_fields: Option<Vec<String>>,
}

/// In the log or not, or a format.
fn access_choice(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [true, false, "json", "common", "combined"] })
}

/// `[telemetry]`: traces and metrics, sent by OTLP over HTTP (protobuf) to `/v1/traces` and `/v1/metrics`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TelemetryTable {
    /// The upstream that is the collector: `[upstream.NAME]`, with its port for OTLP over HTTP, mostly 4318.
    upstream: String,
    /// Headers of every export: `{ authorization = { env = "OTLP_AUTHORIZATION" } }`.
    headers: Option<BTreeMap<String, SecretTable>>,
    /// What is said of the node beside `service.name` (`portcullis`, unless named here), `service.version` and `service.instance.id` (its name): `{ "deployment.environment.name" = "test" }`.
    attributes: Option<BTreeMap<String, FromOutside>>,
    /// Of traces that begin here, the share whose spans are sent, 0 to 1. What a trusted proxy decided is kept to.
    #[schemars(extend("default" = 1.0))]
    sample: Option<f64>,
    /// Whether requests that were answered 5xx leave a span whatever was decided.
    #[schemars(extend("default" = true))]
    errors: Option<bool>,
    /// Whether metrics are sent.
    #[schemars(extend("default" = true))]
    metrics: Option<bool>,
    /// How often metrics are sent, 1 s to 1 h.
    #[schemars(extend("default" = "60s"))]
    metrics_every: Option<Duration>,
    /// How long the collector may take for an export, 1 s to 60 s.
    #[schemars(extend("default" = "10s"))]
    timeout: Option<Duration>,
}

/// `[debug]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct DebugTable {
    /// Whether every answer names the generation that gave it, in the header `Portcullis-Generation`.
    #[schemars(extend("default" = false))]
    generation_header: Option<bool>,
}

/// Which store keeps its records in which data source.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct StoresFile {
    /// The data source of every store that names none.
    default: String,
    /// The data sources, by their names.
    source: Option<BTreeMap<String, Source>>,
    /// Stores that are not on the default, or that have a name of their own.
    store: Option<BTreeMap<String, StoreTable>>,
    /// Tables of the operator's own (key property stores): `${kps.NAME[KEY].COLUMN}` in policies.
    kps: Option<BTreeMap<String, KpsTable>>,
    /// Lints that are silent in this file, each with the reason.
    allow: Option<AllowTable>,
}

/// `[store.NAME]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct StoreTable {
    /// The kind of its records. Default: its name.
    kind: Option<StoreKind>,
    /// The data source that keeps its records. Default: `default`.
    source: Option<String>,
    /// The data source that it moves to, while other nodes may know the old one alone: both are read, new records are made in the old one.
    next: Option<String>,
    /// The data source that it moves from: both are read, new records are made in the new one.
    previous: Option<String>,
    /// Remembers rows that were read by their key. Default: every read goes to the source. Not for clients, which are remembered
    /// for at most 1 s by themselves.
    cache: Option<CacheTable>,
    /// The most that one read or write of it may wait for the source, 50ms to 4s. Default: `4s`.
    timeout: Option<Duration>,
    /// How often a read that the source refused quickly, and for now, is tried again, 0 to 3. Default: `1`.
    retries: Option<u32>,
}

/// `cache` of a store.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CacheTable {
    /// How many rows at most.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = 100_000))]
    entries: Option<u32>,
    /// How long a row is believed where its change is not told, 10ms to 60s.
    #[schemars(extend("default" = "1s"))]
    max_age: Option<Duration>,
}

/// `[kps.NAME]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct KpsTable {
    /// The data source that keeps its rows. Default: `default`.
    source: Option<String>,
    /// The column that rows are found by: text or a whole number.
    key: String,
    /// Another column that rows are found by; no two rows have the same value in it.
    second_key: Option<String>,
    /// The columns and what their values are: `{ id = "text", limit = "integer" }`. Default: any columns, with any values.
    columns: Option<BTreeMap<String, KpsColumn>>,
    /// Whether a row that is put without a key gets one, a UUID.
    #[schemars(extend("default" = false))]
    auto_id: Option<bool>,
    /// How long a row lives, where whoever puts it does not say. Default: for ever.
    ttl: Option<Duration>,
    /// A table that the database has already, to be read and never written.
    table: Option<String>,
    /// The most that one read or write of it may wait for the source, 50ms to 4s. Default: `4s`.
    timeout: Option<Duration>,
    /// How often a read that the source refused quickly, and for now, is tried again, 0 to 3. Default: `1`.
    retries: Option<u32>,
}

/// A column of `[kps.NAME]`: the word for its type, or a table.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum KpsColumn {
    /// What its values are.
    Type(KpsType),
    /// More of it.
    Table(KpsColumnTable),
}

/// A column of `[kps.NAME]` as a table.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct KpsColumnTable {
    /// What its values are.
    r#type: KpsType,
    /// Whether its values are kept sealed.
    #[schemars(extend("default" = false))]
    encrypted: Option<bool>,
    /// Its name in the `table` of the database. Default: the same.
    column: Option<String>,
}

struct KpsType;

impl JsonSchema for KpsType {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("KpsType")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ColumnType::ALL.map(|(_, word)| word) })
    }
}

/// A value of `[values]`.
struct Setting;

impl JsonSchema for Setting {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Value")
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                generator.subschema_for::<FromOutside>(),
                { "type": ["number", "boolean"] },
                { "type": "array", "items": { "$ref": "#/definitions/Value" } },
            ],
        })
    }
}

struct StoreKind;

impl JsonSchema for StoreKind {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("StoreKind")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<_> = Kind::ALL.iter().map(|(_, name)| *name).collect();
        json_schema!({ "enum": kinds })
    }
}

/// `[source.NAME]`: its settings hang on its `type`.
struct Source;

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Source")
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        const TYPE: &str = "What kind of data source it is.";
        let (mut types, mut each, mut all) = (Vec::new(), Vec::new(), json!({}));
        for (name, _) in SourceSettings::KINDS {
            let Some(schema) = SourceSettings::schema(name, generator) else { continue };
            let mut schema = schema.to_value();
            if let Some(properties) = schema["properties"].as_object() {
                properties.iter().for_each(|(key, setting)| all[key] = setting.clone());
            }
            schema["properties"]["type"] = json!({ "description": TYPE, "const": name });
            match schema["required"].as_array_mut() {
                Some(required) => required.push(Value::from("type")),
                None => schema["required"] = json!(["type"]),
            }
            let definition = format!("Source.{name}");
            each.push(json!({
                "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
                "then": { "$ref": format!("#/definitions/{definition}") },
            }));
            types.push(*name);
            generator.definitions_mut().insert(definition, schema);
        }
        // Editors that know nothing of `if` offer these.
        all["type"] = json!({ "description": TYPE, "type": "string", "enum": types });
        json_schema!({
            "description": "A data source.",
            "type": "object",
            "required": ["type"],
            "properties": all,
            "allOf": each,
        })
    }
}
