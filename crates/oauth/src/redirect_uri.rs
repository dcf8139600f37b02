//! Redirect URIs: which may be registered, which request names a registered one, and how an answer is put on one (RFC 6749,
//! section 3.1.2; RFC 8252; RFC 9700, section 2.1).

use std::fmt;

/// The one that asks for a page with the code on it, to be copied by hand.
pub const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// Longer ones are refused.
const LONGEST: usize = 2_048;

/// Loopback addresses whose port an application does not know before it starts (RFC 8252, section 7.3). `localhost` is none: what it
/// leads to is a matter of the machine (section 8.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// Schemes that browsers run or show rather than send.
const NEVER: [&str; 9] =
    ["javascript", "data", "vbscript", "file", "about", "blob", "view-source", "filesystem", "mailto"];

/// Whether what is sent here reaches nobody but the client: it proves who it is when it comes for its token, or the place is its own by TLS. Any
/// application of a machine can wait at a loopback address or at a scheme (RFC 8252, section 8.6).
pub fn is_assured(public_client: bool, uri: &str) -> bool {
    !public_client || uri.starts_with("https://")
}

/// Why a redirect URI cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Longer than 2,048 bytes, or characters that a URI does not have.
    Malformed,
    /// No absolute URI: it has no scheme.
    Relative,
    /// It has a fragment (RFC 6749, section 3.1.2).
    Fragment,
    /// `http` to another place than this machine.
    Http,
    /// Its host is missing, or has a user name before it.
    Host,
    /// A scheme of an application that is no domain name turned round (RFC 8252, section 7.1), or one that browsers run.
    Scheme,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::Malformed => "it is not a URI, or longer than 2048 bytes: write other characters as %XX",
            Unfit::Relative => "it is not absolute: begin with `https://`",
            Unfit::Fragment => "it has a fragment (`#`), which a browser keeps for itself: take that off",
            Unfit::Http => "`http` may lead to this machine alone (`http://127.0.0.1/...`): use `https`",
            Unfit::Host => "it has no host, or a user name before it",
            Unfit::Scheme => {
                "the scheme of an application is its domain name turned round, such as `com.example.app:/done`"
            }
        })
    }
}

/// Whether a client may be registered with this redirect URI.
pub fn check(uri: &str) -> Result<(), Unfit> {
    if uri == OUT_OF_BAND {
        return Ok(());
    }
    let allowed =
        |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    if uri.len() > LONGEST || !uri.bytes().all(allowed) || !escapes_are_whole(uri) {
        return Err(Unfit::Malformed);
    }
    let (scheme, rest) = uri.split_once(':').ok_or(Unfit::Relative)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !is_scheme {
        return Err(Unfit::Relative);
    }
    if rest.contains('#') {
        return Err(Unfit::Fragment);
    }
    match scheme {
        "https" | "http" => {
            let host = host(rest).ok_or(Unfit::Host)?;
            let here = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
            if scheme == "https" || here { Ok(()) } else { Err(Unfit::Http) }
        }
        // A domain has a dot; `HTTPS` and its like are for nobody to tell apart.
        _ if scheme.contains('.') && !NEVER.contains(&scheme.to_ascii_lowercase().as_str()) => Ok(()),
        _ => Err(Unfit::Scheme),
    }
}

/// Every `%` has two hexadecimal digits.
fn escapes_are_whole(uri: &str) -> bool {
    uri.split('%').skip(1).all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

/// The host of `//host:port/path`.
fn host(rest: &str) -> Option<&str> {
    let authority = rest.strip_prefix("//")?;
    let authority = &authority[..authority.find(['/', '?']).unwrap_or(authority.len())];
    if authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((inner, after)) => (&authority[..inner.len() + 2], after),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port_is_good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (!host.is_empty() && port_is_good).then_some(host)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether a request with this redirect URI names the registered one: the same text (RFC 9700, section 2.1), but that a loopback
/// address may have any port (RFC 8252, section 7.3).
pub fn matches(registered: &str, presented: &str) -> bool {
    registered == presented
        || LOOPBACK.iter().any(|loopback| {
            match (without_port(registered, loopback), without_port(presented, loopback)) {
                (Some(registered), Some(presented)) => registered == presented,
                _ => false,
            }
        })
}

/// What stands behind the port of a URI with this scheme and host.
fn without_port<'a>(uri: &'a str, loopback: &str) -> Option<&'a str> {
    let rest = uri.strip_prefix(loopback)?;
    let (port, after) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(after)
}

