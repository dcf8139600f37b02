//! How a filter stops: it refuses, or something it needs is broken. For `?` in the story of a filter.

use policy::{Abort, Outcome, Reason};
use store::StoreError;

/// Why a filter stops.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// It says no.
    Refused(Reason),
    /// A fault.
    Broken(Abort),
}

/// How the filter ended.
pub(crate) fn settle(ended: Result<Outcome, Stop>) -> Result<Outcome, Abort> {
    ended.or_else(|stop| match stop {
        Stop::Refused(reason) => Ok(Outcome::Failure(reason)),
        Stop::Broken(abort) => Err(abort),
    })
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Stop::Refused(reason)
    }
}

impl From<Abort> for Stop {
    fn from(abort: Abort) -> Self {
        Stop::Broken(abort)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Broken(crate::abort_from(error))
    }
}
