//! From files to a generation: read, settings, compile, test, open. `check`, `run`, `test` and reloads use the same steps.

mod bed;
mod canned;
mod changes;
mod gate;
mod generation;
mod given;
mod opening;
mod outside;
mod phonebook;
mod resources;
mod slate;
mod world;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use policy::Diagnostics;
use policy::compile::{Compiled, Input, NodeFacts, compile};
use policy::diagnostic::{Problem, SourceFile, codes};
use policy::engine::Program;
use policy::filter::Keeper;
use policy::ports::{Clock, Observer, Reached, Upstream};
use policy::reader::{Document, Files, read_bounded, read_folder};
use store::mapping::{Mapping, Opened};
use store::oauth::provider::Provider;
use store::seal::Encryption;

pub(crate) use self::bed::{TestBed, unchanged};
pub use self::canned::{Fault, GivenAnswer, GivenAnswers};
pub(crate) use self::changes::{changes, found_there, left_behind, left_early, turned_early};
pub(crate) use self::gate::{Gate, run_chosen, run_tests};
pub(crate) use self::generation::{Fingerprint, Generation, ServedListener, ServedRoute, TakenUp};
pub use self::given::{GivenClient, GivenSession, GivenStore, GivenTable, GivenToken, GivenUser};
pub(crate) use self::opening::{open, source_down};
pub(crate) use self::outside::Recorder;
use self::resources::Things;
pub(crate) use self::world::TestWorld;
use crate::lint;
use crate::listen::Address;
use crate::options::Options;
use crate::settings::{self, ListenerSettings, ProviderSettings, Settings, Way};
use crate::upstream::{HttpUpstream, Tasks, UpstreamSettings, Whole};

/// The fact that a policy seals something.
const SEALS: &str = "seals";

/// The files at one instant, with the settings in them. Policies are not looked at yet.
pub(crate) struct Reading {
    pub(crate) files: Arc<Files>,
    /// Held until the load is over, so that no file is parsed twice.
    _documents: Vec<Document>,
    outside: Arc<Recorder>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) diagnostics: Diagnostics,
}

type Upstreams = BTreeMap<String, Arc<HttpUpstream>>;

type Providers = BTreeMap<String, LoadedProvider>;

/// A provider of one generation.
pub(crate) struct LoadedProvider {
    settings: ProviderSettings,
    /// What it is reached through: its own connections, or those of `[upstream.NAME]`.
    pub(crate) upstream: Arc<HttpUpstream>,
    reached: Arc<Reached<Provider>>,
}

impl LoadedProvider {
    /// Whether its connections are nobody else's.
    fn is_reached_by_itself(&self) -> bool {
        matches!(self.settings.way, Way::Own(_))
    }
}

/// A generation to be: everything is compiled, nothing is opened.
pub(crate) struct Draft {
    pub(crate) reading: Reading,
    pub(crate) stores: Arc<Opened>,
    pub(crate) upstreams: Upstreams,
    pub(crate) providers: Providers,
    /// None where there are errors.
    pub(crate) program: Option<Arc<Program>>,
    /// The tests' world, where the program was compiled against that: it is there for the first who runs tests.
    world: Mutex<Option<TestWorld>>,
    /// What lints say, for whoever checks the files: a node that runs is told of problems only.
    pub(crate) lints: Diagnostics,
    /// What stands below `policies/`, parsed.
    documents: BTreeMap<String, Document>,
}

/// What a draft takes from the node that it is made for.
pub(crate) struct Before<'a> {
    /// State of filters, kept over reloads.
    pub(crate) keeper: &'a Keeper,
    /// The clock of upstreams' pools.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where filters say what they have seen.
    pub(crate) observer: Arc<dyn Observer>,
    /// The generation that serves: what did not change is taken over.
    pub(crate) generation: Option<&'a Generation>,
    /// The number of the generation to be.
    pub(crate) number: u64,
    /// The address that the single listener really has, where it is bound already.
    pub(crate) bound: Option<SocketAddr>,
}

impl Reading {
    /// Reads the folder. `strict`: whether a missing variable or secret file is an error (`run`) or a warning (`check`).
    pub(crate) fn new(options: &Options, strict: bool) -> Reading {
        Reading::with_texts(options, strict, &BTreeMap::new())
    }

    /// The same with these texts laid over the files of the folder, by path.
    pub(crate) fn with_texts(options: &Options, strict: bool, texts: &BTreeMap<String, Arc<SourceFile>>) -> Reading {
        let mut files = read_files(options);
        files.lay_over(texts);
        let documents = files.documents();
        let outside = Arc::new(Recorder::new(options.outside.clone(), strict));
        let (mut settings, mut diagnostics) = settings::read(&files, options.admin, &*outside);
        diagnostics.extend(files.diagnostics.clone());
        if files.files.is_empty() && files.diagnostics.is_empty() {
            diagnostics.push(no_configuration(&options.dir).nowhere());
        }
        override_listeners(&mut settings, options);
        Reading { files: Arc::new(files), _documents: documents, outside, settings: Arc::new(settings), diagnostics }
    }
}

