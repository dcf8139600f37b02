//! Spans and metrics as OTLP's messages, by OpenTelemetry's semantic conventions for HTTP servers.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status};
use policy::Value;

use super::spans::Finished;
use crate::metrics::{Metrics, OUTCOMES};
use crate::settings::TelemetrySettings;

/// A step that took less leaves no span of its own, unless it ended badly: it waited for nothing.
const WAITED: u64 = 1_000_000;

/// Attributes of one value are cut to this many bytes.
const LONGEST: usize = 1_024;

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    let mut value = value.into();
    if value.len() > LONGEST {
        let mut end = LONGEST;
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        value.truncate(end);
    }
    attribute(key, any_value::Value::StringValue(value))
}

fn number(key: &str, value: impl TryInto<i64>) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value.try_into().unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn any(value: &Value) -> any_value::Value {
    match value {
        Value::Bool(value) => any_value::Value::BoolValue(*value),
        Value::Int(value) => any_value::Value::IntValue(*value),
        Value::Float(value) => any_value::Value::DoubleValue(*value),
        Value::List(items) => {
            let values = items.iter().map(|item| AnyValue { value: Some(any(item)) }).collect();
            any_value::Value::ArrayValue(ArrayValue { values })
        }
        Value::Text(_) | Value::Map(_) => any_value::Value::StringValue(value.to_string()),
    }
}

/// The node.
pub(super) fn resource(settings: &TelemetrySettings, node: &str) -> Resource {
    let own =
        [("service.name", "portcullis"), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", node)];
    let own = own.into_iter().filter(|(key, _)| !settings.attributes.contains_key(*key));
    let mut attributes: Vec<KeyValue> = own.map(|(key, value)| text(key, value)).collect();
    attributes.extend(settings.attributes.iter().map(|(key, value)| text(key, value.as_str())));
    Resource { attributes, ..Resource::default() }
}

fn scope() -> Option<InstrumentationScope> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Some(InstrumentationScope { name: String::from("portcullis"), version, ..InstrumentationScope::default() })
}

/// The spans of these requests, and how many they are.
pub(super) fn traces(finished: &[Finished], resource: Resource) -> (ExportTraceServiceRequest, u64) {
    let spans: Vec<Span> = finished.iter().flat_map(spans).collect();
    let count = spans.len() as u64;
    let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    (ExportTraceServiceRequest { resource_spans }, count)
}

/// The request's own span, and those of steps that waited or went wrong.
fn spans(finished: &Finished) -> Vec<Span> {
    let Some(trace) = &finished.trace else { return Vec::new() };
    let began = finished.began * 1_000_000;
    let error = finished.status >= 500 || !finished.whole;
    let name = match &*finished.route {
        "" => finished.method.to_string(),
        route => format!("{} {}", finished.method, path_of(route)),
    };
    let code = if error { status::StatusCode::Error } else { status::StatusCode::Unset };
    let mut spans = vec![Span {
        trace_id: trace.trace_id.to_vec(),
        span_id: trace.span_id.to_vec(),
        parent_span_id: trace.parent_id.map(|parent| parent.to_vec()).unwrap_or_default(),
        flags: flags(trace.sampled),
        name,
        kind: span::SpanKind::Server as i32,
        start_time_unix_nano: began,
        end_time_unix_nano: began + finished.took,
        attributes: attributes(finished),
        status: Some(Status { code: code as i32, ..Status::default() }),
        ..Span::default()
    }];
    // Steps run one after the other, and flow words around them: what each took says when it began.
    let mut ends: Vec<u64> = Vec::new();
    let mut at = 0;
    let mut own = u64::from_be_bytes(trace.span_id);
    for step in &finished.steps {
        let depth = usize::from(step.depth);
        // Flow words that are over ended when the last step in them did, or later.
        while ends.len() > depth {
            at = ends.pop().map_or(at, |end| end.max(at));
        }
        let start = at;
        ends.push(start + step.nanos);
        let bad = matches!(step.outcome, "failure" | "abort" | "unfinished");
        if step.outcome == "skipped" || step.nanos < WAITED && !bad {
            continue;
        }
        own = own.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1).max(1);
        let mut attributes =
            vec![text("portcullis.place", step.place.as_str()), text("portcullis.outcome", step.outcome)];
        attributes.extend(step.reason.as_ref().map(|reason| text("portcullis.reason", reason.as_str())));
        let code = if step.outcome == "abort" { status::StatusCode::Error } else { status::StatusCode::Unset };
        spans.push(Span {
            trace_id: trace.trace_id.to_vec(),
            span_id: own.to_be_bytes().to_vec(),
            parent_span_id: trace.span_id.to_vec(),
            flags: flags(trace.sampled),
            name: step.filter.clone(),
            kind: span::SpanKind::Internal as i32,
            start_time_unix_nano: began + start,
            end_time_unix_nano: began + start + step.nanos,
            attributes,
            status: Some(Status { code: code as i32, ..Status::default() }),
            ..Span::default()
        });
    }
    spans
}

