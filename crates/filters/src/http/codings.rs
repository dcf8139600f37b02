//! Content codings (RFC 9110, section 8.4.1): what clients accept, and the coders, bounded in memory.

use std::io::{self, Read, Write};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

use super::lists;

/// 512 KiB back: what one answer costs in memory is bounded by it, and answers are seldom longer.
const WINDOW: u32 = 19;

/// RFC 8878, section 3.1.1.1.2: decoders need not have more than 8 MiB.
const LARGEST_WINDOW: u32 = 23;

/// Between the coders and their output.
const BUFFER: usize = 8 * 1024;

/// A coding.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
pub(super) enum Coding {
    /// Zstandard (RFC 8878).
    #[serde(rename = "zstd")]
    Zstd,
    /// Brotli (RFC 7932).
    #[serde(rename = "br")]
    Brotli,
    /// gzip (RFC 1952).
    #[serde(rename = "gzip")]
    Gzip,
}

/// How much work is done for how few bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Effort {
    /// Least work.
    Fast,
    /// For answers that are compressed each time anew.
    #[default]
    Balanced,
    /// Fewest bytes, short of what takes seconds.
    Best,
}

impl Coding {
    /// All of them, the one that is to be preferred first: it takes least work for a size.
    pub(super) const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// The coding of this name; `x-gzip` is another one for gzip (section 8.4.1.3).
    pub(super) fn named(name: &str) -> Option<Coding> {
        let gzip = name.eq_ignore_ascii_case("x-gzip").then_some(Coding::Gzip);
        Coding::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name())).or(gzip)
    }

    /// The bytes decoded, at most `limit` of them; `None` where there are more.
    pub(super) fn decoded(self, bytes: &[u8], limit: u64) -> io::Result<Option<Bytes>> {
        let mut out = Vec::new();
        let more = limit.saturating_add(1);
        match self {
            Coding::Gzip => flate2::read::MultiGzDecoder::new(bytes).take(more).read_to_end(&mut out)?,
            Coding::Brotli => brotli::Decompressor::new(bytes, BUFFER).take(more).read_to_end(&mut out)?,
            Coding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(bytes)?;
                decoder.window_log_max(LARGEST_WINDOW)?;
                decoder.take(more).read_to_end(&mut out)?
            }
        };
        Ok((out.len() as u64 <= limit).then(|| out.into()))
    }
}

/// What a client prefers of these, which are in the order of ours (section 12.5.3); `None` where it is to be sent as it is.
pub(super) fn accepted(headers: &HeaderMap, ours: &[Coding]) -> Option<Coding> {
    let members: Vec<(&str, u16)> =
        lists::members(headers, &ACCEPT_ENCODING).ok()?.into_iter().filter_map(weighted).collect();
    let weight =
        |name: &str| members.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, weight)| *weight);
    let rest = weight("*");
    let of = |coding: Coding| {
        let own = weight(coding.name()).or_else(|| weight("x-gzip").filter(|_| coding == Coding::Gzip));
        own.or(rest).unwrap_or(0)
    };
    // Without a word about it, the plain form is good, and no better than any other.
    let plain = weight("identity").unwrap_or(0);
    let mut best: Option<Coding> = None;
    for coding in ours {
        if of(*coding) > best.map_or(0, of) {
            best = Some(*coding);
        }
    }
    best.filter(|coding| of(*coding) >= plain)
}

/// A member of a list and its weight in thousandths; a weight that is none counts as nothing.
fn weighted(member: &str) -> Option<(&str, u16)> {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight = match q {
        None => 1_000.0,
        Some(q) => q.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0) * 1_000.0,
    };
    Some((name, weight as u16))
}

