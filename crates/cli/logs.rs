//! The log: lines on standard error, for people or as JSON. `PORTCULLIS_LOG` says how much; without it, `[log]` in node.toml.
//! A command writes them as they come, a node through [`Lines`].

use std::io;
use std::sync::OnceLock;

use server::{LogFormat, LogSettings};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::log_json::JsonLines;
use crate::log_lines::Lines;
use crate::output::color;

/// The variable that says how much is logged: `debug`, `info,server=debug`.
const VARIABLE: &str = "PORTCULLIS_LOG";

type Log = Box<dyn Layer<Registry> + Send + Sync>;

/// The log of this process, once it is there: a reload may change its level and form.
static LOG: OnceLock<reload::Handle<Log, Registry>> = OnceLock::new();

/// What a node's log is written through.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Makes the log of a node as its settings say; a second call changes it.
/// `level`: what was asked for meanwhile, which goes before all else.
pub(crate) fn for_node(settings: &LogSettings, level: Option<&str>) {
    let lines = match LINES.get() {
        Some(lines) => Some(lines.clone()),
        // Without a thread of its own the log is slower, and there all the same.
        None => Lines::to(io::stderr()).ok().map(|lines| LINES.get_or_init(|| lines).clone()),
    };
    let targets: String = settings.targets.iter().map(|(target, level)| format!(",{target}={level}")).collect();
    let filter = match level {
        Some(level) => filter(None, level),
        None => asked_or(&format!("{}{targets}", settings.level)),
    };
    set(settings.format, &filter, || match &lines {
        Some(lines) => {
            let lines = lines.clone();
            BoxMakeWriter::new(move || lines.clone())
        }
        None => BoxMakeWriter::new(io::stderr),
    });
}

/// Waits until the last line is out: before the process ends.
pub(crate) fn finish() {
    if let Some(lines) = LINES.get() {
        lines.finish();
    }
}

/// Makes the log of a command: warnings, beside what it prints.
pub(crate) fn for_commands() {
    set(LogFormat::Text, &asked_or("warn"), || BoxMakeWriter::new(io::stderr));
}

fn set(format: LogFormat, filter: &EnvFilter, writer: impl Fn() -> BoxMakeWriter) {
    if let Some(handle) = LOG.get() {
        if let Err(why) = handle.reload(log(format, filter, writer())) {
            tracing::error!("the log stays as it is: {why}");
        }
        return;
    }
    let (layer, handle) = reload::Layer::new(log(format, filter, writer()));
    // Only another subscriber in this process can be in the way, and then that one is the log.
    if tracing_subscriber::registry().with(layer).try_init().is_ok() {
        let _ = LOG.set(handle);
    }
}

fn log(format: LogFormat, filter: &EnvFilter, writer: BoxMakeWriter) -> Log {
    let filter = filter.clone();
    match format {
        LogFormat::Text => fmt::layer().with_writer(writer).with_ansi(color(&io::stderr())).with_filter(filter).boxed(),
        LogFormat::Json => fmt::layer().event_format(JsonLines).with_writer(writer).with_filter(filter).boxed(),
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
