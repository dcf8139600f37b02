//! `redirect`: sends the client to another address, and ends the run as a success. In Oracle API Gateway: HTTP Redirect.
//!
//! `to` is a path here, or an address elsewhere. Where it leads elsewhere, its scheme and host are constants, or `allow` names the
//! origins that it may lead to: nobody outside can have the gateway send people to a site of their choice (an open redirector). A value
//! within `to` is percent-encoded, so that it is a part of the path, or a value of the query, and no more than that; one with a step up
//! (`..`) is refused. `${request.path}` is encoded already. The request's query goes along, unless `to` has one.
//!
//! ```toml
//! [[filter]]
//! use    = "redirect"
//! to     = "https://www.example.com/shop${request.path}"
//! status = 308
//! ```
//!
//! With `scheme` instead of `to` it is the same address by another scheme; a request that came by that one already goes on. As a policy in
//! `before` of a listener, it sends everybody who came by http to https.
//!
//! ```toml
//! [[filter]]
//! use    = "redirect"
//! scheme = "https"
//! ```

use std::sync::Arc;

use http::StatusCode;
use http::header::LOCATION;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::filter::Answers;
use policy::settings::{Spanned, StatusCode as Status};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Response,
};

use super::fields;
use super::origins::Origins;

/// The address is of an origin that the policy does not allow, or leads away from here where a path was to be.
const REDIRECT_NOT_ALLOWED: ReasonCode = ReasonCode::new("redirect-not-allowed");

/// `use = "redirect"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where to: a path (`/v2${request.path}`) or an address (`https://www.example.com/`). This or `scheme`.
    to: Option<Dynamic<String>>,
    /// `https` or `http`: the same address by that scheme.
    scheme: Option<Spanned<Scheme>>,
    /// The port, with `scheme`. Default: the scheme's own.
    port: Option<Spanned<u16>>,
    /// 301 and 302 (browsers make a GET of a POST), 303 (a GET, whatever it was), 307 and 308 (the method and the body stay); 301 and 308 are for ever, and
    /// browsers remember them. Default: 307; with `scheme` 308.
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]))]
    status: Option<Spanned<Status>>,
    /// Origins that `to` may lead to, where its own is not written there: as in `cors`.
    allow: Option<Dynamic<Vec<Arc<str>>>>,
    /// Whether the request's query goes along where `to` has none. Default: true.
    keep_query: Option<bool>,
}

/// A scheme of addresses.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scheme {
    /// TLS.
    Https,
    /// Plain.
    Http,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Https => "https",
            Scheme::Http => "http",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Https => 443,
            Scheme::Http => 80,
        }
    }
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "redirect";
    type Filter = Redirect;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Redirect, Diagnostics> {
        let target = match (&self.to, &self.scheme) {
            (Some(to), None) => self.to(to, cx)?,
            (None, Some(scheme)) => self.scheme(scheme.value, cx)?,
            _ => {
                let help = "`to = \"/path\"`, or `scheme = \"https\"` for the same address by https";
                return Err(cx.error(cx.own_place().span, "a redirect has one of `to` and `scheme`", help).into());
            }
        };
        let usual = match target {
            Target::To { .. } => StatusCode::TEMPORARY_REDIRECT,
            Target::Scheme { .. } => StatusCode::PERMANENT_REDIRECT,
        };
        let status = self.status.as_ref().map_or(usual, |status| status.value.0);
        if let Some(written) = &self.status
            && ![301, 302, 303, 307, 308].contains(&status.as_u16())
        {
            return Err(cx.error(written.span, "this is no status of a redirect", "301, 302, 303, 307 or 308").into());
        }
        Ok(Redirect { target, status, keep_query: self.keep_query.unwrap_or(true) })
    }
}

