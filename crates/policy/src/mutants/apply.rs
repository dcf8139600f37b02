//! Exchanges a piece of a compiled program for another, and back.

use std::sync::Arc;

use super::broken::{Inverted, Nothing, Shared};
use super::{At, Change, Mutant};
use crate::engine::Program;
use crate::engine::model::{Action, Move, Step, Switch, Target};
use crate::filter::ErasedFilter;
use crate::selector::Condition;

/// What [`Program::mutate`] took out, to be put back.
pub struct Mutated {
    at: At,
    piece: Piece,
}

/// A piece that can be exchanged.
enum Piece {
    Action(Action),
    When(Option<Condition>),
    OnFailure(Move),
    OnAbort(Move),
    OnSuccess(Option<usize>),
    Case(usize, Target),
    Missing(Option<Target>),
    Of(Vec<usize>),
    /// Of the policy: `on_failure` and `on_abort`.
    Handlers(Option<usize>, Option<usize>),
    /// Takes itself back when it is done again.
    Weakness(usize),
}

impl Program {
    /// Changes it as the mutant says; [`restore`](Self::restore) puts back what was there. The mutant is one of this program, or
    /// of another from the same files.
    pub fn mutate(&mut self, mutant: &Mutant) -> Mutated {
        let at = mutant.at;
        let piece = self.changed(at, &mutant.change);
        Mutated { at, piece: self.exchange(at, piece) }
    }

    /// Puts back what was there before the mutant.
    pub fn restore(&mut self, mutated: Mutated) {
        self.exchange(mutated.at, mutated.piece);
    }

    fn changed(&mut self, at: At, change: &Change) -> Piece {
        let policy = &self.policies[at.policy];
        let (on_failure, on_abort) = (policy.on_failure, policy.on_abort);
        let step = self.step_at(at);
        match change {
            Change::Removed => Piece::Action(Action::Filter(Box::new(Nothing))),
            Change::FailureInverted => Piece::Action(inverted(step, true)),
            Change::SuccessInverted => Piece::Action(inverted(step, false)),
            Change::WhenRemoved => Piece::When(None),
            Change::OnFailureRemoved => Piece::OnFailure(Move::Up),
            Change::OnAbortRemoved => Piece::OnAbort(Move::Up),
            Change::OnSuccessRemoved => Piece::OnSuccess(None),
            Change::Case(case, _) => Piece::Case(*case, otherwise(step)),
            Change::Missing => Piece::Missing(Some(otherwise(step))),
            Change::Branch(branch, _) => Piece::Of(without(step, *branch)),
            Change::Weakened(index, _) => Piece::Weakness(*index),
            Change::Handler => {
                let other = |handler: Option<usize>| handler.filter(|chain| *chain != at.chain);
                Piece::Handlers(other(on_failure), other(on_abort))
            }
        }
    }

    /// Puts the piece where it belongs, and gives what was there.
    fn exchange(&mut self, at: At, piece: Piece) -> Piece {
        use std::mem::replace;
        if let Piece::Handlers(on_failure, on_abort) = piece {
            let policy = &mut self.policies[at.policy];
            return Piece::Handlers(
                replace(&mut policy.on_failure, on_failure),
                replace(&mut policy.on_abort, on_abort),
            );
        }
        let step = self.step_at(at);
        match (piece, &mut step.action) {
            (Piece::Action(new), action) => Piece::Action(replace(action, new)),
            (Piece::When(new), _) => Piece::When(replace(&mut step.when, new)),
            (Piece::OnFailure(new), _) => Piece::OnFailure(replace(&mut step.on_failure, new)),
            (Piece::OnAbort(new), _) => Piece::OnAbort(replace(&mut step.on_abort, new)),
            (Piece::OnSuccess(new), _) => Piece::OnSuccess(replace(&mut step.on_success, new)),
            (Piece::Case(case, new), Action::Switch(switch)) => {
                Piece::Case(case, replace(&mut switch.cases[case].1, new))
            }
            (Piece::Missing(new), Action::Switch(switch)) => Piece::Missing(replace(&mut switch.missing, new)),
            (Piece::Of(new), Action::Any(any)) => Piece::Of(replace(&mut any.of, new)),
            (Piece::Weakness(index), Action::Filter(filter)) => {
                filter.weaken(index);
                Piece::Weakness(index)
            }
            // A piece of another kind of step: there is none in a program from the same files.
            (piece, _) => piece,
        }
    }

    fn step_at(&mut self, at: At) -> &mut Step {
        &mut self.policies[at.policy].chains[at.chain].steps[at.step]
    }
}

/// The step's filter with one of its ends inverted; the step itself keeps the filter.
fn inverted(step: &mut Step, failure: bool) -> Action {
    let Action::Filter(filter) = &mut step.action else { return Action::Filter(Box::new(Nothing)) };
    let taken: Box<dyn ErasedFilter> = std::mem::replace(filter, Box::new(Nothing));
    let shared: Arc<dyn ErasedFilter> = Arc::from(taken);
    *filter = Box::new(Shared(shared.clone()));
    Action::Filter(Box::new(Inverted { filter: shared, failure }))
}

fn otherwise(step: &Step) -> Target {
    match &step.action {
        Action::Switch(Switch { otherwise, .. }) => *otherwise,
        _ => Target::Continue,
    }
}

fn without(step: &Step, branch: usize) -> Vec<usize> {
    match &step.action {
        Action::Any(any) => {
            let mut of = any.of.clone();
            of.remove(branch);
            of
        }
        _ => Vec::new(),
    }
}
