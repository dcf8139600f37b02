//! The request side of an exchange.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode, Version};
use smallvec::SmallVec;

use super::body::{Body, BodyError};
use super::certificate::ClientCertificate;
use super::limit::{Allowance, too_large};
use super::trace::TraceContext;
use crate::outcome::{BAD_REQUEST, Reason};

/// The media type of forms.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Path parameters of the matched route, decoded: `{name}` and `{*rest}`.
pub type PathParams = SmallVec<[(Arc<str>, String); 2]>;

/// A request, as filters may read and edit it. The listener has checked and normalised it before.
pub struct Request {
    /// The method, as it came (HEAD stays HEAD; the router serves it as GET).
    pub method: Method,
    /// The path in its normal form, still percent-encoded; begins with `/`.
    pub path: String,
    /// The query as it came, without `?`.
    pub query: Option<String>,
    /// HTTP/1.1 or 2.
    pub version: Version,
    /// Headers; those that only the gateway may set are stripped before.
    pub headers: HeaderMap,
    /// `http` or `https`, as the client sees it.
    pub scheme: &'static str,
    /// The authority the client asked for (`Host`, or what a trusted proxy says that it was), checked.
    pub host: String,
    /// Who is at the other end of the connection: the client, or the last proxy before the gateway.
    pub peer: SocketAddr,
    /// The client's address: the peer's, or the one that trusted proxies name.
    pub client: IpAddr,
    /// The trusted proxies that the request came through, the one nearest to the client first; the peer is the last. Empty where the
    /// peer is the client.
    pub proxies: Vec<IpAddr>,
    /// The trace that the request belongs to. None where it came over no connection.
    pub trace: Option<TraceContext>,
    /// The certificate that it proved itself with, over mutual TLS.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The protocols that the client asks to switch to, over HTTP/1.1: what `Upgrade` says.
    pub upgrade: Option<String>,
    /// The listener's name.
    pub listener: Arc<str>,
    /// An identifier for logs and for `X-Request-Id`.
    pub id: Arc<str>,
    /// What the route's names stand for.
    pub params: PathParams,
    /// Of `OPTIONS`: the methods that the route takes; none = all of them.
    pub allowed: Vec<Method>,
    /// Whether somebody is told how long each step took: a log, or a trace. The clock is read for it at each.
    pub timed: bool,
    /// The body.
    pub body: RequestBody,
    /// How large the body may be while it streams, where a filter said so.
    pub(super) allowance: Option<Arc<Allowance>>,
    /// The path as the client sent it, where it is another one now.
    client_path: Option<String>,
    form: Parsed<Form>,
    query_form: Parsed<Form>,
    json: Parsed<serde_json::Value>,
}

/// What every request has memory of its own for.
pub struct Asked {
    /// See [`Request::host`].
    pub host: String,
    /// See [`Request::listener`].
    pub listener: Arc<str>,
    /// See [`Request::id`].
    pub id: Arc<str>,
}

/// What was taken apart once it was asked for. Boxed: few requests are, and each is moved about.
type Parsed<T> = OnceLock<Box<Result<T, Reason>>>;

fn once<T>(parsed: &Parsed<T>, parse: impl FnOnce() -> Result<T, Reason>) -> Result<&T, Reason> {
    let result: &Result<T, Reason> = parsed.get_or_init(|| Box::new(parse()));
    result.as_ref().map_err(Clone::clone)
}

/// Where the request's body is.
#[derive(Default)]
pub enum RequestBody {
    /// Still with the client: streams when asked for.
    Stream(Body),
    /// Read into memory.
    Buffered(Bytes),
    /// Streamed away to an upstream.
    #[default]
    Taken,
}

/// The host of an authority: without its port.
pub fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// An address of IPv4, or the first 64 bits of one of IPv6: one customer has all the rest.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        four => four,
    }
}

/// More parameters than this are a mistake, or an attack on whoever keeps them: each takes a hundred bytes of memory for the two that it
/// may have on the wire.
const MOST_PARAMETERS: usize = 1_000;

/// Decoded `application/x-www-form-urlencoded` parameters, in their order, repeated ones included.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

/// What can be put back: all but a body that streams.
pub(super) struct Snapshot {
    headers: HeaderMap,
    path: String,
    query: Option<String>,
    method: Method,
    body: Option<Bytes>,
}

