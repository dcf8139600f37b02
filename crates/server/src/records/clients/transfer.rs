//! Clients as a file has them: exported and imported.
//!
//! Secrets and their hashes leave a registry sealed only. What comes in is checked as `client add` checks it, each client by itself; whoever
//! imports checks all of them before the first is written.

use serde::{Deserialize, Serialize};
use store::oauth::registration::keeps_secret;
use store::oauth::{ClientId, Secret};
use store::record::ClientSecret;
use store::seal::{Place, Sealer};
use store::{Client, StoreError};
use zeroize::Zeroizing;

use super::settings::{apply, check_whole, settings_of};
use super::{Stores, failed};
use crate::admin::api::{ExportedClients, ImportClients, ImportFate, ImportedClient, KeptClient, Refusal, RefusalKind};
use crate::records::{check_hash, check_id};

/// What is sealed of a client.
#[derive(Serialize, Deserialize)]
struct Secrets {
    secrets: Vec<KeptSecret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registration: Option<String>,
}

/// A secret of a client: what is sealed under the registry's own keys leaves it under those of the file.
#[derive(Serialize, Deserialize)]
struct KeptSecret {
    hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    /// The secret itself, of a client that signs by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Zeroizing<String>>,
}

impl Stores {
    pub(crate) async fn export_clients(
        &self,
        after: Option<&str>,
        limit: usize,
        sealer: Option<&Sealer>,
    ) -> Result<ExportedClients, Refusal> {
        let after = after.map(ClientId::new);
        let mut clients = self.clients.list(after.as_ref(), limit.saturating_add(1)).await.map_err(failed)?;
        let more = clients.len() > limit;
        clients.truncate(limit);
        let next = clients.last().filter(|_| more).map(|client| client.client_id.to_string());
        let clients = clients.iter().map(|client| self.kept(client, sealer)).collect::<Result<_, _>>()?;
        Ok(ExportedClients { clients, next })
    }

    /// One after the other; what became of each. A client that does not fit keeps no other from being looked at.
    pub(crate) async fn import_clients(
        &self,
        request: &ImportClients,
        sealer: &Sealer,
    ) -> Result<Vec<ImportedClient>, Refusal> {
        self.check_writable()?;
        let mut done = Vec::with_capacity(request.clients.len());
        for kept in &request.clients {
            let id = kept.client_id.clone();
            let work = self.import(kept, request, sealer);
            let outcome = match request.check_only {
                true => work.await,
                false => self.audit.change("client import", &id, work).await,
            };
            done.push(match outcome {
                Ok(fate) => ImportedClient { client_id: id, fate, why: None },
                Err(Refusal { kind: RefusalKind::Invalid | RefusalKind::Exists, message, help }) => {
                    let why = help.map_or(message.clone(), |help| format!("{message}: {help}"));
                    ImportedClient { client_id: id, fate: ImportFate::Refused, why: Some(why) }
                }
                Err(other) => return Err(other),
            });
        }
        Ok(done)
    }

    async fn import(&self, kept: &KeptClient, request: &ImportClients, sealer: &Sealer) -> Result<ImportFate, Refusal> {
        check_id(&kept.client_id)?;
        let id = ClientId::new(kept.client_id.as_str());
        let found = self.clients.read(&id).await.map_err(failed)?;
        let before = found.as_ref().map_or(&[][..], |found| &found.secrets);
        let secrets = secrets(kept, sealer)?
            .map(|Secrets { secrets, registration }| Ok((self.taken(&id, &secrets, before)?, registration)))
            .transpose()?;
        let put = |client: &mut Client| {
            apply(&kept.settings, client)?;
            client.enabled = kept.enabled;
            if let Some(at) = kept.client_id_issued_at {
                client.created_at = at;
            }
            if let Some((secrets, registration)) = &secrets {
                client.secrets.clone_from(secrets);
                client.registration.clone_from(registration);
                // What is sealed stays with the method that needs it.
                let method = client.token_endpoint_auth_method.take();
                client.authenticate_by(method);
            }
            let keeps = keeps_secret(client.token_endpoint_auth_method.as_deref());
            check_whole(client, keeps || !client.secrets.is_empty())
        };
        let mut client = Client { created_at: self.now(), ..Client::new(id.clone()) };
        let Some(found) = found else {
            put(&mut client)?;
            if request.check_only || self.clients.add(&client).await.map_err(failed)? {
                return Ok(ImportFate::Added);
            }
            return Err(exists(&id));
        };
        let mut changed = found.clone();
        put(&mut changed)?;
        if changed == found {
            return Ok(ImportFate::Unchanged);
        }
        if !request.replace {
            return Err(exists(&id));
        }
        if !request.check_only {
            self.clients.try_update(&id, put).await.map_err(failed)??;
        }
        Ok(ImportFate::Replaced)
    }

