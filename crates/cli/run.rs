//! `portcullis run`: a node, and what it says when it serves.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::diagnostic::to_json;
use serde_json::json;
use server::{Address, Host, LogSettings, StartError, Started, StartedListener};

use crate::Ended;
use crate::args::{Global, RunArgs};
use crate::logs;
use crate::output::{Failure, Output};

pub(crate) fn run(global: &Global, args: &RunArgs, output: Output) -> Ended {
    let options = server::Options { listen: args.listen, tests: !args.no_tests, ..global.options() };
    let host = Arc::new(Terminal { output, dir: global.dir.clone() });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|why| Failure::wrong(format!("no runtime: {why}")))?;
    let ended = runtime.block_on(server::run(options, host));
    logs::finish();
    match ended {
        Ok(()) => Ok(0),
        Err(StartError::Refused(diagnostics)) => Ok(output.refused(&diagnostics)),
        Err(StartError::Failed { message, remedy }) => Err(Failure::wrong(message).with_help(remedy)),
    }
}

/// The terminal that the node was started from.
struct Terminal {
    output: Output,
    dir: PathBuf,
}

impl Host for Terminal {
    fn log(&self, settings: &LogSettings, level: Option<&str>) {
        logs::for_node(settings, level);
    }

    fn started(&self, started: &Started) {
        self.output.diagnostics_aside(&started.warnings);
        let first = started.first_token.as_ref().map(|url| first_token(&program(), &self.dir, url));
        let text = if self.output.is_json() { json(started, first.as_ref()) } else { text(started, first.as_ref()) };
        // A node goes on where nobody reads what it says, so a closed standard output is no reason to end.
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}

/// The two lines that lead to a first token, to be pasted into a shell as they are.
fn first_token(program: &str, dir: &Path, url: &str) -> [String; 2] {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let (program, dir, url) = (quoted(program), quoted(&dir.display().to_string()), quoted(url));
    [
        format!("secret=$({program} -c {dir} client add --id first --grant client_credentials --scope demo -q)"),
        format!("curl -u \"first:$secret\" -d grant_type=client_credentials {url}"),
    ]
}

/// How this program is called: by its name where the shell finds it so, else by its path.
#[allow(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn program() -> String {
    let Ok(path) = std::env::current_exe() else { return String::from("portcullis") };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join("portcullis")).find(|file| file.is_file());
    let same = found.is_some_and(|found| found.canonicalize().is_ok_and(|found| found == path));
    if same { String::from("portcullis") } else { path.display().to_string() }
}

fn text(started: &Started, first: Option<&[String; 2]>) -> String {
    let mut text = format!("{} serves generation {}\n", started.name, started.generation);
    for listener in &started.listeners {
        let _ = writeln!(text, "  {:10} {}", listener.name, shown(listener));
    }
    let _ = writeln!(text, "  {:10} http://{}", "admin", started.admin);
    if let Some([add, ask]) = first {
        let _ = write!(
            text,
            "No client is registered yet. These two lines, in another terminal, lead to a first token:\n\n{add}\n{ask}\n\n"
        );
    }
    text
}

fn json(started: &Started, first: Option<&[String; 2]>) -> String {
    let listener =
        |l: &StartedListener| json!({ "name": l.name, "address": l.address.to_string(), "scheme": l.scheme() });
    let line = json!({
        "event": "started",
        "name": started.name,
        "generation": started.generation,
        "listeners": started.listeners.iter().map(listener).collect::<Vec<_>>(),
        "admin": started.admin,
        "warnings": to_json(&started.warnings),
        "first_token": first,
    });
    format!("{line}\n")
}

/// Where a listener is reached.
fn shown(listener: &StartedListener) -> String {
    match &listener.address {
        Address::Tcp(address) => format!("{}://{address}", listener.scheme()),
        unix => format!("{unix} ({})", listener.scheme()),
    }
}

/// A word as a POSIX shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Diagnostics;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        for (word, expected) in
            [("/a/b-c.d", "/a/b-c.d"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn the_start_tells_name_generation_and_addresses() {
        let started = Started {
            name: String::from("node-1"),
            generation: 1,
            listeners: vec![StartedListener {
                name: String::from("public"),
                secure: false,
                address: Address::Tcp(([127, 0, 0, 1], 80).into()),
            }],
            admin: ([127, 0, 0, 1], 8090).into(),
            warnings: Diagnostics::new(),
            first_token: None,
        };
        let expected =
            "node-1 serves generation 1\n  public     http://127.0.0.1:80\n  admin      http://127.0.0.1:8090\n";
        assert_eq!(text(&started, None), expected);
        let line: serde_json::Value = serde_json::from_str(&json(&started, None)).unwrap();
        assert_eq!((&line["event"], &line["generation"]), (&json!("started"), &json!(1)));
    }

    #[test]
    fn the_first_lines_name_program_and_folder_in_full() {
        let [add, ask] =
            first_token("/opt/my apps/portcullis", Path::new("/etc/gate way"), "http://127.0.0.1:8080/api/oauth/token");
        assert!(add.starts_with("secret=$('/opt/my apps/portcullis' -c '/etc/gate way' client add "), "{add}");
        assert!(ask.ends_with(" http://127.0.0.1:8080/api/oauth/token"), "{ask}");
    }
}
