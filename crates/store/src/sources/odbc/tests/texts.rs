//! All statements of each dialect, in files that a DBA may read and `tests/odbc_parse.py` has a parser read.
//!
//! `BLESS=1 cargo test -p store --features odbc texts` writes them anew.

use super::*;
use crate::sources::odbc::statement::Statements;
use crate::tables;

fn all(dialect: &Dialect) -> String {
    let mut text = format!(
        "-- What the data source `odbc` sends with dialect = \"{}\". Written by a test; do not edit.\n",
        dialect.name
    );
    let mut add = |sql: &str| text.push_str(&format!("{sql};\n"));
    let session = dialect.session.iter().chain(dialect.patient).chain(&dialect.lock);
    session.for_each(|sql| add(sql));
    add(&dialect.ping());
    dialect.health().texts().iter().for_each(|sql| add(&sql.text));
    for table in tables::ALL {
        for statement in Statements::new(dialect, table).all() {
            statement.texts().iter().for_each(|sql| add(&sql.text));
        }
    }
    text
}

#[test]
fn the_statements_stand_in_files_for_a_parser() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sources/odbc/tests/statements");
    for name in Name::ALL {
        let (file, made) = (folder.join(format!("{}.sql", name.dialect().name)), all(name.dialect()));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &made).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), made, "{}", file.display());
    }
}

#[test]
fn a_migration_is_taken_apart_into_its_statements() {
    use crate::migration;
    use crate::sources::odbc::schema::migration_statements;
    assert_eq!(
        migration_statements("\n-- a; b\nCREATE a (\n  x, -- y;\n\n  z\n);\nINSERT b;\n"),
        ["CREATE a (\n  x,\n  z\n)", "INSERT b"]
    );
    for name in Name::ALL {
        for one in migration::parse(name.dialect().schema) {
            let statements = migration_statements(one.sql);
            let starts = |sql: &String| sql.starts_with("CREATE ") || sql.starts_with("INSERT INTO portcullis_schema");
            assert!(statements.len() > 1 && statements.iter().all(starts), "{name:?}: {statements:#?}");
            assert!(statements.last().unwrap().starts_with("INSERT"), "{name:?}");
        }
    }
}
