//! What a form of ours carries, so that a request goes on where it was: nothing is kept on a node meanwhile.
//!
//! The authorization request is sealed into the form, with the hash of a cookie that the browser was given beside it. A form that comes
//! back without that cookie was sent by somebody else's page (cross-site request forgery), or the browser has no cookies.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::SET_COOKIE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use ::oauth::Error;
use ::oauth::authorization::Parameters;
use policy::exchange::HeaderEdit;
use policy::{Exchange, Reason, ReasonCode};
use store::seal::{Place, Sealer};
use store::{StoreError, hex};

use super::attributes::Visit;
use super::stop::refused;
use crate::host_cookie;

/// A form that is not ours, was open for too long, or came without its cookie.
pub(super) const FORM_EXPIRED: ReasonCode = ReasonCode::new("form-expired");

/// The form's field; of the query, where a browser comes back from elsewhere.
pub(super) const FIELD: &str = "resume";

/// `__Host-`: no neighbour under the same domain can set it.
const COOKIE: &str = "__Host-portcullis-form";

/// Seconds for which a form may be left open.
const OPEN: u64 = 1_800;

/// What a form is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    /// The user is to log in.
    Login,
    /// The user went to log in elsewhere.
    Away,
    /// This user is to agree.
    Consent(String),
    /// A user is to type the code of a device.
    UserCode,
    /// Whether the device with this code may act for this user.
    Decide(String, String),
    /// Whoever is logged in may log out.
    LogOut,
    /// This user may take back what was granted.
    Withdraw(String),
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Resume {
    /// The parameters of the request.
    pub(super) parameters: Vec<(String, String)>,
    /// When it began, Unix seconds.
    pub(super) began: u64,
    /// What the form is for.
    pub(super) step: Step,
    /// Unix seconds.
    expires_at: u64,
    /// The SHA-256 of the cookie beside the form, in hexadecimal digits.
    cookie: String,
}

fn place<'a>() -> Place<'a> {
    Place { store: "oauth.authorize", key: b"", column: FIELD }
}

/// Seals a request into a form; the answer sets the cookie that goes with it, where the browser has none.
pub(super) fn seal(
    exchange: &mut Exchange,
    sealer: &Sealer,
    parameters: Vec<(String, String)>,
    began: u64,
    step: Step,
    now: u64,
) -> Result<String, StoreError> {
    let is_ours = |value: &str| URL_SAFE_NO_PAD.decode(value).is_ok_and(|bytes| bytes.len() == 32);
    let cookie = match exchange.request.cookie(COOKIE).filter(|value| is_ours(value)) {
        Some(cookie) => cookie.to_owned(),
        None => {
            let cookie = URL_SAFE_NO_PAD.encode(exchange.random::<32>());
            let set = host_cookie::set(COOKIE, &cookie, None).unwrap_or_else(|_| HeaderValue::from_static(""));
            exchange.edit_response_header(HeaderEdit::Append(SET_COOKIE, set));
            cookie
        }
    };
    let resume = Resume { parameters, began, step, expires_at: now.saturating_add(OPEN), cookie: hash(&cookie) };
    let plain =
        serde_json::to_vec(&resume).map_err(|why| StoreError::Broken(format!("a form cannot be written: {why}")))?;
    sealer.seal(&plain, &place())
}

/// The visit that a request goes on with, by a form of ours, or begins: with its query, or with what a client posts.
pub(super) fn visit(exchange: &Exchange, sealer: &Sealer, now: u64) -> Result<Visit, Reason> {
    if let Some(resume) = carried(exchange, sealer, now)? {
        return Ok(Visit::of(resume));
    }
    let request = &exchange.request;
    let sent = match request.method {
        http::Method::POST => request.form()?,
        _ => request.query_form()?,
    };
    Ok(Visit { parameters: Parameters::of(sent.iter()), began: now, form: None })
}

/// What the form of ours carries that came with a request, where one did.
fn carried(exchange: &Exchange, sealer: &Sealer, now: u64) -> Result<Option<Resume>, Reason> {
    let request = &exchange.request;
    let posted = request.method == http::Method::POST;
    let sent = if posted { request.form()? } else { request.query_form()? };
    let Some(sealed) = sent.get(FIELD) else { return Ok(None) };
    let told = "The form was open for too long, or your browser keeps no cookies: go back and begin again";
    let expired = || Reason { code: FORM_EXPIRED, ..refused(Error::invalid_request(told)) };
    // A link decides nothing: what a browser comes back with is where it was, and no more.
    let fits = |resume: &Resume| posted != (resume.step == Step::Away);
    open(exchange, sealer, sealed, now).filter(fits).map(Some).ok_or_else(expired)
}

/// What stands in a form that came back; none where it is not ours, was open for too long, or came without its cookie.
fn open(exchange: &Exchange, sealer: &Sealer, sealed: &str, now: u64) -> Option<Resume> {
    let plain = sealer.open(sealed, &place()).ok()?;
    let resume: Resume = serde_json::from_slice(&plain).ok()?;
    let cookie = hash(exchange.request.cookie(COOKIE)?);
    let same: bool = cookie.as_bytes().ct_eq(resume.cookie.as_bytes()).into();
    (same && now < resume.expires_at).then_some(resume)
}

fn hash(cookie: &str) -> String {
    hex(Sha256::digest(cookie))
}
