//! How a filter stops: it refuses, or something it needs is broken. For `?` in the story of a filter.

use http::StatusCode;

use ::oauth::{Error, ErrorCode};
use policy::{Abort, BuildContext, Outcome, Reason, ReasonCode};
use store::StoreError;

/// Why a filter stops.
pub(crate) enum Stop {
    /// It says no.
    Refused(Reason),
    /// A fault.
    Broken(Abort),
}

/// The failure that this error is; the answer style finds the error in its detail.
pub(super) fn refused(error: Error) -> Reason {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let message = error.description.as_ref().map_or_else(String::new, |text| text.as_str().to_owned());
    Reason::new(ReasonCode::new(error.code.as_str()), message).with_status(status).with_detail(error)
}

/// States that the filter can end in these errors.
pub(super) fn refuses(cx: &mut BuildContext<'_>, codes: &[ErrorCode]) {
    codes.iter().for_each(|code| cx.fails(&[ReasonCode::new(code.as_str())]));
}

/// How the filter ended.
pub(crate) fn settle(ended: Result<Outcome, Stop>) -> Result<Outcome, Abort> {
    ended.or_else(|stop| match stop {
        Stop::Refused(reason) => Ok(Outcome::Failure(reason)),
        Stop::Broken(abort) => Err(abort),
    })
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Refused(refused(error))
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Stop::Refused(reason)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Broken(crate::abort_from(error))
    }
}
