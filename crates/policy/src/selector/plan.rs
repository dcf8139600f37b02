//! A compiled setting without its type: constants, accessors, texts, lists, tables and expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::access::{Accessor, Got};
use super::cel::Expression;
use super::grammar::{self, Path, Piece, Step, Template};
use super::resolve::{Name, NameStep, resolve};
use super::source::Source;
use crate::diagnostic::{Diagnostics, Problem, Span, codes};
use crate::exchange::{Exchange, path};
use crate::filter::BuildContext;
use crate::outcome::Reason;
use crate::settings::{Literal, Spanned};
use crate::value::{Type, Value};

/// Encoded in a parameter of a query: all but the unreserved (RFC 3986, section 2.3).
const IN_A_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encoded in a path: all but slashes and `pchar` (section 3.3).
const IN_A_PATH: &AsciiSet = &IN_A_VALUE
    .remove(b'/')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// What is evaluated for each request.
pub(crate) enum Plan {
    /// Known before any request.
    Constant(Value),
    /// One selector: the value keeps its type.
    One(Box<Lookup>),
    /// Text with selectors in it.
    Text(Box<[Part]>),
    List(Box<[Plan]>),
    Table(Box<[(Arc<str>, Plan)]>),
    Cel(Box<Expression>),
}

/// A selector.
pub(crate) struct Lookup {
    accessor: Accessor,
    /// As it was written, for the failure.
    name: Box<str>,
    default: Default,
}

/// What stands in for a value that is absent.
enum Default {
    /// Nothing: that is a failure.
    None,
    /// It stays absent.
    Absent,
    Plan(Plan),
}

pub(crate) enum Part {
    Text(Box<str>),
    Lookup(Lookup),
}

/// A plan, and the type of what it gives, where that is known.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) of: Type,
}

