//! From the tables of a test to the test: what serde's types cannot say is checked here.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderName, Method};

use super::table::{ExpectTable, ForwardedTable, RequestTable, StepTable, TestTable};
use super::values::{Expected, ExpectedHeader, Named, Scalar, Texts};
use super::words::{Group, Piece, is_name, pieces};
use crate::diagnostic::{Diagnostics, Problem, Span, codes};
use crate::reader::{Document, NoOutside, Node, NodeKind, Table, deserialize, did_you_mean};
use crate::route::RouteSpec;
use crate::selector::{JsonPath, Source};
use crate::settings::Spanned;
use crate::testing::model::{Expect, Forwarded, Given, Keep, Message, Step, Test, TestBody, TestRequest, header_value};

/// What a test must know of the policy that a request is for.
pub(super) struct Subject {
    pub(super) routed: bool,
    pub(super) listener: Option<String>,
    pub(super) route: Option<RouteSpec>,
}

pub(super) struct Reader<'a> {
    policy: &'a str,
    subjects: &'a BTreeMap<String, Subject>,
    document: &'a Document,
    problems: Diagnostics,
}

impl<'a> Reader<'a> {
    pub(super) fn new(policy: &'a str, subjects: &'a BTreeMap<String, Subject>, document: &'a Document) -> Self {
        Reader { policy, subjects, document, problems: Diagnostics::new() }
    }

