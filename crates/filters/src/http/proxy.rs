//! `proxy`: sends the request to an upstream and takes its answer; both bodies stream. In Oracle API Gateway: Connect to
//! URL, Static Router, Rewrite URL.
//!
//! The request is written anew from what was parsed, without the fields of one connection (RFC 9110, section 7.6.1),
//! which are taken off the answer too; `X-Forwarded-For`, `-Proto`, `-Host`, `X-Real-IP`, `Forwarded`, `X-Request-Id`
//! and `Via` are the gateway's own words. The filters after it see the response. An upstream that is unreachable (502),
//! silent (504) or speaks no HTTP (502) is a fault, for `on_abort`; a request body that breaks off is the client's
//! failure (400). Another `proxy` in a chain that `on_abort` names can try another upstream with a body that is in
//! memory; one that was streamed is gone (502).
//!
//! ```toml
//! [[filter]]
//! use      = "proxy"
//! upstream = "orders"
//! rewrite  = "/v2${request.path}"
//! ```

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{StatusCode, Uri, header};
use http_body::Body as _;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::provider::Provider;
use policy::attribute::Slot;
use policy::exchange::{Body, Request, RequestBody};
use policy::ports::{PROVIDER, Reached, UpstreamHandle};
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Response,
};

use super::fields;
use super::forward;
use super::path;
use crate::holding::{self, HELD, Held};
use crate::not_yet::NotYet;
use crate::upstreams::{UpstreamExt, unanswered};

/// The request's body was streamed to an upstream that gave no answer, and cannot be sent to another.
const BODY_GONE: ReasonCode = ReasonCode::new("body-gone");

/// The token that was got last is another provider's.
const OTHER_TOKEN: ReasonCode = ReasonCode::new("other-token");

/// `use = "proxy"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The upstream: `[upstream.NAME]` in `node.toml`.
    upstream: Option<Spanned<String>>,
    /// The path at the upstream, written as it reads (not percent-encoded; what needs encoding is encoded). Default: the
    /// request's own path. The query goes along as it came.
    rewrite: Option<Dynamic<String>>,
    /// `Host` of the request to the upstream. Default: the upstream's own; `"${request.host}"` sends the client's.
    host: Option<Dynamic<String>>,
    /// The provider whose token goes along, in the place of whatever credential the client sent: `[provider.NAME]` in `node.toml`. An
    /// `oauth-client.get-token` before gets it. Where the upstream answers that it is no good (401 with a `Bearer` challenge), another one is
    /// got, and the request is sent once more, unless its body was streamed. Default: none.
    token: Option<Spanned<String>>,
    #[schemars(skip)]
    url: Option<NotYet>,
    #[schemars(skip)]
    allow: Option<NotYet>,
    #[schemars(skip)]
    method: Option<NotYet>,
    #[schemars(skip)]
    retry: Option<NotYet>,
    #[schemars(skip)]
    redirect: Option<NotYet>,
    #[schemars(skip)]
    upgrade: Option<NotYet>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "proxy";
    type Filter = Proxy;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Proxy, Diagnostics> {
        let named = "declare `[upstream.NAME]` in `node.toml` and use `upstream = \"NAME\"`";
        NotYet::refuse(&self.url, "url", named, cx)?;
        NotYet::refuse(&self.allow, "allow", named, cx)?;
        NotYet::refuse(&self.method, "method", "the method goes to the upstream as it came", cx)?;
        NotYet::refuse(&self.retry, "retry", "let the client try again", cx)?;
        NotYet::refuse(&self.redirect, "redirect", "redirects of the upstream go to the client as they are", cx)?;
        NotYet::refuse(&self.upgrade, "upgrade", "let WebSocket clients reach the upstream by another way", cx)?;
        let Some(upstream) = &self.upstream else {
            return Err(cx.error(cx.own_place().span, "`proxy` needs an `upstream`", named).into());
        };
        cx.streams_request_body();
        cx.sets_response();
        cx.aborts_rarely(&[BODY_GONE]);
        if self.host.is_some() {
            cx.fails_rarely(&[fields::BAD_HEADER_VALUE]);
        }
        let token = self.token.as_ref().map(|provider| Token::compile(provider, cx)).transpose()?;
        Ok(Proxy {
            upstream: cx.upstream(upstream)?,
            token,
            rewrite: self.rewrite.as_ref().map(|r| cx.dynamic(r)).transpose()?,
            host: self.host.as_ref().map(|h| cx.dynamic(h)).transpose()?,
        })
    }
}

/// The compiled filter.
pub(crate) struct Proxy {
    upstream: Arc<UpstreamHandle>,
    token: Option<Token>,
    rewrite: Option<Getter<String>>,
    host: Option<Getter<String>>,
}

