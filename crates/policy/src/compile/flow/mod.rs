//! Follows every path of every policy and asks at each step what is surely set, and what may be.
//!
//! A chain is followed once for each state that it is entered with (joined where there are many), through switches, calls
//! and moves. What a step reads is judged by all states that reach it: set on none of them is an error, missing on some a
//! warning. So what a policy is told depends on who calls it.

mod ground;
mod guard;
mod report;
mod routes;
mod state;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::build::{PolicyEffects, StepEffects};
use super::cycles::DEEPEST;
use super::listeners::Listener;
use super::methods::{Methods, switch_case};
use super::model::{ChainId, MAIN, Move, Node, Policy, PolicyId, Target};
use crate::diagnostic::Diagnostics;
use crate::filter::{Answers, Effects};
use ground::Ground;
use state::{BODILESS, BODY_GONE, BODY_HELD, BODY_TRIED, End, Ends, FAILURE, Numbers, Point, RESPONSE, State};

/// With so many states a chain is followed by itself; further ones are joined, which loses precision and saves time.
const MOST_STATES: usize = 32;

/// A step of the program.
pub(crate) type At = (PolicyId, ChainId, usize);

/// What the states that reached a read have in common.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Some way has it.
    there: bool,
    /// Some way lacks it.
    lacking: bool,
}

/// What the flow proves of a step's own ends, for what tests are asked to show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// Something that it reads, and has no default for, may be absent.
    pub(crate) lacking: bool,
    /// It uses a store or upstream that no filter before it has surely used: its fault is not one of theirs.
    pub(crate) first_use: bool,
}

/// What the flow proves, by step; a step that is not in it is never reached.
pub(crate) type Proved = HashMap<At, Found>;

pub(crate) struct Flow<'a> {
    ground: &'a Ground<'a>,
    policies: &'a [Policy],
    effects: &'a [&'a PolicyEffects],
    followed: HashMap<(PolicyId, ChainId, State), Rc<Ends>>,
    /// How many states a chain was followed with, and their join.
    entered: HashMap<(PolicyId, ChainId), (usize, State)>,
    active: HashSet<(PolicyId, ChainId)>,
    /// The steps that are reached, and what was found of each.
    reached: Proved,
    /// By step, and by the read's place among its reads (those of `when` first).
    reads: BTreeMap<(At, usize), Seen>,
    /// By step that reads the request's body or sends it away.
    bodies: BTreeMap<At, Seen>,
    bare: Vec<(PolicyId, ChainId)>,
    /// Where only one method is followed, to see which filters it leaves out.
    guards: Option<guard::Guards>,
    /// What is set where each step begins, and behind the last one of a chain; kept only for who asks.
    points: Option<HashMap<At, State>>,
}

/// What is set where a step begins, joined over all ways to there.
pub(super) struct Points {
    states: HashMap<At, State>,
    names: Numbers,
}

impl Points {
    /// The attributes that are set where this step begins, each with whether that is sure on every way; `None` where nothing
    /// leads there, or where nothing is known.
    pub(super) fn at(&self, at: At) -> Option<BTreeMap<String, bool>> {
        let state = self.states.get(&at).filter(|state| !state.is_unknown())?;
        let set = self.names.all().filter(|(name, number)| !name.starts_with(' ') && state.maybe(*number));
        Some(set.map(|(name, number)| (name.to_owned(), state.sure(number))).collect())
    }
}

/// How a policy as a whole can end.
#[derive(Default)]
struct PolicyEnds {
    success: Point,
    answered: Point,
    failure: Point,
    abort: Point,
}

/// Checks all policies. With `keep_points`, what is set at each step comes back.
pub(crate) fn check(
    policies: &[Policy],
    effects: &[&PolicyEffects],
    listeners: &[Listener],
    methods: &Methods,
    keep_points: bool,
    problems: &mut Diagnostics,
) -> (Points, Proved) {
    let ground = Ground::new(policies, effects);
    let mut flow = Flow::new(&ground);
    flow.points = keep_points.then(HashMap::new);
    flow.follow_listeners(listeners);
    flow.follow_unused(listeners);
    flow.report(listeners, problems);
    let states = flow.points.take().unwrap_or_default();
    flow.check_guards(methods, listeners, problems);
    let proved = flow.reached;
    (Points { states, names: ground.numbers }, proved)
}

