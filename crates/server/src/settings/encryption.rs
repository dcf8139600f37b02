//! `[encryption]` of `node.toml`: the keys of what must be recoverable.

use std::collections::BTreeMap;

use policy::Diagnostics;
use policy::diagnostic::{Place, Problem, Severity, codes};
use policy::reader::{Keys, SecretError};
use store::seal::{Encryption, Key};
use zeroize::Zeroizing;

use super::Within;

/// How a key is made.
const MAKE: &str = "`openssl rand -hex 32 > FILE; chmod 600 FILE` makes one";

/// Reads `[encryption]`. A key that cannot be read is told; what a check goes on with then can seal nothing, and need not.
pub(super) fn read(within: Within<'_>, diagnostics: &mut Diagnostics) -> Encryption {
    let mut keys = Keys::new(within.file, within.table);
    let mut found = Vec::new();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    let tables = keys.required("keys").map(|node| node.span).zip(keys.tables("keys"));
    if let Some((span, tables)) = &tables
        && tables.is_empty()
    {
        let problem = Problem::error(codes::BAD_VALUE, "`[encryption]` names no key");
        let help = "`keys = [{ id = \"2026\", file = \"secrets/2026.key\" }]`: the first seals, all of them open";
        keys.push(problem.with_help(help).at(keys.place_of(*span)));
    }
    for table in tables.map(|(_, tables)| tables).unwrap_or_default() {
        let mut keys = Keys::new(within.file, table.value);
        let (id, file) = (keys.required_text("id"), keys.required_text("file"));
        if let (Some(id), Some(file)) = (id, file) {
            let place = within.place(id.span);
            if !Key::is_id(id.value) {
                let problem = Problem::error(codes::BAD_VALUE, "this cannot be the name of a key");
                keys.push(problem.with_help("1 to 64 of `A-Z a-z 0-9 . _ -`").at(place.clone()));
            }
            if let Some(first) = places.get(id.value) {
                let problem = Problem::error(codes::BAD_VALUE, format!("there are two keys `{}`", id.value));
                let help = "a new key gets a new name: what is sealed names its key";
                keys.push(problem.with_help(help).at(place.clone()).with_related(first.clone(), "the first"));
            }
            places.entry(id.value.to_owned()).or_insert(place);
            match key(within, id.value, file.value) {
                Ok(key) => found.push(key),
                Err(problem) => keys.push(problem.at(within.place(file.span))),
            }
        }
        super::finish(keys, diagnostics);
    }
    super::finish(keys, diagnostics);
    if found.is_empty() { Encryption::Missing } else { Encryption::Keys(found) }
}

/// The key in a file.
fn key(within: Within<'_>, id: &str, path: &str) -> Result<Key, Problem> {
    let text = match within.outside.file(path).map(Zeroizing::new) {
        Ok(text) => text,
        Err(why) => {
            let mut problem = match why {
                SecretError::Missing => {
                    Problem::error(codes::MISSING_OUTSIDE, format!("the file `{path}` does not exist")).with_help(MAKE)
                }
                SecretError::Unreadable(why) => {
                    Problem::error(codes::MISSING_OUTSIDE, format!("the file `{path}` cannot be read: {why}"))
                        .with_help("`run` needs it")
                }
            };
            // The machine that checks need not be the one that runs.
            if !within.outside.strict() {
                problem.severity = Severity::Warning;
            }
            return Err(problem);
        }
    };
    let Some(key) = Key::parse(id, &text) else {
        let problem = Problem::error(codes::BAD_VALUE, format!("`{path}` holds no key: 64 hexadecimal digits"));
        return Err(problem.with_help(MAKE));
    };
    if within.outside.open_to_others(path) {
        let problem = Problem::error(codes::BAD_VALUE, format!("every user of this machine can read the key `{path}`"));
        return Err(
            problem.with_help(format!("`chmod 600 {path}`; and make another key, if anybody may have read this one"))
        );
    }
    Ok(key)
}
