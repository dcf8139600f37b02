//! A line of the log as one JSON object: time, level, message and fields, target. What a policy's filter says of an event (`fields`) is an
//! object in it, not text.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Where filters speak, whose `fields` are JSON already.
const TARGETS: [&str; 2] = ["policy", "audit"];

/// Writes such lines.
pub(crate) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let target = event.metadata().target();
        let mut fields = Fields { line: Map::new(), objects: TARGETS.contains(&target) };
        fields.line.insert("timestamp".into(), time.into());
        fields.line.insert("level".into(), event.metadata().level().as_str().into());
        event.record(&mut fields);
        fields.line.insert("target".into(), target.into());
        writeln!(writer, "{}", Value::Object(fields.line))
    }
}

struct Fields {
    line: Map<String, Value>,
    /// `fields` is JSON.
    objects: bool,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.line.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let object = (self.objects && field.name() == "fields").then(|| serde_json::from_str(value).ok()).flatten();
        self.put(field, object.unwrap_or_else(|| Value::from(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
