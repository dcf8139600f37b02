//! Listeners: from a connection to an answered request.

mod headers;
mod host;
mod path;