impl Request {
    /// A request with a body; everything else at its plainest (used by the listener, which then sets the rest, and by tests).
    pub fn new(method: Method, path: impl Into<String>, body: Body) -> Self {
        let asked = Asked { host: String::from("localhost"), listener: Arc::from(""), id: Arc::from("") };
        Request::asked(method, path.into(), body, asked)
    }

    /// A request of which this is known as well.
    pub fn asked(method: Method, path: String, body: Body, asked: Asked) -> Self {
        let Asked { host, listener, id } = asked;
        Request {
            method,
            path,
            query: None,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            scheme: "http",
            host,
            peer: SocketAddr::from(([127, 0, 0, 1], 0)),
            client: Ipv4Addr::LOCALHOST.into(),
            proxies: Vec::new(),
            trace: None,
            upgrade: None,
            certificate: None,
            listener,
            id,
            params: PathParams::new(),
            allowed: Vec::new(),
            timed: true,
            body: RequestBody::Stream(body),
            allowance: None,
            client_path: None,
            form: OnceLock::new(),
            query_form: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    /// The same request once more, for what goes on beside it.
    pub(crate) fn without_body(&self) -> Request {
        Request {
            query: self.query.clone(),
            version: self.version,
            headers: self.headers.clone(),
            scheme: self.scheme,
            host: self.host.clone(),
            peer: self.peer,
            client: self.client,
            proxies: self.proxies.clone(),
            trace: self.trace.clone(),
            certificate: self.certificate.clone(),
            listener: self.listener.clone(),
            id: self.id.clone(),
            params: self.params.clone(),
            timed: self.timed,
            client_path: self.client_path.clone(),
            ..Request::new(self.method.clone(), self.path.clone(), Body::Empty)
        }
    }

    /// The media type of the body, lower case, without parameters. There is one or none (RFC 9110, section 8.3): where the
    /// request names several, it is a [`BAD_REQUEST`], since whoever reads it next may go by another one.
    pub fn content_type(&self) -> Result<Option<Cow<'_, str>>, Reason> {
        let mut values = self.headers.get_all(CONTENT_TYPE).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() || has_comma(value.as_bytes()) {
            return Err(Reason::bad_request("the request has more than one `Content-Type`"));
        }
        let Ok(value) = value.to_str() else { return Ok(None) };
        let essence = value.split(';').next().unwrap_or_default().trim();
        Ok(Some(if essence.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(essence.to_ascii_lowercase())
        } else {
            Cow::Borrowed(essence)
        }))
    }

