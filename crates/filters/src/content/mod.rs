//! Filters over bodies.

mod json_path;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = &[FilterKind::of::<json_path::Settings>()];
