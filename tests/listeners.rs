//! Listeners, as clients find them that nobody here wrote: TLS and whose certificate it is, HTTP/2, the PROXY protocol, Unix sockets,
//! and the limits on connections.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::authority::{Authority, write_pair};
use crate::harness::curl::Curl;
use crate::harness::program::finish;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node, Request, wait_until};

/// What a request looked like: scheme, version-independent words, the peer, the client's certificate.
const SEEN: &str = r#"route = "/seen"
[[filter]]
use  = "respond"
text = "${request.scheme} ${request.host} from ${request.client_ip} as ${request.cert.subject ?? nobody} ${request.cert.serial ??}"
"#;

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A folder with an authority's certificate (`tls/ca.pem`) and one for `a.example` (`tls/a.pem`).
struct Tls {
    folder: Folder,
    authority: Authority,
    address: SocketAddr,
}

impl Tls {
    fn new() -> Tls {
        let (folder, authority) = (Folder::empty(), Authority::new("test authority"));
        folder.write("policies/seen.toml", SEEN);
        folder.write("tls/ca.pem", &authority.pem());
        let tls = Tls { folder, authority, address: free() };
        tls.server("a", &["a.example"]);
        tls
    }

    fn at(&self) -> PathBuf {
        self.folder.at("tls")
    }

    fn server(&self, name: &str, names: &[&str]) {
        write_pair(&self.at(), name, &self.authority.server(names));
    }

    fn client(&self, name: &str, serial: u64) {
        write_pair(&self.at(), name, &self.authority.client(name, serial));
    }

    /// The listener's table, with this below `[listener.tls]`.
    fn write(&self, more: &str) {
        self.folder.write(
            "node.toml",
            &format!(
                "[[listener]]\nname = \"public\"\naddress = \"{}\"\n[listener.tls]\ncertificate = \"tls/a.pem\"\n\
                 key = {{ file = \"tls/a.key\" }}\n{more}",
                self.address
            ),
        );
    }

    fn start(&self, more: &str) -> Node {
        self.write(more);
        Node::on(&self.folder).own_listeners().start()
    }

    fn curl(&self, url: &str) -> Curl {
        Curl::new(url, self.address).trusts(&self.at().join("ca.pem"))
    }
}

#[test]
fn tls_speaks_both_versions_of_http() {
    let tls = Tls::new();
    let _node = tls.start("");
    let two = tls.curl("https://a.example/seen").printed();
    assert_eq!(two, "https a.example from 127.0.0.1 as nobody \n200 2 1");
    let one = tls.curl("https://a.example/seen").args(["--http1.1"]).printed();
    assert_eq!(one, "https a.example from 127.0.0.1 as nobody \n200 1.1 1");
    let old = tls.curl("https://a.example/seen").args(["--tls-max", "1.2"]).printed();
    assert!(old.ends_with("200 2 1"), "{old}");
    let older = tls.curl("https://a.example/seen").args(["--tls-max", "1.1"]).run();
    assert_ne!(older.code, 0, "nobody speaks TLS 1.1");
}

#[test]
fn nothing_older_than_the_version_that_was_asked_for() {
    let tls = Tls::new();
    let _node = tls.start("min_version = \"1.3\"\n");
    assert!(tls.curl("https://a.example/seen").printed().ends_with("200 2 1"));
    assert_ne!(tls.curl("https://a.example/seen").args(["--tls-max", "1.2"]).run().code, 0);
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let tls = Tls::new();
    tls.server("b", &["b.example", "*.b.example"]);
    let _node = tls.start("more = [{ certificate = \"tls/b.pem\", key = { file = \"tls/b.key\" } }]\n");
    for host in ["a.example", "b.example", "x.b.example"] {
        let seen = tls.curl(&format!("https://{host}/seen")).printed();
        assert!(seen.starts_with(&format!("https {host} ")), "{seen}");
    }
    // It gets the first one, which is not for that name.
    let other = tls.curl("https://c.example/seen").run();
    assert!(other.code != 0 && other.stderr.contains("c.example"), "{}", other.stderr);
}

