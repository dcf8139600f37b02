//! The purge: deletes what has expired, in bounded batches, so that nobody who issues or checks tokens notices.
//!
//! One node of a cluster does it at a time: it holds a lease, a row in the source itself. The lease saves work and is not needed
//! for correctness: two nodes whose clocks differ may purge at once, and each row still goes once. A batch is as large as others
//! do not mind (`purge/pace.rs`), and is followed by a pause 19 times as long as it took. Where the purge does not come to its end for
//! minutes, more expires than that deletes: then pauses get shorter step by step, and then batches larger. Only what expired
//! a while ago is touched, which no request can ask for.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::codec::{decode, encode, seconds};
use crate::source::{DataSource, Row, StoreError, Table};
use crate::tables::LEASE;

mod pace;

use pace::Pace;

/// Seconds after the expiry before a row goes: more than nodes' clocks should differ.
const MARGIN: u64 = 60;
/// Seconds for which a lease is held.
const HELD: u64 = 90;
/// The pause where nothing is left to delete.
const IDLE: Duration = Duration::from_secs(60);
/// Rows of a batch of a purge that somebody asked for.
const ASKED: usize = 1_000;
/// The pause after a batch where more is left: at least, at most.
const REST: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));
/// The pause as a multiple of what the batch took. Each `LATE` seconds for which rows that are due have been left halve it, so many times
/// at most; further ones let batches take longer.
const CALM: u32 = 19;
const HALVED: u32 = 4;
/// See [`CALM`].
const LATE: u64 = 300;
/// The key of the lease.
const KEY: &[u8] = b"purge";

/// What a batch did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Rows deleted, by table.
    pub deleted: Vec<(&'static str, u64)>,
    /// Whether there is more to delete now.
    pub more: bool,
    /// When to run the next batch.
    pub pause: Duration,
    /// The node that holds the lease, where it is another one: nothing was done.
    pub left_to: Option<String>,
}

/// The purge of one source.
pub struct Purger {
    source: Arc<dyn DataSource>,
    tables: Vec<&'static Table>,
    node: String,
    pace: Pace,
    /// The tables in which more has expired than a batch took.
    behind: Vec<&'static Table>,
    /// Since when some are, Unix seconds.
    since: Option<u64>,
    /// When all tables are looked at again though some are behind, Unix seconds.
    look: u64,
    /// How many seconds this node's clock is ahead of the source's, and until when that is believed, Unix seconds.
    ahead: (u64, u64),
    /// Until when the lease is ours, Unix seconds.
    held_until: u64,
}

/// The record of a lease.
#[derive(Serialize, Deserialize)]
struct Lease {
    node: String,
}

impl Purger {
    /// The purge of these tables of a source, by the node with this name. A name that is used twice costs double work only.
    pub fn new(source: Arc<dyn DataSource>, tables: Vec<&'static Table>, node: &str) -> Self {
        Purger {
            source,
            tables,
            node: node.into(),
            pace: Pace::new(),
            behind: Vec::new(),
            since: None,
            look: 0,
            ahead: (0, 0),
            held_until: 0,
        }
    }

    /// Deletes at most one batch from each table: of all tables, or of those that the last batch left something in. `unix_millis`
    /// tells when rows have expired.
    pub async fn run_batch(&mut self, unix_millis: impl Fn() -> u64 + Send + Sync) -> Result<Batch, StoreError> {
        // Rows that go by themselves need nobody: deleting each would be more work for the source than letting it go.
        if self.source.capabilities().ttl {
            return Ok(Batch { deleted: Vec::new(), more: false, pause: IDLE, left_to: None });
        }
        let now = self.agreed(unix_millis() / 1000).await?;
        if let Some(node) = self.lease(now).await? {
            return Ok(Batch { deleted: Vec::new(), more: false, pause: IDLE, left_to: Some(node) });
        }
        let mut tables = std::mem::take(&mut self.behind);
        if tables.is_empty() || now >= self.look {
            tables.clone_from(&self.tables);
            self.look = now + IDLE.as_secs();
        }
        let (size, mut took) = (self.pace.next(), Duration::ZERO);
        let mut deleted = Vec::with_capacity(tables.len());
        for table in tables {
            let start = Instant::now();
            let count = self.source.sweep(table, before(now), size).await?;
            deleted.push((table.name, count));
            // One that found less says nothing of how long so many rows take.
            if count >= size as u64 {
                self.behind.push(table);
                took = took.max(start.elapsed());
            }
        }
        let more = !self.behind.is_empty();
        if !more {
            self.since = None;
            return Ok(Batch { deleted, more, pause: IDLE, left_to: None });
        }
        let behind_for = now.saturating_sub(*self.since.get_or_insert(now));
        let urgency = u32::try_from(behind_for / LATE).unwrap_or(u32::MAX);
        let halved = urgency.min(HALVED);
        self.pace.took(took, urgency - halved);
        Ok(Batch { deleted, more, pause: (took * (CALM >> halved)).clamp(REST.0, REST.1), left_to: None })
    }