    /// The body, where it was read into memory.
    pub fn body_bytes(&self) -> Option<&Bytes> {
        match &self.body {
            RequestBody::Buffered(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The body, where it was read into memory and no coding hides it. Nothing here decompresses what a client sent: a few bytes of
    /// it can stand for as many as memory has. Such a body is refused with 415 (RFC 9110, section 15.5.16).
    pub fn plain_body(&self) -> Result<&[u8], Reason> {
        let bytes = self.body_bytes().map_or(&[][..], |bytes| bytes);
        let is_plain = |value: &http::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
        if bytes.is_empty() || self.headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
            return Ok(bytes);
        }
        let message = "the body has a `Content-Encoding`, and is read as it came";
        Err(Reason::new(BAD_REQUEST, message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
    }

    /// The form in the body: empty where the content type is another one; a reason where it is malformed, or where there
    /// is more than one type.
    pub fn form(&self) -> Result<&Form, Reason> {
        let parsed = || match self.content_type()?.as_deref() {
            Some(FORM) => Form::parse(self.plain_body()?),
            _ => Ok(Form::default()),
        };
        once(&self.form, parsed)
    }

    /// The query's parameters.
    pub fn query_form(&self) -> Result<&Form, Reason> {
        once(&self.query_form, || Form::parse(self.query.as_deref().unwrap_or_default().as_bytes()))
    }

    /// The body as JSON, whatever its type is said to be, as long as that is one.
    pub fn json(&self) -> Result<&serde_json::Value, Reason> {
        let parsed = || {
            self.content_type()?;
            serde_json::from_slice(self.plain_body()?)
                .map_err(|e| Reason::bad_request(format!("the body is no JSON: {e}")))
        };
        once(&self.json, parsed)
    }

    /// [`Request::host`] without its port.
    pub fn host_name(&self) -> &str {
        without_port(&self.host)
    }

    /// Whom limits count by address: of IPv6 the network of 64 bits, which is what one subscriber has.
    pub fn client_network(&self) -> String {
        match network(self.client) {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(network) => format!("{network}/64"),
        }
    }

    /// One cookie's value.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .get_all(http::header::COOKIE)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
    }

    /// Takes the body off, to stream it on. A body that was read into memory stays there for later reads; after one that
    /// was not, they find nothing.
    pub fn take_body(&mut self) -> Body {
        match std::mem::take(&mut self.body) {
            RequestBody::Stream(body) => body,
            RequestBody::Buffered(bytes) => {
                self.body = RequestBody::Buffered(bytes.clone());
                bytes.into()
            }
            RequestBody::Taken => Body::Empty,
        }
    }

    /// Puts another query in place of what the client sent.
    pub fn set_query(&mut self, query: Option<String>) {
        self.query = query;
        self.query_form = OnceLock::new();
    }

    /// Puts another body in place of what the client sent.
    pub fn set_body(&mut self, body: Bytes) {
        self.body = RequestBody::Buffered(body);
        self.form = OnceLock::new();
        self.json = OnceLock::new();
    }

    /// The path in its normal form as the client sent it, whatever became of it here.
    pub fn client_path(&self) -> &str {
        self.client_path.as_ref().unwrap_or(&self.path)
    }

    /// Puts another path, in its normal form, and another query in place of what the client sent.
    pub fn set_target(&mut self, path: String, query: Option<String>) {
        let before = std::mem::replace(&mut self.path, path);
        self.client_path.get_or_insert(before);
        self.query = query;
        self.query_form = OnceLock::new();
    }

    pub(super) async fn buffer_body(&mut self, limit: usize) -> Result<(), Reason> {
        if let RequestBody::Buffered(_) | RequestBody::Taken = self.body {
            return Ok(());
        }
        match self.take_body().collect(limit).await {
            Ok(bytes) => {
                self.set_body(bytes);
                Ok(())
            }
            Err(BodyError::TooLarge) => Err(too_large(limit as u64)),
            Err(BodyError::Broken(why)) => Err(Reason::bad_request(format!("the body broke off: {why}"))),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            headers: self.headers.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            method: self.method.clone(),
            body: self.body_bytes().cloned(),
        }
    }

    pub(super) fn restore(&mut self, before: &Snapshot) {
        self.headers = before.headers.clone();
        self.path = before.path.clone();
        self.query = before.query.clone();
        self.method = before.method.clone();
        self.query_form = OnceLock::new();
        if let Some(body) = &before.body
            && self.body_bytes() != Some(body)
        {
            self.set_body(body.clone());
        }
    }
}

impl Form {
    /// Decodes strictly: broken percent-encoding, bytes that are no UTF-8, and more than a thousand parameters are a
    /// [`BAD_REQUEST`].
    pub fn parse(bytes: &[u8]) -> Result<Form, Reason> {
        let mut pairs = Vec::new();
        for pair in bytes.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
            if pairs.len() == MOST_PARAMETERS {
                return Err(Reason::bad_request(format!("there are more than {MOST_PARAMETERS} parameters")));
            }
            let (name, value) = match pair.iter().position(|b| *b == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let decode = |part: &[u8]| {
                decode(part).ok_or_else(|| {
                    Reason::bad_request("a form parameter is malformed: broken percent-encoding or no UTF-8")
                })
            };
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Form(pairs))
    }

    /// The first value of this name. Empty is absent (RFC 6749, section 3.2); what a repeated one means, the caller decides
    /// with [`repeated`](Self::repeated).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// Whether the name stands there more than once.
    pub fn repeated(&self, name: &str) -> bool {
        self.0.iter().filter(|(n, _)| n == name).count() > 1
    }

    /// All parameters, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// Whether a comma stands outside of quoted text: a list, where one value belongs.
fn has_comma(value: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    value.iter().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => return *byte == b',' && !quoted,
        }
        false
    })
}

fn decode(part: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = (*bytes.next()? as char).to_digit(16)?;
                let low = (*bytes.next()? as char).to_digit(16)?;
                (high * 16 + low) as u8
            }
            other => *other,
        });
    }
    String::from_utf8(out).ok()
}
