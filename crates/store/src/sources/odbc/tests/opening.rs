//! Opening: migrations by one node and by several, on a newer schema, on somebody else's tables; wrong settings, passwords and drivers.

use super::*;
use crate::migration;
use crate::sources::odbc::schema::migration_statements;
use crate::sources::relay::refused_login;
use crate::tables::{ACCESS_TOKEN, CLIENT};

/// The dialects that there are databases for.
const HERE: [Name; 3] = [Name::Postgres, Name::Mysql, Name::Sqlite];

/// Why a source cannot be opened for good.
async fn refusal(source: Odbc) -> String {
    match source.prepare().await {
        Err(StoreError::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_migrate_once() {
    for name in HERE {
        let scratch = Scratch::new(name);
        let nodes: Vec<_> = (0..4)
            .map(|_| scratch.source())
            .map(|node| tokio::spawn(async move { node.prepare().await.map(|()| node) }))
            .collect();
        for (number, node) in nodes.into_iter().enumerate() {
            let node = node.await.unwrap().unwrap();
            assert!(node.insert(&ACCESS_TOKEN, row(&number.to_string())).await.unwrap(), "{name:?}");
            assert_eq!(node.health().await.unwrap().schema, migration::CURRENT, "{name:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_broke_off_is_run_again() {
    for name in HERE {
        let scratch = Scratch::new(name);
        let migrations = migration::parse(name.dialect().schema);
        for statement in migration_statements(migrations[0].sql).iter().take(3) {
            scratch.execute(statement);
        }
        let source = scratch.opened().await;
        assert_eq!(source.get(&crate::tables::KPS, b"k").await, Ok(None), "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_unless_it_lets_older_programs_go_on() {
    for name in HERE {
        let scratch = Scratch::new(name);
        scratch.opened().await;
        scratch.execute("INSERT INTO portcullis_schema (version, readable_by) VALUES (900, 1)");
        let open = scratch.opened().await;
        scratch.execute("UPDATE portcullis_schema SET readable_by = 899 WHERE version = 900");
        let health = open.health().await.unwrap();
        assert_eq!((health.schema, health.readable_by), (900, 899));
        let why = refusal(scratch.source()).await;
        assert!(why.contains("version 900"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_table_is_refused_and_nothing_is_made() {
    for name in HERE {
        let scratch = Scratch::new(name);
        scratch.execute("CREATE TABLE client (id integer PRIMARY KEY)");
        let why = refusal(scratch.source()).await;
        assert!(why.contains("a table client is there and is not ours"), "{why}");
        // Nothing was made yet: the name is free.
        scratch.execute("CREATE TABLE access_token (id integer PRIMARY KEY)");
        scratch.execute("DROP TABLE access_token");
        scratch.execute("DROP TABLE client");
        scratch.opened().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_altered_is_refused() {
    for name in [Name::Postgres, Name::Mysql] {
        let scratch = Scratch::new(name);
        scratch.opened().await;
        scratch.execute("ALTER TABLE client DROP COLUMN record");
        let why = refusal(scratch.source()).await;
        assert!(why.contains("table client may not be used"), "{why}");
        scratch.execute("DROP TABLE client");
        let why = refusal(scratch.source()).await;
        assert!(why.contains("client") && why.contains("stores/schema/"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_is_told_what_to_grant() {
    let scratch = Scratch::new(Name::Mysql);
    let user = format!("node_{}", scratch.name);
    scratch.execute(&format!("CREATE USER {user} IDENTIFIED BY 'hunter2'"));
    scratch.execute(&format!("GRANT SELECT ON {}.* TO {user}", scratch.name));
    let string = scratch.string.replace("Uid=root", &format!("Uid={user};Pwd=hunter2"));
    let source = |string: &str| Odbc::new("test", &settings(string, Name::Mysql), Name::Mysql.dialect());
    let why = refusal(source(&string)).await;
    assert!(why.contains("stores/schema/mysql.sql") && why.contains("GRANT") && !why.contains("hunter2"), "{why}");
    scratch.opened().await;
    let why = refusal(source(&string)).await;
    assert!(why.contains("GRANT SELECT, INSERT, UPDATE, DELETE"), "{why}");
    scratch.execute(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {}.* TO {user}", scratch.name));
    source(&string).prepare().await.unwrap();
    let why = refused_login(&source(&string.replace("hunter2", "hunter3"))).await;
    assert!(why.contains("mend the user or password") && !why.contains("hunter3"), "{why}");
    scratch.execute(&format!("DROP USER {user}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_database_or_driver_is_named_with_the_remedy() {
    for name in [Name::Postgres, Name::Mysql] {
        let source = |string: &str| Odbc::new("test", &settings(string, name), name.dialect());
        let why = refusal(source(&server(name, Some("no_such_database")))).await;
        assert!(why.contains("no_such_database") && why.contains("create the database"), "{why}");
        for driver in ["No such driver", "/nowhere/libnone.so"] {
            let (_, rest) = server(name, None).split_once(';').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            let why = refusal(source(&format!("Driver={{{driver}}};{rest}Pwd=hunter2"))).await;
            assert!(why.contains("odbcinst -q -d") && !why.contains("hunter2"), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_works_before_it_was_opened() {
    let scratch = Scratch::new(Name::Sqlite);
    let source = scratch.source();
    let found = source.get(&CLIENT, b"k").await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    source.prepare().await.unwrap();
    assert_eq!(source.get(&CLIENT, b"k").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_version_schema_and_clock() {
    for name in HERE {
        let health = Scratch::new(name).opened().await.health().await.unwrap();
        assert!(health.version.starts_with(name.dialect().product) && health.version.contains('.'), "{health:?}");
        assert_eq!(health.schema, migration::CURRENT);
        let ours = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
        assert!((health.unix_millis.unwrap() - ours).abs() < 60_000, "{health:?}");
    }
}

/// Text that differs by trailing spaces alone is not the same text; what does not fit is refused, never cut off.
#[tokio::test(flavor = "multi_thread")]
async fn text_is_kept_as_it_is_or_refused() {
    for name in HERE {
        let scratch = Scratch::new(name);
        let source = scratch.opened().await;
        for (key, subject) in [("1", ""), ("2", " "), ("3", "zoë"), ("4", "zoë "), ("5", "zoë  ")] {
            let indexes = vec![None, Some(subject.to_owned()), None];
            assert!(source.insert(&ACCESS_TOKEN, Row { indexes, ..row(key) }).await.unwrap());
        }
        for (key, subject) in [("1", ""), ("2", " "), ("3", "zoë"), ("4", "zoë "), ("5", "zoë  ")] {
            let found = source.find(&ACCESS_TOKEN, 1, subject, None, 9).await.unwrap();
            assert_eq!(found.iter().map(|row| row.key.as_slice()).collect::<Vec<_>>(), [key.as_bytes()], "{subject:?}");
        }
        assert_eq!(source.remove(&ACCESS_TOKEN, 1, "zoë", 9).await, Ok(1));
        for bad in
            [Row { key: Vec::new(), ..row("") }, Row { indexes: vec![Some("a\0b".into()), None, None], ..row("n") }]
        {
            let refused = source.insert(&ACCESS_TOKEN, bad).await;
            assert!(matches!(&refused, Err(StoreError::Broken(_))), "{refused:?}");
        }
        let long = Row { key: vec![7; 600], ..row("") };
        let refused = source.insert(&ACCESS_TOKEN, long.clone()).await;
        match name.dialect().longest {
            Some(_) => assert!(matches!(&refused, Err(StoreError::Broken(why)) if why.contains("600")), "{refused:?}"),
            None => assert_eq!(source.get(&ACCESS_TOKEN, &long.key).await, Ok(Some(long))),
        }
    }
}

/// A store that goes from its own driver to ODBC finds its records, and the other way round.
#[cfg(all(feature = "postgres", feature = "mysql"))]
#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_those_of_the_sources_own_drivers() {
    use crate::sources::{mysql, postgres};
    for name in [Name::Postgres, Name::Mysql] {
        let scratch = Scratch::new(name);
        let variable = if name == Name::Postgres { "PORTCULLIS_TEST_POSTGRES" } else { "PORTCULLIS_TEST_MYSQL" };
        let url = needed(variable);
        let url = Secret::new(format!("{}/{}", url.rsplit_once('/').unwrap().0, scratch.name));
        let own: Arc<dyn DataSource> = match name {
            Name::Postgres => postgres::build(
                "own",
                &postgres::Settings {
                    url: postgres::Url::new(url),
                    max_connections: 2,
                    prepared_statements: None,
                    listen_url: None,
                },
            ),
            _ => mysql::build("own", &mysql::Settings { url: mysql::Url::new(url), max_connections: 2 }),
        };
        own.prepare().await.unwrap();
        let (first, second) = (row("first"), row("second"));
        assert!(own.insert(&ACCESS_TOKEN, first.clone()).await.unwrap());
        let odbc = scratch.opened().await;
        assert_eq!(odbc.get(&ACCESS_TOKEN, b"first").await, Ok(Some(first)));
        assert!(odbc.insert(&ACCESS_TOKEN, second.clone()).await.unwrap());
        assert_eq!(own.find(&ACCESS_TOKEN, 0, "app", None, 9).await.unwrap().len(), 2);
        assert_eq!(own.take(&ACCESS_TOKEN, b"second").await, Ok(Some(second)));
    }
}

/// The same in a file.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_that_of_the_source_sqlite() {
    use crate::sources::sqlite;
    let scratch = Scratch::new(Name::Sqlite);
    let odbc = scratch.opened().await;
    assert!(odbc.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let path = scratch.string.rsplit_once('=').unwrap().1;
    let own = sqlite::Sqlite::new("own", &sqlite::Settings::at(path), std::path::Path::new("/"));
    own.prepare().await.unwrap();
    assert_eq!(own.take(&ACCESS_TOKEN, b"k").await, Ok(Some(row("k"))));
    assert_eq!(odbc.get(&ACCESS_TOKEN, b"k").await, Ok(None));
}

#[test]
fn settings_have_defaults_and_bounds() {
    let read = |json: &str| serde_json::from_str::<Settings>(json).map_err(|error| error.to_string());
    let dsn = r#"{"connection": "DSN=a", "dialect": "mssql"}"#;
    assert_eq!(read(dsn).unwrap().max_connections, 16);
    assert!(!read(dsn).unwrap().node_local());
    for (json, why) in [
        (r#"{"connection": "DSN=a", "dialect": "mssql", "max_connections": 0}"#, "from 1 to 256"),
        (r#"{"connection": "DSN=a", "dialect": "mssql", "max_connections": 257}"#, "from 1 to 256"),
        (r#"{"connection": "DSN=a", "dialect": "informix"}"#, "unknown variant `informix`"),
        (r#"{"connection": "DSN=a"}"#, "missing field `dialect`"),
        (r#"{"connection": "Server=h;Pwd=hunter2", "dialect": "db2"}"#, "neither a Driver nor a DSN"),
        (r#"{"dialect": "db2"}"#, "missing field `connection`"),
        (r#"{"connection": "DSN=a", "dialect": "db2", "url": "x"}"#, "unknown field"),
    ] {
        let found = read(json).unwrap_err();
        assert!(found.contains(why) && !found.contains("hunter2"), "{json}: {found}");
    }
    let shown = format!("{:?}", settings("DSN=a;Pwd=hunter2", Name::Db2));
    assert!(!shown.contains("hunter2"), "{shown}");
}