/// The token that goes along.
struct Token {
    provider: String,
    held: Slot<Held>,
}

impl Token {
    fn compile(provider: &Spanned<String>, cx: &mut BuildContext<'_>) -> Result<Token, Diagnostics> {
        // Only to say so where there is no such provider.
        cx.resource::<Reached<Provider>>(PROVIDER, provider)?;
        cx.fails_rarely(&[OTHER_TOKEN]);
        Ok(Token { provider: provider.value.clone(), held: cx.reads(&HELD) })
    }

    /// The token, where it is this provider's: no other upstream may see it.
    fn of(&self, exchange: &Exchange) -> Result<Arc<Held>, Reason> {
        let held = exchange.needs_shared(self.held)?;
        if held.provider() == self.provider {
            return Ok(held);
        }
        let message =
            format!("the token that was got last is of provider `{}`, not `{}`", held.provider(), self.provider);
        Err(Reason::new(OTHER_TOKEN, message))
    }
}

impl Filter for Proxy {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        if matches!(exchange.request.body, RequestBody::Taken) {
            return Err(Abort::new(
                BODY_GONE,
                StatusCode::BAD_GATEWAY,
                "the body went to an upstream that gave no answer",
            ));
        }
        let (held, request) = match self.prepared(exchange) {
            Ok(prepared) => prepared,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let mut answered = self.upstream.0.send(request).await;
        if let (Some(held), Ok(answer)) = (held, &answered)
            && holding::is_refused(answer.status(), answer.headers())
        {
            let again = !matches!(exchange.request.body, RequestBody::Taken);
            if let Some(other) = held.renewed(exchange, again).await {
                answered = match self.request(exchange, Some(&other)) {
                    Ok(request) => self.upstream.0.send(request).await,
                    Err(reason) => return Ok(Outcome::Failure(reason)),
                };
            }
        }
        match answered {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                exchange.response = Some(Response { status: head.status, headers: head.headers, body });
                Ok(Outcome::Success)
            }
            Err(error) => unanswered(error).map(Outcome::Failure),
        }
    }
}

impl Proxy {
    fn prepared(&self, exchange: &mut Exchange) -> Result<(Option<Arc<Held>>, http::Request<Body>), Reason> {
        let held = self.token.as_ref().map(|token| token.of(exchange)).transpose()?;
        let request = self.request(exchange, held.as_deref())?;
        Ok((held, request))
    }

    fn request(&self, exchange: &mut Exchange, held: Option<&Held>) -> Result<http::Request<Body>, Reason> {
        let uri = self.uri(exchange)?;
        let mut headers = forward::request_headers(&exchange.request);
        if let Some(held) = held {
            held.authorize(&mut headers);
        }
        if let Some(host) = &self.host
            && let Some(host) = host.get_optional(exchange)?
        {
            headers.insert(header::HOST, fields::value(host)?);
        }
        let mut request = http::Request::new(body_to_send(&mut exchange.request));
        *request.method_mut() = exchange.request.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn uri(&self, exchange: &Exchange) -> Result<Uri, Reason> {
        let request = &exchange.request;
        let mut text = match &self.rewrite {
            None => request.path.clone(),
            Some(rewrite) => path::encode(&rewrite.get(exchange)?)?,
        };
        if let Some(query) = &request.query {
            text.push('?');
            text.push_str(query);
        }
        let target = PathAndQuery::from_maybe_shared(Bytes::from(text));
        target.map(Uri::from).map_err(|_| Reason::bad_request("the path or query cannot be sent to an upstream"))
    }
}

/// The body for the upstream. One that is in memory, or empty, stays for another upstream, should this one give no answer; one
/// that streams can be sent once.
fn body_to_send(request: &mut Request) -> Body {
    let kept = match &request.body {
        RequestBody::Buffered(bytes) => bytes.clone(),
        RequestBody::Stream(body) if body.is_end_stream() => Bytes::new(),
        RequestBody::Stream(_) | RequestBody::Taken => return request.take_body(),
    };
    request.body = RequestBody::Buffered(kept.clone());
    kept.into()
}

#[cfg(test)]
mod tests {
    mod through_a_policy {
        use http::Method;
        use serde_json::json;

        use crate::fixture::{always, answer, get, policy, request, sent, told, world};
        use policy::ports::{UPSTREAM, UpstreamError};
        use policy::testing::Fixture;

        fn tested(settings: &str) -> Fixture {
            policy(&format!("[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n{settings}"))
        }

