//! What the node tells of requests: access logs of their own, spans, and what filters say.

mod audit;
mod export;
mod formats;
mod lines;
mod observer;
mod otlp;
mod spans;

use std::sync::Arc;

use crate::settings::AccessLines;

pub(crate) use audit::PolicyAudit;
pub(crate) use export::export_always;
pub(crate) use formats::Told;
pub(crate) use lines::{LineWriter, Target, Writers};
pub(crate) use observer::{NodeObserver, Silent};
pub(crate) use spans::{Finished, Spans, Waiting};

/// An access log of its own.
pub(crate) struct AccessLog {
    pub(crate) lines: AccessLines,
    pub(crate) writer: Arc<LineWriter>,
}
