//! Many rows at once: import, export, backup, restore, reencrypt.

use std::collections::BTreeMap;
use std::fs::{OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use server::Records;
use server::admin::api::kps::{PutMode, PutRows, Reencrypt, RowDone, RowView};
use store::kps::Columns;

use super::{all_rows, formats, mode, read, still_there};
use crate::Ended;
use crate::args::{KpsBackupArgs, KpsExportArgs, KpsImportArgs, KpsRestoreArgs, RowFormat};
use crate::output::{Failure, Output, shown};

/// Rows, and bytes of them, that one request puts.
const ROWS: usize = 200;
const BYTES: usize = 256 * 1024;

/// Problems that are shown to people; programs get all.
const SHOWN: usize = 20;

/// A command whose options and files are read.
pub(super) enum Work {
    Import { store: String, file: String, rows: Vec<Columns>, mode: PutMode, check_only: bool },
    Export { store: String, format: RowFormat, out: Option<PathBuf>, open: bool },
    Backup { store: String, out: PathBuf },
    Restore { store: String, rows: Vec<RowView> },
    Reencrypt { store: String },
}

/// A backup: the rows as they are kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    /// The name of the store, to which what is sealed is bound.
    kps: String,
    /// The version of this form.
    version: u32,
    rows: Vec<RowView>,
}

/// A row of a file that was not put.
#[derive(Serialize)]
struct Refused {
    /// Counted from 1.
    row: usize,
    why: String,
}

impl Work {
    pub(super) fn import(args: KpsImportArgs) -> Result<Work, Failure> {
        let format = formats::format_of(args.format, &args.file)?;
        let file = args.file.display().to_string();
        let rows = formats::read(&args.store, format, &file, &read(&args.file)?)?;
        Ok(Work::Import { store: args.store, file, rows, mode: mode(&args.mode), check_only: args.check })
    }

    pub(super) fn export(args: KpsExportArgs, output: Output) -> Result<Work, Failure> {
        let format = match (&args.out, args.format) {
            (_, Some(format)) => format,
            (Some(out), None) => formats::format_of(None, out)?,
            (None, None) => RowFormat::Json,
        };
        if output.is_json() && args.out.is_none() && format != RowFormat::Json {
            return Err(
                Failure::usage("with `--json` standard output is JSON").with_help("name a file: --out rows.csv")
            );
        }
        Ok(Work::Export { store: args.store, format, out: args.out, open: args.open })
    }

    pub(super) fn backup(args: KpsBackupArgs) -> Work {
        Work::Backup { store: args.store, out: args.out }
    }

    pub(super) fn restore(args: KpsRestoreArgs) -> Result<Work, Failure> {
        let file = args.file.display();
        let backup: Backup = serde_json::from_str(&read(&args.file)?).map_err(|why| {
            Failure::usage(format!("`{file}` is no backup: {why}")).with_help("`portcullis kps backup` makes them")
        })?;
        if backup.version != 1 {
            return Err(Failure::usage(format!("`{file}` is a backup of a later version, {}", backup.version)));
        }
        if backup.kps != args.store {
            let message = format!("`{file}` is a backup of `kps.{}`, not of `kps.{}`", backup.kps, args.store);
            return Err(
                Failure::usage(message).with_help("`kps export --open` and `kps import` move rows to another store")
            );
        }
        Ok(Work::Restore { store: args.store, rows: backup.rows })
    }

    pub(super) async fn run(self, records: &Records, output: Output) -> Ended {
        match self {
            Work::Import { store, file, rows, mode, check_only } => {
                import(records, &store, &file, &rows, (mode, check_only), output).await
            }
            Work::Export { store, format, out, open } => {
                let mut rows = all_rows(records, &store).await?;
                if open {
                    let sealed = std::mem::take(&mut rows);
                    for row in &sealed {
                        rows.extend(still_there(records.get_row(&store, &row.key, false, true).await)?);
                    }
                }
                let columns: Vec<Columns> = rows.into_iter().map(|row| row.columns).collect();
                export(&store, format, out.as_deref(), &columns, output)
            }
            Work::Backup { store, out } => {
                let rows = all_rows(records, &store).await?;
                let count = rows.len();
                let backup = Backup { kps: store.clone(), version: 1, rows };
                let text = serde_json::to_string_pretty(&backup).map_err(|why| Failure::wrong(why.to_string()))?;
                // A backup that is there may be the only one.
                write(&out, &(text + "\n"), OpenOptions::new().create_new(!is_device(&out)))?;
                output.json(&json!({ "rows": count, "file": out.display().to_string() }));
                output.line(format_args!("{count} rows of `kps.{store}` are in `{}`", out.display()));
                Ok(0)
            }
            Work::Restore { store, rows } => restore(records, &store, rows, output).await,
            Work::Reencrypt { store } => reencrypt(records, &store, output).await,
        }
    }
}

