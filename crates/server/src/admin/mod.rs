//! The admin address: health, metrics, reload, status, records. Always behind a credential, but for health and metrics.

pub mod api;
mod client;

pub use client::{Client, ClientError};
