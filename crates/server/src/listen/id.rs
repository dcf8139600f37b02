//! Request identifiers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// The next one: 32 hexadecimal digits.
    pub(crate) fn next(&self) -> Arc<str> {
        let count = scatter(self.count.fetch_add(1, Ordering::Relaxed));
        let mut text = [0; 32];
        write_hex(self.process, &mut text[..16]);
        write_hex(count, &mut text[16..]);
        Arc::from(std::str::from_utf8(&text).unwrap_or_default())
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
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let ids = RequestIds::new(&crate::clock::SystemRandom);
        let made: std::collections::HashSet<_> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
