//! Accessors: what a resolved name reads. No name is looked up here but those of parameters, which only the request knows.

use std::borrow::Cow;
use std::fmt::Write;
use std::str::Utf8Error;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::JsonPath;
use crate::attribute::Attribute;
use crate::exchange::{Exchange, Form};
use crate::outcome::{BAD_REQUEST, BAD_RESPONSE, Reason, ReasonCode};
use crate::value::Value;

/// What a name reads.
pub(crate) enum Accessor {
    Constant(Value),
    Method,
    Path,
    Uri,
    Url,
    QueryString,
    Host,
    Scheme,
    Id,
    ContentType,
    Header(HeaderName),
    Query(Parameter),
    Form(Parameter),
    Cookie(Box<str>),
    Body,
    Json(JsonQuery),
    ClientIp,
    ClientNetwork,
    /// A field of the client's certificate.
    Certificate {
        field: usize,
        tail: Tail,
    },
    PathParameter(Box<str>),
    Attribute {
        slot: usize,
        attribute: &'static dyn Attribute,
        field: usize,
        optional: bool,
        tail: Tail,
    },
    Variable {
        slot: usize,
        tail: Tail,
    },
    /// A row that the step has looked up, or something in it.
    Row {
        slot: usize,
        tail: Tail,
    },
    Input {
        name: Box<str>,
        tail: Tail,
    },
    ResponseStatus,
    ResponseHeader(HeaderName),
    ResponseBody,
    ResponseJson(JsonQuery),
    FailureReason,
    FailureMessage,
    FailureFilter,
    FailureStatus,
    Now,
}

/// A form's or query's parameter.
pub(crate) struct Parameter {
    pub(crate) name: Box<str>,
    /// A repeated one is a failure (RFC 6749, section 3.1 and 3.2); otherwise the first counts.
    pub(crate) repeated_refused: bool,
}

/// A JSONPath query, and what its result is.
pub(crate) struct JsonQuery {
    pub(crate) path: JsonPath,
    /// The result is a list of all that was found.
    pub(crate) list: bool,
}

/// The way from a value into it.
pub(crate) type Tail = Box<[Inner]>;

/// One step into a value.
pub(crate) enum Inner {
    Name(Box<str>),
    Index(usize),
}

/// What an accessor found.
pub(crate) enum Got<'e> {
    Text(Cow<'e, str>),
    Borrowed(&'e Value),
    Owned(Value),
}

impl Got<'_> {
    pub(crate) fn into_value(self) -> Value {
        match self {
            Got::Text(text) => Value::text(&*text),
            Got::Borrowed(value) => value.clone(),
            Got::Owned(value) => value,
        }
    }

    /// The text, where it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Got::Text(text) => Some(text),
            Got::Borrowed(value) => value.as_text(),
            Got::Owned(value) => value.as_text(),
        }
    }

    /// Writes it as it stands in text.
    pub(crate) fn push_to(&self, text: &mut String) {
        let value = match self {
            Got::Text(found) => return text.push_str(found),
            Got::Borrowed(value) => value,
            Got::Owned(value) => value,
        };
        match value {
            Value::Text(found) => text.push_str(found),
            // Writing to a `String` cannot fail.
            other => drop(write!(text, "{other}")),
        }
    }
}

/// In which ways an accessor may have no value, though the attribute that it reads is there.
pub(crate) struct Lacks {
    /// The value may be absent; `true` where that is rare.
    pub(crate) absent: Option<bool>,
    /// What it is read from may be malformed.
    pub(crate) malformed: Option<ReasonCode>,
}

impl Accessor {
    /// In which ways it may have no value. That an attribute was set at all is for the flow check to know.
    pub(crate) fn lacks(&self) -> Lacks {
        let (absent, malformed) = match self {
            Accessor::Header(_) | Accessor::Query(_) | Accessor::Form(_) | Accessor::Body | Accessor::ContentType => {
                (Some(false), Some(BAD_REQUEST))
            }
            Accessor::Json(query) => ((!query.list).then_some(false), Some(BAD_REQUEST)),
            Accessor::ResponseHeader(_) | Accessor::ResponseBody => (Some(false), Some(BAD_RESPONSE)),
            Accessor::ResponseJson(query) => ((!query.list).then_some(false), Some(BAD_RESPONSE)),
            Accessor::QueryString | Accessor::Cookie(_) | Accessor::Certificate { .. } => (Some(false), None),
            Accessor::Attribute { optional, tail, .. } => ((*optional || !tail.is_empty()).then_some(false), None),
            Accessor::Variable { tail, .. } => ((!tail.is_empty()).then_some(false), None),
            Accessor::Row { .. } => (Some(false), None),
            // An input whose argument was absent on purpose.
            Accessor::Input { tail, .. } => (Some(tail.is_empty()), None),
            Accessor::Constant(_)
            | Accessor::Method
            | Accessor::Path
            | Accessor::Uri
            | Accessor::Url
            | Accessor::Host
            | Accessor::Scheme
            | Accessor::Id
            | Accessor::ClientIp
            | Accessor::ClientNetwork
            | Accessor::PathParameter(_)
            | Accessor::ResponseStatus
            | Accessor::FailureReason
            | Accessor::FailureMessage
            | Accessor::FailureFilter
            | Accessor::FailureStatus
            | Accessor::Now => (None, None),
        };
        Lacks { absent, malformed }
    }

