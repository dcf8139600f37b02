//! A `[[test]]` as it stands in a file.

use std::collections::HashSet;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use serde_json::Value as Json;

use crate::compile::policy_name;
use crate::compile::table::Reporter;
use crate::diagnostic::{Diagnostics, Place, Problem, SourceFile, Span, codes};
use crate::reader::{Document, Files, Keys, Node, NodeKind, Table, parse};
use crate::route::RouteSpec;
use crate::selector::JsonPath;

/// Stands where a test has no such table.
static EMPTY: Table = Table { span: Span { start: 0, end: 0 }, entries: Vec::new() };

/// One test of a policy.
pub struct Test {
    /// The policy it is a test of.
    pub policy: String,
    /// What it says: its `name`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What there is before the request.
    pub given: Given,
    /// A request is routed; one for a policy without a route is handed to it.
    pub(super) routed: bool,
    /// The listener that the policy is bound to.
    pub(super) listener: Option<String>,
    pub(super) request: TestRequest,
    pub(super) expect: Expect,
}

/// What there is before the request: clients, tokens, upstreams' answers, the time. Only the world knows what these mean.
pub struct Given {
    /// The file, for places.
    pub file: Arc<SourceFile>,
    /// The table `given`; empty where the test has none.
    pub table: Table,
}

/// The request to send.
pub(super) struct TestRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) basic: Option<(String, String)>,
    pub(super) bearer: Option<String>,
    pub(super) body: TestBody,
}

pub(super) enum TestBody {
    None,
    Form(Vec<(String, String)>),
    Json(Json),
    Text(String),
}

/// What the answer must be.
pub(super) struct Expect {
    pub(super) status: Option<u16>,
    /// `None` where the header must be absent.
    pub(super) headers: Vec<(HeaderName, Option<String>)>,
    pub(super) json: Vec<(String, JsonPath, Json)>,
    pub(super) text: Option<String>,
    pub(super) path: Option<Vec<String>>,
}

/// All tests of all policies, in their own files or beside them in `NAME.test.toml`. What cannot be parsed at all is left out
/// without a word: compiling tells of it.
pub fn tests(files: &Files) -> (Vec<Test>, Diagnostics) {
    let mut tests = Vec::new();
    let mut problems = Diagnostics::new();
    for (path, file) in files.files.iter().filter(|(path, _)| path.starts_with("policies/")) {
        let beside = path.strip_suffix(".test.toml").map(|stem| format!("{stem}.toml"));
        let policy_path = beside.as_deref().unwrap_or(path);
        let Some(policy) = policy_name(policy_path) else { continue };
        let Ok(document) = parse(file) else { continue };
        let owner = match &beside {
            None => Some(document.clone()),
            Some(owner) => match files.files.get(owner) {
                Some(owner) => parse(owner).ok(),
                None => {
                    problems.push(without_policy(file, policy));
                    continue;
                }
            },
        };
        let Some(owner) = owner else { continue };
        if beside.is_some() {
            report_other_keys(&document, &mut problems);
        }
        tests.extend(tests_of(policy, &owner, &document, &mut problems));
    }
    (tests, problems.sorted())
}

fn without_policy(file: &Arc<SourceFile>, policy: &str) -> crate::Diagnostic {
    let place = Place { file: file.clone(), span: Span::default() };
    Problem::error(codes::BAD_TEST, format!("these are tests of a policy `{policy}`, which does not exist"))
        .with_help(format!("tests of policies/{policy}.toml stand in it, or beside it in policies/{policy}.test.toml"))
        .at(place)
}

fn report_other_keys(document: &Document, problems: &mut Diagnostics) {
    for entry in document.root.entries.iter().filter(|entry| entry.name != "test") {
        let message = format!("`{}` stands in a file of tests", entry.name);
        let problem = Problem::error(codes::BAD_TEST, message)
            .with_help("only [[test]]s stand here; the policy is the file beside it");
        problems.push(problem.at(document.place(entry.name_span)));
    }
}

