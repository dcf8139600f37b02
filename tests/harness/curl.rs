//! curl: an HTTP client that nobody here wrote.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::program::{Run, finish};

/// One run of it.
pub struct Curl(Command);

impl Curl {
    /// Towards this URL, whose host is at this address. It prints the answer's body, and then a line with the status, the version of HTTP
    /// and how many connections it made.
    pub fn new(url: &str, at: SocketAddr) -> Curl {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code} %{http_version} %{num_connects}",
        ]);
        command.args(["--connect-to", &format!("::{at}"), url]);
        Curl(command)
    }

    /// With more words.
    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Curl {
        self.0.args(args);
        self
    }

    /// It trusts this authority.
    pub fn trusts(mut self, ca: &Path) -> Curl {
        self.0.arg("--cacert").arg(ca);
        self
    }

    /// It proves itself with `NAME.pem` and `NAME.key` of this folder.
    pub fn proves(mut self, folder: &Path, name: &str) -> Curl {
        self.0.arg("--cert").arg(folder.join(format!("{name}.pem")));
        self.0.arg("--key").arg(folder.join(format!("{name}.key")));
        self
    }

    /// What it ended with.
    pub fn run(mut self) -> Run {
        finish(&mut self.0, b"")
    }

    /// What it printed; it must have had an answer.
    #[track_caller]
    pub fn printed(self) -> String {
        let run = self.run();
        assert_eq!(run.code, 0, "curl: {}{}", run.stdout, run.stderr);
        run.stdout
    }
}
