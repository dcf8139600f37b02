//! Builds every filter anew, and keeps what it said of itself for the checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::layout::Layout;
use super::methods::Methods;
use super::model::{self, Node, PolicyId};
use super::shared::Shared;
use super::step::COMMON;
use crate::diagnostic::{Diagnostic, Diagnostics, Problem, Span, codes};
use crate::engine::model::{
    Action, Any, Argument, BranchInfo, Call, Chain, Move, Outcomes, Step, StepInfo, Switch, Target,
};
use crate::filter::{AnswerStyle, BuildContext, Effects, ErasedFilter, Role};
use crate::selector::{Condition, Dynamic, Getter};
use crate::settings::{Literal, Spanned};
use crate::value::{Type, Value};

/// What a step said of itself.
#[derive(Default)]
pub(crate) struct StepEffects {
    /// What its `when` reads; `None` without one.
    pub(crate) when: Option<Effects>,
    pub(crate) own: Effects,
    /// Whether its `when` holds, by method, where that depends on nothing else.
    pub(crate) by_method: Option<Vec<bool>>,
    /// It could not be built: whatever it does is unknown.
    pub(crate) unknown: bool,
}

/// The effects of all steps of one policy, by chain.
pub(crate) type PolicyEffects = Vec<Vec<StepEffects>>;

/// Builds the policies one after the other.
pub(crate) struct Builder<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) policies: &'a [model::Policy],
    pub(crate) methods: &'a Methods,
    pub(crate) layout: Layout,
    pub(crate) steps: Vec<StepInfo>,
    pub(crate) problems: Diagnostics,
}

/// One policy's chains, as far as they could be built.
pub(crate) struct Built {
    pub(crate) chains: Vec<Chain>,
    pub(crate) effects: PolicyEffects,
}

/// The step that is being built.
struct Place<'a> {
    policy: &'a model::Policy,
    chain: &'a model::Chain,
    index: usize,
    step: &'a model::Step,
    repeated_refused: bool,
}

impl<'a> Builder<'a> {
    /// Builds all chains of a policy. What cannot be built is reported and left out of the chain; the program is then none.
    pub(crate) fn policy(&mut self, id: PolicyId) -> Built {
        let policy = &self.policies[id];
        let repeated_refused = style(policy, self.shared.library.plain).refuses_repeated_parameters();
        let mut built = Built { chains: Vec::new(), effects: Vec::new() };
        for chain in &policy.chains {
            let mut steps = Vec::with_capacity(chain.steps.len());
            let mut effects = Vec::with_capacity(chain.steps.len());
            for (index, step) in chain.steps.iter().enumerate() {
                let mut said = StepEffects::default();
                let place = Place { policy, chain, index, step, repeated_refused };
                match self.step(&place, &mut said) {
                    Some(step) => steps.push(step),
                    None => said.unknown = true,
                }
                effects.push(said);
            }
            built.chains.push(Chain { path: chain.path.as_str().into(), steps });
            built.effects.push(effects);
        }
        built
    }

    fn step(&mut self, place: &Place<'_>, said: &mut StepEffects) -> Option<Step> {
        let mut when_look_ups = Box::default();
        let when = place.step.when.as_ref().map(|text| {
            let mut cx = self.context(place);
            let condition = Condition::compile(text, &mut cx);
            let BuildContext { effects, look_ups, .. } = cx;
            when_look_ups = filters(look_ups);
            self.problems.extend(effects.warnings.clone());
            said.when = Some(effects);
            let condition = self.take(condition)?;
            said.by_method = self.methods.try_with(&text.value, &condition);
            Some(condition)
        });
        let (shared, policies) = (self.shared, self.policies);
        let mut cx = self.context(place);
        let action = action(place, shared, policies, &mut cx);
        let BuildContext { effects, look_ups, .. } = cx;
        said.own = effects;
        self.problems.extend(said.own.warnings.clone());
        let action = self.take(action);
        let when = match when {
            Some(condition) => Some(condition?),
            None => None,
        };
        let action = action??;
        let index = u32::try_from(self.steps.len()).ok()?;
        let at = place.policy.place(place.step.uses.span);
        self.steps.push(StepInfo {
            name: Arc::from(place.step.title()),
            place: format!("{}:{}", at.file.path, at.line()).into(),
            branches: branches(place),
            asked: Outcomes::default(),
            stated: None,
            authorizes: said.own.authorizes,
        });
        let reads = |pick: fn(&Effects) -> bool| pick(&said.own) || said.when.as_ref().is_some_and(pick);
        Some(Step {
            index,
            when_look_ups,
            when,
            look_ups: filters(look_ups),
            action,
            reads_request_body: reads(|effects| effects.reads_request_body),
            reads_response_body: reads(|effects| effects.reads_response_body),
            sets_response: said.own.sets_response,
            edits_headers: said.own.edits_headers,
            on_failure: place.step.on_failure.into(),
            on_abort: place.step.on_abort.into(),
            on_success: place.step.on_success.map(|(chain, _)| chain),
        })
    }

