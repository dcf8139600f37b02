//! `portcullis run`: from start to drained.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use policy::Value;
use policy::filter::Keeper;
use policy::ports::{Environment, Observer};
use store::StoreHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin::{Admin, note_address, read_or_make_token};
use crate::audit::Audit;
use crate::clock;
use crate::descriptors;
use crate::listen::{Connections, Listeners, Plan};
use crate::load::{Before, Draft, Generation, Reading, TakenUp, open};
use crate::metrics::Metrics;
use crate::node::{Node, Parts, access_log};
use crate::options::{Host, Options, StartError, Started, StartedListener};
use crate::reload::{self, Trigger};
use crate::settings::Settings;
use crate::tasks;
use crate::telling::{NodeObserver, PolicyAudit, Silent, Spans, Waiting, Writers, export_always};

/// How long a start waits for sources; it goes on without those that take longer.
const OPENING: Duration = Duration::from_secs(5);

/// How long the last spans may take to the collector.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// How long the admin address may take for its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Loads the folder and serves until SIGTERM or SIGINT, then drains: `Ok` once the last request is answered. A second signal ends
/// at once.
///
/// Needs a tokio runtime with time and I/O enabled.
pub async fn run(options: Options, host: Arc<dyn Host>) -> Result<(), StartError> {
    let mut signals = Signals::new()?;
    let running = launch(options, host, clock::environment()).await?;
    running.node.host.started(&running.started);
    until_told(&running.node, &mut signals).await;
    tokio::select! {
        () = running.drain() => {}
        () = signals.end() => tracing::warn!("ended at once: requests in flight are cut off"),
    }
    Ok(())
}

/// A node that serves.
pub(crate) struct Running {
    pub(crate) node: Arc<Node>,
    pub(crate) started: Started,
    pub(crate) admin: Arc<Connections>,
}

/// Everything from the files to a node that serves.
pub(crate) async fn launch(
    options: Options,
    host: Arc<dyn Host>,
    environment: Environment,
) -> Result<Running, StartError> {
    let most = descriptors::raise();
    let (node, plan, admin, triggers, waiting) = start(options, host, environment).await?;
    descriptors::tell(most, node.generation.load().settings.node.limits.connections);
    let started = started(&node, &plan, admin.address).await;
    node.listeners.carry_out(&node, plan);
    let admin = admin.serve(&node);
    tasks::spawn(reload::run(node.clone(), triggers));
    tasks::spawn(tasks::watch_sources(node.clone()));
    tasks::spawn(tasks::purge_always(node.clone()));
    tasks::spawn(tasks::beat_always(node.clone()));
    tasks::spawn(tasks::keep_keys(node.clone()));
    tasks::spawn(tasks::keep_certificates(node.clone()));
    tasks::spawn(tasks::watch_moves(node.clone()));
    node.generation.load().begin();
    tasks::spawn(export_always(node.clone(), waiting));
    Ok(Running { node, started, admin })
}

