//! `stores/stores.toml`: which store keeps its records in which data source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use policy::diagnostic::{Place, Problem, SourceFile, Span, codes};
use policy::reader::{
    Document, Entry, Keys, Node, Outside, SecretError, Table, deserialize_with_warnings, did_you_mean, parse,
};
use policy::{Diagnostic, Diagnostics};
use serde::de::DeserializeOwned;
use store::Kind;
use store::cached::CacheSettings;
use store::guard::FailurePolicy;
use store::mapping::{self, Mapping, StoreMapping};
use store::moving::Phase;
use store::seal::Encryption;
use store::sources::{ReadSettings, SourceSettings};

use super::{Within, clients, kps};

/// The mapping of a folder without `stores/stores.toml`.
const BUILT_IN: &str = "default = \"local\"\n\n[source.local]\ntype = \"sqlite\"\npath = \"var/portcullis.db\"\n";

/// The mapping, and the places that problems with it point to.
pub(crate) struct StoreSettings {
    /// As good as could be read; with an error among the diagnostics it may lack sources.
    pub(crate) mapping: Mapping,
    /// The type of every source, as it is written.
    pub(crate) types: BTreeMap<String, String>,
    /// Key property stores with an encrypted column, and where that is said.
    encrypted: Vec<(String, Place)>,
    /// How many nodes share the stores, and where that is said, where there are several.
    pub(super) cluster: Option<(u32, Option<Place>)>,
    source_places: BTreeMap<String, Place>,
    store_places: BTreeMap<String, Place>,
    moving_places: BTreeMap<String, Place>,
    default_place: Option<Place>,
}

impl StoreSettings {
    /// Where `[source.NAME]` stands.
    pub(crate) fn source_place(&self, name: &str) -> Option<Place> {
        self.source_places.get(name).cloned()
    }

    /// Where it is said which source this store has: its own `source`, or the default.
    pub(crate) fn store_place(&self, name: &str) -> Option<Place> {
        self.store_places.get(name).cloned().or_else(|| self.default_place.clone())
    }

    /// P0402: stores whose records only this node sees, where there are several. One problem for each line that decides.
    ///
    /// Clients, tokens and rows are everybody's; the other kinds count where a policy uses them (`used`, once policies are compiled).
    pub(crate) fn refuse_local(&self, used: Option<&dyn Fn(&str) -> bool>, diagnostics: &mut Diagnostics) {
        let Some((nodes, cluster)) = &self.cluster else { return };
        let (nodes, cluster) = (*nodes, cluster.as_ref());
        let kinds = self.mapping.stores();
        let always = |store: &str| matches!(kinds.get(store), Some((Kind::AccessToken | Kind::Clients | Kind::Kps, _)));
        let told = |store: &str| used.map_or_else(|| always(store), |used| !always(store) && used(store));
        let local = self.mapping.node_local();
        // The line of the default is refused once, and mended once.
        let default_is_told = used.is_some()
            && local.iter().any(|(store, source)| {
                always(store) && !self.store_places.contains_key(*store) && *source == self.source_of(store)
            });
        let mut by_line: BTreeMap<(bool, &str), Vec<&str>> = BTreeMap::new();
        for (store, source) in local.into_iter().filter(|(store, _)| told(store)) {
            if default_is_told && !self.store_places.contains_key(store) {
                continue;
            }
            if source != self.source_of(store) {
                self.refuse_local_move(store, source, nodes, cluster, diagnostics);
                continue;
            }
            let own = self.store_places.contains_key(store);
            // Stores on the default are mended by one line together; others each by their own.
            by_line.entry((own, if own { store } else { source })).or_default().push(store);
        }
        for ((own, _), stores) in by_line {
            let source = self.source_of(stores[0]);
            let message = format!(
                "{} on this node alone: source `{source}` is local to a node, and `[cluster] nodes` is {nodes}",
                sentence(&stores)
            );
            let problem = Problem::error(codes::LOCAL_STORE, message).with_help(self.remedy(own, &stores));
            let diagnostic = match self.store_place(stores[0]) {
                Some(place) => problem.at(place).with_label("another node cannot see these records"),
                None => problem.nowhere(),
            };
            diagnostics.push(match cluster {
                Some(place) => diagnostic.with_related(place.clone(), "several nodes"),
                None => diagnostic,
            });
        }
    }

