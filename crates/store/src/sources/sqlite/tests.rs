//! What is SQLite's own, beside the conformance suite: plans, groups, files that are in the way, kills.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use tempfile::TempDir;

use super::statements::STATEMENTS;
use super::*;
use crate::conformance::Fresh;
use crate::tables::{ACCESS_TOKEN, CLIENT};

crate::conformance!(conformance, async {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    Fresh::keeping(Arc::new(sqlite), folder)
});

fn source(folder: &TempDir, settings: Settings) -> Sqlite {
    Sqlite::new("test", &settings, folder.path())
}

async fn open(folder: &TempDir) -> Sqlite {
    let sqlite = source(folder, Settings::at("var/x.db"));
    sqlite.prepare().await.unwrap();
    sqlite
}

fn row(key: &str) -> Row {
    Row { key: key.into(), version: 1, expires_at: Some(9), indexes: vec![None; 3], record: "{}".into() }
}

/// The text of an error that says: try again later.
fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn broken<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Whether the verb, asked once, has no answer yet.
async fn waits<T>(verb: &mut Verb<'_, T>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(verb.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn no_statement_scans_or_sorts() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).await;
    let connection = Connection::open(folder.path().join("var/x.db")).unwrap();
    for sql in STATEMENTS.iter().flat_map(|statements| statements.all()) {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = explain.parameter_count();
        let plan = explain.query_map(rusqlite::params_from_iter(vec![1; count]), |row| row.get::<_, String>("detail"));
        let plan: Vec<String> = plan.unwrap().map(Result::unwrap).collect();
        let bad = plan.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        assert!(!bad, "{sql}\n{plan:#?}");
        let searches = plan.iter().any(|step| step.starts_with("SEARCH"));
        assert!(searches || sql.starts_with("INSERT"), "{sql}\n{plan:#?}");
    }
}

#[tokio::test]
async fn the_file_and_new_folders_are_for_this_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = source(&folder, Settings::at("a/b/x.db"));
    sqlite.prepare().await.unwrap();
    sqlite.insert(&ACCESS_TOKEN, row("k")).await.unwrap();
    let mode = |path: &str| folder.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a"), mode("a/b")), (0o700, 0o700));
    assert_eq!((mode("a/b/x.db"), mode("a/b/x.db-wal"), mode("a/b/x.db-shm")), (0o600, 0o600, 0o600));
}

#[tokio::test]
async fn the_settings_reach_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for (synchronous, expected) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
        let place = Place::new("test", folder.path().join("x.db"), synchronous, Duration::from_millis(5));
        let connection = place.open_writer().unwrap();
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("synchronous"), pragma("busy_timeout")), (expected, 5));
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}

