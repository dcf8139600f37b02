//! The program's command line.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a command ended with.
#[derive(Debug)]
pub struct Run {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// The program, perhaps under another one, in an environment that says nothing to it.
pub fn command(dir: &Path, under: &[String]) -> Command {
    let program = env!("CARGO_BIN_EXE_portcullis");
    let mut command = Command::new(under.first().map_or(program, String::as_str));
    if let [_, more @ ..] = under {
        command.args(more).arg(program);
    }
    command
        .current_dir(dir)
        .env_remove("PORTCULLIS_LOG")
        .env_remove("NO_COLOR")
        .env_remove("RUST_LOG")
        .env_remove("RUST_BACKTRACE");
    command
}

/// Runs the program in this folder, with nothing on its standard input.
#[track_caller]
pub fn portcullis<A: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = A>) -> Run {
    portcullis_with(dir, args, b"")
}

/// Runs the program with this on its standard input.
#[track_caller]
pub fn portcullis_with<A: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = A>, input: &[u8]) -> Run {
    finish(command(dir, &[]).args(args), input)
}

/// Runs a command to its end.
#[track_caller]
pub fn finish(command: &mut Command, input: &[u8]) -> Run {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A program that reads no input closes it: that is no fault of the test.
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("the program ends");
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("its output is text"),
        stderr: String::from_utf8(output.stderr).expect("its errors are text"),
    }
}

impl Run {
    /// Expects this exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Run {
        assert_eq!(self.code, expected, "exit code\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|why| {
            panic!("standard output is JSON and nothing else: {why}\n{}\n{}", self.stdout, self.stderr)
        })
    }

    /// Expects this text on standard output or standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "no `{text}` in\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}