/// Where the browser goes: the redirect URI with these parameters behind those that it has (RFC 6749, sections 3.1.2 and 4.1.2).
pub fn with_parameters<'a>(uri: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut target = uri.to_owned();
    for (name, value) in parameters {
        if !target.ends_with(['?', '&']) {
            target.push(if target.contains('?') { '&' } else { '?' });
        }
        target.extend(form_urlencoded::byte_serialize(name.as_bytes()));
        target.push('=');
        target.extend(form_urlencoded::byte_serialize(value.as_bytes()));
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8252_8_6_who_waits_at_a_native_redirect_uri_is_not_assured() {
        for uri in ["http://127.0.0.1:4711/cb", "com.example.app:/cb", OUT_OF_BAND, "http://localhost/cb"] {
            assert!(!is_assured(true, uri) && is_assured(false, uri), "{uri}");
        }
        assert!(is_assured(true, "https://app.example/cb"));
    }

    /// D43: `http` for this machine alone. D40: an application's scheme is a domain name turned round.
    #[test]
    fn rfc8252_and_rfc9700_what_may_be_registered() {
        for (uri, expected) in [
            ("https://app.example.com/cb", Ok(())),
            ("https://app.example.com:8443/cb?tenant=a%20b", Ok(())),
            ("http://127.0.0.1/cb", Ok(())),
            ("http://127.0.0.1:8080/cb", Ok(())),
            ("http://[::1]:80/cb", Ok(())),
            ("http://localhost:3000/cb", Ok(())),
            ("com.example.app:/done", Ok(())),
            (OUT_OF_BAND, Ok(())),
            ("", Err(Unfit::Relative)),
            ("/cb", Err(Unfit::Relative)),
            ("//app.example.com/cb", Err(Unfit::Relative)),
            ("1https://a/", Err(Unfit::Relative)),
            ("https://app.example.com/cb#top", Err(Unfit::Fragment)),
            ("https://app.example.com/cb#", Err(Unfit::Fragment)),
            ("http://app.example.com/cb", Err(Unfit::Http)),
            ("http://127.0.0.1.example.com/cb", Err(Unfit::Http)),
            ("http://localhost.example.com/", Err(Unfit::Http)),
            ("https:///cb", Err(Unfit::Host)),
            ("https:app.example.com", Err(Unfit::Host)),
            ("https://app@evil.example/cb", Err(Unfit::Host)),
            ("https://app.example.com:99999/", Err(Unfit::Host)),
            ("https://app.example.com:+1/", Err(Unfit::Host)),
            ("myapp:/done", Err(Unfit::Scheme)),
            ("javascript:alert(1)", Err(Unfit::Scheme)),
            ("JavaScript:alert(1)", Err(Unfit::Scheme)),
            ("data:text/html,x", Err(Unfit::Scheme)),
            ("HTTPS://app.example.com/cb", Err(Unfit::Scheme)),
            ("urn:example:x", Err(Unfit::Scheme)),
            ("https://app.example.com/a b", Err(Unfit::Malformed)),
            ("https://app.example.com/\r\nset-cookie:x", Err(Unfit::Malformed)),
            ("https://app.example.com\\@evil.example/", Err(Unfit::Malformed)),
            ("https://app.example.com/é", Err(Unfit::Malformed)),
            ("https://app.example.com/%zz", Err(Unfit::Malformed)),
            ("https://app.example.com/%2", Err(Unfit::Malformed)),
        ] {
            assert_eq!(check(uri), expected, "{uri:?}");
        }
        assert_eq!(check(&format!("https://a/{}", "x".repeat(LONGEST))), Err(Unfit::Malformed));
    }

    /// D42: the same text, and nothing that means the same. D39: but for the port of a loopback address.
    #[test]
    fn rfc9700_2_1_a_request_names_exactly_what_is_registered() {
        for (registered, presented, good) in [
            ("https://a.example/cb", "https://a.example/cb", true),
            ("https://a.example/cb", "https://a.example/cb/", false),
            ("https://a.example/cb", "https://a.example/cb?x=1", false),
            ("https://a.example/cb", "https://A.example/cb", false),
            ("https://a.example/cb", "https://a.example:443/cb", false),
            ("https://a.example/cb", "https://a.example/./cb", false),
            ("https://a.example/cb", "http://a.example/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", true),
            ("http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", true),
            ("http://127.0.0.1/cb?a=b", "http://127.0.0.1:1/cb?a=b", true),
            ("http://127.0.0.1", "http://127.0.0.1:1", true),
            ("http://[::1]/cb", "http://[::1]:51004/cb", true),
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/other", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb/more", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb", false),
            ("http://127.0.0.1/cb", "http://[::1]/cb", false),
            ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb", false),
            ("http://localhost/cb", "http://localhost:51004/cb", false),
            ("https://127.0.0.1/cb", "https://127.0.0.1:1/cb", false),
        ] {
            assert_eq!(matches(registered, presented), good, "{registered} {presented}");
        }
    }

    /// D13: what was sent comes back byte for byte, whatever it is; what the URI has stays.
    #[test]
    fn rfc6749_4_1_2_parameters_are_put_behind_those_that_are_there() {
        let state = "a&b=c d+é%20\"<";
        for (uri, before) in [
            ("https://a.example/cb", "https://a.example/cb?"),
            ("https://a.example/cb?x=1", "https://a.example/cb?x=1&"),
            ("https://a.example/cb?", "https://a.example/cb?"),
            ("com.example.app:/done", "com.example.app:/done?"),
        ] {
            let target = with_parameters(uri, [("code", "pcc_x"), ("state", state)]);
            let query = target.strip_prefix(before).unwrap_or_else(|| panic!("{target}"));
            let read: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            assert_eq!(read, [("code".into(), "pcc_x".into()), ("state".into(), String::from(state))]);
            assert!(target.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
