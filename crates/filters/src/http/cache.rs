//! `cache`: keeps responses of the upstream and answers with them while they are fresh: a shared cache (RFC 9111). In Oracle API Gateway:
//! Is Cached?, Cache Attribute.
//!
//! It stands before `proxy`, and after whatever decides who may pass. What it keeps is the response as the filters between it and the end of
//! the chain leave it; a `set-header` of the `response` after `proxy` can so give a lifetime to the responses of an upstream that says
//! nothing of it. `[[response]]`, and what filters before `cache` do to a response, runs for every request.
//!
//! Kept are responses to `GET` with a lifetime (`s-maxage`, `max-age`, `Expires`), or an `ETag` or `Last-Modified` to ask with whether they
//! are still good. Not kept are those that say `no-store` or `private`, that answer a request with `Authorization` without saying `public`,
//! `s-maxage` or `must-revalidate`, that set a cookie without saying `public`, parts (206), those larger than `largest`, and those whose
//! `Cache-Control` or `Vary` cannot be read. `Vary` is obeyed, and what it names is compared byte for byte (of `Accept` and its kin the
//! spaces do not count). A client that sends the `ETag` or date of what is kept gets a 304; ranges and `If-Match` go to the upstream. A 304
//! with another `ETag` than what is kept has that forgotten and asked for anew. A stale response is
//! used where it says `stale-while-revalidate` (a newer one is fetched meanwhile, by the filters after `cache` in its chain) or
//! `stale-if-error` (also where a filter after `cache` refuses with 500, 502, 503 or 504, such as a circuit that is open), or the client
//! says `max-stale`. A write (any other method) to a URL forgets what is kept for it, and for what its
//! answer names in `Location`. One request at a time fetches what is not kept; others wait for it as long as `wait`, and not for a client that
//! reads slowly.
//!
//! **Who is asked does not show in a URL.** Where a filter has let the request pass (a token, a session, a decision service), nothing is
//! kept or used without a `key`. It is to say whose responses they are: `"${client.id}"` for one each, or `"all"` where everybody who may
//! pass gets the same. What an authorizing filter *after* `cache` decides is never kept. Any other filter after it is asked about what is
//! not kept alone: a `require` or a `rate-limit` that is to see every request stands before. `check` tells of one that stands after it
//! (P0716), and of a selector there that shapes the answer by what neither the URL nor `key` says (P0717).
//!
//! `Cache-Status` (RFC 9211) tells what was done. What is kept outlives a reload, as long as `key` and the sizes stay as they are.
//!
//! ```toml
//! [[filter]]
//! use  = "cache"
//! size = "256MiB"
//!
//! [[filter]]
//! use      = "proxy"
//! upstream = "orders"
//! ```

#[cfg(test)]
mod after_it;
mod keep;
mod note;
mod rules;
mod shelf;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration as StdDuration;

use futures_util::future::{Either, select};
use futures_util::lock::OwnedMutexGuard;
use http::header::{IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::{Request, RequestBody};
use policy::filter::{Answers, Repeats};
use policy::ports::{ASIDE, Aside};
use policy::settings::{ByteSize, Duration, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};

use self::keep::{Keep, Limits, Written};
use self::note::Note;
use self::rules::Use;
use self::shelf::{Entry, Found, Key, Shelf};
use super::cache_control::Directives;

/// The client wants what is kept or nothing (`only-if-cached`), and nothing is.
const NOT_CACHED: ReasonCode = ReasonCode::new("not-cached");

/// `use = "cache"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// What a response depends on besides the URL and what `Vary` names: whoever has the same key is given the same responses. Where a filter
    /// before has let the request pass, nothing is kept without it. Default: the URL alone.
    key: Option<Dynamic<String>>,
    /// How much memory responses may take, `1MiB` to `64GiB`; beyond, the ones least used go. Default: `64MiB`.
    size: Option<Spanned<ByteSize>>,
    /// How large a body may be to be kept, 1 byte to a quarter of `size`. Default: `1MiB`.
    largest: Option<Spanned<ByteSize>>,
    /// How many responses to one URL and key may differ by what `Vary` names, 1 to 1000; beyond, the oldest goes. Default: 32.
    variants: Option<Spanned<u16>>,
    /// How long a request waits while another one fetches the same, `1ms` to `60s`; then it goes to the upstream itself. Default: `5s`.
    wait: Option<Spanned<Duration>>,
    /// How long a response may be taken to be fresh that has a `Last-Modified` and says nothing of its lifetime: a tenth of the time since
    /// then, and at most this, `1s` to `30d`. Default: such a response is not fresh.
    heuristic: Option<Spanned<Duration>>,
    /// Whether `Cache-Control` of a request counts: with `no-cache` a client has the upstream asked, `max-stale` takes what is old. Default:
    /// `true`.
    #[serde(default = "yes")]
    obey_client: bool,
    /// Whether answers have `Cache-Status`. Default: `true`.
    #[serde(default = "yes")]
    status: bool,
}

