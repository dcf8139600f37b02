//! `header-rules`: which headers a message may have, and what their values may be. In Oracle API Gateway: HTTP Header Validation.
//!
//! An allow list: whatever is not in it is taken off (default), or the message is refused. Beside what `allow` names, those stay
//! that HTTP itself has (`Accept`, `Authorization`, `Content-Type`, `Cookie`, `If-None-Match`, `User-Agent`, ...; of an answer `Content-Type`,
//! `ETag`, `Location`, `Set-Cookie`, ...) and those that the gateway writes; a rule for one of these holds too. A pattern is matched with
//! the whole of each value, in linear time. A header that stands there twice is refused unless it is among `repeated`. A name
//! counts in every spelling with `_` for `-`, which many upstreams cannot tell apart.
//!
//! A request that is not as it should be is refused with 400. Of an answer (`of = "response"`, behind `proxy` or in `[[response]]`) that is
//! the upstream's fault: 502. Taking off what is not named keeps an upstream's own headers (`Server`, `X-Powered-By`,
//! `X-Debug-...`) inside.
//!
//! ```toml
//! [[filter]]
//! use      = "header-rules"
//! allow    = { x-tenant = "[a-z]{2,20}", accept-language = "[A-Za-z0-9,;=. *-]{0,100}" }
//! required = ["x-tenant"]
//! ```

use http::{HeaderMap, HeaderName, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::alike;
use policy::filter::Judges;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use super::rules::{self, Rule, Unknown};
use crate::answer::Detail;
use crate::entries::Entries;
use crate::http::Side;
use crate::http::fields;

/// The headers are not what the policy allows.
const HEADER_RULES: ReasonCode = ReasonCode::new("header-rules");

/// Of a request: beside those that are a client's to say ([`fields::is_the_clients`]), what `proxy` and the connection need or write anew.
const OF_REQUESTS: &[&str] = &[
    "connection",
    "content-length",
    "content-location",
    "expect",
    "forwarded",
    "host",
    "max-forwards",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
    "priority",
    "traceparent",
    "tracestate",
    "x-request-id",
];

/// Of an answer.
const OF_ANSWERS: &[&str] = &[
    "accept-ranges",
    "age",
    "allow",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "retry-after",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "vary",
    "www-authenticate",
];

/// `use = "header-rules"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose headers: `request` (default) or `response`.
    #[serde(default)]
    of: Side,
    /// Name, and the regular expression that the whole of each value must match (`.*` takes any). Default: none beside those that always stay.
    #[serde(default)]
    allow: Entries<Spanned<String>>,
    /// Those of them that must be there. Default: none.
    #[serde(default)]
    required: Vec<Spanned<String>>,
    /// Those of them that may be there more than once. Default: none.
    #[serde(default)]
    repeated: Vec<Spanned<String>>,
    /// What comes of others: `remove` (default), `refuse` or `keep`.
    #[serde(default = "remove")]
    unknown: Unknown,
}

fn remove() -> Unknown {
    Unknown::Remove
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "header-rules";
    type Filter = HeaderRules;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<HeaderRules, Diagnostics> {
        if self.allow.0.is_empty() && self.unknown == Unknown::Keep {
            let help = "say what is allowed: `allow = { x-tenant = \"[a-z]+\" }`";
            return Err(cx.error(cx.own_place().span, "`header-rules` asks for nothing", help).into());
        }
        if self.of == Side::Response {
            cx.reads_response();
        }
        let can_fail = !self.allow.0.is_empty() || self.unknown == Unknown::Refuse;
        if can_fail {
            cx.fails(&[HEADER_RULES]);
            if self.of == Side::Request {
                cx.judges(Judges::Alike);
                cx.goes_by("request.header");
            }
        }
        let name = |written: &Spanned<String>, cx: &BuildContext<'_>| {
            HeaderName::from_bytes(written.value.as_bytes()).map_err(|_| {
                let help = "a header's name is letters, digits and `-`, without spaces or `:`";
                cx.error(written.span, format!("`{}` is no name of a header", written.value), help).into()
            })
        };
        let rules = rules::compile(&self.allow, &self.required, &self.repeated, cx, name)?;
        Ok(HeaderRules { of: self.of, rules, unknown: self.unknown })
    }
}

/// The compiled filter.
pub(crate) struct HeaderRules {
    of: Side,
    rules: Vec<Rule<HeaderName>>,
    unknown: Unknown,
}

impl Filter for HeaderRules {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let headers = match (self.of, &mut exchange.response) {
            (Side::Request, _) => &mut exchange.request.headers,
            (Side::Response, Some(response)) => &mut response.headers,
            (Side::Response, None) => return Ok(Outcome::Success),
        };
        match self.to_remove(headers) {
            Err(what) => return Ok(Outcome::Failure(self.refused(what))),
            Ok(names) => names.iter().for_each(|name| {
                headers.remove(name);
            }),
        }
        Ok(Outcome::Success)
    }
}

