//! `cors`: lets pages of other origins read the answers (the CORS protocol of the Fetch standard). In Oracle API Gateway: the CORS
//! profile.
//!
//! It stands first in the policy. Browsers ask before they send anything out of the ordinary (a preflight: `OPTIONS` with
//! `Access-Control-Request-Method`), and without credentials, so that whatever asks for those would refuse it: the router gives the
//! `OPTIONS` of its paths to a policy that begins with `cors`, which answers them itself, with 204. It also writes the headers of
//! every answer to come, refusals included, so that it needs no second entry in `[[response]]`; what an upstream said of CORS is taken off.
//! Where it is the first filter of a policy in `before` of the listener, or of the policies, it does the same for all of these.
//!
//! Only those who are named may read the answers. That is no protection of the API: who has no browser is not bound by it, and
//! browsers send simple requests (a form's, say) without asking. `refuse_others` refuses what comes with the origin of anybody else, which also
//! keeps other sites' pages from opening WebSockets here.
//!
//! ```toml
//! [[filter]]
//! use     = "cors"
//! origins = ["https://app.example.com", "https://*.preview.example.com", "http://localhost:*"]
//! headers = ["authorization", "content-type", "idempotency-key"]
//! expose  = ["location", "x-request-id"]
//! ```

use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::{HeaderEdit, Request};
use policy::filter::Answers;
use policy::settings::{Duration, Method as MethodName, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Response,
};

use super::fields::{self, Side};
use super::origins::Origins;

/// The request comes from a page of an origin that is not named.
const ORIGIN_NOT_ALLOWED: ReasonCode = ReasonCode::new("origin-not-allowed");

/// How long browsers remember what they were answered, unless it is said: a change is seen soon.
const MAX_AGE: u64 = 600;

/// A day. No browser remembers for longer.
const LONGEST_MAX_AGE: u64 = 86_400;

/// What an API's own pages send and Fetch does not let through by itself.
const HEADERS: &[&str] = &["authorization", "content-type"];

/// Of a policy whose route names no method.
const METHODS: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// `use = "cors"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The origins whose pages may read the answers: `https://app.example.com`; patterns, `https://*.example.com` (whatever stands before,
    /// one label or more) and `http://localhost:*` (any port); or `*` alone, all of them. Known at load: constants, or
    /// `"${values.NAME}"` of `node.toml`, a list or text with spaces between.
    origins: Dynamic<Vec<Arc<str>>>,
    /// The methods that those pages may use. Default: those of the policy's routes of the path, or, where a route names none, GET, HEAD, POST,
    /// PUT, PATCH, DELETE.
    methods: Option<Vec<Spanned<MethodName>>>,
    /// The request headers that they may set, besides those that Fetch always lets through. `"*"` alone: whatever they ask for. Default: `authorization`,
    /// `content-type`.
    headers: Option<Vec<Spanned<String>>>,
    /// The response headers that they may read, besides those that Fetch always shows. `"*"` alone: all, which browsers honour without `credentials`. Default: none.
    expose: Option<Vec<Spanned<String>>>,
    /// Whether browsers send cookies, TLS certificates and the passwords that they remember along. Not with `origins = ["*"]`, and not with `null`. A
    /// token that a page sends in `Authorization` itself needs none of that. Default: false.
    #[serde(default)]
    credentials: bool,
    /// How long browsers remember the answer to a preflight, at most 24h; each has a lower bound of its own. Default: 10m.
    max_age: Option<Spanned<Duration>>,
    /// Whether pages of the public network may reach this gateway in a private one (`Access-Control-Allow-Private-Network`). Default: false.
    #[serde(default)]
    private_network: bool,
    /// Whether requests are refused (403) that come with another origin than those named and the gateway's own. Default: false, they are served
    /// and browsers keep the answer from the page.
    #[serde(default)]
    refuse_others: bool,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "cors";
    type Filter = Cors;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Cors, Diagnostics> {
        if !cx.stands_first() {
            let help = "move it up: what stands before would answer, or refuse, the browsers' preflights";
            return Err(cx.error(cx.own_place().span, "`cors` is the first filter of a policy", help).into());
        }
        cx.serves_options();
        cx.answers(Answers::Sometimes);
        let origins = self.origins(cx)?;
        if let Origins::Listed { .. } = origins {
            cx.fails(&[ORIGIN_NOT_ALLOWED]);
        }
        let max_age = self.max_age.as_ref().map_or(MAX_AGE, |max_age| max_age.value.0.as_secs());
        if let Some(written) = self.max_age.as_ref().filter(|_| max_age > LONGEST_MAX_AGE) {
            return Err(cx
                .error(written.span, "no browser remembers for longer than a day", "write `24h` or less")
                .into());
        }
        let methods = self.methods.as_ref().map(|methods| list(methods.iter().map(|method| method.value.0.as_str())));
        let headers = match &self.headers {
            Some(written) if is_any(written) => None,
            Some(written) => Some(names(written, Side::Request, cx)?),
            None => Some(list(HEADERS.iter().copied())),
        };
        let expose = match &self.expose {
            Some(written) if is_any(written) && self.credentials => {
                let help = "name the headers: with `credentials`, browsers take `*` for a header of that name";
                return Err(cx.error(written[0].span, "`*` shows nothing here", help).into());
            }
            Some(written) if is_any(written) => Some(HeaderValue::from_static("*")),
            Some(written) if written.is_empty() => None,
            Some(written) => Some(names(written, Side::Response, cx)?),
            None => None,
        };
        Ok(Cors {
            origins,
            methods,
            headers,
            expose,
            credentials: self.credentials,
            max_age: HeaderValue::from(max_age),
            private_network: self.private_network,
            refuse_others: self.refuse_others,
            everybody: false,
        })
    }
}

