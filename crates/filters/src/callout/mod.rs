//! Calls beside an exchange, which `fetch` and `webhook` make: the whole of an answer, in bounded time and size, and perhaps remembered
//! for a short time.

mod answer;
mod remembered;
mod settings;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, FutureExt, select};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri};

use policy::exchange::BodyError;
use policy::ports::{ASIDE, Aside, Clock, UPSTREAM, UpstreamError, UpstreamHandle};
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Reason};

pub(crate) use self::answer::Answer;
use self::remembered::{Key, Remembered};
pub(crate) use self::settings::{Bounds, CacheSettings, form, variable};

/// Calls to one upstream.
pub(crate) struct Callout {
    way: Way,
    remembered: Option<Remembered>,
    aside: Arc<Aside>,
}

/// How a call is made.
#[derive(Clone)]
struct Way {
    upstream: Arc<UpstreamHandle>,
    aside: Arc<Aside>,
    timeout: Duration,
    limit: usize,
}

/// What is sent.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is asked of an answer before it is remembered.
pub(crate) type Worth = Arc<dyn Fn(&Answer) -> bool + Send + Sync>;

impl Callout {
    /// Binds the upstream. `shape`: the settings that decide what is asked, so that what was remembered for others is forgotten.
    pub(crate) fn compile(
        upstream: &Spanned<String>,
        bounds: &Bounds<'_>,
        cache: Option<&CacheSettings>,
        shape: &str,
        cx: &mut BuildContext<'_>,
    ) -> Result<Callout, Diagnostics> {
        let (timeout, limit) = bounds.checked(cx)?;
        let aside: Arc<Aside> = cx.of_node(ASIDE)?;
        let upstream = cx.resource(UPSTREAM, upstream)?;
        let remembered = cache.map(|cache| Remembered::compile(cache, shape, cx)).transpose()?;
        Ok(Callout { way: Way { upstream, aside: aside.clone(), timeout, limit }, remembered, aside })
    }

    /// Makes the call, or gives what was answered to it a moment ago. While one is under way, others that would ask the same wait for it.
    pub(crate) async fn make(
        &self,
        call: Call,
        exchange: &policy::Exchange,
        worth: &Worth,
    ) -> Result<Result<Arc<Answer>, UpstreamError>, Reason> {
        let Some(remembered) = &self.remembered else {
            return Ok(self.way.go(call).await.map(Arc::new));
        };
        let key = remembered.key(&call, exchange)?;
        let clock = exchange.environment().clock.clone();
        if let Some(answer) = remembered.find(key, clock.monotonic_nanos()) {
            return Ok(Ok(answer));
        }
        Ok(self.one_at_a_time(remembered, key, call, clock, worth.clone()).await)
    }

    async fn one_at_a_time(
        &self,
        remembered: &Remembered,
        key: Key,
        call: Call,
        clock: Arc<dyn Clock>,
        worth: Worth,
    ) -> Result<Arc<Answer>, UpstreamError> {
        let (way, memory) = (self.way.clone(), remembered.memory());
        remembered
            .flights()
            .join(key, &*self.aside.background, move || {
                async move {
                    // One that was under way when this was looked for has landed since.
                    if let Some(answer) = memory.find(key, clock.monotonic_nanos()) {
                        return Ok(answer);
                    }
                    let answer = Arc::new(way.go(call).await?);
                    if worth(&answer) {
                        memory.keep(key, answer.clone(), clock.monotonic_nanos());
                    }
                    Ok(answer)
                }
                .boxed()
            })
            .await
    }
}

impl Way {
    async fn go(&self, call: Call) -> Result<Answer, UpstreamError> {
        let asked = pin!(self.ask(call));
        match select(asked, self.aside.timer.after(self.timeout)).await {
            Either::Left((answered, _)) => answered,
            Either::Right(_) => Err(UpstreamError::Timeout("whole")),
        }
    }

    async fn ask(&self, call: Call) -> Result<Answer, UpstreamError> {
        let mut request = Request::new(call.body.into());
        *request.method_mut() = call.method;
        *request.uri_mut() = call.target;
        *request.headers_mut() = call.headers;
        let (head, body) = self.upstream.0.send(request).await?.into_parts();
        let body = body.collect(self.limit).await.map_err(|why| match why {
            BodyError::TooLarge => {
                UpstreamError::Malformed(format!("it is larger than {} bytes (`answer_limit`)", self.limit))
            }
            BodyError::Broken(why) => UpstreamError::Unreachable(format!("the answer broke off: {why}")),
        })?;
        Answer::read(head.status, head.headers, &body)
    }
}

/// Path and query as the upstream gets them.
pub(crate) fn target(path: String, query: &str) -> Result<Uri, Reason> {
    let text = if query.is_empty() { path } else { format!("{path}?{query}") };
    let target = PathAndQuery::from_maybe_shared(Bytes::from(text));
    target.map(Uri::from).map_err(|_| Reason::bad_request("the path or query cannot be sent to an upstream"))
}
