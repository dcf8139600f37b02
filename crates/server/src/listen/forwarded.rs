//! Who the client is, where trusted proxies stand before the gateway: from the nearest hop outwards, for as long as whoever tells is
//! trusted.
//!
//! There are several ways to tell: `Forwarded` (RFC 7239), the older `X-Forwarded-*`, and `X-Real-IP`. A proxy that writes one of them
//! passes the others on as the client sent them. So a request is refused where they differ, and of the scheme and the host only what
//! both say counts. An address that only one of them says is a difference too: the proxy's own in its place might be let in where the
//! client is not.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName};
use policy::settings::Network;

use super::host::{is_authority, normal};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

const DIFFERENT: &str = "Forwarded, X-Forwarded-* and X-Real-IP differ";
const MALFORMED: &str = "the Forwarded header is malformed";
const NO_TEXT: &str = "a header of the proxy is no text";
const NO_HOST: &str = "the host that the proxy names is malformed";
const NO_SCHEME: &str = "the scheme that the proxy names is neither http nor https";

/// What trusted proxies say of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The client's address.
    pub(super) client: Option<IpAddr>,
    /// The proxies that it came through, the nearest to the client first.
    pub(super) proxies: Vec<IpAddr>,
    /// The scheme that the client used.
    pub(super) scheme: Option<&'static str>,
    /// The host that it asked for, in lower case.
    pub(super) host: Option<String>,
}

/// One hop as a proxy saw it.
#[derive(Clone, Copy, Default)]
struct Hop<'a> {
    /// Whom the proxy got the request from. None = it does not say, or not as an address.
    from: Option<IpAddr>,
    scheme: Option<&'a str>,
    host: Option<&'a str>,
}

/// Whether what this peer says is believed.
pub(super) fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.has(address))
}

/// What the headers of a trusted peer say. The words of an error go to the client.
pub(super) fn told(headers: &HeaderMap, peer: IpAddr, trusted: &[Network]) -> Result<Told, &'static str> {
    let standard = forwarded(headers)?.map(|hops| walk(&hops, peer, trusted)).transpose()?;
    let older = match x_forwarded(headers)? {
        None => None,
        Some(hops) => {
            let told = walk(&hops, peer, trusted)?;
            let nearest = hops.last().and_then(|hop| hop.from);
            let mut real = list(headers, &X_REAL_IP)?.into_iter().map(address);
            if !real.all(|real| real == nearest || real == told.client) {
                return Err(DIFFERENT);
            }
            Some(told)
        }
    };
    match (standard, older) {
        (Some(one), Some(other)) => both(one, other),
        (one, other) => Ok(one.or(other).unwrap_or_default()),
    }
}

/// From the last hop outwards. Whatever stands left of the first address that is not trusted is only what that one says.
fn walk(hops: &[Hop<'_>], peer: IpAddr, trusted: &[Network]) -> Result<Told, &'static str> {
    let (mut told, mut current) = (Told::default(), peer);
    let mut seen = None;
    for hop in hops.iter().rev() {
        if !is_trusted(current, trusted) {
            break;
        }
        seen = Some(hop);
        let Some(from) = hop.from else { break };
        told.proxies.push(current);
        current = from;
        told.client = Some(from);
    }
    told.proxies.reverse();
    let Some(hop) = seen else { return Ok(told) };
    told.scheme = hop.scheme.map(scheme).transpose()?;
    if let Some(host) = hop.host {
        told.host = Some(is_authority(host).then(|| normal(host)).ok_or(NO_HOST)?);
    }
    Ok(told)
}

fn both(one: Told, other: Told) -> Result<Told, &'static str> {
    fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, &'static str> {
        match (one, other) {
            (Some(one), Some(other)) if one == other => Ok(Some(one)),
            (Some(_), Some(_)) => Err(DIFFERENT),
            _ => Ok(None),
        }
    }
    if one.client != other.client {
        return Err(DIFFERENT);
    }
    Ok(Told {
        proxies: one.proxies,
        client: one.client,
        scheme: same(one.scheme, other.scheme)?,
        host: same(one.host, other.host)?,
    })
}

