//! Calls to a provider: its metadata, its token and revocation endpoints.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};

use ::oauth::jose::{Claims, KeySet, Rejected};
use ::oauth::provider::answer::{self, Refusal, Tokens};
use ::oauth::provider::request::{self, Form, Grant};
use ::oauth::provider::{Endpoints, Provider, discovery, id_token};
use ::oauth::{Scopes, Secret};
use policy::ports::{Reached, UpstreamError};
use policy::{Abort, Body};

use super::{PROVIDER_MALFORMED, PROVIDER_REFUSES, PROVIDER_UNAVAILABLE};

/// Seconds that metadata is believed.
const BELIEVED: u64 = 3_600;

/// A provider, as it is called.
pub(crate) struct Calls {
    reached: Arc<Reached<Provider>>,
    found: Arc<Found>,
}

/// What was found in the provider's metadata, and its keys; and until when each is believed (Unix seconds).
#[derive(Default)]
pub(super) struct Found(Mutex<Option<(Endpoints, u64)>>, Mutex<Option<(KeySet, u64)>>);

impl Found {
    fn keys(&self) -> Option<(KeySet, u64)> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a call gave no token.
pub(super) enum Refused {
    /// `invalid_grant`.
    Grant,
    /// It is a fault.
    Broken(Abort),
}

impl Calls {
    pub(super) fn new(reached: Arc<Reached<Provider>>, found: Arc<Found>) -> Self {
        Calls { reached, found }
    }

    /// Who is called.
    pub(crate) fn provider(&self) -> &Provider {
        &self.reached.what
    }

    /// Where its endpoints are: as `node.toml` says, else as its metadata says.
    pub(crate) async fn endpoints(&self, now: u64) -> Result<Endpoints, Abort> {
        let provider = self.provider();
        let Some(issuer) = &provider.issuer else { return Ok(provider.endpoints.clone()) };
        let known = self.found.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((found, _)) = known.filter(|(_, until)| *until > now) {
            return Ok(provider.endpoints.clone().or(&found));
        }
        for url in discovery::locations(issuer) {
            let (status, body) = self.send(Method::GET, &url, None).await?;
            match status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => continue,
                status if status.is_server_error() => {
                    return Err(self.unavailable(&format!("its metadata: status {status}")));
                }
                status => return Err(self.malformed(&format!("its metadata: status {status}"))),
            }
            let found =
                discovery::read(issuer, &body).map_err(|why| self.malformed(&format!("its metadata: {why}")))?;
            let mut called = provider.called(&found);
            if let Some((name, _)) = called.find(|(_, url)| !provider.elsewhere && !is_at(url, issuer.origin())) {
                let why = format!(
                    "its metadata: `{name}` is at another host or port; name an `upstream` in `[provider.{}]`",
                    provider.name
                );
                return Err(self.malformed(&why));
            }
            drop(called);
            let until = now.saturating_add(BELIEVED);
            *self.found.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((found.clone(), until));
            return Ok(provider.endpoints.clone().or(&found));
        }
        Err(self.malformed("it has no metadata: name its endpoints in `node.toml`, or take `issuer` out"))
    }

    /// Gets tokens; where the answer does not say what was granted, it is `granted`. `now` is in Unix seconds.
    pub(super) async fn token(
        &self,
        grant: &Grant<'_>,
        scopes: &Scopes,
        granted: &Scopes,
        now: u64,
    ) -> Result<Tokens, Refused> {
        let broken = Refused::Broken;
        let endpoint = self.endpoints(now).await.map_err(broken)?.token;
        let endpoint = endpoint.ok_or_else(|| broken(self.malformed("its metadata names no `token_endpoint`")))?;
        let form = request::token(self.provider(), grant, scopes);
        let (status, body) = self.send(Method::POST, &endpoint, Some(&form)).await.map_err(broken)?;
        answer::read(self.provider(), granted, status.as_u16(), &body, now).map_err(|refusal| {
            let why = refusal.to_string();
            match refusal {
                Refusal::Grant => Refused::Grant,
                Refusal::Unavailable(_) => broken(self.unavailable(&why)),
                Refusal::Malformed(_) => broken(self.malformed(&why)),
                Refusal::Client(_) => broken(Abort::new(PROVIDER_REFUSES, StatusCode::BAD_GATEWAY, self.told(&why))),
            }
        })
    }

