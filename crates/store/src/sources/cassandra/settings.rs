//! `[source.NAME] type = "cassandra"`: its settings, and what is wrong with them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use oauth::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use scylla::frame::types::{Consistency as Level, SerialConsistency};
use serde::{Deserialize, Deserializer};

use crate::sources::secret;

/// `[source.NAME] type = "cassandra"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Some of the cluster's servers, `["10.0.0.7", "10.0.0.8:9042"]`: one that answers is enough, the others are told by it.
    /// The port is 9042 where none stands there.
    #[serde(deserialize_with = "contact_points")]
    #[schemars(length(min = 1))]
    pub contact_points: Vec<String>,
    /// The keyspace, Portcullis's own.
    #[serde(deserialize_with = "keyspace")]
    pub keyspace: String,
    /// The role, where the servers ask for one.
    #[serde(default)]
    pub user: Option<String>,
    /// Its password, a secret: `{ env = "NAME" }` or `{ file = "PATH" }`.
    #[serde(default)]
    pub password: Option<Password>,
    /// The datacenter whose servers are asked, as the cluster calls it. Default: the only one; where there are several, it must be
    /// said, the same on every node.
    #[serde(default)]
    pub datacenter: Option<String>,
    /// How many replicas must have answered: `"local_quorum"`, most of those in the datacenter, or `"quorum"`, most of all, for
    /// nodes in several datacenters that share records.
    #[serde(default)]
    pub consistency: Consistency,
    /// Replicas by datacenter, `{ dc1 = 3 }`: used once, to make the keyspace where it is not there.
    #[serde(default)]
    pub replication: Option<BTreeMap<String, u32>>,
}

/// A password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Password(Secret);

impl Password {
    /// Wraps a password.
    pub fn new(password: Secret) -> Self {
        Password(password)
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl JsonSchema for Password {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("SecretPassword")
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        secret::schema(generator)
    }
}

/// A consistency that can compare and swap: what most replicas have answered, most replicas that are asked later know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Consistency {
    /// Most replicas of the datacenter.
    #[default]
    LocalQuorum,
    /// Most replicas of all datacenters.
    Quorum,
}

impl Consistency {
    pub(super) fn level(self) -> Level {
        match self {
            Consistency::LocalQuorum => Level::LocalQuorum,
            Consistency::Quorum => Level::Quorum,
        }
    }

    pub(super) fn serial(self) -> SerialConsistency {
        match self {
            Consistency::LocalQuorum => SerialConsistency::LocalSerial,
            Consistency::Quorum => SerialConsistency::Serial,
        }
    }
}

impl<'de> Deserialize<'de> for Consistency {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let name = String::deserialize(d)?;
        let why = match name.to_ascii_lowercase().as_str() {
            "local_quorum" => return Ok(Consistency::LocalQuorum),
            "quorum" => return Ok(Consistency::Quorum),
            "any" | "one" | "local_one" | "two" | "three" => {
                "cannot compare and swap: a replica that was not asked knows nothing of the last write, and a token that was \
                 revoked would be good there"
            }
            "all" | "each_quorum" => {
                "fails as soon as one replica or one datacenter is down, and is no safer than a quorum"
            }
            "serial" | "local_serial" => "is how transactions agree, and is chosen by itself",
            _ => "is no consistency",
        };
        Err(serde::de::Error::custom(format!("`{name}` {why}; write \"local_quorum\" or \"quorum\"")))
    }
}

fn contact_points<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let points = Vec::<String>::deserialize(d)?;
    if points.is_empty() {
        return Err(serde::de::Error::custom("contact_points names no server"));
    }
    match points.iter().find(|point| !is_server(point)) {
        Some(point) => Err(serde::de::Error::custom(format!(
            "the contact point `{}` is no server: write HOST or HOST:PORT, such as \"10.0.0.7:9042\"",
            without_user(point)
        ))),
        None => Ok(points),
    }
}

/// What stands before an `@` may be a password.
fn without_user(point: &str) -> &str {
    point.rsplit('@').next().unwrap_or(point)
}

