//! One try of a request at one address, with a second one on a fresh connection where a kept one was closed meanwhile.

use std::time::Duration;

use http::Response;
use policy::ports::UpstreamError;

use super::endpoint::{Carrier, Connection, Endpoint, Terms};
use super::head::SendError;
use super::outgoing::{Aim, Facts, Outgoing};
use super::retry::Cause;
use super::sent::{Sent, Watch};

/// How often a kept connection may turn out to be closed before the target is given up.
const ROUNDS: usize = 3;

/// The try.
pub(super) struct Attempt<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) terms: Terms<'a>,
    pub(super) facts: &'a Facts,
    /// For the head of the answer.
    pub(super) limit: Duration,
    /// It may be done twice.
    pub(super) repeatable: bool,
}

/// The head of an answer, and what its body comes over.
pub(super) struct Answered {
    pub(super) head: Response<()>,
    pub(super) carrier: Carrier,
    /// The request may be sent again.
    pub(super) again: bool,
}

/// There is none.
pub(super) struct Failed {
    pub(super) error: UpstreamError,
    pub(super) cause: Cause,
    /// Sending the request again does no harm, and it is there.
    pub(super) again: bool,
}

impl Attempt<'_> {
    pub(super) async fn send(&self, request: &mut Outgoing) -> Result<Answered, Failed> {
        let Facts { host, upgrade, watch } = self.facts;
        let aim = Aim {
            scheme: self.endpoint.connector.scheme(),
            host: host.as_ref().unwrap_or(&self.endpoint.host),
            upgrade: upgrade.as_ref(),
            limit: self.limit,
            watch: watch.as_deref(),
        };
        for round in 0.. {
            let connection = match self.endpoint.kept(round > 0, self.terms) {
                Some(kept) => Ok(kept),
                // Rare, and larger than all the rest: it has no room in the future of every request.
                None => Box::pin(self.endpoint.connection(round > 0, self.terms)).await,
            };
            let Connection { mut carrier, kept } = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    let full = matches!(error, UpstreamError::Full(_));
                    let cause = if full { Cause::Other } else { Cause::Unsent };
                    return Err(Failed { error, cause, again: true });
                }
            };
            let copy = request.body.as_ref().and_then(Sent::copy);
            let sent = carrier.send(request, aim).await;
            request.body = request.body.take().or(copy);
            let is_there = request.body.is_some();
            let (error, cause, unsent) = match sent {
                // RFC 9110, section 15: statuses end at 599, and one beyond them counts as a 5xx: as an answer that is none.
                Ok(head) if head.status().as_u16() >= 600 => {
                    (UpstreamError::Malformed(String::from("its status is none")), Cause::Other, false)
                }
                Ok(head) => return Ok(Answered { head, carrier, again: is_there && self.repeatable }),
                Err(SendError::Late) => (UpstreamError::Timeout("first_byte"), Cause::Timeout, false),
                Err(SendError::Malformed(why)) => (UpstreamError::Malformed(why), Cause::Other, false),
                Err(SendError::Broken { why, .. }) if aim.watch.is_some_and(Watch::failed) => {
                    (UpstreamError::RequestBody(why), Cause::Other, false)
                }
                Err(SendError::Broken { why, unsent }) => {
                    let unsent = unsent && is_there;
                    (UpstreamError::Unreachable(why), if unsent { Cause::Unsent } else { Cause::Reset }, unsent)
                }
            };
            let again = is_there && (unsent || self.repeatable);
            // A kept one that broke was closed while it lay idle, or right behind its last answer.
            let was_closed = kept && matches!(cause, Cause::Unsent | Cause::Reset);
            if !(again && was_closed && round < ROUNDS) {
                return Err(Failed { error, cause, again });
            }
        }
        unreachable!("the rounds are bounded")
    }
}