    /// The time, where this node's clock is ahead of the source's by that one: what lives for all others must not go.
    async fn agreed(&mut self, now: u64) -> Result<u64, StoreError> {
        if now >= self.ahead.1 {
            self.ahead = (now - agreed(&*self.source, now).await?, now + IDLE.as_secs());
        }
        Ok(now - self.ahead.0)
    }

    /// Takes or renews the lease; the node that holds it, where it is another one.
    async fn lease(&mut self, now: u64) -> Result<Option<String>, StoreError> {
        if self.held_until > now + HELD / 3 {
            return Ok(None);
        }
        let until = now + HELD;
        let record = encode(&LEASE, &Lease { node: self.node.clone() })?;
        let ours = Row { key: KEY.to_vec(), version: 1, expires_at: Some(seconds(until)), indexes: Vec::new(), record };
        let found = self.source.get(&LEASE, KEY).await?;
        let taken = match &found {
            None => self.source.insert(&LEASE, ours).await?,
            Some(row) => {
                // One that ends later than any does was taken by a clock that is wrong.
                let held = seconds(now + 1)..=seconds(now + 2 * HELD);
                let is_held = row.expires_at.is_some_and(|at| held.contains(&at));
                // One that cannot be read is nobody's: else nothing would ever be purged again.
                if let Ok(holder) = decode::<Lease>(&LEASE, row)
                    && holder.node != self.node
                    && is_held
                {
                    self.held_until = 0;
                    return Ok(Some(holder.node));
                }
                self.source.replace(&LEASE, ours, row.version).await?
            }
        };
        self.held_until = if taken { until } else { 0 };
        Ok((!taken).then(|| "another node, just now".into()))
    }
}

