//! Routes: which policy serves a request.
//!
//! A route is a path pattern with, perhaps, methods, a host, headers and query parameters. The most specific route that
//! matches wins: first by path, segment by segment from the left (a literal before `{name}` before `{*rest}` before `/**`),
//! then by host, then by the number of headers and parameters, then a route with methods before one without. Two routes that
//! are equal in all of these and can match one request are refused when they are loaded.

mod pattern;
mod spec;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use spec::RouteSpec;
pub(crate) use table::{Route, Router, Unmatched, ties};