/// What is sent was sampled, or is kept since it went wrong: bit 0 as W3C Trace Context has it.
fn flags(sampled: bool) -> u32 {
    u32::from(sampled)
}

/// A route without its methods.
fn path_of(route: &str) -> &str {
    route.find('/').map_or(route, |at| &route[at..])
}

fn attributes(finished: &Finished) -> Vec<KeyValue> {
    let method = finished.method.as_str();
    let known =
        matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH");
    let mut attributes = vec![
        text("http.request.method", if known { method } else { "_OTHER" }),
        text("url.scheme", finished.scheme),
        text("url.path", finished.path.as_str()),
        number("http.response.status_code", finished.status),
        text("client.address", finished.client.to_string()),
        text("network.protocol.name", "http"),
        text("network.protocol.version", if finished.version == http::Version::HTTP_2 { "2" } else { "1.1" }),
        number("http.response.body.size", finished.bytes),
        text("portcullis.request_id", &*finished.id),
        text("portcullis.outcome", finished.outcome),
    ];
    if !known {
        attributes.push(text("http.request.method_original", method));
    }
    let (host, port) = match finished.host.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (host, port.parse().ok()),
        _ => (finished.host.as_str(), None::<u16>),
    };
    if !host.is_empty() {
        attributes.push(text("server.address", host));
    }
    attributes.extend(port.map(|port| number("server.port", port)));
    if !finished.route.is_empty() {
        attributes.push(text("http.route", path_of(&finished.route)));
    }
    if !finished.policy.is_empty() {
        attributes.push(text("portcullis.policy", &*finished.policy));
    }
    attributes.extend(finished.user_agent.as_ref().map(|agent| text("user_agent.original", agent.as_str())));
    attributes.extend(finished.reason.as_ref().map(|reason| text("portcullis.reason", reason.as_str())));
    attributes.extend(finished.place.as_ref().map(|place| text("portcullis.place", place.as_str())));
    let error = match (finished.status, finished.whole) {
        (500.., _) => Some(finished.reason.clone().unwrap_or_else(|| finished.status.to_string())),
        (_, false) => Some(String::from("broken off")),
        _ => None,
    };
    attributes.extend(error.map(|error| text("error.type", error)));
    attributes.extend(finished.marks.iter().map(|(name, value)| match any(value) {
        any_value::Value::StringValue(value) => text(name, value),
        other => attribute(name, other),
    }));
    attributes
}

/// From when to when, Unix nanoseconds.
#[derive(Clone, Copy)]
pub(super) struct Period {
    pub(super) started: u64,
    pub(super) now: u64,
}

