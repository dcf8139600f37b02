//! The users of a data source `file`: `[[user]]` in the file that its `path` names, written by hand. The words are those of a test's
//! `given.users`, but for the password: there its hash stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::Diagnostics;
use policy::diagnostic::{Place, Problem, SourceFile, codes};
use policy::reader::{Keys, NodeKind, Table};
use store::source::{Row, Table as Rows};
use store::tables::USER_ACCOUNT;
use store::{User, Users};

use super::clients::check;
use crate::records::{check_claims, check_hash, check_user_name};

/// What to write in place of a password.
const HASH: &str = "write `password_hash = \"...\"`: `portcullis user hash` makes it";

/// Reads all of them.
pub(super) fn read(
    keys: &mut Keys<'_>,
    file: &Arc<SourceFile>,
    diagnostics: &mut Diagnostics,
) -> Vec<(&'static Rows, Row)> {
    let mut rows = Vec::new();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for table in keys.tables("user").unwrap_or_default() {
        let Some((user, at)) = user(file, table.value, diagnostics) else { continue };
        if let Some(first) = places.insert(user.name.clone(), at.clone()) {
            let problem = Problem::error(codes::BAD_VALUE, format!("there are two users `{}`", user.name));
            let problem = problem.with_help("take one of them away, or give it another name").at(at);
            keys.push(problem.with_related(first, "the first"));
            continue;
        }
        match Users::row(&user) {
            Ok(row) => rows.push((&USER_ACCOUNT, row)),
            Err(why) => keys.push(Problem::error(codes::BAD_VALUE, why.to_string()).at(at)),
        }
    }
    rows
}

/// One user, and where the name stands; none where something is wrong.
fn user(file: &Arc<SourceFile>, table: &Table, diagnostics: &mut Diagnostics) -> Option<(User, Place)> {
    let mut keys = Keys::new(file, table);
    let name = keys.required_text("name");
    let password = password(&mut keys);
    let enabled = keys.bool("enabled");
    let claims = keys.table("claims").map(|claims| (claims.span, claims.value.to_json()));
    if let Some(name) = &name {
        check(&mut keys, name.span, check_user_name(name.value));
    }
    if let Some((span, claims)) = &claims {
        check(&mut keys, *span, check_claims(claims));
    }
    let place = name.as_ref().map(|name| keys.place_of(name.span));
    let user = User {
        name: name.map(|name| name.value.to_owned()).unwrap_or_default(),
        enabled: enabled.is_none_or(|enabled| enabled.value),
        password,
        claims: claims.map(|(_, claims)| claims).unwrap_or_default(),
        // Nobody says it, and nothing goes by it.
        created_at: 0,
    };
    match keys.finish() {
        Ok(warnings) => {
            diagnostics.extend(warnings);
            Some((user, place?))
        }
        Err(problems) => {
            diagnostics.extend(problems);
            None
        }
    }
}

/// The hash of the password. A password itself is refused: whoever can read this file could read it.
fn password(keys: &mut Keys<'_>) -> Option<String> {
    if let Some(password) = keys.entry("password") {
        let span = password.value.span;
        let problem = match password.value.kind {
            NodeKind::Text(_) => Problem::error(codes::CLEAR_SECRET, "a password stands here in clear text"),
            _ => Problem::error(codes::BAD_VALUE, "a user of a file has the hash of the password, and no password"),
        };
        keys.push(problem.with_help(HASH).at(keys.place_of(span)));
    }
    let hash = keys.text("password_hash")?;
    // What is no hash may be the password: it is not shown.
    if !check_hash(hash.value) {
        let problem = Problem::error(codes::CLEAR_SECRET, "this is no hash that is known here");
        keys.push(problem.with_help(HASH).at(keys.place_of(hash.span)));
    }
    Some(hash.value.to_owned())
}