fn tests_of(policy: &str, owner: &Document, document: &Document, problems: &mut Diagnostics) -> Vec<Test> {
    let Some(entry) = document.root.entry("test") else { return Vec::new() };
    let Some(list) = entry.value.as_list() else {
        let message = format!("`test` is {}", entry.value.describe());
        let problem = Problem::error(codes::BAD_TEST, message).with_help("write each test as [[test]]");
        problems.push(problem.at(document.place(entry.value.span)));
        return Vec::new();
    };
    let route = first_route(owner);
    let mut names = HashSet::new();
    let mut tests = Vec::new();
    for node in list {
        match node.as_table() {
            Some(table) => {
                let mut reader =
                    TestReader { document, keys: Keys::new(&document.file, table), problems: Diagnostics::new() };
                let test = reader.test(policy, owner, route.as_ref(), table);
                if !names.insert(test.name.clone()) {
                    let message = format!("two tests are called `{}`", test.name);
                    reader.keys.push(Problem::error(codes::BAD_TEST, message).at(test.place.clone()));
                }
                if reader.finish(problems) {
                    tests.push(test);
                }
            }
            None => problems.push(
                Problem::error(codes::BAD_TEST, format!("a test is {}", node.describe()))
                    .with_help("write each test as [[test]]")
                    .at(document.place(node.span)),
            ),
        }
    }
    tests
}

/// The first route of a policy; what is wrong with it, compiling tells.
fn first_route(owner: &Document) -> Option<RouteSpec> {
    let node = match (owner.root.get("route"), owner.root.get("routes")) {
        (Some(node), _) => Some(node),
        (None, Some(routes)) => routes.as_list().and_then(<[Node]>::first),
        (None, None) => None,
    };
    let mut ignored = Diagnostics::new();
    RouteSpec::read(&mut Reporter { file: &owner.file, problems: &mut ignored }, node?)
}

struct TestReader<'a> {
    document: &'a Document,
    keys: Keys<'a>,
    problems: Diagnostics,
}

impl<'a> TestReader<'a> {
    fn test(&mut self, policy: &str, owner: &Document, route: Option<&RouteSpec>, table: &'a Table) -> Test {
        let place = self.document.place(table.span);
        let name = self.keys.required_text("name");
        let given = self.keys.table("given").map(|given| given.value.clone()).unwrap_or_default();
        let request = self.keys.table("request").map(|request| request.value);
        let expect = self.keys.required("expect").and_then(|node| self.keys.expect(node, "a table", Node::as_table));
        Test {
            policy: policy.to_owned(),
            name: name.map_or_else(String::new, |name| name.value.to_owned()),
            place,
            given: Given { file: self.document.file.clone(), table: given },
            routed: owner.root.entry("route").is_some() || owner.root.entry("routes").is_some(),
            listener: owner.root.get("listener").and_then(Node::as_text).map(str::to_owned),
            request: self.request(request, route, table),
            expect: self.expect(expect.map(|expect| expect.value)),
        }
    }

    /// All problems of the test, each as a problem of a test; whether there were none.
    fn finish(self, problems: &mut Diagnostics) -> bool {
        let mut found = self.problems;
        match self.keys.finish() {
            Ok(more) | Err(more) => found.extend(more),
        }
        let fine = !found.has_errors();
        for mut diagnostic in found {
            diagnostic.problem.code = codes::BAD_TEST;
            problems.push(diagnostic);
        }
        fine
    }

    fn error(&mut self, span: Span, message: impl Into<String>, help: &str) {
        let place = self.document.place(span);
        self.problems.push(Problem::error(codes::BAD_TEST, message).with_help(help).at(place));
    }

