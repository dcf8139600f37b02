//! One load: read, compile, test, open, swap; or everything stays as it is.

use std::sync::Arc;
use std::time::Duration;

use policy::Diagnostics;
use policy::diagnostic::{Problem, codes, render, to_json};

use crate::admin::api::{ReloadOutcome, Reloaded};
use crate::listen::Plan;
use crate::load::{
    Before, Draft, Fingerprint, Gate, Generation, Reading, Recorder, TakenUp, changes, left_behind, open, run_tests,
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
pub(super) struct Attempt {
    fingerprint: Fingerprint,
    outside: Arc<Recorder>,
    /// It lacked a source that is down, and nothing else.
    source_down: bool,
}

impl Loads {
    pub(super) fn new(node: Arc<Node>) -> Self {
        Loads { node, refused: None }
    }

    /// Files outside the folder that settings name, those of a refused load too: mending them mends it.
    pub(super) fn outside_files(&self) -> Vec<String> {
        let mut files = self.node.generation.load().outside.files();
        files.extend(self.refused.iter().flat_map(|attempt| attempt.outside.files()));
        files
    }

    /// Whether the last load failed only because a source is down.
    pub(super) fn waits_for_a_source(&self) -> bool {
        self.refused.as_ref().is_some_and(|attempt| attempt.source_down)
    }

    /// Loads the files where they are neither those that serve nor those that were refused already.
    pub(super) async fn load_changes(&mut self, by: &'static str) {
        let reading = self.read().await;
        let fingerprint = reading.fingerprint();
        if fingerprint == self.node.generation.load().fingerprint {
            self.forget_refused();
        } else if self.waits_for_a_source()
            || self.refused.as_ref().map(|attempt| attempt.fingerprint) != Some(fingerprint)
        {
            self.load(reading, by).await;
        }
    }

    /// Loads the files as they stand, and tells what came of it, also where they were taken or refused before.
    pub(super) async fn load_now(&mut self, by: &'static str) -> Reloaded {
        let reading = self.read().await;
        if reading.fingerprint() == self.node.generation.load().fingerprint {
            self.forget_refused();
            self.node.metrics.unchanged.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return answer(ReloadOutcome::Unchanged, &self.node.generation.load());
        }
        self.load(reading, by).await
    }

    async fn read(&self) -> Reading {
        let options = self.node.options.clone();
        tasks::blocking(move || Reading::new(&options, true)).await
    }

    /// The files are those that serve again.
    fn forget_refused(&mut self) {
        self.refused = None;
        *self.node.refused() = None;
    }

    async fn load(&mut self, reading: Reading, by: &'static str) -> Reloaded {
        let attempt =
            Attempt { fingerprint: reading.fingerprint(), outside: reading.outside.clone(), source_down: false };
        let again = self.refused.as_ref().is_some_and(|before| before.fingerprint == attempt.fingerprint);
        match self.take(reading).await {
            Ok(generation) => {
                self.forget_refused();
                self.node.metrics.loaded.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let changes = generation.changes.iter().map(|c| format!("{} ({})", c.what, c.how)).collect::<Vec<_>>();
                tracing::info!(by, generation = generation.number, changes = changes.join(", "), "loaded");
                for warning in generation.warnings.iter() {
                    tracing::warn!(by, code = %warning.problem.code, place = %place(warning), "{}", warning.problem.message);
                }
                answer(ReloadOutcome::Loaded, &generation)
            }
            Err(diagnostics) => {
                let only_sources = diagnostics
                    .iter()
                    .filter(|d| d.problem.severity == policy::diagnostic::Severity::Error)
                    .all(|d| d.problem.code == codes::SOURCE_DOWN);
                self.refused = Some(Attempt { source_down: only_sources, ..attempt });
                self.node.metrics.refused_loads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                // What is tried again and again is told once.
                if again {
                    tracing::debug!(by, "refused again");
                } else {
                    tracing::error!(
                        by,
                        "the files are refused, and generation {} serves on:\n{}",
                        self.node.generation.load().number,
                        render(&diagnostics, false)
                    );
                }
                let reloaded = refused_answer(&self.node.generation.load(), &diagnostics);
                *self.node.refused() = Some(RefusedLoad { at: self.node.now(), diagnostics });
                reloaded
            }
        }
    }

    /// Everything up to the swap. An error leaves everything as it was.
    async fn take(&self, reading: Reading) -> Result<Arc<Generation>, Diagnostics> {
        let node = &self.node;
        let before = node.generation.load_full();
        let settings = reading.settings.clone();
        let plan = if reading.diagnostics.has_errors() { None } else { Some(self.plan(&reading).await?) };
        let mut draft = self.draft(reading, &before, plan.as_ref()).await;
        let (Some(program), Some(plan)) = (draft.program.clone(), plan) else { return Err(draft.reading.diagnostics) };
        if node.options.tests {
            match run_tests(&draft, &node.options, Gate::Reload).await {
                found if found.has_errors() => {
                    draft.reading.diagnostics.extend(found);
                    return Err(draft.reading.diagnostics.sorted());
                }
                warnings => draft.reading.diagnostics.extend(warnings),
            }
        }
        let found = open(&draft, Some(&before), OPENING).await;
        draft.reading.diagnostics.extend(found);
        if draft.reading.diagnostics.has_errors() {
            return Err(draft.reading.diagnostics.sorted());
        }
        let moved = draft.stores.moved(&before.stores);
        draft.reading.diagnostics.extend(left_behind(&moved, &settings.stores));
        if before.settings.node.admin != settings.node.admin {
            let problem = Problem::warning(codes::RESTART, "another admin address takes effect only after a restart");
            draft.reading.diagnostics.push(problem.with_help("restart the node when it suits you").nowhere());
        }
        let changes = changes(&before, &draft);
        let taken = TakenUp { number: before.number + 1, since: node.now(), listeners: plan.names(), changes };
        let generation = Arc::new(Generation::new(draft, program, &node.metrics, taken));
        node.generation.store(generation.clone());
        node.listeners.carry_out(node, plan);
        if before.settings.node.log != settings.node.log {
            node.host.log(&settings.node.log);
        }
        Ok(generation)
    }

    async fn plan(&self, reading: &Reading) -> Result<Plan, Diagnostics> {
        self.node.listeners.plan(&reading.settings.node.listeners).await.map_err(|(address, why)| {
            let problem = Problem::error(codes::BAD_VALUE, format!("a listener cannot listen on {address}: {why}"));
            problem.with_help("another process may have the address; `ss -ltnp` shows which").nowhere().into()
        })
    }

    async fn draft(&self, reading: Reading, before: &Arc<Generation>, plan: Option<&Plan>) -> Draft {
        let (node, before, bound) = (self.node.clone(), before.clone(), plan.and_then(Plan::only_address));
        tasks::blocking(move || {
            let context = Before {
                keeper: &node.keeper,
                clock: node.environment.clock.clone(),
                generation: Some(&before),
                number: before.number + 1,
                bound,
            };
            Draft::new(reading, &node.options, &context)
        })
        .await
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