    /// P0402: a store that moves from or to a source that only this node sees. Each node would hand over what it alone has, and
    /// the others would not know of it until then.
    fn refuse_local_move(
        &self,
        store: &str,
        source: &str,
        nodes: u32,
        cluster: Option<&Place>,
        diagnostics: &mut Diagnostics,
    ) {
        let message = format!(
            "store `{store}` moves from or to `{source}`, which is local to a node, and `[cluster] nodes` is {nodes}"
        );
        let help =
            "move between sources that all nodes share; records of one node go along with `portcullis store copy`";
        let problem = Problem::error(codes::LOCAL_STORE, message).with_help(help);
        let diagnostic = match self.moving_place(store) {
            Some(place) => problem.at(place).with_label("another node cannot see these records"),
            None => problem.nowhere(),
        };
        diagnostics.push(match cluster {
            Some(place) => diagnostic.with_related(place.clone(), "several nodes"),
            None => diagnostic,
        });
    }

    /// Encrypted columns where several nodes have no key in common: none of them could seal.
    pub(super) fn refuse_encrypted(&self, cluster: Option<&Place>, diagnostics: &mut Diagnostics) {
        for (store, place) in &self.encrypted {
            let message = format!("`{store}` has an encrypted column, and several nodes have no key in common");
            let help = "add to node.toml: `[encryption]`, `keys = [{ id = \"2026\", file = \"secrets/2026.key\" }]`, \
                        the same file on all nodes";
            let diagnostic = Problem::error(codes::MISSING_KEY, message).with_help(help).at(place.clone());
            diagnostics.push(match cluster {
                Some(cluster) => diagnostic.with_related(cluster.clone(), "several nodes"),
                None => diagnostic,
            });
        }
    }

    /// Pages and signing keys are sealed by policies, and several nodes have no key for it in common: those policies fail where they seal.
    pub(crate) fn no_key_in_common(&self) -> Diagnostic {
        let message =
            "log-in pages and signing keys are sealed, and several nodes have no key in common: what seals will fail";
        let help = "add to node.toml: `[encryption]`, `keys = [{ id = \"2026\", file = \"secrets/2026.key\" }]`, the same file on \
                    all nodes; or leave out the policies with `oauth.authorize`, `oauth.open-form` and `oauth.jwks`";
        let problem = Problem::warning(codes::MISSING_KEY, message).with_help(help);
        match self.cluster.as_ref().and_then(|(_, place)| place.clone()) {
            Some(place) => problem.at(place),
            None => problem.nowhere(),
        }
    }

    /// Whether the source can keep the store's records.
    fn fits(&self, store: &str, source: &SourceSettings) -> bool {
        self.mapping.stores().get(store).is_none_or(|(kind, _)| source.can_keep(*kind))
    }

    /// P0108: a store whose records nobody writes by hand, on a file.
    fn cannot_keep(&self, store: &str, source: &str) -> Problem {
        let message = format!(
            "store `{store}` cannot be in `{source}`: the gateway must write in it, and a file is for people to write"
        );
        let fits = self.mapping.sources.iter().find(|(_, settings)| self.fits(store, settings));
        let other = fits.map_or("local", |(name, _)| name.as_str());
        let help = match self.mapping.stores.get(store).is_some_and(|mapped| mapped.source.is_some()) {
            true => format!("name another source: `source = \"{other}\"`"),
            false => {
                format!("write `default = \"{other}\"`, and `source = \"{source}\"` in `[store.clients]` alone")
            }
        };
        Problem::error(codes::STORE, message).with_help(match fits {
            Some(_) => help,
            None => {
                format!("{help}; declare it: `[source.{other}]`, `type = \"sqlite\"`, `path = \"var/portcullis.db\"`")
            }
        })
    }

    /// Where `next` or `previous` of this store stands.
    fn moving_place(&self, store: &str) -> Option<Place> {
        self.moving_places.get(store).cloned()
    }