    fn request(&mut self, table: Option<&'a Table>, route: Option<&RouteSpec>, test: &Table) -> TestRequest {
        let mut keys = Keys::new(&self.document.file, table.unwrap_or(&EMPTY));
        let method = keys.text("method").and_then(|text| match Method::from_bytes(text.value.as_bytes()) {
            Ok(method) => Some(method),
            Err(_) => {
                self.error(text.span, format!("`{}` is no method", text.value), "for example \"POST\"");
                None
            }
        });
        let path = keys.text("path").map(|path| path.value.to_owned());
        let query = keys.table("query").map_or(Vec::new(), |query| self.pairs(query.value));
        let headers = keys.table("headers").map_or(Vec::new(), |headers| self.headers(headers.value));
        let bearer = keys.text("bearer").map(|bearer| bearer.value.to_owned());
        let basic = keys.texts("basic").and_then(|basic| match basic.as_slice() {
            [id, secret] => Some((id.value.to_owned(), secret.value.to_owned())),
            _ => {
                self.error(test.span, "`basic` is to have two texts", "basic = [\"id\", \"secret\"]");
                None
            }
        });
        let body = self.body(&mut keys, test);
        match keys.finish() {
            Ok(more) | Err(more) => self.problems.extend(more),
        }
        let default_method = || match (route.and_then(|route| route.methods.first()), &body) {
            (Some(method), _) => method.clone(),
            (None, TestBody::None) => Method::GET,
            (None, _) => Method::POST,
        };
        let path = path.unwrap_or_else(|| self.default_path(route, test));
        TestRequest { method: method.unwrap_or_else(default_method), path, query, headers, basic, bearer, body }
    }

    /// The path of the policy's first route, where it stands for a single one.
    fn default_path(&mut self, route: Option<&RouteSpec>, test: &Table) -> String {
        let Some(route) = route else { return String::from("/") };
        if route.pattern.names().next().is_some() {
            self.error(
                test.span,
                "the test's request has no `path`",
                "the route's path has names in it: say what they stand for",
            );
        }
        let path = route.path.strip_suffix("/**").unwrap_or(&route.path);
        if path.is_empty() { String::from("/") } else { path.to_owned() }
    }

    fn body(&mut self, keys: &mut Keys<'a>, test: &Table) -> TestBody {
        let form = keys.table("form").map(|form| TestBody::Form(self.pairs(form.value)));
        let json = keys.node("json").map(|json| TestBody::Json(to_json(json)));
        let text = keys.text("text").map(|text| TestBody::Text(text.value.to_owned()));
        let mut bodies = [form, json, text].into_iter().flatten();
        let body = bodies.next().unwrap_or(TestBody::None);
        if bodies.next().is_some() {
            self.error(test.span, "the test's request has more than one body", "one of `form`, `json` and `text`");
        }
        body
    }

