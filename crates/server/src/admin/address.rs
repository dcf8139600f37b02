//! Where the node of a configuration folder has its admin address: `var/admin.address`, beside the token, since `node.toml` may not say
//! it. A node goes on while that file is broken, and it is then that somebody asks it why.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::private_file;

/// Below the configuration folder.
const FILE: &str = "var/admin.address";

/// Notes the address that a start got.
pub(crate) fn note(dir: &Path, address: SocketAddr) -> io::Result<()> {
    match noted(dir) == Some(address) {
        // A folder that cannot be written to is no harm where nothing is to be written.
        true => Ok(()),
        false => private_file::write(&dir.join(FILE), format!("{address}\n").as_bytes()),
    }
}

/// The address of the last start.
pub(super) fn noted(dir: &Path) -> Option<SocketAddr> {
    fs::read_to_string(dir.join(FILE)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_start_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(noted(folder.path()), None);
        for address in ["127.0.0.1:1", "[::1]:2", "[::1]:2"] {
            let address = address.parse().unwrap();
            note(folder.path(), address).unwrap();
            assert_eq!(noted(folder.path()), Some(address));
        }
        fs::write(folder.path().join(FILE), "half of i").unwrap();
        assert_eq!(noted(folder.path()), None);
    }
}
