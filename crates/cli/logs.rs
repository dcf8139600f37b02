//! The log: lines on standard error, for people or as JSON. `PORTCULLIS_LOG` says how much; without it, `[log]` in node.toml; and before
//! both, what somebody asks a running node for. A command writes them as they come, a node through [`Lines`].

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use server::{LogFormat, LogSettings};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::log_json::JsonLines;
use crate::log_lines::Lines;
use crate::output::color;

/// The variable that says how much is logged: `debug`, `info,server=debug`.
const VARIABLE: &str = "PORTCULLIS_LOG";

/// The filter of the log of this process, once it is there. It alone is exchanged: a layer that has one must stay the one that the
/// subscriber knows.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Whether lines are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// What a node's log is written through.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Makes the log of a node as its settings say; a second call changes it. `level`: what was asked for meanwhile, which goes before all
/// else.
pub(crate) fn for_node(settings: &LogSettings, level: Option<&str>) {
    // Without a thread of its own the log is slower, and there all the same.
    if LINES.get().is_none()
        && let Ok(lines) = Lines::to(io::stderr())
    {
        let _ = LINES.set(lines);
    }
    let targets: String = settings.targets.iter().map(|(target, level)| format!(",{target}={level}")).collect();
    let filter = match level {
        Some(level) => filter(None, level),
        None => asked_or(&format!("{}{targets}", settings.level)),
    };
    set(settings.format, filter);
}

/// Waits until the last line is out: before the process ends.
pub(crate) fn finish() {
    if let Some(lines) = LINES.get() {
        lines.finish();
    }
}

/// Makes the log of a command: warnings, beside what it prints.
pub(crate) fn for_commands() {
    set(LogFormat::Text, asked_or("warn"));
}

fn set(format: LogFormat, filter: EnvFilter) {
    JSON.store(format == LogFormat::Json, Ordering::Relaxed);
    if let Some(handle) = FILTER.get() {
        if let Err(why) = handle.reload(filter) {
            tracing::error!("the log stays as it is: {why}");
        }
        return;
    }
    let (filter, handle) = reload::Layer::new(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(color(&io::stderr()))
        .event_format(EitherFormat(Format::default()));
    // Only another subscriber in this process can be in the way, and then that one is the log.
    if tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
}

fn writer() -> Box<dyn Write> {
    match LINES.get() {
        Some(lines) => Box::new(lines.clone()),
        None => Box::new(io::stderr()),
    }
}

/// Text or JSON, as the settings say now.
struct EitherFormat(Format);

impl<S, N> FormatEvent<S, N> for EitherFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match JSON.load(Ordering::Relaxed) {
            true => JsonLines.format_event(context, writer, event),
            false => self.0.format_event(context, writer, event),
        }
    }
}

/// The filter that the environment asks for, or this.
#[allow(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn asked_or(level: &str) -> EnvFilter {
    filter(std::env::var(VARIABLE).ok().as_deref(), level)
}

/// The filter that the variable asks for, or the level where it is unset or cannot be read.
fn filter(variable: Option<&str>, level: &str) -> EnvFilter {
    let asked = variable.filter(|text| !text.trim().is_empty()).and_then(|text| EnvFilter::try_new(text).ok());
    // Drivers tell of every attempt; what comes of them a source says itself, once and with its name.
    let ours = || EnvFilter::try_new(format!("{level},{DRIVERS}")).ok();
    asked.or_else(ours).unwrap_or_else(|| EnvFilter::new("info"))
}

/// Silent, unless the variable asks for them.
const DRIVERS: &str = "scylla=off,deadpool=off,odbc_api=off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_the_level() {
        for (variable, level, expected) in [
            (None, "warn", "warn"),
            (Some("debug"), "warn", "debug"),
            (Some(" "), "error", "error"),
            (Some("a=b=c=d"), "warn", "warn"),
        ] {
            let expected = match variable {
                Some("debug") => expected.to_owned(),
                _ => EnvFilter::new(format!("{expected},{DRIVERS}")).to_string(),
            };
            assert_eq!(filter(variable, level).to_string(), expected, "{variable:?} {level}");
        }
    }
}
