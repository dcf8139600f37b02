//! One file's text, or what is wrong with it as a diagnostic at its place.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::LARGEST;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Problem, SourceFile, Span, codes};

/// So much of a file that is no text is kept beside what comes before, to show it.
const SHOWN: usize = 64;

/// The text of a plain file, which its problems call by this name. It is not too large for a configuration file, and no pipe: opening
/// one would wait for ever.
pub fn read_text(at: &Path, name: &str) -> Result<String, Diagnostics> {
    let metadata = fs::metadata(at).map_err(|error| Diagnostics::from(of_file(name, unreadable(&error))))?;
    if metadata.is_dir() {
        return Err(of_file(name, no_file("is a folder")).into());
    }
    read_known(at, &metadata, name)
}

/// [`read_text`] of what is no folder, where its metadata are known already.
pub(super) fn read_known(at: &Path, metadata: &Metadata, name: &str) -> Result<String, Diagnostics> {
    if !metadata.is_file() {
        return Err(of_file(name, no_file("is neither a file nor a folder")).into());
    }
    let file = File::open(at).map_err(|error| Diagnostics::from(of_file(name, unreadable(&error))))?;
    text_of(file, metadata.len(), name)
}

/// The text of whatever comes, standard input say: most likely of this size.
pub fn text_of(from: impl Read, size: u64, name: &str) -> Result<String, Diagnostics> {
    // One more than there should be, so that its end is seen without another allocation.
    let mut bytes = Vec::with_capacity(size.min(LARGEST) as usize + 1);
    from.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Diagnostics::from(of_file(name, unreadable(&error))))?;
    if bytes.len() as u64 > LARGEST {
        return Err(of_file(name, too_large()).into());
    }
    String::from_utf8(bytes).map_err(|error| {
        let bad = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        // Enough to show the place: all up to it, for its line and column, and a little more.
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(bad + SHOWN)]).into_owned();
        let place = Place { file: Arc::new(SourceFile::new(name, text)), span: Span { start: bad, end: bad } };
        Problem::error(codes::NOT_TEXT, "is no UTF-8 text").with_help("save it as UTF-8").at(place).into()
    })
}

/// A problem of the file as a whole.
pub(super) fn of_file(name: &str, problem: Problem) -> Diagnostic {
    problem.at(Place { file: Arc::new(SourceFile::new(name, "")), span: Span::default() })
}

pub(super) fn unreadable(error: &io::Error) -> Problem {
    Problem::error(codes::UNREADABLE, format!("cannot be read: {}", plain(error)))
        .with_help("make it readable for the gateway's user, or take it away")
}

pub(super) fn too_large() -> Problem {
    Problem::error(codes::NOT_TEXT, format!("is larger than {} MiB", LARGEST >> 20))
        .with_help("this can hardly be a configuration file")
}

fn no_file(message: &str) -> Problem {
    Problem::error(codes::UNREADABLE, message).with_help("a configuration file is a plain file, or a link to one")
}

/// Without Rust's `(os error 13)`.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
