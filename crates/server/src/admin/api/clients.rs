//! What is said of clients: the names of RFC 7591 where there are some.

use policy::reader::did_you_mean;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::record::{ClientMetadata, ClientNotes};

/// What can be said of a client, when it is registered and later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientSettings {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Grants it may use: `client_credentials`.
    #[serde(default)]
    pub grant_types: Vec<String>,
    /// Scopes, with spaces between: allowed, and given where it asks for none and `default_scope` says nothing else.
    #[serde(default)]
    pub scope: String,
    /// The scopes that it gets where it asks for none, if those are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<String>,
    /// How it must authenticate; `none` for a public client, which then has no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    /// Whose tokens it may introspect, beyond its own: `any`, or audiences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introspect: Vec<String>,
    /// What is noted of it.
    #[serde(flatten)]
    pub notes: ClientNotes,
    /// What it tells of itself.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

impl ClientSettings {
    /// The names of all members: serde cannot refuse others in a structure that is made of several.
    const NAMES: [&str; 21] = [
        "client_name",
        "grant_types",
        "scope",
        "default_scope",
        "token_endpoint_auth_method",
        "introspect",
        "description",
        "owner",
        "tags",
        "redirect_uris",
        "post_logout_redirect_uris",
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "contacts",
        "jwks_uri",
        "jwks",
        "application_type",
        "software_id",
        "software_version",
    ];

    /// Reads settings and nothing else.
    pub(crate) fn exactly(members: Map<String, Value>) -> Result<ClientSettings, String> {
        members.keys().try_for_each(|name| ClientSettings::check_name(name))?;
        serde_json::from_value(Value::Object(members)).map_err(|why| why.to_string())
    }

    /// Whether there is a member of this name.
    pub(crate) fn check_name(name: &str) -> Result<(), String> {
        if ClientSettings::NAMES.contains(&name) {
            return Ok(());
        }
        let near = did_you_mean(name, ClientSettings::NAMES)
            .map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
        Err(format!("a client has no `{name}`{near}"))
    }
}

/// Registers a client.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct AddClient {
    /// Its identifier; one is made where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// A secret that a person chose; one is made where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// What is said of it.
    #[serde(flatten)]
    pub settings: ClientSettings,
}

impl TryFrom<Map<String, Value>> for AddClient {
    type Error = String;

