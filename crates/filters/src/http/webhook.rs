//! `webhook`: asks a decision service whether the request may pass, such as Open Policy Agent or one that speaks Envoy's `ext_authz` over
//! HTTP. In Oracle API Gateway: the authorization filters that call a server outside.
//!
//! With `input` the call is a POST of `{"input": ...}`, as Open Policy Agent's REST API wants it; with `json` a POST of that document. With
//! neither it is the request's own method, path and query, without its body (`ext_authz`).
//!
//! The answer decides: with `allow` it must be a 2xx in which the condition (CEL over `vars.NAME.{status,headers,body}`) or the JSONPath of
//! its body is `true`, not merely there; without `allow` every 2xx lets the request pass. What is not `true`, and a 401, a 403 or (without
//! `allow`) another 3xx or 4xx, is a refusal: a failure of the reason `refused-by-webhook`. Anything else is no decision: the service is
//! unreachable, silent, answers 5xx, or what it answers cannot be read. That is a fault, for `on_abort`, and no request passes, unless
//! `fallback = "allow"` says that it may.
//!
//! Nothing of the client's request goes along but what the settings name; without `input` and `json` its `Authorization` does. With a
//! `cache` a decision is used again for a while: by default for requests about which the very same would be asked.
//!
//! ```toml
//! [[filter]]
//! use      = "webhook"
//! upstream = "orders"
//! path     = "/v1/data/orders/allow"
//! input    = { method = "${request.method}", path = "${request.path}", caller = "${request.header.x-caller ?? nobody}" }
//! allow    = "$.result"
//! timeout  = "500ms"
//! cache    = { max_age = "5s" }
//! ```

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use policy::exchange::{HeaderEdit, remove_alike};
use policy::filter::INJECTED_HEADER;
use policy::outcome::MISSING_VALUE;
use policy::ports::UpstreamError;
use policy::selector::{Condition, JsonPath};
use policy::settings::{ByteSize, Duration, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Slot, Value,
};

use super::fields::{self, FieldValue, Side};
use crate::callout::{self, Answer, Bounds, CacheSettings, Call, Callout, Worth};
use crate::entries::Entries;
use crate::upstreams::{UpstreamExt, unanswered};

/// The decision service says no.
const REFUSED: ReasonCode = ReasonCode::new("refused-by-webhook");
/// What the decision service answers is no decision.
const UNDECIDED: ReasonCode = ReasonCode::new("webhook-undecided");

/// `use = "webhook"`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The decision service: `[upstream.NAME]` in `node.toml`.
    upstream: Spanned<String>,
    /// The path at the service, written as it reads; `${request.path}` is encoded already, and stays as it is. Default: the request's own,
    /// with its query (`ext_authz`); required with `input` and `json`.
    path: Option<Dynamic<String>>,
    /// What is asked, with selectors; it is sent as `{"input": ...}` (Open Policy Agent).
    input: Option<Dynamic<Value>>,
    /// The same for a service that takes a document of another shape: it is sent as it stands here.
    json: Option<Dynamic<Value>>,
    /// Headers of the request that go along as the client sent them. Default: `["authorization"]` without `input` and `json`, else none.
    forward: Option<Vec<Spanned<String>>>,
    /// More headers of the call; one whose value is absent on purpose (`${x ??}`) is left out.
    #[serde(default)]
    headers: Entries<Dynamic<String>>,
    /// What must be true of the answer: a JSONPath of its body (`"$.result.allow"`), or a condition in CEL
    /// (`'vars.decision.body.result.allow == true'`). Default: any 2xx lets the request pass.
    allow: Option<Spanned<String>>,
    /// The variable that the answer goes to, where the request passes: `${vars.NAME.body.result.user}`. Default: `decision`.
    into: Option<Spanned<String>>,
    /// Headers of the answer that go on to the upstream. What the client sent under these names is taken off, whatever is decided.
    #[serde(default)]
    take: Vec<Spanned<String>>,
    /// Headers of a refusal that go to the client: `["location", "set-cookie"]`. Default: `["www-authenticate"]`.
    pass: Option<Vec<Spanned<String>>>,
    /// Whether a refusal has the status of the service's answer, where that is 3xx or 4xx. Default: `false`: it is `status`. A 401 without
    /// a challenge of the service stays `status`, too.
    #[serde(default)]
    pass_status: bool,
    /// The status of a refusal, 400 to 599. Default: 403.
    #[schemars(range(min = 400, max = 599))]
    status: Option<Spanned<u16>>,
    /// What happens where there is no decision: `"deny"` or `"allow"`. Default: `"deny"`.
    #[serde(default)]
    fallback: Fallback,
    /// How long the call may take, answer included, `1ms` to `60s`. The upstream's own `timeouts` count as well. Default: `5s`.
    timeout: Option<Spanned<Duration>>,
    /// How many bytes the answer's body may have, 1 to `16MiB`. Default: `256KiB`.
    answer_limit: Option<Spanned<ByteSize>>,
    /// Uses decisions again for a while: `{ max_age = "5s" }`. One that is withdrawn meanwhile still counts so long. Default: each request is
    /// decided anew.
    cache: Option<CacheSettings>,
}

