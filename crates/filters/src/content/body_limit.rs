//! `body-limit`: how large a body may be, whether filters read it into memory or it streams by. In Oracle API Gateway: Message Size
//! Filter.
//!
//! Without this filter, bodies that filters read are limited by `limits.body` of `node.toml`, and those that stream are not limited. With
//! it, its limit holds for both from here on, higher or lower; of several that stand there, the last. A request that says in
//! `Content-Length` that it is larger is refused at once, before anything of it is read; of one that does not say, the bytes are counted as
//! they come, and the filter that was sending them on fails with `body-too-large` (413); what the upstream got of it until then
//! is a request that broke off. A filter that reads the body must stand behind this one to have its limit.
//!
//! Of a response that says that it is larger the client sees 502; one that does not say is cut, which a client notices, since its end is
//! missing. For a response it stands behind `proxy`, or in `[[response]]`.
//!
//! ```toml
//! [[filter]]
//! use   = "body-limit"
//! limit = "50MiB"
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use policy::outcome::{BAD_RESPONSE, BODY_TOO_LARGE};
use policy::settings::{ByteSize, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome};

use crate::http::Side;

/// `use = "body-limit"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose body: `request` (default) or `response`.
    #[serde(default)]
    of: Side,
    /// The most bytes, as they are on the wire (compressed, where the sender compressed them): `"50MiB"`, at least 1.
    limit: Spanned<ByteSize>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "body-limit";
    type Filter = BodyLimit;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<BodyLimit, Diagnostics> {
        if self.limit.value.0 == 0 {
            let help = "`require` with `request.method` and no body-limit is the way to take no bodies; the least limit is 1 byte";
            return Err(cx.error(self.limit.span, "a limit of nothing", help).into());
        }
        match self.of {
            // A test of a policy need not send as much.
            Side::Request => cx.fails_rarely(&[BODY_TOO_LARGE]),
            Side::Response => {
                cx.reads_response();
                cx.aborts(&[BAD_RESPONSE]);
            }
        }
        Ok(BodyLimit { of: self.of, limit: self.limit.value.0 })
    }
}

/// The compiled filter.
pub(crate) struct BodyLimit {
    of: Side,
    limit: u64,
}

impl Filter for BodyLimit {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.of {
            Side::Request => match exchange.limit_request_body(self.limit) {
                Ok(()) => Ok(Outcome::Success),
                Err(reason) => Ok(Outcome::Failure(reason)),
            },
            Side::Response => exchange.limit_response_body(self.limit).map(|()| Outcome::Success),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream::iter;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use crate::fixture::{always, post_json, request, sent, told, world};
    use http::Method;
    use policy::Body;
    use policy::exchange::{BoxError, Request, RequestBody};
    use policy::ports::UPSTREAM;
    use policy::testing::Fixture;

    const PROXY: &str = "[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n";

    fn tested(limit: &str, more: &str) -> Fixture {
        let text = format!("route = '/**'\n[[filter]]\nuse = 'body-limit'\nlimit = '{limit}'\n{more}");
        world().node(|node| node.body_limit = 8).policy("tested", &text)
    }

    /// A body of which nobody knows the length before its end.
    fn chunked(chunks: &[&'static str]) -> Request {
        let mut request = request(Method::POST, "/x", &[], "");
        request.body = RequestBody::Stream(stream(chunks));
        request
    }

    fn stream(chunks: &[&'static str]) -> Body {
        let frame = |chunk: &&'static str| Ok::<_, BoxError>(Frame::data(Bytes::from(*chunk)));
        Body::stream(StreamBody::new(iter(chunks.iter().map(frame).collect::<Vec<_>>())))
    }

    #[test]
    fn what_is_said_to_be_larger_is_refused_at_once() {
        let ran = tested("4B", PROXY).run(post_json("/x", "12345"));
        assert_eq!((told(&ran).as_str(), ran.path()), ("413 body-too-large", vec!["body-limit:failure".to_owned()]));
        assert_eq!(sent(&tested("5B", PROXY).run(post_json("/x", "12345")))["body"], "12345");
    }

    #[test]
    fn what_does_not_say_is_counted_as_it_streams() {
        let ran = tested("4B", PROXY).run(chunked(&["12", "34", "5"]));
        let path = vec!["body-limit:success".to_owned(), "proxy:failure".to_owned()];
        assert_eq!((told(&ran).as_str(), ran.path()), ("413 body-too-large", path));
        assert_eq!(sent(&tested("5B", PROXY).run(chunked(&["12", "34", "5"])))["body"], "12345");
    }

    #[test]
    fn it_raises_and_lowers_the_limit_of_filters_that_read() {
        let reads = "[[filter]]\nuse = 'respond'\ntext = '${request.body}'\n";
        for (limit, body, expected) in [
            ("4B", &["123", "4"][..], "200"),
            ("4B", &["123", "45"], "413 body-too-large"),
            ("10B", &["12345", "67890"], "200"),
            ("10B", &["12345", "67890", "1"], "413 body-too-large"),
        ] {
            assert_eq!(told(&tested(limit, reads).run(chunked(body))), expected, "{limit} {body:?}");
        }
    }

    #[test]
    fn the_last_of_several_holds() {
        for (first, second, expected) in [("4B", "8B", "200"), ("8B", "4B", "413 body-too-large")] {
            let more = format!("[[filter]]\nuse = 'body-limit'\nlimit = '{second}'\n{PROXY}");
            assert_eq!(told(&tested(first, &more).run(chunked(&["12", "34", "5"]))), expected, "{first} {second}");
        }
    }

    fn answered(body: fn() -> Body) -> policy::testing::Ran {
        let text = "route = '/**'\n[[filter]]\nuse = 'proxy'\nupstream = 'odd'\n[[response]]\nuse = 'body-limit'\nof = 'response'\nlimit = '4B'\n";
        let upstream = always(move || Ok(http::Response::new(body())));
        world().resource(UPSTREAM, "odd", upstream).policy("tested", text).get("/x")
    }

    #[test]
    fn a_response_that_is_known_to_be_larger_is_a_fault() {
        assert_eq!(told(&answered(|| Body::from(Bytes::from("12345")))), "502 bad-response");
        assert_eq!(answered(|| Body::stream(Full::new(Bytes::from("1234")))).text(), "1234");
    }

    #[test]
    #[should_panic(expected = "the body is larger than its limit")]
    fn a_response_that_turns_out_to_be_larger_is_cut() {
        answered(|| stream(&["12", "345"]));
    }

    #[test]
    fn what_limits_nothing_is_refused_at_load() {
        assert!(tested("0", PROXY).problems()[0].contains("a limit of nothing"));
        let before = "of = 'response'\n[[filter]]\nuse = 'respond'\n";
        assert!(!tested("1B", before).problems().is_empty());
    }
}
