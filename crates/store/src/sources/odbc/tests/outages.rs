//! A server that goes away, says nothing, or answers too late; seen through a relay that the test can cut.

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;
use crate::sources::relay::{Line, Relay, is_unavailable, recovery};
use crate::tables::{ACCESS_TOKEN, CLIENT};

/// A relay before the server, and the connection string that leads through it.
async fn relayed(string: &str) -> (Relay, String) {
    let (_, port) = string.split_once("Port=").unwrap();
    let port = port.split(';').next().unwrap();
    let relay = Relay::to(&format!("127.0.0.1:{port}")).await;
    let (_, own) = relay.address.rsplit_once(':').unwrap();
    let through = string.replace(&format!("Port={port}"), &format!("Port={own}"));
    (relay, through)
}

/// A source on a PostgreSQL of its own, behind a relay.
async fn behind_a_relay() -> (Scratch, Relay, Odbc) {
    let scratch = Scratch::new(Name::Postgres);
    let (relay, string) = relayed(&scratch.string).await;
    // The one that has answered is the one that is asked next.
    let settings = Settings { max_connections: 1, ..settings(&string, Name::Postgres) };
    let source = Odbc::new("test", &settings, Name::Postgres.dialect());
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    (scratch, relay, source)
}

/// Asks the server something, past the source, until it is so.
async fn until(scratch: &Scratch, question: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while answer(scratch, question) != "1" {
        assert!(Instant::now() < deadline, "not so: {question}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn answer(scratch: &Scratch, question: &str) -> String {
    use odbc_api::Cursor;
    let connection =
        environment().unwrap().connect_with_connection_string(&scratch.string, ConnectionOptions::default());
    let connection = connection.unwrap();
    let mut cursor = connection.execute(question, (), None).unwrap().unwrap();
    let mut text = Vec::new();
    cursor.next_row().unwrap().unwrap().get_text(1, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Holds a lock on the table of tokens until it is told to let go.
fn lock(scratch: &Scratch) -> (std::sync::mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let (locked, ready) = std::sync::mpsc::channel::<()>();
    let string = scratch.string.clone();
    let holding = std::thread::spawn(move || {
        let connection = environment().unwrap().connect_with_connection_string(&string, ConnectionOptions::default());
        let connection = connection.unwrap();
        connection.set_autocommit(false).unwrap();
        connection.execute("LOCK TABLE access_token IN ACCESS EXCLUSIVE MODE", (), None).unwrap();
        locked.send(()).unwrap();
        let _ = wait.recv();
        connection.rollback().unwrap();
    });
    ready.recv().unwrap();
    (release, holding)
}

const ONE_WAITS: &str = "SELECT CASE WHEN count(*) > 0 THEN 1 ELSE 0 END FROM pg_stat_activity \
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
const NONE_WAITS: &str = "SELECT CASE WHEN count(*) = 0 THEN 1 ELSE 0 END FROM pg_stat_activity \
                          WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_unavailable_and_used_again_when_it_is_back() {
    let (_scratch, relay, source) = behind_a_relay().await;
    relay.set(Line::Cut);
    for _ in 0..5 {
        is_unavailable(timeout(Duration::from_secs(20), source.insert(&ACCESS_TOKEN, row("l"))).await.unwrap());
    }
    relay.set(Line::Through);
    recovery(&source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_is_unavailable_and_used_again_without_a_restart() {
    let (_scratch, relay, source) = behind_a_relay().await;
    relay.set(Line::Silent);
    for _ in 0..3 {
        is_unavailable(timeout(Duration::from_secs(20), source.get(&ACCESS_TOKEN, b"k")).await.unwrap());
    }
    relay.set(Line::Through);
    recovery(&source).await;
}

/// How many threads of this process have this name.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}

/// A call that does not return is given up, and another thread takes its place; of those there are no more than as many again. Here: a
/// file that is locked for longer than anybody waits.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_do_not_return_cost_a_bounded_number_of_threads() {
    let scratch = Scratch::new(Name::Sqlite);
    let sound = Name::Sqlite.dialect();
    let patient = Dialect { session: &["PRAGMA journal_mode = WAL", "PRAGMA busy_timeout = 600000"], ..sound.clone() };
    let few = Settings { max_connections: 1, ..settings(&scratch.string, Name::Sqlite) };
    let source = Odbc::new("stuck", &few, Box::leak(Box::new(patient)));
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let connect = environment().unwrap().connect_with_connection_string(&scratch.string, ConnectionOptions::default());
    let other = connect.unwrap();
    other.set_autocommit(false).unwrap();
    other.execute("UPDATE access_token SET version = version", (), None).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut seen = 0;
    loop {
        let why = source.insert(&ACCESS_TOKEN, row("l")).await.unwrap_err().to_string();
        seen = seen.max(threads("odbc stuck"));
        if why.contains("has not come back from any of its calls") {
            break;
        }
        assert!(Instant::now() < deadline, "{why}");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(seen, 2, "the first and the one in its place");
    other.rollback().unwrap();
    recovery(&source).await;
    while threads("odbc stuck") > 1 {
        assert!(Instant::now() < deadline, "a thread that was given up goes on");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_do_not_storm_a_server_that_is_down() {
    let (_scratch, relay, source) = behind_a_relay().await;
    relay.set(Line::Cut);
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
    let before = relay.attempts();
    let mut asked = 0;
    let end = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < end {
        is_unavailable(source.get(&ACCESS_TOKEN, b"k").await);
        asked += 1;
    }
    let attempts = relay.attempts() - before;
    // The driver may try with and without encryption.
    assert!(asked > 50 && attempts < 14, "{attempts} attempts for {asked} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    let (_scratch, relay, source) = behind_a_relay().await;
    // So that the statement is prepared already, and what is sent next carries it out.
    for _ in 0..3 {
        assert!(!source.replace(&ACCESS_TOKEN, row("k"), 7).await.unwrap());
    }
    relay.set(Line::NoAnswer);
    // Carried out, and nobody was told: the caller must not hear that it lost, which a second one would say.
    is_unavailable(source.replace(&ACCESS_TOKEN, row("k"), 1).await);
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().unwrap().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_answer_is_lost_is_sent_again() {
    let (_scratch, relay, source) = behind_a_relay().await;
    relay.set(Line::NoAnswer);
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_connection_is_ended_is_sent_again() {
    let scratch = Scratch::new(Name::Postgres);
    let source = Arc::new(scratch.opened().await);
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let (release, holding) = lock(&scratch);
    let reading = tokio::spawn({
        let source = source.clone();
        async move { source.get(&ACCESS_TOKEN, b"k").await }
    });
    // The read waits for the lock; its connection is ended there.
    until(&scratch, ONE_WAITS).await;
    answer(
        &scratch,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    release.send(()).unwrap();
    holding.join().unwrap();
    assert!(reading.await.unwrap().unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_given_up_and_stopped() {
    let scratch = Scratch::new(Name::Postgres);
    let source = scratch.opened().await;
    let (release, holding) = lock(&scratch);
    is_unavailable(source.insert(&ACCESS_TOKEN, row("k")).await);
    // Another table is free meanwhile.
    assert_eq!(source.get(&CLIENT, b"k").await, Ok(None));
    // Stopped at the server too: it does not insert when the lock is gone.
    until(&scratch, NONE_WAITS).await;
    release.send(()).unwrap();
    holding.join().unwrap();
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_unavailable_at_once_and_what_waited_too_long_is_not_begun() {
    let scratch = Scratch::new(Name::Postgres);
    let few = Settings { max_connections: 1, ..settings(&scratch.string, Name::Postgres) };
    let source = Arc::new(Odbc::new("test", &few, Name::Postgres.dialect()));
    source.prepare().await.unwrap();
    let (release, holding) = lock(&scratch);
    let mut waiting = JoinSet::new();
    for number in 0..100 {
        let source = source.clone();
        waiting.spawn(async move { source.insert(&ACCESS_TOKEN, row(&format!("k{number}"))).await });
    }
    let outcomes = waiting.join_all().await;
    let says = |what: &str| {
        outcomes.iter().filter(|one| matches!(one, Err(StoreError::Unavailable(why)) if why.contains(what))).count()
    };
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    assert!(says("too many verbs wait") >= 60, "{outcomes:?}");
    until(&scratch, NONE_WAITS).await;
    release.send(()).unwrap();
    holding.join().unwrap();
    recovery(&*source).await;
    assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await, Ok(Vec::new()));
}

/// Once one is found lost, the others are not trusted either.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_ended_are_made_anew() {
    let scratch = Scratch::new(Name::Mysql);
    let source = Arc::new(scratch.opened().await);
    let inserts: JoinSet<_> =
        (0..50).map(|n| (source.clone(), format!("{n}"))).fold(JoinSet::new(), |mut all, (source, key)| {
            all.spawn(async move { source.insert(&ACCESS_TOKEN, row(&key)).await });
            all
        });
    assert!(inserts.join_all().await.into_iter().all(|one| one == Ok(true)));
    scratch.execute(&format!(
        "BEGIN NOT ATOMIC FOR one IN (SELECT id FROM information_schema.processlist WHERE db = '{}' AND id <> connection_id()) \
         DO KILL one.id; END FOR; END",
        scratch.name
    ));
    // A read finds a new one by itself.
    assert!(source.get(&ACCESS_TOKEN, b"7").await.unwrap().is_some());
    for number in 0..50 {
        assert!(source.replace(&ACCESS_TOKEN, row(&number.to_string()), 1).await.unwrap());
    }
}
