//! Where an upstream redirects the gateway itself (RFC 9110, section 15.4), as far as it follows.

use http::header::{HeaderMap, LOCATION};
use http::{Method, StatusCode, Uri};

use policy::Body;
use policy::ports::UpstreamHandle;

use super::location::Origin;
use super::way::{self, Way};

/// How many redirects are followed.
pub(super) const MOST: usize = 5;

/// What was asked for, and where.
pub(super) struct Place<'a> {
    pub(super) upstream: &'a UpstreamHandle,
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
}

/// What is to be asked for next.
pub(super) struct Next<'a> {
    pub(super) place: Place<'a>,
    /// Whether the body goes along.
    pub(super) keeps_body: bool,
}

impl<'a> Place<'a> {
    pub(super) fn of(upstream: &'a UpstreamHandle, request: &http::Request<Body>) -> Self {
        Place { upstream, method: request.method().clone(), target: request.uri().to_string() }
    }
}

/// Where this answer leads; None where it is no redirect, or one that is not followed.
pub(super) fn next<'a>(status: StatusCode, headers: &HeaderMap, asked: &Place<'a>, way: &'a Way) -> Option<Next<'a>> {
    // Browsers make a GET of a POST that is 301 or 302, and so does everybody (sections 15.4.2 and 15.4.3).
    let (method, keeps_body) = match status.as_u16() {
        303 if asked.method != Method::HEAD => (Method::GET, false),
        301 | 302 if asked.method == Method::POST => (Method::GET, false),
        301 | 302 | 303 | 307 | 308 => (asked.method.clone(), true),
        _ => return None,
    };
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let location = location.split_once('#').map_or(location, |(before, _)| before);
    let (upstream, uri) = match location.strip_prefix('/') {
        Some(rest) if rest.starts_with(['/', '\\']) => return None,
        Some(_) => (asked.upstream, location.parse().ok()?),
        None if location.starts_with('?') => {
            let path = asked.target.split('?').next().unwrap_or_default();
            (asked.upstream, format!("{path}{location}").parse().ok()?)
        }
        None => {
            let uri: Uri = location.parse().ok()?;
            let origin = Origin::of(&uri)?;
            let mut allowed = way.allowed().iter().map(|upstream| &**upstream);
            let others = || allowed.find(|upstream| way::is_at(upstream, &origin));
            let upstream = Some(asked.upstream).filter(|own| way::is_at(own, &origin)).or_else(others)?;
            (upstream, uri)
        }
    };
    let place = Place { upstream, method, target: way::target(&uri)? };
    Some(Next { place, keeps_body })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::header::HeaderValue;
    use policy::ports::{BoxFuture, Upstream, UpstreamError};

    use super::*;

    struct At(&'static str);

    impl Upstream for At {
        fn send(&self, _: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
            Box::pin(std::future::ready(Err(UpstreamError::Timeout("connect"))))
        }
        fn is_at(&self, scheme: &str, host: &str, port: u16) -> bool {
            (scheme, host, port) == ("http", self.0, 80)
        }
    }

    /// What comes of a redirect of a request for `/a?b` at `one`, where `two` is allowed.
    fn seen(method: Method, status: u16, location: &'static str) -> Option<String> {
        let at = |host| Arc::new(UpstreamHandle(Arc::new(At(host))));
        let way = Way::To(at("one"), vec![at("two")]);
        let Way::To(upstream, allowed) = &way else { return None };
        let asked = Place { upstream, method, target: String::from("/a?b") };
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static(location));
        let next = next(StatusCode::from_u16(status).expect("a status"), &headers, &asked, &way)?;
        let place = if std::ptr::eq(next.place.upstream, &*allowed[0]) { "two" } else { "one" };
        let body = if next.keeps_body { " with its body" } else { "" };
        Some(format!("{} {place} {}{body}", next.place.method, next.place.target))
    }

    #[test]
    fn rfc9110_15_4_method_and_body_go_by_the_status() {
        for (method, status, expected) in [
            (Method::GET, 301, Some("GET one /c with its body")),
            (Method::POST, 301, Some("GET one /c")),
            (Method::POST, 302, Some("GET one /c")),
            (Method::PUT, 302, Some("PUT one /c with its body")),
            (Method::PUT, 303, Some("GET one /c")),
            (Method::HEAD, 303, Some("HEAD one /c with its body")),
            (Method::POST, 307, Some("POST one /c with its body")),
            (Method::POST, 308, Some("POST one /c with its body")),
            (Method::GET, 300, None),
            (Method::GET, 304, None),
            (Method::GET, 200, None),
        ] {
            assert_eq!(seen(method.clone(), status, "/c").as_deref(), expected, "{method} {status}");
        }
    }

    #[test]
    fn only_to_what_is_allowed() {
        for (location, expected) in [
            ("http://one/c?d#e", Some("GET one /c?d with its body")),
            ("http://two", Some("GET two / with its body")),
            ("?x", Some("GET one /a?x with its body")),
            ("http://three/c", None),
            ("https://one/c", None),
            ("http://u@one/c", None),
            ("//two/c", None),
            ("c/d", None),
            ("/c/../d", None),
            ("http://one/%2e%2e/d", None),
            ("", None),
        ] {
            assert_eq!(seen(Method::GET, 302, location).as_deref(), expected, "{location}");
        }
    }
}
