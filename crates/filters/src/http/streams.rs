//! What `proxy` does with connections that last: protocols that they may switch to, and how long a stream may be.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{Method, StatusCode};
use http_body::Body as _;

use policy::attribute::Slot;
use policy::diagnostic::{Problem, codes};
use policy::exchange::{HeaderEdit, Request, RequestBody, Upgrade};
use policy::settings::{self, Spanned};
use policy::{BuildContext, Diagnostics, Exchange, Reason, ReasonCode, Response};
use store::AccessToken;

use crate::oauth::TOKEN;

/// The one protocol whose handshake is known here.
const WEBSOCKET: &str = "websocket";

/// The version of WebSocket that there is (RFC 6455).
const VERSION: &str = "13";

/// A handshake in another version.
const WEBSOCKET_VERSION: ReasonCode = ReasonCode::new("websocket-version");

/// The compiled settings.
#[derive(Default)]
pub(super) struct Streams {
    protocols: Vec<String>,
    idle: Option<Duration>,
    longest: Option<Longest>,
}

/// How long a stream may be.
enum Longest {
    /// As long as the token is valid.
    Token(Slot<AccessToken>),
    /// So long.
    For(Duration),
}

impl Streams {
    pub(super) fn compile(
        upgrade: &[Spanned<String>],
        idle: Option<&Spanned<settings::Duration>>,
        longest: Option<&Spanned<String>>,
        cx: &mut BuildContext<'_>,
    ) -> Result<Streams, Diagnostics> {
        for name in upgrade {
            check_protocol(name, cx)?;
        }
        if let (Some(idle), true) = (idle, upgrade.is_empty()) {
            let help = "it is for connections that switch protocols: `upgrade = [\"websocket\"]`";
            return Err(cx.error(idle.span, "`stream_idle` says nothing without `upgrade`", help).into());
        }
        if upgrade.iter().any(|name| name.value.eq_ignore_ascii_case(WEBSOCKET)) {
            cx.fails_rarely(&[WEBSOCKET_VERSION]);
        }
        Ok(Streams {
            protocols: upgrade.iter().map(|name| name.value.to_ascii_lowercase()).collect(),
            idle: idle.map(|idle| idle.value.0),
            longest: longest.map(|longest| Longest::compile(longest, cx)).transpose()?,
        })
    }

    /// The protocol that the request is to switch to: the first one that it asks for and that it may.
    pub(super) fn switches(&self, exchange: &mut Exchange) -> Result<Option<Upgrade>, Reason> {
        let Some(asked) = exchange.request.upgrade.as_deref().filter(|_| !self.protocols.is_empty()) else {
            return Ok(None);
        };
        let mut asked = asked.split(',').map(str::trim);
        let Some(protocol) = asked.find(|name| self.protocols.contains(&name.to_ascii_lowercase())) else {
            return Ok(None);
        };
        let value = HeaderValue::from_str(protocol).ok();
        if protocol.eq_ignore_ascii_case(WEBSOCKET) {
            let checked = check_handshake(&exchange.request);
            // RFC 6455, section 4.4: whoever refuses a version says which it knows.
            if checked.as_ref().is_err_and(|reason| reason.code == WEBSOCKET_VERSION) {
                let version = HeaderValue::from_static(VERSION);
                exchange.edit_response_header(HeaderEdit::Set(SEC_WEBSOCKET_VERSION, version));
            }
            checked?;
        }
        Ok(value.map(Upgrade))
    }

    /// What the answer is to know of it.
    pub(super) fn bound(&self, exchange: &Exchange, response: &mut Response) -> Result<(), Reason> {
        if let Some(upgraded) = &mut response.upgraded {
            upgraded.idle = self.idle;
        }
        let now = || exchange.environment().clock.unix_millis();
        response.until = match &self.longest {
            None => None,
            Some(Longest::Token(token)) => Some(exchange.needs(*token)?.expires_at.saturating_mul(1000)),
            Some(Longest::For(time)) => Some(now().saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))),
        };
        Ok(())
    }
}

impl Longest {
    fn compile(written: &Spanned<String>, cx: &mut BuildContext<'_>) -> Result<Longest, Diagnostics> {
        if written.value == "token" {
            return Ok(Longest::Token(cx.reads(&TOKEN)));
        }
        settings::Duration::parse(&written.value).map(|time| Longest::For(time.0)).ok_or_else(|| {
            let help = "`\"token\"` for as long as the token is valid that a filter before has checked, or a duration: `\"1h\"`";
            cx.error(written.span, "`max_stream` is neither `token` nor a duration", help).into()
        })
    }
}

fn check_protocol(name: &Spanned<String>, cx: &BuildContext<'_>) -> Result<(), Diagnostics> {
    let problem = |message: String, help: &str| {
        Err(Problem::error(codes::BAD_VALUE, message).with_help(help.to_owned()).at(cx.place(name.span)).into())
    };
    let lower = name.value.to_ascii_lowercase();
    if HeaderName::from_bytes(lower.replace('/', "-").as_bytes()).is_err() {
        return problem(format!("`{}` is no name of a protocol", name.value), "such as `websocket`");
    }
    // Requests would go to the upstream that no policy saw.
    if lower == "h2c" || lower.starts_with("http/") || lower.starts_with("tls/") {
        let help = "HTTP/2 is for listeners and upstreams to speak: requests inside of such a connection would pass by every policy";
        return problem(format!("a connection may not switch to `{}`", name.value), help);
    }
    Ok(())
}

