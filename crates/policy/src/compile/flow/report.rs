//! What the flow found, as diagnostics.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use super::super::listeners::{Listener, called_by};
use super::super::model::{ChainId, MAIN, Policy, PolicyId, Target};
use super::super::policy::WORDS;
use super::{At, Flow, Seen};
use crate::diagnostic::{Diagnostics, Problem, codes};
use crate::filter::{Answers, Read};

impl Flow<'_> {
    pub(super) fn report(&self, listeners: &[Listener], problems: &mut Diagnostics) {
        self.report_reads(problems);
        self.report_bodies(problems);
        self.report_bare(problems);
        self.report_unreached(problems);
        self.report_unused(listeners, problems);
    }

    fn report_reads(&self, problems: &mut Diagnostics) {
        let setters = OnceCell::new();
        for ((at, index), seen) in &self.reads {
            let said = &self.effects[at.0][at.1][at.2];
            let of_when = said.when.as_ref().map_or(&[][..], |when| &when.reads);
            let read = of_when.get(*index).or_else(|| said.own.reads.get(index.saturating_sub(of_when.len())));
            let Some(read) = read else { continue };
            if read.optional || !seen.lacking {
                continue;
            }
            let name = &read.attribute;
            let problem = match seen.there {
                false => Problem::error(codes::NOT_SET, format!("`{name}` is read here, and nothing before sets it")),
                true => Problem::warning(
                    codes::MAYBE_NOT_SET,
                    format!("`{name}` is read here, and only some of the ways to here set it"),
                ),
            };
            problems.push(problem.with_help(self.remedy(at.0, read, seen, &setters)).at(read.place.clone()));
        }
    }

    fn remedy<'s>(&'s self, policy: PolicyId, read: &Read, seen: &Seen, setters: &OnceCell<Setters<'s>>) -> String {
        let name = read.attribute.as_str();
        let by_default = "give it a default: `${... ?? ...}`";
        match name {
            "response" => return "there is a response after a filter like `proxy`, and in [[response]]".into(),
            "failure" => {
                return format!("there is one after an `on_failure` and in [[on_failure]]; elsewhere {by_default}");
            }
            _ => {}
        }
        if let Some(name) = name.strip_prefix("path.") {
            return format!(
                "`{{{name}}}` stands in none of the paths that lead here, or not in all of them; {by_default}"
            );
        }
        if let Some(name) = name.strip_prefix("input.") {
            return format!("only a `call` gives inputs: with = {{ {name} = ... }}; a request on a route has none");
        }
        if seen.there {
            return format!("set it on every way, or {by_default}");
        }
        match setter(setters.get_or_init(|| self.setters()), policy, name) {
            Some(setter) => format!("`{setter}` sets it: put that before; or {by_default}"),
            None => format!("set it before, or {by_default}"),
        }
    }

    /// Who sets which attribute.
    fn setters(&self) -> Setters<'_> {
        let mut setters = Setters::new();
        for (id, (policy, effects)) in self.policies.iter().zip(self.effects).enumerate() {
            for (chain, steps) in policy.chains.iter().zip(effects.iter()) {
                for (step, said) in chain.steps.iter().zip(steps) {
                    for written in &said.own.writes {
                        let known = setters.entry(written).or_default();
                        if known.last().is_none_or(|(last, _)| *last != id) {
                            known.push((id, &step.uses.value));
                        }
                    }
                }
            }
        }
        setters
    }

    fn report_bodies(&self, problems: &mut Diagnostics) {
        for (at, seen) in self.bodies.iter().filter(|(_, seen)| seen.lacking) {
            let sends = self.effects[at.0][at.1][at.2].own.streams_request_body;
            let (message, help) = match sends {
                false => (
                    "the request's body is read here, after it was streamed away",
                    "read it before: a body that was read once stays in memory",
                ),
                true => (
                    "the request's body is sent away here, after it was streamed away",
                    "let each request come to one of the two (`switch`, or a chain for `on_abort`), read the body into memory before both (`${request.body ??}`), or let the route take only GET",
                ),
            };
            let problem = match seen.there {
                false => Problem::error(codes::BODY_GONE, message),
                true => Problem::warning(codes::BODY_GONE, format!("{message} on some of the ways to here")),
            };
            problems.push(problem.with_help(help).at(self.place(*at)));
        }
    }

    fn report_bare(&self, problems: &mut Diagnostics) {
        for (policy, chain) in &self.bare {
            let owner = &self.policies[*policy];
            if owner.chains.iter().all(|chain| chain.steps.is_empty()) {
                // That it has no filter is said already.
                continue;
            }
            let chain = &owner.chains[*chain];
            let span = chain.steps.last().map_or(chain.span, |step| step.uses.span);
            let message = format!("{} of `{}` can end here without an answer", chain.title, owner.name);
            problems.push(
                Problem::error(codes::NO_ANSWER, message)
                    .with_help("let a filter that answers stand last, `respond` or `proxy` for example")
                    .at(owner.place(span)),
            );
        }
    }

    /// Chains that nothing names, and filters that stand behind one that always ends the run.
    fn report_unreached(&self, problems: &mut Diagnostics) {
        for (id, policy) in self.policies.iter().enumerate() {
            let named = named_chains(policy);
            let incomplete = policy.is_incomplete();
            for (index, chain) in policy.chains.iter().enumerate() {
                if !named.contains(&index) {
                    // It may be what a misspelt name was to lead to, or its own name is the problem.
                    if incomplete || WORDS.contains(&chain.path.trim_start_matches("chain.")) {
                        continue;
                    }
                    let message = format!("nothing leads to {}", chain.title);
                    let help = "name it where it is to run (`switch`, `call`, `any`, `on_failure` ...), or take it out";
                    problems
                        .push(Problem::error(codes::UNREACHABLE, message).with_help(help).at(policy.place(chain.span)));
                    continue;
                }
                let unreached = (1..chain.steps.len()).find(|step| {
                    !self.reached.contains_key(&(id, index, *step)) && self.reached.contains_key(&(id, index, step - 1))
                });
                if let Some(step) = unreached {
                    let before = &chain.steps[step - 1];
                    let said = &self.effects[id][index][step - 1].own;
                    let why = match said.answers {
                        Answers::Always => "always answers",
                        _ => "never ends in success",
                    };
                    let message = format!("this filter never runs: `{}` before it {why}", before.title());
                    let help = "take it out, or put it before";
                    problems.push(
                        Problem::error(codes::UNREACHABLE, message).with_help(help).at(self.place((id, index, step))),
                    );
                }
            }
        }
    }

    /// What has no effect, and is no danger either.
    fn report_unused(&self, listeners: &[Listener], problems: &mut Diagnostics) {
        let unused = unused(self.policies, listeners);
        let incomplete = self.policies.iter().any(Policy::is_incomplete);
        for id in &unused {
            let policy = &self.policies[*id];
            // It may be what a misspelt name was to lead to, or its route could not be read.
            if incomplete || policy.has_route {
                continue;
            }
            let span = policy
                .chains
                .iter()
                .find_map(|chain| chain.steps.first())
                .map_or(Default::default(), |step| step.uses.span);
            let message = format!("nothing runs the policy `{}`: it has no route, and nothing calls it", policy.name);
            problems.push(
                Problem::warning(codes::UNREACHABLE, message)
                    .with_help("give it a `route`, or call it")
                    .at(policy.place(span)),
            );
        }
        for (id, policy) in self.policies.iter().enumerate() {
            let Some(response) = policy.response else { continue };
            if policy.routes.is_empty() && !unused.contains(&id) {
                let message = format!("[[response]] of `{}` never runs: the policy has no route", policy.name);
                let help = "the response side is that of the policy whose route the request took";
                let span = policy.chains[response].span;
                problems.push(Problem::warning(codes::UNREACHABLE, message).with_help(help).at(policy.place(span)));
            }
        }
    }

    fn place(&self, at: At) -> crate::diagnostic::Place {
        let policy = &self.policies[at.0];
        policy.place(policy.chains[at.1].steps[at.2].uses.span)
    }
}

