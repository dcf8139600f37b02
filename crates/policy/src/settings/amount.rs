//! Amounts: durations, sizes, rates.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A duration written `"500ms"`, `"1s"`, `"12h"`, `"1h30m"`, `"30d"`; more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub StdDuration);

/// A size written `"64KiB"`, `"1MiB"`, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A rate written `"100/1s"`: so many within that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// Within what time.
    pub per: StdDuration,
}

/// Beyond this a duration is a mistake; below it, sums with the clock cannot overflow.
const LONGEST: StdDuration = StdDuration::from_secs(100 * 366 * 86_400);

impl Duration {
    /// What a duration looks like, for messages.
    pub const EXPECTED: &'static str = r#"a duration such as "500ms", "30s", "1h30m" or "7d""#;

    /// Reads `1h30m`; `None` where it is no duration, zero, or more than a hundred years.
    pub fn parse(text: &str) -> Option<Duration> {
        let mut rest = text;
        let mut total = StdDuration::ZERO;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let (number, after) = digits(rest)?;
            let unit_len = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
            let millis = match &after[..unit_len] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return None,
            };
            // From the largest unit to the smallest, each once: "1m1h" is a slip.
            if millis >= last_unit {
                return None;
            }
            last_unit = millis;
            total = total.checked_add(StdDuration::from_millis(number.checked_mul(millis)?))?;
            rest = &after[unit_len..];
        }
        (total > StdDuration::ZERO && total <= LONGEST).then_some(Duration(total))
    }
}

impl ByteSize {
    /// What a size looks like, for messages.
    pub const EXPECTED: &'static str = r#"a size such as "64KiB" or "1MiB", or a number of bytes"#;

    /// Reads `64KiB`, `10MB`, `512`; `None` where it is no size.
    pub fn parse(text: &str) -> Option<ByteSize> {
        let (number, unit) = digits(text)?;
        let factor: u64 = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return None,
        };
        number.checked_mul(factor).map(ByteSize)
    }
}

impl Rate {
    /// What a rate looks like, for messages.
    pub const EXPECTED: &'static str = r#"a rate such as "100/1s" or "1000/1h""#;

    /// Reads `100/1s`; `None` where it is no rate, or its count is zero.
    pub fn parse(text: &str) -> Option<Rate> {
        let (count, per) = text.split_once('/')?;
        let (count, rest) = digits(count)?;
        let count = u32::try_from(count).ok().filter(|c| *c > 0)?;
        let Duration(per) = Duration::parse(per)?;
        rest.is_empty().then_some(Rate { count, per })
    }
}

/// The number at the start, and the rest.
fn digits(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// As it is written: `1h30m`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        for (millis, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

/// As it is written: `64KiB`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (factor, unit) in [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        self.0.fmt(f)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, Duration(self.per))
    }
}

macro_rules! parsed {
    ($name:ident, $numbers:expr, $schema:tt) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Parsed;
                impl Visitor<'_> for Parsed {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($name::EXPECTED)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
                    }
                    fn visit_i64<E: Error>(self, number: i64) -> Result<$name, E> {
                        let from_number: Option<fn(u64) -> $name> = $numbers;
                        match (from_number, u64::try_from(number)) {
                            (Some(make), Ok(number)) => Ok(make(number)),
                            (Some(_), Err(_)) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                            (None, _) => Err(E::invalid_type(Unexpected::Signed(number), &self)),
                        }
                    }
                    fn visit_u64<E: Error>(self, number: u64) -> Result<$name, E> {
                        match i64::try_from(number) {
                            Ok(number) => self.visit_i64(number),
                            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                        }
                    }
                }
                deserializer.deserialize_any(Parsed)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

parsed!(Duration, None, {
    "description": "A duration: whole numbers with the units `d`, `h`, `m`, `s`, `ms`, from the largest to the smallest (`\"1h30m\"`); more than zero.",
    "type": "string",
    "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
    "examples": ["500ms", "30s", "1h30m", "7d"],
});
parsed!(ByteSize, Some(ByteSize), {
    "description": "A size: a number of bytes, or text with the unit `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`.",
    "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|kB|KB|MB|GB)?$" },
    ],
    "examples": ["64KiB", "1MiB", 512],
});
parsed!(Rate, None, {
    "description": "A rate: so many within that time (`\"100/1s\"`).",
    "type": "string",
    "pattern": "^[0-9]+/([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
    "examples": ["100/1s", "1000/1h"],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let millis = |text: &str| Duration::parse(text).map(|d| d.0.as_millis());
        for (text, expected) in [
            ("500ms", Some(500)),
            ("1s", Some(1_000)),
            ("12h", Some(43_200_000)),
            ("30d", Some(2_592_000_000)),
            ("1h30m", Some(5_400_000)),
            ("1m500ms", Some(60_500)),
            ("", None),
            ("0s", None),
            ("10", None),
            ("1.5s", None),
            ("-1s", None),
            ("1 s", None),
            ("1S", None),
            ("1w", None),
            ("1m1h", None),
            ("1s1s", None),
            ("s", None),
            ("40000d", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("1ü", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["500ms", "30s", "1h30m", "7d", "1d2h3m4s5ms"] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("64KiB", Some(65_536)),
            ("1MiB", Some(1 << 20)),
            ("10MB", Some(10_000_000)),
            ("512", Some(512)),
            ("0", Some(0)),
            ("1kib", None),
            ("1 MiB", None),
            ("-1", None),
            ("", None),
            ("18446744073709551615GiB", None),
        ] {
            assert_eq!(ByteSize::parse(text).map(|s| s.0), expected, "{text}");
        }
        assert_eq!(ByteSize(65_536).to_string(), "64KiB");
        assert_eq!(ByteSize(1_000).to_string(), "1000");
        assert_eq!(serde_json::from_str::<ByteSize>("77").unwrap(), ByteSize(77));
        assert!(serde_json::from_str::<ByteSize>("-77").is_err());
        assert!(serde_json::from_str::<Duration>("77").is_err());
    }

    #[test]
    fn rates() {
        for (text, expected) in [
            ("100/1s", Some((100, 1_000))),
            ("5/2m", Some((5, 120_000))),
            ("0/1s", None),
            ("100/s", None),
            ("100", None),
            ("100x/1s", None),
            ("4294967296/1s", None),
            ("1/0s", None),
        ] {
            let rate = Rate::parse(text).map(|r| (r.count, r.per.as_millis()));
            assert_eq!(rate, expected, "{text}");
        }
        assert_eq!(Rate::parse("100/1s").unwrap().to_string(), "100/1s");
    }
}