/// What happens where there is no decision.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Fallback {
    /// It is a fault.
    #[default]
    Deny,
    /// The request passes, as if there were no such filter; the variable stays absent.
    Allow,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "webhook";
    type Filter = Webhook;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Webhook, Diagnostics> {
        cx.authorizes();
        cx.fails(&[REFUSED]);
        let bounds = Bounds { timeout: &self.timeout, answer_limit: &self.answer_limit };
        let callout = Callout::compile(&self.upstream, &bounds, self.cache.as_ref(), &format!("{self:?}"), cx)?;
        if self.fallback == Fallback::Deny {
            cx.states_unanswered();
            cx.aborts_rarely(&[UNDECIDED]);
        }
        let asks = self.asks(cx)?;
        let path = match (&self.path, &asks) {
            (Some(path), _) => Some(cx.path(path)?),
            (None, Asks::Request) => None,
            (None, _) => {
                let help = "for Open Policy Agent it is `/v1/data/` and the way to the rule: `/v1/data/orders/allow`";
                return Err(cx.error(cx.own_place().span, "`webhook` needs a `path`", help).into());
            }
        };
        let into = match &self.into {
            Some(into) => callout::variable(into, cx)?,
            None => String::from("decision"),
        };
        let allow = self.allow.as_ref().map(|allow| Allow::compile(allow, &into, cx)).transpose()?;
        let decides = allow.is_some();
        let forward = match &self.forward {
            Some(names) => names.iter().map(|name| fields::name(name, Side::Request, cx)).collect::<Result<_, _>>()?,
            None if matches!(asks, Asks::Request) => vec![AUTHORIZATION],
            None => Vec::new(),
        };
        let mut headers = Vec::new();
        for (written, value) in &self.headers.0 {
            headers.push((fields::name(written, Side::Request, cx)?, FieldValue::compile(value, cx)?));
        }
        let mut take = Vec::new();
        for written in &self.take {
            let name = fields::name(written, Side::Request, cx)?;
            if !fields::is_the_clients(&name) {
                cx.publish(INJECTED_HEADER, Value::text(name.as_str()));
            }
            take.push(name);
        }
        let pass = match &self.pass {
            Some(names) => names.iter().map(|name| fields::name(name, Side::Response, cx)).collect::<Result<_, _>>()?,
            None => vec![WWW_AUTHENTICATE],
        };
        let fallback = self.fallback;
        Ok(Webhook {
            callout,
            path,
            asks,
            forward,
            headers,
            allow,
            spare: None,
            take,
            pass,
            pass_status: self.pass_status,
            status: self.status(cx)?,
            fallback,
            worth: Arc::new(move |answer| !matches!(said(answer.status, decides), Said::Nothing)),
            into: if fallback == Fallback::Allow { cx.may_write_var(&into) } else { cx.writes_var(&into) },
        })
    }
}

impl Settings {
    fn asks(&self, cx: &mut BuildContext<'_>) -> Result<Asks, Diagnostics> {
        Ok(match (&self.input, &self.json) {
            (None, None) => Asks::Request,
            (Some(input), None) => Asks::Input(cx.dynamic(input)?),
            (None, Some(json)) => Asks::Json(cx.dynamic(json)?),
            (Some(_), Some(_)) => {
                let help = "keep `input` for Open Policy Agent, `json` for a document of another shape";
                return Err(cx.error(cx.own_place().span, "a call has one body", help).into());
            }
        })
    }

