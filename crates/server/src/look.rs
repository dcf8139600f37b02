//! What an editor asks: everything about a folder as it would be with texts that nobody has saved yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::compile::{Survey, survey};
use policy::diagnostic::{SourceFile, codes};
use policy::filter::Keeper;
use policy::reader::Files;
use policy::testing::Test;
use policy::{Diagnostic, Diagnostics};

use crate::clock;
use crate::load::{Before, Draft, GivenTable, Reading};
use crate::options::Options;
use crate::telling::Silent;

/// A folder, looked at.
pub struct Look {
    /// The files, with the texts laid over them.
    pub files: Arc<Files>,
    /// All problems of the files and of the tests in them, sorted: those of `check`, but for tests that fail.
    pub diagnostics: Diagnostics,
    /// What the compiler knows of the policies.
    pub survey: Survey,
    /// The stores there are, with the word for their kind.
    pub stores: BTreeMap<String, &'static str>,
    /// The data sources that are declared, with their type.
    pub sources: BTreeMap<String, String>,
    /// The upstreams that are declared.
    pub upstreams: Vec<String>,
    /// The providers that are declared.
    pub providers: Vec<String>,
    /// The listeners there are.
    pub listeners: Vec<String>,
    /// The names of the values of `[values]`.
    pub values: Vec<String>,
}

/// Checks a folder with these texts laid over its files, by path. Opens no source, runs no test, writes nothing.
pub fn look(options: &Options, texts: &BTreeMap<String, Arc<SourceFile>>) -> Look {
    let keeper = Keeper::default();
    let observer = Arc::new(Silent::default());
    let before = Before {
        keeper: &keeper,
        clock: clock::environment().clock,
        observer,
        generation: None,
        number: 1,
        bound: None,
    };
    let mut known = Survey::default();
    let compile = |input: policy::compile::Input<'_>| {
        let (compiled, survey) = survey(input);
        known = survey;
        compiled
    };
    let draft = Draft::by(compile, Reading::with_texts(options, false, texts), options, &before);
    let kind = |kind| store::Kind::ALL.iter().find(|(k, _)| *k == kind).map_or("kps", |(_, name)| *name);
    let mut diagnostics = draft.reading.diagnostics;
    diagnostics.extend(draft.lints);
    // Tests are read, and not run.
    let (tests, problems) = policy::testing::tests(&draft.reading.files);
    diagnostics.extend(problems);
    diagnostics.extend(tests.iter().filter_map(misread).collect());
    let settings = draft.reading.settings;
    Look {
        files: draft.reading.files,
        diagnostics: diagnostics.sorted(),
        survey: known,
        stores: settings
            .stores
            .mapping
            .stores()
            .into_iter()
            // A key property store goes by NAME, in its table and in filters.
            .map(|(name, (of, _))| (name.strip_prefix("kps.").unwrap_or(name).to_owned(), kind(of)))
            .collect(),
        sources: settings.stores.types.clone(),
        upstreams: settings.node.upstreams.keys().cloned().collect(),
        providers: settings.node.providers.keys().cloned().collect(),
        listeners: settings.node.listeners.iter().map(|listener| listener.name.clone()).collect(),
        values: settings.node.values.keys().cloned().collect(),
    }
}

/// The first mistake in what a test says is given, as a run of it would tell.
fn misread(test: &Test) -> Option<Diagnostic> {
    let problems = test.given().find_map(|given| GivenTable::read(given).err())?;
    let mut first = problems.iter().next()?.clone();
    first.problem.code = codes::BAD_TEST;
    Some(first)
}
