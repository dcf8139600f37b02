//! `respond`: answers, and ends the run as a success. In Oracle API Gateway: Set Message and Reflect Message.
//!
//! The body is text, JSON or a file of the configuration. Selectors work in the status, the headers, text and JSON; a file
//! is sent as it is. The type of the content follows from that, unless `headers` says another.
//!
//! ```toml
//! [[filter]]
//! use     = "respond"
//! status  = 200
//! headers = { cache-control = "no-store" }
//! json    = { hello = "${request.query.name ?? world}", method = "${request.method}" }
//! ```

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::filter::Answers;
use policy::outcome::WRONG_TYPE;
use policy::settings::Spanned;
use policy::{
    Abort, Body, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, Response,
    Value,
};

use super::fields::{self, FieldValue, Side};
use crate::entries::Entries;

/// A file is held in memory: a larger one than this is for a file server.
const LARGEST_FILE: usize = 8 * 1024 * 1024;

/// `use = "respond"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The status, 200 to 599. Default: 200.
    #[schemars(extend("minimum" = 200, "maximum" = 599))]
    status: Option<Dynamic<i64>>,
    /// Headers; a value that is absent on purpose (`${x ??}`) leaves its header out.
    #[serde(default)]
    headers: Entries<Dynamic<String>>,
    /// The body as text (`text/plain; charset=utf-8`).
    text: Option<Dynamic<String>>,
    /// The body as JSON (`application/json`): a table, a list, or a single value.
    json: Option<Dynamic<Value>>,
    /// The body as a file.
    body: Option<FileBody>,
}

/// `body = { file = "pages/help.html" }`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileBody {
    /// The file, relative to the configuration folder, at most 8 MiB; read when the policy is loaded. Its content type follows from its ending.
    file: Spanned<String>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "respond";
    type Filter = Respond;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Respond, Diagnostics> {
        cx.answers(Answers::Always);
        let (body, content_type) = self.body(cx)?;
        let status = self.status(cx)?;
        if let (Status::Constant(status), Some(setting), Some(_)) = (&status, &self.status, content_type)
            && matches!(*status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
        {
            let help = "take the body out, or use another status";
            return Err(cx
                .error(setting.span(), format!("an answer with {} has no body", status.as_u16()), help)
                .into());
        }
        let mut headers = Vec::new();
        for (written, value) in &self.headers.0 {
            headers.push((fields::name(written, Side::Response, cx)?, FieldValue::compile(value, cx)?));
        }
        Ok(Respond { status, headers, body, content_type: content_type.map(HeaderValue::from_static) })
    }
}

impl Settings {
    fn status(&self, cx: &mut BuildContext<'_>) -> Result<Status, Diagnostics> {
        let Some(setting) = &self.status else {
            return Ok(Status::Constant(StatusCode::OK));
        };
        let getter = cx.dynamic(setting)?;
        match getter.constant().map(|number| status_of(*number)) {
            Some(Some(status)) => Ok(Status::Constant(status)),
            Some(None) => {
                let help = "an answer's status is 200 to 599";
                Err(cx.error(setting.span(), "this is no status of an answer", help).into())
            }
            None => {
                cx.fails_rarely(&[WRONG_TYPE]);
                Ok(Status::Computed(getter))
            }
        }
    }

    fn body(&self, cx: &mut BuildContext<'_>) -> Result<(Content, Option<&'static str>), Diagnostics> {
        match (&self.text, &self.json, &self.body) {
            (None, None, None) => Ok((Content::Constant(Bytes::new()), None)),
            (Some(text), None, None) => {
                let getter = cx.dynamic(text)?;
                let content = match getter.constant() {
                    Some(text) => Content::Constant(text.clone().into()),
                    None => Content::Text(getter),
                };
                Ok((content, Some("text/plain; charset=utf-8")))
            }
            (None, Some(json), None) => {
                let getter = cx.dynamic(json)?;
                let content = match getter.constant() {
                    Some(value) => Content::Constant(value.to_json().to_string().into()),
                    None => Content::Json(getter),
                };
                Ok((content, Some("application/json")))
            }
            (None, None, Some(FileBody { file })) => {
                let content = cx.content(file)?;
                if content.len() > LARGEST_FILE {
                    let help = "put it behind an upstream that serves files, and use `proxy`";
                    return Err(cx.error(file.span, "the file is larger than 8 MiB", help).into());
                }
                Ok((Content::Constant(content), Some(type_of_file(&file.value))))
            }
            _ => {
                let help = "keep one of `text`, `json` and `body`";
                Err(cx.error(cx.own_place().span, "an answer has one body", help).into())
            }
        }
    }
}

fn status_of(number: i64) -> Option<StatusCode> {
    let status = StatusCode::from_u16(u16::try_from(number).ok()?).ok()?;
    (200..=599).contains(&status.as_u16()).then_some(status)
}

/// Endings of what an answer may sensibly be; anything else is bytes.
fn type_of_file(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "css" => "text/css; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "ico" => "image/vnd.microsoft.icon",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" | "md" => "text/plain; charset=utf-8",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "xml" => "application/xml",
        "yaml" | "yml" => "application/yaml",
        _ => "application/octet-stream",
    }
}

