//! A compiled setting.

use crate::diagnostic::Diagnostics;
use crate::exchange::Exchange;
use crate::filter::BuildContext;
use crate::outcome::Reason;
use crate::value::FromValue;

use super::Dynamic;

/// A compiled [`Dynamic`]: a constant, or accessors and text that are evaluated per request without any look-up by name.
pub struct Getter<T> {
    pub(crate) of: std::marker::PhantomData<fn() -> T>,
}

impl<T: FromValue + Clone> Getter<T> {
    /// The value; a missing one is [`MISSING_VALUE`](crate::outcome::MISSING_VALUE), one that does not fit
    /// [`WRONG_TYPE`](crate::outcome::WRONG_TYPE).
    pub fn get(&self, exchange: &Exchange) -> Result<T, Reason> {
        let _ = exchange;
        unimplemented!()
    }

    /// The value, `None` where it is absent on purpose (`${x ??}`). Absent without that is still a failure.
    pub fn get_optional(&self, exchange: &Exchange) -> Result<Option<T>, Reason> {
        let _ = exchange;
        unimplemented!()
    }

    /// The value, where it is known before any request.
    pub fn constant(&self) -> Option<&T> {
        unimplemented!()
    }
}

/// Compiles a setting; its selectors count as reads of the filter.
pub(crate) fn compile<T: FromValue + Clone>(
    setting: &Dynamic<T>,
    cx: &mut BuildContext<'_>,
) -> Result<Getter<T>, Diagnostics> {
    let _ = (setting, cx);
    unimplemented!()
}
