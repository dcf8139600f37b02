//! A request as it goes to an upstream: over one connection after another, until there is an answer.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Request, header};
use policy::Body;
use policy::exchange::Upgrade;
use policy::ports::Fields;
use smallvec::SmallVec;

use super::sent::{Sent, Watch};
use crate::{hop, trailers};

/// The request. `Host` is not among its headers.
pub(super) struct Outgoing {
    pub(super) parts: Parts,
    /// What stands behind its headers.
    pub(super) fields: Fields,
    /// Nothing once it is under way: what streams cannot be sent again.
    pub(super) body: Option<Sent>,
}

/// What is known of it, wherever it goes.
pub(super) struct Facts {
    /// The `Host` that it came with.
    pub(super) host: Option<HeaderValue>,
    /// The protocol that its connection is to switch to.
    pub(super) upgrade: Option<Upgrade>,
    /// Watches a body that streams.
    pub(super) watch: Option<Arc<Watch>>,
}

/// How a request is sent to one target.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) scheme: &'static str,
    pub(super) host: &'a HeaderValue,
    pub(super) upgrade: Option<&'a Upgrade>,
    /// For the head of the answer.
    pub(super) limit: Duration,
    /// Of a body that streams.
    pub(super) watch: Option<&'a Watch>,
}

impl Outgoing {
    /// Makes a request what goes over one hop: nothing of the client's connection, and only the length that the body really has, which
    /// whoever writes it says.
    ///
    /// Boxed: the future of a request would be larger with it than what the allocator keeps at hand.
    pub(super) fn new(request: Request<Body>, fields: Fields) -> (Box<Outgoing>, Facts) {
        let (mut parts, body) = request.into_parts();
        let (mut sent, watch) = Sent::new(body);
        let headers = &mut parts.headers;
        hop::strip(headers);
        headers.remove(header::CONTENT_LENGTH);
        // The listener has answered it: the body comes at once.
        headers.remove(header::EXPECT);
        let host = headers.remove(header::HOST);
        if headers.contains_key(header::TRAILER) {
            // What is announced to come after the body does come, and nothing else.
            let announced = if sent.may_have_trailers() { trailers::announced(headers) } else { SmallVec::new() };
            if announced.is_empty() {
                headers.remove(header::TRAILER);
            }
            sent.announces(announced.into_vec());
        }
        let upgrade = parts.extensions.remove::<Upgrade>();
        (Box::new(Outgoing { parts, fields, body: Some(sent) }), Facts { host, upgrade, watch })
    }
}
