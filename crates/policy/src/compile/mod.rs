//! From files to a [`Program`]: parse, link, check along every path, build.
//!
//! `check`, `run`, reloads and tests all use [`compile`]; they differ only in the [`Resources`] they give.
//!
//! The steps, a module each: `sources` parses the files; `policy`, `step` and `flow_words` make a linked model of each;
//! `build` builds every filter, which then has said what it reads and sets; `cycles` and `flow` check the model with that;
//! `listeners` ties policies, listeners and routes together. A problem in one step does not keep the next ones from looking at
//! everything else.

mod build;
mod cycles;
mod ends;
mod flow;
mod flow_words;
mod layout;
mod lint;
mod listeners;
mod methods;
mod model;
pub(crate) mod policy;
mod probe;
mod repeats;
mod shared;
mod sources;
mod step;
mod survey;
pub(crate) mod table;
#[cfg(test)]
mod tests;

pub use layout::Layout;
pub(crate) use policy::input_types;
pub use shared::{ListenerFacts, NamedPolicy, NodeFacts, SettingsFiles, Shared};
pub use sources::policy_name;
pub use survey::{ChainSurvey, PolicySurvey, StepSurvey, Survey};

/// The keys that are known in the tables that the compiler takes apart by hand.
#[cfg(test)]
pub(crate) mod known {
    pub(crate) use super::flow_words::{ANY, CALL, SWITCH};
    pub(crate) use super::policy::KEYS as POLICY;
    pub(crate) use super::step::{COMMON, FLOW_WORDS};
    pub(crate) use crate::route::KEYS as ROUTE;
}

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::diagnostic::Diagnostics;
use crate::engine::{Program, model as compiled};
use crate::filter::{Keeper, Library};
use crate::lint::{Lints, RouteSubject};
use crate::ports::Resources;
use crate::reader::{Document, Files, Outside};
use crate::selector::ParsedConditions;

/// What a compilation needs.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// All files; those below `policies/` are read here.
    pub files: &'a Files,
    /// The filters there are.
    pub library: Library,
    /// Stores, upstreams and the like.
    pub resources: &'a dyn Resources,
    /// State kept over reloads.
    pub keeper: &'a Keeper,
    /// Environment variables and secret files.
    pub outside: &'a dyn Outside,
    /// The node.
    pub node: &'a NodeFacts,
    /// The number of the generation to be.
    pub generation: u64,
}

/// What a compilation gave.
pub struct Compiled {
    /// The program; none where there was an error.
    pub program: Option<Arc<Program>>,
    /// All problems of all files, sorted.
    pub diagnostics: Diagnostics,
    /// What lints found, beside the problems; nothing where there was an error.
    pub lints: Lints,
    /// The stores, upstreams and values that filters use: the word for the kind, and the name.
    pub used: BTreeSet<(String, String)>,
    /// What stands below `policies/`, parsed, by path: for whoever reads the same files for something else. Those that cannot be
    /// parsed are missing.
    pub documents: BTreeMap<String, Document>,
}

/// Compiles all policies: pure, no I/O but what `outside` does.
pub fn compile(input: Input<'_>) -> Compiled {
    compile_with(input, None)
}

/// [`compile`], and what an editor wants to know of the policies, right or wrong.
pub fn survey(input: Input<'_>) -> (Compiled, Survey) {
    let mut survey = Survey::default();
    let compiled = compile_with(input, Some(&mut survey));
    (compiled, survey)
}

/// The places of all names of chains and policies in a policy's filters, for the test that an editor sees the same.
#[cfg(test)]
pub(crate) fn links(input: Input<'_>, name: &str) -> Vec<crate::diagnostic::Span> {
    let mut problems = Diagnostics::new();
    let policies = sources::read(input.files, &mut problems).policies(input.library, &mut problems);
    let policy = policies.iter().find(|policy| policy.name == name);
    let steps = policy.into_iter().flat_map(|policy| &policy.chains).flat_map(|chain| &chain.steps);
    let mut places: Vec<_> = steps.flat_map(|step| step.targets()).map(|(_, span, _)| span).collect();
    places.sort();
    places
}

