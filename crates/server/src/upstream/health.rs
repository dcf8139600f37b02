//! Targets are asked how they are, beside requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderValue, Request, StatusCode, header};
use policy::Body;
use policy::ports::Fields;

use super::attempt::{Answered, Attempt};
use super::endpoint::{Endpoint, Terms};
use super::outgoing::Outgoing;
use super::settings::{Health, Limits};
use super::{Core, Going};

/// The most of an answer that is read, so that its connection can be kept.
const MOST: usize = 64 * 1024;

/// Asks every address once, all at the same time.
pub(super) async fn check_all(core: &Arc<Core>) {
    let Some(health) = &core.settings.health else { return };
    let lineup = core.lineup.load_full();
    let checks = lineup.seats.iter().map(|seat| async {
        // They are not asked all in one moment, and not by all nodes in the same.
        tokio::time::sleep(core.chooser.jitter(health.interval / 10)).await;
        let why = tokio::time::timeout(health.timeout, ask(core, health, &seat.endpoint)).await;
        let why = why.unwrap_or_else(|_| Err(String::from("it was silent for too long (`health.timeout`)")));
        note(core, health, &seat.endpoint, why);
    });
    futures_util::future::join_all(checks).await;
}

/// Asks; an error says what is bad.
async fn ask(core: &Arc<Core>, health: &Health, endpoint: &Arc<Endpoint>) -> Result<(), String> {
    let going = Going::unjudged(core.clone(), endpoint.clone());
    let mut request = Request::new(Body::Empty);
    *request.uri_mut() = health.path.parse().unwrap_or_default();
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("portcullis-health"));
    if let Some(host) = health.host.as_ref().and_then(|host| HeaderValue::from_str(host).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let (mut request, facts) = Outgoing::new(request, Fields::default());
    // How a target is does not depend on how much goes on there: a check has a place beyond the limits of requests.
    let limits = Limits { connections: u32::MAX, streams: u32::MAX, ..core.settings.limits };
    let terms = Terms { limits: &limits, ..core.terms() };
    let attempt = Attempt { endpoint, terms, facts: &facts, limit: health.timeout, repeatable: true };
    let sent = attempt.send(&mut request).await;
    let Answered { head, carrier, .. } = sent.map_err(|failed| failed.error.to_string())?;
    let answer = core.answer(head, carrier, going, None, None).map_err(|error| error.to_string())?;
    let (head, body) = answer.into_parts();
    if !is_expected(health, head.status) {
        return Err(format!("it answered {}", head.status.as_u16()));
    }
    // A long answer is as good: no more of it is read.
    match body.collect(MOST).await {
        Ok(_) | Err(policy::exchange::BodyError::TooLarge) => Ok(()),
        Err(policy::exchange::BodyError::Broken(why)) => Err(why),
    }
}

fn is_expected(health: &Health, status: StatusCode) -> bool {
    health.expect.iter().any(|(first, last)| (*first..=*last).contains(&status.as_u16()))
}

/// Notes an answer; several in a row that say the same change what is known.
fn note(core: &Core, health: &Health, endpoint: &Endpoint, answer: Result<(), String>) {
    let down = endpoint.down.load(Ordering::Relaxed);
    if answer.is_ok() != down {
        endpoint.streak.store(0, Ordering::Relaxed);
        return;
    }
    let streak = endpoint.streak.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if streak < if down { health.healthy } else { health.unhealthy } {
        return;
    }
    endpoint.streak.store(0, Ordering::Relaxed);
    endpoint.down.store(!down, Ordering::Relaxed);
    let (upstream, target, address) = (&*core.name, &endpoint.url, endpoint.address);
    match answer {
        Ok(()) => {
            endpoint.record.comes_back(core.clock.monotonic_nanos());
            tracing::info!(upstream, target, %address, "the target is well again");
        }
        Err(why) => tracing::warn!(upstream, target, %address, "the target is not well: {why}"),
    }
}
