//! Listeners: from a connection to an answered request.

mod access;
mod address;
mod addresses;
mod begun;
mod body;
mod challenge;
mod client;
mod connection;
mod deadline;
mod forwarded;
mod head_clock;
mod headers;
mod held;
mod host;
mod http1;
mod http2;
mod id;
mod in_flight;
mod listeners;
mod opening;
mod proxy_protocol;
mod request;
mod serve;
mod socket;
mod stream;
mod upgrade;
mod wire;

pub(crate) use access::{About, Outcome};
pub use address::Address;
pub(crate) use body::receive as receive_body;
pub(crate) use connection::{Connections, Finish, Opened};
pub(crate) use headers::is_forged;
pub(crate) use id::RequestIds;
pub(crate) use listeners::{Listeners, Plan};
pub(crate) use request::as_received;
pub(crate) use stream::Stream;
