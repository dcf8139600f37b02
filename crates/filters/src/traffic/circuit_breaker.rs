//! `circuit-breaker`: spares an upstream that fails, and its clients the waiting: while most requests fail, they are refused at once.
//!
//! It stands before what it guards, usually a `proxy`, and looks at how requests that it let through end. One failed where a filter
//! after it ended in a fault (an upstream that is unreachable, silent or malformed), also where an `on_abort` made another answer of it;
//! where the answer has one of the `statuses`; or where it was `slow`, apart from the time that the client took to send its body. What a
//! filter refused says nothing, nor does a client that went away in time. Once `failure_percent` of at least `minimum` requests within `window` have failed, the circuit is open: the filter
//! fails with `circuit-open` (503 with `Retry-After`), which an `on_failure` may turn into another answer. After `open_for` a few
//! `probes` are let through; it closes when all of them go well, and is open again when one fails. A reload leaves it as it is, as long
//! as its settings are the same. Each node has its own.
//!
//! ```toml
//! [[filter]]
//! use    = "circuit-breaker"
//! window = "10s"
//! slow   = "3s"
//!
//! [[filter]]
//! use      = "proxy"
//! upstream = "orders"
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::engine::Decision;
use policy::exchange::Companion;
use policy::ports::Clock;
use policy::settings::{self, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use super::limits::{bounded, bounded_time, seconds};
use super::sending::Sending;

/// What comes after it fails too often.
const CIRCUIT_OPEN: ReasonCode = ReasonCode::new("circuit-open");

/// Parts of the window: what is older than it goes a part at a time.
const PARTS: u64 = 10;

/// `use = "circuit-breaker"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How many of a hundred requests may fail before it opens, 1 to 100. Default: 50.
    failure_percent: Option<Spanned<u32>>,
    /// How many requests within the window say something, 1 to 100 000. Default: 20.
    minimum: Option<Spanned<u32>>,
    /// How long an outcome counts, `"1s"` to `"10m"`. Default: `"10s"`.
    window: Option<Spanned<settings::Duration>>,
    /// How long it stays open before it looks again, `"100ms"` to `"10m"`. Default: `"5s"`.
    open_for: Option<Spanned<settings::Duration>>,
    /// How many requests look, and must all go well before it closes, 1 to 100. Default: 1.
    probes: Option<Spanned<u32>>,
    /// The statuses of answers that count as failures. Default: 500, 502, 503, 504.
    statuses: Option<Vec<settings::StatusCode>>,
    /// An answer whose head takes longer counts as a failure, and so does a client that gave up after that, `"1ms"` to `"10m"`; the time in
    /// which the client's body is waited for does not count. Default: however long it takes.
    slow: Option<Spanned<settings::Duration>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "circuit-breaker";
    type Filter = CircuitBreaker;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<CircuitBreaker, Diagnostics> {
        cx.shapes_nothing();
        let time = |millis| settings::Duration(Duration::from_millis(millis));
        let rule = Rule {
            percent: bounded(&self.failure_percent, "failure_percent", 1..=100, cx)?.unwrap_or(50),
            minimum: bounded(&self.minimum, "minimum", 1..=100_000, cx)?.unwrap_or(20),
            part: nanos(bounded_time(&self.window, "window", time(1_000)..=time(600_000), cx)?, 10) / PARTS,
            open_for: nanos(bounded_time(&self.open_for, "open_for", time(100)..=time(600_000), cx)?, 5),
            probes: bounded(&self.probes, "probes", 1..=100, cx)?.unwrap_or(1),
        };
        let slow = bounded_time(&self.slow, "slow", time(1)..=time(600_000), cx)?;
        let statuses: Arc<[StatusCode]> = match &self.statuses {
            Some(statuses) => statuses.iter().map(|status| status.0).collect(),
            None => [500, 502, 503, 504].into_iter().filter_map(|status| StatusCode::from_u16(status).ok()).collect(),
        };
        cx.fails(&[CIRCUIT_OPEN]);
        Ok(CircuitBreaker {
            slow: slow.map(|slow| nanos(Some(slow), 0)),
            circuit: cx.keep((rule, &statuses, slow), || Circuit::new(rule)),
            statuses,
        })
    }
}

fn nanos(time: Option<Duration>, seconds: u64) -> u64 {
    u64::try_from(time.unwrap_or(Duration::from_secs(seconds)).as_nanos()).unwrap_or(u64::MAX)
}

/// The compiled filter.
pub(crate) struct CircuitBreaker {
    circuit: Arc<Circuit>,
    statuses: Arc<[StatusCode]>,
    /// Nanoseconds.
    slow: Option<u64>,
}

