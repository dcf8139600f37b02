//! Requests that come round: an upstream that leads back to the gateway, itself or by way of others. `Via` tells them (RFC 9110, section
//! 7.6.3), in which `proxy` writes each passage.

use http::{HeaderMap, header};

/// By what name every Portcullis is in `Via`: nodes are not told apart, so what has passed several of them is not in a loop yet.
const PSEUDONYM: &str = "portcullis";

/// How often a request may have passed already. No chain that somebody means is as long; a loop costs no more than this.
const MOST_PASSAGES: usize = 8;

/// Whether the request has passed here and elsewhere too often to end otherwise. A client that lies about it harms itself alone.
pub(super) fn is_in_one(headers: &HeaderMap) -> bool {
    let passages = headers.get_all(header::VIA).iter().filter_map(|value| value.to_str().ok()).flat_map(passed_here);
    passages.take(MOST_PASSAGES).count() == MOST_PASSAGES
}

/// The members of the list that name a Portcullis: `1.1 portcullis`.
fn passed_here(value: &str) -> impl Iterator<Item = &str> {
    let by = |member: &str| member.split_ascii_whitespace().nth(1).is_some_and(|by| by.eq_ignore_ascii_case(PSEUDONYM));
    value.split(',').filter(move |member| by(member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_may_be_long_and_a_loop_not() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::VIA, value.parse().unwrap());
            }
            is_in_one(&headers)
        };
        let (seven, eight) = (["1.1 portcullis"; 7], ["1.1 portcullis"; 8]);
        assert!(!with(&[]) && !with(&seven) && with(&eight));
        assert!(!with(&[&seven.join(", ")]) && with(&[&eight.join(", ")]));
        assert!(with(&[&seven.join(","), "2  Portcullis (a comment)"]), "however it is written");
        let others = ["1.1 edge", "1.1 portcullis.example", "portcullis", "1.1 varnish (portcullis)", ""].repeat(8);
        assert!(!with(&others), "others are not counted");
    }
}
