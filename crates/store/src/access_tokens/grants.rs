//! Grants: what all tokens of one authorization share.
//!
//! A grant has a row of its own, and each of its tokens is good only as long as that row is there and not revoked. So one `replace`
//! revokes everything that came of an authorization, and what is still to be written as well. A grant that is revoked before it began (its
//! code was used twice at once) is inserted as revoked: whoever begins it then finds that it cannot.

use futures_util::future::join;
use oauth::GrantId;
use oauth::token::{Token, TokenKind};

use super::{AccessTokens, Written};
use crate::authz_codes::{AuthzCodes, FoundCode};
use crate::codec::{SWAPS, decode, encode, seconds, too_busy};
use crate::record::{AccessToken, EpochsThen, RefreshToken, TokenGrant};
use crate::source::{Row, StoreError};
use crate::successor::Succeeded;
use crate::tables::TOKEN_GRANT;

/// For how long the row of a grant stays that was revoked before it began: longer than anybody who begins one may take.
const REVOKED_BEFORE: u64 = 86_400;

/// The record of a grant that was revoked before it began.
#[derive(serde::Serialize, serde::Deserialize)]
struct Revoked {
    revoked_at: Option<u64>,
}

/// What decides whether a token's grant is good; one that was revoked before it began has no expiry.
#[derive(serde::Deserialize)]
struct Standing {
    revoked_at: Option<u64>,
    expires_at: Option<u64>,
}

/// Tokens that are issued together.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token, and its record.
    pub access: (Token, AccessToken),
    /// The refresh token beside it.
    pub refresh: Option<(Token, RefreshToken)>,
}

impl AccessTokens {
    /// Uses a code, begins its grant and keeps the first tokens; `false` where somebody else used the code: its grant is revoked then,
    /// whoever begins it.
    pub async fn redeem(
        &self,
        codes: &AuthzCodes,
        found: &FoundCode,
        grant: &TokenGrant,
        tokens: &Tokens,
        now: u64,
    ) -> Result<bool, StoreError> {
        let code = &found.record;
        if !codes.redeem(found, now).await? {
            self.revoke_grant(&code.grant_id, now).await?;
            return Ok(false);
        }
        self.begin(&code.grant_id, grant, code.epochs, tokens).await
    }

    /// Begins a grant and keeps its first tokens; `false` where it was revoked before, or what it comes from was: then there is nothing
    /// to issue. `then` are the epochs of when it was granted.
    pub async fn begin(
        &self,
        id: &GrantId,
        grant: &TokenGrant,
        then: EpochsThen,
        tokens: &Tokens,
    ) -> Result<bool, StoreError> {
        let store = self.latest();
        if then.are_before(&store.epochs_here(&grant.client_id, Some(&grant.subject)).await?) {
            return Ok(false);
        }
        let row = Row {
            key: id.key().ok_or_else(no_grant)?.to_vec(),
            version: 1,
            expires_at: Some(seconds(grant.expires_at)),
            indexes: vec![Some(grant.client_id.to_string()), Some(grant.subject.clone())],
            record: encode(&TOKEN_GRANT, &Written { record: grant, epochs: then })?,
        };
        // At once, so that a source can commit them together. Where the grant does not begin, its tokens are good for nothing.
        let (begun, kept) = join(store.source.insert(&TOKEN_GRANT, row), store.keep(tokens)).await;
        if !begun? {
            return Ok(false);
        }
        kept.map(|()| true)
    }

    /// Keeps tokens that are issued together; those that are kept already are left alone, since a retry may keep them as well.
    pub(super) async fn keep(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let (token, record) = &tokens.access;
        if token.kind() != TokenKind::Access || token.expires_at() != record.expires_at {
            return Err(StoreError::Broken("a token and its record say different things of it".into()));
        }
        let refresh = async {
            match &tokens.refresh {
                Some((token, record)) => self.insert_refresh(token, record).await,
                None => Ok(false),
            }
        };
        let (refresh, access) = join(refresh, self.insert_here(token, record)).await;
        refresh.and(access).map(drop)
    }

    /// The grant, where it is good: not revoked, nor expired at `now` (Unix seconds), no epoch of its client or subject raised since.
    pub(super) async fn live_grant(&self, id: &GrantId, now: u64) -> Result<Option<TokenGrant>, StoreError> {
        let Some((row, grant)) = self.grant_here(id, now).await? else { return Ok(None) };
        let epochs = self.epochs_here(&grant.client_id, Some(&grant.subject)).await?;
        let old = epochs != EpochsThen::default() && decode::<EpochsThen>(&TOKEN_GRANT, &row)?.are_before(&epochs);
        Ok(Some(grant).filter(|_| !old))
    }

