//! The response side of an exchange.

use http::header::{ALLOW, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::body::Body;
use super::upgrade::Upgraded;
use crate::outcome::Reason;

/// A response.
#[derive(Default)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Where the connection switches protocols (101): the other side of it.
    pub upgraded: Option<Upgraded>,
    /// When what streams must have ended, body or switched connection, in Unix milliseconds. None = whenever it ends.
    pub until: Option<u64>,
}

/// An edit of response headers, made now or when there is a response.
#[derive(Clone, Debug)]
pub enum HeaderEdit {
    /// Replaces all values.
    Set(HeaderName, HeaderValue),
    /// Adds one value.
    Append(HeaderName, HeaderValue),
    /// Adds the name to `Vary`, where it is not there yet.
    Vary(HeaderName),
    /// Sets the value where the answer has none.
    Default(HeaderName, HeaderValue),
    /// Removes all values.
    Remove(HeaderName),
}

impl Response {
    /// A response without a body.
    pub fn new(status: StatusCode) -> Self {
        Response { status, ..Response::default() }
    }

    /// A JSON response (`application/json`; UTF-8, as RFC 8259 says).
    pub fn json(status: StatusCode, json: &serde_json::Value) -> Self {
        let mut response = Response::new(status);
        response.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.body = json.to_string().into();
        response
    }

    /// The body as JSON.
    pub fn read_json(&self) -> Result<serde_json::Value, Reason> {
        let parsed = serde_json::from_slice(self.plain_body()?);
        parsed.map_err(|error| Reason::bad_response(format!("the response is no JSON: {error}")))
    }

    /// The body's bytes, where no coding hides them.
    pub fn plain_body(&self) -> Result<&[u8], Reason> {
        let bytes = match &self.body {
            Body::Full(bytes) => &bytes[..],
            // The engine reads the body before a filter that said it needs it.
            Body::Empty | Body::Stream(_) => &[],
        };
        match self.headers.get(CONTENT_ENCODING).filter(|coding| *coding != "identity" && !bytes.is_empty()) {
            None => Ok(bytes),
            Some(coding) => Err(Reason::bad_response(format!(
                "the response is compressed ({coding:?}): set the request's `accept-encoding` to `identity` before `proxy`"
            ))),
        }
    }

    /// With this header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl HeaderEdit {
    /// `Allow`: the methods that are taken (RFC 9110, section 10.2.1). `None` where one of them is no text.
    pub fn allow(methods: &[Method]) -> Option<HeaderEdit> {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        Some(HeaderEdit::Set(ALLOW, HeaderValue::from_str(&names.join(", ")).ok()?))
    }

    /// Carries it out.
    pub fn apply(self, headers: &mut HeaderMap) {
        match self {
            HeaderEdit::Set(name, value) => {
                headers.insert(name, value);
            }
            HeaderEdit::Append(name, value) => {
                headers.append(name, value);
            }
            HeaderEdit::Vary(name) => vary(headers, &name),
            HeaderEdit::Default(name, value) => {
                headers.entry(name).or_insert(value);
            }
            HeaderEdit::Remove(name) => {
                headers.remove(name);
            }
        }
    }
}

/// The answer depends on this field of the request (RFC 9110, section 12.5.5). Whoever depends on everything (`*`) says so already.
fn vary(headers: &mut HeaderMap, name: &HeaderName) {
    let values = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    let mut members = values.flat_map(|value| value.split(',')).map(str::trim);
    if !members.any(|member| member == "*" || member.eq_ignore_ascii_case(name.as_str())) {
        headers.append(VARY, HeaderValue::from_name(name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vary_names_each_field_once() {
        let origin = HeaderEdit::Vary(http::header::ORIGIN);
        for (there, expected) in [
            (&[][..], &["origin"][..]),
            (&["accept"], &["accept", "origin"]),
            (&["accept, Origin"], &["accept, Origin"]),
            (&["*"], &["*"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(there.iter().map(|value| (VARY, HeaderValue::from_static(value))));
            origin.clone().apply(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), expected, "{there:?}");
        }
    }
}