/// Files that change are taken up, and connections that are open are not touched; a file that is broken does no harm.
#[test]
fn a_certificate_that_is_renewed_is_taken_up() {
    let tls = Tls::new();
    let node = tls.start("");
    let serial = || {
        let shown = tls.curl("https://a.example/seen").args(["--verbose"]).run();
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        let line = shown.stderr.lines().find(|line| line.contains("expire date")).map(str::to_owned);
        (line, shown.stderr.contains("subject: CN=renewed"))
    };
    assert!(!serial().1);
    let renewed = tls.authority.server(&["renewed", "a.example"]);
    write_pair(&tls.at(), "a", &renewed);
    wait_until("the new one is shown", || serial().1);
    tls.folder.write("tls/a.pem", "broken");
    wait_until("it is refused", || node.log().contains("holds no certificate in PEM"));
    assert!(serial().1, "the last good one goes on");
}

#[test]
fn clients_prove_themselves_with_certificates() {
    let tls = Tls::new();
    tls.client("app", 7);
    let stranger = Authority::new("another authority");
    write_pair(&tls.at(), "stranger", &stranger.client("app", 7));
    let node = tls.start("clients = { ca = \"tls/ca.pem\" }\n");
    let ask = |name: &str| tls.curl("https://a.example/seen").proves(&tls.at(), name);
    assert_eq!(ask("app").printed(), "https a.example from 127.0.0.1 as CN=app 7\n200 2 1");
    assert_ne!(tls.curl("https://a.example/seen").run().code, 0, "one is required");
    assert_ne!(ask("stranger").run().code, 0, "nobody trusts who signed it");

    tls.write("clients = { ca = \"tls/ca.pem\", verify = \"optional\" }\n");
    node.reload();
    let nobody = tls.curl("https://a.example/seen").printed();
    assert!(nobody.contains("as nobody"), "{nobody}");
    assert!(ask("app").printed().contains("as CN=app 7"));
    assert_ne!(ask("stranger").run().code, 0, "one that is not good is refused all the same");
}

/// A session that was begun before does not get round a list that came after it.
#[test]
fn certificates_that_were_taken_back_are_refused() {
    let tls = Tls::new();
    tls.client("app", 7);
    tls.client("good", 8);
    tls.folder.write("tls/crl.pem", &tls.authority.revokes(&[], 2999));
    let node = tls.start("clients = { ca = \"tls/ca.pem\", crl = [\"tls/crl.pem\"] }\n");
    let ask = |name: &str| tls.curl("https://a.example/seen").proves(&tls.at(), name);
    assert!(ask("app").printed().contains("as CN=app 7"));
    tls.folder.write("tls/crl.pem", &tls.authority.revokes(&[7], 2999));
    wait_until("it is refused", || ask("app").run().code != 0);
    assert!(ask("good").printed().contains("as CN=good 8"));
    // A list that has run out says nothing of who was taken back since.
    tls.folder.write("tls/crl.pem", &tls.authority.revokes(&[], 2022));
    wait_until("all are refused", || ask("good").run().code != 0);
    wait_until("the operator is told", || node.log().contains("renew what `crl` names"));
    assert_eq!(node.log().matches("renew what `crl` names").count(), 1, "once for all of them");
    let checked = tls.folder.run(["check"]);
    let all = format!("{}{}", checked.stdout, checked.stderr);
    assert!(all.contains("the revocation list in `tls/crl.pem` expired at 2022"), "{all}");
}

