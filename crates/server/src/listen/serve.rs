//! One request: received, served in one generation, answered, counted, logged.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRAILER, UPGRADE};
use http::{HeaderValue, Method, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use policy::{Body, Response};
use tokio::time::Instant;

use super::access::{self, Ended, Line};
use super::body::Unread;
use super::client::Client;
use super::deadline::Deadline;
use super::held::hold;
use super::listeners::Listener;
use super::request::{Arrival, Refused, receive};
use super::upgrade;
use crate::hop;
use crate::load::Generation;
use crate::node::Node;

/// The header that names the generation, where `[debug]` asks for it.
const GENERATION: HeaderName = HeaderName::from_static("portcullis-generation");

const NO_LISTENER: Refused =
    Refused { status: StatusCode::SERVICE_UNAVAILABLE, detail: "this address is no longer served" };
const TOO_LONG: Refused = Refused { status: StatusCode::GATEWAY_TIMEOUT, detail: "the request took too long" };
const PANICKED: Refused =
    Refused { status: StatusCode::INTERNAL_SERVER_ERROR, detail: "the request could not be served" };

/// Answers one request. It lives in the generation that is loaded here, to its end.
pub(super) async fn serve(
    client: &Client,
    unread: &Unread,
    mut request: http::Request<Incoming>,
) -> http::Response<Body> {
    let (node, listener) = (&client.node, &*client.listener);
    let http2 = request.version() == Version::HTTP_2;
    let started = node.environment.clock.monotonic_nanos();
    let generation = listener.generation(node);
    let id = node.ids.next();
    let Some(served) = generation.listener(listener.number) else {
        return refuse(node, &generation, NO_LISTENER, &id.text(), "");
    };
    let (name, limits) = (&served.name, &served.settings.limits);
    let deadline = Deadline::after(limits.request_timeout);
    let switching = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let trusted = &generation.settings.node.trusted_proxies;
    let arrival =
        Arrival { caller: &client.caller, local: &listener.bound, limits, listener: name, id, trusted, unread };
    let received = match receive(request, arrival) {
        Ok(received) => received,
        Err(refused) => return refuse(node, &generation, refused, &id.text(), name),
    };
    let id = received.id.clone();
    let line = access::wanted(&generation).then(|| (received.method.clone(), received.path.clone()));
    let is_head = received.method == Method::HEAD;
    let takes_trailers = http2 || hop::takes_trailers(&received.headers);
    let unanswered =
        Unanswered { node, listener, generation: &generation, name, id: &id, started, line, answered: false };
    store::guard::begin_request();
    let serving = generation.program.serve(&node.environment, received);
    let served = deadline.keep(AssertUnwindSafe(serving).catch_unwind()).await;
    let line = unanswered.answered();
    let Some(served) = served else { return refuse(node, &generation, TOO_LONG, &id, name) };
    let Ok(mut served) = served else {
        node.metrics.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            id = &*id,
            "a request panicked: this is a defect of the gateway, and the request was answered 500"
        );
        return refuse(node, &generation, PANICKED, &id, name);
    };
    let nanos = node.environment.clock.monotonic_nanos().saturating_sub(started);
    let status = served.response.status;
    let policy =
        served.decision.policy().and_then(|index| generation.policies.get(index)).unwrap_or(&generation.no_policy);
    policy.metrics.answered(status, nanos);
    if let Some(reason) = served.decision.refused() {
        node.metrics.refusal(&policy.name, reason.as_str());
    }
    if let Some(upgraded) = served.response.upgraded.take().filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) {
        let (name, policy, generation_number) = (name.clone(), policy.name.clone(), generation.number);
        let told =
            upgrade::Told { id: id.clone(), line, policy, listener: name, generation: generation_number, started };
        let (counts, until) = ((listener.connections.open(), client.counted.clone()), served.response.until);
        if !switching.is_some_and(|client| upgrade::join(node, counts, client, &upgraded, until, told)) {
            return refuse(node, &generation, PANICKED, &id, "");
        }
        let mut answer = answer(served.response, false, &generation);
        upgrade::announce(answer.headers_mut(), &upgraded.protocol);
        return answer;
    }
    if let Some((method, path)) = line {
        let line = Line { id: &id, method: &method, path: &path, listener: name, ended: Ended::Status(status), nanos };
        access::answered(&line, &policy.name, &generation, &served.decision);
    }
    let held_since = served.held_since;
    if let Some(end) = served.response.until {
        served.response.body = Deadline::at(instant(node, end), "`max_stream` is over").end(served.response.body);
    }
    let mut answer = answer(served.response, is_head, &generation);
    if is_head || !takes_trailers || answer.body().size_hint().exact().is_some() {
        // None will come, or nobody would take them.
        answer.headers_mut().remove(TRAILER);
    }
    // Over HTTP/2 the connection says it itself (GOAWAY).
    if !http2 && (listener.has_gone() || node.draining()) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let answer = answer.map(|body| deadline.end(body));
    if let Some(since) = held_since {
        let took = node.environment.clock.monotonic_nanos().saturating_sub(since);
        hold(took).await;
    }
    answer
}

