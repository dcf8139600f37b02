//! Connections that switch from HTTP/1.1 to another protocol (RFC 9110, section 7.8).

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;

/// The protocol that a request is to switch to: an extension of what goes to an [`Upstream`](crate::ports::Upstream).
#[derive(Clone, Debug)]
pub struct Upgrade(pub HeaderValue);

/// The other side of a connection that switched: an extension of an upstream's answer 101, then a part of the
/// [`Response`](super::Response). What it is, whoever made it and whoever joins it to the client's connection agree on.
#[derive(Clone)]
pub struct Upgraded {
    /// The protocol.
    pub protocol: HeaderValue,
    /// For how long nothing may come from either side. None = as long as the node's limits say.
    pub idle: Option<Duration>,
    other: Arc<Mutex<Option<Box<dyn Any + Send>>>>,
}

impl Upgraded {
    /// A connection that speaks this protocol now.
    pub fn new(protocol: HeaderValue, other: impl Any + Send) -> Self {
        Upgraded { protocol, idle: None, other: Arc::new(Mutex::new(Some(Box::new(other)))) }
    }

    /// The connection, once.
    pub fn take(&self) -> Option<Box<dyn Any + Send>> {
        self.other.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("protocol", &self.protocol).field("idle", &self.idle).finish_non_exhaustive()
    }
}
