//! `security-headers`: the headers that tell browsers to be careful with the answer, and takes off those that tell what
//! software wrote it. Stands in `[[response]]`, so that refusals have them too, and what goes out where another filter of `[[response]]`
//! fails. In Oracle API Gateway: the HSTS settings.
//!
//! What is not written here has a default, which fills in where the answer has no such header. What is written replaces the
//! answer's own; `false` leaves the header alone.
//!
//! ```toml
//! [[response]]
//! use                     = "security-headers"
//! content_security_policy = "default-src 'self'; frame-ancestors 'none'"
//! referrer_policy         = "same-origin"
//! frame_options           = false
//! ```

use http::header::{self, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::HeaderEdit;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome};

use super::fields::{self, Side};

/// `use = "security-headers"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `Strict-Transport-Security`, sent over https only (RFC 6797, section 7.2). Default: `max-age=31536000` (a year).
    strict_transport_security: Option<Spanned<Choice>>,
    /// `X-Content-Type-Options`. Default: `nosniff`.
    content_type_options: Option<Spanned<Choice>>,
    /// `X-Frame-Options`, for browsers without `frame-ancestors`. Default: `DENY`.
    frame_options: Option<Spanned<Choice>>,
    /// `Content-Security-Policy`. Default: `frame-ancestors 'none'`, which concerns nothing that an API answers.
    content_security_policy: Option<Spanned<Choice>>,
    /// `Content-Security-Policy-Report-Only`: what a stricter policy would forbid is reported, and done. Default: none.
    content_security_policy_report_only: Option<Spanned<Choice>>,
    /// `Referrer-Policy`. Default: `no-referrer`.
    referrer_policy: Option<Spanned<Choice>>,
    /// `Permissions-Policy`. Default: none.
    permissions_policy: Option<Spanned<Choice>>,
    /// `Cross-Origin-Opener-Policy`. Default: none.
    cross_origin_opener_policy: Option<Spanned<Choice>>,
    /// `Cross-Origin-Embedder-Policy`: with `require-corp`, and `same-origin` for the opener, a page may measure time finely and share memory. Default: none.
    cross_origin_embedder_policy: Option<Spanned<Choice>>,
    /// `Cross-Origin-Resource-Policy`: who may embed what this is, pictures and scripts of pages among it. Default: none.
    cross_origin_resource_policy: Option<Spanned<Choice>>,
    /// Headers to take off. Default: `server`, `x-powered-by`, `x-aspnet-version`, `x-aspnetmvc-version`.
    remove: Option<Vec<Spanned<String>>>,
}

/// A header's value, or `false`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Choice {
    /// The value.
    Value(String),
    /// `false`: the header is left alone.
    Switch(bool),
}

const TELLTALES: &[&str] = &["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version"];

impl FilterConfig for Settings {
    const TYPE: &'static str = "security-headers";
    type Filter = SecurityHeaders;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SecurityHeaders, Diagnostics> {
        cx.edits_headers();
        let own = HeaderName::from_static;
        let table = [
            (header::X_CONTENT_TYPE_OPTIONS, &self.content_type_options, Some("nosniff")),
            (header::X_FRAME_OPTIONS, &self.frame_options, Some("DENY")),
            (header::CONTENT_SECURITY_POLICY, &self.content_security_policy, Some("frame-ancestors 'none'")),
            (header::CONTENT_SECURITY_POLICY_REPORT_ONLY, &self.content_security_policy_report_only, None),
            (header::REFERRER_POLICY, &self.referrer_policy, Some("no-referrer")),
            (own("permissions-policy"), &self.permissions_policy, None),
            (own("cross-origin-opener-policy"), &self.cross_origin_opener_policy, None),
            (own("cross-origin-embedder-policy"), &self.cross_origin_embedder_policy, None),
            (own("cross-origin-resource-policy"), &self.cross_origin_resource_policy, None),
        ];
        let mut edits = Vec::new();
        match &self.remove {
            None => edits.extend(TELLTALES.iter().map(|name| HeaderEdit::Remove(own(name)))),
            Some(names) => {
                for written in names {
                    edits.push(HeaderEdit::Remove(fields::name(written, Side::Response, cx)?));
                }
            }
        }
        for (name, choice, default) in table {
            edits.extend(edit(name, choice, default, cx)?);
        }
        let transport = (header::STRICT_TRANSPORT_SECURITY, &self.strict_transport_security);
        let over_https = edit(transport.0, transport.1, Some("max-age=31536000"), cx)?;
        Ok(SecurityHeaders { edits, over_https })
    }
}

