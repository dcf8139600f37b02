//! HTTP/1.1 (RFC 9112).

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::Stream;
use super::body::Unread;
use super::client::Client;
use super::connection::Opened;
use super::head_clock::{HeadClock, HeadTimer};
use super::serve::serve;
use super::wire::Transport;
use crate::settings::ClientLimits;

/// hyper's own smallest read buffer is 8 KiB; more than this is only needed for larger heads.
const BUFFER: usize = 64 * 1024;

/// How many fields hyper has room for without memory of their own.
const FIELDS: usize = 100;

/// That there is a limit: which one, the clock says.
const LIMITED: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve_connection(client: &Client, opened: &Opened, limits: &ClientLimits, transport: Transport) {
    let unread = Unread::default();
    let clock = HeadClock::new(limits.first_byte_timeout, limits.idle_timeout, limits.header_timeout);
    let mut builder = http1::Builder::new();
    builder
        .timer(HeadTimer::new(clock.clone(), unread.clone()))
        .header_read_timeout(LIMITED)
        .max_header_size(limits.headers)
        .max_buf_size(limits.headers.max(BUFFER));
    if limits.header_count != FIELDS {
        builder.max_headers(limits.header_count);
    }
    // On the heap while a request is served: hyper keeps room for it in each connection, where it would be most of an idle one.
    let service = service_fn(|request: http::Request<Incoming>| {
        Box::pin(serve(client, &unread, request).map(Ok::<_, Infallible>))
    });
    let stream = Stream::new(transport, limits.write_timeout).lingers_where(unread.clone()).times(clock.clone());
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let ended = store::guard::connection(opened.drive(connection)).await;
    if let Some(Err(why)) = ended {
        // A head that hyper refused, or waited for in vain: `serve` never heard of it.
        if why.is_parse() || (why.is_timeout() && clock.is_in_head()) {
            client.node.metrics.malformed.fetch_add(1, Ordering::Relaxed);
        }
        // A client that goes away, or speaks no HTTP: nothing that an operator must know of.
        tracing::debug!(peer = %client.caller.peer, "connection ended: {why}");
    }
}
