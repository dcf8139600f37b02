//! A request's path in its normal form (RFC 3986, section 6.2.2), or the reason why it has none.
//!
//! Two parties that read one path differently are a hole: the gateway protects `/admin`, the upstream serves `/x/..;/admin`.
//! So the path is brought into one form before anything is decided, and that form is what goes upstream; what a server
//! behind us could read as a step up is refused rather than resolved.

use std::borrow::Cow;

/// Why a path is refused. The words go to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// `..`, plain or encoded, also before a `;` or beside an encoded slash.
    StepUp,
    /// `%` without two hexadecimal digits.
    Encoding,
    /// A character that cannot stand in a path: a backslash, a control character.
    Character,
}

impl BadPath {
    /// For the client.
    pub fn message(self) -> &'static str {
        match self {
            BadPath::StepUp => "a path segment is a step up",
            BadPath::Encoding => "the path has broken percent-encoding",
            BadPath::Character => "the path has a character that is not allowed",
        }
    }
}

/// The normal form of an absolute path: unreserved characters decoded, hexadecimal digits upper case, everything that a path
/// may not hold encoded, `.` segments and empty segments gone.
///
/// # Errors
/// Where somebody could read it as another one.
pub fn normalise(path: &str) -> Result<String, BadPath> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(BadPath::Character);
    }
    if is_normal(bytes) {
        return Ok(path.to_owned());
    }
    let mut out = String::with_capacity(path.len() + 8);
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let start = out.len();
        out.push('/');
        write_segment(segment, &mut out)?;
        check_segment(&out[start + 1..])?;
        // An empty segment in the middle and a `.` anywhere say nothing; at the end both leave the closing slash.
        match &out[start + 1..] {
            "" if !last => out.truncate(start),
            "." => out.truncate(if last { start + 1 } else { start }),
            _ => {}
        }
    }
    Ok(out)
}

/// The normal form of a path that is written as it reads, `%` included: what a policy puts together from values.
///
/// # Errors
/// Where somebody could read it as another one.
pub fn normal_form_of_text(path: &str) -> Result<String, BadPath> {
    normalise(&encode_percent(path))
}

/// What has to be done to text before [`normalise`], which encodes all else that needs it.
pub(crate) fn encode_percent(text: &str) -> Cow<'_, str> {
    if text.contains('%') { text.replace('%', "%25").into() } else { text.into() }
}

/// Whether nothing is to be done: the path of nearly every request, told in one pass.
fn is_normal(bytes: &[u8]) -> bool {
    let mut before = 0;
    for &byte in bytes {
        if !is_plain(byte) || (before == b'/' && (byte == b'/' || byte == b'.')) || byte == b';' {
            return false;
        }
        before = byte;
    }
    true
}

/// `pchar` of RFC 3986 without percent-encoding, and the slash.
fn is_plain(byte: u8) -> bool {
    matches!(byte,
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn write_segment(segment: &str, out: &mut String) -> Result<(), BadPath> {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let decoded = match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                    (Some(high), Some(low)) => high << 4 | low,
                    _ => return Err(BadPath::Encoding),
                };
                if decoded < 0x20 || decoded == 0x7f {
                    return Err(BadPath::Character);
                }
                if is_unreserved(decoded) {
                    out.push(char::from(decoded));
                } else {
                    encode(decoded, out);
                }
            }
            b'\\' | 0..0x20 | 0x7f => return Err(BadPath::Character),
            plain if is_plain(plain) => out.push(char::from(plain)),
            other => encode(other, out),
        }
    }
    Ok(())
}

/// Refuses what a server behind us may read as a step up: `..` alone, before a `;` (path parameters), or between slashes and
/// backslashes that come encoded; and `.` before a `;`, which is neither gone nor a name.
fn check_segment(segment: &str) -> Result<(), BadPath> {
    if !segment.contains('.') {
        return Ok(());
    }
    let mut rest = segment;
    loop {
        let end = find_separator(rest);
        let (part, after) = match end {
            Some((at, _)) => (&rest[..at], Some(&rest[at..])),
            None => (rest, None),
        };
        if part == ".." || (part == "." && after.is_some_and(|a| a.starts_with(';'))) {
            return Err(BadPath::StepUp);
        }
        match end {
            Some((at, len)) => rest = &rest[at + len..],
            None => return Ok(()),
        }
    }
}

/// The next `;`, encoded `;`, slash or backslash, and its length.
fn find_separator(segment: &str) -> Option<(usize, usize)> {
    segment.char_indices().find_map(|(at, c)| match c {
        ';' => Some((at, 1)),
        '%' if matches!(&segment[at + 1..at + 3], "2F" | "5C" | "3B") => Some((at, 3)),
        _ => None,
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|d| d as u8)
}

fn encode(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b.c", "/a/b.c"),
            ("/a/", "/a/"),
            ("//a///b", "/a/b"),
            ("/a//", "/a/"),
            ("/./a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/%2e", "/a/"),
            ("/.", "/"),
            ("/%7euser/%41", "/~user/A"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2Fb%c3%a4", "/a%2Fb%C3%A4"),
            ("/\u{e4}", "/%C3%A4"),
            ("/{x}|\"", "/%7Bx%7D%7C%22"),
            ("/.hidden/...", "/.hidden/..."),
            ("/a;v=1.2/b", "/a;v=1.2/b"),
            ("/a%25%32%65", "/a%252e"),
            ("/a b", "/a%20b"),
        ] {
            assert_eq!(normalise(path).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn text_is_encoded_as_it_reads() {
        assert_eq!(normal_form_of_text("/100%/a b/%2e?c").as_deref(), Ok("/100%25/a%20b/%252e%3Fc"));
        for (text, why) in [("/a/../b", BadPath::StepUp), ("/a\nb", BadPath::Character), ("a", BadPath::Character)] {
            assert_eq!(normal_form_of_text(text), Err(why), "{text}");
        }
    }

    #[test]
    fn the_normal_form_is_its_own_normal_form() {
        for path in ["//a/./%7e", "/a%2fb;c", "/\u{e4}/{x}"] {
            let once = normalise(path).unwrap();
            assert_eq!(normalise(&once).as_ref(), Ok(&once));
        }
    }

    #[test]
    fn refused_paths() {
        for (path, why) in [
            ("/..", BadPath::StepUp),
            ("/a/../b", BadPath::StepUp),
            ("/a/%2e%2E/b", BadPath::StepUp),
            ("/a/.%2e", BadPath::StepUp),
            ("/a/..;/b", BadPath::StepUp),
            ("/a/..;x=1/b", BadPath::StepUp),
            ("/a/..%3bx/b", BadPath::StepUp),
            ("/a/.;/b", BadPath::StepUp),
            ("/a/..%2fb", BadPath::StepUp),
            ("/a/x%2f..%5cb", BadPath::StepUp),
            ("/a;/..", BadPath::StepUp),
            ("/a/x;..", BadPath::StepUp),
            ("/a\\..\\b", BadPath::Character),
            ("/%00", BadPath::Character),
            ("/a%0d%0ab", BadPath::Character),
            ("/%7f", BadPath::Character),
            ("/%", BadPath::Encoding),
            ("/%4", BadPath::Encoding),
            ("/%zz", BadPath::Encoding),
            ("*", BadPath::Character),
            ("", BadPath::Character),
        ] {
            assert_eq!(normalise(path), Err(why), "{path}");
        }
    }
}
