//! `fetch`: calls an upstream beside the exchange and keeps its answer in a variable. In Oracle API Gateway: Connect to URL as a callout.
//!
//! Later steps read `${vars.NAME.status}`, `${vars.NAME.headers.etag}` and `${vars.NAME.body}`; JSON is taken apart
//! (`${vars.NAME.body.customer.tier}`, and in CEL `vars.NAME.body.orders[0].id`), another body is text. A header that came several times is
//! its values with commas between.
//!
//! The whole answer is read, within `timeout` and `answer_limit`. A status that is not `ok` is a failure (`unexpected-status`, 502). An
//! upstream that is unreachable or silent, breaks off, or sends more than it may, or JSON that is none, is a fault, for `on_abort`. Nothing of
//! the client's request goes along but what the settings name.
//!
//! With a `cache` an answer that is `ok` is used again for a while, and while one call is under way, others that ask the same wait for it.
//!
//! ```toml
//! [[filter]]
//! use      = "fetch"
//! upstream = "orders"
//! path     = "/customers/${request.query.customer}"
//! query    = { fields = "tier,limit" }
//! headers  = { accept = "application/json" }
//! timeout  = "2s"
//! cache    = { max_age = "30s" }
//! into     = "customer"
//!
//! [[filter]]
//! use  = "require"
//! that = 'vars.customer.body.tier == "gold"'
//! ```

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::settings::{ByteSize, Duration, Method, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Slot, Value,
};

use super::fields::{self, FieldValue, Side};
use super::statuses::Statuses;
use crate::callout::{self, Bounds, CacheSettings, Call, Callout, Worth};
use crate::entries::Entries;
use crate::upstreams::{UpstreamExt, unanswered};

/// The upstream answered with a status that is not `ok`.
const UNEXPECTED_STATUS: ReasonCode = ReasonCode::new("unexpected-status");

/// `use = "fetch"`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The upstream: `[upstream.NAME]` in `node.toml`.
    upstream: Spanned<String>,
    /// The method. Default: `GET`, or `POST` where there is a body.
    method: Option<Method>,
    /// The path at the upstream, written as it reads (what needs percent-encoding is encoded); `${request.path}` is encoded already, and stays
    /// as it is. A `/` in a value begins a segment; one that leads upwards is refused.
    path: Dynamic<String>,
    /// The query: names and values. A list gives its name several times; a value that is absent on purpose (`${x ??}`) is left out.
    #[serde(default)]
    query: Entries<Dynamic<Value>>,
    /// Headers of the call; one whose value is absent on purpose is left out.
    #[serde(default)]
    headers: Entries<Dynamic<String>>,
    /// The body as a form (`application/x-www-form-urlencoded`), written like `query`.
    form: Option<Entries<Dynamic<Value>>>,
    /// The body as JSON (`application/json`): a table, a list, or a single value.
    json: Option<Dynamic<Value>>,
    /// The body as text (`text/plain; charset=utf-8`, unless `headers` says another type).
    body: Option<Dynamic<String>>,
    /// The variable that the answer goes to: `${vars.NAME.body}`.
    into: Spanned<String>,
    /// The statuses that are no failure: `200`, or a class such as `"2xx"`. Default: `["2xx"]`.
    ok: Option<Spanned<Vec<Statuses>>>,
    /// How long the call may take, answer included, `1ms` to `60s`. The upstream's own `timeouts` count as well. Default: `5s`.
    timeout: Option<Spanned<Duration>>,
    /// How many bytes the answer's body may have, 1 to `16MiB`. Default: `256KiB`.
    answer_limit: Option<Spanned<ByteSize>>,
    /// Uses answers again for a while: `{ max_age = "30s" }`. Default: each request makes its own call.
    cache: Option<CacheSettings>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "fetch";
    type Filter = Fetch;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Fetch, Diagnostics> {
        cx.shapes_nothing();
        let bounds = Bounds { timeout: &self.timeout, answer_limit: &self.answer_limit };
        let callout = Callout::compile(&self.upstream, &bounds, self.cache.as_ref(), &format!("{self:?}"), cx)?;
        cx.states_unanswered();
        cx.fails(&[UNEXPECTED_STATUS]);
        let ok = match &self.ok {
            Some(ok) if ok.value.is_empty() => {
                return Err(cx.error(ok.span, "no status is `ok`", "name one, or leave `ok` out: `[\"2xx\"]`").into());
            }
            Some(ok) => ok.value.clone(),
            None => vec![Statuses::Class(2)],
        };
        let worth = ok.clone();
        let content = self.content(cx)?;
        let method = match &self.method {
            Some(method) => method.0.clone(),
            None if matches!(content, Content::None) => http::Method::GET,
            None => http::Method::POST,
        };
        let mut headers = Vec::new();
        for (written, value) in &self.headers.0 {
            headers.push((fields::name(written, Side::Request, cx)?, FieldValue::compile(value, cx)?));
        }
        let into = callout::variable(&self.into, cx)?;
        Ok(Fetch {
            callout,
            method,
            path: cx.path(&self.path)?,
            query: pairs(&self.query, cx)?,
            headers,
            content,
            ok,
            worth: Arc::new(move |answer| worth.iter().any(|ok| ok.has(answer.status))),
            into: cx.writes_var(&into),
        })
    }
}