/// Codes what is written, piece by piece.
pub(super) enum Encoder {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub(super) fn new(coding: Coding, effort: Effort) -> io::Result<Encoder> {
        let level = |fast: u32, balanced: u32, best: u32| match effort {
            Effort::Fast => fast,
            Effort::Balanced => balanced,
            Effort::Best => best,
        };
        Ok(match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(level(1, 5, 9));
                Encoder::Gzip(flate2::write::GzEncoder::new(Vec::new(), level))
            }
            Coding::Brotli => {
                let writer = brotli::CompressorWriter::new(Vec::new(), BUFFER, level(1, 4, 9), WINDOW);
                Encoder::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                // A level is a small number.
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level(1, 3, 9) as i32)?;
                encoder.window_log(WINDOW)?;
                Encoder::Zstd(encoder)
            }
        })
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gzip(writer) => writer.write_all(data),
            Encoder::Brotli(writer) => writer.write_all(data),
            Encoder::Zstd(writer) => writer.write_all(data),
        }
    }

    /// Everything that was written comes out: a client can decode it without what follows.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Gzip(writer) => writer.flush(),
            Encoder::Brotli(writer) => writer.flush(),
            Encoder::Zstd(writer) => writer.flush(),
        }
    }

    /// How much has come out and was not taken.
    pub(super) fn ready(&self) -> usize {
        match self {
            Encoder::Gzip(writer) => writer.get_ref().len(),
            Encoder::Brotli(writer) => writer.get_ref().len(),
            Encoder::Zstd(writer) => writer.get_ref().len(),
        }
    }

    /// What has come out so far.
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(match self {
            Encoder::Gzip(writer) => writer.get_mut(),
            Encoder::Brotli(writer) => writer.get_mut(),
            Encoder::Zstd(writer) => writer.get_mut(),
        })
        .into()
    }

    /// The end of it.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Encoder::Gzip(writer) => writer.finish()?,
            Encoder::Brotli(writer) => writer.into_inner(),
            Encoder::Zstd(writer) => writer.finish()?,
        }
        .into())
    }
}

/// As `Content-Encoding` has it.
impl From<Coding> for HeaderValue {
    fn from(coding: Coding) -> Self {
        HeaderValue::from_static(coding.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_prefer() {
        use Coding::{Brotli, Gzip, Zstd};
        for (accept, expected) in [
            (&[][..], None),
            (&[""], None),
            (&["gzip, deflate, br, zstd"], Some(Zstd)),
            (&["gzip, deflate, br"], Some(Brotli)),
            (&["GZip"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["gzip;q=0"], None),
            (&["gzip;q=0, *"], Some(Zstd)),
            (&["*;q=0"], None),
            (&["br;q=0.5, gzip;q=0.8"], Some(Gzip)),
            (&["br; q=0.5", "gzip ; q=1.0"], Some(Gzip)),
            (&["identity;q=1, gzip;q=0.5"], None),
            (&["identity;q=0.5, gzip;q=0.5"], Some(Gzip)),
            (&["identity"], None),
            (&["deflate, compress"], None),
            (&["gzip;q=x"], None),
            (&["gzip;q=2"], None),
            (&["gzip;q=0.001"], Some(Gzip)),
            (&["gzip", "br;q=\""], None),
        ] {
            let headers: HeaderMap =
                accept.iter().map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value))).collect();
            assert_eq!(accepted(&headers, &Coding::ALL), expected, "{accept:?}");
        }
    }

    #[test]
    fn what_is_coded_is_decoded_within_the_limit() {
        let text = "a line that comes again and again\n".repeat(3_000);
        for coding in Coding::ALL {
            for effort in [Effort::Fast, Effort::Balanced, Effort::Best] {
                let mut encoder = Encoder::new(coding, effort).expect("a coder");
                encoder.write(&text.as_bytes()[..1_000]).expect("coded");
                encoder.flush().expect("flushed");
                let first = encoder.take();
                assert!(!first.is_empty(), "{coding:?}");
                encoder.write(&text.as_bytes()[1_000..]).expect("coded");
                let coded = [first, encoder.finish().expect("the end")].concat();
                assert!(coded.len() < 2_000, "{coding:?}: {}", coded.len());
                let limit = text.len() as u64;
                assert_eq!(coding.decoded(&coded, limit).unwrap().as_deref(), Some(text.as_bytes()), "{coding:?}");
                assert_eq!(coding.decoded(&coded, limit - 1).unwrap(), None, "{coding:?}");
                assert!(coding.decoded(&coded[..coded.len() / 2], limit).is_err(), "{coding:?}: cut off");
                assert!(coding.decoded(b"no such coding at all", limit).is_err(), "{coding:?}");
            }
        }
    }
}
