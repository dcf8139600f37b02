//! Purge: expired rows go in small batches, slowly enough that requests do not notice, by one node of a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use policy::ports::Environment;
use store::guard::Guarded;
use store::source::Row;
use store::tables::{ALL, LEASE};
use store::{DataSource, StoreError};

use crate::admin::api::PurgedSource;
use crate::node::Node;

/// From one round to the next; up to a third more, so that nodes do not march in step.
const EVERY: Duration = Duration::from_secs(60);

/// Seconds after its expiry that a row stays: no request can be about to touch it then, also where clocks differ.
const MARGIN: u64 = 60;

/// Rows of one batch, at the start and at most.
const BATCH: usize = 200;
const LARGEST_BATCH: usize = 1_000;

/// A batch that takes longer is too large: 10 ms is what a request may notice.
const SLICE: Duration = Duration::from_millis(10);

/// Seconds for which a node has the purge of a source to itself.
const LEASE_SECONDS: u64 = 180;

const LEASE_KEY: &[u8] = b"purge";

/// Purges all sources in use, for as long as the node lives.
pub(crate) async fn purge_always(node: Arc<Node>) {
    let holder = holder(&node);
    loop {
        let mut byte = [0];
        node.environment.random.fill(&mut byte);
        tokio::time::sleep(EVERY + EVERY / 3 * u32::from(byte[0]) / 255).await;
        let generation = node.generation.load_full();
        for source in generation.stores.sources_in_use().filter(|source| source.prepared()) {
            match take_lease(source, &holder, node.now()).await {
                Ok(true) => round(&node, source, &holder).await,
                Ok(false) => tracing::debug!(source = source.name(), "another node purges"),
                Err(why) => tracing::debug!(source = source.name(), "no purge: {why}"),
            }
        }
    }
}

fn holder(node: &Node) -> String {
    let mut bytes = [0; 8];
    node.environment.random.fill(&mut bytes);
    format!("{}-{:016x}", node.generation.load().settings.node.name, u64::from_ne_bytes(bytes))
}

async fn round(node: &Node, source: &Guarded, holder: &str) {
    let mut purge = Purge::new(source, &node.environment, 4);
    let began = node.now();
    let mut renewed = began;
    loop {
        match purge.batch().await {
            Ok(None) => break,
            Ok(Some((table, rows))) => node.metrics.purged(source.name(), table, rows),
            Err(why) => {
                tracing::warn!(source = source.name(), "the purge broke off: {why}");
                return;
            }
        }
        if node.now().saturating_sub(renewed) > LEASE_SECONDS / 3 {
            renewed = node.now();
            if !take_lease(source, holder, renewed).await.unwrap_or(false) {
                return;
            }
        }
    }
    let rows: u64 = purge.rows.values().sum();
    if rows > 0 {
        tracing::debug!(source = source.name(), rows, seconds = node.now().saturating_sub(began), "purged");
    }
}

/// Purges one source to its end; `rest` is how long it rests after each batch, as a multiple of what the batch took.
pub(crate) async fn purge_source(source: &Guarded, environment: &Environment, rest: u32) -> PurgedSource {
    let mut purge = Purge::new(source, environment, rest);
    let failed = loop {
        match purge.batch().await {
            Ok(None) => break None,
            Ok(Some(_)) => {}
            Err(why) => break Some(why.to_string()),
        }
    };
    let rows = purge.rows.iter().map(|(table, rows)| ((*table).to_owned(), *rows)).collect();
    PurgedSource { source: source.name().to_owned(), rows, failed }
}

struct Purge<'a> {
    source: &'a Guarded,
    environment: &'a Environment,
    before: i64,
    table: usize,
    batch: usize,
    rest: u32,
    rows: BTreeMap<&'static str, u64>,
}

impl<'a> Purge<'a> {
    fn new(source: &'a Guarded, environment: &'a Environment, rest: u32) -> Self {
        let now = environment.clock.unix_millis() / 1_000;
        let before = i64::try_from(now.saturating_sub(MARGIN)).unwrap_or(i64::MAX);
        Purge { source, environment, before, table: 0, batch: BATCH, rest, rows: BTreeMap::new() }
    }

