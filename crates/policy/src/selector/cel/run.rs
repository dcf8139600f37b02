//! Evaluates an expression for one request.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelString, DYN_TYPE, Type as CelType,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, extensions};
use http::StatusCode;
use regex::Regex;
use smallvec::SmallVec;

use super::Expression;
use super::quick::Plain;
use crate::exchange::Exchange;
use crate::outcome::{MISSING_VALUE, Reason, ReasonCode, WRONG_TYPE};
use crate::selector::access::{Accessor, Got};
use crate::value::Value;

/// How the names of variables begin; no expression can write it.
pub(super) const VARIABLE: &str = "@v";
/// The function that a list goes through before it is looped over, and an item when it is read.
pub(super) const COUNTED: &str = "@counted";
/// Its second argument.
pub(super) const BUDGET: &str = "@budget";

/// So much may the loops of one evaluation read together: items, and texts by the piece. What is done with a value is never
/// more than linear in its size, so that this bounds the time and the memory.
const MOST: usize = 200_000;

/// So many bytes of a text count as one item.
const PIECE: usize = 64;

/// What a name in an expression reads.
pub(super) struct Variable {
    pub(super) accessor: Accessor,
    /// As it is written, for the failure.
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    /// The value.
    Value,
    /// Whether there is one.
    Present,
    /// Whether the pattern is found in it.
    Matches(Regex),
}

/// The functions of CEL, without macros and optional values.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    env.add_extension(extensions::strings).expect("its functions are declared nowhere else");
    env.add_overload(COUNTED, "counted", vec![DYN_TYPE, DYN_TYPE], counted).expect("its name cannot be taken");
    Arc::new(env)
});

pub(super) fn value(expression: &Expression, exchange: &Exchange) -> Result<Option<Value>, Reason> {
    let values = Values::new(expression, exchange);
    if let Some(value) = expression.quick.as_ref().and_then(|quick| quick.get(&values)) {
        return Ok(Some(value.into_value()));
    }
    evaluate(expression, &values, |value| {
        let value = cel::Value::try_from(value).map_err(|_| wrong_type("the expression's value cannot be used"))?;
        from_cel(value)
    })
}

pub(super) fn holds(expression: &Expression, exchange: &Exchange) -> Result<bool, Reason> {
    let values = Values::new(expression, exchange);
    if let Some(Plain::Bool(holds)) = expression.quick.as_ref().and_then(|quick| quick.get(&values)) {
        return Ok(holds);
    }
    evaluate(expression, &values, |value| {
        let holds = value.downcast_ref::<CelBool>().map(|b| *b.inner());
        holds.ok_or_else(|| wrong_type("the condition is neither true nor false"))
    })
}

fn evaluate<T>(
    expression: &Expression,
    values: &Values<'_>,
    finish: impl FnOnce(&dyn Val) -> Result<T, Reason>,
) -> Result<T, Reason> {
    let mut context = Context::with_env(ENVIRONMENT.clone());
    context.set_variable_resolver(values);
    match cel::Value::resolve_val(&expression.root, &context) {
        // What a loop made of errors after that is worth nothing.
        _ if values.budget.as_ref().is_some_and(Budget::is_spent) => Err(wrong_type(TOO_MUCH)),
        Ok(value) => finish(&*value),
        Err(error) => Err(values.failure.get().cloned().unwrap_or_else(|| failure(&error))),
    }
}

/// The variables of one evaluation: each is read when it is first asked for.
pub(super) struct Values<'e> {
    variables: &'e [Variable],
    exchange: &'e Exchange,
    read: SmallVec<[OnceLock<Option<Read<'e>>>; 4]>,
    /// Why the first value that was not to be had was not.
    failure: OnceLock<Reason>,
    /// Where there are loops.
    budget: Option<Budget>,
}

enum Read<'e> {
    Got(Got<'e>),
    Bool(bool),
}

impl<'e> Values<'e> {
    fn new(expression: &'e Expression, exchange: &'e Exchange) -> Self {
        Values {
            variables: &expression.variables,
            exchange,
            read: expression.variables.iter().map(|_| OnceLock::new()).collect(),
            failure: OnceLock::new(),
            budget: expression.loops.then(Budget::default),
        }
    }

    /// The variable with this number; nothing where it is absent.
    pub(super) fn plain(&self, index: usize) -> Option<Plain<'_>> {
        let variable = self.variables.get(index)?;
        Some(match self.read.get(index)?.get_or_init(|| self.read(variable)).as_ref()? {
            Read::Bool(value) => Plain::Bool(*value),
            Read::Got(Got::Text(text)) => Plain::Text(text),
            Read::Got(Got::Borrowed(value)) => Plain::of(value),
            Read::Got(Got::Owned(value)) => Plain::of(value),
        })
    }

    fn fail<T>(&self, reason: Reason) -> Option<T> {
        // Later ones are most likely consequences.
        let _ = self.failure.set(reason);
        None
    }

    fn read(&self, variable: &'e Variable) -> Option<Read<'e>> {
        match (variable.accessor.get(self.exchange), &variable.kind) {
            (Err(reason), _) => self.fail(reason),
            (Ok(found), Kind::Present) => Some(Read::Bool(found.is_some())),
            (Ok(None), _) => self.fail(Reason::missing(&variable.name)),
            (Ok(Some(got)), Kind::Value) => Some(Read::Got(got)),
            (Ok(Some(got)), Kind::Matches(regex)) => match got.as_text() {
                Some(text) => Some(Read::Bool(regex.is_match(text))),
                None => self.fail(wrong_type("`matches` is for text")),
            },
        }
    }
}

