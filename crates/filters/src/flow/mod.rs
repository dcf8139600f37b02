//! Filters that steer and set attributes. (`switch`, `call` and `any` are nodes of the engine itself.)

mod fail;
mod require;
mod set;
mod unset;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![fail, require, set, unset,];