impl Settings {
    fn content(&self, cx: &mut BuildContext<'_>) -> Result<Content, Diagnostics> {
        Ok(match (&self.form, &self.json, &self.body) {
            (None, None, None) => Content::None,
            (Some(form), None, None) => Content::Form(pairs(form, cx)?),
            (None, Some(json), None) => Content::Json(cx.dynamic(json)?),
            (None, None, Some(body)) => Content::Text(cx.dynamic(body)?),
            _ => {
                let help = "keep one of `form`, `json` and `body`";
                return Err(cx.error(cx.own_place().span, "a call has one body", help).into());
            }
        })
    }
}

type Pairs = Vec<(String, Getter<Value>)>;

fn pairs(entries: &Entries<Dynamic<Value>>, cx: &mut BuildContext<'_>) -> Result<Pairs, Diagnostics> {
    entries.0.iter().map(|(name, value)| Ok((name.value.clone(), cx.dynamic(value)?))).collect()
}

enum Content {
    None,
    Form(Pairs),
    Json(Getter<Value>),
    Text(Getter<String>),
}

/// The compiled filter.
pub(crate) struct Fetch {
    callout: Callout,
    method: http::Method,
    path: Getter<String>,
    query: Pairs,
    headers: Vec<(HeaderName, FieldValue)>,
    content: Content,
    ok: Vec<Statuses>,
    worth: Worth,
    into: Slot<Value>,
}

impl Filter for Fetch {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let call = match self.call(exchange) {
            Ok(call) => call,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let answer = match self.callout.make(call, exchange, &self.worth).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return unanswered(error).map(Outcome::Failure),
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        if !self.ok.iter().any(|ok| ok.has(answer.status)) {
            let message = format!("the upstream answered {}", answer.status.as_u16());
            return Ok(Outcome::Failure(Reason::new(UNEXPECTED_STATUS, message).with_status(StatusCode::BAD_GATEWAY)));
        }
        exchange.set(self.into, answer.value());
        Ok(Outcome::Success)
    }
}

