//! The half of `cache` on the way back: keeps what the upstream brings, while it goes on to the client.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::lock::OwnedMutexGuard;
use http::header::{CONTENT_LENGTH, CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, StatusCode};
use http_body::{Body as _, Frame, SizeHint};

use policy::exchange::{AfterRun, BoxError};
use policy::ports::Aside;
use policy::{Abort, Body, Exchange, Reason, Response};

use super::note::Note;
use super::rules;
use super::shelf::{Entry, Key, Shelf};
use crate::http::cache_control::Directives;

const SECOND: u64 = 1_000_000_000;

/// How long nobody waits for responses that are not kept.
const NOT_KEPT: u64 = 10 * SECOND;
/// The same where the upstream is down: who waits for one that fails is not to wait for the next.
const DOWN: u64 = SECOND;

/// What a kept response may be.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The most bytes of a body.
    pub(super) largest: u64,
    /// The most seconds that a response is taken to be fresh that does not say.
    pub(super) heuristic: Option<u64>,
}

/// A request that went on, and what its response is for.
pub(super) struct Keep {
    pub(super) shelf: Arc<Shelf>,
    pub(super) aside: Arc<Aside>,
    pub(super) limits: Limits,
    pub(super) key: Key,
    /// The request as the client sent it.
    pub(super) request: HeaderMap,
    pub(super) asked: Directives,
    /// What is kept for it, stale; the upstream was asked whether it is still good, where that could be asked.
    pub(super) stale: Option<Arc<Entry>>,
    /// Whoever else wants it waits until this goes.
    pub(super) turn: Option<OwnedMutexGuard<()>>,
    /// When it went on.
    pub(super) asked_at: u64,
    /// How many filters had let it pass by then.
    pub(super) authorized: usize,
    pub(super) note: Note,
}

impl AfterRun for Keep {
    /// A 304 for something else: what is kept is not renewed by it, nor does the client have anything by it.
    fn once_more(&mut self, exchange: &Exchange) -> bool {
        let (Some(stale), Some(response)) = (&self.stale, &exchange.response) else { return false };
        let of_no_use = is_answered(stale, response) && !rules::is_about(&stale.headers, &response.headers);
        if of_no_use {
            self.shelf.forget(&self.key, &self.request);
            self.stale = None;
            self.asked_at = exchange.environment().clock.monotonic_nanos();
        }
        of_no_use
    }

    fn responded(self: Box<Self>, exchange: &mut Exchange) {
        let now = exchange.environment().clock.monotonic_nanos();
        let Some(response) = &exchange.response else { return };
        let status = response.status;
        match &self.stale {
            Some(stale) if is_answered(stale, response) && rules::is_about(&stale.headers, &response.headers) => {
                let stale = stale.clone();
                self.still_good(exchange, &stale, now);
            }
            Some(stale) if is_error(status) && self.stands_in(stale, now) => {
                let stale = stale.clone();
                self.note.fwd_status(status).answer(exchange, &stale, &self.request, now);
            }
            _ => self.newer(exchange, now),
        }
    }

    fn faulted(self: Box<Self>, exchange: &mut Exchange, _: &Abort) -> bool {
        self.nobody_answered(exchange)
    }

    /// A circuit that is open, or a limit: the upstream is not asked, and the client would see the same as if it were down.
    fn failed(self: Box<Self>, exchange: &mut Exchange, reason: &Reason) -> bool {
        is_error(reason.status) && self.nobody_answered(exchange)
    }
}

/// Whether the upstream answers that what is kept is still good: it was asked that in place of whatever the client asked.
fn is_answered(stale: &Entry, response: &Response) -> bool {
    response.status == StatusCode::NOT_MODIFIED && rules::has_validator(&stale.headers)
}

/// Errors that a stale response may stand in for (RFC 5861, section 4).
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

impl Keep {
    /// Answers with what is stale, where that may stand in.
    fn nobody_answered(self: Box<Self>, exchange: &mut Exchange) -> bool {
        let now = exchange.environment().clock.monotonic_nanos();
        self.shelf.pass(&self.key, now + DOWN);
        match &self.stale {
            Some(stale) if self.stands_in(stale, now) => {
                let stale = stale.clone();
                self.note.answer(exchange, &stale, &self.request, now);
                true
            }
            _ => false,
        }
    }

    fn stands_in(&self, stale: &Entry, now: u64) -> bool {
        rules::usable_if_error(&self.asked, &stale.said, stale.lifetime, stale.age(now))
    }

