//! Lints of what stands after a filter that gives answers again (`cache`). For an answer that is kept none of it runs: it does not
//! refuse, and what it made of one request is given to another one.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{PolicyEffects, StepEffects};
use super::lint::{before, reached};
use super::listeners::Listener;
use super::model::{ChainId, MAIN, Move, Node, Policy, PolicyId, Step, Target};
use crate::diagnostic::{Diagnostics, Place, Problem, codes};
use crate::filter::{Answers, Effects, GoesBy, Judges, Repeats};

/// A step: policy, chain, and its place there.
type At = (PolicyId, ChainId, usize);

/// What stands after each such filter, and should not.
pub(super) fn check(policies: &[Policy], effects: &[&PolicyEffects], listeners: &[Listener]) -> Diagnostics {
    let mut found = Diagnostics::new();
    let steps = || policies.iter().enumerate().flat_map(|(id, policy)| steps_of(id, policy));
    let caches = steps().filter_map(|at| Some((at, effects[at.0][at.1][at.2].own.repeats?)));
    let caches: Vec<(At, Repeats)> = caches.collect();
    if caches.is_empty() {
        return found;
    }
    let references = References::of(policies, listeners);
    let routed = (0..policies.len()).filter(|id| policies[*id].has_route);
    let requests: Vec<BTreeSet<PolicyId>> = routed.map(|id| reached(id, policies, listeners)).collect();
    for (cache, to) in caches {
        let around = references.around(cache);
        let after = references.after(cache, &around, policies);
        let by = &effects[cache.0][cache.1][cache.2].own.goes_by;
        let key: Vec<&str> = by.iter().map(|by| by.name.as_str()).collect();
        // What one route leads to says nothing of another one that comes to the same cache.
        for reached in requests.iter().filter(|policies| policies.contains(&cache.0)) {
            let company = reached.iter().flat_map(|id| steps_of(*id, &policies[*id])).collect();
            let references = &references;
            let (around, after, company) = (&around, &after, &company);
            let world = World { policies, effects, references, cache, around, after, company, key: &key };
            // Without a key nothing is kept where somebody has decided who may pass.
            if to == Repeats::ByKey || !company.difference(after).any(|at| world.said(*at).own.authorizes) {
                company.intersection(after).for_each(|at| world.look(*at, &mut found));
            }
        }
    }
    found
}

fn steps_of(id: PolicyId, policy: &Policy) -> impl Iterator<Item = At> {
    (0..policy.chains.len()).flat_map(move |chain| rest(policy, (id, chain, 0)))
}

/// A chain of the policy, from a step on.
fn rest(policy: &Policy, (id, chain, from): At) -> impl Iterator<Item = At> {
    (from..policy.chains[chain].steps.len()).map(move |step| (id, chain, step))
}

/// What leads where.
struct References {
    /// By chain: the steps that lead there, and whether they run it and go on.
    to: BTreeMap<(PolicyId, ChainId), Vec<(At, bool)>>,
    /// By a policy that runs before others: what runs after it.
    behind: BTreeMap<PolicyId, BTreeSet<PolicyId>>,
}

impl References {
    fn of(policies: &[Policy], listeners: &[Listener]) -> Self {
        let mut to = BTreeMap::<_, Vec<_>>::new();
        for at in policies.iter().enumerate().flat_map(|(id, policy)| steps_of(id, policy)) {
            for (target, _, goes_on) in policies[at.0].chains[at.1].steps[at.2].targets() {
                if let Some(chain) = led_to(at.0, target) {
                    to.entry(chain).or_default().push((at, goes_on));
                }
            }
        }
        let mut behind = BTreeMap::<_, BTreeSet<_>>::new();
        for (id, policy) in policies.iter().enumerate().filter(|(_, policy)| policy.has_route) {
            for before in before(policy, listeners) {
                for (place, first) in before.iter().enumerate() {
                    behind.entry(*first).or_default().extend(before[place + 1..].iter().chain([&id]));
                }
            }
        }
        References { to, behind }
    }

