//! What listeners and policies have to do with each other: routes, the policies before and after every policy.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderName;

use super::build::{PolicyEffects, StepEffects};
use super::model::{MAIN, Policy, PolicyId, Target};
use super::policy::Names;
use super::shared::{ListenerFacts, NamedPolicy, NodeFacts};
use super::table::{did_you_mean, list};
use crate::diagnostic::{Code, Diagnostics, Problem, codes};
use crate::engine::model as compiled;
use crate::filter::INJECTED_HEADER;
use crate::route::{Route, Router, Tie};

/// A listener with its policies linked.
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) before: Vec<PolicyId>,
    pub(crate) after: Vec<PolicyId>,
    pub(crate) on_error: Option<PolicyId>,
}

impl Listener {
    /// Whether the routes of a policy are on it.
    pub(crate) fn has(&self, policy: &Policy) -> bool {
        policy.listener.as_ref().is_none_or(|own| own.value == self.name)
    }
}

/// Links the listeners' policies, and checks the policies' `listener`.
pub(crate) fn link(node: &NodeFacts, policies: &[Policy], names: &Names, problems: &mut Diagnostics) -> Vec<Listener> {
    for policy in policies {
        let Some(listener) = &policy.listener else { continue };
        if node.listeners.iter().any(|known| known.name == listener.value) {
            continue;
        }
        if let (true, Some(one)) = (node.listeners_left_out.contains(&listener.value), node.listeners.first()) {
            let message = format!("`--listen` leaves out the listener `{}`", listener.value);
            let help = format!(
                "`--listen` puts one plain listener, `{}`, in the place of all that node.toml has, and this policy must not be on it: start \
                 without `--listen`, with addresses in node.toml that can be had",
                one.name
            );
            let problem = Problem::error(codes::UNKNOWN_LISTENER, message).with_help(help);
            problems.push(problem.at(policy.place(listener.span)));
            continue;
        }
        let known = node.listeners.iter().map(|known| known.name.as_str());
        let help = did_you_mean(&listener.value, known.clone()).unwrap_or_else(|| match node.listeners.is_empty() {
            true => format!("declare it in node.toml: [[listener]] name = \"{}\"", listener.value),
            false => format!("listeners of node.toml: {}", list(known)),
        });
        let message = format!("there is no listener `{}`", listener.value);
        problems.push(Problem::error(codes::UNKNOWN_LISTENER, message).with_help(help).at(policy.place(listener.span)));
    }
    node.listeners.iter().map(|facts| link_one(facts, names, problems)).collect()
}

fn link_one(facts: &ListenerFacts, names: &Names, problems: &mut Diagnostics) -> Listener {
    let mut find = |NamedPolicy { name, place }: &NamedPolicy, key: &str| {
        let found = names.get(name).copied();
        if found.is_none() {
            let help = did_you_mean(name, names.keys().map(String::as_str))
                .unwrap_or_else(|| format!("a policy's name is its path: this would be policies/{name}.toml"));
            let code: Code = codes::UNKNOWN_POLICY;
            let message =
                format!("`{key}` of the listener `{}` names the policy `{name}`, which does not exist", facts.name);
            let problem = Problem::error(code, message).with_help(help);
            problems.push(match place {
                Some(place) => problem.at(place.clone()),
                None => problem.nowhere(),
            });
        }
        found
    };
    Listener {
        name: facts.name.clone(),
        before: facts.before.iter().filter_map(|name| find(name, "before")).collect(),
        after: facts.after.iter().filter_map(|name| find(name, "after")).collect(),
        on_error: facts.on_error.as_ref().and_then(|name| find(name, "on_error")),
    }
}