/// First every row is checked, and nothing is written where one does not fit; then they are put.
async fn import(
    records: &Records,
    store: &str,
    file: &str,
    rows: &[Columns],
    (mode, check_only): (PutMode, bool),
    output: Output,
) -> Ended {
    let mut refused = Vec::new();
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    let checks = |rows: Vec<Columns>| PutRows { rows, mode, ttl_seconds: None, check_only: true };
    for (first, batch) in batches(rows) {
        let done = records.put_rows(store, &checks(batch.to_vec())).await?;
        for (at, done) in done.into_iter().enumerate() {
            let row = first + at + 1;
            match done {
                RowDone { refused: Some(why), .. } => refused.push(Refused { row, why }),
                RowDone { key: Some(key), .. } => {
                    if let Some(before) = keys.get(&key) {
                        let why = format!("its key `{key}` is that of row {before} too");
                        refused.push(Refused { row, why });
                    }
                    keys.entry(key).or_insert(row);
                }
                RowDone { .. } => {}
            }
        }
    }
    if !refused.is_empty() {
        output.json(&json!({ "rows": rows.len(), "written": 0, "refused": refused }));
        tell(&refused, output);
        let message = format!("{} of {} rows in `{file}` do not fit: nothing was written", refused.len(), rows.len());
        output.note(format_args!("portcullis: {message}"));
        return Ok(1);
    }
    if check_only {
        output.json(&json!({ "rows": rows.len(), "written": 0, "refused": refused }));
        output.line(format_args!("{} rows fit; nothing was written", rows.len()));
        return Ok(0);
    }
    let (mut created, mut changed) = (0, 0);
    for (first, batch) in batches(rows) {
        let request = PutRows { rows: batch.to_vec(), mode, ttl_seconds: None, check_only: false };
        let done = records.put_rows(store, &request).await.map_err(|why| {
            let message = format!("rows {} and on were not written, or it is not known: {why}", first + 1);
            Failure::wrong(message).with_help("import again: rows that are there already are written once more")
        })?;
        for (at, done) in done.into_iter().enumerate() {
            match done.refused {
                Some(why) => refused.push(Refused { row: first + at + 1, why }),
                None if done.created => created += 1,
                None => changed += 1,
            }
        }
    }
    output.json(&json!({ "rows": rows.len(), "written": created + changed, "created": created, "refused": refused }));
    tell(&refused, output);
    output.line(format_args!("{created} rows are added and {changed} changed in `kps.{store}`"));
    if !refused.is_empty() {
        output.note(format_args!("portcullis: {} rows were refused", refused.len()));
    }
    Ok(u8::from(!refused.is_empty()))
}

fn tell(refused: &[Refused], output: Output) {
    for Refused { row, why } in refused.iter().take(SHOWN) {
        output.note(format_args!("row {row}: {}", shown(why)));
    }
    if refused.len() > SHOWN {
        output.note(format_args!("... and {} more: `--json` has them all", refused.len() - SHOWN));
    }
}

/// Rows in pieces that a request can hold, each with the index of its first row.
fn batches(rows: &[Columns]) -> Vec<(usize, &[Columns])> {
    let mut batches = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        let size = serde_json::to_string(row).map_or(BYTES, |text| text.len());
        if at > first && (at - first == ROWS || bytes + size > BYTES) {
            batches.push((first, &rows[first..at]));
            (first, bytes) = (at, 0);
        }
        bytes += size;
    }
    if first < rows.len() {
        batches.push((first, &rows[first..]));
    }
    batches
}

fn export(store: &str, format: RowFormat, out: Option<&Path>, rows: &[Columns], output: Output) -> Ended {
    match out {
        None if output.is_json() => output.json(&rows),
        None => output.text(formats::write(store, format, rows)?),
        Some(out) => {
            write(out, &formats::write(store, format, rows)?, OpenOptions::new().create(true).truncate(true))?;
            output.json(&json!({ "rows": rows.len(), "file": out.display().to_string() }));
            output.line(format_args!("{} rows of `kps.{store}` are in `{}`", rows.len(), out.display()));
        }
    }
    Ok(0)
}

