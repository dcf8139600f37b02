//! An upstream that answers what a test says, and remembers what it was asked.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use policy::diagnostic::Span;
use policy::ports::{BoxFuture, Upstream, UpstreamError};
use policy::settings::Spanned;
use policy::testing::{Given, Named, OrCase, Received};
use policy::{Body, Diagnostics};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::given::at;
use crate::upstream::UpstreamSettings;

/// A longer body than this is no body that a test looks at.
const LARGEST: usize = 16 * 1024 * 1024;

/// What an upstream answers: always the same, or one after the other.
#[derive(Debug)]
pub enum GivenAnswers {
    /// To every request.
    Always(Box<GivenAnswer>),
    /// To the first, the second, and so on; whatever comes after the last finds nobody.
    InOrder(Vec<Spanned<GivenAnswer>>),
}

/// An answer of an upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenAnswer {
    /// Its status. Default: 200.
    status: Option<OrCase<Spanned<u16>>>,
    /// Its headers.
    #[serde(default)]
    headers: Named<String>,
    /// JSON as its body.
    json: Option<serde_json::Value>,
    /// Text as its body.
    text: Option<String>,
    /// Nothing answers there: the same as `fail = "unreachable"`.
    down: Option<OrCase<bool>>,
    /// How it fails in place of an answer.
    fail: Option<OrCase<Fault>>,
}

/// How an upstream fails.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// It takes the request and is silent.
    Timeout,
    /// There is no connection.
    Unreachable,
    /// What it answers is no HTTP.
    Malformed,
    /// As much goes on there as its limits allow.
    Full,
}

/// An upstream that answers what a test says.
pub(super) struct Canned {
    name: String,
    /// Where it would be.
    at: Option<UpstreamSettings>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answers: Answers,
    received: Vec<Received>,
}

#[derive(Default)]
enum Answers {
    #[default]
    None,
    Always(Answer),
    InOrder(VecDeque<Answer>),
}

#[derive(Clone)]
enum Answer {
    Response { status: StatusCode, headers: HeaderMap, body: String },
    Fault(Fault),
}

impl Canned {
    pub(super) fn new(name: String, at: Option<UpstreamSettings>) -> Self {
        Canned { name, at, state: Mutex::default() }
    }

    /// From now on nothing answers, and nothing was ever asked.
    pub(super) fn forget(&self) {
        *self.state() = State::default();
    }

    /// From now on this answers.
    pub(super) fn will_answer(&self, given: &Given, answers: Spanned<GivenAnswers>) -> Result<(), Diagnostics> {
        let answers = match answers.value {
            GivenAnswers::Always(answer) => Answers::Always(Answer::new(given, answers.span, *answer)?),
            GivenAnswers::InOrder(list) => {
                let answers = list.into_iter().map(|answer| Answer::new(given, answer.span, answer.value));
                Answers::InOrder(answers.collect::<Result<_, _>>()?)
            }
        };
        self.state().answers = answers;
        Ok(())
    }

    /// What it was asked since this was last called.
    pub(super) fn received(&self) -> Vec<Received> {
        std::mem::take(&mut self.state().received)
    }

    fn next(&self) -> Option<Answer> {
        match &mut self.state().answers {
            Answers::None => None,
            Answers::Always(answer) => Some(answer.clone()),
            Answers::InOrder(answers) => answers.pop_front(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the request, with what it is going to meet.
    async fn receive(&self, request: Request<Body>, met: &str) -> Result<(), UpstreamError> {
        let (head, body) = request.into_parts();
        let body = body.collect(LARGEST).await.map_err(|why| UpstreamError::RequestBody(format!("{why:?}")))?;
        let target = head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string);
        let received = Received { method: head.method, target, headers: head.headers, body, met: met.to_owned() };
        self.state().received.push(received);
        Ok(())
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        let answer = self.next();
        let met = match &answer {
            None => String::from("nothing: the test gives no answer to it"),
            Some(Answer::Fault(fault)) => fault.to_string(),
            Some(Answer::Response { status, .. }) => status.as_u16().to_string(),
        };
        // One that cannot be reached receives nothing; the test sees all the same that it was asked.
        self.receive(request, &met).await?;
        match answer {
            Some(Answer::Response { status, headers, body }) => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                Ok(response)
            }
            Some(Answer::Fault(Fault::Timeout)) => Err(UpstreamError::Timeout("first_byte")),
            Some(Answer::Fault(Fault::Malformed)) => Err(UpstreamError::Malformed(String::from("the test says so"))),
            Some(Answer::Fault(Fault::Full)) => Err(UpstreamError::Full("requests")),
            Some(Answer::Fault(Fault::Unreachable)) | None => {
                Err(UpstreamError::Unreachable(format!("the test gives no answer of upstream `{}`", self.name)))
            }
        }
    }
}

impl Upstream for Canned {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        Box::pin(self.answer(request))
    }

    fn is_at(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.at.as_ref().is_some_and(|at| at.is_at(scheme, host, port))
    }
}

impl Answer {
    fn new(given: &Given, span: Span, spec: GivenAnswer) -> Result<Answer, Diagnostics> {
        let said = spec.status.is_some() || !spec.headers.is_empty() || spec.json.is_some() || spec.text.is_some();
        if spec.json.is_some() && spec.text.is_some() {
            return Err(at(given, span, String::from("this answer has two bodies"), "`json` or `text`"));
        }
        let down = spec.down.is_some_and(|down| down.0);
        let fault = spec.fail.map(|fail| fail.0).or(down.then_some(Fault::Unreachable));
        if let Some(fault) = fault {
            if said {
                let help = "a failure alone, or an answer without one";
                return Err(at(given, span, String::from("this answers and fails at once"), help));
            }
            return Ok(Answer::Fault(fault));
        }
        let mut headers = HeaderMap::new();
        let body = match (spec.json, spec.text) {
            (Some(json), _) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                json.to_string()
            }
            (None, text) => text.unwrap_or_default(),
        };
        for (name, value) in spec.headers.into_entries() {
            let bad = || {
                at(given, value.span, format!("`{}` cannot be a header with this value", name.value), "visible ASCII")
            };
            let name = HeaderName::from_bytes(name.value.as_bytes()).map_err(|_| bad())?;
            headers.insert(name, HeaderValue::from_str(&value.value).map_err(|_| bad())?);
        }
        let status = match spec.status.map(|status| status.0) {
            None => StatusCode::OK,
            Some(status) => StatusCode::from_u16(status.value)
                .map_err(|_| at(given, status.span, format!("{} is no status", status.value), "from 200 to 599"))?,
        };
        Ok(Answer::Response { status, headers, body })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Timeout => "timeout",
            Fault::Unreachable => "unreachable",
            Fault::Malformed => "malformed",
            Fault::Full => "full",
        })
    }
}

impl<'de> Deserialize<'de> for GivenAnswers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = GivenAnswers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an answer, or a list of answers")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GivenAnswers, A::Error> {
                let answer = GivenAnswer::deserialize(MapAccessDeserializer::new(map))?;
                Ok(GivenAnswers::Always(Box::new(answer)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<GivenAnswers, A::Error> {
                let mut answers = Vec::new();
                while let Some(answer) = seq.next_element()? {
                    answers.push(answer);
                }
                Ok(GivenAnswers::InOrder(answers))
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

impl JsonSchema for GivenAnswers {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GivenAnswers".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<GivenAnswer>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