/// WebSocket's words are those of the HTTP that they begin as.
fn scheme(text: &str) -> Result<&'static str, &'static str> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match text {
        _ if is("https") || is("wss") => Ok("https"),
        _ if is("http") || is("ws") => Ok("http"),
        _ => Err(NO_SCHEME),
    }
}

/// `X-Forwarded-*`; for addresses `X-Real-IP` stands in. None where there is nothing of it.
fn x_forwarded(headers: &HeaderMap) -> Result<Option<Vec<Hop<'_>>>, &'static str> {
    let mut from = list(headers, &X_FORWARDED_FOR)?;
    if from.is_empty() {
        from = list(headers, &X_REAL_IP)?;
    }
    let (schemes, hosts) = (list(headers, &X_FORWARDED_PROTO)?, list(headers, &X_FORWARDED_HOST)?);
    let count = from.len().max(usize::from(!schemes.is_empty() || !hosts.is_empty()));
    // Some proxies add to these lists as they do to the addresses, some write one value: the last of them then.
    fn of<'a>(values: &[&'a str], index: usize, count: usize) -> Option<&'a str> {
        if values.len() == count { values.get(index).copied() } else { values.last().copied() }
    }
    let hop = |index| Hop {
        from: from.get(index).copied().and_then(address),
        scheme: of(&schemes, index, count),
        host: of(&hosts, index, count),
    };
    Ok((count > 0).then(|| (0..count).map(hop).collect()))
}

/// The members of a list, over all fields of this name.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Vec<&'a str>, &'static str> {
    let mut members = Vec::new();
    for value in headers.get_all(name) {
        let value = value.to_str().map_err(|_| NO_TEXT)?;
        members.extend(value.split(',').map(str::trim).filter(|member| !member.is_empty()));
    }
    Ok(members)
}

/// An address, perhaps with a port; one of IPv6 in brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(_, after)| after.is_empty() || after.starts_with(':'))?.0,
        None if text.parse::<IpAddr>().is_ok() => text,
        None => text.split_once(':')?.0,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// `Forwarded`; None where there is none.
fn forwarded(headers: &HeaderMap) -> Result<Option<Vec<Hop<'_>>>, &'static str> {
    let mut hops = Vec::new();
    for value in headers.get_all(FORWARDED) {
        // Each field by itself: a quote that a client leaves open must not swallow what a proxy adds in a field of its own.
        let mut rest = value.to_str().map_err(|_| NO_TEXT)?.trim();
        while !rest.is_empty() {
            let hop;
            (hop, rest) = element(rest)?;
            hops.extend(hop);
        }
    }
    Ok((!hops.is_empty()).then_some(hops))
}