impl Fetch {
    fn call(&self, exchange: &Exchange) -> Result<Call, Reason> {
        let path = self.path.path(exchange)?;
        let target = callout::target(path, &callout::form(&self.query, exchange)?)?;
        let mut headers = HeaderMap::new();
        let (content_type, body) = match &self.content {
            Content::None => (None, Bytes::new()),
            Content::Form(form) => (Some(policy::exchange::FORM), callout::form(form, exchange)?.into()),
            Content::Json(json) => (Some("application/json"), json.get(exchange)?.to_json().to_string().into()),
            Content::Text(text) => (Some("text/plain; charset=utf-8"), text.get(exchange)?.into()),
        };
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in &self.headers {
            if let Some(value) = value.get(exchange)? {
                headers.insert(name, value);
            }
        }
        Ok(Call { method: self.method.clone(), target, headers, body })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use policy::ports::{ASIDE, Aside, UPSTREAM, UpstreamError};
    use policy::testing::{Fixture, block_on, read};
    use serde_json::json;

    use crate::fixture::{Nobody, Timers, always, answer, get, policy, told, world};

    const SHOWN: &str = "\n\n[[filter]]\nuse = 'respond'\njson = '${vars.x}'";

    fn tested(settings: &str) -> Fixture {
        policy(&format!("[[filter]]\nuse = 'fetch'\nupstream = 'orders'\ninto = 'x'\n{settings}{SHOWN}"))
    }

    fn over(
        upstream: impl Fn() -> Result<http::Response<policy::Body>, UpstreamError> + Send + Sync + 'static,
        settings: &str,
    ) -> Fixture {
        let text = format!(
            "route = '/**'\n\n[[filter]]\nuse = 'fetch'\nupstream = 'odd'\npath = '/'\ninto = 'x'\n{settings}{SHOWN}"
        );
        world().resource(UPSTREAM, "odd", always(upstream)).policy("tested", &text)
    }

    #[test]
    fn the_call_is_what_the_settings_say_and_nothing_of_the_request_goes_along() {
        for (settings, method, uri, content_type, body) in [
            ("path = '/a b'", "GET", "/a%20b", json!(null), ""),
            (
                "path = '/${request.query.q}'\nquery = { a = [1, 'b c'], n = '${request.query.no ??}' }",
                "GET",
                "/7?a=1&a=b+c",
                json!(null),
                "",
            ),
            (
                "path = '/'\nform = { a = '${request.query.q}', b = '&' }",
                "POST",
                "/",
                json!("application/x-www-form-urlencoded"),
                "a=7&b=%26",
            ),
            ("path = '/'\njson = { a = { cel = '40 + 2' } }", "POST", "/", json!("application/json"), r#"{"a":42}"#),
            (
                "path = '/'\nbody = '<${request.query.q}>'\nmethod = 'PUT'\nheaders = { content-type = 'text/xml' }",
                "PUT",
                "/",
                json!("text/xml"),
                "<7>",
            ),
        ] {
            let ran = tested(settings).run(get("/x?q=7", &[("authorization", "Bearer secret"), ("cookie", "a=b")]));
            let seen = &ran.json()["body"];
            assert_eq!(
                (&seen["method"], &seen["uri"], &seen["body"]),
                (&json!(method), &json!(uri), &json!(body)),
                "{settings}"
            );
            let headers = if content_type.is_null() { json!({}) } else { json!({ "content-type": content_type }) };
            assert_eq!(seen["headers"], headers, "{settings}");
        }
    }

    #[test]
    fn the_answer_is_a_variable() {
        let ran = over(|| Ok(answer(203, &[("etag", "1")], "hello".into())), "").run(get("/x", &[]));
        assert_eq!(ran.json(), json!({ "status": 203, "headers": { "etag": "1" }, "body": "hello" }));
        assert_eq!(ran.path(), ["fetch:success", "respond:answered"]);
    }

    #[test]
    fn a_status_that_is_not_ok_is_a_failure() {
        let status = |status: u16, settings: &str| {
            told(&over(move || Ok(answer(status, &[], String::new())), settings).run(get("/x", &[])))
        };
        assert_eq!(status(404, ""), "502 unexpected-status");
        assert_eq!(status(404, "ok = ['2xx', 404]"), "200");
        assert_eq!(status(204, "ok = ['3xx', 404]"), "502 unexpected-status");
    }

    #[test]
    fn an_upstream_that_gives_no_answer_is_a_fault() {
        let fails = |fault: fn() -> UpstreamError| told(&over(move || Err(fault()), "").run(get("/x", &[])));
        assert_eq!(fails(|| UpstreamError::Unreachable("refused".into())), "502 upstream-unreachable");
        assert_eq!(fails(|| UpstreamError::Timeout("connect")), "504 upstream-timeout");
        let json = [("content-type", "application/json")];
        assert_eq!(
            told(&over(move || Ok(answer(200, &json, "{".into())), "").run(get("/x", &[]))),
            "502 upstream-malformed"
        );
        let long = || Ok(answer(200, &[], "x".repeat(11)));
        assert_eq!(told(&over(long, "answer_limit = 10").run(get("/x", &[]))), "502 upstream-malformed");
        assert_eq!(told(&over(long, "answer_limit = 11").run(get("/x", &[]))), "200");
    }

    #[test]
    fn a_call_that_takes_too_long_is_given_up() {
        let settings = "[[filter]]\nuse = 'fetch'\nupstream = 'silent'\npath = '/'\ninto = 'x'\n";
        let timers = Arc::new(Timers::due());
        let tested = policy(&format!("{settings}{SHOWN}"))
            .resource(UPSTREAM, "silent", crate::fixture::silent())
            .resource(ASIDE, "", Aside { background: Arc::new(Nobody), timer: timers.clone() });
        assert_eq!(told(&tested.run(get("/x", &[]))), "504 upstream-timeout");
        assert_eq!(timers.asked(), [Duration::from_secs(5)]);
    }

    #[test]
    fn an_answer_is_used_again_for_a_while() {
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let upstream = move || {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(answer(if number == 4 { 500 } else { 200 }, &[], number.to_string()))
        };
        let fixture = over(upstream, "query = { q = '${request.query.q}' }\ncache = { max_age = '10s' }");
        let program = fixture.program();
        let ask = |path: &str| {
            block_on(async { read(&program, program.serve(&fixture.environment(), get(path, &[])).await).await })
        };
        let body = |path: &str| ask(path).json()["body"].clone();
        assert_eq!((body("/x?q=1"), body("/x?q=1"), body("/x?q=2")), (json!("1"), json!("1"), json!("2")));
        fixture.clock().advance(Duration::from_millis(9_999));
        assert_eq!(body("/x?q=1"), json!("1"));
        fixture.clock().advance(Duration::from_millis(1));
        assert_eq!(body("/x?q=1"), json!("3"));
        // What is not `ok` is not remembered.
        assert_eq!((told(&ask("/x?q=3")), body("/x?q=3")), ("502 unexpected-status".into(), json!("5")));
        assert_eq!(calls.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_key_decides_who_shares_an_answer() {
        let fixture = tested("path = '/${request.query.q}'\ncache = { max_age = '10s', key = '${request.query.k}' }");
        let program = fixture.program();
        let uri = |path: &str| {
            let ran =
                block_on(async { read(&program, program.serve(&fixture.environment(), get(path, &[])).await).await });
            ran.json()["body"]["uri"].clone()
        };
        assert_eq!((uri("/x?q=1&k=a"), uri("/x?q=2&k=a"), uri("/x?q=2&k=b")), (json!("/1"), json!("/1"), json!("/2")));
    }

    #[test]
    fn settings_out_of_bounds_are_refused() {
        for (settings, said) in [
            ("path = '/'\njson = 1\nbody = 'x'", "a call has one body"),
            ("path = '/'\ntimeout = '61s'", "`1m1s` is out of bounds"),
            ("path = '/'\nanswer_limit = '17MiB'", "is out of bounds"),
            ("path = '/'\ncache = { max_age = '2h' }", "`2h` is out of bounds"),
            ("path = '/'\ncache = { max_age = '1s', size = 1 }", "is out of bounds"),
            ("path = '/'\nok = []", "no status is `ok`"),
            ("path = '/'\nok = ['20x']", "a class of them such as"),
            ("path = '/'\nheaders = { host = 'x' }", "is not for a policy to write"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
        let problems =
            policy(&format!("[[filter]]\nuse = 'fetch'\nupstream = 'orders'\npath = '/'\ninto = 'a-b'{SHOWN}"))
                .problems();
        assert!(problems.iter().any(|problem| problem.contains("is no name of a variable")), "{problems:#?}");
    }

    #[test]
    fn the_check_knows_the_variable_that_it_sets() {
        let before = format!(
            "[[filter]]\nuse = 'set'\nvars = {{ y = '${{vars.x}}' }}\n\n[[filter]]\nuse = 'fetch'\nupstream = 'orders'\npath = '/'\ninto = 'x'{SHOWN}"
        );
        let problems = policy(&before).problems();
        assert!(problems.len() == 1 && problems[0].contains("vars.x"), "{problems:#?}");
    }
}
