//! Checks folders beside the conversation: a thread of its own, which always takes the newest texts.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use policy::diagnostic::SourceFile;
use server::{Look, Options, TestChoice};

/// A folder to check.
pub(super) struct Job {
    pub(super) options: Options,
    /// The open texts, by path within the folder.
    pub(super) texts: BTreeMap<String, Arc<SourceFile>>,
    /// Policies that were saved: their tests are run too, where the files are right.
    pub(super) saved: Vec<String>,
    /// Counts up with every change of the folder.
    pub(super) round: u64,
}

/// What came of it.
pub(super) struct Done {
    pub(super) root: PathBuf,
    pub(super) round: u64,
    /// None where the check came to nothing, which was told on standard error.
    pub(super) look: Option<Look>,
}

/// What is to be done and what is done. At most one of each for a folder: a newer job takes the place of one that waits.
#[derive(Default)]
struct Shared {
    jobs: BTreeMap<PathBuf, Job>,
    working: Option<PathBuf>,
    done: BTreeMap<PathBuf, Done>,
}

/// The thread's other end.
#[derive(Clone, Default)]
pub(super) struct Worker(Arc<(Mutex<Shared>, Condvar)>);

impl Worker {
    /// Starts the thread; `wake` is called whenever a check is done. It ends with the process.
    pub(super) fn start(wake: impl Fn() + Send + 'static) -> std::io::Result<Worker> {
        let worker = Worker::default();
        let own = worker.clone();
        super::thread("checks", move || {
            loop {
                own.work();
                wake();
            }
        })?;
        Ok(worker)
    }

    /// Has a folder checked.
    pub(super) fn submit(&self, root: PathBuf, job: Job) {
        self.shared().jobs.insert(root, job);
        self.0.1.notify_all();
    }

    /// All that is done since it was last asked.
    pub(super) fn done(&self) -> Vec<Done> {
        std::mem::take(&mut self.shared().done).into_values().collect()
    }

    /// Waits until nothing of this folder is left to do.
    pub(super) fn wait(&self, root: &Path) {
        let busy = |shared: &mut Shared| shared.jobs.contains_key(root) || shared.working.as_deref() == Some(root);
        drop(self.0.1.wait_while(self.shared(), busy).unwrap_or_else(PoisonError::into_inner));
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a job, and does it.
    fn work(&self) {
        let idle = |shared: &mut Shared| shared.jobs.is_empty();
        let mut shared = self.0.1.wait_while(self.shared(), idle).unwrap_or_else(PoisonError::into_inner);
        let Some((root, job)) = shared.jobs.pop_first() else { return };
        shared.working = Some(root.clone());
        drop(shared);
        let look = catch_unwind(AssertUnwindSafe(|| check(&job))).ok();
        let mut shared = self.shared();
        shared.working = None;
        shared.done.insert(root.clone(), Done { root, round: job.round, look });
        self.0.1.notify_all();
    }
}

/// The check, and the tests of the policies that were saved. Those run on the files as they were saved.
fn check(job: &Job) -> Look {
    let mut look = server::look(&job.options, &job.texts);
    if job.saved.is_empty() || look.diagnostics.has_errors() {
        return look;
    }
    let choice = TestChoice { policies: job.saved.clone(), ..TestChoice::default() };
    let Ok(report) = crate::block_on(server::test(&job.options, &choice)) else { return look };
    let failures = report.tests.into_iter().filter_map(|test| test.failure);
    look.diagnostics.extend(failures.collect());
    look.diagnostics = std::mem::take(&mut look.diagnostics).sorted();
    look
}
