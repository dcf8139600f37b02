//! What the engine and its filters need from outside, as traits. `server` and `store` stand behind them.

mod fields;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::diagnostic::Problem;
use crate::exchange::Body;

pub use self::fields::Fields;

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970 (Unix time).
    fn unix_millis(&self) -> u64;
    /// Nanoseconds since some start, never going back: for durations.
    fn monotonic_nanos(&self) -> u64;
    /// Waits so long. A clock that is set by a test is set forward instead.
    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()>;
}

/// Unpredictable bytes, from the operating system (fixed in tests).
pub trait Random: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// Named things that filters use and that the configuration declares: stores, upstreams, policies' own settings.
///
/// `kind` is the word of the configuration (`"store"`, `"upstream"`, `"server"`); what is behind it is a type that the
/// caller and the filter library agree on.
pub trait Resources: Send + Sync {
    /// The thing of this kind and name, or what is wrong (unknown, of another kind, lacking a verb), with the remedy.
    fn get(&self, kind: &str, name: &str) -> Result<Arc<dyn Any + Send + Sync>, Problem>;
}

/// An upstream: sends one request and gives the answer's head as soon as it is there; bodies stream. What belongs to one
/// connection (RFC 9110, section 7.6.1) is its own affair: it takes those fields off the request and off the answer, writes
/// the framing from the body. It gives 101 only where the request asked for that ([`Upgrade`](crate::exchange::Upgrade) among its
/// extensions), to that protocol and with the connection among the answer's extensions ([`Upgraded`](crate::exchange::Upgraded)).
pub trait Upstream: Send + Sync + 'static {
    /// Sends the request. Its URI has path and query only; `Host` is set by the implementation unless present.
    fn send(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>>;

    /// [`send`](Self::send), with fields that stand behind the request's own. None of them is a connection's, tells a length or is `Host`, and but
    /// for lists such as `Via` the request has none of their names. See [`Fields`] for why they stand apart.
    fn send_with(
        &self,
        mut request: http::Request<Body>,
        fields: Fields,
    ) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
        request.headers_mut().extend(fields.iter());
        self.send(request)
    }

    /// Whether one of its targets is at this origin; the host in lower case, without brackets.
    fn is_at(&self, scheme: &str, host: &str, port: u16) -> bool {
        let _ = (scheme, host, port);
        false
    }
}

/// What a request carries, in its extensions, that may be sent again though its method does not say so: whoever declared it knows that
/// twice does no harm.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable;

/// What a request carries, in its extensions, to an upstream that chooses its target by a key: equal keys have the same target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceKey(pub Arc<str>);

/// What can go wrong with an upstream, before the head of its answer.
#[derive(Clone, Debug)]
pub enum UpstreamError {
    /// No connection: refused, unreachable, closed before the answer.
    Unreachable(String),
    /// The time limit named here passed (`connect`, `first_byte`, `whole`).
    Timeout(&'static str),
    /// As much goes on there as the limit named here allows (`requests`, `pending`, `connections`).
    Full(&'static str),
    /// The client's own body broke off or was malformed.
    RequestBody(String),
    /// The answer was no HTTP.
    Malformed(String),
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamError::Unreachable(why) => write!(f, "unreachable: {why}"),
            UpstreamError::Timeout(which) => write!(f, "silent: `timeouts.{which}` passed"),
            UpstreamError::Full(which) => write!(f, "too much goes on there: `limits.{which}`"),
            UpstreamError::RequestBody(why) => write!(f, "the request's body broke off: {why}"),
            UpstreamError::Malformed(why) => write!(f, "the answer is malformed: {why}"),
        }
    }
}

/// The word for a value of `[values]`, among the things that filters use.
pub const VALUE: &str = "value";

/// The name under which upstreams are asked for in [`Resources`]: the thing is an [`UpstreamHandle`].
pub const UPSTREAM: &str = "upstream";

