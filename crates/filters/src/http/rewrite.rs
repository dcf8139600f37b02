//! `rewrite`: gives the request another path, another query, or both, for the filters after it and for the upstream. In Oracle API
//! Gateway: Rewrite URL, Set HTTP Path.
//!
//! The route is chosen before, and stays. Whatever comes of it is brought into the one normal form that paths have here, and is refused
//! (400) where a server could read a step up (`..`) in it.
//!
//! ```toml
//! [[filter]]
//! use          = "rewrite"
//! strip_prefix = "/shop"                       # /shop/orders/7 becomes /v2/orders/7
//! add_prefix   = "/v2"
//! remove_query = ["debug"]
//! set_query    = { tenant = "${client.id ?? none}" }
//! ```
//!
//! What a prefix does not say, a regular expression does (the crate `regex`: time is linear in the path's length). It sees the path in its normal
//! form, percent-encoded, and finds its first match; `$1` and `$name` in `replace` are its groups.
//!
//! ```toml
//! [[filter]]
//! use     = "rewrite"
//! match   = "^/users/([0-9]+)/avatar$"
//! replace = "/avatars/$1.png"
//! ```
//!
//! With `path` the whole is put together anew, from text and selectors, as it reads: what needs encoding is encoded. `${request.path}` is
//! encoded already, and stays as it is.
//!
//! ```toml
//! [[filter]]
//! use  = "rewrite"
//! path = "/tenants/${request.header.x-tenant}/orders"
//! ```

use http::Uri;
use http::uri::PathAndQuery;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::{Form, path};
use policy::outcome::BAD_REQUEST;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason};

use crate::entries::Entries;

/// `use = "rewrite"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Taken off where the path begins with it, whole segments only; another path stays as it is.
    strip_prefix: Option<Spanned<String>>,
    /// Put before the path, after `strip_prefix` has been taken off.
    add_prefix: Option<Spanned<String>>,
    /// A regular expression over the path; one that does not fit leaves it as it is. With `replace`.
    #[serde(rename = "match")]
    pattern: Option<Spanned<String>>,
    /// What stands in place of the match; `$1`, `$name` are groups of the expression, `$$` is a `$`.
    replace: Option<Spanned<String>>,
    /// The whole path, as it reads; `${request.path}` stays as it is.
    path: Option<Dynamic<String>>,
    /// Parameters that the query keeps; an empty list: none. Default: all of them.
    keep_query: Option<Vec<String>>,
    /// Parameters that are taken off.
    #[serde(default)]
    remove_query: Vec<String>,
    /// Parameters that are set, in place of those of that name; a value that is absent on purpose (`${x ??}`) takes them off.
    #[serde(default)]
    set_query: Entries<Dynamic<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "rewrite";
    type Filter = Rewrite;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Rewrite, Diagnostics> {
        let new_path = self.new_path(cx)?;
        let changes_query = self.keep_query.is_some() || !self.remove_query.is_empty() || !self.set_query.0.is_empty();
        if matches!(new_path, NewPath::Same) && !changes_query {
            let help =
                "say what is to be another: `strip_prefix`, `add_prefix`, `match` and `replace`, `path`, or the query";
            return Err(cx.error(cx.own_place().span, "`rewrite` changes nothing", help).into());
        }
        cx.fails_rarely(&[BAD_REQUEST]);
        let mut set = Vec::new();
        for (name, value) in &self.set_query.0 {
            set.push((name.value.clone(), cx.dynamic(value)?));
        }
        let keep = self.keep_query.clone();
        Ok(Rewrite { new_path, query: changes_query.then(|| Query { keep, remove: self.remove_query.clone(), set }) })
    }
}

impl Settings {
    fn new_path(&self, cx: &mut BuildContext<'_>) -> Result<NewPath, Diagnostics> {
        let prefixes = self.strip_prefix.is_some() || self.add_prefix.is_some();
        let expression = self.pattern.is_some() || self.replace.is_some();
        if [prefixes, expression, self.path.is_some()].into_iter().filter(|given| *given).count() > 1 {
            let help = "keep prefixes, or `match` and `replace`, or `path`; for one after the other, write two filters";
            return Err(cx.error(cx.own_place().span, "a path is rewritten in one way", help).into());
        }
        if let Some(path) = &self.path {
            cx.sets_path();
            return Ok(NewPath::Whole(cx.path(path)?));
        }
        match (&self.pattern, &self.replace) {
            (Some(pattern), Some(replace)) => expression_of(pattern, replace, cx),
            (Some(only), None) | (None, Some(only)) => {
                let help = "`match` finds a part of the path, `replace` says what stands there instead";
                Err(cx.error(only.span, "`match` and `replace` go together", help).into())
            }
            (None, None) if prefixes => {
                let strip = self.strip_prefix.as_ref().map(|prefix| checked_prefix(prefix, cx)).transpose()?;
                let add = self.add_prefix.as_ref().map(|prefix| checked_prefix(prefix, cx)).transpose()?;
                Ok(NewPath::Prefix { strip: strip.unwrap_or_default(), add: add.unwrap_or_default() })
            }
            (None, None) => Ok(NewPath::Same),
        }
    }
}

