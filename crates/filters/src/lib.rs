//! The filter library: what a policy's steps can be.
//!
//! It is a set of filters, one file each, in a folder a category, and a table of them ([`LIBRARY`]). It is not an engine
//! (`policy` runs the filters), not a place for the rules of a standard (`oauth` has them), and it opens no socket and no
//! database: what a filter uses of the outside it asks for by name while it is built.
//!
//! It may use `policy`, `store` and `oauth`. A filter may not use another filter.

pub mod oauth;
