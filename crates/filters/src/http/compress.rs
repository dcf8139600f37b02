//! `compress`: compresses the answer by what the client accepts (RFC 9110, section 12.5.3). Stands in `[[response]]`.
//!
//! What streams is compressed as it comes, and given out whenever the sender pauses, so that events (SSE) arrive when they are sent. Left as they are: answers
//! that are compressed already, parts (206), those that say `no-transform`, gRPC, other types than those of `types`, and short ones. An answer
//! that is compressed has `Vary: Accept-Encoding`, no length beforehand, and its `ETag` is weak: the bytes are others, the meaning is the same. Where
//! clients send `If-Match` with such a tag, it no longer fits.
//!
//! Where an answer holds a secret and repeats what somebody else can choose, its length tells of the secret (the BREACH attack): leave `compress` out there, or
//! except it with `when`. Tokens that a page holds to protect its forms are such secrets; access tokens in an `Authorization` header are not, since no answer holds them.
//!
//! ```toml
//! [[response]]
//! use      = "compress"
//! types    = ["application/json", "text/*"]
//! min_size = "2KiB"
//! ```

use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::{BoxError, HeaderEdit};
use policy::settings::{ByteSize, Spanned};
use policy::{Abort, Body, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Response};

use super::cache_control::Directives;
use super::codings::{Coding, Effort, Encoder, accepted};

/// Shorter answers fit into one packet anyway.
const MIN_SIZE: u64 = 1024;

/// A body in memory up to this size is compressed at once: then its length is known, and it is seen whether it pays.
const AT_ONCE: usize = 64 * 1024;

/// What comes out goes out in pieces no smaller than this, unless the sender pauses.
const WORTH_SENDING: usize = 1024;

/// Text in its many forms. Pictures, films, archives and the newer fonts are compressed already.
const TYPES: &[&str] = &[
    "text/*",
    "application/json",
    "application/*+json",
    "application/javascript",
    "application/xml",
    "application/*+xml",
    "application/x-ndjson",
    "application/yaml",
    "application/wasm",
    "application/manifest+json",
    "application/vnd.ms-fontobject",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "image/bmp",
    "font/ttf",
    "font/otf",
];

/// Digests of the bytes that are sent, and the promise of parts of them.
static OF_THE_BYTES: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("want-digest"),
];

/// `use = "compress"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The codings, the one that is to be preferred first where a client likes several equally. Default: `zstd`, `br`, `gzip`.
    codings: Option<Spanned<Vec<Coding>>>,
    /// How much work is done: `fast`, `balanced`, `best`. Default: `balanced`.
    #[serde(default)]
    effort: Effort,
    /// Answers whose length is known to be less are left as they are. Default: 1KiB.
    min_size: Option<ByteSize>,
    /// Media types, `*` for any: `text/*`, `application/*+json`. Default: text, JSON, XML, JavaScript, SVG and the like.
    types: Option<Vec<Spanned<String>>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "compress";
    type Filter = Compress;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Compress, Diagnostics> {
        cx.reads_response();
        let codings = self.codings.as_ref().map_or(Coding::ALL.to_vec(), |codings| codings.value.clone());
        if let (true, Some(written)) = (codings.is_empty(), &self.codings) {
            return Err(cx.error(written.span, "nothing is compressed", "name a coding: \"gzip\"").into());
        }
        let mut types = Vec::new();
        for written in self.types.iter().flatten() {
            let problem =
                "`text/*`, `application/json`, `application/*+json`: a type, `/`, and a subtype that may hold one `*`";
            let Some(kind) = TypeRange::parse(&written.value) else {
                return Err(cx.error(written.span, format!("`{}` is no media type", written.value), problem).into());
            };
            if written.value.starts_with("application/grpc") {
                let help = "take it out: gRPC compresses its messages itself, and its clients take no other coding";
                return Err(cx.error(written.span, "gRPC is never compressed as a whole", help).into());
            }
            types.push(kind);
        }
        if self.types.is_none() {
            types = TYPES.iter().filter_map(|text| TypeRange::parse(text)).collect();
        }
        let min_size = self.min_size.map_or(MIN_SIZE, |size| size.0);
        Ok(Compress { codings, effort: self.effort, min_size, types })
    }
}

/// `text/*`: what stands before and after the star.
struct TypeRange {
    before: String,
    after: Option<String>,
}

