//! Conditional requests and ranges (RFC 9110, sections 13 and 14), for something whose length and time are known.

use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use http::header::{self, HeaderMap, HeaderValue};

use super::lists;

/// What tells one version of a thing from another.
pub(super) struct Validators {
    /// A strong tag, with its quotes.
    tag: Option<String>,
    /// Seconds since 1970.
    modified: Option<u64>,
}

/// A part: where it begins, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) length: u64,
}

/// What a request wants of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it.
    Whole,
    /// A part (206).
    Part(Part),
    /// It has it (304).
    NotModified,
    /// It wants another version (412).
    Failed,
    /// It wants what is not there (416).
    Unsatisfiable,
}

impl Validators {
    /// Of a file. One that was written at the beginning of time was put there by something that writes every file so: that says nothing.
    pub(super) fn of(modified_nanos: u64, length: u64) -> Validators {
        let modified = Some(modified_nanos / 1_000_000_000).filter(|seconds| *seconds > 1);
        Validators { tag: modified.map(|_| format!("\"{modified_nanos:x}-{length:x}\"")), modified }
    }

    /// As headers of an answer.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Some(tag) = self.tag.as_ref().and_then(|tag| HeaderValue::from_str(tag).ok()) {
            headers.insert(header::ETAG, tag);
        }
        let date = self.modified.map(|seconds| httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)));
        if let Some(date) = date.and_then(|date| HeaderValue::from_str(&date).ok()) {
            headers.insert(header::LAST_MODIFIED, date);
        }
    }

    /// Whether one of these tags is ours. A weak one is, too, where only the meaning counts.
    fn is_among(&self, tags: &[&str], weakly: bool) -> bool {
        let Some(own) = &self.tag else { return tags == ["*"] };
        let same = |tag: &&str| tag == own || weakly && tag.strip_prefix("W/") == Some(own);
        tags == ["*"] || tags.iter().any(same)
    }

    fn changed_since(&self, date: &str) -> Option<bool> {
        let since = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(self.modified? > since.as_secs())
    }
}