#[test]
fn settings_are_checked() {
    let read = |text: &str| serde_json::from_str::<Settings>(text).map_err(|e| e.to_string());
    assert_eq!(read(r#"{"path": "x.db"}"#), Ok(Settings::at("x.db")));
    let all = read(r#"{"path": "x.db", "synchronous": "normal", "readers": 3, "busy_timeout": "250ms"}"#).unwrap();
    assert_eq!((all.synchronous, all.readers, all.busy_timeout), (Synchronous::Normal, 3, Duration::from_millis(250)));
    for (text, word) in [
        (r#"{}"#, "path"),
        (r#"{"path": "x.db", "readers": 0}"#, "1 to 64"),
        (r#"{"path": "x.db", "busy_timeout": "2s"}"#, "1500ms"),
        (r#"{"path": "x.db", "busy_timeout": "soon"}"#, "duration"),
        (r#"{"path": "x.db", "synchronous": "off"}"#, "full"),
        (r#"{"path": "x.db", "pth": 1}"#, "pth"),
    ] {
        assert!(read(text).is_err_and(|error| error.contains(word)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_open_a_new_file_at_once_all_succeed() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let folder = folder.clone();
        tasks.spawn(async move { source(&folder, Settings::at("x.db")).prepare().await });
    }
    for result in tasks.join_all().await {
        assert_eq!(result, Ok(()));
    }
    let connection = Connection::open(folder.path().join("x.db")).unwrap();
    let versions: i64 = connection.query_row("SELECT count(*) FROM portcullis_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(versions, i64::from(crate::migration::CURRENT));
}

#[tokio::test]
async fn a_folder_at_the_path_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = broken(source(&folder, Settings::at(".")).prepare().await);
    assert!(error.contains("is a folder"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = broken(source(&folder, Settings::at("file/x.db")).prepare().await);
    assert!(error.contains("file/x.db cannot be made"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_until_it_is_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    std::fs::write(&path, "this is no database, but it is longer than the head of one: ".repeat(99)).unwrap();
    let sqlite = source(&folder, Settings::at("x.db"));
    let error = broken(sqlite.prepare().await);
    assert!(error.contains("x.db is damaged or no SQLite file") && error.contains("backup"), "{error}");
    assert!(broken(sqlite.insert(&ACCESS_TOKEN, row("k")).await).contains("damaged"));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("this is no database"), "the file was touched");
    std::fs::rename(&path, folder.path().join("away")).unwrap();
    sqlite.prepare().await.unwrap();
    assert_eq!(sqlite.insert(&ACCESS_TOKEN, row("k")).await, Ok(true));
    assert_eq!(sqlite.get(&ACCESS_TOKEN, b"k").await, Ok(Some(row("k"))));
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = Connection::open(folder.path().join("x.db")).unwrap();
    other.execute_batch("CREATE TABLE songs (title)").unwrap();
    let error = broken(source(&folder, Settings::at("x.db")).prepare().await);
    assert!(error.contains("tables of another program"), "{error}");
}

#[tokio::test]
async fn a_schema_that_is_newer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).await;
    let other = Connection::open(folder.path().join("var/x.db")).unwrap();
    other.execute_batch("INSERT INTO portcullis_schema VALUES (1000, 1)").unwrap();
    let opened = open(&folder).await; // It says that this program can work with it.
    other.execute_batch("UPDATE portcullis_schema SET readable_by = 1000 WHERE version = 1000").unwrap();
    let health = opened.health().await.unwrap();
    assert_eq!((health.schema, health.readable_by), (1000, 1000));
    let error = broken(source(&folder, Settings::at("var/x.db")).prepare().await);
    assert!(error.contains("var/x.db") && error.contains("version 1000"), "{error}");
}

#[tokio::test]
async fn the_schema_may_be_run_by_hand_before_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let by_hand = Connection::open(folder.path().join("x.db")).unwrap();
    by_hand.execute_batch(crate::migration::SQLITE).unwrap();
    by_hand.execute_batch(crate::migration::SQLITE).unwrap();
    source(&folder, Settings::at("x.db")).prepare().await.unwrap();
}

#[tokio::test]
async fn a_file_that_another_process_locks_is_unavailable_until_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { busy_timeout: Duration::from_millis(20), ..Settings::at("x.db") };
    let sqlite = source(&folder, settings);
    sqlite.prepare().await.unwrap();
    sqlite.insert(&ACCESS_TOKEN, row("before")).await.unwrap();
    let other = Connection::open(folder.path().join("x.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = unavailable(sqlite.insert(&ACCESS_TOKEN, row("k")).await);
    assert!(error.contains("x.db is locked by another process"), "{error}");
    assert!(sqlite.get(&ACCESS_TOKEN, b"before").await.unwrap().is_some(), "reads go on");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(sqlite.insert(&ACCESS_TOKEN, row("k")).await, Ok(true), "what failed was not done");
}

#[tokio::test]
async fn a_short_lock_of_another_process_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    let other = Connection::open(folder.path().join("var/x.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let release = async {
        tokio::task::yield_now().await; // The insert is queued by now.
        other.execute_batch("COMMIT").unwrap();
    };
    let (inserted, ()) = tokio::join!(sqlite.insert(&ACCESS_TOKEN, row("k")), release);
    assert_eq!(inserted, Ok(true));
}

#[tokio::test]
async fn what_another_process_wrote_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (open(&folder).await, open(&folder).await);
    for round in 0..20 {
        let key = format!("{round}");
        there.insert(&ACCESS_TOKEN, row(&key)).await.unwrap();
        assert!(here.get(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().is_some(), "round {round}");
    }
}

#[tokio::test]
async fn a_file_that_was_moved_or_replaced_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    sqlite.insert(&ACCESS_TOKEN, row("old")).await.unwrap();
    let at = |name: &str| folder.path().join("var").join(name);
    let backup = Connection::open(at("x.db")).unwrap();
    backup.execute("VACUUM INTO ?1", [at("backup").to_str().unwrap()]).unwrap();
    drop(backup);
    let file = ["x.db", "x.db-wal", "x.db-shm"];
    for name in file {
        std::fs::rename(at(name), at(&format!("{name}.away"))).unwrap();
    }
    // Gone: no new one is made. Replaced by a backup: it is not mixed with the log of the one before.
    for with_backup in [false, true] {
        if with_backup {
            std::fs::rename(at("backup"), at("x.db")).unwrap();
        }
        let why = unavailable(sqlite.insert(&ACCESS_TOKEN, row("new")).await);
        assert!(why.contains("moved away or replaced") && why.contains("restart the node"), "{why}");
        assert!(unavailable(sqlite.health().await).contains("moved away"));
        assert!(unavailable(sqlite.get(&ACCESS_TOKEN, b"old").await).contains("moved away"));
        assert!(unavailable(sqlite.prepare().await).contains("moved away"));
        assert_eq!(at("x.db").exists(), with_backup, "no file was made");
    }
    // Put back, it goes on with all that was there.
    for name in file {
        std::fs::rename(at(&format!("{name}.away")), at(name)).unwrap();
    }
    assert_eq!(sqlite.insert(&ACCESS_TOKEN, row("new")).await, Ok(true));
    for key in ["old", "new"] {
        assert!(sqlite.get(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().is_some(), "{key}");
    }
}

/// `rm x.db-wal`, which SQLite does not notice.
#[tokio::test]
async fn a_log_that_was_removed_is_noticed_and_what_it_held_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    sqlite.insert(&ACCESS_TOKEN, row("k")).await.unwrap();
    assert!(sqlite.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    let at = |name: &str| folder.path().join("var").join(name);
    std::fs::remove_file(at("x.db-wal")).unwrap();
    for _ in 0..2 {
        let why = unavailable(sqlite.health().await);
        assert!(why.contains("-wal was removed, moved away or replaced") && why.contains("restart the node"), "{why}");
        assert!(unavailable(sqlite.insert(&ACCESS_TOKEN, row("l")).await).contains("-wal was removed"));
        assert!(unavailable(sqlite.get(&ACCESS_TOKEN, b"k").await).contains("-wal was removed"));
    }
    assert!(!at("x.db-wal").exists(), "no other one was made");
    // As after a crash: the file alone.
    std::fs::copy(at("x.db"), at("y.db")).unwrap();
    let restarted = source(&folder, Settings::at("var/y.db"));
    restarted.prepare().await.unwrap();
    assert!(restarted.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    assert!(restarted.get(&ACCESS_TOKEN, b"l").await.unwrap().is_none());
}

/// Not at once, where another process reads; and also where it is the other file beside it that was removed.
#[tokio::test]
async fn what_a_removed_log_held_is_saved_once_nobody_reads() {
    for removed in ["x.db-wal", "x.db-shm"] {
        let folder = tempfile::tempdir().unwrap();
        let quick = Settings { busy_timeout: Duration::from_millis(50), ..Settings::at("var/x.db") };
        let sqlite = source(&folder, quick);
        sqlite.prepare().await.unwrap();
        let at = |name: &str| folder.path().join("var").join(name);
        let other = Connection::open(at("x.db")).unwrap();
        other.execute_batch("BEGIN; SELECT count(*) FROM access_token").unwrap();
        sqlite.insert(&ACCESS_TOKEN, row("k")).await.unwrap();
        std::fs::remove_file(at(removed)).unwrap();
        for _ in 0..2 {
            let why = unavailable(sqlite.insert(&ACCESS_TOKEN, row("l")).await);
            assert!(why.contains("do not restart the node"), "{removed}: {why}");
        }
        other.execute_batch("COMMIT").unwrap();
        let why = unavailable(sqlite.health().await);
        assert!(why.contains("restart the node to use"), "{removed}: {why}");
        // As after a crash: the file alone.
        std::fs::copy(at("x.db"), at("y.db")).unwrap();
        let restarted = source(&folder, Settings::at("var/y.db"));
        restarted.prepare().await.unwrap();
        assert!(restarted.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some(), "{removed}");
        assert!(restarted.get(&ACCESS_TOKEN, b"l").await.unwrap().is_none(), "{removed}");
    }
}

#[tokio::test]
async fn a_log_that_was_moved_or_replaced_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    sqlite.insert(&ACCESS_TOKEN, row("old")).await.unwrap();
    let at = |name: &str| folder.path().join("var").join(name);
    std::fs::rename(at("x.db-wal"), at("away")).unwrap();
    assert!(unavailable(sqlite.health().await).contains("-wal was removed"));
    std::fs::copy(at("away"), at("x.db-wal")).unwrap();
    assert!(unavailable(sqlite.insert(&ACCESS_TOKEN, row("new")).await).contains("-wal was removed"), "it is a copy");
    std::fs::rename(at("away"), at("x.db-wal")).unwrap();
    assert_eq!(sqlite.insert(&ACCESS_TOKEN, row("new")).await, Ok(true));
    for key in ["old", "new"] {
        assert!(sqlite.get(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().is_some(), "{key}");
    }
}

/// The log lies beside the file, not beside the link.
#[tokio::test]
async fn the_log_of_a_file_behind_a_link_is_watched_too() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).await;
    std::os::unix::fs::symlink(folder.path().join("var/x.db"), folder.path().join("link.db")).unwrap();
    let sqlite = source(&folder, Settings::at("link.db"));
    sqlite.prepare().await.unwrap();
    std::fs::remove_file(folder.path().join("var/x.db-wal")).unwrap();
    assert!(unavailable(sqlite.insert(&ACCESS_TOKEN, row("k")).await).contains("-wal was removed"));
}

/// None of these replaces the log.
#[tokio::test]
async fn checkpoints_and_other_connections_leave_the_log_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    for (number, sql) in ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA optimize", "VACUUM", "REINDEX"].iter().enumerate()
    {
        assert_eq!(sqlite.insert(&ACCESS_TOKEN, row(&number.to_string())).await, Ok(true), "before {sql}");
        let other = Connection::open(folder.path().join("var/x.db")).unwrap();
        other.execute_batch(sql).unwrap();
        other.close().unwrap();
        sqlite.health().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_refuses_and_the_rest_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Arc::new(open(&folder).await);
    let other = Connection::open(folder.path().join("var/x.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..1500 {
        let sqlite = sqlite.clone();
        tasks.spawn(async move { sqlite.insert(&ACCESS_TOKEN, row(&number.to_string())).await });
    }
    let first = tasks.join_next().await.unwrap().unwrap();
    assert!(unavailable(first).contains("writes wait already"), "one that did not fit is answered at once");
    other.execute_batch("COMMIT").unwrap();
    let mut done = 0;
    while let Some(result) = tasks.join_next().await {
        match result.unwrap() {
            Ok(inserted) => done += usize::from(inserted),
            Err(error) => assert!(error.to_string().contains("writes wait already"), "{error}"),
        }
    }
    assert!(done >= 1024, "{done}");
    assert_eq!(sqlite.list(&ACCESS_TOKEN, None, 9999).await.unwrap().len(), done);
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    let other = Connection::open(folder.path().join("var/x.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Both are queued while the file is locked; the second is given up before the writer can have come to it.
    let mut first = sqlite.insert(&ACCESS_TOKEN, row("first"));
    assert!(waits(&mut first).await);
    let mut second = sqlite.insert(&ACCESS_TOKEN, row("second"));
    assert!(waits(&mut second).await);
    drop(second);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(first.await, Ok(true));
    assert_eq!(sqlite.insert(&ACCESS_TOKEN, row("third")).await, Ok(true));
    assert_eq!(sqlite.get(&ACCESS_TOKEN, b"second").await, Ok(None));
}

#[tokio::test]
async fn health_tells_versions() {
    let folder = tempfile::tempdir().unwrap();
    let health = open(&folder).await.health().await.unwrap();
    assert!(health.version.starts_with("SQLite 3."), "{health:?}");
    assert_eq!(health.schema, crate::migration::CURRENT);
}

#[tokio::test]
async fn people_can_query_records() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    let record = r#"{"client_id": "app"}"#.to_owned();
    let row = Row { indexes: vec![], record, ..row("app") };
    sqlite.insert(&CLIENT, row).await.unwrap();
    let other = Connection::open(folder.path().join("var/x.db")).unwrap();
    let id: String = other.query_row("SELECT record ->> 'client_id' FROM client", [], |row| row.get(0)).unwrap();
    assert_eq!(id, "app");
}

/// Runs itself as another process, which writes and tells what was answered; kills that, and looks for what was answered.
#[test]
fn what_was_answered_survives_a_kill() {
    const FOLDER: &str = "PORTCULLIS_TEST_KILL_FOLDER";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(folder) = std::env::var_os(FOLDER) {
        let sqlite = Arc::new(Sqlite::new("test", &Settings::at("x.db"), Path::new(&folder)));
        return runtime.block_on(write_until_killed(sqlite));
    }
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sources::sqlite::tests::what_was_answered_survives_a_kill", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answered = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            answered.extend(line.unwrap().strip_prefix("answered ").map(str::to_owned));
            if answered.len() == 40 + round * 17 {
                child.kill().unwrap(); // What it still had written is read to the end.
            }
        }
        child.wait().unwrap();
        assert!(answered.len() >= 40, "the writing process ended by itself: {answered:?}");
        let sqlite = source(&folder, Settings::at("x.db"));
        runtime.block_on(async {
            sqlite.prepare().await.unwrap();
            for key in &answered {
                assert!(sqlite.get(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().is_some(), "{key} is lost");
            }
        });
    }
}

async fn write_until_killed(sqlite: Arc<Sqlite>) {
    use std::io::Write;
    sqlite.prepare().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let sqlite = sqlite.clone();
        tasks.spawn(async move {
            for number in 0.. {
                let key = format!("{}-{task}-{number}", std::process::id());
                sqlite.insert(&ACCESS_TOKEN, row(&key)).await.unwrap();
                writeln!(std::io::stdout(), "answered {key}").unwrap();
            }
        });
    }
    tasks.join_all().await;
}

/// Closing any descriptor of a file drops the locks that this process has on it, and another process may then take the file
/// for one that nobody uses, and remove the log that is still written to.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn opening_a_file_again_keeps_the_locks_on_it() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder).await;
    first.insert(&ACCESS_TOKEN, row("k")).await.unwrap();
    let (process, file) = (std::process::id(), folder.path().join("var/x.db").metadata().unwrap().ino());
    let locked = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|lock| lock.contains(&format!(" {process} ")) && lock.contains(&format!(":{file} ")))
    };
    assert!(locked());
    let _second = open(&folder).await;
    assert!(locked());
}

/// Commits leave checkpoints to a thread; what the log holds gets into the file all the same, and the log is begun anew.
#[tokio::test]
async fn the_log_does_not_grow_while_it_is_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await;
    let file = |name: &str| folder.path().join("var").join(name);
    let size = |name: &str| std::fs::metadata(file(name)).unwrap().len() >> 20;
    // Its salts are others each time it is begun: bytes 16 to 24 of its header.
    let salts = || std::fs::read(file("x.db-wal")).unwrap()[16..24].to_vec();
    let (rounds, rows) = (8, 200);
    let mut small = 0;
    for round in 0..rounds {
        let before = salts();
        for number in 0..rows {
            let key = format!("{round}-{number:04}");
            let large = Row { record: format!("\"{}\"", "x".repeat(100_000)), ..row(&key) };
            assert_eq!(sqlite.insert(&ACCESS_TOKEN, large).await, Ok(true));
        }
        // However slow the thread is: it is done some commits later.
        let start = tokio::time::Instant::now();
        while salts() == before {
            assert!(start.elapsed() < Duration::from_secs(60), "the log is never begun anew");
            assert_eq!(sqlite.insert(&ACCESS_TOKEN, row(&format!("small-{small}"))).await, Ok(true));
            small += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert!((16..64).contains(&size("x.db-wal")), "{} MiB", size("x.db-wal"));
    assert!(size("x.db") > 64, "{} MiB are in the file", size("x.db"));
    assert_eq!(sqlite.list(&ACCESS_TOKEN, None, 99_999).await.unwrap().len(), rounds * rows + small);
}
