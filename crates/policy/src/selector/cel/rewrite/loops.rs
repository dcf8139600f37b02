//! The loops over lists: `all`, `exists`, `exists_one`, `map`, `filter`, as the CEL specification expands them.

use cel::IdedExpr;
use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, ListExpr, LiteralValue};

use super::{Rewrite, Typed, rebuilt};
use crate::diagnostic::codes;
use crate::selector::cel::run::{BUDGET, COUNTED};
use crate::value::Type;

/// The name of what a loop collects; no expression can write it.
const RESULT: &str = "@result";

impl Rewrite<'_, '_, '_> {
    pub(super) fn looped(&mut self, id: u64, mut call: CallExpr) -> Typed {
        let name = call.func_name.as_str();
        let allowed = if name == "map" { 2..=3 } else { 2..=2 };
        let Some(target) = call.target.take().filter(|_| allowed.contains(&call.args.len())) else {
            return self.wrong_count(id, name, allowed);
        };
        let mut args = call.args.into_iter();
        let Some(IdedExpr { expr: Expr::Ident(item), .. }) = args.next() else {
            let span = self.span(id);
            self.problem(
                codes::SELECTOR,
                span,
                format!("`{name}` needs a name for the item first"),
                "for example `list.all(item, item > 0)`",
            );
            return (IdedExpr::default(), Type::Any);
        };
        self.loops = true;
        let (list, of) = self.expr(*target);
        if !matches!(of, Type::Any | Type::List | Type::Map) {
            self.never(id, format!("`{name}` is for lists, and this is {of}"));
        }
        self.locals.push(item.clone());
        let bodies: Vec<Typed> = args.map(|body| self.expr(body)).collect();
        self.locals.pop();
        if let Some((_, of)) = bodies.first()
            && !matches!((name, bodies.len()), ("map", 1))
            && !matches!(of, Type::Any | Type::Bool)
        {
            self.never(id, format!("the condition of `{name}` is true or false, and this is {of}"));
        }
        let mut bodies = bodies.into_iter().map(|(body, _)| body);
        let (Some(first), second) = (bodies.next(), bodies.next()) else { return (IdedExpr::default(), Type::Any) };
        let make = Make { id };
        let (parts, of) = match (name, second) {
            ("all", _) => (make.all(first), Type::Bool),
            ("exists", _) => (make.exists(first), Type::Bool),
            ("filter", _) => (make.filter(first, counted(make.ident(&item))), Type::List),
            ("map", None) => (make.map(first), Type::List),
            ("map", Some(second)) => (make.filter(first, second), Type::List),
            _ => (make.exists_one(first), Type::Bool),
        };
        (make.finish(list, item, parts), of)
    }
}

/// The value of this node, once it is taken off what loops may read.
pub(super) fn counted(node: IdedExpr) -> IdedExpr {
    let make = Make { id: node.id };
    let budget = make.ident(BUDGET);
    make.call(COUNTED, [node, budget])
}

struct Parts {
    init: IdedExpr,
    condition: IdedExpr,
    step: IdedExpr,
    result: IdedExpr,
}

/// Makes nodes that stand where the call stood.
struct Make {
    id: u64,
}

impl Make {
    fn ident(&self, name: &str) -> IdedExpr {
        rebuilt(self.id, Expr::Ident(name.to_owned()))
    }

    fn result(&self) -> IdedExpr {
        self.ident(RESULT)
    }

    fn call<const N: usize>(&self, name: &str, args: [IdedExpr; N]) -> IdedExpr {
        rebuilt(self.id, Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args: args.into() }))
    }

    fn bool(&self, value: bool) -> IdedExpr {
        rebuilt(self.id, Expr::Literal(LiteralValue::Boolean(value.into())))
    }

    fn int(&self, value: i64) -> IdedExpr {
        rebuilt(self.id, Expr::Literal(LiteralValue::Int(value.into())))
    }

    fn list(&self, items: Vec<IdedExpr>) -> IdedExpr {
        rebuilt(self.id, Expr::List(ListExpr::new(items)))
    }

    fn all(&self, body: IdedExpr) -> Parts {
        Parts {
            init: self.bool(true),
            condition: self.call(op::NOT_STRICTLY_FALSE, [self.result()]),
            step: self.call(op::LOGICAL_AND, [self.result(), body]),
            result: self.result(),
        }
    }

    fn exists(&self, body: IdedExpr) -> Parts {
        let open = self.call(op::LOGICAL_NOT, [self.result()]);
        Parts {
            init: self.bool(false),
            condition: self.call(op::NOT_STRICTLY_FALSE, [open]),
            step: self.call(op::LOGICAL_OR, [self.result(), body]),
            result: self.result(),
        }
    }

    fn exists_one(&self, body: IdedExpr) -> Parts {
        let more = self.call(op::ADD, [self.result(), self.int(1)]);
        Parts {
            init: self.int(0),
            condition: self.bool(true),
            step: self.call(op::CONDITIONAL, [body, more, self.result()]),
            result: self.call(op::EQUALS, [self.result(), self.int(1)]),
        }
    }

    fn append(&self, item: IdedExpr) -> IdedExpr {
        self.call(op::ADD, [self.result(), self.list(vec![item])])
    }

    fn map(&self, body: IdedExpr) -> Parts {
        Parts {
            init: self.list(Vec::new()),
            condition: self.bool(true),
            step: self.append(body),
            result: self.result(),
        }
    }

    fn filter(&self, body: IdedExpr, item: IdedExpr) -> Parts {
        let step = self.call(op::CONDITIONAL, [body, self.append(item), self.result()]);
        Parts { init: self.list(Vec::new()), condition: self.bool(true), step, result: self.result() }
    }

    fn finish(&self, list: IdedExpr, item: String, parts: Parts) -> IdedExpr {
        let comprehension = ComprehensionExpr {
            iter_range: counted(list),
            iter_var: item,
            iter_var2: None,
            accu_var: RESULT.to_owned(),
            accu_init: parts.init,
            loop_cond: parts.condition,
            loop_step: parts.step,
            result: parts.result,
        };
        rebuilt(self.id, Expr::Comprehension(Box::new(comprehension)))
    }
}