    /// P0108: a move that goes nowhere.
    fn same_place(&self, store: &str, source: &str, other: &str) -> Problem {
        let message = match source == other {
            true => format!("store `{store}` cannot move from `{source}` to itself"),
            false => format!("store `{store}` cannot move between `{source}` and `{other}`: they are one place"),
        };
        let help = match self.mapping.moving(store) {
            Some((Phase::Next, _)) => {
                "`next` names the source to which the records go; `source` stays the one that has them"
            }
            _ => "`previous` names the source that has the records; `source` is the one to which they go",
        };
        Problem::error(codes::STORE, message).with_help(help)
    }

    /// P0108: a move from or to a file that people write.
    fn cannot_move(&self, store: &str, source: &str) -> Problem {
        let message = format!(
            "store `{store}` cannot move from or to `{source}`: people write it, and a move notes in both what went"
        );
        let help =
            "leave it out; `portcullis client add --id ID` registers a client of the file anew, with a new secret";
        Problem::error(codes::STORE, message).with_help(help)
    }

    fn source_of(&self, store: &str) -> &str {
        self.mapping.stores.get(store).and_then(|s| s.source.as_deref()).unwrap_or(&self.mapping.default)
    }

    /// The one line that mends it.
    fn remedy(&self, own: bool, stores: &[&str]) -> String {
        let key = if own { "source" } else { "default" };
        let shared =
            |settings: &SourceSettings| !settings.node_local() && stores.iter().all(|s| self.fits(s, settings));
        match self.mapping.sources.iter().find(|(_, settings)| shared(settings)) {
            Some((shared, _)) if own => format!("write `source = \"{shared}\"` in `[{}]`", section(stores[0])),
            Some((shared, _)) => format!("write `default = \"{shared}\"`: all nodes can reach that source"),
            None => format!(
                "add a source that all nodes can reach (`[source.shared]`, `type = \"postgres\"`, `url = {{ env = \"OAUTH_DB_URL\" }}`) and write `{key} = \"shared\"`"
            ),
        }
    }
}

/// The table that declares a store: `store.clients`, `kps.partners`.
fn section(store: &str) -> String {
    if store.starts_with("kps.") { store.to_owned() } else { format!("store.{store}") }
}

fn sentence(stores: &[&str]) -> String {
    match stores {
        [one] => format!("store `{one}` keeps its records"),
        _ => format!("stores `{}` keep their records", stores.join("`, `")),
    }
}

/// The mapping of a folder that has no file for it.
pub(super) fn built_in() -> Option<Document> {
    parse(&Arc::new(SourceFile::new("(built in) stores/stores.toml", BUILT_IN))).ok()
}

pub(super) fn read(document: Option<&Document>, outside: &dyn Outside, diagnostics: &mut Diagnostics) -> StoreSettings {
    let mut stores = StoreSettings {
        cluster: None,
        mapping: Mapping {
            default: String::new(),
            sources: BTreeMap::new(),
            stores: BTreeMap::new(),
            kps: BTreeMap::new(),
            encryption: Encryption::Own,
        },
        types: BTreeMap::new(),
        encrypted: Vec::new(),
        source_places: BTreeMap::new(),
        store_places: BTreeMap::new(),
        moving_places: BTreeMap::new(),
        default_place: None,
    };
    let Some(document) = document else { return stores };
    let within = Within { file: &document.file, table: &document.root, outside };
    let mut keys = Keys::new(within.file, within.table);
    if let Some(default) = keys.required_text("default") {
        stores.mapping.default = default.value.to_owned();
        stores.default_place = Some(keys.place_of(default.span));
    }
    let named = keys.table("store");
    let declared = keys.table("kps");
    for (name, table) in named.iter().flat_map(|t| tables(&mut keys, t.value)).collect::<Vec<_>>() {
        stores.read_store(within, name, table, diagnostics);
    }
    let mut kps = Vec::new();
    for (name, table) in declared.iter().flat_map(|t| tables(&mut keys, t.value)).collect::<Vec<_>>() {
        if let Some(declared) = kps::read(within.inner(table), name, diagnostics) {
            stores.add_kps(within, &declared);
            kps.push(declared);
        }
    }
    let used = stores.used();
    let sources = keys.table("source");
    for (name, table) in sources.iter().flat_map(|t| tables(&mut keys, t.value)).collect::<Vec<_>>() {
        stores.read_source(within, name, table, used.contains(name.name.as_str()), diagnostics);
    }
    keys.also(&[policy::lint::ALLOW]);
    super::finish(keys, diagnostics);
    stores.link(&kps, diagnostics);
    stores
}

