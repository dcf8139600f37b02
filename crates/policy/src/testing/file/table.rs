//! The tables of a test as they stand in a file. What these types say is what may stand there: errors, the JSON Schema and the
//! documentation come from here.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::values::{Elsewhere, Expected, ExpectedHeader, ExpectedRecords, Named, OrCase, Scalar, Texts};
use crate::settings::{Duration, Method, Spanned, StatusCode};

/// A test of a policy: what there is, a request, and what is to come of it; or several steps of that.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestTable {
    /// What the test shows, in words. No two tests of a policy have the same.
    pub(super) name: Spanned<Scalar>,
    /// What there is before the first request: clients, tokens, upstreams' answers, stores that are down, the time.
    #[serde(default)]
    #[allow(dead_code, reason = "the world that a test runs in reads it; it stands here for the schema")]
    given: Elsewhere,
    /// The request. Method and path are those of the policy's first route where they are left out.
    pub(super) request: Option<RequestTable>,
    /// What is to come of it.
    pub(super) expect: Option<Spanned<ExpectTable>>,
    /// Steps, one after the other, in place of `request` and `expect`.
    #[serde(default)]
    pub(super) step: Vec<Spanned<StepTable>>,
    /// The test once for each of these tables: `${case.NAME}` in its texts stands for what the case has under that name.
    #[serde(default)]
    #[allow(dead_code, reason = "cases are put in before a test is read; they stand here for the schema")]
    cases: Vec<Named<Json>>,
}

/// One step of a test: what changed since the step before, a request, and what is to come of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepTable {
    /// The clock goes forward by this before the request.
    pub(super) advance: Option<OrCase<Duration>>,
    /// How often the request is sent, 1 to 10,000; each time is to go as expected. For limits. Default: 1.
    pub(super) times: Option<Spanned<u32>>,
    /// What is otherwise since the step before: as on the test. Clients replace those of the same id, upstreams those of the same name.
    #[serde(default)]
    #[allow(dead_code, reason = "the world that a test runs in reads it; it stands here for the schema")]
    pub(super) given: Elsewhere,
    /// The policy that the request is for. Default: the policy that the test stands in.
    pub(super) policy: Option<Spanned<Scalar>>,
    /// The request. Method and path are those of the policy's first route where they are left out.
    pub(super) request: Option<RequestTable>,
    /// What is to come of it.
    pub(super) expect: Option<Spanned<ExpectTable>>,
    /// What later steps use as `${kept.NAME}`: a JSONPath of the answer (`"$.access_token"`), `"header.NAME"`, `"cookie.NAME"` (as the
    /// answer sets it), `"location.NAME"` (a parameter in the query of the answer's `Location`), `"field.NAME"` (the value of a
    /// page's form field), `"text"` (the whole body).
    #[serde(default)]
    pub(super) keep: Named<String>,
}

/// The request that a test sends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestTable {
    /// Default: the method of the policy's first route; without one, `GET`, or `POST` where there is a body.
    pub(super) method: Option<OrCase<Method>>,
    /// The path, perhaps with a query. Default: the path of the policy's first route.
    pub(super) path: Option<Spanned<Scalar>>,
    /// Parameters of the query; a list repeats its name.
    #[serde(default)]
    pub(super) query: Named<Texts>,
    /// Headers; a list repeats its name.
    #[serde(default)]
    pub(super) headers: Named<Texts>,
    /// A form as the body; a list repeats its name.
    pub(super) form: Option<Spanned<Named<Texts>>>,
    /// JSON as the body.
    pub(super) json: Option<Spanned<Json>>,
    /// Text as the body.
    pub(super) text: Option<Spanned<Scalar>>,
    /// A user and a password, or a client's id and secret, as HTTP Basic: `["app", "secret"]`.
    pub(super) basic: Option<Spanned<Vec<Scalar>>>,
    /// A bearer token: the word of a token that is given, or the token itself.
    pub(super) bearer: Option<Spanned<Scalar>>,
    /// The address that the connection comes from. Default: `127.0.0.1`.
    pub(super) from: Option<Spanned<Scalar>>,
    /// `"https"` where it comes over TLS. Default: `"http"`.
    pub(super) scheme: Option<Spanned<Scalar>>,
    /// The certificate that the client proves itself with, over TLS then.
    pub(super) certificate: Option<CertificateTable>,
}

