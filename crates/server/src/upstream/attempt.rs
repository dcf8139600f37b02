//! One try of a request at one address, with a second one on a fresh connection where a kept one was closed meanwhile.

use std::error::Error;
use std::time::Duration;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, Uri, Version, header};
use hyper::body::Incoming;
use policy::exchange::Upgrade;
use policy::ports::UpstreamError;

use super::endpoint::{Carrier, Connection, Endpoint, Terms};
use super::head::{Broken, SendError};
use super::retry::{self, Cause};
use super::sent::{Sent, Watch};

/// How often a kept connection may turn out to be closed before the target is given up.
const ROUNDS: usize = 3;

/// The try.
pub(super) struct Attempt<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) terms: Terms<'a>,
    /// For the head of the answer.
    pub(super) limit: Duration,
    pub(super) watch: Option<&'a Watch>,
    /// The `Host` that the request came with.
    pub(super) host: Option<&'a HeaderValue>,
    /// The protocol that its connection is to switch to.
    pub(super) upgrade: Option<&'a Upgrade>,
    /// It may be done twice.
    pub(super) repeatable: bool,
    /// Whoever sends it may want to do so once more.
    pub(super) last: bool,
}

/// The head of an answer, what its body comes over, and a copy of the request where one was made.
pub(super) struct Answered {
    pub(super) head: Response<Incoming>,
    pub(super) carrier: Carrier,
    pub(super) copy: Option<Request<Sent>>,
}

/// There is none.
pub(super) struct Failed {
    pub(super) error: UpstreamError,
    pub(super) cause: Cause,
    /// The request, where sending it again does no harm.
    pub(super) again: Option<Request<Sent>>,
}

impl Attempt<'_> {
    pub(super) async fn send(&self, mut request: Request<Sent>) -> Result<Answered, Failed> {
        for round in 0.. {
            let Connection { mut carrier, kept } = match self.endpoint.connection(round > 0, self.terms).await {
                Ok(connection) => connection,
                Err(error) => {
                    let full = matches!(error, UpstreamError::Full(_));
                    let cause = if full { Cause::Other } else { Cause::Unsent };
                    return Err(Failed { error, cause, again: Some(request) });
                }
            };
            self.aim(&mut request, carrier.is_two());
            let wanted = self.repeatable && (kept || !self.last) || carrier.is_two();
            let mut copy = if wanted { retry::copy(&request) } else { None };
            let mut broken = match carrier.send(request, self.limit, self.watch).await {
                Ok(head) => return Ok(Answered { head, carrier, copy: copy.filter(|_| self.repeatable) }),
                Err(SendError::Late) => {
                    let (error, cause) = (UpstreamError::Timeout("first_byte"), Cause::Timeout);
                    return Err(Failed { error, cause, again: copy.filter(|_| self.repeatable) });
                }
                Err(SendError::Flood) => {
                    let error = UpstreamError::Malformed(String::from("too much came before the answer"));
                    return Err(Failed { error, cause: Cause::Other, again: None });
                }
                Err(SendError::Broken(broken)) => broken,
            };
            let untouched = broken.unsent.take().or_else(|| copy.take_if(|_| is_refused(&broken)));
            let unsent = untouched.is_some();
            let again = untouched.or(copy.filter(|_| self.repeatable));
            let (error, cause) = self.fault(*broken, unsent);
            match again {
                // Closed while it lay idle, or right behind its last answer.
                Some(again) if kept && round < ROUNDS && cause != Cause::Other => request = again,
                again => return Err(Failed { error, cause, again }),
            }
        }
        unreachable!("the rounds are bounded")
    }

    /// Directs the request at the endpoint, in the form that this version of HTTP has.
    fn aim(&self, request: &mut Request<Sent>, two: bool) {
        let host = self.host.unwrap_or(&self.endpoint.host);
        if two {
            let authority = Authority::try_from(host.as_bytes());
            let path = request.uri().path_and_query().cloned();
            let mut parts = Parts::default();
            parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
            if let Ok(authority) = authority {
                parts.scheme = Scheme::try_from(self.endpoint.connector.scheme()).ok();
                parts.authority = Some(authority);
            }
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
            *request.version_mut() = Version::HTTP_2;
            for name in [header::HOST, header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING] {
                request.headers_mut().remove(name);
            }
            // What comes after a body is passed on (RFC 9113, section 8.2.2 lets `te` say this and nothing else).
            request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
            return;
        }
        if request.uri().authority().is_some() {
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
            request.headers_mut().remove(header::TE);
        }
        *request.version_mut() = Version::HTTP_11;
        if let Some(Upgrade(protocol)) = self.upgrade {
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            request.headers_mut().insert(header::UPGRADE, protocol.clone());
        }
        // Of these methods hyper sends no body whose length it does not know, unless it is told how.
        if matches!(*request.method(), Method::GET | Method::HEAD) && request.body().may_have_trailers() {
            request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if !request.headers().contains_key(header::HOST) || self.host.is_none() {
            request.headers_mut().insert(header::HOST, host.clone());
        }
    }

    /// Whose fault it was, and what another try may hope for.
    fn fault(&self, broken: Broken, unsent: bool) -> (UpstreamError, Cause) {
        let error = broken.error;
        let why = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        if error.is_parse() {
            (UpstreamError::Malformed(why), Cause::Other)
        } else if self.watch.is_some_and(Watch::failed) {
            (UpstreamError::RequestBody(why), Cause::Other)
        } else {
            (UpstreamError::Unreachable(why), if unsent { Cause::Unsent } else { Cause::Reset })
        }
    }
}

/// Whether the other side says that it has not looked at the request (RFC 9113, section 8.7).
fn is_refused(broken: &Broken) -> bool {
    let error = broken.error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        error.is_remote()
            && (error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR)))
    })
}