impl Settings {
    fn origins(&self, cx: &mut BuildContext<'_>) -> Result<Origins, Diagnostics> {
        let getter = cx.dynamic(&self.origins)?;
        let span = self.origins.span();
        let Some(names) = getter.constant() else {
            let help = "name them here, or in `[values]` of node.toml";
            return Err(cx.error(span, "origins are known when a policy is loaded", help).into());
        };
        let origins = Origins::parse(names).map_err(|(problem, help)| cx.error(span, problem, help))?;
        if self.credentials && matches!(origins, Origins::Any) {
            let help = "name the origins; or leave `credentials` out: a token in `Authorization` needs none";
            return Err(cx
                .error(span, "with `credentials`, the pages of any site could act as whoever visits them", help)
                .into());
        }
        if self.credentials && origins.contain_null() {
            let help = "take `null` out: it is the origin of every sandboxed frame, whoever made it";
            return Err(cx.error(span, "with `credentials`, any page could act as whoever visits it", help).into());
        }
        Ok(origins)
    }
}

fn is_any(written: &[Spanned<String>]) -> bool {
    matches!(written, [only] if only.value == "*")
}

fn names(written: &[Spanned<String>], side: Side, cx: &BuildContext<'_>) -> Result<HeaderValue, Diagnostics> {
    let mut all = Vec::new();
    for name in written {
        if name.value == "*" {
            return Err(cx
                .error(name.span, "`*` is every header: the others say nothing beside it", "write `[\"*\"]`")
                .into());
        }
        let checked = match HeaderName::from_bytes(name.value.as_bytes()) {
            Ok(name) => name,
            Err(_) => fields::name(name, side, cx)?,
        };
        all.push(checked);
    }
    Ok(list(all.iter().map(HeaderName::as_str)))
}

/// Names of methods and of headers are tokens: they make a header's value.
fn list<'n>(names: impl Iterator<Item = &'n str>) -> HeaderValue {
    let names: Vec<&str> = names.collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

/// The compiled filter.
pub(crate) struct Cors {
    origins: Origins,
    methods: Option<HeaderValue>,
    /// `None`: whatever is asked for.
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
    private_network: bool,
    refuse_others: bool,
    /// A weakness, for tests of policies: everybody is taken for one of the origins.
    everybody: bool,
}

/// Whose page the request comes from, as a browser tells.
enum Caller {
    /// None: no browser, or one that says nothing of it since it is a page of our own.
    Nobody,
    /// One that is named.
    Named(HeaderValue),
    /// The gateway's own.
    Own,
    /// Somebody else.
    Other,
}

impl Filter for Cors {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let caller = self.caller(&exchange.request);
        if let Caller::Other = caller
            && (self.refuse_others || is_preflight(&exchange.request))
        {
            let message = "the request comes from a page of an origin that is not allowed";
            self.write(exchange, &caller);
            return Ok(Outcome::Failure(Reason::new(ORIGIN_NOT_ALLOWED, message).with_status(StatusCode::FORBIDDEN)));
        }
        self.write(exchange, &caller);
        let request = &exchange.request;
        if is_preflight(request) {
            let response = self.preflight(request);
            return exchange.answer(response);
        }
        let ours = request.allowed.is_empty() || request.allowed.contains(&Method::OPTIONS);
        if request.method == Method::OPTIONS && !ours {
            let allowed = request.allowed.iter().chain([&Method::OPTIONS]).map(Method::as_str);
            let response = Response::new(StatusCode::NO_CONTENT).with_header(header::ALLOW, list(allowed));
            return exchange.answer(response);
        }
        Ok(Outcome::Success)
    }

    fn weaknesses(&self) -> Vec<String> {
        match self.origins {
            Origins::Any => Vec::new(),
            Origins::Listed { .. } => vec!["origins of everybody".into()],
        }
    }

    fn weaken(&mut self, _: usize) {
        self.everybody = !self.everybody;
    }
}

