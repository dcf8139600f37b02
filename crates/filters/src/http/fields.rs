//! Header fields that settings name: checked names, values that cannot break out of their line, and the fields that no
//! policy may touch.

use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::Authority;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::alike;
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Dynamic, Exchange, Getter, Reason, ReasonCode};

/// A header's value holds a line end or another control character.
pub(crate) const BAD_HEADER_VALUE: ReasonCode = ReasonCode::new("bad-header-value");

/// Which message a filter is about.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// What goes to the upstream.
    #[default]
    Request,
    /// What goes to the client.
    Response,
}

/// Fields of one connection and of a message's framing: the gateway writes them anew from the message that it sends, so
/// that nobody's `Content-Length` and nobody's body can disagree. The server strips them (its `hop.rs`): a policy that sets one
/// would wait for it in vain. `tests/house.rs` holds the lists together.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields of a request that `proxy` writes, and what to do instead of setting them.
const WRITTEN_BY_PROXY: &[(&str, &str)] = &[
    ("host", "set `host` of the filter `proxy`"),
    ("expect", "leave it: the gateway answers `Expect` itself"),
    ("forwarded", "`proxy` writes it anew for every request"),
    ("traceparent", "`proxy` writes it anew for every request"),
    ("via", "`proxy` writes it"),
    ("x-forwarded-for", "`proxy` writes it anew for every request"),
    ("x-forwarded-host", "`proxy` writes it anew for every request"),
    ("x-forwarded-proto", "`proxy` writes it anew for every request"),
    ("x-real-ip", "`proxy` writes it anew for every request"),
    ("x-request-id", "`proxy` sends the id of the exchange"),
];

/// The name, where a policy may touch the field on that side.
pub(crate) fn name(written: &Spanned<String>, side: Side, cx: &BuildContext<'_>) -> Result<HeaderName, Diagnostics> {
    let text = &written.value;
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        let help = "a header's name is letters, digits and `-`, without spaces or `:`";
        return Err(cx.error(written.span, format!("`{text}` is no name of a header"), help).into());
    };
    if FRAMING.iter().any(|known| alike(known, name.as_str())) {
        let help =
            "leave it out: the gateway writes the fields of a connection and of a message's length from what it sends";
        return Err(cx.error(written.span, format!("`{text}` is not for a policy to write"), help).into());
    }
    if side == Side::Request
        && let Some((_, help)) = WRITTEN_BY_PROXY.iter().find(|(known, _)| alike(known, name.as_str()))
    {
        return Err(cx.error(written.span, format!("`{text}` is not for a policy to write"), *help).into());
    }
    Ok(name)
}

/// A header's value: a constant that was checked when the policy was loaded, or one that is worked out.
pub(crate) enum FieldValue {
    Constant(HeaderValue),
    Computed(Getter<String>),
}

impl FieldValue {
    pub(crate) fn compile(setting: &Dynamic<String>, cx: &mut BuildContext<'_>) -> Result<Self, Diagnostics> {
        let getter = cx.dynamic(setting)?;
        let Some(text) = getter.constant() else {
            cx.fails_rarely(&[BAD_HEADER_VALUE]);
            return Ok(FieldValue::Computed(getter));
        };
        match HeaderValue::from_bytes(text.as_bytes()) {
            Ok(value) => Ok(FieldValue::Constant(value)),
            Err(_) => {
                let help = "a header's value is one line without control characters";
                Err(cx.error(setting.span(), "this cannot be a header's value", help).into())
            }
        }
    }

    /// The value for this exchange; none where it is absent on purpose. One that would break out of its line is a failure.
    pub(crate) fn get(&self, exchange: &Exchange) -> Result<Option<HeaderValue>, Reason> {
        let getter = match self {
            FieldValue::Constant(value) => return Ok(Some(value.clone())),
            FieldValue::Computed(getter) => getter,
        };
        getter.get_optional(exchange)?.map(value).transpose()
    }
}

/// A longer value is a mistake, or somebody's attempt to fill memory: servers take a few kilobytes.
const LONGEST: usize = 64 * 1024;

/// `Host` from text that may come from anywhere: a name or an address, perhaps with a port, and nothing that leads elsewhere.
pub(crate) fn host(text: String) -> Result<HeaderValue, Reason> {
    let is_host = Authority::try_from(text.as_str()).is_ok_and(|host| !host.as_str().contains('@'));
    if is_host {
        return value(text);
    }
    Err(Reason::new(BAD_HEADER_VALUE, "`Host` would be no name of a host").with_status(StatusCode::BAD_REQUEST))
}

/// A value from text that may come from anywhere.
pub(crate) fn value(text: String) -> Result<HeaderValue, Reason> {
    if text.len() > LONGEST {
        let message = "a header's value would be longer than 64 KiB";
        return Err(Reason::new(BAD_HEADER_VALUE, message).with_status(StatusCode::BAD_REQUEST));
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).map_err(|_| {
        Reason::new(BAD_HEADER_VALUE, "a header's value would hold a line end or another control character")
            .with_status(StatusCode::BAD_REQUEST)
    })
}

/// Fields that a client rightly says for itself and that a policy may nevertheless replace for its upstream: what the client
/// sent stays until then. Everything else that a policy sets is the gateway's word alone.
pub(crate) fn is_the_clients(name: &HeaderName) -> bool {
    [
        header::ACCEPT,
        header::ACCEPT_CHARSET,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::IF_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::ORIGIN,
        header::PRAGMA,
        header::RANGE,
        header::REFERER,
        header::USER_AGENT,
    ]
    .iter()
    .any(|known| alike(known.as_str(), name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_begin_another_line() {
        for text in ["a\r\nset-cookie: x=1", "a\nb", "a\0", "a\u{7f}"] {
            assert_eq!(value(text.into()).expect_err(text).code, BAD_HEADER_VALUE);
        }
        for text in ["", "a b", "a\tb", "Zoë"] {
            assert_eq!(value(text.into()).expect(text).as_bytes(), text.as_bytes());
        }
        assert!(value("a".repeat(LONGEST)).is_ok() && value("a".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn a_host_leads_nowhere_else() {
        for text in ["example.com", "example.com:8080", "10.0.0.1", "[::1]:80"] {
            assert_eq!(host(text.into()).expect(text), text);
        }
        for text in ["", "a b", "a@b", "a/b", "a?b", "a#b", "a\r\nx: y", "a:b:c", "[::1"] {
            assert_eq!(host(text.into()).expect_err(text).code, BAD_HEADER_VALUE);
        }
    }
}
