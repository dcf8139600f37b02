//! The node: it loads a configuration folder, listens, serves, reloads, drains, and is administered.
//!
//! It stands behind the engine's ports (upstreams, clock, randomness, named resources) and owns everything that lives longer
//! than a request: listeners, generations, data sources, tasks. It knows no filter: the library comes in through [`Options`].
//! It may use `policy` and `store`, and none of our other crates.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests start tasks and threads, and read the clock, by themselves")
)]

mod acme;
pub mod admin;
mod audit;
mod clock;
mod cluster;
mod copying;
mod descriptors;
mod directory;
mod expiry;
mod files;
mod folder;
mod hop;
mod idle;
mod joined;
mod lint;
mod listen;
mod load;
mod log_level;
mod look;
mod metrics;
mod mutants;
mod node;
mod once;
mod options;
mod private_file;
mod records;
mod reload;
mod run;
pub mod settings;
mod tasks;
mod telling;
mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod trailers;
mod tunnel;
mod upstream;

pub use cluster::{ClusterNode, ClusterSource, ClusterStatus, ClusterVerdict};
pub use copying::{CopyRequest, CopyTold, store_copy};
pub use files::{store_backup, store_restore};
pub use listen::Address;
pub use load::{
    Fault, GivenAnswer, GivenAnswers, GivenClient, GivenSession, GivenStore, GivenTable, GivenToken, GivenUser,
};
pub use look::{Look, look};
pub use mutants::{Fate, MutantOutcome, MutantReport, mutants};
pub use once::{
    check, cluster_status, cluster_verify, log_settings, open_stores, store_check, store_migrate, store_purge,
};
pub use options::{Host, Options, StartError, Started, StartedListener};
pub use records::{HashedPassword, HashedSecret, Records, Seal, Stores, hash_password, hash_secret};
pub use run::run;
pub use settings::{Access, AccessField, AccessFormat, AccessLines, LogFormat, LogSettings};
pub use testing::{TestChoice, TestOutcome, TestReport, TestWatch, test};