impl TypeRange {
    fn parse(text: &str) -> Option<TypeRange> {
        let (kind, subtype) = text.split_once('/')?;
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let lower = text.to_ascii_lowercase();
        match subtype.split_once('*') {
            _ if !plain(kind) => None,
            None => plain(subtype).then_some(TypeRange { before: lower, after: None }),
            Some((before, after)) => {
                let both = format!("{before}{after}");
                let (before, after) = lower.split_once('*')?;
                (both.is_empty() || plain(&both))
                    .then(|| TypeRange { before: before.into(), after: Some(after.into()) })
            }
        }
    }

    fn fits(&self, essence: &str) -> bool {
        match &self.after {
            None => essence == self.before,
            Some(after) => essence.strip_prefix(&*self.before).is_some_and(|rest| rest.ends_with(&**after)),
        }
    }
}

/// The compiled filter.
pub(crate) struct Compress {
    codings: Vec<Coding>,
    effort: Effort,
    min_size: u64,
    types: Vec<TypeRange>,
}

impl Filter for Compress {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let coding = accepted(&exchange.request.headers, &self.codings);
        let is_head = exchange.request.method == Method::HEAD;
        let none_match = exchange.request.headers.get(header::IF_NONE_MATCH).cloned();
        let Some(response) = &mut exchange.response else { return Ok(Outcome::Success) };
        if response.status == StatusCode::NOT_MODIFIED {
            not_modified(&mut response.headers, none_match.as_ref());
            // RFC 9110, section 15.4.5: what is said of the answer that the client has.
            HeaderEdit::Vary(header::ACCEPT_ENCODING).apply(&mut response.headers);
            return Ok(Outcome::Success);
        }
        if !self.concerns(response, is_head) {
            return Ok(Outcome::Success);
        }
        // Said also where it goes out as it is: to another client it would not.
        HeaderEdit::Vary(header::ACCEPT_ENCODING).apply(&mut response.headers);
        let Some(coding) = coding else { return Ok(Outcome::Success) };
        // A coder that cannot begin is no reason to lose an answer: then it goes out as it is.
        if let Ok(true) = self.coded(response, coding, is_head) {
            response.headers.insert(header::CONTENT_ENCODING, coding.into());
            OF_THE_BYTES.iter().for_each(|name| drop(response.headers.remove(name)));
            weaken(&mut response.headers);
        }
        Ok(Outcome::Success)
    }
}

impl Compress {
    /// Whether the answer is one to compress, as far as its head tells.
    fn concerns(&self, response: &Response, is_head: bool) -> bool {
        let headers = &response.headers;
        let size = match &response.body {
            Body::Empty if is_head => {
                headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
            }
            Body::Empty => return false,
            body => body.size_hint().exact(),
        };
        let transformable = !matches!(
            response.status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::SWITCHING_PROTOCOLS
        );
        let plain = headers.get_all(header::CONTENT_ENCODING).iter().all(|coding| coding == "identity");
        let essence = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        let of_type = essence.is_some_and(|essence| {
            !essence.starts_with("application/grpc") && self.types.iter().any(|kind| kind.fits(&essence))
        });
        // What cannot be read may have said so.
        let said = Directives::of(headers);
        let forbidden = said.are_unreadable() || said.has("no-transform");
        transformable && plain && of_type && !forbidden && size.is_none_or(|size| size >= self.min_size)
    }

    /// Puts the coded body in place of the plain one; not where it would be larger.
    fn coded(&self, response: &mut Response, coding: Coding, is_head: bool) -> io::Result<bool> {
        if let (Body::Empty, true) = (&response.body, is_head) {
            return Ok(true);
        }
        let mut encoder = Encoder::new(coding, self.effort)?;
        if let Body::Full(bytes) = &response.body
            && bytes.len() <= AT_ONCE
        {
            encoder.write(bytes)?;
            let coded = encoder.finish()?;
            let pays = coded.len() < bytes.len();
            if pays {
                response.body = coded.into();
            }
            return Ok(pays);
        }
        let plain = std::mem::take(&mut response.body);
        response.body = Body::stream(Coded {
            plain,
            left: Bytes::new(),
            encoder: Mutex::new(Some(encoder)),
            held: false,
            trailers: None,
        });
        Ok(true)
    }
}