        #[test]
        fn the_request_reaches_the_upstream_as_it_came() {
            let ran =
                tested("").run(request(Method::PUT, "/a%20b/c?x=%20&y", &[("content-type", "text/plain")], "body"));
            let seen = sent(&ran);
            assert_eq!(
                (&seen["method"], &seen["uri"], &seen["body"]),
                (&json!("PUT"), &json!("/a%20b/c?x=%20&y"), &json!("body"))
            );
            assert_eq!(seen["headers"]["content-type"], json!("text/plain"));
            assert_eq!(seen["headers"]["host"], json!(null));
            assert_eq!(ran.path(), ["proxy:success"]);
        }

        #[test]
        fn the_path_and_the_host_can_be_others() {
            let ran = tested("rewrite = '/v2${request.path}/${request.query.q}'\nhost = '${request.host}'")
                .run(get("/a?q=b%2Fc%20d", &[]));
            let seen = sent(&ran);
            assert_eq!(
                (&seen["uri"], &seen["headers"]["host"]),
                (&json!("/v2/a/b/c%20d?q=b%2Fc%20d"), &json!("localhost"))
            );
        }

        #[test]
        fn a_value_in_the_path_cannot_lead_upwards() {
            let tested = tested("rewrite = '/v2/${request.query.q}/x'");
            assert_eq!(told(&tested.run(get("/a?q=b%2F..%2F..%2Fadmin", &[]))), "400 bad-request");
        }

        #[test]
        fn the_filters_after_it_see_the_answer() {
            let tested =
                tested("\n[[filter]]\nuse = 'set-header'\nof = 'response'\nset = { x-status = '${response.status}' }");
            assert_eq!(tested.run(get("/a", &[])).header("x-status"), "200");
        }

        fn with(upstream: fn() -> Result<http::Response<policy::Body>, UpstreamError>, more: &str) -> Fixture {
            let text = format!("route = '/**'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'odd'\n{more}");
            world().resource(UPSTREAM, "odd", always(upstream)).policy("tested", &text)
        }

        #[test]
        fn the_answer_is_the_upstreams() {
            let odd = || Ok(answer(203, &[("etag", "2")], "body".into()));
            let ran = with(odd, "").run(get("/a", &[]));
            assert_eq!((ran.status, ran.header("etag"), ran.text()), (203, "2", "body"));
        }

        #[test]
        fn an_upstream_that_does_not_answer_is_a_fault_and_a_client_that_breaks_off_is_not() {
            for (upstream, told_as) in [
                (|| Err(UpstreamError::Unreachable("refused".into())), "502 upstream-unreachable"),
                (|| Err(UpstreamError::Timeout("first_byte")), "504 upstream-timeout"),
                (|| Err(UpstreamError::Malformed("no HTTP".into())), "502 upstream-malformed"),
                (|| Err(UpstreamError::RequestBody("reset".into())), "400 bad-request"),
            ]
                as [(fn() -> Result<http::Response<policy::Body>, UpstreamError>, &str); 4]
            {
                assert_eq!(told(&with(upstream, "").run(get("/a", &[]))), told_as);
            }
            let spare =
                "on_abort = { to = 'spare', as = 'success' }\n\n[[chain.spare]]\nuse = 'respond'\ntext = 'spare'";
            assert_eq!(with(|| Err(UpstreamError::Timeout("connect")), spare).run(get("/a", &[])).text(), "spare");
        }

        #[test]
        fn a_body_is_never_lost_on_the_way_to_another_upstream() {
            use bytes::Bytes;
            use http_body_util::Full;
            use policy::exchange::RequestBody;

            let spare =
                "on_abort = { to = 'spare', as = 'success' }\n\n[[chain.spare]]\nuse = 'proxy'\nupstream = 'orders'";
            let tested = with(|| Err(UpstreamError::Unreachable("refused".into())), spare);
            let post = |body: policy::Body| {
                let mut post = request(Method::POST, "/a", &[], "");
                post.body = RequestBody::Stream(body);
                tested.run(post)
            };
            let streamed = policy::Body::stream(Full::new(Bytes::from_static(b"body")));
            assert_eq!(told(&post(streamed)), "502 body-gone");
            assert_eq!(sent(&post(policy::Body::Empty))["body"], json!(""));
            let mut read = request(Method::POST, "/a", &[], "");
            read.body = RequestBody::Buffered(Bytes::from_static(b"body"));
            assert_eq!(sent(&tested.run(read))["body"], json!("body"));
        }

        #[test]
        fn what_is_not_there_yet_is_said_so() {
            for setting in ["url = 'http://a'", "retry = 3", "redirect = { follow = true }", "allow = ['a']"] {
                let problems = tested(setting).problems();
                assert!(problems.len() == 1 && problems[0].contains("error[P0004]"), "{setting}: {problems:#?}");
            }
        }
    }
}
