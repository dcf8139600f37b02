//! `static-files`: answers with the files of a folder. In Oracle API Gateway: static content.
//!
//! The files are read when they are asked for: one that changed is given out from then on. Nothing outside of the folder is, by whatever name or link, and no
//! name that begins with a dot. A name with `/` at its end is the folder's `index`; a folder without it is sent there. `GET` and `HEAD`
//! only, with conditional requests and ranges (RFC 9110, sections 13 and 14); large files stream.
//!
//! ```toml
//! [[filter]]
//! use    = "static-files"
//! folder = "site"
//!
//! [filter.cache]
//! "*.html"    = "no-cache"
//! "/assets/*" = "public, max-age=31536000, immutable"
//! ```
//!
//! A single-page application answers at every path: where there is no such file and a browser wants a page, it gets `fallback`. Behind a
//! prefix, the route's own name is the path.
//!
//! ```toml
//! [[filter]]
//! use      = "static-files"
//! folder   = "site"
//! fallback = "index.html"
//! ```

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::HeaderEdit;
use policy::filter::Answers;
use policy::outcome::{METHOD_NOT_ALLOWED, NOT_FOUND};
use policy::ports::{FOLDER, FolderHandle, Found, FoundFile};
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Response,
};

use super::codings::{Coding, accepted};
use super::conditions::{self, Part, Verdict};
use super::lists;
use crate::entries::Entries;

/// The file that the client has, or wants unchanged, is another one now.
const PRECONDITION_FAILED: ReasonCode = ReasonCode::new("precondition-failed");

/// The part that is asked for is not in the file.
const RANGE_NOT_SATISFIABLE: ReasonCode = ReasonCode::new("range-not-satisfiable");

/// The file is there and cannot be read.
const FILE_UNREADABLE: ReasonCode = ReasonCode::new("file-unreadable");

/// Whoever has a file asks whether it is still that.
const CACHE: &str = "no-cache";

/// `use = "static-files"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The folder, relative to the configuration folder. Not one that holds the configuration itself.
    folder: Spanned<String>,
    /// The file's name below it, as it reads. Default: the request's path. For a route `/docs/{*rest}`: `"${path.rest}"`.
    path: Option<Dynamic<String>>,
    /// The file that stands for its folder; `false`: none does. Default: `index.html`.
    index: Option<Spanned<Index>>,
    /// The file that is given to browsers that want a page (`Accept: text/html`) and ask for one that is not there. Default: none.
    fallback: Option<Spanned<String>>,
    /// What is done where there is no file: `fail` (404), `continue`: the filters after it run, for other methods too. Default: `fail`.
    #[serde(default)]
    missing: Missing,
    /// Whether `NAME.zst`, `NAME.br` and `NAME.gz` beside a file are given to whoever accepts them, where they are no older. Default: false.
    #[serde(default)]
    precompressed: bool,
    /// Whether names that begin with a dot are given out, too; those below `.well-known` are in any case. Default: false.
    #[serde(default)]
    dot_files: bool,
    /// `Cache-Control` by name, with one `*`: `"/assets/*"`, `"*.html"`; the first that fits. Default, and of others: `no-cache`, so that whoever has a file asks
    /// whether it is still that.
    #[serde(default)]
    cache: Entries<String>,
    /// Media types by ending: `{ md = "text/markdown; charset=utf-8" }`. Default: those that are known; of other endings `application/octet-stream`.
    #[serde(default)]
    types: Entries<String>,
}

/// A file's name, or `false`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Index {
    /// The name.
    Name(String),
    /// `false`: none.
    Switch(bool),
}

