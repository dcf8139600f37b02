//! One load: read, compile, test, open, swap; or everything stays as it is.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use policy::Diagnostics;
use policy::diagnostic::{Problem, Severity, codes, render, to_json};

use super::gone::gone;
use crate::admin::api::{ReloadOutcome, Reloaded};
use crate::listen::{Address, Plan};
use crate::load::{
    Before, Draft, Fingerprint, Gate, Generation, Reading, TakenUp, changes, found_there, left_behind, left_early,
    open, run_tests, turned_early,
};
use crate::node::{Node, RefusedLoad};
use crate::tasks;

/// How long new sources may take to open.
const OPENING: Duration = Duration::from_secs(10);

/// All loads of a node, one after the other.
pub(super) struct Loads {
    node: Arc<Node>,
    /// What the last load was made of, where it was refused.
    refused: Option<Attempt>,
}

/// A load that was refused.
struct Attempt {
    /// `None` where the files could not even be read: then nothing tells them from others.
    fingerprint: Option<Fingerprint>,
    /// It lacked a source that is down, and nothing else.
    source_down: bool,
}

/// Files as they stand, against those of loads before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// They are those that serve.
    Serving,
    /// They are those that were refused last.
    Refused,
    /// They are others.
    New,
}

impl Loads {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Loads { node, refused: None }
    }

    /// Files outside the folder that settings name, those of a refused load too: mending them mends it.
    pub(super) fn outside_files(&self) -> Vec<String> {
        let mut files = self.node.generation.load().fingerprint.outside_files();
        files.extend(self.refused.iter().filter_map(|a| a.fingerprint.as_ref()).flat_map(Fingerprint::outside_files));
        files
    }

    /// Whether the last load failed only because a source is down.
    pub(super) fn waits_for_a_source(&self) -> bool {
        self.refused.as_ref().is_some_and(|attempt| attempt.source_down)
    }

    /// Loads the files where they are neither those that serve nor those that were refused already.
    pub(super) async fn load_changes(&mut self, by: &'static str) {
        match self.read().await {
            Err(refusal) => {
                self.refuse(by, refusal);
            }
            Ok((_, Known::Serving)) => self.forget_refused(),
            Ok((_, Known::Refused)) if !self.waits_for_a_source() => {}
            Ok((reading, known)) => {
                self.load(reading, known, by).await;
            }
        }
    }

    /// Loads the files as they stand, and tells what came of it, also where they were taken or refused before.
    pub(super) async fn load_now(&mut self, by: &'static str) -> Reloaded {
        let (reading, known) = match self.read().await {
            Ok(read) => read,
            Err(refusal) => return self.refuse(by, refusal),
        };
        if known == Known::Serving {
            self.forget_refused();
            self.node.metrics.unchanged.fetch_add(1, Ordering::Relaxed);
            tracing::info!(by, "the files are those that serve");
            return answer(ReloadOutcome::Unchanged, &self.node.generation.load());
        }
        self.load(reading, known, by).await
    }

    /// The files as they stand, and whether they are known. Refused where reading them panics.
    async fn read(&self) -> Result<(Reading, Known), Refusal> {
        let options = self.node.options.clone();
        let serving = self.node.generation.load_full();
        let refused = self.refused.as_ref().and_then(|attempt| attempt.fingerprint.clone());
        let again = self.refused.as_ref().is_some_and(|attempt| attempt.fingerprint.is_none());
        let read = tasks::blocking(move || {
            let reading = Reading::new(&options, true);
            // Files that cannot be read are not in the hash: they are never those that serve.
            let readable = reading.files.diagnostics.is_empty() || !serving.files.diagnostics.is_empty();
            let known = if readable && serving.fingerprint.still_holds(&reading.files) {
                Known::Serving
            } else if refused.is_some_and(|refused| refused.still_holds(&reading.files)) {
                Known::Refused
            } else {
                Known::New
            };
            (reading, known)
        });
        AssertUnwindSafe(read).catch_unwind().await.map_err(|_| Refusal { again, ..panicked(None) })
    }

    /// The files are those that serve again.
    fn forget_refused(&mut self) {
        self.refused = None;
        *self.node.refused() = None;
    }

    async fn load(&mut self, reading: Reading, known: Known, by: &'static str) -> Reloaded {
        let metrics = &self.node.metrics;
        let files = Fingerprint::of(&reading);
        let again = known == Known::Refused;
        // A defect in a filter's build must not end all loading: then nothing could be mended on this node any more.
        let taken = AssertUnwindSafe(self.take(reading)).catch_unwind().await;
        match taken.unwrap_or_else(|_| Err(panicked(Some(files)))) {
            Ok(generation) => {
                metrics.loaded.fetch_add(1, Ordering::Relaxed);
                self.forget_refused();
                tell_loaded(&generation, by);
                answer(ReloadOutcome::Loaded, &generation)
            }
            Err(refusal) => self.refuse(by, Refusal { again, ..refusal }),
        }
    }

    fn refuse(&mut self, by: &'static str, refusal: Refusal) -> Reloaded {
        let Refusal { fingerprint, diagnostics, again } = refusal;
        self.node.metrics.refused_loads.fetch_add(1, Ordering::Relaxed);
        let serving = self.node.generation.load();
        // What is tried again and again is told once.
        if again {
            tracing::debug!(by, "refused again");
        } else {
            let (number, text) = (serving.number, render(&diagnostics, false));
            tracing::error!(by, "the files are refused, and generation {number} serves on:\n{text}");
        }
        let errors = diagnostics.iter().filter(|d| d.problem.severity == Severity::Error);
        let source_down = errors.map(|d| d.problem.code).all(|code| code == codes::SOURCE_DOWN);
        self.refused = Some(Attempt { fingerprint, source_down });
        let answer = refused_answer(&serving, &diagnostics);
        *self.node.refused() = Some(RefusedLoad { at: self.node.now(), diagnostics });
        answer
    }

    /// Everything up to the swap, and the swap. An error leaves everything as it was.
    async fn take(&self, reading: Reading) -> Result<Arc<Generation>, Refusal> {
        let node = &self.node;
        let before = node.generation.load_full();
        let settings = reading.settings.clone();
        let found = gone(&before.files, &reading.files);
        if found.has_errors() {
            // Compiled without it, the other files would tell of much that follows from this alone.
            return Err(refuse(reading, found));
        }
        let plan = match reading.diagnostics.has_errors() {
            true => Err(Diagnostics::new()),
            false => self.plan(&reading),
        };
        let mut draft = self.draft(reading, &before, plan.as_ref().ok()).await;
        let plan = match (plan, &draft.program) {
            (Ok(plan), Some(_)) => plan,
            (Err(found), _) => return Err(refuse(draft.reading, found)),
            (Ok(_), None) => return Err(refuse(draft.reading, Diagnostics::new())),
        };
        if node.options.tests {
            let found = run_tests(&draft, &node.options, Gate::Reload).await;
            if found.has_errors() {
                return Err(refuse(draft.reading, found));
            }
            draft.reading.diagnostics.extend(found);
        }
        let found = open(&draft, Some(&before), OPENING).await;
        if found.has_errors() {
            return Err(refuse(draft.reading, found));
        }
        draft.reading.diagnostics.extend(found);
        let found = turned_early(draft.stores.turned(&before.stores), &settings.stores).await;
        if found.has_errors() {
            return Err(refuse(draft.reading, found));
        }
        draft.reading.diagnostics.extend(left_behind(&draft.stores.moved(&before.stores), &settings.stores));
        draft.reading.diagnostics.extend(found_there(draft.stores.begun(&before.stores), &settings.stores).await);
        let (ended, empty) = (draft.stores.ended(&before.stores), |moving: &_| node.is_emptied(moving));
        draft.reading.diagnostics.extend(left_early(ended, &settings.stores, empty).await);
        draft.reading.diagnostics.extend(needs_restart(&before, &draft));
        let Some(program) = draft.program.clone() else { return Err(refuse(draft.reading, Diagnostics::new())) };
        // It asks for what is outside again.
        let compared = before.clone();
        let (draft, changes) = tasks::blocking(move || {
            let changes = changes(&compared, &draft);
            (draft, changes)
        })
        .await;
        let access = node.access_log(&settings.node);
        let (number, listeners) = (before.number + 1, plan.served(Some(&before), &node.metrics));
        let taken = TakenUp { number, since: node.now(), listeners, changes, access };
        let generation = Arc::new(Generation::new(draft, program, &node.metrics, taken));
        node.listeners.part(&plan, &before);
        node.generation.store(generation.clone());
        generation.begin();
        generation.stores.succeed(&before.stores);
        node.listeners.carry_out(node, plan);
        if before.settings.node.log != settings.node.log {
            node.tell_log_level();
        }
        Ok(generation)
    }

    fn plan(&self, reading: &Reading) -> Result<Plan, Diagnostics> {
        let listeners = &self.node.listeners;
        listeners
            .plan(&reading.settings.node.listeners, &self.node.options.dir)
            .map_err(|(address, why)| cannot_listen(&address, &why, listeners.in_the_way(&address)).nowhere().into())
    }

    async fn draft(&self, reading: Reading, before: &Arc<Generation>, plan: Option<&Plan>) -> Draft {
        let (node, before, bound) = (self.node.clone(), before.clone(), plan.and_then(Plan::only_address));
        tasks::blocking(move || {
            let context = Before {
                keeper: &node.keeper,
                clock: node.environment.clock.clone(),
                observer: node.observer.for_load(),
                generation: Some(&before),
                number: before.number + 1,
                bound,
            };
            Draft::new(reading, &node.options, &context)
        })
        .await
    }
}