enum Status {
    Constant(StatusCode),
    Computed(Getter<i64>),
}

enum Content {
    Constant(Bytes),
    Text(Getter<String>),
    Json(Getter<Value>),
}

/// The compiled filter.
pub(crate) struct Respond {
    status: Status,
    headers: Vec<(HeaderName, FieldValue)>,
    body: Content,
    content_type: Option<HeaderValue>,
}

impl Filter for Respond {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.response(exchange) {
            Ok(response) => exchange.answer(response),
            Err(reason) => Ok(Outcome::Failure(reason)),
        }
    }
}

impl Respond {
    fn response(&self, exchange: &Exchange) -> Result<Response, Reason> {
        let mut response = Response::new(self.status.get(exchange)?);
        if let Some(content_type) = &self.content_type {
            response.headers.insert(CONTENT_TYPE, content_type.clone());
        }
        for (name, value) in &self.headers {
            if let Some(value) = value.get(exchange)? {
                response.headers.insert(name, value);
            }
        }
        response.body = match &self.body {
            Content::Constant(bytes) => bytes.clone().into(),
            Content::Text(getter) => Body::from(getter.get(exchange)?),
            Content::Json(getter) => Body::from(getter.get(exchange)?.to_json().to_string()),
        };
        Ok(response)
    }
}

impl Status {
    fn get(&self, exchange: &Exchange) -> Result<StatusCode, Reason> {
        match self {
            Status::Constant(status) => Ok(*status),
            Status::Computed(getter) => {
                let number = getter.get(exchange)?;
                status_of(number).ok_or_else(|| {
                    Reason::new(WRONG_TYPE, format!("{number} is no status of an answer"))
                        .with_status(StatusCode::INTERNAL_SERVER_ERROR)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{get, policy, told};

    fn answer(settings: &str) -> policy::testing::Ran {
        policy(&format!("[[filter]]\nuse = 'respond'\n{settings}")).run(get("/x?name=ann&n=404", &[]))
    }

    #[test]
    fn bodies_and_their_types() {
        for (settings, content_type, body) in [
            ("", "", ""),
            ("text = 'hello'", "text/plain; charset=utf-8", "hello"),
            ("text = 'hello ${request.query.name}'", "text/plain; charset=utf-8", "hello ann"),
            ("json = { a = [1, '${request.query.name}'] }", "application/json", r#"{"a":[1,"ann"]}"#),
            ("json = 'x'", "application/json", r#""x""#),
            ("text = '<p>'\nheaders = { content-type = 'text/html' }", "text/html", "<p>"),
            ("body = { file = 'pages/help.html' }", "text/html; charset=utf-8", "<h1>${not.a.selector}</h1>\n"),
        ] {
            let tested = policy(&format!("[[filter]]\nuse = 'respond'\n{settings}"));
            let ran = tested.content("pages/help.html", "<h1>${not.a.selector}</h1>\n").run(get("/x?name=ann", &[]));
            assert_eq!((ran.header("content-type"), ran.text()), (content_type, body), "{settings}");
            assert_eq!(ran.path(), ["respond:answered"]);
        }
    }

    #[test]
    fn a_status_may_be_worked_out() {
        assert_eq!(answer("status = 201").status, 201);
        assert_eq!(answer("status = '${request.query.n}'").status, 404);
        assert_eq!(told(&answer("status = { cel = '99 + 1' }")), "500 wrong-type");
    }

    #[test]
    fn a_header_cannot_break_out_of_its_line() {
        let tested = policy("[[filter]]\nuse = 'respond'\nheaders = { x-name = '${request.query.name}' }");
        let ran = tested.run(get("/x?name=a%0d%0aset-cookie:%20b=c", &[]));
        assert_eq!((told(&ran).as_str(), ran.header("set-cookie")), ("400 bad-header-value", ""));
    }

    #[test]
    fn an_absent_header_is_left_out_and_a_missing_one_fails() {
        assert!(!answer("headers = { x-a = '${request.query.no ??}' }").headers.contains_key("x-a"));
        assert_eq!(told(&answer("headers = { x-a = '${request.query.no}' }")), "400 missing-value");
    }

    #[test]
    fn what_cannot_be_an_answer_is_refused_at_load() {
        for (settings, said) in [
            ("text = 'a'\njson = 1", "an answer has one body"),
            ("status = 100", "this is no status of an answer"),
            ("status = 204\ntext = 'a'", "an answer with 204 has no body"),
            ("body = { file = 'gone.html' }", "there is no file `gone.html`"),
            ("headers = { content-length = '1' }", "is not for a policy to write"),
            ("headers = { 'a b' = '1' }", "is no name of a header"),
            ("headers = { a = \"1\\n2\" }", "this cannot be a header's value"),
        ] {
            let problems = policy(&format!("[[filter]]\nuse = 'respond'\n{settings}")).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }

    #[test]
    fn json_of_constants_is_what_it_says() {
        assert_eq!(answer("json = { a = { b = [true, 1.5] } }").json(), json!({ "a": { "b": [true, 1.5] } }));
    }
}
