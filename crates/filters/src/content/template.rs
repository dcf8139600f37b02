//! `template`: makes text of a template and values, as an answer or into a variable. In Oracle API Gateway: Set Message with a template.
//!
//! Templates are Jinja's (the engine is `minijinja`): `{{ name }}`, `{% if %}`, `{% for %}`, filters. Selectors stand in `with`, not in the
//! template: what a client sends is a value there and never a part of it. Values are escaped by the type of the content: HTML in `text/html`
//! and XML, JSON in `application/json`. A name that the template uses and `with` does not have is refused at load. A template that is at it
//! for too long (a hundred thousand steps) or fails is a fault (500).
//!
//! ```toml
//! [[filter]]
//! use  = "template"
//! text = "Hello {{ name }}{% for tag in tags %}, {{ tag }}{% endfor %}!"
//! with = { name = "${request.query.name ?? nobody}", tags = ["a", "b"] }
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::filter::Answers;
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Response, Value,
};

use crate::entries::Entries;

/// The template failed where it was used.
const TEMPLATE_BROKEN: ReasonCode = ReasonCode::new("template-broken");

/// So many steps a template may take: a list that a client sent can be walked, a list of lists of lists cannot.
const FUEL: u64 = 100_000;

/// `use = "template"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The template, as a file of the configuration, relative to its folder; either this or `text`. A change is taken up as that of a policy.
    file: Option<Spanned<String>>,
    /// The template itself; either this or `file`.
    text: Option<Spanned<String>>,
    /// The values that it uses, by name.
    #[serde(default)]
    with: Entries<Dynamic<Value>>,
    /// The media type of the text. Default: by the ending of `file` (`.html`, `.json`, `.xml`), else `text/plain; charset=utf-8`.
    content_type: Option<Spanned<String>>,
    /// The variable that gets the text; without one, the filter answers with it. Default: none.
    into: Option<Spanned<String>>,
    /// The status of the answer: 200 to 599. Default: 200. Not with `into`.
    #[schemars(range(min = 200, max = 599))]
    status: Option<Spanned<u16>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "template";
    type Filter = Template;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Template, Diagnostics> {
        let (source, span) = self.source(cx)?;
        let ending = self.file.as_ref().and_then(|file| file.value.rsplit_once('.')).map_or("", |(_, ending)| ending);
        let content_type = match (&self.content_type, ending) {
            (Some(content_type), _) => HeaderValue::from_str(&content_type.value).map_err(|_| {
                cx.error(
                    content_type.span,
                    "this cannot be a header's value",
                    "a media type: `text/html; charset=utf-8`",
                )
            })?,
            (None, "html" | "htm") => HeaderValue::from_static("text/html; charset=utf-8"),
            (None, "json") => HeaderValue::from_static("application/json"),
            (None, "xml") => HeaderValue::from_static("application/xml"),
            (None, _) => HeaderValue::from_static("text/plain; charset=utf-8"),
        };
        let status = match &self.status {
            None => StatusCode::OK,
            Some(status) if self.into.is_some() => {
                let help = "a variable has no status: take `status` or `into` out";
                return Err(cx.error(status.span, "nothing is answered here", help).into());
            }
            Some(status) => match StatusCode::from_u16(status.value) {
                Ok(code) if (200..600).contains(&status.value) => code,
                _ => return Err(cx.error(status.span, "this is no status of an answer", "200 to 599").into()),
            },
        };
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_fuel(Some(FUEL));
        let escape = escape(&content_type);
        engine.set_auto_escape_callback(move |_| escape.clone());
        engine.add_template_owned(NAME, source).map_err(|why| {
            let line = why.line().map_or_else(String::new, |line| format!(" (line {line})"));
            let help = "templates are Jinja's: `{{ name }}`, `{% if %}`, `{% for %}`";
            cx.error(span, format!("this template cannot be used{line}: {why}"), help)
        })?;
        let known: Vec<&str> = self.with.0.iter().map(|(name, _)| name.value.as_str()).collect();
        let used = engine.get_template(NAME).map(|template| template.undeclared_variables(false)).unwrap_or_default();
        let globals: Vec<String> = engine.globals().map(|(name, _)| name.to_owned()).collect();
        if let Some(unknown) = used.iter().find(|name| !known.contains(&name.as_str()) && !globals.contains(name)) {
            let help = format!("give it a value: `with = {{ {unknown} = \"${{...}}\" }}`");
            return Err(cx
                .error(span, format!("the template uses `{unknown}`, and `with` does not have it"), help)
                .into());
        }
        let mut with = Vec::new();
        for (name, value) in &self.with.0 {
            with.push((name.value.clone(), cx.dynamic(value)?));
        }
        cx.aborts_rarely(&[TEMPLATE_BROKEN]);
        let into = self.into.as_ref().map(|name| cx.writes_var(&name.value));
        match into {
            None => cx.answers(Answers::Always),
            Some(_) => cx.shapes_nothing(),
        }
        Ok(Template { engine, with, into, status, content_type })
    }
}