    /// It is percent-encoded and, unlike a path, more than that or something else.
    pub(crate) fn is_encoded(&self) -> bool {
        matches!(self, Accessor::Uri | Accessor::Url | Accessor::QueryString)
    }

    /// What the client sends or the gateway always knows: where this is absent, the client has left it out.
    pub(crate) fn is_the_clients(&self) -> bool {
        match self {
            Accessor::Constant(_)
            | Accessor::Method
            | Accessor::Path
            | Accessor::Uri
            | Accessor::Url
            | Accessor::QueryString
            | Accessor::Host
            | Accessor::Scheme
            | Accessor::Id
            | Accessor::ContentType
            | Accessor::Header(_)
            | Accessor::Query(_)
            | Accessor::Form(_)
            | Accessor::Cookie(_)
            | Accessor::Body
            | Accessor::Json(_)
            | Accessor::ClientIp
            | Accessor::ClientNetwork
            | Accessor::Certificate { .. }
            | Accessor::PathParameter(_)
            | Accessor::Now => true,
            Accessor::Attribute { .. }
            | Accessor::Variable { .. }
            | Accessor::Row { .. }
            | Accessor::Input { .. }
            | Accessor::ResponseStatus
            | Accessor::ResponseHeader(_)
            | Accessor::ResponseBody
            | Accessor::ResponseJson(_)
            | Accessor::FailureReason
            | Accessor::FailureMessage
            | Accessor::FailureFilter
            | Accessor::FailureStatus => false,
        }
    }

    /// Reads; `None` is absent, a reason is a request that is malformed.
    pub(crate) fn get<'e>(&'e self, exchange: &'e Exchange) -> Result<Option<Got<'e>>, Reason> {
        let request = &exchange.request;
        let text = |text: &'e str| Some(Got::Text(Cow::Borrowed(text)));
        let number = |number: i64| Some(Got::Owned(Value::Int(number)));
        Ok(match self {
            Accessor::Constant(value) => Some(Got::Borrowed(value)),
            Accessor::Method => text(request.method.as_str()),
            Accessor::Path => text(&request.path),
            Accessor::Uri => Some(Got::Text(uri(exchange))),
            Accessor::Url => Some(Got::Text(format!("{}://{}{}", request.scheme, request.host, uri(exchange)).into())),
            Accessor::QueryString => request.query.as_deref().and_then(text),
            Accessor::Host => text(&request.host),
            Accessor::Scheme => text(request.scheme),
            Accessor::Id => text(&request.id),
            Accessor::ContentType => request.content_type()?.map(Got::Text),
            Accessor::Header(name) => header(&request.headers, name)
                .map_err(|_| Reason::bad_request(format!("the header `{name}` is no text")))?,
            Accessor::Query(parameter) => parameter.get(request.query_form()?)?,
            Accessor::Form(parameter) => parameter.get(request.form()?)?,
            Accessor::Cookie(name) => request.cookie(name).and_then(text),
            Accessor::Body => {
                body_text(request.plain_body()?).map_err(|_| Reason::bad_request("the body is no UTF-8 text"))?
            }
            Accessor::Json(query) => query.get(request.json()?),
            Accessor::ClientIp => Some(Got::Text(request.client.to_string().into())),
            Accessor::ClientNetwork => Some(Got::Text(request.client_network().into())),
            Accessor::Certificate { field, tail } => request
                .certificate
                .as_ref()
                .and_then(|certificate| certificate.read(*field))
                .and_then(|v| owned(v, tail)),
            Accessor::PathParameter(name) => {
                let found = request.params.iter().find(|(parameter, _)| **parameter == **name);
                found.and_then(|(_, value)| text(value))
            }
            Accessor::Attribute { slot, attribute, field, tail, .. } => exchange
                .slots
                .raw(*slot)
                .and_then(|held| attribute.read(held, *field))
                .and_then(|value| owned(value, tail)),
            Accessor::Variable { slot, tail } | Accessor::Row { slot, tail } => {
                exchange.slots.raw(*slot).and_then(|held| held.downcast_ref()).and_then(|value| walk(value, tail))
            }
            Accessor::Input { name, tail } => {
                let found = exchange.input.iter().find(|(input, _)| **input == **name);
                found.and_then(|(_, value)| walk(value, tail))
            }
            Accessor::ResponseStatus => exchange.response.as_ref().and_then(|r| number(r.status.as_u16().into())),
            Accessor::ResponseHeader(name) => match &exchange.response {
                Some(response) => header(&response.headers, name)
                    .map_err(|_| Reason::bad_response(format!("the header `{name}` of the response is no text")))?,
                None => None,
            },
            Accessor::ResponseBody => match exchange.response.as_ref() {
                Some(response) => body_text(response.plain_body()?)
                    .map_err(|_| Reason::bad_response("the response's body is no UTF-8 text"))?,
                None => None,
            },
            Accessor::ResponseJson(query) => match exchange.response.as_ref() {
                Some(response) => query.get(&response.read_json()?).map(Got::detached),
                None => None,
            },
            Accessor::FailureReason => exchange.failure.as_ref().and_then(|f| text(f.reason)),
            Accessor::FailureMessage => exchange.failure.as_ref().and_then(|f| text(&f.message)),
            Accessor::FailureFilter => exchange.failure.as_ref().and_then(|f| text(&f.filter)),
            Accessor::FailureStatus => exchange.failure.as_ref().and_then(|f| number(f.status.as_u16().into())),
            Accessor::Now => number(i64::try_from(exchange.now()).unwrap_or(i64::MAX)),
        })
    }
}

