//! A PostgreSQL database of a test's own, and a line to it that can be cut.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::config::Host;
use tokio_postgres::{Config, NoTls};

use super::unique;

/// The variable that says where the server is.
const VARIABLE: &str = "PORTCULLIS_TEST_POSTGRES";

/// An empty database, dropped at the end.
pub struct Postgres {
    server: Config,
    name: String,
}

const UP: u8 = 0;
const CUT: u8 = 1;
const SILENT: u8 = 2;

/// A line to a server: everything goes through it, until it is cut or falls silent.
pub struct Line {
    /// Where it begins.
    pub address: SocketAddr,
    state: Arc<AtomicU8>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Postgres {
    /// Makes the database.
    #[track_caller]
    pub fn create() -> Postgres {
        let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!("{VARIABLE} is not set: run the tests with tests/run, which starts PostgreSQL and sets it")
        });
        let server: Config = url.parse().expect("the URL of a PostgreSQL server");
        let name = format!("portcullis_{}", unique());
        execute(&server, &format!("CREATE DATABASE {name}"));
        Postgres { server, name }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let (host, port) = self.host();
        self.url_at(&format!("{host}:{port}"))
    }

    /// Its URL over this line.
    pub fn url_over(&self, line: &Line) -> String {
        self.url_at(&line.address.to_string())
    }

    /// A line to its server.
    pub fn line(&self) -> Line {
        let (host, port) = self.host();
        Line::to((host.as_str(), port).to_socket_addrs().expect("its address").next().expect("an address"))
    }

    /// Runs a statement in it.
    pub fn execute(&self, statement: &str) {
        execute(self.server.clone().dbname(&self.name), statement);
    }

    /// The one number that a query gives.
    pub fn number(&self, query: &str) -> i64 {
        on(self.server.clone().dbname(&self.name), async |client| {
            client.query_one(query, &[]).await.expect("the query").get(0)
        })
    }

    fn host(&self) -> (String, u16) {
        let host = match self.server.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            _ => String::from("127.0.0.1"),
        };
        (host, self.server.get_ports().first().copied().unwrap_or(5432))
    }

    fn url_at(&self, place: &str) -> String {
        let user = self.server.get_user().unwrap_or("postgres");
        let password =
            self.server.get_password().map(|p| format!(":{}", String::from_utf8_lossy(p))).unwrap_or_default();
        format!("postgres://{user}{password}@{place}/{}", self.name)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // A second panic would hide the first; the whole server goes when the tests are over.
        }
        // FORCE: a node that is still there must not keep it.
        execute(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

impl Line {
    /// A line to this server.
    pub fn to(server: SocketAddr) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (state, open) = (Arc::new(AtomicU8::new(UP)), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (now, kept) = (state.clone(), open.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Cut: the connection is taken and closed at once, as by a server that is shutting down.
                let is_cut = now.load(Ordering::SeqCst) == CUT;
                let Some(server) = (!is_cut).then(|| TcpStream::connect(server).ok()).flatten() else { continue };
                let mut ends = kept.lock().unwrap_or_else(PoisonError::into_inner);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let now = now.clone();
                    std::thread::spawn(move || copy(&mut from, &mut to, &now));
                }
                ends.extend([client, server]);
            }
        });
        Line { address, state, open }
    }

    /// Cuts it: what is open breaks off, and nothing new goes through.
    pub fn cut(&self) {
        self.state.store(CUT, Ordering::SeqCst);
        for end in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = end.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Lets it fall silent: what is open stays open, and nothing goes through, as behind a firewall that drops all.
    pub fn silence(&self) {
        self.state.store(SILENT, Ordering::SeqCst);
    }

    /// Mends it.
    pub fn mend(&self) {
        self.state.store(UP, Ordering::SeqCst);
    }
}

fn copy(from: &mut TcpStream, to: &mut TcpStream, state: &AtomicU8) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        while state.load(Ordering::SeqCst) == SILENT {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}

fn execute(config: &Config, statement: &str) {
    on(config, async |client| client.batch_execute(statement).await.unwrap_or_else(|why| panic!("{statement}: {why}")));
}

fn on<T>(config: &Config, work: impl AsyncFnOnce(tokio_postgres::Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = config.connect(NoTls).await.expect("PostgreSQL answers");
        let connection = tokio::spawn(connection);
        let value = work(client).await;
        let _ = connection.await;
        value
    })
}
