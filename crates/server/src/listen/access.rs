//! The access log: one line a request, never a secret. The query is left out, since people put secrets there.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Version, header};
use policy::Request;
use policy::engine::{Attributes, Decision};
use policy::exchange::TraceContext;

use super::request::Refused;
use crate::load::{Generation, ServedRoute};
use crate::settings::{Access, AccessField, AccessFormat, AccessLines};
use crate::telling::Told;

/// What is noted of a request before its policy runs, which may change it.
pub(crate) struct About {
    /// Unix milliseconds.
    pub(crate) at: u64,
    pub(crate) id: Arc<str>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) scheme: &'static str,
    pub(crate) version: Version,
    pub(crate) client: IpAddr,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) user_agent: Option<String>,
    pub(crate) referer: Option<String>,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) outcome: &'static str,
    pub(crate) policy: Arc<str>,
    pub(crate) route: Arc<str>,
    pub(crate) refused: Option<Refusal>,
    pub(crate) nanos: u64,
    pub(crate) subject: Option<String>,
    pub(crate) client_id: Option<String>,
}

/// What is told of a refusal or a fault.
#[derive(Default)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) place: String,
    /// Of a fault: what happened, for whoever has to mend it.
    pub(crate) why: Option<String>,
}

impl About {
    pub(crate) fn new(request: &Request, at: u64, access: &Access, traced: bool) -> About {
        let asks = |field| traced || access.asks(field);
        let text = |name: &HeaderName, field| asks(field).then(|| first(&request.headers, name)).flatten();
        About {
            at,
            id: request.id.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            host: if asks(AccessField::Host) { request.host.clone() } else { String::new() },
            scheme: request.scheme,
            version: request.version,
            client: request.client,
            trace: request.trace.clone(),
            user_agent: text(&header::USER_AGENT, AccessField::UserAgent),
            referer: access.asks(AccessField::Referer).then(|| first(&request.headers, &header::REFERER)).flatten(),
        }
    }
}