impl Got<'_> {
    fn detached<'e>(self) -> Got<'e> {
        Got::Owned(self.into_value())
    }
}

impl Parameter {
    fn get<'e>(&self, form: &'e Form) -> Result<Option<Got<'e>>, Reason> {
        if self.repeated_refused && form.repeated(&self.name) {
            return Err(Reason::bad_request(format!("the parameter `{}` stands there more than once", self.name)));
        }
        Ok(form.get(&self.name).map(|value| Got::Text(Cow::Borrowed(value))))
    }
}

impl JsonQuery {
    fn get<'e>(&self, json: &serde_json::Value) -> Option<Got<'e>> {
        let value = if self.list {
            Value::List(self.path.find(json).into_iter().filter_map(Value::from_json).collect())
        } else {
            Value::from_json(self.path.first(json)?)?
        };
        Some(Got::Owned(value))
    }
}

/// One step after the other into a value.
pub(crate) fn walk<'e>(value: &'e Value, tail: &[Inner]) -> Option<Got<'e>> {
    let found = tail.iter().try_fold(value, |at, step| match (step, at) {
        (Inner::Name(name), Value::Map(map)) => map.get(&**name),
        (Inner::Index(index), Value::List(items)) => items.get(*index),
        _ => None,
    });
    found.map(Got::Borrowed)
}

fn owned<'e>(value: Value, tail: &[Inner]) -> Option<Got<'e>> {
    if tail.is_empty() { Some(Got::Owned(value)) } else { walk(&value, tail).map(Got::detached) }
}

fn uri(exchange: &Exchange) -> Cow<'_, str> {
    match &exchange.request.query {
        Some(query) => format!("{}?{query}", exchange.request.path).into(),
        None => Cow::Borrowed(&exchange.request.path),
    }
}

/// All values of a header, with `, ` between (RFC 9110, section 5.3).
fn header<'e>(headers: &'e HeaderMap, name: &HeaderName) -> Result<Option<Got<'e>>, Utf8Error> {
    let text = |value: &'e HeaderValue| std::str::from_utf8(value.as_bytes());
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let mut all = Cow::Borrowed(text(first)?);
    for value in values {
        let all = all.to_mut();
        all.push_str(", ");
        all.push_str(text(value)?);
    }
    Ok(Some(Got::Text(all)))
}

/// A body as text; an empty one is absent.
fn body_text(bytes: &[u8]) -> Result<Option<Got<'_>>, Utf8Error> {
    let text = std::str::from_utf8(bytes)?;
    Ok((!text.is_empty()).then_some(Got::Text(Cow::Borrowed(text))))
}

impl From<&str> for Inner {
    fn from(name: &str) -> Self {
        Inner::Name(name.into())
    }
}
