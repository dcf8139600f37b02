//! Connections that switched protocols: joined to the upstream's, for as long as both sides talk. Such a connection is no part of a
//! generation any more; its listener counts it, and it is told of in the access log when it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use policy::exchange::Upgraded;

use super::addresses::Counted;
use super::connection::Opened;
use super::in_flight::InFlight;
use super::serve::instant;
use crate::node::Node;
use crate::tasks;
use crate::tunnel::{Counts, Joint, Tunnel};

/// For how long nothing may come from either side, where a policy says nothing of it.
const IDLE: Duration = Duration::from_secs(300);

/// The protocols that a request asks for, where its connection is to switch.
pub(super) fn asked(headers: &HeaderMap) -> Option<String> {
    let mut connection = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    if !connection.any(|member| member.trim_ascii().eq_ignore_ascii_case(b"upgrade")) {
        return None;
    }
    let values: Option<Vec<&str>> = headers.get_all(UPGRADE).iter().map(|value| value.to_str().ok()).collect();
    values.map(|values| values.join(", ")).filter(|protocols| !protocols.is_empty())
}

/// What the answer says, beside its status.
pub(super) fn announce(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// Joins the two connections once the answer is written; gives the request back where there is none to join. `until`: when that ends in any case, in Unix milliseconds.
pub(super) fn join(
    node: &Arc<Node>,
    (opened, counted): (Opened, Arc<Counted>),
    client: OnUpgrade,
    upgraded: &Upgraded,
    until: Option<u64>,
    in_flight: Box<InFlight>,
) -> Option<Box<InFlight>> {
    let Some(tunnel) = upgraded.take().and_then(|other| other.downcast::<Tunnel>().ok()) else {
        return Some(in_flight);
    };
    let idle = upgraded.idle.unwrap_or(IDLE);
    let over = until.map(|until| instant(node, until));
    let node = node.clone();
    tasks::spawn(async move {
        let _counted = counted;
        // A client that was gone before the answer was written.
        let Ok(client) = client.await else { return };
        let counts = Arc::<Counts>::default();
        node.metrics.upgrades.fetch_add(1, Ordering::Relaxed);
        let joint = Joint::new(TokioIo::new(client), *tunnel, counts.clone(), idle, over);
        let ended = opened.drive(joint).await.map_or("cut off", |end| end.as_str());
        let received = counts.received.load(Ordering::Relaxed);
        let sent = counts.sent.load(Ordering::Relaxed);
        node.metrics.upgraded_received.fetch_add(received, Ordering::Relaxed);
        node.metrics.upgraded_sent.fetch_add(sent, Ordering::Relaxed);
        in_flight.switched(ended, received, sent);
    });
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_7_8_an_upgrade_is_asked_for_by_connection_too() {
        for (connection, upgrade, expected) in [
            (Some("Upgrade"), Some("websocket"), Some("websocket")),
            (Some("keep-alive, upgrade"), Some("websocket, x/1"), Some("websocket, x/1")),
            (None, Some("websocket"), None),
            (Some("close"), Some("websocket"), None),
            (Some("upgrade"), None, None),
            (Some("upgrade"), Some(""), None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CONNECTION, connection), (UPGRADE, upgrade)] {
                headers.extend(value.map(|value| (name, HeaderValue::from_static(value))));
            }
            assert_eq!(asked(&headers).as_deref(), expected, "{connection:?} {upgrade:?}");
        }
    }
}