impl Cors {
    fn caller(&self, request: &Request) -> Caller {
        let mut origins = request.headers.get_all(header::ORIGIN).iter();
        let (origin, more) = (origins.next(), origins.next());
        let Some(origin) = origin else { return Caller::Nobody };
        // Two would be two stories: nobody's.
        let Some(text) = origin.to_str().ok().filter(|_| more.is_none()) else { return Caller::Other };
        if self.everybody || self.origins.contain(text) {
            return Caller::Named(origin.clone());
        }
        let own = text.split_once("://").is_some_and(|(scheme, host)| scheme == request.scheme && host == request.host);
        if own { Caller::Own } else { Caller::Other }
    }

    /// The headers of whatever answer there will be.
    fn write(&self, exchange: &mut Exchange, caller: &Caller) {
        let origin = match (&self.origins, caller) {
            // The same answer for everybody: caches keep one.
            (Origins::Any, _) => Some(HeaderValue::from_static("*")),
            (Origins::Listed { .. }, Caller::Named(origin)) => Some(origin.clone()),
            (Origins::Listed { .. }, _) => None,
        };
        if let Origins::Listed { .. } = self.origins {
            exchange.edit_response_header(HeaderEdit::Vary(header::ORIGIN));
        }
        let credentials = (self.credentials && origin.is_some()).then(|| HeaderValue::from_static("true"));
        let expose = self.expose.clone().filter(|_| origin.is_some());
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, expose),
        ] {
            exchange.edit_response_header(match value {
                Some(value) => HeaderEdit::Set(name, value),
                None => HeaderEdit::Remove(name),
            });
        }
    }

    /// The answer to a preflight, besides what every answer has.
    fn preflight(&self, request: &Request) -> Response {
        let methods = self.methods.clone().unwrap_or_else(|| {
            let of_route = if request.allowed.is_empty() { METHODS } else { &request.allowed[..] };
            list(of_route.iter().map(Method::as_str))
        });
        let asked = || request.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let mut response = Response::new(StatusCode::NO_CONTENT)
            .with_header(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
            .with_header(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        if let Some(headers) = self.headers.clone().or_else(asked).filter(|headers| !headers.is_empty()) {
            response.headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers);
        }
        if self.private_network && request.headers.get(REQUEST_PRIVATE_NETWORK).is_some_and(|asks| asks == "true") {
            response.headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
        response
    }
}

fn is_preflight(request: &Request) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use policy::testing::{Fixture, Ran};

    use crate::fixture::{always, answer, get, request, told, world};

    const APP: &str = "https://app.example.com";

    fn tested(settings: &str) -> Fixture {
        with(settings, "[[filter]]\nuse = 'respond'\ntext = 'read'")
    }

    fn with(settings: &str, rest: &str) -> Fixture {
        let text = format!("routes = ['GET /x', 'PUT /x']\n\n[[filter]]\nuse = 'cors'\n{settings}\n\n{rest}");
        world().policy("tested", &text)
    }

    fn asks(tested: &Fixture, origin: &str, method: &str, more: &[(&str, &str)]) -> Ran {
        let headers = [&[("origin", origin), ("access-control-request-method", method)], more].concat();
        tested.run(request(Method::OPTIONS, "/x", &headers, ""))
    }

    fn cors(ran: &Ran) -> Vec<String> {
        let named = ran.headers.iter().filter(|(name, _)| name.as_str().starts_with("access-control-"));
        let mut lines: Vec<_> =
            named.map(|(name, value)| format!("{}: {}", &name.as_str()[15..], value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_preflight_is_answered_before_anything_else_is_asked() {
        let refused = "[[filter]]\nuse = 'fail'";
        let tested = with(&format!("origins = ['{APP}']"), refused);
        let ran = asks(&tested, APP, "PUT", &[("access-control-request-headers", "authorization")]);
        assert_eq!((ran.status, ran.text(), ran.header("vary")), (204, "", "origin"));
        let expected = [
            "allow-headers: authorization, content-type",
            "allow-methods: GET, HEAD, PUT",
            "allow-origin: https://app.example.com",
            "max-age: 600",
        ];
        assert_eq!(cors(&ran), expected);
        assert_eq!(ran.path(), ["cors:answered"]);
        let ran = tested.run(get("/x", &[("origin", APP)]));
        assert_eq!((ran.status, ran.header("access-control-allow-origin")), (403, APP), "refusals may be read too");
    }

    #[test]
    fn others_are_refused_beforehand_and_may_not_read() {
        let tested = tested(&format!("origins = ['{APP}']\ncredentials = true"));
        let ran = asks(&tested, "https://evil.example", "PUT", &[]);
        assert_eq!(
            (told(&ran).as_str(), cors(&ran).len(), ran.header("vary")),
            ("403 origin-not-allowed", 0, "origin")
        );
        for headers in [&[("origin", "https://evil.example")][..], &[], &[("origin", APP), ("origin", APP)]] {
            let ran = tested.run(get("/x", headers));
            assert_eq!((ran.status, cors(&ran).len(), ran.header("vary")), (200, 0, "origin"), "{headers:?}");
        }
        let ran = tested.run(get("/x", &[("origin", APP)]));
        assert_eq!(cors(&ran), ["allow-credentials: true", "allow-origin: https://app.example.com"]);
    }

    #[test]
    fn others_can_be_refused_altogether() {
        let tested = tested(&format!("origins = ['{APP}']\nrefuse_others = true"));
        for (origin, expected) in [
            (APP, "200"),
            ("http://localhost", "200"),
            ("https://localhost", "403 origin-not-allowed"),
            ("https://evil.example", "403 origin-not-allowed"),
            ("null", "403 origin-not-allowed"),
        ] {
            assert_eq!(told(&tested.run(get("/x", &[("origin", origin)]))), expected, "{origin}");
        }
        assert_eq!(told(&tested.run(get("/x", &[]))), "200");
    }

    #[test]
    fn everybody_gets_the_same_answer() {
        let tested = tested("origins = ['*']\nheaders = ['*']\nexpose = ['*']");
        let ran = asks(&tested, APP, "PUT", &[("access-control-request-headers", "x-a,x-b")]);
        let expected = [
            "allow-headers: x-a,x-b",
            "allow-methods: GET, HEAD, PUT",
            "allow-origin: *",
            "expose-headers: *",
            "max-age: 600",
        ];
        assert_eq!((cors(&ran), ran.header("vary")), (expected.map(String::from).to_vec(), ""));
        assert_eq!(cors(&asks(&tested, APP, "PUT", &[])).len(), 4);
        for headers in [&[][..], &[("origin", APP)]] {
            assert_eq!(tested.run(get("/x", headers)).header("access-control-allow-origin"), "*");
        }
    }

    #[test]
    fn what_is_written_is_what_browsers_are_told() {
        let settings = format!(
            "origins = ['{APP}']\nmethods = ['PATCH']\nheaders = ['X-Key']\nexpose = ['Location', 'etag']\nmax_age = '1h'\nprivate_network = true"
        );
        let ran = asks(&tested(&settings), APP, "PATCH", &[("access-control-request-private-network", "true")]);
        let expected = [
            "allow-headers: x-key",
            "allow-methods: PATCH",
            "allow-origin: https://app.example.com",
            "allow-private-network: true",
            "expose-headers: location, etag",
            "max-age: 3600",
        ];
        assert_eq!(cors(&ran), expected);
        let ran = asks(
            &tested(&format!("origins = ['{APP}']")),
            APP,
            "PUT",
            &[("access-control-request-private-network", "true")],
        );
        assert_eq!(ran.header("access-control-allow-private-network"), "");
    }

    #[test]
    fn options_that_are_no_preflight() {
        let ran = tested(&format!("origins = ['{APP}']")).run(request(Method::OPTIONS, "/x", &[("origin", APP)], ""));
        assert_eq!((ran.status, ran.header("allow")), (204, "GET, HEAD, PUT, OPTIONS"));
        let all =
            "route = '/x'\n\n[[filter]]\nuse = 'cors'\norigins = ['*']\n\n[[filter]]\nuse = 'respond'\ntext = 'own'";
        let all = world().policy("tested", all);
        assert_eq!(all.run(request(Method::OPTIONS, "/x", &[], "")).text(), "own");
        let ran = asks(&all, APP, "DELETE", &[]);
        assert_eq!(
            (ran.status, ran.header("access-control-allow-methods")),
            (204, "GET, HEAD, POST, PUT, PATCH, DELETE")
        );
    }

    #[test]
    fn the_upstreams_word_does_not_count() {
        let upstream = || {
            let headers = [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-credentials", "true"),
                ("access-control-expose-headers", "x-secret"),
                ("vary", "Accept, Origin"),
            ];
            Ok(answer(200, &headers, String::new()))
        };
        let text = format!(
            "route = '/x'\n\n[[filter]]\nuse = 'cors'\norigins = ['{APP}']\n\n[[filter]]\nuse = 'proxy'\nupstream = 'odd'"
        );
        let tested = world().resource(policy::ports::UPSTREAM, "odd", always(upstream)).policy("tested", &text);
        let ran = tested.run(get("/x", &[("origin", APP)]));
        assert_eq!((cors(&ran), ran.header("vary")), (vec![format!("allow-origin: {APP}")], "Accept, Origin"));
        assert_eq!(cors(&tested.run(get("/x", &[("origin", "https://evil.example")]))), Vec::<String>::new());
    }

    #[test]
    fn a_preflight_goes_to_the_policy_that_will_get_the_request() {
        let policy = |method: &str, origin: &str| {
            format!(
                "route = '{method} /x'\n\n[[filter]]\nuse = 'cors'\norigins = ['{origin}']\n\n[[filter]]\nuse = 'respond'"
            )
        };
        let tested =
            world().policy("a", &policy("GET", "https://a.example")).policy("b", &policy("POST", "https://b.example"));
        for (method, origin, expected) in [
            ("GET", "https://a.example", "204"),
            ("POST", "https://b.example", "204"),
            ("POST", "https://a.example", "403 origin-not-allowed"),
            ("PURGE", "https://a.example", "204"),
        ] {
            assert_eq!(told(&asks(&tested, origin, method, &[])), expected, "{method} {origin}");
        }
    }

    #[test]
    fn origins_may_differ_between_environments() {
        let tested = tested("origins = '${values.apps}'").node(|node| {
            node.values.insert("apps".into(), policy::Value::text("https://a.example https://b.example"));
        });
        let ran = tested.run(get("/x", &[("origin", "https://b.example")]));
        assert_eq!(ran.header("access-control-allow-origin"), "https://b.example");
    }

    #[test]
    fn what_would_open_too_much_is_refused_at_load() {
        for (settings, said) in [
            ("origins = ['*']\ncredentials = true", "could act as whoever visits them"),
            ("origins = ['null']\ncredentials = true", "could act as whoever visits it"),
            ("origins = ['*', 'https://a.example']", "`*` is every origin"),
            ("origins = ['https://a.example/']", "`https://a.example/` is no origin"),
            ("origins = ['https://*.com']", "is no origin"),
            ("origins = ['${request.header.origin}']", "origins are known when a policy is loaded"),
            ("origins = ['https://a.example']\ncredentials = true\nexpose = ['*']", "`*` shows nothing here"),
            ("origins = ['https://a.example']\nheaders = ['*', 'a']", "`*` is every header"),
            ("origins = ['https://a.example']\nheaders = ['a b']", "is no name of a header"),
            ("origins = ['https://a.example']\nmax_age = '2d'", "for longer than a day"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
        let second = "route = '/x'\n\n[[filter]]\nuse = 'require'\nthat = 'true'\n\n[[filter]]\nuse = 'cors'\norigins = ['*']\n\n[[filter]]\nuse = 'respond'";
        let problems = world().policy("tested", second).problems();
        assert!(problems.len() == 1 && problems[0].contains("`cors` is the first filter"), "{problems:#?}");
    }

    #[test]
    fn one_policy_may_stand_before_others() {
        let before = format!("[[filter]]\nuse = 'cors'\norigins = ['{APP}']");
        let own = "route = 'GET /x'\nbefore = ['browsers']\n\n[[filter]]\nuse = 'respond'\ntext = 'read'";
        let tested = world().policy("browsers", &before).policy("tested", own);
        assert_eq!(asks(&tested, APP, "GET", &[]).status, 204);
        assert_eq!(tested.run(get("/x", &[("origin", APP)])).header("access-control-allow-origin"), APP);
        assert_eq!(told(&asks(&tested, "https://evil.example", "GET", &[])), "403 origin-not-allowed");
    }
}
