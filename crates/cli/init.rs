//! `portcullis init`: a template as a configuration of one's own.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use crate::Ended;
use crate::args::{Global, InitArgs, SchemaFile};
use crate::output::{Failure, Output};
use crate::run::quoted;
use crate::schema;

pub(crate) fn run(global: &Global, args: &InitArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    global.refuse_values("the files that are made have none")?;
    let target = &args.target;
    let files = args.template.files();
    let there: Vec<_> = files.iter().map(|(path, _)| *path).filter(|p| is_there(&target.join(p))).collect();
    if !there.is_empty() {
        return Err(Failure::wrong(format!("`{}` has these already: {}", target.display(), there.join(", ")))
            .with_help("nothing was written; name another folder, or move them away"));
    }
    for (path, text) in &files {
        write(&target.join(path), text)
            .map_err(|why| Failure::wrong(format!("`{}`: {why}", target.join(path).display())))?;
    }
    let mut files: Vec<_> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    files.extend(for_editors(target)?);
    output.json(&json!({ "dir": target, "files": files }));
    let dir = quoted(&target.display().to_string());
    output.line(format_args!("made in {}:", target.display()));
    files.iter().for_each(|path| output.line(format_args!("  {path}")));
    output.line(format_args!("Next: portcullis -c {dir} run"));
    Ok(0)
}

/// Schemas, and where editors find them. They are no part of the configuration: what is there already stays, and stops nothing.
fn for_editors(target: &Path) -> Result<Vec<String>, Failure> {
    let schemas = SchemaFile::ALL.map(|file| (format!("{}/{}", schema::FOLDER, file.file_name()), schema::text(file)));
    let taplo = (schema::TAPLO.0.to_owned(), schema::TAPLO.1.to_owned());
    let mut written = Vec::new();
    for (path, text) in [taplo].into_iter().chain(schemas) {
        let at = target.join(&path);
        if !is_there(&at) {
            write(&at, &text).map_err(|why| Failure::wrong(format!("`{}`: {why}", at.display())))?;
            written.push(path);
        }
    }
    Ok(written)
}

/// Also true for a symbolic link that leads nowhere: it is somebody's.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // create_new: what somebody made in the meantime is not overwritten either.
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
