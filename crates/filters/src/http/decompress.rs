//! `decompress`: decodes the request's body where it came compressed, so that filters and upstreams read it plain.
//!
//! What comes out is bounded as any body that filters read is: a small request that would become a large one is refused (413). A coding that is not among
//! `codings`, and one upon another, are refused too (415, with `Accept-Encoding`). Without this filter a compressed body goes to the upstream as it came.
//!
//! ```toml
//! [[filter]]
//! use   = "decompress"
//! limit = "4MiB"
//! ```

use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::{HeaderEdit, remove_alike};
use policy::outcome::{BAD_REQUEST, BODY_TOO_LARGE};
use policy::settings::{ByteSize, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use super::codings::Coding;

/// The body came in a coding that is not served.
const UNSUPPORTED_CODING: ReasonCode = ReasonCode::new("unsupported-coding");

/// What is said of the bytes that came.
static OF_THE_BYTES: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// `use = "decompress"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The codings that are taken. Default: `zstd`, `br`, `gzip`.
    codings: Option<Spanned<Vec<Coding>>>,
    /// The size of the decoded body, at most. Default: the limit of bodies that filters read (`limits.body`, 1MiB).
    limit: Option<ByteSize>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "decompress";
    type Filter = Decompress;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Decompress, Diagnostics> {
        let codings = self.codings.as_ref().map_or(Coding::ALL.to_vec(), |codings| codings.value.clone());
        if let (true, Some(written)) = (codings.is_empty(), &self.codings) {
            return Err(cx.error(written.span, "nothing is decompressed", "name a coding: \"gzip\"").into());
        }
        cx.reads_request_body();
        cx.fails(&[UNSUPPORTED_CODING]);
        cx.fails_rarely(&[BODY_TOO_LARGE, BAD_REQUEST]);
        let names: Vec<&str> = codings.iter().map(|coding| coding.name()).collect();
        let accept = HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""));
        Ok(Decompress { codings, accept, limit: self.limit.map(|limit| limit.0) })
    }
}

/// The compiled filter.
pub(crate) struct Decompress {
    codings: Vec<Coding>,
    accept: HeaderValue,
    limit: Option<u64>,
}

impl Filter for Decompress {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let mut codings = exchange.request.headers.get_all(header::CONTENT_ENCODING).iter();
        let (coding, more) = (codings.next(), codings.next());
        let Some(coding) = coding else { return Ok(Outcome::Success) };
        let name = coding.to_str().unwrap_or_default().trim();
        let known = Coding::named(name).filter(|coding| more.is_none() && self.codings.contains(coding));
        let Some(coding) = known else {
            if name.eq_ignore_ascii_case("identity") && more.is_none() {
                return Ok(Outcome::Success);
            }
            exchange.edit_response_header(HeaderEdit::Set(header::ACCEPT_ENCODING, self.accept.clone()));
            let reason = Reason::new(UNSUPPORTED_CODING, "the body has a content coding that is not served");
            return Ok(Outcome::Failure(reason.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)));
        };
        let limit = self.limit.unwrap_or(exchange.body_limit() as u64);
        let body = exchange.request.body_bytes().cloned().unwrap_or_default();
        let decoded = match coding.decoded(&body, limit) {
            Ok(Some(decoded)) => decoded,
            Ok(None) => {
                let reason = Reason::new(BODY_TOO_LARGE, format!("the decoded body is larger than {limit} bytes"));
                return Ok(Outcome::Failure(reason.with_status(StatusCode::PAYLOAD_TOO_LARGE)));
            }
            Err(error) => {
                let message = format!("the body is no {}: {error}", coding.name());
                return Ok(Outcome::Failure(Reason::bad_request(message)));
            }
        };
        exchange.request.set_body(decoded);
        remove_alike(&mut exchange.request.headers, &OF_THE_BYTES);
        Ok(Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use policy::exchange::RequestBody;
    use policy::testing::{Fixture, Ran};

    use super::super::codings::{Effort, Encoder};
    use super::*;
    use crate::fixture::{policy, request, told};

    fn tested(settings: &str) -> Fixture {
        policy(&format!(
            "[[filter]]\nuse = 'decompress'\n{settings}\n\n[[filter]]\nuse = 'respond'\ntext = '${{request.json:$.a}}${{request.header.content-encoding ?? }}'"
        ))
    }

    fn coded(coding: Coding, text: &str) -> bytes::Bytes {
        let mut encoder = Encoder::new(coding, Effort::Best).expect("a coder");
        encoder.write(text.as_bytes()).expect("coded");
        encoder.finish().expect("the end")
    }

    fn post(tested: &Fixture, codings: &[&str], body: bytes::Bytes) -> Ran {
        let headers: Vec<_> = codings.iter().map(|coding| ("content-encoding", *coding)).collect();
        let mut post = request(Method::POST, "/x", &headers, "");
        post.body = RequestBody::Stream(body.into());
        tested.run(post)
    }

    #[test]
    fn the_filters_after_it_read_the_plain_body() {
        for (coding, name) in
            [(Coding::Gzip, "gzip"), (Coding::Gzip, "X-GZip"), (Coding::Brotli, "br"), (Coding::Zstd, "zstd")]
        {
            assert_eq!(post(&tested(""), &[name], coded(coding, r#"{"a":7}"#)).text(), "7", "{name}");
        }
        let plain = bytes::Bytes::from(r#"{"a":7}"#);
        assert_eq!(post(&tested(""), &[], plain.clone()).text(), "7");
        assert_eq!(post(&tested(""), &["identity"], plain).text(), "7identity");
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = format!(r#"{{"a":"{}"}}"#, "0".repeat(10_000_000));
        for coding in Coding::ALL {
            let ran = post(&tested(""), &[coding.name()], coded(coding, &bomb));
            assert_eq!(told(&ran), "413 body-too-large", "{coding:?}");
        }
        let small = coded(Coding::Gzip, r#"{"a":"01234567890"}"#);
        assert_eq!(told(&post(&tested("limit = 10"), &["gzip"], small)), "413 body-too-large");
    }

    #[test]
    fn what_is_not_served_is_told_with_what_is() {
        let body = coded(Coding::Gzip, r#"{"a":7}"#);
        for codings in [&["compress"][..], &["gzip, gzip"], &["gzip", "gzip"], &["br"]] {
            let ran = post(&tested("codings = ['gzip', 'zstd']"), codings, body.clone());
            assert_eq!(
                (told(&ran).as_str(), ran.header("accept-encoding")),
                ("415 unsupported-coding", "gzip, zstd"),
                "{codings:?}"
            );
        }
        for broken in [bytes::Bytes::from("not gzip"), body.slice(..body.len() - 6)] {
            assert_eq!(told(&post(&tested(""), &["gzip"], broken)), "400 bad-request");
        }
        let problems = tested("codings = []").problems();
        assert!(problems.len() == 1 && problems[0].contains("nothing is decompressed"), "{problems:#?}");
    }
}
