//! What lies outside the configuration's files: this process's environment, and secret files.

use std::env::VarError;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use policy::reader::{Outside, SecretError, read_plain};

use crate::output::Failure;

/// The machine that we run on.
pub(crate) struct Machine {
    dir: PathBuf,
}

impl Machine {
    /// Relative paths of secret files are relative to `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Machine { dir: dir.to_owned() }
    }
}

impl Outside for Machine {
    #[allow(clippy::disallowed_methods, reason = "the command line reads the environment")]
    fn variable(&self, name: &str) -> Result<String, SecretError> {
        // A name with `=` or NUL cannot be set, and std panics on some of them elsewhere: it is simply not there.
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(SecretError::Missing);
        }
        std::env::var(name).map_err(|why| match why {
            VarError::NotPresent => SecretError::Missing,
            VarError::NotUnicode(_) => SecretError::Unreadable(String::from("it is no UTF-8")),
        })
    }

    fn file(&self, path: &str) -> Result<String, SecretError> {
        let mut text = String::from_utf8(self.content(path)?)
            .map_err(|_| SecretError::Unreadable(String::from("it is no UTF-8 text")))?;
        text.truncate(without_end(&text).len());
        Ok(text)
    }

    fn content(&self, path: &str) -> Result<Vec<u8>, SecretError> {
        read_plain(&self.dir.join(path)).map_err(|why| match why.kind() {
            ErrorKind::NotFound => SecretError::Missing,
            _ => SecretError::Unreadable(why.to_string()),
        })
    }

    fn open_to_others(&self, path: &str) -> bool {
        std::fs::metadata(self.dir.join(path)).is_ok_and(|found| found.permissions().mode() & 0o007 != 0)
    }
}

/// The text without one line end at its end: what an editor or `echo` puts there is not part of a secret.
pub(crate) fn without_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// What stands on standard input, where a secret is asked for there.
pub(crate) fn from_stdin() -> Result<String, Failure> {
    let text = std::io::read_to_string(std::io::stdin());
    let text = text.map_err(|why| Failure::usage(format!("standard input: {why}")))?;
    Ok(without_end(&text).to_owned())
}

/// What stands in the file that holds a secret.
pub(crate) fn from_file(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|why| Failure::usage(format!("`{}`: {why}", file.display())))?;
    Ok(without_end(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_no_part_of_a_secret() {
        for (text, expected) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a ", "a "), ("\n", ""), ("", "")] {
            assert_eq!(without_end(text), expected, "{text:?}");
        }
    }

    #[test]
    fn files_are_relative_to_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "s3\n").unwrap();
        let machine = Machine::new(dir.path());
        assert_eq!(machine.file("secret"), Ok(String::from("s3")));
        assert_eq!(machine.file("other"), Err(SecretError::Missing));
        assert_eq!(machine.variable("A=B"), Err(SecretError::Missing));
    }
}
