//! From the parsed tree to the one that is evaluated: names become numbered variables, macros become loops, and what cannot
//! be right is told.

use std::collections::{BTreeMap, BTreeSet};

use cel::IdedExpr;
use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, SourceInfo};
use regex::Regex;

use super::functions::{self, LOOPS};
use super::run::{Kind, Variable};
use super::{DEEPEST, Range};
use crate::diagnostic::{Code, Diagnostics, Problem, Span, codes};
use crate::filter::BuildContext;
use crate::reader::did_you_mean;
use crate::selector::resolve::{Name, NameStep, resolve};
use crate::selector::source::Source;
use crate::value::Type;

mod loops;

/// Parts of a request that have names of the client's choice: `"x" in request.header` asks for one.
const NAMED: &[&str] = &["header", "query", "form", "cookie"];

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

/// A name that was taken apart.
struct Taken<'e> {
    root: (&'e str, Span),
    steps: Vec<(NameStep<'e>, Span)>,
    span: Span,
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

    /// The place of a node. The parser gives its first byte, and that of its last character.
    fn span(&self, id: u64) -> Span {
        let text = self.source.text;
        let range: Range = match self.info.offset_for(id) {
            Some((start, stop)) => {
                let start = text.floor_char_boundary(start as usize);
                start..text.ceil_char_boundary((stop as usize).saturating_add(1)).max(start)
            }
            None => 0..text.len(),
        };
        self.source.span(range)
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

    /// The attributes that are asked for with `has(...)`.
    fn collect_asked(&mut self, node: &IdedExpr, depth: usize) {
        if depth > 4 * DEEPEST {
            return;
        }
        if let Expr::Call(call) = &node.expr {
            let asked = match (call.func_name.as_str(), call.args.as_slice()) {
                ("has", [name]) => self.take(name),
                _ => None,
            };
            if let Some(taken) = asked {
                self.asked.insert(taken.attribute());
            }
            call.target.iter().for_each(|target| self.collect_asked(target, depth + 1));
            call.args.iter().for_each(|argument| self.collect_asked(argument, depth + 1));
        }
        if let Expr::List(list) = &node.expr {
            list.elements.iter().for_each(|item| self.collect_asked(item, depth + 1));
        }
        if let Expr::Select(select) = &node.expr {
            self.collect_asked(&select.operand, depth + 1);
        }
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
            let name = taken.name(false);
            let (index, of) = self.variable(&name, &taken);
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

    /// A name whose root is none of a loop: `client.id`, `request.header["x"]`, `vars.list[0]`.
    fn take<'e>(&self, node: &'e IdedExpr) -> Option<Taken<'e>> {
        let span = self.span(node.id);
        match &node.expr {
            Expr::Ident(name) if self.locals.contains(name) => None,
            Expr::Ident(name) => Some(Taken { root: (name, span), steps: Vec::new(), span }),
            Expr::Select(select) if !select.test => {
                let mut taken = self.take(&select.operand)?;
                // The parser gives the place of the dot.
                let start = span.end.max(taken.span.end);
                let step = Span { start, end: start + select.field.len() };
                taken.steps.push((NameStep::Name(&select.field), step));
                taken.span.end = step.end;
                Some(taken)
            }
            Expr::Call(call) if call.func_name == op::INDEX && call.target.is_none() => {
                let [operand, key] = call.args.as_slice() else { return None };
                let Expr::Literal(literal) = &key.expr else { return None };
                let step = match literal {
                    LiteralValue::String(name) => NameStep::Name(name.inner()),
                    LiteralValue::Int(index) => NameStep::Index(usize::try_from(*index.inner()).ok()?),
                    _ => return None,
                };
                let mut taken = self.take(operand)?;
                let place = self.span(key.id);
                taken.steps.push((step, place));
                taken.span.end = place.end.max(taken.span.end);
                Some(taken)
            }
            _ => None,
        }
    }

    /// The variable that reads this name; the same name is one variable.
    fn variable(&mut self, name: &Name<'_>, taken: &Taken<'_>) -> (usize, Type) {
        let optional = self.asked.contains(&taken.attribute());
        let written = name.whole();
        if let Some(known) = self.known.get(&written) {
            return *known;
        }
        let found = self.add(&Name { optional, ..taken.name(false) }, Kind::Value);
        self.known.insert(written, found);
        found
    }

    fn add(&mut self, name: &Name<'_>, kind: Kind) -> (usize, Type) {
        match resolve(name, self.cx) {
            Ok(resolved) => {
                self.variables.push(Variable { accessor: resolved.accessor, name: name.whole().into(), kind });
                (self.variables.len() - 1, resolved.of)
            }
            Err(problem) => {
                self.problems.push(problem);
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

    /// `"x" in request.header`.
    fn asks_for_name<'e>(&self, call: &'e CallExpr) -> Option<Taken<'e>> {
        let [key, container] = call.args.as_slice() else { return None };
        let Expr::Literal(LiteralValue::String(key_text)) = &key.expr else { return None };
        let mut taken = self.take(container)?;
        let named = matches!(taken.steps.as_slice(), [(NameStep::Name(part), _)] if NAMED.contains(part));
        if taken.root.0 != "request" || !named {
            return None;
        }
        taken.steps.push((NameStep::Name(key_text.inner()), self.span(key.id)));
        Some(taken)
    }

    /// A variable that says whether there is a value.
    fn present(&mut self, id: u64, taken: Option<Taken<'_>>) -> Typed {
        let Some(taken) = taken else { return (IdedExpr::default(), Type::Bool) };
        let (index, _) = self.add(&taken.name(true), Kind::Present);
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
        let regex = match Regex::new(text.inner()) {
            Ok(regex) => regex,
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                self.problem(codes::SELECTOR, span, format!("this pattern cannot be read: {why}"), "");
                return (IdedExpr::default(), Type::Bool);
            }
        };
        if let Some(taken) = self.take(target) {
            let optional = self.asked.contains(&taken.attribute());
            let (index, of) = self.add(&Name { optional, ..taken.name(false) }, Kind::Matches(regex));
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
        let span = self.span(id);
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

    fn operator_type(&mut self, id: u64, name: &str, types: &[Type]) -> Type {
        let known = |t: &Type| *t != Type::Any;
        match (name, types) {
            (op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT, _) => {
                if let Some(of) = types.iter().find(|t| known(t) && **t != Type::Bool) {
                    self.never(id, format!("`&&`, `||` and `!` are for true and false, and this is {of}"));
                }
                Type::Bool
            }
            (op::CONDITIONAL, [condition, then, otherwise]) => {
                if known(condition) && *condition != Type::Bool {
                    self.never(id, format!("a condition is true or false, and this is {condition}"));
                }
                if then == otherwise { *then } else { Type::Any }
            }
            (op::EQUALS | op::NOT_EQUALS, [left, right]) => {
                if known(left) && known(right) && left != right && !(is_number(*left) && is_number(*right)) {
                    self.never(id, format!("{left} and {right} are never equal"));
                }
                Type::Bool
            }
            (op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [left, right]) => {
                if known(left) && known(right) && left != right && !(is_number(*left) && is_number(*right)) {
                    self.never(id, format!("{left} and {right} have no order"));
                }
                Type::Bool
            }
            (op::IN, [_, container]) => {
                if !matches!(container, Type::Any | Type::List | Type::Map) {
                    self.never(id, format!("`in` looks into a list or a table, and this is {container}"));
                }
                Type::Bool
            }
            (op::INDEX, [container, _]) => {
                if !matches!(container, Type::Any | Type::List | Type::Map) {
                    self.never(id, format!("`[...]` looks into a list or a table, and this is {container}"));
                }
                Type::Any
            }
            (op::NEGATE, [of]) => *of,
            (_, [left, right]) => {
                if known(left) && known(right) && left != right {
                    self.never(id, format!("{left} and {right} cannot be put together"));
                }
                if known(left) { *left } else { *right }
            }
            _ => Type::Any,
        }
    }
}

impl<'e> Taken<'e> {
    fn name(&self, optional: bool) -> Name<'e> {
        Name { root: self.root, steps: self.steps.clone(), json: None, span: self.span, optional, lists: true }
    }

    /// The attribute that it reads: its root, and for `vars` and `input` the name.
    fn attribute(&self) -> String {
        match (self.root.0, self.steps.first()) {
            (root @ ("vars" | "input"), Some((NameStep::Name(name), _))) => format!("{root}.{name}"),
            (root, _) => root.to_owned(),
        }
    }
}

fn variable(id: u64, index: usize) -> IdedExpr {
    rebuilt(id, Expr::Ident(format!("{}{index}", super::run::VARIABLE)))
}

fn rebuilt(id: u64, expr: Expr) -> IdedExpr {
    IdedExpr { id, expr }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Double(_) => Type::Float,
        LiteralValue::Int(_) | LiteralValue::UInt(_) => Type::Int,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::Bytes(_) | LiteralValue::Null => Type::Any,
    }
}

fn is_number(of: Type) -> bool {
    matches!(of, Type::Int | Type::Float)
}

fn is_operator(name: &str) -> bool {
    matches!(
        name,
        op::CONDITIONAL
            | op::LOGICAL_AND
            | op::LOGICAL_OR
            | op::LOGICAL_NOT
            | op::SUBSTRACT
            | op::ADD
            | op::MULTIPLY
            | op::DIVIDE
            | op::MODULO
            | op::EQUALS
            | op::NOT_EQUALS
            | op::GREATER_EQUALS
            | op::LESS_EQUALS
            | op::GREATER
            | op::LESS
            | op::NEGATE
            | op::INDEX
            | op::IN
    )
}