/// What is done where there is no file.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Missing {
    /// 404.
    #[default]
    Fail,
    /// The next filter.
    Continue,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "static-files";
    type Filter = StaticFiles;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<StaticFiles, Diagnostics> {
        cx.answers(if self.missing == Missing::Fail { Answers::Always } else { Answers::Sometimes });
        cx.fails_rarely(&[PRECONDITION_FAILED, RANGE_NOT_SATISFIABLE]);
        if self.missing == Missing::Fail {
            cx.fails(&[NOT_FOUND]);
            cx.fails_rarely(&[METHOD_NOT_ALLOWED]);
        }
        cx.aborts_rarely(&[FILE_UNREADABLE]);
        let index = match self.index.as_ref().map(|index| (&index.value, index.span)) {
            None => Some("index.html".to_owned()),
            Some((Index::Switch(false), _)) => None,
            Some((Index::Name(name), _)) if is_name(name) && !name.contains('/') => Some(name.clone()),
            Some((_, span)) => {
                return Err(cx
                    .error(span, "this is no name of a file", "`\"index.html\"`, or `false` for none")
                    .into());
            }
        };
        if let Some(fallback) = self.fallback.as_ref().filter(|fallback| !is_name(&fallback.value)) {
            let help = "its name below the folder, without `/` at its beginning: `\"index.html\"`";
            return Err(cx.error(fallback.span, "this is no name of a file", help).into());
        }
        if self.fallback.is_some() {
            cx.goes_by("request.header.accept");
        }
        let mut cache = Vec::new();
        for (pattern, value) in &self.cache.0 {
            if pattern.value.matches('*').count() > 1 {
                return Err(cx
                    .error(pattern.span, "a name has one `*` at most", "`\"/assets/*\"`, `\"*.html\"`")
                    .into());
            }
            cache.push((pattern.value.clone(), header_value(value, pattern, cx)?));
        }
        let mut types = Vec::new();
        for (ending, value) in &self.types.0 {
            let name = ending.value.trim_start_matches('.').to_ascii_lowercase();
            types.push((name, header_value(value, ending, cx)?));
        }
        Ok(StaticFiles {
            folder: cx.resource(FOLDER, &self.folder)?,
            path: self.path.as_ref().map(|path| cx.dynamic(path)).transpose()?,
            index,
            fallback: self.fallback.as_ref().map(|fallback| fallback.value.clone()),
            missing: self.missing,
            precompressed: self.precompressed,
            dot_files: self.dot_files,
            cache,
            types,
        })
    }
}

fn header_value(text: &str, at: &Spanned<String>, cx: &BuildContext<'_>) -> Result<HeaderValue, Diagnostics> {
    let help = "a header's value is one line of plain ASCII";
    HeaderValue::from_str(text).map_err(|_| cx.error(at.span, "this cannot be a header's value", help).into())
}

/// Names with `/` between them, none of which leads anywhere else.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.split('/').all(|part| !["", ".", ".."].contains(&part)) && !name.contains('\0')
}

/// The compiled filter.
pub(crate) struct StaticFiles {
    folder: Arc<FolderHandle>,
    path: Option<Getter<String>>,
    index: Option<String>,
    fallback: Option<String>,
    missing: Missing,
    precompressed: bool,
    dot_files: bool,
    cache: Vec<(String, HeaderValue)>,
    types: Vec<(String, HeaderValue)>,
}

/// What is answered.
enum Chosen {
    File {
        name: String,
        file: Box<dyn FoundFile>,
    },
    /// A folder, which is one with a slash at its end.
    ToFolder,
    Nothing,
}

impl Filter for StaticFiles {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let method = exchange.request.method.clone();
        if method != Method::GET && method != Method::HEAD {
            return Ok(self.other_method(exchange));
        }
        let name = match self.name(exchange) {
            Ok(name) => name,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let answer = match self.choose(exchange, name).await.map_err(unreadable)? {
            Chosen::Nothing if self.missing == Missing::Continue => return Ok(Outcome::Success),
            Chosen::Nothing => {
                let reason = Reason::new(NOT_FOUND, "there is no such file").with_status(StatusCode::NOT_FOUND);
                return Ok(Outcome::Failure(reason));
            }
            Chosen::ToFolder => to_folder(exchange),
            Chosen::File { name, file } => self.answer(exchange, &name, file).await?,
        };
        match answer {
            Ok(response) => exchange.answer(response),
            Err(reason) => Ok(Outcome::Failure(reason)),
        }
    }
}

