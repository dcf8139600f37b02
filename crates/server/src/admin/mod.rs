//! The admin address: health, metrics, reload, status, records. Always behind a credential, but for health and metrics.

mod address;
pub mod api;
mod client;
mod oag;
mod server;
mod status;
mod token;
mod work;

pub(crate) use address::note as note_address;
pub use client::{Client, ClientError};
pub(crate) use server::Admin;
#[cfg(test)]
pub(crate) use server::MOST as MOST_CONNECTIONS;
pub(crate) use token::read_or_make as read_or_make_token;
pub(crate) use work::{check as check_sources, purge as purge_sources};