    fn kept(&self, client: &Client, sealer: Option<&Sealer>) -> Result<KeptClient, Refusal> {
        let has_some = !client.secrets.is_empty() || client.registration.is_some();
        let sealed = sealer.filter(|_| has_some).map(|sealer| {
            let id = &client.client_id;
            let opened = |sealed: &String| Ok(Zeroizing::new(self.clients.open(id, sealed)?.expose().to_owned()));
            let kept = |kept: &ClientSecret| {
                let secret = kept.sealed.as_ref().map(opened).transpose()?;
                Ok(KeptSecret { hash: kept.hash.clone(), expires_at: kept.expires_at, secret })
            };
            let secrets = client.secrets.iter().map(kept).collect::<Result<_, StoreError>>().map_err(failed)?;
            let secrets = Secrets { secrets, registration: client.registration.clone() };
            let plain = serde_json::to_vec(&secrets).map(Zeroizing::new);
            let plain = plain.map_err(|why| Refusal::invalid(why.to_string(), ""))?;
            sealer.seal(&plain, &place(id.as_str())).map_err(failed)
        });
        Ok(KeptClient {
            client_id: client.client_id.to_string(),
            enabled: client.enabled,
            client_id_issued_at: (client.created_at > 0).then_some(client.created_at),
            settings: settings_of(client),
            secret_hash: Vec::new(),
            sealed_secrets: sealed.transpose()?,
        })
    }

    /// What is kept here of the secrets of a file. One that is there already stays as it is, for it is sealed anew with every seal.
    fn taken(
        &self,
        id: &ClientId,
        secrets: &[KeptSecret],
        found: &[ClientSecret],
    ) -> Result<Vec<ClientSecret>, Refusal> {
        let taken = |kept: &KeptSecret| {
            let known = found.iter().find(|known| known.hash == kept.hash).and_then(|known| known.sealed.clone());
            let sealed = match (&kept.secret, known) {
                (None, _) => None,
                (Some(_), Some(known)) => Some(known),
                (Some(secret), None) => Some(self.clients.seal(id, &Secret::new(secret.to_string())).map_err(failed)?),
            };
            Ok(ClientSecret { hash: kept.hash.clone(), sealed, expires_at: kept.expires_at })
        };
        secrets.iter().map(taken).collect()
    }
}

/// What the file says of secrets; `None` where it says nothing, and those that there are stay.
fn secrets(kept: &KeptClient, sealer: &Sealer) -> Result<Option<Secrets>, Refusal> {
    if let Some(unknown) = kept.secret_hash.iter().position(|hash| !check_hash(hash)) {
        // It may be the secret: it is not shown.
        let message = format!("`secret_hash` {} is no hash that is known here", unknown + 1);
        return Err(Refusal::invalid(message, "`portcullis client hash` makes one of a secret"));
    }
    match &kept.sealed_secrets {
        Some(_) if !kept.secret_hash.is_empty() => {
            Err(Refusal::invalid("`secret_hash` and `sealed_secrets` are not given together", "one of them"))
        }
        Some(sealed) => {
            let opened = sealer.open(sealed, &place(&kept.client_id)).map_err(|why| {
                Refusal::invalid(why.to_string(), "`--key-file` is for those that were exported with one")
            })?;
            let secrets = serde_json::from_slice(&opened);
            secrets.map(Some).map_err(|_| Refusal::invalid("what was sealed is no list of secrets", "export it again"))
        }
        None if kept.secret_hash.is_empty() => Ok(None),
        None => {
            let secret = |hash: &String| KeptSecret { hash: hash.clone(), expires_at: None, secret: None };
            Ok(Some(Secrets { secrets: kept.secret_hash.iter().map(secret).collect(), registration: None }))
        }
    }
}

/// Sealed for this client, whichever registry it comes to.
fn place(id: &str) -> Place<'_> {
    Place { store: "clients", key: id.as_bytes(), column: "secrets" }
}

fn exists(id: &ClientId) -> Refusal {
    Refusal {
        kind: RefusalKind::Exists,
        message: format!("there is another client `{id}` already"),
        help: Some(String::from("`--replace` puts this one in its place")),
    }
}