    fn take<T>(&mut self, result: Result<T, Diagnostics>) -> Option<T> {
        result.map_err(|problems| self.problems.extend(problems)).ok()
    }

    fn context<'c>(&'c mut self, place: &Place<'c>) -> BuildContext<'c> {
        let Place { policy, chain, index, step, .. } = place;
        // Not its place among all filters: what stands before it may come and go, and its counts are to stay.
        let alike = |other: &&model::Step| other.uses.value == step.uses.value && other.title() == step.title();
        let nth = chain.steps[..*index].iter().filter(alike).count();
        BuildContext {
            shared: self.shared,
            layout: &mut self.layout,
            place: policy.place(step.uses.span),
            id: format!("{}/{}/{}/{}/{nth}", policy.name, chain.path, step.uses.value, step.title()),
            stands_first: *index == 0 && chain.path == "filter",
            effects: Effects::default(),
            look_ups: Vec::new(),
            inputs: &policy.inputs,
            repeated_refused: place.repeated_refused,
        }
    }
}

fn filters(look_ups: Vec<(String, Box<dyn ErasedFilter>)>) -> Box<[Box<dyn ErasedFilter>]> {
    look_ups.into_iter().map(|(_, filter)| filter).collect()
}

/// How a policy's refusals are answered where it does not do so itself: as a protected resource where such a filter stands
/// in the main chain, else as an endpoint where such a filter stands anywhere.
pub(crate) fn style(policy: &model::Policy, plain: &'static dyn AnswerStyle) -> &'static dyn AnswerStyle {
    let resource = policy.chains.first().and_then(|main| {
        main.kinds().find_map(|kind| match kind.role {
            Role::Resource(style) => Some(style),
            _ => None,
        })
    });
    let endpoint = || {
        policy.kinds().find_map(|kind| match kind.role {
            Role::Endpoint(style) => Some(style),
            _ => None,
        })
    };
    resource.or_else(endpoint).unwrap_or(plain)
}

/// The step's action; `None` where it could not be linked, which is reported already.
fn action(
    place: &Place<'_>,
    shared: &Shared<'_>,
    policies: &[model::Policy],
    cx: &mut BuildContext<'_>,
) -> Result<Option<Action>, Diagnostics> {
    Ok(match &place.step.node {
        Node::Filter(kind) => Some(Action::Filter((kind.build)(&place.step.table, COMMON, shared.outside, cx)?)),
        Node::Switch(switch) => switch_action(switch, cx)?.map(Action::Switch),
        Node::Call(call) => call_action(call, policies, cx)?.map(Action::Call),
        Node::Any(any) => Some(Action::Any(Any { of: any.of.iter().map(|(chain, _)| *chain).collect(), all: any.all })),
        Node::Broken => None,
    })
}

/// The ways that a flow word can take: see [`StepInfo::branches`].
fn branches(place: &Place<'_>) -> Box<[BranchInfo]> {
    let own = place.step.uses.span;
    let branch = |name: String, span: Span| BranchInfo {
        name: name.into(),
        line: place.policy.place(span).line(),
        asked: false,
    };
    let target = |name: String, target: &model::Target| match target {
        model::Target::Chain(_, span) | model::Target::Policy(_, span) => branch(name, *span),
        model::Target::Continue | model::Target::Fail | model::Target::Unknown => branch(name, own),
    };
    match &place.step.node {
        Node::Switch(switch) => {
            let missing = switch.missing.as_ref().unwrap_or(&model::Target::Fail);
            let named = switch.cases.iter().map(|(case, to)| target(format!("case {case}"), to));
            let others = [target("else".into(), &switch.otherwise), target("missing".into(), missing)];
            named.chain(others).collect()
        }
        Node::Any(any) => {
            let chain = |chain: model::ChainId| place.policy.chains[chain].path.trim_start_matches("chain.");
            any.of.iter().map(|(of, span)| branch(format!("of {}", chain(*of)), *span)).collect()
        }
        Node::Filter(_) | Node::Call(_) | Node::Broken => Box::default(),
    }
}

fn dynamic(literal: &Spanned<Literal>, cx: &mut BuildContext<'_>) -> Result<Getter<Value>, Diagnostics> {
    cx.dynamic(&Dynamic { literal: literal.clone(), of: std::marker::PhantomData })
}

fn switch_action(switch: &model::Switch, cx: &mut BuildContext<'_>) -> Result<Option<Switch>, Diagnostics> {
    let on = dynamic(&switch.on, cx)?;
    if switch.missing.is_some() {
        // A missing value is a case of its own.
        cx.effects.reads.iter_mut().for_each(|read| read.optional = true);
    }
    let cases = switch
        .cases
        .iter()
        .map(|(value, target)| Some((value.as_str().into(), linked(target)?)))
        .collect::<Option<_>>();
    let missing = match &switch.missing {
        Some(target) => linked(target).map(Some),
        None => Some(None),
    };
    Ok((|| {
        Some(Switch {
            on,
            cases: cases?,
            otherwise: linked(&switch.otherwise)?,
            missing: missing?,
            fold_case: switch.fold_case,
        })
    })())
}

fn call_action(
    call: &model::Call,
    policies: &[model::Policy],
    cx: &mut BuildContext<'_>,
) -> Result<Option<Call>, Diagnostics> {
    let none = BTreeMap::new();
    let (declared, callee) = match call.target {
        model::Target::Policy(policy, _) => (&policies[policy].inputs, Some(&policies[policy])),
        _ => (&none, None),
    };
    let mut problems = Diagnostics::new();
    let mut with = Vec::new();
    for argument in &call.with {
        let of = match (declared.get(&argument.name), callee) {
            (Some(of), _) => *of,
            (None, Some(callee)) if !callee.broken => {
                problems.push(undeclared(argument, callee, cx));
                Type::Any
            }
            _ => Type::Any,
        };
        match dynamic(&argument.value, cx) {
            Ok(value) => {
                if value.constant().is_some_and(|constant| !of.takes(constant)) {
                    let message = format!("the input `{}` is to be {of}", argument.name);
                    problems.push(Problem::error(codes::INPUT, message).at(cx.place(argument.value.span)));
                }
                with.push(Argument { name: Arc::from(argument.name.as_str()), of, value });
            }
            Err(more) => problems.extend(more),
        }
    }
    if let (Some(callee), model::Target::Policy(_, span)) = (callee, call.target) {
        let absent = declared.keys().filter(|name| call.with.iter().all(|argument| argument.name != **name));
        for name in absent {
            problems.push(missing_input(name, callee, span, cx));
        }
    }
    match problems.is_empty() {
        true => Ok(linked(&call.target).map(|target| Call { target, with })),
        false => Err(problems),
    }
}

fn undeclared(argument: &model::Argument, callee: &model::Policy, cx: &BuildContext<'_>) -> Diagnostic {
    let known = callee.inputs.keys().map(String::as_str);
    let help = super::table::did_you_mean(&argument.name, known)
        .unwrap_or_else(|| format!("declare it in {}: [input] {} = \"string\"", callee.file.path, argument.name));
    Problem::error(codes::INPUT, format!("the policy `{}` has no input `{}`", callee.name, argument.name))
        .with_help(help)
        .at(cx.place(argument.name_span))
}

fn missing_input(name: &str, callee: &model::Policy, span: Span, cx: &BuildContext<'_>) -> Diagnostic {
    Problem::error(codes::INPUT, format!("the policy `{}` asks for the input `{name}`", callee.name))
        .with_help(format!("give it: with = {{ {name} = ... }}"))
        .at(cx.place(span))
}

fn linked(target: &model::Target) -> Option<Target> {
    Some(match *target {
        model::Target::Chain(chain, _) => Target::Chain(chain),
        model::Target::Policy(policy, _) => Target::Policy(policy),
        model::Target::Continue => Target::Continue,
        model::Target::Fail => Target::Fail,
        model::Target::Unknown => return None,
    })
}

impl From<model::Move> for Move {
    fn from(to: model::Move) -> Self {
        match to {
            // One that could not be linked never runs: the program is none.
            model::Move::Up | model::Move::Unknown => Move::Up,
            model::Move::Continue => Move::Continue,
            model::Move::To { chain, success, .. } => Move::To { chain, success },
        }
    }
}
