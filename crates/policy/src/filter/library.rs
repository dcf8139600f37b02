//! The table of filters: explicit, one line a filter, no linker magic.

use crate::attribute::{Attribute, Slot};
use crate::compile::Shared;
use crate::diagnostic::Diagnostics;
use crate::exchange::{Exchange, Response};
use crate::lint::RouteLint;
use crate::outcome::{Abort, Outcome, Reason};
use crate::ports::BoxFuture;
use crate::reader::{Outside, Table};
use crate::selector::Dynamic;
use crate::settings::Spanned;
use crate::value::{Type, Value};

use super::{BuildContext, Filter, FilterConfig};

/// A filter without its type: what the engine runs.
pub trait ErasedFilter: Send + Sync {
    /// See [`Filter::run`].
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Outcome, Abort>>;
    /// See [`Filter::weaknesses`].
    fn weaknesses(&self) -> Vec<String> {
        Vec::new()
    }
    /// See [`Filter::weaken`].
    fn weaken(&mut self, _weakness: usize) {}
}

impl<F: Filter> ErasedFilter for F {
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a, Result<Outcome, Abort>> {
        Box::pin(Filter::run(self, exchange))
    }

    fn weaknesses(&self) -> Vec<String> {
        Filter::weaknesses(self)
    }

    fn weaken(&mut self, weakness: usize) {
        Filter::weaken(self, weakness);
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
    /// What the file it stands in says of it: its `//!` lines, as they stand there. Put in by [`filters!`](crate::filters).
    pub docs: &'static str,
    /// A later version brings it: known, and refused.
    pub later: bool,
    /// Its settings' JSON Schema.
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
    /// Reads its settings from a policy's table and compiles them.
    pub build: BuildFn,
}

/// Reads a filter's settings from its table, without the keys to skip, and compiles them.
pub type BuildFn =
    fn(&Table, skip: &[&str], &dyn Outside, &mut BuildContext<'_>) -> Result<Box<dyn ErasedFilter>, Diagnostics>;

impl FilterKind {
    /// What its file says of it, as Markdown.
    pub fn documentation(&self) -> String {
        self.docs
            .lines()
            .map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or_default().to_owned() + "\n")
            .collect()
    }

    /// The kind that this settings type is.
    pub const fn of<C: FilterConfig>() -> Self {
        FilterKind {
            name: C::TYPE,
            role: C::ROLE,
            docs: "",
            later: false,
            schema: C::json_schema,
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

/// The table of a category's filters: the names of its modules, each with its `Settings`, and what the module's file says of itself.
///
/// ```text
/// pub(crate) const FILTERS: &[FilterKind] = policy::filters![fail, require, set];
/// ```
#[macro_export]
macro_rules! filters {
    ($($module:ident),+ $(,)?) => {
        &[$($crate::filter::FilterKind {
            docs: {
                const SOURCE: &str = include_str!(concat!(stringify!($module), ".rs"));
                // A constant of its own, so that the program holds the documentation and not the source.
                const DOCS: [u8; $crate::filter::docs_length(SOURCE)] = $crate::filter::docs_of(SOURCE);
                match std::str::from_utf8(&DOCS) {
                    Ok(docs) => docs,
                    Err(_) => "",
                }
            },
            ..$crate::filter::FilterKind::of::<$module::Settings>()
        }),+]
    };
}

/// How many bytes of a source file are the `//!` lines at its start.
#[doc(hidden)]
pub const fn docs_length(source: &str) -> usize {
    let bytes = source.as_bytes();
    let mut at = 0;
    while at + 2 < bytes.len() && bytes[at] == b'/' && bytes[at + 1] == b'/' && bytes[at + 2] == b'!' {
        while at < bytes.len() && bytes[at] != b'\n' {
            at += 1;
        }
        at += 1;
    }
    at
}

/// The `//!` lines at the start of a source file.
#[doc(hidden)]
pub const fn docs_of<const LENGTH: usize>(source: &str) -> [u8; LENGTH] {
    let (bytes, mut docs, mut at) = (source.as_bytes(), [0; LENGTH], 0);
    while at < LENGTH {
        docs[at] = bytes[at];
        at += 1;
    }
    docs
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
    /// How `kps.NAME[KEY]` is looked up; none where nothing can be.
    pub look_up: Option<LookUpFn>,
    /// Lints that look at more than one filter.
    pub lints: &'static [RouteLint],
    /// Checks of the library's own settings files, whether or not a filter reads them.
    pub settings: &'static [SettingsCheck],
}

/// A row that a selector names: `kps.partners[client.id].limit`.
pub struct LookUp<'a> {
    /// The store: `partners`.
    pub store: Spanned<&'a str>,
    /// What gives the key.
    pub key: Dynamic<String>,
    /// The column that is read; none = the whole row.
    pub column: Option<Spanned<&'a str>>,
    /// Where the row is to be put; absent where there is none.
    pub slot: Slot<Value>,
}

/// A look-up, compiled.
pub struct LookedUp {
    /// What puts the row into its slot. It succeeds where there is no row.
    pub filter: Box<dyn ErasedFilter>,
    /// The type of the column, or of the row.
    pub of: Type,
}

/// Compiles a look-up; what is wrong with it is told.
pub type LookUpFn = fn(&mut BuildContext<'_>, &LookUp<'_>) -> Result<LookedUp, Diagnostics>;

/// Finds what is wrong in one of the library's own settings files ([`Shared::settings_file`]).
pub type SettingsCheck = fn(&Shared<'_>) -> Diagnostics;

impl Library {
    /// The filter of this name.
    pub fn filter(&self, name: &str) -> Option<&'static FilterKind> {
        self.kinds().find(|kind| kind.name == name)
    }

    /// All filters.
    pub fn kinds(&self) -> impl Iterator<Item = &'static FilterKind> {
        self.filters.iter().flat_map(|category| category.iter())
    }

    /// The filters that do something: without those that a later version brings.
    pub fn there(&self) -> impl Iterator<Item = &'static FilterKind> {
        self.kinds().filter(|kind| !kind.later)
    }

    /// The attribute of this root name, with its index in [`attributes`](Self::attributes).
    pub fn attribute(&self, name: &str) -> Option<(usize, &'static dyn Attribute)> {
        self.attributes.iter().copied().enumerate().find(|(_, attribute)| attribute.name() == name)
    }
}
