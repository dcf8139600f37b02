//! Whether data sources answer: looked at every two seconds, so that `/health/ready` tells the truth and a source that is back is
//! in use again within 5 s.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use store::guard::Guarded;
use store::migration::CURRENT;
use store::source::probe;
use store::{DataSource, StoreError};

use super::each::Each;
use crate::node::Node;

const EVERY: Duration = Duration::from_secs(2);

/// Looks at all sources in use, for as long as the node lives.
pub(crate) async fn watch_sources(node: Arc<Node>) {
    let mut looks = Each::default();
    loop {
        let generation = node.generation.load_full();
        let mut names = BTreeSet::new();
        for source in generation.stores.sources_in_use() {
            names.insert(source.name().to_owned());
            // One that hangs must not keep the others from being looked at, nor be asked again meanwhile.
            looks.start(source, |source| look(node.clone(), source));
        }
        node.forget_other_sources(&names);
        drop(generation);
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether the source can do what requests need of it.
async fn ask(node: &Node, source: &Guarded) -> Result<(), StoreError> {
    let health = source.health().await?;
    if health.schema < CURRENT {
        // It was emptied or restored: what is missing is made, as at a start.
        source.prepare().await?;
    }
    // One that was dropped or altered fails every request, though the server is well. That it has too much to do for now says nothing.
    for table in node.generation.load_full().stores.tables_on(source.name()) {
        if let Err(why @ StoreError::Broken(_)) = probe(source, table).await {
            return Err(why);
        }
    }
    Ok(())
}

async fn look(node: Arc<Node>, source: Arc<Guarded>) {
    let outcome = match source.prepared() {
        true => ask(&node, &source).await,
        false => source.prepare().await,
    };
    // A generation that uses another source under this name has its own view of it.
    let still_in_use = node.generation.load().stores.source(source.name()).is_some_and(|now| Arc::ptr_eq(now, &source));
    if still_in_use {
        node.source_is(source.name(), outcome.err().map(|why| why.to_string()));
    }
}
