//! A policy after parsing and linking: names are indices, settings of filters are still tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Place, SourceFile, Span};
use crate::filter::FilterKind;
use crate::reader::Table;
use crate::route::RouteSpec;
use crate::settings::{Literal, Spanned};
use crate::value::Type;

/// A policy's place in the list of all policies, which is sorted by name.
pub(crate) type PolicyId = usize;

/// A chain's place in its policy; the main chain is [`MAIN`].
pub(crate) type ChainId = usize;

/// The chain of a policy's `[[filter]]`s.
pub(crate) const MAIN: ChainId = 0;

/// One policy file.
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) file: Arc<SourceFile>,
    /// Its file could not be read or parsed: nothing below is known, and nothing is to be said of it twice.
    pub(crate) broken: bool,
    pub(crate) routes: Vec<Arc<RouteSpec>>,
    /// It says a route, though perhaps none that could be read.
    pub(crate) has_route: bool,
    pub(crate) listener: Option<Spanned<String>>,
    /// In place of its listener's.
    pub(crate) before: Option<Vec<(PolicyId, Place)>>,
    pub(crate) before_span: Span,
    pub(crate) inputs: BTreeMap<String, Type>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) on_failure: Option<ChainId>,
    pub(crate) on_abort: Option<ChainId>,
    pub(crate) response: Option<ChainId>,
}

/// A chain of a policy.
pub(crate) struct Chain {
    /// As messages name it: ``chain `code` ``, `[[on_failure]]`.
    pub(crate) title: String,
    /// As it stands in ids: `filter`, `chain.code`, `on_failure`.
    pub(crate) path: String,
    pub(crate) span: Span,
    pub(crate) steps: Vec<Step>,
}

/// One filter or flow word of a chain.
pub(crate) struct Step {
    /// The filter's table, for its own settings.
    pub(crate) table: Arc<Table>,
    /// What stands behind `use`, with its place.
    pub(crate) uses: Spanned<String>,
    pub(crate) name: Option<String>,
    pub(crate) when: Option<Spanned<String>>,
    pub(crate) on_failure: Move,
    pub(crate) on_abort: Move,
    pub(crate) on_success: Option<(ChainId, Span)>,
    /// `on_success` is written, and could not be used: already reported.
    pub(crate) on_success_unknown: bool,
    pub(crate) node: Node,
}

/// Where a run goes when a filter failed or aborted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Move {
    /// To the caller.
    #[default]
    Up,
    /// To the next filter, as if nothing were.
    Continue,
    /// To a chain of the same policy; `success` says that the end of that chain is a success.
    To { chain: ChainId, success: bool, span: Span },
    /// To a chain that could not be linked: already reported.
    Unknown,
}

/// What a step is.
pub(crate) enum Node {
    /// A filter of the library.
    Filter(&'static FilterKind),
    Switch(Switch),
    Call(Call),
    Any(Any),
    /// Already reported; whatever it does counts as done.
    Broken,
}

pub(crate) struct Switch {
    pub(crate) on: Spanned<Literal>,
    pub(crate) cases: Vec<(String, Target)>,
    pub(crate) otherwise: Target,
    pub(crate) missing: Option<Target>,
    pub(crate) fold_case: bool,
}

pub(crate) struct Call {
    pub(crate) target: Target,
    pub(crate) with: Vec<Argument>,
}

/// One entry of `with`.
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) value: Spanned<Literal>,
}

pub(crate) struct Any {
    pub(crate) of: Vec<(ChainId, Span)>,
    pub(crate) all: bool,
}

/// Where a flow word leads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Chain(ChainId, Span),
    Policy(PolicyId, Span),
    Continue,
    Fail,
    /// Already reported.
    Unknown,
}

impl Policy {
    /// What runs before it by its own word, in order, in the place of what its listeners say.
    pub(crate) fn own_before(&self) -> Option<Vec<PolicyId>> {
        Some(self.before.as_ref()?.iter().map(|(id, _)| *id).collect())
    }

    /// A place in its file.
    pub(crate) fn place(&self, span: Span) -> Place {
        Place { file: self.file.clone(), span }
    }

    /// Something in it could not be read or linked, and is reported: what it would have led to is not known.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.broken || self.chains.iter().flat_map(|chain| &chain.steps).any(Step::is_incomplete)
    }

    /// The kinds of filter that stand anywhere in it.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static FilterKind> {
        self.chains.iter().flat_map(Chain::kinds)
    }
}

impl Chain {
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static FilterKind> {
        self.steps.iter().filter_map(|step| match step.node {
            Node::Filter(kind) => Some(kind),
            _ => None,
        })
    }
}

impl Step {
    fn is_incomplete(&self) -> bool {
        let unknown = |target: &Target| matches!(target, Target::Unknown);
        let node = match &self.node {
            Node::Filter(_) => false,
            Node::Switch(switch) => {
                let cases = switch.cases.iter().map(|(_, target)| target);
                cases.chain([&switch.otherwise]).chain(&switch.missing).any(unknown)
            }
            Node::Call(call) => unknown(&call.target),
            Node::Any(_) => false,
            Node::Broken => true,
        };
        node || [self.on_failure, self.on_abort].contains(&Move::Unknown) || self.on_success_unknown
    }

    /// Its name in decision records: `name`, else `use`.
    pub(crate) fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.uses.value)
    }

    /// The chains of its own policy and the policies that it can lead to, with the place of each reference; `true` where the
    /// target runs inside this step, `false` where the run moves there.
    pub(crate) fn targets(&self) -> Vec<(Target, Span, bool)> {
        let mut targets = Vec::new();
        for to in [self.on_failure, self.on_abort] {
            if let Move::To { chain, span, .. } = to {
                targets.push((Target::Chain(chain, span), span, false));
            }
        }
        if let Some((chain, span)) = self.on_success {
            targets.push((Target::Chain(chain, span), span, false));
        }
        let mut inside = |target: &Target| {
            if let Target::Chain(_, span) | Target::Policy(_, span) = target {
                targets.push((*target, *span, true));
            }
        };
        match &self.node {
            Node::Switch(switch) => {
                switch.cases.iter().for_each(|(_, target)| inside(target));
                inside(&switch.otherwise);
                switch.missing.iter().for_each(&mut inside);
            }
            Node::Call(call) => inside(&call.target),
            Node::Any(any) => any.of.iter().for_each(|(chain, span)| inside(&Target::Chain(*chain, *span))),
            Node::Filter(_) | Node::Broken => {}
        }
        targets
    }
}
