//! CEL conditions and expressions, compiled at load with names and fields resolved there.
//!
//! The `cel` crate parses and evaluates. Between the two stands [`rewrite`]: it replaces every name (`client.id`,
//! `request.header["x"]`) by a numbered variable that an accessor reads when it is asked for, refuses what is not known,
//! and finds types that cannot fit. No name is looked up per request, and only what an expression uses is read.
//!
//! Common forms are evaluated by [`quick`], which leaves all else to the crate.
//!
//! An evaluation always ends soon: CEL has no loops but those over lists, and [`run`] bounds how much the loops of one
//! evaluation may read. Functions whose result could be much larger than what they are given (`replace`, `join`, `format`) are left out.

mod functions;
mod quick;
mod rewrite;
mod run;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use self::quick::Quick;
use self::rewrite::Rewrite;
use self::run::{Kind, Variable};
use super::access::Accessor;
use super::source::Source;
use crate::diagnostic::{Diagnostic, Diagnostics, Problem, codes};
use crate::exchange::Exchange;
use crate::filter::BuildContext;
use crate::outcome::{MISSING_VALUE, Reason, WRONG_TYPE};
use crate::settings::Spanned;
use crate::value::{Type, Value};

/// A longer expression is refused.
const LONGEST: usize = 4096;

/// So deep may an expression be nested: whoever walks it may recurse.
const DEEPEST: usize = 64;

/// So deep may it be nested for the parser to run on any thread's stack: it takes up to 100 KB a level.
const SHALLOW: usize = 8;

/// The stack of a parser that is given what is deeper: twice what [`DEEPEST`] takes.
const DEEP_STACK: usize = 16 * 1024 * 1024;

/// A compiled CEL condition (`when`, `require.that`).
pub struct Condition(Expression);

impl Condition {
    /// Compiles the expression; what it reads counts as reads of the filter.
    pub fn compile(text: &Spanned<String>, cx: &mut BuildContext<'_>) -> Result<Condition, Diagnostics> {
        let (expression, of) = Expression::compile(text, cx)?;
        if !matches!(of, Type::Bool | Type::Any) {
            let message = format!("a condition is true or false, and this is {of}");
            return Err(cx.error(text.span, message, "compare it with something: `==`, `!=`, `in` ...").into());
        }
        Ok(Condition(expression))
    }

    /// Whether it holds. A missing value or a result that is no boolean is a failure.
    pub fn holds(&self, exchange: &Exchange) -> Result<bool, Reason> {
        self.0.holds(exchange)
    }

    /// Whether it is about the request as the client sent it, and nothing that a filter found out: a value that is missing then
    /// is one that the client did not send.
    pub fn is_about_the_request(&self) -> bool {
        self.0.variables.iter().all(|variable| variable.accessor.is_the_clients())
    }
}

/// A compiled CEL expression.
pub(crate) struct Expression {
    root: cel::IdedExpr,
    variables: Vec<Variable>,
    /// Whether it has any, whose work must be bounded.
    loops: bool,
    /// `null` stands in it: its value may be absent on purpose.
    may_be_null: bool,
    /// The same in the form that is evaluated fastest, where it has one.
    quick: Option<Quick>,
}

impl Expression {
    /// Compiles it; gives the type of its result, where that is known.
    pub(crate) fn compile(
        text: &Spanned<String>,
        cx: &mut BuildContext<'_>,
    ) -> Result<(Expression, Type), Diagnostics> {
        let file = cx.file().clone();
        let source = Source::new(&file, text.span, &text.value);
        let depth = shape::check(&text.value).map_err(|(range, message)| error(cx, &source, range, message))?;
        let program = cx.shared.conditions.get_or_parse(&text.value, depth).map_err(|problems| {
            problems.into_iter().map(|(range, message)| error(cx, &source, range, message)).collect::<Diagnostics>()
        })?;
        let mut rewrite = Rewrite::new(cx, &source, program.source_info());
        let (root, of) = rewrite.all(program.expression().clone());
        let (variables, loops, problems) = rewrite.finish();
        if !problems.is_empty() {
            return Err(problems);
        }
        // What only shows when it is evaluated: a member that is not there, a sum of texts and numbers.
        cx.fails_rarely(&[WRONG_TYPE, MISSING_VALUE]);
        let quick = Quick::of(&root);
        Ok((Expression { root, variables, loops, may_be_null: text.value.contains("null"), quick }, of))
    }

