//! On real servers, which `tests/run` starts: the conformance suite on Redis and on Valkey; rows that go by themselves; opening;
//! outages; how much a verb asks of the server.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oauth::Secret;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value};
use tokio::time::{Instant, sleep};

use super::{Redis, Settings, Url};
use crate::conformance::Fresh;
use crate::source::{DataSource, Row, StoreError};

mod changes;
mod expiry;
mod opening;
mod outages;
mod work;

/// A prefix of one test's own; its keys are deleted at the end.
struct Scratch {
    url: String,
    prefix: String,
}

impl Scratch {
    fn new() -> Self {
        Self::on(&variable("PORTCULLIS_TEST_REDIS"))
    }

    fn on(url: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Scratch { url: url.to_owned(), prefix }
    }

    fn settings(&self, url: &str) -> Settings {
        Settings { prefix: self.prefix.clone(), ..settings(url) }
    }

    /// A source on it, over this URL, that was not opened.
    fn source_over(&self, url: &str) -> Redis {
        Redis::new("test", &self.settings(url))
    }

    fn source(&self) -> Redis {
        self.source_over(&self.url)
    }

    /// A source on it that was opened.
    async fn opened(&self) -> Redis {
        let source = self.source();
        source.prepare().await.unwrap();
        source
    }

    /// The names of its keys, without the prefix, in order.
    async fn keys(&self) -> Vec<String> {
        let keys: Vec<Vec<u8>> = ask(&self.url, &["KEYS", &format!("{{{}:*", self.prefix)]).await;
        let mut keys: Vec<String> = keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        keys.iter_mut().for_each(|key| *key = key.replacen(&format!("{}:", self.prefix), "", 1));
        keys.sort();
        keys
    }

    /// The full name of a key: `{access_token}:rows`.
    fn key(&self, name: &str) -> String {
        name.replacen('{', &format!("{{{}:", self.prefix), 1)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (url, pattern) = (self.url.clone(), format!("{{{}:*", self.prefix));
        let script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
        // A thread with a runtime of its own, since the test's runtime may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(ask::<Value>(&url, &["EVAL", script, "0", &pattern]))
        });
        // Its own server may be gone already.
        let _ = dropping.join();
    }
}

/// A Redis server of one test's own.
struct Server {
    process: Child,
    folder: tempfile::TempDir,
    url: String,
    port: u16,
    arguments: Vec<String>,
}

impl Server {
    /// Starts one, with further arguments of `redis-server`.
    async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        for _ in 0..5 {
            // Another process may take the port before the server does.
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(process) = run(folder.path(), port, &arguments).await {
                return Server { process, folder, url: format!("redis://127.0.0.1:{port}/0"), port, arguments };
            }
        }
        panic!("redis-server did not start");
    }

    /// As a crash.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// On the same port and data.
    async fn restart(&mut self) {
        self.process = run(self.folder.path(), self.port, &self.arguments).await.expect("it starts again");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn run(folder: &std::path::Path, port: u16, arguments: &[String]) -> Option<Child> {
    let mut process = Command::new(variable("PORTCULLIS_TEST_REDIS_SERVER"))
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"])
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let answers = async || {
        let mut connection = connect(&format!("redis://127.0.0.1:{port}")).await.ok()?;
        match redis::cmd("PING").query_async::<Value>(&mut connection).await {
            // It may want a password first.
            Err(error) if error.code() != Some("NOAUTH") => None,
            _ => Some(()),
        }
    };
    while process.try_wait().unwrap().is_none() && Instant::now() < deadline {
        if answers().await.is_some() {
            return Some(process);
        }
        sleep(Duration::from_millis(20)).await;
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: these tests need a real server, which tests/run starts (`tests/run test -- -p store --features redis` for these alone)")
    })
}

async fn connect(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    redis::Client::open(url)?.get_multiplexed_async_connection().await
}

/// What a server answers to a command.
async fn ask<T: FromRedisValue>(url: &str, words: &[&str]) -> T {
    let mut connection = connect(url).await.unwrap();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut connection).await.unwrap()
}

fn settings(url: &str) -> Settings {
    Settings {
        url: Url::new(Secret::new(url.to_owned())),
        prefix: super::portcullis(),
        connect_timeout: super::two_seconds(),
        command_timeout: super::three_seconds(),
    }
}

/// A row of `access_token`.
fn row(key: &str) -> Row {
    let indexes = vec![Some("app".to_owned()), None, Some("grant".to_owned())];
    Row { key: key.into(), version: 1, expires_at: Some(10), indexes, record: "{}".into() }
}

/// Why it is unavailable for now.
fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn fresh(variable_name: &str) -> Fresh {
    let scratch = Scratch::on(&variable(variable_name));
    Fresh::keeping(Arc::new(scratch.opened().await), scratch)
}

crate::conformance!(conformance_redis, fresh("PORTCULLIS_TEST_REDIS"));
crate::conformance!(conformance_valkey, fresh("PORTCULLIS_TEST_VALKEY"));
