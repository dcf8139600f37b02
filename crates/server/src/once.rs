//! The commands that load once and serve nothing: `check`, and those for stores.

use std::sync::Arc;

use policy::diagnostic::{Diagnostic, Diagnostics, Problem, codes};
use policy::filter::Keeper;
use store::mapping::Opened;

use crate::admin::api::{PurgedSource, SourceCheck};
use crate::admin::{check_sources, purge_sources};
use crate::audit::Audit;
use crate::cluster::{self, ClusterStatus, ClusterVerdict};
use crate::load::{Before, Draft, Gate, Reading, run_tests, source_down};
use crate::options::Options;
use crate::records::Stores;
use crate::settings::{self, LogSettings};
use crate::telling::Silent;
use crate::{clock, tasks};

/// The log's settings as `node.toml` has them, the defaults where it cannot be read: for commands other than `run`.
pub fn log_settings(options: &Options) -> LogSettings {
    settings::log_settings(&options.dir)
}

/// All problems of the folder and what lints say of it, sorted, those of its tests included unless `options.tests` is false. Opens no source.
/// For a command that ends then: what was loaded stays in memory.
pub async fn check(options: &Options) -> Diagnostics {
    let mut draft = draft(options, false).await;
    let mut all = std::mem::take(&mut draft.reading.diagnostics);
    all.extend(std::mem::take(&mut draft.lints));
    if draft.program.is_some() && options.tests {
        all.extend(run_tests(&draft, options, Gate::Check).await);
    }
    // The command ends here: to take a large program apart would cost a tenth of its time.
    std::mem::forget(draft);
    all.sorted()
}

/// Opens the mapped stores of clients and tokens, for the commands that work on records: the same stores that a running node
/// uses, whether or not one runs. The sources behind them are connected and migrated. Those that are down are warnings, since a
/// command may need the others alone; errors where all are.
pub async fn open_stores(options: &Options) -> Result<(Stores, Diagnostics), Diagnostics> {
    let (reading, opened) = mapped(options).await?;
    let failed = opened.prepare().await;
    let all = failed.len() == opened.sources_in_use().count();
    let mut down = Diagnostics::new();
    for (name, why) in failed {
        down.push(source_down(&reading.settings.stores, &name, &why.to_string(), all));
    }
    if down.has_errors() {
        return Err(down);
    }
    let stores = Stores::of(&opened, clock::environment(), audit(options)).map_err(|refusal| {
        Problem::error(codes::STORE, refusal.message).with_help("see stores/stores.toml").nowhere()
    })?;
    Ok((stores, down))
}

/// The audit log of what a command does by itself, with the user who runs it.
pub(crate) fn audit(options: &Options) -> Audit {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| options.outside.variable(name).ok());
    Audit::of_command(&options.dir, user, clock::environment())
}

/// A command's work on whole stores, in the audit log.
async fn noted<T>(
    options: &Options,
    change: &str,
    work: impl Future<Output = Result<T, Diagnostics>>,
    failed: impl Fn(&T) -> bool,
) -> Result<T, Diagnostics> {
    let word = |outcome: &Result<T, Diagnostics>| match outcome {
        Ok(report) if failed(report) => "failed",
        Ok(_) => "done",
        Err(_) => "refused",
    };
    let noted = audit(options).change_as(change, "", async { Ok(work.await) }, word).await;
    noted.unwrap_or_else(|refusal| Err(Problem::error(codes::SOURCE_DOWN, refusal.message).nowhere().into()))
}

/// Connects to every source and reports on each, down or not. Errors are those of the files.
pub async fn store_check(options: &Options) -> Result<Vec<SourceCheck>, Diagnostics> {
    let (reading, opened) = mapped(options).await?;
    Ok(check_sources(&opened, &reading.settings.stores.types, &clock::environment()).await)
}

/// Brings the schema of every source up to date, and reports on each.
pub async fn store_migrate(options: &Options) -> Result<Vec<SourceCheck>, Diagnostics> {
    // Opening a source migrates it; the report says to which version.
    let failed = |report: &Vec<SourceCheck>| report.iter().any(|source| !source.ok);
    noted(options, "store migrate", store_check(options), failed).await
}

/// Whether a source could not be purged to the end.
pub(crate) fn any_failed(purged: &[PurgedSource]) -> bool {
    purged.iter().any(|source| source.failed.is_some())
}

/// Purges expired records from every source, at once and to the end.
pub async fn store_purge(options: &Options) -> Result<Vec<PurgedSource>, Diagnostics> {
    let (_, opened) = mapped(options).await?;
    // One that does not open is told by its purge.
    let _ = opened.prepare().await;
    let purge = async { Ok(purge_sources(&opened, &clock::environment()).await) };
    noted(options, "store purge", purge, |purged| any_failed(purged)).await
}

/// The nodes that share the sources of this folder's stores, as their heartbeats there tell.
pub async fn cluster_status(options: &Options) -> Result<ClusterStatus, Diagnostics> {
    let (reading, opened) = mapped(options).await?;
    // One that does not open is told by what cannot be read from it.
    let _ = opened.prepare().await;
    Ok(cluster::status(&opened, reading.settings.node.cluster_nodes, &clock::environment()).await)
}

/// Proves through the shared sources that the nodes share the stores of this folder.
pub async fn cluster_verify(options: &Options) -> Result<ClusterVerdict, Diagnostics> {
    let (reading, opened) = mapped(options).await?;
    let _ = opened.prepare().await;
    Ok(cluster::verify(&opened, reading.settings.node.cluster_nodes, &clock::environment()).await)
}

/// The whole configuration, compiled.
pub(crate) async fn draft(options: &Options, strict: bool) -> Draft {
    // On this thread: the command has nothing else to do, and a thread of its own has memory of its own, which costs a fifth of
    // the time.
    let keeper = Keeper::default();
    let observer = Arc::new(Silent::default());
    let before = Before {
        keeper: &keeper,
        clock: clock::environment().clock,
        observer,
        generation: None,
        number: 1,
        bound: None,
    };
    Draft::rehearsal(Reading::new(options, strict), options, &before)
}

/// The stores as the files map them. Policies are not looked at: records can be worked on while one is broken.
pub(crate) async fn mapped(options: &Options) -> Result<(Reading, Opened), Diagnostics> {
    let options = options.clone();
    tasks::blocking(move || {
        let reading = Reading::new(&options, true);
        let about_stores =
            |d: &Diagnostic| d.place.as_ref().is_none_or(|place| !place.file.path.starts_with("policies/"));
        // A store that is local to a node is an error for the node, and no reason not to work on its records.
        let matters = |d: &Diagnostic| about_stores(d) && d.problem.code != codes::LOCAL_STORE;
        let mut problems = Diagnostics::new();
        reading.diagnostics.iter().filter(|d| matters(d)).for_each(|d| problems.push(d.clone()));
        if problems.has_errors() {
            return Err(problems.sorted());
        }
        // A command asks once: it remembers nothing, and need not hear of changes.
        let mut mapping = reading.settings.stores.mapping.clone();
        mapping.stores.values_mut().for_each(|store| store.cache = None);
        match Opened::new(&mapping, &options.dir, None) {
            Ok(opened) => Ok((reading, opened)),
            Err(why) => {
                Err(Problem::error(codes::STORE, format!("the stores cannot be made: {why:?}")).nowhere().into())
            }
        }
    })
    .await
}
