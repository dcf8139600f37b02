//! A configuration folder of a test's own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::program::{Run, portcullis};

/// A configuration in a temporary folder, which goes with it.
pub struct Folder {
    temporary: tempfile::TempDir,
}

/// A client that a test registered.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub secret: String,
}

impl Folder {
    /// The shipped configuration, as `portcullis init` makes it.
    #[track_caller]
    pub fn shipped() -> Folder {
        let folder = Folder::empty();
        portcullis(folder.path(), ["init", "."]).code(0);
        folder
    }

    /// Nothing.
    pub fn empty() -> Folder {
        Folder { temporary: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A node of two that share all their stores, which `stores.toml` says. `/hello` asks for a token with the scope `a`.
    pub fn of_two(name: &str, stores: &str) -> Folder {
        let folder = Folder::shipped();
        folder.write("stores/stores.toml", stores);
        folder.write("node.toml", &format!("name = \"{name}\"\n[cluster]\nnodes = 2\n"));
        folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
        folder.write(
            "policies/hello.toml",
            "route = \"/hello\"\n[[filter]]\nuse = \"oauth.validate-token\"\n[[filter]]\nuse = \"oauth.check-scope\"\nasked = [\"a\"]\n\
             allowed = \"${token.scopes}\"\n[[filter]]\nuse = \"respond\"\ntext = \"hello ${client.id}\"\n",
        );
        folder
    }

    /// The key that all nodes of a test have in common: what one sealed the others open.
    pub fn shares_the_key(&self) {
        self.write_private("secrets/shared.key", &"0123456789abcdef".repeat(4));
        self.append("node.toml", "[encryption]\nkeys = [{ id = \"shared\", file = \"secrets/shared.key\" }]\n");
    }

    /// Writes a file that nobody else may read.
    pub fn write_private(&self, path: &str, text: &str) {
        self.write(path, text);
        std::fs::set_permissions(self.at(path), Permissions::from_mode(0o600)).unwrap();
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// A path in it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// Writes a file as editors do: a new one, moved over the old one.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) -> &Folder {
        let target = self.at(path);
        let parent = target.parent().expect("below the folder");
        std::fs::create_dir_all(parent).expect("its folder");
        let new = parent.join(format!(".new-{}", super::unique()));
        std::fs::write(&new, text).expect("the new file");
        std::fs::rename(&new, &target).expect("moved over the old one");
        self
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    /// Replaces a text that stands in a file.
    #[track_caller]
    pub fn edit(&self, path: &str, from: &str, to: &str) -> &Folder {
        let text = self.read(path);
        assert!(text.contains(from), "no `{from}` in {path}:\n{text}");
        self.write(path, &text.replace(from, to))
    }

    /// Adds text at the end of a file, or makes it.
    #[track_caller]
    pub fn append(&self, path: &str, text: &str) -> &Folder {
        let before = std::fs::read_to_string(self.at(path)).unwrap_or_default();
        self.write(path, &format!("{before}\n{text}\n"))
    }

    /// Runs the program in it.
    #[track_caller]
    pub fn run<const N: usize>(&self, args: [&str; N]) -> Run {
        portcullis(self.path(), args)
    }

    /// Registers a client for client credentials, with further options.
    #[track_caller]
    pub fn client(&self, id: &str, scope: &str, more: &[&str]) -> Client {
        let mut args = vec!["client", "add", "--json", "--id", id, "--grant", "client_credentials"];
        if !scope.is_empty() {
            args.extend(["--scope", scope]);
        }
        args.extend(more);
        let added = portcullis(self.path(), args).code(0).json();
        Client { id: text(&added, "client_id"), secret: text(&added, "client_secret") }
    }
}

/// A text field of a JSON object.
#[track_caller]
pub fn text(json: &Value, name: &str) -> String {
    json[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {json}")).to_owned()
}

/// A token like this one, its last character another.
pub fn altered(token: &str) -> String {
    let (most, last) = token.split_at(token.len() - 1);
    format!("{most}{}", if last == "x" { "y" } else { "x" })
}
