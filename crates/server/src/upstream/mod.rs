//! The [`Upstream`] port over HTTP/1.1: pooled connections, time limits, nothing of a connection passed on.

mod answer;
mod deaf;
mod link;
mod pool;
mod provider;
mod sent;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use policy::Body;
use policy::exchange::{Upgrade, Upgraded};
use policy::ports::{BoxFuture, Clock, Repeatable, Upstream, UpstreamError};
use smallvec::SmallVec;
use tokio::net::TcpStream;

use self::answer::Home;
use self::link::{Link, SendError};
use self::pool::Pool;
pub(crate) use self::provider::{Tasks, Whole};
use self::sent::{Sent, Watch};
use crate::{hop, trailers};

/// What an upstream is made of. Equal settings are the same upstream: its pool then outlives a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamSettings {
    /// Name or address, without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Its time limits.
    pub(crate) timeouts: Timeouts,
}

impl UpstreamSettings {
    /// What stands in for an upstream whose settings are wrong, so that policies that name it can be checked. Never sent to.
    pub(crate) fn nowhere() -> Self {
        let none = Duration::ZERO;
        let timeouts = Timeouts { connect: none, first_byte: none, idle: none };
        UpstreamSettings { host: String::from("invalid"), port: 0, timeouts }
    }
}

/// Time limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Until there is a connection.
    pub(crate) connect: Duration,
    /// From the end of the request to the head of the answer; before that, for the upstream to take the next piece of the request.
    pub(crate) first_byte: Duration,
    /// Between two pieces of the answer's body.
    pub(crate) idle: Duration,
}

/// An upstream with one target.
pub(crate) struct HttpUpstream {
    settings: UpstreamSettings,
    host: HeaderValue,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
}

impl HttpUpstream {
    pub(crate) fn new(settings: UpstreamSettings, clock: Arc<dyn Clock>) -> Self {
        let bracketed = settings.host.contains(':');
        let host = if bracketed { format!("[{}]", settings.host) } else { settings.host.clone() };
        let authority = if settings.port == 80 { host } else { format!("{host}:{}", settings.port) };
        HttpUpstream {
            host: HeaderValue::from_str(&authority).expect("the settings took only names and addresses"),
            settings,
            pool: Arc::default(),
            clock,
        }
    }

    pub(crate) fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// Drops idle connections that the other side closed. Called now and then.
    pub(crate) fn sweep(&self) {
        self.pool.sweep(self.clock.monotonic_nanos());
    }

