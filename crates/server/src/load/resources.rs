//! The named things that policies may use: stores, upstreams and providers of one generation.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policy::diagnostic::{Problem, codes};
use policy::ports::{
    ASIDE, DIRECTORIES, DOCUMENTS, Directories, DirectoriesHandle, FOLDER, FolderHandle, OBSERVER, Observer,
    ObserverHandle, PROVIDER, Reached, Resources, UPSTREAM, Upstream, UpstreamHandle,
};
use policy::reader::did_you_mean;
use store::StoreHandle;
use store::oauth::provider::Provider;
use store::seal::Sealer;

use crate::folder::OnDisk;
use crate::upstream::{Tasks, Whole};

/// The word under which stores are asked for.
const STORE: &str = "store";

/// The word under which what seals with the node's keys is asked for; it has no other name.
const SEALER: &str = "sealer";

/// How long an upstream may take for a document, and how many bytes it may have.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// See [`DOCUMENT_TIMEOUT`].
const DOCUMENT_LIMIT: usize = 256 * 1024;

/// Stores, upstreams and providers by name.
pub(crate) struct Things {
    pub(crate) stores: BTreeMap<String, StoreHandle>,
    pub(crate) upstreams: BTreeMap<String, Arc<dyn Upstream>>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) directories: Arc<dyn Directories>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) providers: BTreeMap<String, Arc<Reached<Provider>>>,
    /// The configuration folder, to which names of folders are relative.
    pub(crate) dir: PathBuf,
}

impl Resources for Things {
    fn get(&self, kind: &str, name: &str) -> Result<Arc<dyn Any + Send + Sync>, Problem> {
        match kind {
            STORE => match self.stores.get(name) {
                Some(store) => Ok(Arc::new(store.clone())),
                None if name.starts_with("kps.") => Err(unknown_kps(name, self.stores.keys())),
                None => Err(unknown(codes::STORE, "store", name, self.stores.keys(), "stores/stores.toml")),
            },
            UPSTREAM | DOCUMENTS => match self.upstreams.get(name) {
                Some(upstream) if kind == DOCUMENTS => {
                    let whole = Whole::new(upstream.clone(), DOCUMENT_TIMEOUT, DOCUMENT_LIMIT);
                    Ok(Arc::new(UpstreamHandle(Arc::new(whole))))
                }
                Some(upstream) => Ok(Arc::new(UpstreamHandle(upstream.clone()))),
                None => Err(unknown(codes::UNKNOWN_UPSTREAM, "upstream", name, self.upstreams.keys(), "node.toml")),
            },
            DIRECTORIES => Ok(Arc::new(DirectoriesHandle(self.directories.clone()))),
            OBSERVER => Ok(Arc::new(ObserverHandle(self.observer.clone()))),
            FOLDER => Ok(Arc::new(FolderHandle(Arc::new(OnDisk::new(&self.dir, name)?)))),
            SEALER => Ok(self.sealer.clone()),
            ASIDE => Ok(Arc::new(Tasks::aside())),
            PROVIDER => match self.providers.get(name) {
                Some(provider) => Ok(provider.clone()),
                None => Err(unknown(codes::UNKNOWN_PROVIDER, "provider", name, self.providers.keys(), "node.toml")),
            },
            _ => Err(Problem::error(codes::BAD_VALUE, format!("there is no {kind} in this version"))),
        }
    }
}

fn unknown_kps<'a>(whole: &str, known: impl Iterator<Item = &'a String>) -> Problem {
    let own = |name: &'a str| name.strip_prefix("kps.");
    let name = whole.trim_start_matches("kps.");
    let problem = Problem::error(codes::STORE, format!("there is no key property store `{name}`"));
    match did_you_mean(name, known.filter_map(|name| own(name))) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem.with_help(format!("declare `[kps.{name}]` in stores/stores.toml")),
    }
}

fn unknown<'a>(
    code: policy::diagnostic::Code,
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
    file: &str,
) -> Problem {
    let problem = Problem::error(code, format!("there is no {kind} `{name}`"));
    match did_you_mean(name, known.map(String::as_str)) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem.with_help(format!("declare `[{kind}.{name}]` in {file}")),
    }
}
