//! Looks an access token up with its client: what `oauth.validate-token`, `oauth.token-info` and `oauth.introspect`
//! share.

use std::sync::Arc;

use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Exchange};
use store::{AccessToken, AccessTokens, Client, Clients, StoreError};

use crate::StoreExt;

/// The two stores.
pub(crate) struct Live {
    tokens: Arc<AccessTokens>,
    clients: Arc<Clients>,
}

impl Live {
    pub(super) fn build(
        tokens: &Option<Spanned<String>>,
        clients: &Option<Spanned<String>>,
        cx: &mut BuildContext<'_>,
    ) -> Result<Live, Diagnostics> {
        Ok(Live { tokens: cx.store(tokens)?, clients: cx.store(clients)? })
    }

    /// The token's record and its client, where both are good at `now`, the time of this look-up: known, not expired, not
    /// revoked, the client enabled. One read of the token; the client comes from the cache.
    pub(super) async fn find(
        &self,
        token: &str,
        now: u64,
    ) -> Result<Option<(Arc<AccessToken>, Arc<Client>)>, StoreError> {
        let Some(record) = self.tokens.find(token, now).await? else {
            return Ok(None);
        };
        let client = self.clients.get(&record.client_id).await?;
        Ok(client.filter(|client| client.enabled).map(|client| (record, client)))
    }
}

/// The time as it is, in Unix seconds. Not when the request began: its body may have taken minutes since, and what expired
/// meanwhile is expired.
pub(crate) fn unix_seconds(exchange: &Exchange) -> u64 {
    exchange.environment().clock.unix_millis() / 1000
}
