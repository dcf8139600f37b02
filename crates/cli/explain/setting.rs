//! Settings, from the schemas of the files.

use std::fmt::Write as _;

use serde_json::Value;

use super::Explained;
use crate::args::SchemaFile;
use crate::schema;

/// So deep are tables followed into tables.
const DEEPEST: usize = 6;

/// A setting.
pub(super) struct Setting {
    /// The keys that lead to it: `timeouts.connect`; names that the operator chooses are left out.
    pub(super) path: String,
    /// The same with `NAME` where a name is chosen, as a person writes it.
    pub(super) written: String,
    required: bool,
    /// It stands in a table whose settings are told already, of another key.
    again: bool,
    of: String,
    default: Option<String>,
    doc: String,
}

/// A file with settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Policy,
    Node,
    Stores,
    Server,
}

impl File {
    const ALL: [File; 4] = [File::Node, File::Stores, File::Server, File::Policy];

    /// Its settings.
    pub(super) fn settings(self) -> Vec<Setting> {
        let mut schema = schema::of(match self {
            File::Policy => SchemaFile::Policy,
            File::Node => SchemaFile::Node,
            File::Stores => SchemaFile::Stores,
            File::Server => SchemaFile::Server,
        });
        if self == File::Policy {
            // A filter's settings are on its page; here are the keys that every filter has.
            let common = ::policy::schema::common();
            schema["definitions"]["Filter"] = common;
        }
        of_schema(&schema)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            File::Policy => "a policy file",
            File::Node => "node.toml",
            File::Stores => "stores/stores.toml",
            File::Server => "policies/oauth/server.toml",
        }
    }
}

/// A setting of a file: `listener.address`, `[cluster] nodes`, `source.postgres.url`.
pub(super) fn explained(word: &str) -> Option<Explained> {
    let path = word.replace(['[', ']'], "").split_whitespace().collect::<Vec<_>>().join(".");
    let (file, text) = File::ALL.into_iter().find_map(|file| Some((file, text(&file.settings(), &path, &path)?)))?;
    Some(Explained { kind: "setting", name: path, text: format!("{text}\nIt stands in {}.\n", file.name()) })
}

/// The words for settings of files.
pub(super) fn words() -> impl Iterator<Item = String> {
    File::ALL.into_iter().flat_map(File::settings).map(|setting| setting.path)
}

/// The settings at the top of a file, each with a line.
pub(super) fn lines(file: File) -> Vec<(String, String)> {
    let top = file.settings().into_iter().filter(|setting| !setting.path.contains('.'));
    top.map(|setting| (setting.path, super::first_sentence(&setting.doc))).collect()
}

/// A setting and what stands below it, of these; `title` is its name in full.
pub(super) fn text(settings: &[Setting], path: &str, title: &str) -> Option<String> {
    let own = settings.iter().find(|setting| setting.path == path)?;
    let mut text = format!("# {title}\n\n{}\n", own.doc);
    let _ = write!(text, "\nType: {}.", own.of);
    match &own.default {
        Some(default) if !says_default(&own.doc) => drop(writeln!(text, " Default: `{default}`.")),
        _ if own.required => text.push_str(" Required.\n"),
        _ => text.push('\n'),
    }
    let below: Vec<_> = settings.iter().filter(|setting| setting.path.starts_with(&format!("{path}."))).collect();
    if !below.is_empty() {
        text.push('\n');
        text.push_str(&table_of(&below, ""));
    }
    Some(text)
}

/// Whether the words say what the default is, often better than its value would.
fn says_default(doc: &str) -> bool {
    doc.contains("Default:")
}

/// A table of them.
pub(super) fn table(settings: &[Setting], none: &str) -> String {
    table_of(&settings.iter().collect::<Vec<_>>(), none)
}

fn table_of(settings: &[&Setting], none: &str) -> String {
    if settings.is_empty() {
        return format!("{none}\n");
    }
    let mut table = String::from("| setting | type | |\n|---|---|---|\n");
    for setting in settings.iter().filter(|setting| !setting.again) {
        let must = if setting.required { "Required. " } else { "" };
        let default = setting.default.as_ref().filter(|_| !says_default(&setting.doc));
        let default = default.map(|default| format!(" Default: `{default}`.")).unwrap_or_default();
        let said = format!("{must}{}{default}", setting.doc.split_whitespace().collect::<Vec<_>>().join(" "));
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(table, "| `{}` | {} | {} |", setting.written, cell(&setting.of), cell(&said));
    }
    table
}

/// The settings that a schema has, tables in tables after the table that they stand in.
pub(super) fn of_schema(schema: &Value) -> Vec<Setting> {
    let mut found = Vec::new();
    Walk { root: schema, found: &mut found, told: Vec::new() }.table(schema, "", "", DEEPEST);
    found
}