/// All files, at this instant.
pub(crate) fn read_files(options: &Options) -> Files {
    let mut files = read_folder(&options.dir);
    if let Some(path) = &options.values {
        add_values(&mut files, path);
    }
    files
}

/// The file of `--values` counts as one of the files, so that its change is a change. Its path is relative to the current folder.
fn add_values(files: &mut Files, path: &Path) {
    let read = File::open(path).and_then(read_bounded);
    match read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("it is no UTF-8 text"))) {
        Ok(text) => {
            let file = SourceFile::new(path.display().to_string(), text);
            files.files.insert(String::from(settings::VALUES_FILE), Arc::new(file));
        }
        Err(why) => {
            let message = format!("the file of values `{}` cannot be read: {why}", path.display());
            let problem = Problem::error(codes::UNREADABLE, message);
            let help = "`--values` names a TOML file, relative to the current folder";
            files.diagnostics.push(problem.with_help(help).nowhere());
        }
    }
}

/// A folder without a single file is a mistake in `-c`, and not a gateway that serves nothing.
fn no_configuration(dir: &Path) -> Problem {
    let message = format!("`{}` has no configuration: no policies/, no stores/, no node.toml", dir.display());
    Problem::error(codes::UNREADABLE, message).with_help("`portcullis init DIR` makes one; `-c DIR` names it")
}

/// `--listen` holds over every load.
///
/// `--listen` leaves one listener: the first of the file, with its policies, at another address. The others are not there; a policy
/// that is bound to one of them is then an error rather than open on a listener that it was not meant for.
fn override_listeners(settings: &mut Settings, options: &Options) {
    if let Some(address) = options.listen {
        let left_out = settings.node.listeners.drain(1..).map(|listener| listener.name);
        settings.node.listeners_left_out = left_out.collect();
        let only = &mut settings.node.listeners[0];
        *only =
            ListenerSettings { address: Address::Tcp(address), tls: None, proxy_protocol: Vec::new(), ..only.clone() };
    }
}

impl Draft {
    /// Compiles what was read: pure but for secret files. All problems are in `reading.diagnostics`.
    pub(crate) fn new(reading: Reading, options: &Options, before: &Before<'_>) -> Draft {
        Draft::by(compile, reading, options, before)
    }

