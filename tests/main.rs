//! Black-box tests: they start the program and speak to it, over HTTP and over its command line. One module a subject.
//!
//! Nothing of the program is linked in here, and only upstreams are stood in for. Tests that need PostgreSQL, MariaDB or Redis take it from
//! `PORTCULLIS_TEST_POSTGRES`, `PORTCULLIS_TEST_MYSQL` and `PORTCULLIS_TEST_REDIS`, which `tests/run` sets; those of LDAP from
//! `PORTCULLIS_TEST_LDAP`.
//! Those that go by ODBC find its drivers where `PORTCULLIS_TEST_ODBC` and `ODBCSYSINI` say.

// One test binary: what its modules share is public among them only, and the environment, clocks and panics are a test's own.
#![allow(missing_docs, unreachable_pub, clippy::disallowed_methods, clippy::unwrap_used)]

mod harness;

mod acme;
mod admin;
mod audit;
mod bad_files;
mod bad_input;
mod cache;
mod calls;
mod check_formats;
mod cli;
mod cli_records;
mod client_keys;
mod client_secret_jwt;
mod cluster;
mod code_flow;
mod content;
mod coverage;
mod drain;
mod durability;
mod exchange;
mod explain;
mod file_source;
mod fmt;
mod fuzz_endpoints;
mod held;
mod introspect;
mod keys;
mod kps;
mod ldap;
mod listeners;
mod lsp;
mod lsp_recorded;
mod metadata;
mod mistakes;
mod moving;
mod mutants;
mod oauth_client;
mod observe;
#[cfg(feature = "odbc")]
mod odbc;
mod outage;
mod own_tests;
mod protect;
mod proxy;
mod rate_limits;
mod redis;
mod registration;
mod registry;
mod reload;
mod reload_load;
mod revoke;
mod schemas;
mod sync;
mod templates;
mod token;
mod tokeninfo;
mod upgrade;
mod upstreams;
mod users;
mod web;
