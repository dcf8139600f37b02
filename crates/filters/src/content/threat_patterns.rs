//! `threat-patterns`: refuses a request in which something looks like an attack. In Oracle API Gateway: Threatening Content.
//!
//! Patterns know attacks as they are usually written. Whoever writes one in another way gets past them, and some honest requests do not:
//! begin with `mode = "log"`, and look at what would be refused. They are no substitute for an upstream that is safe by itself;
//! an allow list (`json-schema`, `query-rules`, `header-rules`) says more where the API is known. The sets that ship:
//! `sql-injection`, `xss`, `path-traversal`, `shell`, `jndi` (Log4Shell and the like), `template` (expressions of template engines), `xxe`
//! (entities in XML).
//!
//! Each value is looked at as it came, and with its percent-encoding taken off once and twice; of a JSON body also each name and
//! text, without escapes. A body that is compressed cannot be looked at: 415. Case does not matter, and all patterns together take time
//! that grows with the length of the request and with nothing else. The client is told nothing but the status; the log says which set, and where.
//!
//! ```toml
//! [[filter]]
//! use      = "threat-patterns"
//! sets     = ["sql-injection", "xss", "path-traversal", "shell", "jndi"]
//! in       = ["path", "query", "headers", "body"]
//! patterns = { old-admin = "^/cgi-bin/" }
//! ```

use std::borrow::Cow;

use http::StatusCode;
use http::header::COOKIE;
use percent_encoding::percent_decode;
use regex::bytes::{RegexSet, RegexSetBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use policy::attribute::Slot;
use policy::exchange::FORM;
use policy::filter::Judges;
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Request, Value,
};

use super::threat_sets::SETS;
use crate::entries::Entries;

/// Something in the request looks like an attack.
const THREAT: ReasonCode = ReasonCode::new("threat");

/// All patterns of a filter, compiled, may take so much memory.
const LARGEST: usize = 16 * 1024 * 1024;

/// `use = "threat-patterns"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The sets that ship and are looked for: `sql-injection`, `xss`, `path-traversal`, `shell`, `jndi`, `template`, `xxe`. Default: none.
    #[serde(default)]
    sets: Vec<Spanned<String>>,
    /// Patterns of your own: a name for the log, and a regular expression (the syntax of Rust's `regex`: no look-around;
    /// `(?-u:\b)` is quicker than `\b` on text that is not ASCII). Default: none.
    #[serde(default)]
    patterns: Entries<Spanned<String>>,
    /// Where it looks: `path`, `query`, `headers`, `body` (a form's or JSON's values among it). Default: path, query and headers.
    #[serde(rename = "in", default = "places")]
    places: Spanned<Vec<Part>>,
    /// `refuse` (default), or `log`: the request passes, and the log has a warning.
    #[serde(default)]
    mode: Mode,
    /// A variable that gets the name of the set or pattern; it stays absent where nothing is found. Default: none.
    into: Option<Spanned<String>>,
    /// The status of a refusal: 400 to 499. Default: 400.
    #[schemars(range(min = 400, max = 499))]
    status: Option<Spanned<u16>>,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Part {
    /// The path.
    Path,
    /// Names and values of the query.
    Query,
    /// Values of all headers, each cookie by itself.
    Headers,
    /// The body.
    Body,
}

/// What comes of a find.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// The request is refused.
    #[default]
    Refuse,
    /// The request passes; the log has a warning.
    Log,
}

fn places() -> Spanned<Vec<Part>> {
    vec![Part::Path, Part::Query, Part::Headers].into()
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "threat-patterns";
    type Filter = ThreatPatterns;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ThreatPatterns, Diagnostics> {
        cx.shapes_nothing();
        let mut problems = Diagnostics::new();
        let (mut shipped, mut own) = (Named::default(), Named::default());
        for set in &self.sets {
            match SETS.iter().find(|(name, _)| *name == set.value) {
                Some((name, of)) => of.iter().for_each(|pattern| {
                    // In bytes: where a word ends, in any script, costs a hundred times as much on text that is not ASCII.
                    shipped.push(name, format!("(?-u:{pattern})"));
                }),
                None => {
                    let known = SETS.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                    problems.push(cx.error(
                        set.span,
                        format!("there is no set `{}`", set.value),
                        format!("there are {known}"),
                    ));
                }
            }
        }
        for (name, pattern) in &self.patterns.0 {
            if let Err(why) = compile(&[&pattern.value]) {
                let help = "no look-around and no back-references: patterns are matched in linear time";
                problems.push(cx.error(pattern.span, format!("this is no pattern: {why}"), help));
            }
            own.push(&name.value, pattern.value.clone());
        }
        if own.names.is_empty() && self.sets.is_empty() {
            let help = "write `sets = [\"sql-injection\", \"xss\"]`, or `patterns` of your own";
            problems.push(cx.error(cx.own_place().span, "`threat-patterns` looks for nothing", help));
        }
        if self.places.value.is_empty() {
            problems.push(cx.error(self.places.span, "it looks nowhere", "name `path`, `query`, `headers` or `body`"));
        }
        let status = match &self.status {
            None => StatusCode::BAD_REQUEST,
            Some(status) => match StatusCode::from_u16(status.value).ok().filter(StatusCode::is_client_error) {
                Some(status) => status,
                None => {
                    let help = "400 to 499";
                    problems.push(cx.error(status.span, "this is no status of such a refusal", help));
                    StatusCode::BAD_REQUEST
                }
            },
        };
        if problems.has_errors() {
            return Err(problems);
        }
        let mut sets = Vec::new();
        for named in [shipped, own].into_iter().filter(|named| !named.names.is_empty()) {
            let set = compile(&named.patterns);
            sets.push((set.map_err(|why| cx.error(cx.own_place().span, why, "use fewer patterns"))?, named.names));
        }
        if self.places.value.contains(&Part::Body) {
            cx.reads_request_body();
        }
        if self.mode == Mode::Refuse {
            cx.fails(&[THREAT]);
            cx.judges(Judges::Alike);
        }
        if self.places.value.contains(&Part::Headers) {
            cx.goes_by("request.header");
        }
        let into = self.into.as_ref().map(|name| cx.may_write_var(&name.value));
        Ok(ThreatPatterns { sets, places: self.places.value.clone(), mode: self.mode, into, status })
    }
}

