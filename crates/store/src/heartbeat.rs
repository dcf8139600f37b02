//! Heartbeats: each node writes a row about itself into every source that it shares with others, every two seconds. So everybody
//! sees which nodes there are, by which files they serve, and whether they can open what the others seal.
//!
//! And they prove that a source is shared: whoever wants to know writes a *challenge* into it, and the nodes that have that same
//! source answer it with their next heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::{decode, encode, seconds};
use crate::source::{DataSource, Row, StoreError};
use crate::tables::{LEASE, NODE};

/// Between two heartbeats.
pub const EVERY: Duration = Duration::from_secs(2);
/// Seconds after which a node that wrote nothing counts as gone: some heartbeats, and what clocks may differ.
const SILENT: u64 = 15;
/// Seconds after which its row may go.
const KEPT: u64 = 300;
/// Seconds for which a challenge stands.
const OPEN: u64 = 60;
/// Nodes, and challenges, that are read at most.
const MOST: usize = 1_000;
/// What the keys of challenges begin with, among the leases.
const CHALLENGE: &[u8] = b"verify:";

/// What a node says of itself in one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its name.
    pub node: String,
    /// Which process it is: a random number, since two may have one name.
    pub instance: String,
    /// Its version.
    pub version: String,
    /// The number of its generation.
    pub generation: u64,
    /// A hash of its policies and of its mapping of stores: the same on nodes that serve the same.
    pub files: String,
    /// When it started, Unix seconds by its clock.
    pub started_at: u64,
    /// When it wrote this.
    pub seen_at: u64,
    /// The fingerprint of the key that it seals with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The stores that it keeps in this source.
    pub stores: Vec<String>,
    /// Stores that move, and keep the other part of their records here: `access-token` is `next` where this is the new source, `previous`
    /// where it is the old one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub beside: BTreeMap<String, String>,
    /// Another process writes heartbeats by the same name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rival: bool,
    /// The challenges that it found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
}

impl Heartbeat {
    /// Whether the node lives, as far as can be told.
    pub fn lives(&self, now: u64) -> bool {
        self.seen_at + SILENT > now
    }
}

/// The heartbeats of this node in one source.
pub struct Pulse {
    source: Arc<dyn DataSource>,
    /// Whether the row was ours after the last one.
    wrote: bool,
}

impl Pulse {
    /// In this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        Pulse { source, wrote: false }
    }

    /// Writes one; `rival` and `answers` are filled in here. All heartbeats that are there then, this one as it was written.
    pub async fn beat(&mut self, heartbeat: &Heartbeat) -> Result<Vec<Heartbeat>, StoreError> {
        let key = heartbeat.node.as_bytes();
        let found = self.source.get(&NODE, key).await?;
        // One that cannot be read is written anew.
        let before = found.as_ref().and_then(|row| decode::<Heartbeat>(&NODE, row).ok());
        let other = before.as_ref().is_some_and(|before| before.instance != heartbeat.instance);
        // Before the first one it may be that of the process before this.
        let rival = other && self.wrote;
        let answers = challenges(&*self.source, heartbeat.seen_at).await?;
        let heartbeat = Heartbeat { rival, answers, ..heartbeat.clone() };
        let row = Row {
            key: key.to_vec(),
            version: 1,
            expires_at: Some(seconds(heartbeat.seen_at + KEPT)),
            indexes: Vec::new(),
            record: encode(&NODE, &heartbeat)?,
        };
        // Where somebody was quicker it has our name: the next one tells.
        self.wrote |= match found {
            Some(found) => self.source.replace(&NODE, row, found.version).await?,
            None => self.source.insert(&NODE, row).await?,
        };
        nodes(&*self.source).await
    }
}

/// The heartbeats in a source, those of nodes that are gone included. One that cannot be read is as good as none, and told in the log:
/// its node writes it anew, or is gone.
pub async fn nodes(source: &dyn DataSource) -> Result<Vec<Heartbeat>, StoreError> {
    Ok(source.list(&NODE, None, MOST).await?.iter().filter_map(|row| decode(&NODE, row).ok()).collect())
}

/// Takes the heartbeat of a node that ends, where it is its own.
pub async fn farewell(source: &dyn DataSource, node: &str, instance: &str) -> Result<(), StoreError> {
    let Some(row) = source.get(&NODE, node.as_bytes()).await? else { return Ok(()) };
    if decode::<Heartbeat>(&NODE, &row).is_ok_and(|heartbeat| heartbeat.instance == instance) {
        source.take(&NODE, node.as_bytes()).await?;
    }
    Ok(())
}

/// Writes a challenge; `now` is in Unix seconds, the name is random.
pub async fn challenge(source: &dyn DataSource, name: &str, now: u64) -> Result<(), StoreError> {
    let key = [CHALLENGE, name.as_bytes()].concat();
    let expires_at = Some(seconds(now + OPEN));
    let row = Row { key, version: 1, expires_at, indexes: Vec::new(), record: String::from("{}") };
    match source.insert(&LEASE, row).await? {
        true => Ok(()),
        false => Err(StoreError::Broken("a random name exists already: is the randomness broken?".into())),
    }
}

/// Takes a challenge back.
pub async fn withdraw(source: &dyn DataSource, name: &str) -> Result<(), StoreError> {
    source.take(&LEASE, &[CHALLENGE, name.as_bytes()].concat()).await.map(drop)
}

