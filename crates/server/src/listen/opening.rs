//! What comes before HTTP on a connection: the PROXY protocol, TLS, and which HTTP it is.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use policy::exchange::ClientCertificate;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use super::addresses::{Addresses, Counted};
use super::begun::Begun;
use super::connection::Finish;
use super::proxy_protocol;
use super::wire::{Transport, Wire};
use crate::settings::ListenerSettings;
use crate::tls;

/// The beginning of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of a TLS record that is a handshake.
const HANDSHAKE: u8 = 0x16;

/// What somebody is told who speaks HTTP without TLS where TLS is spoken.
const PLAIN_HERE: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 44\r\n\r\n\
This address speaks TLS: ask with https://\r\n";

/// A connection on which HTTP begins.
pub(super) struct Arrived {
    pub(super) transport: Transport,
    /// The client, as the PROXY protocol has it.
    pub(super) peer: SocketAddr,
    /// Whether it speaks HTTP/2.
    pub(super) http2: bool,
    /// Whether it came over TLS.
    pub(super) secure: bool,
    /// What the client proved itself with.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    /// Holds its place among the connections of its address.
    pub(super) counted: Counted,
}

/// Why HTTP did not begin.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// The client's address has as many connections as it may.
    TooMany,
    /// It broke off, or is not what it has to be.
    Broken(io::Error),
}

impl From<io::Error> for NotOpened {
    fn from(why: io::Error) -> Self {
        NotOpened::Broken(why)
    }
}

/// Everything up to the first byte of HTTP.
pub(super) async fn open(
    mut wire: Wire,
    socket_peer: SocketAddr,
    settings: &ListenerSettings,
    addresses: &Arc<Addresses>,
) -> Result<Arrived, NotOpened> {
    let mut peer = socket_peer;
    if settings.proxy_protocol.iter().any(|balancers| balancers.has(peer.ip())) {
        peer = proxy_protocol::take(&mut wire, peer).await?;
    }
    let most = settings.limits.connections_per_address;
    let counted = addresses.enter(peer.ip(), most).ok_or(NotOpened::TooMany)?;
    let (http1, http2) = settings.http.spoken();
    let Some(tls) = &settings.tls else {
        let http2 = http2 && wire.look(speaks_http2).await?.unwrap_or(false);
        if !http2 && !http1 {
            return Err(broken("it does not speak HTTP/2, which is all that is spoken here"));
        }
        let transport = Transport::Plain(wire);
        return Ok(Arrived { transport, peer, http2, secure: false, certificate: None, counted });
    };
    match wire.look(|bytes| bytes.first().copied()).await? {
        Some(HANDSHAKE) => {}
        Some(b'A'..=b'Z') => {
            wire.write_all(PLAIN_HERE).await?;
            wire.shutdown().await?;
            return Err(broken("it speaks HTTP in the clear, and this listener TLS"));
        }
        _ => return Err(broken("it does not begin with a TLS handshake")),
    }
    let stream = TlsAcceptor::from(tls.config()).accept(wire).await?;
    let (_, session) = stream.get_ref();
    let http2 = match session.alpn_protocol() {
        Some(tls::ACME_TLS) => return Err(broken("it was an authority that asked by ACME whose name this is")),
        Some(protocol) => protocol == b"h2",
        // A client that does not say what it speaks speaks HTTP/1.1.
        None if http1 => false,
        None => return Err(broken("it did not ask for HTTP/2 (ALPN), which is all that is spoken here")),
    };
    let certificate = match session.peer_certificates().and_then(|chain| chain.first()) {
        Some(own) => {
            Some(tls::client_certificate(own).ok_or_else(|| broken("the client's certificate cannot be read"))?)
        }
        None => None,
    };
    let certificate = certificate.map(Arc::new);
    Ok(Arrived { transport: Transport::Tls(Box::new(stream)), peer, http2, secure: true, certificate, counted })
}

fn broken(why: &'static str) -> NotOpened {
    NotOpened::Broken(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Whether it begins as HTTP/2 does; `None` where that is still open.
fn speaks_http2(bytes: &[u8]) -> Option<bool> {
    let length = bytes.len().min(PREFACE.len());
    if bytes[..length] != PREFACE[..length] {
        return Some(false);
    }
    (length == PREFACE.len()).then_some(true)
}

/// Opening as a connection that can be asked to finish: where nothing came yet it ends; what has begun goes on.
pub(super) struct Opening<F> {
    pub(super) opens: Pin<Box<F>>,
    pub(super) begun: Begun,
    pub(super) finish: bool,
}

impl<F: Future> Future for Opening<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let opened = self.opens.as_mut().poll(cx);
        if opened.is_pending() && self.finish && !self.begun.has() {
            return Poll::Ready(None);
        }
        opened.map(Some)
    }
}

impl<F: Future> Finish for Opening<F> {
    fn finish(mut self: Pin<&mut Self>) {
        self.finish = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_is_told_by_its_first_bytes() {
        assert_eq!(speaks_http2(b""), None);
        assert_eq!(speaks_http2(b"PRI * HT"), None);
        assert_eq!(speaks_http2(PREFACE), Some(true));
        assert_eq!(speaks_http2(&[PREFACE, b"more"].concat()), Some(true));
        assert_eq!(speaks_http2(b"P"), None);
        assert_eq!(speaks_http2(b"PUT /"), Some(false));
        assert_eq!(speaks_http2(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), Some(false));
    }

    #[test]
    fn the_word_to_those_who_speak_plainly_has_its_length() {
        let text = std::str::from_utf8(PLAIN_HERE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{} {head}", body.len());
    }
}
