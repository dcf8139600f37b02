//! Paths for upstreams that policies write, with values in them.

use std::fmt::Write as _;

use policy::Reason;

use super::way;

/// A path, percent-encoded. A value in it may hold anything that a client sent: no segment of it may
/// lead upwards.
pub(crate) fn encode(path: &str) -> Result<String, Reason> {
    if !path.starts_with('/') {
        return Err(Reason::bad_request("the path for the upstream does not begin with `/`"));
    }
    if way::leads_upwards(path) {
        return Err(Reason::bad_request("the path for the upstream has a segment `.` or `..`"));
    }
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        // RFC 3986, section 3.3: what a path may hold without encoding, and `/` between its segments.
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use policy::outcome::BAD_REQUEST;

    use super::*;

    #[test]
    fn a_path_is_encoded_and_cannot_lead_upwards() {
        for (path, encoded) in [
            ("/v2/orders/7", "/v2/orders/7"),
            ("/a b/ä?c#d%2F", "/a%20b/%C3%A4%3Fc%23d%252F"),
            ("/a:b@c;d=1/~x", "/a:b@c;d=1/~x"),
            ("/...", "/..."),
            ("/a\r\nb", "/a%0D%0Ab"),
        ] {
            assert_eq!(encode(path).as_deref().ok(), Some(encoded), "{path}");
        }
        for path in ["", "a", "//a/../b", "/..", "/a/.", "/a/..;x/b", "/a\\..\\b"] {
            let refused = encode(path);
            assert_eq!(refused.map_err(|r| (r.code, r.status)), Err((BAD_REQUEST, StatusCode::BAD_REQUEST)), "{path}");
        }
    }
}
