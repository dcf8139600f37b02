//! The PROXY protocol: a load balancer before the gateway says whose connection it passes on, in versions 1 and 2
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{HeaderResult, PartialResult, v1, v2};

use super::wire::Wire;

/// More than any header without extensions of their own has.
const LARGEST: usize = 4096;

/// What a header says: whose connection it is; `None` where it is the balancer's own (a health check).
type Said = Option<SocketAddr>;

/// Takes the header off, and gives the client's address. Whoever has to send one and does not is refused.
pub(super) async fn take(wire: &mut Wire, peer: SocketAddr) -> io::Result<SocketAddr> {
    let refused = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    let read = wire.look(read).await?.ok_or_else(|| refused("it ended before its PROXY protocol header"))?;
    let (said, length) = read.map_err(refused)?;
    wire.take_off(length);
    Ok(said.unwrap_or(peer))
}

/// What the header at the beginning says, and its length; `None` where there must come more to tell.
fn read(bytes: &[u8]) -> Option<Result<(Said, usize), &'static str>> {
    if bytes.is_empty() {
        return None;
    }
    let header = HeaderResult::parse(bytes);
    if header.is_incomplete() && bytes.len() < LARGEST {
        return None;
    }
    Some(match header {
        HeaderResult::V1(Ok(header)) => Ok((first(&header.addresses), header.header.len())),
        HeaderResult::V2(Ok(header)) => {
            let said = match header.command {
                v2::Command::Local => None,
                v2::Command::Proxy => second(&header.addresses),
            };
            Ok((said, header.len()))
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err("it has no PROXY protocol header"),
    })
}

fn first(addresses: &v1::Addresses) -> Said {
    let at = |ip: IpAddr, port| Some(SocketAddr::new(ip, port));
    match addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(a) => at(a.source_address.into(), a.source_port),
        v1::Addresses::Tcp6(a) => at(a.source_address.into(), a.source_port),
    }
}

fn second(addresses: &v2::Addresses) -> Said {
    let at = |ip: IpAddr, port| Some(SocketAddr::new(ip, port));
    match addresses {
        v2::Addresses::IPv4(a) => at(a.source_address.into(), a.source_port),
        v2::Addresses::IPv6(a) => at(a.source_address.into(), a.source_port),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2, over TCP and IPv4, from 10.0.0.7:1000.
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x07\x7f\0\0\x01\x03\xe8\x00\x50";
    const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";

    #[test]
    fn headers_are_read_and_what_is_none_is_refused() {
        let client = Some("10.0.0.7:1000".parse().unwrap());
        for (bytes, expected) in [
            (&b"PROXY TCP4 10.0.0.7 127.0.0.1 1000 80\r\nGET /"[..], Some(Ok((client, 39)))),
            (b"PROXY TCP6 fd00::7 ::1 1000 80\r\n", Some(Ok((Some("[fd00::7]:1000".parse().unwrap()), 32)))),
            (b"PROXY UNKNOWN\r\n", Some(Ok((None, 15)))),
            (V2, Some(Ok((client, 28)))),
            (V2_LOCAL, Some(Ok((None, 16)))),
            (b"", None),
            (b"PROX", None),
            (b"PROXY TCP4 10.0.0.7 127", None),
            (&V2[..20], None),
            (&V2[..5], None),
        ] {
            assert_eq!(read(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
        for none in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP4 a b c d\r\n", b"\x16\x03\x01\x02\x00"] {
            assert!(matches!(read(none), Some(Err(_))), "{:?}", String::from_utf8_lossy(none));
        }
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; LARGEST]].concat();
        assert!(matches!(read(&endless), Some(Err(_))));
    }
}
