//! The tests of a folder: which files have some, and what these say.

mod cases;
mod read;
mod table;
mod values;
pub(super) mod words;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use self::read::{Reader, Subject, Subjects};
pub use self::table::{ExpectTable, ExpectedOutcome, ForwardedTable, RequestTable, StepTable, TestTable};
pub use self::values::{Elsewhere, Expected, ExpectedHeader, ExpectedRecords, Named, OrCase, Scalar, Texts};
use super::model::Test;
use crate::compile::policy_name;
use crate::compile::table::Reporter;
use crate::diagnostic::{Diagnostics, Place, Problem, SourceFile, Span, codes};
use crate::reader::{Document, Files, Node, parse};
use crate::route::RouteSpec;

/// All tests of all policies, in their own files or beside them in `NAME.test.toml`. What cannot be parsed at all is left out
/// without a word: compiling tells of it.
pub fn tests(files: &Files) -> (Vec<Test>, Diagnostics) {
    let below = files.files.iter().filter(|(path, _)| path.starts_with("policies/") && path.ends_with(".toml"));
    tests_in(files, &below.filter_map(|(path, file)| Some((path.clone(), parse(file).ok()?))).collect())
}

/// The same where the files are parsed already: [`Compiled::documents`](crate::compile::Compiled::documents).
pub fn tests_in(files: &Files, documents: &BTreeMap<String, Document>) -> (Vec<Test>, Diagnostics) {
    let mut problems = Diagnostics::new();
    let subjects: Subjects = files
        .files
        .keys()
        .filter_map(|path| Some((policy_name(path)?.to_owned(), documents.get(path).map(subject))))
        .collect();
    let mut tests = Vec::new();
    // Of each policy: its tests stand in two files, and results are told by name alone.
    let mut names = HashSet::new();
    for (path, document) in documents {
        let beside = path.strip_suffix(".test.toml").map(|stem| format!("{stem}.toml"));
        let Some(policy) = policy_name(beside.as_deref().unwrap_or(path)) else { continue };
        if let Some(owner) = &beside {
            if !files.files.contains_key(owner) {
                problems.push(without_policy(&document.file, policy));
                continue;
            }
            report_other_keys(document, &mut problems);
        }
        if subjects.get(policy).is_some_and(Option::is_some) {
            tests.extend(tests_of(policy, &subjects, document, &mut names, &mut problems));
        }
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

fn tests_of(
    policy: &str,
    subjects: &Subjects,
    document: &Document,
    names: &mut HashSet<(String, String)>,
    problems: &mut Diagnostics,
) -> Vec<Test> {
    let Some(entry) = document.root.entry("test") else { return Vec::new() };
    let help = "write each test as [[test]]";
    let Some(list) = entry.value.as_list() else {
        let problem = Problem::error(codes::BAD_TEST, format!("`test` is {}", entry.value.describe())).with_help(help);
        problems.push(problem.at(document.place(entry.value.span)));
        return Vec::new();
    };
    let mut tests = Vec::new();
    for node in list {
        let Some(table) = node.as_table() else {
            let problem = Problem::error(codes::BAD_TEST, format!("a test is {}", node.describe())).with_help(help);
            problems.push(problem.at(document.place(node.span)));
            continue;
        };
        for (table, case) in cases::expanded(&document.file, table, problems) {
            let (test, found) = Reader::new(policy, subjects, document).test(&table);
            problems.extend(found);
            let Some(mut test) = test else { continue };
            test.case = case.map(|span| document.place(span));
            if !names.insert((policy.to_owned(), test.name.clone())) {
                let message = format!("two tests are called `{}`", test.name);
                problems.push(Problem::error(codes::BAD_TEST, message).at(test.place.clone()));
            }
            tests.push(test);
        }
    }
    tests
}

/// What a test must know of the policy that a request is for.
fn subject(document: &Document) -> Subject {
    let root = &document.root;
    Subject {
        routed: root.entry("route").is_some() || root.get("routes").is_some_and(|routes| !is_empty_list(routes)),
        listener: root.get("listener").and_then(Node::as_text).map(str::to_owned),
        route: first_route(document),
    }
}

/// `routes = []`: the policy is off, and is tested all the same.
fn is_empty_list(node: &Node) -> bool {
    node.as_list().is_some_and(<[Node]>::is_empty)
}

/// The first route of a policy; what is wrong with it, compiling tells.
fn first_route(document: &Document) -> Option<RouteSpec> {
    let node = match (document.root.get("route"), document.root.get("routes")) {
        (Some(node), _) => Some(node),
        (None, Some(routes)) => routes.as_list().and_then(<[Node]>::first),
        (None, None) => None,
    };
    let mut ignored = Diagnostics::new();
    RouteSpec::read(&mut Reporter { file: &document.file, problems: &mut ignored }, node?)
}