    /// The test, where it is right, and all that is wrong with it.
    pub(super) fn test(mut self, table: &Table) -> (Option<Test>, Diagnostics) {
        let read = deserialize::<TestTable>(&self.document.file, table, &[], &NoOutside);
        let test = match read {
            Ok(read) => {
                self.check_kept(table);
                self.read(table, read)
            }
            Err(found) => {
                self.problems.extend(found);
                None
            }
        };
        let test = test.filter(|_| !self.problems.has_errors());
        // Whatever it is, it is wrong with a test.
        let told = self.problems.into_iter().map(|mut diagnostic| {
            diagnostic.problem.code = codes::BAD_TEST;
            diagnostic
        });
        (test, told.collect())
    }

    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let place = self.document.place(span);
        self.problems.push(Problem::error(codes::BAD_TEST, message).with_help(help).at(place));
    }

    fn read(&mut self, table: &Table, read: TestTable) -> Option<Test> {
        let given = self.given(table);
        let steps = match read.step.is_empty() {
            true => {
                let Some(expect) = read.expect else {
                    self.error(
                        table.span,
                        "`expect` is missing",
                        "this table needs `expect = ...`, or steps: [[test.step]]",
                    );
                    return None;
                };
                let request = read.request.unwrap_or_default();
                vec![self.step(table.span, None, StepTable::single(request, expect))?]
            }
            false => {
                for (name, there) in [("request", read.request.is_some()), ("expect", read.expect.is_some())] {
                    if there {
                        let span = table.entry(name).map_or(table.span, |entry| entry.name_span);
                        self.error(
                            span,
                            format!("a test with steps has no `{name}` of its own"),
                            "move it into a step",
                        );
                    }
                }
                self.steps(table, read.step)
            }
        };
        Some(Test {
            policy: self.policy.to_owned(),
            name: read.name.value.0,
            place: self.document.place(table.span),
            given,
            steps,
        })
    }

    fn steps(&mut self, table: &Table, steps: Vec<Spanned<StepTable>>) -> Vec<Step> {
        let tables = table.get("step").and_then(Node::as_list).unwrap_or_default();
        let mut read = Vec::new();
        for (index, (step, node)) in steps.into_iter().zip(tables).enumerate() {
            let given = node.as_table().filter(|table| table.get("given").is_some()).map(|table| self.given(table));
            if let Some(mut step) = self.step(node.span, Some(index + 1), step.value) {
                step.given = given;
                read.push(step);
            }
        }
        read
    }

    fn given(&mut self, table: &Table) -> Given {
        let node = table.get("given");
        if let Some(node) = node.filter(|node| node.as_table().is_none()) {
            self.error(
                node.span,
                format!("expected a table, found {}", node.describe()),
                "given = { clients = [...] }",
            );
        }
        let table = node.and_then(Node::as_table).cloned().unwrap_or_default();
        Given { file: self.document.file.clone(), table }
    }

    fn step(&mut self, span: Span, number: Option<usize>, step: StepTable) -> Option<Step> {
        let policy = step.policy.as_ref().map_or(self.policy, |policy| policy.value.0.as_str());
        let subjects = self.subjects;
        let Some(subject) = subjects.get(policy) else {
            let help = match did_you_mean(policy, subjects.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => String::from("a policy's name is its path below policies/ without .toml"),
            };
            self.error(step.policy.as_ref().map_or(span, |p| p.span), format!("there is no policy `{policy}`"), help);
            return None;
        };
        let expect_span = step.expect.as_ref().map(|expect| expect.span);
        let request = self.request(span, step.request.unwrap_or_default(), subject.route.as_ref());
        let expect = step.expect.map_or_else(Expect::default, |expect| self.expect(expect.value));
        let keep = self.keep(step.keep);
        let idle = expect.is_empty() && keep.is_empty();
        if idle && !self.problems.has_errors() {
            let what = if number.is_some() { "step" } else { "test" };
            self.error(
                expect_span.unwrap_or(span),
                format!("the {what} expects nothing"),
                "`status`, `headers`, `json`, `text`, `path` and the like: a test must be able to fail",
            );
        }
        Some(Step {
            place: self.document.place(span),
            number,
            advance: step.advance.map(|advance| advance.0),
            given: None,
            policy: policy.to_owned(),
            routed: subject.routed,
            listener: subject.listener.clone(),
            request,
            expect,
            keep,
        })
    }

    fn request(&mut self, span: Span, table: RequestTable, route: Option<&RouteSpec>) -> TestRequest {
        let form = table.form.map(|form| (form.span, TestBody::Form(pairs(form.value))));
        let json = table.json.map(|json| (json.span, TestBody::Json(json.value)));
        let text = table.text.map(|text| (text.span, TestBody::Text(text.value.0)));
        let mut bodies = [form, json, text].into_iter().flatten();
        let body = bodies.next().map_or(TestBody::None, |(_, body)| body);
        if let Some((second, _)) = bodies.next() {
            self.error(second, "the test's request has more than one body", "one of `form`, `json` and `text`");
        }
        let basic = table.basic.and_then(|basic| match basic.value.as_slice() {
            [id, secret] => Some((id.0.clone(), secret.0.clone())),
            _ => {
                self.error(basic.span, "`basic` is to have two texts", "basic = [\"id\", \"secret\"]");
                None
            }
        });
        if let (Some(_), Some(bearer)) = (&basic, &table.bearer) {
            self.error(bearer.span, "the test's request has two credentials", "`basic` or `bearer`");
        }
        let default_method = || match (route.and_then(|route| route.methods.first()), &body) {
            (Some(method), _) => method.clone(),
            (None, TestBody::None) => Method::GET,
            (None, _) => Method::POST,
        };
        TestRequest {
            method: table.method.map_or_else(default_method, |method| method.0.0),
            path: table.path.map_or_else(|| self.default_path(route, span), |path| path.value.0),
            query: pairs(table.query),
            headers: self.headers(table.headers),
            basic,
            bearer: table.bearer.map(|bearer| bearer.value.0),
            body,
        }
    }

    /// The path of the policy's first route, where it stands for a single one.
    fn default_path(&mut self, route: Option<&RouteSpec>, span: Span) -> String {
        let Some(route) = route else { return String::from("/") };
        if route.pattern.names().next().is_some() {
            let help = "the route's path has names in it: say what they stand for";
            self.error(span, "the test's request has no `path`", help);
        }
        let path = route.path.strip_suffix("/**").unwrap_or(&route.path);
        if path.is_empty() { String::from("/") } else { path.to_owned() }
    }

    fn headers(&mut self, table: Named<Texts>) -> Vec<(HeaderName, String)> {
        let mut headers = Vec::new();
        for (name, values) in table.0 {
            let Some(parsed) = self.header_name(&name) else { continue };
            for value in values.value.0 {
                // A kept value is not there yet; what it is, shows when it is sent.
                match header_value(&value) {
                    Some(_) => headers.push((parsed.clone(), value)),
                    None => self.error(
                        values.span,
                        format!("`{}` cannot be a header of this value", name.value),
                        "visible ASCII alone",
                    ),
                }
            }
        }
        headers
    }

    fn header_name(&mut self, name: &Spanned<String>) -> Option<HeaderName> {
        let parsed = name.value.parse().ok();
        if parsed.is_none() {
            self.error(name.span, format!("`{}` is no header name", name.value), "letters, digits and `-`");
        }
        parsed
    }

    fn expect(&mut self, table: ExpectTable) -> Expect {
        let upstreams = table.upstreams.0.into_iter().map(|(name, requests)| {
            let requests = requests.value.into_iter().map(|request| self.forwarded(request)).collect();
            (name, requests)
        });
        let upstreams = upstreams.collect();
        let attributes = table.attributes.0.into_iter();
        Expect {
            status: table.status.map(|status| status.0.0.as_u16()),
            outcome: table.outcome.map(|outcome| outcome.0),
            reason: table.reason.map(|reason| reason.value.0),
            path: self.path(table.path),
            message: self.message(table.headers, table.json, table.text),
            attributes: attributes.map(|(name, value)| (name, value.value.value().cloned())).collect(),
            stores: table.stores.0.into_iter().map(|(name, records)| (name, records.value)).collect(),
            upstreams,
        }
    }

    fn forwarded(&mut self, table: ForwardedTable) -> Forwarded {
        Forwarded {
            method: table.method.map(|method| method.0.0),
            path: table.path.map(|path| path.value.0),
            message: self.message(table.headers, table.json, table.text),
        }
    }

    fn message(
        &mut self,
        headers: Named<ExpectedHeader>,
        json: Named<Expected>,
        text: Option<Spanned<Scalar>>,
    ) -> Message {
        let mut message = Message { text: text.map(|text| text.value.0), ..Message::default() };
        for (name, value) in headers.0 {
            if let Some(name) = self.header_name(&name) {
                message.headers.push((name, value.value.0));
            }
        }
        for (text, value) in json.0 {
            if let Some(path) = self.json_path(&text) {
                message.json.push((text.value, path, value.value.value().cloned()));
            }
        }
        message
    }

    fn json_path(&mut self, text: &Spanned<String>) -> Option<JsonPath> {
        let parsed = JsonPath::parse(&text.value);
        if let Err(why) = &parsed {
            self.error(text.span, format!("`{}` is no JSONPath: {why}", text.value), "for example \"$.error\"");
        }
        parsed.ok()
    }

    fn path(&mut self, steps: Vec<Spanned<Scalar>>) -> Vec<String> {
        const OUTCOMES: &[&str] = &["success", "answered", "failure", "abort", "skipped"];
        for step in &steps {
            let parts = step.value.0.rsplit_once(':');
            if !parts.is_some_and(|(name, outcome)| !name.is_empty() && OUTCOMES.contains(&outcome)) {
                let help = "`NAME:outcome`, the outcome one of success, answered, failure, abort, skipped";
                self.error(step.span, format!("`{}` is no step", step.value.0), help);
            }
        }
        steps.into_iter().map(|step| step.value.0).collect()
    }

    fn keep(&mut self, table: Named<String>) -> Vec<(String, Keep)> {
        let mut keep = Vec::new();
        for (name, from) in table.0 {
            if !is_name(&name.value) {
                self.error(name.span, format!("`{}` is no name", name.value), "letters, digits, `_` and `-`");
            }
            let text = Spanned::new(from.span, from.value);
            let source = match text.value.split_once('.') {
                _ if text.value.starts_with('$') => self.json_path(&text).map(Keep::Json),
                Some(("header", header)) => {
                    self.header_name(&Spanned::new(text.span, header.to_owned())).map(Keep::Header)
                }
                Some(("cookie", cookie)) if !cookie.is_empty() => Some(Keep::Cookie(cookie.to_owned())),
                Some(("location", name)) if !name.is_empty() => Some(Keep::Location(name.to_owned())),
                None if text.value == "text" => Some(Keep::Text),
                _ => {
                    let help = "a JSONPath (`$.access_token`), `header.NAME`, `cookie.NAME`, `location.NAME` or `text`";
                    self.error(text.span, format!("`{}` is nothing that can be kept", text.value), help);
                    None
                }
            };
            keep.extend(source.map(|source| (name.value, source)));
        }
        keep
    }

    /// Every `${kept.NAME}` is kept by an earlier step.
    fn check_kept(&mut self, table: &Table) {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        for entry in table.entries.iter().filter(|entry| entry.name != "step") {
            self.check_kept_in(&entry.value, &kept);
        }
        for step in table.get("step").and_then(Node::as_list).unwrap_or_default() {
            self.check_kept_in(step, &kept);
            let keep = step.as_table().and_then(|step| step.get("keep")).and_then(Node::as_table);
            kept.extend(keep.iter().flat_map(|keep| keep.entries.iter().map(|entry| entry.name.as_str())));
        }
    }

    fn check_kept_in(&mut self, node: &Node, kept: &BTreeSet<&str>) {
        match &node.kind {
            NodeKind::Text(text) => {
                let source = Source::new(&self.document.file, node.span, text);
                let unknown = pieces(text).into_iter().filter_map(|piece| match piece {
                    Piece::Word(Group::Kept, name, range) if !kept.contains(name) => Some((name, source.span(range))),
                    _ => None,
                });
                for (name, span) in unknown.collect::<Vec<_>>() {
                    let help = match did_you_mean(name, kept.iter().copied()) {
                        Some(near) => format!("did you mean `kept.{near}`?"),
                        None => format!("an earlier step keeps it: keep = {{ {name} = \"$.{name}\" }}"),
                    };
                    self.error(span, format!("no step before this keeps `{name}`"), help);
                }
            }
            NodeKind::List(list) => list.iter().for_each(|item| self.check_kept_in(item, kept)),
            NodeKind::Table(table) => table.entries.iter().for_each(|entry| self.check_kept_in(&entry.value, kept)),
            _ => {}
        }
    }
}

impl StepTable {
    /// The step that a test without steps is.
    fn single(request: RequestTable, expect: Spanned<ExpectTable>) -> Self {
        StepTable { request: Some(request), expect: Some(expect), ..StepTable::default() }
    }
}

/// Names and texts; a list repeats its name.
fn pairs(table: Named<Texts>) -> Vec<(String, String)> {
    let repeated = |(name, texts): (Spanned<String>, Spanned<Texts>)| {
        texts.value.0.into_iter().map(move |text| (name.value.clone(), text))
    };
    table.0.into_iter().flat_map(repeated).collect()
}
