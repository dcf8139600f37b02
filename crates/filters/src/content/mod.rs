//! Filters over bodies.

mod body_limit;
mod json_limits;
mod json_path;
mod walk;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![body_limit, json_limits, json_path,];
