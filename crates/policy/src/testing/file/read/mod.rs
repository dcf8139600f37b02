//! From the tables of a test to the test: what serde's types cannot say is checked here.

mod expect;
mod keep;
mod request;

use std::collections::BTreeMap;

use http::HeaderName;

use super::table::{ExpectTable, RequestTable, StepTable, TestTable};
use crate::diagnostic::{Diagnostics, Problem, Span, codes};
use crate::reader::{Document, NoOutside, Node, Table, deserialize, did_you_mean};
use crate::route::RouteSpec;
use crate::selector::JsonPath;
use crate::settings::Spanned;
use crate::testing::model::{Expect, Given, Step, Test};

/// So often a step's request is sent at most: what a limit can need, and no more than a moment.
const MOST_TIMES: u32 = 10_000;

/// What a test must know of the policy that a request is for.
pub(super) struct Subject {
    pub(super) routed: bool,
    pub(super) listener: Option<String>,
    pub(super) route: Option<RouteSpec>,
}

/// By policy; `None` where its file cannot be parsed.
pub(super) type Subjects = BTreeMap<String, Option<Subject>>;

pub(super) struct Reader<'a> {
    policy: &'a str,
    subjects: &'a Subjects,
    document: &'a Document,
    problems: Diagnostics,
}

impl<'a> Reader<'a> {
    pub(super) fn new(policy: &'a str, subjects: &'a Subjects, document: &'a Document) -> Self {
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
        let told = self.problems.map(|mut diagnostic| {
            diagnostic.problem.code = codes::BAD_TEST;
            diagnostic
        });
        (test, told)
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
                self.steps(table, read.step)?
            }
        };
        Some(Test {
            policy: self.policy.to_owned(),
            name: read.name.value.0,
            place: self.document.place(table.span),
            case: None,
            given,
            steps,
        })
    }

    /// None where one of them is wrong; what is wrong with each is told all the same.
    fn steps(&mut self, table: &Table, steps: Vec<Spanned<StepTable>>) -> Option<Vec<Step>> {
        let tables = table.get("step").and_then(Node::as_list).unwrap_or_default();
        let mut read = Vec::new();
        for (index, (step, node)) in steps.into_iter().zip(tables).enumerate() {
            let given = node.as_table().filter(|table| table.get("given").is_some()).map(|table| self.given(table));
            read.push(self.step(node.span, Some(index + 1), step.value).map(|step| Step { given, ..step }));
        }
        read.into_iter().collect()
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
        // Compiling tells of a file that cannot be parsed, and this test waits for it.
        let subject = subject.as_ref()?;
        let expect_span = step.expect.as_ref().map(|expect| expect.span);
        let request = self.request(span, step.request.unwrap_or_default(), subject.route.as_ref());
        let expect = step.expect.map_or_else(Expect::default, |expect| self.expect(expect.value));
        let keep = self.keep(step.keep);
        let times = self.times(step.times);
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
            advance: step.advance.map(|advance| advance.0.0),
            times,
            given: None,
            policy: policy.to_owned(),
            routed: subject.routed,
            listener: subject.listener.clone(),
            request,
            expect,
            keep,
        })
    }

    fn times(&mut self, times: Option<Spanned<u32>>) -> u32 {
        let Some(times) = times else { return 1 };
        if !(1..=MOST_TIMES).contains(&times.value) {
            self.error(
                times.span,
                format!("a request is not sent {} times", times.value),
                format!("1 to {MOST_TIMES}"),
            );
        }
        times.value
    }

    fn header_name(&mut self, name: &Spanned<String>) -> Option<HeaderName> {
        let parsed = name.value.parse().ok();
        if parsed.is_none() {
            self.error(name.span, format!("`{}` is no header name", name.value), "letters, digits and `-`");
        }
        parsed
    }

    fn json_path(&mut self, text: &Spanned<String>) -> Option<JsonPath> {
        let parsed = JsonPath::parse(&text.value);
        if let Err(why) = &parsed {
            self.error(text.span, format!("`{}` is no JSONPath: {why}", text.value), "for example \"$.error\"");
        }
        parsed.ok()
    }
}

impl StepTable {
    /// The step that a test without steps is.
    fn single(request: RequestTable, expect: Spanned<ExpectTable>) -> Self {
        StepTable { request: Some(request), expect: Some(expect), ..StepTable::default() }
    }
}
