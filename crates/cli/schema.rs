//! `portcullis schema`: JSON Schemas of the files, for editors.

use std::collections::BTreeMap;
use std::fs;

use filters::LIBRARY;
use filters::oauth::ServerSettings;
use serde_json::Value;
use server::GivenTable;

use crate::Ended;
use crate::args::{Global, JsonSchemaArgs, SchemaFile};
use crate::output::{Failure, Output};

/// Where Taplo, and editors that work with it, find which file has which schema.
pub(crate) const TAPLO: (&str, &str) = (".taplo.toml", include_str!("../../.taplo.toml"));

/// The folder of the schemas that it names.
pub(crate) const FOLDER: &str = ".schemas";

pub(crate) fn run(global: &Global, args: &JsonSchemaArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    global.refuse_values("a schema is of any configuration")?;
    let chosen: Vec<SchemaFile> = args.file.map_or_else(|| SchemaFile::ALL.to_vec(), |file| vec![file]);
    if let Some(dir) = &args.out {
        let failed =
            |path: &std::path::Path, why: std::io::Error| Failure::wrong(format!("`{}`: {why}", path.display()));
        fs::create_dir_all(dir).map_err(|why| failed(dir, why))?;
        let mut written = Vec::new();
        for file in chosen {
            let path = dir.join(file.file_name());
            fs::write(&path, text(file)).map_err(|why| failed(&path, why))?;
            output.line(path.display());
            written.push(path);
        }
        output.json(&serde_json::json!({ "files": written }));
        return Ok(0);
    }
    match args.file {
        Some(file) => output.document(&of(file)),
        None if output.is_json() => {
            output.json(&chosen.into_iter().map(|file| (file.word(), of(file))).collect::<BTreeMap<_, _>>());
        }
        None => {
            let rows: Vec<_> =
                chosen.iter().map(|file| vec![file.word().to_owned(), file.files().to_owned()]).collect();
            output.line(crate::output::table(&rows));
            output.line("`portcullis schema WORD` prints one, `portcullis schema --out DIR` writes them");
        }
    }
    Ok(0)
}

/// The schema of a file.
pub(crate) fn of(file: SchemaFile) -> Value {
    let mut schema = match file {
        SchemaFile::Policy => policy::schema::policy_file::<GivenTable>(LIBRARY),
        SchemaFile::Tests => policy::schema::tests_file::<GivenTable>(),
        SchemaFile::Node => server::settings::node_schema(),
        SchemaFile::Stores => server::settings::stores_schema(),
        SchemaFile::Server => policy::schema::of::<ServerSettings>(),
    };
    schema["title"] = Value::from(format!("Portcullis: {}", file.files()));
    schema
}

/// The same, as it is written to a file.
pub(crate) fn text(file: SchemaFile) -> String {
    format!("{:#}\n", of(file))
}

impl SchemaFile {
    pub(crate) const ALL: [SchemaFile; 5] =
        [SchemaFile::Policy, SchemaFile::Tests, SchemaFile::Node, SchemaFile::Stores, SchemaFile::Server];

    fn word(self) -> &'static str {
        match self {
            SchemaFile::Policy => "policy",
            SchemaFile::Tests => "tests",
            SchemaFile::Node => "node",
            SchemaFile::Stores => "stores",
            SchemaFile::Server => "server",
        }
    }

    /// The name of its file in a folder of schemas.
    pub(crate) fn file_name(self) -> String {
        format!("{}.json", self.word())
    }

    /// The files that it is of.
    fn files(self) -> &'static str {
        match self {
            SchemaFile::Policy => "policies/**/*.toml",
            SchemaFile::Tests => "policies/**/*.test.toml",
            SchemaFile::Node => "node.toml",
            SchemaFile::Stores => "stores/stores.toml",
            SchemaFile::Server => "policies/oauth/server.toml",
        }
    }
}
