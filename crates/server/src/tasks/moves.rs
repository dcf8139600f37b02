//! Stores that move: whether the old source still has records that count, so that people know when `previous` can be taken out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use store::mapping::Move;
use store::moving::{Phase, Remains};
use tokio::time::Instant;

use crate::node::Node;

/// How often it is looked; where a look takes long, nine times as long is waited.
const EVERY: Duration = Duration::from_secs(5);

/// Looks at the old source of every store in its last step, for as long as the node lives. Also at one that was found empty: nodes
/// that are a step behind still write there.
pub(crate) async fn watch_moves(node: Arc<Node>) {
    loop {
        let began = Instant::now();
        let moves: Vec<Move> = node.generation.load().stores.moves().filter(|m| m.phase == Phase::Previous).collect();
        let mut empty = BTreeSet::new();
        for moving in &moves {
            let Move { store, old, new, .. } = moving;
            match Remains::of_move(old.clone(), new.clone(), moving.kind.tables()).await {
                Ok(true) => {}
                Ok(false) => {
                    if !node.is_emptied(moving) {
                        let source = old.name();
                        tracing::info!(
                            store,
                            source,
                            "the old source has nothing of the store any more: take `previous` out"
                        );
                    }
                    empty.insert(moving.name());
                }
                Err(why) => tracing::debug!(store, "what the old source has is not known: {why}"),
            }
        }
        node.set_emptied(empty);
        tokio::time::sleep(EVERY.max(began.elapsed() * 9)).await;
    }
}
