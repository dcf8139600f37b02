//! What filters say: into the log, the audit log, and metrics of their own.

use std::sync::{Arc, Mutex, PoisonError};

use policy::diagnostic::is_invisible;
use policy::ports::{AuditRecord, BoxFuture, LogLevel, LogLine, Meter, MeterShape, Observer};
use serde_json::Value;

use super::PolicyAudit;
use crate::metrics::Metrics;

/// The node's.
pub(crate) struct NodeObserver {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audit: PolicyAudit,
}

/// The same for the filters of one load: within it a name is one metric.
struct OfLoad {
    node: Arc<NodeObserver>,
    shapes: Mutex<Vec<MeterShape>>,
}

impl NodeObserver {
    /// For the filters of one load.
    pub(crate) fn for_load(self: &Arc<Self>) -> Arc<dyn Observer> {
        Arc::new(OfLoad { node: self.clone(), shapes: Mutex::default() })
    }
}

/// Adds the shape to those of a load. The error says what the name has already.
fn one_shape(shapes: &Mutex<Vec<MeterShape>>, shape: &MeterShape) -> Result<(), String> {
    let mut shapes = shapes.lock().unwrap_or_else(PoisonError::into_inner);
    match shapes.iter().find(|known| known.name == shape.name) {
        None => shapes.push(shape.clone()),
        Some(known) if known == shape => {}
        Some(known) => {
            let of = if known.bounds.is_some() { "histogram" } else { "counter" };
            let labels = known.labels.join("`, `");
            return Err(format!(
                "another filter counts it as a {of} with the labels `{labels}`, help `{}`",
                known.help
            ));
        }
    }
    Ok(())
}

impl Observer for OfLoad {
    fn wants(&self, level: LogLevel) -> bool {
        match level {
            LogLevel::Debug => tracing::enabled!(target: "policy", tracing::Level::DEBUG),
            LogLevel::Info => tracing::enabled!(target: "policy", tracing::Level::INFO),
            LogLevel::Warn => tracing::enabled!(target: "policy", tracing::Level::WARN),
            LogLevel::Error => tracing::enabled!(target: "policy", tracing::Level::ERROR),
        }
    }

    fn log(&self, line: LogLine<'_>) {
        let LogLine { level, id, place, message, fields } = line;
        // JSON text has no line ends, and nothing that moves a terminal's cursor; the message is written so too.
        let fields = (!fields.is_empty()).then(|| Value::Object(fields.clone()).to_string());
        let message = plain(message);
        match level {
            LogLevel::Debug => tracing::debug!(target: "policy", id, place, fields, "{message}"),
            LogLevel::Info => tracing::info!(target: "policy", id, place, fields, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "policy", id, place, fields, "{message}"),
            LogLevel::Error => tracing::error!(target: "policy", id, place, fields, "{message}"),
        }
    }

    fn audit(&self, record: AuditRecord) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let written = self.node.audit.write(&record).await;
            let fields = (!record.fields.is_empty()).then(|| Value::Object(record.fields.clone()).to_string());
            let (id, place) = (&*record.id, &*record.place);
            let (user, client, of) = (record.who.as_str(), record.client.as_deref(), record.of.as_deref());
            let action = plain(&record.action);
            match &written {
                Ok(()) => tracing::info!(target: "audit", id, place, user, client, of, fields, "{action}"),
                Err(why) => {
                    tracing::error!(target: "audit", id, place, user, client, of, fields, "not in the audit log ({why}): {action}");
                }
            }
            written
        })
    }

    fn meter(&self, shape: MeterShape) -> Result<Arc<dyn Meter>, String> {
        one_shape(&self.shapes, &shape)?;
        Ok(self.node.metrics.meters.meter(shape))
    }
}

/// Without what ends a line, moves a terminal's cursor, or has a line read otherwise than it is.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c == '\n' || is_invisible(c) {
            true => plain.extend(c.escape_default()),
            false => plain.push(c),
        }
    }
    plain
}

/// Where nothing serves: commands, and the files' own tests. What filters say is kept for whoever asks for it, and goes nowhere.
#[derive(Default)]
pub(crate) struct Silent {
    shapes: Mutex<Vec<MeterShape>>,
    told: Arc<Mutex<Vec<String>>>,
}

/// No test looks at more.
const MOST_TOLD: usize = 1_000;

impl Silent {
    /// What filters said since this was last asked.
    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note(told: &Mutex<Vec<String>>, words: impl IntoIterator<Item = String>) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < MOST_TOLD {
        let words = words.into_iter().filter(|word| !word.is_empty());
        told.push(words.collect::<Vec<_>>().join(" "));
    }
}

fn as_word(fields: &serde_json::Map<String, Value>) -> String {
    if fields.is_empty() { String::new() } else { Value::Object(fields.clone()).to_string() }
}

struct Noted {
    shape: MeterShape,
    told: Arc<Mutex<Vec<String>>>,
}

impl Meter for Noted {
    fn count(&self, labels: &[std::borrow::Cow<'_, str>], amount: f64) {
        let labels = self.shape.labels.iter().zip(labels).map(|(name, value)| format!("{name}={value}"));
        let words = ["metric".to_owned(), self.shape.name.clone()].into_iter().chain(labels);
        note(&self.told, words.chain([amount.to_string()]));
    }
}

impl Observer for Silent {
    fn wants(&self, _: LogLevel) -> bool {
        true
    }

    fn log(&self, line: LogLine<'_>) {
        let level = format!("{:?}", line.level).to_lowercase();
        note(&self.told, ["log".to_owned(), level, plain(line.message), as_word(line.fields)]);
    }

    fn audit(&self, record: AuditRecord) -> BoxFuture<'_, Result<(), String>> {
        let of = record.of.unwrap_or_default();
        note(&self.told, ["audit".to_owned(), record.who, record.action, of, as_word(&record.fields)]);
        Box::pin(std::future::ready(Ok(())))
    }

    fn meter(&self, shape: MeterShape) -> Result<Arc<dyn Meter>, String> {
        one_shape(&self.shapes, &shape)?;
        Ok(Arc::new(Noted { shape, told: self.told.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_one_line_that_reads_as_it_is() {
        for (text, told) in [
            ("an order, \u{e4} \u{1f44d}", "an order, \u{e4} \u{1f44d}"),
            ("a\nb\r\u{1b}[31m\u{85}", "a\\nb\\r\\u{1b}[31m\\u{85}"),
            ("a\u{2028}b\u{202e}c\u{200b}", "a\\u{2028}b\\u{202e}c\\u{200b}"),
        ] {
            assert_eq!(plain(text), told);
        }
    }
}
