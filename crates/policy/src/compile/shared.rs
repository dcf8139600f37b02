//! What all filters of one compilation share.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostics, Place, Span, codes};
use crate::filter::{Keeper, Library};
use crate::lint::ALLOW;
use crate::ports::Resources;
use crate::reader::{Document, Outside, deserialize_with_warnings};
use crate::selector::ParsedConditions;
use crate::value::Value;

/// What policies may know of the node they run on.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// The node's name: `${node.name}`.
    pub name: String,
    /// `[values]` of `node.toml`, read.
    pub values: BTreeMap<String, Value>,
    /// The listeners, in their order.
    pub listeners: Vec<ListenerFacts>,
    /// The listeners of the file that `run --listen` left out.
    pub listeners_left_out: Vec<String>,
    /// The URL of the single loopback listener, where that is all there is: the issuer of a node without `server.toml`.
    pub default_issuer: Option<String>,
    /// How many bytes of a body a filter may read into memory.
    pub body_limit: usize,
    /// `[cluster] nodes`: how many share the stores.
    pub cluster_nodes: u32,
}

impl Default for NodeFacts {
    fn default() -> Self {
        NodeFacts {
            name: String::new(),
            values: BTreeMap::new(),
            listeners: Vec::new(),
            listeners_left_out: Vec::new(),
            default_issuer: None,
            body_limit: 1024 * 1024,
            cluster_nodes: 1,
        }
    }
}

/// What policies may know of a listener, and what they do for it.
#[derive(Clone, Debug, Default)]
pub struct ListenerFacts {
    /// Its name.
    pub name: String,
    /// Policies that run before every policy on it.
    pub before: Vec<NamedPolicy>,
    /// Policies that run on every answer.
    pub after: Vec<NamedPolicy>,
    /// The policy that answers what nothing took.
    pub on_error: Option<NamedPolicy>,
}

/// A policy's name, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPolicy {
    /// The name.
    pub name: String,
    /// Where, for what is wrong with it.
    pub place: Option<Place>,
}

impl From<&str> for NamedPolicy {
    fn from(name: &str) -> Self {
        NamedPolicy { name: name.to_owned(), place: None }
    }
}

/// What all filters of one compilation share.
pub struct Shared<'a> {
    /// The filters and attributes there are.
    pub library: Library,
    /// Stores, upstreams and the like.
    pub resources: &'a dyn Resources,
    /// State kept over reloads.
    pub keeper: &'a Keeper,
    /// Environment variables and secret files.
    pub outside: &'a dyn Outside,
    /// The node.
    pub node: &'a NodeFacts,
    /// All parsed files below `policies/`, by path.
    pub documents: &'a BTreeMap<String, Document>,
    /// Settings files already read: those of [`settings_file`](Self::settings_file).
    pub settings: Mutex<SettingsFiles>,
    /// Conditions that were parsed: many policies have the same.
    pub conditions: ParsedConditions,
}

/// Settings files that were read, and what was found in them.
#[derive(Default)]
pub struct SettingsFiles {
    read: HashMap<(String, TypeId), Arc<dyn Any + Send + Sync>>,
    warnings: Diagnostics,
}

impl Shared<'_> {
    /// A library's own settings file (`oauth/server.toml`), read once.
    pub fn settings_file<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
        path: &str,
    ) -> Result<Option<Arc<T>>, Diagnostics> {
        let Some(document) = self.documents.get(&format!("policies/{path}")) else {
            return Ok(None);
        };
        let key = (path.to_owned(), TypeId::of::<T>());
        let mut files = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = files.read.get(&key).and_then(|s| s.clone().downcast::<T>().ok()) {
            return Ok(Some(settings));
        }
        let (settings, warnings) =
            deserialize_with_warnings::<T>(&document.file, &document.root, &[ALLOW], self.outside)?;
        let settings = Arc::new(settings);
        files.read.insert(key, settings.clone());
        files.warnings.extend(warnings);
        Ok(Some(settings))
    }

    /// A place in such a file; `None` where there is no such file.
    pub fn settings_place(&self, path: &str, span: Span) -> Option<Place> {
        self.documents.get(&format!("policies/{path}")).map(|document| document.place(span))
    }

    /// Whether a setting of such a file lacks what it names outside. That was a warning, so something may stand in for it.
    pub fn settings_lack(&self, path: &str, span: Span) -> bool {
        let path = format!("policies/{path}");
        let within =
            |place: &Place| place.file.path == path && span.start <= place.span.start && place.span.end <= span.end;
        let files = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = files.warnings.iter().filter(|warning| warning.problem.code == codes::MISSING_OUTSIDE);
        missing.any(|warning| warning.place.as_ref().is_some_and(within))
    }

    /// What settings files were found to warn of: once, however many filters read them.
    pub(super) fn settings_warnings(&self) -> Diagnostics {
        std::mem::take(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner).warnings)
    }
}
