//! Carries a test out: arranges the world, sends its requests, compares, and says what was otherwise.

mod came;
mod compare;
mod forwarded;
mod kept;
mod records;
mod send;
mod story;
mod world;

use std::sync::Arc;

use self::came::Came;
use self::kept::Kept;
pub use self::world::{Received, World};
use super::model::{Step, Test};
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Problem, codes};
use crate::engine::{Decision, Program};
use crate::reader::Files;

/// Compiled policies in a world of their own: where tests run, one after the other.
pub struct Stage<W> {
    /// The policies, compiled against the world's things.
    pub program: Arc<Program>,
    /// The files they come from, for what a failure shows.
    pub files: Arc<Files>,
    /// The world.
    pub world: W,
}

/// What came of one test.
#[derive(Debug)]
pub struct Verdict {
    /// Why it failed (`P0601`, at its place; `P0115` where it could not be carried out); `None` where it passed.
    pub failure: Option<Diagnostic>,
    /// The decision records of its requests, in their order: one a request, as far as it came.
    pub decisions: Vec<Decision>,
}

impl<W: World> Stage<W> {
    /// Runs one test. Nothing of the tests before it is left.
    pub async fn run(&self, test: &Test) -> Verdict {
        let mut run = Run {
            program: &self.program,
            files: &self.files,
            world: &self.world,
            kept: Kept::default(),
            decisions: Vec::new(),
        };
        let failure = run.test(test).await.err().map(|problems| first(problems, test));
        Verdict { failure, decisions: run.decisions }
    }
}

/// One run of one test.
struct Run<'a> {
    program: &'a Arc<Program>,
    files: &'a Files,
    world: &'a dyn World,
    kept: Kept,
    decisions: Vec<Decision>,
}

impl Run<'_> {
    async fn test(&mut self, test: &Test) -> Result<(), Diagnostics> {
        self.world.arrange(&test.given).await?;
        for step in &test.steps {
            if let Some(by) = step.advance {
                self.world.advance(by);
            }
            if let Some(given) = &step.given {
                self.world.change(&self.kept.given(given)).await?;
            }
            for _ in 0..step.times {
                self.step(test, step).await?;
            }
        }
        Ok(())
    }

    /// A failure is `P0601`, with all that was otherwise, what came, and the way it took.
    async fn step(&mut self, test: &Test, step: &Step) -> Result<(), Diagnostics> {
        let failed = |message: &str| Diagnostics::from(failure(test, step, vec![message.to_owned()]));
        let request = send::request(self, step).map_err(|why| failed(&why))?;
        let probes = self.probes(test, step)?;
        let environment = self.world.environment();
        let (x, response) = match step.routed {
            true => self.program.routed(self.program.begin(&environment, request)).await,
            false => match self.program.handed(&step.policy, &environment, request).await {
                Some(served) => served,
                None => return Err(failed(&format!("there is no policy `{}`", step.policy))),
            },
        };
        self.decisions.push(x.decision.clone());
        let came = Came::read(self, &x, response, probes).await.map_err(|why| failed(&why))?;
        drop(x);
        forwarded::known(step, &came)?;
        let mut differences = compare::differences(step, &came, &self.kept);
        records::compare(self, step, &mut differences).await?;
        if let Err(missing) = self.kept.keep(step, &came) {
            differences.extend(missing);
        }
        if differences.is_empty() {
            return Ok(());
        }
        let mut failure = failure(test, step, differences);
        failure.notes.extend(story::notes(self, &came));
        Err(failure.into())
    }
}

/// The first problem; whatever it is, if the test did not fail, it is a mistake in it.
fn first(problems: Diagnostics, test: &Test) -> Diagnostic {
    let unknown = || Problem::error(codes::BAD_TEST, "the test could not be arranged").at(test.place.clone());
    let mut first = problems.iter().next().cloned().unwrap_or_else(unknown);
    if first.problem.code != codes::TEST_FAILED {
        first.problem.code = codes::BAD_TEST;
    }
    first
}

fn failure(test: &Test, step: &Step, differences: Vec<String>) -> Diagnostic {
    let place: Place = step.place.clone();
    let at = step.number.map_or_else(String::new, |number| format!(" in step {number}"));
    let title = format!("the test `{}` failed{at}", test.name);
    let failure = match differences.as_slice() {
        [only] => Problem::error(codes::TEST_FAILED, format!("{title}: {only}")).at(place),
        several => {
            let problem = Problem::error(codes::TEST_FAILED, format!("{title}: {} things differ", several.len()));
            problem.at(place).with_note(several.join("\n"))
        }
    };
    match &test.case {
        Some(case) => failure.with_related(case.clone(), "in this case"),
        None => failure,
    }
}
