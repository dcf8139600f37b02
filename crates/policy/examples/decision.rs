//! How long a policy of 20 filters takes, engine alone: `cargo run --release -p policy --example decision`.
//!
//! Each filter reads one attribute and sets another, as an authorizing filter does after its store has answered; what is
//! measured is routing, the exchange, the filters' futures, and the decision record with its clock.

#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use policy::filter::{Answers, FilterKind, Library};
use policy::ports::{BoxFuture, Clock, Environment, Random};
use policy::testing::{Fixture, Plain, block_on};
use policy::{
    Abort, Body, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Request, Response, Slot, Value,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Work {
    read: String,
    write: String,
}

struct WorkFilter(Slot<Value>, Slot<Value>);

impl FilterConfig for Work {
    const TYPE: &'static str = "work";
    type Filter = WorkFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<WorkFilter, Diagnostics> {
        Ok(WorkFilter(cx.writes_var(&self.read), cx.writes_var(&self.write)))
    }
}

impl Filter for WorkFilter {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        if let Some(value) = exchange.share(self.0) {
            exchange.set(self.1, value);
        }
        Ok(Outcome::Success)
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Done {}

struct DoneFilter;

impl FilterConfig for Done {
    const TYPE: &'static str = "done";
    type Filter = DoneFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<DoneFilter, Diagnostics> {
        cx.answers(Answers::Always);
        Ok(DoneFilter)
    }
}

impl Filter for DoneFilter {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        exchange.answer(Response::new(StatusCode::NO_CONTENT))
    }
}

struct RealClock(Instant);

impl Clock for RealClock {
    fn unix_millis(&self) -> u64 {
        1_767_225_600_000
    }
    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
    fn sleep(&self, _: std::time::Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

const LIBRARY: Library = Library {
    filters: &[&[FilterKind::of::<Work>(), FilterKind::of::<Done>()]],
    attributes: &[],
    plain: &Plain,
    look_up: None,
    lints: &[],
    settings: &[],
};

fn main() -> std::io::Result<()> {
    let mut text = String::from("route = 'GET /orders/{id}'\n");
    for i in 0..19 {
        text += &format!("[[filter]]\nuse = 'work'\nread = 'v{i}'\nwrite = 'v{}'\n", i + 1);
    }
    text += "[[filter]]\nuse = 'done'\n";
    let program = Fixture::new(LIBRARY).policy("p", &text).program();
    let environment = Environment { clock: Arc::new(RealClock(Instant::now())), random: Arc::new(NoRandom) };
    const ROUNDS: u32 = 200_000;
    for _ in 0..5 {
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let request = Request::new(Method::GET, "/orders/17", Body::Empty);
            black_box(block_on(program.serve(&environment, request)));
        }
        let nanos = began.elapsed().as_nanos() / u128::from(ROUNDS);
        writeln!(std::io::stdout(), "{nanos} ns a decision of 20 filters")?;
    }
    Ok(())
}