impl Plan {
    /// Evaluates; `None` is absent on purpose.
    pub(crate) fn get<'e>(&'e self, exchange: &'e Exchange) -> Result<Option<Got<'e>>, Reason> {
        match self {
            Plan::Constant(value) => Ok(Some(Got::Borrowed(value))),
            Plan::One(lookup) => lookup.get(exchange),
            Plan::Text(parts) => text(parts, exchange).map(|text| Some(Got::Text(text.into()))),
            Plan::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.extend(item.get(exchange)?.map(Got::into_value));
                }
                Ok(Some(Got::Owned(Value::List(values.into()))))
            }
            Plan::Table(entries) => {
                let mut values = BTreeMap::new();
                for (name, plan) in entries {
                    if let Some(got) = plan.get(exchange)? {
                        values.insert(name.clone(), got.into_value());
                    }
                }
                Ok(Some(Got::Owned(Value::Map(values.into()))))
            }
            Plan::Cel(expression) => expression.value(exchange).map(|value| value.map(Got::Owned)),
        }
    }

    /// Whether its value may be absent on purpose.
    pub(crate) fn may_be_absent(&self) -> bool {
        match self {
            Plan::One(lookup) => match &lookup.default {
                Default::None => false,
                Default::Absent => true,
                Default::Plan(plan) => plan.may_be_absent(),
            },
            Plan::Cel(expression) => expression.may_be_null(),
            Plan::Constant(_) | Plan::Text(_) | Plan::List(_) | Plan::Table(_) => false,
        }
    }

    /// The text as part of a path, where a selector in it gives a path: that one is encoded already and goes as it is, all else is
    /// encoded as it reads. `None`: the whole reads as it is.
    pub(crate) fn path(&self, exchange: &Exchange) -> Result<Option<String>, Reason> {
        match self {
            Plan::One(lookup) => lookup.path(exchange),
            Plan::Text(parts) => {
                let mut path = String::new();
                for part in parts {
                    match part {
                        Part::Text(plain) => path.push_str(&path::encode_percent(plain)),
                        Part::Lookup(lookup) => match lookup.path(exchange)? {
                            Some(encoded) => path.push_str(&encoded),
                            None => {
                                if let Some(got) = lookup.get(exchange)? {
                                    let mut text = String::new();
                                    got.push_to(&mut text);
                                    path.push_str(&path::encode_percent(&text));
                                }
                            }
                        },
                    }
                }
                Ok(Some(path))
            }
            Plan::Constant(_) | Plan::List(_) | Plan::Table(_) | Plan::Cel(_) => Ok(None),
        }
    }

    /// The text as an address for a client: what the policy says stands as it is written, and a value is encoded so that it says nothing but
    /// itself, a path's segments or a parameter's value; those that are encoded already stay. `None`: the whole is an address as it reads.
    pub(crate) fn address(&self, exchange: &Exchange) -> Result<Option<String>, Reason> {
        let Plan::Text(parts) = self else { return Ok(None) };
        let mut address = String::new();
        for part in parts {
            match part {
                Part::Text(plain) => address.push_str(plain),
                Part::Lookup(lookup) => {
                    let Some(got) = lookup.get(exchange)? else { continue };
                    let is_address = address.is_empty() || lookup.is_encoded(&address, exchange)?;
                    if is_address {
                        got.push_to(&mut address);
                        continue;
                    }
                    let mut value = String::new();
                    got.push_to(&mut value);
                    let escaped = if address.contains(['?', '#']) { IN_A_VALUE } else { IN_A_PATH };
                    address.extend(utf8_percent_encode(&value, escaped));
                }
            }
        }
        Ok(Some(address))
    }

    /// The first value in it that is percent-encoded and no part of a path as it stands.
    pub(crate) fn not_for_a_path(&self) -> Option<&str> {
        match self {
            Plan::One(lookup) => lookup.not_for_a_path(),
            Plan::Text(parts) => parts.iter().find_map(|part| match part {
                Part::Text(_) => None,
                Part::Lookup(lookup) => lookup.not_for_a_path(),
            }),
            Plan::Cel(expression) => expression.encoded(),
            Plan::Constant(_) | Plan::List(_) | Plan::Table(_) => None,
        }
    }

    /// What it is called in a failure.
    pub(crate) fn name(&self) -> &str {
        match self {
            Plan::One(lookup) => &lookup.name,
            Plan::Cel(_) => "the expression's value",
            _ => "the setting's value",
        }
    }
}

impl Lookup {
    fn get<'e>(&'e self, exchange: &'e Exchange) -> Result<Option<Got<'e>>, Reason> {
        match (self.accessor.get(exchange)?, &self.default) {
            (Some(got), _) => Ok(Some(got)),
            (None, Default::Absent) => Ok(None),
            (None, Default::Plan(plan)) => plan.get(exchange),
            (None, Default::None) => Err(Reason::missing(&self.name)),
        }
    }

    /// See [`Plan::path`].
    fn path(&self, exchange: &Exchange) -> Result<Option<String>, Reason> {
        match (&self.accessor, &self.default) {
            (Accessor::Path, _) => Ok(Some(exchange.request.path.clone())),
            (accessor, Default::Plan(plan)) if accessor.get(exchange)?.is_none() => plan.path(exchange),
            _ => Ok(None),
        }
    }

    /// Whether what it gives here, behind this beginning of an address, is a part of an address already.
    fn is_encoded(&self, before: &str, exchange: &Exchange) -> Result<bool, Reason> {
        if self.accessor.get(exchange)?.is_none() {
            return match &self.default {
                Default::Plan(Plan::Constant(_)) => Ok(true),
                Default::Plan(Plan::One(lookup)) => lookup.is_encoded(before, exchange),
                _ => Ok(false),
            };
        }
        Ok(match (&self.accessor, before.contains(['?', '#'])) {
            (Accessor::QueryString, _) => true,
            (accessor, false) => matches!(accessor, Accessor::Path) || accessor.is_encoded(),
            // A path or an address is a value there, such as where to return to.
            (_, true) => false,
        })
    }

