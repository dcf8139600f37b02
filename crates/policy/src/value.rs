//! Values: what an attribute holds and what a selector gives.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::settings::Duration;

/// A typed value on the exchange. Cheap to clone: what is large is shared.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction (JSON has them; settings do not).
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A list; scopes are a list of texts.
    List(Arc<[Value]>),
    /// Names and values: a JSON object.
    Map(Arc<BTreeMap<Arc<str>, Value>>),
}

/// The type of a [`Value`], where it is known before a request runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when the request runs (JSON, for example).
    Any,
    /// [`Value::Bool`].
    Bool,
    /// [`Value::Int`].
    Int,
    /// [`Value::Float`].
    Float,
    /// [`Value::Text`].
    Text,
    /// [`Value::List`].
    List,
    /// [`Value::Map`].
    Map,
}

impl Value {
    /// A text value.
    pub fn text(text: impl Into<Arc<str>>) -> Value {
        Value::Text(text.into())
    }

    /// A list of texts.
    pub fn texts<T: Into<Arc<str>>>(texts: impl IntoIterator<Item = T>) -> Value {
        Value::List(texts.into_iter().map(Value::text).collect())
    }

    /// Its type.
    pub fn type_of(&self) -> Type {
        match self {
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Float(_) => Type::Float,
            Value::Text(_) => Type::Text,
            Value::List(_) => Type::List,
            Value::Map(_) => Type::Map,
        }
    }

    /// The text, where this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// From JSON; `null` is no value.
    pub fn from_json(json: &serde_json::Value) -> Option<Value> {
        use serde_json::Value as Json;
        Some(match json {
            Json::Null => return None,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => match n.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Float(n.as_f64()?),
            },
            Json::String(s) => Value::text(s.as_str()),
            Json::Array(items) => Value::List(items.iter().filter_map(Value::from_json).collect()),
            Json::Object(map) => Value::Map(Arc::new(
                map.iter().filter_map(|(k, v)| Some((Arc::from(k.as_str()), Value::from_json(v)?))).collect(),
            )),
        })
    }

    /// To JSON; a float that JSON cannot write (NaN, infinity) becomes `null`.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => Json::from(*i),
            Value::Float(f) => Json::from(*f),
            Value::Text(t) => Json::String(t.to_string()),
            Value::List(items) => Json::Array(items.iter().map(Value::to_json).collect()),
            Value::Map(map) => Json::Object(map.iter().map(|(k, v)| (k.to_string(), v.to_json())).collect()),
        }
    }
}

/// As it stands in text: a list as its items with a space between (as scopes are written), a map as JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(b) => b.fmt(f),
            Value::Int(i) => i.fmt(f),
            Value::Float(x) => x.fmt(f),
            Value::Text(t) => f.write_str(t),
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        f.write_str(" ")?;
                    }
                    item.fmt(f)?;
                }
                Ok(())
            }
            Value::Map(_) => write!(f, "{}", self.to_json()),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Any => "any value",
            Type::Bool => "true or false",
            Type::Int => "a whole number",
            Type::Float => "a number",
            Type::Text => "text",
            Type::List => "a list",
            Type::Map => "a table",
        })
    }
}

/// What a compiled setting can be turned into. An error is the type that was wanted.
pub trait FromValue: Sized + Send + Sync + 'static {
    /// The type that is wanted, for the checker and for messages.
    const TYPE: Type;
    /// Turns a value into this type, or says no (`None`): the filter then fails with `wrong-type`.
    fn from_value(value: Value) -> Option<Self>;
    /// The same for text, which need not become a [`Value`] first.
    fn from_text(text: Cow<'_, str>) -> Option<Self> {
        Self::from_value(Value::text(text))
    }
    /// What is wanted, in words, for messages.
    fn wanted() -> String {
        Self::TYPE.to_string()
    }
    /// What would be right where a constant does not fit, for messages.
    fn help() -> &'static str {
        "a selector (`${...}`) or an expression (`{ cel = \"...\" }`) may stand here too"
    }
}

impl FromValue for Value {
    const TYPE: Type = Type::Any;
    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl FromValue for bool {
    const TYPE: Type = Type::Bool;
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Bool(b) => Some(b),
            Value::Text(t) => t.parse().ok(),
            _ => None,
        }
    }
}

impl FromValue for f64 {
    const TYPE: Type = Type::Float;
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Float(f) => Some(f),
            Value::Int(i) => Some(i as f64),
            Value::Text(t) => t.parse().ok().filter(|f: &f64| f.is_finite()),
            _ => None,
        }
    }
}

impl FromValue for Duration {
    const TYPE: Type = Type::Text;
    fn from_value(value: Value) -> Option<Self> {
        Duration::parse(value.as_text()?)
    }
    fn wanted() -> String {
        Duration::EXPECTED.to_owned()
    }
}

impl FromValue for i64 {
    const TYPE: Type = Type::Int;
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Int(i) => Some(i),
            Value::Text(t) => t.parse().ok(),
            _ => None,
        }
    }
}

impl FromValue for Arc<str> {
    const TYPE: Type = Type::Text;
    fn from_value(value: Value) -> Option<Self> {
        Some(match value {
            Value::Text(t) => t,
            other => Arc::from(other.to_string()),
        })
    }
    fn from_text(text: Cow<'_, str>) -> Option<Self> {
        Some(Arc::from(text))
    }
}

impl FromValue for String {
    const TYPE: Type = Type::Text;
    fn from_value(value: Value) -> Option<Self> {
        Some(value.to_string())
    }
    fn from_text(text: Cow<'_, str>) -> Option<Self> {
        Some(text.into_owned())
    }
}

/// A list of texts: a list as it is, a text split at spaces (as scopes are written).
impl FromValue for Vec<Arc<str>> {
    const TYPE: Type = Type::List;
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::List(items) => Some(
                items
                    .iter()
                    .map(|item| match item {
                        Value::Text(t) => t.clone(),
                        other => Arc::from(other.to_string()),
                    })
                    .collect(),
            ),
            Value::Text(t) => Some(t.split(' ').filter(|s| !s.is_empty()).map(Arc::from).collect()),
            _ => None,
        }
    }
}