/// A prefix in the normal form, without a slash at its end.
fn checked_prefix(prefix: &Spanned<String>, cx: &BuildContext<'_>) -> Result<String, Diagnostics> {
    match path::normal_form_of_text(&prefix.value) {
        Ok(normal) => Ok(normal.trim_end_matches('/').to_owned()),
        Err(problem) => Err(cx
            .error(prefix.span, problem.message(), "a prefix is a path: it begins with `/`, and has no `..`")
            .into()),
    }
}

fn expression_of(
    pattern: &Spanned<String>,
    replace: &Spanned<String>,
    cx: &BuildContext<'_>,
) -> Result<NewPath, Diagnostics> {
    let regex = Regex::new(&pattern.value).map_err(|error| {
        let why = error.to_string();
        let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let help = "the syntax is that of the Rust crate `regex`, which has no look-around and no back-references";
        cx.error(pattern.span, format!("this is no regular expression: {last}"), help)
    })?;
    if replace.value.contains("${") {
        let help = "write `$1` or `$name` for a group of the expression; a path from selectors is `path`";
        return Err(cx.error(replace.span, "`replace` has no selectors", help).into());
    }
    if let Some(unknown) = groups(&replace.value).find(|name| !has_group(&regex, name)) {
        let help = "a group is `(...)`, the first is `$1`; or `(?<name>...)`, which is `$name`. A `$` is written `$$`";
        return Err(cx.error(replace.span, format!("the expression has no group `{unknown}`"), help).into());
    }
    // Letters after a number would belong to a name: `$1a`. They are told from each other here as everybody reads them.
    Ok(NewPath::Expression { regex, replace: braced(&replace.value) })
}

/// The groups that a replacement names.
fn groups(replace: &str) -> impl Iterator<Item = &str> {
    pieces(replace).filter_map(|(_, group)| group)
}

/// `$1x` as `${1}x`.
fn braced(replace: &str) -> String {
    let mut out = String::new();
    for (text, group) in pieces(replace) {
        out.push_str(&text.replace('$', "$$"));
        if let Some(group) = group {
            out.extend(["${", group, "}"]);
        }
    }
    out
}

/// The replacement as pieces of text, each with the group that follows it.
fn pieces(replace: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(replace);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.find('$') else {
            rest = None;
            return Some((text, None));
        };
        let after = &text[at + 1..];
        if let Some(more) = after.strip_prefix('$') {
            rest = Some(more);
            return Some((&text[..=at], None));
        }
        let number = after.starts_with(|c: char| c.is_ascii_digit());
        let belongs = |c: char| if number { c.is_ascii_digit() } else { c.is_ascii_alphanumeric() || c == '_' };
        let end = after.find(|c| !belongs(c)).unwrap_or(after.len());
        rest = Some(&after[end..]);
        Some((&text[..at], Some(&after[..end])))
    })
}

fn has_group(regex: &Regex, name: &str) -> bool {
    match name.parse::<usize>() {
        Ok(number) => number < regex.captures_len(),
        Err(_) => regex.capture_names().flatten().any(|known| known == name),
    }
}

enum NewPath {
    Same,
    Prefix { strip: String, add: String },
    Expression { regex: Regex, replace: String },
    Whole(Getter<String>),
}

struct Query {
    keep: Option<Vec<String>>,
    remove: Vec<String>,
    set: Vec<(String, Getter<String>)>,
}

/// The compiled filter.
pub(crate) struct Rewrite {
    new_path: NewPath,
    query: Option<Query>,
}

impl Filter for Rewrite {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let target = self.new_path.of(exchange).and_then(|path| {
            let query = match &self.query {
                Some(query) => query.of(exchange)?,
                None => exchange.request.query.clone(),
            };
            sendable(&path, query.as_deref())?;
            Ok((path, query))
        });
        match target {
            Ok((path, query)) => {
                exchange.request.set_target(path, query);
                Ok(Outcome::Success)
            }
            Err(reason) => Ok(Outcome::Failure(reason)),
        }
    }
}

