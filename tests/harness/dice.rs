//! Random input that is the same at every run.

use serde_json::{Value, json};

/// A generator that gives the same with the same seed (xorshift, Marsaglia 2003).
pub struct Dice(u64);

impl Dice {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % sides as u64) as usize
    }

    /// Whether one of `sides` came up.
    pub fn once_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.roll(256) as u8
    }

    /// A JSON value of any type; some look like what belongs into the registration of a client.
    pub fn json(&mut self, depth: usize) -> Value {
        const WORDS: [&str; 10] =
            ["", "\0", "code", "none", "authorization_code", "client_credentials", "native", "web", "a", "a b"];
        const URIS: [&str; 7] = [
            "https://a.example/cb",
            "http://a.example/",
            "javascript:alert(1)",
            "http://127.0.0.1/",
            "a:b",
            "//x",
            "\u{202e}",
        ];
        match self.roll(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => json!(self.once_in(2)),
            2 => json!(self.0 as i64),
            3 => json!(self.0 as f64 / 7.0),
            4 => json!(self.pick(&WORDS)),
            5 => json!(self.pick(&URIS)),
            6 => json!("x".repeat(self.roll(3_000))),
            7 => json!([self.pick(&["https://a.example/cb", "authorization_code", "client_credentials", "code", "x"])]),
            8 => (0..self.roll(4)).map(|_| self.json(depth - 1)).collect(),
            _ => {
                let mut object = serde_json::Map::new();
                for _ in 0..self.roll(4) {
                    object.insert((*self.pick(&["keys", "kty", "d", "x", ""])).to_owned(), self.json(depth - 1));
                }
                Value::Object(object)
            }
        }
    }
}
