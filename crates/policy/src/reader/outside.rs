//! What lies outside the files.

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
    /// Whether a secret file can be read or written by every user of the machine.
    fn open_to_others(&self, path: &str) -> bool {
        let _ = path;
        false
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

/// Nothing outside at all: for tables that name nothing there.
pub struct NoOutside;

impl Outside for NoOutside {
    fn variable(&self, _: &str) -> Result<String, SecretError> {
        Err(SecretError::Missing)
    }
    fn file(&self, _: &str) -> Result<String, SecretError> {
        Err(SecretError::Missing)
    }
}
