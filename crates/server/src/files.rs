//! `store backup` and `store restore`: the file of a SQLite source, whether or not nodes run.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use policy::Diagnostics;
use store::sources::SourceSettings;
use store::sources::sqlite::backup;

use crate::admin::api::{BackedUp, Refusal, RefusalKind};
use crate::once::{audit, mapped};
use crate::options::Options;
use crate::tasks;

/// Copies what a source holds into a file that is not there yet. Without a name: the default source.
pub async fn store_backup(
    options: &Options,
    source: Option<&str>,
    file: &Path,
) -> Result<Result<BackedUp, Refusal>, Diagnostics> {
    Ok(match place(options, source).await? {
        // A folder that is not there may be a disk that is not mounted.
        Ok((name, path)) => match folder(file).filter(|folder| !folder.is_dir()) {
            Some(folder) => {
                let why = format!("{} is no folder that is there", folder.display());
                Err(refused(why, "make it, or mount its disk"))
            }
            None => {
                copy(name, path, file.to_owned(), "name another file on a disk with room, and a source that is whole")
                    .await
            }
        },
        Err(refusal) => Err(refusal),
    })
}

/// Puts a backup where a source has its file, which must not be there.
pub async fn store_restore(
    options: &Options,
    source: Option<&str>,
    file: &Path,
) -> Result<Result<BackedUp, Refusal>, Diagnostics> {
    Ok(match place(options, source).await? {
        Ok((_, path)) if path.symlink_metadata().is_ok() => {
            let help = "stop the nodes that have it open, move it and its -wal and -shm away, and try again";
            Err(refused(format!("{} is there already: nothing is written over it", path.display()), help))
        }
        Ok((name, path)) => {
            let work = async {
                if let Some(folder) = folder(&path) {
                    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
                    made.map_err(|why| {
                        refused(format!("{} cannot be made: {why}", folder.display()), "make it by hand")
                    })?;
                }
                copy(
                    name.clone(),
                    file.to_owned(),
                    path,
                    "name a backup that is whole, and make room on the source's disk",
                )
                .await
            };
            audit(options).change("store restore", &name, work).await
        }
        Err(refusal) => Err(refusal),
    })
}

/// The folder in which this file would be, where it is named.
fn folder(file: &Path) -> Option<&Path> {
    file.parent().filter(|folder| !folder.as_os_str().is_empty())
}

async fn copy(source: String, from: PathBuf, to: PathBuf, help: &str) -> Result<BackedUp, Refusal> {
    let file = to.display().to_string();
    match tasks::blocking(move || backup::copy(&from, &to)).await {
        Ok(done) => Ok(BackedUp { source, file, bytes: done.bytes, schema: done.schema }),
        Err(why) => Err(refused(why, help)),
    }
}

/// The source and its file; or what has to be used for a source that is no file.
async fn place(options: &Options, source: Option<&str>) -> Result<Result<(String, PathBuf), Refusal>, Diagnostics> {
    let (reading, _) = mapped(options).await?;
    let mapping = &reading.settings.stores.mapping;
    let name = source.unwrap_or(&mapping.default);
    match mapping.sources.get(name) {
        Some(SourceSettings::Sqlite(settings)) => return Ok(Ok((name.to_owned(), options.dir.join(&settings.path)))),
        Some(_) => {}
        None => {
            let known: Vec<&str> = mapping.sources.keys().map(String::as_str).collect();
            let refusal =
                refused(format!("there is no data source `{name}`"), &format!("there is {}", known.join(", ")));
            return Ok(Err(Refusal { kind: RefusalKind::Invalid, ..refusal }));
        }
    }
    let tool = match reading.settings.stores.types.get(name).map_or("", String::as_str) {
        "memory" => "its records are gone with the node: `portcullis store copy` takes them elsewhere",
        "file" => "people write it: keep it as you keep the configuration",
        "postgres" => "use `pg_dump` and `pg_restore`",
        "mysql" => "use `mariadb-dump --single-transaction` (or `mysqldump`)",
        "redis" => "use its snapshots: `redis-cli --rdb FILE`",
        "cassandra" => "use `nodetool snapshot`",
        _ => "use the database's own tool",
    };
    Ok(Err(refused(format!("`{name}` is no SQLite file: its own tool makes its backups"), tool)))
}

fn refused(message: impl Into<String>, help: &str) -> Refusal {
    Refusal { kind: RefusalKind::Exists, message: message.into(), help: Some(help.to_owned()) }
}
