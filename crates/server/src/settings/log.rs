//! `[log]`.

use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};
use policy::reader::{Keys, did_you_mean};

use super::Within;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]` of `node.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// From which level on: `error`, `warn`, `info`, `debug`, `trace`.
    pub level: String,
    /// Whether every request leaves a line (at `info`, target `access`).
    pub access: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { format: LogFormat::Text, level: String::from("info"), access: true }
    }
}

const FORMATS: [&str; 2] = ["text", "json"];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

pub(super) fn read(within: Within<'_>, diagnostics: &mut Diagnostics) -> LogSettings {
    let mut log = LogSettings::default();
    let mut keys = Keys::new(within.file, within.table);
    if let Some(format) = keys.text("format") {
        match format.value {
            "text" => log.format = LogFormat::Text,
            "json" => log.format = LogFormat::Json,
            other => {
                let problem = Problem::error(codes::BAD_VALUE, format!("`{other}` is no format of log lines"));
                let help = near_or(other, &FORMATS, "`text` for people, or `json`: one object a line");
                keys.push(problem.with_help(help).at(within.place(format.span)));
            }
        }
    }
    if let Some(level) = keys.text("level") {
        if LEVELS.contains(&level.value) {
            log.level = level.value.to_owned();
        } else {
            let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is no log level", level.value));
            let help = near_or(level.value, &LEVELS, "one of error, warn, info, debug, trace");
            keys.push(problem.with_help(help).at(within.place(level.span)));
        }
    }
    if let Some(access) = keys.bool("access") {
        log.access = access.value;
    }
    super::finish(keys, diagnostics);
    log
}

/// The word that is likely meant, else what there is.
fn near_or(word: &str, known: &[&str], all: &str) -> String {
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => all.to_owned(),
    }
}
