//! The credential of the admin address: `var/admin.token`, for this user only.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use policy::ports::Random;

/// Below the configuration folder.
const FILE: &str = "var/admin.token";

/// A shorter one was not made by us, and could be guessed.
const SHORTEST: usize = 32;

/// Where the token of this configuration folder is.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// The token that is there.
pub(crate) fn read(dir: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path(dir))?;
    let token = text.trim();
    let proper = token.len() >= SHORTEST && token.bytes().all(|b| b.is_ascii_graphic());
    proper
        .then(|| token.to_owned())
        .ok_or_else(|| io::Error::other("it holds no token; remove it, and a start makes a new one"))
}

/// The token that is there, or a new one. Two nodes that start on one folder at once end up with the same.
pub(crate) fn read_or_make(dir: &Path, random: &dyn Random) -> io::Result<String> {
    match read(dir) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        Ok(token) => {
            warn_if_open(&path(dir));
            return Ok(token);
        }
        Err(why) => return Err(why),
    }
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    let token = store::hex(bytes);
    let file = path(dir);
    fs::create_dir_all(file.parent().unwrap_or(dir))?;
    // Written elsewhere and then given its name: nobody ever reads half of it, and only one name is ever given.
    let draft = file.with_extension(format!("token.{}", &token[..16]));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut f| {
        f.write_all(token.as_bytes())?;
        f.write_all(b"\n")
    });
    let named = written.and_then(|()| fs::hard_link(&draft, &file));
    // Left behind it would be no worse than the token itself, which stands beside it.
    let _ = fs::remove_file(&draft);
    match named {
        Ok(()) => Ok(token),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => read(dir),
        Err(why) => Err(why),
    }
}

fn warn_if_open(file: &Path) {
    let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        match fs::set_permissions(file, Permissions::from_mode(0o600)) {
            Ok(()) => tracing::warn!("{} could be read by others; now only by its owner", file.display()),
            Err(why) => tracing::warn!("{} can be read by others, which could not be mended: {why}", file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    #[test]
    fn it_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let made = read_or_make(folder.path(), &SystemRandom).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(read_or_make(folder.path(), &SystemRandom).unwrap(), made);
        assert_eq!(fs::metadata(path(folder.path())).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("var")).unwrap().count(), 1, "no draft is left");
        fs::set_permissions(path(folder.path()), Permissions::from_mode(0o644)).unwrap();
        read_or_make(folder.path(), &SystemRandom).unwrap();
        assert_eq!(fs::metadata(path(folder.path())).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_empty_file_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("var")).unwrap();
        fs::write(path(folder.path()), "\n").unwrap();
        assert!(read_or_make(folder.path(), &SystemRandom).is_err());
    }
}
