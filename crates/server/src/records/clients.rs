//! The client application registry.

mod settings;
mod transfer;

use serde::Serialize;
use serde_json::{Map, Value};
use store::oauth::registration::{self, Unfit, keeps_secret, signs_by_secret};
use store::oauth::{ClientId, Secret, credential};
use store::record::ClientSecret;
use store::{Client, access_tokens::Whose};

use self::settings::{apply, changed, check_whole, settings_of};
pub(crate) use self::settings::{check_grant, check_known_method};
use super::{Stores, failed};
use crate::admin::api::{
    AddClient, ClientAdded, ClientList, ClientView, Done, Refusal, RefusalKind, RotateClient, Sealed,
};

/// A shorter secret that a person chose is found by trying.
const SHORTEST_SECRET: usize = 8;

/// A shorter one signs nothing: it is found by trying with one assertion of the client in hand. HS384 and HS512 want 48 and 64.
const SHORTEST_SIGNING: usize = 32;

/// More than this is a mistake, and a way to make the hash take long.
const LONGEST_SECRET: usize = 1_024;

impl Stores {
    pub(crate) async fn add_client(&self, request: &AddClient) -> Result<ClientAdded, Refusal> {
        let id = match &request.client_id {
            Some(id) => check_id(id).map(|()| ClientId::new(id.as_str()))?,
            None => credential::client_id(self.random()),
        };
        self.audit.change("client add", id.as_str(), self.add(id.clone(), request)).await
    }

    async fn add(&self, id: ClientId, request: &AddClient) -> Result<ClientAdded, Refusal> {
        self.check_writable()?;
        // RFC 9700, section 4.15: whoever sees a `sub` must know whether it is a client's or a user's.
        if self.users.get(id.as_str()).await.map_err(failed)?.is_some() {
            let message =
                format!("there is a user `{id}`: nobody could tell the tokens of one from those of the other");
            return Err(Refusal { kind: RefusalKind::Exists, message, help: Some("take another id".into()) });
        }
        let mut client = Client { created_at: self.now(), ..Client::new(id) };
        apply(&request.settings, &mut client)?;
        let keeps = keeps_secret(client.token_endpoint_auth_method.as_deref());
        check_whole(&client, keeps || request.client_secret.is_some())?;
        if !keeps && request.client_secret.is_some() {
            let help = "leave out the secret, or the method";
            return Err(Refusal::invalid("a client that proves itself otherwise has no secret", help));
        }
        let secret = match keeps {
            false => None,
            true => {
                let method = client.token_endpoint_auth_method.as_deref();
                let (secret, kept) = self.secret(&client.client_id, method, request.client_secret.as_deref()).await?;
                client.secrets.push(kept);
                Some(secret)
            }
        };
        if !self.clients.add(&client).await.map_err(failed)? {
            return Err(Refusal {
                kind: RefusalKind::Exists,
                message: format!("there is a client `{}` already", client.client_id),
                help: Some(format!("`portcullis client rotate {}` gives it another secret", client.client_id)),
            });
        }
        Ok(ClientAdded { client: self.view(&client), client_secret: secret, old_secrets_expire_at: None })
    }

    pub(crate) async fn list_clients(&self, after: Option<&str>, limit: usize) -> Result<ClientList, Refusal> {
        let after = after.map(ClientId::new);
        let mut clients = self.clients.list(after.as_ref(), limit.saturating_add(1)).await.map_err(failed)?;
        let more = clients.len() > limit;
        clients.truncate(limit);
        let next = clients.last().filter(|_| more).map(|client| client.client_id.to_string());
        Ok(ClientList { clients: clients.iter().map(|client| self.view(client)).collect(), next })
    }

    pub(crate) async fn show_client(&self, id: &str) -> Result<ClientView, Refusal> {
        let found = self.clients.get(&ClientId::new(id)).await.map_err(failed)?;
        found.map(|client| self.view(&client)).ok_or_else(|| unknown(id))
    }

    pub(crate) async fn rotate_client(&self, id: &str, request: &RotateClient) -> Result<ClientAdded, Refusal> {
        self.audit.change("client rotate", id, self.rotate(id, request)).await
    }