fn first(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

impl Outcome {
    pub(crate) fn new(
        status: u16,
        nanos: u64,
        (policy, served): (&Arc<str>, &ServedRoute),
        generation: &Generation,
        decision: &Decision,
        attributes: &Attributes,
    ) -> Outcome {
        let refused = decision.refused().map(|_| {
            let explained = generation.program.explain(decision);
            let (reason, place) = explained.refused.unwrap_or_default();
            Refusal { reason, place, why: explained.why }
        });
        let access = &generation.settings.node.log.access;
        let read = |field, name, of| {
            let asked = access.asks(field);
            asked.then(|| generation.program.attribute(attributes, name, of)).flatten().map(|value| value.to_string())
        };
        Outcome {
            status,
            outcome: decision.outcome(),
            policy: policy.clone(),
            route: served.name.clone(),
            refused,
            nanos,
            subject: read(AccessField::Subject, "subject", "id"),
            client_id: read(AccessField::ClientId, "client", "id"),
        }
    }
}

impl Access {
    /// Whether a line has this field.
    fn asks(&self, field: AccessField) -> bool {
        let Access::Lines(AccessLines { format, fields, .. }) = self else { return false };
        match format {
            AccessFormat::Json => fields.contains(&field),
            AccessFormat::Common => matches!(field, AccessField::Subject | AccessField::ClientId),
            AccessFormat::Combined => {
                matches!(
                    field,
                    AccessField::Subject | AccessField::ClientId | AccessField::UserAgent | AccessField::Referer
                )
            }
        }
    }
}

/// Whether anything is to be noted for a line: asked before anything is gathered.
pub(super) fn wanted(generation: &Generation) -> bool {
    match generation.settings.node.log.access {
        Access::Off => false,
        Access::Log => tracing::enabled!(target: "access", tracing::Level::INFO),
        Access::Lines(_) => true,
    }
}

/// How a request ended.
#[derive(Clone, Copy)]
pub(super) enum Ended<'a> {
    /// It was answered, and this much of its body was sent; whether that was all of it.
    Answered(&'a Outcome, u64, bool),
    /// It was refused before any policy saw it.
    Refused(Refused),
    /// Its policy came to no end: what was answered, why in a word, nanoseconds.
    Failed(Refused, &'static str, u64),
    /// It was not answered, and this is why: there is no status, since nobody was sent one.
    Unanswered(&'static str, u64),
    /// Its connection switched protocols, and this ended it: bytes received and sent, nanoseconds.
    Switched(&'a Outcome, &'static str, (u64, u64), u64),
}

/// A line in the log: told as soon as there is an answer. What there is not is left out.
pub(super) fn log(about: Option<&About>, id: &str, listener: &str, ended: Ended<'_>, generation: u64) {
    let (status, outcome, nanos) = match ended {
        Ended::Answered(outcome, ..) => (Some(outcome.status), None, outcome.nanos),
        Ended::Refused(refused) => (Some(refused.status.as_u16()), None, 0),
        Ended::Failed(refused, why, nanos) => (Some(refused.status.as_u16()), Some(why), nanos),
        Ended::Unanswered(why, nanos) => (None, Some(why), nanos),
        Ended::Switched(outcome, why, _, nanos) => (Some(outcome.status), Some(why), nanos),
    };
    let answered = match ended {
        Ended::Answered(outcome, ..) | Ended::Switched(outcome, ..) => Some(outcome),
        _ => None,
    };
    let bytes = if let Ended::Switched(_, _, bytes, _) = ended { Some(bytes) } else { None };
    let refused = answered.and_then(|outcome| outcome.refused.as_ref());
    let detail = match ended {
        Ended::Refused(refused) | Ended::Failed(refused, ..) => Some(refused.detail),
        _ => None,
    };
    tracing::info!(
        target: "access",
        id,
        method = about.map(|about| about.method.as_str()),
        path = about.map(|about| about.path.as_str()),
        status,
        outcome,
        policy = answered.map(|outcome| &*outcome.policy).filter(|name| !name.is_empty()),
        reason = refused.map(|refused| refused.reason.as_str()).or(detail),
        place = refused.map(|refused| refused.place.as_str()),
        why = refused.and_then(|refused| refused.why.as_deref()),
        listener,
        generation,
        received = bytes.map(|(received, _)| received),
        sent = bytes.map(|(_, sent)| sent),
        micros = nanos / 1_000,
    );
}

/// A line in a log of its own: told once the answer is sent, since it says how many bytes that were.
pub(super) fn line(
    lines: &AccessLines,
    about: Option<&About>,
    id: &str,
    listener: &str,
    ended: Ended<'_>,
    generation: u64,
    now: u64,
) -> String {
    let mut told = Told { at: now, id, listener, generation, ..Told::default() };
    let trace = about.and_then(|about| about.trace.as_ref()).map(|trace| hex(&trace.trace_id));
    told.trace_id = trace.as_deref();
    if let Some(about) = about {
        told.at = about.at;
        told.client = Some(about.client);
        told.method = about.method.as_str();
        told.path = &about.path;
        told.host = &about.host;
        told.version = version(about.version);
        told.user_agent = about.user_agent.as_deref();
        told.referer = about.referer.as_deref();
    }
    match ended {
        Ended::Answered(outcome, bytes, whole) => {
            told.status = Some(outcome.status);
            told.outcome = if whole { outcome.outcome } else { "broken off" };
            told.policy = &outcome.policy;
            told.route = &outcome.route;
            told.micros = outcome.nanos / 1_000;
            told.bytes = bytes;
            told.subject = outcome.subject.as_deref();
            told.client_id = outcome.client_id.as_deref();
            if let Some(refused) = &outcome.refused {
                told.reason = &refused.reason;
                told.place = &refused.place;
                told.why = refused.why.as_deref().unwrap_or_default();
            }
        }
        Ended::Refused(refused) => {
            told.status = Some(refused.status.as_u16());
            told.outcome = "malformed";
            told.reason = refused.detail;
        }
        Ended::Failed(refused, why, nanos) => {
            told.status = Some(refused.status.as_u16());
            told.outcome = why;
            told.reason = refused.detail;
            told.micros = nanos / 1_000;
        }
        Ended::Switched(outcome, why, (_, sent), nanos) => {
            told.status = Some(outcome.status);
            told.outcome = why;
            told.policy = &outcome.policy;
            told.route = &outcome.route;
            told.bytes = sent;
            told.micros = nanos / 1_000;
            told.subject = outcome.subject.as_deref();
            told.client_id = outcome.client_id.as_deref();
        }
        Ended::Unanswered(why, nanos) => {
            told.outcome = why;
            told.micros = nanos / 1_000;
        }
    }
    told.line(lines)
}

/// As a request line has it.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
