//! `[limits]` of the node, and `limits` of a listener: sizes, connections, and how long clients may take.

use std::time::Duration;

use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};
use policy::reader::Keys;
use policy::settings::ByteSize;

use super::Within;

/// `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a body that a filter reads into memory.
    pub(crate) body: usize,
    /// Open connections of all listeners together.
    pub(crate) connections: usize,
    /// How long requests in flight may take to finish when the node ends.
    pub(crate) drain: Duration,
    /// What each listener has that says nothing else.
    pub(crate) clients: ClientLimits,
}

/// What clients of one listener may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientLimits {
    /// Bytes of a request's head.
    pub(crate) headers: usize,
    /// Fields of a request's head.
    pub(crate) header_count: usize,
    /// Open connections.
    pub(crate) connections: usize,
    /// Open connections from one address.
    pub(crate) connections_per_address: usize,
    /// Requests at a time on one connection of HTTP/2.
    pub(crate) streams: u32,
    /// How long a connection may take until its first request begins: PROXY protocol and TLS are before that.
    pub(crate) first_byte_timeout: Duration,
    /// How long a request's head may take from its first byte.
    pub(crate) header_timeout: Duration,
    /// How long a connection may lie idle between two requests.
    pub(crate) idle_timeout: Duration,
    /// How long a client may send nothing in the middle of a body.
    pub(crate) body_timeout: Duration,
    /// How long a client may take nothing of its answer.
    pub(crate) write_timeout: Duration,
    /// How long a request may take in all, from the end of its head to the end of its answer.
    pub(crate) request_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body: 1024 * 1024,
            connections: 20_000,
            drain: Duration::from_secs(30),
            clients: ClientLimits::default(),
        }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits {
            headers: 32 * 1024,
            header_count: 100,
            connections: usize::MAX,
            connections_per_address: usize::MAX,
            streams: 100,
            first_byte_timeout: Duration::from_secs(20),
            header_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            request_timeout: None,
        }
    }
}

/// Reads `[limits]`.
pub(super) fn read(within: Within<'_>, diagnostics: &mut Diagnostics) -> Limits {
    let mut limits = Limits::default();
    let mut keys = Keys::new(within.file, within.table);
    if let Some(ByteSize(size)) = keys.deserialize("body", within.outside) {
        bounded(&mut keys, "body", size, 0, 1 << 30, &mut limits.body);
    }
    // Of all listeners together here.
    count(&mut keys, "connections", 1, 1_000_000, &mut limits.connections);
    if let Some(drain) = keys.duration("drain") {
        limits.drain = drain.value.0;
    }
    clients(&mut keys, within, &mut limits.clients);
    super::finish(keys, diagnostics);
    limits
}

/// Reads `limits` of a listener, over the node's.
pub(super) fn of_listener(within: Within<'_>, node: ClientLimits, diagnostics: &mut Diagnostics) -> ClientLimits {
    let mut limits = node;
    let mut keys = Keys::new(within.file, within.table);
    count(&mut keys, "connections", 1, 1_000_000, &mut limits.connections);
    clients(&mut keys, within, &mut limits);
    super::finish(keys, diagnostics);
    limits
}

/// What both tables have.
fn clients(keys: &mut Keys<'_>, within: Within<'_>, limits: &mut ClientLimits) {
    if let Some(ByteSize(size)) = keys.deserialize("headers", within.outside) {
        // hyper's smallest buffer, and more than any browser or proxy sends.
        bounded(keys, "headers", size, 8 * 1024, 1 << 20, &mut limits.headers);
    }
    count(keys, "header_count", 10, 10_000, &mut limits.header_count);
    count(keys, "connections_per_address", 1, 1_000_000, &mut limits.connections_per_address);
    let mut streams = limits.streams as usize;
    count(keys, "streams", 1, 10_000, &mut streams);
    limits.streams = u32::try_from(streams).unwrap_or(limits.streams);
    for (name, limit) in [
        ("first_byte_timeout", &mut limits.first_byte_timeout),
        ("header_timeout", &mut limits.header_timeout),
        ("idle_timeout", &mut limits.idle_timeout),
        ("body_timeout", &mut limits.body_timeout),
        ("write_timeout", &mut limits.write_timeout),
    ] {
        if let Some(duration) = keys.duration(name) {
            *limit = duration.value.0;
        }
    }
    if let Some(whole) = keys.duration("request_timeout") {
        limits.request_timeout = Some(whole.value.0);
    }
}

fn count<'a>(keys: &mut Keys<'a>, name: &'a str, least: u64, most: u64, limit: &mut usize) {
    if let Some(number) = keys.int(name) {
        bounded(keys, name, u64::try_from(number.value).unwrap_or(0), least, most, limit);
    }
}

fn bounded<'a>(keys: &mut Keys<'a>, name: &'a str, value: u64, least: u64, most: u64, limit: &mut usize) {
    if (least..=most).contains(&value) {
        *limit = value as usize;
        return;
    }
    let Some(node) = keys.node(name) else { return };
    let problem = Problem::error(codes::BAD_VALUE, format!("`{name}` is out of its bounds"));
    keys.push(problem.with_help(format!("from {least} to {most}")).at(keys.place_of(node.span)));
}
