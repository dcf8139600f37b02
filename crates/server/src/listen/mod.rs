//! Listeners: from a connection to an answered request.

mod access;
mod body;
mod connection;
mod forwarded;
mod header_timer;
mod headers;
mod held;
mod host;
mod id;
mod in_flight;
mod listeners;
mod path;
mod request;
mod serve;
mod stream;
mod until;
mod upgrade;

pub(crate) use access::{About, Outcome};
pub(crate) use body::receive as receive_body;
pub(crate) use connection::{Connections, Finish, Opened};
pub(crate) use headers::is_forged;
pub(crate) use id::RequestIds;
pub(crate) use listeners::{Listeners, Plan};
pub(crate) use request::as_received;
pub(crate) use stream::Stream;
