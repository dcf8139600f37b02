//! An upstream that answers what a test says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use policy::ports::{BoxFuture, Upstream, UpstreamError};
use policy::testing::Given;
use policy::{Body, Diagnostics};

use super::given::{GivenAnswer, at};

pub(super) struct Canned {
    name: String,
    answer: Mutex<Option<Answer>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Canned {
    pub(super) fn new(name: String) -> Self {
        Canned { name, answer: Mutex::default() }
    }

    /// From now on nothing answers.
    pub(super) fn forget(&self) {
        *self.answer() = None;
    }

    /// From now on this answers.
    pub(super) fn will_answer(&self, given: &Given, spec: GivenAnswer) -> Result<(), Diagnostics> {
        if spec.down {
            return Ok(());
        }
        let mut headers = HeaderMap::new();
        let body = match (spec.json, spec.text) {
            (Some(json), _) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                json.to_string()
            }
            (None, text) => text.unwrap_or_default(),
        };
        for (name, value) in spec.headers {
            let bad = || at(given, value.span, format!("`{name}` cannot be a header with this value"), "visible ASCII");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            headers.insert(name, HeaderValue::from_str(&value.value).map_err(|_| bad())?);
        }
        let status = match spec.status {
            None => StatusCode::OK,
            Some(status) => StatusCode::from_u16(status.value)
                .map_err(|_| at(given, status.span, format!("{} is no status", status.value), "from 200 to 599"))?,
        };
        *self.answer() = Some(Answer { status, headers, body });
        Ok(())
    }

    fn answer(&self) -> MutexGuard<'_, Option<Answer>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream for Canned {
    fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        Box::pin(async {
            let answer = self.answer();
            let answer = answer.as_ref().ok_or_else(|| {
                UpstreamError::Unreachable(format!("the test gives no answer of upstream `{}`", self.name))
            })?;
            let mut response = Response::new(Body::from(answer.body.clone()));
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers.clone();
            Ok(response)
        })
    }
}
