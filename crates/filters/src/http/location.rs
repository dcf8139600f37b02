//! Where an upstream says that something is, as the client has to see it: under the gateway's name, and under the path by which the client
//! came. In Oracle API Gateway and others: reverse mapping of redirects.

use http::Uri;
use http::header::{CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue, LOCATION};

use super::redirect::leads_away;

/// An origin: scheme, host in lower case without brackets, port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) scheme: &'static str,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Origin {
    /// Of a URL; None where it is none of http or https, or has user information.
    pub(super) fn of(uri: &Uri) -> Option<Origin> {
        let (scheme, port) = match uri.scheme_str()? {
            "http" => ("http", 80),
            "https" => ("https", 443),
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let named = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, after)| after);
        let port = match named.rsplit_once(':') {
            None | Some((_, "")) => port,
            Some(_) => authority.port_u16().filter(|port| *port != 0)?,
        };
        (!host.is_empty()).then_some(Origin { scheme, host, port })
    }
}

/// Mends `Location` and `Content-Location`. `is_upstream`: whether an origin is the upstream that answered. `paths`: how the client named
/// what it asked for, and how the upstream was asked for it.
pub(super) fn mend(
    headers: &mut HeaderMap,
    is_upstream: impl Fn(&Origin) -> bool,
    paths: impl Fn() -> (String, String),
) {
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(mended) = headers.get(&name).and_then(|value| mended(value, &is_upstream, &paths)) {
            set(headers, name, &mended);
        }
    }
}

/// Whether there is anything to mend.
pub(super) fn is_there(headers: &HeaderMap) -> bool {
    headers.contains_key(LOCATION) || headers.contains_key(CONTENT_LOCATION)
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Made of a value that was one.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

fn mended(
    value: &HeaderValue,
    is_upstream: &impl Fn(&Origin) -> bool,
    paths: &impl Fn() -> (String, String),
) -> Option<String> {
    let text = value.to_str().ok()?;
    let path = match text.strip_prefix('/') {
        Some(rest) if !rest.starts_with(['/', '\\']) => text,
        _ => {
            let (before, _) = text.split_once(['?', '#']).unwrap_or((text, ""));
            // Without a scheme it is the one by which the upstream was asked. What has no host either is relative to what was asked for.
            let (scheme, rest) = match before.strip_prefix("//") {
                Some(rest) => (None, rest),
                None => before.split_once("://").map(|(scheme, rest)| (Some(scheme), rest))?,
            };
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let named =
                ["http", "https"].into_iter().filter(|known| scheme.is_none_or(|s| s.eq_ignore_ascii_case(known)));
            let mut origins = named.filter_map(|scheme| Origin::of(&format!("{scheme}://{host}").parse().ok()?));
            if !origins.any(|origin| is_upstream(&origin)) {
                return None;
            }
            &text[before.len() - path.len()..]
        }
    };
    let (client, upstream) = paths();
    let mended = match parted(&client, &upstream) {
        Some((ours, theirs)) => replaced(path, ours, theirs),
        None => path.to_owned(),
    };
    let mended = if mended.starts_with('/') { mended } else { format!("/{mended}") };
    (mended != text && !leads_away(&mended)).then_some(mended)
}

/// What stands before the part, from a slash on, in which two paths end alike.
fn parted<'a>(client: &'a str, upstream: &'a str) -> Option<(&'a str, &'a str)> {
    let alike = client.bytes().rev().zip(upstream.bytes().rev()).take_while(|(one, other)| one == other).count();
    let from = client.len() - alike;
    // A slash is one byte, so both are cut between characters.
    let slash = from + client.as_bytes()[from..].iter().position(|byte| *byte == b'/')?;
    let length = client.len() - slash;
    Some((&client[..slash], &upstream[..upstream.len() - length]))
}