    /// Names and texts; a list repeats its name.
    fn pairs(&mut self, table: &'a Table) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for entry in &table.entries {
            let values = entry.value.as_list().unwrap_or(std::slice::from_ref(&entry.value));
            for value in values {
                match plain_text(value) {
                    Some(text) => pairs.push((entry.name.clone(), text)),
                    None => self.error(
                        value.span,
                        format!("`{}` is {}", entry.name, value.describe()),
                        "it is to be text, or a list of texts",
                    ),
                }
            }
        }
        pairs
    }

    fn headers(&mut self, table: &'a Table) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for (name, value) in self.pairs(table) {
            match (name.parse(), HeaderValue::from_str(&value)) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => {
                    self.error(table.span, format!("`{name}` cannot be a header of this value"), "visible ASCII alone")
                }
            }
        }
        headers
    }

    fn expect(&mut self, table: Option<&'a Table>) -> Expect {
        let mut keys = Keys::new(&self.document.file, table.unwrap_or(&EMPTY));
        let status = keys.int("status").and_then(|status| {
            let found = u16::try_from(status.value).ok().filter(|status| (100..=599).contains(status));
            if found.is_none() {
                self.error(status.span, format!("{} is no status", status.value), "100 to 599");
            }
            found
        });
        let headers = keys.table("headers").map_or(Vec::new(), |headers| self.expected_headers(headers.value));
        let json = keys.table("json").map_or(Vec::new(), |json| self.expected_json(json.value));
        let text = keys.text("text").map(|text| text.value.to_owned());
        let path = keys.texts("path").map(|steps| self.expected_path(&steps));
        match keys.finish() {
            Ok(more) | Err(more) => self.problems.extend(more),
        }
        let expect = Expect { status, headers, json, text, path };
        if let (Some(table), true) = (table, expect.is_empty() && !self.problems.has_errors()) {
            self.error(
                table.span,
                "the test expects nothing",
                "`status`, `headers`, `json`, `text` or `path`: a test must be able to fail",
            );
        }
        expect
    }

    fn expected_headers(&mut self, table: &Table) -> Vec<(HeaderName, Option<String>)> {
        let mut headers = Vec::new();
        for entry in &table.entries {
            let value = match &entry.value.kind {
                NodeKind::Bool(false) => Some(None),
                _ => plain_text(&entry.value).map(Some),
            };
            match (entry.name.parse(), value) {
                (Ok(name), Some(value)) => headers.push((name, value)),
                (Err(_), _) => self.error(
                    entry.name_span,
                    format!("`{}` is no header name", entry.name),
                    "letters, digits and `-`",
                ),
                (_, None) => self.error(
                    entry.value.span,
                    format!("`{}` is {}", entry.name, entry.value.describe()),
                    "text, or false where the header is to be absent",
                ),
            }
        }
        headers
    }

    fn expected_json(&mut self, table: &Table) -> Vec<(String, JsonPath, Json)> {
        let mut expected = Vec::new();
        for entry in &table.entries {
            match JsonPath::parse(&entry.name) {
                Ok(path) => expected.push((entry.name.clone(), path, to_json(&entry.value))),
                Err(why) => self.error(
                    entry.name_span,
                    format!("`{}` is no JSONPath: {why}", entry.name),
                    "for example \"$.error\"",
                ),
            }
        }
        expected
    }

    fn expected_path(&mut self, steps: &[crate::settings::Spanned<&str>]) -> Vec<String> {
        const OUTCOMES: &[&str] = &["success", "answered", "failure", "abort", "skipped"];
        for step in steps {
            if !step
                .value
                .rsplit_once(':')
                .is_some_and(|(name, outcome)| !name.is_empty() && OUTCOMES.contains(&outcome))
            {
                let help = "`NAME:outcome`, the outcome one of success, answered, failure, abort, skipped";
                self.error(step.span, format!("`{}` is no step", step.value), help);
            }
        }
        steps.iter().map(|step| step.value.to_owned()).collect()
    }
}

impl Expect {
    fn is_empty(&self) -> bool {
        let parts = self.headers.is_empty() && self.json.is_empty();
        self.status.is_none() && parts && self.text.is_none() && self.path.is_none()
    }
}

/// Text, or what is written like it.
fn plain_text(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Text(text) | NodeKind::Datetime(text) => Some(text.clone()),
        NodeKind::Int(int) => Some(int.to_string()),
        NodeKind::Float(float) => Some(float.to_string()),
        NodeKind::Bool(bool) => Some(bool.to_string()),
        NodeKind::List(_) | NodeKind::Table(_) => None,
    }
}

fn to_json(node: &Node) -> Json {
    match &node.kind {
        NodeKind::Text(text) | NodeKind::Datetime(text) => Json::from(text.as_str()),
        NodeKind::Int(int) => Json::from(*int),
        NodeKind::Float(float) => Json::from(*float),
        NodeKind::Bool(bool) => Json::from(*bool),
        NodeKind::List(list) => list.iter().map(to_json).collect(),
        NodeKind::Table(table) => {
            table.entries.iter().map(|entry| (entry.name.clone(), to_json(&entry.value))).collect()
        }
    }
}