impl Settings {
    fn to(&self, to: &Dynamic<String>, cx: &mut BuildContext<'_>) -> Result<Target, Diagnostics> {
        cx.answers(Answers::Always);
        if let Some(port) = &self.port {
            let help = "`port` goes with `scheme`: write it into the address";
            return Err(cx.error(port.span, "`to` has its own port", help).into());
        }
        let getter = cx.dynamic(to)?;
        let allow = self.allow.as_ref().map(|allow| origins(allow, cx)).transpose()?;
        let text = written(to, cx);
        let place = match (getter.constant(), &allow) {
            (_, Some(_)) => None,
            (Some(text), None) => place(text, true),
            // These two begin with a slash, and one only.
            (None, None) => {
                let text = text.replace("${request.path}", "/p").replace("${request.uri}", "/p");
                text.split_once("${").map_or_else(|| place(&text, true), |(before, _)| place(before, false))
            }
        };
        let ends = match (place, allow) {
            (_, Some(allow)) => Ends::Within(allow),
            (Some(Place::Here), None) => Ends::Here,
            (Some(Place::Elsewhere), None) => Ends::Wherever,
            (None, None) => {
                let help = "write a path (`/x`), or scheme and host up to a `/` without selectors; or name where it may lead: `allow = [\"https://*.example.com\"]`";
                return Err(cx.error(to.span(), "where this leads is not known", help).into());
            }
        };
        match &ends {
            Ends::Within(_) => cx.fails(&[REDIRECT_NOT_ALLOWED]),
            Ends::Here | Ends::Wherever if getter.constant().is_none() => cx.fails_rarely(&[REDIRECT_NOT_ALLOWED]),
            Ends::Here | Ends::Wherever => {}
        }
        Ok(Target::To { getter, ends })
    }

    fn scheme(&self, scheme: Scheme, cx: &mut BuildContext<'_>) -> Result<Target, Diagnostics> {
        cx.answers(Answers::Sometimes);
        if let Some(allow) = &self.allow {
            return Err(cx
                .error(allow.span(), "`allow` goes with `to`", "take it out: the host stays what it is")
                .into());
        }
        let port = self.port.as_ref().map(|port| port.value).filter(|port| *port != scheme.port());
        Ok(Target::Scheme { scheme, port })
    }
}

fn origins(allow: &Dynamic<Vec<Arc<str>>>, cx: &mut BuildContext<'_>) -> Result<Origins, Diagnostics> {
    let getter = cx.dynamic(allow)?;
    let Some(names) = getter.constant() else {
        let help = "name them here, or in `[values]` of node.toml";
        return Err(cx.error(allow.span(), "origins are known when a policy is loaded", help).into());
    };
    let origins = Origins::parse(names).map_err(|(problem, help)| cx.error(allow.span(), problem, help))?;
    if let Origins::Any = origins {
        let help = "name the origins: else anybody could have people sent to a site of theirs by an address of yours";
        return Err(cx.error(allow.span(), "this is an open redirector", help).into());
    }
    Ok(origins)
}

/// The setting as it is written, without quotes.
fn written(setting: &Dynamic<String>, cx: &BuildContext<'_>) -> String {
    let span = setting.span();
    cx.file().text.get(span.start..span.end).unwrap_or_default().trim_matches(['"', '\'']).to_owned()
}

/// Where an address leads whose beginning, or whole, is known.
enum Place {
    Here,
    Elsewhere,
}

fn place(beginning: &str, whole: bool) -> Option<Place> {
    if beginning.starts_with('/') {
        return (!leads_away(beginning)).then_some(Place::Here);
    }
    let (scheme, rest) = beginning.split_once("://")?;
    let end = rest.find(['/', '?', '#']).or(whole.then_some(rest.len()))?;
    let plain =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b));
    (plain(&rest[..end]) && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
        .then_some(Place::Elsewhere)
}

/// What browsers take for the beginning of another host, or no path.
pub(super) fn leads_away(path: &str) -> bool {
    let mut bytes = path.bytes().filter(|b| !b"\t\r\n".contains(b));
    !(bytes.next() == Some(b'/') && bytes.next().is_none_or(|second| second != b'/' && second != b'\\'))
}

/// Whether the path of an address has a step up, as browsers see it: they resolve `%2e` like a dot.
fn steps_up(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|segment| segment.to_ascii_lowercase().replace("%2e", ".") == "..")
}

/// Where an address may lead.
enum Ends {
    /// A path of this host.
    Here,
    /// One of these.
    Within(Origins),
    /// Where it says: that is constant.
    Wherever,
}

enum Target {
    To { getter: Getter<String>, ends: Ends },
    Scheme { scheme: Scheme, port: Option<u16> },
}

/// The compiled filter.
pub(crate) struct Redirect {
    target: Target,
    status: StatusCode,
    keep_query: bool,
}

