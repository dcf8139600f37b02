//! `proxy`: sends the request to an upstream and takes its answer; both bodies stream. In Oracle API Gateway: Connect to
//! URL, Static Router, Rewrite URL.
//!
//! The request is written anew from what was parsed, without the fields of one connection (RFC 9110, section 7.6.1),
//! which are taken off the answer too; `X-Forwarded-For`, `-Proto`, `-Host`, `X-Real-IP`, `Forwarded`, `X-Request-Id`,
//! `traceparent` and `Via` are the gateway's own words. The filters after it see the response. An upstream that is unreachable (502),
//! silent (504), full (503, its `limits`) or speaks no HTTP (502) is a fault, for `on_abort`; a request body that breaks off is the client's
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
use http::{Method, StatusCode, Uri, header};
use http_body::Body as _;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::provider::Provider;
use policy::attribute::Slot;
use policy::exchange::{Body, HeaderEdit, Request, RequestBody, Upgraded};
use policy::ports::{BalanceKey, BoxFuture, Fields, PROVIDER, Reached, Repeatable, UpstreamError, UpstreamHandle};
use policy::settings::{self, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Response,
};

use super::follow::{self, Next, Place};
use super::location::{self, Origin};
use super::streams::Streams;
use super::way::{self, Way};
use super::{fields, forward};
use crate::holding::{self, HELD, Held};
use crate::upstreams::unanswered;

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
    /// The path at the upstream, written as it reads (not percent-encoded; what needs encoding is encoded). `${request.path}` is encoded
    /// already, and stays as it is. Default: the request's own path. The query goes along as it came.
    rewrite: Option<Dynamic<String>>,
    /// `Host` of the request to the upstream. Default: the upstream's own; `"${request.host}"` sends the client's.
    host: Option<Dynamic<String>>,
    /// The key by which an upstream with `balance = "hash"` chooses its target: equal keys have the same one while it is there. Default: none,
    /// and such an upstream chooses as if it said nothing.
    key: Option<Dynamic<String>>,
    /// The provider whose token goes along, in the place of whatever credential the client sent: `[provider.NAME]` in `node.toml`. An
    /// `oauth-client.get-token` before gets it. Where the upstream answers that it is no good (401 with a `Bearer` challenge), another one is
    /// got, and the request is sent once more, unless its body was streamed. Default: none.
    token: Option<Spanned<String>>,
    /// Where the request goes, in place of `upstream`: a URL whose scheme, host and port are those of an upstream in `allow`. Its path and query
    /// are sent, nothing of the request's own.
    url: Option<Dynamic<String>>,
    /// The upstreams that `url` may name: `[upstream.NAME]` in `node.toml`. Any other URL is refused (403). With `redirect = "follow"` also those
    /// to which redirects are followed, beside the one that answered.
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    /// The method of the request to the upstream. Default: the client's.
    method: Option<settings::Method>,
    /// Whether the request may be sent again where the upstream gives no answer, though its method does not say so: `true` where twice does no
    /// harm. Its body must be in memory. Default: as the method says (RFC 9110, section 9.2.2).
    #[serde(default)]
    retry: bool,
    /// What becomes of `Location` and `Content-Location`: `mend` (default), so that those which name the upstream name the gateway, under the path
    /// by which the client came; `keep`, as they are; or `follow`: the gateway itself goes where the upstream redirects it, at most 5 times, and
    /// only to that upstream and those in `allow`. Another one gets no `Authorization` and no `Cookie`. What cannot be followed is mended.
    #[serde(default)]
    redirect: Redirect,
    /// Protocols that a client's connection may switch to (`Upgrade`, over HTTP/1.1): `["websocket"]`. The upstream must agree (101); then bytes
    /// go both ways until one side ends, over reloads too. Default: none, the upstream is not asked.
    #[serde(default)]
    upgrade: Vec<Spanned<String>>,
    /// For how long nothing may come from either side of a connection that switched. Default: `"5m"`.
    stream_idle: Option<Spanned<settings::Duration>>,
    /// How long what streams may last, a body or a connection that switched: a duration, or `"token"`, until the token expires that a filter
    /// before has checked. It is broken off then. Default: as long as it takes.
    max_stream: Option<Spanned<String>>,
}

