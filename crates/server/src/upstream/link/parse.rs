//! What the bytes of an answer say (RFC 9112), by `httparse`, strictly: what could be read in two ways is refused.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};
use httparse::{EMPTY_HEADER, Status};
use smallvec::SmallVec;

use crate::hop;

/// The most fields of a head.
const MOST_FIELDS: usize = 256;

/// The most fields behind a body.
const MOST_TRAILERS: usize = 64;

/// Room for so many fields of a head at least: some are put to it on its way to the client.
const ROOM: usize = 6;

/// The head of an answer, and what it says of the connection.
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// Another request may follow (section 9.3).
    pub(super) persists: bool,
    /// In bytes.
    pub(super) length: usize,
}

/// How the end of a body is told (section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Head {
    /// Whether the answer is still to come (RFC 9110, section 15.2).
    pub(super) fn is_interim(&self) -> bool {
        self.response.status().is_informational() && self.response.status() != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Whether a head may end behind the bytes up to `from`.
pub(super) fn may_end(bytes: &[u8], from: usize) -> bool {
    let new = &bytes[from.saturating_sub(2)..];
    new.windows(2).any(|two| two == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

/// Takes a head off; None where it is not complete. `to_head`: it answers a `HEAD`.
///
/// # Errors
///
/// What is wrong with it, for the log.
pub(super) fn head(bytes: &mut BytesMut, to_head: bool) -> Result<Option<Head>, String> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(why) => return Err(format!("it is no HTTP/1.1: {why}")),
    };
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("its status is none")?;
    let base = bytes.as_ptr() as usize;
    let at = |part: &[u8]| part.as_ptr() as usize - base;
    let mut names = SmallVec::<[(HeaderName, usize, usize); 16]>::new();
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| "a field's name is none")?;
        names.push((name, at(field.value), field.value.len()));
    }
    let head = bytes.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(names.len().max(ROOM));
    for (name, first, length) in names {
        let value = HeaderValue::from_maybe_shared(head.slice(first..first + length));
        headers.append(name, value.map_err(|_| "a field has a value that is none")?);
    }
    let framing = framing(&mut headers, version, status, to_head)?;
    let persists = persists(&headers, version) && status != StatusCode::SWITCHING_PROTOCOLS;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = headers;
    Ok(Some(Head { response, framing, persists, length }))
}

/// How the end of the body is told. Whoever says it in two ways says nothing (RFC 9112, section 6.3).
fn framing(
    headers: &mut HeaderMap,
    version: Version,
    status: StatusCode,
    to_head: bool,
) -> Result<Framing, &'static str> {
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    let length = content_length(headers)?;
    if !hop::is_framed_plainly(headers) {
        return Err("its transfer coding is not chunked alone");
    }
    if to_head || status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Ok(Framing::None);
    }
    match (coded, length) {
        (true, _) if version != Version::HTTP_11 => Err("it has a transfer coding, which HTTP/1.0 has not"),
        (true, Some(_)) => Err("it has both a length and a transfer coding"),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::UntilClose),
    }
}

/// The announced length. One that is said several times is said once afterwards (RFC 9110, section 8.6).
fn content_length(headers: &mut HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut said = None;
    let mut times = 0;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        for member in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let length = decimal(member).ok_or("its length is no number")?;
            if said.replace(length).is_some_and(|before| before != length) {
                return Err("it has two lengths");
            }
            times += 1;
        }
    }
    if let (Some(length), 2..) = (said, times) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(said)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let digit = |number: u64, byte: &u8| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, digit) }
}

fn persists(headers: &HeaderMap, version: Version) -> bool {
    let says = |what| hop::lists(headers, header::CONNECTION, what);
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

/// Takes the first line of a chunk off, and gives its size; None where it is not complete.
pub(super) fn chunk_size(bytes: &mut BytesMut) -> Result<Option<u64>, &'static str> {
    const WRONG: &str = "a chunk has no size";
    match httparse::parse_chunk_size(bytes) {
        // `httparse` takes no digit for a zero, and any byte for a part of an extension.
        Ok(Status::Complete((length, size))) => {
            let line = &bytes[..length - 2];
            if !line.first().is_some_and(u8::is_ascii_hexdigit) || line.contains(&b'\n') || line.contains(&b'\r') {
                return Err(WRONG);
            }
            bytes.advance(length);
            Ok(Some(size))
        }
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(WRONG),
    }
}