/// The challenges that stand.
async fn challenges(source: &dyn DataSource, now: u64) -> Result<Vec<String>, StoreError> {
    let rows = source.list(&LEASE, Some(CHALLENGE), MOST).await?;
    let open = rows.iter().filter(|row| row.expires_at.is_some_and(|at| at > seconds(now)));
    Ok(open.filter_map(|row| String::from_utf8(row.key.strip_prefix(CHALLENGE)?.to_vec()).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::memory::Memory;

    const NOW: u64 = 1_800_000_000;

    fn heartbeat(node: &str, instance: &str, seen_at: u64) -> Heartbeat {
        Heartbeat {
            node: node.into(),
            instance: instance.into(),
            version: "1".into(),
            generation: 1,
            files: "f".into(),
            started_at: NOW,
            seen_at,
            key: None,
            stores: vec!["clients".into()],
            beside: BTreeMap::new(),
            rival: false,
            answers: Vec::new(),
        }
    }

    #[tokio::test]
    async fn each_node_has_a_row_and_sees_the_others() {
        let source: Arc<dyn DataSource> = Arc::new(Memory::new());
        let (mut a, mut b) = (Pulse::new(source.clone()), Pulse::new(source.clone()));
        assert_eq!(a.beat(&heartbeat("a", "1", NOW)).await.unwrap(), [heartbeat("a", "1", NOW)]);
        b.beat(&heartbeat("b", "2", NOW + 1)).await.unwrap();
        let both = [heartbeat("a", "1", NOW + 2), heartbeat("b", "2", NOW + 1)];
        assert_eq!(a.beat(&heartbeat("a", "1", NOW + 2)).await.unwrap(), both);
        assert!(both[1].lives(NOW + 15) && !both[1].lives(NOW + 16));
        farewell(&*source, "a", "another").await.unwrap();
        assert_eq!(nodes(&*source).await.unwrap(), both);
        farewell(&*source, "a", "1").await.unwrap();
        farewell(&*source, "a", "1").await.unwrap();
        assert_eq!(nodes(&*source).await.unwrap(), both[1..]);
    }

    #[tokio::test]
    async fn two_of_one_name_notice_and_a_restart_is_none() {
        let source: Arc<dyn DataSource> = Arc::new(Memory::new());
        let rival = |nodes: Vec<Heartbeat>| nodes.iter().any(|node| node.rival);
        let mut first = Pulse::new(source.clone());
        assert!(!rival(first.beat(&heartbeat("a", "1", NOW)).await.unwrap()));
        // The first has crashed, and starts again.
        let mut second = Pulse::new(source.clone());
        for later in 1..3 {
            assert!(!rival(second.beat(&heartbeat("a", "2", NOW + later)).await.unwrap()));
        }
        // It has not.
        assert!(rival(first.beat(&heartbeat("a", "1", NOW + 3)).await.unwrap()));
        assert!(rival(second.beat(&heartbeat("a", "2", NOW + 4)).await.unwrap()));
        // Now the first has its own name.
        assert!(!rival(second.beat(&heartbeat("a", "2", NOW + 5)).await.unwrap()));
    }

    #[tokio::test]
    async fn a_challenge_is_answered_while_it_stands() {
        let source: Arc<dyn DataSource> = Arc::new(Memory::new());
        let mut pulse = Pulse::new(source.clone());
        let mut answers = async |now| pulse.beat(&heartbeat("a", "1", now)).await.unwrap().remove(0).answers;
        // Another lease is none.
        let lease = |key: &[u8]| Row {
            key: key.to_vec(),
            version: 1,
            expires_at: Some(seconds(NOW + 99)),
            indexes: Vec::new(),
            record: "{}".into(),
        };
        for key in [&b"purge"[..], b"zzz"] {
            assert!(source.insert(&LEASE, lease(key)).await.unwrap());
        }
        assert_eq!(answers(NOW).await, [""; 0]);
        challenge(&*source, "x", NOW).await.unwrap();
        challenge(&*source, "y", NOW).await.unwrap();
        assert!(challenge(&*source, "y", NOW).await.is_err());
        assert_eq!(answers(NOW + 1).await, ["x", "y"]);
        withdraw(&*source, "x").await.unwrap();
        assert_eq!(answers(NOW + 2).await, ["y"]);
        assert_eq!(answers(NOW + 60).await, [""; 0]);
    }

    /// A node writes its own anew; that of another one keeps nobody from seeing the rest.
    #[tokio::test]
    async fn damaged_ones_are_passed_over() {
        let source: Arc<dyn DataSource> = Arc::new(Memory::new());
        for key in ["a", "b"] {
            let damaged =
                Row { key: key.into(), version: 1, expires_at: None, indexes: Vec::new(), record: "damaged".into() };
            assert!(source.insert(&NODE, damaged).await.unwrap());
        }
        assert_eq!(nodes(&*source).await.unwrap(), []);
        farewell(&*source, "a", "1").await.unwrap();
        let mut a = Pulse::new(source.clone());
        assert_eq!(a.beat(&heartbeat("a", "1", NOW)).await.unwrap(), [heartbeat("a", "1", NOW)]);
        assert_eq!(a.beat(&heartbeat("a", "1", NOW + 2)).await.unwrap(), [heartbeat("a", "1", NOW + 2)]);
    }
}