    fn try_from(mut members: Map<String, Value>) -> Result<Self, String> {
        let mut text = |name: &str| match members.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{name}` is text")),
        };
        let (client_id, client_secret) = (text("client_id")?, text("client_secret")?);
        Ok(AddClient { client_id, client_secret, settings: ClientSettings::exactly(members)? })
    }
}

/// Gives a client another secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateClient {
    /// A secret that a person chose; one is made where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Seconds for which the old secrets stay valid.
    pub keep_old_seconds: u64,
    /// How it must authenticate from now on; none = as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
}

/// A client that was registered, or has another secret: the only time that the secret is shown.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientAdded {
    /// The client.
    #[serde(flatten)]
    pub client: ClientView,
    /// Its secret, this once; none for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Unix seconds until which the secrets before are still valid (after a rotation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_secrets_expire_at: Option<u64>,
}

/// A client, without its secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientView {
    /// Its identifier.
    pub client_id: String,
    /// A disabled client gets no token, and its tokens are refused.
    pub enabled: bool,
    /// What is said of it.
    #[serde(flatten)]
    pub settings: ClientSettings,
    /// Unix seconds.
    pub client_id_issued_at: u64,
    /// How many secrets are valid now.
    pub secrets: usize,
    /// Whether it registered itself, and manages its own registration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub self_registered: bool,
}

/// Clients in the order of their ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientList {
    /// The clients.
    pub clients: Vec<ClientView>,
    /// Where to go on: `after` of the next request; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A client as a file has it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct KeptClient {
    /// Its identifier.
    pub client_id: String,
    /// Whether it may do anything.
    pub enabled: bool,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_issued_at: Option<u64>,
    /// What is said of it.
    #[serde(flatten)]
    pub settings: ClientSettings,
    /// Hashes of its secrets, of another system perhaps; never exported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_hash: Vec<String>,
    /// Its secrets, sealed: their hashes, and those themselves that sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_secrets: Option<String>,
}

impl TryFrom<Map<String, Value>> for KeptClient {
    type Error = String;

    fn try_from(mut members: Map<String, Value>) -> Result<Self, String> {
        fn take<T: serde::de::DeserializeOwned>(
            members: &mut Map<String, Value>,
            name: &str,
        ) -> Result<Option<T>, String> {
            let value = members.remove(name).filter(|value| !value.is_null());
            value
                .map(|value| serde_json::from_value(value).map_err(|_| format!("`{name}` is of another type")))
                .transpose()
        }
        let secret_hash = match members.get_mut("secret_hash").map(Value::take) {
            Some(Value::String(one)) => vec![one],
            Some(other) => {
                members.insert(String::from("secret_hash"), other);
                take(&mut members, "secret_hash")?.unwrap_or_default()
            }
            None => Vec::new(),
        };
        members.remove("secret_hash");
        Ok(KeptClient {
            client_id: take(&mut members, "client_id")?.ok_or("`client_id` is missing")?,
            enabled: take(&mut members, "enabled")?.unwrap_or(true),
            client_id_issued_at: take(&mut members, "client_id_issued_at")?,
            secret_hash,
            sealed_secrets: take(&mut members, "sealed_secrets")?,
            settings: ClientSettings::exactly(members)?,
        })
    }
}

/// Clients in the order of their ids.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedClients {
    /// The clients.
    pub clients: Vec<KeptClient>,
    /// Where to go on: `after` of the next request; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Puts clients of a file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportClients {
    /// The clients.
    pub clients: Vec<KeptClient>,
    /// Whether one takes the place of another of its id.
    #[serde(default)]
    pub replace: bool,
    /// Write nothing: only say whether they fit.
    #[serde(default)]
    pub check_only: bool,
}

/// What became of one, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedClient {
    /// The client.
    pub client_id: String,
    /// What.
    pub fate: ImportFate,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What becomes of a client of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportFate {
    /// It is registered.
    Added,
    /// It takes the place of another of its id.
    Replaced,
    /// It is there already, as it is.
    Unchanged,
    /// It does not fit.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_member_that_is_none_of_its_is_refused() {
        let read = |json| serde_json::from_value::<AddClient>(json);
        let client = read(
            json!({ "client_id": "app", "scope": "a", "redirect_uris": ["https://a.example/"], "tags": { "x": "y" } }),
        );
        let client = client.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(client.settings.metadata.redirect_uris, ["https://a.example/"]);
        assert_eq!(client.settings.notes.tags["x"], "y");
        let again = serde_json::to_value(&client).unwrap();
        assert_eq!(
            again,
            json!({ "client_id": "app", "grant_types": [], "scope": "a", "redirect_uris": ["https://a.example/"], "tags": { "x": "y" } })
        );
        for (wrong, words) in [
            (json!({ "redirect_uri": "https://a.example/" }), "no `redirect_uri`, did you mean `redirect_uris`?"),
            (json!({ "enabled": true }), "no `enabled`"),
            (json!({ "client_id": 7 }), "`client_id` is text"),
            (json!({ "redirect_uris": "https://a.example/" }), "sequence"),
        ] {
            let why = read(wrong).err().unwrap().to_string();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn every_member_is_named() {
        let text =
            |name: &&str| matches!(*name, "grant_types" | "introspect" | "contacts") || name.ends_with("redirect_uris");
        let full = ClientSettings::NAMES.iter().map(|name| {
            let value = match *name {
                "tags" => json!({ "x": "y" }),
                "jwks" => json!({ "keys": [] }),
                name if text(&name) => json!(["x"]),
                _ => json!("x"),
            };
            (name.to_string(), value)
        });
        let full: Map<String, Value> = full.collect();
        let read = ClientSettings::exactly(full.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), Value::Object(full), "one is not kept");
        // One that is not named here stops the build.
        let ClientSettings {
            client_name: _,
            grant_types: _,
            scope: _,
            default_scope: _,
            token_endpoint_auth_method: _,
            introspect: _,
            notes: ClientNotes { description: _, owner: _, tags: _ },
            metadata:
                ClientMetadata {
                    redirect_uris: _,
                    post_logout_redirect_uris: _,
                    client_uri: _,
                    logo_uri: _,
                    tos_uri: _,
                    policy_uri: _,
                    contacts: _,
                    jwks_uri: _,
                    jwks: _,
                    application_type: _,
                    software_id: _,
                    software_version: _,
                },
        } = read;
    }
}
