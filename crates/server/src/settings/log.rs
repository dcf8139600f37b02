//! `[log]`.

use std::collections::BTreeMap;

use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};
use policy::reader::{Keys, did_you_mean};
use policy::settings::Spanned;

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
    /// Other levels for some targets, and what is below them: `server::upstream`, `access`.
    pub targets: BTreeMap<String, String>,
    /// The access log.
    pub access: Access,
}

/// Where every request leaves a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nowhere.
    Off,
    /// In the log, at `info`, target `access`.
    Log,
    /// In a log of its own.
    Lines(AccessLines),
}

/// An access log of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLines {
    /// How a line looks.
    pub format: AccessFormat,
    /// The file, relative to the configuration folder; without it standard output.
    pub file: Option<String>,
    /// What stands in a line of JSON, in this order.
    pub fields: Vec<AccessField>,
}

/// How a line of an access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// One object.
    Json,
    /// The Common Log Format.
    Common,
    /// The same with referer and user agent.
    Combined,
}

/// A field of a line of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what their names say")]
pub enum AccessField {
    Time,
    Id,
    Listener,
    Client,
    Method,
    Path,
    Version,
    Host,
    Status,
    Outcome,
    Policy,
    Route,
    Reason,
    Place,
    Why,
    Bytes,
    Micros,
    Generation,
    Subject,
    ClientId,
    TraceId,
    UserAgent,
    Referer,
}

impl AccessField {
    /// All there are: first those that are there without being asked for.
    pub const ALL: [AccessField; 23] = [
        AccessField::Time,
        AccessField::Id,
        AccessField::Listener,
        AccessField::Client,
        AccessField::Method,
        AccessField::Path,
        AccessField::Status,
        AccessField::Outcome,
        AccessField::Policy,
        AccessField::Route,
        AccessField::Reason,
        AccessField::Place,
        AccessField::Why,
        AccessField::Bytes,
        AccessField::Micros,
        AccessField::Generation,
        AccessField::TraceId,
        AccessField::Version,
        AccessField::Host,
        AccessField::Subject,
        AccessField::ClientId,
        AccessField::UserAgent,
        AccessField::Referer,
    ];

    /// Those that are there without being asked for: nothing of who a person is.
    pub fn usual() -> Vec<AccessField> {
        AccessField::ALL[..17].to_vec()
    }

    /// Its name in settings and in the line.
    pub fn name(self) -> &'static str {
        match self {
            AccessField::Time => "time",
            AccessField::Id => "id",
            AccessField::Listener => "listener",
            AccessField::Client => "client",
            AccessField::Method => "method",
            AccessField::Path => "path",
            AccessField::Version => "version",
            AccessField::Host => "host",
            AccessField::Status => "status",
            AccessField::Outcome => "outcome",
            AccessField::Policy => "policy",
            AccessField::Route => "route",
            AccessField::Reason => "reason",
            AccessField::Place => "place",
            AccessField::Why => "why",
            AccessField::Bytes => "bytes",
            AccessField::Micros => "micros",
            AccessField::Generation => "generation",
            AccessField::Subject => "subject",
            AccessField::ClientId => "client_id",
            AccessField::TraceId => "trace_id",
            AccessField::UserAgent => "user_agent",
            AccessField::Referer => "referer",
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        let (format, level) = (LogFormat::Text, String::from("info"));
        LogSettings { format, level, targets: BTreeMap::new(), access: Access::Log }
    }
}

const FORMATS: [&str; 2] = ["text", "json"];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const ACCESS: [&str; 3] = ["json", "common", "combined"];

/// The level of this name, in any case of its letters.
pub(crate) fn level(word: &str) -> Option<&'static str> {
    LEVELS.into_iter().find(|level| level.eq_ignore_ascii_case(word))
}

