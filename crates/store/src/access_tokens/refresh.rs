//! Refresh tokens: each is used once, and what it gave can be asked for again for a while.
//!
//! One `replace` of the row of the token that is presented decides who uses it. It puts into the row what is issued, sealed under a key
//! that only holders of that token can make, and only then are the new tokens kept. So a node that dies between the two loses nothing: the
//! client sends the same token again, within the grace, and gets the same answer; whoever gives it keeps what is not kept yet. Once the
//! token that took its place was used, or after the grace, a second use is a reuse: one of the two who have it stole it, and the grant is
//! revoked (RFC 9700, section 4.14.2).

use std::path::Path;

use oauth::ClientId;
use oauth::token::{Token, TokenKind};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{AccessTokens, Tokens};
use crate::codec::{decode, encode, seconds};
use crate::hex;
use crate::hex::unhex;
use crate::record::{AccessToken, RefreshToken, TokenGrant, Used};
use crate::seal::{Encryption, Key, Place, Sealer};
use crate::source::{Row, StoreError};
use crate::successor::Succeeded;
use crate::tables::REFRESH_TOKEN;

/// A refresh token that is good, as it was presented.
#[derive(Debug)]
pub struct Presented {
    /// The token itself: the key of what it gives is made from it.
    token: Token,
    row: Row,
    /// Its record.
    pub record: RefreshToken,
    /// Its grant.
    pub grant: TokenGrant,
    /// What its first use gave, where it is sent again within the grace.
    pub again: Option<Tokens>,
}

impl Presented {
    /// The token, to present it again.
    pub fn token(&self) -> &str {
        self.token.expose()
    }
}

/// What came of using a refresh token.
#[derive(Debug)]
pub enum Rotated {
    /// It is used, and the new tokens are kept.
    Won,
    /// Somebody else used it first: it is to be presented again.
    Lost,
}

/// What is issued, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Answer {
    access_token: Zeroizing<String>,
    access: AccessToken,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh: Option<RefreshToken>,
}

impl AccessTokens {
    pub(super) async fn insert_refresh(&self, token: &Token, record: &RefreshToken) -> Result<bool, StoreError> {
        if token.kind() != TokenKind::Refresh || token.expires_at() != record.expires_at {
            return Err(StoreError::Broken("a token and its record say different things of it".into()));
        }
        let row = Row {
            key: token.key().to_bytes().to_vec(),
            version: 1,
            expires_at: Some(seconds(record.expires_at)),
            indexes: Vec::new(),
            record: encode(&REFRESH_TOKEN, record)?,
        };
        self.source.insert(&REFRESH_TOKEN, row).await
    }

    /// The refresh token of this client, where it is good at `now` (Unix seconds): known, not expired, its grant good, and not used, or
    /// used within `grace` seconds while nobody used the one that took its place. Another use revokes the grant.
    pub async fn present(
        &self,
        token: &str,
        client: &ClientId,
        grace: u64,
        now: u64,
    ) -> Result<Option<Presented>, StoreError> {
        let Some(token) = parse(token, now) else { return Ok(None) };
        loop {
            let store = self.latest();
            let presented = store.present_here(&token, client, grace, now).await?;
            if std::ptr::eq(store, self.latest()) {
                return Ok(presented);
            }
        }
    }

    async fn present_here(
        &self,
        token: &Token,
        client: &ClientId,
        grace: u64,
        now: u64,
    ) -> Result<Option<Presented>, StoreError> {
        let Some(row) = self.source.get(&REFRESH_TOKEN, &token.key().to_bytes()).await? else { return Ok(None) };
        let record: RefreshToken = decode(&REFRESH_TOKEN, &row)?;
        if record.client_id != *client || record.expires_at <= now {
            return Ok(None);
        }
        let Some(grant) = self.live_grant(&record.grant_id, now).await? else { return Ok(None) };
        let again = match &record.used {
            None => None,
            Some(used) if now < used.at.saturating_add(grace) && !self.next_is_used(used).await? => {
                Some(open(token, &row, used)?)
            }
            Some(_) => {
                self.revoke_grant(&record.grant_id, now).await?;
                return Ok(None);
            }
        };
        Ok(Some(Presented { token: token.clone(), row, record, grant, again }))
    }

    /// Whether the token that took the place of a used one was used itself. One that is not kept yet was not.
    async fn next_is_used(&self, used: &Used) -> Result<bool, StoreError> {
        let Some(next) = &used.next else { return Ok(false) };
        let key: [u8; 40] =
            unhex(next).ok_or_else(|| StoreError::Broken("a refresh token names no key of another one".into()))?;
        let Some(row) = self.source.get(&REFRESH_TOKEN, &key).await? else { return Ok(false) };
        Ok(decode::<RefreshToken>(&REFRESH_TOKEN, &row)?.used.is_some())
    }

