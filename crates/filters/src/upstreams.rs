//! How filters reach upstreams: by name, with the faults that come of it stated.

use std::sync::Arc;

use http::StatusCode;

use policy::ports::{UPSTREAM, UpstreamError, UpstreamHandle};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Reason, ReasonCode};

/// No connection to the upstream, or it was closed before an answer.
const UNREACHABLE: ReasonCode = ReasonCode::new("upstream-unreachable");
/// The upstream was silent for too long.
const TIMEOUT: ReasonCode = ReasonCode::new("upstream-timeout");
/// As much goes on at the upstream as its limits allow.
const FULL: ReasonCode = ReasonCode::new("upstream-full");
/// The upstream's answer was no HTTP.
const MALFORMED: ReasonCode = ReasonCode::new("upstream-malformed");

/// Upstreams for filters.
pub(crate) trait UpstreamExt {
    /// The upstream of this name. The filter may then end in what [`unanswered`] gives.
    fn upstream(&mut self, name: &Spanned<String>) -> Result<Arc<UpstreamHandle>, Diagnostics>;
    /// Says that the filter may end in what [`unanswered`] gives.
    fn states_unanswered(&mut self);
}

impl UpstreamExt for BuildContext<'_> {
    fn upstream(&mut self, name: &Spanned<String>) -> Result<Arc<UpstreamHandle>, Diagnostics> {
        self.states_unanswered();
        self.resource(UPSTREAM, name)
    }

    fn states_unanswered(&mut self) {
        self.aborts(&[UNREACHABLE, TIMEOUT, FULL, MALFORMED]);
        self.fails_rarely(&[policy::outcome::BAD_REQUEST]);
    }
}

/// Why there is no answer: the client's failure where its own body broke off, else a fault.
pub(crate) fn unanswered(error: UpstreamError) -> Result<Reason, Abort> {
    let message = error.to_string();
    Err(match error {
        UpstreamError::RequestBody(_) => return Ok(Reason::bad_request(message)),
        UpstreamError::Unreachable(_) => Abort::new(UNREACHABLE, StatusCode::BAD_GATEWAY, message),
        UpstreamError::Timeout(_) => Abort::new(TIMEOUT, StatusCode::GATEWAY_TIMEOUT, message),
        UpstreamError::Full(_) => Abort::new(FULL, StatusCode::SERVICE_UNAVAILABLE, message),
        UpstreamError::Malformed(_) => Abort::new(MALFORMED, StatusCode::BAD_GATEWAY, message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_get_no_answer_has_its_own_end() {
        let abort = |error| unanswered(error).map_err(|a| (a.code.as_str(), a.status.as_u16())).map(|_| ());
        assert_eq!(abort(UpstreamError::Unreachable(String::new())), Err(("upstream-unreachable", 502)));
        assert_eq!(abort(UpstreamError::Timeout("first_byte")), Err(("upstream-timeout", 504)));
        assert_eq!(abort(UpstreamError::Full("requests")), Err(("upstream-full", 503)));
        assert_eq!(abort(UpstreamError::Malformed(String::new())), Err(("upstream-malformed", 502)));
        match unanswered(UpstreamError::RequestBody("reset".into())) {
            Ok(reason) => assert_eq!(reason.status, StatusCode::BAD_REQUEST),
            other => panic!("the client's fault is a failure, not {other:?}"),
        }
    }
}
