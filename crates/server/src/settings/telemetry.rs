//! `[telemetry]`: traces and metrics, sent to a collector by OTLP.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};
use policy::exchange::TraceContext;
use policy::reader::{Keys, did_you_mean};
use policy::settings::{FromOutside, Spanned};
use store::oauth::Secret;

use super::Within;
use crate::upstream::UpstreamSettings;

/// `[telemetry]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TelemetrySettings {
    /// The upstream that is the collector.
    pub(crate) upstream: String,
    /// Sent with every export.
    pub(crate) headers: Vec<(HeaderName, Secret)>,
    /// What is said of the node, beside what it says itself.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Traces; none where nothing is kept.
    pub(crate) traces: Option<Traces>,
    /// How often metrics are sent; never where it is none.
    pub(crate) metrics_every: Option<Duration>,
    /// How long the collector may take.
    pub(crate) timeout: Duration,
}

/// Which requests leave spans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Traces {
    /// Of traces that begin here, the share that is kept, 0 to 1. What a trusted proxy decided is kept to.
    pub(crate) sample: f64,
    /// Whether requests that were answered 5xx leave a span whatever was decided.
    pub(crate) errors: bool,
}

impl Traces {
    /// Whether spans of this trace are kept: as its parent says, else by the trace's number, so that all who see it decide alike.
    pub(crate) fn keeps(&self, trace: &TraceContext) -> bool {
        if trace.parent_id.is_some() {
            return trace.sampled;
        }
        let [.., a, b, c, d, e, f, g] = trace.trace_id;
        // Of the 56 bits that are random by W3C Trace Context, level 2, those that a float holds.
        let number = u64::from_be_bytes([0, a, b, c, d, e, f, g]) >> 3;
        (number as f64) < self.sample * (1_u64 << 53) as f64
    }
}

pub(super) fn read(
    within: Within<'_>,
    upstreams: &BTreeMap<String, Option<UpstreamSettings>>,
    diagnostics: &mut Diagnostics,
) -> Option<TelemetrySettings> {
    let mut keys = Keys::new(within.file, within.table);
    let upstream = keys.required_text("upstream").map(|name| (name.span, name.value.to_owned()));
    if let Some((span, name)) = &upstream
        && !upstreams.contains_key(name)
    {
        let problem = Problem::error(codes::UNKNOWN_UPSTREAM, format!("there is no upstream `{name}`"));
        let help = match did_you_mean(name, upstreams.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("declare `[upstream.{name}]`, the collector: its OTLP over HTTP listens on port 4318"),
        };
        keys.push(problem.with_help(help).at(within.place(*span)));
    }
    let headers = headers(&mut keys, within);
    let attributes = keys.deserialize::<BTreeMap<String, FromOutside>>("attributes", within.outside);
    let attributes = attributes.unwrap_or_default().into_iter().map(|(name, value)| (name, value.0)).collect();
    let sample = keys.deserialize::<Spanned<f64>>("sample", within.outside);
    if let Some(sample) = &sample
        && !(0.0..=1.0).contains(&sample.value)
    {
        let problem = Problem::error(codes::BAD_VALUE, "`sample` is a share");
        keys.push(problem.with_help("from 0, none, to 1, all: 0.05").at(within.place(sample.span)));
    }
    let sample = sample.map_or(1.0, |sample| sample.value);
    let errors = keys.bool("errors").is_none_or(|errors| errors.value);
    let bounded = |keys: &mut Keys<'_>, name: &'static str, default: u64, most: u64| {
        let Some(given) = keys.duration(name) else { return Duration::from_secs(default) };
        if !(1..=most).contains(&given.value.0.as_secs()) {
            let problem = Problem::error(codes::BAD_VALUE, format!("`{name}` is out of its bounds"));
            keys.push(problem.with_help(format!("from 1s to {most}s")).at(within.place(given.span)));
        }
        given.value.0
    };
    let sends_metrics = keys.bool("metrics").is_none_or(|metrics| metrics.value);
    let every = bounded(&mut keys, "metrics_every", 60, 3_600);
    let timeout = bounded(&mut keys, "timeout", 10, 60);
    super::finish(keys, diagnostics);
    Some(TelemetrySettings {
        upstream: upstream?.1,
        headers,
        attributes,
        traces: (sample > 0.0 || errors).then_some(Traces { sample, errors }),
        metrics_every: sends_metrics.then_some(every),
        timeout,
    })
}

fn headers(keys: &mut Keys<'_>, within: Within<'_>) -> Vec<(HeaderName, Secret)> {
    let span = keys.node("headers").map(|node| node.span);
    let given = keys.deserialize::<BTreeMap<String, Secret>>("headers", within.outside).unwrap_or_default();
    let mut headers = Vec::new();
    for (name, value) in given {
        match (HeaderName::try_from(&name), HeaderValue::from_str(value.expose())) {
            (Ok(name), Ok(_)) => headers.push((name, value)),
            _ => {
                let problem = Problem::error(codes::BAD_VALUE, format!("`{name}` cannot be sent as a header"));
                let help = "a name of letters, digits and `-`, and a value of one line";
                keys.push(problem.with_help(help).at(within.place(span.unwrap_or_default())));
            }
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_traces_is_kept_and_a_parent_decides() {
        let trace = |number: u64, parent: Option<bool>| {
            let trace_id = (u128::from(number) << 1).to_be_bytes();
            let parent_id = parent.map(|_| [1; 8]);
            TraceContext { trace_id, span_id: [1; 8], parent_id, sampled: parent.unwrap_or(true) }
        };
        let half = Traces { sample: 0.5, errors: false };
        let many = (0..10_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let kept = many.filter(|number| half.keeps(&trace(*number, None))).count();
        assert!((4_500..5_500).contains(&kept), "{kept}");
        for sample in [0.0, 1.0] {
            let all = Traces { sample, errors: false };
            assert_eq!(all.keeps(&trace(u64::MAX >> 1, None)), sample > 0.5);
            assert!(all.keeps(&trace(5, Some(true))) && !all.keeps(&trace(5, Some(false))));
        }
    }
}