impl HeaderRules {
    /// The headers that are to go, or what is wrong with one.
    fn to_remove(&self, headers: &HeaderMap) -> Result<Vec<HeaderName>, String> {
        let mut removed = Vec::new();
        for name in headers.keys() {
            let Some(rule) = self.rules.iter().find(|rule| alike(rule.name.as_str(), name.as_str())) else {
                match self.unknown {
                    _ if self.always_stays(name) => {}
                    Unknown::Keep => {}
                    Unknown::Remove => removed.push(name.clone()),
                    Unknown::Refuse => return Err("there is a header that is not known".into()),
                }
                continue;
            };
            let takes =
                |value: &http::HeaderValue| std::str::from_utf8(value.as_bytes()).is_ok_and(|text| rule.takes(text));
            if !headers.get_all(name).iter().all(takes) {
                return Err(format!("the header `{}` has a value that is not allowed", rule.name));
            }
        }
        for rule in &self.rules {
            let spelt = headers.iter().filter(|(name, _)| alike(rule.name.as_str(), name.as_str())).count();
            if spelt > 1 && !rule.repeated {
                return Err(format!("the header `{}` stands there more than once", rule.name));
            }
            if rule.required && !headers.contains_key(&rule.name) {
                return Err(format!("the header `{}` is missing", rule.name));
            }
        }
        Ok(removed)
    }

    fn always_stays(&self, name: &HeaderName) -> bool {
        match self.of {
            Side::Request => {
                fields::is_the_clients(name)
                    || OF_REQUESTS.contains(&name.as_str())
                    || name.as_str().starts_with("x-forwarded-")
            }
            Side::Response => OF_ANSWERS.contains(&name.as_str()),
        }
    }

    fn refused(&self, what: String) -> Reason {
        let reason = Reason::new(HEADER_RULES, what.clone());
        match self.of {
            Side::Request => reason.with_status(StatusCode::BAD_REQUEST).with_detail(Detail(what)),
            Side::Response => reason.with_status(StatusCode::BAD_GATEWAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{always, answer, get, policy, sent, told, world};
    use policy::ports::UPSTREAM;

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!(
            "[[filter]]\nuse = 'header-rules'\n{settings}\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n"
        ))
    }

    const RULES: &str = "allow = { x-tenant = '[a-z]+', accept = 'text/.*', x-tag = '.*' }\nrequired = ['x-tenant']\nrepeated = ['x-tag']";

    #[test]
    fn what_headers_may_be() {
        let refused = "400 header-rules";
        let tenant = ("x-tenant", "acme");
        for (headers, expected) in [
            (&[tenant][..], "200"),
            (&[tenant, ("accept", "text/plain")], "200"),
            (&[tenant, ("accept", "application/json")], refused),
            (&[tenant, ("x-tag", "1"), ("x-tag", "2")], "200"),
            (&[tenant, tenant], refused),
            (&[tenant, ("x_tenant", "evil")], refused),
            (&[("x_tenant", "acme")], refused),
            (&[("x-tenant", "acme1")], refused),
            (&[("x-tenant", "")], refused),
            (&[], refused),
        ] {
            assert_eq!(told(&tested(RULES).run(get("/x", headers))), expected, "{headers:?}");
        }
    }

    #[test]
    fn others_go_and_those_of_http_stay() {
        let headers =
            [("x-tenant", "acme"), ("x-debug", "1"), ("authorization", "Bearer x"), ("if-none-match", "\"a\"")];
        let seen = sent(&tested(RULES).run(get("/x", &headers)))["headers"].clone();
        assert_eq!(seen["x-debug"], json!(null));
        assert_eq!((&seen["authorization"], &seen["if-none-match"]), (&json!("Bearer x"), &json!("\"a\"")));
        let keeps = tested(&format!("{RULES}\nunknown = 'keep'"));
        assert_eq!(sent(&keeps.run(get("/x", &headers)))["headers"]["x-debug"], "1");
        let refuses = tested(&format!("{RULES}\nunknown = 'refuse'"));
        assert_eq!(told(&refuses.run(get("/x", &headers))), "400 header-rules");
        assert_eq!(told(&refuses.run(get("/x", &[headers[0], headers[2]]))), "200");
    }

    #[test]
    fn the_client_is_told_what_the_policy_names() {
        let ran = tested(RULES).run(get("/x", &[("x-tenant", "GEHEIM")]));
        assert_eq!(ran.json()["detail"], "the header `x-tenant` has a value that is not allowed");
    }

    #[test]
    fn of_an_answer_what_is_the_upstreams_own_stays_inside() {
        let text = "route = '/**'\n[[filter]]\nuse = 'proxy'\nupstream = 'odd'\n[[response]]\nuse = 'header-rules'\nof = 'response'\nallow = { x-total = '[0-9]+' }\n";
        let with = |total: &'static str| {
            let headers = [
                ("server", "nginx/1.2"),
                ("x-powered-by", "PHP"),
                ("etag", "\"a\""),
                ("set-cookie", "a=b"),
                ("x-total", total),
            ];
            let upstream = always(move || Ok(answer(200, &headers, "a".into())));
            world().resource(UPSTREAM, "odd", upstream).policy("tested", text).get("/x")
        };
        let ran = with("7");
        assert_eq!((ran.header("etag"), ran.header("set-cookie"), ran.header("x-total")), ("\"a\"", "a=b", "7"));
        assert!(!ran.headers.contains_key("server") && !ran.headers.contains_key("x-powered-by"));
        let ran = with("geheim");
        assert_eq!(told(&ran), "502 header-rules");
        assert!(!ran.headers.contains_key("x-total") && !ran.text().contains("x-total"), "{}", ran.text());
    }

    #[test]
    fn what_is_no_rule_is_refused_at_load() {
        for (settings, said) in [
            ("unknown = 'keep'", "`header-rules` asks for nothing"),
            ("allow = { 'a b' = '.*' }", "is no name of a header"),
            ("allow = { a = '(' }", "this is no pattern"),
            ("required = ['a']", "`a` is not allowed"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
        assert_eq!(tested("").problems(), Vec::<String>::new());
    }
}
