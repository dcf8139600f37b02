//! What `/metrics` and `portcullis status` show of an upstream.

use std::sync::atomic::Ordering;

use super::HttpUpstream;

/// An upstream, now.
pub(crate) struct ObservedUpstream {
    pub(crate) name: String,
    pub(crate) in_flight: u32,
    pub(crate) waiting: u32,
    pub(crate) retries: u64,
    pub(crate) unaffordable: u64,
    /// Requests that a limit refused, by its name.
    pub(crate) refused: [(&'static str, u64); 3],
    /// A limit is reached now.
    pub(crate) circuit_open: bool,
    pub(crate) targets: Vec<ObservedTarget>,
}

/// An address of it.
pub(crate) struct ObservedTarget {
    pub(crate) url: String,
    pub(crate) address: String,
    /// Health checks find it well, or nobody asks.
    pub(crate) healthy: bool,
    /// It is left out for what it answered.
    pub(crate) ejected: bool,
    pub(crate) in_flight: u32,
    pub(crate) connections: u32,
    pub(crate) requests: u64,
    pub(crate) faults: u64,
    pub(crate) ejections: u64,
}

impl HttpUpstream {
    /// How it is now.
    pub(crate) fn observe(&self) -> ObservedUpstream {
        let core = &self.core;
        let (lineup, now) = (core.lineup.load(), core.clock.monotonic_nanos());
        let targets = lineup.seats.iter().map(|seat| {
            let endpoint = &seat.endpoint;
            ObservedTarget {
                url: endpoint.url.clone(),
                address: endpoint.address.to_string(),
                healthy: !endpoint.down.load(Ordering::Relaxed),
                ejected: endpoint.record.is_out(now),
                in_flight: endpoint.active.load(Ordering::Relaxed),
                connections: endpoint.open(),
                requests: endpoint.requests.load(Ordering::Relaxed),
                faults: endpoint.record.faults.load(Ordering::Relaxed),
                ejections: endpoint.record.ejections.load(Ordering::Relaxed),
            }
        });
        let in_flight = core.counters.in_flight.load(Ordering::Relaxed);
        ObservedUpstream {
            circuit_open: in_flight >= core.settings.limits.requests || core.counters.waiting() > 0,
            name: core.name.to_string(),
            in_flight,
            waiting: core.counters.waiting(),
            retries: core.counters.retries.load(Ordering::Relaxed),
            unaffordable: core.counters.unaffordable.load(Ordering::Relaxed),
            refused: core.counters.refused(),
            targets: targets.collect(),
        }
    }
}