    /// One batch, and a rest after it: the table and how many rows went; `None` at the end.
    async fn batch(&mut self) -> Result<Option<(&'static str, u64)>, StoreError> {
        let Some(table) = ALL.get(self.table) else { return Ok(None) };
        let clock = &self.environment.clock;
        let began = clock.monotonic_nanos();
        let rows = self.source.sweep(table, self.before, self.batch).await?;
        let took = Duration::from_nanos(clock.monotonic_nanos().saturating_sub(began));
        if (rows as usize) < self.batch {
            self.table += 1;
        }
        self.batch = if took > SLICE { (self.batch / 2).max(20) } else { (self.batch * 2).min(LARGEST_BATCH) };
        if rows > 0 {
            *self.rows.entry(table.name).or_default() += rows;
            tokio::time::sleep(took * self.rest).await;
        }
        Ok(Some((table.name, rows)))
    }
}

/// Whether this node has the purge of the source to itself for the next minutes. Clocks of nodes may differ a little: then two
/// purge at once for a while, which is only wasteful.
async fn take_lease(source: &Guarded, holder: &str, now: u64) -> Result<bool, StoreError> {
    let until = now + LEASE_SECONDS;
    let record = serde_json::json!({ "holder": holder, "until": until }).to_string();
    let expires_at = i64::try_from(until).ok();
    let row = Row { key: LEASE_KEY.to_vec(), version: 1, expires_at, indexes: Vec::new(), record };
    let Some(found) = source.get(&LEASE, LEASE_KEY).await? else {
        return source.insert(&LEASE, row).await;
    };
    let held: Lease = serde_json::from_str(&found.record).unwrap_or_default();
    if held.holder != holder && held.until > now {
        return Ok(false);
    }
    source.replace(&LEASE, row, found.version).await
}

/// A lease that cannot be read is nobody's.
#[derive(Default, serde::Deserialize)]
struct Lease {
    holder: String,
    until: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::tables::ACCESS_TOKEN;

    async fn source() -> Arc<Guarded> {
        let source = Guarded::new("memory", Arc::new(store::sources::memory::Memory::new()));
        source.prepare().await.unwrap();
        Arc::new(source)
    }

    #[tokio::test]
    async fn one_node_has_the_lease_until_it_runs_out() {
        let source = source().await;
        assert!(take_lease(&source, "a", 1_000).await.unwrap());
        assert!(!take_lease(&source, "b", 1_100).await.unwrap());
        assert!(take_lease(&source, "a", 1_100).await.unwrap());
        assert!(!take_lease(&source, "b", 1_100 + LEASE_SECONDS - 1).await.unwrap());
        assert!(take_lease(&source, "b", 1_100 + LEASE_SECONDS).await.unwrap());
        assert!(!take_lease(&source, "a", 1_101 + LEASE_SECONDS).await.unwrap());
    }

    #[tokio::test]
    async fn all_that_has_expired_goes_and_the_rest_stays() {
        let source = source().await;
        let environment = crate::clock::environment();
        let now = i64::try_from(environment.clock.unix_millis() / 1_000).unwrap();
        for number in 0..1_000_i64 {
            let expires_at = Some(if number % 2 == 0 { now - 1_000 } else { now });
            let row = Row {
                key: number.to_be_bytes().to_vec(),
                version: 1,
                expires_at,
                indexes: vec![None, None, None],
                record: String::from("{}"),
            };
            assert!(source.insert(&ACCESS_TOKEN, row).await.unwrap());
        }
        let purged = purge_source(&source, &environment, 0).await;
        assert_eq!(purged.rows, BTreeMap::from([("access_token".to_owned(), 500)]));
        assert_eq!(source.list(&ACCESS_TOKEN, None, 2_000).await.unwrap().len(), 500);
    }
}
