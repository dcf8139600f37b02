//! Requests that are well-formed, and answers.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::wire::Wire;

/// A request in the making.
#[derive(Clone)]
pub struct Request {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case, in their order; trailers after them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Request {
    /// A request to this address.
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Request {
        Request { address, method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With HTTP Basic, both words form-encoded as RFC 6749, section 2.3.1 says.
    pub fn basic(self, id: &str, secret: &str) -> Request {
        let pair = format!("{}:{}", encode(id), encode(secret));
        self.header("Authorization", &format!("Basic {}", STANDARD.encode(pair)))
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Request {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With a form.
    pub fn form(self, pairs: &[(&str, &str)]) -> Request {
        let form: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.header("Content-Type", "application/x-www-form-urlencoded").body(form.join("&"))
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// Sends it on a connection of its own.
    #[track_caller]
    pub fn send(&self) -> Response {
        let mut wire = Wire::open(self.address);
        wire.send(self.bytes("close"));
        wire.answer_to(&self.method).unwrap_or_else(|| panic!("no answer to {} {}", self.method, self.target))
    }

    /// Sends it where somebody listens and answers.
    pub fn try_send(&self) -> Option<Response> {
        let mut wire = Wire::try_open(self.address).ok()?;
        wire.try_send(self.bytes("close")).ok()?;
        wire.answer_to(&self.method)
    }

    /// Sends it on a connection that stays open; `None` where that was closed.
    pub fn send_on(&self, wire: &mut Wire) -> Option<Response> {
        wire.try_send(self.bytes("keep-alive")).ok()?;
        wire.answer_to(&self.method)
    }

    /// Sends it but for the last byte of its body: a request that begins now and whose end comes later.
    #[track_caller]
    pub fn begin(&self) -> Begun {
        let mut bytes = self.bytes("close");
        let last = bytes.pop().expect("a request has bytes");
        let mut wire = Wire::open(self.address);
        wire.send(bytes);
        Begun { wire, last, method: self.method.clone() }
    }

    fn bytes(&self, connection: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !has("host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        if !self.body.is_empty() || self.method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        if !has("connection") {
            head.push_str(&format!("Connection: {connection}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// A request whose last byte is still to come.
pub struct Begun {
    wire: Wire,
    last: u8,
    method: String,
}

impl Begun {
    /// Sends the rest.
    #[track_caller]
    pub fn end(mut self) -> Response {
        self.wire.send([self.last]);
        self.wire.answer_to(&self.method).unwrap_or_else(|| panic!("no answer to {}", self.method))
    }
}

impl Response {
    pub(super) fn from_head(lines: &[String]) -> Response {
        let status = lines[0].split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {lines:?}"));
        let header = |line: &String| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line}"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Response { status, headers: lines[1..].iter().map(header).collect(), body: Vec::new(), whole: true }
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|why| panic!("no JSON: {why}: {} {}", self.status, self.text()))
    }

    /// Expects this status.
    #[track_caller]
    pub fn status(self, expected: u16) -> Response {
        assert_eq!(self.status, expected, "status of {:?}\n{}", self.headers, self.text());
        self
    }

    /// Expects an OAuth error as JSON (RFC 6749, section 5.2).
    #[track_caller]
    pub fn error(self, status: u16, error: &str) -> Response {
        let response = self.status(status);
        assert_eq!(response.json()["error"], error, "{}", response.text());
        response
    }
}

/// Percent-encodes for a form.
pub fn encode(text: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        b' ' => String::from("+"),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}
