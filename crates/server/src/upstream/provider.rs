//! Calls to a provider: the whole of an answer, in bounded time and memory.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use policy::Body;
use policy::exchange::BodyError;
use policy::ports::{Aside, Background, BoxFuture, Timer, Upstream, UpstreamError};

use crate::tasks;

/// Calls that end in bounded time, with the whole answer in memory.
pub(crate) struct Whole {
    upstream: Arc<dyn Upstream>,
    timeout: Duration,
    limit: usize,
}

impl Whole {
    /// Through this upstream.
    pub(crate) fn new(upstream: Arc<dyn Upstream>, timeout: Duration, limit: usize) -> Self {
        Whole { upstream, timeout, limit }
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let (head, body) = self.upstream.send(request).await?.into_parts();
        let body = body.collect(self.limit).await.map_err(|why| match why {
            BodyError::TooLarge => {
                UpstreamError::Malformed(format!("it is larger than {} bytes (`answer_limit`)", self.limit))
            }
            BodyError::Broken(why) => UpstreamError::Unreachable(format!("the answer broke off: {why}")),
        })?;
        Ok(Response::from_parts(head, body.into()))
    }
}

impl Upstream for Whole {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        Box::pin(async {
            tokio::time::timeout(self.timeout, self.exchange(request))
                .await
                .unwrap_or(Err(UpstreamError::Timeout("whole")))
        })
    }
}

/// Work goes on in a task of its own, and waiting is the runtime's.
pub(crate) struct Tasks;

impl Tasks {
    /// As filters get it.
    pub(crate) fn aside() -> Aside {
        Aside { background: Arc::new(Tasks), timer: Arc::new(Tasks) }
    }
}

impl Timer for Tasks {
    fn after(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

impl Background for Tasks {
    fn run(&self, work: BoxFuture<'static, ()>) {
        tasks::spawn(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;
    impl Upstream for Silent {
        fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
            Box::pin(std::future::pending())
        }
    }

    struct Says(&'static str);
    impl Upstream for Says {
        fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
            Box::pin(async { Ok(Response::new(String::from(self.0).into())) })
        }
    }

    async fn sent(upstream: impl Upstream, limit: usize) -> Result<usize, UpstreamError> {
        let whole = Whole::new(Arc::new(upstream), Duration::from_millis(1), limit);
        let answer = whole.send(Request::new(Body::Empty)).await?;
        Ok(answer.into_body().collect(usize::MAX).await.unwrap().len())
    }

    #[tokio::test]
    async fn an_answer_is_bounded_in_time_and_size() {
        assert!(matches!(sent(Silent, 4).await, Err(UpstreamError::Timeout("whole"))));
        assert!(matches!(sent(Says("12345"), 4).await, Err(UpstreamError::Malformed(_))));
        assert_eq!(sent(Says("1234"), 4).await.unwrap(), 4);
    }
}
