//! The engine's own lints, and the view of routes that lints have.

use std::collections::BTreeSet;

use super::build::PolicyEffects;
use super::listeners::Listener;
use super::model::{Policy, PolicyId, Target};
use super::sources::Sources;
use crate::diagnostic::{Diagnostics, Problem, codes};
use crate::filter::{Answers, Effects, Role};
use crate::lint::{Routed, RoutedStep};

/// Every policy with a route, and the steps that a request on it may come through.
pub(super) fn routes<'a>(
    policies: &'a [Policy],
    effects: &[&'a PolicyEffects],
    listeners: &[Listener],
) -> Vec<Routed<'a>> {
    let routed = policies.iter().enumerate().filter_map(|(id, policy)| Some((id, policy, policy.routes.first()?)));
    routed
        .map(|(id, policy, route)| Routed {
            policy: &policy.name,
            place: policy.place(route.span),
            steps: steps(reached(id, policies, listeners), policies, effects),
        })
        .collect()
}

/// What runs before a policy, in order: by itself, or by each of its listeners.
pub(super) fn before(policy: &Policy, listeners: &[Listener]) -> Vec<Vec<PolicyId>> {
    let on_listeners =
        || listeners.iter().filter(|listener| listener.has(policy)).map(|listener| listener.before.clone()).collect();
    policy.own_before().map_or_else(on_listeners, |own| vec![own])
}

/// The policy, those that it runs, and those that run before it.
pub(super) fn reached(id: PolicyId, policies: &[Policy], listeners: &[Listener]) -> BTreeSet<PolicyId> {
    let mut open: Vec<PolicyId> = before(&policies[id], listeners).into_iter().flatten().collect();
    open.push(id);
    let mut reached = BTreeSet::new();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            let steps = policies[id].chains.iter().flat_map(|chain| &chain.steps);
            open.extend(steps.flat_map(|step| step.targets()).filter_map(|(target, ..)| match target {
                Target::Policy(id, _) => Some(id),
                _ => None,
            }));
        }
    }
    reached
}

fn steps<'a>(
    reached: BTreeSet<PolicyId>,
    policies: &'a [Policy],
    effects: &[&'a PolicyEffects],
) -> Vec<RoutedStep<'a>> {
    let of_policy = |id: PolicyId| {
        let policy = &policies[id];
        let chains = policy.chains.iter().zip(effects[id].iter());
        chains.flat_map(move |(chain, said)| {
            chain.steps.iter().zip(said).map(move |(step, said)| RoutedStep {
                uses: &step.uses.value,
                place: policy.place(step.uses.span),
                effects: &said.own,
            })
        })
    };
    reached.into_iter().flat_map(of_policy).collect()
}

/// Routes on which nothing decides who may pass, and routes that no test tries.
pub(super) fn of_routes(routes: &[Routed<'_>], policies: &[Policy], sources: &Sources) -> Diagnostics {
    let mut found = Diagnostics::new();
    for route in routes {
        let Some(policy) = policies.iter().find(|policy| policy.name == route.policy) else { continue };
        if is_open(route, policy) {
            let message = format!("nothing decides who may use the route of `{}`", route.policy);
            let help =
                "let a filter decide before anything is answered: `oauth.validate-token`, then `oauth.check-scope`";
            let lint = Problem::warning(codes::ROUTE_WITHOUT_AUTHORIZATION, message);
            found.push(lint.with_help(help).at(route.place.clone()));
        }
        if !sources.has_tests(policy) {
            let message = format!("no test tries the route of `{}`", route.policy);
            let help = format!("write one: [[test]] in this file, or in policies/{}.test.toml", route.policy);
            let lint = Problem::warning(codes::ROUTE_WITHOUT_TEST, message);
            found.push(lint.with_help(help).at(route.place.clone()));
        }
    }
    found
}

/// Something is given away, and no filter has asked to whom. An endpoint of a protocol has that protocol's own rules.
fn is_open(route: &Routed<'_>, policy: &Policy) -> bool {
    let endpoint = policy.kinds().any(|kind| matches!(kind.role, Role::Endpoint(_)));
    let gives = |effects: &Effects| effects.sets_response || effects.answers != Answers::Never;
    !endpoint
        && route.steps.iter().any(|step| gives(step.effects))
        && !route.steps.iter().any(|step| step.effects.authorizes)
}

/// The things of the configuration that some filter uses: kind and name.
pub(super) fn used(effects: &[&PolicyEffects]) -> BTreeSet<(String, String)> {
    let steps = effects.iter().flat_map(|policy| policy.iter()).flatten();
    let effects = steps.flat_map(|step| [Some(&step.own), step.when.as_ref()]).flatten();
    effects.flat_map(|effects| &effects.uses).map(|(kind, name)| (kind.clone(), name.value.clone())).collect()
}