impl StaticFiles {
    fn other_method(&self, exchange: &mut Exchange) -> Outcome {
        if self.missing == Missing::Continue {
            return Outcome::Success;
        }
        exchange.edit_response_header(HeaderEdit::Set(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
        let reason = Reason::new(METHOD_NOT_ALLOWED, "files are for GET and HEAD");
        Outcome::Failure(reason.with_status(StatusCode::METHOD_NOT_ALLOWED))
    }

    /// The name that is asked for, `/` at its end where it is a folder's; `None` where there can be no such file.
    fn name(&self, exchange: &Exchange) -> Result<Option<String>, Reason> {
        let name = match &self.path {
            Some(path) => Some(path.get(exchange)?.trim_start_matches('/').to_owned()),
            None => decoded(&exchange.request.path),
        };
        Ok(name.filter(|name| {
            let folder = name.strip_suffix('/').unwrap_or(name);
            name.is_empty() || is_name(folder) && (self.dot_files || !is_hidden(folder))
        }))
    }

    async fn choose(&self, exchange: &Exchange, name: Option<String>) -> std::io::Result<Chosen> {
        if let Some(mut name) = name {
            if name.is_empty() || name.ends_with('/') {
                name.push_str(self.index.as_deref().unwrap_or_default());
            }
            match self.find(&name).await? {
                Found::File(file) => return Ok(Chosen::File { name, file }),
                Found::Folder if self.has_index(exchange, &name).await? => return Ok(Chosen::ToFolder),
                Found::Folder | Found::Nothing => {}
            }
        }
        let wants_page = || accepts_html(&exchange.request.headers);
        if let Some(name) = self.fallback.clone().filter(|_| wants_page())
            && let Found::File(file) = self.find(&name).await?
        {
            return Ok(Chosen::File { name, file });
        }
        Ok(Chosen::Nothing)
    }

    async fn find(&self, name: &str) -> std::io::Result<Found> {
        match is_name(name) {
            true => self.folder.0.find(name).await,
            false => Ok(Found::Nothing),
        }
    }

    /// Whether the folder of this name has a page of its own, at the request's path with a slash at its end.
    async fn has_index(&self, exchange: &Exchange, folder: &str) -> std::io::Result<bool> {
        match &self.index {
            Some(index) if !exchange.request.path.ends_with('/') => {
                Ok(matches!(self.find(&format!("{folder}/{index}")).await?, Found::File(_)))
            }
            _ => Ok(false),
        }
    }

    /// The file as the request wants it: whole, a part, or only that it has not changed.
    async fn answer(
        &self,
        exchange: &mut Exchange,
        name: &str,
        file: Box<dyn FoundFile>,
    ) -> Result<Result<Response, Reason>, Abort> {
        let (file, coding) = self.compressed(&exchange.request.headers, name, file).await.map_err(unreadable)?;
        let request = &exchange.request;
        let length = file.length();
        let validators = conditions::Validators::of(file.modified(), length);
        let (status, part) = match conditions::decide(&request.method, &request.headers, &validators, length) {
            Verdict::Whole => (StatusCode::OK, Part { from: 0, length }),
            Verdict::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Verdict::NotModified => (StatusCode::NOT_MODIFIED, Part { from: 0, length: 0 }),
            Verdict::Failed => {
                let reason = Reason::new(PRECONDITION_FAILED, "the file is not the one that the request is about");
                return Ok(Err(reason.with_status(StatusCode::PRECONDITION_FAILED)));
            }
            Verdict::Unsatisfiable => {
                let reason = Reason::new(RANGE_NOT_SATISFIABLE, "the file has no such part");
                if let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}")) {
                    exchange.edit_response_header(HeaderEdit::Set(header::CONTENT_RANGE, range));
                }
                return Ok(Err(reason.with_status(StatusCode::RANGE_NOT_SATISFIABLE)));
            }
        };
        let mut response = Response::new(status);
        self.describe(&mut response.headers, name, coding, &validators);
        match status {
            StatusCode::NOT_MODIFIED => {}
            _ => {
                response.headers.insert(header::CONTENT_TYPE, self.type_of(name));
                response.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
                response.body = file.read(part.from, part.length);
            }
        }
        if status == StatusCode::PARTIAL_CONTENT {
            // A part has one byte at least.
            let last = part.from + part.length - 1;
            if let Ok(range) = HeaderValue::from_str(&format!("bytes {}-{last}/{length}", part.from)) {
                response.headers.insert(header::CONTENT_RANGE, range);
            }
        }
        Ok(Ok(response))
    }

