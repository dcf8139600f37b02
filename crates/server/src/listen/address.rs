//! Where a listener listens: a TCP address, or the path of a Unix socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What a Unix socket's address begins with in a file.
const UNIX: &str = "unix:";

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IP address and port.
    Tcp(SocketAddr),
    /// A Unix socket, by its path: relative to the configuration folder in a file, as the kernel has it once it is bound.
    Unix(PathBuf),
}

/// The peer of a Unix socket as policies see it: a program of this machine.
pub(super) const LOCAL_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Address {
    /// `127.0.0.1:8080`, `[::]:8080`, or `unix:run/gateway.sock`.
    pub(crate) fn parse(text: &str) -> Option<Address> {
        match text.strip_prefix(UNIX) {
            Some(path) if path.is_empty() || path.contains('\0') => None,
            Some(path) => Some(Address::Unix(path.into())),
            None => text.parse().ok().map(Address::Tcp),
        }
    }

    /// IP address and port, where it has those.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// Whether two listeners cannot both have it. Any number may ask for a port of the kernel's choice.
    pub(crate) fn is_same_as(&self, other: &Address) -> bool {
        let port = self.tcp().map(|address| address.port());
        // Whether `[::]` takes IPv4 too is the machine's to say, and the one that checks need not be the one that runs.
        let of_two_families =
            matches!((self.tcp(), other.tcp()), (Some(one), Some(other)) if one.is_ipv4() != other.is_ipv4());
        port != Some(0) && !of_two_families && self.overlaps(other)
    }

    /// Whether somebody who connects to this address from this machine comes here, as far as can be told without asking the network: an
    /// address of another machine looks like one of ours.
    pub(crate) fn is_reached_by(&self, target: SocketAddr) -> bool {
        let target = SocketAddr::new(target.ip().to_canonical(), target.port());
        let here = target.ip().is_loopback() || target.ip().is_unspecified();
        let named = self.tcp().is_some_and(|own| own.ip().to_canonical() == target.ip());
        (here || named) && self.overlaps(&Address::Tcp(target))
    }

    /// Whether the kernel gives at most one of the two away.
    pub(super) fn overlaps(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Tcp(one), Address::Tcp(other)) => {
                // `[::]` takes IPv4 too, as Linux has it.
                let takes =
                    |all: &SocketAddr, one: &SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4());
                one.port() == other.port() && (one.ip() == other.ip() || takes(one, other) || takes(other, one))
            }
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_mostly_for_certain() {
        for (one, other, overlap, for_certain) in [
            ("127.0.0.1:1", "127.0.0.1:1", true, true),
            ("127.0.0.1:1", "127.0.0.1:2", false, false),
            ("127.0.0.1:1", "127.0.0.2:1", false, false),
            ("127.0.0.1:1", "0.0.0.0:1", true, true),
            ("127.0.0.1:1", "0.0.0.0:2", false, false),
            ("127.0.0.1:1", "[::]:1", true, false),
            ("[::1]:1", "[::]:1", true, true),
            ("[::1]:1", "0.0.0.0:1", false, false),
            ("127.0.0.1:0", "127.0.0.1:0", true, false),
            ("unix:a", "unix:a", true, true),
            ("unix:a", "unix:b", false, false),
            ("unix:a", "127.0.0.1:1", false, false),
        ] {
            let address = |text: &str| Address::parse(text).unwrap();
            for (one, other) in [(address(one), address(other)), (address(other), address(one))] {
                assert_eq!((one.overlaps(&other), one.is_same_as(&other)), (overlap, for_certain), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_on_this_machine_reaches_a_listener_here() {
        for (own, target, reached) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "[::ffff:127.0.0.1]:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "[::1]:1", false),
            ("0.0.0.0:1", "127.0.0.2:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::]:1", "127.0.0.1:1", true),
            ("10.0.0.1:1", "10.0.0.1:1", true),
            // It may well be another machine's.
            ("0.0.0.0:1", "10.0.0.1:1", false),
            ("unix:a", "127.0.0.1:1", false),
        ] {
            let address = Address::parse(own).unwrap();
            assert_eq!(address.is_reached_by(target.parse().unwrap()), reached, "{own} {target}");
        }
    }

    #[test]
    fn addresses_are_read_and_shown() {
        for text in ["127.0.0.1:80", "[::1]:80", "unix:run/a.sock", "unix:/run/a.sock"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "80", "localhost:80", "unix:", "unix:a\0b", "127.0.0.1"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
