//! What users have granted before a test: codes that are not redeemed yet, and refresh tokens.

use policy::Diagnostics;
use policy::settings::{Duration, Spanned};
use policy::testing::{Given, OrCase};
use schemars::JsonSchema;
use serde::Deserialize;
use store::access_tokens::Tokens;
use store::oauth::pkce::{Challenge, Method};
use store::oauth::token::{Token, TokenKind};
use store::oauth::{ClientId, GrantId, redirect_uri};
use store::record::{AuthzCode, EpochsThen, RefreshToken, TokenGrant};

use super::{GivenToken, at, minted, scopes};

/// Seconds that a code lives where the test does not say.
const CODE: u64 = 60;

/// Seconds that a refresh token lives where the test does not say.
const REFRESH: u64 = 12 * 3_600;

/// A code that a user's browser was given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenCode {
    /// The test's word for it: where a request has that word, the code stands.
    pub(in crate::load) code: String,
    /// The client that asked for it.
    client: String,
    /// The user.
    subject: String,
    /// What was granted, with a space between.
    scope: Option<Spanned<String>>,
    /// The redirect URI of the authorization request, where that named one.
    redirect_uri: Option<Spanned<String>>,
    /// What its `code_challenge` was made from (S256). Default: there was none.
    verifier: Option<Spanned<String>>,
    /// How long it lives. Default: a minute.
    lifetime: Option<OrCase<Duration>>,
    /// How long ago it was issued. Default: just now.
    age: Option<OrCase<Duration>>,
}

/// A refresh token of a grant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenRefreshToken {
    /// The test's word for it: where a request has that word, the token stands.
    pub(in crate::load) token: String,
    /// The client that it was issued to.
    client: String,
    /// The user.
    subject: String,
    /// What was granted, with a space between.
    scope: Option<Spanned<String>>,
    /// How long it lives. Default: twelve hours.
    lifetime: Option<OrCase<Duration>>,
    /// How long ago it was issued. Default: just now.
    age: Option<OrCase<Duration>>,
    /// Whether its grant was revoked. Default: false.
    pub(in crate::load) revoked: Option<OrCase<bool>>,
}

fn times(now: u64, age: Option<OrCase<Duration>>, lifetime: Option<OrCase<Duration>>, default: u64) -> (u64, u64) {
    let seconds = |duration: Option<OrCase<Duration>>, default| duration.map_or(default, |d| d.0.0.as_secs());
    let issued_at = now.saturating_sub(seconds(age, 0));
    (issued_at, issued_at + seconds(lifetime, default))
}

/// The code and its record.
pub(in crate::load) fn code(
    given: &Given,
    spec: &GivenCode,
    now: u64,
    random: [u8; 32],
    grant_id: GrantId,
) -> Result<(Token, AuthzCode), Diagnostics> {
    let (issued_at, expires_at) = times(now, spec.age, spec.lifetime, CODE);
    if let Some(uri) = &spec.redirect_uri {
        redirect_uri::check(&uri.value).map_err(|why| {
            at(given, uri.span, format!("no client can have this redirect URI: {why}"), "another one")
        })?;
    }
    let challenge = spec.verifier.as_ref().map(|verifier| {
        let refused =
            || at(given, verifier.span, String::from("this is no verifier"), "43 to 128 of A-Z a-z 0-9 - . _ ~");
        Challenge::of(&verifier.value, Method::S256).ok_or_else(refused)
    });
    let record = AuthzCode {
        client_id: ClientId::new(spec.client.as_str()),
        subject: spec.subject.clone(),
        scope: scopes(given, spec.scope.as_ref())?,
        grant_id,
        redirect_uri: spec.redirect_uri.as_ref().map(|uri| uri.value.clone()),
        challenge: challenge.transpose()?,
        authentication: None,
        nonce: None,
        claims: None,
        epochs: EpochsThen::default(),
        issued_at,
        expires_at,
        used_at: None,
    };
    Ok((Token::mint(TokenKind::Code, expires_at, random), record))
}

/// The refresh token, with the access token that was issued beside it, and their grant.
pub(in crate::load) fn refresh_token(
    given: &Given,
    spec: &GivenRefreshToken,
    now: u64,
    random: [u8; 32],
    grant_id: GrantId,
) -> Result<(Tokens, TokenGrant), Diagnostics> {
    let (issued_at, expires_at) = times(now, spec.age, spec.lifetime, REFRESH);
    let beside = GivenToken {
        token: spec.token.clone(),
        client: spec.client.clone(),
        scope: spec.scope.clone(),
        subject: Some(spec.subject.clone()),
        lifetime: None,
        age: spec.age,
        audience: Vec::new(),
        revoked: None,
    };
    let (access, mut record) = minted(given, &beside, now, random, grant_id.clone())?;
    record.grant_type = String::from("authorization_code");
    let grant = TokenGrant {
        client_id: record.client_id.clone(),
        subject: spec.subject.clone(),
        scope: record.scope.clone(),
        grant_type: record.grant_type.clone(),
        granted_at: issued_at,
        authentication: None,
        claims: None,
        expires_at: expires_at.max(record.expires_at),
        revoked_at: None,
    };
    let refresh = RefreshToken { client_id: record.client_id.clone(), grant_id, issued_at, expires_at, used: None };
    let refresh = (Token::mint(TokenKind::Refresh, expires_at, random), refresh);
    Ok((Tokens { access: (access, record), refresh: Some(refresh) }, grant))
}
