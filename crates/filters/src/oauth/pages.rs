//! The pages that people see: log-in, consent, a code to copy, log-out, an error.
//!
//! They need no script, and say so to the browser: nothing is loaded from anywhere, nobody may frame them, and forms go to ourselves and
//! from there to the redirect URI that is proven. An operator can put a template of their own in the place of each (the engine is
//! `minijinja`, whose templates are Jinja's); what stands in it is escaped.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, ReasonCode, Response};
use store::Client;

/// A template fails where the page is made.
const PAGE_BROKEN: ReasonCode = ReasonCode::new("page-broken");

const STYLE: &str = include_str!("pages/style.css");

/// What ships, by name.
const SHIPPED: [(&str, &str); 8] = [
    ("layout.html", include_str!("pages/layout.html")),
    ("login.html", include_str!("pages/login.html")),
    ("consent.html", include_str!("pages/consent.html")),
    ("code.html", include_str!("pages/code.html")),
    ("device.html", include_str!("pages/device.html")),
    ("granted.html", include_str!("pages/granted.html")),
    ("logout.html", include_str!("pages/logout.html")),
    ("error.html", include_str!("pages/error.html")),
];

static PAGES: LazyLock<Arc<Environment<'static>>> = LazyLock::new(|| Arc::new(shipped()));

/// What a browser may do with a page, but for where its forms go.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    )
});

fn shipped() -> Environment<'static> {
    let mut pages = Environment::new();
    pages.add_global("style", Value::from_safe_string(STYLE.to_owned()));
    for (name, text) in SHIPPED {
        pages.add_template(name, text).expect("what ships is tested");
    }
    pages
}

/// A page, as it ships or as an operator wrote it.
pub(super) struct Page {
    pages: Arc<Environment<'static>>,
    name: &'static str,
}

impl Page {
    /// The page of this name, from the file that the setting names where there is one.
    pub(super) fn build(
        name: &'static str,
        template: &Option<Spanned<String>>,
        cx: &mut BuildContext<'_>,
    ) -> Result<Page, Diagnostics> {
        cx.aborts_rarely(&[PAGE_BROKEN]);
        let Some(template) = template else { return Ok(Page { pages: PAGES.clone(), name }) };
        let content = cx.content(template)?;
        let text = String::from_utf8(content.to_vec()).map_err(|_| {
            cx.error(template.span, format!("`{}` is no UTF-8 text", template.value), "save it as UTF-8")
        })?;
        let mut pages = shipped();
        pages.add_template_owned(name, text).map_err(|why| {
            let line = why.line().map_or_else(String::new, |line| format!(" (line {line})"));
            let message = format!("the template `{}` cannot be used{line}: {why}", template.value);
            cx.error(template.span, message, "templates are Jinja's; docs/pages.md shows those that ship")
        })?;
        Ok(Page { pages: Arc::new(pages), name })
    }

    /// The page with these values; `target` is the redirect URI that its form may lead to.
    pub(super) fn show(
        &self,
        status: StatusCode,
        values: impl Serialize,
        target: Option<&str>,
    ) -> Result<Response, Abort> {
        let rendered =
            self.pages.get_template(self.name).and_then(|template| template.render(Value::from(Serde(values))));
        match rendered {
            Ok(text) => Ok(page(status, text, target)),
            Err(why) => {
                let why = format!("the page `{}` cannot be made: {why:#}", self.name);
                Err(Abort::new(PAGE_BROKEN, StatusCode::INTERNAL_SERVER_ERROR, why))
            }
        }
    }
}

/// The page of an error that nobody but the user can be told.
pub(super) fn error(status: StatusCode, message: &str, code: &str) -> Response {
    let rendered = PAGES
        .get_template("error.html")
        .and_then(|page| page.render(Value::from(Serde(json!({ "message": message, "code": code })))));
    page(status, rendered.unwrap_or_else(|_| message.to_owned()), None)
}

/// What a scope permits: as it is declared, or as everybody knows it.
pub(super) fn permits<'a>(declared: &'a [(String, String)], scope: &'a str) -> &'a str {
    let declared = declared.iter().find(|(name, _)| name == scope).map(|(_, permits)| permits.as_str());
    declared.unwrap_or(match scope {
        "openid" => "Know who you are",
        "profile" => "Your name and profile",
        "email" => "Your e-mail address",
        "address" => "Your postal address",
        "phone" => "Your telephone number",
        "offline_access" => "Stay allowed while you are away",
        other => other,
    })
}

/// What pages show of a client.
#[derive(Serialize)]
pub(super) struct ClientShown<'a> {
    name: &'a str,
    uri: Option<&'a str>,
    policy_uri: Option<&'a str>,
    tos_uri: Option<&'a str>,
}

impl<'a> ClientShown<'a> {
    pub(super) fn of(client: &'a Client) -> Self {
        // Whatever was registered: only what a browser may open by a click.
        let link = |uri: &'a Option<String>| uri.as_deref().filter(|uri| uri.starts_with("https://"));
        ClientShown {
            name: client.client_name.as_deref().unwrap_or(client.client_id.as_str()),
            uri: link(&client.metadata.client_uri),
            policy_uri: link(&client.metadata.policy_uri),
            tos_uri: link(&client.metadata.tos_uri),
        }
    }
}

fn page(status: StatusCode, text: String, target: Option<&str>) -> Response {
    // Browsers hold the redirects after a form to the same rule.
    let target = target.and_then(origin).map_or_else(String::new, |origin| format!(" {origin}"));
    let policy = HeaderValue::from_str(&format!("{}{target}", *POLICY))
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    let mut response = Response::new(status)
        .with_header(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with_header(CONTENT_SECURITY_POLICY, policy)
        .with_header(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
        .with_header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        .with_header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response.body = Bytes::from(text).into();
    response
}

/// A redirect URI as a source of the content security policy: scheme, host and port, or the scheme of an application.
fn origin(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let Some(authority) = rest.strip_prefix("//").filter(|_| matches!(scheme, "https" | "http")) else {
        return uri.get(..=scheme.len());
    };
    let end = authority.find(['/', '?']).unwrap_or(authority.len());
    uri.get(..scheme.len() + 3 + end).filter(|origin| !origin.contains([';', ',', ' ', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_may_lead_to_the_redirect_uri_and_nowhere_else() {
        for (uri, expected) in [
            ("https://app.example/cb?x=1", Some("https://app.example")),
            ("https://app.example:8443?x", Some("https://app.example:8443")),
            ("http://127.0.0.1:4711/cb", Some("http://127.0.0.1:4711")),
            ("com.example.app:/done", Some("com.example.app:")),
            ("https://app.example;script-src *", None),
        ] {
            assert_eq!(origin(uri), expected, "{uri}");
        }
    }

    /// D51: nobody frames them; no script runs; nothing is kept.
    #[test]
    fn rfc9700_4_16_pages_run_nothing_and_are_framed_by_nobody() {
        let response = error(StatusCode::BAD_REQUEST, "<b>no</b>", "invalid_request");
        let header = |name: &str| response.headers[name].to_str().expect("text").to_owned();
        assert!(
            header("content-security-policy").contains("default-src 'none'")
                && !header("content-security-policy").contains("unsafe")
        );
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!((header("x-frame-options").as_str(), header("cache-control").as_str()), ("DENY", "no-store"));
        let policy::Body::Full(text) = &response.body else { panic!("a page is whole") };
        let text = String::from_utf8_lossy(text);
        assert!(text.contains("&lt;b&gt;no") && !text.contains("<script"), "{text}");
        assert!(text.contains(STYLE), "the style is as its hash says");
    }
}