/// A request while it is served. hyper drops it where the client goes away, and nothing else would tell of it then.
struct Unanswered<'a> {
    node: &'a Node,
    listener: &'a Listener,
    generation: &'a Generation,
    name: &'a str,
    id: &'a str,
    started: u64,
    /// Method and path, where a line is wanted.
    line: Option<(Method, String)>,
    answered: bool,
}

impl Unanswered<'_> {
    /// There is an answer: from here on others tell.
    fn answered(mut self) -> Option<(Method, String)> {
        self.answered = true;
        self.line.take()
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let metrics = &self.node.metrics;
        // A node that ends, or a listener that goes, cuts off what takes too long: then it was not the client.
        let (counter, why) = match self.listener.connections.ended() {
            true => (&metrics.cut_off, "cut off"),
            false => (&metrics.clients_gone, "client gone"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some((method, path)) = &self.line {
            let nanos = self.node.environment.clock.monotonic_nanos().saturating_sub(self.started);
            let ended = Ended::Unanswered(why);
            let line = Line { id: self.id, method, path, listener: self.name, ended, nanos };
            access::unanswered(&line, self.generation.number);
        }
    }
}

/// A time in Unix milliseconds by the clock that tasks wait by.
pub(super) fn instant(node: &Node, unix_millis: u64) -> Instant {
    Instant::now() + Duration::from_millis(unix_millis.saturating_sub(node.environment.clock.unix_millis()))
}

/// The engine's answer for hyper, which writes `Date` and the framing.
fn answer(response: Response, is_head: bool, generation: &Generation) -> http::Response<Body> {
    let Response { status, mut headers, body, .. } = response;
    // The length is the body's, whatever a filter or an upstream wrote. It stays where it tells of the body that is not sent; these
    // have none to tell of (RFC 9110, section 8.6).
    let never_has_one = status.is_informational() || status == StatusCode::NO_CONTENT;
    if never_has_one || !(is_head || status == StatusCode::NOT_MODIFIED) {
        headers.remove(CONTENT_LENGTH);
    }
    if let Some(number) = &generation.header {
        headers.insert(GENERATION, number.clone());
    }
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

fn refuse(
    node: &Node,
    generation: &Arc<Generation>,
    refused: Refused,
    id: &str,
    listener: &str,
) -> http::Response<Body> {
    node.metrics.malformed.fetch_add(1, Ordering::Relaxed);
    if access::wanted(generation) {
        // Nothing of a malformed request is repeated in the log.
        let ended = Ended::Status(refused.status);
        let line = Line { id, method: &Method::default(), path: "", listener, ended, nanos: 0 };
        access::unserved(&line, refused.detail, generation.number);
    }
    let mut answer = answer(refused.response(), false, generation);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
