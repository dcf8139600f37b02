//! Request identifiers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use policy::exchange::TraceContext;
use policy::ports::Random;

/// Makes identifiers that no two requests of any node share: 64 random bits of the process, and a count that is scattered so
/// that neighbours do not look alike in a log. They are names, not secrets.
pub(crate) struct RequestIds {
    process: u64,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        let [process, start] = [0, 8].map(|at| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i])));
        RequestIds { process, count: AtomicU64::new(start) }
    }

    /// The next one.
    pub(crate) fn next(&self) -> RequestId {
        let count = scatter(self.count.fetch_add(1, Ordering::Relaxed));
        RequestId { process: self.process, count }
    }
}

/// An identifier, and what else is made of its number.
#[derive(Clone, Copy)]
pub(crate) struct RequestId {
    process: u64,
    count: u64,
}

impl RequestId {
    /// 32 hexadecimal digits.
    pub(super) fn text(self) -> Arc<str> {
        let mut text = [0; 32];
        write_hex(self.process, &mut text[..16]);
        write_hex(self.count, &mut text[16..]);
        Arc::from(std::str::from_utf8(&text).unwrap_or_default())
    }

    /// The gateway's span for the request: as little like another one as the identifier is, and not zero.
    pub(super) fn span(self) -> [u8; 8] {
        scatter(self.count ^ self.process.rotate_left(32)).max(1).to_be_bytes()
    }

    /// A trace that begins with the request. Its number is the identifier's, so that one of them finds the other.
    pub(super) fn trace(self) -> TraceContext {
        let number = (u128::from(self.process) << 64 | u128::from(self.count)).max(1);
        TraceContext { trace_id: number.to_be_bytes(), span_id: self.span(), parent_id: None, sampled: true }
    }
}

fn write_hex(number: u64, out: &mut [u8]) {
    for (byte, pair) in number.to_be_bytes().into_iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
}

/// SplitMix64's finish: every number goes to another one, so none comes twice.
fn scatter(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_alike() {
        let ids = RequestIds::new(&crate::clock::SystemRandom);
        let made: Vec<_> = (0..10_000).map(|_| ids.next()).collect();
        let texts: HashSet<_> = made.iter().map(|id| id.text()).collect();
        let spans: HashSet<_> = made.iter().map(|id| id.span()).collect();
        assert_eq!((texts.len(), spans.len()), (10_000, 10_000));
        assert!(texts.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn a_trace_has_the_number_of_the_request_that_it_begins_with() {
        let id = RequestIds::new(&crate::clock::SystemRandom).next();
        let mut traceparent = String::new();
        id.trace().write_traceparent(&mut traceparent);
        assert_eq!(traceparent.get(3..35), Some(&*id.text()));
        assert_eq!(RequestId { process: 0, count: 0 }.trace().trace_id[15], 1, "never zero");
    }
}