fn compile(patterns: &[impl AsRef<str>]) -> Result<RegexSet, String> {
    let mut builder = RegexSetBuilder::new(patterns);
    let built =
        builder.case_insensitive(true).dot_matches_new_line(true).size_limit(LARGEST).dfa_size_limit(LARGEST).build();
    built.map_err(|why| why.to_string())
}

/// Patterns and what each is called.
#[derive(Default)]
struct Named {
    names: Vec<String>,
    patterns: Vec<String>,
}

impl Named {
    fn push(&mut self, name: &str, pattern: String) {
        self.names.push(name.to_owned());
        self.patterns.push(pattern);
    }
}

/// The compiled filter.
pub(crate) struct ThreatPatterns {
    /// What ships, and patterns of an operator's own: each with the names of its patterns.
    sets: Vec<(RegexSet, Vec<String>)>,
    places: Vec<Part>,
    mode: Mode,
    into: Option<Slot<Value>>,
    status: StatusCode,
}

impl Filter for ThreatPatterns {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let found = self.places.iter().find_map(|part| match self.look(*part, &exchange.request) {
            Ok(found) => found.map(|name| Ok((name, *part))),
            Err(reason) => Some(Err(reason)),
        });
        let found = match found.transpose() {
            Ok(found) => found,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        if let Some(slot) = self.into {
            match found {
                Some((name, _)) => exchange.set(slot, Value::text(name)),
                None => exchange.unset(slot),
            }
        }
        let Some((name, part)) = found else { return Ok(Outcome::Success) };
        let message = format!("the {} looks like `{name}`", part.in_words());
        match self.mode {
            Mode::Refuse => Ok(Outcome::Failure(Reason::new(THREAT, message).with_status(self.status))),
            Mode::Log => {
                tracing::warn!(request = &*exchange.request.id, threat = name, "{message}; it passes");
                Ok(Outcome::Success)
            }
        }
    }
}

impl ThreatPatterns {
    /// The first set that something in this part of the request looks like.
    fn look(&self, part: Part, request: &Request) -> Result<Option<&str>, Reason> {
        Ok(match part {
            Part::Path => self.find(request.path.as_bytes()),
            Part::Query => self.find_in_form(request.query.as_deref().unwrap_or_default().as_bytes()),
            Part::Headers => request.headers.iter().find_map(|(name, value)| match name {
                &COOKIE => value.as_bytes().split(|byte| *byte == b';').find_map(|cookie| self.find(cookie)),
                _ => self.find(value.as_bytes()),
            }),
            Part::Body => {
                let body = request.plain_body()?;
                let found = match request.content_type()?.as_deref() == Some(FORM) {
                    true => self.find_in_form(body),
                    false => self.find(body),
                };
                // Whatever its type is said to be: an upstream may not care.
                found.or_else(|| serde_json::from_slice(body).ok().and_then(|json: Json| self.find_in_json(&json)))
            }
        })
    }

    fn find_in_form(&self, form: &[u8]) -> Option<&str> {
        form.split(|byte| *byte == b'&').find_map(|pair| {
            let spaced: Cow<'_, [u8]> = match pair.contains(&b'+') {
                true => pair.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect::<Vec<_>>().into(),
                false => pair.into(),
            };
            let value = spaced.iter().position(|byte| *byte == b'=').map(|at| &spaced[at + 1..]);
            self.find(&spaced).or_else(|| self.find(value?))
        })
    }

    fn find_in_json(&self, json: &Json) -> Option<&str> {
        match json {
            Json::String(text) => self.find(text.as_bytes()),
            Json::Array(items) => items.iter().find_map(|item| self.find_in_json(item)),
            Json::Object(members) => {
                members.iter().find_map(|(name, value)| self.find(name.as_bytes()).or_else(|| self.find_in_json(value)))
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => None,
        }
    }

    /// Looks at a value as it is, and with its percent-encoding taken off once and twice.
    fn find(&self, value: &[u8]) -> Option<&str> {
        let mut value = Cow::Borrowed(value);
        for _ in 0..3 {
            for (set, names) in &self.sets {
                if let Some(index) = set.matches(&value).iter().next() {
                    return Some(&names[index]);
                }
            }
            if !value.contains(&b'%') {
                return None;
            }
            let decoded: Vec<u8> = percent_decode(&value).collect();
            if decoded.len() == value.len() {
                return None;
            }
            value = Cow::Owned(decoded);
        }
        None
    }
}

