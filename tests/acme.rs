//! Certificates by ACME, from pebble: the authority that Let's Encrypt's people wrote for tests of clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::harness::authority::{Authority, write_pair};
use crate::harness::curl::Curl;
use crate::harness::{Folder, Node, wait_until};

const SEEN: &str = "route = \"/seen\"\n[[filter]]\nuse = \"respond\"\ntext = \"seen\"\n";

fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// pebble, and a name server that says of every name that it is here. It comes to `https` and to `http` for its proofs.
struct Pebble {
    children: Vec<Child>,
    folder: Folder,
    directory: SocketAddr,
    management: SocketAddr,
    https: SocketAddr,
    http: SocketAddr,
}

impl Pebble {
    /// Its certificates live so many seconds; `more` is what else its settings say.
    fn start(seconds: u64, more: &str) -> Pebble {
        let (folder, authority) = (Folder::empty(), Authority::new("of pebble's own server"));
        let own = folder.at("pebble");
        write_pair(&own, "server", &authority.server(&["localhost"]));
        folder.write("pebble/ca.pem", &authority.pem());
        let (directory, management, https, http) = (free(), free(), free(), free());
        folder.write(
            "pebble/config.json",
            &format!(
                r#"{{"pebble": {{"listenAddress": "{directory}", "managementListenAddress": "{management}",
                "certificate": "{server}.pem", "privateKey": "{server}.key", "httpPort": {}, "tlsPort": {},
                "ocspResponderURL": "", "certificateValidityPeriod": {seconds}{more}}}}}"#,
                http.port(),
                https.port(),
                server = own.join("server").display(),
            ),
        );
        let names = free();
        let mut server = Command::new("pebble-challtestsrv");
        server.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", &names.to_string()]);
        server.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", &free().to_string()]);
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(own.join("config.json")).args(["-dnsserver", &names.to_string()]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1");
        let start = |mut command: Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pebble starts")
        };
        let pebble =
            Pebble { children: vec![start(server), start(pebble)], folder, directory, management, https, http };
        wait_until("pebble answers", || pebble.roots().is_some());
        pebble
    }

    /// The certificate of the authority that signs what it makes: it makes one anew at each start.
    fn roots(&self) -> Option<PathBuf> {
        let url = format!("https://localhost:{}/roots/0", self.management.port());
        let got = Curl::new(&url, self.management).trusts(&self.folder.at("pebble/ca.pem")).run();
        let pem = got.stdout.split_once("\n200 ").map(|(pem, _)| pem.to_owned())?;
        self.folder.write("pebble/roots.pem", &pem);
        Some(self.folder.at("pebble/roots.pem"))
    }

    /// A node whose certificate it makes.
    fn node(&self, more: &str, listeners: &str) -> Node {
        self.folder.write("policies/seen.toml", SEEN);
        self.folder.write(
            "node.toml",
            &format!(
                "{listeners}[[listener]]\nname = \"public\"\naddress = \"{}\"\n[listener.tls.acme]\n\
                 directory = \"https://localhost:{}/dir\"\nca = \"pebble/ca.pem\"\nnames = [\"a.example\", \"b.example\"]\n\
                 contact = [\"mailto:ops@a.example\"]\nterms_agreed = true\n{more}",
                self.https,
                self.directory.port()
            ),
        );
        Node::on(&self.folder).own_listeners().start()
    }

    fn ask(&self, host: &str) -> Option<String> {
        let got =
            Curl::new(&format!("https://{host}/seen"), self.https).trusts(&self.roots()?).args(["--verbose"]).run();
        (got.code == 0).then_some(got.stderr)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The proof is over TLS on the listener itself, which has no certificate before that.
#[test]
fn a_certificate_is_got_and_renewed() {
    let pebble = Pebble::start(15, "");
    let node = pebble.node("", "");
    wait_until("there is a certificate", || pebble.ask("a.example").is_some());
    assert!(pebble.ask("b.example").is_some());
    let file = || pebble.folder.read("var/acme/public.pem");
    let first = file();
    // After two thirds of its 15 s.
    wait_until("it is renewed", || file() != first);
    wait_until("the new one is shown", || pebble.ask("a.example").is_some());
    drop(node);
    // What was got is there at the next start, and the account too.
    let accounts = || std::fs::read_dir(pebble.folder.at("var/acme")).unwrap().count();
    assert_eq!(accounts(), 2);
    let _node = pebble.node("", "");
    wait_until("it is taken up", || pebble.ask("a.example").is_some());
    assert_eq!(accounts(), 2, "no second account was made");
}

#[test]
fn proofs_over_http_and_accounts_that_are_bound_to_others() {
    let pebble = Pebble::start(
        3600,
        ", \"externalAccountBindingRequired\": true, \"externalAccountMACKeys\": {\"kid-1\": \"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\"}",
    );
    let account =
        "proof = \"http-01\"\n[listener.tls.acme.external_account]\nid = \"kid-1\"\nkey = { env = \"ACCOUNT_KEY\" }\n";
    let plain = format!("[[listener]]\nname = \"plain\"\naddress = \"{}\"\n", pebble.http);
    pebble.folder.write("policies/seen.toml", SEEN);

    let refused = pebble.node("proof = \"http-01\"\n", &plain);
    wait_until("the authority wants another account", || refused.log().contains("no certificate was got by ACME"));
    drop(refused);
    let node_toml = pebble.folder.read("node.toml").replace("proof = \"http-01\"\n", account);
    pebble.folder.write("node.toml", &node_toml);
    let _node = Node::on(&pebble.folder)
        .own_listeners()
        .env("ACCOUNT_KEY", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")
        .start();
    wait_until("there is a certificate", || pebble.ask("a.example").is_some());
}

#[test]
fn what_cannot_be_asked_of_an_authority_is_refused() {
    let folder = Folder::empty();
    folder.write("policies/seen.toml", SEEN);
    for (acme, told) in [
        ("names = [\"*.a.example\"]\nterms_agreed = true\n", "the names of hosts are what a certificate is for"),
        ("names = [\"a.example\"]\nterms_agreed = false\n", "for those alone who agree to its terms"),
        ("names = [\"a.example\"]\n", "`terms_agreed` is missing"),
        ("names = [\"a.example\"]\nterms_agreed = true\ndirectory = \"http://a\"\n", "directory is an https URL"),
        ("names = [\"a.example\"]\nterms_agreed = true\nproof = \"dns-01\"\n", "`dns-01` is no proof"),
    ] {
        folder.write(
            "node.toml",
            &format!("[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:1\"\n[listener.tls.acme]\n{acme}"),
        );
        let checked = folder.run(["check"]);
        let all = format!("{}{}", checked.stdout, checked.stderr);
        assert!(checked.code == 1 && all.contains(told), "{acme}: {all}");
    }
}
