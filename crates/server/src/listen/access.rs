//! The access log: one line a request, never a secret. The query is left out, since people put secrets there.

use http::{Method, StatusCode};
use policy::engine::Decision;

use super::upgrade::Told as Upgraded;
use crate::load::Generation;

/// What stands in the line beside the decision.
pub(super) struct Line<'a> {
    pub(super) id: &'a str,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) listener: &'a str,
    pub(super) ended: Ended,
    pub(super) nanos: u64,
}

/// How a request ended.
pub(super) enum Ended {
    /// It was answered.
    Status(StatusCode),
    /// It was not, and this is why: there is no status, since nobody was sent one.
    Unanswered(&'static str),
}

/// What is told of a refusal or a fault.
#[derive(Clone, Copy, Default)]
struct Told<'a> {
    reason: Option<&'a str>,
    place: Option<&'a str>,
    /// Of a fault: what happened, for whoever has to mend it.
    why: Option<&'a str>,
}

/// Whether lines are wanted: asked before anything is gathered for one.
pub(super) fn wanted(generation: &Generation) -> bool {
    generation.settings.node.log.access && tracing::enabled!(target: "access", tracing::Level::INFO)
}

/// A request that a policy, or the router, answered.
pub(super) fn answered(line: &Line<'_>, policy: &str, generation: &Generation, decision: &Decision) {
    let explained = decision.refused().map(|_| generation.program.explain(decision));
    let refused = explained.as_ref().and_then(|explained| explained.refused.as_ref());
    let told = Told {
        reason: refused.map(|(reason, _)| reason.as_str()),
        place: refused.map(|(_, place)| place.as_str()),
        why: explained.as_ref().and_then(|explained| explained.why.as_deref()),
    };
    write(line, Some(policy).filter(|name| !name.is_empty()), told, generation.number);
}

/// A request that no policy saw.
pub(super) fn unserved(line: &Line<'_>, reason: &str, generation: u64) {
    write(line, None, Told { reason: Some(reason), ..Told::default() }, generation);
}

/// A request that ended before there was an answer.
pub(super) fn unanswered(line: &Line<'_>, generation: u64) {
    write(line, None, Told::default(), generation);
}

/// A connection that switched protocols, at its end.
pub(super) fn upgraded(told: &Upgraded, method: &Method, path: &str, outcome: &str, bytes: (u64, u64), nanos: u64) {
    let (received, sent) = bytes;
    tracing::info!(
        target: "access",
        id = &*told.id,
        method = method.as_str(),
        path,
        status = StatusCode::SWITCHING_PROTOCOLS.as_u16(),
        outcome,
        policy = &*told.policy,
        listener = &*told.listener,
        generation = told.generation,
        received,
        sent,
        micros = nanos / 1_000,
    );
}

/// What there is not is left out of the line.
fn write(line: &Line<'_>, policy: Option<&str>, told: Told<'_>, generation: u64) {
    let (status, outcome) = match line.ended {
        Ended::Status(status) => (Some(status.as_u16()), None),
        Ended::Unanswered(why) => (None, Some(why)),
    };
    tracing::info!(
        target: "access",
        id = line.id,
        method = line.method.as_str(),
        path = line.path,
        status,
        outcome,
        policy,
        reason = told.reason,
        place = told.place,
        why = told.why,
        listener = line.listener,
        generation,
        micros = line.nanos / 1_000,
    );
}
