//! One client's connection: who it is, and where it came in.

use std::net::SocketAddr;
use std::sync::Arc;

use policy::exchange::ClientCertificate;

use super::addresses::Counted;
use super::connection::Word;
use super::listeners::Listener;
use crate::node::Node;
use crate::settings::ListenerSettings;

/// A connection that speaks HTTP.
pub(super) struct Client {
    pub(super) node: Arc<Node>,
    pub(super) listener: Arc<Listener>,
    pub(super) caller: Caller,
    /// It counts for its address as long as anything of it is there.
    pub(super) counted: Arc<Counted>,
    /// What the listener's TLS admitted when it did; nothing in the clear.
    pub(super) admitted: Option<u64>,
    /// How it is told to finish.
    pub(super) word: Word,
}

impl Client {
    /// It finishes what it has begun, where the listener has other terms now: it must prove itself again.
    pub(super) fn goes_by(&self, settings: &ListenerSettings) {
        if self.admitted != settings.admits() {
            self.word.finish();
        }
    }
}

/// Who is at the other end.
pub(super) struct Caller {
    /// Its address, as the PROXY protocol has it.
    pub(super) peer: SocketAddr,
    /// Whether it came over TLS.
    pub(super) secure: bool,
    /// What the client proved itself with.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
}
