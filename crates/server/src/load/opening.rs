//! Opens the sources of a draft, bounded in time.

use std::time::Duration;

use policy::diagnostic::{Problem, codes};
use policy::{Diagnostic, Diagnostics};

use super::{Draft, Generation};
use crate::settings::StoreSettings;

/// Opens new and changed sources. Those that fail are errors (P0404), at the source's place; but warnings where `before` has the
/// same source, which was down already, or where there is no `before`: a node starts though a source is down, and goes on trying.
pub(crate) async fn open(draft: &Draft, before: Option<&Generation>, limit: Duration) -> Diagnostics {
    let failed = match tokio::time::timeout(limit, draft.stores.prepare()).await {
        Ok(failed) => failed.into_iter().map(|(name, why)| (name, why.to_string())).collect(),
        Err(_) => unopened(draft, &format!("it did not open within {limit:?}")),
    };
    let mut problems = Diagnostics::new();
    for (name, why) in failed {
        let refuse = before.is_some_and(|before| !same_source(draft, before, &name));
        problems.push(source_down(&draft.reading.settings.stores, &name, &why, refuse));
    }
    problems
}

fn same_source(draft: &Draft, before: &Generation, name: &str) -> bool {
    match (draft.stores.source(name), before.stores.source(name)) {
        (Some(new), Some(old)) => std::sync::Arc::ptr_eq(new, old),
        _ => false,
    }
}

/// The sources in use that are not open.
fn unopened(draft: &Draft, why: &str) -> Vec<(String, String)> {
    let closed = draft.stores.sources_in_use().filter(|source| !source.prepared());
    closed.map(|source| (source.name().to_owned(), why.to_owned())).collect()
}

/// P0404: an error where it refuses what was asked for, else a warning.
pub(crate) fn source_down(settings: &StoreSettings, name: &str, why: &str, refuse: bool) -> Diagnostic {
    let message = format!("data source `{name}` cannot be opened: {why}");
    let problem = match refuse {
        true => Problem::error(codes::SOURCE_DOWN, message),
        false => Problem::warning(codes::SOURCE_DOWN, message),
    };
    let problem = problem.with_help("`portcullis store check` tells what is missing");
    match settings.source_place(name) {
        Some(place) => problem.at(place),
        None => problem.nowhere(),
    }
}
