//! Upstreams and their targets.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::upstream::{ObservedTarget, ObservedUpstream};

type Of<T> = fn(&T) -> u64;

/// What is counted of an upstream, and how it is now.
const UPSTREAM: &[(&str, &str, MetricType, Of<ObservedUpstream>)] = &[
    ("upstream_requests_in_flight", "Requests in flight at the upstream", MetricType::Gauge, |one| {
        one.in_flight.into()
    }),
    ("upstream_requests_waiting", "Requests that wait for a connection", MetricType::Gauge, |one| one.waiting.into()),
    ("upstream_retries", "Requests that were sent once more", MetricType::Counter, |one| one.retries),
    (
        "upstream_retries_over_budget",
        "Requests that would have been sent once more, had the budget allowed it",
        MetricType::Counter,
        |one| one.unaffordable,
    ),
];

/// The same of a target's address.
const TARGET: &[(&str, &str, MetricType, Of<ObservedTarget>)] = &[
    ("target_healthy", "Whether health checks find it well; 1 where it is not asked", MetricType::Gauge, |one| {
        one.healthy.into()
    }),
    ("target_ejected", "Whether it is left out for what it answered", MetricType::Gauge, |one| one.ejected.into()),
    ("target_requests_in_flight", "Requests in flight at it", MetricType::Gauge, |one| one.in_flight.into()),
    ("target_connections", "Open connections to it", MetricType::Gauge, |one| one.connections.into()),
    ("target_requests", "Requests that were sent to it", MetricType::Counter, |one| one.requests),
    ("target_faults", "Requests that it gave no answer to, or one that broke off", MetricType::Counter, |one| {
        one.faults
    }),
    ("target_ejections", "How often it was left out", MetricType::Counter, |one| one.ejections),
];

/// Writes them.
pub(super) fn encode(all: &[ObservedUpstream], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, kind, of) in UPSTREAM {
        let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
        for upstream in all {
            let labels = [("upstream", upstream.name.as_str())];
            one(family.encode_family(&labels)?, *kind, of(upstream))?;
        }
    }
    let help = "Whether a limit of the upstream is reached, so that requests are refused or wait";
    let mut open = encoder.encode_descriptor("upstream_circuit_open", help, None, MetricType::Gauge)?;
    for upstream in all {
        let labels = [("upstream", upstream.name.as_str())];
        one(open.encode_family(&labels)?, MetricType::Gauge, upstream.circuit_open.into())?;
    }
    let help = "Requests that a limit of the upstream refused";
    let mut refused = encoder.encode_descriptor("upstream_refused", help, None, MetricType::Counter)?;
    for upstream in all {
        for (limit, count) in upstream.refused {
            let labels = [("upstream", upstream.name.as_str()), ("limit", limit)];
            one(refused.encode_family(&labels)?, MetricType::Counter, count)?;
        }
    }
    for (name, help, kind, of) in TARGET {
        let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
        for upstream in all {
            for target in &upstream.targets {
                let (url, address) = (target.url.as_str(), target.address.as_str());
                let labels = [("upstream", upstream.name.as_str()), ("target", url), ("address", address)];
                one(family.encode_family(&labels)?, *kind, of(target))?;
            }
        }
    }
    Ok(())
}

fn one(encoder: prometheus_client::encoding::MetricEncoder<'_>, kind: MetricType, value: u64) -> fmt::Result {
    match kind {
        MetricType::Counter => ConstCounter::new(value).encode(encoder),
        _ => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder),
    }
}