/// The name under which upstreams are asked for whose answers are documents: the whole of one is there when it is given, or it was too large or
/// took too long. The thing is an [`UpstreamHandle`], too.
pub const DOCUMENTS: &str = "documents of an upstream";

/// What [`Resources`] gives for [`UPSTREAM`] and [`DOCUMENTS`].
pub struct UpstreamHandle(pub Arc<dyn Upstream>);

/// The name under which directories of people are asked for in [`Resources`]: the thing is a [`DirectoriesHandle`].
pub const DIRECTORIES: &str = "directories";

/// What [`Resources`] gives for [`DIRECTORIES`].
pub struct DirectoriesHandle(pub Arc<dyn Directories>);

/// Directories of people that are elsewhere (LDAP).
pub trait Directories: Send + Sync + 'static {
    /// The one entry that the directory has under this name and lets in with this password; `None` where there is none, or there
    /// are several, or the password is another one.
    fn prove<'a>(&'a self, directory: &'a Directory, name: &'a str, password: &'a str) -> Proving<'a>;
}

/// What comes of a name and a password, or why that cannot be told.
pub type Proving<'a> = BoxFuture<'a, Result<Option<DirectoryEntry>, String>>;

/// A directory, and where its people are.
pub struct Directory {
    /// `ldap://HOST:PORT`
    pub url: String,
    /// Where people are looked for, and below.
    pub base: String,
    /// How: a filter of RFC 4515, in which `{name}` stands for the name, escaped.
    pub filter: String,
    /// As whom the gateway looks: a DN, and its password. None = as nobody.
    pub bind: Option<(String, Box<dyn Exposed>)>,
    /// What is asked of an entry.
    pub attributes: Vec<String>,
    /// How long all of it may take.
    pub timeout: Duration,
}

/// A secret, for the one place that needs it.
pub trait Exposed: Send + Sync {
    /// Its text.
    fn expose(&self) -> &str;
}

/// Somebody in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The values of the attributes that were asked for, by the names that were asked.
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// The name under which folders are asked for whose files are given out, in [`Resources`]: the thing is a [`FolderHandle`].
pub const FOLDER: &str = "folder";

/// What [`Resources`] gives for [`FOLDER`].
pub struct FolderHandle(pub Arc<dyn Folder>);

/// A folder whose files are given out as they are at that moment.
pub trait Folder: Send + Sync + 'static {
    /// What there is under this name: names of folders and at last of a file, with `/` between. Nothing outside of the folder is ever found, by
    /// whatever name or link.
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, std::io::Result<Found>>;
}

/// What there is under a name.
pub enum Found {
    /// A file.
    File(Box<dyn FoundFile>),
    /// A folder.
    Folder,
    /// Nothing, or nothing that is given out: a device, a link that leads out.
    Nothing,
}

/// A file that is open: what is read of it is of one version, unless that is written to.
pub trait FoundFile: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> u64;
    /// When it was written last, in nanoseconds since 1970.
    fn modified(&self) -> u64;
    /// So many of its bytes from there on.
    fn read(self: Box<Self>, from: u64, length: u64) -> Body;
}

/// Work that goes on to its end though nobody waits for it: what an upstream has done must be written down, also where the client that
/// asked is gone.
pub trait Background: Send + Sync + 'static {
    /// Begins the work.
    fn run(&self, work: BoxFuture<'static, ()>);
}

/// Waiting, where something else is to have its chance first.
pub trait Timer: Send + Sync + 'static {
    /// Ends after this time.
    fn after(&self, time: Duration) -> BoxFuture<'static, ()>;
}

/// The name under which filters ask for what goes on beside a request; it has no other name. The thing is an [`Aside`].
pub const ASIDE: &str = "what goes on beside requests";

/// What [`Resources`] gives for [`ASIDE`].
#[derive(Clone)]
pub struct Aside {
    /// Finishes what was begun.
    pub background: Arc<dyn Background>,
    /// Bounds how long something may take.
    pub timer: Arc<dyn Timer>,
}