/// The tables in a table, each with its entry; what is no table is told.
fn tables<'a>(keys: &mut Keys<'a>, table: &'a Table) -> Vec<(&'a Entry, &'a Table)> {
    let entries = table.entries.iter();
    entries.filter_map(|e| Some((e, keys.expect(&e.value, "a table", Node::as_table)?.value))).collect()
}

impl StoreSettings {
    /// The sources that stores name.
    fn used(&self) -> BTreeSet<String> {
        let stores = self.mapping.stores.values();
        let named = stores.flat_map(|store| [store.source.clone(), store.moving.clone().map(|(_, other)| other)]);
        named.flatten().chain([self.mapping.default.clone()]).collect()
    }

    fn read_store(&mut self, within: Within<'_>, name: &Entry, table: &Table, diagnostics: &mut Diagnostics) {
        let mut keys = Keys::new(within.file, table);
        let kind = match keys.text("kind") {
            Some(kind) => known_kind(&mut keys, kind.value, kind.span),
            None => known_kind(&mut keys, &name.name, name.name_span),
        };
        let source = keys.text("source");
        let cache = read_cache(&mut keys, within, kind);
        let moving = self.read_moving(&name.name, &mut keys);
        if let Some(source) = &source {
            self.store_places.insert(name.name.clone(), keys.place_of(source.span));
        }
        let failure = failure_policy(&mut keys);
        if let Some(kind) = kind {
            let source = source.map(|s| s.value.to_owned());
            self.mapping.stores.insert(name.name.clone(), StoreMapping { kind, source, moving, failure, cache });
        }
        super::finish(keys, diagnostics);
    }

    /// `next` or `previous`: the source beside the store's own, while it moves.
    fn read_moving(&mut self, store: &str, keys: &mut Keys<'_>) -> Option<(Phase, String)> {
        let (next, previous) = (keys.text("next"), keys.text("previous"));
        let (phase, other) = match (next, previous) {
            (Some(next), Some(previous)) => {
                let problem = Problem::error(codes::STORE, format!("store `{store}` has both `next` and `previous`"));
                let help =
                    "a move has two steps: first `next` on all nodes, then the new `source` and `previous` on all";
                let place = keys.place_of(previous.span);
                keys.push(problem.with_help(help).at(place).with_related(keys.place_of(next.span), "the step before"));
                return None;
            }
            (Some(next), None) => (Phase::Next, next),
            (None, Some(previous)) => (Phase::Previous, previous),
            (None, None) => return None,
        };
        self.moving_places.insert(store.to_owned(), keys.place_of(other.span));
        Some((phase, other.value.to_owned()))
    }

    /// A key property store is a store by the name `kps.NAME`.
    fn add_kps(&mut self, within: Within<'_>, declared: &kps::Declared) {
        let name = format!("kps.{}", declared.settings.name);
        if let Some(source) = &declared.source {
            self.store_places.insert(name.clone(), within.place(source.span));
        }
        self.encrypted.extend(declared.encrypted.clone().map(|place| (name.clone(), place)));
        let source = declared.source.as_ref().map(|source| source.value.clone());
        self.mapping
            .stores
            .insert(name.clone(), StoreMapping { failure: declared.failure, ..StoreMapping::new(Kind::Kps, source) });
        self.mapping.kps.insert(name, declared.settings.clone());
    }

