//! `[kps.NAME]` in `stores/stores.toml`: what a key property store holds, and where.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::Diagnostics;
use policy::diagnostic::{Place, Problem, Span, codes};
use policy::reader::{Entry, Keys, Node, did_you_mean};
use policy::settings::Spanned;
use store::guard::FailurePolicy;
use store::kps::{Column, ColumnType, LONGEST_NAME, RESERVED, Settings};

use super::stores::failure_policy;
use super::{Within, not_yet};

/// The sources whose databases may have tables of somebody else's.
const WITH_TABLES: [&str; 3] = ["sqlite", "postgres", "mysql"];

/// The most characters of a name in a database.
const LONGEST_SQL_NAME: usize = 64;

/// What a table declares.
pub(super) struct Declared {
    pub(super) settings: Arc<Settings>,
    /// The source it names.
    pub(super) source: Option<Spanned<String>>,
    /// What it does where its source fails.
    pub(super) failure: FailurePolicy,
    /// Where a column is said to be encrypted.
    pub(super) encrypted: Option<Place>,
    /// Where that does not go with every source, as it stands in the file.
    wants: Vec<(Want, Place)>,
}

/// What a source must be able to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// Have a table of somebody else's.
    Table,
    /// Be written to: this setting says something of rows that Portcullis writes.
    Writes(&'static str),
}

/// Reads one; none where it cannot be used at all. What is wrong is told.
pub(super) fn read(within: Within<'_>, name: &Entry, diagnostics: &mut Diagnostics) -> Option<Declared> {
    let mut keys = Keys::new(within.file, within.table);
    if !is_name(&name.name) {
        let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is no name of a key property store", name.name));
        let help = format!("1 to {LONGEST_NAME} of `A-Z a-z 0-9 _ -`: selectors read it as `kps.NAME`");
        keys.push(problem.with_help(help).at(keys.place_of(name.name_span)));
    }
    let source = keys.text("source").map(|source| source.map(str::to_owned));
    let key = keys.required_text("key");
    let second_key = keys.text("second_key");
    let columns = columns(within, &mut keys, diagnostics);
    let auto_id = keys.bool("auto_id");
    let ttl = keys.duration("ttl");
    if let Some(ttl) = ttl.as_ref().filter(|ttl| ttl.value.0.as_secs() == 0) {
        let problem = Problem::error(codes::BAD_VALUE, "a row lives for at least one second");
        keys.push(problem.with_help("for example `ttl = \"24h\"`; without `ttl` it stays").at(keys.place_of(ttl.span)));
    }
    let table = keys.text("table");
    let failure = failure_policy(&mut keys);
    if let Some(cache) = keys.entry("cache") {
        let help = "leave it out: a row is read from its source each time";
        keys.push(not_yet("`cache` of a key property store", help).at(keys.place_of(cache.name_span)));
    }
    for (name, key) in [("key", &key), ("second_key", &second_key)] {
        if let Some(key) = key {
            check_key(&mut keys, name, key, &columns);
        }
    }
    if let (Some(key), Some(second)) = (&key, &second_key)
        && key.value == second.value
    {
        let problem = Problem::error(codes::BAD_VALUE, "the second key is the key");
        keys.push(problem.with_help("take it out, or name another column").at(keys.place_of(second.span)));
    }
    let auto = auto_id.as_ref().is_some_and(|auto| auto.value);
    if let (true, Some(auto), Some(key)) = (auto, &auto_id, &key)
        && columns.get(key.value).is_some_and(|column| column.value.of != ColumnType::Text)
    {
        let problem = Problem::error(codes::BAD_VALUE, "a key that is made is text (a UUID)");
        let help = format!("write `{} = \"text\"`, or take `auto_id` out", key.value);
        keys.push(problem.with_help(help).at(keys.place_of(auto.span)));
    }
    let sealed = columns.values().find(|column| column.value.encrypted).map(|column| column.span);
    let encrypted = sealed.map(|span| keys.place_of(span));
    let mut wants = Vec::new();
    for (setting, span) in [
        ("auto_id", auto_id.as_ref().filter(|auto| auto.value).map(|auto| auto.span)),
        ("ttl", ttl.as_ref().map(|ttl| ttl.span)),
        ("encrypted", sealed),
    ] {
        wants.extend(span.map(|span| (Want::Writes(setting), keys.place_of(span))));
    }
    if let Some(table) = &table {
        check_table(&mut keys, table, &columns, &wants);
        wants = vec![(Want::Table, keys.place_of(table.span))];
    } else if let Some(column) = columns.values().find(|column| column.value.named.is_some()) {
        let problem = Problem::error(codes::BAD_VALUE, "`column` names a column of a table, and there is no `table`");
        let help = "name the table of the database: `table = \"partners\"`; or take `column` out";
        keys.push(problem.with_help(help).at(keys.place_of(column.span)));
    }
    let settings = Settings {
        name: name.name.clone(),
        key: key.map(|key| key.value.to_owned()).unwrap_or_default(),
        second_key: second_key.map(|key| key.value.to_owned()),
        columns: columns.into_iter().map(|(name, column)| (name, column.value)).collect(),
        auto_id: auto,
        ttl: ttl.map(|ttl| ttl.value.0),
        table: table.map(|table| table.value.to_owned()),
    };
    let good = is_name(&name.name) && !settings.key.is_empty();
    super::finish(keys, diagnostics);
    good.then(|| Declared { settings: Arc::new(settings), source, failure, encrypted, wants })
}

