//! Routes: which policy serves a request.
//!
//! A route is a path pattern with, perhaps, methods, a host, headers and query parameters. The most specific path decides,
//! segment by segment from the left (a literal before `{name}` before `{*rest}` before `/**`), among those that a route has
//! with this request's host, headers and parameters. Where several routes have that path, the most specific one that takes
//! the method wins: by host, then by the number of headers and parameters, then a route with methods before one without; and
//! where none takes it, that is 405: a less specific path is not tried. Two routes that are equal in all of these and can
//! match one request are refused when they are loaded.

mod pattern;
mod spec;
mod table;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use spec::KEYS;
pub(crate) use spec::RouteSpec;
pub(crate) use table::{Route, Router, Tie, Unmatched};