/// The signals that a node listens to, from before it does anything.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn new() -> Result<Signals, StartError> {
        let listen = |kind| {
            signal(kind).map_err(|why| StartError::failed(format!("signals cannot be heard: {why}"), "start it anew"))
        };
        Ok(Signals {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
            hup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// An admin address that is bound and not yet served.
struct BoundAdmin {
    socket: TcpListener,
    address: SocketAddr,
    token: String,
    audit: Audit,
}

impl BoundAdmin {
    async fn bind(options: &Options, settings: &Settings, environment: &Environment) -> Result<BoundAdmin, StartError> {
        let wanted = settings.node.admin;
        let socket = TcpListener::bind(wanted).await;
        let bound = socket.and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (address, socket) = bound.map_err(|why| {
            let help = "give it another one: `[admin] address` in node.toml, or `--admin`";
            StartError::failed(format!("the admin address {wanted} cannot be had: {why}"), help)
        })?;
        let token = read_or_make_token(&options.dir, &*environment.random).map_err(|why| {
            let help = "the folder must be writable for the user that runs the node";
            StartError::failed(
                format!("the admin token cannot be read or made below `{}`: {why}", options.dir.display()),
                help,
            )
        })?;
        // A node that nobody finds by it is a node all the same.
        if let Err(why) = note_address(&options.dir, address) {
            tracing::warn!(
                "`var/admin.address` cannot be written, by which commands find the node without `node.toml`: {why}"
            );
        }
        let audit = Audit::of_admin(&options.dir, environment.clone());
        Ok(BoundAdmin { socket, address, token, audit })
    }

    fn serve(self, node: &Arc<Node>) -> Arc<Connections> {
        let connections = Arc::<Connections>::default();
        let admin = Admin::new(node.clone(), self.token, self.address, self.audit);
        tasks::spawn(admin.run(self.socket, connections.clone()));
        connections
    }
}

type Start = (Arc<Node>, Plan, BoundAdmin, mpsc::Receiver<Trigger>, Waiting);

/// Everything up to the first generation. What is wrong with the files is all told before anything is bound or opened.
async fn start(options: Options, host: Arc<dyn Host>, environment: Environment) -> Result<Start, StartError> {
    let reading = read(&options).await;
    host.log(&reading.settings.node.log, None);
    let settings = reading.settings.clone();
    let keeper = Arc::new(Keeper::default());
    if reading.diagnostics.has_errors() {
        let silent = Arc::new(Silent::default());
        let draft = compile(reading, &options, &keeper, (&environment, silent), None).await;
        return Err(StartError::Refused(draft.reading.diagnostics));
    }
    let listeners = Listeners::default();
    let plan = listeners.plan(&settings.node.listeners, &options.dir).map_err(|(address, why)| {
        let help = "give it another address: `[[listener]]` in node.toml, or `--listen`";
        StartError::failed(format!("a listener cannot listen on {address}: {why}"), help)
    })?;
    let metrics = Arc::new(Metrics::default());
    let observer = Arc::new(NodeObserver { metrics: metrics.clone(), audit: PolicyAudit::new(&options.dir) });
    let told = observer.for_load();
    let mut draft = compile(reading, &options, &keeper, (&environment, told), plan.only_address()).await;
    let Some(program) = draft.program.clone() else { return Err(StartError::Refused(draft.reading.diagnostics)) };
    let admin = BoundAdmin::bind(&options, &settings, &environment).await?;
    // The first run of a single node makes its key. Only what must be sealed or opened fails without one.
    if let Err(why) = draft.stores.sealer().fingerprint(true) {
        tracing::warn!("nothing can be sealed or opened: {why}");
    }
    let found = open(&draft, None, OPENING).await;
    draft.reading.diagnostics.extend(found);
    let writers = Writers::default();
    let access = access_log(&writers, &options, &settings.node, &metrics);
    let since = environment.clock.unix_millis() / 1_000;
    let listeners_served = plan.served(None, &metrics);
    let taken = TakenUp { number: 1, since, listeners: listeners_served, changes: Vec::new(), access };
    let generation = Generation::new(draft, program, &metrics, taken);
    let (triggers, asked) = mpsc::channel(16);
    let (spans, waiting) = Spans::new(metrics.clone());
    let parts = Parts {
        options,
        host,
        environment,
        keeper,
        metrics,
        observer,
        writers,
        spans,
        generation,
        listeners,
        triggers,
    };
    Ok((Node::new(parts), plan, admin, asked, waiting))
}

async fn read(options: &Options) -> Reading {
    let options = options.clone();
    tasks::blocking(move || Reading::new(&options, true)).await
}

async fn compile(
    reading: Reading,
    options: &Options,
    keeper: &Arc<Keeper>,
    (environment, observer): (&Environment, Arc<dyn Observer>),
    bound: Option<SocketAddr>,
) -> Draft {
    let (options, keeper, clock) = (options.clone(), keeper.clone(), environment.clock.clone());
    tasks::blocking(move || {
        let before = Before { keeper: &keeper, clock, observer, generation: None, number: 1, bound };
        Draft::new(reading, &options, &before)
    })
    .await
}

async fn started(node: &Node, plan: &Plan, admin: SocketAddr) -> Started {
    let generation = node.generation.load_full();
    let listeners: Vec<_> = plan
        .addresses()
        .map(|(settings, address)| StartedListener {
            name: settings.name.clone(),
            secure: settings.tls.is_some(),
            address: address.clone(),
        })
        .collect();
    let first_token = match token_endpoint(&generation) {
        Some(path) if no_clients(&generation).await => {
            let first = listeners.iter().find_map(|listener| Some((listener, listener.address.tcp()?)));
            first.map(|(listener, address)| format!("{}://{}{path}", listener.scheme(), nearby(address)))
        }
        _ => None,
    };
    Started {
        name: generation.settings.node.name.clone(),
        generation: generation.number,
        listeners,
        admin,
        warnings: generation.warnings.clone(),
        first_token,
    }
}

/// The path of the policy that is a token endpoint.
fn token_endpoint(generation: &Generation) -> Option<String> {
    let facts = generation.program.facts("endpoint");
    let endpoint =
        facts.into_iter().find(|(_, _, value)| matches!(value, Value::Text(text) if &**text == "token_endpoint"))?;
    let path = endpoint.1.first()?;
    // A route may begin with its methods.
    Some(path[path.find('/')?..].to_owned())
}

async fn no_clients(generation: &Generation) -> bool {
    match generation.stores.store("clients") {
        Some(StoreHandle::Clients(clients)) => clients.list(None, 1).await.is_ok_and(|found| found.is_empty()),
        _ => false,
    }
}

/// Where a listener is reached from this machine.
fn nearby(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port())),
        other => other,
    }
}

/// Serves until SIGTERM or SIGINT; SIGHUP loads.
async fn until_told(node: &Node, signals: &mut Signals) {
    loop {
        tokio::select! {
            _ = signals.hup.recv() => {
                // A full queue means that loads are asked for already.
                let _ = node.triggers.try_send(Trigger { by: "SIGHUP", answer: None });
            }
            _ = signals.term.recv() => return,
            _ = signals.int.recv() => return,
        }
    }
}

impl Running {
    /// No new connections, and an end once what has begun is answered; the admin address answers to the last.
    pub(crate) async fn drain(&self) {
        self.node.set_draining();
        let limit = self.node.generation.load().settings.node.limits.drain;
        tracing::info!("draining: requests in flight have {limit:?}");
        if self.node.listeners.drain(limit).await {
            tracing::info!("drained");
        } else {
            tracing::warn!("some requests did not end within {limit:?} and were cut off");
        }
        tasks::say_farewell(&self.node).await;
        // The last spans, and what is left of access logs.
        let exported = self.node.spans.drained();
        let _ = tokio::time::timeout(LAST_SPANS, exported).await;
        let node = self.node.clone();
        tasks::blocking(move || node.writers.finish()).await;
        self.admin.finish();
        let _ = tokio::time::timeout(LAST_ANSWERS, self.admin.gone()).await;
    }
}
