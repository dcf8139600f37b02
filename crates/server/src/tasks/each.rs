//! One task for each data source.

use std::future::Future;
use std::sync::Arc;

use store::guard::Guarded;
use tokio::task::JoinHandle;

use super::spawn;

/// The tasks that run, and for which source.
#[derive(Default)]
pub(super) struct Each(Vec<(Arc<Guarded>, JoinHandle<()>)>);

impl Each {
    /// Starts one for this source, unless there is one that runs. One that ended, be it by a panic, is in nobody's way.
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        source: &Arc<Guarded>,
        task: impl FnOnce(Arc<Guarded>) -> F,
    ) {
        self.0.retain(|(_, running)| !running.is_finished());
        if !self.0.iter().any(|(known, _)| Arc::ptr_eq(known, source)) {
            self.0.push((source.clone(), spawn(task(source.clone()))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn one_at_a_time_and_another_after_its_end() {
        let source = || Arc::new(Guarded::new("memory", Arc::new(store::sources::memory::Memory::new())));
        let (source, other) = (source(), source());
        let (mut each, begun) = (Each::default(), Arc::new(AtomicUsize::new(0)));
        let hangs = |_| {
            let begun = begun.clone();
            async move {
                begun.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            }
        };
        each.start(&source, |_| async { panic!("on purpose") });
        crate::tests::eventually("another is started after the panic", async || {
            each.start(&source, hangs);
            begun.load(Ordering::Relaxed) == 1
        })
        .await;
        each.start(&source, |_| async { panic!("one runs already") });
        each.start(&other, hangs);
        crate::tests::eventually("another source is not held up", async || begun.load(Ordering::Relaxed) == 2).await;
        assert_eq!(each.0.len(), 2);
    }
}