    fn status(&self, cx: &BuildContext<'_>) -> Result<StatusCode, Diagnostics> {
        let Some(status) = &self.status else { return Ok(StatusCode::FORBIDDEN) };
        match StatusCode::from_u16(status.value) {
            // RFC 9110, section 15.5.2: a 401 must carry a challenge, and only the service can have one.
            Ok(StatusCode::UNAUTHORIZED) => {
                let help = "let the service say so, with its challenge: `pass_status = true`";
                Err(cx.error(status.span, "401 needs a challenge (RFC 9110, section 15.5.2)", help).into())
            }
            Ok(code) if code.is_client_error() || code.is_server_error() => Ok(code),
            _ => {
                let help = "a refusal is answered with 400 to 599";
                Err(cx.error(status.span, format!("{} is no status of a refusal", status.value), help).into())
            }
        }
    }
}

/// What is sent.
enum Asks {
    /// The request itself, without its body.
    Request,
    Input(Getter<Value>),
    Json(Getter<Value>),
}

/// What must be true of an answer.
enum Allow {
    Path(JsonPath),
    Condition(Condition),
}

impl Allow {
    fn compile(text: &Spanned<String>, into: &str, cx: &mut BuildContext<'_>) -> Result<Allow, Diagnostics> {
        if !text.value.starts_with('$') {
            return Ok(Allow::Condition(cx.within_var(into, |cx| Condition::compile(text, cx))?));
        }
        match JsonPath::parse(&text.value) {
            Ok(path) if path.is_single() => Ok(Allow::Path(path)),
            Ok(_) => {
                let help = "name one member, as in `$.result.allow`, or write a condition in CEL";
                Err(cx.error(text.span, "this JSONPath can find several values", help).into())
            }
            Err(why) => {
                let help = "a path begins with `$`: `$.result.allow` (RFC 9535)";
                Err(cx.error(text.span, format!("`{}` is no JSONPath: {why}", text.value), help).into())
            }
        }
    }
}

/// What the status of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Yes,
    No,
    /// Nothing that could be taken for a decision.
    Nothing,
}

/// `decides`: whether the answer's body has the decision. A service that decides in the body says by a 4xx that it was asked wrongly.
fn said(status: StatusCode, decides: bool) -> Said {
    match status.as_u16() {
        200..=299 => Said::Yes,
        401 | 403 => Said::No,
        300..=499 if !decides => Said::No,
        _ => Said::Nothing,
    }
}

/// The compiled filter.
pub(crate) struct Webhook {
    callout: Callout,
    path: Option<Getter<String>>,
    asks: Asks,
    forward: Vec<HeaderName>,
    headers: Vec<(HeaderName, FieldValue)>,
    allow: Option<Allow>,
    /// What `allow` is while the filter is weakened.
    spare: Option<Allow>,
    take: Vec<HeaderName>,
    pass: Vec<HeaderName>,
    pass_status: bool,
    status: StatusCode,
    fallback: Fallback,
    worth: Worth,
    into: Slot<Value>,
}

impl Filter for Webhook {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let call = match self.call(exchange) {
            Ok(call) => call,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        // Also where the request passes without a decision: no upstream takes the client's word for the service's.
        remove_alike(&mut exchange.request.headers, &self.take);
        let answer = match self.callout.make(call, exchange, &self.worth).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return self.fallen(exchange, error),
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        match said(answer.status, self.allow.is_some()) {
            Said::Yes => {}
            Said::No => return Ok(Outcome::Failure(self.refused(exchange, &answer))),
            Said::Nothing => {
                let message = format!("the decision service answered {}", answer.status.as_u16());
                return self.undecided(exchange, message);
            }
        }
        exchange.set(self.into, answer.value());
        match self.holds(exchange, &answer) {
            Ok(true) => {
                self.take_over(exchange, &answer.headers);
                Ok(Outcome::Success)
            }
            Ok(false) => {
                exchange.unset(self.into);
                Ok(Outcome::Failure(self.refused(exchange, &answer)))
            }
            Err(reason) => {
                exchange.unset(self.into);
                self.undecided(exchange, format!("`allow` cannot be told of the answer: {}", reason.message))
            }
        }
    }

    fn weaknesses(&self) -> Vec<String> {
        // Without it, whatever the service answers in the body would do.
        self.allow.iter().map(|_| String::from("allow left out")).collect()
    }