/// What a `GET` or `HEAD` wants, in the order of section 13.2.2.
pub(super) fn decide(method: &Method, headers: &HeaderMap, validators: &Validators, length: u64) -> Verdict {
    let text = |name: header::HeaderName| {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    // Tags that cannot be read are not ours.
    let tags = |name: header::HeaderName| {
        headers.contains_key(&name).then(|| lists::members(headers, &name).unwrap_or_default())
    };
    let failed = match (tags(header::IF_MATCH), text(header::IF_UNMODIFIED_SINCE)) {
        (Some(tags), _) => !validators.is_among(&tags, false),
        (None, Some(date)) => validators.changed_since(&date) == Some(true),
        (None, None) => false,
    };
    if failed {
        return Verdict::Failed;
    }
    let has_it = match (tags(header::IF_NONE_MATCH), text(header::IF_MODIFIED_SINCE)) {
        (Some(tags), _) => validators.is_among(&tags, true),
        (None, Some(date)) => validators.changed_since(&date) == Some(false),
        (None, None) => false,
    };
    if has_it {
        return Verdict::NotModified;
    }
    let is_this_version = |of: &str| match of.starts_with(['"', 'W']) {
        true => validators.is_among(&[of.trim()], false),
        false => httpdate::parse_http_date(of).ok() == validators.modified.map(|s| UNIX_EPOCH + Duration::from_secs(s)),
    };
    let of_this_version =
        !headers.contains_key(header::IF_RANGE) || text(header::IF_RANGE).is_some_and(|of| is_this_version(&of));
    match text(header::RANGE) {
        Some(range) if *method == Method::GET && of_this_version => part(&range, length),
        _ => Verdict::Whole,
    }
}

/// Of a range, its part. Several at once, and what is no range of bytes, are as if nothing had been asked: that is allowed (section 14.2),
/// and who asks for a thousand overlapping ones gets no thousand answers.
fn part(range: &str, length: u64) -> Verdict {
    let Some((unit, set)) = range.split_once('=') else { return Verdict::Whole };
    let Some((first, last)) = set.trim().split_once('-') else { return Verdict::Whole };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    let (Some(from), Some(to)) = (number(first), number(last)) else { return Verdict::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Verdict::Whole;
    }
    let (from, end) = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Verdict::Whole,
        (true, false) if to == 0 => return Verdict::Unsatisfiable,
        (true, false) => (length.saturating_sub(to), length),
        (false, true) => (from, length),
        (false, false) if to < from => return Verdict::Whole,
        (false, false) => (from, to.saturating_add(1).min(length)),
    };
    if from >= length {
        return Verdict::Unsatisfiable;
    }
    Verdict::Part(Part { from, length: end - from })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 1_000_000_000;

    fn decided(headers: &[(header::HeaderName, &'static str)]) -> Verdict {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        decide(&Method::GET, &headers, &Validators::of(TIME * 1_000_000_000, 100), 100)
    }

    const TAG: &str = "\"de0b6b3a7640000-64\"";
    const WEAK: &str = "W/\"de0b6b3a7640000-64\"";
    const DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const EARLIER: &str = "Sun, 09 Sep 2001 01:46:39 GMT";

    #[test]
    fn rfc9110_13_conditions() {
        use header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        for (headers, expected) in [
            (&[][..], Verdict::Whole),
            (&[(IF_NONE_MATCH, TAG)], Verdict::NotModified),
            (&[(IF_NONE_MATCH, WEAK)], Verdict::NotModified),
            (&[(IF_NONE_MATCH, "*")], Verdict::NotModified),
            (&[(IF_NONE_MATCH, "\"x\", \"de0b6b3a7640000-64\"")], Verdict::NotModified),
            (&[(IF_NONE_MATCH, "\"x\"")], Verdict::Whole),
            (&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, DATE)], Verdict::Whole),
            (&[(IF_MODIFIED_SINCE, DATE)], Verdict::NotModified),
            (&[(IF_MODIFIED_SINCE, EARLIER)], Verdict::Whole),
            (&[(IF_MODIFIED_SINCE, "yesterday")], Verdict::Whole),
            (&[(IF_MATCH, TAG)], Verdict::Whole),
            (&[(IF_MATCH, "*")], Verdict::Whole),
            (&[(IF_MATCH, WEAK)], Verdict::Failed),
            (&[(IF_MATCH, "\"x\"")], Verdict::Failed),
            (&[(IF_UNMODIFIED_SINCE, DATE)], Verdict::Whole),
            (&[(IF_UNMODIFIED_SINCE, EARLIER)], Verdict::Failed),
            (&[(IF_MATCH, TAG), (IF_UNMODIFIED_SINCE, EARLIER)], Verdict::Whole),
            (&[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, TAG)], Verdict::Failed),
        ] {
            assert_eq!(decided(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn rfc9110_14_ranges() {
        let part = |from, length| Verdict::Part(Part { from, length });
        for (range, expected) in [
            ("bytes=0-9", part(0, 10)),
            ("bytes=90-", part(90, 10)),
            ("bytes=90-1000", part(90, 10)),
            ("bytes=99-99", part(99, 1)),
            ("bytes=-10", part(90, 10)),
            ("bytes=-1000", part(0, 100)),
            ("Bytes = 0-0", part(0, 1)),
            ("bytes=0-99999999999999999999", part(0, 100)),
            ("bytes=100-", Verdict::Unsatisfiable),
            ("bytes=99999999999999999999-", Verdict::Unsatisfiable),
            ("bytes=-0", Verdict::Unsatisfiable),
            ("bytes=9-0", Verdict::Whole),
            ("bytes=0-1,3-4", Verdict::Whole),
            ("bytes=-", Verdict::Whole),
            ("bytes=a-b", Verdict::Whole),
            ("bytes=+1-2", Verdict::Whole),
            ("lines=0-1", Verdict::Whole),
            ("bytes", Verdict::Whole),
        ] {
            assert_eq!(decided(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn rfc9110_13_1_5_a_part_of_the_version_that_is_had() {
        let part = Verdict::Part(Part { from: 0, length: 1 });
        for (of, expected) in [
            (TAG, part),
            (DATE, part),
            (WEAK, Verdict::Whole),
            ("\"x\"", Verdict::Whole),
            (EARLIER, Verdict::Whole),
            ("yesterday", Verdict::Whole),
        ] {
            assert_eq!(decided(&[(header::RANGE, "bytes=0-0"), (header::IF_RANGE, of)]), expected, "{of}");
        }
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_not_met() {
        use header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
        let part = (RANGE, HeaderValue::from_static("bytes=0-0"));
        for (name, expected) in [
            (IF_MATCH, Verdict::Failed),
            (IF_NONE_MATCH, Verdict::Part(Part { from: 0, length: 1 })),
            (IF_RANGE, Verdict::Whole),
        ] {
            for value in [&b"\"\xe9\""[..], b"\xe9"] {
                let condition = (name.clone(), HeaderValue::from_bytes(value).unwrap());
                let headers = [part.clone(), condition].into_iter().collect();
                let validators = Validators::of(TIME * 1_000_000_000, 100);
                assert_eq!(decide(&Method::GET, &headers, &validators, 100), expected, "{name}");
            }
        }
    }

    #[test]
    fn a_head_has_no_parts_and_a_file_without_a_time_no_validators() {
        let headers: HeaderMap = [(header::RANGE, HeaderValue::from_static("bytes=0-0"))].into_iter().collect();
        let none = Validators::of(1_000_000_000, 100);
        assert_eq!(decide(&Method::HEAD, &headers, &none, 100), Verdict::Whole);
        let mut written = HeaderMap::new();
        none.write(&mut written);
        assert!(written.is_empty());
        for (name, value, expected) in [
            (header::IF_NONE_MATCH, "\"3b9aca00-64\"", Verdict::Whole),
            (header::IF_NONE_MATCH, "*", Verdict::NotModified),
            (header::IF_MODIFIED_SINCE, DATE, Verdict::Whole),
            (header::IF_MATCH, TAG, Verdict::Failed),
        ] {
            let headers: HeaderMap = [(name, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(decide(&Method::GET, &headers, &none, 100), expected, "{value}");
        }
    }
}
