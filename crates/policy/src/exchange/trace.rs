//! The trace that a request belongs to (W3C Trace Context, level 1).

use http::{HeaderMap, HeaderName};

/// The field that names the trace and the caller's span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems add for themselves.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-` trace id `-` span id `-` flags: the length of version 00.
const LENGTH: usize = 55;

/// Members of a `tracestate` (section 3.3.1.1: "there can be a maximum of 32 list-members in a list").
const MEMBERS: usize = 32;

/// Where a request stands in a trace: the gateway's own span, which is the parent of whatever an upstream does, and the span that it is
/// a child of itself. `tracestate` is a header of the request: it goes on as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace, never all zeros.
    pub trace_id: [u8; 16],
    /// The gateway's span for this request, never all zeros.
    pub span_id: [u8; 8],
    /// The caller's span, where a trusted proxy named one. None = the trace begins here.
    pub parent_id: Option<[u8; 8]>,
    /// Whether spans of this trace are to be kept.
    pub sampled: bool,
}

impl TraceContext {
    /// What the headers say, with this span as the gateway's own: `None` where there is no `traceparent`, or more than one, or it is
    /// malformed. A later version than 00 is read as 00 is, as far as that goes (section 4.3).
    pub fn received(headers: &HeaderMap, span_id: [u8; 8]) -> Option<TraceContext> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let value = value.as_bytes();
        let [version] = hex(value.get(..2)?)?;
        let fits = match version {
            0 => value.len() == LENGTH,
            0xff => false,
            _ => matches!(value.get(LENGTH), None | Some(b'-')),
        };
        if !fits || [2, 35, 52].iter().any(|dash| value.get(*dash) != Some(&b'-')) {
            return None;
        }
        let trace_id = hex(value.get(3..35)?).filter(|id| *id != [0; 16])?;
        let parent_id = hex(value.get(36..52)?).filter(|id| *id != [0; 8])?;
        let [flags] = hex(value.get(53..LENGTH)?)?;
        Some(TraceContext { trace_id, span_id, parent_id: Some(parent_id), sampled: flags & 1 == 1 })
    }

    /// Writes `traceparent` for an upstream: the gateway's span is its parent.
    pub fn write_traceparent(&self, to: &mut String) {
        let mut text = [0; LENGTH];
        text[..3].copy_from_slice(b"00-");
        write_hex(&self.trace_id, &mut text[3..35]);
        text[35] = b'-';
        write_hex(&self.span_id, &mut text[36..52]);
        text[52..].copy_from_slice(if self.sampled { b"-01" } else { b"-00" });
        to.push_str(std::str::from_utf8(&text).expect("hexadecimal digits and hyphens"));
    }
}

/// Whether the `tracestate` of these headers can go on: each member is `key=value`, and there are not too many. What cannot is left out
/// as a whole (section 4.3).
pub fn has_good_tracestate(headers: &HeaderMap) -> bool {
    let members = headers.get_all(TRACESTATE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut count = 0;
    for member in members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
        count += 1;
        if count > MEMBERS || !is_member(member) {
            return false;
        }
    }
    true
}

fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let in_key = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(byte);
    let in_value = |byte: &u8| matches!(byte, 0x20..=0x7e) && !b",=".contains(byte);
    (1..=256).contains(&key.len())
        && key.iter().all(in_key)
        && (1..=256).contains(&value.len())
        && value.iter().all(in_value)
}

/// Bytes of hexadecimal digits in lower case, which are the only ones that the standard knows.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn write_hex(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn received(values: &[&str]) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).expect("a value"));
        }
        TraceContext::received(&headers, [7; 8])
    }

    fn traceparent(trace: &TraceContext) -> String {
        let mut text = String::new();
        trace.write_traceparent(&mut text);
        text
    }

    #[test]
    fn w3c_trace_context_3_2_a_parent_is_read_and_ours_is_written() {
        let trace = received(&[&format!("00-{TRACE}-{PARENT}-01")]).expect("a trace");
        assert_eq!((trace.trace_id[0], trace.trace_id[15]), (0x4b, 0x36));
        assert_eq!(trace.parent_id, Some([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        assert!(trace.sampled);
        assert_eq!(traceparent(&trace), format!("00-{TRACE}-0707070707070707-01"));
        let unsampled = received(&[&format!("00-{TRACE}-{PARENT}-fe")]).expect("a trace");
        assert_eq!(traceparent(&unsampled), format!("00-{TRACE}-0707070707070707-00"));
    }

    #[test]
    fn w3c_trace_context_4_3_later_versions_are_read_as_far_as_they_are_known() {
        for good in [format!("cc-{TRACE}-{PARENT}-01"), format!("cc-{TRACE}-{PARENT}-01-what-else")] {
            assert!(received(&[&good]).is_some_and(|trace| trace.sampled), "{good}");
        }
        let zeros = "0".repeat(32);
        for bad in [
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01-what-else"),
            format!("00-{TRACE}-{PARENT}-01."),
            format!("cc-{TRACE}-{PARENT}-01.what"),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}"),
            format!("00_{TRACE}-{PARENT}-01"),
            format!(".0-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}{PARENT}--01"),
            String::new(),
        ] {
            assert_eq!(received(&[&bad]), None, "{bad}");
        }
        let good = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(received(&[&good, &good]), None, "two of them");
        assert_eq!(received(&[]), None);
    }

    #[test]
    fn w3c_trace_context_3_3_state_goes_on_or_not_at_all() {
        let many = vec!["a=1"; 33].join(",");
        for (values, good) in [
            (&["congo=t61rcWkgMzE, rojo=00f067aa0ba902b7"][..], true),
            (&["a=1", "fw529a3039@dt=FfHz"], true),
            (&["a=1,,b=2,"], true),
            (&[], true),
            (&["a"], false),
            (&["=1"], false),
            (&["A=1"], false),
            (&["a=b=c"], false),
            (&["a=1", "b"], false),
            (&[many.as_str()], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRACESTATE, HeaderValue::from_str(value).expect("a value"));
            }
            assert_eq!(has_good_tracestate(&headers), good, "{values:?}");
        }
    }
}
