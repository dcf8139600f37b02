//! How a connection to an address is made: TCP, TLS where that is asked for, and which HTTP is spoken on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use policy::ports::UpstreamError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::settings::{HttpVersion, Way};
use super::stream::Stream;

/// What connections of one target have in common.
pub(super) struct Connector {
    way: Arc<Way>,
    tls: Option<Secured>,
}

/// TLS, as it is set up.
enum Secured {
    With {
        /// What is agreed on is what the settings say.
        agreed: TlsConnector,
        /// It is HTTP/1.1.
        one: TlsConnector,
        name: ServerName<'static>,
    },
    /// The settings were refused, so nothing is ever sent with them.
    Never,
}

impl Connector {
    pub(super) fn new(way: &Arc<Way>, host: &str) -> Connector {
        let tls =
            way.tls.as_ref().map(|tls| match (tls.config(way.http), tls.config(HttpVersion::One), tls.name(host)) {
                (Ok(agreed), Ok(one), Some(name)) => Secured::With { agreed: agreed.into(), one: one.into(), name },
                _ => Secured::Never,
            });
        Connector { way: way.clone(), tls }
    }

    /// Whether these settings make the same connections.
    pub(super) fn is(&self, way: &Way) -> bool {
        *self.way == *way
    }

    pub(super) fn http(&self) -> HttpVersion {
        self.way.http
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// A connection, and whether HTTP/2 is spoken on it. One that `switches` protocols is HTTP/1.1 where the settings leave that open.
    pub(super) async fn connect(
        &self,
        to: SocketAddr,
        limit: Duration,
        switches: bool,
    ) -> Result<(Stream, bool), UpstreamError> {
        match tokio::time::timeout(limit, self.connected(to, switches)).await {
            Ok(connected) => connected.map_err(UpstreamError::Unreachable),
            Err(_) => Err(UpstreamError::Timeout("connect")),
        }
    }

    async fn connected(&self, to: SocketAddr, switches: bool) -> Result<(Stream, bool), String> {
        let stream = TcpStream::connect(to).await.map_err(|why| why.to_string())?;
        stream.set_nodelay(true).map_err(|why| why.to_string())?;
        let two = self.way.http == HttpVersion::Two;
        let (connector, name) = match &self.tls {
            None => return Ok((Stream::Plain(stream), two)),
            Some(Secured::Never) => return Err(String::from("its TLS settings cannot be used")),
            Some(Secured::With { one, name, .. }) if switches && !two => (one, name.clone()),
            Some(Secured::With { agreed, name, .. }) => (agreed, name.clone()),
        };
        let stream = connector.connect(name, stream).await.map_err(|why| format!("TLS: {why}"))?;
        let agreed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        // A server that knows no ALPN speaks HTTP/1.1 to whoever does not insist (RFC 9113, section 3.2).
        match two && !agreed {
            true => Err(String::from("it does not speak HTTP/2: `http = \"auto\"` takes what it speaks")),
            false => Ok((Stream::Tls(Box::new(stream)), agreed)),
        }
    }
}