    /// The chain of a step, and those that lead there, however far away.
    fn around(&self, at: At) -> BTreeSet<(PolicyId, ChainId)> {
        let (mut around, mut open) = (BTreeSet::new(), vec![(at.0, at.1)]);
        while let Some(chain) = open.pop() {
            if around.insert(chain) {
                open.extend(self.to.get(&chain).into_iter().flatten().map(|(at, _)| (at.0, at.1)));
            }
        }
        around
    }

    /// What can run after a step: the rest of its chain, what that runs, the same of whoever runs the chain, and the policies that its own one
    /// runs before.
    fn after(&self, at: At, around: &BTreeSet<(PolicyId, ChainId)>, policies: &[Policy]) -> BTreeSet<At> {
        let rest = |from: At| rest(&policies[from.0], from);
        let (mut after, mut next) = (BTreeSet::new(), rest((at.0, at.1, at.2 + 1)).collect::<Vec<_>>());
        for ends in around {
            for (at, _) in self.to.get(ends).into_iter().flatten().filter(|(_, goes_on)| *goes_on) {
                next.extend(rest((at.0, at.1, at.2 + 1)));
            }
            if ends.1 == MAIN {
                next.extend(self.behind.get(&ends.0).into_iter().flatten().flat_map(|id| rest((*id, MAIN, 0))));
            }
        }
        while let Some(at) = next.pop() {
            if after.insert(at) {
                let targets = policies[at.0].chains[at.1].steps[at.2].targets().into_iter();
                let chains = targets.filter_map(|(to, ..)| led_to(at.0, to));
                next.extend(chains.flat_map(|(policy, chain)| rest((policy, chain, 0))));
            }
        }
        after
    }
}

fn led_to(from: PolicyId, target: Target) -> Option<(PolicyId, ChainId)> {
    match target {
        Target::Chain(chain, _) => Some((from, chain)),
        Target::Policy(policy, _) => Some((policy, MAIN)),
        Target::Continue | Target::Fail | Target::Unknown => None,
    }
}

/// A filter that gives answers again, and what is around it.
struct World<'a> {
    policies: &'a [Policy],
    effects: &'a [&'a PolicyEffects],
    references: &'a References,
    cache: At,
    /// Its chain, and those that lead there: whoever comes to it has come through them.
    around: &'a BTreeSet<(PolicyId, ChainId)>,
    /// What stands after it.
    after: &'a BTreeSet<At>,
    /// All steps of the requests of one route that comes to it.
    company: &'a BTreeSet<At>,
    /// What its key goes by.
    key: &'a [&'a str],
}