impl Declared {
    /// What does not go with a source of this type.
    pub(super) fn check_source(&self, kind: &str, source: &str, diagnostics: &mut Diagnostics) {
        let name = &self.settings.name;
        for (want, place) in &self.wants {
            let problem = match want {
                Want::Table if !WITH_TABLES.contains(&kind) => {
                    let message = format!("`kps.{name}` is a table of a database, and `{source}` is `{kind}`");
                    let help = "name a source of the type `sqlite`, `postgres` or `mysql`; or take `table` out";
                    Problem::error(codes::STORE, message).with_help(help)
                }
                Want::Writes(setting) if kind == "file" => {
                    let message = format!(
                        "`{setting}` is of rows that Portcullis writes, and `{source}` is a file that people write"
                    );
                    let help = format!("take `{setting}` out, or name another source");
                    Problem::error(codes::STORE, message).with_help(help)
                }
                _ => continue,
            };
            diagnostics.push(problem.at(place.clone()));
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The columns, each with its place.
fn columns(
    within: Within<'_>,
    keys: &mut Keys<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, Spanned<Column>> {
    let mut columns = BTreeMap::new();
    let Some(table) = keys.table("columns") else { return columns };
    if table.value.entries.is_empty() {
        let problem = Problem::error(codes::BAD_VALUE, "`columns` names no column");
        let help = "`columns = { id = \"text\", limit = \"integer\" }`; without `columns` a row may have any";
        keys.push(problem.with_help(help).at(keys.place_of(table.span)));
    }
    for entry in &table.value.entries {
        let long = !(1..=LONGEST_SQL_NAME).contains(&entry.name.len());
        if long || entry.name.starts_with(RESERVED) || entry.name.chars().any(char::is_control) {
            let problem = Problem::error(codes::BAD_VALUE, "this cannot be the name of a column");
            keys.push(
                problem.with_help("1 to 64 characters, the first one not `~`").at(keys.place_of(entry.name_span)),
            );
        }
        if let Some(column) = column(within, keys, entry, diagnostics) {
            columns.insert(entry.name.clone(), Spanned { span: entry.name_span, value: column });
        }
    }
    columns
}

/// `"text"`, or `{ type = "text", encrypted = true, column = "NAME" }`.
fn column<'a>(
    within: Within<'_>,
    keys: &mut Keys<'a>,
    entry: &'a Entry,
    diagnostics: &mut Diagnostics,
) -> Option<Column> {
    let Some(table) = entry.value.as_table() else {
        let word = keys.expect(&entry.value, "a type, or `{ type = \"text\" }`", Node::as_text)?;
        let of = known_type(keys, word.value, word.span)?;
        return Some(Column { of, encrypted: false, named: None });
    };
    let mut inner = Keys::new(within.file, table);
    let word = inner.required_text("type");
    let of = word.and_then(|word| known_type(&mut inner, word.value, word.span));
    let encrypted = inner.bool("encrypted");
    let named = inner.text("column");
    if let Some(named) = &named
        && !is_sql_name(named.value)
    {
        inner.push(bad_sql_name(named.value).at(inner.place_of(named.span)));
    }
    let column = Column {
        of: of.unwrap_or(ColumnType::Text),
        encrypted: encrypted.is_some_and(|encrypted| encrypted.value),
        named: named.map(|named| named.value.to_owned()),
    };
    super::finish(inner, diagnostics);
    Some(column)
}

fn known_type(keys: &mut Keys<'_>, word: &str, span: Span) -> Option<ColumnType> {
    let of = ColumnType::named(word);
    if of.is_none() {
        let known = || ColumnType::ALL.iter().map(|(_, word)| *word);
        let help = match did_you_mean(word, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the types are {}", known().collect::<Vec<_>>().join(", ")),
        };
        let problem = Problem::error(codes::BAD_VALUE, format!("`{word}` is no type of a column"));
        keys.push(problem.with_help(help).at(keys.place_of(span)));
    }
    of
}

/// A key is one of the columns, where they are declared, and of a type that can be one.
fn check_key(keys: &mut Keys<'_>, setting: &str, key: &Spanned<&str>, columns: &BTreeMap<String, Spanned<Column>>) {
    let problem = match columns.get(key.value).map(|column| &column.value) {
        None if key.value.is_empty() => {
            Problem::error(codes::BAD_VALUE, format!("`{setting}` names no column")).with_help("`key = \"id\"`")
        }
        None if columns.is_empty() => return,
        None => {
            let problem = Problem::error(codes::BAD_VALUE, format!("there is no column `{}`", key.value));
            match did_you_mean(key.value, columns.keys().map(String::as_str)) {
                Some(near) => problem.with_help(format!("did you mean `{near}`?")),
                None => problem.with_help(format!("declare it in `columns`: `{} = \"text\"`", key.value)),
            }
        }
        Some(column) if column.encrypted => {
            let message = format!("`{}` is encrypted, and rows cannot be found by it", key.value);
            Problem::error(codes::BAD_VALUE, message).with_help("take `encrypted` out, or name another column")
        }
        Some(Column { of: ColumnType::Text | ColumnType::Integer, .. }) => return,
        Some(column) => {
            let message = format!("rows cannot be found by `{}`: it is {}", key.value, column.of.word());
            Problem::error(codes::BAD_VALUE, message).with_help("a key is of the type `text` or `integer`")
        }
    };
    keys.push(problem.at(keys.place_of(key.span)));
}

/// A table of somebody else's is only read, and says which columns it has.
fn check_table(
    keys: &mut Keys<'_>,
    table: &Spanned<&str>,
    columns: &BTreeMap<String, Spanned<Column>>,
    wants: &[(Want, Place)],
) {
    if !table.value.split('.').all(is_sql_name) {
        keys.push(bad_sql_name(table.value).at(keys.place_of(table.span)));
    }
    if columns.is_empty() {
        let problem = Problem::error(codes::MISSING_KEY, "`columns` is missing");
        let help = "say what to read of the table: `columns = { id = \"text\", limit = { type = \"integer\", column = \"MAX_CALLS\" } }`";
        keys.push(problem.with_help(help).at(keys.place_of(table.span)));
    }
    for (want, place) in wants {
        if let Want::Writes(setting) = want {
            let problem = Problem::error(codes::BAD_VALUE, format!("`{setting}` cannot be where there is a `table`"));
            let help = "a table of the database is only read; take one of the two out";
            keys.push(problem.with_help(help).at(place.clone()));
        }
    }
}

fn is_sql_name(name: &str) -> bool {
    (1..=LONGEST_SQL_NAME).contains(&name.len())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | ' ' | '#' | '@'))
}

fn bad_sql_name(name: &str) -> Problem {
    let problem = Problem::error(codes::BAD_VALUE, format!("`{name}` is no name of a table or column of a database"));
    problem.with_help("as the database has it, upper and lower case included: `partners`, `crm.PARTNERS`")
}
