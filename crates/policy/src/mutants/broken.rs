//! What stands in for a filter that is changed.

use std::sync::Arc;

use crate::exchange::Exchange;
use crate::filter::ErasedFilter;
use crate::outcome::{Abort, Outcome, Reason, ReasonCode};
use crate::ports::BoxFuture;

const INVERTED: ReasonCode = ReasonCode::new("inverted");

/// Does nothing, and succeeds.
pub(super) struct Nothing;

impl ErasedFilter for Nothing {
    fn run<'a>(&'a self, _: &'a mut Exchange) -> BoxFuture<'a, Result<Outcome, Abort>> {
        Box::pin(std::future::ready(Ok(Outcome::Success)))
    }
}

/// A filter that somebody else holds too.
pub(super) struct Shared(pub(super) Arc<dyn ErasedFilter>);

impl ErasedFilter for Shared {
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Outcome, Abort>> {
        self.0.run(exchange)
    }

    fn weaken(&mut self, weakness: usize) {
        // Whoever else held it is gone with its mutant.
        if let Some(filter) = Arc::get_mut(&mut self.0) {
            filter.weaken(weakness);
        }
    }
}

/// Ends the other way round where the filter fails, or where it does not.
pub(super) struct Inverted {
    pub(super) filter: Arc<dyn ErasedFilter>,
    pub(super) failure: bool,
}

impl ErasedFilter for Inverted {
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Outcome, Abort>> {
        Box::pin(async {
            Ok(match self.filter.run(exchange).await? {
                Outcome::Failure(_) if self.failure => Outcome::Success,
                Outcome::Success | Outcome::Answered if !self.failure => {
                    Outcome::Failure(Reason::new(INVERTED, "a mutant"))
                }
                outcome => outcome,
            })
        })
    }
}
