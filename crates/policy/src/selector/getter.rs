//! A compiled setting.

use super::Dynamic;
use super::access::Got;
use super::plan::{Plan, Planned, plan};
use crate::diagnostic::Diagnostics;
use crate::exchange::Exchange;
use crate::exchange::path::{self, BadPath};
use crate::filter::BuildContext;
use crate::outcome::{MISSING_VALUE, Reason, WRONG_TYPE};
use crate::value::{FromValue, Type, Value};

/// A compiled [`Dynamic`]: a constant, or accessors and text that are evaluated per request without any look-up by name.
pub struct Getter<T>(Kind<T>);

enum Kind<T> {
    Constant(T),
    Plan(Plan),
}

impl<T: FromValue + Clone> Getter<T> {
    /// The value; a missing one is [`MISSING_VALUE`], one that does not fit
    /// [`WRONG_TYPE`].
    pub fn get(&self, exchange: &Exchange) -> Result<T, Reason> {
        match self.get_optional(exchange)? {
            Some(value) => Ok(value),
            None => Err(Reason::missing(self.name())),
        }
    }

    /// The value, `None` where it is absent on purpose (`${x ??}`). Absent without that is still a failure.
    pub fn get_optional(&self, exchange: &Exchange) -> Result<Option<T>, Reason> {
        let plan = match &self.0 {
            Kind::Constant(value) => return Ok(Some(value.clone())),
            Kind::Plan(plan) => plan,
        };
        let Some(got) = plan.get(exchange)? else { return Ok(None) };
        let (value, of) = match got {
            Got::Text(text) => (T::from_text(text), Type::Text),
            Got::Borrowed(value) => (T::from_value(value.clone()), value.type_of()),
            Got::Owned(value) => {
                let of = value.type_of();
                (T::from_value(value), of)
            }
        };
        value.map(Some).ok_or_else(|| {
            let message = format!("{} is {of} where {} is wanted", self.quoted_name(), T::wanted());
            Reason::new(WRONG_TYPE, message).with_status(http::StatusCode::BAD_REQUEST)
        })
    }

    /// The value, where it is known before any request.
    pub fn constant(&self) -> Option<&T> {
        match &self.0 {
            Kind::Constant(value) => Some(value),
            Kind::Plan(_) => None,
        }
    }

    /// Whether the value may be absent on purpose.
    pub fn may_be_absent(&self) -> bool {
        match &self.0 {
            Kind::Constant(_) => false,
            Kind::Plan(plan) => plan.may_be_absent(),
        }
    }

    fn name(&self) -> &str {
        match &self.0 {
            Kind::Constant(_) => "",
            Kind::Plan(plan) => plan.name(),
        }
    }

    fn quoted_name(&self) -> String {
        match &self.0 {
            Kind::Plan(plan @ Plan::One(_)) => format!("`{}`", plan.name()),
            _ => self.name().to_owned(),
        }
    }
}

impl Getter<String> {
    /// The value as a path for an upstream, in its normal form: text and values are encoded as they read, and `${request.path}`, which is
    /// encoded already, stays as it is.
    ///
    /// # Errors
    /// Where a value is missing, or somebody could read the path as another one.
    pub fn path(&self, exchange: &Exchange) -> Result<String, Reason> {
        let encoded = match &self.0 {
            Kind::Constant(_) => None,
            Kind::Plan(plan) => plan.path(exchange)?,
        };
        let encoded = match encoded {
            Some(encoded) => encoded,
            None => path::encode_percent(&self.get(exchange)?).into_owned(),
        };
        if !encoded.starts_with('/') {
            return Err(Reason::bad_request("the path for the upstream does not begin with `/`"));
        }
        // The normal form has no `.` segments: a value that is one would take its place out of the path.
        let normal = match encoded.split('/').any(|segment| segment == ".") {
            true => Err(BadPath::StepUp),
            false => path::normalise(&encoded),
        };
        let refused = |problem: BadPath| format!("the path for the upstream is refused: {}", problem.message());
        normal.map_err(|problem| Reason::bad_request(refused(problem)))
    }