    /// Proves an ID token by the provider's keys (OpenID Connect Core, section 3.1.3.7). A key that is not known is looked for once more.
    pub(crate) async fn id_token(
        &self,
        token: &Secret,
        nonce: Option<&str>,
        now: u64,
    ) -> Result<Result<Claims, Rejected>, Abort> {
        let known = self.found.keys();
        if let Some((keys, _)) = known.filter(|(_, until)| *until > now) {
            match id_token::check(self.provider(), &keys, token, nonce, now) {
                Err(Rejected::UnknownKey) => {}
                checked => return Ok(checked),
            }
        }
        let endpoint = self.endpoints(now).await?.jwks;
        let endpoint =
            endpoint.ok_or_else(|| self.malformed("it has no `jwks_uri`, so nothing that it signs can be proved"))?;
        let (status, body) = self.send(Method::GET, &endpoint, None).await?;
        if status != StatusCode::OK {
            return Err(self.unavailable(&format!("its keys: status {status}")));
        }
        let keys = serde_json::from_slice(&body).ok().and_then(|json| KeySet::parse(&json));
        let keys = keys.ok_or_else(|| self.malformed("its keys are no key set (RFC 7517)"))?;
        let checked = id_token::check(self.provider(), &keys, token, nonce, now);
        *self.found.1.lock().unwrap_or_else(PoisonError::into_inner) = Some((keys, now.saturating_add(BELIEVED)));
        Ok(checked)
    }

    /// Gives a token back, where the provider takes it (RFC 7009); `false` where it has no endpoint for that.
    pub(crate) async fn revoke(&self, token: &Secret, hint: &str, now: u64) -> Result<bool, Abort> {
        let Some(endpoint) = self.endpoints(now).await?.revocation else { return Ok(false) };
        let form = request::revocation(self.provider(), token, hint);
        match self.send(Method::POST, &endpoint, Some(&form)).await? {
            (StatusCode::OK, _) => Ok(true),
            (status, _) if status.is_server_error() => Err(self.unavailable(&format!("a revocation: status {status}"))),
            (status, _) => Err(Abort::new(
                PROVIDER_REFUSES,
                StatusCode::BAD_GATEWAY,
                self.told(&format!("it refuses a revocation: status {status}")),
            )),
        }
    }

    async fn send(&self, method: Method, url: &str, form: Option<&Form>) -> Result<(StatusCode, Bytes), Abort> {
        let request = build(method, url, form).ok_or_else(|| self.malformed("an endpoint of it is no URL"))?;
        let (head, body) = self.reached.upstream.send(request).await.map_err(|why| self.unanswered(&why))?.into_parts();
        let body = body.collect(self.provider().answer_limit).await;
        let body = body.map_err(|_| self.malformed("its answer is larger than `answer_limit`, or broke off"))?;
        Ok((head.status, body))
    }

    fn unanswered(&self, error: &UpstreamError) -> Abort {
        match error {
            UpstreamError::Malformed(_) => self.malformed(&error.to_string()),
            UpstreamError::Timeout(_) => self.unavailable("it was silent for too long (`timeout`)"),
            _ => self.unavailable(&error.to_string()),
        }
    }

    pub(super) fn unavailable(&self, why: &str) -> Abort {
        Abort::unavailable(PROVIDER_UNAVAILABLE, self.told(why))
    }

    pub(crate) fn malformed(&self, why: &str) -> Abort {
        Abort::new(PROVIDER_MALFORMED, StatusCode::BAD_GATEWAY, self.told(why))
    }

    fn told(&self, why: &str) -> String {
        format!("provider `{}`: {why}", self.provider().name)
    }
}

/// Whether an URL is at this origin.
fn is_at(url: &str, origin: &str) -> bool {
    discovery::origin(url) == origin
}

/// The request: over the connection that the provider is reached by, in the name of the URL's host.
fn build(method: Method, url: &str, form: Option<&Form>) -> Option<Request<Body>> {
    let uri: Uri = url.parse().ok()?;
    let host = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
    let mut request = Request::new(Body::Empty);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(uri.path_and_query()?.clone());
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(form) = form {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(text) = &form.authorization {
            let mut value = HeaderValue::from_str(text).ok()?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        *request.body_mut() = Body::from(form.body.to_string());
    }
    Some(request)
}
