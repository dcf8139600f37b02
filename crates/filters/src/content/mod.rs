//! Filters over what a message holds: bodies, queries, headers.

mod body_limit;
mod content_type;
mod header_rules;
mod json_edit;
mod json_limits;
mod json_path;
mod json_schema;
#[cfg(test)]
mod json_schema_tests;
mod media_range;
mod query_rules;
mod rules;
mod template;
mod threat_patterns;
mod threat_sets;
mod walk;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![
    body_limit,
    content_type,
    header_rules,
    json_edit,
    json_limits,
    json_path,
    json_schema,
    query_rules,
    template,
    threat_patterns,
];
