//! A test, read and checked: what the runner works with.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde_json::Value as Json;

use super::file::{ExpectedOutcome, ExpectedRecords};
use crate::diagnostic::{Place, SourceFile};
use crate::exchange::ClientCertificate;
use crate::reader::Table;
use crate::selector::JsonPath;
use crate::settings::Spanned;

/// One test of a policy. A test with `cases` is one for each of them.
pub struct Test {
    /// The policy it is a test of.
    pub policy: String,
    /// What it says: its `name`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// The case that it was made for.
    pub(super) case: Option<Place>,
    /// What there is before the first request.
    pub given: Given,
    pub(super) steps: Vec<Step>,
}

impl Test {
    /// All that it says is given: before the first request, and before later ones.
    pub fn given(&self) -> impl Iterator<Item = &Given> {
        std::iter::once(&self.given).chain(self.steps.iter().filter_map(|step| step.given.as_ref()))
    }
}

/// What there is before a request: clients, tokens, upstreams' answers, the time. Only the world knows what these mean.
pub struct Given {
    /// The file, for places.
    pub file: Arc<SourceFile>,
    /// The table `given`; empty where the test has none.
    pub table: Table,
}

/// One request of a test and what is to come of it.
pub(super) struct Step {
    /// Where it stands: the test itself where that has no steps.
    pub(super) place: Place,
    /// Which of several it is, from 1.
    pub(super) number: Option<usize>,
    pub(super) advance: Option<Duration>,
    /// How often the request is sent.
    pub(super) times: u32,
    /// What is otherwise since the step before.
    pub(super) given: Option<Given>,
    /// The policy that the request is for.
    pub(super) policy: String,
    /// A request is routed; one for a policy without a route is handed to it.
    pub(super) routed: bool,
    /// The listener that the policy is bound to.
    pub(super) listener: Option<String>,
    pub(super) request: TestRequest,
    pub(super) expect: Expect,
    pub(super) keep: Vec<(String, Keep)>,
}

/// The request to send. Kept values are not in its texts yet.
pub(super) struct TestRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) basic: Option<(String, String)>,
    pub(super) bearer: Option<String>,
    pub(super) from: Option<IpAddr>,
    pub(super) secure: bool,
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    pub(super) body: TestBody,
}

pub(super) enum TestBody {
    None,
    Form(Vec<(String, String)>),
    Json(Json),
    Text(String),
}

/// What is to come of a request.
#[derive(Default)]
pub(super) struct Expect {
    pub(super) status: Option<u16>,
    pub(super) outcome: Option<ExpectedOutcome>,
    pub(super) reason: Option<String>,
    /// The end of the way.
    pub(super) path: Vec<String>,
    pub(super) message: Message,
    /// Selectors, and what they read; `None` where there is to be nothing.
    pub(super) attributes: Vec<(Spanned<String>, Option<Json>)>,
    /// By store.
    pub(super) stores: Vec<(Spanned<String>, ExpectedRecords)>,
    /// By upstream, the requests in their order.
    pub(super) upstreams: Vec<(Spanned<String>, Vec<Forwarded>)>,
    /// What filters told.
    pub(super) told: Option<Vec<String>>,
}

/// What is expected of a message, an answer or a request that was forwarded.
#[derive(Default)]
pub(super) struct Message {
    /// `None` where the header is to be absent.
    pub(super) headers: Vec<(HeaderName, Option<String>)>,
    /// The query as it is written, and what it finds; `None` where it is to find nothing.
    pub(super) json: Vec<(String, JsonPath, Option<Json>)>,
    pub(super) text: Option<String>,
}

/// What is expected of a request that reached an upstream.
pub(super) struct Forwarded {
    pub(super) method: Option<Method>,
    /// With the query where a `?` stands in it.
    pub(super) path: Option<String>,
    pub(super) message: Message,
}

/// Where a value is kept from.
pub(super) enum Keep {
    Json(JsonPath),
    Header(HeaderName),
    Cookie(String),
    Location(String),
    /// The value of a page's form field.
    Field(String),
    Text,
}

/// A header's value, checked where no kept value is in it yet.
pub(super) fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

impl Expect {
    pub(super) fn is_empty(&self) -> bool {
        let answer = self.status.is_none() && self.message.is_empty();
        let run = self.outcome.is_none() && self.reason.is_none() && self.path.is_empty();
        answer
            && run
            && self.told.is_none()
            && self.attributes.is_empty()
            && self.stores.is_empty()
            && self.upstreams.is_empty()
    }
}

impl Message {
    pub(super) fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.json.is_empty() && self.text.is_none()
    }
}