    /// What stands beside the file in a coding that the client accepts; else the file.
    async fn compressed(
        &self,
        headers: &HeaderMap,
        name: &str,
        file: Box<dyn FoundFile>,
    ) -> std::io::Result<(Box<dyn FoundFile>, Option<Coding>)> {
        let mut left = if self.precompressed { Coding::ALL.to_vec() } else { Vec::new() };
        while let Some(coding) = accepted(headers, &left) {
            let ending = match coding {
                Coding::Zstd => "zst",
                Coding::Brotli => "br",
                Coding::Gzip => "gz",
            };
            if let Found::File(other) = self.find(&format!("{name}.{ending}")).await?
                && other.modified() >= file.modified()
            {
                return Ok((other, Some(coding)));
            }
            left.retain(|other| *other != coding);
        }
        Ok((file, None))
    }

    /// What is said of the file whether or not it is sent.
    fn describe(
        &self,
        headers: &mut HeaderMap,
        name: &str,
        coding: Option<Coding>,
        validators: &conditions::Validators,
    ) {
        validators.write(headers);
        let path = format!("/{name}");
        let rule = self.cache.iter().find(|(pattern, _)| fits(pattern, &path));
        let cache = rule.map_or(HeaderValue::from_static(CACHE), |(_, value)| value.clone());
        headers.insert(header::CACHE_CONTROL, cache);
        // The type is what it says, and no browser is to guess another.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.precompressed {
            headers.insert(header::VARY, HeaderValue::from_name(header::ACCEPT_ENCODING));
        }
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, coding.into());
        }
    }

    fn type_of(&self, name: &str) -> HeaderValue {
        let ending = name
            .rsplit('/')
            .next()
            .and_then(|file| file.rsplit_once('.'))
            .map(|(_, ending)| ending.to_ascii_lowercase());
        let ending = ending.unwrap_or_default();
        if let Some((_, own)) = self.types.iter().find(|(known, _)| *known == ending) {
            return own.clone();
        }
        let Some(known) = mime_guess::from_ext(&ending).first_raw() else {
            return HeaderValue::from_static("application/octet-stream");
        };
        match known.starts_with("text/") {
            true => HeaderValue::from_str(&format!("{known}; charset=utf-8"))
                .unwrap_or(HeaderValue::from_static("text/plain")),
            false => HeaderValue::from_static(known),
        }
    }
}

fn unreadable(error: std::io::Error) -> Abort {
    Abort::new(FILE_UNREADABLE, StatusCode::INTERNAL_SERVER_ERROR, format!("the file cannot be read: {error}"))
}

/// The same path with a slash at its end: what a page there names is relative to it. Told relative to the path that the client knows, which a
/// `rewrite` may have changed.
fn to_folder(exchange: &Exchange) -> Result<Response, Reason> {
    let path = &exchange.request.path;
    let last = path.rsplit('/').next().unwrap_or_default();
    let query = exchange.request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let location = super::fields::value(format!("./{last}/{query}"))?;
    Ok(Response::new(StatusCode::PERMANENT_REDIRECT).with_header(header::LOCATION, location))
}

/// The path without its first slash, decoded; `None` where a name of it would hold a slash, or is no text.
fn decoded(path: &str) -> Option<String> {
    let name = |name| {
        let decoded = percent_decode_str(name).decode_utf8().ok()?;
        (!decoded.contains('/')).then_some(decoded)
    };
    Some(path.trim_start_matches('/').split('/').map(name).collect::<Option<Vec<_>>>()?.join("/"))
}

fn is_hidden(name: &str) -> bool {
    let within = name.strip_prefix(".well-known/").unwrap_or(name);
    within.split('/').any(|part| part.starts_with('.'))
}

/// A browser that shows what it gets: scripts, pictures and calls of an API say that they take anything.
fn accepts_html(headers: &HeaderMap) -> bool {
    let is_html = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let names_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        // A weight of zero: not acceptable (RFC 9110, section 12.4.2).
        let none = |part: &str| {
            part.split_once('=').is_some_and(|(q, of)| q.eq_ignore_ascii_case("q") && of.parse() == Ok(0.0))
        };
        names_it && !parts.any(none)
    };
    lists::members(headers, &header::ACCEPT).is_ok_and(|ranges| ranges.into_iter().any(is_html))
}