impl NewPath {
    fn of(&self, exchange: &Exchange) -> Result<String, Reason> {
        let path = &exchange.request.path;
        let new = match self {
            NewPath::Same => return Ok(path.clone()),
            NewPath::Prefix { strip, add } => {
                let rest = path.strip_prefix(strip).filter(|rest| rest.is_empty() || rest.starts_with('/'));
                let rest = rest.unwrap_or(path);
                let new = format!("{add}{rest}");
                path::normalise(if new.is_empty() { "/" } else { &new })
            }
            NewPath::Expression { regex, replace } => path::normalise(&regex.replace(path, replace.as_str())),
            NewPath::Whole(getter) => return getter.path(exchange),
        };
        new.map_err(|problem| Reason::bad_request(format!("the rewritten path is refused: {}", problem.message())))
    }
}

impl Query {
    /// The parameters that are left keep their order and their form; those that are set come after them.
    fn of(&self, exchange: &Exchange) -> Result<Option<String>, Reason> {
        let query = exchange.request.query.as_deref().unwrap_or_default();
        let mut parts: Vec<String> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let form = Form::parse(part.as_bytes())?;
            let name = form.iter().next().map_or("", |(name, _)| name);
            let kept = self.keep.as_ref().is_none_or(|keep| keep.iter().any(|known| known == name));
            let removed = self.remove.iter().any(|known| known == name) || self.set.iter().any(|(set, _)| set == name);
            if kept && !removed {
                parts.push(part.to_owned());
            }
        }
        for (name, value) in &self.set {
            if let Some(value) = value.get_optional(exchange)? {
                parts.push(form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish());
            }
        }
        Ok((!parts.is_empty()).then(|| parts.join("&")))
    }
}

