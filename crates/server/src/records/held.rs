//! Tokens that the gateway holds as a client of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::ClientAccessTokens;
use store::client_access_tokens::{Held, HoldingKey, Which};
use store::oauth::ClientId;

use super::{Records, Stores, failed};
use crate::admin::ClientError;
use crate::admin::api::held::{HeldList, HeldView, ListHeld, WhichHeld};
use crate::admin::api::{Done, Refusal, Sealed};

/// Rows that are looked through at a time.
const PAGE: usize = 500;

/// The stores of such tokens of a mapping, by their names.
pub(crate) type HeldStores = BTreeMap<String, Arc<ClientAccessTokens>>;

impl Stores {
    pub(crate) async fn list_held(&self, request: &ListHeld) -> Result<HeldList, Refusal> {
        let which = which(&request.which)?;
        let (from, mut after) = place(request.after.as_deref())?;
        for (name, store) in self.held.range(from..) {
            let page = store.list(&which, after.take(), PAGE).await.map_err(failed)?;
            let held: Vec<HeldView> = page.held.into_iter().map(|held| view(name, held)).collect();
            let next = match page.next {
                Some(key) => Some(format!("{name}/{}", key.to_text())),
                None => self.held.keys().find(|other| *other > name).map(|other| format!("{other}/")),
            };
            if !held.is_empty() || next.is_some() {
                return Ok(HeldList { held, next });
            }
        }
        Ok(HeldList::default())
    }

    pub(crate) async fn delete_held(&self, request: &WhichHeld) -> Result<Done, Refusal> {
        let which = which(request)?;
        let named = request.provider.is_some() || request.client_id.is_some() || which.subject.is_some();
        if named == request.all {
            let help = "a provider, a client there, a user or the gateway itself; or all of them, and that alone";
            return Err(Refusal::invalid("it is not said which tokens are to be deleted", help));
        }
        let work = async {
            let mut deleted = 0;
            for store in self.held.values() {
                deleted += store.delete_all(&which).await.map_err(failed)?;
            }
            Ok(Done { done: format!("{deleted} holdings are deleted") })
        };
        self.audit.change("token held delete", &of(request), work).await
    }

    pub(crate) async fn reencrypt_held(&self) -> Result<Sealed, Refusal> {
        let work = async {
            let mut all = Sealed::default();
            for store in self.held.values() {
                let done = Sealed::from(store.reencrypt().await.map_err(failed)?);
                all.records += done.records;
                all.sealed += done.sealed;
                all.refused.extend(done.refused);
            }
            Ok(all)
        };
        self.audit.change_as("token held reencrypt", "", work, Sealed::word).await
    }
}

impl Records {
    /// Tokens that are held, without the tokens themselves.
    pub async fn list_held(&self, request: &ListHeld) -> Result<HeldList, ClientError> {
        match self {
            Records::Stores(stores) => stores.list_held(request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/held/list", request).await,
        }
    }

    /// Deletes tokens that are held.
    pub async fn delete_held(&self, request: &WhichHeld) -> Result<Done, ClientError> {
        match self {
            Records::Stores(stores) => stores.delete_held(request).await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/held/delete", request).await,
        }
    }

    /// Seals tokens that are held anew.
    pub async fn reencrypt_held(&self) -> Result<Sealed, ClientError> {
        match self {
            Records::Stores(stores) => stores.reencrypt_held().await.map_err(ClientError::Refused),
            Records::Node(node) => node.post("/reencrypt/held", &()).await,
        }
    }
}

fn which(said: &WhichHeld) -> Result<Which, Refusal> {
    let subject = match (&said.subject, said.own) {
        (Some(_), true) => {
            return Err(Refusal::invalid("tokens are a user's or the gateway's own", "name one of the two"));
        }
        (Some(subject), false) => Some(Some(subject.clone())),
        (None, own) => own.then_some(None),
    };
    let client_id = said.client_id.as_deref().map(ClientId::new);
    Ok(Which { provider: said.provider.clone(), client_id, subject })
}

/// Store and key of where a list goes on.
fn place(after: Option<&str>) -> Result<(String, Option<HoldingKey>), Refusal> {
    let Some(after) = after else { return Ok((String::new(), None)) };
    let wrong = || Refusal::invalid("`after` is no place in the list", "`next` of the answer before");
    let (store, key) = after.split_once('/').ok_or_else(wrong)?;
    let key = match key {
        "" => None,
        key => Some(HoldingKey::parse(key).ok_or_else(wrong)?),
    };
    Ok((store.to_owned(), key))
}

/// For the audit log.
fn of(said: &WhichHeld) -> String {
    let own = said.own.then(|| String::from("the gateway itself"));
    let named = [
        said.provider.as_ref().map(|provider| format!("provider {provider}")),
        said.client_id.as_ref().map(|client| format!("client {client}")),
        said.subject.as_ref().map(|subject| format!("subject {subject}")),
        own,
    ];
    named.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn view(store: &str, held: Held) -> HeldView {
    HeldView {
        provider: held.holding.provider,
        client_id: held.holding.client_id.to_string(),
        subject: held.holding.subject,
        scope: held.holding.scopes.to_string(),
        granted: held.granted.to_string(),
        obtained_at: held.obtained_at,
        expires_at: held.expires_at,
        refresh_until: held.refresh_until,
        store: store.to_owned(),
    }
}