/// A policy's own `before` takes the place of its listener's: whoever reads the listener should hear of it.
pub(crate) fn report_replaced(listeners: &[Listener], policies: &[Policy], problems: &mut Diagnostics) {
    for policy in policies.iter().filter(|policy| !policy.routes.is_empty()) {
        let Some(own) = &policy.before else { continue };
        for listener in listeners.iter().filter(|listener| listener.has(policy)) {
            let left_out = listener.before.iter().filter(|id| own.iter().all(|(own, _)| own != *id));
            let left_out = list(left_out.map(|id| policies[*id].name.as_str()));
            if left_out.is_empty() {
                continue;
            }
            let message =
                format!("{left_out} of the listener `{}` does not run before `{}`", listener.name, policy.name);
            problems.push(
                Problem::warning(codes::BEFORE_REPLACED, message)
                    .with_help(
                        "a policy's own `before` takes the place of its listener's: name there what is still to run",
                    )
                    .at(policy.place(policy.before_span)),
            );
        }
    }
}

/// A router for each listener, and at last one for requests on a listener that is not known. Collisions are reported once.
pub(crate) fn routers(
    listeners: &[Listener],
    policies: &[Policy],
    effects: &[&PolicyEffects],
    problems: &mut Diagnostics,
) -> Vec<Arc<Router>> {
    let mut router = |listener: Option<&Listener>| {
        let (router, ties) = Router::new(&routes_of(listener, policies, effects));
        report_ties(ties, policies, problems);
        Arc::new(router)
    };
    let unbound = router(None);
    let bound: HashSet<&str> =
        policies.iter().filter_map(|policy| policy.listener.as_ref()).map(|listener| listener.value.as_str()).collect();
    let own = listeners.iter().map(|listener| {
        let answers = |id: &PolicyId| answers_first(*id, effects);
        match bound.contains(listener.name.as_str()) || listener.before.iter().any(answers) {
            true => router(Some(listener)),
            // No policy is bound to it, and none answers before: its routes are those of all listeners.
            false => unbound.clone(),
        }
    });
    let own: Vec<Arc<Router>> = own.collect();
    own.into_iter().chain([unbound]).collect()
}

fn routes_of<'a>(listener: Option<&Listener>, policies: &'a [Policy], effects: &[&PolicyEffects]) -> Vec<Route<'a>> {
    let bound = |policy: &Policy| match &policy.listener {
        Some(own) => listener.is_some_and(|listener| listener.name == own.value),
        None => true,
    };
    let mut routes = Vec::new();
    for (id, policy) in policies.iter().enumerate().filter(|(_, policy)| bound(policy)) {
        let options = answers_options(id, listener, policies, effects);
        let of_policy = policy.routes.iter().enumerate();
        routes.extend(of_policy.map(|(route, spec)| Route { policy: id, route, spec, options }));
    }
    routes
}

/// Whether the policy answers `OPTIONS` whatever its routes say: by itself, or by a policy that runs before it.
fn answers_options(id: PolicyId, listener: Option<&Listener>, policies: &[Policy], effects: &[&PolicyEffects]) -> bool {
    let before = match (&policies[id].before, listener) {
        (Some(own), _) => own.iter().any(|(id, _)| answers_first(*id, effects)),
        (None, Some(listener)) => listener.before.iter().any(|id| answers_first(*id, effects)),
        (None, None) => false,
    };
    before || answers_first(id, effects)
}

/// Whether the first filter of the policy answers `OPTIONS`, on whatever request.
fn answers_first(id: PolicyId, effects: &[&PolicyEffects]) -> bool {
    let first = effects[id].get(MAIN).and_then(|main| main.first());
    first.is_some_and(|step| step.own.serves_options && step.when.is_none())
}

fn report_ties(ties: Vec<Tie>, policies: &[Policy], problems: &mut Diagnostics) {
    for Tie { first, second } in ties {
        let (other, own) = (&policies[first.0], &policies[second.0]);
        let message = format!("{} and {} have routes that match the same requests", other.file.path, own.file.path);
        problems.push(
            Problem::error(codes::ROUTE_COLLISION, message)
                .with_help(
                    "tell them apart by path, methods, host, headers or query, or bind them to different listeners",
                )
                .at(own.place(second.1.span))
                .with_label(format!("`{}` here", second.1.path))
                .with_related(other.place(first.1.span), format!("`{}` here", first.1.path)),
        );
    }
}

