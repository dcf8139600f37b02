//! `json-limits`: refuses JSON that is nested, long or many beyond what an API ever gets, and objects that say one thing twice. In Oracle
//! API Gateway: JSON Threat Protection.
//!
//! The document is walked once and no tree is built of it, so that what a few bytes blow up into is never there. It stands before the
//! filters that read the JSON (`json-schema`, `json-path`) and before `proxy`. Every parser here gives up at 127 levels by itself;
//! of a name that stands twice in an object some parsers take the first and some the last, and a check that saw one is worth
//! nothing to an upstream that sees the other. A body that is no JSON is refused (400) whatever its type is said to be; a request
//! without a body passes.
//!
//! ```toml
//! [[filter]]
//! use   = "json-limits"
//! depth = 10
//! keys  = 100
//! ```

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::outcome::BAD_RESPONSE;
use policy::settings::{ByteSize, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use super::walk::{self, Excess, Limits};
use crate::answer::Detail;
use crate::http::Side;

/// The JSON has more of something than the policy allows.
const JSON_LIMITS: ReasonCode = ReasonCode::new("json-limits");

/// Parsers here go no deeper.
const DEEPEST: u32 = 127;

/// `use = "json-limits"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose body: `request` (default) or `response`.
    #[serde(default)]
    of: Side,
    /// How deep objects and arrays may stand in one another: 1 to 127. Default: 32.
    #[serde(default = "depth")]
    #[schemars(range(min = 1, max = 127))]
    depth: Spanned<u32>,
    /// How many members an object may have. Default: 1000.
    #[serde(default = "thousand")]
    keys: u32,
    /// How long a member's name may be, in bytes of UTF-8. Default: 256.
    #[serde(default = "name")]
    key_length: ByteSize,
    /// How many items an array may have. Default: 10000.
    #[serde(default = "items")]
    items: u32,
    /// How long text may be, in bytes of UTF-8. Default: 256 KiB.
    #[serde(default = "text")]
    text_length: ByteSize,
    /// How many characters a number may have, its sign, point and exponent counted: what has more than 17 digits is rarely kept as it was
    /// by whoever reads it. Default: 32.
    #[serde(default = "number")]
    number_length: u32,
    /// How many values there may be in all, those in other values counted. Default: 100000.
    #[serde(default = "values")]
    values: u32,
    /// Whether a name may stand in one object more than once. Default: false.
    #[serde(default)]
    duplicate_keys: bool,
}

fn depth() -> Spanned<u32> {
    32.into()
}

fn thousand() -> u32 {
    1_000
}

fn name() -> ByteSize {
    ByteSize(256)
}

fn items() -> u32 {
    10_000
}

fn text() -> ByteSize {
    ByteSize(256 * 1024)
}

fn number() -> u32 {
    32
}

fn values() -> u32 {
    100_000
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "json-limits";
    type Filter = JsonLimits;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<JsonLimits, Diagnostics> {
        if !(1..=DEEPEST).contains(&self.depth.value) {
            let help = "1 to 127: the filters and parsers here read nothing that is nested deeper";
            return Err(cx.error(self.depth.span, "this depth cannot be held", help).into());
        }
        match self.of {
            Side::Request => cx.reads_request_body(),
            Side::Response => {
                cx.reads_response_body();
                cx.fails_rarely(&[BAD_RESPONSE]);
            }
        }
        cx.fails(&[JSON_LIMITS]);
        let limits = Limits {
            depth: self.depth.value,
            keys: self.keys,
            key_length: self.key_length.0,
            items: self.items,
            text_length: self.text_length.0,
            number_length: self.number_length,
            values: self.values,
            duplicate_keys: self.duplicate_keys,
        };
        Ok(JsonLimits { of: self.of, limits })
    }
}

/// The compiled filter.
pub(crate) struct JsonLimits {
    of: Side,
    limits: Limits,
}

impl Filter for JsonLimits {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let found = match self.of {
            Side::Request => exchange.request.plain_body().and_then(|body| self.check(body, Reason::bad_request)),
            Side::Response => match &exchange.response {
                Some(response) => response.plain_body().and_then(|body| self.check(body, Reason::bad_response)),
                None => Err(Reason::bad_response("there is no response yet")),
            },
        };
        Ok(found.map_or_else(Outcome::Failure, |()| Outcome::Success))
    }
}