/// Takes the fields behind the last chunk off, with the empty line; None where they are not complete.
pub(super) fn trailers(bytes: &mut BytesMut) -> Result<Option<HeaderMap>, &'static str> {
    const WRONG: &str = "what came behind the body are no fields";
    let mut fields = [EMPTY_HEADER; MOST_TRAILERS];
    let (length, trailers) = match httparse::parse_headers(bytes, &mut fields) {
        Ok(Status::Complete((length, fields))) => {
            let mut trailers = HeaderMap::new();
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| WRONG)?;
                let value = Bytes::copy_from_slice(field.value);
                trailers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| WRONG)?);
            }
            (length, trailers)
        }
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(WRONG),
    };
    bytes.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, to_head: bool) -> Result<Option<Head>, String> {
        head(&mut BytesMut::from(text), to_head)
    }

    #[test]
    fn rfc9112_6_3_the_end_of_a_body_is_told_in_one_way() {
        for (fields, framing) in [
            ("content-length: 5", Ok(Framing::Length(5))),
            ("content-length: 5, 5", Ok(Framing::Length(5))),
            ("content-length: 5\r\ncontent-length: 5", Ok(Framing::Length(5))),
            ("content-length: 0", Ok(Framing::Length(0))),
            ("transfer-encoding: Chunked", Ok(Framing::Chunked)),
            ("x: y", Ok(Framing::UntilClose)),
            ("content-length: 5, 6", Err("it has two lengths")),
            ("content-length: 5\r\ncontent-length: 05x", Err("its length is no number")),
            ("content-length: +5", Err("its length is no number")),
            ("content-length: ", Err("its length is no number")),
            ("content-length: 18446744073709551616", Err("its length is no number")),
            ("content-length: 5\r\ntransfer-encoding: chunked", Err("it has both a length and a transfer coding")),
            ("transfer-encoding: gzip, chunked", Err("its transfer coding is not chunked alone")),
            (
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
                Err("its transfer coding is not chunked alone"),
            ),
            ("transfer-encoding: identity", Err("its transfer coding is not chunked alone")),
        ] {
            let read = parsed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), false);
            let read = read.map(|head| head.map(|head| head.framing));
            assert_eq!(read, framing.map(Some).map_err(String::from), "{fields}");
        }
        assert!(parsed("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false).is_err());
    }

    #[test]
    fn rfc9112_6_3_some_answers_have_no_body_whatever_they_say() {
        for (status, to_head, framing) in [
            ("200 OK", true, Framing::None),
            ("200 OK", false, Framing::Length(5)),
            ("204 No Content", false, Framing::None),
            ("304 Not Modified", false, Framing::None),
            ("103 Early Hints", false, Framing::None),
        ] {
            let head = parsed(&format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\n"), to_head);
            let head = head.expect("a head").expect("all of it");
            assert_eq!(head.framing, framing, "{status}");
            assert_eq!(head.is_interim(), status.starts_with('1'));
        }
    }

    #[test]
    fn rfc9112_9_3_whether_a_connection_persists() {
        for (version, connection, persists) in [
            ("1.1", "x: y", true),
            ("1.1", "connection: close", false),
            ("1.1", "connection: x-a, Close", false),
            ("1.1", "connection: keep-alive\r\nconnection: close", false),
            ("1.0", "x: y", false),
            ("1.0", "connection: Keep-Alive", true),
            ("1.0", "connection: keep-alive, close", false),
        ] {
            let head = parsed(&format!("HTTP/{version} 200 OK\r\n{connection}\r\n\r\n"), false);
            assert_eq!(head.expect("a head").expect("all of it").persists, persists, "{version} {connection}");
        }
        let switched = parsed("HTTP/1.1 101 Switching Protocols\r\n\r\n", false).expect("a head").expect("all of it");
        assert!(!switched.persists && !switched.is_interim());
    }

    #[test]
    fn what_is_no_head_is_refused_and_what_is_a_part_of_one_is_waited_for() {
        for wrong in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 X\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx y: z\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: y\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        ] {
            assert!(parsed(wrong, false).is_err(), "{wrong:?}");
        }
        let fields = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(count));
        assert!(parsed(&fields(MOST_FIELDS), false).is_ok_and(|head| head.is_some()));
        assert!(parsed(&fields(MOST_FIELDS + 1), false).is_err());
        let whole = "HTTP/1.1 200 OK\r\nx: y\r\n\r\n";
        for end in 0..whole.len() {
            assert!(parsed(&whole[..end], false).is_ok_and(|head| head.is_none()), "{end}");
            assert!(!may_end(&whole.as_bytes()[..end], 0), "{end}");
        }
        for from in 0..whole.len() {
            assert!(may_end(whole.as_bytes(), from), "{from}");
        }
    }

    #[test]
    fn fields_go_on_as_they_came() {
        let mut bytes =
            BytesMut::from("HTTP/1.1 404 Nothing here\r\nX-One: a\r\nx-two:\tb \r\nx-one: \u{e9}\r\n\r\nrest");
        let head = head(&mut bytes, false).expect("a head").expect("all of it");
        assert_eq!((&bytes[..], head.response.status()), (&b"rest"[..], StatusCode::NOT_FOUND));
        let all: Vec<(&str, &[u8])> =
            head.response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(all, [("x-one", &b"a"[..]), ("x-one", "\u{e9}".as_bytes()), ("x-two", b"b")]);
    }

    #[test]
    fn rfc9112_7_1_a_chunk_begins_with_its_size() {
        for (line, size) in [
            ("5\r\n", Ok(Some(5))),
            ("0\r\n", Ok(Some(0))),
            ("000A;name=\"value\"\r\n", Ok(Some(10))),
            ("fFfFfFfFfFfFfFfF\r\n", Ok(Some(u64::MAX))),
            ("5 \r\n", Ok(Some(5))),
            ("5", Ok(None)),
            ("5\r", Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(chunk_size(&mut BytesMut::from(line)), size, "{line:?}");
        }
        for wrong in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 5\r\n",
            "5\n\r\n",
            "5;a\nb\r\n",
            "1ffffffffffffffff\r\n",
            ";a\r\n",
        ] {
            assert!(chunk_size(&mut BytesMut::from(wrong)).is_err(), "{wrong:?}");
        }
    }
}
