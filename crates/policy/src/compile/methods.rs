//! Conditions that are about the method alone: for these, `when` is known for each method before any request comes.

use std::sync::Arc;

use http::Method;

use super::layout::Layout;
use super::model::{Policy, Switch};
use super::shared::{NodeFacts, Shared};
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Problem, codes};
use crate::engine::Program;
use crate::exchange::{Body, Exchange, Request};
use crate::ports::{BoxFuture, Clock, Environment, Random};
use crate::route::Router;
use crate::selector::Condition;
use crate::settings::Literal;

/// Stands for every method that no policy names.
pub(crate) const OTHER: &str = "OTHER";

/// So many methods may routes name: every condition on the method is tried with each. There are about forty, WebDAV's included.
const MOST: usize = 100;

/// The methods that conditions are tried with: the usual ones, those that routes name, and one that nobody names.
pub(crate) struct Methods {
    pub(crate) all: Vec<Method>,
    program: Arc<Program>,
}

impl Methods {
    pub(crate) fn new(policies: &[Policy], shared: &Shared<'_>, problems: &mut Diagnostics) -> Methods {
        let usual =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
        let mut all = usual.to_vec();
        let named = policies.iter().flat_map(|policy| policy.routes.iter().map(move |route| (policy, route)));
        let mut named =
            named.flat_map(|(policy, route)| route.methods.iter().map(move |method| (policy, route, method)));
        let too_many = named.find(|(_, _, method)| {
            if !all.contains(method) {
                all.push((*method).clone());
            }
            all.len() > MOST
        });
        if let Some((policy, route, _)) = too_many {
            problems.push(told_too_many(policy.place(route.span)));
        }
        all.extend(Method::from_bytes(OTHER.as_bytes()).ok().filter(|other| !all.contains(other)));
        Methods { all, program: Arc::new(empty_program(shared)) }
    }

    /// Whether the condition holds, by method; `None` where it is not about the method alone.
    pub(crate) fn try_with(&self, text: &str, condition: &Condition) -> Option<Vec<bool>> {
        if !about_method_alone(text) {
            return None;
        }
        let environment = Environment { clock: Arc::new(Nothing), random: Arc::new(Nothing) };
        let holds = |method: &Method| {
            let request = Request::new(method.clone(), "/", Body::Empty);
            condition.holds(&Exchange::new(self.program.clone(), environment.clone(), request)).ok()
        };
        self.all.iter().map(holds).collect()
    }

    /// The methods that a policy's routes take, as indices.
    pub(crate) fn of(&self, policy: &Policy) -> Vec<usize> {
        let taken = |method: &Method| {
            policy
                .routes
                .iter()
                .any(|route| route.methods.is_empty() || route.allowed().any(|allowed| allowed == *method))
        };
        (0..self.all.len()).filter(|index| taken(&self.all[*index])).collect()
    }
}

/// The case of a switch on the method: `Some(None)` is `else`, `None` is another switch.
pub(crate) fn switch_case(switch: &Switch, method: &Method) -> Option<Option<usize>> {
    let Literal::Text(on) = &switch.on.value else { return None };
    let inner = on.trim().strip_prefix("${")?.strip_suffix('}')?;
    if inner.trim() != "request.method" {
        return None;
    }
    let same = |case: &str| {
        if switch.fold_case { case.eq_ignore_ascii_case(method.as_str()) } else { case == method.as_str() }
    };
    Some(switch.cases.iter().position(|(case, _)| same(case)))
}

fn told_too_many(place: Place) -> Diagnostic {
    Problem::error(codes::BAD_ROUTE, format!("the routes of all policies name more than {MOST} different methods"))
        .with_help("a route without a method takes all of them")
        .at(place)
}

/// All names in the expression are the method, or words of the language.
fn about_method_alone(text: &str) -> bool {
    let names = names(text);
    let method = |name: &String| name == "request.method" || name.starts_with("request.method.");
    names.iter().any(method)
        && names.iter().all(|name| method(name) || ["in", "true", "false"].contains(&name.as_str()))
}

/// Names with their dots, outside of text; text itself is left out.
fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => drop(chars.next()),
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c.is_alphanumeric() || c == '_' || c == '.' => name.push(c),
            None => {
                quote = (c == '\'' || c == '"').then_some(c);
                names.extend((!name.is_empty()).then(|| std::mem::take(&mut name)));
            }
        }
    }
    names.extend((!name.is_empty()).then_some(name));
    names
}

fn empty_program(shared: &Shared<'_>) -> Program {
    let unbound = crate::engine::model::Listener {
        name: String::new(),
        before: Vec::new(),
        after: Vec::new(),
        on_error: None,
        router: Arc::new(Router::default()),
    };
    Program {
        generation: 0,
        layout: Layout::default(),
        library: shared.library,
        node: NodeFacts { body_limit: 0, ..NodeFacts::default() },
        policies: Vec::new(),
        steps: Vec::new(),
        listeners: Vec::new(),
        unbound,
    }
}

/// No time and no chance: a condition on the method needs neither.
struct Nothing;

impl Clock for Nothing {
    fn unix_millis(&self) -> u64 {
        0
    }
    fn monotonic_nanos(&self) -> u64 {
        0
    }
    fn sleep(&self, _: std::time::Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Random for Nothing {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_on_the_method_alone_are_told_from_others() {
        for (text, expected) in [
            ("request.method == 'GET'", true),
            ("request.method in ['GET', \"client.id\"]", true),
            ("!(request.method == 'it\\'s vars.x') && true", true),
            ("request.method.startsWith('P')", true),
            ("request.method == vars.x", false),
            ("request.path == '/x'", false),
            ("request.methods == 'GET'", false),
            ("true", false),
        ] {
            assert_eq!(about_method_alone(text), expected, "{text}");
        }
    }
}
