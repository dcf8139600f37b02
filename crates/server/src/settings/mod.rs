//! `node.toml` and `stores/stores.toml`, read and checked: every problem at its place, all at once.

mod acme;
mod clients;
mod encryption;
mod kps;
mod limits;
mod listener;
mod log;
mod node;
mod provider;
mod rows;
mod stores;
mod tables;
mod telemetry;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;
mod users;
mod values;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use policy::Diagnostics;
use policy::diagnostic::{Diagnostic, Place, Problem, SourceFile, codes};
use policy::lint::Lints;
use policy::reader::{Document, Files, Outside, Table};

pub(crate) use limits::ClientLimits;
pub(crate) use listener::ListenerSettings;
pub use log::{Access, AccessField, AccessFormat, AccessLines, LogFormat, LogSettings};
pub(crate) use log::{is_target, level};
pub(crate) use node::{DEFAULT_ADMIN, NodeSettings};
pub(crate) use provider::{ProviderSettings, Way};
pub(crate) use stores::StoreSettings;
pub(crate) use telemetry::TelemetrySettings;

/// The name under which the file of `--values` stands among the files of the folder.
pub(crate) const VALUES_FILE: &str = "--values";

const NODE_FILE: &str = "node.toml";

/// Everything that a load finds in the files beside policies.
pub(crate) struct Settings {
    /// `node.toml`.
    pub(crate) node: NodeSettings,
    /// `stores/stores.toml`.
    pub(crate) stores: StoreSettings,
    /// What the files allow.
    pub(crate) allows: Lints,
}

/// Reads both files, `admin` in place of the file's admin address, and the file of values that lies over `node.toml`'s. The settings are as good as can be, so that the
/// policies can be checked too; with an error among the diagnostics they must not be used for anything else.
pub(crate) fn read(files: &Files, admin: Option<SocketAddr>, outside: &dyn Outside) -> (Settings, Diagnostics) {
    let (mut diagnostics, mut allows) = (Diagnostics::new(), Lints::default());
    let document = parsed(files, NODE_FILE, &mut diagnostics);
    diagnostics.extend(document.as_ref().map(|document| allows.allow(document)).unwrap_or_default());
    let (mut node, node_places) = node::read(document.as_ref(), admin, outside, &mut diagnostics);
    if let Some(document) = parsed(files, VALUES_FILE, &mut diagnostics) {
        values::overlay(&document, &mut node.values, outside, &mut diagnostics);
    }
    let stores = match files.files.get("stores/stores.toml") {
        Some(_) => parsed(files, "stores/stores.toml", &mut diagnostics),
        None => stores::built_in(),
    };
    diagnostics.extend(stores.as_ref().map(|document| allows.allow(document)).unwrap_or_default());
    let mut stores = stores::read(stores.as_ref(), outside, &mut diagnostics);
    stores.mapping.encryption = node.encryption.clone();
    if node.cluster_nodes > 1 {
        stores.cluster = Some((node.cluster_nodes, node_places.cluster_nodes.clone()));
        stores.refuse_local(None, &mut diagnostics);
        if document.as_ref().is_none_or(|document| document.root.get("encryption").is_none()) {
            stores.refuse_encrypted(node_places.cluster_nodes.as_ref(), &mut diagnostics);
            diagnostics.extend(document.iter().flat_map(provider::refuse_unsealed).collect());
        }
    }
    (Settings { node, stores, allows }, diagnostics)
}

/// The JSON Schema of `node.toml`.
pub fn node_schema() -> serde_json::Value {
    policy::schema::of::<tables::NodeFile>()
}

/// The JSON Schema of `stores/stores.toml`.
pub fn stores_schema() -> serde_json::Value {
    policy::schema::of::<tables::StoresFile>()
}

/// The file, parsed; nothing where there is none or where it is no TOML.
fn parsed(files: &Files, path: &str, diagnostics: &mut Diagnostics) -> Option<Document> {
    match policy::reader::parse(files.files.get(path)?) {
        Ok(document) => Some(document),
        Err(problems) => {
            diagnostics.extend(problems);
            None
        }
    }
}

/// A part of the format that a later version brings.
fn not_yet(what: &str, instead: &str) -> Problem {
    Problem::error(codes::NOT_YET, format!("{what} is not there yet in this version")).with_help(instead)
}

/// Where a table and its file are, handed down while a file is taken apart.
#[derive(Clone, Copy)]
struct Within<'a> {
    file: &'a Arc<SourceFile>,
    table: &'a Table,
    outside: &'a dyn Outside,
}

impl<'a> Within<'a> {
    fn inner(self, table: &'a Table) -> Within<'a> {
        Within { table, ..self }
    }

    fn place(&self, span: policy::diagnostic::Span) -> Place {
        Place { file: self.file.clone(), span }
    }
}

/// Ends a table: its problems join the others.
fn finish(keys: policy::reader::Keys<'_>, diagnostics: &mut Diagnostics) {
    match keys.finish() {
        Ok(found) | Err(found) => diagnostics.extend(found),
    }
}

/// The admin address that the folder's `node.toml` names, or the default where it names none; nothing where there is no such file. For
/// commands that only want to find the node, whatever else may be wrong with the file: an error says why it does not tell them, and where.
pub(crate) fn admin_address(dir: &Path) -> Result<Option<SocketAddr>, String> {
    let Some(document) = quick(dir)? else { return Ok(None) };
    let Some(admin) = document.root.get("admin") else { return Ok(Some(DEFAULT_ADMIN)) };
    let no_address = |span| format!("{}: this is no address to listen on", document.place(span));
    let table = admin.as_table().ok_or_else(|| no_address(admin.span))?;
    let Some(address) = table.get("address") else { return Ok(Some(DEFAULT_ADMIN)) };
    let parsed = address.as_text().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| no_address(address.span))
}

/// `[log]` of the folder's `node.toml`, or the default.
pub(crate) fn log_settings(dir: &Path) -> LogSettings {
    let read = |document: Document| {
        let table = document.root.get("log")?.as_table()?;
        let within = Within { file: &document.file, table, outside: &policy::reader::NoOutside };
        Some(log::read(within, &mut Diagnostics::new()))
    };
    quick(dir).ok().flatten().and_then(read).unwrap_or_default()
}

/// The folder's `node.toml`, parsed; nothing where there is none. An error says what is wrong first, and where.
fn quick(dir: &Path) -> Result<Option<Document>, String> {
    let bytes = match policy::reader::read_plain(&dir.join(NODE_FILE)) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(format!("{NODE_FILE}: {why}")),
    };
    let text = String::from_utf8(bytes).map_err(|_| format!("{NODE_FILE}: it is no UTF-8 text"))?;
    let first = |problems: Diagnostics| match problems.sorted().iter().next() {
        Some(Diagnostic { problem, place: Some(place), .. }) => format!("{place}: {}", problem.message),
        _ => format!("{NODE_FILE}: it is no TOML"),
    };
    policy::reader::parse(&Arc::new(SourceFile::new(NODE_FILE, text))).map(Some).map_err(first)
}
