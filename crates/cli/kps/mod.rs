//! `portcullis kps`: rows of key property stores. OAG: kpsadmin.

pub(crate) mod bulk;
pub(crate) mod formats;

use std::io::Read;
use std::path::Path;

use serde_json::Value as Json;
use server::Records;
use server::admin::ClientError;
use server::admin::api::kps::{PutMode, PutRows, RowView};
use server::admin::api::{Refusal, RefusalKind};
use store::kps::Columns;

use crate::args::{Global, KpsCommand, KpsPutArgs, PutModeArgs};
use crate::output::{Failure, Output, shown, table, time};
use crate::{Ended, on_records};

/// How many rows one request asks for.
const PAGE: usize = 200;

pub(crate) fn run(global: &Global, command: KpsCommand, output: Output) -> Ended {
    // What is wrong with the command line, or with a file it names, is said before any store is opened.
    let work = Work::prepare(command, output)?;
    on_records(global, output, async |records| work.run(records, output).await)
}

/// A command whose options are read.
enum Work {
    Stores,
    List { store: String },
    Get { store: String, key: String, second: bool, open: bool },
    Put { store: String, request: PutRows },
    Delete { store: String, key: String },
    Clear { store: String },
    Bulk(bulk::Work),
}

impl Work {
    fn prepare(command: KpsCommand, output: Output) -> Result<Work, Failure> {
        Ok(match command {
            KpsCommand::List(args) => match args.store {
                None => Work::Stores,
                Some(store) => Work::List { store },
            },
            KpsCommand::Get(args) => {
                Work::Get { store: args.store, key: args.key, second: args.second, open: args.open }
            }
            KpsCommand::Put(args) => {
                let (store, request) = put(args)?;
                Work::Put { store, request }
            }
            KpsCommand::Delete(args) => match args.key {
                Some(key) => Work::Delete { store: args.store, key },
                None => Work::Clear { store: args.store },
            },
            KpsCommand::Import(args) => Work::Bulk(bulk::Work::import(args)?),
            KpsCommand::Export(args) => Work::Bulk(bulk::Work::export(args, output)?),
            KpsCommand::Backup(args) => Work::Bulk(bulk::Work::backup(args)),
            KpsCommand::Restore(args) => Work::Bulk(bulk::Work::restore(args)?),
            KpsCommand::Reencrypt(args) => Work::Bulk(bulk::Work::Reencrypt { store: args.store }),
        })
    }

    async fn run(self, records: &Records, output: Output) -> Ended {
        match self {
            Work::Stores => stores(records, output).await?,
            Work::List { store } => list(records, &store, output).await?,
            Work::Get { store, key, second, open } => {
                let row = records.get_row(&store, &key, second, open).await?;
                output.json(&row);
                let mut lines: Vec<_> =
                    row.columns.iter().map(|(name, value)| vec![shown(name), cell(Some(value))]).collect();
                lines.extend(row.expires_at.map(|at| vec![String::from("(expires)"), time(at)]));
                output.line(table(&lines));
            }
            Work::Put { store, request } => {
                let done = records.put_rows(&store, &request).await?.pop();
                let done = done.ok_or_else(|| Failure::wrong("the row was not put"))?;
                if let Some(why) = done.refused {
                    return Err(Failure::wrong(why).with_help(format!("see `[kps.{store}]` in stores/stores.toml")));
                }
                output.json(&done);
                let word = if done.created { "added" } else { "changed" };
                output.line(format_args!("row `{}` is {word}", shown(done.key.as_deref().unwrap_or_default())));
            }
            Work::Delete { store, key } => {
                let done = records.delete_row(&store, &key).await?;
                output.json(&done);
                output.line(shown(&done.done));
            }
            Work::Clear { store } => {
                let mut deleted = 0;
                for row in all_rows(records, &store).await? {
                    deleted += usize::from(still_there(records.delete_row(&store, &row.key).await)?.is_some());
                }
                output.json(&serde_json::json!({ "deleted": deleted }));
                output.line(format_args!("{deleted} rows of `kps.{store}` are deleted"));
            }
            Work::Bulk(work) => return work.run(records, output).await,
        }
        Ok(0)
    }
}