    /// Makes the request what goes over one hop: nothing of the client's connection, a host, and only the length that the body
    /// really has (hyper writes it).
    fn prepare(&self, request: &mut Request<Sent>) {
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        hop::strip(headers);
        headers.remove(header::CONTENT_LENGTH);
        // The listener has answered it: the body comes at once.
        headers.remove(header::EXPECT);
        if let Some(Upgrade(protocol)) = request.extensions().get::<Upgrade>().cloned() {
            let headers = request.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol);
        }
        let headers = request.headers_mut();
        if !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, self.host.clone());
        }
        if headers.contains_key(header::TRAILER) {
            let announced = match request.body().size_hint().exact() {
                None => trailers::announced(request.headers()),
                // All of it goes by its length, and nothing comes after it.
                Some(_) => SmallVec::new(),
            };
            if announced.is_empty() {
                request.headers_mut().remove(header::TRAILER);
            }
            request.body_mut().announces(announced);
        }
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let (parts, body) = request.into_parts();
        let upgrade = parts.extensions.get::<Upgrade>().cloned();
        let (sent, watch) = Sent::new(body);
        let mut request = Request::from_parts(parts, sent);
        self.prepare(&mut request);
        let limit = self.settings.timeouts.first_byte;
        if let Some(mut link) = self.pool.take() {
            let retry = second_copy(&request);
            match link.send(request, limit, watch.as_deref()).await {
                Ok(head) => return self.answer(head, link, upgrade).await,
                // The upstream closed the connection while it lay idle, or right behind its last answer: once more on a fresh
                // one, where that cannot do anything twice.
                Err(SendError::Broken(mut broken)) if !broken.error.is_parse() => {
                    match broken.unsent.take().or(retry) {
                        Some(again) => request = again,
                        None => return Err(failed(SendError::Broken(broken), watch.as_deref())),
                    }
                }
                Err(error) => return Err(failed(error, watch.as_deref())),
            }
        }
        let mut link = self.connect().await?;
        match link.send(request, limit, watch.as_deref()).await {
            Ok(head) => self.answer(head, link, upgrade).await,
            Err(error) => Err(failed(error, watch.as_deref())),
        }
    }

    async fn connect(&self) -> Result<Box<Link>, UpstreamError> {
        let target = (self.settings.host.as_str(), self.settings.port);
        let stream = match tokio::time::timeout(self.settings.timeouts.connect, TcpStream::connect(target)).await {
            Ok(connected) => connected.map_err(unreachable)?,
            Err(_) => return Err(UpstreamError::Timeout("connect")),
        };
        stream.set_nodelay(true).map_err(unreachable)?;
        Link::over(stream).await.map_err(|e| UpstreamError::Unreachable(e.to_string()))
    }

    async fn answer(
        &self,
        head: Response<Incoming>,
        link: Box<Link>,
        upgrade: Option<Upgrade>,
    ) -> Result<Response<Body>, UpstreamError> {
        let (mut parts, incoming) = head.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return switched(parts, link, upgrade).await;
        }
        if !hop::is_framed_plainly(&parts.headers) {
            return Err(UpstreamError::Malformed(String::from("its transfer coding is not chunked alone")));
        }
        hop::strip(&mut parts.headers);
        let home = Home { pool: self.pool.clone(), clock: self.clock.clone() };
        let body = answer::body(incoming, link, home, self.settings.timeouts.idle).await;
        Ok(Response::from_parts(parts, body))
    }
}

impl Upstream for HttpUpstream {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        Box::pin(self.exchange(request))
    }

    fn is_at(&self, scheme: &str, host: &str, port: u16) -> bool {
        scheme == "http" && self.settings.host.eq_ignore_ascii_case(host) && self.settings.port == port
    }
}

/// The answer of an upstream that switched protocols, with the connection.
async fn switched(
    mut parts: http::response::Parts,
    link: Box<Link>,
    upgrade: Option<Upgrade>,
) -> Result<Response<Body>, UpstreamError> {
    let malformed = |why: &str| UpstreamError::Malformed(why.to_owned());
    let Some(Upgrade(asked)) = upgrade else { return Err(malformed("it switched protocols unasked")) };
    let mut named = parts.headers.get_all(header::UPGRADE).iter();
    let is_it = |named: &HeaderValue| named.as_bytes().eq_ignore_ascii_case(asked.as_bytes());
    if !named.next().is_some_and(is_it) || named.next().is_some() {
        return Err(malformed("it switched to another protocol than was asked for"));
    }
    hop::strip(&mut parts.headers);
    let tunnel = link.into_tunnel().await.ok_or_else(|| malformed("it broke off behind its 101"))?;
    parts.extensions.clear();
    parts.extensions.insert(Upgraded::new(asked, tunnel));
    Ok(Response::from_parts(parts, Body::Empty))
}

/// A copy for a second try, where doing it twice does no harm (RFC 9110, section 9.2.2) and the body is in memory.
fn second_copy(request: &Request<Sent>) -> Option<Request<Sent>> {
    let idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    ) || request.extensions().get::<Repeatable>().is_some();
    let body = idempotent.then(|| request.body().copy())??;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Whose fault it was.
fn failed(error: SendError, watch: Option<&Watch>) -> UpstreamError {
    let error = match error {
        SendError::Late => return UpstreamError::Timeout("first_byte"),
        SendError::Broken(broken) => broken.error,
    };
    let why = error.to_string();
    if error.is_parse() {
        UpstreamError::Malformed(why)
    } else if watch.is_some_and(Watch::failed) {
        UpstreamError::RequestBody(why)
    } else {
        UpstreamError::Unreachable(why)
    }
}

fn unreachable(error: io::Error) -> UpstreamError {
    UpstreamError::Unreachable(error.to_string())
}
