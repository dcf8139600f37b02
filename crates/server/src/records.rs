//! Work on records: clients and tokens, the same whether the command line opens the stores itself or asks a running node.

use std::sync::Arc;

use store::{AccessTokens, Clients};

use crate::admin::api::{
    AddClient, ClientAdded, ClientList, ClientView, Done, InspectToken, RevokeTokens, RotateClient, TokenView,
};
use crate::admin::{Client as AdminClient, ClientError};

/// The mapped stores that record commands work on.
#[derive(Clone)]
pub struct Stores {
    /// The client registry.
    pub clients: Arc<Clients>,
    /// Access tokens.
    pub access_tokens: Arc<AccessTokens>,
}

/// Where record commands find the records.
pub enum Records {
    /// In the mapped stores, opened by this process.
    Stores(Stores),
    /// With a running node.
    Node(AdminClient),
}

impl Records {
    /// Registers a client.
    pub async fn add_client(&self, request: &AddClient) -> Result<ClientAdded, ClientError> {
        let _ = request;
        unimplemented!()
    }

    /// Clients in the order of their ids, after `after`, at most `limit`.
    pub async fn list_clients(&self, after: Option<&str>, limit: usize) -> Result<ClientList, ClientError> {
        let _ = (after, limit);
        unimplemented!()
    }

    /// One client.
    pub async fn show_client(&self, id: &str) -> Result<ClientView, ClientError> {
        let _ = id;
        unimplemented!()
    }

    /// Gives a client another secret.
    pub async fn rotate_client(&self, id: &str, request: &RotateClient) -> Result<ClientAdded, ClientError> {
        let _ = (id, request);
        unimplemented!()
    }

    /// Enables or disables a client.
    pub async fn enable_client(&self, id: &str, enabled: bool) -> Result<ClientView, ClientError> {
        let _ = (id, enabled);
        unimplemented!()
    }

    /// Deletes a client.
    pub async fn delete_client(&self, id: &str) -> Result<Done, ClientError> {
        let _ = id;
        unimplemented!()
    }

    /// What is known of a token.
    pub async fn inspect_token(&self, request: &InspectToken) -> Result<TokenView, ClientError> {
        let _ = request;
        unimplemented!()
    }

    /// Revokes tokens.
    pub async fn revoke_tokens(&self, request: &RevokeTokens) -> Result<Done, ClientError> {
        let _ = request;
        unimplemented!()
    }
}
