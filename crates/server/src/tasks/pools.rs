//! Idle connections to upstreams: closed once the other side has closed them, or after a while.

use std::sync::Arc;
use std::time::Duration;

use crate::node::Node;

/// Sweeps the pools of the generation that serves, for as long as the node lives.
pub(crate) async fn sweep_pools(node: Arc<Node>) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let generation = node.generation.load_full();
        let of_providers = generation.providers.values().map(|provider| &provider.upstream);
        generation.upstreams.values().chain(of_providers).for_each(|upstream| upstream.sweep());
    }
}
