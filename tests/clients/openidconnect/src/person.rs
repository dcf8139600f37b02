//! Somebody at a browser without scripts: keeps cookies, follows redirections within the server, fills in the forms of its pages.

use std::collections::BTreeMap;
use std::io;

use oauth2::http::{Method, Request, Response, Uri, header};
use oauth2::url::{Url, form_urlencoded};
use oauth2::{HttpRequest, HttpResponse};

/// One request over HTTP, which follows no redirection. `https` goes without TLS: to the server as to the proxy that ends it in front of the server.
pub fn http(request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let (mut parts, body) = request.into_parts();
    parts.uri =
        parts.uri.to_string().replacen("https://", "http://", 1).parse::<Uri>().map_err(oauth2::http::Error::from)?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .build()
        .into();
    // A form that is empty is another request than none (a GET has no body).
    let answer = match parts.method {
        Method::GET => agent.run(Request::from_parts(parts, ()))?,
        _ => agent.run(Request::from_parts(parts, body))?,
    };
    let (parts, mut body) = answer.into_parts();
    Ok(Response::from_parts(parts, body.read_to_vec()?))
}

/// Where the browser ended, and what it shows; nothing, where that is not the server's.
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub text: String,
}

pub struct Person {
    server: Url,
    cookies: BTreeMap<String, String>,
}

impl Person {
    pub fn new(server: &Url) -> Self {
        Self { server: server.clone(), cookies: BTreeMap::new() }
    }

    pub fn go(&mut self, url: Url) -> Page {
        self.follow(Method::GET, url, String::new())
    }

    /// Sends the form of the page: its hidden fields, and what the person typed.
    pub fn send(&mut self, page: &Page, typed: &[(&str, &str)]) -> Page {
        let form = tags(&page.text, "form").next().unwrap_or_else(|| panic!("a form on {}: {}", page.url, page.text));
        let mut fields = form_urlencoded::Serializer::new(String::new());
        for hidden in tags(&page.text, "input").filter(|tag| attribute(tag, "type").as_deref() == Some("hidden")) {
            fields.append_pair(
                &attribute(hidden, "name").unwrap_or_default(),
                &attribute(hidden, "value").unwrap_or_default(),
            );
        }
        fields.extend_pairs(typed);
        let action = page.url.join(&attribute(form, "action").unwrap_or_default()).expect("an address");
        self.follow(Method::POST, action, fields.finish())
    }

    pub fn log_in(&mut self, page: &Page, username: &str, password: &str) -> Page {
        assert!(page.text.contains("type=\"password\""), "the log-in page: {}", page.text);
        self.send(page, &[("username", username), ("password", password)])
    }

    /// Agrees to everything that the page asks for.
    pub fn allow(&mut self, page: &Page) -> Page {
        assert!(page.text.contains("value=\"allow\""), "a page that asks: {}", page.text);
        let boxes: Vec<_> = tags(&page.text, "input")
            .filter(|tag| attribute(tag, "type").as_deref() == Some("checkbox") && !tag.contains(" disabled"))
            .map(|tag| (attribute(tag, "name").unwrap_or_default(), attribute(tag, "value").unwrap_or_default()))
            .collect();
        let mut typed: Vec<_> = boxes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        typed.push(("decision", "allow"));
        self.send(page, &typed)
    }

    fn follow(&mut self, mut method: Method, mut url: Url, mut form: String) -> Page {
        while url.origin() == self.server.origin() {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = Request::builder()
                .method(method)
                .uri(url.as_str())
                .header(header::COOKIE, cookies.join("; "))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.into_bytes())
                .expect("a request");
            let answer = http(request).unwrap_or_else(|error| panic!("{url}: {}", io::Error::other(error)));
            for cookie in answer.headers().get_all(header::SET_COOKIE) {
                let cookie = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
                let (name, value) = cookie.split_once('=').expect("a cookie");
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(location) = answer.headers().get(header::LOCATION) else {
                let status = answer.status().as_u16();
                return Page { url, status, text: String::from_utf8(answer.into_body()).expect("text") };
            };
            url = url.join(location.to_str().expect("text")).expect("an address");
            (method, form) = (Method::GET, String::new());
        }
        Page { url, status: 0, text: String::new() }
    }
}

/// The tags of that name, as they are written.
fn tags<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    page.split('<').filter_map(move |tag| {
        let tag = tag.split('>').next()?;
        tag.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')).then_some(tag)
    })
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split_once(&format!(" {name}=\""))?.1.split('"').next()?;
    let entities = [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |text, (entity, plain)| text.replace(entity, plain)))
}
