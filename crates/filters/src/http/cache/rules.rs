//! RFC 9111, and RFC 5861 which it builds on: what may be kept, how long it is fresh, and when it may be used again. No clock, no memory.

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AGE, AUTHORIZATION, DATE, ETAG, EXPIRES, HeaderName,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::cache_control::{Directives, seconds};
use crate::http::lists::members;

/// What `Vary` names, with what a request has of each: its lines, byte for byte.
pub(super) type Varying = Vec<(HeaderName, Vec<Vec<u8>>)>;

/// A time of HTTP in Unix seconds.
fn date(value: &HeaderValue) -> Option<u64> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn date_of(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name).and_then(date)
}

/// A response without `Date` gets the time when it came (RFC 9110, section 6.6.1).
pub(super) fn date_it(headers: &mut HeaderMap, now: u64) {
    if !headers.contains_key(DATE) {
        let text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(now));
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(DATE, value);
        }
    }
}

/// Why a response is not kept; `None` where it may be (section 3).
pub(super) fn unstorable(
    request: &HeaderMap,
    asked: &Directives,
    status: StatusCode,
    headers: &HeaderMap,
    said: &Directives,
) -> Option<&'static str> {
    let understood = said.has("must-understand") && is_understood(status);
    let is_partial = matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED);
    let shares = ["public", "s-maxage", "must-revalidate"].iter().any(|name| said.has(name));
    if asked.has("no-store") {
        Some("request-no-store")
    } else if asked.are_unreadable() {
        Some("request-unreadable")
    } else if said.are_unreadable() {
        // It may have said `no-store`, or `private`.
        Some("unreadable")
    } else if is_partial || status.is_informational() {
        Some("status")
    } else if said.has("must-understand") && !understood {
        Some("must-understand")
    } else if said.has("no-store") && !understood {
        Some("no-store")
    } else if said.has("private") {
        Some("private")
    } else if request.contains_key(AUTHORIZATION) && !shares {
        // Section 3.5.
        Some("authorization")
    } else if headers.contains_key(SET_COOKIE) && !said.has("public") {
        // RFC 9111 allows it; whoever writes a cookie for one client seldom means it for all.
        Some("set-cookie")
    } else if varies_by(headers).is_none() {
        Some("vary")
    } else {
        None
    }
}

/// What `must-understand` asks for (section 5.2.2.3).
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203
            | 204
            | 300
            | 301
            | 302
            | 303
            | 307
            | 308
            | 400
            | 403
            | 404
            | 405
            | 410
            | 414
            | 421
            | 500
            | 501
            | 502
            | 503
            | 504
    )
}

/// How long a response is fresh from when it was made, seconds (section 4.2.1). `heuristic`: the most that is assumed where it does not
/// say (section 4.2.2).
pub(super) fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    said: &Directives,
    received: u64,
    heuristic: Option<u64>,
) -> u64 {
    if let Some(seconds) = said.seconds("s-maxage").or_else(|| said.seconds("max-age")) {
        return seconds;
    }
    let made = date_of(headers, DATE).unwrap_or(received);
    if let Some(expires) = headers.get(EXPIRES) {
        // What is no date, `0` above all, is in the past (section 5.3).
        return date(expires).unwrap_or(0).saturating_sub(made);
    }
    let by_default = matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
    match (heuristic, date_of(headers, LAST_MODIFIED)) {
        (Some(most), Some(modified)) if by_default || said.has("public") => {
            (made.saturating_sub(modified) / 10).min(most)
        }
        _ => 0,
    }
}

/// How old a response was when it came, seconds (section 4.2.3). `delay`: how long it was under way.
pub(super) fn initial_age(headers: &HeaderMap, received: u64, delay: u64) -> u64 {
    let apparent = date_of(headers, DATE).map_or(0, |made| received.saturating_sub(made));
    let said = members(headers, &AGE).ok().and_then(|said| said.first().copied().and_then(seconds)).unwrap_or(0);
    apparent.max(said.saturating_add(delay))
}

/// Whether there is something to ask the upstream with, whether a kept response is still good.
pub(super) fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED)
}

/// Asks whether the kept response is still good, in place of whatever the client asked (section 4.3.1).
pub(super) fn ask_whether(kept: &HeaderMap, request: &mut HeaderMap) {
    for (validator, condition) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        match kept.get(validator) {
            Some(value) => request.insert(condition, value.clone()),
            None => request.remove(condition),
        };
    }
}

