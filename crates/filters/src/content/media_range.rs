//! Media types and ranges of them (RFC 9110, sections 8.3 and 12.5.1).

use mediatype::{MediaType, MediaTypeList, ReadParams};

/// What a setting allows: `application/json`, `application/*+json`, `text/*`, perhaps with parameters that must be there.
pub(super) struct MediaRange {
    kind: String,
    subtype: Subtype,
    parameters: Vec<(String, String)>,
}

enum Subtype {
    Any,
    /// `*+json`: the suffix, and the type of that name itself is not meant.
    Suffix(String),
    Is(String),
}

impl MediaRange {
    /// Reads one; `None` where it is none.
    pub(super) fn parse(text: &str) -> Option<MediaRange> {
        let (essence, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
        let (kind, subtype) = essence.trim().split_once('/')?;
        let name = |text: &str| mediatype::Name::new(text).map(|name| name.as_str().to_ascii_lowercase());
        let subtype = match subtype.strip_prefix('*') {
            Some("") => Subtype::Any,
            Some(suffix) => Subtype::Suffix(name(suffix.strip_prefix('+')?)?),
            None => Subtype::Is(name(subtype)?),
        };
        let kind = if kind == "*" { String::from("*") } else { name(kind)? };
        if kind == "*" && !matches!(subtype, Subtype::Any) {
            return None;
        }
        let with_parameters = format!("a/b{parameters}");
        let parsed = MediaType::parse(&with_parameters).ok()?;
        let parameters = parsed
            .params()
            .map(|(name, value)| (name.as_str().to_ascii_lowercase(), value.unquoted_str().into_owned()));
        Some(MediaRange { kind, subtype, parameters: parameters.collect() })
    }

    /// Whether it names one type and leaves none open.
    pub(super) fn is_single(&self) -> bool {
        matches!(self.subtype, Subtype::Is(_))
    }

    /// Whether the type is one of these.
    pub(super) fn has(&self, of: &MediaType<'_>) -> bool {
        let kind = self.kind == "*" || of.ty.as_str().eq_ignore_ascii_case(&self.kind);
        let subtype = match &self.subtype {
            Subtype::Any => true,
            Subtype::Suffix(suffix) => of.suffix.is_some_and(|of| of.as_str().eq_ignore_ascii_case(suffix)),
            Subtype::Is(name) => name.eq_ignore_ascii_case(&subtype_of(of)),
        };
        kind && subtype && self.parameters.iter().all(|(name, value)| has_parameter(of, name, value))
    }

    /// How much a client wants this single type, from 0 (not at all) to 1000: what the most specific range of its `Accept` says.
    pub(super) fn quality(&self, accept: &str) -> u16 {
        let mut best = (0, 0);
        for range in MediaTypeList::new(accept).flatten() {
            if let Some(specific) = self.specificity(&range) {
                best = best.max((specific, quality(&range)));
            }
        }
        best.1
    }

    /// How closely the range of an `Accept` names this single type; `None` where it does not.
    fn specificity(&self, range: &MediaType<'_>) -> Option<usize> {
        let (Subtype::Is(own), subtype) = (&self.subtype, subtype_of(range)) else { return None };
        let closeness = match (range.ty.as_str(), subtype.as_str()) {
            ("*", "*") => 1,
            (kind, "*") if kind.eq_ignore_ascii_case(&self.kind) => 2,
            (kind, name) if kind.eq_ignore_ascii_case(&self.kind) && name.eq_ignore_ascii_case(own) => 3,
            _ => return None,
        };
        let asked: Vec<_> = range.params().filter(|(name, _)| !name.as_str().eq_ignore_ascii_case("q")).collect();
        let has = |name: &str, value: &str| {
            self.parameters.iter().any(|(own, is)| own.eq_ignore_ascii_case(name) && same(own, is, value))
        };
        let all = asked.iter().all(|(name, value)| has(name.as_str(), &value.unquoted_str()));
        all.then_some(closeness + asked.len())
    }
}

/// Of a type that stands twice in a header under one name, both values must fit: nobody can tell which of them counts.
pub(super) fn has_parameter(of: &MediaType<'_>, name: &str, value: &str) -> bool {
    let mut found = parameters(of, name).peekable();
    found.peek().is_some() && found.all(|is| same(name, &is, value))
}

/// All values of a parameter.
pub(super) fn parameters<'m>(of: &'m MediaType<'_>, name: &'m str) -> impl Iterator<Item = String> + 'm {
    let named = of.params().filter(move |(is, _)| is.as_str().eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.unquoted_str().into_owned())
}

/// Character sets have no case (RFC 9110, section 8.3.2); of other parameters nothing is known.
fn same(name: &str, one: &str, other: &str) -> bool {
    if name == "charset" { one.eq_ignore_ascii_case(other) } else { one == other }
}

fn subtype_of(of: &MediaType<'_>) -> String {
    match of.suffix {
        Some(suffix) => format!("{}+{suffix}", of.subty),
        None => of.subty.to_string(),
    }
}

/// `q=0.5` as 500; 1000 where none stands there, 0 where it is malformed.
fn quality(range: &MediaType<'_>) -> u16 {
    let Some(text) = parameters(range, "q").next() else { return 1000 };
    match text.parse::<f32>() {
        // Between 0 and 1: no bits are lost.
        Ok(number) if (0.0..=1.0).contains(&number) => (number * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_range_has() {
        for (range, has, has_not) in [
            (
                "application/json",
                &["application/json", "Application/JSON; charset=utf-8"][..],
                &["text/json", "application/a+json"][..],
            ),
            (
                "application/*+json",
                &["application/problem+json"],
                &["application/json", "text/a+json", "application/a+xml"],
            ),
            ("application/problem+json", &["application/problem+json"], &["application/problem", "application/json"]),
            ("text/*", &["text/plain", "text/html"], &["application/json"]),
            ("*/*", &["a/b"], &[]),
            ("a/b; v=1", &["a/b;v=1", "a/b; x=2; V=\"1\""], &["a/b", "a/b;v=2", "a/b;v=1;v=2"]),
            ("a/b; charset=UTF-8", &["a/b; charset=utf-8"], &["a/b"]),
        ] {
            let range = MediaRange::parse(range).expect(range);
            let holds = |text: &&str| range.has(&MediaType::parse(text).expect(text));
            assert!(has.iter().all(holds), "{has:?}");
            assert!(!has_not.iter().any(holds), "{has_not:?}");
        }
        for bad in ["", "json", "a/", "/b", "*/json", "a/*json", "a/b;v", "a b/c", "a/b,c/d"] {
            assert!(MediaRange::parse(bad).is_none(), "{bad}");
        }
    }

    /// RFC 9110, section 12.5.1: the most specific range counts.
    #[test]
    fn how_much_a_client_wants_a_type() {
        for (accept, json) in [
            ("application/json", 1000),
            ("*/*", 1000),
            ("text/html, application/*;q=0.5, */*;q=0.1", 500),
            ("application/json;q=0, */*", 0),
            ("text/html", 0),
            ("", 0),
            ("application/json;q=2", 0),
            ("application/json;v=1", 0),
        ] {
            assert_eq!(MediaRange::parse("application/json").expect("a type").quality(accept), json, "{accept}");
        }
        let versioned = MediaRange::parse("a/b;v=1").expect("a type");
        assert_eq!((versioned.quality("a/b;v=1;q=0.2, a/b;q=0.9"), versioned.quality("a/b;v=2")), (200, 0));
    }
}
