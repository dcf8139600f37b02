//! A part of a Redis server of a test's own: the one that `tests/run` starts, under a prefix that nobody else has.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use super::postgres::Line;
use super::{Folder, unique};

/// The variable that says where the server is.
const VARIABLE: &str = "PORTCULLIS_TEST_REDIS";

/// Keys with a prefix of their own, deleted at the end.
pub struct Redis {
    url: String,
    prefix: String,
}

impl Redis {
    /// Takes a prefix.
    #[track_caller]
    pub fn create() -> Redis {
        let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!("{VARIABLE} is not set: run the tests with tests/run, which starts Redis and sets it")
        });
        Redis { url, prefix: format!("portcullis.{}", unique()) }
    }

    /// The folder of a node of two, with everything on it, which it reaches by this URL.
    pub fn folder(&self, name: &str, url: &str) -> Folder {
        let folder = Folder::of_two(name, &self.stores());
        folder.write("url", url);
        folder
    }

    fn stores(&self) -> String {
        format!(
            "default = \"tokens\"\n[source.tokens]\ntype = \"redis\"\nurl = {{ file = \"url\" }}\nprefix = \"{}\"\n",
            self.prefix
        )
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Its URL over this line.
    pub fn url_over(&self, line: &Line) -> String {
        self.url.replacen(self.host(), &line.address.to_string(), 1)
    }

    /// A line to its server.
    pub fn line(&self) -> Line {
        Line::to(self.address())
    }

    /// How many of its keys are of one table.
    pub fn keys(&self, table: &str) -> i64 {
        self.number(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", &format!("{{{}:{table}}}:*", self.prefix)])
    }

    fn host(&self) -> &str {
        self.url.split('/').nth(2).expect("a URL with a host")
    }

    fn address(&self) -> SocketAddr {
        self.host().to_socket_addrs().expect("its address").next().expect("an address")
    }

    /// Makes a user with this password, or gives it another one; its connections are ended. Its URL.
    pub fn user(&self, name: &str, password: &str) -> String {
        let told =
            self.answer(&["ACL", "SETUSER", name, "on", "resetpass", &format!(">{password}"), "~*", "&*", "+@all"]);
        assert_eq!(told.trim_end(), "+OK");
        self.number(&["CLIENT", "KILL", "USER", name]);
        self.url.replacen("://", &format!("://{name}:{password}@"), 1)
    }

    /// The number that a command answers.
    fn number(&self, words: &[&str]) -> i64 {
        let answer = self.answer(words);
        let number = answer.strip_prefix(':').and_then(|number| number.trim_end().parse().ok());
        number.unwrap_or_else(|| panic!("{words:?}: {answer}"))
    }

    /// The first line of what a command answers.
    fn answer(&self, words: &[&str]) -> String {
        let mut wire = BufReader::new(TcpStream::connect(self.address()).expect("Redis answers"));
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        wire.get_mut().write_all(command.as_bytes()).expect("it takes a command");
        let mut answer = String::new();
        wire.read_line(&mut answer).expect("it answers");
        answer
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // A second panic would hide the first; the whole server goes when the tests are over.
        }
        let delete = "local keys = redis.call('KEYS', ARGV[1]) \
                      for _, key in ipairs(keys) do redis.call('DEL', key) end return #keys";
        self.number(&["EVAL", delete, "0", &format!("{{{}:*", self.prefix)]);
    }
}
