//! A small world for unit tests of filters and of the engine: policies from text, one request, what came of it.
//!
//! ```
//! use policy::testing::{Fixture, Plain};
//! use policy::filter::Library;
//! # use policy::{BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Abort, Response, filter::{Answers, FilterKind}};
//! # #[derive(serde::Deserialize, schemars::JsonSchema)] struct Hello {}
//! # struct HelloFilter;
//! # impl FilterConfig for Hello { const TYPE: &'static str = "hello"; type Filter = HelloFilter;
//! #   fn build(&self, cx: &mut BuildContext<'_>) -> Result<HelloFilter, Diagnostics> { cx.answers(Answers::Always); Ok(HelloFilter) } }
//! # impl Filter for HelloFilter { async fn run(&self, x: &mut Exchange) -> Result<Outcome, Abort> {
//! #   let mut response = Response::new(http::StatusCode::OK); response.body = String::from("hello").into(); x.answer(response) } }
//! const LIBRARY: Library = Library { filters: &[&[FilterKind::of::<Hello>()]], attributes: &[], plain: &Plain, look_up: None, lints: &[], settings: &[] };
//! let ran = Fixture::new(LIBRARY).policy("hello", "route = '/hello'\n[[filter]]\nuse = 'hello'").get("/hello");
//! assert_eq!((ran.status, ran.text()), (200, "hello"));
//! assert_eq!(ran.path(), ["hello:answered"]);
//! ```

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::compile::{Compiled, Input, NodeFacts, compile};
use crate::diagnostic::{Problem, codes};
use crate::engine::{Explained, Program, Served};
use crate::exchange::{Body, Exchange, Request, Response};
use crate::filter::{AnswerStyle, Keeper, Library};
use crate::outcome::{Abort, Reason};
use crate::ports::{BoxFuture, Clock, Environment, Random, Resources};
use crate::reader::{Files, Outside, SecretError};

/// Policies, the things they use, and a clock that stands still.
pub struct Fixture {
    library: Library,
    node: NodeFacts,
    texts: BTreeMap<String, String>,
    variables: HashMap<String, String>,
    contents: HashMap<String, String>,
    resources: Things,
    keeper: Keeper,
    clock: Arc<TestClock>,
    random: Arc<TestRandom>,
}

/// What came of one request.
#[derive(Debug)]
pub struct Ran {
    /// The answer's status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
    /// The decision record.
    pub decision: Explained,
    /// Whether its time is to tell nothing.
    pub is_held: bool,
}

impl Fixture {
    /// With these filters, and nothing else.
    pub fn new(library: Library) -> Self {
        Fixture {
            library,
            node: NodeFacts { name: "test".into(), ..NodeFacts::default() },
            texts: BTreeMap::new(),
            variables: HashMap::new(),
            contents: HashMap::new(),
            resources: Things::default(),
            keeper: Keeper::default(),
            clock: Arc::new(TestClock::default()),
            random: Arc::new(TestRandom::default()),
        }
    }

    /// With a policy of this name.
    pub fn policy(self, name: &str, text: &str) -> Self {
        self.file(&format!("policies/{name}.toml"), text)
    }

    /// With a file at this path.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.texts.insert(path.to_owned(), text.to_owned());
        self
    }

    /// With a store, an upstream or the like.
    pub fn resource<T: Any + Send + Sync>(mut self, kind: &str, name: &str, thing: T) -> Self {
        self.resources.0.insert((kind.to_owned(), name.to_owned()), Arc::new(thing));
        self
    }

    /// With an environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a file that a setting may name.
    pub fn content(mut self, path: &str, text: &str) -> Self {
        self.contents.insert(path.to_owned(), text.to_owned());
        self
    }

    /// With other facts of the node.
    pub fn node(mut self, change: impl FnOnce(&mut NodeFacts)) -> Self {
        change(&mut self.node);
        self
    }

    /// The clock, to set it forward.
    pub fn clock(&self) -> &Arc<TestClock> {
        &self.clock
    }

    /// The clock and the randomness of runs.
    pub fn environment(&self) -> Environment {
        Environment { clock: self.clock.clone(), random: self.random.clone() }
    }

    /// Compiles the policies.
    pub fn compile(&self) -> Compiled {
        self.compile_by(compile)
    }

    /// Compiles as is, by this way to compile.
    pub fn compile_by<T>(&self, compile: impl FnOnce(Input<'_>) -> T) -> T {
        let files = Files::from_texts(self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        compile(Input {
            files: &files,
            library: self.library,
            resources: &self.resources,
            keeper: &self.keeper,
            outside: &World { variables: &self.variables, contents: &self.contents },
            node: &self.node,
            generation: 1,
        })
    }

    /// Compiles policies that are to be right.
    ///
    /// # Panics
    /// Where they are not, with every problem.
    pub fn program(&self) -> Arc<Program> {
        let compiled = self.compile();
        match compiled.program {
            Some(program) => program,
            None => panic!("the policies are refused:\n{}", problems(&compiled).join("\n")),
        }
    }

    /// The problems that a compilation finds, as `FILE:LINE:COL: error[CODE]: message (help)`.
    pub fn problems(&self) -> Vec<String> {
        problems(&self.compile())
    }

    /// Serves one request, which waits for nothing that needs a runtime.
    pub fn run(&self, request: Request) -> Ran {
        block_on(self.serve(request))
    }

    /// Serves a GET of this path, perhaps with a query.
    pub fn get(&self, path: &str) -> Ran {
        self.run(request(Method::GET, path, &[], ""))
    }

    /// Serves one request; the policies are compiled anew. A program with a single policy and no route runs that one.
    pub async fn serve(&self, request: Request) -> Ran {
        let program = self.program();
        let environment = self.environment();
        let served = match program.policies.as_slice() {
            [only] if only.paths.is_empty() => {
                let name = only.name.clone();
                program.serve_policy(&name, &environment, request).await
            }
            _ => Some(program.serve(&environment, request).await),
        };
        read(&program, served.unwrap_or_else(|| unreachable!("the policy was just found"))).await
    }
}

/// Reads an answer to its end.
///
/// # Panics
/// Where a filter ended as it does not state (`BuildContext::fails` and the like): coverage and reference pages would be wrong.
pub async fn read(program: &Program, served: Served) -> Ran {
    let Served { response, decision, held_since, .. } = served;
    let unstated: Vec<String> = program.unstated(&decision).iter().map(ToString::to_string).collect();
    assert!(unstated.is_empty(), "{}", unstated.join("\n"));
    Ran {
        status: response.status.as_u16(),
        headers: response.headers,
        body: response.body.collect(usize::MAX).await.unwrap_or_else(|why| panic!("the body broke off: {why:?}")),
        decision: program.explain(&decision),
        is_held: held_since.is_some(),
    }
}

impl Ran {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("the body is no UTF-8"))
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("the body is no JSON: {why}: {}", self.text()))
    }

    /// A header's value, the empty text where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or("(no text)"))
    }

    /// The steps that ran: `NAME:outcome`.
    pub fn path(&self) -> Vec<String> {
        self.decision.steps.iter().map(|step| format!("{}:{}", step.filter, step.outcome)).collect()
    }

    /// The reason code of the refusal or fault that was answered.
    pub fn refused(&self) -> Option<&str> {
        self.decision.refused.as_ref().map(|(code, _)| code.as_str())
    }
}