/// One connection over TLS: asks once for each line that it reads, and prints the status with what is said of the connection.
const KEPT: &str = r#"
import socket, ssl, sys
port, folder = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
context.load_cert_chain(f"{folder}/app.pem", f"{folder}/app.key")
connection = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="a.example")
for _ in sys.stdin:
    try:
        connection.sendall(b"GET /seen HTTP/1.1\r\nhost: a.example\r\n\r\n")
        head = connection.recv(65536).decode().lower()
    except OSError:
        head = ""
    print(" ".join([head.split()[1], "close" if "connection: close" in head else "kept"]) if head else "closed", flush=True)
"#;

/// Other terms for clients reach those who are connected already: they are served once more, and have to prove themselves again.
#[test]
fn a_connection_that_was_let_in_by_other_terms_ends_with_its_next_answer() {
    let tls = Tls::new();
    tls.client("app", 7);
    tls.folder.write("tls/crl.pem", &tls.authority.revokes(&[], 2999));
    let clients = "clients = { ca = \"tls/ca.pem\", crl = [\"tls/crl.pem\"] }\n";
    let node = tls.start(clients);
    let mut client = Command::new("python3")
        .args(["-c", KEPT, &tls.address.port().to_string()])
        .arg(tls.at())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let (mut asks, answers) = (client.stdin.take().expect("piped"), client.stdout.take().expect("piped"));
    let mut answers = BufReader::new(answers).lines();
    let mut ask = || {
        writeln!(asks).expect("it reads");
        answers.next().expect("a line").expect("text")
    };
    assert_eq!([ask(), ask()], ["200 kept", "200 kept"]);
    // Another certificate of the listener's says nothing of clients.
    tls.server("a", &["a.example", "b.example"]);
    node.reload();
    assert_eq!(ask(), "200 kept");
    tls.folder.write("tls/crl.pem", &tls.authority.revokes(&[7], 2999));
    node.reload();
    assert_eq!([ask(), ask()], ["200 close", "closed"]);
    drop(asks);
    client.wait().expect("it ends");
}

#[test]
fn what_is_no_tls_is_told_so_and_what_is_no_configuration_is_refused() {
    let tls = Tls::new();
    let _node = tls.start("");
    let plain = Request::new(tls.address, "GET", "/seen").send();
    assert!(plain.status == 400 && plain.text().contains("https://"), "{plain:?}");
    let mut silent = Wire::open(tls.address);
    silent.send([0, 1, 2]);
    assert!(silent.is_closed());

    for (more, told) in [
        ("min_version = \"1.1\"\n", "TLS `1.1` is not known here"),
        ("clients = { ca = \"tls/a.key\" }\n", "`tls/a.key` holds no certificate in PEM"),
        ("clients = { ca = \"tls/none.pem\" }\n", "the file `tls/none.pem` does not exist"),
        (
            "more = [{ certificate = \"tls/ca.pem\", key = { file = \"tls/a.key\" } }]\n",
            "the key is not the certificate's",
        ),
    ] {
        tls.write(more);
        let checked = tls.folder.run(["check"]);
        let all = format!("{}{}", checked.stdout, checked.stderr);
        assert!(all.contains(told), "{more}: {all}");
    }
}

/// HTTP/2 in the clear is by prior knowledge, beside HTTP/1.1 at the same address.
#[test]
fn http2_in_the_clear() {
    let folder = Folder::empty();
    folder.write("policies/seen.toml", SEEN);
    let node = Node::start(&folder);
    let url = format!("http://{}/seen", node.address);
    let two = Curl::new(&url, node.address).args(["--http2-prior-knowledge"]).printed();
    assert!(two.starts_with("http 127.0.0.1:") && two.ends_with("200 2 1"), "{two}");
    let many = finish(Command::new("h2load").args(["-n", "500", "-c", "4", "-m", "20", &url]), b"").stdout;
    assert!(many.contains("500 succeeded, 0 failed") && many.contains("status codes: 500 2xx"), "{many}");
    assert!(Curl::new(&url, node.address).printed().ends_with("200 1.1 1"));

    // Whichever HTTP, a request has so many fields.
    let fields: Vec<String> = (0..120).map(|at| format!("x-{at}: a")).collect();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let ask = Curl::new(&url, node.address).args([version]);
        let asked = fields.iter().fold(ask, |ask, field| ask.args(["-H", field])).printed();
        assert!(asked.contains("431 "), "{version}: {asked}");
    }
}