/// One element of `Forwarded` (RFC 7239, section 4), and what follows its comma; None for an empty one.
fn element(text: &str) -> Result<(Option<Hop<'_>>, &str), &'static str> {
    let (mut hop, mut rest) = (Hop::default(), text);
    let (mut any, mut names) = (false, Vec::new());
    loop {
        rest = rest.trim_start();
        match rest.as_bytes().first() {
            None => return Ok((any.then_some(hop), rest)),
            Some(b',') => return Ok((any.then_some(hop), rest[1..].trim_start())),
            Some(b';') => rest = &rest[1..],
            Some(_) => {
                let (name, value, after) = pair(rest)?;
                let name = name.to_ascii_lowercase();
                match name.as_str() {
                    "for" => hop.from = address(value),
                    "proto" => hop.scheme = Some(value),
                    "host" => hop.host = Some(value),
                    _ => {}
                }
                if names.contains(&name) {
                    return Err(MALFORMED);
                }
                names.push(name);
                (any, rest) = (true, after.trim_start());
                if !matches!(rest.as_bytes().first(), None | Some(b',' | b';')) {
                    return Err(MALFORMED);
                }
            }
        }
    }
}

/// `token "=" (token / quoted-string)`, and what follows. Nothing that is meant here has a backslash in it.
fn pair(text: &str) -> Result<(&str, &str, &str), &'static str> {
    let (name, rest) = text.split_once('=').filter(|(name, _)| is_token(name)).ok_or(MALFORMED)?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, after) = quoted.split_once('"').filter(|(value, _)| !value.contains('\\')).ok_or(MALFORMED)?;
        return Ok((name, value, after));
    }
    let end = rest.find([',', ';', ' ', '\t']).unwrap_or(rest.len());
    let (value, after) = rest.split_at(end);
    // Many write a port without the quotes that its colon asks for.
    let is_value = |byte: u8| is_token_byte(byte) || b":[]".contains(&byte);
    if value.is_empty() || !value.bytes().all(is_value) {
        return Err(MALFORMED);
    }
    Ok((name, value, after))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn ask(lines: &[&'static str]) -> Result<Told, &'static str> {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header");
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| Network::parse(network).expect("a network"));
        told(&headers, "10.0.0.1".parse().expect("an address"), &trusted)
    }

    /// Client, proxies, scheme and host as text.
    fn seen(lines: &[&'static str]) -> String {
        match ask(lines) {
            Err(why) => why.to_owned(),
            Ok(told) => {
                let client = told.client.map(|client| client.to_string()).unwrap_or_default();
                let proxies: Vec<_> = told.proxies.iter().map(IpAddr::to_string).collect();
                let (scheme, host) = (told.scheme.unwrap_or_default(), told.host.unwrap_or_default());
                format!("{client} via {} {scheme} {host}", proxies.join(","))
            }
        }
    }

    #[test]
    fn from_the_nearest_hop_outwards_for_as_long_as_it_is_trusted() {
        for (lines, expected) in [
            (&[][..], " via   "),
            (&["x-forwarded-for: 1.2.3.4"], "1.2.3.4 via 10.0.0.1  "),
            (&["x-forwarded-for: 6.6.6.6, 1.2.3.4"], "1.2.3.4 via 10.0.0.1  "),
            (&["x-forwarded-for: 6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4 via 10.0.0.2,10.0.0.1  "),
            (&["x-forwarded-for: 6.6.6.6", "x-forwarded-for: 1.2.3.4"], "1.2.3.4 via 10.0.0.1  "),
            (&["x-forwarded-for: 10.0.0.3, 10.0.0.2"], "10.0.0.3 via 10.0.0.2,10.0.0.1  "),
            (&["x-forwarded-for: ::ffff:10.0.0.2"], "10.0.0.2 via 10.0.0.1  "),
            (&["x-forwarded-for: 1.2.3.4:5678"], "1.2.3.4 via 10.0.0.1  "),
            (&["x-forwarded-for: [2001:db8::1]:80"], "2001:db8::1 via 10.0.0.1  "),
            (&["x-forwarded-for: 2001:db8::1, fd00::2"], "2001:db8::1 via fd00::2,10.0.0.1  "),
            (&["x-forwarded-for: 6.6.6.6, unknown"], " via   "),
            (&["x-forwarded-for: unknown, 10.0.0.2"], "10.0.0.2 via 10.0.0.1  "),
            (&["x-forwarded-for: <script>, 1.2.3.4"], "1.2.3.4 via 10.0.0.1  "),
            (&["x-real-ip: 1.2.3.4"], "1.2.3.4 via 10.0.0.1  "),
            (&["x-real-ip: 1.2.3.4", "x-forwarded-for: 6.6.6.6, 1.2.3.4"], "1.2.3.4 via 10.0.0.1  "),
            (&["x-real-ip: 10.0.0.2", "x-forwarded-for: 1.2.3.4, 10.0.0.2"], "1.2.3.4 via 10.0.0.2,10.0.0.1  "),
            (&["x-real-ip: 1.2.3.4", "x-forwarded-for: 1.2.3.4, 10.0.0.2"], "1.2.3.4 via 10.0.0.2,10.0.0.1  "),
            (&["x-real-ip: 1.2.3.4", "x-forwarded-proto: https"], "1.2.3.4 via 10.0.0.1 https "),
            (&["x-forwarded-proto: https"], " via  https "),
            (&["x-forwarded-proto: WSS", "x-forwarded-host: A.example:8443"], " via  https a.example:8443"),
            (
                &["x-forwarded-for: 1.2.3.4, 10.0.0.2", "x-forwarded-proto: https"],
                "1.2.3.4 via 10.0.0.2,10.0.0.1 https ",
            ),
            (&["x-forwarded-for: 6.6.6.6, 1.2.3.4", "x-forwarded-proto: https, http"], "1.2.3.4 via 10.0.0.1 http "),
            (&["forwarded: for=1.2.3.4;proto=https;host=a.example"], "1.2.3.4 via 10.0.0.1 https a.example"),
            (
                &["forwarded: For=\"[2001:db8::1]:4711\" ; Proto=https, for=10.0.0.2;proto=http"],
                "2001:db8::1 via 10.0.0.2,10.0.0.1 https ",
            ),
            (&["forwarded: for=6.6.6.6;host=evil, for=1.2.3.4"], "1.2.3.4 via 10.0.0.1  "),
            (&["forwarded: for=6.6.6.6", "forwarded: for=1.2.3.4:80"], "1.2.3.4 via 10.0.0.1  "),
            (&["forwarded: for=_hidden;proto=https"], " via  https "),
            (&["forwarded: ,, for=1.2.3.4;;by=_x,"], "1.2.3.4 via 10.0.0.1  "),
        ] {
            assert_eq!(seen(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_only_one_of_two_ways_says_counts_for_nothing_and_an_address_is_refused() {
        for (lines, expected) in [
            (&["forwarded: for=1.2.3.4;proto=https", "x-forwarded-for: 1.2.3.4"][..], "1.2.3.4 via 10.0.0.1  "),
            (&["forwarded: proto=https", "x-forwarded-host: a.example"], " via   "),
            // As a client sends the way that the proxy does not write.
            (&["forwarded: for=unknown", "x-forwarded-for: 1.2.3.4"], DIFFERENT),
            (&["forwarded: proto=https", "x-forwarded-for: 1.2.3.4"], DIFFERENT),
            (&["forwarded: for=1.2.3.4", "x-forwarded-proto: https"], DIFFERENT),
            (&["forwarded: for=1.2.3.4", "x-forwarded-for: unknown"], DIFFERENT),
            (&["x-real-ip: 1.2.3.4", "x-forwarded-for: 6.6.6.6"], DIFFERENT),
            (&["x-real-ip: 1.2.3.4", "x-forwarded-for: 1.2.3.4, 6.6.6.6"], DIFFERENT),
            (&["x-real-ip: 1.2.3.4", "x-forwarded-for: unknown"], DIFFERENT),
            (&["x-real-ip: 1.2.3.4, 6.6.6.6", "x-forwarded-for: 1.2.3.4"], DIFFERENT),
            (&["x-real-ip: 1.2.3.4", "forwarded: for=6.6.6.6"], DIFFERENT),
            (
                &["forwarded: for=1.2.3.4;proto=https", "x-forwarded-for: 1.2.3.4", "x-forwarded-proto: https"],
                "1.2.3.4 via 10.0.0.1 https ",
            ),
            (&["forwarded: for=6.6.6.6", "x-forwarded-for: 1.2.3.4"], DIFFERENT),
            (&["forwarded: host=evil", "x-forwarded-host: a.example"], DIFFERENT),
        ] {
            assert_eq!(seen(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (line, expected) in [
            // A client's open quote, and what a proxy adds behind it.
            ("forwarded: for=6.6.6.6;x=\", for=1.2.3.4", MALFORMED),
            ("forwarded: for=6.6.6.6;x=\", for=\"[2001:db8::1]\"", MALFORMED),
            ("forwarded: for=6.6.6.6;x=\"\\\", for=1.2.3.4;y=\"", MALFORMED),
            ("forwarded: for", MALFORMED),
            ("forwarded: for=", MALFORMED),
            ("forwarded: =1.2.3.4", MALFORMED),
            ("forwarded: for=1.2.3.4 proto=https", MALFORMED),
            ("forwarded: for=1.2.3.4;for=6.6.6.6", MALFORMED),
            ("forwarded: for=1.2.3.4;proto=gopher", NO_SCHEME),
            ("forwarded: for=1.2.3.4;host=\"a b\"", NO_HOST),
            ("x-forwarded-host: a/b", NO_HOST),
            ("x-forwarded-proto: h", NO_SCHEME),
        ] {
            assert_eq!(seen(&[line]), expected, "{line}");
        }
    }
}