    pub(super) fn may_be_null(&self) -> bool {
        self.may_be_null
    }

    /// A value in it that is percent-encoded; what the expression makes of that, nobody can tell.
    pub(super) fn encoded(&self) -> Option<&str> {
        let is_encoded = |variable: &&Variable| {
            matches!(variable.kind, Kind::Value)
                && (variable.accessor.is_encoded() || matches!(variable.accessor, Accessor::Path))
        };
        self.variables.iter().find(is_encoded).map(|variable| &*variable.name)
    }

    /// Its value; `None` is `null`.
    pub(crate) fn value(&self, exchange: &Exchange) -> Result<Option<Value>, Reason> {
        run::value(self, exchange)
    }

    fn holds(&self, exchange: &Exchange) -> Result<bool, Reason> {
        run::holds(self, exchange)
    }
}

type Range = std::ops::Range<usize>;

fn error(cx: &BuildContext<'_>, source: &Source<'_>, range: Range, message: String) -> Diagnostic {
    Problem::error(codes::SELECTOR, message)
        .with_help("conditions are CEL: `request.method == \"GET\" && size(token.scopes) > 0`")
        .at(cx.place(source.span(range)))
}

/// Expressions that were parsed, by their text. The generated parser takes a tenth of a millisecond for each.
#[derive(Default)]
pub struct ParsedConditions(Mutex<HashMap<String, Arc<cel::Program>>>);

impl ParsedConditions {
    fn get_or_parse(&self, text: &str, depth: usize) -> Result<Arc<cel::Program>, Vec<(Range, String)>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(text) {
            return Ok(known.clone());
        }
        let program = Arc::new(parse(text, depth)?);
        known.insert(text.to_owned(), program.clone());
        Ok(program)
    }
}

/// Parses with the standard functions; macros are left as the calls they are written as, for [`rewrite`].
fn parse(text: &str, depth: usize) -> Result<cel::Program, Vec<(Range, String)>> {
    // The generated parser indexes its tables without a check here and there: a panic on strange input is one more error.
    let parsed = || catch_unwind(AssertUnwindSafe(|| run::ENVIRONMENT.compile(text)));
    let parsed = if depth <= SHALLOW { Some(parsed()) } else { on_a_deep_stack(parsed) };
    match parsed {
        Some(Ok(Ok(program))) => Ok(program),
        Some(Ok(Err(errors))) => {
            let told = errors.errors.into_iter().take(3);
            Err(told.map(|error| (at(text, error.pos), plain(&error.msg))).collect())
        }
        Some(Err(_)) => Err(vec![(0..text.len(), String::from("this is no CEL expression"))]),
        None => Err(vec![(0..text.len(), String::from("the system gives no thread to parse so deep an expression"))]),
    }
}

/// What `work` gives, on a thread of its own; `None` where the system gives none.
fn on_a_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(DEEP_STACK);
        builder.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

/// The character at this line and column, as the parser counts them: lines from 1, columns of characters from 1.
fn at(text: &str, (line, column): (isize, isize)) -> Range {
    let line = usize::try_from(line - 1).unwrap_or_default();
    let column = usize::try_from(column - 1).unwrap_or_default();
    let line_start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = &text[line_start..];
    let mut chars = rest.char_indices().skip(column);
    let (start, length) = chars.next().map_or((rest.len(), 0), |(at, c)| (at, c.len_utf8()));
    line_start + start..line_start + start + length
}

/// The parser's message in our form: one sentence, lower case, without the list of all tokens that it knows.
fn plain(message: &str) -> String {
    let message = message.split(" expecting ").next().unwrap_or_default();
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message).trim();
    let message = message.replace("<EOF>", "the end of the expression");
    let unexpected = ["mismatched input ", "extraneous input ", "no viable alternative at input "];
    match unexpected.iter().find_map(|words| message.strip_prefix(words)) {
        Some("'the end of the expression'") => String::from("the condition ends too early"),
        Some(input) => format!("{} is not expected here", input.replace('\'', "`")),
        None if message.is_empty() => String::from("this is no CEL expression"),
        None => message,
    }
}
