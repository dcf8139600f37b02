//! `portcullis client export` and `client import`: the registry as a file.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::diagnostic::{SourceFile, render};
use policy::reader::{Table, parse};
use serde_json::{Value, json};
use server::admin::ClientError;
use server::admin::api::{ImportClients, ImportFate, ImportedClient, KeptClient};
use server::{Records, Seal};
use sha2::{Digest, Sha256};
use store::kps::Columns;
use store::seal::{Encryption, Key, Sealer};

use super::PAGE;
use crate::Ended;
use crate::args::{ClientExportArgs, ClientImportArgs, RowFormat};
use crate::kps::bulk::write;
use crate::kps::formats::{format_of, to_toml};
use crate::kps::read;
use crate::output::{Failure, Output, shown};

/// Clients that one request puts, and bytes of them.
const CLIENTS: usize = 100;
const BYTES: usize = 256 * 1024;

/// Problems that are shown to people; programs get all.
const SHOWN: usize = 20;

/// A command whose options and files are read.
pub(super) enum Work {
    Export { format: RowFormat, out: Option<PathBuf>, seal: Seal },
    Import { file: String, digest: String, clients: Vec<KeptClient>, replace: bool, dry_run: bool, seal: Seal },
}

impl Work {
    pub(super) fn export(args: ClientExportArgs, output: Output) -> Result<Work, Failure> {
        let format = match (&args.out, args.format) {
            (_, Some(format)) => format,
            (Some(out), None) => format_of(None, out)?,
            (None, None) => RowFormat::Json,
        };
        only_tables(format)?;
        if output.is_json() && args.out.is_none() && format != RowFormat::Json {
            let failure = Failure::usage("with `--json` standard output is JSON");
            return Err(failure.with_help("name a file: --out clients.toml"));
        }
        let seal = match (&args.key_file, args.with_secrets) {
            (Some(file), _) => Seal::With(key(file)?),
            (None, true) => Seal::Own,
            (None, false) => Seal::Nothing,
        };
        Ok(Work::Export { format, out: args.out, seal })
    }

    pub(super) fn import(args: ClientImportArgs) -> Result<Work, Failure> {
        let format = format_of(args.format, &args.file)?;
        only_tables(format)?;
        let seal = args.key_file.as_deref().map(key).transpose()?.map_or(Seal::Own, Seal::With);
        let text = read(&args.file)?;
        let file = args.file.display().to_string();
        let clients = clients(format, &file, &text)?;
        let (replace, dry_run) = (args.replace, args.dry_run);
        Ok(Work::Import { file, digest: digest(&text), clients, replace, dry_run, seal })
    }

    pub(super) async fn run(self, records: &Records, output: Output) -> Ended {
        match self {
            Work::Export { format, out, seal } => export(records, format, out.as_deref(), &seal, output).await,
            Work::Import { file, digest, clients, replace, dry_run, seal } => {
                let import = Import { records, seal: &seal, replace };
                import.run(&file, &digest, &clients, dry_run, output).await
            }
        }
    }
}

async fn export(records: &Records, format: RowFormat, out: Option<&Path>, seal: &Seal, output: Output) -> Ended {
    let (mut clients, mut after) = (Vec::new(), None);
    loop {
        let page = records.export_clients(after.as_deref(), PAGE, seal).await?;
        clients.extend(page.clients);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let text = text(format, &clients)?;
    let digest = digest(&text);
    match out {
        None => {
            match output.is_json() {
                true => output.document(&clients),
                false => output.text(&text),
            }
            output.note(format_args!("{} clients, sha256 {digest}", clients.len()));
        }
        Some(out) => {
            write(out, &text, OpenOptions::new().create(true).truncate(true))?;
            output.json(&json!({ "clients": clients.len(), "file": out.display().to_string(), "sha256": digest }));
            output.line(format_args!("{} clients are in `{}`, sha256 {digest}", clients.len(), out.display()));
        }
    }
    Ok(0)
}

/// Clients that come in.
struct Import<'a> {
    records: &'a Records,
    seal: &'a Seal,
    replace: bool,
}