fn yes() -> bool {
    true
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "cache";
    type Filter = Cache;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Cache, Diagnostics> {
        cx.answers(Answers::Sometimes);
        cx.repeats(if self.key.is_some() { Repeats::ByKey } else { Repeats::ToAll });
        if self.obey_client {
            cx.fails_rarely(&[NOT_CACHED]);
        }
        let sized = |setting: &Option<Spanned<ByteSize>>, default: u64| setting.as_ref().map_or(default, |s| s.value.0);
        let size = sized(&self.size, 64 << 20);
        within(&self.size, &size, (1 << 20)..=(64 << 30), "responses take 1MiB to 64GiB of memory", cx)?;
        let largest = sized(&self.largest, (1 << 20).min(size / 4));
        within(&self.largest, &largest, 1..=size / 4, "a body takes 1 byte to a quarter of `size`", cx)?;
        let variants = self.variants.as_ref().map_or(32, |variants| variants.value);
        within(&self.variants, &variants, 1..=1_000, "there are 1 to 1000 variants", cx)?;
        let wait = self.wait.as_ref().map_or(StdDuration::from_secs(5), |wait| wait.value.0);
        within(
            &self.wait,
            &wait,
            StdDuration::from_millis(1)..=StdDuration::from_secs(60),
            "a request waits 1ms to 60s",
            cx,
        )?;
        let heuristic = self.heuristic.as_ref().map(|most| most.value.0.as_secs());
        within(
            &self.heuristic,
            &heuristic.unwrap_or(1),
            1..=30 * 86_400,
            "a response is taken to be fresh for 1s to 30d",
            cx,
        )?;
        let key = self.key.as_ref().map(|key| cx.dynamic(key)).transpose()?;
        let shape = (format!("{:?}", self.key), size, largest, variants);
        Ok(Cache {
            shelf: cx.keep(shape, || Shelf::new(size, largest, variants.into())),
            aside: cx.of_node(ASIDE)?,
            key,
            careless: false,
            limits: Limits { largest, heuristic },
            wait,
            obey_client: self.obey_client,
            told: self.status,
        })
    }
}

fn within<S, T: PartialOrd>(
    setting: &Option<Spanned<S>>,
    value: &T,
    bounds: std::ops::RangeInclusive<T>,
    help: &str,
    cx: &BuildContext<'_>,
) -> Result<(), Diagnostics> {
    match setting {
        Some(setting) if !bounds.contains(value) => Err(cx.error(setting.span, "this is out of bounds", help).into()),
        _ => Ok(()),
    }
}

/// The compiled filter.
pub(crate) struct Cache {
    shelf: Arc<Shelf>,
    aside: Arc<Aside>,
    key: Option<Getter<String>>,
    /// All keys are one: the weakness that tests of a policy are to notice.
    careless: bool,
    limits: Limits,
    wait: StdDuration,
    obey_client: bool,
    told: bool,
}

/// A request that something may be kept for.
struct Asked {
    key: Key,
    url: String,
    directives: Directives,
    /// Filters that had let it pass.
    authorized: usize,
}