impl World<'_> {
    fn said(&self, at: At) -> &StepEffects {
        &self.effects[at.0][at.1][at.2]
    }

    fn step(&self, at: At) -> &Step {
        &self.policies[at.0].chains[at.1].steps[at.2]
    }

    /// What `use` says of a step, and where.
    fn named(&self, at: At) -> (&str, Place) {
        let uses = &self.step(at).uses;
        (&uses.value, self.policies[at.0].place(uses.span))
    }

    fn look(&self, at: At, found: &mut Diagnostics) {
        let own = &self.said(at).own;
        let (name, place) = self.named(at);
        let (cache, cached) = self.named(self.cache);
        // A failure that leads elsewhere refuses nobody.
        let refuses = self.step(at).on_failure == Move::Up;
        if own.authorizes || refuses && own.judges.is_some_and(|how| self.would_refuse(at, how)) {
            let message = match own.authorizes {
                true => format!(
                    "`{name}` decides who may pass, and stands after `{cache}`: nothing that it lets pass is kept"
                ),
                false => format!(
                    "`{name}` may refuse a request, and stands after `{cache}`: what is kept is given without asking it"
                ),
            };
            let lint = Problem::warning(codes::REFUSAL_AFTER_CACHE, message);
            let lint = lint.with_help(format!("let it stand before `{cache}`")).at(place);
            found.push(lint.with_related(cached, "what is kept is given here"));
            // What mends that mends the rest.
            return;
        }
        if !self.shapes(at) {
            return;
        }
        let ways = self.ways_to(at).into_iter().filter(|(from, _)| self.after.contains(from));
        let ways: Vec<(At, &GoesBy)> = self.goes_by(at).map(|by| (at, by)).chain(ways).collect();
        for (at, by) in ways {
            let Some(source) = self.differs(at.0, &by.name, &mut BTreeSet::new()) else { continue };
            let made_of = if source == by.name { String::new() } else { format!(", made of `{source}`,") };
            let message = format!(
                "`{}`{made_of} shapes what `{cache}` keeps, and its key does not have it: what was made for one client is given to another",
                by.name
            );
            let help = format!("add `{source}` to the `key` of `{cache}`{}", self.or_elsewhere(at, cache));
            let lint = Problem::warning(codes::ANSWER_OF_ANOTHER, message).with_help(help).at(by.place.clone());
            found.push(lint.with_related(cached.clone(), "kept here"));
        }
    }

    /// Whether what a step goes by makes a difference to what is sent to the upstream or answered. A filter that says that it does not is not
    /// believed where it leaves an answer or edits one. What `call` and `any` run is looked at by itself.
    fn shapes(&self, at: At) -> bool {
        let own = &self.said(at).own;
        let passes_on = matches!(self.step(at).node, Node::Call(_) | Node::Any(_));
        !passes_on && (!own.shapes_nothing || leaves_answer(own) || own.edits_headers)
    }

    /// Where else a filter could stand, so that it runs for every request. What leaves an answer could not: `cache` would have nothing to do.
    fn or_elsewhere(&self, at: At, cache: &str) -> String {
        let (name, own) = (self.named(at).0, &self.said(at).own);
        let edits_answer = own.edits_headers || own.reads.iter().any(|read| read.attribute == "response");
        match self.step(at).node {
            Node::Filter(_) if leaves_answer(own) => String::new(),
            Node::Filter(_) if edits_answer => format!("; or let `{name}` stand in `[[response]]`"),
            Node::Filter(_) => format!(
                "; or let `{name}` stand before `{cache}`, which then sees the URL that it makes, or a header that `Vary` of the answer names"
            ),
            _ => String::new(),
        }
    }

    /// Whether it may refuse a request though the same URL and key had an answer.
    fn would_refuse(&self, at: At, how: Judges) -> bool {
        // Who counts refuses the one and not the other, however alike they are; but who counts all together, or by URL, spares the upstream.
        let key = if how == Judges::Each { &[][..] } else { self.key };
        let world = World { key, ..*self };
        world.goes_by(at).any(|by| world.differs(at.0, &by.name, &mut BTreeSet::new()).is_some())
    }

    /// What a step goes by, and its `when`.
    fn goes_by(&self, at: At) -> impl Iterator<Item = &GoesBy> {
        let said = self.said(at);
        said.when.iter().chain([&said.own]).flat_map(|effects| &effects.goes_by)
    }

    /// What it depends on whether a step runs, with where that is said: `when` of those that lead to its chain, what they choose by, and what
    /// may have refused there.
    fn ways_to(&self, at: At) -> Vec<(At, &GoesBy)> {
        let led = |chain: &(PolicyId, ChainId)| {
            let leading = self.references.to.get(chain).into_iter().flatten().map(|(at, _)| *at);
            leading.filter(|at| self.company.contains(at))
        };
        let chains = self.references.around(at);
        // Whoever comes to the cache has come the same way that far.
        let apart = chains.iter().filter(|chain| !self.around.contains(*chain));
        let leading: BTreeSet<At> = apart.flat_map(led).collect();
        let mut ways = Vec::new();
        for at in leading {
            ways.extend(self.said(at).when.iter().flat_map(|when| &when.goes_by).map(|by| (at, by)));
            let refused = match &self.step(at).node {
                Node::Any(any) => {
                    any.of.iter().flat_map(|(chain, _)| rest(&self.policies[at.0], (at.0, *chain, 0))).collect()
                }
                _ => vec![at],
            };
            let judges =
                |from: &At| self.said(*from).own.judges.is_some() || matches!(self.step(*from).node, Node::Switch(_));
            let judged = refused.into_iter().filter(judges);
            ways.extend(judged.flat_map(|from| self.said(from).own.goes_by.iter().map(move |by| (from, by))));
        }
        ways
    }

    /// What differs between clients that ask for the same URL and have the same key, of what a name stands for.
    fn differs(&self, policy: PolicyId, name: &str, seen: &mut BTreeSet<(PolicyId, String)>) -> Option<String> {
        if self.key.contains(&name) || !seen.insert((policy, name.to_owned())) {
            return None;
        }
        let mut words = name.split(['.', '[', ':']);
        let (root, field) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match root {
            "request" if is_alike(field) || name == "request.header.host" => None,
            "request" => Some(name.to_owned()),
            "path" if self.is_left_behind(name) => Some(name.to_owned()),
            "path" | "response" | "failure" | "values" | "node" | "now" | "kps" => None,
            "vars" => self.made_of(&format!("vars.{field}"), name, seen),
            "input" => self.argument(policy, field, seen),
            // Who has the same id is the same.
            _ if self.key.contains(&format!("{root}.id").as_str()) => None,
            _ => self.made_of(root, name, seen),
        }
    }

    /// Whether the URL that the cache goes by may lack what the route took of the client's: another path stands in its place, made without it.
    fn is_left_behind(&self, name: &str) -> bool {
        let before = self.company.difference(self.after).filter(|at| self.said(**at).own.sets_path);
        before.into_iter().any(|at| self.said(*at).own.goes_by.iter().all(|by| by.name != name))
    }

    /// The same of an attribute, by what those who set it go by.
    fn made_of(&self, attribute: &str, name: &str, seen: &mut BTreeSet<(PolicyId, String)>) -> Option<String> {
        let sets = |at: &&At| self.said(**at).own.writes.iter().any(|written| written == attribute);
        self.company.iter().filter(sets).find_map(|at| match self.said(*at).own.authorizes {
            // What it lets pass is not kept.
            true if self.after.contains(at) => None,
            true => Some(name.to_owned()),
            false => {
                let variable = attribute.strip_prefix("vars.");
                let into = |by: &&GoesBy| by.into.is_none() || by.into.as_deref() == variable;
                let ways = self.ways_to(*at);
                let own = self.goes_by(*at).filter(into).map(|by| (*at, by));
                own.chain(ways).find_map(|(at, by)| self.differs(at.0, &by.name, seen))
            }
        })
    }

    /// The same of an input, by what those who call the policy give it.
    fn argument(&self, policy: PolicyId, input: &str, seen: &mut BTreeSet<(PolicyId, String)>) -> Option<String> {
        self.company.iter().find_map(|at| {
            let Node::Call(call) = &self.step(*at).node else { return None };
            let given = call.with.iter().find(|argument| argument.name == input)?;
            let within = |by: &&GoesBy| {
                given.value.span.start <= by.place.span.start && by.place.span.end <= given.value.span.end
            };
            let calls = led_to(at.0, call.target) == Some((policy, MAIN));
            calls.then(|| {
                self.said(*at).own.goes_by.iter().filter(within).find_map(|by| self.differs(at.0, &by.name, seen))
            })?
        })
    }
}

fn leaves_answer(said: &Effects) -> bool {
    said.sets_response || said.answers != Answers::Never
}

/// Fields of `request` that the URL has; that a request with a body alone has, which no cache answers; or that no two requests share.
fn is_alike(field: &str) -> bool {
    matches!(
        field,
        "method"
            | "path"
            | "uri"
            | "url"
            | "query_string"
            | "query"
            | "host"
            | "scheme"
            | "form"
            | "body"
            | "json"
            | "id"
    )
}
