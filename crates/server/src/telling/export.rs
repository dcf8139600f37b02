//! Sends spans and metrics to the collector, beside requests: in batches, by the upstream that the settings name, over OTLP's HTTP with
//! protobuf. What it does not take for a while is tried again; what cannot wait any longer is lost, and counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use policy::Body;
use policy::ports::Upstream;
use prost::Message;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::otlp::{self, Period};
use super::spans::{Finished, Waiting};
use crate::metrics::Observed;
use crate::node::Node;
use crate::settings::TelemetrySettings;

/// As many requests are sent at once.
const BATCH: usize = 512;
/// How long they are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// How often an export is tried, and how long it rests after the first try; then twice that, and so on.
const TRIES: u32 = 4;
/// See [`TRIES`].
const REST: Duration = Duration::from_millis(500);
/// More than a collector has to say.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Why an export did not get there.
enum Failed {
    /// Later it may.
    ForNow(String),
    /// The collector does not want it.
    ForGood(String),
}

/// Exports for as long as the node lives, and what is left when it ends.
pub(crate) async fn export_always(node: Arc<Node>, mut waiting: Waiting) {
    let started = node.environment.clock.unix_millis() * 1_000_000;
    let mut batch: Vec<Finished> = Vec::new();
    let mut gathered = interval(GATHER);
    gathered.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut metrics_due = Instant::now();
    let (mut spans_told, mut metrics_told) = (false, false);
    loop {
        let due = tokio::select! {
            count = waiting.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
                batch.len() >= BATCH || node.draining()
            }
            _ = gathered.tick() => true,
        };
        if !due {
            continue;
        }
        if !batch.is_empty() {
            let count = batch.len();
            let sent = spans(&node, std::mem::take(&mut batch)).await;
            node.spans.done(count);
            tell(&mut spans_told, "spans", sent);
        }
        let every = node.generation.load().settings.node.telemetry.as_ref().and_then(|t| t.metrics_every);
        match every {
            Some(every) if Instant::now() >= metrics_due || node.draining() => {
                metrics_due = Instant::now() + every;
                let sent = metrics(&node, started).await;
                tell(&mut metrics_told, "metrics", sent);
            }
            _ => {}
        }
    }
}

/// Once, until it works again.
fn tell(told: &mut bool, what: &str, sent: Result<(), String>) {
    match sent {
        Ok(()) if std::mem::take(told) => tracing::info!("the collector takes {what} again"),
        Ok(()) => {}
        Err(why) if !std::mem::replace(told, true) => tracing::warn!("the collector does not take {what}: {why}"),
        Err(_) => {}
    }
}

async fn spans(node: &Node, batch: Vec<Finished>) -> Result<(), String> {
    let generation = node.generation.load_full();
    let lost = |count: u64| _ = node.metrics.spans_lost.fetch_add(count, Ordering::Relaxed);
    let Some(settings) = &generation.settings.node.telemetry else {
        lost(batch.len() as u64);
        return Ok(());
    };
    let resource = otlp::resource(settings, &generation.settings.node.name);
    let (request, count) = otlp::traces(&batch, resource);
    match export(node, settings, "/v1/traces", request.encode_to_vec().into()).await {
        Ok(answer) => {
            let partial = ExportTraceServiceResponse::decode(answer).ok().and_then(|answer| answer.partial_success);
            let rejected = partial.as_ref().map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0));
            lost(rejected);
            node.metrics.spans_sent.fetch_add(count.saturating_sub(rejected), Ordering::Relaxed);
            Ok(())
        }
        Err(why) => {
            lost(count);
            Err(why)
        }
    }
}

async fn metrics(node: &Node, started: u64) -> Result<(), String> {
    let generation = node.generation.load_full();
    let Some(settings) = &generation.settings.node.telemetry else { return Ok(()) };
    let period = Period { started, now: node.environment.clock.unix_millis() * 1_000_000 };
    let resource = otlp::resource(settings, &generation.settings.node.name);
    let request = otlp::metrics(&node.metrics, &node.connections(), generation.number, resource, period);
    export(node, settings, "/v1/metrics", request.encode_to_vec().into()).await.map(|_| ())
}

/// Sends it, and tries again while that may help.
async fn export(node: &Node, settings: &TelemetrySettings, path: &str, message: Bytes) -> Result<Bytes, String> {
    let mut rest = REST;
    for last in (0..TRIES).map(|tried| tried + 1 == TRIES || node.draining()) {
        match tokio::time::timeout(settings.timeout, send(node, settings, path, message.clone())).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(Failed::ForNow(_))) | Err(_) if !last => {}
            Ok(Err(Failed::ForNow(why) | Failed::ForGood(why))) => return failed(node, why),
            Err(_) => return failed(node, String::from("it does not answer in time")),
        }
        tokio::time::sleep(rest).await;
        rest *= 2;
    }
    failed(node, String::from("it does not answer"))
}

fn failed(node: &Node, why: String) -> Result<Bytes, String> {
    node.metrics.exports_failed.fetch_add(1, Ordering::Relaxed);
    Err(why)
}

async fn send(node: &Node, settings: &TelemetrySettings, path: &str, message: Bytes) -> Result<Bytes, Failed> {
    let upstream = node.generation.load().upstreams.get(&settings.upstream).cloned();
    let upstream = upstream.ok_or_else(|| Failed::ForGood(format!("there is no upstream `{}`", settings.upstream)))?;
    let mut request = Request::new(Body::Full(message));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = path.parse().map_err(|_| Failed::ForGood(String::from("the path is none")))?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &settings.headers {
        let mut value =
            HeaderValue::from_str(value.expose()).map_err(|_| Failed::ForGood(format!("`{name}` is no header")))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let answer = upstream.send(request).await.map_err(|why| Failed::ForNow(why.to_string()))?;
    match answer.status() {
        status if status.is_success() => {
            let body = answer.into_body().collect(LARGEST_ANSWER).await;
            Ok(body.unwrap_or_default())
        }
        // The specification's own list of what may be tried again.
        status @ (StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT) => Err(Failed::ForNow(format!("it answers {status}"))),
        status => Err(Failed::ForGood(format!("it answers {status}"))),
    }
}