/// Whether log lines can have this target: the name of a module, or a word of ours.
pub(crate) fn is_target(text: &str) -> bool {
    !text.is_empty() && text.len() <= 100 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:-".contains(&b))
}

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
        match read_level(level, within) {
            Ok(level) => log.level = level.to_owned(),
            Err(problem) => keys.push(*problem),
        }
    }
    if let Some(targets) = keys.table("targets") {
        let mut inner = Keys::new(within.file, targets.value);
        for entry in &targets.value.entries {
            let Some(level) = inner.text(&entry.name) else { continue };
            if !is_target(&entry.name) {
                let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is no target of log lines", entry.name));
                let help = "the word before the message in a line of the log: \"access\", \"server::upstream\"";
                inner.push(problem.with_help(help).at(within.place(entry.name_span)));
            }
            match read_level(level, within) {
                Ok(level) => _ = log.targets.insert(entry.name.clone(), level.to_owned()),
                Err(problem) => inner.push(*problem),
            }
        }
        super::finish(inner, diagnostics);
    }
    log.access = access(&mut keys, within);
    super::finish(keys, diagnostics);
    log
}

fn read_level(level: Spanned<&str>, within: Within<'_>) -> Result<&'static str, Box<policy::Diagnostic>> {
    LEVELS.into_iter().find(|known| *known == level.value).ok_or_else(|| {
        let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is no log level", level.value));
        let help = near_or(level.value, &LEVELS, "one of error, warn, info, debug, trace");
        Box::new(problem.with_help(help).at(within.place(level.span)))
    })
}

fn access_format(keys: &mut Keys<'_>, within: Within<'_>) -> Option<AccessFormat> {
    let word = keys.text("access")?;
    match word.value {
        "json" => Some(AccessFormat::Json),
        "common" => Some(AccessFormat::Common),
        "combined" => Some(AccessFormat::Combined),
        other => {
            let problem = Problem::error(codes::BAD_VALUE, format!("`{other}` is no format of the access log"));
            let all = "true: in the log; \"json\", \"common\" or \"combined\": in a log of its own; false: none";
            keys.push(problem.with_help(near_or(other, &ACCESS, all)).at(within.place(word.span)));
            None
        }
    }
}

/// `access`, and what belongs to it.
fn access(keys: &mut Keys<'_>, within: Within<'_>) -> Access {
    let (format, on) = match keys.node("access").map(|node| node.as_text().is_some()) {
        None => (None, true),
        Some(false) => (None, keys.bool("access").is_some_and(|on| on.value)),
        Some(true) => (access_format(keys, within), false),
    };
    let file = keys.text("access_file").map(|file| (file.span, file.value.to_owned()));
    if let Some((span, file)) = &file
        && file.trim().is_empty()
    {
        let problem = Problem::error(codes::BAD_VALUE, "the access log needs a file's name");
        keys.push(problem.with_help("leave `access_file` out for standard output").at(within.place(*span)));
    }
    let fields = keys.deserialize::<Vec<Spanned<String>>>("access_fields", within.outside);
    let mut chosen = Vec::new();
    for field in fields.iter().flatten() {
        match AccessField::ALL.into_iter().find(|known| known.name() == field.value) {
            Some(known) if chosen.contains(&known) => {
                let problem =
                    Problem::error(codes::BAD_VALUE, format!("the field `{}` stands there twice", field.value));
                keys.push(problem.with_help("name each once").at(within.place(field.span)));
            }
            Some(known) => chosen.push(known),
            None => {
                let problem =
                    Problem::error(codes::BAD_VALUE, format!("`{}` is no field of the access log", field.value));
                let names = AccessField::ALL.map(AccessField::name);
                let help = near_or(&field.value, &names, &names.join(", "));
                keys.push(problem.with_help(help).at(within.place(field.span)));
            }
        }
    }
    for (name, wanted, needs) in [
        ("access_file", file.is_some() && format.is_none(), "access = \"json\", \"common\" or \"combined\""),
        ("access_fields", fields.is_some() && format != Some(AccessFormat::Json), "access = \"json\""),
    ] {
        if let Some(entry) = keys.entry(name).filter(|_| wanted) {
            let problem = Problem::error(codes::BAD_VALUE, format!("`{name}` says nothing here"));
            keys.push(problem.with_help(format!("it belongs to {needs}")).at(within.place(entry.name_span)));
        }
    }
    match format {
        Some(format) => {
            let fields = fields.map_or_else(AccessField::usual, |_| chosen);
            Access::Lines(AccessLines { format, file: file.map(|(_, file)| file), fields })
        }
        None if on => Access::Log,
        None => Access::Off,
    }
}

/// The word that is likely meant, else what there is.
fn near_or(word: &str, known: &[&str], all: &str) -> String {
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => all.to_owned(),
    }
}
