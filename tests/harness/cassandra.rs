//! A part of a Cassandra cluster of a test's own: the one server that `tests/run` starts, in a keyspace that nobody else has.

use super::{Folder, unique};

/// The variable that says where the server is.
const VARIABLE: &str = "PORTCULLIS_TEST_CASSANDRA";

/// A keyspace that the first node makes. It goes with the server, which `tests/run` stops.
pub struct Keyspace {
    server: String,
    name: String,
}

impl Keyspace {
    /// Takes a name.
    #[track_caller]
    pub fn create() -> Keyspace {
        let server = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!("{VARIABLE} is not set: run the tests with tests/run, which starts Cassandra and sets it")
        });
        Keyspace { server, name: format!("node_{}", unique()) }
    }

    /// The folder of a node of two, with everything on it.
    pub fn folder(&self, name: &str) -> Folder {
        let folder = Folder::of_two(
            name,
            &format!(
                "default = \"cluster\"\n[source.cluster]\ntype = \"cassandra\"\ncontact_points = [\"{}\"]\nkeyspace = \"{}\"\n\
                 user = \"cassandra\"\npassword = {{ file = \"password\" }}\nreplication = {{ datacenter1 = 1 }}\n",
                self.server, self.name
            ),
        );
        folder.write("password", "cassandra");
        folder
    }
}