impl Filter for CircuitBreaker {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let clock = exchange.environment().clock.clone();
        let pass = match self.circuit.admit(clock.monotonic_nanos()) {
            Ok(pass) => pass,
            Err(retry_in) => {
                let reason = Reason::new(CIRCUIT_OPEN, "what comes after fails too often");
                let reason = reason.with_status(StatusCode::SERVICE_UNAVAILABLE);
                let seconds = u32::try_from(seconds(retry_in)).unwrap_or(u32::MAX);
                return Ok(Outcome::Failure(reason.with_retry_after(seconds)));
            }
        };
        let watch = Watch {
            circuit: self.circuit.clone(),
            statuses: self.statuses.clone(),
            slow: self.slow.map(|slow| (slow, Sending::of(exchange))),
            pass: Some(pass),
            begun: exchange.decision().begun(),
            clock,
        };
        exchange.accompany(watch);
        Ok(Outcome::Success)
    }
}

/// Looks at how a request ends that was let through.
struct Watch {
    circuit: Arc<Circuit>,
    statuses: Arc<[StatusCode]>,
    /// How many nanoseconds are too many, and the client, whose time they are not.
    slow: Option<(u64, Arc<Sending>)>,
    /// None once it has ended.
    pass: Option<Pass>,
    /// How many steps had begun: those after it are what is guarded.
    begun: usize,
    clock: Arc<dyn Clock>,
}

impl Watch {
    fn was_slow(&self) -> bool {
        self.slow.as_ref().is_some_and(|(slow, sending)| sending.others_take() > *slow)
    }
}

impl Companion for Watch {
    fn ended(&mut self, decision: &Decision, status: StatusCode) {
        let now = self.clock.monotonic_nanos();
        let is_answer = matches!(decision.outcome(), "success" | "answered");
        let failed =
            decision.faults_since(self.begun) || (is_answer && self.statuses.contains(&status)) || self.was_slow();
        let went = match (failed, is_answer) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        };
        if let Some(pass) = self.pass.take() {
            self.circuit.report(pass, went, now);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            let now = self.clock.monotonic_nanos();
            self.circuit.report(pass, self.was_slow().then_some(false), now);
        }
    }
}

/// When it opens, and when it looks again. Times are nanoseconds.
#[derive(Clone, Copy, Hash)]
struct Rule {
    percent: u32,
    minimum: u32,
    part: u64,
    open_for: u64,
    probes: u32,
}

struct Circuit {
    rule: Rule,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For each part of the window: which it is, how many went well, how many did not.
    parts: [(u64, u32, u32); PARTS as usize],
    /// Until when it is open; then it looks. None = it is closed.
    open_until: Option<u64>,
    /// Those that look now, and those that went well.
    looking: u32,
    went_well: u32,
    /// How often it has opened or closed: what was let through before says nothing now.
    turns: u64,
}

/// A request that was let through.
#[derive(Clone, Copy)]
struct Pass {
    turn: u64,
    looks: bool,
}