fn put(args: KpsPutArgs) -> Result<(String, PutRows), Failure> {
    let mut columns = match &args.row {
        None => Columns::new(),
        Some(text) => {
            let text = if text == "-" { read(Path::new("-"))? } else { text.clone() };
            serde_json::from_str(&text).map_err(|why| {
                Failure::usage(format!("`--row` is no JSON object: {why}"))
                    .with_help("--row '{\"id\": \"acme\", \"limit\": 10}'")
            })?
        }
    };
    for assignment in &args.columns {
        let (name, value) = assignment.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{assignment}` is no `COLUMN=VALUE`")).with_help("for example `limit=10`")
        })?;
        columns.insert(name.to_owned(), Json::from(value));
    }
    if columns.is_empty() {
        return Err(Failure::usage("no column is given").with_help("portcullis kps put partners id=acme limit=10"));
    }
    let request = PutRows {
        rows: vec![columns],
        mode: mode(&args.mode),
        ttl_seconds: args.ttl.map(|ttl| ttl.as_secs()),
        check_only: false,
    };
    Ok((args.store, request))
}

fn mode(args: &PutModeArgs) -> PutMode {
    match (args.insert, args.merge) {
        (true, _) => PutMode::Insert,
        (_, true) => PutMode::Merge,
        _ => PutMode::Replace,
    }
}

async fn stores(records: &Records, output: Output) -> Result<(), Failure> {
    let stores = records.list_kps().await?;
    output.json(&stores);
    if stores.is_empty() {
        output.line("there are no key property stores: declare `[kps.NAME]` in stores/stores.toml");
        return Ok(());
    }
    let mut rows = vec![["STORE", "SOURCE", "KEY", "COLUMNS"].map(String::from).to_vec()];
    rows.extend(stores.iter().map(|store| {
        let columns = store.columns.iter().map(|(name, of)| format!("{name}:{of}")).collect::<Vec<_>>();
        let columns = if columns.is_empty() { String::from("(any)") } else { columns.join(" ") };
        vec![store.name.clone(), store.source.clone(), store.key.clone(), columns]
    }));
    output.line(table(&rows));
    Ok(())
}

async fn list(records: &Records, store: &str, output: Output) -> Result<(), Failure> {
    let rows = all_rows(records, store).await?;
    output.json(&rows);
    if rows.is_empty() {
        output.line(format_args!("there are no rows in `kps.{store}`"));
        return Ok(());
    }
    let names = column_names(&rows);
    let mut lines = vec![names.iter().map(|name| shown(name)).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| names.iter().map(|name| cell(row.columns.get(*name))).collect()));
    output.line(table(&lines));
    Ok(())
}

/// All rows of a store, in the order of their keys, with what is sealed as it is kept.
async fn all_rows(records: &Records, store: &str) -> Result<Vec<RowView>, Failure> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = records.list_rows(store, after.as_deref(), PAGE).await?;
        rows.extend(page.rows);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(rows),
        }
    }
}

/// What came of a row of a list; none where it has expired, or somebody deleted it, since the list was made.
fn still_there<T>(outcome: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match outcome {
        Err(ClientError::Refused(Refusal { kind: RefusalKind::NotFound, .. })) => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// The columns that any of the rows has, in the order of their names.
fn column_names(rows: &[RowView]) -> Vec<&str> {
    let names: std::collections::BTreeSet<&str> =
        rows.iter().flat_map(|row| row.columns.keys().map(String::as_str)).collect();
    names.into_iter().collect()
}

fn cell(value: Option<&Json>) -> String {
    match value {
        None => String::from("-"),
        Some(Json::String(text)) => shown(text),
        Some(other) => shown(&other.to_string()),
    }
}

/// The text of a file; `-` is standard input.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(drop),
        _ => std::fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|why| Failure::usage(format!("`{}`: {why}", file.display())))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_went_meanwhile_ends_nothing() {
        let refused = |kind| Err::<(), _>(ClientError::Refused(Refusal { kind, message: String::new(), help: None }));
        assert!(matches!(still_there(Ok(1)), Ok(Some(1))));
        assert!(matches!(still_there(refused(RefusalKind::NotFound)), Ok(None)));
        assert!(still_there(refused(RefusalKind::Unavailable)).is_err());
    }
}
