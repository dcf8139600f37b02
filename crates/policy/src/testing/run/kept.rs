//! What steps keep for later ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header;
use serde_json::Value as Json;

use super::came::Came;
use crate::reader::{Entry, Node, NodeKind, Table};
use crate::testing::file::words::{Group, Piece, filled, pieces};
use crate::testing::model::{Given, Keep, Step};

/// What was kept so far, by name.
#[derive(Default)]
pub(super) struct Kept(BTreeMap<String, Json>);

impl Kept {
    /// Keeps what the step asks for; what is not there is told.
    pub(super) fn keep(&mut self, step: &Step, came: &Came) -> Result<(), Vec<String>> {
        let mut missing = Vec::new();
        for (name, from) in &step.keep {
            match from.find(came) {
                Some(value) => drop(self.0.insert(name.clone(), value)),
                None => missing.push(format!("there is nothing to keep as `{name}`: {}", from.absent())),
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// The text with kept values in it.
    pub(super) fn text(&self, text: &str) -> String {
        filled(text, Group::Kept, |name| self.0.get(name).map(plain))
    }

    /// What is given, with kept values in its texts. Places stay those of the file.
    pub(super) fn given(&self, given: &Given) -> Given {
        Given { file: given.file.clone(), table: self.table(&given.table) }
    }

    fn table(&self, table: &Table) -> Table {
        let entry = |entry: &Entry| Entry { value: self.node(&entry.value), ..entry.clone() };
        Table { span: table.span, entries: table.entries.iter().map(entry).collect() }
    }

    fn node(&self, node: &Node) -> Node {
        let kind = match &node.kind {
            NodeKind::Text(text) => NodeKind::Text(self.text(text)),
            NodeKind::List(list) => NodeKind::List(list.iter().map(|item| self.node(item)).collect()),
            NodeKind::Table(table) => NodeKind::Table(Arc::new(self.table(table))),
            plain => plain.clone(),
        };
        Node { span: node.span, kind }
    }

    /// The value with kept values in its texts; one that is a whole text keeps its type.
    pub(super) fn json(&self, json: &Json) -> Json {
        match json {
            Json::String(text) => match pieces(text).as_slice() {
                [Piece::Word(Group::Kept, name, _)] => self.0.get(*name).unwrap_or(json).clone(),
                _ => Json::String(self.text(text)),
            },
            Json::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Json::Object(entries) => entries.iter().map(|(name, value)| (name.clone(), self.json(value))).collect(),
            plain => plain.clone(),
        }
    }
}

/// The value of a page's hidden field: that of the first `input` with this name.
fn field(page: &str, name: &str) -> Option<String> {
    let named = format!("name=\"{name}\"");
    let tag = page.split('<').find(|tag| tag.starts_with("input ") && tag.contains(&named))?;
    let value = tag.split_once("value=\"")?.1.split_once('"')?.0;
    // Those that pages escape.
    let entities = [("&#x27;", "'"), ("&quot;", "\""), ("&#x2f;", "/"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |text, (entity, plain)| text.replace(entity, plain)))
}

/// What stands in a text for a value.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Keep {
    fn find(&self, came: &Came) -> Option<Json> {
        let text = |text: &str| Json::from(text);
        match self {
            Keep::Json(path) => path.first(&serde_json::from_slice(&came.body).ok()?).cloned(),
            Keep::Header(name) => came.headers.get(name)?.to_str().ok().map(text),
            Keep::Cookie(name) => came.headers.get_all(header::SET_COOKIE).iter().find_map(|cookie| {
                let pair = cookie.to_str().ok()?.split(';').next()?;
                let (found, value) = pair.split_once('=')?;
                (found.trim() == name).then(|| text(value.trim()))
            }),
            Keep::Location(name) => {
                let location = came.headers.get(header::LOCATION)?.to_str().ok()?;
                let query = location.split_once('?')?.1;
                let query = query.split_once('#').map_or(query, |(query, _)| query);
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                pairs.find(|(found, _)| found == name).map(|(_, value)| text(&value))
            }
            Keep::Field(name) => field(std::str::from_utf8(&came.body).ok()?, name).map(Json::from),
            Keep::Text => std::str::from_utf8(&came.body).ok().map(text),
        }
    }

    fn absent(&self) -> String {
        match self {
            Keep::Json(_) => String::from("the answer's JSON has no such value"),
            Keep::Header(name) => format!("the answer has no header `{name}`"),
            Keep::Cookie(name) => format!("the answer sets no cookie `{name}`"),
            Keep::Location(name) => format!("the answer's `location` has no parameter `{name}`"),
            Keep::Field(name) => format!("the page has no hidden field `{name}`"),
            Keep::Text => String::from("the answer is no text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::engine::Explained;
    use crate::selector::JsonPath;

    fn came(body: &'static str) -> Came {
        let header = |name: &'static str, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Came {
            status: 302,
            headers: HeaderMap::from_iter([
                header("set-cookie", "a=1; Path=/"),
                header("set-cookie", "sid = x.y=z ; HttpOnly"),
                header("location", "https://app.example/cb?state=s&code=a%20b#end"),
            ]),
            body: body.into(),
            decision: Explained { policy: None, steps: Vec::new(), outcome: "answered", refused: None, why: None },
            attributes: Vec::new(),
            received: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    #[test]
    fn whatever_an_answer_has_can_be_kept() {
        let json = |path: &str| Keep::Json(JsonPath::parse(path).unwrap());
        for (from, expected) in [
            (json("$.a"), Some(Json::from(7))),
            (json("$.b"), None),
            (Keep::Header(header::LOCATION), Some("https://app.example/cb?state=s&code=a%20b#end".into())),
            (Keep::Cookie("sid".into()), Some("x.y=z".into())),
            (Keep::Cookie("id".into()), None),
            (Keep::Location("code".into()), Some("a b".into())),
            (Keep::Location("end".into()), None),
            (Keep::Text, Some("{\"a\":7}".into())),
        ] {
            assert_eq!(from.find(&came("{\"a\":7}")), expected, "{}", from.absent());
        }
        assert_eq!(json("$.a").find(&came("no JSON")), None);
    }
}