#[test]
fn a_listener_speaks_what_it_is_told_to() {
    let folder = Folder::empty();
    folder.write("policies/seen.toml", SEEN);
    let address = free();
    let listener = |http: &str| format!("[[listener]]\nname = \"a\"\naddress = \"{address}\"\nhttp = [{http}]\n");
    folder.write("node.toml", &listener("\"2\""));
    let node = Node::on(&folder).own_listeners().start();
    let url = format!("http://{address}/seen");
    let two = || Curl::new(&url, address).args(["--http2-prior-knowledge"]).run();
    let one = || Curl::new(&url, address).run();
    assert!(two().code == 0 && one().code != 0);
    folder.write("node.toml", &listener("\"1.1\""));
    node.reload();
    assert!(two().code != 0 && one().code == 0);
}

#[test]
fn the_proxy_protocol_says_whose_connection_it_is() {
    let folder = Folder::empty();
    folder.write("policies/seen.toml", SEEN);
    let address = free();
    let listener =
        |from: &str| format!("[[listener]]\nname = \"a\"\naddress = \"{address}\"\nproxy_protocol = [\"{from}\"]\n");
    folder.write("node.toml", &listener("127.0.0.0/8"));
    let node = Node::on(&folder).own_listeners().start();
    let url = format!("http://{address}/seen");
    let said = Curl::new(&url, address).args(["--haproxy-protocol"]).printed();
    assert!(said.contains(" from 127.0.0.1 "), "{said}");
    let request = b"GET /seen HTTP/1.1\r\nhost: a\r\n\r\n";
    for header in [
        &b"PROXY TCP4 10.1.2.3 127.0.0.1 1000 80\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\x01\x02\x03\x7f\0\0\x01\x03\xe8\x00\x50",
    ] {
        let mut wire = Wire::open(address);
        wire.send(header).send(request);
        let seen = wire.answer().expect("an answer").text();
        assert!(seen.contains(" from 10.1.2.3 "), "{seen}");
    }
    let mut without = Wire::open(address);
    without.send(request);
    assert!(without.is_closed(), "a balancer that does not say it is refused");
    folder.write("node.toml", &listener("10.0.0.0/8"));
    node.reload();
    let mut forged = Wire::open(address);
    forged.send(b"PROXY TCP4 10.1.2.3 127.0.0.1 1000 80\r\n").send(request);
    assert_eq!(forged.answer().expect("an answer").status, 400, "from others it is no HTTP");
}

#[test]
fn unix_sockets() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::empty();
    folder.write("policies/seen.toml", SEEN);
    let tcp = free();
    let node_toml = |mode: &str| {
        format!(
            "[[listener]]\nname = \"tcp\"\naddress = \"{tcp}\"\n[[listener]]\nname = \"local\"\naddress = \"unix:run/gateway.sock\"\n{mode}"
        )
    };
    folder.write("node.toml", &node_toml("mode = \"0600\"\n"));
    let mut node = Node::on(&folder).own_listeners().start();
    let path = folder.at("run/gateway.sock");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let socket = path.display().to_string();
    let ask = || Curl::new("http://a.example/seen", tcp).args(["--unix-socket", &socket]).run();
    assert_eq!(ask().stdout, "http a.example from 127.0.0.1 as nobody \n200 1.1 1");
    folder.write("node.toml", &node_toml("mode = \"0660\"\n"));
    wait_until("another mode is taken up", || mode() == 0o660);
    node.signal("TERM");
    node.end();
    assert!(!path.exists(), "the socket goes with the node");

    // One whose process was killed stays, and is no obstacle.
    let mut node = Node::on(&folder).own_listeners().start();
    node.signal("KILL");
    node.end();
    assert!(path.exists());
    let _node = Node::on(&folder).own_listeners().start();
    assert_eq!(ask().code, 0);
    let second = Node::on(&folder).own_listeners().try_start();
    assert!(second.is_err(), "the socket of a node that runs is not taken from it");
    assert_eq!(ask().code, 0);
}