fn is_server(point: &str) -> bool {
    let name = |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if point.parse::<IpAddr>().is_ok() {
        return true;
    }
    match point.rsplit_once(':') {
        Some((host, number)) if host.starts_with('[') && host.ends_with(']') => {
            host[1..host.len() - 1].parse::<IpAddr>().is_ok() && port(number)
        }
        Some((host, number)) => name(host) && port(number),
        None => name(point),
    }
}

/// A name that needs no quotes in CQL, so that what is said here is what stands in the cluster.
fn keyspace<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let name = String::deserialize(d)?;
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.len() <= 48 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(fine) {
        return Ok(name);
    }
    Err(serde::de::Error::custom(
        "the keyspace's name must be of a-z, 0-9 and _, begin with a letter and have at most 48 characters",
    ))
}

impl Settings {
    /// Whether both mean the same tables: the same keyspace by way of a server that both name.
    pub fn same_place(&self, other: &Settings) -> bool {
        self.keyspace == other.keyspace && self.servers().iter().any(|server| other.servers().contains(server))
    }

    /// The contact points, each with its port.
    pub(super) fn servers(&self) -> Vec<String> {
        let with_port = |point: &String| match point.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:9042"),
            _ if point.contains(':') => point.clone(),
            _ => format!("{point}:9042"),
        };
        self.contact_points.iter().map(with_port).collect()
    }

    /// Whether what is sent leaves this machine, in clear.
    pub(super) fn leaves_this_machine(&self) -> bool {
        let local = |server: &String| {
            let host = server.rsplit_once(':').map_or(server.as_str(), |(host, _)| host).trim_matches(['[', ']']);
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        !self.servers().iter().all(local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<Settings, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    fn at(points: &[&str]) -> Settings {
        read(serde_json::json!({ "contact_points": points, "keyspace": "portcullis" })).unwrap()
    }

    #[test]
    fn settings_have_defaults_and_bounds() {
        let plain = at(&["10.0.0.7", "db.example:9043", "::1", "[::1]:9044"]);
        assert_eq!(plain.servers(), ["10.0.0.7:9042", "db.example:9043", "[::1]:9042", "[::1]:9044"]);
        assert_eq!((plain.consistency, plain.datacenter), (Consistency::LocalQuorum, None));
        let with = |key: &str, value: serde_json::Value| {
            let mut all = serde_json::json!({ "contact_points": ["a"], "keyspace": "k" });
            all[key] = value;
            read(all).unwrap_err()
        };
        for (key, value, why) in [
            ("contact_points", serde_json::json!([]), "names no server"),
            ("contact_points", serde_json::json!(["cassandra:hunter2@db"]), "`db` is no server"),
            ("contact_points", serde_json::json!(["db:port"]), "HOST:PORT"),
            ("keyspace", "Portcullis".into(), "a-z"),
            ("keyspace", "k; DROP".into(), "a-z"),
            ("keyspace", "".into(), "a-z"),
            ("keyspaces", "k".into(), "unknown field"),
            ("consistency", "one".into(), "cannot compare and swap"),
            ("consistency", "LOCAL_ONE".into(), "\"local_quorum\" or \"quorum\""),
            ("consistency", "all".into(), "no safer"),
            ("consistency", "serial".into(), "by itself"),
            ("consistency", "most".into(), "is no consistency"),
        ] {
            let found = with(key, value);
            assert!(found.contains(why) && !found.contains("hunter2"), "{key}: {found}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings =
            read(serde_json::json!({ "contact_points": ["a"], "keyspace": "k", "user": "u", "password": "hunter2" }));
        let settings = settings.unwrap();
        assert_eq!(settings.password.as_ref().map(Password::expose), Some("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn one_server_in_common_is_the_same_place() {
        assert!(at(&["a", "b"]).same_place(&at(&["b:9042", "c"])));
        assert!(!at(&["a"]).same_place(&at(&["b"])));
        assert!(!at(&["a"]).same_place(&Settings { keyspace: "other".into(), ..at(&["a"]) }));
    }

    #[test]
    fn what_leaves_this_machine_is_known() {
        for (points, leaves) in [
            (vec!["127.0.0.1", "localhost:9043", "[::1]:9042", "::1"], false),
            (vec!["127.0.0.1", "10.0.0.7"], true),
            (vec!["db.example"], true),
        ] {
            assert_eq!(at(&points).leaves_this_machine(), leaves, "{points:?}");
        }
    }
}