fn fits(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((before, after)) => path.strip_prefix(before).is_some_and(|rest| rest.ends_with(after)),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use policy::testing::{Fixture, Ran};

    use crate::fixture::{get, policy, request, told};

    fn tested(settings: &str) -> Fixture {
        policy(&format!("[[filter]]\nuse = 'static-files'\nfolder = 'site'\n{settings}"))
    }

    fn ask(settings: &str, path: &str, headers: &[(&str, &str)]) -> Ran {
        tested(settings).run(get(path, headers))
    }

    const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[test]
    fn files_and_what_is_said_of_them() {
        let ran = ask("", "/app.js", &[]);
        assert_eq!((ran.status, ran.text()), (200, "let app = 'this is the application, all of it'"));
        for (name, value) in [
            ("content-type", "text/javascript; charset=utf-8"),
            ("etag", "\"de0b6b3a7640000-2e\""),
            ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
            ("accept-ranges", "bytes"),
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
            ("vary", ""),
        ] {
            assert_eq!(ran.header(name), value, "{name}");
        }
        for (path, content_type, text) in [
            ("/", "text/html; charset=utf-8", "<h1>Home</h1>"),
            ("/docs/", "text/html; charset=utf-8", "<h1>Docs</h1>"),
            ("/a%20b/%C3%A4.css", "text/css; charset=utf-8", "a {}"),
            ("/empty/file.unknown-ending", "application/octet-stream", "bytes"),
            ("/a=b&c+d%25.txt", "text/plain; charset=utf-8", "odd"),
        ] {
            let ran = ask("", path, &[]);
            assert_eq!((ran.status, ran.header("content-type"), ran.text()), (200, content_type, text), "{path}");
        }
        assert_eq!(ask("", "/empty/file.unknown-ending", &[]).header("etag"), "", "written at the beginning of time");
        let head = tested("").run(request(Method::HEAD, "/app.js", &[], ""));
        assert_eq!((head.status, head.text(), head.header("content-length")), (200, "", "46"));
    }

    #[test]
    fn what_is_not_given_out() {
        for path in [
            "/gone",
            "/docs%2Findex.html",
            "/.git/config",
            "/empty/",
            "/index.html/",
            "/index.html/x",
            "/docs//x",
            "/.well-known/.hidden",
        ] {
            assert_eq!(told(&ask("", path, &[PAGE])), "404 not-found", "{path}");
        }
        assert_eq!(ask("", "/.well-known/security.txt", &[]).text(), "Contact: us");
        assert_eq!(ask("dot_files = true", "/.git/config", &[]).text(), "secret");
        for outside in ["../secret", "docs/../.git/config", "docs/./index.html", "a\0b", "/", "//"] {
            let tested = tested("path = '${request.header.x-path}'\nindex = false");
            let mut asked = get("/", &[]);
            if let Ok(value) = http::HeaderValue::from_str(outside) {
                asked.headers.insert("x-path", value);
            }
            assert!(["404 not-found", "400 missing-value"].contains(&told(&tested.run(asked)).as_str()), "{outside}");
        }
    }

    #[test]
    fn a_folder_is_sent_to_its_index() {
        let ran = ask("", "/docs?a=1", &[]);
        assert_eq!((ran.status, ran.header("location")), (308, "./docs/?a=1"));
        assert_eq!(told(&ask("", "/empty", &[])), "404 not-found");
        assert_eq!(told(&ask("index = false", "/docs", &[])), "404 not-found");
        assert_eq!(told(&ask("index = false", "/", &[])), "404 not-found");
        assert_eq!(ask("index = 'app.js'", "/", &[]).header("content-type"), "text/javascript; charset=utf-8");
    }

    #[test]
    fn an_application_answers_pages_at_every_path() {
        let settings = "fallback = 'index.html'";
        let ran = ask(settings, "/orders/7", &[PAGE]);
        assert_eq!(
            (ran.status, ran.text(), ran.header("content-type")),
            (200, "<h1>Home</h1>", "text/html; charset=utf-8")
        );
        assert_eq!(told(&ask(settings, "/assets/gone.js", &[("accept", "*/*")])), "404 not-found");
        let not_pages = [("accept", "text/html;level=1;q=0.0, application/json")];
        assert_eq!(told(&ask(settings, "/orders/7", &not_pages)), "404 not-found");
        assert_eq!(told(&ask(settings, "/orders/7", &[])), "404 not-found");
        assert_eq!(ask(settings, "/.git/config", &[PAGE]).text(), "<h1>Home</h1>");
    }

    #[test]
    fn what_is_not_there_may_be_elsewhere() {
        let tested = tested("missing = 'continue'\n\n[[filter]]\nuse = 'respond'\ntext = 'elsewhere'");
        assert_eq!(tested.run(get("/gone", &[])).text(), "elsewhere");
        assert_eq!(tested.run(get("/app.js", &[])).path(), ["static-files:answered"]);
        assert_eq!(tested.run(request(Method::POST, "/app.js", &[], "")).text(), "elsewhere");
    }

    #[test]
    fn get_and_head_only() {
        let ran = tested("").run(request(Method::POST, "/app.js", &[], ""));
        assert_eq!((told(&ran).as_str(), ran.header("allow")), ("405 method-not-allowed", "GET, HEAD"));
    }

    #[test]
    fn conditions_and_parts() {
        let tag = "\"de0b6b3a7640000-2e\"";
        let ran = ask("", "/app.js", &[("if-none-match", tag)]);
        assert_eq!((ran.status, ran.text(), ran.header("etag"), ran.header("content-type")), (304, "", tag, ""));
        assert_eq!(told(&ask("", "/app.js", &[("if-match", "\"x\"")])), "412 precondition-failed");
        let ran = ask("", "/app.js", &[("range", "bytes=4-6")]);
        assert_eq!((ran.status, ran.text(), ran.header("content-range")), (206, "app", "bytes 4-6/46"));
        let ran = ask("", "/app.js", &[("range", "bytes=46-")]);
        assert_eq!((told(&ran).as_str(), ran.header("content-range")), ("416 range-not-satisfiable", "bytes */46"));
    }

    #[test]
    fn what_is_compressed_already_is_given_where_it_is_no_older() {
        let settings = "precompressed = true";
        let ran = ask(settings, "/app.js", &[("accept-encoding", "gzip, br, zstd")]);
        assert_eq!(
            (ran.text(), ran.header("content-encoding"), ran.header("content-type")),
            ("brotli", "br", "text/javascript; charset=utf-8")
        );
        for accept in ["gzip", "identity"] {
            let ran = ask(settings, "/app.js", &[("accept-encoding", accept)]);
            assert_eq!(
                (ran.header("content-encoding"), ran.header("vary"), ran.text().len()),
                ("", "accept-encoding", 46),
                "{accept}"
            );
        }
        assert_eq!(ask("", "/app.js", &[("accept-encoding", "br")]).header("content-encoding"), "");
    }

    #[test]
    fn caches_and_types_by_name() {
        let settings = "cache = { '/docs/*' = 'private', '*.js' = 'public, max-age=60', '/index.html' = 'no-store' }\ntypes = { '.JS' = 'text/plain' }";
        for (path, cache) in [
            ("/docs/", "private"),
            ("/app.js", "public, max-age=60"),
            ("/", "no-store"),
            ("/a%20b/%C3%A4.css", "no-cache"),
        ] {
            assert_eq!(ask(settings, path, &[]).header("cache-control"), cache, "{path}");
        }
        assert_eq!(ask(settings, "/app.js", &[]).header("content-type"), "text/plain");
    }

    #[test]
    fn a_disk_that_fails_is_a_fault() {
        assert_eq!(told(&ask("", "/broken", &[])), "500 file-unreadable");
    }

    #[test]
    fn what_cannot_be_is_refused_at_load() {
        for (settings, said) in [
            ("index = true", "this is no name of a file"),
            ("index = '../x'", "this is no name of a file"),
            ("index = 'a/b'", "this is no name of a file"),
            ("fallback = '/index.html'", "this is no name of a file"),
            ("cache = { '*a*' = 'x' }", "one `*` at most"),
            ("cache = { '*' = \"a\\nb\" }", "cannot be a header's value"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
        let gone = policy("[[filter]]\nuse = 'static-files'\nfolder = 'gone'").problems();
        assert!(gone.len() == 1 && gone[0].contains("gone"), "{gone:#?}");
    }
}