/// A client's certificate, as the listener has checked it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::testing) struct CertificateTable {
    /// The subject's distinguished name: `"CN=app,O=Partner"`.
    pub(super) subject: String,
    /// The issuer's distinguished name.
    pub(super) issuer: String,
    /// The subject's common name.
    pub(super) common_name: Option<String>,
    /// The serial number, in hexadecimal digits.
    pub(super) serial: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub(super) sha256: String,
    /// Names of hosts among its alternative names.
    pub(super) dns_names: Vec<String>,
    /// URIs among its alternative names.
    pub(super) uris: Vec<String>,
    /// Addresses of mail among its alternative names.
    pub(super) emails: Vec<String>,
    /// IP addresses among its alternative names.
    pub(super) ip_addresses: Vec<String>,
}

/// What is to come of a request. All of it must hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectTable {
    /// The answer's status.
    pub(super) status: Option<OrCase<StatusCode>>,
    /// How the policy ended.
    pub(super) outcome: Option<OrCase<ExpectedOutcome>>,
    /// The reason code of the refusal or fault that was answered, as the access log has it.
    pub(super) reason: Option<Spanned<Scalar>>,
    /// The last steps that ran, each with its outcome: `"NAME:outcome"`.
    pub(super) path: Option<Spanned<Vec<Spanned<Scalar>>>>,
    /// Headers of the answer.
    #[serde(default)]
    pub(super) headers: Named<ExpectedHeader>,
    /// Values in the answer's JSON, by JSONPath.
    #[serde(default)]
    pub(super) json: Named<Expected>,
    /// The whole body of the answer.
    pub(super) text: Option<Spanned<Scalar>>,
    /// Values that a selector reads at the end of the run, without `${` and `}`: `"token.scopes"`, `"vars.tier"`.
    #[serde(default)]
    pub(super) attributes: Named<Expected>,
    /// What stores hold at the end, by the store's name.
    #[serde(default)]
    pub(super) stores: Named<ExpectedRecords>,
    /// The requests that reached upstreams, in their order, by the upstream's name; an empty list where none did.
    #[serde(default)]
    pub(super) upstreams: Named<Vec<ForwardedTable>>,
    /// What filters told, in their order, a line each; an empty list where they told nothing: `"log info MESSAGE {FIELDS}"`, `"audit WHO ACTION OF {FIELDS}"`,
    /// `"metric NAME LABEL=VALUE AMOUNT"`, and last of all, by `trace-point`, `"trace NAME=VALUE"`.
    pub(super) told: Option<Vec<Spanned<Scalar>>>,
}

/// How a policy ends.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExpectedOutcome {
    /// Its main chain came to its end.
    Success,
    /// A filter answered.
    Answered,
    /// A filter refused, and nothing took the failure.
    Failure,
    /// A fault: a store that is down, an upstream that is silent.
    Abort,
}

impl ExpectedOutcome {
    /// The word.
    pub(in crate::testing) fn as_str(self) -> &'static str {
        match self {
            ExpectedOutcome::Success => "success",
            ExpectedOutcome::Answered => "answered",
            ExpectedOutcome::Failure => "failure",
            ExpectedOutcome::Abort => "abort",
        }
    }
}

/// A request that is to have reached an upstream. What is left out is not looked at.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardedTable {
    /// Its method.
    pub(super) method: Option<OrCase<Method>>,
    /// Its path; with the query, where a `?` stands in it.
    pub(super) path: Option<Spanned<Scalar>>,
    /// Its headers.
    #[serde(default)]
    pub(super) headers: Named<ExpectedHeader>,
    /// Values in its JSON, by JSONPath.
    #[serde(default)]
    pub(super) json: Named<Expected>,
    /// Its whole body.
    pub(super) text: Option<Spanned<Scalar>>,
}