/// For each attribute the filters that set it: the first of each policy, in the order of the policies.
type Setters<'s> = HashMap<&'s str, Vec<(PolicyId, &'s str)>>;

/// A filter that sets this attribute: one of the policy that reads it, before any other.
fn setter<'s>(setters: &Setters<'s>, reader: PolicyId, name: &str) -> Option<&'s str> {
    let known = setters.get(name)?;
    let own = known.binary_search_by_key(&reader, |(policy, _)| *policy).unwrap_or_default();
    known.get(own).map(|(_, filter)| *filter)
}

/// The chains that some way of names leads to.
fn named_chains(policy: &Policy) -> HashSet<ChainId> {
    let start = [Some(MAIN), policy.on_failure, policy.on_abort, policy.response];
    let mut open: Vec<ChainId> = start.into_iter().flatten().collect();
    let mut named: HashSet<ChainId> = open.iter().copied().collect();
    while let Some(chain) = open.pop() {
        for (target, _, _) in
            policy.chains.get(chain).iter().flat_map(|chain| &chain.steps).flat_map(|step| step.targets())
        {
            if let Target::Chain(to, _) = target
                && named.insert(to)
            {
                open.push(to);
            }
        }
    }
    named
}

/// The policies without a route that neither a policy nor a listener names.
pub(super) fn unused(policies: &[Policy], listeners: &[Listener]) -> Vec<PolicyId> {
    let mut used: HashSet<PolicyId> = policies.iter().flat_map(called_by).collect();
    used.extend(policies.iter().flat_map(|policy| policy.before.iter().flatten()).map(|(id, _)| *id));
    for listener in listeners {
        used.extend(listener.before.iter().chain(&listener.after).chain(&listener.on_error));
    }
    let unused = |(id, policy): &(PolicyId, &Policy)| policy.routes.is_empty() && !policy.broken && !used.contains(id);
    policies.iter().enumerate().filter(unused).map(|(id, _)| id).collect()
}
