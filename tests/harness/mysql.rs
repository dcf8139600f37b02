//! A MariaDB database of a test's own.

use std::net::ToSocketAddrs;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use super::postgres::Line;
use super::unique;

/// The variable that says where the server is.
const VARIABLE: &str = "PORTCULLIS_TEST_MYSQL";

/// An empty database, dropped at the end.
pub struct Mysql {
    server: Opts,
    name: String,
}

impl Mysql {
    /// Makes the database.
    #[track_caller]
    pub fn create() -> Mysql {
        let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!("{VARIABLE} is not set: run the tests with tests/run, which starts MariaDB and sets it")
        });
        let server = Opts::from_url(&url).expect("the URL of a MariaDB server");
        let name = format!("portcullis_{}", unique());
        execute(&server, format!("CREATE DATABASE {name}"));
        Mysql { server, name }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.url_at(&format!("{}:{}", self.server.ip_or_hostname(), self.server.tcp_port()))
    }

    /// Its URL over this line.
    pub fn url_over(&self, line: &Line) -> String {
        self.url_at(&line.address.to_string())
    }

    /// A line to its server.
    pub fn line(&self) -> Line {
        let mut addresses =
            (self.server.ip_or_hostname(), self.server.tcp_port()).to_socket_addrs().expect("its address");
        Line::to(addresses.next().expect("an address"))
    }

    /// Runs statements in it, one a line or more.
    pub fn execute(&self, statements: &str) {
        let opts = OptsBuilder::from_opts(self.server.clone()).db_name(Some(&self.name));
        execute(&opts.into(), statements.to_owned());
    }

    fn url_at(&self, place: &str) -> String {
        format!("mysql://{}@{place}/{}", self.server.user().unwrap_or("root"), self.name)
    }
}

impl Drop for Mysql {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // A second panic would hide the first; the whole server goes when the tests are over.
        }
        execute(&self.server, format!("DROP DATABASE IF EXISTS {}", self.name));
    }
}

fn execute(server: &Opts, statement: String) {
    let opts = OptsBuilder::from_opts(server.clone()).prefer_socket(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut conn = Conn::new(opts).await.expect("MariaDB answers");
        conn.query_drop(&statement).await.unwrap_or_else(|why| panic!("{statement}: {why}"));
        conn.disconnect().await.expect("it ends");
    });
}
