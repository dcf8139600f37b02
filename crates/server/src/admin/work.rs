//! Work on stores as a whole, and reading what a request asks for.

use std::collections::BTreeMap;

use policy::ports::Environment;
use store::mapping::Opened;

use super::api::{PurgedSource, Refusal, RefusalKind, SourceCheck};
use crate::tasks::{check_source, purge_source};

/// Clients of one page, where the request names no number.
const PAGE: usize = 100;

/// The most of one page.
const LARGEST_PAGE: usize = 1_000;

/// `after` and `limit` of a list.
pub(crate) fn page(query: Option<&str>) -> Result<(Option<String>, usize), Refusal> {
    let bad = |message: String| Refusal { kind: RefusalKind::Invalid, message, help: None };
    let (mut after, mut limit) = (None, PAGE);
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("after", value)) => after = Some(decoded(value)),
            Some(("limit", value)) => {
                let number = value.parse().ok().filter(|n| (1..=LARGEST_PAGE).contains(n));
                limit = number.ok_or_else(|| bad(format!("`limit` is from 1 to {LARGEST_PAGE}")))?;
            }
            _ => return Err(bad(format!("`{pair}` is not known here"))),
        }
    }
    Ok((after, limit))
}

/// A part of a path or query, decoded; what is no percent-encoding stays as it is, and is then nobody's name.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let pair = pair.filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Looks at every source, one after the other, in the order of their names; also at those that no store uses yet: who checks is about
/// to move to one.
pub(crate) async fn check(
    stores: &Opened,
    types: &BTreeMap<String, String>,
    environment: &Environment,
) -> Vec<SourceCheck> {
    let mut checks = Vec::new();
    for source in stores.sources() {
        let kind = types.get(source.name()).map_or("", String::as_str);
        checks.push(check_source(source, kind, environment).await);
    }
    checks
}

/// Purges every source in use, to the end.
pub(crate) async fn purge(stores: &Opened, environment: &Environment) -> Vec<PurgedSource> {
    let mut purged = Vec::new();
    for source in stores.sources_in_use() {
        purged.push(purge_source(source, environment).await);
    }
    purged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        assert_eq!(page(None).unwrap(), (None, PAGE));
        assert_eq!(page(Some("after=a%20b&limit=5")).unwrap(), (Some("a b".to_owned()), 5));
        for bad in ["limit=0", "limit=1001", "limit=x", "aftre=x"] {
            assert!(page(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn decoding() {
        for (text, expected) in
            [("a%2Fb", "a/b"), ("%", "%"), ("%zz", "%zz"), ("%c3%a4", "\u{e4}"), ("%ff", "%ff"), ("%+1", "%+1")]
        {
            assert_eq!(decoded(text), expected);
        }
    }
}
