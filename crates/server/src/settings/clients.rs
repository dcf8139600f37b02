//! The clients of a data source `file`: `[[client]]` in the file that its `path` names, written by hand; `users.rs`
//! has the users in it, and `rows.rs` the rows of key property stores.
//!
//! The words are those of `portcullis client add` and of a test's `given.clients`, and the names of RFC 7591 for what a client tells of
//! itself. The file is read with the settings, so what is wrong
//! in it is told like what is wrong in them, and a running node whose file is broken serves on by what it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::Diagnostics;
use policy::diagnostic::{Place, Problem, SourceFile, Span, codes};
use policy::reader::{Document, Keys, Node, NodeKind, Outside, SecretError, Table, parse};
use policy::settings::Spanned;
use store::kps::Settings;
use store::oauth::registration::signs_by_secret;
use store::oauth::{ClientId, Scopes};
use store::record::{ClientMetadata, ClientNotes, ClientSecret, Introspects};
use store::sources::file::Contents;
use store::tables::CLIENT;
use store::{Client, Clients};

use crate::admin::api::Refusal;
use crate::records::{check_client, check_grant, check_hash, check_id, check_known_method};

/// What to write in place of a secret.
const HASH: &str = "write `secret_hash = \"...\"`: `portcullis client hash` makes it";

/// Reads the file at `path`, which stands at `named`, with its problems.
/// `stores` are the key property stores that may have rows in it.
pub(super) fn read(
    path: &str,
    named: &Place,
    stores: &[&Settings],
    outside: &dyn Outside,
    diagnostics: &mut Diagnostics,
) -> Contents {
    let read = text(path, outside).map_err(|problem| problem.at(named.clone()).into());
    match read.and_then(|text| parse(&Arc::new(SourceFile::new(path, text)))) {
        Ok(document) => records(&document, stores, diagnostics),
        Err(problems) => {
            diagnostics.extend(problems);
            Contents::default()
        }
    }
}

fn text(path: &str, outside: &dyn Outside) -> Result<String, Problem> {
    let bytes = outside.content(path).map_err(|why| match why {
        SecretError::Missing => Problem::error(codes::MISSING_OUTSIDE, format!("there is no file `{path}`"))
            .with_help("the path is relative to the configuration folder; an empty file has no records"),
        SecretError::Unreadable(why) => {
            Problem::error(codes::UNREADABLE, format!("the file `{path}` cannot be read: {why}"))
                .with_help("the node needs it: it holds the records of this data source")
        }
    })?;
    String::from_utf8(bytes).map_err(|_| {
        Problem::error(codes::NOT_TEXT, format!("the file `{path}` is no UTF-8 text")).with_help("save it as UTF-8")
    })
}

fn records(document: &Document, stores: &[&Settings], diagnostics: &mut Diagnostics) -> Contents {
    let mut keys = Keys::new(&document.file, &document.root);
    let mut rows = super::rows::read(&mut keys, &document.file, stores, diagnostics);
    rows.extend(super::users::read(&mut keys, &document.file, diagnostics));
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for table in keys.tables("client").unwrap_or_default() {
        let Some((client, at)) = client(&document.file, table.value, diagnostics) else { continue };
        if let Some(first) = places.insert(client.client_id.to_string(), at.clone()) {
            let problem = Problem::error(codes::BAD_VALUE, format!("there are two clients `{}`", client.client_id));
            let problem = problem.with_help("take one of them away, or give it another id").at(at);
            keys.push(problem.with_related(first, "the first"));
            continue;
        }
        match Clients::row(&client) {
            Ok(row) => rows.push((&CLIENT, row)),
            Err(why) => keys.push(Problem::error(codes::BAD_VALUE, why.to_string()).at(at)),
        }
    }
    super::finish(keys, diagnostics);
    Contents(rows)
}

/// One client, and where its id stands; none where something is wrong with it.
fn client(file: &Arc<SourceFile>, table: &Table, diagnostics: &mut Diagnostics) -> Option<(Client, Place)> {
    let mut keys = Keys::new(file, table);
    let id = keys.required_text("id");
    let name = keys.text("name");
    let secrets = secrets(&mut keys);
    let grants = keys.texts("grants").unwrap_or_default();
    let scope = scopes(&mut keys, "scope");
    let default_scope = scopes(&mut keys, "default_scope");
    let enabled = keys.bool("enabled");
    let method = keys.text("auth_method");
    let introspect = introspects(&mut keys);
    if let Some(id) = &id {
        let help = Some(String::from("letters, digits and `-` will do"));
        check(&mut keys, id.span, check_id(id.value).map_err(|refusal| Refusal { help, ..refusal }));
    }
    for grant in &grants {
        check(&mut keys, grant.span, check_grant(grant.value));
    }
    if let Some(method) = &method {
        check(&mut keys, method.span, check_known_method(method.value));
        if signs_by_secret(Some(method.value)) {
            let refusal = Refusal::invalid(
                "a client of a file cannot sign by its secret: a hash of it stands there at most",
                "`private_key_jwt` with `jwks`; or a registry that can be written, which keeps the secret sealed",
            );
            check(&mut keys, method.span, Err(refusal));
        }
    }
    let place = id.as_ref().map(|id| keys.place_of(id.span));
    let client = Client {
        client_name: name.map(|name| name.value.to_owned()),
        enabled: enabled.is_none_or(|enabled| enabled.value),
        grant_types: grants.iter().map(|grant| grant.value.to_owned()).collect(),
        scope: scope.unwrap_or_default(),
        default_scope,
        token_endpoint_auth_method: method.map(|method| method.value.to_owned()),
        secrets,
        introspect,
        notes: notes(&mut keys),
        metadata: metadata(&mut keys),
        // When it was registered nobody says, and nothing goes by it.
        ..Client::new(ClientId::new(id.map(|id| id.value).unwrap_or_default()))
    };
    if let Err(unfit) = check_client(&client) {
        let at = table.get(key_of(unfit.field)).map_or_else(|| place.clone(), |node| Some(keys.place_of(node.span)));
        let problem = Problem::error(codes::BAD_VALUE, unfit.message).with_help(unfit.help);
        keys.push(problem.at(at.unwrap_or_else(|| keys.place())));
    }
    match keys.finish() {
        Ok(warnings) => {
            diagnostics.extend(warnings);
            Some((client, place?))
        }
        Err(problems) => {
            diagnostics.extend(problems);
            None
        }
    }
}