/// What a shell or a service manager begins with is soon used up.
#[test]
fn a_node_opens_as_many_files_as_it_may() {
    let folder = Folder::empty();
    folder.write("policies/seen.toml", SEEN);
    let node = Node::on(&folder).under(&["prlimit", "--nofile=200:400"]).start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    assert_eq!(files.split_whitespace().filter(|word| *word == "400").count(), 2, "{files}");
    wait_until("it tells", || node.log().contains("the process may open 400 files"));
}

#[test]
fn an_address_has_so_many_connections() {
    let folder = Folder::empty();
    folder.write("policies/seen.toml", SEEN);
    let address = free();
    folder.write(
        "node.toml",
        &format!("[[listener]]\nname = \"a\"\naddress = \"{address}\"\nproxy_protocol = [\"127.0.0.1\"]\nlimits = {{ connections_per_address = 2 }}\n"),
    );
    let _node = Node::on(&folder).own_listeners().start();
    let ask = |from: &str| {
        let mut wire = Wire::open(address);
        wire.send(format!("PROXY TCP4 {from} 127.0.0.1 1000 80\r\nGET /seen HTTP/1.1\r\nhost: a\r\n\r\n"));
        let answer = wire.answer().map(|answer| answer.status);
        (wire, answer)
    };
    let (one, first) = ask("10.0.0.1");
    let (_two, second) = ask("10.0.0.1");
    assert_eq!((first, second), (Some(200), Some(200)));
    assert_eq!(ask("10.0.0.1").1, None, "a third is closed");
    assert_eq!(ask("10.0.0.2").1, Some(200), "others notice nothing");
    drop(one);
    wait_until("there is room again", || ask("10.0.0.1").1 == Some(200));
}

/// Each limit by itself: the connection ends, and the node says nothing to a client that said nothing.
#[test]
fn slow_clients_are_given_up() {
    let folder = Folder::empty();
    folder.write("policies/seen.toml", SEEN);
    folder
        .write("policies/slow.toml", "route = \"/slow\"\n[[filter]]\nuse = \"respond\"\ntext = \"${request.body}\"\n");
    folder.write(
        "node.toml",
        "[limits]\nfirst_byte_timeout = \"1s\"\nheader_timeout = \"1s\"\nidle_timeout = \"1s\"\nrequest_timeout = \"2s\"\n",
    );
    let node = Node::start(&folder);
    let mut silent = Wire::open(node.address);
    assert!(silent.is_closed());
    let mut slow = Wire::open(node.address);
    slow.send("GET /seen HT");
    assert!(slow.is_closed());
    let mut idle = Wire::open(node.address);
    idle.send("GET /seen HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(idle.answer().map(|answer| answer.status), Some(200));
    assert!(idle.is_closed());
    let mut slow = Wire::open(node.address);
    slow.send("POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n");
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(100));
        if slow.try_send("x").is_err() {
            break;
        }
    }
    assert_eq!(slow.answer().map(|answer| answer.status), Some(504), "a whole request has its limit too");
    wait_until("it has its line", || node.log().contains("path=\"/slow\""));
    let log = node.log();
    let line = log.lines().find(|line| line.contains("path=\"/slow\"")).expect("a line");
    assert!(line.contains("method=\"POST\"") && line.contains("status=504 outcome=\"timed out\""), "{line}");
    let metrics = Request::new(node.admin, "GET", "/metrics").send().status(200).text();
    assert!(metrics.contains("portcullis_unanswered_requests_total{outcome=\"timed out\"} 1\n"), "{metrics}");
}