/// The name under which providers (other authorization servers) are asked for in [`Resources`]: the thing is a [`Reached`].
pub const PROVIDER: &str = "provider";

/// Something outside with settings of its own, and the way to it.
pub struct Reached<T> {
    /// What it is.
    pub what: Arc<T>,
    /// How it is called.
    pub upstream: Arc<dyn Upstream>,
    /// Who finishes what was begun with it.
    pub background: Arc<dyn Background>,
    learned: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl<T> Reached<T> {
    /// Reached in this way.
    pub fn new(what: Arc<T>, upstream: Arc<dyn Upstream>, background: Arc<dyn Background>) -> Self {
        Reached { what, upstream, background, learned: OnceLock::new() }
    }

    /// What those who use it know of it together: it lasts as long as the settings stay what they are. All of them ask for one type.
    ///
    /// # Panics
    /// Where somebody asked for another type before.
    pub fn learned<L: Any + Send + Sync + Default>(&self) -> Arc<L> {
        let learned = self.learned.get_or_init(|| Arc::new(L::default())).clone();
        learned.downcast().unwrap_or_else(|_| panic!("two libraries share one thing outside"))
    }
}

/// The word under which whoever tells of requests is asked for in [`Resources`], without a name: the thing is an [`ObserverHandle`].
pub const OBSERVER: &str = "observer";

/// What [`Resources`] gives for [`OBSERVER`].
pub struct ObserverHandle(pub Arc<dyn Observer>);

/// Where filters tell what they have seen. What is told here was redacted before.
pub trait Observer: Send + Sync + 'static {
    /// Whether lines of this level are wanted: asked before anything is gathered for one.
    fn wants(&self, level: LogLevel) -> bool;
    /// Writes a line to the log. It never waits for a disk.
    fn log(&self, line: LogLine<'_>);
    /// Appends a record to the audit log: done once it is in the file, or why it cannot be.
    fn audit(&self, record: AuditRecord) -> BoxFuture<'_, Result<(), String>>;
    /// A metric of this shape; the same one for all who ask for the same shape. The error says which other shape the name has already.
    fn meter(&self, shape: MeterShape) -> Result<Arc<dyn Meter>, String>;
}

/// Levels of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogLevel {
    /// For whoever looks for a mistake.
    Debug,
    /// What happened.
    #[default]
    Info,
    /// What somebody should look at.
    Warn,
    /// What somebody must mend.
    Error,
}

/// A line that a filter writes.
pub struct LogLine<'a> {
    /// How grave.
    pub level: LogLevel,
    /// The request's identifier.
    pub id: &'a str,
    /// `FILE:LINE` of the filter.
    pub place: &'a str,
    /// What happened, for people.
    pub message: &'a str,
    /// What belongs to it, for programs.
    pub fields: &'a serde_json::Map<String, serde_json::Value>,
}

/// A record of who did what.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// When, Unix milliseconds.
    pub at: u64,
    /// The request's identifier.
    pub id: Arc<str>,
    /// `FILE:LINE` of the filter.
    pub place: Arc<str>,
    /// Who.
    pub who: String,
    /// Through which client.
    pub client: Option<String>,
    /// What was done.
    pub action: String,
    /// To what.
    pub of: Option<String>,
    /// What belongs to it.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// What a metric is.
#[derive(Clone, Debug, PartialEq)]
pub struct MeterShape {
    /// Its name, without the node's prefix and the suffix of its kind.
    pub name: String,
    /// What it counts, for people.
    pub help: String,
    /// The upper bounds of its buckets: a histogram. None = a counter.
    pub bounds: Option<Vec<f64>>,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// How many different sets of their values are kept apart; what is beyond is counted with `other` in place of each.
    pub most: usize,
}

/// A metric.
pub trait Meter: Send + Sync + 'static {
    /// Counts so much, or observes it, under these values of the labels, in the shape's order.
    fn count(&self, labels: &[std::borrow::Cow<'_, str>], amount: f64);
}

/// The clock and the randomness of a run.
#[derive(Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}