impl Circuit {
    fn new(rule: Rule) -> Self {
        Circuit { rule, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request through, or says in how many nanoseconds it may be worth another try.
    fn admit(&self, now: u64) -> Result<Pass, u64> {
        let mut state = self.lock();
        let Some(until) = state.open_until else { return Ok(Pass { turn: state.turns, looks: false }) };
        if now < until {
            return Err(until - now);
        }
        if state.looking + state.went_well >= self.rule.probes {
            return Err(1);
        }
        state.looking += 1;
        Ok(Pass { turn: state.turns, looks: true })
    }

    /// Whether a request that was let through went well; none = that says nothing.
    fn report(&self, pass: Pass, went: Option<bool>, now: u64) {
        let mut state = self.lock();
        if pass.turn != state.turns {
            return;
        }
        match (pass.looks, went) {
            (true, None) => state.looking -= 1,
            (true, Some(true)) => {
                state.looking -= 1;
                state.went_well += 1;
                if state.went_well >= self.rule.probes {
                    state.turn(None);
                }
            }
            (true, Some(false)) => state.turn(Some(now.saturating_add(self.rule.open_for))),
            (false, None) => {}
            (false, Some(well)) => {
                if state.count(well, now / self.rule.part, &self.rule) {
                    state.turn(Some(now.saturating_add(self.rule.open_for)));
                }
            }
        }
    }
}

impl State {
    /// Counts an outcome; whether too many have failed.
    fn count(&mut self, well: bool, part: u64, rule: &Rule) -> bool {
        let slot = &mut self.parts[(part % PARTS) as usize];
        if slot.0 != part {
            *slot = (part, 0, 0);
        }
        let counted = if well { &mut slot.1 } else { &mut slot.2 };
        *counted = counted.saturating_add(1);
        let recent = self.parts.iter().filter(|(at, ..)| at + PARTS > part);
        let (went_well, failed) = recent.fold((0_u64, 0_u64), |(went_well, failed), (_, more_well, more_failed)| {
            (went_well + u64::from(*more_well), failed + u64::from(*more_failed))
        });
        let all = went_well + failed;
        !well && all >= rule.minimum.into() && failed * 100 >= all * u64::from(rule.percent)
    }

    /// Opens until then, or closes; everything begins anew.
    fn turn(&mut self, open_until: Option<u64>) {
        *self = State { open_until, turns: self.turns + 1, ..State::default() };
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use policy::Body;
    use policy::engine::Program;
    use policy::exchange::{BoxError, RequestBody};
    use policy::ports::{UPSTREAM, UpstreamError};
    use policy::testing::{Fixture, TestClock, block_on, read};

    use super::*;
    use crate::fixture::{always, answer, get, told, world};

    const SECOND: u64 = 1_000_000_000;
    const RULE: Rule = Rule { percent: 50, minimum: 4, part: SECOND, open_for: 5 * SECOND, probes: 2 };

    /// Lets a request through that ends so; whether it was let through.
    fn request(circuit: &Circuit, well: bool, now: u64) -> bool {
        circuit.admit(now).map(|pass| circuit.report(pass, Some(well), now)).is_ok()
    }

    #[test]
    fn it_opens_when_half_of_enough_have_failed() {
        for (outcomes, opens) in [
            (&[false, false, false][..], false),
            (&[false, false, false, false], true),
            (&[true, true, true, true, false, false, false], false),
            (&[true, true, true, true, false, false, false, false], true),
            (&[false, false, false, true, false], true),
        ] {
            let circuit = Circuit::new(RULE);
            assert!(outcomes.iter().all(|well| request(&circuit, *well, SECOND)), "{outcomes:?}");
            assert_eq!(circuit.admit(SECOND).err(), opens.then_some(5 * SECOND), "{outcomes:?}");
        }
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let circuit = Circuit::new(RULE);
        (0..3).for_each(|_| assert!(request(&circuit, false, SECOND)));
        assert!(request(&circuit, false, 11 * SECOND) && circuit.admit(11 * SECOND).is_ok());
        (0..2).for_each(|_| assert!(request(&circuit, false, 20 * SECOND)));
        assert!(request(&circuit, false, 20 * SECOND) && circuit.admit(20 * SECOND).is_err());
    }

    fn open() -> Circuit {
        let circuit = Circuit::new(RULE);
        (0..4).for_each(|_| assert!(request(&circuit, false, SECOND)));
        circuit
    }

    #[test]
    fn after_a_while_a_few_look_and_all_must_go_well() {
        let circuit = open();
        let later = 6 * SECOND;
        assert!(circuit.admit(later - 1).is_err());
        let (first, second) = (circuit.admit(later).expect("looks"), circuit.admit(later).expect("looks"));
        assert!(circuit.admit(later).is_err(), "two look already");
        circuit.report(first, Some(true), later);
        assert!(circuit.admit(later).is_err(), "one is still out");
        circuit.report(second, None, later);
        let third = circuit.admit(later).expect("the second said nothing");
        circuit.report(third, Some(true), later);
        assert!((0..3).all(|_| request(&circuit, false, later)), "it is closed, and begins anew");
    }

    #[test]
    fn one_that_fails_opens_it_again() {
        let circuit = open();
        let later = 6 * SECOND;
        let (first, second) = (circuit.admit(later).expect("looks"), circuit.admit(later).expect("looks"));
        circuit.report(first, Some(false), later);
        circuit.report(second, Some(true), later);
        assert_eq!(circuit.admit(later).err(), Some(5 * SECOND));
    }

    #[test]
    fn what_was_let_through_before_says_nothing_after() {
        let circuit = Circuit::new(RULE);
        let late = circuit.admit(SECOND).expect("closed");
        (0..4).for_each(|_| assert!(request(&circuit, false, SECOND)));
        circuit.report(late, Some(true), 2 * SECOND);
        assert_eq!(circuit.admit(2 * SECOND).err(), Some(4 * SECOND));
    }

    type Answer = Result<http::Response<policy::Body>, UpstreamError>;

    fn guarded(settings: &str, more: &str, upstream: impl Fn() -> Answer + Send + Sync + 'static) -> Fixture {
        let text = format!(
            "route = '/**'\n[[filter]]\nuse = 'circuit-breaker'\nminimum = 3\n{settings}\n[[filter]]\nuse = 'proxy'\nupstream = 'u'\n{more}"
        );
        world().resource(UPSTREAM, "u", always(upstream)).policy("tested", &text)
    }

    fn ask(fixture: &Fixture, program: &Arc<Program>) -> String {
        told(&block_on(async { read(program, program.serve(&fixture.environment(), get("/", &[])).await).await }))
    }

    #[test]
    fn an_upstream_that_fails_is_spared_and_used_again() {
        let status = Arc::new(AtomicU16::new(503));
        let answers = status.clone();
        let fixture = guarded("", "", move || Ok(answer(answers.load(Relaxed), &[], String::new())));
        let program = fixture.program();
        assert_eq!([(); 4].map(|()| ask(&fixture, &program)), ["503", "503", "503", "503 circuit-open"]);
        // A reload does not forget it.
        let program = fixture.program();
        assert_eq!(ask(&fixture, &program), "503 circuit-open");
        fixture.clock().advance(Duration::from_secs(5));
        assert_eq!([(); 2].map(|()| ask(&fixture, &program)), ["503", "503 circuit-open"]);
        status.store(200, Relaxed);
        fixture.clock().advance(Duration::from_secs(5));
        assert_eq!([(); 5].map(|()| ask(&fixture, &program)), ["200"; 5]);
    }

    #[test]
    fn a_fault_counts_also_where_something_else_answers() {
        let spare = "on_abort = { to = 'spare', as = 'success' }\n[[chain.spare]]\nuse = 'respond'\n";
        let fixture = guarded("", spare, || Err(UpstreamError::Timeout("first_byte")));
        let program = fixture.program();
        assert_eq!([(); 4].map(|()| ask(&fixture, &program)), ["200", "200", "200", "503 circuit-open"]);
    }

    #[test]
    fn what_a_filter_refuses_says_nothing() {
        let refuses = "[[filter]]\nuse = 'fail'\nreason = 'no'\nstatus = 503\n";
        let fixture = guarded("", refuses, || Ok(answer(200, &[], String::new())));
        let program = fixture.program();
        assert_eq!([(); 8].map(|()| ask(&fixture, &program)), ["503 no"; 8]);
        let fixture = guarded("statuses = [404]", "", || Ok(answer(503, &[], String::new())));
        let program = fixture.program();
        assert_eq!([(); 8].map(|()| ask(&fixture, &program)), ["503"; 8]);
    }

    #[test]
    fn slow_answers_count_as_failures() {
        let delay = "\n[[filter]]\nuse = 'delay'\ntime = '2s'\n";
        let fixture = guarded("slow = '1s'", delay, || Ok(answer(200, &[], String::new())));
        let program = fixture.program();
        assert_eq!([(); 4].map(|()| ask(&fixture, &program)), ["200", "200", "200", "503 circuit-open"]);
        let fixture = guarded("slow = '3s'", delay, || Ok(answer(200, &[], String::new())));
        let program = fixture.program();
        assert_eq!([(); 5].map(|()| ask(&fixture, &program)), ["200"; 5]);
    }

    /// A body whose second half the client sends two seconds later, or not at all.
    struct Late {
        clock: Arc<TestClock>,
        asked: u8,
        breaks_off: bool,
    }

    impl http_body::Body for Late {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
            self.asked += 1;
            let half = || Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"half")))));
            match self.asked {
                1 => half(),
                2 => {
                    self.clock.advance(Duration::from_secs(2));
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                3 if self.breaks_off => Poll::Ready(Some(Err("gone".into()))),
                3 => half(),
                _ => Poll::Ready(None),
            }
        }
    }

    #[test]
    fn what_the_client_takes_to_send_is_not_slow() {
        let text = "route = '/**'\n[[filter]]\nuse = 'circuit-breaker'\nminimum = 3\nslow = '1s'\n\n\
            [[filter]]\nuse = 'require'\nthat = 'request.body != \"\"'\n\n\
            [[filter]]\nuse = 'delay'\ntime = 'TIME'\n\n[[filter]]\nuse = 'respond'";
        for (time, breaks_off, expected) in [
            ("100ms", false, ["200", "200", "200", "200"]),
            ("100ms", true, ["400 bad-request"; 4]),
            ("2s", false, ["200", "200", "200", "503 circuit-open"]),
        ] {
            let fixture = world().policy("tested", &text.replace("TIME", time));
            let program = fixture.program();
            let told = [(); 4].map(|()| {
                let mut request = get("/", &[]);
                request.body =
                    RequestBody::Stream(Body::stream(Late { clock: fixture.clock().clone(), asked: 0, breaks_off }));
                told(&block_on(async { read(&program, program.serve(&fixture.environment(), request).await).await }))
            });
            assert_eq!(told, expected, "{time} {breaks_off}");
        }
    }

    #[test]
    fn bounds_are_checked_at_load() {
        for (settings, said) in [
            ("failure_percent = 0", "`failure_percent` is 1 to 100"),
            ("probes = 101", "`probes` is 1 to 100"),
            ("window = '100ms'", "`window` is \"1s\" to \"10m\""),
            ("open_for = '1h'", "`open_for` is \"100ms\" to \"10m\""),
            ("slow = '1h'", "`slow` is"),
            ("statuses = [99]", "99"),
        ] {
            let problems = guarded(settings, "", || Ok(answer(200, &[], String::new()))).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
