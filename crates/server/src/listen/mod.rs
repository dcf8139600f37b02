//! Listeners: from a connection to an answered request.

mod access;
mod body;
mod connection;
mod header_timer;
mod headers;
mod held;
mod host;
mod id;
mod listeners;
mod request;
mod serve;
mod stream;

pub(crate) use body::receive as receive_body;
pub(crate) use connection::{Connections, Opened};
pub(crate) use id::RequestIds;
pub(crate) use listeners::{Listeners, Plan};
pub(crate) use request::as_received;
pub(crate) use stream::Stream;