/// What a load that is not taken leaves.
struct Refusal {
    /// `None` where the files could not even be read.
    fingerprint: Option<Fingerprint>,
    diagnostics: Diagnostics,
    /// Whether that was so the last time.
    again: bool,
}

fn refuse(reading: Reading, found: Diagnostics) -> Refusal {
    let fingerprint = Some(Fingerprint::of(&reading));
    let mut diagnostics = reading.diagnostics;
    diagnostics.extend(found);
    Refusal { fingerprint, diagnostics: diagnostics.sorted(), again: false }
}

fn panicked(fingerprint: Option<Fingerprint>) -> Refusal {
    let problem =
        Problem::error(codes::BAD_VALUE, "these files make the gateway panic: this is a defect of the gateway");
    let help = "the log has the panic's message; what changed last is what brings it about";
    Refusal { fingerprint, diagnostics: problem.with_help(help).nowhere().into(), again: false }
}

/// An address that could not be had. `own`: one that this node listens on itself, and that overlaps.
fn cannot_listen(address: &Address, why: &io::Error, own: Option<Address>) -> Problem {
    let message = format!("a listener cannot listen on {address}");
    match own.filter(|_| why.kind() == io::ErrorKind::AddrInUse) {
        Some(own) => Problem::error(codes::BAD_VALUE, format!("{message}: this node itself listens on {own}")).with_help(
            "a listener keeps its address until a load is taken, so another one on the same port cannot be had before: name another port, \
             or restart the node with these files",
        ),
        None => Problem::error(codes::BAD_VALUE, format!("{message}: {why}"))
            .with_help("another process may have it, or this node's admin address, or another listener of the file; `ss -ltnp` shows which"),
    }
}