fn edit(
    name: HeaderName,
    choice: &Option<Spanned<Choice>>,
    default: Option<&'static str>,
    cx: &BuildContext<'_>,
) -> Result<Option<HeaderEdit>, Diagnostics> {
    let Some(choice) = choice else {
        return Ok(default.map(|value| HeaderEdit::Default(name, HeaderValue::from_static(value))));
    };
    match &choice.value {
        Choice::Switch(false) => Ok(None),
        Choice::Switch(true) => {
            let help =
                "write the header's value, `false` to leave the header alone, or take the line out for the default";
            Err(cx.error(choice.span, "`true` says nothing here", help).into())
        }
        Choice::Value(text) => match HeaderValue::from_str(text) {
            Ok(value) => Ok(Some(HeaderEdit::Set(name, value))),
            Err(_) => {
                let help = "a header's value is one line of plain ASCII";
                Err(cx.error(choice.span, "this cannot be a header's value", help).into())
            }
        },
    }
}

/// The compiled filter.
pub(crate) struct SecurityHeaders {
    edits: Vec<HeaderEdit>,
    over_https: Option<HeaderEdit>,
}

impl Filter for SecurityHeaders {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let secure = self.over_https.iter().filter(|_| exchange.request.scheme == "https");
        let edits: Vec<_> = self.edits.iter().chain(secure).cloned().collect();
        for edit in edits {
            exchange.edit_response_header(edit);
        }
        Ok(Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy};

    fn answer(settings: &str, own: &str, https: bool) -> policy::testing::Ran {
        let text = format!(
            "[[filter]]\nuse = 'respond'\nheaders = {{ {own} }}\n\n[[response]]\nuse = 'security-headers'\n{settings}"
        );
        let mut request = get("/x", &[]);
        request.scheme = if https { "https" } else { "http" };
        policy(&text).run(request)
    }

    #[test]
    fn defaults_fill_in_what_the_answer_has_not() {
        let ran = answer("", "x-frame-options = 'SAMEORIGIN', server = 'nginx/1.2', x-powered-by = 'php'", true);
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("permissions-policy", ""),
            ("server", ""),
            ("x-powered-by", ""),
        ] {
            assert_eq!(ran.header(name), value, "{name}");
        }
        assert!(!answer("", "", false).headers.contains_key("strict-transport-security"));
    }

    #[test]
    fn what_is_written_replaces_and_false_leaves_alone() {
        let settings = "frame_options = 'DENY'\nreferrer_policy = false\nstrict_transport_security = false\nremove = []\ncross_origin_resource_policy = 'same-site'\ncross_origin_embedder_policy = 'require-corp'\ncontent_security_policy_report_only = \"default-src 'self'\"";
        let ran = answer(settings, "x-frame-options = 'SAMEORIGIN', referrer-policy = 'origin', server = 'a'", true);
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("referrer-policy", "origin"),
            ("strict-transport-security", ""),
            ("cross-origin-resource-policy", "same-site"),
            ("cross-origin-embedder-policy", "require-corp"),
            ("content-security-policy-report-only", "default-src 'self'"),
            ("server", "a"),
        ] {
            assert_eq!(ran.header(name), value, "{name}");
        }
    }

    #[test]
    fn refusals_have_them_too() {
        let ran = policy("[[filter]]\nuse = 'fail'\n\n[[response]]\nuse = 'security-headers'").run(get("/x", &[]));
        assert_eq!((ran.status, ran.header("x-content-type-options")), (403, "nosniff"));
    }

    #[test]
    fn true_says_nothing() {
        let text = "[[filter]]\nuse = 'respond'\n\n[[response]]\nuse = 'security-headers'\nframe_options = true";
        let problems = policy(text).problems();
        assert!(problems.len() == 1 && problems[0].contains("`true` says nothing here"), "{problems:#?}");
    }
}