fn compile_with(input: Input<'_>, survey: Option<&mut Survey>) -> Compiled {
    let mut problems = Diagnostics::new();
    let sources = sources::read(input.files, &mut problems);
    let policies = sources.policies(input.library, &mut problems);
    let shared = Shared {
        library: input.library,
        resources: input.resources,
        keeper: input.keeper,
        outside: input.outside,
        node: input.node,
        documents: &sources.documents,
        settings: Mutex::default(),
        conditions: ParsedConditions::default(),
    };
    let methods = methods::Methods::new(&policies, &shared, &mut problems);
    let mut builder = build::Builder {
        shared: &shared,
        policies: &policies,
        methods: &methods,
        layout: Layout::default(),
        steps: Vec::new(),
        problems: Diagnostics::new(),
    };
    let built = (0..policies.len()).map(|id| builder.policy(id)).map(|built| (built.chains, built.effects));
    let (chains, said): (Vec<_>, Vec<build::PolicyEffects>) = built.unzip();
    let (layout, mut steps) = (builder.layout, builder.steps);
    problems.extend(builder.problems);
    input.library.settings.iter().for_each(|check| problems.extend(check(&shared)));
    problems.extend(shared.settings_warnings());

    let listeners = listeners::link(input.node, &policies, &sources.names, &mut problems);
    let effects: Vec<&build::PolicyEffects> = said.iter().collect();
    let routers = listeners::routers(&listeners, &policies, &effects, &mut problems);
    listeners::report_replaced(&listeners, &policies, &mut problems);
    cycles::check(&policies, &mut problems);
    let (points, proved) = flow::check(&policies, &effects, &listeners, &methods, survey.is_some(), &mut problems);
    if let Some(survey) = survey {
        *survey = survey::of(&policies, &effects, &points);
    }

    let (of_filters, problems) = crate::lint::split(problems);
    let mut lints = Lints::default();
    lints.extend(of_filters);
    let mut problems = problems;
    sources.policy_documents().for_each(|document| problems.extend(lints.allow(document)));
    let diagnostics = problems.sorted();
    if diagnostics.has_errors() {
        let (lints, used) = (Lints::default(), BTreeSet::new());
        return Compiled { program: None, diagnostics, lints, used, documents: sources.documents };
    }
    let routes = lint::routes(&policies, &effects, &listeners);
    lints.extend(lint::of_routes(&routes, &policies, &sources));
    lints.extend(repeats::check(&policies, &effects, &listeners));
    let subject = RouteSubject { routes: &routes, shared: &shared };
    input.library.lints.iter().for_each(|lint| lints.extend(lint(&subject)));
    let used = lint::used(&effects);
    let injected = listeners::headers(listeners::injected, &listeners, &policies, &effects);
    let read = listeners::headers(listeners::read, &listeners, &policies, &effects);
    let built = policies.iter().zip(chains).zip(&effects).zip(injected.into_iter().zip(read));
    let policies = built.map(|(((policy, chains), effects), (injected, read))| compiled::Policy {
        name: policy.name.clone(),
        on_failure: policy.on_failure,
        on_abort: policy.on_abort,
        response: policy.response,
        before: policy.own_before(),
        style: build::style(policy, input.library.plain),
        paths: policy.routes.iter().map(|route| route.path.clone()).collect(),
        injected,
        read,
        facts: effects.iter().flatten().flat_map(|step| step.own.facts.iter().cloned()).collect(),
        chains,
    });
    let policies: Vec<compiled::Policy> = policies.collect();
    ends::note(&policies, &effects, &proved, &mut steps);
    let (listeners, unbound) = listeners::compiled(listeners, routers);
    let program = Program {
        generation: input.generation,
        layout,
        library: input.library,
        node: input.node.clone(),
        policies,
        steps,
        listeners,
        unbound,
    };
    Compiled { program: Some(Arc::new(program)), diagnostics, lints, used, documents: sources.documents }
}
