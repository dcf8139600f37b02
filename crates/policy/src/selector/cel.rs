//! CEL conditions, compiled at load with names and fields resolved there.

use crate::diagnostic::Diagnostics;
use crate::exchange::Exchange;
use crate::filter::BuildContext;
use crate::outcome::Reason;
use crate::settings::Spanned;

/// A compiled CEL condition (`when`, `require.that`).
pub struct Condition {}

impl Condition {
    /// Compiles the expression; what it reads counts as reads of the filter.
    pub fn compile(text: &Spanned<String>, cx: &mut BuildContext<'_>) -> Result<Condition, Diagnostics> {
        let _ = (text, cx);
        unimplemented!()
    }

    /// Whether it holds. A missing value or a result that is no boolean is a failure.
    pub fn holds(&self, exchange: &Exchange) -> Result<bool, Reason> {
        let _ = exchange;
        unimplemented!()
    }
}
