//! The audit log of policies: one line of JSON for each record that a filter `audit` writes, in `var/audit-policies.log` below the
//! configuration folder. A request goes on once its line is on the disk; many lines are written with one wait for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, UNIX_EPOCH};

use policy::ports::AuditRecord;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

/// Below the configuration folder.
const FILE: &str = "var/audit-policies.log";

/// So many may wait to be written; one more is refused.
const QUEUE: usize = 1_024;

/// A line, and whoever waits for it.
struct Entry {
    line: String,
    done: oneshot::Sender<Result<(), String>>,
}

/// The audit log. Its thread begins with the first record.
pub(crate) struct PolicyAudit {
    file: PathBuf,
    queue: OnceLock<Option<SyncSender<Entry>>>,
}

impl PolicyAudit {
    pub(crate) fn new(dir: &Path) -> PolicyAudit {
        PolicyAudit { file: dir.join(FILE), queue: OnceLock::new() }
    }

    /// Writes it; done once it is on the disk.
    pub(crate) async fn write(&self, record: &AuditRecord) -> Result<(), String> {
        let queue = self.queue.get_or_init(|| begin(self.file.clone()).ok());
        let queue = queue.as_ref().ok_or("there is no thread for it")?;
        let (done, written) = oneshot::channel();
        match queue.try_send(Entry { line: line(record), done }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(String::from("more records wait already than the disk takes")),
            Err(TrySendError::Disconnected(_)) => return Err(String::from("its thread has ended")),
        }
        written.await.unwrap_or_else(|_| Err(String::from("its thread has ended")))
    }
}

#[allow(clippy::disallowed_methods, reason = "the audit log's own thread, which ends with its last handle")]
fn begin(file: PathBuf) -> io::Result<SyncSender<Entry>> {
    let (queue, entries) = sync_channel(QUEUE);
    std::thread::Builder::new().name("audit".into()).spawn(move || write_all(&file, &entries))?;
    Ok(queue)
}

fn write_all(path: &Path, entries: &Receiver<Entry>) {
    while let Ok(first) = entries.recv() {
        let all: Vec<Entry> = std::iter::once(first).chain(entries.try_iter().take(QUEUE)).collect();
        let text: String = all.iter().map(|entry| entry.line.as_str()).collect();
        let written = append(path, &text).map_err(|why| format!("{FILE} cannot be written: {why}"));
        for entry in all {
            // Whoever asked may be gone; the line is there.
            let _ = entry.done.send(written.clone());
        }
    }
}

/// Opened anew each time: it may have been moved away. What was written in part is taken back, so that no line begins in another.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = open(path)?;
    let before = file.metadata()?.size();
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
    if written.is_err() {
        let _ = file.set_len(before);
    }
    written
}

/// For this user only.
fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn line(record: &AuditRecord) -> String {
    let at = humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(record.at)).to_string();
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| _ = line.insert(name.to_owned(), value);
    put("at", json!(at));
    put("by", json!("policy"));
    put("user", json!(record.who));
    record.client.iter().for_each(|client| put("client", json!(client)));
    put("change", json!(record.action));
    record.of.iter().for_each(|of| put("of", json!(of)));
    put("id", json!(&*record.id));
    put("place", json!(&*record.place));
    if !record.fields.is_empty() {
        put("fields", Value::Object(record.fields.clone()));
    }
    format!("{}\n", Value::Object(line))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn record(who: &str) -> AuditRecord {
        AuditRecord {
            at: 1_795_857_164_105,
            id: "r1".into(),
            place: "policies/a.toml:3".into(),
            who: who.to_owned(),
            client: None,
            action: String::from("order"),
            of: Some(String::from("orders/7")),
            fields: [(String::from("total"), json!(12))].into_iter().collect(),
        }
    }

    #[tokio::test]
    async fn each_record_is_a_line_once_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let audit = PolicyAudit::new(dir.path());
        let many = (0..50).map(|_| record("ann\n{}")).collect::<Vec<_>>();
        let written = futures_util::future::join_all(many.iter().map(|record| audit.write(record))).await;
        assert!(written.iter().all(Result::is_ok));
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text.lines().count(), 50);
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let expected = json!({
            "at": "2026-11-28T09:12:44.105Z", "by": "policy", "user": "ann\n{}", "change": "order", "of": "orders/7",
            "id": "r1", "place": "policies/a.toml:3", "fields": { "total": 12 },
        });
        assert_eq!(first, expected);
        assert_eq!(fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("var"), "").unwrap();
        let refused = PolicyAudit::new(dir.path()).write(&record("ann")).await.unwrap_err();
        assert!(refused.contains("var/audit-policies.log cannot be written"), "{refused}");
    }
}
