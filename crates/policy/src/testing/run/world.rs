//! What tests run in.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostics;
use crate::exchange::Request;
use crate::ports::{BoxFuture, Environment};
use crate::testing::model::Given;

/// What tests run in: stores, upstreams and a clock that are all the test's own.
pub trait World: Send + Sync {
    /// Puts there what a test asks for, and nothing else.
    fn arrange<'a>(&'a self, given: &'a Given) -> BoxFuture<'a, Result<(), Diagnostics>>;
    /// Changes what is there between two steps.
    fn change<'a>(&'a self, given: &'a Given) -> BoxFuture<'a, Result<(), Diagnostics>>;
    /// Sets the clock forward.
    fn advance(&self, by: Duration);
    /// The clock and the randomness.
    fn environment(&self) -> Environment;
    /// Makes of a request what a node makes of it before any policy sees it; or says why a node refuses it.
    fn receive(&self, request: &mut Request) -> Result<(), String>;
    /// What a word of the test stands for: the token that was made for it.
    fn substitute(&self, text: &str) -> Option<String>;
    /// What a store holds, each record as JSON; or why that cannot be told (there is no such store).
    fn records<'a>(&'a self, store: &'a str) -> BoxFuture<'a, Result<Vec<Map<String, Json>>, String>>;
    /// The requests that reached upstreams since this was last asked, by the name of each upstream there is.
    fn received(&self) -> BTreeMap<String, Vec<Received>>;
    /// What filters told since this was last asked, a line each: to the log, to the audit log, and to metrics.
    fn told(&self) -> Vec<String>;
}

/// A request that reached an upstream.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What it met, for people: the status that was answered, or how it failed.
    pub met: String,
}
