//! The policy files: which of all files they are, and each parsed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::Policy;
use super::policy::{Names, read_policy};
use crate::diagnostic::{Diagnostics, SourceFile, Span};
use crate::filter::Library;
use crate::reader::{Document, Files, parse};

/// Files below `policies/` that are settings of a filter library, no policies.
const SETTINGS: &[&str] = &["policies/oauth/server.toml"];

/// All parsed files below `policies/`.
pub(crate) struct Sources {
    /// By path; those that cannot be parsed are missing.
    pub(crate) documents: BTreeMap<String, Document>,
    /// The policies' names, also of those that cannot be parsed.
    pub(crate) names: Names,
    /// The policies' files, in the order of the names.
    files: Vec<(String, Arc<SourceFile>)>,
}

/// The policy's name that a path in the configuration folder stands for; none where it is no policy's.
pub fn policy_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix("policies/")?.strip_suffix(".toml")?;
    (!name.ends_with(".test") && !SETTINGS.contains(&path)).then_some(name)
}

/// Parses what stands below `policies/`.
pub(crate) fn read(files: &Files, problems: &mut Diagnostics) -> Sources {
    let mut sources = Sources { documents: BTreeMap::new(), names: Names::new(), files: Vec::new() };
    for (path, file) in files.files.iter().filter(|(path, _)| path.starts_with("policies/") && path.ends_with(".toml"))
    {
        match parse(file) {
            Ok(document) => drop(sources.documents.insert(path.clone(), document)),
            Err(more) => problems.extend(more),
        }
        if let Some(name) = policy_name(path) {
            sources.files.push((name.to_owned(), file.clone()));
        }
    }
    // By name, which differs from the order of the paths: `a/b` stands after `a-b`, `a.toml` before `a/b.toml`.
    sources.files.sort_by(|a, b| a.0.cmp(&b.0));
    sources.names = sources.files.iter().enumerate().map(|(id, (name, _))| (name.clone(), id)).collect();
    sources
}

impl Sources {
    /// The files in which lints may be allowed: the policies and the settings among them.
    pub(crate) fn policy_documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values().filter(|document| !document.file.path.ends_with(".test.toml"))
    }

    /// Whether a policy has tests, in its file or beside it.
    pub(crate) fn has_tests(&self, policy: &Policy) -> bool {
        let beside = format!("policies/{}.test.toml", policy.name);
        let has = |path: &str| self.documents.get(path).is_some_and(|document| document.root.entry("test").is_some());
        has(&policy.file.path) || has(&beside)
    }

    /// Reads every policy; one whose file cannot be parsed is there, and broken.
    pub(crate) fn policies(&self, library: Library, problems: &mut Diagnostics) -> Vec<Policy> {
        let read = |(name, file): &(String, Arc<SourceFile>)| match self.documents.get(&file.path) {
            Some(document) => read_policy(name, document, library, &self.names, problems),
            None => broken(name, file),
        };
        self.files.iter().map(read).collect()
    }
}

fn broken(name: &str, file: &Arc<SourceFile>) -> Policy {
    Policy {
        name: name.to_owned(),
        file: file.clone(),
        broken: true,
        routes: Vec::new(),
        has_route: false,
        listener: None,
        before: None,
        before_span: Span::default(),
        inputs: BTreeMap::new(),
        chains: Vec::new(),
        on_failure: None,
        on_abort: None,
        response: None,
    }
}