/// What it tells of itself, by its names in RFC 7591.
fn metadata(keys: &mut Keys<'_>) -> ClientMetadata {
    let texts = |keys: &mut Keys<'_>, name| {
        let texts = keys.texts(name).unwrap_or_default();
        texts.iter().map(|text| text.value.to_owned()).collect::<Vec<_>>()
    };
    let text = |keys: &mut Keys<'_>, name| keys.text(name).map(|text| text.value.to_owned());
    ClientMetadata {
        redirect_uris: texts(keys, "redirect_uris"),
        post_logout_redirect_uris: texts(keys, "post_logout_redirect_uris"),
        client_uri: text(keys, "client_uri"),
        logo_uri: text(keys, "logo_uri"),
        tos_uri: text(keys, "tos_uri"),
        policy_uri: text(keys, "policy_uri"),
        contacts: texts(keys, "contacts"),
        jwks_uri: text(keys, "jwks_uri"),
        jwks: keys.table("jwks").map(|jwks| jwks.value.to_json().into()),
        application_type: text(keys, "application_type"),
        software_id: text(keys, "software_id"),
        software_version: text(keys, "software_version"),
    }
}

fn notes(keys: &mut Keys<'_>) -> ClientNotes {
    let description = keys.text("description").map(|text| text.value.to_owned());
    let owner = keys.text("owner").map(|text| text.value.to_owned());
    let mut tags = BTreeMap::new();
    for entry in keys.table("tags").map(|tags| tags.value.entries.as_slice()).unwrap_or_default() {
        if let Some(value) = keys.expect(&entry.value, "text", Node::as_text) {
            tags.insert(entry.name.clone(), value.value.to_owned());
        }
    }
    ClientNotes { description, owner, tags }
}

/// The word of this file for a name of RFC 7591.
fn key_of(field: &str) -> &str {
    match field {
        "client_name" => "name",
        "grant_types" => "grants",
        "token_endpoint_auth_method" => "auth_method",
        same => same,
    }
}

fn scopes<'a>(keys: &mut Keys<'a>, name: &'a str) -> Option<Scopes> {
    let text = keys.text(name)?;
    let scopes = Scopes::parse(text.value);
    if scopes.is_none() {
        let message = format!("`{}` is no list of scopes", text.value);
        let problem = Problem::error(codes::BAD_VALUE, message).with_help("names with a space between");
        keys.push(problem.at(keys.place_of(text.span)));
    }
    scopes
}

pub(super) fn check(keys: &mut Keys<'_>, span: Span, checked: Result<(), Refusal>) {
    if let Err(Refusal { message, help, .. }) = checked {
        let problem = Problem::error(codes::BAD_VALUE, message).with_help(help.unwrap_or_default());
        keys.push(problem.at(keys.place_of(span)));
    }
}

/// The hashes of its secrets. A secret itself is refused: whoever can read this file could read it.
fn secrets(keys: &mut Keys<'_>) -> Vec<ClientSecret> {
    if let Some(secret) = keys.entry("secret") {
        let span = secret.value.span;
        let problem = match secret.value.kind {
            NodeKind::Text(_) => Problem::error(codes::CLEAR_SECRET, "a secret stands here in clear text"),
            _ => Problem::error(codes::BAD_VALUE, "a client of a file has the hash of its secret, and no secret"),
        };
        keys.push(problem.with_help(HASH).at(keys.place_of(span)));
    }
    let Some(node) = keys.node("secret_hash") else { return Vec::new() };
    let mut secrets = Vec::new();
    for hash in texts(keys, node, "a hash, or a list of hashes") {
        // What is no hash may be the secret: it is not shown.
        match check_hash(hash.value) {
            true => secrets.push(ClientSecret::hashed(hash.value.to_owned())),
            false => {
                let problem = Problem::error(codes::CLEAR_SECRET, "this is no hash that is known here");
                keys.push(problem.with_help(HASH).at(keys.place_of(hash.span)));
            }
        }
    }
    secrets
}

fn introspects(keys: &mut Keys<'_>) -> Introspects {
    let Some(node) = keys.node("introspect") else { return Introspects::Own };
    let words: Vec<_> = texts(keys, node, "\"any\", or audiences").iter().map(|word| word.value.to_owned()).collect();
    match words.as_slice() {
        [] => Introspects::Own,
        [any] if any == "any" => Introspects::Any,
        _ => Introspects::Audiences(words),
    }
}

/// A text, or a list of texts.
fn texts<'a>(keys: &mut Keys<'a>, node: &'a Node, expected: &str) -> Vec<Spanned<&'a str>> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    items.iter().filter_map(|item| keys.expect(item, expected, Node::as_text)).collect()
}