    /// The value as an address for a client: text stands as it is written, values within it are encoded, as what they are there.
    ///
    /// # Errors
    /// Where a value is missing.
    pub fn address(&self, exchange: &Exchange) -> Result<String, Reason> {
        let encoded = match &self.0 {
            Kind::Constant(_) => None,
            Kind::Plan(plan) => plan.address(exchange)?,
        };
        encoded.map_or_else(|| self.get(exchange), Ok)
    }
}

/// Compiles a setting that is a path for an upstream, for [`Getter::path`].
pub(crate) fn compile_path(
    setting: &Dynamic<String>,
    cx: &mut BuildContext<'_>,
) -> Result<Getter<String>, Diagnostics> {
    let getter = compile(setting, cx)?;
    let encoded = match &getter.0 {
        Kind::Constant(text) => {
            if let Err(problem) = path::normal_form_of_text(text) {
                return Err(cx
                    .error(setting.span(), problem.message(), "a path begins with `/`, and has no `..`")
                    .into());
            }
            None
        }
        Kind::Plan(plan) => plan.not_for_a_path(),
    };
    match encoded {
        None => Ok(getter),
        Some(name) => {
            let message = format!("`{name}` is encoded already, and would be once more in a path");
            let help =
                "the request's own path is `${request.path}` in the text of the setting; the query goes by another way";
            Err(cx.error(setting.span(), message, help).into())
        }
    }
}

/// Compiles a setting; its selectors count as reads of the filter.
pub(crate) fn compile<T: FromValue + Clone>(
    setting: &Dynamic<T>,
    cx: &mut BuildContext<'_>,
) -> Result<Getter<T>, Diagnostics> {
    let lists = matches!(T::TYPE, Type::List | Type::Any);
    let Planned { plan, of } = plan(&setting.literal, lists, cx)?;
    let refused = |found: String| {
        Err(cx.error(setting.span(), format!("expected {}, found {found}", T::wanted()), T::help()).into())
    };
    match plan {
        Plan::Constant(value) => {
            let found = shown(&value);
            // A list would become text; one that stands in the file is more likely a slip.
            let slip = T::TYPE == Type::Text && matches!(value, Value::List(_) | Value::Map(_));
            match T::from_value(value).filter(|_| !slip) {
                Some(value) => Ok(Getter(Kind::Constant(value))),
                None => refused(found),
            }
        }
        Plan::List(_) | Plan::Table(_) if T::TYPE == Type::Text => refused(format!("a value that is {of}")),
        plan if !fits(T::TYPE, of) => refused(format!("{} that is {of}", plan_word(&plan))),
        plan => {
            if !always_fits(T::TYPE, of) {
                cx.fails_rarely(&[WRONG_TYPE]);
            }
            if plan.may_be_absent() {
                // Where the filter cannot do without.
                cx.fails_rarely(&[MISSING_VALUE]);
            }
            Ok(Getter(Kind::Plan(plan)))
        }
    }
}

/// Whether a value of this type may fit. What text becomes shows only when it is there.
fn fits(wanted: Type, of: Type) -> bool {
    match (wanted, of) {
        (Type::Text, Type::Map) => false,
        (Type::Any, _) | (_, Type::Any) | (Type::Text, _) => true,
        (Type::Float, Type::Int) => true,
        (Type::Map, Type::Text) => false,
        (_, Type::Text) => true,
        (wanted, of) => wanted == of,
    }
}

/// Whether every value of this type fits.
fn always_fits(wanted: Type, of: Type) -> bool {
    match (wanted, of) {
        (Type::Any, _) => true,
        (Type::Text, of) => !matches!(of, Type::Any | Type::Map),
        (wanted, of) => wanted == of,
    }
}

fn plan_word(plan: &Plan) -> &'static str {
    match plan {
        Plan::Cel(_) => "an expression",
        Plan::One(_) => "a selector",
        _ => "a value",
    }
}

/// A constant in a message: numbers and short texts as they are.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{}\"", crate::reader::shown(text)),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => value.to_string(),
        Value::List(_) | Value::Map(_) => value.type_of().to_string(),
    }
}
