//! The lines of a node's log, gathered and written by a thread of their own: no request waits for standard error, and a busy
//! node writes many lines with one call (a call a line was the third of what a short request cost).

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long lines are gathered after some were written.
const GATHER: Duration = Duration::from_millis(10);
/// With so much waiting, whoever logs waits too: no line is lost, and no more memory is held.
const MOST: usize = 1 << 20;

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// The thread has taken bytes that are not out yet.
    writing: bool,
    /// Somebody waits for the end of it all.
    hurry: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, or somebody is in a hurry.
    more: Condvar,
    /// Something was written.
    written: Condvar,
}

/// The lines; a clone gathers into the same ones.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

impl Lines {
    /// Starts the thread that writes to `out`. It lives as long as the process.
    #[allow(clippy::disallowed_methods, reason = "the log's own thread, which ends with the process")]
    pub(crate) fn to(mut out: impl Write + Send + 'static) -> io::Result<Lines> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || {
            let mut bytes = Vec::new();
            loop {
                of_thread.take(&mut bytes);
                // Nobody is left to tell when standard error is gone.
                let _ = out.write_all(&bytes).and_then(|()| out.flush());
                bytes.clear();
                of_thread.rest();
            }
        })?;
        Ok(Lines(shared))
    }

    /// Waits until everything is out.
    pub(crate) fn finish(&self) {
        let mut waiting = self.0.lock();
        waiting.hurry = true;
        self.0.more.notify_all();
        while waiting.writing || !waiting.bytes.is_empty() {
            waiting = self.0.written.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.hurry = false;
    }
}

impl Shared {
    /// No code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, bytes: &mut Vec<u8>) {
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() {
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut waiting.bytes, bytes);
        waiting.writing = true;
    }

    /// Says that what was taken is out, and lets lines gather.
    fn rest(&self) {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.written.notify_all();
        if !waiting.hurry {
            drop(self.more.wait_timeout_while(waiting, GATHER, |w| !w.hurry && w.bytes.len() < MOST));
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock();
        while waiting.bytes.len() >= MOST {
            self.0.more.notify_all();
            waiting = self.0.written.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if first {
            self.0.more.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut out = self.0.lock().unwrap();
            out.0.extend_from_slice(bytes);
            out.1 += 1;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_once_in_order_with_few_calls() {
        let out = Out::default();
        let mut lines = Lines::to(out.clone()).unwrap();
        let expected: String = (0..50_000).map(|n| format!("line {n} {}\n", "x".repeat(40))).collect();
        for line in expected.split_inclusive('\n') {
            lines.write_all(line.as_bytes()).unwrap();
        }
        lines.finish();
        let out = out.0.lock().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.0), expected);
        assert!(out.1 < 5_000, "{} calls", out.1);
    }

    struct Sent(std::sync::mpsc::Sender<Vec<u8>>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_lone_line_comes_out_by_itself() {
        let (send, sent) = std::sync::mpsc::channel();
        Lines::to(Sent(send)).unwrap().write_all(b"alone\n").unwrap();
        assert_eq!(sent.recv_timeout(Duration::from_secs(20)).unwrap(), b"alone\n");
    }
}