impl Filter for Redirect {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let mut to = match self.address(exchange) {
            Ok(Some(to)) => to,
            Ok(None) => return Ok(Outcome::Success),
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        if let Some(query) = &exchange.request.query
            && self.keep_query
            && !to.contains('?')
        {
            let fragment = to.find('#').map(|at| to.split_off(at)).unwrap_or_default();
            to = format!("{to}?{query}{fragment}");
        }
        match fields::value(encoded(&to)) {
            Ok(location) => exchange.answer(Response::new(self.status).with_header(LOCATION, location)),
            Err(reason) => Ok(Outcome::Failure(reason)),
        }
    }
}

impl Redirect {
    fn address(&self, exchange: &Exchange) -> Result<Option<String>, Reason> {
        match &self.target {
            Target::Scheme { scheme, .. } if exchange.request.scheme == scheme.name() => Ok(None),
            Target::Scheme { scheme, port } => {
                let host = exchange.request.host_name();
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                Ok(Some(format!("{}://{host}{port}{}", scheme.name(), exchange.request.path)))
            }
            Target::To { getter, ends } => {
                let to = getter.address(exchange)?;
                let stays = getter.constant().is_some() || !steps_up(&to);
                let allowed = stays
                    && match ends {
                        Ends::Wherever => true,
                        Ends::Here => !leads_away(&to),
                        Ends::Within(origins) => {
                            origin(&to).map_or_else(|| !leads_away(&to), |origin| origins.contain(origin))
                        }
                    };
                match allowed {
                    true => Ok(Some(to)),
                    false => Err(Reason::new(
                        REDIRECT_NOT_ALLOWED,
                        "the redirect would lead to where the policy does not allow",
                    )
                    .with_status(StatusCode::BAD_REQUEST)),
                }
            }
        }
    }
}

/// The origin of an address, as far as it is plainly one: what stands before the first `/`, `?` or `#` after the scheme. Another way to write a host, a user's
/// name before it or a backslash in it, is no origin that anybody names.
fn origin(address: &str) -> Option<&str> {
    let start = address.find("://")? + 3;
    let end = address[start..].find(['/', '?', '#']).map_or(address.len(), |at| start + at);
    Some(&address[..end])
}

