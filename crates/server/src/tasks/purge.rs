//! Purge: expired rows go in small batches, by one node of a cluster. When and how much, `store::purge` decides; here it is
//! carried out for the sources of the generation that serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::ports::Environment;
use store::DataSource;
use store::guard::Guarded;
use store::purge::{Batch, Purger, purge};
use store::tables::ALL;

use super::each::Each;
use crate::admin::api::PurgedSource;
use crate::node::Node;

/// How often it is looked whether the sources are other ones.
const EVERY: Duration = Duration::from_secs(10);

/// How long to wait after a purge that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// Purges all sources in use, each in a task of its own, for as long as the node lives.
pub(crate) async fn purge_always(node: Arc<Node>) {
    let name = holder(&node);
    let mut purges = Each::default();
    loop {
        let generation = node.generation.load_full();
        for source in generation.stores.sources_in_use().filter(|source| !source.capabilities().read_only) {
            purges.start(source, |source| purge_one(node.clone(), source, name.clone()));
        }
        drop(generation);
        tokio::time::sleep(EVERY).await;
    }
}

/// Two nodes may have one name: the lease needs more than that.
fn holder(node: &Node) -> String {
    let mut bytes = [0; 8];
    node.environment.random.fill(&mut bytes);
    format!("{}-{:016x}", node.generation.load().settings.node.name, u64::from_ne_bytes(bytes))
}

fn in_use(node: &Node, source: &Arc<Guarded>) -> bool {
    node.generation.load().stores.sources_in_use().any(|used| Arc::ptr_eq(used, source))
}

/// Purges one source until no generation uses it any more.
async fn purge_one(node: Arc<Node>, source: Arc<Guarded>, name: String) {
    let mut purger = Purger::new(source.clone(), ALL.to_vec(), &name);
    // The first batch is not at once: a node that starts has other things to do, and several may start together.
    let mut byte = [0];
    node.environment.random.fill(&mut byte);
    let mut pause = Duration::from_millis(1_000 + 40 * u64::from(byte[0]));
    loop {
        tokio::time::sleep(pause).await;
        if !in_use(&node, &source) {
            return;
        }
        pause = match purger.run_batch(|| node.environment.clock.unix_millis()).await {
            Ok(batch) => {
                count(&node, &source, &batch);
                batch.pause
            }
            Err(why) => {
                tracing::debug!(source = source.name(), "no purge: {why}");
                AFTER_FAILURE
            }
        };
    }
}

fn count(node: &Node, source: &Guarded, batch: &Batch) {
    for (table, rows) in batch.deleted.iter().filter(|(_, rows)| *rows > 0) {
        node.metrics.purged(source.name(), table, *rows);
    }
}

/// Purges one source to its end, because a person asked for it.
pub(crate) async fn purge_source(source: &Guarded, environment: &Environment) -> PurgedSource {
    let now = environment.clock.unix_millis() / 1_000;
    let mut rows = BTreeMap::new();
    // People write it, and nothing in it expires.
    if source.capabilities().read_only {
        return PurgedSource { source: source.name().to_owned(), rows, failed: None };
    }
    let count = |table: &str, count| {
        if count > 0 {
            *rows.entry(table.to_owned()).or_default() += count;
        }
    };
    let failed = purge(source, &ALL, now, count).await.err().map(|why| why.to_string());
    PurgedSource { source: source.name().to_owned(), rows, failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::source::Row;
    use store::tables::ACCESS_TOKEN;

    #[tokio::test]
    async fn all_that_has_expired_goes_and_the_rest_stays() {
        let source = Guarded::new("memory", Arc::new(store::sources::memory::Memory::new()));
        source.prepare().await.unwrap();
        let environment = crate::clock::environment();
        let now = i64::try_from(environment.clock.unix_millis() / 1_000).unwrap();
        for number in 0..3_000_i64 {
            let expires_at = Some(if number % 2 == 0 { now - 1_000 } else { now });
            let key = number.to_be_bytes().to_vec();
            let row = Row { key, version: 1, expires_at, indexes: vec![None, None, None], record: String::from("{}") };
            assert!(source.insert(&ACCESS_TOKEN, row).await.unwrap());
        }
        let purged = purge_source(&source, &environment).await;
        assert_eq!(purged.rows, BTreeMap::from([("access_token".to_owned(), 1_500)]));
        assert_eq!(source.list(&ACCESS_TOKEN, None, 2_000).await.unwrap().len(), 1_500);
    }
}