impl JsonLimits {
    /// Whether the body is within the limits; `malformed` tells whose fault it is where it is no JSON.
    fn check(&self, body: &[u8], malformed: fn(String) -> Reason) -> Result<(), Reason> {
        if body.is_empty() {
            return Ok(());
        }
        match walk::check(body, &self.limits) {
            Ok(()) => Ok(()),
            Err(Excess::NoJson(why)) => Err(malformed(format!("the body is no JSON: {why}"))),
            Err(excess) => {
                let text = excess.to_string();
                let reason = Reason::new(JSON_LIMITS, text.clone());
                Err(match self.of {
                    Side::Request => reason.with_status(StatusCode::BAD_REQUEST).with_detail(Detail(text)),
                    Side::Response => reason.with_status(StatusCode::BAD_GATEWAY),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{always, answer, policy, post_json, request, told, world};
    use http::Method;
    use policy::ports::UPSTREAM;

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!("[[filter]]\nuse = 'json-limits'\n{settings}\n[[filter]]\nuse = 'respond'\n"))
    }

    #[test]
    fn each_limit_lets_its_own_measure_through_and_no_more() {
        for (settings, within, beyond) in [
            ("depth = 2", r#"{"a":[1]}"#, r#"{"a":[{}]}"#),
            ("keys = 2", r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2,"c":3}"#),
            ("key_length = 2", r#"{"\u0061b":1}"#, r#"{"abc":1}"#),
            ("items = 2", "[1,2]", "[1,2,3]"),
            ("text_length = 2", r#"["\u0061b"]"#, r#"["abc"]"#),
            ("text_length = 2", "\"ä\"", "\"aä\""),
            ("number_length = 4", "[-1.5]", "[1e999]"),
            ("number_length = 4", r#"["12345"]"#, "12345"),
            ("values = 3", "[1,[]]", "[1,[2]]"),
            ("", r#"[{"a":1},{"a":1}]"#, r#"{"a":1,"\u0061":1}"#),
            ("duplicate_keys = true", r#"{"a":1,"a":2}"#, &"[".repeat(33)),
        ] {
            assert_eq!(told(&tested(settings).run(post_json("/x", within))), "200", "{settings}: {within}");
            assert_eq!(told(&tested(settings).run(post_json("/x", beyond))), "400 json-limits", "{settings}: {beyond}");
        }
    }

    #[test]
    fn the_client_is_told_which_limit_and_not_what_it_sent() {
        let ran = tested("keys = 1").run(post_json("/x", r#"{"secret-a":1,"secret-b":2}"#));
        assert_eq!(ran.json()["detail"], "an object has more than 1 members, at byte 23");
        let ran = tested("").run(post_json("/x", r#"{"secret":1,"secret":2}"#));
        assert_eq!(ran.json()["detail"], "a name stands twice in an object, at byte 19");
    }

    #[test]
    fn what_is_no_json_is_refused_and_nothing_passes() {
        for (body, expected) in [
            ("", "200"),
            (" ", "400 bad-request"),
            ("{", "400 bad-request"),
            ("[1,]", "400 bad-request"),
            ("[1] 2", "400 bad-request"),
            ("\"\\ud800\"", "400 bad-request"),
            ("nul", "400 bad-request"),
        ] {
            assert_eq!(told(&tested("").run(post_json("/x", body))), expected, "{body}");
        }
        let latin = request(Method::POST, "/x", &[("content-type", "text/plain")], &"[".repeat(1_000_000));
        assert_eq!(told(&tested("").run(latin)), "400 json-limits");
    }

    #[test]
    fn of_the_response_it_is_the_upstreams_fault() {
        for (body, expected) in [("[1]", "200"), ("[[1]]", "502 json-limits"), ("no", "502 bad-response"), ("", "200")]
        {
            let text = "route = '/**'\n[[filter]]\nuse = 'proxy'\nupstream = 'odd'\n[[filter]]\nuse = 'json-limits'\nof = 'response'\ndepth = 1";
            let upstream = always(move || Ok(answer(200, &[], body.to_owned())));
            let ran = world().resource(UPSTREAM, "odd", upstream).policy("tested", text).get("/x");
            assert_eq!(told(&ran), expected, "{body}");
        }
    }

    #[test]
    fn a_depth_that_no_parser_here_reads_is_refused_at_load() {
        for depth in ["0", "128"] {
            assert!(tested(&format!("depth = {depth}")).problems()[0].contains("this depth cannot be held"), "{depth}");
        }
        assert_eq!(tested("depth = 127").problems(), Vec::<String>::new());
    }
}
