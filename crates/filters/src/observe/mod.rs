//! Filters that tell what happened: to the log, the audit log, metrics and traces.

mod audit;
mod log;
mod metric;
mod redact;
mod told;
mod trace_point;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![audit, log, metric, trace_point,];