    fn read_source(
        &mut self,
        within: Within<'_>,
        name: &Entry,
        table: &Table,
        used: bool,
        diagnostics: &mut Diagnostics,
    ) {
        let source_name = name.name.as_str();
        self.source_places.insert(source_name.to_owned(), within.place(name.name_span));
        let mut keys = Keys::new(within.file, table);
        let Some(kind) = keys.required_text("type") else {
            // The other keys are unknown only because the type is.
            keys.also(&table.entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>());
            return super::finish(keys, diagnostics);
        };
        self.types.insert(name.name.clone(), kind.value.to_owned());
        // What no store uses is not opened, so it may lack what it needs on this machine.
        let lenient = Lenient(within.outside);
        let outside: &dyn Outside = if used { within.outside } else { &lenient };
        let mut reader = Reader { within: Within { outside, table, ..within }, warnings: Diagnostics::new() };
        match SourceSettings::read(kind.value, &mut reader) {
            Some(Ok(mut settings)) => {
                if let SourceSettings::File(file) = &mut settings
                    && let Some(path) = keys.text("path")
                {
                    let stores = self.mapping.kps.iter().filter(|(name, _)| self.source_of(name) == source_name);
                    let stores: Vec<&store::kps::Settings> = stores.map(|(_, settings)| &**settings).collect();
                    let place = within.place(path.span);
                    file.contents = clients::read(path.value, &place, &stores, within.outside, diagnostics);
                }
                self.mapping.sources.insert(name.name.clone(), settings);
            }
            Some(Err(problems)) => diagnostics.extend(problems),
            None => diagnostics.push(unknown_type(kind.value).at(within.place(kind.span))),
        }
        // A store that comes to use it tells of what is missing, and so does `store check`.
        let untold = |warning: &Diagnostic| !used && warning.problem.code == codes::MISSING_OUTSIDE;
        diagnostics.extend(reader.warnings.partition(untold).1);
    }

    /// Checks that every name is there.
    fn link(&self, kps: &[kps::Declared], diagnostics: &mut Diagnostics) {
        let unknown = |source: &str| {
            // One that is there but has problems of its own was told already.
            let known = self.source_places.keys().map(String::as_str);
            (!self.source_places.contains_key(source)).then(|| {
                let problem = Problem::error(codes::UNKNOWN_SOURCE, format!("there is no data source `{source}`"));
                match did_you_mean(source, known) {
                    Some(near) => problem.with_help(format!("did you mean `{near}`?")),
                    None => problem.with_help(format!("declare it: `[source.{source}]`, `type = \"sqlite\"` ...")),
                }
            })
        };
        for problem in self.mapping.problems() {
            let (problem, place) = match problem {
                mapping::Problem::UnknownDefault(source) => (unknown(&source), self.default_place.clone()),
                mapping::Problem::UnknownSource { store, source } => (unknown(&source), self.store_place(&store)),
                mapping::Problem::CannotKeep { store, source } => {
                    (Some(self.cannot_keep(&store, &source)), self.store_place(&store))
                }
                mapping::Problem::UnknownMoving { store, source } => (unknown(&source), self.moving_place(&store)),
                mapping::Problem::SamePlace { store, source, other } => {
                    (Some(self.same_place(&store, &source, &other)), self.moving_place(&store))
                }
                mapping::Problem::CannotMove { store, source } => {
                    (Some(self.cannot_move(&store, &source)), self.moving_place(&store))
                }
                mapping::Problem::SharedTable { store, other, source } => {
                    let message = format!(
                        "stores `{store}` and `{other}` are of one kind and would share one table of `{source}`"
                    );
                    let help = format!("give `{store}` another source, or use `{other}` in its place");
                    (Some(Problem::error(codes::STORE, message).with_help(help)), self.store_place(&store))
                }
            };
            if let (Some(problem), Some(place)) = (problem, place) {
                diagnostics.push(problem.at(place));
            }
        }
        for declared in kps {
            let source = declared.source.as_ref().map_or(self.mapping.default.as_str(), |source| &source.value);
            if let Some(kind) = self.types.get(source) {
                declared.check_source(kind, source, diagnostics);
            }
        }
    }
}

/// `cache = { entries, max_age }`.
fn read_cache(keys: &mut Keys<'_>, within: Within<'_>, kind: Option<Kind>) -> Option<CacheSettings> {
    let table = keys.table("cache")?;
    let place = within.place(table.span);
    if kind == Some(Kind::Clients) {
        let problem = Problem::error(codes::STORE, "clients have a cache of their own, of at most 1 s");
        keys.push(problem.with_help("leave `cache` out").at(place));
        return None;
    }
    let mut cache = CacheSettings::default();
    let mut inner = Keys::new(within.file, table.value);
    if let Some(entries) = inner.int("entries") {
        match usize::try_from(entries.value).ok().filter(|n| (1..=10_000_000).contains(n)) {
            Some(number) => cache.entries = number,
            None => {
                let problem = Problem::error(codes::BAD_VALUE, "`entries` is out of its bounds");
                inner.push(problem.with_help("from 1 to 10000000").at(within.place(entries.span)));
            }
        }
    }
    if let Some(max_age) = inner.duration("max_age") {
        match max_age.value.0 {
            age if (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&age) => cache.max_age = age,
            _ => {
                let problem = Problem::error(codes::BAD_VALUE, "`max_age` is out of its bounds");
                let help = "from 10ms to 60s: what was revoked is accepted for so long where the change is not told";
                inner.push(problem.with_help(help).at(within.place(max_age.span)));
            }
        }
    }
    match inner.finish() {
        Ok(found) | Err(found) => keys.extend(found),
    }
    Some(cache)
}

