//! From a table of a file to a serde type, with the place of every error kept.

use serde::de::DeserializeOwned;
use std::sync::Arc;

use super::Table;
use crate::diagnostic::{Diagnostics, SourceFile};

/// What lies outside the files: environment variables and secret files.
pub trait Outside: Send + Sync {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Result<String, SecretError>;
    /// The content of a secret file, without a line end at its end. The path is relative to the configuration folder.
    fn file(&self, path: &str) -> Result<String, SecretError>;
    /// The content of a file that a setting names, as it is (a body to answer with). The path is relative to the configuration folder.
    fn content(&self, path: &str) -> Result<Vec<u8>, SecretError> {
        self.file(path).map(String::into_bytes)
    }
    /// Whether secrets may stand in clear text (tests may).
    fn clear_secrets(&self) -> bool {
        false
    }
    /// Whether what is missing is an error (`run`) or a warning with an empty stand-in (`check`).
    fn strict(&self) -> bool {
        true
    }
}

/// Why something outside could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// It is not there.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
}

/// Takes a table apart into `T`. `skip` names the keys that the caller has read already (`use`, `name`, `when` ...).
/// Unknown keys, missing keys and wrong types are diagnostics at their place.
pub fn deserialize<T: DeserializeOwned>(
    file: &Arc<SourceFile>,
    table: &Table,
    skip: &[&str],
    outside: &dyn Outside,
) -> Result<T, Diagnostics> {
    let _ = (file, table, skip, outside);
    unimplemented!()
}
