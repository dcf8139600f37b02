//! Everything that runs beside requests. The only module, with the listeners, that starts tasks.

mod certificates;
mod check;
mod each;
mod heartbeat;
mod keys;
mod moves;
mod purge;
mod sources;

use std::future::Future;

use tokio::task::JoinHandle;

pub(crate) use certificates::keep_certificates;
pub(crate) use check::check_source;
pub(crate) use heartbeat::{beat_always, say_farewell};
pub(crate) use keys::keep_keys;
pub(crate) use moves::watch_moves;
pub(crate) use purge::{purge_always, purge_source};
pub(crate) use sources::watch_sources;

/// Starts a task.
#[allow(clippy::disallowed_methods, reason = "this is the place that starts tasks")]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}

/// The same from where a runtime may be gone already, as where something is dropped: then it does not run.
#[allow(clippy::disallowed_methods, reason = "this is the place that starts tasks")]
pub(crate) fn spawn_if_running(future: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(future);
    }
}

/// Runs what takes the processor for long, or waits for a disk, beside the threads that serve.
#[allow(clippy::disallowed_methods, reason = "this is the place that starts tasks")]
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("work that has begun is never cancelled"),
        },
    }
}