    fn not_for_a_path(&self) -> Option<&str> {
        match (&self.accessor, &self.default) {
            (accessor, _) if accessor.is_encoded() => Some(&self.name),
            (_, Default::Plan(plan)) => plan.not_for_a_path(),
            _ => None,
        }
    }
}

fn text(parts: &[Part], exchange: &Exchange) -> Result<String, Reason> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Lookup(lookup) => {
                if let Some(got) = lookup.get(exchange)? {
                    got.push_to(&mut text);
                }
            }
        }
    }
    Ok(text)
}

/// Compiles what stands in a file. `lists`: a JSONPath with several results gives a list.
pub(crate) fn plan(literal: &Spanned<Literal>, lists: bool, cx: &mut BuildContext<'_>) -> Result<Planned, Diagnostics> {
    let constant = |value: Value| {
        let of = value.type_of();
        Ok(Planned { plan: Plan::Constant(value), of })
    };
    match &literal.value {
        Literal::Int(number) => constant(Value::Int(*number)),
        Literal::Float(number) => constant(Value::Float(*number)),
        Literal::Bool(value) => constant(Value::Bool(*value)),
        // Most texts have no selector.
        Literal::Text(text) if !text.contains("${") => constant(Value::text(text.as_str())),
        Literal::Text(text) => {
            let file = cx.file().clone();
            let source = Source::new(&file, literal.span, text);
            let template = grammar::parse(text).map_err(|malformed| {
                let mut problem = Problem::error(codes::SELECTOR, malformed.message);
                if !malformed.help.is_empty() {
                    problem = problem.with_help(malformed.help);
                }
                problem.at(cx.place(source.span(malformed.range)))
            })?;
            from_template(template, &source, lists, cx)
        }
        Literal::List(items) => {
            let plans = all(items.iter().map(|item| plan(item, true, cx)))?;
            Ok(Planned { plan: list(plans), of: Type::List })
        }
        Literal::Table(entries) => table(entries, literal.span, cx),
    }
}

/// All results, or all problems.
fn all<T>(results: impl Iterator<Item = Result<T, Diagnostics>>) -> Result<Vec<T>, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut values = Vec::new();
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn list(items: Vec<Planned>) -> Plan {
    let constants: Option<Vec<Value>> = items.iter().map(|item| constant(&item.plan)).collect();
    match constants {
        Some(values) => Plan::Constant(Value::List(values.into())),
        None => Plan::List(items.into_iter().map(|item| item.plan).collect()),
    }
}

fn constant(plan: &Plan) -> Option<Value> {
    match plan {
        Plan::Constant(value) => Some(value.clone()),
        _ => None,
    }
}

type Entry = (String, Span, Spanned<Literal>);

fn table(entries: &[Entry], span: Span, cx: &mut BuildContext<'_>) -> Result<Planned, Diagnostics> {
    if let Some((_, name_span, text)) = entries.iter().find(|(name, ..)| name == "cel") {
        return match (&text.value, entries.len()) {
            (Literal::Text(expression), 1) => {
                let text = Spanned::new(text.span, expression.clone());
                let (expression, of) = Expression::compile(&text, cx)?;
                Ok(Planned { plan: Plan::Cel(Box::new(expression)), of })
            }
            (Literal::Text(_), _) => {
                Err(cx.error(*name_span, "`cel` stands alone in its table", "write `{ cel = \"...\" }`").into())
            }
            (other, _) => {
                let message = format!("expected a CEL expression in text, found {}", other.describe());
                Err(cx.error(text.span, message, "write `{ cel = \"...\" }`").into())
            }
        };
    }
    let _ = span;
    let plans = all(entries.iter().map(|(name, _, value)| {
        let planned = plan(value, true, cx)?;
        Ok((Arc::<str>::from(name.as_str()), planned.plan))
    }))?;
    let constants: Option<BTreeMap<Arc<str>, Value>> =
        plans.iter().map(|(name, plan)| Some((name.clone(), constant(plan)?))).collect();
    let plan = match constants {
        Some(values) => Plan::Constant(Value::Map(values.into())),
        None => Plan::Table(plans.into()),
    };
    Ok(Planned { plan, of: Type::Map })
}

