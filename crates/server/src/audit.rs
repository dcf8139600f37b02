//! The audit log: one line of JSON for each change that a command or the admin API makes, in `var/audit.log` below the configuration
//! folder. Who, when, what, of which record, and how it ended; never a secret or a token.
//!
//! A change is made only where the log can be written: the file is opened first. The line comes after the change, and also where
//! whoever asked for it went away in the middle.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use policy::ports::Environment;
use serde::Serialize;

use crate::admin::api::{Refusal, RefusalKind};

/// Below the configuration folder.
const FILE: &str = "var/audit.log";

/// Where changes are noted, and who makes them.
#[derive(Clone)]
pub(crate) struct Audit {
    file: PathBuf,
    /// `command` or `admin`.
    by: &'static str,
    /// The user of the machine, where that is known.
    user: Option<String>,
    environment: Environment,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    /// `client add`
    change: &'a str,
    /// The record.
    #[serde(skip_serializing_if = "str::is_empty")]
    of: &'a str,
    /// `done`, `refused`, `failed`; `unknown` where whoever asked went away: it may be done.
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// A change that is under way.
struct Entry<'a> {
    audit: &'a Audit,
    file: File,
    change: &'a str,
    of: &'a str,
    told: bool,
}

impl Audit {
    /// For what a command does by itself. `user` is who runs it.
    pub(crate) fn of_command(dir: &Path, user: Option<String>, environment: Environment) -> Self {
        Audit { file: dir.join(FILE), by: "command", user, environment }
    }

    /// For what comes in over the admin address.
    pub(crate) fn of_admin(dir: &Path, environment: Environment) -> Self {
        Audit { file: dir.join(FILE), by: "admin", user: None, environment }
    }

    /// Makes a change, and notes it. `of` names the record.
    pub(crate) async fn change<T>(
        &self,
        change: &str,
        of: &str,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        self.change_as(change, of, work, |_| "done").await
    }

    /// The same where not every answer says that it is done.
    pub(crate) async fn change_as<T>(
        &self,
        change: &str,
        of: &str,
        work: impl Future<Output = Result<T, Refusal>>,
        word: impl FnOnce(&T) -> &'static str,
    ) -> Result<T, Refusal> {
        let file = self.open().map_err(|why| Refusal {
            kind: RefusalKind::Internal,
            message: format!("nothing is changed: the audit log {FILE} cannot be written: {why}"),
            help: Some(String::from(
                "it needs a folder that the user of this process may write in, with room on its disk",
            )),
        })?;
        let mut entry = Entry { audit: self, file, change, of, told: false };
        let outcome = work.await;
        match &outcome {
            Ok(answer) => entry.tell(word(answer), None),
            Err(refusal) => {
                let word = match refusal.kind {
                    RefusalKind::Unavailable | RefusalKind::Internal => "failed",
                    _ => "refused",
                };
                entry.tell(word, Some(&refusal.message));
            }
        }
        outcome
    }

    /// For this user only; several processes append to it.
    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file)
    }
}

impl Entry<'_> {
    fn tell(&mut self, outcome: &str, why: Option<&str>) {
        self.told = true;
        let now = UNIX_EPOCH + Duration::from_millis(self.audit.environment.clock.unix_millis());
        let at = humantime::format_rfc3339_millis(now).to_string();
        let (by, user) = (self.audit.by, self.audit.user.as_deref());
        let line = Line { at, by, user, change: self.change, of: self.of, outcome, why };
        // In one write, so that lines of several processes do not mix.
        let written = serde_json::to_string(&line).map_err(io::Error::from);
        let written = written.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        if let Err(why) = written {
            tracing::error!(
                change = self.change,
                of = self.of,
                outcome,
                "not in the audit log, which cannot be written: {why}"
            );
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.tell("unknown", None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::{Value, json};

    use super::*;

    fn lines(dir: &Path) -> Vec<Value> {
        let text = fs::read_to_string(dir.join(FILE)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn refusal(kind: RefusalKind) -> Refusal {
        Refusal { kind, message: String::from("no"), help: None }
    }

    #[tokio::test]
    async fn each_change_leaves_a_line_however_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::of_command(dir.path(), Some(String::from("ann")), crate::clock::environment());
        assert_eq!(audit.change("client add", "app", async { Ok(7) }).await, Ok(7));
        for kind in [RefusalKind::Exists, RefusalKind::Unavailable] {
            assert!(audit.change("client add", "app", async { Err::<(), _>(refusal(kind)) }).await.is_err());
        }
        let gone = audit.change("token revoke", "", std::future::pending::<Result<(), Refusal>>());
        assert!(tokio::time::timeout(Duration::ZERO, gone).await.is_err());
        let found = lines(dir.path());
        let column = |name: &str| found.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
        assert_eq!(column("outcome"), ["done", "refused", "failed", "unknown"]);
        assert_eq!(column("why"), [Value::Null, json!("no"), json!("no"), Value::Null]);
        assert_eq!(column("user"), ["ann"; 4]);
        assert_eq!(column("by"), ["command"; 4]);
        assert_eq!(column("of"), [json!("app"), json!("app"), json!("app"), Value::Null]);
        assert!(found.iter().all(|line| humantime::parse_rfc3339(line["at"].as_str().unwrap()).is_ok()));
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_cannot_be_noted_is_not_done() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("var"), "a file where the folder should be").unwrap();
        let audit = Audit::of_admin(dir.path(), crate::clock::environment());
        let refused = audit.change("client add", "app", async { unreachable!("it is not even begun") }).await;
        let refused: Result<(), Refusal> = refused;
        assert!(refused.unwrap_err().message.contains("var/audit.log cannot be written"));
    }
}