/// RFC 6455, section 4.2.1.
fn check_handshake(request: &Request) -> Result<(), Reason> {
    let bad = |what: &str| Err(Reason::bad_request(format!("the WebSocket handshake {what}")));
    let has_body = match &request.body {
        RequestBody::Stream(body) => !body.is_end_stream(),
        RequestBody::Buffered(bytes) => !bytes.is_empty(),
        RequestBody::Taken => true,
    };
    if request.method != Method::GET || has_body {
        return bad("is no GET without a body");
    }
    let mut keys = request.headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return bad("has no key, or several") };
    if STANDARD.decode(key.as_bytes()).map_or(0, |key| key.len()) != 16 {
        return bad("has a malformed key");
    }
    let mut versions = request.headers.get_all(SEC_WEBSOCKET_VERSION).iter();
    match (versions.next(), versions.next()) {
        (Some(version), None) if version == VERSION => Ok(()),
        _ => Err(Reason::new(WEBSOCKET_VERSION, format!("WebSocket in another version than {VERSION}"))
            .with_status(StatusCode::UPGRADE_REQUIRED)),
    }
}

#[cfg(test)]
mod tests {
    use policy::exchange::{Request, Upgraded};
    use policy::ports::{BoxFuture, UPSTREAM, Upstream, UpstreamError, UpstreamHandle};
    use policy::testing::{Fixture, Ran};
    use policy::{Body, exchange};

    use crate::fixture::{answer, get, told, world};

    /// Switches where it is asked to; says with what else it was sent in a header.
    struct Switches;

    impl Upstream for Switches {
        fn send(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
            let asked = request.extensions().get::<exchange::Upgrade>().cloned();
            Box::pin(async move {
                let Some(exchange::Upgrade(protocol)) = asked else { return Ok(answer(200, &[], String::new())) };
                let mut response = answer(101, &[], String::new());
                response.extensions_mut().insert(Upgraded::new(protocol, ()));
                Ok(response)
            })
        }
    }

    fn tested(settings: &str) -> Fixture {
        let text = format!("route = '/**'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'chat'\n{settings}");
        world().resource(UPSTREAM, "chat", UpstreamHandle(std::sync::Arc::new(Switches))).policy("tested", &text)
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION: (&str, &str) = ("sec-websocket-version", "13");

    fn handshake(asked: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = get("/chat", headers);
        request.upgrade = Some(asked.to_owned());
        request
    }

    fn status(ran: &Ran) -> String {
        told(ran)
    }

    #[test]
    fn a_connection_switches_where_the_policy_lets_it() {
        let lets = tested("upgrade = ['websocket', 'Chat/1']");
        for (asked, expected) in
            [("websocket", "101"), ("WebSocket", "101"), ("x, chat/1", "101"), ("x", "200"), ("h2c", "200")]
        {
            assert_eq!(status(&lets.run(handshake(asked, &[KEY, VERSION]))), expected, "{asked}");
        }
        assert_eq!(status(&lets.run(get("/chat", &[KEY, VERSION]))), "200");
        assert_eq!(status(&tested("").run(handshake("websocket", &[KEY, VERSION]))), "200");
    }

    #[test]
    fn rfc6455_4_2_1_a_handshake_is_whole() {
        let lets = tested("upgrade = ['websocket']");
        for (headers, expected) in [
            (&[VERSION][..], "400 bad-request"),
            (&[KEY, KEY, VERSION], "400 bad-request"),
            (&[("sec-websocket-key", "short"), VERSION], "400 bad-request"),
            (&[KEY], "426 websocket-version"),
            (&[KEY, ("sec-websocket-version", "8")], "426 websocket-version"),
        ] {
            assert_eq!(status(&lets.run(handshake("websocket", headers))), expected, "{headers:?}");
        }
        let old = lets.run(handshake("websocket", &[KEY]));
        assert_eq!(old.header("sec-websocket-version"), "13");
        let mut post = handshake("websocket", &[KEY, VERSION]);
        post.method = http::Method::POST;
        assert_eq!(status(&lets.run(post)), "400 bad-request");
        let mut body = handshake("websocket", &[KEY, VERSION]);
        body.set_body("x".into());
        assert_eq!(status(&lets.run(body)), "400 bad-request");
    }

    #[test]
    fn bad_settings_are_refused() {
        for (settings, expected) in [
            ("upgrade = ['h2c']", "a connection may not switch to `h2c`"),
            ("upgrade = ['HTTP/2.0']", "a connection may not switch to `HTTP/2.0`"),
            ("upgrade = ['a b']", "`a b` is no name of a protocol"),
            ("stream_idle = '1m'", "`stream_idle` says nothing without `upgrade`"),
            ("max_stream = 'for ever'", "`max_stream` is neither `token` nor a duration"),
            ("max_stream = 'token'", "token"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(expected), "{settings}: {problems:#?}");
        }
    }
}