/// The request headers that a filter sets.
pub(crate) fn injected(step: &StepEffects) -> Vec<&str> {
    let facts = step.own.facts.iter().filter(|(fact, _)| *fact == INJECTED_HEADER);
    facts.filter_map(|(_, name)| name.as_text()).collect()
}

/// The request headers that a filter goes by, of those that have another spelling.
pub(crate) fn read(step: &StepEffects) -> Vec<&str> {
    let by = step.when.iter().chain([&step.own]).flat_map(|effects| &effects.goes_by);
    let names = by.filter_map(|by| by.name.strip_prefix("request.header."));
    names.filter(|name| name.contains(['-', '_'])).collect()
}

/// For each policy, the request headers that `said` names of a filter on any way from its route: those of the policy itself, of the
/// policies that it runs, and of those that run before it. There are no loops of policies here.
pub(crate) fn headers(
    said: fn(&StepEffects) -> Vec<&str>,
    listeners: &[Listener],
    policies: &[Policy],
    effects: &[&PolicyEffects],
) -> Vec<Vec<HeaderName>> {
    let mut known = vec![None; policies.len()];
    let of: Vec<Headers<'_>> = (0..policies.len()).map(|id| below(said, id, policies, effects, &mut known)).collect();
    let on_listeners: Vec<PolicyId> = listeners.iter().flat_map(|listener| &listener.before).copied().collect();
    let all = |(id, policy): (PolicyId, &Policy)| {
        let own = policy.own_before();
        let before: &Vec<PolicyId> = own.as_ref().unwrap_or(&on_listeners);
        let names: BTreeSet<&str> = before.iter().chain([&id]).flat_map(|id| of[*id].iter().copied()).collect();
        names.into_iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
    };
    policies.iter().enumerate().map(all).collect()
}

type Headers<'e> = Rc<BTreeSet<&'e str>>;

/// The headers that `said` names of the policy and those below it; worked out once for each.
fn below<'e>(
    said: fn(&StepEffects) -> Vec<&str>,
    id: PolicyId,
    policies: &[Policy],
    effects: &[&'e PolicyEffects],
    known: &mut Vec<Option<Headers<'e>>>,
) -> Headers<'e> {
    if let Some(known) = &known[id] {
        return known.clone();
    }
    let mut headers: BTreeSet<&str> = effects[id].iter().flatten().flat_map(said).collect();
    let called: BTreeSet<PolicyId> = called_by(&policies[id]).collect();
    for called in called {
        headers.extend(below(said, called, policies, effects, known).iter());
    }
    let headers = Rc::new(headers);
    known[id] = Some(headers.clone());
    headers
}

/// The policies that a policy runs.
pub(crate) fn called_by(policy: &Policy) -> impl Iterator<Item = PolicyId> {
    let targets = policy.chains.iter().flat_map(|chain| &chain.steps).flat_map(|step| step.targets());
    targets.filter_map(|(target, _, _)| match target {
        Target::Policy(policy, _) => Some(policy),
        _ => None,
    })
}

/// The listeners as the engine wants them.
pub(crate) fn compiled(
    listeners: Vec<Listener>,
    mut routers: Vec<Arc<Router>>,
) -> (Vec<compiled::Listener>, compiled::Listener) {
    let unbound = compiled::Listener {
        name: String::new(),
        before: Vec::new(),
        after: Vec::new(),
        on_error: None,
        router: routers.pop().unwrap_or_default(),
    };
    let listeners = listeners.into_iter().zip(routers).map(|(listener, router)| compiled::Listener {
        name: listener.name,
        before: listener.before,
        after: listener.after,
        on_error: listener.on_error,
        router,
    });
    (listeners.collect(), unbound)
}
