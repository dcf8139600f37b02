//! `file:` URIs and paths.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use gen_lsp_types::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use crate::paths::plain;

/// What is written with `%`: all that has a meaning in a URI, or none.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The path of a file on this machine, in its plain form.
pub(super) fn path(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.0.strip_prefix("file://")?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let bytes: Vec<u8> = percent_decode_str(rest).collect();
    let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    path.is_absolute().then(|| plain(&path))
}

/// The URI of a file.
pub(super) fn of(path: &Path) -> Uri {
    let mut text = String::from("file://");
    text.extend(percent_encode(path.as_os_str().as_bytes(), ESCAPED));
    Uri(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (uri, expected) in [
            ("file:///a/b.toml", Some("/a/b.toml")),
            ("file:///a%20b/%C3%BC.toml", Some("/a b/ü.toml")),
            ("file://localhost/a", Some("/a")),
            ("file:///a/./b/../c", Some("/a/c")),
            ("file:///a?x#y", Some("/a")),
            ("untitled:Untitled-1", None),
            ("file://host/a", None),
            ("", None),
        ] {
            assert_eq!(path(&Uri::from(uri)).as_deref(), expected.map(Path::new), "{uri}");
        }
        assert_eq!(of(Path::new("/a b/ü#%.toml")).0, "file:///a%20b/%C3%BC%23%25.toml");
        assert_eq!(path(&of(Path::new("/a b/ü#%.toml"))).unwrap(), Path::new("/a b/ü#%.toml"));
    }
}