/// Purges a source to its end at once, whoever has the lease: a person asked for it, and every row goes once anyway. `now` is
/// the Unix second; `deleted` is told of each table's rows as they go, so that what went before an error is known.
pub async fn purge(
    source: &dyn DataSource,
    tables: &[&'static Table],
    now: u64,
    mut deleted: impl FnMut(&'static str, u64) + Send,
) -> Result<(), StoreError> {
    let now = agreed(source, now).await?;
    let mut more = true;
    while std::mem::take(&mut more) {
        for table in tables {
            let count = source.sweep(table, before(now), ASKED).await?;
            more |= count >= ASKED as u64;
            deleted(table.name, count);
        }
    }
    Ok(())
}

/// The earlier one of this time and the source's, where it has a clock of its own.
async fn agreed(source: &dyn DataSource, now: u64) -> Result<u64, StoreError> {
    let theirs = source.health().await?.unix_millis.and_then(|millis| u64::try_from(millis / 1000).ok());
    Ok(theirs.map_or(now, |theirs| theirs.min(now)))
}

/// What expired before this second goes.
fn before(now: u64) -> i64 {
    seconds(now.saturating_sub(MARGIN))
}

#[cfg(test)]
mod tests {
    use super::pace::SIZE;
    use super::*;
    use crate::sources::memory::Memory;
    use crate::tables::{ACCESS_TOKEN, EPOCH};
    use crate::testing::Hooked;

    const NOW: u64 = 1_800_000_000;

    async fn source(expired: u64) -> Arc<Memory> {
        let source = Arc::new(Memory::new());
        for row in source_rows(expired) {
            assert!(source.insert(&ACCESS_TOKEN, row).await.unwrap());
        }
        source
    }

    fn source_rows(expired: u64) -> impl Iterator<Item = Row> {
        (0..expired + 3).map(move |number| {
            // The last three: at the margin, not yet expired, never expiring.
            let expires_at = match number.checked_sub(expired) {
                None => Some((NOW - 61 - number) as i64),
                Some(0) => Some((NOW - 60) as i64),
                Some(1) => Some((NOW + 10) as i64),
                Some(_) => None,
            };
            let key = number.to_be_bytes().to_vec();
            Row { key, version: 1, expires_at, indexes: vec![None; 3], record: "{}".into() }
        })
    }

    fn purger(source: &Arc<Memory>, node: &str) -> Purger {
        Purger::new(source.clone(), vec![&ACCESS_TOKEN], node)
    }

    #[tokio::test(start_paused = true)]
    async fn batches_delete_what_expired_a_while_ago_and_nothing_else() {
        let source = source(5_000).await;
        let mut purger = purger(&source, "a");
        let mut counts = Vec::new();
        loop {
            let batch = purger.run_batch(|| NOW * 1000).await.unwrap();
            assert_eq!(batch.left_to, None);
            counts.push(usize::try_from(batch.deleted[0].1).unwrap());
            if !batch.more {
                assert_eq!(batch.pause, IDLE);
                break;
            }
            assert!(batch.pause < Duration::from_secs(1));
        }
        assert_eq!(counts.iter().sum::<usize>(), 5_000);
        assert!(
            counts[0] == SIZE.0 && counts.iter().any(|count| *count > 2 * SIZE.0),
            "batches grow while they are quick: {counts:?}"
        );
        assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_purge_that_was_asked_for_goes_to_the_end_whoever_has_the_lease() {
        let source = source(5_000).await;
        assert_eq!(purger(&source, "a").run_batch(|| NOW * 1000).await.unwrap().left_to, None);
        let mut counts = Vec::new();
        purge(&*source, &[&ACCESS_TOKEN], NOW, |table, count| counts.push((table, count))).await.unwrap();
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 5_000 - SIZE.0 as u64, "{counts:?}");
        assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn rows_that_go_by_themselves_are_left_to_it_unless_somebody_asks() {
        let source = Arc::new(Hooked { ttl: true, ..Hooked::default() });
        let row = |key| Row { key, version: 1, expires_at: Some(1), indexes: vec![None; 3], record: "{}".into() };
        assert!(source.insert(&ACCESS_TOKEN, row(vec![1])).await.unwrap());
        let batch = Purger::new(source.clone(), vec![&ACCESS_TOKEN], "a").run_batch(|| NOW * 1000).await.unwrap();
        assert_eq!((batch.deleted, batch.more, batch.pause), (Vec::new(), false, IDLE));
        assert_eq!(source.list(&LEASE, None, 9).await, Ok(Vec::new()), "no lease is taken");
        let mut count = 0;
        purge(&*source, &[&ACCESS_TOKEN], NOW, |_, deleted| count += deleted).await.unwrap();
        assert_eq!(count, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_batch_it_rests_and_less_where_it_does_not_come_to_an_end() {
        let slow = |millis| -> Arc<dyn DataSource> {
            Arc::new(Hooked {
                before_sweep: Box::new(move |_| Box::pin(tokio::time::sleep(Duration::from_millis(millis)))),
                ..Hooked::default()
            })
        };
        for (takes, calm, late, last) in [(0, 1, 1, 1), (20, 380, 180, 20), (7_000, 1_000, 1_000, 1_000)] {
            let source = slow(takes);
            for number in 0..99_u8 {
                let row = Row {
                    key: vec![number],
                    version: 1,
                    expires_at: Some(1),
                    indexes: vec![None; 3],
                    record: "{}".into(),
                };
                assert!(source.insert(&ACCESS_TOKEN, row).await.unwrap());
            }
            let mut purger = Purger::new(source, vec![&ACCESS_TOKEN], "a");
            for (second, pause) in [(0, calm), (LATE - 1, calm), (LATE, late), (4 * LATE, last), (9 * LATE, last)] {
                let batch = purger.run_batch(|| (NOW + second) * 1000).await.unwrap();
                assert_eq!((batch.more, batch.pause), (true, Duration::from_millis(pause)), "{takes}, {second}");
            }
        }
    }

    /// What is empty costs no write with every batch, and is not forgotten while another table is behind.
    #[tokio::test]
    async fn between_looks_at_all_tables_only_those_behind_are_swept() {
        let source = source(4_000).await;
        let mut purger = Purger::new(source.clone(), vec![&EPOCH, &ACCESS_TOKEN], "a");
        let swept = async |purger: &mut Purger, second: u64| -> Vec<&'static str> {
            let batch = purger.run_batch(|| (NOW + second) * 1000).await.unwrap();
            batch.deleted.iter().map(|(table, _)| *table).collect()
        };
        let all = ["epoch", "access_token"];
        assert_eq!(swept(&mut purger, 0).await, all);
        assert_eq!(swept(&mut purger, 0).await, ["access_token"]);
        assert_eq!(swept(&mut purger, 59).await, ["access_token"]);
        assert_eq!(swept(&mut purger, 60).await, all);
        assert_eq!(swept(&mut purger, 61).await, ["access_token"]);
    }

    /// Nobody's clock alone takes away what lives by the source's.
    #[tokio::test]
    async fn a_clock_that_is_ahead_deletes_nothing_that_lives() {
        for (clock, left) in [(None, 3), (Some(NOW - 1), 4), (Some(NOW + 500), 3)] {
            let source = Arc::new(Hooked { clock: clock.map(|now| now as i64 * 1000), ..Hooked::default() });
            for row in source_rows(1) {
                assert!(source.insert(&ACCESS_TOKEN, row).await.unwrap());
            }
            Purger::new(source.clone(), vec![&ACCESS_TOKEN], "a").run_batch(|| NOW * 1000).await.unwrap();
            assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), left, "{clock:?}");
            purge(&*source, &[&ACCESS_TOKEN], NOW, |_, _| {}).await.unwrap();
            assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), left, "{clock:?}");
        }
    }

    #[tokio::test]
    async fn a_lease_that_ends_too_late_to_be_one_is_taken_over() {
        let source = source(1).await;
        assert_eq!(purger(&source, "a").run_batch(|| (NOW + 9_000) * 1000).await.unwrap().left_to, None);
        assert_eq!(purger(&source, "b").run_batch(|| NOW * 1000).await.unwrap().left_to, None);
    }

    #[tokio::test]
    async fn one_node_purges_until_its_lease_ends() {
        let source = source(3_000).await;
        let (mut a, mut b) = (purger(&source, "a"), purger(&source, "b"));
        let at = |second: u64| move || (NOW + second) * 1000;
        assert_eq!(a.run_batch(at(0)).await.unwrap().left_to, None);
        let left = b.run_batch(at(0)).await.unwrap();
        assert_eq!((left.left_to.as_deref(), left.deleted.len()), (Some("a"), 0));
        assert_eq!(a.run_batch(at(80)).await.unwrap().left_to, None, "renewed");
        assert_eq!(b.run_batch(at(160)).await.unwrap().left_to.as_deref(), Some("a"));
        // `a` is gone: its lease ends, and `b` takes over.
        assert_eq!(b.run_batch(at(170)).await.unwrap().left_to, None);
        assert_eq!(a.run_batch(at(171)).await.unwrap().left_to.as_deref(), Some("b"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_that_begin_at_once_one_purges() {
        let source = source(0).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..20 {
            let mut purger = purger(&source, &format!("node {number}"));
            tasks.spawn(async move { purger.run_batch(|| NOW * 1000).await.unwrap().left_to.is_none() });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|purged| *purged).count(), 1);
    }

    #[tokio::test]
    async fn a_lease_that_cannot_be_read_is_nobodys() {
        let source = source(3).await;
        let lease = Row {
            key: KEY.to_vec(),
            version: 1,
            expires_at: Some(seconds(NOW + 50)),
            indexes: Vec::new(),
            record: "damaged".into(),
        };
        assert!(source.insert(&LEASE, lease).await.unwrap());
        let batch = purger(&source, "a").run_batch(|| NOW * 1000).await.unwrap();
        assert_eq!((batch.left_to, &batch.deleted[..]), (None, &[("access_token", 3)][..]));
        let other = purger(&source, "b").run_batch(|| NOW * 1000).await.unwrap();
        assert_eq!(other.left_to.as_deref(), Some("a"));
    }
}