/// What cannot be an upstream's target is refused here, where it is made.
fn sendable(path: &str, query: Option<&str>) -> Result<(), Reason> {
    let text = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    match text.parse::<PathAndQuery>().map(Uri::from) {
        Ok(_) => Ok(()),
        Err(_) => Err(Reason::bad_request("the rewritten path or query cannot be sent to an upstream")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{always, answer, get, policy, sent, told};

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!("[[filter]]\nuse = 'rewrite'\n{settings}\n\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'"))
    }

    fn target(settings: &str, path: &str) -> String {
        let ran = tested(settings).run(get(path, &[("x-tenant", "a b/../c"), ("x-name", "100%")]));
        match ran.refused() {
            Some(_) => told(&ran),
            None => sent(&ran)["uri"].as_str().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn paths() {
        for (settings, path, expected) in [
            ("strip_prefix = '/shop'", "/shop/orders/7?a=1", "/orders/7?a=1"),
            ("strip_prefix = '/shop'", "/shop", "/"),
            ("strip_prefix = '/shop/'", "/shop/", "/"),
            ("strip_prefix = '/shop'", "/shopping/7", "/shopping/7"),
            ("strip_prefix = '/a b'", "/a%20b/%C3%A4", "/%C3%A4"),
            ("add_prefix = '/v2/'", "/a%20b/c", "/v2/a%20b/c"),
            ("strip_prefix = '/shop'\nadd_prefix = '/v2'", "/shop/a%2Fb", "/v2/a%2Fb"),
            ("match = '^/users/([0-9]+)/avatar$'\nreplace = '/avatars/$1.png'", "/users/7/avatar", "/avatars/7.png"),
            ("match = '^/users/([0-9]+)/avatar$'\nreplace = '/avatars/$1.png'", "/users/x/avatar", "/users/x/avatar"),
            (
                "match = '/(?<year>[0-9]{4})-(?<month>[0-9]{2})'\nreplace = '/$year/$month/x$1y'",
                "/on/2026-11/a",
                "/on/2026/11/x2026y/a",
            ),
            ("match = '^/price'\nreplace = '/$$'", "/price/7", "/$/7"),
            ("match = '^/a(.*)'\nreplace = '$1'", "/a/b", "/b"),
            ("match = '^/a'\nreplace = '/what?x=1#y'", "/a", "/what%3Fx=1%23y"),
            (
                "path = '/find/${request.header.x-name}/${request.query.q}'",
                "/?q=a%20b%2Fc",
                "/find/100%25/a%20b/c?q=a%20b%2Fc",
            ),
            ("path = '/v2${request.path}'", "/a%20b%2Fc%25", "/v2/a%20b%2Fc%25"),
            ("path = '${request.path}'", "/a%20b%2Fc%25", "/a%20b%2Fc%25"),
            ("path = '/${request.query.q ?? x}${request.query.p ?? ${request.path}}'", "/%20", "/x/%20"),
            ("path = '${request.query.p ?? ${request.path}}'", "/%20", "/%20"),
            ("path = '${request.query.p ?? ${request.path}}'", "/?p=%2Fa%2520", "/a%2520?p=%2Fa%2520"),
        ] {
            assert_eq!(target(settings, path), expected, "{settings} {path}");
        }
    }

    #[test]
    fn nothing_leads_upwards_or_out_of_its_line() {
        for (settings, path) in [
            ("path = '/tenants/${request.header.x-tenant}'", "/"),
            ("path = '/x/${request.query.q}'", "/?q=..%2Fadmin"),
            ("path = '/x/${request.query.q}/y'", "/?q=."),
            ("path = '/x/.${request.path}'", "/./a"),
            ("path = '/x/${request.query.q}.${request.path}'", "/a?q=."),
            ("path = '/x/${request.query.q}'", "/?q=..%5Cadmin"),
            ("path = '/x/${request.query.q}'", "/?q=a%0d%0ab"),
            ("match = '^/up/(.*)/x$'\nreplace = '/a/$1./b'", "/up/./x"),
            ("match = 'x'\nreplace = '.'", "/a/x."),
            ("match = '^/a'\nreplace = ''", "/ab"),
            ("match = '^/a'\nreplace = ''", "/a"),
        ] {
            assert_eq!(target(settings, path), "400 bad-request", "{settings} {path}");
        }
    }

    #[test]
    fn queries() {
        for (settings, path, expected) in [
            ("remove_query = ['debug']", "/a?debug=1&b=%20&debug", "/a?b=%20"),
            ("keep_query = ['b']", "/a?a=1&b=2&%62=3", "/a?b=2&%62=3"),
            ("keep_query = []", "/a?a=1", "/a"),
            ("set_query = { t = '${request.header.x-name}' }", "/a?t=1&b", "/a?b&t=100%25"),
            ("set_query = { t = '${request.query.none ??}' }", "/a?t=1", "/a"),
            ("set_query = { t = 'a&b=c' }\nadd_prefix = '/v2'", "/a", "/v2/a?t=a%26b%3Dc"),
            ("remove_query = ['x']", "/a?%zz", "400 bad-request"),
        ] {
            assert_eq!(target(settings, path), expected, "{settings} {path}");
        }
    }

    #[test]
    fn the_filters_after_it_see_the_new_target() {
        let text = "[[filter]]\nuse = 'rewrite'\nadd_prefix = '/v2'\nset_query = { a = 'new' }\n\n[[filter]]\nuse = 'respond'\ntext = '${request.path} ${request.query.a}'";
        assert_eq!(policy(text).run(get("/x?a=old", &[])).text(), "/v2/x new");
    }

    #[test]
    fn what_the_upstream_says_of_itself_is_where_the_client_asked() {
        let text = "route = '/shop/**'\n\n[[filter]]\nuse = 'rewrite'\nstrip_prefix = '/shop'\n\n[[filter]]\nuse = 'proxy'\nupstream = 'moves'";
        let tested = crate::fixture::world()
            .resource(
                policy::ports::UPSTREAM,
                "moves",
                always(|| Ok(answer(302, &[("location", "/orders/8")], String::new()))),
            )
            .policy("tested", text);
        assert_eq!(tested.run(get("/shop/orders/7", &[])).header("location"), "/shop/orders/8");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_at_load() {
        for (settings, said) in [
            ("", "`rewrite` changes nothing"),
            ("path = '/a'\nadd_prefix = '/b'", "rewritten in one way"),
            ("match = '^/a'", "go together"),
            ("match = '('\nreplace = '/'", "this is no regular expression: unclosed group"),
            ("match = '^/(a)'\nreplace = '/$2'", "the expression has no group `2`"),
            ("match = '^/(a)'\nreplace = '/$name'", "the expression has no group `name`"),
            ("match = '^/(a)'\nreplace = '/${vars.x}'", "`replace` has no selectors"),
            ("add_prefix = 'v2'", "the path has a character that is not allowed"),
            ("strip_prefix = '/a/../b'", "a path segment is a step up"),
            ("path = 'a'", "the path has a character that is not allowed"),
            ("path = '/v2${request.uri}'", "`request.uri` is encoded already"),
            ("path = { cel = '\"/v2\" + request.path' }", "`request.path` is encoded already"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }

    #[test]
    fn groups_of_a_replacement() {
        for (replace, names, braced_as) in [
            ("/$1.png", &["1"][..], "/${1}.png"),
            ("$$x$1a$b", &["1", "b"], "$$x${1}a${b}"),
            ("", &[], ""),
            ("a$", &[""], "a${}"),
        ] {
            assert_eq!(
                (groups(replace).collect::<Vec<_>>(), braced(replace)),
                (names.to_vec(), braced_as.to_owned()),
                "{replace}"
            );
        }
    }
}