impl Part {
    fn in_words(self) -> &'static str {
        match self {
            Part::Path => "path",
            Part::Query => "query",
            Part::Headers => "value of a header",
            Part::Body => "body",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy, post_json, request, told};
    use http::Method;

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!(
            "[[filter]]\nuse = 'threat-patterns'\n{settings}\n[[filter]]\nuse = 'respond'\ntext = 'reached'\n"
        ))
    }

    #[test]
    fn it_looks_where_it_is_told_and_through_encodings() {
        let everywhere = "sets = ['sql-injection', 'xss', 'path-traversal']\nin = ['path', 'query', 'headers', 'body']";
        let fixture = tested(everywhere);
        let refused = "400 threat";
        for (path, headers, body, expected) in [
            ("/a?q=O'Neil", &[][..], "", "200"),
            ("/a?q=%3Cscript%3E", &[], "", refused),
            ("/a?q=%253Cscript%253E", &[], "", refused),
            ("/a?q=1+union+select+2", &[], "", refused),
            ("/a?%3Cscript%3E=1", &[], "", refused),
            ("/a?q=..%2f..%2fx", &[], "", refused),
            ("/a/%3Cscript%3E", &[], "", refused),
            ("/a", &[("x-a", "<script>")], "", refused),
            ("/a", &[("cookie", "a=b; c=%3Cscript%3E")], "", refused),
            ("/a", &[], "<script>", refused),
            ("/a", &[("content-type", "application/x-www-form-urlencoded")], "a=%3Cscript%3E", refused),
            ("/a", &[("content-type", "application/json")], r#"{"a":["\u003cscript\u003e"]}"#, refused),
            ("/a", &[("content-type", "text/plain")], r#"{"\u003cscript\u003e":1}"#, refused),
            ("/a", &[("content-encoding", "gzip")], "packed", "415 bad-request"),
            ("/a?q=%&r=%zz", &[("x-a", "100%")], "50%", "200"),
        ] {
            let ran = fixture.run(request(Method::POST, path, headers, body));
            assert_eq!(told(&ran), expected, "{path} {headers:?} {body}");
        }
        let path_only = tested("sets = ['xss']\nin = ['path']");
        assert_eq!(
            told(&path_only.run(request(Method::POST, "/a?q=<script>", &[("x-a", "<script>")], "<script>"))),
            "200"
        );
    }

    #[test]
    fn the_client_is_not_told_what_was_found() {
        let ran = tested("sets = ['xss']\nstatus = 403").run(get("/a?q=%3Cscript%3E", &[]));
        assert_eq!(told(&ran), "403 threat");
        assert!(!ran.text().contains("xss") && !ran.text().contains("script"), "{}", ran.text());
    }

    #[test]
    fn it_may_only_tell() {
        let told_by = "sets = ['xss']\nmode = 'log'\ninto = 'threat'\n[[filter]]\nuse = 'respond'\ntext = '${vars.threat ?? none}'\nwhen = 'true'\n";
        let fixture = tested(told_by);
        assert_eq!(fixture.run(get("/a?q=%3Cscript%3E", &[])).text(), "xss");
        assert_eq!(fixture.run(get("/a?q=a", &[])).text(), "none");
    }

    #[test]
    fn patterns_of_ones_own() {
        let fixture = tested("patterns = { old-admin = '^/cgi-bin/' }\nin = ['path']");
        assert_eq!(told(&fixture.run(get("/CGI-bin/a", &[]))), "400 threat");
        assert_eq!(told(&fixture.run(get("/a/cgi-bin/", &[]))), "200");
    }

    /// A matcher with backtracking would be at this for ever.
    #[test]
    fn time_grows_with_the_length_and_with_nothing_else() {
        let fixture = tested("patterns = { a = '^(a+)+$' }\nsets = ['sql-injection', 'xss']\nin = ['body']");
        let body = format!("\"{}\"", "a".repeat(500_000));
        assert_eq!(told(&fixture.run(post_json("/a", &body))), "400 threat");
        assert_eq!(told(&fixture.run(post_json("/a", &("a".repeat(500_000) + "!")))), "200");
    }

    #[test]
    fn what_looks_for_nothing_is_refused_at_load() {
        for (settings, said) in [
            ("", "`threat-patterns` looks for nothing"),
            ("sets = ['sql']", "there is no set `sql`"),
            ("sets = ['xss']\nin = []", "it looks nowhere"),
            ("patterns = { a = '(?=a)' }", "this is no pattern"),
            ("patterns = { a = '(' }", "this is no pattern"),
            ("sets = ['xss']\nstatus = 200", "this is no status of such a refusal"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
