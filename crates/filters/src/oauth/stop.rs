//! How an OAuth filter stops: with an error of the RFCs, which the answer style writes.

use http::StatusCode;

use ::oauth::{Error, ErrorCode};
use policy::{BuildContext, Reason, ReasonCode};

pub(crate) use crate::stop::{Stop, settle};

/// The detail of a failure that goes to a redirect URI: the browser is sent there.
#[derive(Clone, Debug)]
pub(crate) struct Redirected {
    /// Where, with the error on it.
    pub(super) location: String,
    /// The error.
    pub(super) error: Error,
}

/// The failure that this error is; the answer style finds the error in its detail.
pub(crate) fn refused(error: Error) -> Reason {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let message = error.description.as_ref().map_or_else(String::new, |text| text.as_str().to_owned());
    Reason::new(ReasonCode::new(error.code.as_str()), message).with_status(status).with_detail(error)
}

/// States that the filter can end in these errors.
pub(crate) fn refuses(cx: &mut BuildContext<'_>, codes: &[ErrorCode]) {
    codes.iter().for_each(|code| cx.fails(&[ReasonCode::new(code.as_str())]));
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Refused(refused(error))
    }
}