impl Filter for Cache {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        // In `[[response]]` it is too late for everything.
        if exchange.response.is_some() {
            return Ok(Outcome::Success);
        }
        let (origin, url) = url(&exchange.request);
        if !matches!(exchange.request.method, Method::GET | Method::HEAD) {
            if !matches!(exchange.request.method, Method::OPTIONS | Method::TRACE) {
                exchange.after_run(Written { shelf: self.shelf.clone(), origin, url });
            }
            return Ok(self.past(exchange, "method", None));
        }
        let asked = match self.asked(exchange, url) {
            Ok(Some(asked)) => asked,
            Ok(None) => return Ok(self.past(exchange, "bypass", Some("not-shared"))),
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        if goes_by(&exchange.request) {
            return Ok(self.past(exchange, "bypass", None));
        }
        let mut found = self.find(exchange, &asked);
        if let Some(outcome) = self.answered(exchange, &asked, &found, false) {
            return Ok(outcome);
        }
        if asked.directives.has("only-if-cached") {
            let reason = Reason::new(NOT_CACHED, "the client wants what is kept, and nothing is");
            return Ok(Outcome::Failure(reason.with_status(StatusCode::GATEWAY_TIMEOUT)));
        }
        if exchange.request.method == Method::HEAD {
            return Ok(self.past(exchange, why(&asked, &found), None));
        }
        let (turn, waited) = self.turn(exchange, &asked).await;
        if turn.is_some() || waited {
            // Another one has just got it, perhaps: what came meanwhile is as new as what the client would get.
            found = self.find(exchange, &asked);
            if let Some(outcome) = self.answered(exchange, &asked, &found, waited) {
                return Ok(outcome);
            }
        }
        self.goes_on(exchange, asked, found, turn);
        Ok(Outcome::Success)
    }

    fn weaknesses(&self) -> Vec<String> {
        self.key.iter().filter(|key| key.constant().is_none()).map(|_| String::from("key ignored")).collect()
    }

    fn weaken(&mut self, _: usize) {
        self.careless = !self.careless;
    }
}

impl Cache {
    /// `None` where nothing may be kept for the request.
    fn asked(&self, exchange: &Exchange, url: String) -> Result<Option<Asked>, Reason> {
        let authorized = exchange.authorized();
        let key = match &self.key {
            Some(_) if self.careless => String::new(),
            Some(key) => key.get(exchange)?,
            None if authorized > 0 => return Ok(None),
            None => String::new(),
        };
        let directives =
            if self.obey_client { Directives::of_request(&exchange.request.headers) } else { Directives::default() };
        Ok(Some(Asked { key: format!("{url}\n{key}").into(), url, directives, authorized }))
    }

    fn find(&self, exchange: &Exchange, asked: &Asked) -> Found {
        self.shelf.find(&asked.key, &asked.url, &exchange.request.headers)
    }

    /// Answers with what is kept, where that may be used. `waited`: another request has just got it.
    fn answered(&self, exchange: &mut Exchange, asked: &Asked, found: &Found, waited: bool) -> Option<Outcome> {
        let Found::Entry(entry) = found else { return None };
        let now = exchange.environment().clock.monotonic_nanos();
        let note = match rules::usable(&asked.directives, &entry.said, entry.lifetime, entry.age(now)) {
            Use::Now(left) => Note::hit(self.told).ttl(left),
            Use::Meanwhile(left) => {
                self.renew(exchange, asked, entry, now);
                Note::hit(self.told).ttl(left)
            }
            Use::Ask => return None,
        };
        let request = exchange.request.headers.clone();
        let note = if waited { note.collapsed() } else { note };
        note.answer(exchange, entry, &request, now);
        Some(Outcome::Answered)
    }

    /// Has a newer response fetched in the background, unless somebody is at it.
    fn renew(&self, exchange: &mut Exchange, asked: &Asked, entry: &Arc<Entry>, now: u64) {
        let Some(turn) = self.shelf.turn(&asked.key).try_lock_owned() else { return };
        if exchange.request.method != Method::GET {
            return;
        }
        let mut headers = exchange.request.headers.clone();
        rules::ask_whether(&entry.headers, &mut headers);
        let mut half = self.half(exchange, asked, Some(entry.clone()), Some(turn), Note::default(), now);
        // Those who let the request pass beside are counted for themselves.
        half.authorized = 0;
        exchange.go_on_beside(self.aside.background.clone(), headers, half);
    }