/// The one template of an engine.
const NAME: &str = "template";

impl Settings {
    fn source(&self, cx: &BuildContext<'_>) -> Result<(String, policy::diagnostic::Span), Diagnostics> {
        match (&self.file, &self.text) {
            (Some(file), None) => {
                let content = cx.content(file)?;
                let text = String::from_utf8(content.to_vec()).map_err(|_| {
                    cx.error(file.span, format!("`{}` is no UTF-8 text", file.value), "save it as UTF-8")
                })?;
                Ok((text, file.span))
            }
            (None, Some(text)) => Ok((text.value.clone(), text.span)),
            _ => {
                let help = "write `file = \"templates/page.html\"`, or the template itself under `text`";
                Err(cx.error(cx.own_place().span, "`template` needs one template", help).into())
            }
        }
    }
}

/// How values are written in text of this type.
fn escape(content_type: &HeaderValue) -> AutoEscape {
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/html" | "application/xml" | "text/xml" => AutoEscape::Html,
        of if of.ends_with("+xml") => AutoEscape::Html,
        "application/json" => AutoEscape::Json,
        of if of.ends_with("+json") => AutoEscape::Json,
        _ => AutoEscape::None,
    }
}

/// The compiled filter.
pub(crate) struct Template {
    engine: Environment<'static>,
    with: Vec<(String, Getter<Value>)>,
    into: Option<Slot<Value>>,
    status: StatusCode,
    content_type: HeaderValue,
}

impl Filter for Template {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let values = match self.values(exchange) {
            Ok(values) => values,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let rendered = self.engine.get_template(NAME).and_then(|template| template.render(values)).map_err(|why| {
            let message = format!("the template cannot be rendered: {why:#}");
            Abort::new(TEMPLATE_BROKEN, StatusCode::INTERNAL_SERVER_ERROR, message)
        })?;
        match self.into {
            Some(slot) => {
                exchange.set(slot, Value::text(rendered));
                Ok(Outcome::Success)
            }
            None => {
                let mut response = Response::new(self.status).with_header(CONTENT_TYPE, self.content_type.clone());
                response.body = Bytes::from(rendered).into();
                exchange.answer(response)
            }
        }
    }
}