    fn weaken(&mut self, _: usize) {
        std::mem::swap(&mut self.allow, &mut self.spare);
    }
}

impl Webhook {
    fn call(&self, exchange: &Exchange) -> Result<Call, Reason> {
        let request = &exchange.request;
        let target = match &self.path {
            Some(path) => callout::target(path.path(exchange)?, "")?,
            None => callout::target(request.path.clone(), request.query.as_deref().unwrap_or_default())?,
        };
        let mut headers = HeaderMap::new();
        for name in &self.forward {
            for value in request.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let (method, body) = match &self.asks {
            Asks::Request => (request.method.clone(), Bytes::new()),
            Asks::Input(input) => {
                let document = serde_json::json!({ "input": input.get(exchange)?.to_json() });
                (http::Method::POST, document.to_string().into())
            }
            Asks::Json(json) => (http::Method::POST, json.get(exchange)?.to_json().to_string().into()),
        };
        if !matches!(self.asks, Asks::Request) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            if let Some(value) = value.get(exchange)? {
                headers.insert(name, value);
            }
        }
        Ok(Call { method, target, headers, body })
    }

    /// Whether the answer, which is in the variable by now, lets the request pass.
    fn holds(&self, exchange: &Exchange, answer: &Answer) -> Result<bool, Reason> {
        match &self.allow {
            None => Ok(true),
            Some(Allow::Condition(condition)) => match condition.holds(exchange) {
                // What is not there is no yes: Open Policy Agent leaves `result` out where a rule is undefined.
                Err(reason) if reason.code == MISSING_VALUE => Ok(false),
                told => told,
            },
            Some(Allow::Path(path)) => {
                let body = answer.body.as_ref().map_or(Json::Null, Value::to_json);
                Ok(path.first(&body) == Some(&Json::Bool(true)))
            }
        }
    }

    fn take_over(&self, exchange: &mut Exchange, headers: &HeaderMap) {
        for name in &self.take {
            for value in headers.get_all(name) {
                exchange.request.headers.append(name, value.clone());
            }
        }
    }

    fn refused(&self, exchange: &mut Exchange, answer: &Answer) -> Reason {
        let mut reason = Reason::new(REFUSED, "the decision service refuses the request").with_status(self.status);
        for name in &self.pass {
            for value in answer.headers.get_all(name) {
                if *name == WWW_AUTHENTICATE {
                    reason.challenges.push(value.clone());
                } else {
                    exchange.edit_response_header(HeaderEdit::Append(name.clone(), value.clone()));
                }
            }
        }
        let passes = match answer.status {
            StatusCode::UNAUTHORIZED => !reason.challenges.is_empty(),
            status => status.is_redirection() || status.is_client_error(),
        };
        if self.pass_status && passes {
            reason.status = answer.status;
        }
        reason
    }

    fn fallen(&self, exchange: &mut Exchange, error: UpstreamError) -> Result<Outcome, Abort> {
        match self.fallback {
            Fallback::Allow => self.undecided(exchange, error.to_string()),
            Fallback::Deny => unanswered(error).map(Outcome::Failure),
        }
    }