    /// The upstream says that what is kept is still good: it is as new as this answer.
    fn still_good(self: Box<Self>, exchange: &mut Exchange, stale: &Entry, now: u64) {
        let mut fresh = exchange.response.take().map(|response| response.headers).unwrap_or_default();
        rules::date_it(&mut fresh, exchange.environment().clock.unix_millis() / 1_000);
        let headers = rules::updated(&stale.headers, &fresh);
        let entry = self.entry(exchange, stale.status, headers, stale.body.clone(), now);
        let why_not = self.why_not(exchange, stale.status, &entry.headers, &entry.said);
        let note = self.note.fwd_status(StatusCode::NOT_MODIFIED);
        match why_not {
            None => {
                note.stored().answer(exchange, &entry, &self.request, now);
                self.shelf.keep(&self.key, &self.request, entry);
            }
            Some(why) => {
                note.because(why).answer(exchange, &entry, &self.request, now);
                self.shelf.forget(&self.key, &self.request);
            }
        }
    }

    /// Another response than the one that is kept, if any is.
    fn newer(self: Box<Self>, exchange: &mut Exchange, now: u64) {
        let Some(mut response) = exchange.response.take() else { return };
        let said = Directives::of(&response.headers);
        let mut note = self.note.fwd_status(response.status);
        let why_not = self.why_not(exchange, response.status, &response.headers, &said).or_else(|| {
            let is_large = response.body.size_hint().lower() > self.limits.largest;
            is_large.then_some("too-large")
        });
        let entry = self.entry(exchange, response.status, response.headers.clone(), Bytes::new(), now);
        let worth = entry.lifetime > entry.initial_age
            || rules::has_validator(&entry.headers)
            || said.has("stale-while-revalidate");
        let why_not = why_not.or_else(|| (!worth).then_some("no-lifetime"));
        if let Some(why) = why_not {
            if self.stale.is_some() && !is_error(response.status) {
                self.shelf.forget(&self.key, &self.request);
            }
            // What a 304 says to the client's own condition says nothing of others.
            if response.status != StatusCode::NOT_MODIFIED {
                self.shelf.pass(&self.key, now + NOT_KEPT);
            }
            note = note.because(why);
        } else {
            if entry.lifetime <= entry.initial_age || said.has("no-cache") {
                self.shelf.pass(&self.key, now + NOT_KEPT);
            }
            note = note.stored();
            rules::date_it(&mut response.headers, exchange.environment().clock.unix_millis() / 1_000);
            let keeping = Keeping { shelf: self.shelf, key: self.key, request: self.request, entry, turn: None };
            response.body = keeping.through(response.body, self.turn, &self.aside, self.limits.largest);
        }
        note.write(&mut response.headers);
        exchange.response = Some(response);
    }

    fn why_not(
        &self,
        exchange: &Exchange,
        status: StatusCode,
        headers: &HeaderMap,
        said: &Directives,
    ) -> Option<&'static str> {
        // What a filter decides after `cache`, no filter would decide for a response that is kept.
        let decided = exchange.authorized() > self.authorized;
        let why = rules::unstorable(&self.request, &self.asked, status, headers, said);
        why.or_else(|| decided.then_some("authorized-after-it"))
    }

    fn entry(&self, exchange: &Exchange, status: StatusCode, mut headers: HeaderMap, body: Bytes, now: u64) -> Entry {
        let received = exchange.environment().clock.unix_millis() / 1_000;
        let delay = now.saturating_sub(self.asked_at) / SECOND;
        let said = Directives::of(&headers);
        headers.remove(CONTENT_LENGTH);
        let lifetime = rules::lifetime(status, &headers, &said, received, self.limits.heuristic);
        let initial_age = rules::initial_age(&headers, received, delay);
        rules::date_it(&mut headers, received);
        let varying = rules::varying(&headers, &self.request);
        Entry { status, headers, body, said, varying, lifetime, initial_age, asked_at: self.asked_at, came_at: now }
    }
}

/// A response whose body is on its way.
struct Keeping {
    shelf: Arc<Shelf>,
    key: Key,
    request: HeaderMap,
    entry: Entry,
    turn: Option<Arc<Turn>>,
}

impl Keeping {
    fn through(mut self, body: Body, turn: Option<OwnedMutexGuard<()>>, aside: &Aside, largest: u64) -> Body {
        match body {
            Body::Empty => {
                self.done(Bytes::new());
                Body::Empty
            }
            Body::Full(bytes) => {
                self.done(bytes.clone());
                Body::Full(bytes)
            }
            Body::Stream(stream) => {
                self.turn = turn.map(|turn| Turn::watched(turn, aside));
                let body = Body::Stream(stream);
                let length = body.size_hint().exact();
                let largest = usize::try_from(largest).unwrap_or(usize::MAX);
                Body::stream(Through { body, so_far: BytesMut::new(), length, largest, keeping: Some(self) })
            }
        }
    }

