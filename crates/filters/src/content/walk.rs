//! A walk through JSON that keeps count and keeps nothing else: no tree is built.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What there may be of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) depth: u32,
    pub(super) keys: u32,
    pub(super) key_length: u64,
    pub(super) items: u32,
    pub(super) text_length: u64,
    pub(super) number_length: u32,
    pub(super) values: u32,
    pub(super) duplicate_keys: bool,
}

/// What there is too much of, and where; nothing of what the sender wrote.
#[derive(Debug)]
pub(super) enum Excess {
    /// It is no JSON at all.
    NoJson(String),
    Depth(u32, usize),
    Number(u32, usize),
    /// The others are found by the parser, which knows where it stands once it has given up.
    Found(String, usize),
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Excess::NoJson(why) => f.write_str(why),
            Excess::Depth(limit, at) => write!(f, "the JSON is nested deeper than {limit}, at byte {at}"),
            Excess::Number(limit, at) => write!(f, "a number has more than {limit} characters, at byte {at}"),
            Excess::Found(what, at) => write!(f, "{what}, at byte {at}"),
        }
    }
}

/// Walks it twice: over its bytes, for what a parser would stumble over or not tell (how deep it goes, how long its numbers are), and with the
/// parser, which knows what a name is when it is written with escapes.
pub(super) fn check(json: &[u8], limits: &Limits) -> Result<(), Excess> {
    bytes(json, limits)?;
    let mut walk = Walk { limits, values: 0, excess: None };
    let mut parser = serde_json::Deserializer::from_slice(json);
    let walked = walk.value().deserialize(&mut parser).and_then(|()| parser.end());
    match (walked, walk.excess) {
        (Err(error), Some(what)) => Err(Excess::Found(what, offset(json, error.line(), error.column()))),
        (Err(error), None) => Err(Excess::NoJson(error.to_string())),
        (Ok(()), _) => Ok(()),
    }
}

/// Brackets and numbers outside of text. Whether the rest is JSON, the parser says.
fn bytes(json: &[u8], limits: &Limits) -> Result<(), Excess> {
    let (mut depth, mut number, mut quoted, mut escaped) = (0u32, 0u32, false, false);
    for (at, byte) in json.iter().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        number = if matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') { number + 1 } else { 0 };
        if number > limits.number_length {
            return Err(Excess::Number(limits.number_length, at));
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > limits.depth {
                    return Err(Excess::Depth(limits.depth, at));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Where line and column lie, both counted from one.
fn offset(json: &[u8], line: usize, column: usize) -> usize {
    let begins =
        json.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum::<usize>();
    begins + column.saturating_sub(1)
}

struct Walk<'l> {
    limits: &'l Limits,
    values: u32,
    excess: Option<String>,
}

/// One value, wherever it stands.
struct Step<'w, 'l>(&'w mut Walk<'l>);

/// The name of a member.
struct Name<'w, 'l> {
    walk: &'w mut Walk<'l>,
    seen: &'w mut HashSet<Box<str>>,
}

impl<'l> Walk<'l> {
    fn value(&mut self) -> Step<'_, 'l> {
        Step(self)
    }

    /// Gives up, and says why.
    fn stop<E: Error>(&mut self, what: String) -> E {
        self.excess = Some(what);
        // The parser adds where.
        E::custom("limit")
    }
}

impl<'de> DeserializeSeed<'de> for Step<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.values += 1;
        if self.0.values > self.0.limits.values {
            return Err(self.0.stop(format!("there are more than {} values", self.0.limits.values)));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let most = self.0.limits.text_length;
        if text.len() as u64 <= most { Ok(()) } else { Err(self.0.stop(format!("text is longer than {most} bytes"))) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let (mut count, most) = (0, self.0.limits.items);
        while items.next_element_seed(self.0.value())?.is_some() {
            count += 1;
            if count > most {
                return Err(self.0.stop(format!("an array has more than {most} items")));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let (mut count, most) = (0, self.0.limits.keys);
        let mut seen = HashSet::new();
        while members.next_key_seed(Name { walk: self.0, seen: &mut seen })?.is_some() {
            count += 1;
            if count > most {
                return Err(self.0.stop(format!("an object has more than {most} members")));
            }
            members.next_value_seed(self.0.value())?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        let most = self.walk.limits.key_length;
        if name.len() as u64 > most {
            return Err(self.walk.stop(format!("a name is longer than {most} bytes")));
        }
        if !self.walk.limits.duplicate_keys && !self.seen.insert(name.into()) {
            return Err(self.walk.stop(String::from("a name stands twice in an object")));
        }
        Ok(())
    }
}
