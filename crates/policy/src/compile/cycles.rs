//! Loops of chains and policies, and nests that are too deep: a run must end.

use std::collections::HashMap;

use super::model::{ChainId, MAIN, Policy, PolicyId, Target};
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Problem, codes};

/// So many chains may lead to one another: it bounds the stack that a run and its checks need.
pub(crate) const DEEPEST: usize = 64;

/// So many loops are told: once these are mended, others may be gone.
const MOST_LOOPS: usize = 20;

/// So many references of a loop are shown.
const MOST_SHOWN: usize = 12;

type At = (PolicyId, ChainId);

/// One reference from a chain to another.
struct Edge {
    to: At,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// On the way that is being followed.
    Open,
    /// Done; so many chains follow one another from here.
    Done(usize),
}

/// A chain on the way, with what is still to be looked at.
struct Visit {
    at: At,
    edges: Vec<Edge>,
    next: usize,
    depth: usize,
}

/// Reports every loop, with all the references that make it.
pub(crate) fn check(policies: &[Policy], problems: &mut Diagnostics) {
    let mut marks: HashMap<At, Mark> = HashMap::new();
    let mut loops = 0;
    for (id, policy) in policies.iter().enumerate() {
        for chain in 0..policy.chains.len() {
            if !marks.contains_key(&(id, chain)) {
                follow((id, chain), policies, &mut marks, &mut loops, problems);
            }
        }
    }
}

/// Depth first, with a stack of its own: what is checked here may be deep.
fn follow(from: At, policies: &[Policy], marks: &mut HashMap<At, Mark>, loops: &mut usize, problems: &mut Diagnostics) {
    let open = |at: At, marks: &mut HashMap<At, Mark>| {
        marks.insert(at, Mark::Open);
        Visit { at, edges: edges(at, policies), next: 0, depth: 1 }
    };
    let mut way = vec![open(from, marks)];
    while let Some(visit) = way.last_mut() {
        let Some(edge) = visit.edges.get(visit.next) else {
            let (at, depth) = (visit.at, visit.depth);
            way.pop();
            marks.insert(at, Mark::Done(depth));
            if let Some(before) = way.last_mut() {
                before.depth = before.depth.max(depth + 1);
            }
            if depth == DEEPEST + 1 {
                problems.push(too_deep(at, policies));
            }
            continue;
        };
        visit.next += 1;
        match marks.get(&edge.to) {
            Some(Mark::Done(depth)) => visit.depth = visit.depth.max(depth + 1),
            Some(Mark::Open) => {
                let to = edge.to;
                let start = way.iter().position(|visit| visit.at == to).unwrap_or_default();
                *loops += 1;
                if *loops <= MOST_LOOPS {
                    problems.push(loop_found(&way[start..], policies));
                }
            }
            None => {
                let to = edge.to;
                way.push(open(to, marks));
            }
        }
    }
}

fn edges((policy, chain): At, policies: &[Policy]) -> Vec<Edge> {
    let own = &policies[policy];
    let mut edges = Vec::new();
    for (target, span, _) in own.chains[chain].steps.iter().flat_map(|step| step.targets()) {
        let place = || own.place(span);
        match target {
            Target::Chain(chain, _) => edges.push(Edge { to: (policy, chain), place: place() }),
            Target::Policy(called, _) => {
                edges.extend(entries(&policies[called]).map(|chain| Edge { to: (called, chain), place: place() }));
            }
            Target::Continue | Target::Fail | Target::Unknown => {}
        }
    }
    edges
}

/// The chains that a call of the policy can enter.
fn entries(policy: &Policy) -> impl Iterator<Item = ChainId> {
    let handlers = [policy.on_failure, policy.on_abort];
    let main = (!policy.chains.is_empty()).then_some(MAIN);
    main.into_iter().chain(handlers.into_iter().flatten())
}

/// Every visit on the way stands at the edge that leads to the next one, the last at the edge back to the first.
fn loop_found(way: &[Visit], policies: &[Policy]) -> Diagnostic {
    let first = way[0].at.0;
    let one_policy = way.iter().all(|visit| visit.at.0 == first);
    let title = |(policy, chain): At| {
        let title = &policies[policy].chains[chain].title;
        if one_policy { title.clone() } else { format!("{title} of `{}`", policies[policy].name) }
    };
    let mut names: Vec<String> = way.iter().take(MOST_SHOWN).map(|visit| title(visit.at)).collect();
    if way.len() > MOST_SHOWN {
        names.push(String::from("..."));
    }
    names.push(names[0].clone());
    let edge = |visit: &Visit| visit.edges[visit.next - 1].place.clone();
    let (last, before) = (&way[way.len() - 1], &way[..way.len() - 1]);
    let mut diagnostic = Problem::error(codes::CYCLE, format!("a loop: {}", names.join(" -> ")))
        .with_help("a run must end: let one of these lead elsewhere")
        .at(edge(last))
        .with_label(format!("leads back to {}", names[0]));
    for (visit, next) in before.iter().zip(&names[1..]).take(MOST_SHOWN - 1) {
        diagnostic = diagnostic.with_related(edge(visit), format!("leads to {next}"));
    }
    diagnostic
}

fn too_deep((policy, chain): At, policies: &[Policy]) -> Diagnostic {
    let policy = &policies[policy];
    let message = format!("more than {DEEPEST} chains follow one another from {}", policy.chains[chain].title);
    Problem::error(codes::BAD_MOVE, message)
        .with_help("put filters of several chains into one")
        .at(policy.place(policy.chains[chain].span))
}
