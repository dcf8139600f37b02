//! Filters over bodies.

mod body_limit;
mod content_type;
mod json_limits;
mod json_path;
mod json_schema;
#[cfg(test)]
mod json_schema_tests;
mod media_range;
mod threat_patterns;
mod threat_sets;
mod walk;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] =
    policy::filters![body_limit, content_type, json_limits, json_path, json_schema, threat_patterns,];