    /// The same by another way to compile.
    pub(crate) fn by(
        compile: impl FnOnce(Input<'_>) -> Compiled,
        reading: Reading,
        options: &Options,
        before: &Before<'_>,
    ) -> Draft {
        let observer = before.observer.clone();
        let things = |stores: &Opened, upstreams: &Upstreams, providers: &Providers| {
            let named = stores.stores().filter_map(|(name, ..)| Some((name.to_owned(), stores.store(name)?.clone())));
            let upstreams = upstreams.iter().map(|(name, u)| (name.clone(), u.clone() as Arc<dyn Upstream>));
            let providers = providers.iter().map(|(name, p)| (name.clone(), p.reached.clone())).collect();
            let sealer = stores.sealer().clone();
            let (stores, upstreams, directories) = (named.collect(), upstreams.collect(), crate::directory::all());
            let dir = options.dir.clone();
            (Things { stores, upstreams, sealer, providers, directories, observer, dir }, None)
        };
        Draft::with_things(things, compile, reading, options, before)
    }

    /// Compiled against the world of the files' own tests: for commands that serve nothing, and then run the tests. What is told of
    /// the files is the same.
    pub(crate) fn rehearsal(reading: Reading, options: &Options, before: &Before<'_>) -> Draft {
        let providers = world::providers(&reading.settings);
        let things = |stores: &Opened, upstreams: &Upstreams, _: &Providers| {
            let upstreams = world::upstreams(upstreams);
            let (world, things) = TestWorld::new(&world::shape(stores), &upstreams, &providers, &options.dir);
            (things, Some(world))
        };
        Draft::with_things(things, compile, reading, options, before)
    }

    fn with_things(
        things: impl FnOnce(&Opened, &Upstreams, &Providers) -> (Things, Option<TestWorld>),
        compile: impl FnOnce(Input<'_>) -> Compiled,
        mut reading: Reading,
        options: &Options,
        before: &Before<'_>,
    ) -> Draft {
        let settings = reading.settings.clone();
        let stores = open_nothing(&settings, options, before.generation);
        let upstreams = upstreams(&settings, before);
        let providers = providers(&settings, &upstreams, before);
        let facts = facts(&settings, before.bound);
        let (things, world) = things(&stores, &upstreams, &providers);
        let compiled = compile(Input {
            files: &reading.files,
            library: options.library,
            resources: &things,
            keeper: before.keeper,
            outside: &*reading.outside,
            node: &facts,
            generation: before.number,
        });
        reading.diagnostics.extend(compiled.diagnostics);
        let used = |store: &str| compiled.used.iter().any(|(kind, name)| kind == "store" && name == store);
        settings.stores.refuse_local(Some(&used), &mut reading.diagnostics);
        let seals = compiled.program.as_ref().is_some_and(|program| !program.facts(SEALS).is_empty());
        if seals && settings.node.encryption == Encryption::Missing && !reading.diagnostics.has_errors() {
            reading.diagnostics.push(settings.stores.no_key_in_common());
        }
        reading.diagnostics = std::mem::take(&mut reading.diagnostics).sorted();
        let program = compiled.program.filter(|_| !reading.diagnostics.has_errors());
        let lints = match program {
            Some(_) => {
                let now = before.clock.unix_millis() / 1000;
                lint::told(compiled.lints, &compiled.used, &reading.files, &settings, &reading.outside, now)
            }
            None => Diagnostics::new(),
        };
        let world = Mutex::new(world);
        Draft { reading, stores, upstreams, providers, program, world, lints, documents: compiled.documents }
    }
}

/// The stores of the mapping, not opened. Where the mapping is wrong, which is told already, stores in memory stand in, so that
/// the policies can be checked all the same.
fn open_nothing(settings: &Settings, options: &Options, before: Option<&Generation>) -> Arc<Opened> {
    let previous = before.map(|generation| &*generation.stores);
    let opened = Opened::new(&settings.stores.mapping, &options.dir, previous).or_else(|_| {
        let stores = settings.stores.mapping.stores.iter();
        let stores = stores.map(|(name, store)| (name.clone(), store::mapping::StoreMapping::new(store.kind, None)));
        let kps = settings.stores.mapping.kps.clone();
        let stand_in = Mapping { stores: stores.collect(), kps, ..Mapping::in_memory() };
        Opened::new(&stand_in, &options.dir, None)
    });
    match opened.or_else(|_| Opened::new(&Mapping::in_memory(), &options.dir, None)) {
        Ok(opened) => Arc::new(opened),
        Err(problems) => unreachable!("the mapping in memory has no problems: {problems:?}"),
    }
}

/// An upstream: the one before where nothing was changed, and else with what it has in common with that.
fn upstream(
    name: &str,
    settings: &UpstreamSettings,
    kept: Option<&Arc<HttpUpstream>>,
    clock: &Arc<dyn Clock>,
) -> Arc<HttpUpstream> {
    match kept {
        Some(kept) if kept.settings() == settings => kept.clone(),
        _ => Arc::new(HttpUpstream::new(name, settings.clone(), clock.clone(), kept.map(|kept| &**kept))),
    }
}

fn upstreams(settings: &Settings, before: &Before<'_>) -> Upstreams {
    let named = settings.node.upstreams.iter().map(|(name, settings)| {
        let nowhere = UpstreamSettings::nowhere();
        let kept = before.generation.and_then(|generation| generation.upstreams.get(name));
        (name.clone(), upstream(name, settings.as_ref().unwrap_or(&nowhere), kept, &before.clock))
    });
    named.collect()
}

/// The providers: those whose settings and way stayed the same with what is known of them.
fn providers(settings: &Settings, upstreams: &Upstreams, before: &Before<'_>) -> Providers {
    let before_of = |name: &str| before.generation.and_then(|generation| generation.providers.get(name));
    let own = |name: &str, settings: &UpstreamSettings| {
        let kept = before_of(name).map(|provider| &provider.upstream);
        upstream(&format!("provider.{name}"), settings, kept, &before.clock)
    };
    let provider = |(name, settings): (&String, &Option<ProviderSettings>)| {
        let settings = settings.clone().unwrap_or_else(|| ProviderSettings::nowhere(name));
        let upstream = match &settings.way {
            Way::Upstream(through) => upstreams.get(through)?.clone(),
            Way::Own(settings) => own(name, settings),
        };
        let same = |kept: &&LoadedProvider| kept.settings == settings && Arc::ptr_eq(&kept.upstream, &upstream);
        let reached = before_of(name).filter(same).map(|kept| kept.reached.clone());
        let reached = reached.unwrap_or_else(|| Arc::new(reach(&settings.provider, upstream.clone())));
        Some((name.clone(), LoadedProvider { settings, upstream, reached }))
    };
    settings.node.providers.iter().filter_map(provider).collect()
}

/// A provider as filters get it.
fn reach(provider: &Arc<Provider>, upstream: Arc<dyn Upstream>) -> Reached<Provider> {
    let timeout = std::time::Duration::from_secs(provider.timeout);
    let upstream = Arc::new(Whole::new(upstream, timeout, provider.answer_limit));
    Reached::new(provider.clone(), upstream, Arc::new(Tasks))
}

fn facts(settings: &Settings, bound: Option<SocketAddr>) -> NodeFacts {
    let node = &settings.node;
    let issuer = match node.listeners.as_slice() {
        [only] => only.address.tcp().filter(|address| address.ip().is_loopback()).map(|address| {
            let scheme = if only.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{}", bound.unwrap_or(address))
        }),
        _ => None,
    };
    NodeFacts {
        name: node.name.clone(),
        values: node.values.clone(),
        listeners: node.listeners.iter().map(ListenerSettings::facts).collect(),
        listeners_left_out: node.listeners_left_out.clone(),
        default_issuer: issuer,
        body_limit: node.limits.body,
        cluster_nodes: node.cluster_nodes,
    }
}