    fn done(mut self, body: Bytes) {
        self.entry.body = body;
        self.shelf.keep(&self.key, &self.request, self.entry);
    }
}

/// How long a client may keep a body waiting, of those who wait for it.
const PATIENCE: Duration = Duration::from_millis(100);

/// The turn to fetch while its body is on its way. Others wait for what the upstream has still to send, which they would wait for anyway; they do
/// not wait for a client that reads slowly. Were it let go with the head, all of them would ask for what is there a moment later.
struct Turn {
    held: Mutex<Option<OwnedMutexGuard<()>>>,
    /// The client has been given what there was, and has not asked for more.
    with_client: AtomicBool,
}

impl Turn {
    /// One that is let go where the client has the body once it is looked at.
    fn watched(turn: OwnedMutexGuard<()>, aside: &Aside) -> Arc<Turn> {
        let turn = Arc::new(Turn { held: Mutex::new(Some(turn)), with_client: AtomicBool::new(true) });
        let (watched, timer) = (Arc::downgrade(&turn), aside.timer.clone());
        aside.background.run(Box::pin(async move {
            loop {
                timer.after(PATIENCE).await;
                let Some(turn) = watched.upgrade() else { return };
                if turn.with_client.load(Ordering::Relaxed) {
                    turn.held.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return;
                }
            }
        }));
        turn
    }
}

/// A body that is kept once it has gone through as a whole.
struct Through {
    body: Body,
    so_far: BytesMut,
    length: Option<u64>,
    largest: usize,
    keeping: Option<Keeping>,
}

impl Through {
    fn is_with_client(&self, is: bool) {
        if let Some(turn) = self.keeping.as_ref().and_then(|keeping| keeping.turn.as_ref()) {
            turn.with_client.store(is, Ordering::Relaxed);
        }
    }

    fn goes_by(&mut self, frame: &Frame<Bytes>) {
        match frame.data_ref() {
            Some(data) if self.so_far.len() + data.len() <= self.largest => self.so_far.extend_from_slice(data),
            // Too large after all, or trailers, which are not kept.
            _ => self.keeping = None,
        }
        // Whoever sends it need not ask for more once all has come.
        let all = self.length.is_some_and(|length| length == self.so_far.len() as u64) || self.body.is_end_stream();
        if all {
            self.ends();
        }
    }

    fn ends(&mut self) {
        let whole = self.length.is_none_or(|length| length == self.so_far.len() as u64);
        if let Some(keeping) = self.keeping.take().filter(|_| whole) {
            keeping.done(self.so_far.split().freeze());
        }
    }
}

impl http_body::Body for Through {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_with_client(false);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.is_with_client(true);
        match &frame {
            Some(Ok(frame)) if self.keeping.is_some() => self.goes_by(frame),
            Some(Ok(_)) => {}
            Some(Err(_)) => self.keeping = None,
            None => self.ends(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that may have changed something (RFC 9111, section 4.4).
pub(super) struct Written {
    pub(super) shelf: Arc<Shelf>,
    /// Scheme and host, and the URL.
    pub(super) origin: String,
    pub(super) url: String,
}

impl AfterRun for Written {
    fn responded(self: Box<Self>, exchange: &mut Exchange) {
        let now = exchange.environment().clock.monotonic_nanos();
        let Some(response) = &exchange.response else { return };
        if !(response.status.is_success() || response.status.is_redirection()) {
            return;
        }
        self.shelf.written(&self.url, now);
        for name in [LOCATION, CONTENT_LOCATION] {
            let named = response.headers.get(name).and_then(|value| value.to_str().ok());
            if let Some(url) = named.and_then(|location| self.resolved(location)) {
                self.shelf.written(&url, now);
            }
        }
    }

    fn faulted(self: Box<Self>, exchange: &mut Exchange, _: &Abort) -> bool {
        // It may have been carried out all the same.
        self.shelf.written(&self.url, exchange.environment().clock.monotonic_nanos());
        false
    }
}

impl Written {
    /// The URL, where it is of the same origin: nobody may have others' responses forgotten.
    fn resolved(&self, location: &str) -> Option<String> {
        let location = location.split('#').next().unwrap_or_default();
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(format!("{}{location}", self.origin));
        }
        if let Some(rest) = location.strip_prefix(self.origin.as_str()) {
            return rest.starts_with('/').then(|| location.to_owned());
        }
        let relative = !location.is_empty()
            && !location.contains(':')
            && !location.starts_with("//")
            && !location.starts_with('?');
        let folder = self.url.split('?').next().and_then(|url| url.rfind('/').map(|at| &url[..=at]))?;
        relative.then(|| format!("{folder}{location}"))
    }
}
