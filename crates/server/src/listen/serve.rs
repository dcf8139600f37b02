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

use super::body::Unread;
use super::challenge;
use super::client::Client;
use super::deadline::Deadline;
use super::held::hold;
use super::in_flight::{InFlight, Sent};
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

/// Answers one request. It lives in the generation that is loaded here, until there is an answer.
pub(super) async fn serve(
    client: &Client,
    unread: &Unread,
    mut request: http::Request<Incoming>,
) -> http::Response<Sent> {
    let (node, listener) = (&client.node, &client.listener);
    let http2 = request.version() == Version::HTTP_2;
    let started = node.environment.clock.monotonic_nanos();
    let generation = listener.generation(node);
    let id = node.ids.next();
    let Some(served) = generation.listener(listener.number) else {
        node.metrics.malformed.fetch_add(1, Ordering::Relaxed);
        return refusal(NO_LISTENER, &generation);
    };
    if let Some(answer) = challenge::answer(&generation, request.uri().path()) {
        return answer.map(Sent::untold);
    }
    let (name, limits, counters) = (&served.name, &served.settings.limits, &served.counters);
    let mut in_flight = InFlight::begin((node, listener), &generation, (name, counters), id, started);
    let deadline = Deadline::after(limits.request_timeout);
    let switching = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let trusted = &generation.settings.node.trusted_proxies;
    let (caller, local) = (&client.caller, &listener.bound);
    let arrival = Arrival { caller, local, limits, listener: name, id, trusted, unread, counters };
    let mut received = match receive(request, arrival) {
        Ok(received) => received,
        Err(refused) => return refuse(node, &generation, in_flight, refused),
    };
    in_flight.received(&mut received);
    let id = received.id.clone();
    let is_head = received.method == Method::HEAD;
    let takes_trailers = http2 || hop::takes_trailers(&received.headers);
    store::guard::begin_request();
    let serving = generation.program.serve(&node.environment, received);
    let served = deadline.keep(AssertUnwindSafe(serving).catch_unwind()).await;
    let Some(served) = served else { return refuse(node, &generation, in_flight, TOO_LONG) };
    let Ok(mut served) = served else {
        node.metrics.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            id = &*id,
            "a request panicked: this is a defect of the gateway, and the request was answered 500"
        );
        return refuse(node, &generation, in_flight, PANICKED);
    };
    in_flight.answered(&mut served);
    let status = served.response.status;
    if let Some(upgraded) = served.response.upgraded.take().filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) {
        in_flight.takes_along(served.company);
        let (counts, until) = ((listener.connections.open(), client.counted.clone()), served.response.until);
        let not_joined = match switching {
            Some(switching) => upgrade::join(node, counts, switching, &upgraded, until, in_flight),
            None => Some(in_flight),
        };
        if let Some(in_flight) = not_joined {
            return refuse(node, &generation, in_flight, PANICKED);
        }
        let mut answer = answer(served.response, false, &generation);
        upgrade::announce(answer.headers_mut(), &upgraded.protocol);
        return answer.map(Sent::untold);
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
    answer.map(|body| in_flight.sent(body))
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

fn refuse(node: &Node, generation: &Arc<Generation>, in_flight: InFlight, refused: Refused) -> http::Response<Sent> {
    node.metrics.malformed.fetch_add(1, Ordering::Relaxed);
    in_flight.refused(refused);
    refusal(refused, generation)
}

fn refusal(refused: Refused, generation: &Generation) -> http::Response<Sent> {
    let mut answer = answer(refused.response(), false, generation);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer.map(Sent::untold)
}
