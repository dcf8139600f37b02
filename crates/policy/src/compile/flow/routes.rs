//! Where runs begin: routes, with what listeners run before and after them, and policies that nothing leads to.

use http::Method;

use super::super::listeners::Listener;
use super::super::model::PolicyId;
use super::state::{BODILESS, FAILURE, Point, RESPONSE, State};
use super::{Flow, PolicyEnds, report};

impl Flow<'_> {
    /// Every route on every listener, with what runs before and after it.
    pub(super) fn follow_listeners(&mut self, listeners: &[Listener]) {
        let without = Listener { name: String::new(), before: Vec::new(), after: Vec::new(), on_error: None };
        let alone = [without];
        for listener in if listeners.is_empty() { &alone } else { listeners } {
            let mut all = Point(Some(State::default()));
            for id in 0..self.policies.len() {
                let policy = &self.policies[id];
                if !policy.routes.is_empty() && listener.has(policy) {
                    all.join(&self.follow_route(id, listener));
                }
            }
            let anything = all.0.unwrap_or_default().doubted();
            if let Some(on_error) = listener.on_error {
                self.follow_policy(on_error, &anything.clone().with(FAILURE), false);
            }
            for after in &listener.after {
                self.follow_policy(*after, &anything.clone().with(RESPONSE), false);
            }
        }
    }

    /// Policies that nothing leads to: whoever will call them may have set anything.
    pub(super) fn follow_unused(&mut self, listeners: &[Listener]) {
        for id in report::unused(self.policies, listeners) {
            let state = self.inputs(id, &State::default()).unknown();
            self.follow_policy(id, &state, false);
            if let Some(response) = self.policies[id].response {
                self.follow(id, response, &state);
            }
        }
    }

    /// One policy as the router enters it; gives all that may be set on its answer.
    fn follow_route(&mut self, id: PolicyId, listener: &Listener) -> State {
        let start = self.entry(id);
        let ends = self.follow_request(id, listener, &start);
        let mut all = Point(Some(start.clone()));
        [&ends.success, &ends.answered, &ends.failure, &ends.abort].iter().for_each(|point| all.join_point(point));
        let answer = all.0.unwrap_or_default().doubted().with(RESPONSE);
        if let Some(response) = self.policies[id].response {
            let mut entry = answer.clone();
            self.copy_path_names(&start, id, &mut entry);
            self.follow(id, response, &entry);
        }
        answer
    }

    /// Whatever ends well: with a success or an answer.
    pub(super) fn follow_route_to_end(&mut self, id: PolicyId, listener: &Listener) -> State {
        let start = self.entry(id);
        let ends = self.follow_request(id, listener, &start);
        let mut well = ends.success;
        well.join_point(&ends.answered);
        well.0.unwrap_or_default()
    }

    /// What runs before a policy, and the policy.
    fn follow_request(&mut self, id: PolicyId, listener: &Listener, start: &State) -> PolicyEnds {
        let before = self.policies[id].own_before().unwrap_or_else(|| listener.before.clone());
        let mut all = PolicyEnds { success: Point(Some(start.clone())), ..PolicyEnds::default() };
        for (policy, routed) in before.into_iter().map(|id| (id, false)).chain([(id, true)]) {
            let Some(entry) = all.success.0.take() else { break };
            let ends = self.follow_policy(policy, &entry, routed);
            all.success = ends.success;
            all.answered.join_point(&ends.answered);
            all.failure.join_point(&ends.failure);
            all.abort.join_point(&ends.abort);
        }
        all
    }

    /// What a request brings along: the names in the paths of all routes are surely set.
    fn entry(&self, id: PolicyId) -> State {
        let mut point = Point::default();
        for (route, names) in self.policies[id].routes.iter().zip(&self.ground.paths[id]) {
            let mut state = State::default();
            if !route.methods.is_empty()
                && route.methods.iter().all(|method| [Method::GET, Method::HEAD].contains(method))
            {
                state.set(BODILESS);
            }
            names.iter().for_each(|name| state.set(*name));
            point.join(&state);
        }
        point.0.unwrap_or_default()
    }

    fn copy_path_names(&self, from: &State, id: PolicyId, to: &mut State) {
        self.ground.paths[id].iter().flatten().filter(|name| from.sure(**name)).for_each(|name| to.set(*name));
    }
}