    /// Whether the grant is neither revoked nor expired: asked for each check of a token, which has epochs of its own.
    pub(super) async fn grant_is_good(&self, id: &GrantId, now: u64) -> Result<bool, StoreError> {
        let Some(key) = id.key() else { return Ok(false) };
        let Some(row) = self.source.get(&TOKEN_GRANT, &key).await? else { return Ok(false) };
        let grant: Standing = decode(&TOKEN_GRANT, &row)?;
        Ok(grant.revoked_at.is_none() && grant.expires_at.is_some_and(|expires_at| expires_at > now))
    }

    /// The grant, where it is neither revoked nor expired.
    async fn grant_here(&self, id: &GrantId, now: u64) -> Result<Option<(Row, TokenGrant)>, StoreError> {
        let Some(key) = id.key() else { return Ok(None) };
        let Some(row) = self.source.get(&TOKEN_GRANT, &key).await? else { return Ok(None) };
        if decode::<Revoked>(&TOKEN_GRANT, &row)?.revoked_at.is_some() {
            return Ok(None);
        }
        let grant: TokenGrant = decode(&TOKEN_GRANT, &row)?;
        Ok(Some((row, grant)).filter(|(_, grant)| grant.expires_at > now))
    }

    /// When a grant was revoked, Unix seconds; one that is gone was, for its tokens.
    pub(super) async fn grant_revoked_here(&self, id: &GrantId) -> Result<Option<u64>, StoreError> {
        let row = match id.key() {
            Some(key) => self.source.get(&TOKEN_GRANT, &key).await?,
            None => None,
        };
        row.map_or(Ok(Some(0)), |row| Ok(decode::<Revoked>(&TOKEN_GRANT, &row)?.revoked_at))
    }

    /// Revokes a grant with all its tokens, those included that are still to be written; `false` where it was revoked before.
    pub async fn revoke_grant(&self, id: &GrantId, now: u64) -> Result<bool, StoreError> {
        loop {
            let store = self.latest();
            let revoked = store.revoke_grant_here(id, now).await?;
            if std::ptr::eq(store, self.latest()) {
                return Ok(revoked);
            }
        }
    }

    async fn revoke_grant_here(&self, id: &GrantId, now: u64) -> Result<bool, StoreError> {
        let key = id.key().ok_or_else(no_grant)?;
        for _ in 0..SWAPS {
            let done = match self.source.get(&TOKEN_GRANT, &key).await? {
                None => {
                    let row = Row {
                        key: key.to_vec(),
                        version: 1,
                        expires_at: Some(seconds(now.saturating_add(REVOKED_BEFORE))),
                        indexes: vec![None, None],
                        record: encode(&TOKEN_GRANT, &Revoked { revoked_at: Some(now) })?,
                    };
                    self.source.insert(&TOKEN_GRANT, row).await?
                }
                Some(row) => {
                    if decode::<Revoked>(&TOKEN_GRANT, &row)?.revoked_at.is_some() {
                        return Ok(false);
                    }
                    let mut grant: TokenGrant = decode(&TOKEN_GRANT, &row)?;
                    grant.revoked_at = Some(now);
                    let epochs: EpochsThen = decode(&TOKEN_GRANT, &row)?;
                    let record = encode(&TOKEN_GRANT, &Written { record: &grant, epochs })?;
                    let version = row.version;
                    self.source.replace(&TOKEN_GRANT, Row { record, ..row }, version).await?
                }
            };
            if done {
                return Ok(true);
            }
        }
        Err(too_busy(&TOKEN_GRANT))
    }

    /// The grants of a subject, those that are revoked or expired left out: of `limit` that are looked at after this one; and where to go
    /// on, where there may be more.
    pub async fn grants_page(
        &self,
        subject: &str,
        after: Option<&GrantId>,
        limit: usize,
        now: u64,
    ) -> Result<(Vec<(GrantId, TokenGrant)>, Option<GrantId>), StoreError> {
        let after = after.and_then(GrantId::key);
        let store = self.latest();
        let rows = store.source.find(&TOKEN_GRANT, 1, subject, after.as_ref().map(|key| &key[..]), limit).await?;
        let last = rows.last().filter(|_| rows.len() == limit).map(|row| GrantId::new(crate::hex(&row.key)));
        let mut grants = Vec::with_capacity(rows.len());
        for row in rows {
            let grant: TokenGrant = decode(&TOKEN_GRANT, &row)?;
            if grant.revoked_at.is_none() && grant.expires_at > now {
                grants.push((GrantId::new(crate::hex(&row.key)), grant));
            }
        }
        Ok((grants, last))
    }
}

fn no_grant() -> StoreError {
    StoreError::Broken("the identifier of a grant is not one that was made here".into())
}
