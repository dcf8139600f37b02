//! Signing keys: makes the next one and retires the one before, by the schedule that the policies in force ask for.
//!
//! No lease is needed: every step has a name that follows from the keys there are, and the store decides who is first.

use std::sync::Arc;
use std::time::Duration;

use policy::Value;
use store::oauth::jose::Algorithm;
use store::signing_keys::schedule::{FACT, Schedule, Step};
use store::{StoreError, StoreHandle};

use crate::load::Generation;
use crate::node::Node;

/// How often it is looked whether something is due.
const EVERY: Duration = Duration::from_secs(5);

/// Keeps the schedules of the generation in force, for as long as the node lives.
pub(crate) async fn keep_keys(node: Arc<Node>) {
    let mut told = None;
    loop {
        let generation = node.generation.load_full();
        let mut signs = Ok(());
        for (name, schedule) in schedules(&generation) {
            let Some(StoreHandle::Keys(keys)) = generation.stores.store(&name) else { continue };
            match keys.keep_schedule(&schedule, node.now()).await {
                Ok(steps) => {
                    steps.iter().for_each(|step| tell(&name, step));
                    signs = signs.and(keys.can_sign(&schedule.algorithms, node.now()).await);
                }
                // That a source is down is told by whoever watches it.
                Err(StoreError::Unavailable(why)) => tracing::debug!(store = name, "the keys are not looked at: {why}"),
                Err(StoreError::Broken(why)) => {
                    tracing::warn!(store = name, "signing keys are not changed by their schedule: {why}")
                }
            }
        }
        drop(generation);
        // Told once, and again where it is something else.
        let why = signs.err().filter(|why| matches!(why, StoreError::Broken(_)));
        if let Some(why) = why.as_ref().filter(|why| told.as_ref() != Some(*why)) {
            tracing::error!("no ID token can be signed: {why}");
        }
        told = why;
        tokio::time::sleep(EVERY).await;
    }
}

fn tell(store: &str, step: &Step) {
    match step {
        Step::Make { algorithm, active_from } => {
            tracing::info!(store, %algorithm, active_from, "a signing key was made");
        }
        Step::Retire { kid, .. } => {
            tracing::info!(store, kid, "a signing key signs no more; it is published until what it signed has expired");
        }
    }
}

/// The schedules by store. The settings are one file, so filters ask for the same.
fn schedules(generation: &Generation) -> Vec<(String, Schedule)> {
    let mut found: Vec<(String, Schedule)> = Vec::new();
    for (.., fact) in generation.program.facts(FACT) {
        if let Some(schedule) = read(fact)
            && !found.iter().any(|(store, _)| *store == schedule.0)
        {
            found.push(schedule);
        }
    }
    found
}

fn read(fact: &Value) -> Option<(String, Schedule)> {
    let Value::Map(fact) = fact else { return None };
    let seconds = |name| match fact.get(name) {
        Some(Value::Int(seconds)) => u64::try_from(*seconds).ok(),
        _ => None,
    };
    let Some(Value::List(algorithms)) = fact.get("algorithms") else { return None };
    let algorithms = algorithms.iter().filter_map(|name| Algorithm::parse(name.as_text()?)).collect();
    let schedule = Schedule { algorithms, rotate: seconds("rotate")?, publish: seconds("publish")? };
    Some((fact.get("store")?.as_text()?.to_owned(), schedule))
}