    fn undecided(&self, exchange: &mut Exchange, message: String) -> Result<Outcome, Abort> {
        match self.fallback {
            Fallback::Deny => Err(Abort::new(UNDECIDED, StatusCode::BAD_GATEWAY, message)),
            Fallback::Allow => {
                exchange.unset(self.into);
                Ok(Outcome::Success)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use policy::Body;
    use policy::ports::{UPSTREAM, UpstreamError};
    use policy::testing::{Fixture, block_on, read};
    use serde_json::json;

    use crate::fixture::{always, answer, get, policy, sent, told, world};

    const OPA: &str = "path = '/v1/data/a'\ninput = { a = '${request.query.a ?? none}' }";

    fn over(
        service: impl Fn() -> Result<http::Response<Body>, UpstreamError> + Send + Sync + 'static,
        settings: &str,
    ) -> Fixture {
        let text = format!(
            "route = '/**'\n\n[[filter]]\nuse = 'webhook'\nupstream = 'service'\n{settings}\n\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'"
        );
        world().resource(UPSTREAM, "service", always(service)).policy("tested", &text)
    }

    fn says(status: u16, body: &'static str) -> impl Fn() -> Result<http::Response<Body>, UpstreamError> {
        move || Ok(answer(status, &[("content-type", "application/json"), ("x-user", "ann")], body.into()))
    }

    #[test]
    fn the_answer_decides() {
        let (path, cel) = ("allow = '$.result.allow'", "allow = 'vars.decision.body.result.allow == true'");
        for (status, body, by_body, by_status) in [
            (200, r#"{"result":{"allow":true}}"#, "200", "200"),
            (200, r#"{"result":{"allow":false}}"#, "403 refused-by-webhook", "200"),
            // Undefined, or no yes.
            (200, "{}", "403 refused-by-webhook", "200"),
            (200, "", "403 refused-by-webhook", "200"),
            (200, r#"{"result":{"allow":"true"}}"#, "403 refused-by-webhook", "200"),
            (401, "{}", "403 refused-by-webhook", "403 refused-by-webhook"),
            (403, r#"{"result":{"allow":true}}"#, "403 refused-by-webhook", "403 refused-by-webhook"),
            (302, "{}", "502 webhook-undecided", "403 refused-by-webhook"),
            (404, "{}", "502 webhook-undecided", "403 refused-by-webhook"),
            (500, r#"{"result":{"allow":true}}"#, "502 webhook-undecided", "502 webhook-undecided"),
            (200, "{", "502 upstream-malformed", "502 upstream-malformed"),
        ] {
            for allow in [path, cel] {
                let ran = over(says(status, body), &format!("{OPA}\n{allow}")).run(get("/x", &[]));
                // A text that is compared with `true` in CEL is not the same, and no mistake.
                assert_eq!(told(&ran), by_body, "{status} {body} {allow}");
            }
            assert_eq!(told(&over(says(status, body), "").run(get("/x", &[]))), by_status, "{status} {body}");
        }
    }

    #[test]
    fn where_there_is_no_decision_nobody_passes_unless_the_policy_says_so() {
        for (fault, denied) in [
            ((|| Err(UpstreamError::Unreachable("refused".into()))) as fn() -> _, "502 upstream-unreachable"),
            (|| Err(UpstreamError::Timeout("first_byte")), "504 upstream-timeout"),
            (|| Ok(answer(503, &[], String::new())), "502 webhook-undecided"),
        ] {
            assert_eq!(told(&over(fault, OPA).run(get("/x", &[]))), denied);
            assert_eq!(told(&over(fault, &format!("{OPA}\nfallback = 'deny'")).run(get("/x", &[]))), denied);
            assert_eq!(told(&over(fault, &format!("{OPA}\nfallback = 'allow'")).run(get("/x", &[]))), "200");
        }
        // A refusal is a decision.
        let refuses = over(says(200, "{}"), &format!("{OPA}\nallow = '$.result'\nfallback = 'allow'"));
        assert_eq!(told(&refuses.run(get("/x", &[]))), "403 refused-by-webhook");
    }

    #[test]
    fn what_is_asked_is_what_the_settings_say() {
        for (settings, method, uri, headers, body) in [
            (OPA, "POST", "/v1/data/a", json!({ "content-type": "application/json" }), r#"{"input":{"a":"7"}}"#),
            (
                "path = '/q'\njson = [1, '${request.method}']\nforward = ['x-a']\nheaders = { x-b = '2' }",
                "POST",
                "/q",
                json!({ "content-type": "application/json", "x-a": "1", "x-b": "2" }),
                r#"[1,"GET"]"#,
            ),
            ("", "GET", "/x%20y?a=7&b", json!({ "authorization": "Bearer t" }), ""),
            ("path = '/check${request.path}'\nforward = []", "GET", "/check/x%20y", json!({}), ""),
        ] {
            let text = format!(
                "[[filter]]\nuse = 'webhook'\nupstream = 'orders'\n{settings}\n\n[[filter]]\nuse = 'respond'\njson = '${{vars.decision.body}}'"
            );
            let asked = [("authorization", "Bearer t"), ("x-a", "1"), ("cookie", "a=b")];
            let seen = policy(&text).run(get("/x%20y?a=7&b", &asked)).json();
            assert_eq!(
                (&seen["method"], &seen["uri"], &seen["headers"], &seen["body"]),
                (&json!(method), &json!(uri), &headers, &json!(body)),
                "{settings}"
            );
        }
    }

    #[test]
    fn headers_of_the_answer_go_on_and_what_the_client_said_under_their_names_does_not() {
        let forged = [("x-user", "root"), ("x_user", "root"), ("x-role", "admin")];
        let with = |service: fn() -> Result<http::Response<Body>, UpstreamError>, more: &str| {
            sent(&over(service, &format!("{OPA}\ntake = ['x-user', 'x-role']\n{more}")).run(get("/x", &forged)))["headers"].clone()
        };
        let headers = with(|| Ok(answer(200, &[("x-user", "ann")], String::new())), "");
        assert_eq!(
            (&headers["x-user"], &headers["x_user"], &headers["x-role"]),
            (&json!("ann"), &json!(null), &json!(null))
        );
        let headers = with(|| Err(UpstreamError::Timeout("connect")), "fallback = 'allow'");
        assert_eq!(
            (&headers["x-user"], &headers["x_user"], &headers["x-role"]),
            (&json!(null), &json!(null), &json!(null))
        );
    }

    #[test]
    fn a_refusal_goes_on_as_far_as_the_policy_says() {
        let refusal = |status: u16, settings: &str| {
            let service = move || {
                let headers = [
                    ("location", "/login"),
                    ("www-authenticate", "Bearer"),
                    ("set-cookie", "a=1"),
                    ("set-cookie", "b=2"),
                ];
                Ok(answer(status, &headers, "secret".into()))
            };
            over(service, settings).run(get("/x", &[]))
        };
        let plain = refusal(401, "");
        assert_eq!((plain.status, plain.header("www-authenticate"), plain.header("location")), (403, "Bearer", ""));
        assert_eq!(refusal(302, "status = 404").status, 404);
        let passed = refusal(302, "pass_status = true\npass = ['location', 'set-cookie']");
        assert_eq!((passed.status, passed.header("location"), passed.header("www-authenticate")), (302, "/login", ""));
        assert_eq!(passed.headers.get_all("set-cookie").iter().count(), 2);
        assert!(!passed.text().contains("secret"));
        assert_eq!(refusal(401, "pass_status = true").status, 401);
        // RFC 9110, section 15.5.2: no 401 without a challenge.
        assert_eq!(refusal(401, "pass_status = true\npass = []").status, 403);
        // What is no refusal's status stays the policy's: here the service answers 200, and `allow` says no.
        assert_eq!(refusal(200, &format!("{OPA}\nallow = '$.result'\npass_status = true")).status, 403);
    }

    #[test]
    fn a_decision_is_used_again_for_the_very_same_question_only() {
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let service = move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(answer(403, &[], String::new()))
        };
        let fixture = over(service, &format!("{OPA}\ncache = {{ max_age = '5s' }}"));
        let program = fixture.program();
        for (path, asked) in [("/x?a=1", 1), ("/y?a=1", 1), ("/x?a=2", 2), ("/x?a=1", 2)] {
            let ran =
                block_on(async { read(&program, program.serve(&fixture.environment(), get(path, &[])).await).await });
            assert_eq!((told(&ran), calls.load(Ordering::Relaxed)), ("403 refused-by-webhook".into(), asked), "{path}");
        }
    }

    #[test]
    fn later_steps_read_the_answer_of_a_request_that_passed() {
        let text = format!(
            "[[filter]]\nuse = 'webhook'\nupstream = 'orders'\n{OPA}\ninto = 'opa'\nallow = 'vars.opa.status == 200'\n\n\
             [[filter]]\nuse = 'respond'\ntext = '${{vars.opa.body.method}}'"
        );
        assert_eq!(policy(&text).run(get("/x", &[])).text(), "POST");
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for (settings, said) in [
            ("input = 1", "`webhook` needs a `path`"),
            ("path = '/'\ninput = 1\njson = 1", "a call has one body"),
            ("allow = '$..a'", "this JSONPath can find several values"),
            ("allow = '$['", "is no JSONPath"),
            ("allow = 'vars.other.status == 200'", "vars.other"),
            ("allow = '1 + 1'", "a condition is true or false"),
            ("status = 302", "302 is no status of a refusal"),
            ("status = 401", "401 needs a challenge"),
            ("take = ['via']", "is not for a policy to write"),
            ("fallback = 'maybe'", "`maybe` is none of the words"),
        ] {
            let problems = over(says(200, "{}"), settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