/// The node's counters: sums since its start.
pub(super) fn metrics(
    metrics: &Metrics,
    connections: &[(String, u64)],
    generation: u64,
    resource: Resource,
    period: Period,
) -> ExportMetricsServiceRequest {
    let routes = metrics.routes();
    let labels = |policy: &Arc<str>, route: &Arc<str>| {
        vec![text("portcullis.policy", &**policy), text("http.route", path_of(route))]
    };
    let mut requests = Vec::new();
    let mut durations = Vec::new();
    let mut sent = Vec::new();
    for (policy, route, sums) in routes.iter().filter(|(.., sums)| sums.requests() > 0) {
        let mut tell = |outcome: usize, reason: Option<&str>, count: u64| {
            let mut attributes = labels(policy, route);
            attributes.push(text("portcullis.outcome", OUTCOMES[outcome]));
            attributes.extend(reason.map(|reason| text("portcullis.reason", reason)));
            requests.push(point(attributes, count, period));
        };
        for (outcome, count) in sums.outcomes.iter().enumerate() {
            let with_reason: u64 = sums.refused.iter().filter(|(_, of, _)| *of == outcome).map(|(.., n)| n).sum();
            match count.saturating_sub(with_reason) {
                0 => {}
                without => tell(outcome, None, without),
            }
        }
        sums.refused.iter().for_each(|(reason, outcome, count)| tell(*outcome, Some(reason), *count));
        let (seconds, buckets) = sums.durations();
        durations.push(histogram(labels(policy, route), seconds, sums.requests(), &buckets, period));
        sent.push(point(labels(policy, route), sums.sent, period));
    }
    let listeners = metrics.listeners();
    let of_listener = |at: usize| {
        let point_of =
            |(name, sums): &(Arc<str>, [u64; 3])| point(vec![text("portcullis.listener", &**name)], sums[at], period);
        listeners.iter().map(point_of).collect::<Vec<_>>()
    };
    let open =
        connections.iter().map(|(name, count)| point(vec![text("portcullis.listener", name.as_str())], *count, period));
    let mut all = vec![
        sum("portcullis.requests", "Answered requests", "{request}", requests),
        histograms("portcullis.request.duration", "From a request's head to its answer's", "s", durations),
        sum("portcullis.response.body.size", "Bytes of answers' bodies", "By", sent),
        sum("portcullis.received", "Bytes of requests' bodies", "By", of_listener(1)),
        gauge(
            "http.server.active_requests",
            "Requests whose answer is not sent to its end",
            "{request}",
            of_listener(0),
        ),
        gauge("portcullis.connections", "Open connections", "{connection}", open.collect()),
        gauge("portcullis.generation", "The generation that serves", "1", vec![point(Vec::new(), generation, period)]),
    ];
    for meter in metrics.meters.all() {
        let shape = &meter.shape;
        let attributes =
            |values: &[Box<str>]| shape.labels.iter().zip(values).map(|(name, value)| text(name, &**value)).collect();
        all.push(match &shape.bounds {
            None => {
                let points = meter.read().into_iter().map(|(values, sum, ..)| NumberDataPoint {
                    value: Some(number_data_point::Value::AsDouble(sum)),
                    ..point(attributes(&values), 0, period)
                });
                sum(&shape.name, &shape.help, "1", points.collect())
            }
            Some(bounds) => {
                let bounds = || bounds.iter().copied().chain([f64::MAX]);
                let points = meter.read().into_iter().map(|(values, sum, count, buckets)| {
                    let buckets: Vec<_> = bounds().zip(buckets).collect();
                    histogram(attributes(&values), sum, count, &buckets, period)
                });
                histograms(&shape.name, &shape.help, "1", points.collect())
            }
        });
    }
    let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics: all, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn point(attributes: Vec<KeyValue>, count: u64, period: Period) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: period.started,
        time_unix_nano: period.now,
        value: Some(number_data_point::Value::AsInt(i64::from_ne_bytes(count.to_ne_bytes()))),
        ..NumberDataPoint::default()
    }
}

fn histogram(
    attributes: Vec<KeyValue>,
    sum: f64,
    count: u64,
    buckets: &[(f64, u64)],
    period: Period,
) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes,
        start_time_unix_nano: period.started,
        time_unix_nano: period.now,
        count,
        sum: Some(sum),
        // The last bucket is what is beyond the last bound.
        explicit_bounds: buckets.iter().map(|(bound, _)| *bound).take(buckets.len().saturating_sub(1)).collect(),
        bucket_counts: buckets.iter().map(|(_, count)| *count).collect(),
        ..HistogramDataPoint::default()
    }
}

fn named(name: &str, description: &str, unit: &str, data: metric::Data) -> Metric {
    let [name, description, unit] = [name, description, unit].map(str::to_owned);
    Metric { name, description, unit, data: Some(data), ..Metric::default() }
}

fn sum(name: &str, description: &str, unit: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    named(name, description, unit, metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true }))
}

fn gauge(name: &str, description: &str, unit: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    named(name, description, unit, metric::Data::Gauge(Gauge { data_points }))
}

fn histograms(name: &str, description: &str, unit: &str, data_points: Vec<HistogramDataPoint>) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative as i32;
    named(name, description, unit, metric::Data::Histogram(Histogram { data_points, aggregation_temporality }))
}