    /// Uses a refresh token that is good, and keeps what is issued in its place.
    pub async fn rotate(&self, presented: &Presented, tokens: &Tokens, now: u64) -> Result<Rotated, StoreError> {
        let used = Used {
            at: now,
            next: tokens.refresh.as_ref().map(|(token, _)| hex(token.key().to_bytes())),
            answer: seal(&presented.token, tokens)?,
        };
        let record = RefreshToken { used: Some(used), ..presented.record.clone() };
        let row = Row { record: encode(&REFRESH_TOKEN, &record)?, ..presented.row.clone() };
        let store = self.latest();
        if !store.source.replace(&REFRESH_TOKEN, row, presented.row.version).await? {
            return Ok(Rotated::Lost);
        }
        self.complete(tokens).await?;
        Ok(Rotated::Won)
    }

    /// Keeps what is not kept yet of the tokens that a refresh token gave.
    pub async fn complete(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.latest().keep(tokens).await
    }

    /// The record of a refresh token whatever its state, where it is known and not expired: whose it is.
    pub async fn refresh_token(&self, token: &str, now: u64) -> Result<Option<RefreshToken>, StoreError> {
        let Some(token) = parse(token, now) else { return Ok(None) };
        loop {
            let store = self.latest();
            let row = store.source.get(&REFRESH_TOKEN, &token.key().to_bytes()).await?;
            if std::ptr::eq(store, self.latest()) {
                return row.map(|row| decode(&REFRESH_TOKEN, &row)).transpose();
            }
        }
    }
}

impl AccessTokens {
    /// Revokes the grant of a refresh token, whatever the token's state; `false` where it is unknown or the grant was revoked before.
    pub async fn revoke_refresh_token(&self, token: &str, now: u64) -> Result<bool, StoreError> {
        match self.refresh_token(token, 0).await? {
            Some(record) => self.revoke_grant(&record.grant_id, now).await,
            None => Ok(false),
        }
    }

    /// A refresh token as if it were an access token of all that was granted, whatever its state: for people. A used one is revoked.
    pub async fn inspect_refresh_token(&self, token: &str) -> Result<Option<AccessToken>, StoreError> {
        let Some(record) = self.refresh_token(token, 0).await? else { return Ok(None) };
        let store = self.latest();
        let grant = store.live_grant(&record.grant_id, 0).await?;
        let revoked_at = match (&record.used, &grant) {
            (Some(used), _) => Some(used.at),
            (None, None) => store.grant_revoked_here(&record.grant_id).await?.or(Some(record.issued_at)),
            (None, Some(_)) => None,
        };
        Ok(Some(AccessToken {
            client_id: record.client_id,
            subject: grant.as_ref().map(|grant| grant.subject.clone()),
            scope: grant.map(|grant| grant.scope).unwrap_or_default(),
            grant_id: record.grant_id,
            grant_type: String::from("refresh_token"),
            issued_at: record.issued_at,
            expires_at: record.expires_at,
            revoked_at,
            audience: Vec::new(),
            properties: Default::default(),
        }))
    }
}

/// A well-formed refresh token that expires after `now`.
fn parse(token: &str, now: u64) -> Option<Token> {
    Token::parse(token).filter(|token| token.kind() == TokenKind::Refresh && token.expires_at() > now)
}

/// Seals and opens what a refresh token gave, for holders of that token.
fn sealer(token: &Token) -> Sealer {
    let key = Key::of_secret("refresh-token", "portcullis answer to a refresh token", token.expose());
    Sealer::new(&Encryption::Keys(vec![key]), Path::new(""))
}

fn place<'a>(key: &'a [u8]) -> Place<'a> {
    Place { store: "access-token", key, column: "answer" }
}

fn seal(token: &Token, tokens: &Tokens) -> Result<String, StoreError> {
    let (access_token, access) = &tokens.access;
    let answer = Answer {
        access_token: Zeroizing::new(access_token.expose().to_owned()),
        access: access.clone(),
        refresh_token: tokens.refresh.as_ref().map(|(token, _)| Zeroizing::new(token.expose().to_owned())),
        refresh: tokens.refresh.as_ref().map(|(_, record)| record.clone()),
    };
    let plain = Zeroizing::new(encode(&REFRESH_TOKEN, &answer)?);
    sealer(token).seal(plain.as_bytes(), &place(&token.key().to_bytes()))
}

fn open(token: &Token, row: &Row, used: &Used) -> Result<Tokens, StoreError> {
    let damaged = || StoreError::Broken("what a refresh token gave cannot be read: its record was damaged".into());
    let plain = sealer(token).open(&used.answer, &place(&row.key))?;
    let answer: Answer = serde_json::from_slice(&plain).map_err(|_| damaged())?;
    let access = (Token::parse(&answer.access_token).ok_or_else(damaged)?, answer.access);
    let refresh = match (answer.refresh_token, answer.refresh) {
        (Some(token), Some(record)) => Some((Token::parse(&token).ok_or_else(damaged)?, record)),
        _ => None,
    };
    Ok(Tokens { access, refresh })
}

#[cfg(test)]
mod tests;
