//! From the parsed tree to the one that is evaluated: names become numbered variables, macros become loops, and what cannot
//! be right is told.

use std::collections::{BTreeMap, BTreeSet};

use cel::IdedExpr;
use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, SourceInfo};
use regex::RegexBuilder;

use super::DEEPEST;
use super::functions::{self, LOOPS};
use super::run::{Kind, Variable};
use crate::diagnostic::{Code, Diagnostics, Problem, Span, codes};
use crate::filter::BuildContext;
use crate::reader::did_you_mean;
use crate::selector::resolve::{Name, resolve};
use crate::selector::source::Source;
use crate::value::Type;

mod loops;
mod names;
mod types;

use self::names::Taken;
use self::types::{is_operator, literal_type};

/// A pattern that takes more memory once it is compiled (a repetition of repetitions) is refused.
const LARGEST_PATTERN: usize = 1 << 20;

pub(super) type Typed = (IdedExpr, Type);

pub(super) struct Rewrite<'c, 'b, 's> {
    cx: &'c mut BuildContext<'b>,
    source: &'s Source<'s>,
    info: &'s SourceInfo,
    variables: Vec<Variable>,
    /// The variable of each name, by how it is written.
    known: BTreeMap<String, (usize, Type)>,
    /// Names of loops that are being looked at.
    locals: Vec<String>,
    /// Attributes that a `has(...)` asks for: reading them elsewhere is no mistake where they are absent.
    asked: BTreeSet<String>,
    problems: Diagnostics,
    loops: bool,
    depth: usize,
}

impl<'c, 'b, 's> Rewrite<'c, 'b, 's> {
    pub(super) fn new(cx: &'c mut BuildContext<'b>, source: &'s Source<'s>, info: &'s SourceInfo) -> Self {
        Rewrite {
            cx,
            source,
            info,
            variables: Vec::new(),
            known: BTreeMap::new(),
            locals: Vec::new(),
            asked: BTreeSet::new(),
            problems: Diagnostics::new(),
            loops: false,
            depth: 0,
        }
    }

    /// The variables, whether there are loops, and the problems.
    pub(super) fn finish(self) -> (Vec<Variable>, bool, Diagnostics) {
        (self.variables, self.loops, self.problems)
    }

    pub(super) fn all(&mut self, root: IdedExpr) -> Typed {
        self.collect_asked(&root, 0);
        self.expr(root)
    }

    fn problem(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let mut problem = Problem::error(code, message);
        let help = help.into();
        if !help.is_empty() {
            problem = problem.with_help(help);
        }
        let place = self.cx.place(span);
        self.problems.push(problem.at(place));
    }

    fn never(&mut self, id: u64, message: String) {
        let span = self.span(id);
        self.problem(codes::BAD_VALUE, span, message, "");
    }

    pub(super) fn expr(&mut self, node: IdedExpr) -> Typed {
        if self.depth > DEEPEST * 2 {
            let span = self.span(node.id);
            self.problem(codes::SELECTOR, span, "this expression is nested too deeply", "");
            return (IdedExpr::default(), Type::Any);
        }
        self.depth += 1;
        let typed = self.node(node);
        self.depth -= 1;
        typed
    }