/// Whether a kept response may be used for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It may; so many seconds it is fresh still (less than none: stale, and the client takes it).
    Now(i64),
    /// It may, and a newer one is to be got meanwhile (RFC 5861, section 3).
    Meanwhile(i64),
    /// Not before the upstream was asked.
    Ask,
}

/// Sections 4, 4.2.4, 5.2.1.
pub(super) fn usable(asked: &Directives, said: &Directives, lifetime: u64, age: u64) -> Use {
    let left = i64::try_from(lifetime).unwrap_or(i64::MAX) - i64::try_from(age).unwrap_or(i64::MAX);
    let too_old = asked.seconds("max-age").is_some_and(|most| age > most);
    let not_fresh_enough =
        asked.seconds("min-fresh").is_some_and(|least| left < i64::try_from(least).unwrap_or(i64::MAX));
    if said.has("no-cache") || asked.has("no-cache") || asked.are_unreadable() || too_old || not_fresh_enough {
        return Use::Ask;
    }
    if left > 0 {
        return Use::Now(left);
    }
    if said.forbid_stale() {
        return Use::Ask;
    }
    let takes_stale = asked.has("max-stale") && asked.grace("max-stale").is_none_or(|most| left.unsigned_abs() <= most);
    if takes_stale {
        return Use::Now(left);
    }
    match said.grace("stale-while-revalidate") {
        Some(most) if left.unsigned_abs() < most => Use::Meanwhile(left),
        _ => Use::Ask,
    }
}

/// Whether a kept response may stand in for an upstream that cannot answer (RFC 5861, section 4).
pub(super) fn usable_if_error(asked: &Directives, said: &Directives, lifetime: u64, age: u64) -> bool {
    let stale = age.saturating_sub(lifetime);
    let most = said.grace("stale-if-error").max(asked.grace("stale-if-error"));
    !said.forbid_stale() && most.is_some_and(|most| stale <= most)
}

/// Whether the client has the kept response already (section 4.3.2).
pub(super) fn client_has_it(request: &HeaderMap, kept: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let etag = kept.get(ETAG).map(|etag| opaque(etag.as_bytes()));
        let has = |asked: &&str| *asked == "*" || etag.is_some_and(|etag| opaque(asked.as_bytes()) == etag);
        return members(request, &IF_NONE_MATCH).is_ok_and(|tags| tags.iter().any(has));
    }
    let since = date_of(request, IF_MODIFIED_SINCE);
    let modified = date_of(kept, LAST_MODIFIED).or_else(|| date_of(kept, DATE));
    since.zip(modified).is_some_and(|(since, modified)| modified <= since)
}

