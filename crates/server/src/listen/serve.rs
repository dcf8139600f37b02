//! One request: received, served in one generation, answered, counted, logged.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Either;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRAILER, UPGRADE};
use http::{HeaderValue, Method, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use policy::engine::{Begun, Served};
use policy::outcome::PANIC;
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
///
/// What it has in hand while it waits is all that its future holds: hyper moves it about, and every connection has one.
pub(super) fn serve<'a>(
    client: &'a Client,
    unread: &Unread,
    request: http::Request<Incoming>,
) -> impl Future<Output = http::Response<Sent>> + use<'a> {
    match begin(client, unread, request) {
        Ok(serving) => Either::Left(serving.answer()),
        Err(answer) => Either::Right(std::future::ready(*answer)),
    }
}

/// A request that a policy answers.
struct Serving<'a> {
    known: Known<'a>,
    begun: Begun,
    in_flight: Box<InFlight>,
    /// The connection, once it has switched protocols.
    switching: Option<Switching>,
}

/// A connection that may switch protocols, and where it is told that it does.
type Switching = (OnUpgrade, Unread);

/// What is known of it while its policy runs.
struct Known<'a> {
    client: &'a Client,
    generation: Arc<Generation>,
    deadline: Deadline,
    id: Arc<str>,
    http2: bool,
    is_head: bool,
    takes_trailers: bool,
}

/// Receives it; an error is the answer to one that no policy sees.
fn begin<'a>(
    client: &'a Client,
    unread: &Unread,
    mut request: http::Request<Incoming>,
) -> Result<Serving<'a>, Box<http::Response<Sent>>> {
    let (node, listener) = (&client.node, &client.listener);
    let http2 = request.version() == Version::HTTP_2;
    let started = node.environment.clock.monotonic_nanos();
    let generation = listener.generation(node);
    let id = node.ids.next();
    let Some(served) = generation.listener(listener.number) else {
        node.metrics.malformed.fetch_add(1, Ordering::Relaxed);
        return Err(Box::new(refusal(NO_LISTENER, &generation)));
    };
    if let Some(answer) = challenge::answer(&generation, request.uri().path()) {
        return Err(Box::new(answer.map(Sent::untold)));
    }
    client.goes_by(&served.settings);
    let (name, limits, counters) = (&served.name, &served.settings.limits, &served.counters);
    let mut in_flight = InFlight::begin((node, listener), &generation, (name, counters), id, started);
    let deadline = Deadline::after(limits.request_timeout);
    let switching = request.headers().contains_key(UPGRADE).then(|| (hyper::upgrade::on(&mut request), unread.clone()));
    let trusted = &generation.settings.node.trusted_proxies;
    let (caller, local) = (&client.caller, &listener.bound);
    let arrival = Arrival { caller, local, limits, listener: name, id, trusted, unread, counters };
    let mut received = match receive(request, arrival) {
        Ok(received) => received,
        Err(refused) => return Err(Box::new(refuse(node, &generation, *in_flight, refused))),
    };
    in_flight.received(&mut received);
    let id = received.id.clone();
    let is_head = received.method == Method::HEAD;
    let takes_trailers = http2 || hop::takes_trailers(&received.headers);
    store::guard::begin_request();
    let begun = generation.program.begin(&node.environment, received);
    let known = Known { client, generation, deadline, id, http2, is_head, takes_trailers };
    Ok(Serving { known, begun, in_flight, switching })
}

impl<'a> Serving<'a> {
    fn answer(self) -> impl Future<Output = http::Response<Sent>> + use<'a> {
        let Serving { known, begun, in_flight, switching } = self;
        async move {
            let served = {
                let running = AssertUnwindSafe(known.generation.program.run(begun)).catch_unwind();
                known.deadline.keep(pin!(running)).await
            };
            match known.answered(served, switching, in_flight) {
                Told::Now(answer) => answer,
                Told::Held(answer, in_flight, since) => {
                    let took = known.client.node.environment.clock.monotonic_nanos().saturating_sub(since);
                    hold(took).await;
                    answer.map(|body| in_flight.sent(body))
                }
            }
        }
    }
}

/// An answer, and when it goes.
enum Told {
    Now(http::Response<Sent>),
    /// It is held: its time is to tell nothing. The time is when that began, by the monotonic clock.
    Held(http::Response<Body>, Box<InFlight>, u64),
}

impl Known<'_> {
    /// Makes the answer of what the policy came to; none: it took too long; an error: it panicked.
    fn answered(
        &self,
        served: Option<std::thread::Result<Served>>,
        switching: Option<Switching>,
        mut in_flight: Box<InFlight>,
    ) -> Told {
        let Known { client, generation, deadline, id, http2, is_head, takes_trailers } = self;
        let (node, listener) = (&client.node, &client.listener);
        let Some(served) = served else {
            node.metrics.timed_out.fetch_add(1, Ordering::Relaxed);
            (*in_flight).failed(TOO_LONG, "timed out");
            return Told::Now(refusal(TOO_LONG, generation));
        };
        let Ok(mut served) = served else {
            panicked(node, id, "");
            (*in_flight).failed(PANICKED, "panicked");
            return Told::Now(refusal(PANICKED, generation));
        };
        if served.decision.refused() == Some(PANIC) {
            let (_, place) = generation.program.explain(&served.decision).refused.unwrap_or_default();
            panicked(node, id, &place);
        }
        in_flight.answered(&mut served);
        let status = served.response.status;
        if let Some(upgraded) = served.response.upgraded.take().filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) {
            in_flight.takes_along(served.company);
            let (counts, until) = ((listener.connections.open(), client.counted.clone()), served.response.until);
            let not_joined = match switching {
                Some((switching, unread)) => {
                    unread.switches();
                    upgrade::join(node, counts, switching, &upgraded, until, in_flight)
                }
                None => Some(in_flight),
            };
            if let Some(in_flight) = not_joined {
                (*in_flight).failed(PANICKED, "panicked");
                return Told::Now(refusal(PANICKED, generation));
            }
            let mut answer = answer(served.response, false, generation);
            upgrade::announce(answer.headers_mut(), &upgraded.protocol);
            return Told::Now(answer.map(Sent::untold));
        }
        if let Some(end) = served.response.until {
            served.response.body = Deadline::at(instant(node, end), "`max_stream` is over").end(served.response.body);
        }
        let mut answer = answer(served.response, *is_head, generation);
        if *is_head || !takes_trailers || answer.body().size_hint().exact().is_some() {
            // None will come, or nobody would take them.
            answer.headers_mut().remove(TRAILER);
        }
        // Over HTTP/2 the connection says it itself (GOAWAY).
        if !http2 && (listener.has_gone() || node.draining() || client.word.is_given()) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let answer = answer.map(|body| deadline.end(body));
        match served.held_since {
            Some(since) => Told::Held(answer, in_flight, since),
            None => Told::Now(answer.map(|body| in_flight.sent(body))),
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

/// Counts and tells of a panic. `place`: the filter; it is not known of what panicked elsewhere.
fn panicked(node: &Node, id: &str, place: &str) {
    node.metrics.panics.fetch_add(1, Ordering::Relaxed);
    tracing::error!(id, place, "a request panicked: this is a defect of the gateway, and the request was answered 500");
}

/// The answer to a request that no policy sees.
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
