//! The keys that sign tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::SigningKeys;
use store::oauth::jose::Algorithm;
use store::record::SigningKey;
use store::signing_keys::schedule::active;

use super::{Records, Stores, failed};
use crate::admin::api::keys::{KeyList, KeyRefused, KeyView, KeysSealed, RetireKey, RotateKey};
use crate::admin::api::{Refusal, RefusalKind};
use crate::admin::{Client as AdminClient, ClientError};

/// The store that is meant where none is named.
const DEFAULT: &str = "keys";

/// The stores of keys of a mapping, by their names.
pub(crate) type KeyStores = BTreeMap<String, Arc<SigningKeys>>;

impl Stores {
    pub(crate) async fn list_keys(&self) -> Result<KeyList, Refusal> {
        let now = self.now();
        let mut keys = Vec::new();
        for (store, signing) in &self.keys {
            let found = signing.list().await.map_err(failed)?;
            let state = |key: &SigningKey| {
                let signs = active(&found, &key.alg, now).is_some_and(|active| active.kid == key.kid);
                if signs { "signing" } else { state(key, now) }
            };
            keys.extend(found.iter().map(|key| view(store, key, state(key))));
        }
        Ok(KeyList { keys })
    }

    pub(crate) async fn rotate_key(&self, request: &RotateKey) -> Result<KeyView, Refusal> {
        let algorithm = Algorithm::parse(&request.algorithm).filter(|algorithm| Algorithm::SIGNING.contains(algorithm));
        let algorithm = algorithm.ok_or_else(|| {
            Refusal::invalid(format!("tokens are not signed with `{}`", request.algorithm), "use ES256, EdDSA or RS256")
        })?;
        let name = request.store.as_deref().unwrap_or(DEFAULT);
        let keys = self.keys.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.keys.keys().map(String::as_str).collect();
            Refusal::invalid(format!("there is no store `{name}` of keys"), format!("there is: {}", names.join(", ")))
        })?;
        let now = self.now();
        let work = async { keys.rotate(algorithm, request.after_seconds, now).await.map_err(failed) };
        let made = self.audit.change("key rotate", algorithm.as_str(), work).await?;
        Ok(view(name, &made, state(&made, now)))
    }

    pub(crate) async fn retire_key(&self, kid: &str, request: &RetireKey) -> Result<KeyView, Refusal> {
        let now = self.now();
        let work = async {
            for (store, keys) in &self.keys {
                let Some(found) = keys.list().await.map_err(failed)?.into_iter().find(|key| key.kid == kid) else {
                    continue;
                };
                // Done already is done.
                let retired = keys.retire(kid, request.withdraw, now).await.map_err(failed)?.unwrap_or(found);
                return Ok(view(store, &retired, state(&retired, now)));
            }
            let help = Some(String::from("`portcullis key list` prints them"));
            Err(Refusal { kind: RefusalKind::NotFound, message: format!("there is no key `{kid}`"), help })
        };
        self.audit.change(if request.withdraw { "key withdraw" } else { "key retire" }, kid, work).await
    }

    pub(crate) async fn reencrypt_keys(&self) -> Result<KeysSealed, Refusal> {
        let work = async {
            let mut all = KeysSealed::default();
            for keys in self.keys.values() {
                let done = keys.reencrypt().await.map_err(failed)?;
                all.keys += done.records;
                all.sealed += done.sealed;
                let refused = done.refused.into_iter();
                all.refused.extend(refused.map(|(kid, why)| KeyRefused { kid, refused: why.to_string() }));
            }
            Ok(all)
        };
        let word = |done: &KeysSealed| if done.refused.is_empty() { "done" } else { "failed" };
        self.audit.change_as("key reencrypt", "", work, word).await
    }
}

impl Records {
    /// The keys that sign tokens.
    pub async fn list_keys(&self) -> Result<KeyList, ClientError> {
        match self {
            Records::Stores(stores) => stores.list_keys().await.map_err(ClientError::Refused),
            Records::Node(node) => node.get("/keys").await,
        }
    }

    /// Makes a key that takes over.
    pub async fn rotate_key(&self, request: &RotateKey) -> Result<KeyView, ClientError> {
        match self {
            Records::Stores(stores) => stores.rotate_key(request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/keys/rotate", request).await,
        }
    }

    /// Lets a key sign no more.
    pub async fn retire_key(&self, kid: &str, request: &RetireKey) -> Result<KeyView, ClientError> {
        match self {
            Records::Stores(stores) => stores.retire_key(kid, request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&format!("/keys/{}/retire", AdminClient::encoded(kid)), request).await,
        }
    }

    /// Seals the keys anew.
    pub async fn reencrypt_keys(&self) -> Result<KeysSealed, ClientError> {
        match self {
            Records::Stores(stores) => stores.reencrypt_keys().await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/keys/reencrypt", &()).await,
        }
    }
}

fn view(store: &str, key: &SigningKey, state: &str) -> KeyView {
    KeyView {
        kid: key.kid.clone(),
        alg: key.alg.clone(),
        state: state.to_owned(),
        store: store.to_owned(),
        created_at: key.created_at,
        active_from: key.active_from,
        retired_at: key.retired_at,
        expires_at: key.expires_at,
        public: key.public.clone(),
    }
}

/// The state of a key that is not the one that signs.
fn state(key: &SigningKey, now: u64) -> &'static str {
    match () {
        () if !key.lives(now) => "gone",
        () if key.retired_at.is_some_and(|at| at <= now) => "retired",
        () if key.active_from > now => "upcoming",
        () => "replaced",
    }
}