impl Template {
    /// A value that is absent on purpose is `none` in the template.
    fn values(&self, exchange: &Exchange) -> Result<minijinja::Value, Reason> {
        let mut values = BTreeMap::new();
        for (name, getter) in &self.with {
            let json = getter.get_optional(exchange)?.map(|value| value.to_json());
            values.insert(name.as_str(), minijinja::Value::from(minijinja::value::Serde(json)));
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy, post_json, told};
    use policy::testing::{Fixture, Ran};

    fn tested(settings: &str) -> Fixture {
        policy(&format!("[[filter]]\nuse = 'template'\n{settings}"))
    }

    fn named(settings: &str, name: &str) -> Ran {
        let query: String = ::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        tested(&format!("{settings}\nwith = {{ name = '${{request.query.name ??}}' }}"))
            .run(get(&format!("/x?name={query}"), &[]))
    }

    #[test]
    fn values_are_escaped_by_the_type_of_the_content() {
        for (content_type, name, text) in [
            ("text/html", "<b>&\"", "a &lt;b&gt;&amp;&quot;"),
            ("image/svg+xml", "<b>", "a &lt;b&gt;"),
            ("application/json", "\"}", r#"a "\"}""#),
            ("application/problem+json", "x", "a \"x\""),
            ("text/plain", "<b>{{ 7 * 7 }}${request.path}", "a <b>{{ 7 * 7 }}${request.path}"),
        ] {
            let ran = named(&format!("text = 'a {{{{ name }}}}'\ncontent_type = '{content_type}'"), name);
            assert_eq!((ran.header("content-type"), ran.text()), (content_type, text));
        }
    }

    #[test]
    fn the_type_follows_from_the_files_ending() {
        for (file, content_type, text) in [
            ("a.html", "text/html; charset=utf-8", "&lt;"),
            ("a.json", "application/json", "\"<\""),
            ("a.xml", "application/xml", "&lt;"),
            ("a.txt", "text/plain; charset=utf-8", "<"),
        ] {
            let settings = format!("file = '{file}'\nwith = {{ a = '<' }}\nstatus = 201");
            let ran = tested(&settings).content(file, "{{ a }}").run(get("/x", &[]));
            assert_eq!((ran.status, ran.header("content-type")), (201, content_type));
            // JSON that may stand in a page has no `<` in it as it is.
            assert!(ran.text() == text || ran.text() == "\"\\u003c\"", "{file}: {}", ran.text());
        }
    }

    #[test]
    fn lists_and_tables_of_json_and_a_variable() {
        let text = "[[filter]]\nuse = 'template'\ntext = '{% for i in items %}{{ i.id }};{% endfor %}{{ none_there is none }}'\nwith = { items = '${request.json:$.items}', none_there = '${request.query.x ??}' }\ninto = 'list'\n\
                    [[filter]]\nuse = 'respond'\ntext = '${vars.list}'\n";
        let ran = policy(text).run(post_json("/x", r#"{"items":[{"id":1},{"id":"b"}]}"#));
        assert_eq!(ran.text(), "1;b;True");
    }

    #[test]
    fn a_template_that_takes_too_long_or_fails_is_a_fault() {
        let long = "text = '{% for a in l %}{% for b in l %}{% for c in l %}x{% endfor %}{% endfor %}{% endfor %}'\nwith = { l = '${request.json:$}' }";
        let body = serde_json::json!(vec![1; 100]).to_string();
        assert_eq!(told(&tested(long).run(post_json("/x", &body))), "500 template-broken");
        let fails = tested("text = '{{ a.b.c }}'\nwith = { a = 'x' }").run(get("/x", &[]));
        assert_eq!(told(&fails), "500 template-broken");
    }

    #[test]
    fn what_is_no_template_is_refused_at_load() {
        for (settings, said) in [
            ("", "`template` needs one template"),
            ("text = 'a'\nfile = 'b'", "`template` needs one template"),
            ("text = '{{ a'", "this template cannot be used"),
            ("text = '{{ a }}'", "the template uses `a`, and `with` does not have it"),
            ("text = 'a'\nstatus = 99", "this is no status of an answer"),
            ("text = 'a'\ninto = 'b'\nstatus = 200", "nothing is answered here"),
            ("file = 'gone.html'", "there is no file `gone.html`"),
        ] {
            let problems = tested(settings).problems();
            assert!(!problems.is_empty() && problems[0].contains(said), "{settings}: {problems:#?}");
        }
        assert_eq!(
            tested("text = '{% for i in range(3) %}{{ loop.index }}{% endfor %}'").problems(),
            Vec::<String>::new()
        );
    }
}
