//! A few filters that the library's own could not do better for these tests.

use std::time::Duration;

use http::StatusCode;
use policy::exchange::RequestBody;
use policy::filter::{Answers, FilterKind, Library};
use policy::ports::{UPSTREAM, UpstreamHandle};
use policy::settings::Spanned;
use policy::testing::Plain;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

pub(super) const LIBRARY: Library = Library {
    filters: &[&[
        FilterKind::of::<Say>(),
        FilterKind::of::<Content>(),
        FilterKind::of::<Echo>(),
        FilterKind::of::<Sleep>(),
        FilterKind::of::<Panic>(),
        FilterKind::of::<Forward>(),
    ]],
    attributes: &[],
    plain: &Plain,
    look_up: None,
    lints: &[],
    settings: &[],
};

/// Answers with a text.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Say {
    text: String,
}
impl FilterConfig for Say {
    const TYPE: &'static str = "say";
    type Filter = SayFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SayFilter, Diagnostics> {
        cx.answers(Answers::Always);
        Ok(SayFilter(self.text.clone()))
    }
}
struct SayFilter(String);
impl Filter for SayFilter {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let mut response = Response::new(StatusCode::OK);
        response.body = self.0.clone().into();
        exchange.answer(response)
    }
}

/// Answers with a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Content {
    file: Spanned<String>,
}
impl FilterConfig for Content {
    const TYPE: &'static str = "content";
    type Filter = SayFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SayFilter, Diagnostics> {
        cx.answers(Answers::Always);
        Ok(SayFilter(String::from_utf8_lossy(&cx.content(&self.file)?).into_owned()))
    }
}

/// Answers with what came: the head as the engine sees it, and the body as it streams.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Echo {}
struct EchoFilter;
impl FilterConfig for Echo {
    const TYPE: &'static str = "echo";
    type Filter = EchoFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<EchoFilter, Diagnostics> {
        cx.answers(Answers::Always);
        cx.streams_request_body();
        Ok(EchoFilter)
    }
}
impl Filter for EchoFilter {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let mut response = Response::new(StatusCode::OK);
        let request = &mut exchange.request;
        let seen = format!("{} {} {}", request.method, request.path, request.host);
        response.headers.insert("x-seen", seen.parse().unwrap());
        response.headers.insert(
            "x-names",
            request.headers.keys().map(|n| n.as_str()).collect::<Vec<_>>().join(",").parse().unwrap(),
        );
        response.body = match std::mem::take(&mut request.body) {
            RequestBody::Stream(body) => body,
            _ => policy::Body::Empty,
        };
        exchange.answer(response)
    }
}

/// Waits.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sleep {
    millis: u64,
}
struct SleepFilter(Duration);
impl FilterConfig for Sleep {
    const TYPE: &'static str = "sleep";
    type Filter = SleepFilter;
    fn build(&self, _: &mut BuildContext<'_>) -> Result<SleepFilter, Diagnostics> {
        Ok(SleepFilter(Duration::from_millis(self.millis)))
    }
}
impl Filter for SleepFilter {
    async fn run(&self, _: &mut Exchange) -> Result<Outcome, Abort> {
        tokio::time::sleep(self.0).await;
        Ok(Outcome::Success)
    }
}

/// Panics when it runs, or when it is built.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Panic {
    #[serde(default)]
    build: bool,
}
struct PanicFilter;
impl FilterConfig for Panic {
    const TYPE: &'static str = "panic";
    type Filter = PanicFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<PanicFilter, Diagnostics> {
        assert!(!self.build, "on purpose");
        cx.answers(Answers::Always);
        Ok(PanicFilter)
    }
}
impl Filter for PanicFilter {
    async fn run(&self, _: &mut Exchange) -> Result<Outcome, Abort> {
        panic!("on purpose");
    }
}

/// Sends the request on as it came.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Forward {
    upstream: Spanned<String>,
}
struct ForwardFilter(Arc<UpstreamHandle>);
impl FilterConfig for Forward {
    const TYPE: &'static str = "forward";
    type Filter = ForwardFilter;
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ForwardFilter, Diagnostics> {
        cx.answers(Answers::Always);
        cx.streams_request_body();
        Ok(ForwardFilter(cx.resource(UPSTREAM, &self.upstream)?))
    }
}
impl Filter for ForwardFilter {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let mut request = http::Request::new(exchange.request.take_body());
        *request.method_mut() = exchange.request.method.clone();
        *request.uri_mut() = exchange.request.path.parse().unwrap();
        *request.headers_mut() = exchange.request.headers.clone();
        let answer = self.0.0.send(request).await;
        let answer = answer
            .map_err(|why| Abort::new(policy::ReasonCode::new("upstream"), StatusCode::BAD_GATEWAY, why.to_string()))?;
        let (parts, body) = answer.into_parts();
        exchange.answer(Response { status: parts.status, headers: parts.headers, body, ..Response::default() })
    }
}