/// What no address may hold, percent-encoded (RFC 3986, section 2). What is encoded already stays.
fn encoded(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for byte in address.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy, told};

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!("[[filter]]\nuse = 'redirect'\n{settings}"))
    }

    /// The status and where to, or what is told.
    fn sent(settings: &str, path: &str) -> String {
        let ran = tested(settings).run(get(path, &[("host", "localhost")]));
        match ran.header("location") {
            "" => told(&ran),
            location => format!("{} {location}", ran.status),
        }
    }

    #[test]
    fn where_it_leads() {
        for (settings, path, expected) in [
            ("to = '/new'", "/old", "307 /new"),
            ("to = '/new'", "/old?a=1&b=%20", "307 /new?a=1&b=%20"),
            ("to = '/new'\nkeep_query = false", "/old?a=1", "307 /new"),
            ("to = '/new?c=2'", "/old?a=1", "307 /new?c=2"),
            ("to = '/new#part'", "/old?a=1", "307 /new?a=1#part"),
            ("to = '/v2${request.path}'\nstatus = 301", "/a%20b/%C3%A4", "301 /v2/a%20b/%C3%A4"),
            (
                "to = 'https://www.example.com${request.path}'\nallow = ['https://www.example.com']",
                "/a",
                "307 https://www.example.com/a",
            ),
            (
                "to = 'https://www.example.com/${request.query.q}'\nkeep_query = false",
                "/a?q=%0d%0aset-cookie:%20a%5c%22%c3%a4",
                "307 https://www.example.com/%0D%0Aset-cookie:%20a%5C%22%C3%A4",
            ),
            // A value is what it is, and not a query, a fragment, another parameter or what it is when it is decoded twice.
            ("to = '/x/${request.query.q}'\nkeep_query = false", "/a?q=b%3fc%23d%252e/e", "307 /x/b%3Fc%23d%252e/e"),
            ("to = '/x?back=${request.query.q}&d=1'", "/a?q=b%26c%3dd/%25", "307 /x?back=b%26c%3Dd%2F%25&d=1"),
            ("to = '/login?to=${request.uri}'", "/a%20b?c=d&e", "307 /login?to=%2Fa%2520b%3Fc%3Dd%26e"),
            ("to = '/x?${request.query_string ?? a=b}'", "/a?q=%20&r", "307 /x?q=%20&r"),
            ("to = 'https://www.example.com/'\nstatus = 303", "/", "303 https://www.example.com/"),
        ] {
            assert_eq!(sent(settings, path), expected, "{settings} {path}");
        }
    }

    #[test]
    fn nobody_is_sent_to_a_place_of_anothers_choice() {
        let allow = "to = '${request.query.to}'\nkeep_query = false\nallow = ['https://app.example.com', 'https://*.ours.example']";
        for (settings, path, expected) in [
            (allow, "/?to=https://app.example.com/x", "307 https://app.example.com/x"),
            (allow, "/?to=https://a.ours.example", "307 https://a.ours.example"),
            (allow, "/?to=/here", "307 /here"),
            (allow, "/?to=https://evil.example/", "400 redirect-not-allowed"),
            (allow, "/?to=https://evil.example/https://app.example.com/", "400 redirect-not-allowed"),
            (allow, "/?to=https://app.example.com@evil.example/", "400 redirect-not-allowed"),
            (allow, "/?to=https://app.example.com%5c.evil.example/", "400 redirect-not-allowed"),
            (allow, "/?to=https:/evil.example", "400 redirect-not-allowed"),
            (allow, "/?to=//evil.example", "400 redirect-not-allowed"),
            (allow, "/?to=/%5cevil.example", "400 redirect-not-allowed"),
            (allow, "/?to=/%09/evil.example", "400 redirect-not-allowed"),
            (allow, "/?to=javascript:alert(1)", "400 redirect-not-allowed"),
            ("to = '/${request.query.to}'\nkeep_query = false", "/?to=a", "307 /a"),
            ("to = '/${request.query.to}'\nkeep_query = false", "/?to=/evil.example", "400 redirect-not-allowed"),
            ("to = '/${request.query.to}'\nkeep_query = false", "/?to=%5cevil.example", "307 /%5Cevil.example"),
            ("to = '/in/${request.query.to}'\nkeep_query = false", "/?to=a/../../b", "400 redirect-not-allowed"),
            ("to = 'https://a.example/in/${request.query.to}'", "/?to=../b", "400 redirect-not-allowed"),
            ("to = '/in/${request.query.to}?x=..'", "/?to=..a", "307 /in/..a?x=.."),
            (allow, "/?to=/a/%252E./b", "400 redirect-not-allowed"),
        ] {
            assert_eq!(sent(settings, path), expected, "{settings} {path}");
        }
    }

    #[test]
    fn the_same_address_by_another_scheme() {
        let by = |settings: &str, scheme: &'static str, host: &str| {
            let tested = policy(&format!(
                "[[filter]]\nuse = 'redirect'\n{settings}\n\n[[filter]]\nuse = 'respond'\ntext = 'went on'"
            ));
            let mut request = get("/a%20b?c=d", &[]);
            (request.scheme, request.host) = (scheme, host.into());
            let ran = tested.run(request);
            format!("{} {}{}", ran.status, ran.header("location"), ran.text())
        };
        assert_eq!(by("scheme = 'https'", "http", "a.example:8080"), "308 https://a.example/a%20b?c=d");
        assert_eq!(
            by("scheme = 'https'\nport = 8443\nstatus = 302", "http", "[::1]:80"),
            "302 https://[::1]:8443/a%20b?c=d"
        );
        assert_eq!(by("scheme = 'https'\nport = 443", "http", "[::1]"), "308 https://[::1]/a%20b?c=d");
        assert_eq!(by("scheme = 'https'", "https", "a.example"), "200 went on");
    }

    #[test]
    fn what_leads_anywhere_is_refused_at_load() {
        for (settings, said) in [
            ("", "one of `to` and `scheme`"),
            ("to = '/'\nscheme = 'https'", "one of `to` and `scheme`"),
            ("to = '//evil.example'", "where this leads is not known"),
            ("to = '${request.query.to}'", "where this leads is not known"),
            ("to = 'https://${request.query.host}/'", "where this leads is not known"),
            ("to = 'https://example.com${request.query.more}'", "where this leads is not known"),
            ("to = 'example.com/'", "where this leads is not known"),
            ("to = '${request.query.to}'\nallow = ['*']", "this is an open redirector"),
            (
                "to = '${request.query.to}'\nallow = ['${request.header.origin}']",
                "origins are known when a policy is loaded",
            ),
            ("to = '/'\nstatus = 304", "this is no status of a redirect"),
            ("to = '/'\nport = 1", "`to` has its own port"),
            ("scheme = 'https'\nallow = ['https://a.example']", "`allow` goes with `to`"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
