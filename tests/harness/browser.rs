//! A browser, as far as the pages need one: it keeps cookies, and reads the hidden fields of forms.

use super::{Request, Response};

/// A browser.
#[derive(Clone, Default)]
pub struct Browser {
    /// Its cookies, by name.
    pub cookies: Vec<(String, String)>,
}

impl Browser {
    /// Sends a request with its cookies, and keeps those of the answer.
    pub fn send(&mut self, request: Request) -> Response {
        let answer = request.header("Cookie", &self.cookie_header()).send();
        for cookie in answer.all("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    /// What its `Cookie` header says.
    pub fn cookie_header(&self) -> String {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        cookies.join("; ")
    }
}

/// The hidden field that carries a page's request on.
pub fn resume(page: &Response) -> String {
    let text = page.text();
    let after = text.split("name=\"resume\" value=\"").nth(1).unwrap_or_else(|| panic!("no form in {text}"));
    after.split('"').next().unwrap().replace("&#x2f;", "/")
}

/// A parameter of where an answer leads to, as it stands there.
pub fn location(answer: &Response, name: &str) -> Option<String> {
    let query = answer.header("location")?.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")).map(str::to_owned))
}