/// A request; the path may have a query.
pub fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (path, None),
    };
    let mut request = Request::new(method, path, Bytes::copy_from_slice(body.as_bytes()).into());
    request.query = query;
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap_or_else(|_| panic!("`{name}` is no header name"));
        request.headers.append(name, value.parse().unwrap_or_else(|_| panic!("`{value}` is no header value")));
    }
    request
}

fn problems(compiled: &Compiled) -> Vec<String> {
    let one = |diagnostic: &crate::Diagnostic| {
        let place = diagnostic.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
        let severity = match diagnostic.problem.severity {
            crate::diagnostic::Severity::Error => "error",
            crate::diagnostic::Severity::Warning => "warning",
        };
        let help = diagnostic.problem.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{place}{severity}[{}]: {}{help}", diagnostic.problem.code, diagnostic.problem.message)
    };
    compiled.diagnostics.iter().map(one).collect()
}

/// Runs a future that is woken only by what it does itself: tests of what needs no runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// The plainest style: the status, and the reason's code as text.
pub struct Plain;

impl AnswerStyle for Plain {
    fn failure(&self, _: &Exchange, reason: &Reason) -> Response {
        let mut response = Response::new(reason.status);
        for challenge in &reason.challenges {
            response.headers.append(http::header::WWW_AUTHENTICATE, challenge.clone());
        }
        response.body = Body::from(reason.code.as_str().to_owned());
        response
    }

    fn abort(&self, _: &Exchange, abort: &Abort) -> Response {
        let mut response = Response::new(abort.status);
        response.body = Body::from(abort.code.as_str().to_owned());
        response
    }
}

/// A clock that stands still until it is set forward; its monotonic side counts its readings.
pub struct TestClock {
    unix_millis: AtomicU64,
    nanos: AtomicU64,
}

impl Default for TestClock {
    /// 2026-01-01T00:00:00Z.
    fn default() -> Self {
        TestClock { unix_millis: AtomicU64::new(1_767_225_600_000), nanos: AtomicU64::new(0) }
    }
}

impl TestClock {
    /// Sets it forward.
    pub fn advance(&self, by: std::time::Duration) {
        self.unix_millis.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Sets it to a Unix time, in milliseconds.
    pub fn set_unix_millis(&self, to: u64) {
        self.unix_millis.store(to, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn unix_millis(&self) -> u64 {
        self.unix_millis.load(Ordering::Relaxed)
    }
    fn monotonic_nanos(&self) -> u64 {
        self.nanos.fetch_add(1, Ordering::Relaxed)
    }
    fn sleep(&self, time: std::time::Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.advance(time) })
    }
}

/// Bytes that are different each time, and the same in each test.
#[derive(Default)]
pub struct TestRandom(Mutex<u64>);

impl TestRandom {
    /// From the beginning again.
    pub fn restart(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = 0;
    }
}

impl Random for TestRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            // SplitMix64: well mixed from any start, and nothing that a test would ever need more of.
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed >> 56) as u8;
        }
    }
}

#[derive(Default)]
struct Things(HashMap<(String, String), Arc<dyn Any + Send + Sync>>);

impl Resources for Things {
    fn get(&self, kind: &str, name: &str) -> Result<Arc<dyn Any + Send + Sync>, Problem> {
        let found = self.0.get(&(kind.to_owned(), name.to_owned())).cloned();
        found.ok_or_else(|| {
            let code = if kind == crate::ports::UPSTREAM { codes::UNKNOWN_UPSTREAM } else { codes::STORE };
            Problem::error(code, format!("there is no {kind} `{name}`"))
        })
    }
}

struct World<'a> {
    variables: &'a HashMap<String, String>,
    contents: &'a HashMap<String, String>,
}

impl Outside for World<'_> {
    fn variable(&self, name: &str) -> Result<String, SecretError> {
        self.variables.get(name).cloned().ok_or(SecretError::Missing)
    }
    fn file(&self, path: &str) -> Result<String, SecretError> {
        self.contents.get(path).cloned().ok_or(SecretError::Missing)
    }
    fn clear_secrets(&self) -> bool {
        true
    }
}