    async fn rotate(&self, id: &str, request: &RotateClient) -> Result<ClientAdded, Refusal> {
        self.check_writable()?;
        let client = self.clients.read(&ClientId::new(id)).await.map_err(failed)?.ok_or_else(|| unknown(id))?;
        if let Some(other) = request.token_endpoint_auth_method.as_deref() {
            check_known_method(other)?;
            let whole = Client {
                token_endpoint_auth_method: Some(other.to_owned()),
                // It gets one that fits.
                secrets: Vec::new(),
                ..client.clone()
            };
            check_whole(&whole, keeps_secret(Some(other)))?;
        }
        let asked = request.token_endpoint_auth_method.as_deref();
        let method = asked.or(client.token_endpoint_auth_method.as_deref());
        if !keeps_secret(method) {
            let why = match method {
                Some("none") => "is public",
                _ => "proves itself otherwise",
            };
            return Err(Refusal::invalid(
                format!("client `{id}` {why}: it has no secret"),
                "register another client, or `portcullis client set` another way to authenticate",
            ));
        }
        let (secret, kept) = self.secret(&client.client_id, method, request.client_secret.as_deref()).await?;
        let now = self.now();
        let keep_until = now.saturating_add(request.keep_old_seconds);
        let rotated = self.clients.rotate(&client.client_id, &kept, asked, keep_until, now).await.map_err(failed)?;
        let client = rotated.ok_or_else(|| unknown(id))?;
        let old = (client.secrets.len() > 1).then_some(keep_until);
        Ok(ClientAdded { client: self.view(&client), client_secret: Some(secret), old_secrets_expire_at: old })
    }

    pub(crate) async fn enable_client(&self, id: &str, enabled: bool) -> Result<ClientView, Refusal> {
        let change = if enabled { "client enable" } else { "client disable" };
        self.audit.change(change, id, self.enable(id, enabled)).await
    }

    async fn enable(&self, id: &str, enabled: bool) -> Result<ClientView, Refusal> {
        self.check_writable()?;
        let updated =
            self.clients.update(&ClientId::new(id), |client| client.enabled = enabled).await.map_err(failed)?;
        updated.map(|client| self.view(&client)).ok_or_else(|| unknown(id))
    }

    pub(crate) async fn set_client(&self, id: &str, changes: &Map<String, Value>) -> Result<ClientView, Refusal> {
        self.audit.change("client set", id, self.set(id, changes)).await
    }

    async fn set(&self, id: &str, changes: &Map<String, Value>) -> Result<ClientView, Refusal> {
        self.check_writable()?;
        let change = |client: &mut Client| {
            apply(&changed(client, changes)?, client)?;
            check_whole(client, !client.secrets.is_empty())
        };
        let updated = self.clients.try_update(&ClientId::new(id), change).await.map_err(failed)??;
        updated.map(|client| self.view(&client)).ok_or_else(|| unknown(id))
    }

    pub(crate) async fn delete_client(&self, id: &str) -> Result<Done, Refusal> {
        self.audit.change("client delete", id, self.delete(id)).await
    }

    async fn delete(&self, id: &str) -> Result<Done, Refusal> {
        // Before its tokens are revoked.
        self.check_writable()?;
        let id = ClientId::new(id);
        // Its tokens must not live again where the id is registered again. They are revoked first, also where there is no such
        // client: a second try after one that failed half-way then does what is left.
        let whose = Whose::Client(id.clone());
        self.revoke_all(&whose, self.now()).await?;
        if !self.clients.delete(&id).await.map_err(failed)? {
            return Err(unknown(id.as_str()));
        }
        // And what was issued meanwhile.
        self.revoke_all(&whose, self.now()).await?;
        // Nobody has agreed to what gets the name next.
        self.forget_consents(&whose).await?;
        Ok(Done { done: format!("client `{id}` is deleted, and its tokens are revoked") })
    }

    pub(crate) async fn reencrypt_clients(&self) -> Result<Sealed, Refusal> {
        let work = async { self.clients.reencrypt().await.map(Sealed::from).map_err(failed) };
        self.audit.change_as("client reencrypt", "", work, Sealed::word).await
    }

