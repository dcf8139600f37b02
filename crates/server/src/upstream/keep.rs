//! What is done for an upstream beside its requests, for as long as a generation has it: names are looked up, targets are asked how
//! they are, idle connections that were closed are dropped.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Core, HttpUpstream, health};
use crate::tasks;

/// How often idle connections are looked at.
pub(super) const SWEEP: Duration = Duration::from_secs(5);

/// Starts it. The tasks end with the upstream.
pub(super) fn keep(upstream: &Arc<HttpUpstream>) {
    let core = &upstream.core;
    tasks::spawn(every(upstream, SWEEP, |core| async move { core.sweep() }));
    if core.has_names() {
        // What goes wrong is told there.
        tasks::spawn(every(upstream, core.settings.look_up, |core| async move { drop(core.look_up().await) }));
    }
    match &core.settings.health {
        Some(health) => {
            tasks::spawn(every(upstream, health.interval, |core| async move { health::check_all(&core).await }));
        }
        // Nobody asks any more, so nobody would find that they are well again.
        None => core.lineup.load().seats.iter().for_each(|seat| seat.endpoint.down.store(false, Ordering::Relaxed)),
    }
}

/// At once, and then again and again until the upstream is gone: a request that still goes on there does not hold it.
fn every<W, F>(upstream: &Arc<HttpUpstream>, pause: Duration, work: W) -> impl Future<Output = ()> + Send + use<W, F>
where
    W: Fn(Arc<Core>) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let upstream = Arc::downgrade(upstream);
    async move {
        while let Some(core) = upstream.upgrade().map(|upstream| upstream.core.clone()) {
            work(core).await;
            tokio::time::sleep(pause).await;
        }
    }
}