impl Import<'_> {
    /// First every client is checked, and nothing is written where one does not fit; then they are put.
    async fn run(&self, file: &str, digest: &str, clients: &[KeptClient], dry_run: bool, output: Output) -> Ended {
        let mut done = self.put(clients, true).await?;
        let mut first = BTreeMap::new();
        for (at, client) in clients.iter().enumerate() {
            if let Some(before) = first.insert(&client.client_id, at) {
                let why = format!("it is the client {} of the file too", before + 1);
                done[at] = ImportedClient { fate: ImportFate::Refused, why: Some(why), ..done[at].clone() };
            }
        }
        let fits = !done.iter().any(|client| client.fate == ImportFate::Refused);
        if fits && !dry_run {
            done = self.put(clients, false).await.map_err(|why| {
                let help = "import again: clients that are there already are left as they are";
                Failure::wrong(format!("not all clients were written, or it is not known: {why}")).with_help(help)
            })?;
        }
        let count = |fate| done.iter().filter(|client| client.fate == fate).count();
        let refused = count(ImportFate::Refused);
        output.json(&json!({ "sha256": digest, "written": fits && !dry_run, "clients": done }));
        let wrong = done.iter().filter(|client| client.fate == ImportFate::Refused);
        for ImportedClient { client_id, why, .. } in wrong.take(SHOWN) {
            output.note(format_args!("client `{}`: {}", shown(client_id), shown(why.as_deref().unwrap_or_default())));
        }
        if refused > SHOWN {
            output.note(format_args!("... and {} more: `--json` has them all", refused - SHOWN));
        }
        if !fits {
            output.note(format_args!(
                "portcullis: {refused} of {} clients in `{file}` do not fit: nothing was written",
                done.len()
            ));
            return Ok(1);
        }
        let (added, replaced) = (count(ImportFate::Added), count(ImportFate::Replaced));
        let would = if dry_run { "would be " } else { "" };
        output.line(format_args!(
            "{added} clients {would}added, {replaced} {would}replaced, {} as they are; `{file}` has sha256 {digest}",
            count(ImportFate::Unchanged)
        ));
        Ok(u8::from(refused > 0))
    }

    async fn put(&self, clients: &[KeptClient], check_only: bool) -> Result<Vec<ImportedClient>, ClientError> {
        let mut done = Vec::with_capacity(clients.len());
        for clients in batches(clients) {
            let request = ImportClients { clients: clients.to_vec(), replace: self.replace, check_only };
            done.extend(self.records.import_clients(&request, self.seal).await?);
        }
        Ok(done)
    }
}

/// Clients in pieces that a request can hold.
fn batches(clients: &[KeptClient]) -> Vec<&[KeptClient]> {
    let (mut batches, mut first, mut bytes) = (Vec::new(), 0, 0);
    for (at, client) in clients.iter().enumerate() {
        let size = serde_json::to_string(client).map_or(BYTES, |text| text.len());
        if at > first && (at - first == CLIENTS || bytes + size > BYTES) {
            batches.push(&clients[first..at]);
            (first, bytes) = (at, 0);
        }
        bytes += size;
    }
    if first < clients.len() {
        batches.push(&clients[first..]);
    }
    batches
}

/// The text of clients: a list in JSON, `[[client]]` in TOML.
fn text(format: RowFormat, clients: &[KeptClient]) -> Result<String, Failure> {
    let wrong = |why: serde_json::Error| Failure::wrong(format!("the clients cannot be written: {why}"));
    if format == RowFormat::Json {
        return serde_json::to_string_pretty(clients).map(|text| text + "\n").map_err(wrong);
    }
    let tables = clients.iter().map(|client| serde_json::to_value(client).and_then(serde_json::from_value));
    to_toml("client", &tables.collect::<Result<Vec<Columns>, _>>().map_err(wrong)?)
}

/// The clients in a text.
fn clients(format: RowFormat, name: &str, text: &str) -> Result<Vec<KeptClient>, Failure> {
    let help = "`portcullis client export` writes such files";
    let list: Vec<Value> = match format {
        RowFormat::Json => serde_json::from_str(text)
            .map_err(|why| Failure::usage(format!("`{name}` is no list of clients: {why}")).with_help(help))?,
        _ => {
            let document = parse(&Arc::new(SourceFile::new(name, text)));
            let document = document.map_err(|problems| Failure::usage(render(&problems, false)))?;
            if let Some(other) = document.root.entries.iter().find(|entry| entry.name != "client") {
                return Err(
                    Failure::usage(format!("`{name}` has `{}`, which is no client", other.name)).with_help(help)
                );
            }
            let tables = document.root.get("client").and_then(|clients| clients.as_list()).unwrap_or_default();
            let tables = tables.iter().map(|table| table.as_table().map(Table::to_json).map(Value::Object));
            tables
                .collect::<Option<_>>()
                .ok_or_else(|| Failure::usage(format!("`{name}` has no list of tables `[[client]]`")).with_help(help))?
        }
    };
    let client = |(at, value): (usize, Value)| {
        serde_json::from_value(value)
            .map_err(|why| Failure::usage(format!("`{name}`, client {}: {why}", at + 1)).with_help(help))
    };
    list.into_iter().enumerate().map(client).collect()
}

/// A sealer with the key of a file, as `[encryption]` has them.
fn key(file: &Path) -> Result<Arc<Sealer>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|why| Failure::usage(format!("`{}`: {why}", file.display())))?;
    let key = Key::parse("export", &text).ok_or_else(|| {
        Failure::usage(format!("`{}` holds no key: 64 hexadecimal digits", file.display()))
            .with_help("`openssl rand -hex 32` makes one")
    })?;
    Ok(Arc::new(Sealer::new(&Encryption::Keys(vec![key]), Path::new(""))))
}

fn only_tables(format: RowFormat) -> Result<(), Failure> {
    match format {
        RowFormat::Csv => {
            Err(Failure::usage("clients have lists, which CSV has not").with_help("--format json or toml"))
        }
        RowFormat::Json | RowFormat::Toml => Ok(()),
    }
}

/// What `sha256sum` says of the file.
fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
