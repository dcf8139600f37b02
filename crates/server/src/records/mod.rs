//! Work on records: clients, users and tokens, the same whether the command line opens the stores itself or asks a running node.

mod clients;
mod held;
mod keys;
mod kps;
mod tokens;
mod users;

use std::sync::Arc;

use policy::ports::Environment;
use serde_json::{Map, Value};
use store::mapping::Opened;
use store::seal::Sealer;
use store::{AccessTokens, Clients, Consents, Sessions, StoreError, StoreHandle, Users};

pub use self::clients::{HashedSecret, hash_secret};
pub(crate) use self::clients::{check_client, check_grant, check_hash, check_id, check_known_method};
pub use self::users::{HashedPassword, hash_password};
pub(crate) use self::users::{check_claims, check_user_name};
use crate::admin::api::{
    AddClient, ClientAdded, ClientList, ClientView, Done, ExportedClients, ImportClients, ImportedClient, InspectToken,
    Refusal, RevokeTokens, RotateClient, Sealed, TokenView,
};
use crate::admin::{Client as AdminClient, ClientError};
use crate::audit::Audit;

/// The mapped stores that record commands work on.
#[derive(Clone)]
pub struct Stores {
    /// The client registry.
    pub clients: Arc<Clients>,
    /// The stores of access tokens: what is revoked is revoked in all of them.
    pub access_tokens: Vec<Arc<AccessTokens>>,
    /// The people who may log in.
    pub users: Arc<Users>,
    /// The stores of sessions: what is ended is ended in all of them.
    pub sessions: Vec<Arc<Sessions>>,
    /// What people have agreed to: of whoever is deleted it is forgotten in all of them.
    consents: Vec<Arc<Consents>>,
    /// The keys that sign tokens.
    keys: keys::KeyStores,
    /// Tokens that the gateway holds as a client of others.
    held: held::HeldStores,
    /// Key property stores.
    kps: kps::KpsStores,
    sealer: Arc<Sealer>,
    environment: Environment,
    audit: Audit,
}

/// Where record commands find the records.
pub enum Records {
    /// In the mapped stores, opened by this process.
    Stores(Box<Stores>),
    /// With a running node.
    Node(AdminClient),
}

/// With which keys hashes of secrets leave a registry and come in.
pub enum Seal {
    /// They stay where they are.
    Nothing,
    /// With those of the node, `[encryption]`.
    Own,
    /// With another one.
    With(Arc<Sealer>),
}

impl Seal {
    /// A key that the command has stays with the command.
    fn refused() -> Refusal {
        let help = "leave `--admin` out: the command then opens the stores itself";
        Refusal::invalid("a running node seals with its own keys", help)
    }
}

impl Stores {
    /// The keys of `[encryption]`.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Those of this mapping.
    pub(crate) fn of(opened: &Opened, environment: Environment, audit: Audit) -> Result<Stores, Refusal> {
        let (mut clients, mut access_tokens) = (None, Vec::new());
        let (mut users, mut sessions, mut consents) = (None, Vec::new(), Vec::new());
        let mut kps = kps::KpsStores::new();
        let mut keys = keys::KeyStores::new();
        let mut held = held::HeldStores::new();
        for (name, _, source) in opened.stores() {
            match opened.store(name) {
                Some(StoreHandle::Clients(store)) if clients.is_none() || name == "clients" => {
                    clients = Some(store.clone())
                }
                Some(StoreHandle::AccessToken(store)) => access_tokens.push(store.clone()),
                Some(StoreHandle::Users(store)) if users.is_none() || name == "users" => users = Some(store.clone()),
                Some(StoreHandle::Sessions(store)) => sessions.push(store.clone()),
                Some(StoreHandle::Consents(store)) => consents.push(store.clone()),
                Some(StoreHandle::ClientAccessToken(store)) => {
                    held.insert(name.to_owned(), store.clone());
                }
                Some(StoreHandle::Keys(store)) => {
                    keys.insert(name.to_owned(), store.clone());
                }
                Some(StoreHandle::Kps(store)) => {
                    kps.insert(store.settings().name.clone(), (store.clone(), source.to_owned()));
                }
                _ => {}
            }
        }
        match (clients, users) {
            (Some(clients), Some(users)) if !access_tokens.is_empty() => {
                let sealer = opened.sealer().clone();
                Ok(Stores {
                    clients,
                    access_tokens,
                    users,
                    sessions,
                    consents,
                    keys,
                    held,
                    kps,
                    sealer,
                    environment,
                    audit,
                })
            }
            _ => Err(Refusal::invalid(
                "no store of clients, of users or of access tokens is mapped",
                "see stores/stores.toml",
            )),
        }
    }

    /// Unix seconds.
    fn now(&self) -> u64 {
        self.environment.clock.unix_millis() / 1_000
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.environment.random.fill(&mut bytes);
        bytes
    }
}

