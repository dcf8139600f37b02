//! Types of operators and literals, where they are known.

use cel::common::ast::LiteralValue;
use cel::common::ast::operators as op;

use super::Rewrite;
use crate::value::Type;

impl Rewrite<'_, '_, '_> {
    /// What an operator gives; what cannot fit is told.
    pub(super) fn operator_type(&mut self, id: u64, name: &str, types: &[Type]) -> Type {
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

pub(super) fn literal_type(literal: &LiteralValue) -> Type {
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

pub(super) fn is_operator(name: &str) -> bool {
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