impl VariableResolver for Values<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let Some(index) = name.strip_prefix(VARIABLE) else {
            return self.budget.clone().filter(|_| name == BUDGET).map(CowVal::owned);
        };
        if self.budget.as_ref().is_some_and(Budget::is_spent) {
            return None;
        }
        let index: usize = index.parse().ok()?;
        let variable = self.variables.get(index)?;
        let value = match self.read.get(index)?.get_or_init(|| self.read(variable)).as_ref()? {
            Read::Bool(value) => return Some(CowVal::owned(CelBool::from(*value))),
            Read::Got(Got::Text(text)) => CowVal::owned(CelString::from(&**text)),
            Read::Got(Got::Borrowed(value)) => CowVal::Owned(to_cel(value)),
            Read::Got(Got::Owned(value)) => CowVal::Owned(to_cel(value)),
        };
        match &self.budget {
            Some(budget) if !budget.take(weight(&*value)) => None,
            _ => Some(value),
        }
    }
}

fn to_cel(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Int(number) => Box::new(CelInt::from(*number)),
        Value::Float(number) => Box::new(CelDouble::from(*number)),
        Value::Text(text) => Box::new(CelString::from(&**text)),
        Value::List(items) => Box::new(CelList::from(items.iter().map(to_cel).collect::<Vec<_>>())),
        Value::Map(map) => {
            let entries: HashMap<CelMapKey<'_>, Box<dyn Val + '_>> =
                map.iter().map(|(name, value)| (CelMapKey::from(&**name), to_cel(value))).collect();
            Box::new(CelMap::from(entries))
        }
    }
}

fn from_cel(value: cel::Value) -> Result<Option<Value>, Reason> {
    Ok(Some(match value {
        cel::Value::Null => return Ok(None),
        cel::Value::Bool(value) => Value::Bool(value),
        cel::Value::Int(number) => Value::Int(number),
        cel::Value::UInt(number) => {
            Value::Int(i64::try_from(number).map_err(|_| wrong_type("the expression's number is too large"))?)
        }
        cel::Value::Float(number) => Value::Float(number),
        cel::Value::String(text) => Value::text(text.as_str()),
        cel::Value::List(items) => {
            let items: Result<Vec<Option<Value>>, Reason> = items.iter().cloned().map(from_cel).collect();
            Value::List(items?.into_iter().flatten().collect())
        }
        cel::Value::Map(map) => {
            let mut entries = BTreeMap::new();
            for (name, value) in map.map.iter() {
                if let Some(value) = from_cel(value.clone())? {
                    entries.insert(Arc::<str>::from(name.to_string()), value);
                }
            }
            Value::Map(Arc::new(entries))
        }
        _ => return Err(wrong_type("the expression's value is neither text, number, true or false, list nor table")),
    }))
}

/// Why an evaluation failed, without any value in it: it may be a password.
fn failure(error: &ExecutionError) -> Reason {
    match error {
        ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) => {
            bad(MISSING_VALUE, "a field or item that the expression asks for is absent")
        }
        ExecutionError::NoSuchOverload(error) => wrong_type(error.to_string()),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            wrong_type("the expression divides by zero")
        }
        ExecutionError::Overflow(..) => wrong_type("a number of the expression is too large"),
        _ => wrong_type("the expression cannot be applied to the values of this request"),
    }
}

fn wrong_type(message: impl Into<std::borrow::Cow<'static, str>>) -> Reason {
    bad(WRONG_TYPE, message)
}

fn bad(code: ReasonCode, message: impl Into<std::borrow::Cow<'static, str>>) -> Reason {
    Reason::new(code, message).with_status(StatusCode::BAD_REQUEST)
}

const TOO_MUCH: &str = "the expression's loops read too much";

/// How much may still be read.
#[derive(Clone, Debug)]
struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Budget(Arc::new(AtomicUsize::new(MOST)))
    }
}

impl Budget {
    /// Takes it off. Once that failed, it fails for good: `all` and `exists` go on after an error, and must do so quickly.
    fn take(&self, weight: usize) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(weight), Ordering::Relaxed);
        left >= weight && left > 0
    }

    fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// How much a value counts: everything inside of it.
fn weight(value: &dyn Val) -> usize {
    let inside = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        text.inner().len() / PIECE
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        list.inner().iter().map(|item| weight(&**item)).sum()
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        map.inner().values().map(|item| 1 + weight(&**item)).sum()
    } else {
        0
    };
    1 + inside
}

static BUDGET_TYPE: CelType = CelType::new_unspecified_type("portcullis.budget");

impl Val for Budget {
    fn get_type(&self) -> &CelType {
        &BUDGET_TYPE
    }
    fn cel_type() -> &'static CelType {
        &BUDGET_TYPE
    }
    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}
impl StaticVal for Budget {}

/// Gives the value back, once it is taken off the budget.
fn counted<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Ok([value, budget]) = <[CowVal<'b, 'v>; 2]>::try_from(arguments) else {
        return Err(ExecutionError::InternalError(String::from("two arguments")));
    };
    match budget.downcast_ref::<Budget>() {
        Some(budget) if !budget.is_spent() && budget.take(weight(&*value)) => Ok(value),
        _ => Err(ExecutionError::InternalError(String::from(TOO_MUCH))),
    }
}