/// The path with the client's beginning in place of the upstream's.
fn replaced(path: &str, ours: &str, theirs: &str) -> String {
    let under = |path: &str, prefix: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
    };
    // An upstream that has no beginning of its own may know the client's, and name it.
    if !under(path, theirs) || (theirs.is_empty() && under(path, ours)) {
        return path.to_owned();
    }
    format!("{ours}{}", &path[theirs.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_what_they_mean() {
        for (url, expected) in [
            ("http://A.example/x", Some(("http", "a.example", 80))),
            ("https://a.example", Some(("https", "a.example", 443))),
            ("http://a.example:/", Some(("http", "a.example", 80))),
            ("http://[::1]:8080/", Some(("http", "::1", 8080))),
            ("http://[::1]", Some(("http", "::1", 80))),
            ("http://u@a.example/", None),
            ("http://u:p@a.example:80/", None),
            ("http://a.example:0/", None),
            ("http://a.example:99999/", None),
            ("ftp://a.example/", None),
            ("/x", None),
        ] {
            let origin = url.parse::<Uri>().ok().and_then(|uri| Origin::of(&uri));
            let seen = origin.as_ref().map(|origin| (origin.scheme, origin.host.as_str(), origin.port));
            assert_eq!(seen, expected, "{url}");
        }
    }

    /// What a `Location` becomes where the upstream is `http://up:9001` and the paths are these.
    fn seen(location: &str, client: &str, upstream: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(location).expect("a value"));
        let is_upstream = |origin: &Origin| (origin.host.as_str(), origin.port) == ("up", 9001);
        mend(&mut headers, is_upstream, || (client.to_owned(), upstream.to_owned()));
        headers[LOCATION].to_str().expect("text").to_owned()
    }

    #[test]
    fn the_upstreams_name_goes_and_its_path_becomes_the_clients() {
        for (location, client, upstream, expected) in [
            ("http://up:9001/a?b#c", "/x", "/x", "/a?b#c"),
            ("http://up:9001", "/x", "/x", "/"),
            ("http://up:9001?q", "/x", "/x", "/?q"),
            ("HTTP://UP:9001/a", "/x", "/x", "/a"),
            ("http://other/a", "/x", "/x", "http://other/a"),
            ("http://up:9002/a", "/x", "/x", "http://up:9002/a"),
            ("http://u@up:9001/a", "/x", "/x", "http://u@up:9001/a"),
            ("//up:9001/a", "/x", "/x", "/a"),
            ("//up/a", "/x", "/x", "//up/a"),
            ("/\\up:9001/a", "/x", "/x", "/\\up:9001/a"),
            ("b/c", "/x", "/x", "b/c"),
            ("http://up:9001//evil.example/", "/x", "/x", "http://up:9001//evil.example/"),
            ("http://up:9001/\\evil.example/", "/x", "/x", "http://up:9001/\\evil.example/"),
            ("/v2/\\evil.example/", "/x", "/v2/x", "/v2/\\evil.example/"),
            ("/v2/\t/evil.example/", "/x", "/v2/x", "/v2/\t/evil.example/"),
            // A beginning that the policy puts before the path.
            ("http://up:9001/v2/login", "/orders/7", "/v2/orders/7", "/login"),
            ("/v2/login?a=/v2", "/orders/7", "/v2/orders/7", "/login?a=/v2"),
            ("/v2", "/orders/7", "/v2/orders/7", "/"),
            ("/v22/login", "/orders/7", "/v2/orders/7", "/v22/login"),
            // One that it takes off.
            ("http://up:9001/login", "/api/orders/7", "/orders/7", "/api/login"),
            ("/login", "/api/orders/7", "/orders/7", "/api/login"),
            ("/api/login", "/api/orders/7", "/orders/7", "/api/login"),
            // One that it exchanges; and paths that have nothing in common.
            ("/v2/login", "/api/orders/7", "/v2/orders/7", "/api/login"),
            ("/login", "/ab", "/cab", "/login"),
            ("http://up:9001/login", "/a", "/b", "/login"),
        ] {
            assert_eq!(seen(location, client, upstream), expected, "{location} {client} {upstream}");
        }
    }
}
