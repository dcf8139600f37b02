//! Names in an expression, taken apart: `client.id`, `request.header["x"]`, `vars.list[0]`.

use cel::IdedExpr;
use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr, LiteralValue};

use super::Rewrite;
use crate::diagnostic::Span;
use crate::selector::cel::{DEEPEST, Range};
use crate::selector::resolve::{Name, NameStep};

/// The root of look-ups, whose key may be a name.
const LOOKED_UP: &str = "kps";

/// Parts of a request that have names of the client's choice: `"x" in request.header` asks for one.
const NAMED: &[&str] = &["header", "query", "form", "cookie"];

/// A name that was taken apart, with places in the expression.
pub(super) struct Taken<'e> {
    root: (&'e str, Range),
    steps: Vec<(NameStep<'e>, Range)>,
    range: Range,
}

impl Rewrite<'_, '_, '_> {
    /// Where a node stands in the expression. The parser gives its first byte, and that of its last character.
    fn range(&self, id: u64) -> Range {
        let text = self.source.text;
        match self.info.offset_for(id) {
            Some((start, stop)) => {
                let start = text.floor_char_boundary(start as usize);
                start..text.ceil_char_boundary((stop as usize).saturating_add(1)).max(start)
            }
            None => 0..text.len(),
        }
    }

    /// Where a node stands in the file.
    pub(super) fn span(&self, id: u64) -> Span {
        self.source.span(self.range(id))
    }

    /// Where a function's name stands: the parser gives the place of the bracket after it, or of the dot before it.
    pub(super) fn function_name(&self, id: u64, name: &str) -> Span {
        let text = self.source.text;
        let range = self.range(id);
        let before = text[..range.start].trim_end();
        let start = if before.ends_with(name) {
            before.len() - name.len()
        } else {
            match text[range.start..].find(name) {
                Some(at) if text[range.start..range.start + at].chars().all(|c| c == '.' || c == ' ') => {
                    range.start + at
                }
                _ => return self.source.span(range),
            }
        };
        self.source.span(start..start + name.len())
    }

    /// The attributes that are asked for with `has(...)`.
    pub(super) fn collect_asked(&mut self, node: &IdedExpr, depth: usize) {
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

    /// A name whose root is none of a loop.
    pub(super) fn take<'e>(&self, node: &'e IdedExpr) -> Option<Taken<'e>> {
        let range = self.range(node.id);
        match &node.expr {
            Expr::Ident(name) if self.locals.contains(name) => None,
            Expr::Ident(name) => Some(Taken { root: (name, range.clone()), steps: Vec::new(), range }),
            Expr::Select(select) if !select.test => {
                let mut taken = self.take(&select.operand)?;
                // The parser gives the place of the dot.
                let start = range.end.max(taken.range.end);
                let end = self.source.text.floor_char_boundary(start + select.field.len());
                taken.steps.push((NameStep::Name(&select.field), start..end.max(start)));
                taken.range.end = end.max(start);
                Some(taken)
            }
            Expr::Call(call) if call.func_name == op::INDEX && call.target.is_none() => {
                let [operand, key] = call.args.as_slice() else { return None };
                let mut taken = self.take(operand)?;
                let mut place = self.range(key.id);
                let step = match &key.expr {
                    Expr::Literal(LiteralValue::String(name)) => NameStep::Name(name.inner()),
                    Expr::Literal(LiteralValue::Int(index)) => NameStep::Index(usize::try_from(*index.inner()).ok()?),
                    Expr::Literal(_) => return None,
                    _ if taken.root.0 == LOOKED_UP => {
                        let key = self.take(key).filter(|key| key.root.0 != LOOKED_UP)?;
                        place = key.range.clone();
                        NameStep::Key(self.name(&key, false).whole().into())
                    }
                    _ => return None,
                };
                taken.range.end = place.end.max(taken.range.end);
                taken.steps.push((step, place));
                Some(taken)
            }
            _ => None,
        }
    }

    /// `"x" in request.header`.
    pub(super) fn asks_for_name<'e>(&self, call: &'e CallExpr) -> Option<Taken<'e>> {
        let [key, container] = call.args.as_slice() else { return None };
        let Expr::Literal(LiteralValue::String(key_text)) = &key.expr else { return None };
        let mut taken = self.take(container)?;
        let named = matches!(taken.steps.as_slice(), [(NameStep::Name(part), _)] if NAMED.contains(part));
        if taken.root.0 != "request" || !named {
            return None;
        }
        taken.steps.push((NameStep::Name(key_text.inner()), self.range(key.id)));
        Some(taken)
    }

    /// The name with places in the file, to resolve it.
    pub(super) fn name<'e>(&self, taken: &Taken<'e>, optional: bool) -> Name<'e> {
        let span = |range: &Range| self.source.span(range.clone());
        Name {
            root: (taken.root.0, span(&taken.root.1)),
            steps: taken.steps.iter().map(|(step, range)| (step.clone(), span(range))).collect(),
            json: None,
            span: span(&taken.range),
            optional,
            lists: true,
        }
    }
}

impl Taken<'_> {
    /// The attribute that it reads: its root, and for `vars` and `input` the name.
    pub(super) fn attribute(&self) -> String {
        match (self.root.0, self.steps.first()) {
            (root @ ("vars" | "input"), Some((NameStep::Name(name), _))) => format!("{root}.{name}"),
            // Of each row one asks by itself.
            (LOOKED_UP, _) => {
                let step = |(step, _): &(NameStep<'_>, Range)| match step {
                    NameStep::Name(name) => format!(".{name}"),
                    NameStep::Index(index) => format!(".{index}"),
                    NameStep::Key(path) => format!("[{path}]"),
                };
                LOOKED_UP.to_owned() + &self.steps.iter().take(2).map(step).collect::<String>()
            }
            (root, _) => root.to_owned(),
        }
    }
}