impl Records {
    /// Registers a client.
    pub async fn add_client(&self, request: &AddClient) -> Result<ClientAdded, ClientError> {
        match self {
            Records::Stores(stores) => stores.add_client(request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/clients", request).await,
        }
    }

    /// Clients in the order of their ids, after `after`, at most `limit`.
    pub async fn list_clients(&self, after: Option<&str>, limit: usize) -> Result<ClientList, ClientError> {
        match self {
            Records::Stores(stores) => stores.list_clients(after, limit).await.map_err(ClientError::Refused),
            Records::Node(node) => {
                let after = after.map_or_else(String::new, |id| format!("&after={}", AdminClient::encoded(id)));
                node.get(&format!("/clients?limit={limit}{after}")).await
            }
        }
    }

    /// One client.
    pub async fn show_client(&self, id: &str) -> Result<ClientView, ClientError> {
        match self {
            Records::Stores(stores) => stores.show_client(id).await.map_err(ClientError::Refused),
            Records::Node(node) => node.get(&format!("/clients/{}", AdminClient::encoded(id))).await,
        }
    }

    /// Gives a client another secret.
    pub async fn rotate_client(&self, id: &str, request: &RotateClient) -> Result<ClientAdded, ClientError> {
        match self {
            Records::Stores(stores) => stores.rotate_client(id, request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post(&format!("/clients/{}/rotate", AdminClient::encoded(id)), request).await,
        }
    }

    /// Enables or disables a client.
    pub async fn enable_client(&self, id: &str, enabled: bool) -> Result<ClientView, ClientError> {
        match self {
            Records::Stores(stores) => stores.enable_client(id, enabled).await.map_err(ClientError::Refused),
            Records::Node(node) => {
                let verb = if enabled { "enable" } else { "disable" };
                node.post(&format!("/clients/{}/{verb}", AdminClient::encoded(id)), &()).await
            }
        }
    }

    /// Changes what is said of a client: members of [`crate::admin::api::ClientSettings`], null for what is taken off.
    pub async fn set_client(&self, id: &str, changes: &Map<String, Value>) -> Result<ClientView, ClientError> {
        match self {
            Records::Stores(stores) => stores.set_client(id, changes).await.map_err(ClientError::Refused),
            Records::Node(node) => node.patch(&format!("/clients/{}", AdminClient::encoded(id)), changes).await,
        }
    }

    /// Clients as a file has them, in the order of their ids, after `after`, at most `limit`.
    pub async fn export_clients(
        &self,
        after: Option<&str>,
        limit: usize,
        seal: &Seal,
    ) -> Result<ExportedClients, ClientError> {
        match (self, seal) {
            (Records::Stores(stores), seal) => {
                let sealer = match seal {
                    Seal::Nothing => None,
                    Seal::Own => Some(&stores.sealer),
                    Seal::With(sealer) => Some(sealer),
                };
                let exported = stores.export_clients(after, limit, sealer.map(Arc::as_ref)).await;
                exported.map_err(ClientError::Refused)
            }
            (Records::Node(_), Seal::With(_)) => Err(ClientError::Refused(Seal::refused())),
            (Records::Node(node), seal) => {
                let after = after.map_or_else(String::new, |id| format!("&after={}", AdminClient::encoded(id)));
                let path = if matches!(seal, Seal::Own) { "with-secrets" } else { "clients" };
                node.get(&format!("/transfer/{path}?limit={limit}{after}")).await
            }
        }
    }

    /// Puts clients of a file; what became of each.
    pub async fn import_clients(
        &self,
        request: &ImportClients,
        seal: &Seal,
    ) -> Result<Vec<ImportedClient>, ClientError> {
        match (self, seal) {
            (Records::Stores(stores), seal) => {
                let sealer = if let Seal::With(sealer) = seal { sealer } else { &stores.sealer };
                stores.import_clients(request, sealer).await.map_err(ClientError::Refused)
            }
            (Records::Node(_), Seal::With(_)) => Err(ClientError::Refused(Seal::refused())),
            (Records::Node(node), _) => node.post("/transfer/clients", request).await,
        }
    }

    /// Seals anew what is kept of clients' secrets.
    pub async fn reencrypt_clients(&self) -> Result<Sealed, ClientError> {
        match self {
            Records::Stores(stores) => stores.reencrypt_clients().await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/reencrypt/clients", &()).await,
        }
    }

    /// Deletes a client, and revokes its tokens.
    pub async fn delete_client(&self, id: &str) -> Result<Done, ClientError> {
        match self {
            Records::Stores(stores) => stores.delete_client(id).await.map_err(ClientError::Refused),
            Records::Node(node) => node.delete(&format!("/clients/{}", AdminClient::encoded(id))).await,
        }
    }

    /// What is known of a token.
    pub async fn inspect_token(&self, request: &InspectToken) -> Result<TokenView, ClientError> {
        match self {
            Records::Stores(stores) => stores.inspect_token(request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/tokens/inspect", request).await,
        }
    }

    /// Revokes tokens.
    pub async fn revoke_tokens(&self, request: &RevokeTokens) -> Result<Done, ClientError> {
        match self {
            Records::Stores(stores) => stores.revoke_tokens(request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/tokens/revoke", request).await,
        }
    }
}

fn failed(error: StoreError) -> Refusal {
    Refusal::failed(&error, "`portcullis store check` asks every data source how it is")
}
