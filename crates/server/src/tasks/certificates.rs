//! Certificates by ACME: gets the first one, and another one in time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::acme;
use crate::load::ServedListener;
use crate::node::Node;
use crate::reload::Trigger;

/// How often it is looked whether one is due.
const EVERY: Duration = Duration::from_secs(2);

/// How long is waited after a failure: at first, and at most. Authorities take so many failures an hour and no more.
const FIRST_PAUSE: u64 = 60;
const LONGEST_PAUSE: u64 = 6 * 3600;

/// What failed, and when it is tried again.
struct Pause {
    /// What was asked for: where that is something else, it is tried at once.
    asked: acme::AcmeSettings,
    seconds: u64,
    until: u64,
}

/// Keeps the certificates of all listeners, for as long as the node lives.
pub(crate) async fn keep_certificates(node: Arc<Node>) {
    let mut pauses: HashMap<Arc<str>, Pause> = HashMap::new();
    loop {
        let generation = node.generation.load_full();
        for listener in &generation.listeners {
            keep(&node, listener, &mut pauses).await;
        }
        drop(generation);
        tokio::time::sleep(EVERY).await;
    }
}

async fn keep(node: &Node, listener: &ServedListener, pauses: &mut HashMap<Arc<str>, Pause>) {
    let Some(tls) = &listener.settings.tls else { return };
    let Some((settings, challenges)) = tls.acme() else { return };
    let now = node.now();
    if settings.due() > i64::try_from(now).unwrap_or(i64::MAX) {
        return;
    }
    let paused = pauses.get(&listener.name).filter(|pause| pause.asked == *settings);
    if paused.is_some_and(|pause| pause.until > now) {
        return;
    }
    let pause = paused.map_or(FIRST_PAUSE, |pause| (pause.seconds * 2).min(LONGEST_PAUSE));
    let got = acme::obtain(settings, challenges, &node.options.dir, &node.environment.clock).await;
    challenges.clear();
    match got {
        Ok(()) => {
            pauses.remove(&listener.name);
            tracing::info!(
                listener = &*listener.name,
                names = settings.names.join(" "),
                "a certificate was got by ACME"
            );
            // The watcher may not see files below `var/`.
            let _ = node.triggers.send(Trigger { by: "acme", answer: None }).await;
        }
        Err(why) => {
            node.metrics.certificates_failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tracing::error!(
                listener = &*listener.name,
                directory = settings.directory,
                "no certificate was got by ACME: {why}; it is tried again in {pause} s"
            );
            pauses.insert(listener.name.clone(), Pause { asked: settings.clone(), seconds: pause, until: now + pause });
        }
    }
}