/// What becomes of places that an upstream names.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Redirect {
    /// They are the client's.
    #[default]
    Mend,
    /// They stay the upstream's.
    Keep,
    /// Redirects are followed.
    Follow,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "proxy";
    type Filter = Proxy;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Proxy, Diagnostics> {
        cx.streams_request_body();
        cx.sets_response();
        cx.aborts_rarely(&[BODY_GONE]);
        if self.host.is_some() {
            cx.fails_rarely(&[fields::BAD_HEADER_VALUE]);
        }
        if let (Some(rewrite), Some(_)) = (&self.rewrite, &self.url) {
            return Err(cx.error(rewrite.span(), "`rewrite` says nothing beside `url`", "the URL has the path").into());
        }
        let follows = self.redirect == Redirect::Follow;
        let way = Way::compile(self.upstream.as_ref(), self.url.as_ref(), &self.allow, follows, cx)?;
        let token = self.token.as_ref().map(|provider| Token::compile(provider, cx)).transpose()?;
        let streams = Streams::compile(&self.upgrade, self.stream_idle.as_ref(), self.max_stream.as_ref(), cx)?;
        Ok(Proxy {
            way,
            token,
            streams,
            method: self.method.as_ref().map(|method| method.0.clone()),
            repeatable: self.retry,
            mends: self.redirect != Redirect::Keep,
            follows,
            rewrite: self.rewrite.as_ref().map(|r| cx.path(r)).transpose()?,
            // Which of the targets answers makes no difference to the answer.
            key: self.key.as_ref().map(|key| cx.aside(|cx| cx.dynamic(key))).transpose()?,
            host: self.host.as_ref().map(|h| cx.dynamic(h)).transpose()?,
        })
    }
}

/// The compiled filter.
pub(crate) struct Proxy {
    way: Way,
    token: Option<Token>,
    streams: Streams,
    method: Option<Method>,
    repeatable: bool,
    mends: bool,
    follows: bool,
    rewrite: Option<Getter<String>>,
    key: Option<Getter<String>>,
    host: Option<Getter<String>>,
}

/// What comes of a request.
type Answered = Result<http::Response<Body>, UpstreamError>;

/// A request, and where it goes.
struct Addressed<'a> {
    upstream: &'a UpstreamHandle,
    request: http::Request<Body>,
    /// What the gateway says itself.
    own: Fields,
}

impl<'a> Addressed<'a> {
    fn send(self) -> BoxFuture<'a, Answered> {
        self.upstream.0.send_with(self.request, self.own)
    }
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
        cx.goes_by(HELD.name());
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
        if forward::passages_left(&exchange.request) == Some(0) {
            // It goes no further (RFC 9110, sections 7.6.2 and 9.3.7).
            exchange.response = Some(Response::new(StatusCode::NO_CONTENT));
            let named = Some(&exchange.request.allowed).filter(|methods| !methods.is_empty());
            if let Some(edit) = named.and_then(|methods| HeaderEdit::allow(methods)) {
                exchange.edit_response_header(edit);
            }
            return Ok(Outcome::Success);
        }
        let (held, addressed) = match self.prepared(exchange) {
            Ok(prepared) => prepared,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let mut upstream = addressed.upstream;
        let asked = self.follows.then(|| Place::of(upstream, &addressed.request));
        // Before it is waited for: the request is not to have room in this future.
        let sending = addressed.send();
        let mut answered = sending.await;
        if let (Some(held), Ok(answer)) = (held, &answered)
            && holding::is_refused(answer.status(), answer.headers())
        {
            answered = match Box::pin(self.asked_again(exchange, &held, answered)).await {
                Ok(answered) => answered,
                Err(reason) => return Ok(Outcome::Failure(reason)),
            };
        }
        if let Some(asked) = asked {
            (upstream, answered) = Box::pin(self.followed(exchange, asked, answered)).await;
        }
        match answered {
            Ok(answer) => {
                let mut response = taken(answer);
                let bounded = self.streams.bound(exchange, &mut response);
                if let Err(reason) = bounded.and_then(|()| self.mend(exchange, upstream, &mut response)) {
                    return Ok(Outcome::Failure(reason));
                }
                exchange.response = Some(response);
                Ok(Outcome::Success)
            }
            Err(error) => unanswered(error).map(Outcome::Failure),
        }
    }
}

