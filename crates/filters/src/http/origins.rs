//! Origins that a policy names (RFC 6454, section 6.2): exactly, by a pattern, or all there are.

use std::collections::BTreeSet;

/// The origins whose pages may read an answer.
pub(super) enum Origins {
    /// `*`: the pages of all origins.
    Any,
    /// These.
    Listed { exact: BTreeSet<Box<str>>, patterns: Vec<Pattern> },
}

/// `https://*.example.com`, `http://localhost:*`.
pub(super) struct Pattern {
    scheme: Box<str>,
    /// With `.` before it: what the host ends with, after one label or more.
    host: Box<str>,
    below: bool,
    port: Port,
}

enum Port {
    Exactly(Option<Box<str>>),
    Any,
}

impl Origins {
    /// From what a policy names. What is wrong with one of them, and what to do about it.
    pub(super) fn parse(names: &[impl AsRef<str>]) -> Result<Origins, (String, &'static str)> {
        let names = names.iter().map(AsRef::as_ref);
        if names.clone().any(|name| name == "*") {
            return match names.count() {
                1 => Ok(Origins::Any),
                _ => Err((
                    "`*` is every origin: the others say nothing beside it".into(),
                    "write `[\"*\"]`, or the others alone",
                )),
            };
        }
        let (mut exact, mut patterns) = (BTreeSet::new(), Vec::new());
        for name in names {
            let pattern = match Pattern::parse(name) {
                Ok(pattern) => Some(pattern).filter(|pattern| !pattern.is_exact()),
                Err(_) if name == "null" => None,
                Err(help) => return Err((format!("`{name}` is no origin"), help)),
            };
            match pattern {
                Some(pattern) => patterns.push(pattern),
                None => _ = exact.insert(name.into()),
            }
        }
        Ok(Origins::Listed { exact, patterns })
    }

    /// Whether this origin, as a browser writes it, is one of them.
    pub(super) fn contain(&self, origin: &str) -> bool {
        match self {
            Origins::Any => true,
            Origins::Listed { exact, patterns } => {
                exact.contains(origin) || patterns.iter().any(|pattern| pattern.fits(origin))
            }
        }
    }

    /// Whether `null` is among them: the origin of every page that has none of its own (a sandboxed frame, a local file).
    pub(super) fn contain_null(&self) -> bool {
        matches!(self, Origins::Listed { exact, .. } if exact.contains("null"))
    }
}

const SHAPE: &str = "write an origin as a browser does: `https://app.example.com`, with the port where it is not the scheme's own, in small letters, without a path; or a pattern: `https://*.example.com`, `http://localhost:*`";

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.chars().all(plain) {
            return Err(SHAPE);
        }
        let (host, port) = split(rest).ok_or(SHAPE)?;
        let port = match port {
            Some("*") => Port::Any,
            Some(port) if is_own_port(scheme, port) => {
                return Err("leave the port out where it is the scheme's own: browsers do");
            }
            Some(port) if !is_port(port) => return Err(SHAPE),
            port => Port::Exactly(port.map(Into::into)),
        };
        let (below, name) = match host.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, host),
        };
        if !is_host(name) {
            return Err(SHAPE);
        }
        if below && (!name.contains('.') || name.starts_with('[')) {
            return Err("everybody can have a name below that: a pattern needs two labels at least after `*.`");
        }
        let host = if below { format!(".{name}").into() } else { name.into() };
        Ok(Pattern { scheme: scheme.into(), host, below, port })
    }

    fn is_exact(&self) -> bool {
        !self.below && matches!(self.port, Port::Exactly(_))
    }

    fn fits(&self, origin: &str) -> bool {
        let Some((scheme, rest)) = origin.split_once("://") else { return false };
        let Some((host, port)) = split(rest) else { return false };
        let host_fits = match self.below {
            true => host.strip_suffix(&*self.host).is_some_and(is_host),
            false => *host == *self.host,
        };
        let port_fits = match &self.port {
            Port::Any => port.is_none_or(is_port),
            Port::Exactly(wanted) => port == wanted.as_deref(),
        };
        *scheme == *self.scheme && host_fits && port_fits
    }
}

/// Host and port. An IPv6 address has its own colons, in brackets.
fn split(rest: &str) -> Option<(&str, Option<&str>)> {
    let end = if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find(':').unwrap_or(rest.len()) };
    let (host, port) = rest.split_at(end);
    match port.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => port.is_empty().then_some((host, None)),
    }
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    match host.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(label),
    }
}

fn is_port(port: &str) -> bool {
    !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn is_own_port(scheme: &str, port: &str) -> bool {
    matches!((scheme, port), ("http", "80") | ("https", "443"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let origins = [
            "https://app.example.com",
            "https://*.apps.example.com",
            "http://localhost:*",
            "https://*.dev.example.com:8443",
            "http://[::1]:3000",
            "capacitor://localhost",
        ];
        let origins = Origins::parse(&origins).unwrap_or_else(|(why, _)| panic!("{why}"));
        for (origin, expected) in [
            ("https://app.example.com", true),
            ("http://app.example.com", false),
            ("https://app.example.com:444", false),
            ("https://app.example.com.evil.example", false),
            ("https://evilapp.example.com", false),
            ("https://one.apps.example.com", true),
            ("https://one.two.apps.example.com", true),
            ("https://apps.example.com", false),
            ("https://.apps.example.com", false),
            ("https://evil.example/.apps.example.com", false),
            ("https://evil.example#.apps.example.com", false),
            ("https://user@one.apps.example.com", false),
            ("https://oneapps.example.com", false),
            ("https://one.apps.example.com:8443", false),
            ("http://localhost", true),
            ("http://localhost:3000", true),
            ("http://localhost:", false),
            ("http://localhost:3000.evil.example", false),
            ("http://localhost.evil.example", false),
            ("https://a.dev.example.com:8443", true),
            ("https://a.dev.example.com", false),
            ("http://[::1]:3000", true),
            ("http://[::1]:3001", false),
            ("capacitor://localhost", true),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(origins.contain(origin), expected, "{origin}");
        }
        assert!(!origins.contain_null());
        assert!(Origins::parse(&["null"]).is_ok_and(|origins| origins.contain("null") && origins.contain_null()));
        assert!(Origins::parse(&["*"]).is_ok_and(|origins| origins.contain("https://any.example")));
    }

    #[test]
    fn what_no_browser_writes_is_refused() {
        for text in [
            "",
            "example.com",
            "https://",
            "https://a.example/",
            "https://A.example",
            "HTTPS://a.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://a.example:0",
            "https://a.example:99999",
            "https://*.com",
            "https://*",
            "https://a.*.example.com",
            "https://*a.example.com",
            "*://a.example.com",
            "https://[::g]",
            "https://[::1]x",
            "https://u@a.example",
        ] {
            assert!(Origins::parse(&[text]).is_err(), "{text}");
        }
        assert!(Origins::parse(&["*", "https://a.example"]).is_err());
    }
}
