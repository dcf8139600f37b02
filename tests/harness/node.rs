//! A running node.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use serde_json::Value;

use super::folder::{Client, Folder, text};
use super::http::{Request, Response};
use super::program::{Run, command, portcullis};
use super::{DEADLINE, wait_until};

/// A node; it is killed when it goes out of scope.
pub struct Node {
    child: Child,
    dir: PathBuf,
    log: PathBuf,
    /// What it said when it served.
    pub started: Value,
    /// Its first listener.
    pub address: SocketAddr,
    /// Its admin address.
    pub admin: SocketAddr,
}

/// A node in the making.
pub struct Builder<'a> {
    folder: &'a Path,
    args: Vec<String>,
    env: Vec<(String, String)>,
    under: Vec<String>,
    listen: bool,
}

impl Node {
    /// Starts a node on this configuration, on free ports, and waits until it takes traffic.
    #[track_caller]
    pub fn start(folder: &Folder) -> Node {
        Node::on(folder).start()
    }

    /// A node on this configuration, with more to say.
    pub fn on(folder: &Folder) -> Builder<'_> {
        Builder { folder: folder.path(), args: Vec::new(), env: Vec::new(), under: Vec::new(), listen: true }
    }

    /// A request to it.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.address, method, target)
    }

    /// A GET.
    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    /// A POST.
    pub fn post(&self, target: &str) -> Request {
        self.request("POST", target)
    }

    /// Whether it says that it takes traffic: it serves before its sources are open.
    pub fn is_ready(&self) -> bool {
        Request::new(self.admin, "GET", "/health/ready").send().status == 200
    }

    /// Asks the admin address, with the credential that lies in the folder.
    pub fn admin(&self, method: &str, target: &str) -> Request {
        let token = std::fs::read_to_string(self.dir.join("var/admin.token")).expect("the admin token");
        Request::new(self.admin, method, target).bearer(token.trim_end())
    }

    /// Asks for a token.
    pub fn ask_token(&self, client: &Client, more: &[(&str, &str)]) -> Response {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(more);
        self.post("/api/oauth/token").basic(&client.id, &client.secret).form(&form).send()
    }

    /// A token.
    #[track_caller]
    pub fn token(&self, client: &Client) -> String {
        text(&self.ask_token(client, &[]).status(200).json(), "access_token")
    }

    /// OAG's question about a token.
    pub fn tokeninfo(&self, token: &str) -> Response {
        self.post("/api/oauth/tokeninfo").form(&[("access_token", token)]).send()
    }

    /// Runs the program in the node's folder, towards this node.
    #[track_caller]
    pub fn command(&self, args: &[&str]) -> Run {
        let admin = self.admin.to_string();
        portcullis(&self.dir, args.iter().copied().chain(["--admin", &admin]))
    }

    /// Loads the files as they stand now, which must be taken.
    #[track_caller]
    pub fn reload(&self) -> Run {
        self.command(&["reload", "--wait"]).code(0)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `TERM`, `HUP`, `KILL`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill").success(), "the signal was sent");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the node ends", || {
            status = self.child.try_wait().expect("the node's status");
            status.is_some()
        });
        status.expect("it ended")
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("the node's status").is_none()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Builder<'_> {
    /// With a word on its command line.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    /// With a variable in its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Under another program, which turns into it.
    pub fn under(mut self, words: &[&str]) -> Self {
        self.under = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// On the listeners of its node.toml.
    pub fn own_listeners(mut self) -> Self {
        self.listen = false;
        self
    }

    /// Starts it, and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Node {
        self.try_start().unwrap_or_else(|run| panic!("the node does not start:\n{}\n{}", run.stdout, run.stderr))
    }

    /// Starts it, or gives what it ended with.
    pub fn try_start(self) -> Result<Node, Run> {
        let log = self.folder.join(format!("node-{}.log", super::unique()));
        let mut command = command(self.folder, &self.under);
        command.args(["run", "--json", "--admin", "127.0.0.1:0"]);
        if self.listen {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(&self.args).envs(self.env).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(File::create(&log).expect("the node's log"));
        let mut child = command.spawn().expect("the node starts");
        let (send, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));

        let Ok(line) = lines.recv_timeout(DEADLINE) else {
            let _ = child.kill();
            let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(-1);
            return Err(Run { code, stdout: String::new(), stderr: std::fs::read_to_string(&log).unwrap_or_default() });
        };
        let started: Value = match serde_json::from_str(&line) {
            Ok(started) if child.try_wait().is_ok_and(|status| status.is_none()) => started,
            // No start: it tells why, and ends by itself.
            _ => {
                let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(-1);
                let rest: Vec<_> = std::iter::once(line).chain(lines.iter()).collect();
                let stderr = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(Run { code, stdout: rest.join("\n"), stderr });
            }
        };
        let address = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).expect("an address");
        Ok(Node {
            address: address(&started["listeners"][0]["address"]),
            admin: address(&started["admin"]),
            dir: self.folder.to_owned(),
            child,
            log,
            started,
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the node's log ends so:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}