impl Proxy {
    fn prepared(&self, exchange: &mut Exchange) -> Result<(Option<Arc<Held>>, Addressed<'_>), Reason> {
        let held = self.token.as_ref().map(|token| token.of(exchange)).transpose()?;
        let addressed = self.request(exchange, held.as_deref())?;
        Ok((held, addressed))
    }

    /// The upstream has said that the token is no good: with another one, where one is got, it is asked once more.
    async fn asked_again(
        &self,
        exchange: &mut Exchange,
        held: &Arc<Held>,
        answered: Answered,
    ) -> Result<Answered, Reason> {
        let again = !matches!(exchange.request.body, RequestBody::Taken);
        match held.renewed(exchange, again).await {
            Some(other) => Ok(self.request(exchange, Some(&other))?.send().await),
            None => Ok(answered),
        }
    }

    fn request(&self, exchange: &mut Exchange, held: Option<&Held>) -> Result<Addressed<'_>, Reason> {
        let (upstream, target) = match &self.way {
            Way::To(upstream, _) => (&**upstream, self.path_and_query(exchange)?),
            Way::By(url, allowed) => way::chosen(&url.get(exchange)?, allowed)?,
        };
        let uri = uri(target)?;
        let upgrade = self.streams.switches(exchange)?;
        let (mut headers, own) = forward::request_headers(&exchange.request);
        if let Some(held) = held {
            held.authorize(&mut headers);
        }
        if let Some(host) = self.host(exchange)? {
            headers.insert(header::HOST, fields::host(host)?);
        }
        let mut request = http::Request::new(body_to_send(&mut exchange.request));
        *request.method_mut() = self.method.as_ref().unwrap_or(&exchange.request.method).clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if let Some(upgrade) = upgrade {
            request.extensions_mut().insert(upgrade);
        }
        self.say_how(exchange, &mut request)?;
        Ok(Addressed { upstream, request, own })
    }

    /// What the policy says of how it is sent.
    fn say_how(&self, exchange: &Exchange, request: &mut http::Request<Body>) -> Result<(), Reason> {
        if let Some(key) = &self.key
            && let Some(key) = key.get_optional(exchange)?
        {
            request.extensions_mut().insert(BalanceKey(Arc::from(key)));
        }
        if self.repeatable {
            request.extensions_mut().insert(Repeatable);
        }
        Ok(())
    }

    fn host(&self, exchange: &Exchange) -> Result<Option<String>, Reason> {
        match &self.host {
            None => Ok(None),
            Some(host) => host.get_optional(exchange),
        }
    }

    /// Goes where the upstream redirects the gateway, as far as that is allowed.
    async fn followed<'a>(
        &'a self,
        exchange: &mut Exchange,
        mut asked: Place<'a>,
        mut answered: Answered,
    ) -> (&'a UpstreamHandle, Answered) {
        let first = asked.upstream;
        for _ in 0..follow::MOST {
            let Ok(answer) = &answered else { break };
            let Some(next) = follow::next(answer.status(), answer.headers(), &asked, &self.way) else { break };
            if next.keeps_body && matches!(exchange.request.body, RequestBody::Taken) {
                break;
            }
            let Ok(mut addressed) = self.again(exchange, &next) else { break };
            // Not the one before: another upstream that sends the gateway round within itself would have them at the second turn.
            if !std::ptr::eq(next.place.upstream, first) {
                for name in [header::AUTHORIZATION, header::COOKIE, header::HOST] {
                    addressed.request.headers_mut().remove(name);
                }
            }
            asked = next.place;
            answered = addressed.send().await;
        }
        (asked.upstream, answered)
    }

    /// The request for where a redirect leads.
    fn again<'a>(&self, exchange: &mut Exchange, next: &Next<'a>) -> Result<Addressed<'a>, Reason> {
        let (mut headers, own) = forward::request_headers(&exchange.request);
        if let Some(host) = self.host(exchange)? {
            headers.insert(header::HOST, fields::host(host)?);
        }
        // What was got for the upstream goes to it again.
        if let Some(token) = &self.token {
            token.of(exchange)?.authorize(&mut headers);
        }
        let mut body = Body::Empty;
        if next.keeps_body {
            body = body_to_send(&mut exchange.request);
        } else {
            for name in
                [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_LOCATION]
            {
                headers.remove(name);
            }
        }
        let mut request = http::Request::new(body);
        *request.method_mut() = next.place.method.clone();
        *request.uri_mut() = uri(next.place.target.clone())?;
        *request.headers_mut() = headers;
        self.say_how(exchange, &mut request)?;
        Ok(Addressed { upstream: next.place.upstream, request, own })
    }

    fn path_and_query(&self, exchange: &Exchange) -> Result<String, Reason> {
        let mut text = self.path(exchange)?;
        if let Some(query) = &exchange.request.query {
            text.push('?');
            text.push_str(query);
        }
        Ok(text)
    }

    fn path(&self, exchange: &Exchange) -> Result<String, Reason> {
        match &self.rewrite {
            None => Ok(exchange.request.path.clone()),
            Some(rewrite) => rewrite.path(exchange),
        }
    }

    /// Places that the upstream names become the client's.
    fn mend(&self, exchange: &Exchange, upstream: &UpstreamHandle, response: &mut Response) -> Result<(), Reason> {
        if !self.mends || !location::is_there(&response.headers) {
            return Ok(());
        }
        let (host, path) = (self.host(exchange)?, self.path(exchange)?);
        let is_upstream = |origin: &Origin| {
            // Many build their links from the host that they were asked for.
            let asked = |host: &String| Origin::of(&format!("{}://{host}", origin.scheme).parse().ok()?);
            upstream.0.is_at(origin.scheme, &origin.host, origin.port)
                || host.as_ref().and_then(asked).is_some_and(|asked| asked == *origin)
        };
        let by_url = !matches!(&self.way, Way::To(own, _) if std::ptr::eq(&**own, upstream));
        location::mend(&mut response.headers, is_upstream, || match by_url {
            // What paths there have to do with the client's, nobody can tell.
            true => Default::default(),
            false => (exchange.request.client_path().to_owned(), path.clone()),
        });
        Ok(())
    }
}

