//! Sockets that listen, and what they accept.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use super::address::{Address, LOCAL_PEER};

/// How many connections the kernel lets wait, where no `somaxconn` allows fewer. What comes beyond is dropped, and comes again a second
/// later: the 128 that the standard library asks for are few when many come at once.
const BACKLOG: u32 = 4096;

/// A socket that listens.
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket; gone with the socket.
pub(super) struct SocketFile(PathBuf);

/// A connection.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Bound {
    /// Binds it. A Unix socket's path is below this folder, and its file has this mode.
    pub(super) fn bind(address: &Address, folder: &Path, mode: u32) -> io::Result<Bound> {
        match address {
            Address::Tcp(address) => {
                let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                // A node that is started anew does not wait for the last connections of the one before.
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                socket.listen(BACKLOG).map(Bound::Tcp)
            }
            Address::Unix(path) => {
                let path = folder.join(path);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                remove_what_nobody_serves(&path)?;
                let socket = UnixListener::bind(&path)?;
                let file = SocketFile(path);
                set_mode(&file.0, mode)?;
                Ok(Bound::Unix(socket, file))
            }
        }
    }

    /// The address that it really has.
    pub(super) fn address(&self) -> io::Result<Address> {
        match self {
            Bound::Tcp(socket) => socket.local_addr().map(Address::Tcp),
            Bound::Unix(_, file) => Ok(Address::Unix(file.0.clone())),
        }
    }

    /// The next connection, and who is at its other end.
    pub(super) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Bound::Tcp(socket) => socket.accept().await.map(|(stream, peer)| (Socket::Tcp(stream), peer)),
            Bound::Unix(socket, _) => socket.accept().await.map(|(stream, _)| (Socket::Unix(stream), LOCAL_PEER)),
        }
    }

    /// Hands over what waits, no more than may have when it was told to stop, and closes the socket: the kernel would else reset connections on which clients have
    /// sent already.
    pub(super) fn empty(self, mut admit: impl FnMut(Socket, SocketAddr)) -> io::Result<()> {
        // The kernel itself is asked: the runtime may not know yet of what came last.
        let mut accept: Box<dyn FnMut() -> io::Result<(Socket, SocketAddr)>> = match self {
            Bound::Tcp(socket) => {
                let socket = socket.into_std()?;
                Box::new(move || {
                    let (stream, peer) = socket.accept()?;
                    stream.set_nonblocking(true)?;
                    Ok((Socket::Tcp(TcpStream::from_std(stream)?), peer))
                })
            }
            Bound::Unix(socket, file) => {
                // No more can come than waits.
                drop(file);
                let socket = socket.into_std()?;
                Box::new(move || {
                    let (stream, _) = socket.accept()?;
                    stream.set_nonblocking(true)?;
                    Ok((Socket::Unix(UnixStream::from_std(stream)?), LOCAL_PEER))
                })
            }
        };
        for _ in 0..BACKLOG {
            match accept() {
                Ok((socket, peer)) => admit(socket, peer),
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Of one that is gone again.
                Err(why) if matches!(why.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }
}

/// Who may connect to a Unix socket.
pub(super) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// A socket's file stays where its process was killed. Only a socket is removed, and only one that nobody answers at.
fn remove_what_nobody_serves(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        match std::os::unix::net::UnixStream::connect(path) {
            Err(why) if why.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            _ => return Err(io::Error::new(ErrorKind::AddrInUse, "another process serves this socket")),
        }
    }
    Ok(())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone, or the folder may be no longer ours: there is nothing to do about it then.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Waits until there may be something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.readable().await,
            Socket::Unix(stream) => stream.readable().await,
        }
    }

    /// Small pieces are sent at once.
    pub(super) fn without_delay(&self) {
        if let Socket::Tcp(stream) = self {
            // A socket that is gone already: the first read says so too.
            let _ = stream.set_nodelay(true);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Neither holds anything back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn many_may_come_at_once() {
        let address = Address::Tcp(([127, 0, 0, 1], 0).into());
        let bound = Bound::bind(&address, Path::new("."), 0o600).unwrap();
        let address = bound.address().unwrap().tcp().unwrap();
        // Nobody accepts any of them.
        let connect = |_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(900));
        let waiting: io::Result<Vec<_>> = (0..300).map(connect).collect();
        assert_eq!(waiting.expect("none is dropped").len(), 300);
    }
}
