//! Lines that are written beside requests: into a file, or to standard output. Whoever has a line never waits for a disk: with too much
//! waiting already the line is lost, and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How long lines are gathered after some were written.
const GATHER: Duration = Duration::from_millis(10);
/// So many bytes may wait: some ten thousand lines.
const MOST: usize = 4 << 20;
/// How long an end waits for the last lines.
const LAST: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// This file, appended to. One that was moved away is made anew.
    File(PathBuf),
}

/// A writer of lines; its thread ends with the last handle.
pub(crate) struct LineWriter {
    target: Target,
    shared: Arc<Shared>,
    lost: Arc<AtomicU64>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, or somebody is in a hurry.
    more: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// What was taken is not out yet.
    writing: bool,
    hurry: bool,
    ended: bool,
}

/// The writers there are: one for each target, over all generations.
#[derive(Default)]
pub(crate) struct Writers(Mutex<Vec<Weak<LineWriter>>>);

impl Writers {
    /// The writer to this target.
    pub(crate) fn to(&self, target: Target, lost: &Arc<AtomicU64>) -> io::Result<Arc<LineWriter>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|writer| writer.strong_count() > 0);
        if let Some(known) = all.iter().filter_map(Weak::upgrade).find(|writer| writer.target == target) {
            return Ok(known);
        }
        let writer = Arc::new(LineWriter::to(target, lost.clone())?);
        all.push(Arc::downgrade(&writer));
        Ok(writer)
    }

    /// Waits, not for long, until all that was written is out.
    pub(crate) fn finish(&self) {
        let all: Vec<_> = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        all.iter().for_each(|writer| writer.finish());
    }
}

impl LineWriter {
    #[allow(clippy::disallowed_methods, reason = "the thread of one log, which ends with its last handle")]
    pub(crate) fn to(target: Target, lost: Arc<AtomicU64>) -> io::Result<LineWriter> {
        let shared = Arc::new(Shared::default());
        let (of_thread, lost_there) = (shared.clone(), lost.clone());
        let mut out = Out::new(target.clone());
        std::thread::Builder::new().name("lines".into()).spawn(move || {
            let mut bytes = Vec::new();
            while of_thread.take(&mut bytes) {
                if let Err(why) = out.write(&bytes) {
                    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                    // Whoever sees the count finds the reason in the log.
                    out.failed(&why);
                    lost_there.fetch_add(lines, Ordering::Relaxed);
                }
                bytes.clear();
                of_thread.rest();
            }
        })?;
        Ok(LineWriter { target, shared, lost })
    }

    /// Hands a line over, with its end. Never waits for a disk.
    pub(crate) fn write(&self, line: &[u8]) {
        let mut waiting = self.shared.lock();
        if waiting.bytes.len() + line.len() > MOST {
            drop(waiting);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = waiting.bytes.len();
        waiting.bytes.extend_from_slice(line);
        let wakes = before == 0 || (before < MOST / 2 && waiting.bytes.len() >= MOST / 2);
        drop(waiting);
        if wakes {
            self.shared.more.notify_all();
        }
    }

    fn finish(&self) {
        let mut waiting = self.shared.lock();
        waiting.hurry = true;
        self.shared.more.notify_all();
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
        drop(self.shared.written.wait_timeout_while(waiting, LAST, busy));
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.more.notify_all();
    }
}

impl Shared {
    /// No code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for bytes; `false` once there will be none any more.
    fn take(&self, bytes: &mut Vec<u8>) -> bool {
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() {
            if waiting.ended {
                return false;
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut waiting.bytes, bytes);
        waiting.writing = true;
        true
    }

    /// Says that what was taken is out, and lets lines gather.
    fn rest(&self) {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.written.notify_all();
        if !waiting.hurry && !waiting.ended {
            let gathers = |w: &mut Waiting| !w.hurry && !w.ended && w.bytes.len() < MOST / 2;
            drop(self.more.wait_timeout_while(waiting, GATHER, gathers));
        }
    }
}

/// What a writer's thread writes to.
struct Out {
    target: Target,
    /// The open file, with its device and number.
    file: Option<(File, (u64, u64))>,
    /// That it cannot be written was told.
    told: bool,
}

impl Out {
    fn new(target: Target) -> Out {
        Out { target, file: None, told: false }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &self.target {
            Target::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())?;
            }
            Target::File(path) => {
                // One that was moved away, as logrotate does, is left alone from then on.
                let there = std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
                let file = self.file.take().filter(|(_, known)| there == Some(*known));
                let (mut file, known) = match file {
                    Some(open) => open,
                    None => open(path)?,
                };
                let written = file.write_all(bytes);
                self.file = Some((file, known));
                written?;
            }
        }
        if std::mem::take(&mut self.told) {
            tracing::info!("the access log can be written again");
        }
        Ok(())
    }

    /// Told once, until it can be written again.
    fn failed(&mut self, why: &io::Error) {
        if !std::mem::replace(&mut self.told, true) {
            let target = match &self.target {
                Target::Stdout => String::from("standard output"),
                Target::File(path) => format!("`{}`", path.display()),
            };
            tracing::error!("the access log cannot be written to {target}, and its lines are lost meanwhile: {why}");
        }
    }
}

/// For the node's user and its group: what people ask for is nobody else's to read.
fn open(path: &Path) -> io::Result<(File, (u64, u64))> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    let found = file.metadata()?;
    Ok((file, (found.dev(), found.ino())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_in_order_and_a_file_that_was_moved_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/access.log");
        let lost = Arc::new(AtomicU64::new(0));
        let writers = Writers::default();
        let writer = writers.to(Target::File(path.clone()), &lost).unwrap();
        (0..100).for_each(|n| writer.write(format!("line {n}\n").as_bytes()));
        writer.finish();
        let first: String = (0..100).map(|n| format!("line {n}\n")).collect();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
        let moved = dir.path().join("logs/access.log.1");
        std::fs::rename(&path, &moved).unwrap();
        writer.write(b"after\n");
        writer.finish();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), first);
        assert!(Arc::ptr_eq(&writer, &writers.to(Target::File(path), &lost).unwrap()));
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let lost = Arc::new(AtomicU64::new(0));
        let writer = LineWriter::to(Target::File(dir.path().join("file/access.log")), lost.clone()).unwrap();
        writer.write(b"a\n");
        writer.finish();
        assert_eq!(lost.load(Ordering::Relaxed), 1);
        let long = vec![b'x'; MOST + 1];
        writer.write(&long);
        assert_eq!(lost.load(Ordering::Relaxed), 2, "more than may wait");
    }
}
