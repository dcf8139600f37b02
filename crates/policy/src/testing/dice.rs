//! Random inputs for tests of parsers: the same for the same seed.

/// A source of choices.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        // Xorshift: enough for tests, and no dependency.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Words in any order, at most so many.
    pub(crate) fn words(&mut self, from: &[&str], most: usize) -> String {
        (0..self.below(most) + 1).map(|_| *self.pick(from)).collect()
    }

    /// The text with a few characters taken out, doubled or replaced.
    pub(crate) fn damaged(&mut self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..self.below(4) + 1 {
            if chars.is_empty() {
                break;
            }
            let at = self.below(chars.len());
            match self.below(3) {
                0 => drop(chars.remove(at)),
                1 => chars.insert(at, chars[at]),
                _ => {
                    chars[at] = *self.pick(&[
                        '"', '\'', '$', '{', '}', '[', ']', '.', '?', ':', '=', '\\', '\n', 'ü', '0', ' ', '\u{0}',
                        '😀',
                    ])
                }
            }
        }
        chars.into_iter().collect()
    }
}
