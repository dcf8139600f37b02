//! Everything that the files' own tests need to run, any number of times: the tests, the files, and the shape of the stores and
//! upstreams that a world stands in for.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use policy::Diagnostics;
use policy::compile::{Compiled, Input, NodeFacts};
use policy::filter::{Keeper, Library};
use policy::reader::Files;
use policy::testing::{Stage, Test};

use super::outside::Recorder;
use super::world::{GivenProviders, GivenUpstreams, Shape, TestWorld, providers, shape, upstreams};
use super::{Draft, facts};
use crate::options::Options;
use crate::testing::TestOutcome;
use crate::{clock, tasks};

/// Everything that the files' own tests need to run.
pub(crate) struct TestBed {
    /// All tests of all files, in the order of the files.
    pub(crate) tests: Vec<Test>,
    files: Arc<Files>,
    outside: Arc<Recorder>,
    facts: NodeFacts,
    library: Library,
    stores: Shape,
    upstreams: GivenUpstreams,
    providers: GivenProviders,
    dir: PathBuf,
    /// Where the draft was compiled against a world already.
    ready: Mutex<Option<Stage<TestWorld>>>,
}

/// How policies are compiled for tests: as the node does it, or with a change.
pub(crate) type Compile = Arc<dyn Fn(Input<'_>) -> Compiled + Send + Sync>;

/// As the node does it.
pub(crate) fn unchanged() -> Compile {
    UNCHANGED.clone()
}

static UNCHANGED: LazyLock<Compile> = LazyLock::new(|| Arc::new(policy::compile::compile));

impl TestBed {
    /// A stage's clock is set forward between tests, and comes to its end: 64 bits of nanoseconds.
    pub(crate) const MOST_ON_A_STAGE: usize = 4_000;

    /// What the files of a draft say, and what is wrong with their tests. Tests that are wrong are left out.
    pub(crate) fn new(draft: &Draft, options: &Options) -> (TestBed, Diagnostics) {
        let (tests, problems) = policy::testing::tests_in(&draft.reading.files, &draft.documents);
        let world = draft.world.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ready = draft.program.clone().zip(world);
        let bed = TestBed {
            ready: Mutex::new(ready.map(|(program, world)| Stage {
                program,
                files: draft.reading.files.clone(),
                world,
            })),
            tests,
            files: draft.reading.files.clone(),
            outside: draft.reading.outside.clone(),
            facts: facts(&draft.reading.settings, None),
            library: options.library,
            stores: shape(&draft.stores),
            upstreams: upstreams(&draft.upstreams),
            providers: providers(&draft.reading.settings),
            dir: options.dir.clone(),
        };
        (bed, problems)
    }

    /// A world of its own, and the policies compiled against it. An error is one of the files, or of the change.
    pub(crate) fn stage(&self, compile: &Compile) -> Result<Stage<TestWorld>, Diagnostics> {
        let (world, things) = TestWorld::new(&self.stores, &self.upstreams, &self.providers, &self.dir);
        let compiled = compile(Input {
            files: &self.files,
            library: self.library,
            resources: &things,
            keeper: &Keeper::default(),
            outside: &*self.outside,
            node: &self.facts,
            generation: 1,
        });
        match compiled.program {
            Some(program) => Ok(Stage { program, files: self.files.clone(), world }),
            None => Err(compiled.diagnostics),
        }
    }

    /// The stage that is there already, else a new one.
    fn first_stage(&self, compile: &Compile) -> Result<Stage<TestWorld>, Diagnostics> {
        let ready = || self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        match Arc::ptr_eq(compile, &UNCHANGED).then(ready).flatten() {
            Some(stage) => Ok(stage),
            None => self.stage(compile),
        }
    }

    /// Runs the tests of these indices, `workers` of them at a time, each worker on a stage of its own and on a thread that serves
    /// no requests, for no longer than `limit`. The outcomes stand in the order of the indices, whoever was faster.
    pub(crate) async fn run(
        self: &Arc<Self>,
        tests: Vec<usize>,
        compile: &Compile,
        workers: usize,
        limit: Option<Duration>,
    ) -> Result<Ran, Diagnostics> {
        let queue = Arc::new(Queue { outcomes: Mutex::new(Vec::new()), next: AtomicUsize::new(0), tests });
        let workers = (0..workers.clamp(1, queue.tests.len().max(1))).map(|_| {
            let (bed, queue, compile) = (self.clone(), queue.clone(), compile.clone());
            tasks::blocking(move || {
                let runtime = tokio::runtime::Handle::current();
                let work = async { bed.work(&queue, &compile).await };
                match limit {
                    None => runtime.block_on(work).map(|()| true),
                    Some(limit) => runtime.block_on(async {
                        tokio::time::timeout(limit, work).await.map_or(Ok(false), |done| done.map(|()| true))
                    }),
                }
            })
        });
        let ended = futures_util::future::join_all(workers).await;
        let mut to_the_end = true;
        for finished in ended {
            to_the_end &= finished?;
        }
        Ok(Ran { outcomes: queue.outcomes(), to_the_end })
    }

    /// One worker: it takes tests until there are none.
    async fn work(&self, queue: &Queue, compile: &Compile) -> Result<(), Diagnostics> {
        let clock = clock::environment().clock;
        let mut stage = self.first_stage(compile)?;
        let mut ran = 0;
        while let Some((place, test)) = queue.take() {
            if ran == Self::MOST_ON_A_STAGE {
                stage = self.stage(compile)?;
                ran = 0;
            }
            ran += 1;
            let test = &self.tests[test];
            let began = clock.monotonic_nanos();
            let verdict = stage.run(test).await;
            queue.done(
                place,
                TestOutcome {
                    policy: test.policy.clone(),
                    name: test.name.clone(),
                    took: Duration::from_nanos(clock.monotonic_nanos().saturating_sub(began)),
                    failure: verdict.failure,
                    decisions: verdict.decisions,
                },
            );
            // So that the time limit is looked at.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// What came of tests.
pub(crate) struct Ran {
    /// Of those that ended.
    pub(crate) outcomes: Vec<TestOutcome>,
    /// Whether all of them did.
    pub(crate) to_the_end: bool,
}

/// The tests that nobody took yet, and what came of the others.
struct Queue {
    tests: Vec<usize>,
    next: AtomicUsize,
    outcomes: Mutex<Vec<(usize, TestOutcome)>>,
}

impl Queue {
    /// The next test: its place in the queue, and its index in the bed.
    fn take(&self) -> Option<(usize, usize)> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        self.tests.get(place).map(|test| (place, *test))
    }

    fn done(&self, place: usize, outcome: TestOutcome) {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((place, outcome));
    }

    fn outcomes(&self) -> Vec<TestOutcome> {
        let mut outcomes = std::mem::take(&mut *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        outcomes.sort_by_key(|(place, _)| *place);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}