impl<'a> Flow<'a> {
    fn new(ground: &'a Ground<'a>) -> Self {
        Flow {
            ground,
            policies: ground.policies,
            effects: ground.effects,
            followed: HashMap::new(),
            entered: HashMap::new(),
            active: HashSet::new(),
            reached: HashMap::new(),
            reads: BTreeMap::new(),
            bodies: BTreeMap::new(),
            bare: Vec::new(),
            guards: None,
            points: None,
        }
    }
}

impl Flow<'_> {
    /// What a called policy sees: its inputs, and none of its caller's.
    fn inputs(&self, id: PolicyId, state: &State) -> State {
        let mut state = state.clone();
        self.ground.all_inputs.iter().for_each(|input| state.unset(*input));
        self.ground.inputs[id].iter().for_each(|input| state.set(*input));
        state
    }

    /// A policy from its main chain to the end of its handlers. `routed`: a request may end with it, so it has to answer,
    /// and its handlers begin without the response that was refused.
    fn follow_policy(&mut self, id: PolicyId, state: &State, routed: bool) -> PolicyEnds {
        let policy = &self.policies[id];
        if policy.broken || policy.chains.is_empty() {
            let anything = Point(Some(state.clone().unknown()));
            return PolicyEnds { success: anything, ..PolicyEnds::default() };
        }
        let main = self.follow(id, MAIN, state);
        let mut success = main.succeeded();
        let mut ends = PolicyEnds { answered: main.answered.clone(), ..PolicyEnds::default() };
        let (on_failure, on_abort) = (policy.on_failure, policy.on_abort);
        for (point, handler, abort) in [(&main.failure, on_failure, false), (&main.abort, on_abort, true)] {
            let Some(state) = &point.0 else { continue };
            match handler {
                Some(handler) => {
                    let entry = self.refused(state).with(FAILURE);
                    let entry = if routed { entry.without(RESPONSE) } else { entry };
                    let handled = self.follow(id, handler, &entry);
                    success.join(&handled.succeeded());
                    ends.answered.join_point(&handled.answered);
                    ends.failure.join_point(&handled.failure);
                    ends.abort.join_point(&handled.abort);
                }
                None if abort => ends.abort.join(state),
                None => ends.failure.join(state),
            }
        }
        if routed {
            self.bare.extend(&success.bare);
        }
        ends.success = success.point;
        ends
    }

    /// A run from the start of a chain.
    fn follow(&mut self, policy: PolicyId, chain: ChainId, state: &State) -> Rc<Ends> {
        let entry = self.entered.entry((policy, chain)).or_insert_with(|| (0, state.clone()));
        entry.0 += 1;
        entry.1.join(state);
        let state = if entry.0 > MOST_STATES { entry.1.clone() } else { state.clone() };
        if let Some(known) = self.followed.get(&(policy, chain, state.clone())) {
            return known.clone();
        }
        if self.active.len() > DEEPEST || !self.active.insert((policy, chain)) {
            // A loop or a nest that is too deep, which is reported as such.
            let end = End { point: Point(Some(state.unknown())), ..End::default() };
            return Rc::new(Ends { end, ..Ends::default() });
        }
        let ends = Rc::new(self.follow_steps(policy, chain, state.clone()));
        self.active.remove(&(policy, chain));
        self.followed.insert((policy, chain, state), ends.clone());
        ends
    }

    fn follow_steps(&mut self, policy: PolicyId, chain: ChainId, state: State) -> Ends {
        let mut ends = Ends::default();
        let mut here = Point(Some(state));
        let policies = self.policies;
        for (index, step) in policies[policy].chains[chain].steps.iter().enumerate() {
            let Some(state) = here.0.take() else { return ends };
            let at = (policy, chain, index);
            self.reached.entry(at).or_default();
            self.pass(at, &state);
            let done = self.follow_step(at, &state);
            here.join_point(&done.end.point);
            ends.answered.join_point(&done.answered);
            self.follow_move(policy, step.on_failure, &done.failure, false, &mut here, &mut ends);
            self.follow_move(policy, step.on_abort, &done.abort, true, &mut here, &mut ends);
            if let Some((tail, _)) = step.on_success {
                if let Some(state) = &here.0 {
                    let tail = self.follow(policy, tail, state);
                    ends.end.join(&tail.end);
                    ends.success.join(&tail.success);
                    ends.answered.join_point(&tail.answered);
                    ends.failure.join_point(&tail.failure);
                    ends.abort.join_point(&tail.abort);
                }
                return ends;
            }
        }
        if let Some(state) = here.0 {
            self.pass((policy, chain, policies[policy].chains[chain].steps.len()), &state);
            if !state.sure(RESPONSE) {
                ends.end.bare.insert((policy, chain));
            }
            ends.end.point.join(&state);
        }
        ends
    }

    /// Notes what is set here, for who asks.
    fn pass(&mut self, at: At, state: &State) {
        if let Some(points) = &mut self.points {
            points.entry(at).and_modify(|known| known.join(state)).or_insert_with(|| state.clone());
        }
    }

    /// Where a failure or a fault of a step leads.
    fn follow_move(
        &mut self,
        policy: PolicyId,
        to: Move,
        from: &Point,
        abort: bool,
        here: &mut Point,
        ends: &mut Ends,
    ) {
        let Some(state) = &from.0 else { return };
        match to {
            Move::Up if abort => ends.abort.join(state),
            Move::Up => ends.failure.join(state),
            Move::Continue => here.join(&state.clone().with(FAILURE)),
            Move::Unknown => here.join(&state.clone().unknown()),
            Move::To { chain, success, .. } => {
                let entry = if success { state.clone() } else { self.refused(state) };
                let moved = self.follow(policy, chain, &entry.with(FAILURE));
                ends.success.join(&moved.success);
                ends.answered.join_point(&moved.answered);
                ends.failure.join_point(&moved.failure);
                ends.abort.join_point(&moved.abort);
                match (success, abort) {
                    (true, _) => ends.success.join(&moved.end),
                    (false, true) => ends.abort.join_point(&moved.end.point),
                    (false, false) => ends.failure.join_point(&moved.end.point),
                }
            }
        }
    }

    /// The state of a request that is refused.
    fn refused(&self, state: &State) -> State {
        let mut state = state.clone();
        if let Some(guards) = &self.guards {
            guards.refuse(&mut state);
        }
        state
    }

    /// The state after a `when` that does not hold, and whether the filter may run at all.
    fn left_out(&self, at: At, said: &StepEffects, state: &State) -> (Point, bool) {
        let mut out = state.clone();
        let Some(guards) = &self.guards else { return (Point(Some(out)), true) };
        let holds = said.by_method.as_ref().map(|by_method| by_method[guards.method.0]);
        if holds == Some(true) {
            return (Point::default(), true);
        }
        guards.leave_out(at, holds == Some(false), &mut out);
        (Point(Some(out)), holds.is_none())
    }

    /// One step: `end` is where the next one begins.
    fn follow_step(&mut self, at: At, state: &State) -> Ends {
        let said = &self.effects[at.0][at.1][at.2];
        let mut state = state.clone();
        let mut skipped = Point::default();
        if let Some(when) = &said.when {
            self.read(at, 0, when, &mut state);
            let (out, runs) = self.left_out(at, said, &state);
            skipped = out;
            if !runs {
                return Ends { end: End { point: skipped, ..End::default() }, ..Ends::default() };
            }
        }
        let before = said.when.as_ref().map_or(0, |when| when.reads.len());
        self.read(at, before, &said.own, &mut state);
        let policies = self.policies;
        let mut ends = match &policies[at.0].chains[at.1].steps[at.2].node {
            _ if said.unknown => {
                Ends { end: End { point: Point(Some(state.clone().unknown())), ..End::default() }, ..Ends::default() }
            }
            Node::Broken => {
                Ends { end: End { point: Point(Some(state.clone().unknown())), ..End::default() }, ..Ends::default() }
            }
            Node::Filter(kind) => self.follow_filter(at, kind.name, said, &state),
            Node::Switch(switch) => {
                let case = self.guards.as_ref().and_then(|guards| switch_case(switch, &guards.method.1));
                let targets: Vec<Target> = match case {
                    Some(Some(case)) => vec![switch.cases[case].1],
                    Some(None) => vec![switch.otherwise],
                    None => {
                        let cases = switch.cases.iter().map(|(_, target)| target);
                        cases.chain([&switch.otherwise]).chain(&switch.missing).copied().collect()
                    }
                };
                self.follow_targets(at.0, &targets, &state)
            }
            Node::Call(call) => self.follow_targets(at.0, &[call.target], &state),
            Node::Any(any) => {
                let targets: Vec<Target> = any.of.iter().map(|(chain, span)| Target::Chain(*chain, *span)).collect();
                let mut ends = self.follow_targets(at.0, &targets, &state);
                // What a failed chain set is rolled back.
                ends.failure = Point(ends.failure.0.map(|_| state.clone()));
                ends
            }
        };
        if !matches!(policies[at.0].chains[at.1].steps[at.2].node, Node::Filter(_) | Node::Broken)
            || said.when.is_some()
        {
            // A missing value is a failure of the step itself.
            ends.failure.join(&state);
        }
        ends.end.point.join_point(&skipped);
        ends
    }

    fn follow_filter(&mut self, at: At, kind: &str, said: &StepEffects, state: &State) -> Ends {
        let own = &said.own;
        let mut after = state.clone();
        let mut failed = state.clone();
        if own.streams_request_body && !state.sure(BODY_HELD) {
            self.send_body(at, state);
            after.set(BODY_GONE);
            failed.may_set(BODY_TRIED);
        }
        let mut ends = Ends::default();
        ends.failure.join(&failed);
        ends.abort.join(&failed);
        let ground = self.ground;
        let known = ground.known(at);
        for used in &known.uses {
            if !state.proves(*used) {
                self.reached.entry(at).or_default().first_use = true;
            }
            after.set(*used);
        }
        known.removes.iter().for_each(|number| after.unset(*number));
        known.writes.iter().for_each(|write| ground.write(write, &mut after));
        if let (true, Some(guards)) = (own.authorizes, &self.guards) {
            guards.make_good(kind, &mut after);
        }
        if own.answers != Answers::Never {
            ends.answered.join(&after.clone().with(RESPONSE));
        }
        if own.answers != Answers::Always && !own.always_fails {
            if own.sets_response {
                after.set(RESPONSE);
            }
            ends.end.point.join(&after);
        }
        ends
    }

    /// What a flow word runs, one of these.
    fn follow_targets(&mut self, policy: PolicyId, targets: &[Target], state: &State) -> Ends {
        let mut ends = Ends::default();
        for target in targets {
            match *target {
                Target::Continue => ends.end.point.join(state),
                Target::Fail => ends.failure.join(state),
                Target::Unknown => ends.end.point.join(&state.clone().unknown()),
                Target::Chain(chain, _) => {
                    let run = self.follow(policy, chain, state);
                    ends.end.point.join_point(&run.succeeded().point);
                    ends.answered.join_point(&run.answered);
                    ends.failure.join_point(&run.failure);
                    ends.abort.join_point(&run.abort);
                }
                Target::Policy(called, _) => {
                    let entry = self.inputs(called, state);
                    let run = self.follow_policy(called, &entry, false);
                    for (to, from) in [
                        (&mut ends.end.point, run.success),
                        (&mut ends.answered, run.answered),
                        (&mut ends.failure, run.failure),
                        (&mut ends.abort, run.abort),
                    ] {
                        if let Some(end) = from.0 {
                            to.join(&self.restore_inputs(end, state));
                        }
                    }
                }
            }
        }
        ends
    }

    /// After a call the caller sees its own inputs again.
    fn restore_inputs(&self, mut state: State, caller: &State) -> State {
        for input in &self.ground.all_inputs {
            state.unset(*input);
            if !caller.is_unknown() && caller.sure(*input) {
                state.set(*input);
            }
        }
        state
    }

    /// Notes what the step finds of what it reads.
    fn read(&mut self, at: At, first: usize, effects: &Effects, state: &mut State) {
        let ground = self.ground;
        for (index, (read, number)) in effects.reads.iter().zip(&ground.known(at).reads[first..]).enumerate() {
            let number = *number;
            let seen = self.reads.entry((at, first + index)).or_default();
            seen.there |= state.maybe(number);
            seen.lacking |= !state.sure(number);
            let doubt = ground.doubts.get(&number).is_some_and(|doubt| !state.is_unknown() && state.maybe(*doubt));
            if !read.optional && (doubt || !state.sure(number)) {
                self.reached.entry(at).or_default().lacking = true;
            }
        }
        if effects.reads_request_body {
            if !state.is_unknown() && !state.sure(BODY_HELD) {
                let seen = self.bodies.entry(at).or_default();
                seen.lacking |= state.maybe(BODY_GONE) || state.maybe(BODY_TRIED);
                seen.there |= !state.sure(BODY_GONE);
            }
            state.set(BODY_HELD);
        }
    }

    /// Notes what a step that sends the body away finds of it. After one that came to nothing another may try: the body may
    /// be empty, and only the request can tell.
    fn send_body(&mut self, at: At, state: &State) {
        if !state.sure(BODILESS) {
            let seen = self.bodies.entry(at).or_default();
            seen.lacking |= state.maybe(BODY_GONE);
            seen.there |= !state.sure(BODY_GONE);
        }
    }
}
