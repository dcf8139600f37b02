//! `targets`: where an upstream is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::Uri;
use policy::Diagnostics;
use policy::diagnostic::{Problem, Span, codes};
use policy::reader::{Keys, Node};
use policy::settings::{FromOutside, Spanned};

use super::{Within, number, wrong};

/// A target as it is given.
pub(super) struct Given {
    pub(super) url: Url,
    pub(super) weight: u32,
}

/// What a target's URL says.
pub(crate) struct Url {
    /// `https`
    pub(crate) tls: bool,
    /// Name or address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Reads them. Nothing where one of them is wrong, or is named by a variable that is not set.
pub(super) fn read<'a>(
    keys: &mut Keys<'a>,
    within: Within<'a>,
    admin: SocketAddr,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Given>> {
    keys.required("targets")?;
    let list = keys.list("targets")?;
    if list.value.is_empty() {
        let help = String::from("targets = [\"http://127.0.0.1:9001\"]");
        wrong(keys, list.span, String::from("an upstream needs a target"), help);
    }
    let mut found: Vec<(Span, Given)> = Vec::new();
    let mut complete = !list.value.is_empty();
    for node in list.value {
        let Some(given) = one(keys, node, within, diagnostics) else {
            complete = false;
            continue;
        };
        let Url { host, port, .. } = &given.1.url;
        if is_admin(host, *port, admin) {
            let help = format!("the admin address is {admin}: policies must not reach it on anybody's behalf");
            wrong(keys, given.0, String::from("an upstream may not point at the admin address"), help);
        }
        if found.iter().any(|(_, other)| other.url.host == *host && other.url.port == *port) {
            let help = String::from("give it a `weight`: { url = \"...\", weight = 2 }");
            wrong(keys, given.0, String::from("two targets are one"), help);
        }
        found.push(given);
    }
    complete.then(|| found.into_iter().map(|(_, given)| given).collect())
}

fn one<'a>(
    keys: &mut Keys<'a>,
    node: &'a Node,
    within: Within<'a>,
    diagnostics: &mut Diagnostics,
) -> Option<(Span, Given)> {
    let (text, weight) = match node.as_table().filter(|table| table.entry("env").is_none()) {
        Some(table) => {
            let mut keys = Keys::new(within.file, table);
            let named = keys.required("url").is_some();
            let text = keys.deserialize::<Spanned<FromOutside>>("url", within.outside).filter(|_| named);
            let weight = number(&mut keys, "weight", 1, 1..=100);
            super::super::finish(keys, diagnostics);
            (text?, weight)
        }
        None => match policy::reader::deserialize_node::<Spanned<FromOutside>>(within.file, node, within.outside) {
            Ok((text, warnings)) => {
                keys.extend(warnings);
                (text, 1)
            }
            Err(problems) => {
                keys.extend(problems);
                return None;
            }
        },
    };
    // `check`, where the variable is not set: that was told.
    if text.value.0.is_empty() && !within.outside.strict() {
        return None;
    }
    match url(&text.value.0) {
        Ok(url) => Some((text.span, Given { url, weight })),
        Err(problem) => {
            keys.push(problem.at(keys.place_of(text.span)));
            None
        }
    }
}

/// `http://HOST[:PORT]` or `https://...`, and no more.
pub(crate) fn url(text: &str) -> Result<Url, Problem> {
    let bad = |message: String| {
        Problem::error(codes::BAD_VALUE, message).with_help("scheme, host and port: \"http://127.0.0.1:9001\"")
    };
    let uri: Uri = text.parse().map_err(|_| bad(format!("`{text}` is no URL")))?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(bad(format!("`{text}` is no http URL"))),
    };
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(bad(String::from("a target has no user name and password")));
    }
    if uri.path() != "/" || uri.query().is_some() || text.ends_with('/') {
        return Err(Problem::error(codes::BAD_VALUE, "a target has no path")
            .with_help("the path comes from the request; `proxy` can rewrite it (`rewrite`)"));
    }
    let host = uri.host().filter(|h| !h.is_empty()).ok_or_else(|| bad(format!("`{text}` names no host")))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    match uri.port_u16() {
        Some(0) => Err(bad(String::from("a target's port is not 0"))),
        Some(port) => Ok(Url { tls, host, port }),
        None if uri.authority().is_some_and(|a| a.as_str().ends_with(':')) => {
            Err(bad(format!("`{text}` lacks its port")))
        }
        None => Ok(Url { tls, host, port: if tls { 443 } else { 80 } }),
    }
}

/// Whether this host and port are the admin address, as far as can be told without asking the network. What a name leads to is looked
/// at when it is looked up.
pub(crate) fn is_admin(host: &str, port: u16, admin: SocketAddr) -> bool {
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) if host.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.into(),
        Err(_) => return false,
    };
    crate::upstream::is_admin(SocketAddr::new(ip, port), admin)
}