/// A text with selectors; one selector alone keeps its type.
fn from_template(
    template: Template,
    source: &Source<'_>,
    lists: bool,
    cx: &mut BuildContext<'_>,
) -> Result<Planned, Diagnostics> {
    let mut pieces = template.pieces;
    if let [Piece::Selector(_)] = pieces.as_slice()
        && let Some(Piece::Selector(selector)) = pieces.pop()
    {
        let (lookup, of) = lookup(&selector.path, selector.default, source, lists, cx)?;
        let plan = match lookup {
            Lookup { accessor: Accessor::Constant(value), .. } => Plan::Constant(value),
            lookup => Plan::One(Box::new(lookup)),
        };
        return Ok(Planned { plan, of });
    }
    let parts = all(pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => Ok(Part::Text(text.into())),
        Piece::Selector(selector) => {
            let (lookup, _) = lookup(&selector.path, selector.default, source, false, cx)?;
            Ok(match lookup {
                Lookup { accessor: Accessor::Constant(value), .. } => Part::Text(value.to_string().into()),
                lookup => Part::Lookup(lookup),
            })
        }
    }))?;
    let constants: Option<String> = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(&**text),
            Part::Lookup(_) => None,
        })
        .collect();
    let plan = match constants {
        Some(text) => Plan::Constant(Value::text(text)),
        None => Plan::Text(parts.into()),
    };
    Ok(Planned { plan, of: Type::Text })
}

fn lookup(
    path: &Path,
    default: Option<Template>,
    source: &Source<'_>,
    lists: bool,
    cx: &mut BuildContext<'_>,
) -> Result<(Lookup, Type), Diagnostics> {
    let name = name(path, source, default.is_some(), lists);
    let written = name.whole();
    let resolved = resolve(&name, cx);
    let default = default.map(|template| {
        if template.pieces.is_empty() {
            return Ok(None);
        }
        from_template(template, source, lists, cx).map(Some)
    });
    // Both halves are looked at, so that both are told.
    let (resolved, default) = match (resolved, default.transpose()) {
        (Ok(resolved), Ok(default)) => (resolved, default),
        (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => return Err(problems),
        (Err(mut problems), Err(more)) => {
            problems.extend(more);
            return Err(problems);
        }
    };
    let (default, of) = match default {
        None => (Default::None, resolved.of),
        Some(None) => (Default::Absent, resolved.of),
        Some(Some(planned)) if planned.of == resolved.of => (Default::Plan(planned.plan), resolved.of),
        Some(Some(planned)) => (Default::Plan(planned.plan), Type::Any),
    };
    Ok((Lookup { accessor: resolved.accessor, name: written.into(), default }, of))
}

fn name<'a>(path: &'a Path, source: &Source<'_>, optional: bool, lists: bool) -> Name<'a> {
    let steps = path.steps.iter().map(|step| match step {
        Step::Name(word) => (NameStep::Name(&word.text), source.span(word.range.clone())),
        Step::Index(index, range) => (NameStep::Index(*index), source.span(range.clone())),
        Step::Key(word) => (NameStep::Key(word.text.as_str().into()), source.span(word.range.clone())),
    });
    Name {
        root: (&path.root.text, source.span(path.root.range.clone())),
        steps: steps.collect(),
        json: path.json.as_ref().map(|json| (json.text.as_str(), source.span(json.range.clone()))),
        span: source.span(path.range.clone()),
        optional,
        lists,
    }
}