/// What weak comparison looks at (RFC 9110, section 8.8.3.2).
fn opaque(tag: &[u8]) -> &[u8] {
    let tag = tag.trim_ascii();
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Whether a 304 is about the kept response: of one that names a tag, only what has the same tag is as good as it says (section 4.3.4). Servers
/// that compress weaken the tag of what they send and not that of a 304; so the two are compared weakly.
pub(super) fn is_about(kept: &HeaderMap, said: &HeaderMap) -> bool {
    said.get(ETAG).is_none_or(|tag| kept.get(ETAG).is_some_and(|own| opaque(own.as_bytes()) == opaque(tag.as_bytes())))
}

/// Fields that are the kept body's own, whatever a 304 says (sections 3.2 and 4.3.4): how it is coded, and what it is known by.
const NOT_UPDATED: [HeaderName; 5] = [
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_RANGE,
    http::header::TRANSFER_ENCODING,
    ETAG,
];

/// The kept response's fields as a 304 says they are now (section 3.2).
pub(super) fn updated(kept: &HeaderMap, fresh: &HeaderMap) -> HeaderMap {
    let mut headers = kept.clone();
    // It was said of the older message, and would make the newer one old.
    headers.remove(AGE);
    for name in fresh.keys().filter(|name| !NOT_UPDATED.contains(name)) {
        headers.remove(name);
        fresh.get_all(name).iter().for_each(|value| {
            headers.append(name, value.clone());
        });
    }
    headers
}

/// What `Vary` names (section 4.1); `None` where it says `*`, or what cannot be read, which may be anything.
fn varies_by(response: &HeaderMap) -> Option<Vec<HeaderName>> {
    let named = members(response, &VARY).ok()?;
    let names: Option<Vec<HeaderName>> =
        named.into_iter().map(|name| name.parse().ok().filter(|_| name != "*")).collect();
    let mut names = names?;
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    Some(names)
}

/// The same of a response that may be kept, with what the request has of each.
pub(super) fn varying(response: &HeaderMap, request: &HeaderMap) -> Varying {
    let names = varies_by(response).unwrap_or_default().into_iter();
    names.map(|name| (name.clone(), selecting(request, &name))).collect()
}

/// Whether a request asks for the response that was kept for another one.
pub(super) fn selects(varying: &Varying, request: &HeaderMap) -> bool {
    varying.iter().all(|(name, value)| *value == selecting(request, name))
}

/// Fields that are lists, which mean the same in one line or several and however they are spaced. What others mean their upstream alone knows.
const LISTS: [HeaderName; 4] = [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

/// A request's field, so that what is equal means the same.
fn selecting(request: &HeaderMap, name: &HeaderName) -> Vec<Vec<u8>> {
    if LISTS.contains(name)
        && request.contains_key(name)
        && let Ok(members) = members(request, name)
    {
        return vec![members.join(",").into_bytes()];
    }
    request.get_all(name).iter().map(|line| line.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T00:00:00Z.
    const NOW: u64 = 1_767_225_600;
    const NOW_TEXT: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    const MINUTE_AGO: &str = "Wed, 31 Dec 2025 23:59:00 GMT";
    const MINUTE_ON: &str = "Thu, 01 Jan 2026 00:01:00 GMT";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn said(text: &'static str) -> Directives {
        Directives::of(&headers(&[("cache-control", text)]))
    }

    #[test]
    fn rfc9111_3_what_may_be_kept() {
        for (request, status, response, why) in [
            (&[][..], 200, &[("cache-control", "max-age=1")][..], None),
            (&[], 200, &[], None),
            (&[], 599, &[("cache-control", "max-age=1")], None),
            (&[], 206, &[("cache-control", "max-age=1")], Some("status")),
            (&[], 304, &[], Some("status")),
            (&[], 200, &[("cache-control", "no-store, max-age=1")], Some("no-store")),
            (&[], 200, &[("cache-control", "max-age=1, private=\"x\"")], Some("private")),
            (&[], 200, &[("cache-control", "must-understand, no-store, max-age=1")], None),
            (&[], 299, &[("cache-control", "must-understand, no-store, max-age=1")], Some("must-understand")),
            (&[("cache-control", "no-store")], 200, &[], Some("request-no-store")),
            (&[("authorization", "x")], 200, &[("cache-control", "max-age=1")], Some("authorization")),
            (&[("authorization", "x")], 200, &[("cache-control", "max-age=1, public")], None),
            (&[("authorization", "x")], 200, &[("cache-control", "s-maxage=1")], None),
            (&[("authorization", "x")], 200, &[("cache-control", "max-age=1, must-revalidate")], None),
            (&[], 200, &[("set-cookie", "a=1"), ("cache-control", "max-age=1")], Some("set-cookie")),
            (&[], 200, &[("set-cookie", "a=1"), ("cache-control", "public, max-age=1")], None),
            (&[], 200, &[("vary", "accept, *")], Some("vary")),
            (&[], 200, &[("vary", "x user")], Some("vary")),
            (&[], 200, &[("vary", "accept, \"open")], Some("vary")),
            (&[], 200, &[("cache-control", "max-age=1"), ("cache-control", "private; a")], Some("unreadable")),
            (&[("cache-control", "no-store ; a")], 200, &[("cache-control", "max-age=1")], Some("request-unreadable")),
        ] {
            let (request, response) = (headers(request), headers(response));
            let status = StatusCode::from_u16(status).unwrap();
            let (asked, said) = (Directives::of_request(&request), Directives::of(&response));
            assert_eq!(unstorable(&request, &asked, status, &response, &said), why, "{request:?} {response:?}");
        }
    }

    #[test]
    fn rfc9111_4_2_1_the_most_specific_lifetime_counts() {
        for (fields, seconds) in [
            (&[("cache-control", "max-age=5, s-maxage=7"), ("expires", MINUTE_ON)][..], 7),
            (&[("cache-control", "max-age=5"), ("expires", MINUTE_ON)], 5),
            (&[("expires", MINUTE_ON), ("date", NOW_TEXT)], 60),
            (&[("expires", MINUTE_ON), ("date", MINUTE_AGO)], 120),
            (&[("expires", MINUTE_ON)], 60),
            (&[("expires", MINUTE_AGO)], 0),
            (&[("expires", "0"), ("date", NOW_TEXT)], 0),
            (&[("last-modified", "Tue, 01 Jan 2025 00:00:00 GMT"), ("date", NOW_TEXT)], 0),
            (&[], 0),
        ] {
            let headers = headers(fields);
            let found = lifetime(StatusCode::OK, &headers, &Directives::of(&headers), NOW, None);
            assert_eq!(found, seconds, "{fields:?}");
        }
    }

    #[test]
    fn rfc9111_4_2_2_a_tenth_of_the_time_since_it_changed_where_that_is_asked_for() {
        let fields = headers(&[("last-modified", MINUTE_AGO), ("date", NOW_TEXT)]);
        let guess = |status, most| lifetime(status, &fields, &Directives::default(), NOW, Some(most));
        assert_eq!((guess(StatusCode::OK, 100), guess(StatusCode::OK, 3), guess(StatusCode::FOUND, 100)), (6, 3, 0));
    }

    #[test]
    fn rfc9111_4_2_3_the_age_of_what_comes() {
        for (fields, age) in [
            (&[][..], 2),
            (&[("date", MINUTE_AGO)], 60),
            (&[("date", MINUTE_AGO), ("age", "100")], 102),
            (&[("date", MINUTE_ON), ("age", "1")], 3),
            (&[("age", "x")], 2),
            (&[("age", "-1")], 2),
            (&[("age", "7, 9")], 9),
        ] {
            assert_eq!(initial_age(&headers(fields), NOW, 2), age, "{fields:?}");
        }
    }

    #[test]
    fn rfc9111_4_when_it_may_be_used_again() {
        for (asked_for, said_of, age, used) in [
            ("", "max-age=10", 9, Use::Now(1)),
            ("", "max-age=10", 10, Use::Ask),
            ("", "max-age=10, no-cache", 0, Use::Ask),
            ("no-cache", "max-age=10", 0, Use::Ask),
            ("max-age=5", "max-age=10", 5, Use::Now(5)),
            ("max-age=5", "max-age=10", 6, Use::Ask),
            ("no-cache; a", "max-age=10", 0, Use::Ask),
            ("min-fresh=5", "max-age=10", 5, Use::Now(5)),
            ("min-fresh=5", "max-age=10", 6, Use::Ask),
            ("max-stale", "max-age=10", 900, Use::Now(-890)),
            ("max-stale=5", "max-age=10", 15, Use::Now(-5)),
            ("max-stale=5", "max-age=10", 16, Use::Ask),
            ("max-stale", "max-age=10, must-revalidate", 11, Use::Ask),
            ("max-stale", "max-age=10, proxy-revalidate", 11, Use::Ask),
            ("max-stale", "s-maxage=10", 11, Use::Ask),
            ("", "max-age=10, stale-while-revalidate=5", 14, Use::Meanwhile(-4)),
            ("", "max-age=10, stale-while-revalidate=5", 15, Use::Ask),
            ("", "max-age=10, stale-while-revalidate=5, must-revalidate", 11, Use::Ask),
            ("max-age=5", "max-age=10, stale-while-revalidate=5", 11, Use::Ask),
            ("", "max-age=10, stale-while-revalidate=x", 11, Use::Ask),
        ] {
            assert_eq!(usable(&said(asked_for), &said(said_of), 10, age), used, "{asked_for} | {said_of} | {age}");
        }
    }

    #[test]
    fn rfc5861_4_what_stands_in_for_an_error() {
        for (asked_for, said_of, age, used) in [
            ("", "max-age=10, stale-if-error=5", 15, true),
            ("", "max-age=10, stale-if-error=5", 16, false),
            ("stale-if-error=9", "max-age=10", 19, true),
            ("", "max-age=10", 11, false),
            ("", "max-age=10, stale-if-error=5, must-revalidate", 11, false),
        ] {
            assert_eq!(
                usable_if_error(&said(asked_for), &said(said_of), 10, age),
                used,
                "{asked_for} | {said_of} | {age}"
            );
        }
    }

    #[test]
    fn rfc9111_4_3_2_conditions_of_clients() {
        for (request, kept, has) in [
            (&[("if-none-match", "\"a\", W/\"b\"")][..], &[("etag", "\"b\"")][..], true),
            (&[("if-none-match", "\"a,b\"")], &[("etag", "\"b\"")], false),
            (&[("if-none-match", "*")], &[], true),
            (
                &[("if-none-match", "\"a\""), ("if-modified-since", MINUTE_ON)],
                &[("etag", "\"b\""), ("last-modified", NOW_TEXT)],
                false,
            ),
            (&[("if-modified-since", NOW_TEXT)], &[("last-modified", NOW_TEXT)], true),
            (&[("if-modified-since", MINUTE_AGO)], &[("last-modified", NOW_TEXT)], false),
            (&[("if-modified-since", NOW_TEXT)], &[("date", MINUTE_AGO)], true),
            (&[("if-modified-since", "x")], &[("last-modified", NOW_TEXT)], false),
            (&[], &[("etag", "\"b\"")], false),
        ] {
            assert_eq!(client_has_it(&headers(request), &headers(kept)), has, "{request:?} {kept:?}");
        }
    }

    #[test]
    fn rfc9111_3_2_a_304_updates_all_but_what_is_the_bodys() {
        let kept = headers(&[("age", "9"), ("etag", "\"a\""), ("x-a", "1"), ("x-a", "2"), ("x-b", "1")]);
        let fresh = headers(&[("content-encoding", "gzip"), ("content-length", "0"), ("x-a", "3"), ("etag", "\"e\"")]);
        let expected = headers(&[("etag", "\"a\""), ("x-a", "3"), ("x-b", "1")]);
        assert_eq!(updated(&kept, &fresh), expected);
    }

    #[test]
    fn rfc9111_4_1_what_a_response_depends_on() {
        let response = headers(&[("vary", "Accept, accept-language"), ("vary", "accept")]);
        let request = |fields| headers(fields);
        let key = varying(&response, &request(&[("accept", "a,  b"), ("accept", "c")]));
        assert_eq!(key.len(), 2);
        for (fields, same) in [
            (&[("accept", "a, b, c")][..], true),
            (&[("accept", "a"), ("accept", "b,c")], true),
            (&[("accept", "a, c, b")], false),
            (&[("accept", "a,b,c"), ("accept-language", "")], false),
            (&[], false),
        ] {
            assert_eq!(selects(&key, &request(fields)), same, "{fields:?}");
        }
    }

    /// Bytes that are no text, and what looks like a list in a field that is none, are told apart.
    #[test]
    fn rfc9111_4_1_values_are_compared_as_they_came() {
        let request = |name: &'static str, lines: &[&[u8]]| -> HeaderMap {
            lines.iter().map(|line| (HeaderName::from_static(name), HeaderValue::from_bytes(line).unwrap())).collect()
        };
        for (name, one, other) in [
            ("x-user", &[&b"\xff"[..]][..], &[&b"\xfe"[..]][..]),
            ("cookie", &[b"u=\xe9"], &[b"u=\xe8"]),
            ("cookie", &[b"u=a,,b"], &[b"u=a,b"]),
            ("x-user", &[b"a, b"], &[b"a,b"]),
            ("x-user", &[b"a", b"b"], &[b"a,b"]),
            ("x-user", &[b""], &[]),
            ("accept", &[b"a;b=\"\xe9\""], &[b"a;b=\"\xe8\""]),
            ("accept", &[b"a;b=\"c,,d\""], &[b"a;b=\"c,d\""]),
            ("accept", &[b""], &[]),
        ] {
            let vary = HeaderMap::from_iter([(VARY, HeaderValue::from_static(name))]);
            let kept = varying(&vary, &request(name, one));
            assert!(selects(&kept, &request(name, one)), "{name} {one:?}");
            assert!(!selects(&kept, &request(name, other)), "{name} {one:?} {other:?}");
        }
    }

    #[test]
    fn rfc9111_4_3_4_a_304_is_about_what_has_its_tag() {
        for (kept, said, is) in [
            (&[("etag", "\"1\"")][..], &[("etag", "\"1\"")][..], true),
            (&[("etag", "\"1\"")], &[("etag", "\"2\"")], false),
            (&[("etag", "\"1\"")], &[("etag", "W/\"1\"")], true),
            (&[("etag", "\"1\"")], &[("etag", "W/\"2\"")], false),
            (&[("etag", "W/\"1\"")], &[("etag", "W/\"1\"")], true),
            (&[("etag", "W/\"1\"")], &[("etag", "\"1\"")], true),
            (&[("etag", "W/\"1\"")], &[("etag", "\"2\"")], false),
            (&[("last-modified", NOW_TEXT)], &[("etag", "\"1\"")], false),
            (&[("etag", "\"1\"")], &[], true),
            (&[("last-modified", NOW_TEXT)], &[("last-modified", NOW_TEXT)], true),
        ] {
            assert_eq!(is_about(&headers(kept), &headers(said)), is, "{kept:?} {said:?}");
        }
    }

    #[test]
    fn rfc9111_4_3_1_the_upstream_is_asked_with_what_is_kept() {
        let mut request = headers(&[("if-none-match", "\"client\""), ("if-modified-since", MINUTE_AGO)]);
        ask_whether(&headers(&[("etag", "\"kept\"")]), &mut request);
        assert_eq!(request, headers(&[("if-none-match", "\"kept\"")]));
    }
}
