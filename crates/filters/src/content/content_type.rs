//! `content-type`: which media types a request's body may have, and which of the API's own types a client must take. In Oracle API
//! Gateway: Content Type Filter.
//!
//! A request with a body of another type, or of none, is refused with 415; one without a body passes. `allow` takes ranges: `text/*`,
//! `application/*+json`, and parameters that must be there (`application/vnd.acme+json; version=2`). Two `Content-Type` are none. It
//! looks at what the request says of its body, and not at the body.
//!
//! `accept` names the types that the API answers with: a client whose `Accept` takes none of them is refused with 406, before anything is done
//! for it.
//!
//! ```toml
//! [[filter]]
//! use     = "content-type"
//! allow   = ["application/json", "application/*+json"]
//! charset = ["utf-8"]
//! accept  = ["application/json"]
//! ```

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;
use mediatype::MediaType;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::RequestBody;
use policy::filter::Judges;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Request};

use super::media_range::{MediaRange, parameters};

/// The body's type is none of those that are allowed.
const UNSUPPORTED_MEDIA_TYPE: ReasonCode = ReasonCode::new("unsupported-media-type");
/// The client takes none of the types that there are.
const NOT_ACCEPTABLE: ReasonCode = ReasonCode::new("not-acceptable");

/// `use = "content-type"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The media types that a request's body may have. Default: any, where `accept` is set.
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    /// The values that its parameter `charset` may have, where it has one; case does not matter. Default: any.
    charset: Option<Vec<String>>,
    /// The media types that the API answers with, without `*`. Default: `Accept` is not looked at.
    #[serde(default)]
    accept: Vec<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "content-type";
    type Filter = ContentType;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ContentType, Diagnostics> {
        cx.shapes_nothing();
        let mut problems = Diagnostics::new();
        if self.allow.is_empty() && self.accept.is_empty() {
            let help = "write `allow = [\"application/json\"]`, or `accept` for what clients must take";
            problems.push(cx.error(cx.own_place().span, "`content-type` asks for nothing", help));
        }
        let mut ranges = |written: &[Spanned<String>], single: bool| {
            let mut ranges = Vec::new();
            for text in written {
                match MediaRange::parse(&text.value) {
                    Some(range) if !single || range.is_single() => ranges.push(range),
                    Some(_) => {
                        let help = "an answer has one type: name each that there is";
                        problems.push(cx.error(text.span, format!("`{}` is no single type", text.value), help));
                    }
                    None => {
                        let help = "write `type/subtype`, `type/*` or `type/*+suffix`, perhaps with `; name=value`";
                        problems.push(cx.error(text.span, format!("`{}` is no media type", text.value), help));
                    }
                }
            }
            ranges
        };
        let (allow, accept) = (ranges(&self.allow, false), ranges(&self.accept, true));
        if problems.has_errors() {
            return Err(problems);
        }
        if !allow.is_empty() || self.charset.is_some() {
            cx.fails(&[UNSUPPORTED_MEDIA_TYPE]);
        }
        if !accept.is_empty() {
            cx.fails(&[NOT_ACCEPTABLE]);
            cx.judges(Judges::Alike);
            cx.goes_by("request.header.accept");
        }
        Ok(ContentType { allow, charset: self.charset.clone(), accept })
    }
}

/// The compiled filter.
pub(crate) struct ContentType {
    allow: Vec<MediaRange>,
    charset: Option<Vec<String>>,
    accept: Vec<MediaRange>,
}

impl Filter for ContentType {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let request = &exchange.request;
        let reason = if !self.takes(request) {
            let reason = Reason::new(UNSUPPORTED_MEDIA_TYPE, "the body's type is none of those that are allowed");
            reason.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        } else if !self.is_accepted(request) {
            let reason = Reason::new(NOT_ACCEPTABLE, "the client accepts none of the types that there are");
            reason.with_status(StatusCode::NOT_ACCEPTABLE)
        } else {
            return Ok(Outcome::Success);
        };
        Ok(Outcome::Failure(reason))
    }
}

