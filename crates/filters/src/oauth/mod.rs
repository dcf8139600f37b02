//! The OAuth filters.

use policy::attribute::Attribute;
use policy::filter::FilterKind;

/// The filters of this category.
pub const FILTERS: &[FilterKind] = &[];

/// The attributes that they set.
pub const ATTRIBUTES: &[&dyn Attribute] = &[];
