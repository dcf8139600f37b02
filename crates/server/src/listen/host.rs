//! `Host` (RFC 9112, section 3.2): exactly one, well-formed, and the same as the request target's where that has one. Over HTTP/2 the
//! target has it (`:authority`, RFC 9113, section 8.3.1).

use http::{HeaderMap, Uri, Version, header};

/// The authority that the client asked for, in its normal form: in lower case, and without the dot that a name may end with, which makes
/// no other host of it (RFC 3986, section 3.2.2); `None` for HTTP/1.0 without one. The words of an error go to the
/// client.
pub(crate) fn authority(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Option<String>, &'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err("more than one Host header"),
        (Some(host), None) => {
            Some(host.to_str().ok().filter(|h| is_authority(h)).ok_or("the Host header is malformed")?)
        }
        (None, _) if version == Version::HTTP_10 || (version == Version::HTTP_2 && uri.authority().is_some()) => None,
        (None, _) => return Err("no Host header"),
    };
    match uri.authority() {
        None => Ok(host.map(normal)),
        Some(target) if !is_authority(target.as_str()) => Err("the request target's authority is malformed"),
        Some(target) if host.is_some_and(|host| !is_same(host, target.as_str(), uri.scheme_str())) => {
            Err("the Host header and the request target differ")
        }
        Some(target) => Ok(Some(normal(target.as_str()))),
    }
}

/// Whether two authorities are the same by this scheme, whose own port need not be named (RFC 9110, section 4.2.3).
fn is_same(one: &str, other: &str, scheme: Option<&str>) -> bool {
    let port = match scheme {
        Some("http") => ":80",
        Some("https") => ":443",
        _ => "",
    };
    let bare = |authority: &str| authority.strip_suffix(port).map_or(authority.len(), str::len);
    one[..bare(one)].eq_ignore_ascii_case(&other[..bare(other)])
}

/// In lower case, and without the dot at the end of its name.
pub(super) fn normal(authority: &str) -> String {
    let mut normal = authority.to_ascii_lowercase();
    let name = policy::exchange::without_port(&normal);
    if name.ends_with('.') {
        normal.remove(name.len() - 1);
    }
    normal
}

/// `uri-host [ ":" port ]`, the host not empty, without user information.
pub(super) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => return is_address(address),
            Some((address, rest)) if is_address(address) => (address, rest.strip_prefix(':')),
            _ => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => return is_name(text),
        },
    };
    let Some(port) = port else { return false };
    (text.starts_with('[') || is_name(host)) && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit())
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

/// A registered name, none of whose labels is empty, or an IPv4 address. Narrower than RFC 3986 on purpose: nobody's host has `!` or `(` in it, and what
/// builds links from it need not care.
fn is_name(text: &str) -> bool {
    let mut in_label = false;
    let fits = |byte: u8| match byte {
        b'.' => std::mem::take(&mut in_label),
        _ => {
            in_label = true;
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
        }
    };
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn ask(target: &str, hosts: &[&'static str], version: Version) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        authority(&target.parse().unwrap(), &headers, version)
    }

    #[test]
    fn one_host() {
        for host in ["example.com", "example.com:8080", "127.0.0.1:1", "[::1]", "[::1]:8080", "a_b", "example.com:"] {
            assert_eq!(ask("/", &[host], Version::HTTP_11), Ok(Some(host.to_owned())));
        }
        assert_eq!(ask("/", &["Example.COM"], Version::HTTP_11), Ok(Some("example.com".to_owned())));
        for (written, normal) in [("example.com.", "example.com"), ("A.:80", "a:80"), ("127.0.0.1.", "127.0.0.1")] {
            assert_eq!(ask("/", &[written], Version::HTTP_11), Ok(Some(normal.to_owned())));
        }
        assert_eq!(ask("https://a.example./", &[], Version::HTTP_2), Ok(Some("a.example".to_owned())));
        assert_eq!(ask("/", &[], Version::HTTP_10), Ok(None));
        assert_eq!(ask("https://A.example/", &[], Version::HTTP_2), Ok(Some("a.example".to_owned())));
        assert_eq!(ask("https://a.example/", &["a.example"], Version::HTTP_2), Ok(Some("a.example".to_owned())));
    }

    #[test]
    fn none_two_or_malformed() {
        assert!(ask("/", &[], Version::HTTP_11).is_err());
        assert!(ask("/", &[], Version::HTTP_2).is_err());
        assert!(ask("https://a.example/", &["b.example"], Version::HTTP_2).is_err());
        assert!(ask("/", &["a", "a"], Version::HTTP_11).is_err());
        assert!(ask("/", &["a", "b"], Version::HTTP_10).is_err());
        for host in [
            "", "a b", "a/b", "user@a", "a:b", "a:123456", "[::1", "[::1]x", "[x]:1", ":80", "a,b", "a:1:2", ".",
            ".:80", "a..", "a..b", ".a",
        ] {
            assert!(ask("/", &[host], Version::HTTP_11).is_err(), "{host}");
        }
    }

    #[test]
    fn the_target_and_the_host_agree() {
        assert_eq!(ask("http://a.example/x", &["A.example"], Version::HTTP_11), Ok(Some("a.example".to_owned())));
        assert_eq!(ask("http://a.example/x", &[], Version::HTTP_10), Ok(Some("a.example".to_owned())));
        for (target, host) in [("http://a.example:80/x", "a.example"), ("https://a.example/x", "A.example:443")] {
            assert!(ask(target, &[host], Version::HTTP_11).is_ok(), "{target} {host}");
        }
        assert!(ask("http://a.example:443/x", &["a.example"], Version::HTTP_11).is_err());
        assert!(ask("http://a.example/x", &["b.example"], Version::HTTP_11).is_err());
        assert!(ask("http://u@a.example/x", &["a.example"], Version::HTTP_11).is_err());
        assert!(ask("http://a.example/x", &[], Version::HTTP_11).is_err());
    }
}
