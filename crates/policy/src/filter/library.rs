//! The table of filters: explicit, one line a filter, no linker magic.

use crate::attribute::Attribute;
use crate::diagnostic::Diagnostics;
use crate::exchange::{Exchange, Response};
use crate::lint::RouteLint;
use crate::outcome::{Abort, Outcome, Reason};
use crate::ports::BoxFuture;
use crate::reader::{Outside, Table};

use super::{BuildContext, Filter, FilterConfig};

/// A filter without its type: what the engine runs.
pub trait ErasedFilter: Send + Sync {
    /// See [`Filter::run`].
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Outcome, Abort>>;
}

impl<F: Filter> ErasedFilter for F {
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Outcome, Abort>> {
        Box::pin(Filter::run(self, exchange))
    }
}

/// How a policy's refusals and faults are answered where no chain of its own does.
pub trait AnswerStyle: Send + Sync + 'static {
    /// Writes the answer to a failure.
    fn failure(&self, exchange: &Exchange, reason: &Reason) -> Response;
    /// Writes the answer to a fault.
    fn abort(&self, exchange: &Exchange, abort: &Abort) -> Response;
    /// Whether a repeated form or query parameter is a failure that selectors must report (RFC 6749, section 3.1 and 3.2).
    fn refuses_repeated_parameters(&self) -> bool {
        false
    }
}

/// What the presence of a filter makes of the policy it stands in.
#[derive(Clone, Copy)]
pub enum Role {
    /// Nothing special.
    Plain,
    /// Anywhere in the policy: answers are of this style.
    Endpoint(&'static dyn AnswerStyle),
    /// In the main chain: answers are of this style, whatever else there is.
    Resource(&'static dyn AnswerStyle),
}

/// One kind of filter, without its type.
#[derive(Clone, Copy)]
pub struct FilterKind {
    /// Its name in policies.
    pub name: &'static str,
    /// What it makes of a policy.
    pub role: Role,
    /// Its settings' JSON Schema.
    pub schema: fn() -> schemars::Schema,
    /// Reads its settings from a policy's table and compiles them.
    pub build: BuildFn,
}

/// Reads a filter's settings from its table, without the keys to skip, and compiles them.
pub type BuildFn =
    fn(&Table, skip: &[&str], &dyn Outside, &mut BuildContext<'_>) -> Result<Box<dyn ErasedFilter>, Diagnostics>;

impl FilterKind {
    /// The kind that this settings type is.
    pub const fn of<C: FilterConfig>() -> Self {
        FilterKind {
            name: C::TYPE,
            role: C::ROLE,
            schema: || schemars::schema_for!(C),
            build: |table, skip, outside, cx| {
                let (settings, mut found) = crate::reader::deserialize_known::<C>(cx.file(), table, skip, outside);
                let Some(settings) = settings else { return Err(found) };
                match settings.build(cx) {
                    Ok(filter) if !found.has_errors() => {
                        cx.effects.warnings.extend(found);
                        Ok(Box::new(filter))
                    }
                    Ok(_) => Err(found),
                    Err(more) => {
                        found.extend(more);
                        Err(found)
                    }
                }
            },
        }
    }
}

/// The filters and attributes that an engine is given.
#[derive(Clone, Copy)]
pub struct Library {
    /// The categories' tables.
    pub filters: &'static [&'static [FilterKind]],
    /// The attributes that filters set, for selectors.
    pub attributes: &'static [&'static dyn Attribute],
    /// How policies without a role of their own are answered.
    pub plain: &'static dyn AnswerStyle,
    /// Lints that look at more than one filter.
    pub lints: &'static [RouteLint],
}

impl Library {
    /// The filter of this name.
    pub fn filter(&self, name: &str) -> Option<&'static FilterKind> {
        self.kinds().find(|kind| kind.name == name)
    }

    /// All filters.
    pub fn kinds(&self) -> impl Iterator<Item = &'static FilterKind> {
        self.filters.iter().flat_map(|category| category.iter())
    }

    /// The attribute of this root name, with its index in [`attributes`](Self::attributes).
    pub fn attribute(&self, name: &str) -> Option<(usize, &'static dyn Attribute)> {
        self.attributes.iter().copied().enumerate().find(|(_, attribute)| attribute.name() == name)
    }
}