/// `timeout` and `retries`.
pub(super) fn failure_policy(keys: &mut Keys<'_>) -> FailurePolicy {
    let mut policy = FailurePolicy::default();
    let bad = |keys: &mut Keys<'_>, span, message: String| {
        keys.push(Problem::error(codes::BAD_VALUE, message).at(keys.place_of(span)));
    };
    let (shortest, longest) = FailurePolicy::TIMEOUT;
    if let Some(timeout) = keys.duration("timeout") {
        policy.timeout = timeout.value.0;
        if !(shortest..=longest).contains(&policy.timeout) {
            bad(
                keys,
                timeout.span,
                format!("a timeout must be from {shortest:?} to {longest:?}: a request is answered within 5 s"),
            );
        }
    }
    if let Some(retries) = keys.int("retries") {
        match u32::try_from(retries.value) {
            Ok(count) if count <= FailurePolicy::RETRIES => policy.retries = count,
            _ => bad(keys, retries.span, format!("`retries` must be from 0 to {}", FailurePolicy::RETRIES)),
        }
    }
    policy
}

fn known_kind(keys: &mut Keys<'_>, name: &str, span: Span) -> Option<Kind> {
    let kind = Kind::named(name);
    if kind.is_none() {
        let names = || Kind::ALL.iter().map(|(_, name)| *name);
        let help = match did_you_mean(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "the kinds are {}; a store of another name says its `kind`",
                names().collect::<Vec<_>>().join(", ")
            ),
        };
        let problem = Problem::error(codes::STORE, format!("`{name}` is no kind of store"));
        keys.push(problem.with_help(help).at(keys.place_of(span)));
    }
    kind
}

fn unknown_type(name: &str) -> Problem {
    let built = || SourceSettings::KINDS.iter().filter(|(_, built)| *built).map(|(name, _)| *name);
    let there_are = format!("this program has {}", built().collect::<Vec<_>>().join(", "));
    if SourceSettings::KINDS.iter().any(|(known, built)| *known == name && !built) {
        let message = format!("this program was built without the data source `{name}`");
        return Problem::error(codes::NO_DRIVER, message)
            .with_help(format!("build it with `cargo build --release --features {name}`; {there_are}"));
    }
    let problem = Problem::error(codes::BAD_VALUE, format!("`{name}` is no type of data source"));
    match did_you_mean(name, built()) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem.with_help(there_are),
    }
}

/// Hands a source's table to the source's own settings type.
struct Reader<'a> {
    within: Within<'a>,
    warnings: Diagnostics,
}

impl ReadSettings for Reader<'_> {
    type Error = Diagnostics;

    fn read<T: DeserializeOwned>(&mut self) -> Result<T, Diagnostics> {
        let Within { file, table, outside } = self.within;
        let (settings, warnings) = deserialize_with_warnings(file, table, &["type"], outside)?;
        self.warnings.extend(warnings);
        Ok(settings)
    }
}

/// The same outside, where what is missing is a warning.
struct Lenient<'a>(&'a dyn Outside);

impl Outside for Lenient<'_> {
    fn variable(&self, name: &str) -> Result<String, SecretError> {
        self.0.variable(name)
    }
    fn file(&self, path: &str) -> Result<String, SecretError> {
        self.0.file(path)
    }
    fn content(&self, path: &str) -> Result<Vec<u8>, SecretError> {
        self.0.content(path)
    }
    fn open_to_others(&self, path: &str) -> bool {
        self.0.open_to_others(path)
    }
    fn clear_secrets(&self) -> bool {
        self.0.clear_secrets()
    }
    fn strict(&self) -> bool {
        false
    }
}
