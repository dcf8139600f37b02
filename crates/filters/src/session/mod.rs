//! Sessions of browsers: begun after a log-in, ended by a log-out. `auth.session` finds them.

pub mod cookie;
pub(crate) mod end;
mod start;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![start, end];
