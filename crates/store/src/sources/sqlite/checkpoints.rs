//! Checkpoints: what the log holds goes into the file, on a thread of its own.
//!
//! SQLite by itself does that within the commit that makes the log long enough: all who wait for that commit, and who come meanwhile,
//! would wait for a thousand pages and two syncs more. Here only the last pages, those of commits that came while the thread
//! worked, are brought over by the writer, after its answers; without them the log would never be begun anew.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::file::Place;
use crate::seldom::Seldom;
use crate::source::StoreError;

/// Pages of the log from which on they are brought into the file: 16 MiB. A page that is written often is brought over once.
const LONG: i32 = 4_096;
/// How long after one the next may be: a reader that lasts may keep the log from being begun anew.
const REST: Duration = Duration::from_millis(250);
/// From how many pages on that are kept so it is told: 64 MiB.
const TOLD: i64 = 16_384;

/// What the thread does.
const RESTS: u8 = 0;
const WORKS: u8 = 1;
const HAS_DONE: u8 = 2;

thread_local! {
    /// How many pages the log has, as this thread's last commit was told.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// The checkpoints of one open file. They end, and the thread's connection is closed, when this is dropped.
pub(super) struct Checkpoints {
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<AtomicU8>,
    /// When the next one may be.
    due: Instant,
}

impl Checkpoints {
    /// Those of a file that this connection has just opened to write to it, on this thread; it makes none by itself from now on.
    #[allow(clippy::disallowed_methods, reason = "a thread of this source: it ends when this is dropped")]
    pub(super) fn start(place: &Place, writer: &Connection) -> Result<Checkpoints, StoreError> {
        let connection = place.open_beside_writer()?;
        let state = Arc::new(AtomicU8::new(RESTS));
        let (ask, asked) = sync_channel(1);
        let (done, source) = (state.clone(), place.name().to_owned());
        let work = move || {
            let told = Seldom::new();
            for () in asked {
                let left = checkpoint(&connection);
                if !matches!(left, Ok(left) if left < TOLD) && told.is_due(Instant::now()) {
                    match left {
                        Ok(left) => tracing::warn!(
                            source,
                            "a transaction elsewhere keeps {} MiB of the -wal from the file, and it grows: `fuser` names who has it open",
                            left * 4 / 1024
                        ),
                        Err(why) => tracing::warn!(source, "the -wal is not brought into the file: {why}"),
                    }
                }
                done.store(HAS_DONE, Ordering::Release);
            }
        };
        let thread = thread::Builder::new().name(format!("{} checkpoints", place.name())).spawn(work);
        let thread =
            thread.map_err(|why| StoreError::Unavailable(format!("a thread for {place} cannot be started: {why}")))?;
        writer.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        Ok(Checkpoints { ask: Some(ask), thread: Some(thread), state, due: Instant::now() })
    }

    /// The writer has committed, and answered, or was looked at.
    pub(super) fn committed(&mut self, writer: &Connection) {
        match self.state.load(Ordering::Acquire) {
            HAS_DONE => {
                // All of it is in the file then; the next commit begins the log anew, or tells how long it is.
                if checkpoint(writer).is_ok_and(|left| left == 0) {
                    PAGES.set(0);
                }
                self.due = Instant::now() + REST;
                self.state.store(RESTS, Ordering::Release);
            }
            RESTS if PAGES.get() >= LONG && Instant::now() >= self.due => {
                self.state.store(WORKS, Ordering::Release);
                let _ = self.ask.as_ref().map(|ask| ask.try_send(()));
            }
            _ => {}
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.ask.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Brings over what can be without waiting for anybody; how many pages are left. What fails, as on a full disk, stays in the log, and is
/// tried again later.
fn checkpoint(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
}