    /// Refuses what would change clients that people write in a file.
    fn check_writable(&self) -> Result<(), Refusal> {
        if !self.clients.source().capabilities().read_only {
            return Ok(());
        }
        let help = "write it in the file that the source's `path` in stores/stores.toml names; a running node takes it up when it is \
                    saved, and `portcullis client hash` makes secrets";
        Err(Refusal::invalid("the clients are in a data source that is read-only", help))
    }

    /// The secret that was asked for or a generated one, and what is kept of it: a hash, and where the method signs by it, the secret
    /// itself, sealed.
    async fn secret(
        &self,
        id: &ClientId,
        method: Option<&str>,
        chosen: Option<&str>,
    ) -> Result<(String, ClientSecret), Refusal> {
        if !signs_by_secret(method) {
            let (secret, hash) = secret(chosen, self.random()).await?;
            return Ok((secret, ClientSecret::hashed(hash)));
        }
        let (secret, hash) = match chosen {
            Some(short) if short.len() < SHORTEST_SIGNING => {
                let message =
                    format!("a secret that signs has at least {SHORTEST_SIGNING} characters (RFC 7518, section 3.2)");
                return Err(Refusal::invalid(message, "leave it out, and a strong one is made"));
            }
            Some(_) => secret(chosen, self.random()).await?,
            None => {
                let made = credential::signing_secret(self.random());
                (made.expose().to_owned(), credential::hash_generated(&made))
            }
        };
        let sealed = self.clients.seal(id, &Secret::new(secret.clone())).map_err(failed)?;
        Ok((secret, ClientSecret { sealed: Some(sealed), ..ClientSecret::hashed(hash) }))
    }

    fn view(&self, client: &Client) -> ClientView {
        let now = self.now();
        ClientView {
            client_id: client.client_id.to_string(),
            enabled: client.enabled,
            settings: settings_of(client),
            client_id_issued_at: client.created_at,
            secrets: client.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|at| at > now)).count(),
            self_registered: client.registration.is_some(),
        }
    }
}

async fn secret(chosen: Option<&str>, random: [u8; 32]) -> Result<(String, String), Refusal> {
    let Some(chosen) = chosen else {
        let secret = credential::client_secret(random);
        return Ok((secret.expose().to_owned(), credential::hash_generated(&secret)));
    };
    if !(SHORTEST_SECRET..=LONGEST_SECRET).contains(&chosen.len()) {
        let message = format!("a client secret has from {SHORTEST_SECRET} to {LONGEST_SECRET} characters");
        return Err(Refusal::invalid(message, "leave it out, and a strong one is made"));
    }
    let hash = store::hash_chosen(&Secret::new(chosen.to_owned())).await.map_err(failed)?;
    Ok((chosen.to_owned(), hash))
}

/// A secret, and the hash of it that stands in a file of clients.
#[derive(Debug, Serialize)]
pub struct HashedSecret {
    /// The secret, where it was made here: whoever chose one knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Its hash.
    pub secret_hash: String,
}

/// The hash of a secret that somebody chose, or a strong one with its hash.
pub async fn hash_secret(chosen: Option<&str>) -> Result<HashedSecret, Refusal> {
    let mut random = [0; 32];
    crate::clock::environment().random.fill(&mut random);
    let (secret, secret_hash) = secret(chosen, random).await?;
    Ok(HashedSecret { client_secret: chosen.is_none().then_some(secret), secret_hash })
}

fn unknown(id: &str) -> Refusal {
    Refusal {
        kind: RefusalKind::NotFound,
        message: format!("there is no client `{id}`"),
        help: Some(String::from("`portcullis client list` shows those that there are")),
    }
}

/// An identifier as RFC 6749, appendix A.1 allows it, without spaces, which nobody sees at an end.
pub(crate) fn check_id(id: &str) -> Result<(), Refusal> {
    if (1..=256).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Refusal::invalid("a client id has from 1 to 256 visible ASCII characters", "leave it out, and one is made"))
}

/// Whether this is a hash of a secret in a form that is verified.
pub(crate) fn check_hash(hash: &str) -> bool {
    store::known_hash(hash)
}

/// Whether a client of a file can be registered so, with the name of what is wrong.
pub(crate) fn check_client(client: &Client) -> Result<(), Unfit> {
    registration::check(&client.as_registration())
}