    /// The turn to fetch something, and whether it was waited for. None = nobody waits for this request.
    async fn turn(&self, exchange: &Exchange, asked: &Asked) -> (Option<OwnedMutexGuard<()>>, bool) {
        let turn = self.shelf.turn(&asked.key);
        if let Some(turn) = turn.clone().try_lock_owned() {
            return (Some(turn), false);
        }
        let passes = || self.shelf.passes(&asked.key, exchange.environment().clock.monotonic_nanos());
        if passes() {
            return (None, false);
        }
        let held = match select(turn.lock_owned(), self.aside.timer.after(self.wait)).await {
            Either::Left((held, _)) => Some(held),
            Either::Right(_) => None,
        };
        // What the other one got is not kept: whoever else waits need not wait for this one, too.
        (held.filter(|_| !passes()), true)
    }

    /// Sends the request on, asking whether what is kept is still good.
    fn goes_on(&self, exchange: &mut Exchange, asked: Asked, found: Found, turn: Option<OwnedMutexGuard<()>>) {
        let now = exchange.environment().clock.monotonic_nanos();
        let note = Note::forward(self.told, why(&asked, &found));
        let stale = match found {
            Found::Entry(entry) => Some(entry),
            Found::Others | Found::Nothing => None,
        };
        let half = self.half(exchange, &asked, stale.clone(), turn, note, now);
        match stale.filter(|stale| rules::has_validator(&stale.headers)) {
            None => exchange.after_run(half),
            Some(stale) => {
                exchange.after_run_or_once_more(half);
                rules::ask_whether(&stale.headers, &mut exchange.request.headers);
            }
        }
    }

    fn half(
        &self,
        exchange: &Exchange,
        asked: &Asked,
        stale: Option<Arc<Entry>>,
        turn: Option<OwnedMutexGuard<()>>,
        note: Note,
        asked_at: u64,
    ) -> Keep {
        Keep {
            shelf: self.shelf.clone(),
            aside: self.aside.clone(),
            limits: self.limits,
            key: asked.key.clone(),
            request: exchange.request.headers.clone(),
            asked: asked.directives.clone(),
            stale,
            turn,
            asked_at,
            authorized: asked.authorized,
            note,
        }
    }

    /// The request goes on, and its response by.
    fn past(&self, exchange: &mut Exchange, why: &str, detail: Option<&str>) -> Outcome {
        let note = Note::forward(self.told, why);
        exchange.after_run(Told(detail.map_or(note.clone(), |detail| note.because(detail))));
        Outcome::Success
    }
}

/// Only tells what was done.
struct Told(Note);

impl policy::exchange::AfterRun for Told {
    fn responded(self: Box<Self>, exchange: &mut Exchange) {
        if let Some(response) = &mut exchange.response {
            self.0.write(&mut response.headers);
        }
    }
}

/// Why the request goes to the upstream (RFC 9211, section 2.2).
fn why(asked: &Asked, found: &Found) -> &'static str {
    match found {
        Found::Nothing => "uri-miss",
        Found::Others => "vary-miss",
        Found::Entry(_) if asked.directives.has("no-cache") || asked.directives.has("max-age") => "request",
        Found::Entry(_) => "stale",
    }
}

/// The origin and the URL that the client asked for.
fn url(request: &Request) -> (String, String) {
    let origin = format!("{}://{}", request.scheme, request.host.to_ascii_lowercase());
    let mut url = format!("{origin}{}", request.path);
    if let Some(query) = &request.query {
        url.push('?');
        url.push_str(query);
    }
    (origin, url)
}

/// What this cache has no answer to: parts, conditions for writers, upgrades, bodies.
fn goes_by(request: &Request) -> bool {
    let asks = |headers: &HeaderMap| {
        [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE].iter().any(|name| headers.contains_key(name))
    };
    let has_body = match &request.body {
        RequestBody::Stream(body) => !body.is_end_stream(),
        RequestBody::Buffered(bytes) => !bytes.is_empty(),
        RequestBody::Taken => true,
    };
    asks(&request.headers) || request.upgrade.is_some() || has_body
}