struct Walk<'a> {
    root: &'a Value,
    found: &'a mut Vec<Setting>,
    /// The tables whose settings were found, but for that they stand elsewhere.
    told: Vec<&'a Value>,
}

impl<'a> Walk<'a> {
    /// The keys of a table; those that hang on another key too.
    fn table(&mut self, schema: &'a Value, path: &str, written: &str, left: usize) {
        let Some(left) = left.checked_sub(1) else { return };
        let schema = self.resolved(schema);
        // What hangs on `type` or `use` says more than what is offered for all.
        let branches: Vec<_> =
            schema["allOf"].as_array().into_iter().flatten().filter(|each| each["if"].is_object()).collect();
        for branch in &branches {
            let condition = branch["if"]["properties"].as_object().and_then(|keys| keys.values().next());
            let Some(word) = condition.and_then(|of| of["const"].as_str()) else { continue };
            self.keys(self.resolved(&branch["then"]), &join(path, word), written, left);
        }
        if branches.is_empty() {
            self.keys(schema, path, written, left);
        }
    }

    fn keys(&mut self, schema: &'a Value, path: &str, written: &str, left: usize) {
        let again = self.told.iter().any(|told| std::ptr::eq(*told, schema));
        self.told.push(schema);
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, setting) in schema["properties"].as_object().into_iter().flatten() {
            let (path, written) = (join(path, key), join(written, key));
            self.found.push(Setting {
                path: path.clone(),
                written: written.clone(),
                required: required.contains(&key.as_str()),
                again,
                of: self.of(setting),
                default: setting.get("default").map(|default| match default {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                }),
                doc: self.doc(setting),
            });
            let (inner, written) = self.inner(setting, &written);
            self.table(inner, &path, &written, left);
        }
    }

    /// The table that a setting is, or has many of.
    fn inner(&self, setting: &'a Value, written: &str) -> (&'a Value, String) {
        let own = self.resolved(setting);
        let named = own.get("additionalProperties").filter(|of| of.is_object());
        if let (Some(of), true) = (named, own.get("properties").is_none()) {
            let (of, written) = self.inner(of, &format!("{written}.NAME"));
            return (of, written);
        }
        match own.get("items") {
            Some(items) => (self.resolved(items), written.to_owned()),
            None => (own, written.to_owned()),
        }
    }

    /// What a reference leads to; the one thing that something is all of.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..DEEPEST {
            let all = schema["allOf"].as_array().map(Vec::as_slice);
            let next = match (schema["$ref"].as_str(), all) {
                (Some(to), _) => self.root.pointer(to.trim_start_matches('#')),
                (None, Some([one])) if one["if"].is_null() && schema["properties"].is_null() => Some(one),
                _ => None,
            };
            match next {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn doc(&self, setting: &'a Value) -> String {
        let own = setting["description"].as_str();
        own.or_else(|| self.resolved(setting)["description"].as_str()).unwrap_or_default().to_owned()
    }

    /// What may stand there, in a few words.
    fn of(&self, setting: &'a Value) -> String {
        let words = |list: &Value| {
            let items = list.as_array().into_iter().flatten();
            items
                .map(|item| item.as_str().map_or(item.to_string(), |word| format!("`{word}`")))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let known = [
            ("Duration", "duration"),
            ("ByteSize", "size"),
            ("Rate", "rate"),
            ("Method", "method"),
            ("StatusCode", "status"),
        ];
        let reference = setting["$ref"].as_str().or_else(|| setting["allOf"][0]["$ref"].as_str()).unwrap_or_default();
        if let Some((_, word)) = known.iter().find(|(name, _)| reference.ends_with(&format!("/{name}"))) {
            return (*word).to_owned();
        }
        let own = self.resolved(setting);
        let own = if setting["enum"].is_array() || setting["type"] == "array" { setting } else { own };
        if let Some(word) = own["const"].as_str() {
            return format!("`{word}`");
        }
        if own["enum"].is_array() {
            return words(&own["enum"]);
        }
        if let Some(each) = own["oneOf"].as_array().or_else(|| own["anyOf"].as_array()) {
            let mut all: Vec<String> = Vec::new();
            for one in each.iter().map(|one| self.of(one)) {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
            let or = if all.iter().all(|one| one.starts_with('`')) { ", " } else { " or " };
            return all.join(or);
        }
        match own["type"].as_str() {
            Some("string") => String::from("text"),
            Some("integer") => String::from("whole number"),
            Some("number") => String::from("number"),
            Some("boolean") => String::from("true or false"),
            Some("array") => match self.of(&own["items"]) {
                of if of.is_empty() => String::from("list"),
                of => format!("list of {of}"),
            },
            Some("object") => match own["properties"].as_object().filter(|_| own["additionalProperties"] == false) {
                Some(keys) if keys.len() <= 2 => {
                    format!("`{{ {} }}`", keys.keys().cloned().collect::<Vec<_>>().join(", "))
                }
                _ => String::from("table"),
            },
            _ => String::new(),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