async fn restore(records: &Records, store: &str, rows: Vec<RowView>, output: Output) -> Ended {
    if !records.list_rows(store, None, 1).await?.rows.is_empty() {
        let help = format!("`portcullis kps delete {store} --all` empties it; or import what `kps export` gave");
        return Err(Failure::wrong(format!("`kps.{store}` is not empty: nothing was written")).with_help(help));
    }
    let columns: Vec<Columns> = rows.iter().map(|row| row.columns.clone()).collect();
    let mut refused = Vec::new();
    for (first, batch) in batches(&columns) {
        let request = PutRows { rows: batch.to_vec(), check_only: true, ..PutRows::default() };
        let done = records.put_rows(store, &request).await?;
        let wrong = done.into_iter().enumerate();
        refused.extend(wrong.filter_map(|(at, done)| Some(Refused { row: first + at + 1, why: done.refused? })));
    }
    let fits = refused.is_empty();
    let mut written = 0;
    if fits {
        for (first, batch) in batches(&columns) {
            let done = records.restore_rows(store, rows[first..first + batch.len()].to_vec()).await?;
            for (at, done) in done.into_iter().enumerate() {
                match done.refused {
                    Some(why) => refused.push(Refused { row: first + at + 1, why }),
                    None => written += 1,
                }
            }
        }
    }
    output.json(&json!({ "rows": rows.len(), "written": written, "refused": refused }));
    tell(&refused, output);
    output.line(format_args!("{written} of {} rows are back in `kps.{store}`", rows.len()));
    Ok(u8::from(!refused.is_empty()))
}

async fn reencrypt(records: &Records, store: &str, output: Output) -> Ended {
    let (mut rows, mut sealed, mut refused, mut after) = (0, 0, Vec::new(), None);
    loop {
        let page = records.reencrypt_rows(store, &Reencrypt { after }).await?;
        rows += page.rows;
        sealed += page.sealed;
        refused.extend(page.refused);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    output.json(&json!({ "rows": rows, "sealed": sealed, "refused": refused }));
    for RowDone { key, refused, .. } in &refused {
        let (key, why) = (key.as_deref().unwrap_or_default(), refused.as_deref().unwrap_or_default());
        output.note(format_args!("row `{}`: {}", shown(key), shown(why)));
    }
    output.line(format_args!("{sealed} of {rows} rows of `kps.{store}` are sealed anew"));
    if !refused.is_empty() {
        output.note(format_args!(
            "portcullis: {} rows stay as they are: give `[encryption]` the key that sealed them, or put their values anew",
            refused.len()
        ));
    }
    Ok(u8::from(!refused.is_empty()))
}

/// `/dev/stdout`, say.
fn is_device(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| !found.is_file())
}

/// Writes a file that only this user reads: rows may hold what nobody else is to see.
pub(crate) fn write(file: &Path, text: &str, how: &mut OpenOptions) -> Result<(), Failure> {
    let opened = how.write(true).mode(0o600).open(file);
    let written = opened.and_then(|mut file| {
        // One that is there may be open to others. `/dev/stdout` is no file, and stays as it is.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|why| match why.kind() {
        ErrorKind::AlreadyExists => {
            Failure::wrong(format!("`{}` is there already: nothing is written over it", file.display()))
                .with_help("name a file that is not there")
        }
        _ => Failure::wrong(format!("`{}` cannot be written: {why}", file.display())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.json");
        std::fs::write(&file, "old, and longer than what comes").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        write(&file, "new", OpenOptions::new().truncate(true)).unwrap();
        assert!(write(&file, "newer", OpenOptions::new().create_new(true)).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn batches_are_bounded_and_lose_nothing() {
        let row = |bytes: usize| Columns::from_iter([("x".to_owned(), "y".repeat(bytes).into())]);
        let mut rows = vec![row(1); 2 * ROWS + 1];
        rows.extend([row(BYTES), row(BYTES), row(1)]);
        let batches = batches(&rows);
        assert_eq!(
            batches.iter().map(|(first, batch)| (*first, batch.len())).collect::<Vec<_>>(),
            [(0, 200), (200, 200), (400, 1), (401, 1), (402, 1), (403, 1)]
        );
    }
}