/// P0502.
fn needs_restart(before: &Generation, draft: &Draft) -> Diagnostics {
    if before.settings.node.admin == draft.reading.settings.node.admin {
        return Diagnostics::new();
    }
    let problem = Problem::warning(codes::RESTART, "another admin address takes effect only after a restart");
    problem.with_help("restart the node when it suits you").nowhere().into()
}

fn tell_loaded(generation: &Generation, by: &'static str) {
    let changes: Vec<_> = generation.changes.iter().map(|c| format!("{} ({})", c.what, c.how)).collect();
    tracing::info!(by, generation = generation.number, changes = changes.join(", "), "loaded");
    for warning in generation.warnings.iter() {
        tracing::warn!(by, code = %warning.problem.code, place = place(warning), "{}", warning.problem.message);
    }
}

fn place(diagnostic: &policy::Diagnostic) -> String {
    diagnostic.place.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// The answer about a generation that serves.
fn answer(outcome: ReloadOutcome, generation: &Generation) -> Reloaded {
    let warnings = &generation.warnings;
    Reloaded {
        outcome,
        generation: generation.number,
        changes: generation.changes.clone(),
        diagnostics: to_json(warnings),
        text: if warnings.is_empty() { String::new() } else { render(warnings, false) },
    }
}

/// The answer about files that are refused.
fn refused_answer(serving: &Generation, diagnostics: &Diagnostics) -> Reloaded {
    Reloaded {
        outcome: ReloadOutcome::Refused,
        generation: serving.number,
        changes: Vec::new(),
        diagnostics: to_json(diagnostics),
        text: render(diagnostics, false),
    }
}