/// RFC 9110, section 8.8.3: a strong tag says that the bytes are the same, and they are not any more.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else { return };
    match HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        Ok(weak) => _ = headers.insert(header::ETAG, weak),
        Err(_) => _ = headers.remove(header::ETAG),
    }
}

/// Whoever asked with the weak tag has the compressed form: it is that one which has not changed.
fn not_modified(headers: &mut HeaderMap, asked: Option<&HeaderValue>) {
    let weak = headers.get(header::ETAG).map(|tag| [b"W/", tag.as_bytes()].concat());
    let has =
        |asked: &HeaderValue| weak.is_some_and(|weak| asked.as_bytes().windows(weak.len()).any(|part| part == weak));
    if asked.is_some_and(has) {
        weaken(headers);
    }
}

/// A body that is coded as it is asked for.
struct Coded {
    plain: Body,
    /// Of the frame that came last, what is not coded yet: a large one is coded in parts, so that no client waits for another's.
    left: Bytes,
    /// Without a lock in its way: only who has the body alone asks for its frames.
    encoder: Mutex<Option<Encoder>>,
    /// The coder holds back what it was given.
    held: bool,
    trailers: Option<HeaderMap>,
}

impl HttpBody for Coded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            let Some(encoder) = this.encoder.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner) else {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            if !this.left.is_empty() {
                let part = this.left.split_to(this.left.len().min(AT_ONCE));
                encoder.write(&part)?;
                this.held = true;
                if encoder.ready() >= WORTH_SENDING {
                    return Poll::Ready(Some(Ok(Frame::data(encoder.take()))));
                }
                continue;
            }
            match Pin::new(&mut this.plain).poll_frame(cx) {
                Poll::Pending if this.held => {
                    // Who sends pauses: what came so far goes out. Whoever polled is woken by what comes next.
                    encoder.flush()?;
                    this.held = false;
                    let out = encoder.take();
                    if !out.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(out))));
                    }
                }
                polled => match ready!(polled) {
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => this.left = data,
                        Err(frame) => {
                            this.trailers = frame.into_trailers().ok();
                            if let Some(end) = this.end()? {
                                return Poll::Ready(Some(Ok(Frame::data(end))));
                            }
                        }
                    },
                    None => {
                        if let Some(end) = this.end()? {
                            return Poll::Ready(Some(Ok(Frame::data(end))));
                        }
                    }
                },
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Coded {
    fn end(&mut self) -> io::Result<Option<Bytes>> {
        let encoder = self.encoder.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let end = encoder.map(Encoder::finish).transpose()?;
        Ok(end.filter(|end| !end.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::{BodyExt, Full, StreamBody};
    use policy::ports::UPSTREAM;
    use policy::testing::{Fixture, Ran};

    use super::*;
    use crate::fixture::{always, answer, get, request, world};

    const LONG: &str = "a line that comes again and again\n";

    fn long() -> String {
        LONG.repeat(1_000)
    }

    fn tested(settings: &str, headers: &'static [(&'static str, &'static str)], body: fn() -> Body) -> Fixture {
        let upstream = move || {
            let mut answer = answer(200, headers, String::new());
            *answer.body_mut() = body();
            Ok(answer)
        };
        let text = format!(
            "route = '/x'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'long'\n\n[[response]]\nuse = 'compress'\n{settings}"
        );
        world().resource(UPSTREAM, "long", always(upstream)).policy("tested", &text)
    }

    fn ask(tested: &Fixture, accept: &str) -> Ran {
        tested.run(get("/x", &[("accept-encoding", accept)]))
    }

    fn decoded(ran: &Ran) -> String {
        let coding = Coding::named(ran.header("content-encoding")).expect("a coding");
        let bytes = coding.decoded(&ran.body, 1 << 20).expect("coded").expect("within the limit");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    const JSON: &[(&str, &str)] = &[
        ("content-type", "application/json; charset=utf-8"),
        ("etag", "\"1\""),
        ("accept-ranges", "bytes"),
        ("content-digest", "sha-256=:x:"),
        ("vary", "Origin"),
    ];

    #[test]
    fn what_the_client_accepts() {
        for body in [|| Body::from(long()), || Body::stream(Full::new(Bytes::from(long())))] as [fn() -> Body; 2] {
            let tested = tested("", JSON, body);
            for (accept, coding) in [("gzip, br, zstd", "zstd"), ("gzip, br", "br"), ("gzip;q=1, br;q=0.1", "gzip")] {
                let ran = ask(&tested, accept);
                assert_eq!((ran.header("content-encoding"), decoded(&ran)), (coding, long()));
                assert_eq!(
                    (ran.header("etag"), ran.header("accept-ranges"), ran.header("content-digest")),
                    ("W/\"1\"", "", "")
                );
                let vary: Vec<_> = ran.headers.get_all("vary").iter().collect();
                assert_eq!(vary, ["Origin", "accept-encoding"]);
            }
            for accept in ["identity", "deflate", "gzip;q=0"] {
                let ran = ask(&tested, accept);
                assert_eq!(
                    (ran.header("content-encoding"), ran.text().len(), ran.header("etag")),
                    ("", long().len(), "\"1\"")
                );
                assert!(ran.headers.get_all("vary").iter().any(|value| value == "accept-encoding"));
            }
        }
    }

    #[test]
    fn what_is_left_as_it_is() {
        const CASES: &[&[(&str, &str)]] = &[
            &[("content-type", "application/json"), ("content-encoding", "br")],
            &[("content-type", "application/json"), ("cache-control", "private, No-Transform")],
            &[("content-type", "application/json"), ("cache-control", "No-Transform; a, max-age=60")],
            &[("content-type", "application/json"), ("cache-control", "ext=\"open, no-transform")],
            &[("content-type", "application/grpc+json")],
            &[("content-type", "image/png")],
            &[],
        ];
        for headers in CASES {
            let ran = ask(&tested("", headers, || Body::from(long())), "gzip");
            assert_eq!((ran.text().len(), ran.header("vary")), (long().len(), ""), "{headers:?}");
        }
        let short = ask(&tested("", JSON, || Body::from(String::from("{}"))), "gzip");
        assert_eq!((short.header("content-encoding"), short.text()), ("", "{}"));
        let noise = || Body::from(String::from("x"));
        assert_eq!(
            ask(&tested("min_size = 1", JSON, noise), "gzip").header("content-encoding"),
            "",
            "it would be longer"
        );
    }

    #[test]
    fn what_is_written_counts() {
        let settings = "codings = ['gzip']\ntypes = ['image/*', 'application/x-*-thing']\neffort = 'best'";
        const BMP: &[(&str, &str)] = &[("content-type", "image/bmp")];
        const THING: &[(&str, &str)] = &[("content-type", "application/x-other-thing")];
        for (headers, coding) in [(BMP, "gzip"), (THING, "gzip"), (JSON, "")] {
            let ran = ask(&tested(settings, headers, || Body::from(long())), "zstd, gzip");
            assert_eq!(ran.header("content-encoding"), coding, "{headers:?}");
        }
    }

    #[test]
    fn head_is_told_what_get_would_be() {
        const HEAD: &[(&str, &str)] = &[("content-type", "text/html"), ("content-length", "5000"), ("etag", "\"1\"")];
        let ran = tested("", HEAD, || Body::Empty).run(request(Method::HEAD, "/x", &[("accept-encoding", "gzip")], ""));
        assert_eq!(
            (ran.header("content-encoding"), ran.header("content-length"), ran.header("etag")),
            ("gzip", "", "W/\"1\"")
        );
    }

    #[test]
    fn whoever_has_the_compressed_form_is_told_that_it_has_not_changed() {
        let text = "route = '/x'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'same'\n\n[[response]]\nuse = 'compress'";
        let tested = world()
            .resource(UPSTREAM, "same", always(|| Ok(answer(304, &[("etag", "\"1\"")], String::new()))))
            .policy("tested", text);
        let asked = |tag: &str| tested.run(get("/x", &[("accept-encoding", "gzip"), ("if-none-match", tag)]));
        assert_eq!(asked("W/\"1\"").header("etag"), "W/\"1\"");
        assert_eq!(asked("\"1\"").header("etag"), "\"1\"");
        assert_eq!(asked("\"1\"").header("vary"), "accept-encoding");
    }

    #[test]
    fn refusals_are_compressed_too() {
        let text = "route = '/x'\n\n[[filter]]\nuse = 'fail'\ndetail = 'no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no no'\n\n[[response]]\nuse = 'compress'\nmin_size = 100";
        let ran = world().policy("tested", text).run(get("/x", &[("accept-encoding", "gzip")]));
        assert_eq!((ran.status, ran.header("content-encoding")), (403, "gzip"));
        assert!(decoded(&ran).contains("403"));
    }

    /// What was sent before a pause arrives before what comes after it.
    #[test]
    fn a_pause_lets_out_what_came_before() {
        for coding in Coding::ALL {
            let stage = Arc::new(AtomicUsize::new(0));
            let counted = stage.clone();
            let events = futures_util::stream::poll_fn(move |cx| match counted.fetch_add(1, Ordering::Relaxed) + 1 {
                1 => Poll::Ready(Some(Ok::<_, BoxError>(Frame::data(Bytes::from("data: one\n\n"))))),
                2 => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                3 => Poll::Ready(Some(Ok(Frame::data(Bytes::from("data: two\n\n"))))),
                4 => Poll::Ready(Some(Ok(Frame::trailers(
                    [(header::ETAG, HeaderValue::from_static("t"))].into_iter().collect(),
                )))),
                _ => Poll::Ready(None),
            });
            let mut body = Coded {
                plain: Body::stream(SyncStream(Mutex::new(StreamBody::new(events)))),
                left: Bytes::new(),
                encoder: Mutex::new(Some(Encoder::new(coding, Effort::Balanced).expect("a coder"))),
                held: false,
                trailers: None,
            };
            let mut out = Vec::new();
            let mut next = || futures_util::FutureExt::now_or_never(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
            while stage.load(Ordering::Relaxed) < 2 {
                let first = next().expect("not pending: what came is let out").expect("a frame").expect("no error");
                out.extend_from_slice(&first.into_data().expect("data"));
            }
            assert_eq!(so_far(coding, &out), b"data: one\n\n", "{coding:?}");
            let mut trailers = None;
            while let Some(frame) = next().expect("ready") {
                match frame.expect("no error").into_data() {
                    Ok(data) => out.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            assert_eq!(
                coding.decoded(&out, 100).unwrap().as_deref(),
                Some(&b"data: one\n\ndata: two\n\n"[..]),
                "{coding:?}"
            );
            assert_eq!(trailers.expect("trailers come last")["etag"], "t");
        }
    }

    /// What a client has decoded of a body that goes on.
    fn so_far(coding: Coding, coded: &[u8]) -> Vec<u8> {
        use std::io::Read;
        let mut decoder: Box<dyn Read> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(coded)),
            Coding::Brotli => Box::new(brotli::Decompressor::new(coded, 4096)),
            Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(coded).expect("a decoder")),
        };
        let (mut out, mut byte) = (Vec::new(), [0]);
        while let Ok(1) = decoder.read(&mut byte) {
            out.push(byte[0]);
        }
        out
    }

    /// A body is for whoever has it alone; the stream of the test says so to the compiler.
    struct SyncStream<B>(Mutex<B>);

    impl<B: HttpBody<Data = Bytes, Error = BoxError> + Unpin> HttpBody for SyncStream<B> {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Pin::new(self.0.get_mut().unwrap()).poll_frame(cx)
        }
    }

    #[test]
    fn a_body_that_breaks_off_stays_broken() {
        let broken = futures_util::stream::iter([
            Ok(Frame::data(Bytes::from("a"))),
            Err::<Frame<Bytes>, BoxError>("the upstream broke off".into()),
        ]);
        let body = Coded {
            plain: Body::stream(SyncStream(Mutex::new(StreamBody::new(broken)))),
            left: Bytes::new(),
            encoder: Mutex::new(Some(Encoder::new(Coding::Gzip, Effort::Fast).expect("a coder"))),
            held: false,
            trailers: None,
        };
        let collected = futures_util::FutureExt::now_or_never(body.collect()).expect("ready");
        assert!(collected.is_err_and(|error| error.to_string().contains("broke off")));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_at_load() {
        for (settings, said) in [
            ("codings = []", "nothing is compressed"),
            ("codings = ['lzma']", "lzma"),
            ("types = ['json']", "is no media type"),
            ("types = ['*/*']", "is no media type"),
            ("types = ['application/grpc']", "gRPC is never compressed"),
        ] {
            let problems = tested(settings, JSON, || Body::Empty).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
