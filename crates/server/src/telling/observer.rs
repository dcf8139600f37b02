//! What filters say: into the log, the audit log, and metrics of their own.

use std::sync::{Arc, Mutex, PoisonError};

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

/// Without what ends a line or moves a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Where nothing serves: commands, and the files' own tests. What filters say is checked, and goes nowhere.
#[derive(Default)]
pub(crate) struct Silent(Mutex<Vec<MeterShape>>);

struct Uncounted;

impl Meter for Uncounted {
    fn count(&self, _: &[std::borrow::Cow<'_, str>], _: f64) {}
}

impl Observer for Silent {
    fn wants(&self, _: LogLevel) -> bool {
        true
    }

    fn log(&self, _: LogLine<'_>) {}

    fn audit(&self, _: AuditRecord) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn meter(&self, shape: MeterShape) -> Result<Arc<dyn Meter>, String> {
        one_shape(&self.0, &shape).map(|()| Arc::new(Uncounted) as Arc<dyn Meter>)
    }
}