    fn node(&mut self, node: IdedExpr) -> Typed {
        let id = node.id;
        if let Some(taken) = self.take(&node) {
            let (index, of) = self.variable(&taken);
            return (variable(id, index), of);
        }
        match node.expr {
            Expr::Literal(ref literal) => {
                let of = literal_type(literal);
                (node, of)
            }
            // A name that `take` left is one of a loop.
            Expr::Ident(_) => (loops::counted(node), Type::Any),
            Expr::Select(select) => {
                let (operand, of) = self.expr(*select.operand);
                if !matches!(of, Type::Any | Type::Map) {
                    self.never(id, format!("{of} has no field `{}`", select.field));
                }
                (rebuilt(id, Expr::Select(SelectExpr { operand: Box::new(operand), ..select })), Type::Any)
            }
            Expr::Call(call) => self.call(id, call),
            Expr::List(mut list) => {
                list.elements = list.elements.into_iter().map(|item| self.expr(item).0).collect();
                (rebuilt(id, Expr::List(list)), Type::List)
            }
            Expr::Map(mut map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        entry.key = self.expr(std::mem::take(&mut entry.key)).0;
                        entry.value = self.expr(std::mem::take(&mut entry.value)).0;
                    }
                }
                (rebuilt(id, Expr::Map(map)), Type::Map)
            }
            Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => {
                let span = self.span(id);
                self.problem(codes::SELECTOR, span, "this cannot stand in an expression", "");
                (IdedExpr::default(), Type::Any)
            }
        }
    }

    /// The variable that reads this name; the same name is one variable.
    fn variable(&mut self, taken: &Taken<'_>) -> (usize, Type) {
        let name = self.name(taken, self.asked.contains(&taken.attribute()));
        let written = name.whole();
        if let Some(known) = self.known.get(&written) {
            return *known;
        }
        let found = self.add(&name, Kind::Value);
        self.known.insert(written, found);
        found
    }

    fn add(&mut self, name: &Name<'_>, kind: Kind) -> (usize, Type) {
        match resolve(name, self.cx) {
            Ok(resolved) => {
                self.variables.push(Variable { accessor: resolved.accessor, name: name.whole().into(), kind });
                (self.variables.len() - 1, resolved.of)
            }
            Err(problems) => {
                self.problems.extend(problems);
                (0, Type::Any)
            }
        }
    }

    fn call(&mut self, id: u64, call: CallExpr) -> Typed {
        match (call.func_name.as_str(), call.target.is_some()) {
            (name, true) if LOOPS.contains(&name) => self.looped(id, call),
            ("has", false) => self.has(id, call),
            ("matches", _) => self.matches(id, call),
            (op::IN, false) if self.asks_for_name(&call).is_some() => {
                let taken = self.asks_for_name(&call);
                self.present(id, taken)
            }
            (name, false) if is_operator(name) => self.operator(id, call),
            _ => self.function(id, call),
        }
    }

    /// A variable that says whether there is a value.
    fn present(&mut self, id: u64, taken: Option<Taken<'_>>) -> Typed {
        let Some(taken) = taken else { return (IdedExpr::default(), Type::Bool) };
        let (index, _) = self.add(&self.name(&taken, true), Kind::Present);
        (variable(id, index), Type::Bool)
    }

    fn has(&mut self, id: u64, mut call: CallExpr) -> Typed {
        let argument = match (call.args.len(), call.args.pop()) {
            (1, Some(argument)) => argument,
            _ => return self.wrong_count(id, "has", 1..=1),
        };
        if let Some(taken) = self.take(&argument) {
            return self.present(id, Some(taken));
        }
        // A field of something else, such as an item of a loop: the evaluator's own test.
        let (operand, field) = match argument.expr {
            Expr::Select(select) => (*select.operand, select.field),
            Expr::Call(CallExpr { func_name, args, target: None }) if func_name == op::INDEX => {
                match <[_; 2]>::try_from(args) {
                    Ok([operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }]) => {
                        (operand, name.inner().to_owned())
                    }
                    _ => return self.has_needs_name(id),
                }
            }
            _ => return self.has_needs_name(id),
        };
        let operand = Box::new(self.expr(operand).0);
        (rebuilt(id, Expr::Select(SelectExpr { operand, field, test: true })), Type::Bool)
    }

    fn has_needs_name(&mut self, id: u64) -> Typed {
        let span = self.span(id);
        self.problem(
            codes::SELECTOR,
            span,
            "`has` asks for a name",
            "for example `has(request.header[\"x-api-key\"])`",
        );
        (IdedExpr::default(), Type::Bool)
    }

    /// `x.matches("...")`: the pattern is compiled at load.
    fn matches(&mut self, id: u64, mut call: CallExpr) -> Typed {
        if call.target.is_none() && call.args.len() == 2 {
            call.target = Some(Box::new(call.args.remove(0)));
        }
        let (Some(target), [pattern]) = (&call.target, call.args.as_slice()) else {
            return self.wrong_count(id, "matches", 1..=1);
        };
        let span = self.span(pattern.id);
        let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
            self.problem(
                codes::SELECTOR,
                span,
                "the pattern of `matches` must be written out",
                "it is compiled when the policy is loaded",
            );
            return (IdedExpr::default(), Type::Bool);
        };
        let regex = match RegexBuilder::new(text.inner()).size_limit(LARGEST_PATTERN).build() {
            Ok(regex) => regex,
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                self.problem(codes::SELECTOR, span, format!("this pattern cannot be read: {why}"), "");
                return (IdedExpr::default(), Type::Bool);
            }
        };
        if let Some(taken) = self.take(target) {
            let name = self.name(&taken, self.asked.contains(&taken.attribute()));
            let (index, of) = self.add(&name, Kind::Matches(regex));
            self.wants(id, Type::Text, of, "matches");
            return (variable(id, index), Type::Bool);
        }
        self.function(id, call)
    }

    fn function(&mut self, id: u64, call: CallExpr) -> Typed {
        let member = call.target.is_some();
        let Some(function) = functions::find(&call.func_name, member) else {
            return self.unknown_function(id, &call.func_name, member);
        };
        if !function.arguments.contains(&call.args.len()) {
            return self.wrong_count(id, function.name, function.arguments.clone());
        }
        let target = call.target.map(|target| self.expr(*target));
        let arguments: Vec<Typed> = call.args.into_iter().map(|argument| self.expr(argument)).collect();
        if let Some((_, of)) = target.iter().chain(&arguments).next() {
            if function.name == "size" && matches!(of, Type::Bool | Type::Int | Type::Float) {
                self.never(id, format!("{of} has no size"));
            }
            self.wants(id, function.on, *of, function.name);
        }
        let call = CallExpr {
            func_name: call.func_name,
            target: target.map(|(target, _)| Box::new(target)),
            args: arguments.into_iter().map(|(argument, _)| argument).collect(),
        };
        (rebuilt(id, Expr::Call(call)), function.gives)
    }

    fn wants(&mut self, id: u64, wanted: Type, of: Type, name: &str) {
        if wanted != Type::Any && of != Type::Any && wanted != of {
            self.never(id, format!("`{name}` is for {wanted}, and this is {of}"));
        }
    }

    fn unknown_function(&mut self, id: u64, name: &str, member: bool) -> Typed {
        let help = match did_you_mean(name, functions::names(member)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", functions::names(member).collect::<Vec<_>>().join(", ")),
        };
        let span = self.function_name(id, name);
        self.problem(codes::SELECTOR, span, format!("there is no function `{name}`"), help);
        (IdedExpr::default(), Type::Any)
    }

    fn wrong_count(&mut self, id: u64, name: &str, wanted: std::ops::RangeInclusive<usize>) -> Typed {
        let wanted = match (wanted.start(), wanted.end()) {
            (0, 0) => String::from("no argument"),
            (1, 1) => String::from("one argument"),
            (from, to) if from == to => format!("{from} arguments"),
            (from, to) => format!("{from} or {to} arguments"),
        };
        let span = self.span(id);
        self.problem(codes::SELECTOR, span, format!("`{name}` takes {wanted}"), "");
        (IdedExpr::default(), Type::Any)
    }

    fn operator(&mut self, id: u64, call: CallExpr) -> Typed {
        let name = call.func_name;
        let (args, types): (Vec<IdedExpr>, Vec<Type>) =
            call.args.into_iter().map(|argument| self.expr(argument)).unzip();
        let of = self.operator_type(id, &name, &types);
        (rebuilt(id, Expr::Call(CallExpr { func_name: name, target: None, args })), of)
    }
}

fn variable(id: u64, index: usize) -> IdedExpr {
    rebuilt(id, Expr::Ident(format!("{}{index}", super::run::VARIABLE)))
}

fn rebuilt(id: u64, expr: Expr) -> IdedExpr {
    IdedExpr { id, expr }
}