/// Path and query as what a request asks for.
fn uri(target: String) -> Result<Uri, Reason> {
    let target = PathAndQuery::from_maybe_shared(Bytes::from(target)).map(Uri::from);
    target.map_err(|_| Reason::bad_request("the path or query cannot be sent to an upstream"))
}

/// The upstream's answer as the exchange's.
fn taken(answer: http::Response<Body>) -> Response {
    let (mut head, body) = answer.into_parts();
    head.headers.append(header::VIA, forward::via(head.version));
    let upgraded = head.extensions.remove::<Upgraded>();
    Response { status: head.status, headers: head.headers, body, upgraded, until: None }
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
        fn rfc9110_7_6_2_an_options_goes_no_further_than_it_may() {
            let ran = |method, left: &'static str| tested("").run(request(method, "/a", &[("max-forwards", left)], ""));
            let passed = |method, left| sent(&ran(method, left))["headers"]["max-forwards"].clone();
            assert_eq!(passed(Method::OPTIONS, "7"), json!("6"));
            assert_eq!(passed(Method::OPTIONS, "99999999999999"), json!("4294967294"));
            assert_eq!(passed(Method::OPTIONS, "x"), json!("x"));
            assert_eq!(passed(Method::GET, "0"), json!("0"), "it says something of no other method");
            let here = ran(Method::OPTIONS, "0");
            assert_eq!((here.status, here.text(), here.path()), (204, "", vec![String::from("proxy:success")]));
        }

        #[test]
        fn the_path_and_the_host_can_be_others() {
            let ran = tested("rewrite = '/v2${request.path}/${request.query.q}'\nhost = '${request.host}'")
                .run(get("/a%20%25%2Fz?q=b%2Fc%20d", &[]));
            let seen = sent(&ran);
            assert_eq!(
                (&seen["uri"], &seen["headers"]["host"]),
                (&json!("/v2/a%20%25%2Fz/b/c%20d?q=b%2Fc%20d"), &json!("localhost"))
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
        fn the_method_can_be_another() {
            assert_eq!(sent(&tested("method = 'POST'").run(get("/a", &[])))["method"], json!("POST"));
        }

        /// An upstream at an origin, which answers with where it was asked for, or with a redirect to there.
        struct At(&'static str, u16);

        impl policy::ports::Upstream for At {
            fn send(
                &self,
                request: http::Request<policy::Body>,
            ) -> policy::ports::BoxFuture<'_, Result<http::Response<policy::Body>, UpstreamError>> {
                let repeatable = request.extensions().get::<policy::ports::Repeatable>().is_some();
                let key = request.extensions().get::<policy::ports::BalanceKey>().map(|key| format!(" by {}", key.0));
                let key = key.unwrap_or_default();
                let target = format!("{}:{}{} {repeatable}{key}", self.0, self.1, request.uri());
                let location = format!("http://{}:{}/v2/login", self.0, self.1);
                Box::pin(async move { Ok(answer(201, &[("location", &location)], target)) })
            }

            fn is_at(&self, scheme: &str, host: &str, port: u16) -> bool {
                (scheme, host, port) == ("http", self.0, self.1)
            }
        }

        fn two(settings: &str) -> Fixture {
            let at = |host, port| policy::ports::UpstreamHandle(std::sync::Arc::new(At(host, port)));
            world()
                .resource(UPSTREAM, "one", at("one.example", 80))
                .resource(UPSTREAM, "two", at("::1", 8080))
                .resource(UPSTREAM, "three", at("three.example", 80))
                .policy("tested", &format!("route = '/**'\n\n[[filter]]\nuse = 'proxy'\n{settings}"))
        }

        #[test]
        fn the_key_goes_along_where_there_is_one() {
            let tested = two("upstream = 'one'\nkey = '${request.header.x-user ??}'");
            assert_eq!(tested.run(get("/a", &[("x-user", "ann")])).text(), "one.example:80/a false by ann");
            assert_eq!(tested.run(get("/a", &[])).text(), "one.example:80/a false");
        }

        #[test]
        fn a_url_leads_to_what_is_allowed_and_nowhere_else() {
            let tested = two("url = '${request.query.to}'\nallow = ['one', 'two']");
            for (to, expected) in [
                ("http%3A%2F%2FOne.example%2Fa%2520b%3Fc%3Dd", "one.example:80/a%20b?c=d false"),
                ("http%3A%2F%2Fone.example%3A80", "one.example:80/ false"),
                ("http%3A%2F%2F%5B%3A%3A1%5D%3A8080%2Fx", "::1:8080/x false"),
            ] {
                assert_eq!(tested.run(get(&format!("/a?to={to}"), &[])).text(), expected, "{to}");
            }
            for to in [
                "http%3A%2F%2Fthree.example%2F",
                "https%3A%2F%2Fone.example%2F",
                "http%3A%2F%2Fone.example%3A81%2F",
                "http%3A%2F%2Fone.example%40evil.example%2F",
                "http%3A%2F%2Fevil.example%40one.example%2F",
                "http%3A%2F%2Fevil.example%5C%40one.example%2F",
                "http%3A%2F%2F127.0.0.1%3A8090%2F",
                "http%3A%2F%2Fone.example.%2F",
                "http%3A%2F%2Fone.example%2Fa%2F..%2Fb",
                "http%3A%2F%2Fone.example%2Fa%2F%252e%252E%2Fb",
                "http%3A%2F%2Fone.example%2Fa%2F..%252fb",
                "http%3A%2F%2Fone.example%2Fa%2F..%253bx%2Fb",
                "file%3A%2F%2F%2Fetc%2Fpasswd",
                "%2Fa",
                "one.example",
            ] {
                assert_eq!(told(&tested.run(get(&format!("/a?to={to}"), &[]))), "403 url-not-allowed", "{to}");
            }
        }

        #[test]
        fn a_place_at_the_upstream_is_one_at_the_gateway() {
            let location = |settings: &str, path| two(settings).run(get(path, &[])).header("location").to_owned();
            assert_eq!(location("upstream = 'one'", "/a"), "/v2/login");
            assert_eq!(location("upstream = 'one'\nrewrite = '/v2${request.path}'", "/a"), "/login");
            assert_eq!(location("upstream = 'one'\nredirect = 'keep'", "/a"), "http://one.example:80/v2/login");
            assert_eq!(location("upstream = 'one'\nhost = 'other.example'", "/a"), "/v2/login");
        }

        #[test]
        fn redirects_are_followed_where_that_is_asked_for() {
            use policy::ports::{BoxFuture, Upstream, UpstreamHandle};

            /// Sends everybody on, to the other one in the end.
            struct Moved;
            impl Upstream for Moved {
                fn send(
                    &self,
                    request: http::Request<policy::Body>,
                ) -> BoxFuture<'_, Result<http::Response<policy::Body>, UpstreamError>> {
                    let location = match request.uri().path() {
                        "/a" => "/b",
                        "/b" => "http://one.example/c",
                        _ => "/round",
                    };
                    Box::pin(std::future::ready(Ok(answer(302, &[("location", location)], String::new()))))
                }
            }
            let tested = |settings: &str| {
                let text = format!("route = '/**'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'moved'\n{settings}");
                let moved = UpstreamHandle(std::sync::Arc::new(Moved));
                let one = UpstreamHandle(std::sync::Arc::new(At("one.example", 80)));
                world().resource(UPSTREAM, "moved", moved).resource(UPSTREAM, "one", one).policy("tested", &text)
            };
            let followed = tested("redirect = 'follow'\nallow = ['one']").run(get("/a", &[]));
            assert_eq!((followed.status, followed.text()), (201, "one.example:80/c false"));
            let not_allowed = tested("redirect = 'follow'").run(get("/a", &[]));
            assert_eq!((not_allowed.status, not_allowed.header("location")), (302, "http://one.example/c"));
            let round = tested("redirect = 'follow'").run(get("/x", &[]));
            assert_eq!((round.status, round.header("location")), (302, "/round"));
            let not_asked = tested("").run(get("/a", &[]));
            assert_eq!((not_asked.status, not_asked.header("location")), (302, "/b"));
        }

        /// Sends everybody to another one, which sends them on within itself, and says at its end what it got on the way.
        struct RoundWithin(&'static str);

        impl policy::ports::Upstream for RoundWithin {
            fn send(
                &self,
                request: http::Request<policy::Body>,
            ) -> policy::ports::BoxFuture<'_, Result<http::Response<policy::Body>, UpstreamError>> {
                let moved = |to: &str| answer(307, &[("location", to)], String::new());
                let secrets = ["authorization", "cookie", "host"].map(|name| request.headers().contains_key(name));
                let answer = match request.uri().path() {
                    "/a" => moved("http://other.example/b"),
                    "/b" => moved("/c"),
                    "/c" => moved("http://other.example/end"),
                    _ => answer(200, &[], format!("{secrets:?}")),
                };
                Box::pin(std::future::ready(Ok(answer)))
            }

            fn is_at(&self, scheme: &str, host: &str, port: u16) -> bool {
                (scheme, host, port) == ("http", self.0, 80)
            }
        }

        #[test]
        fn one_that_is_redirected_to_never_sees_what_was_for_the_first() {
            let at = |host| policy::ports::UpstreamHandle(std::sync::Arc::new(RoundWithin(host)));
            let settings = "upstream = 'one'\nredirect = 'follow'\nallow = ['other']\nhost = 'front.example'";
            let tested = world()
                .resource(UPSTREAM, "one", at("one.example"))
                .resource(UPSTREAM, "other", at("other.example"))
                .policy("tested", &format!("route = '/**'\n\n[[filter]]\nuse = 'proxy'\n{settings}"));
            let secrets = [("authorization", "Bearer x"), ("cookie", "session=x")];
            assert_eq!(tested.run(get("/a", &secrets)).text(), "[false, false, false]");
        }

        #[test]
        fn a_request_can_be_declared_fit_to_be_sent_again() {
            assert_eq!(two("upstream = 'one'\nretry = true").run(get("/a", &[])).text(), "one.example:80/a true");
        }

        #[test]
        fn bad_settings_are_refused() {
            for (settings, expected) in [
                ("url = 'http://a'", "`url` needs `allow`"),
                ("upstream = 'one'\nurl = 'http://a'\nallow = ['one']", "an `upstream` and a `url`"),
                ("upstream = 'one'\nallow = ['two']", "`allow` says nothing without `url`"),
                ("url = 'http://a'\nallow = ['one']\nrewrite = '/x'", "`rewrite` says nothing beside `url`"),
                ("url = 'http://a'\nallow = ['nobody']", "nobody"),
                ("upstream = 'one'\nmethod = 'get'", "an HTTP method in capitals"),
                ("upstream = 'one'\nredirect = 'chase'", "none of the words known here"),
                ("", "`proxy` needs an `upstream`"),
            ] {
                let problems = two(settings).problems();
                assert!(problems.len() == 1 && problems[0].contains(expected), "{settings}: {problems:#?}");
            }
        }
    }
}