impl ContentType {
    fn takes(&self, request: &Request) -> bool {
        let values: Vec<&HeaderValue> = request.headers.get_all(CONTENT_TYPE).iter().collect();
        match values.as_slice() {
            [] => self.allow.is_empty() || !has_body(request),
            [value] => value.to_str().ok().and_then(|text| MediaType::parse(text.trim()).ok()).is_some_and(|of| {
                (self.allow.is_empty() || self.allow.iter().any(|range| range.has(&of))) && self.has_charset(&of)
            }),
            _ => false,
        }
    }

    fn has_charset(&self, of: &MediaType<'_>) -> bool {
        let Some(allowed) = &self.charset else { return true };
        parameters(of, "charset").all(|is| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&is)))
    }

    /// Without `Accept`, everything is (RFC 9110, section 12.5.1).
    fn is_accepted(&self, request: &Request) -> bool {
        let values: Vec<_> = request.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        if self.accept.is_empty() || values.is_empty() {
            return true;
        }
        let accept = values.join(", ");
        self.accept.iter().any(|own| own.quality(&accept) > 0)
    }
}

fn has_body(request: &Request) -> bool {
    match &request.body {
        RequestBody::Stream(body) => !body.is_end_stream(),
        RequestBody::Buffered(bytes) => !bytes.is_empty(),
        RequestBody::Taken => true,
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{policy, request, told};
    use http::Method;

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!("[[filter]]\nuse = 'content-type'\n{settings}\n[[filter]]\nuse = 'respond'\n"))
    }

    #[test]
    fn what_a_body_may_be() {
        let fixture = tested("allow = ['application/json', 'text/*; v=1']\ncharset = ['utf-8']");
        for (types, body, expected) in [
            (&["application/json"][..], "{}", "200"),
            (&["application/json; charset=UTF-8"], "{}", "200"),
            (&["application/json; charset=\"utf-8\""], "{}", "200"),
            (&["application/json; charset=utf-7"], "{}", "415 unsupported-media-type"),
            (&["application/json; charset=utf-8; charset=utf-7"], "{}", "415 unsupported-media-type"),
            (&["text/plain; v=1"], "a", "200"),
            (&["text/plain"], "a", "415 unsupported-media-type"),
            (&["application/json", "text/plain; v=1"], "{}", "415 unsupported-media-type"),
            (&["application/json, text/plain"], "{}", "415 unsupported-media-type"),
            (&["application/json;"], "{}", "200"),
            (&["", "application/json"], "{}", "415 unsupported-media-type"),
            (&["json"], "{}", "415 unsupported-media-type"),
            (&[], "{}", "415 unsupported-media-type"),
            (&[], "", "200"),
            // What is said counts also where there is no body: the upstream may go by it.
            (&["text/html"], "", "415 unsupported-media-type"),
        ] {
            let headers: Vec<_> = types.iter().map(|value| ("content-type", *value)).collect();
            assert_eq!(told(&fixture.run(request(Method::POST, "/x", &headers, body))), expected, "{types:?} {body}");
        }
    }

    #[test]
    fn what_a_client_takes() {
        let fixture = tested("accept = ['application/json', 'application/problem+json']");
        for (accept, expected) in [
            (&[][..], "200"),
            (&["application/*"], "200"),
            (&["text/html", "application/json;q=0.1"], "200"),
            (&["text/html"], "406 not-acceptable"),
            (&["*/*;q=0"], "406 not-acceptable"),
            (&["application/json;q=0, application/problem+json;q=0"], "406 not-acceptable"),
        ] {
            let headers: Vec<_> = accept.iter().map(|value| ("accept", *value)).collect();
            assert_eq!(told(&fixture.run(request(Method::GET, "/x", &headers, ""))), expected, "{accept:?}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused_at_load() {
        for (settings, said) in [
            ("", "`content-type` asks for nothing"),
            ("allow = ['json']", "`json` is no media type"),
            ("accept = ['text/*']", "`text/*` is no single type"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
