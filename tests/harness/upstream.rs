//! An upstream of a test's own: a thread a connection, which does exactly what the test says.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// An upstream that listens on a free port until the process ends.
pub struct Upstream {
    /// Where.
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<Vec<String>>>>,
}

/// A connection to the upstream, its request's head read.
pub struct Incoming {
    /// The request's lines, as they came: request line, then headers.
    pub lines: Vec<String>,
    /// The connection.
    pub stream: TcpStream,
}

impl Upstream {
    /// For every request, calls `serve` with its connection; `true` keeps the connection for another one.
    pub fn start(serve: impl Fn(&mut Incoming) -> bool + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let heads: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let (serve, seen) = (Arc::new(serve), heads.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serve, seen) = (serve.clone(), seen.clone());
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    let mut stream = stream;
                    while let Some(lines) = read_head(&mut stream) {
                        seen.lock().unwrap_or_else(PoisonError::into_inner).push(lines.clone());
                        let mut incoming = Incoming { lines, stream };
                        if !serve(&mut incoming) {
                            return;
                        }
                        stream = incoming.stream;
                    }
                });
            }
        });
        Upstream { address, heads }
    }

    /// Answers every request with its own head and body, as text.
    pub fn echo() -> Upstream {
        Upstream::start(|incoming| {
            let body = incoming.body();
            let head = incoming.lines.join("\n");
            incoming.answer("200 OK", &[], format!("{head}\n\n{}", String::from_utf8_lossy(&body)).as_bytes());
            true
        })
    }

    /// The heads of the requests that came so far.
    pub fn heads(&self) -> Vec<Vec<String>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `[upstream.NAME]` for node.toml.
    pub fn toml(&self, name: &str) -> String {
        format!("[upstream.{name}]\ntargets = [\"http://{}\"]\n", self.address)
    }
}

impl Incoming {
    /// A header's values.
    pub fn all(&self, name: &str) -> Vec<String> {
        values(&self.lines, name)
    }

    /// Reads the whole body, as it is framed.
    pub fn body(&mut self) -> Vec<u8> {
        use std::io::Read;
        let mut body = Vec::new();
        if let Some(length) = self.all("content-length").first() {
            let length: u64 = length.parse().expect("a length");
            let _ = (&mut self.stream).take(length).read_to_end(&mut body);
        } else if !self.all("transfer-encoding").is_empty() {
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
        }
        body
    }

    /// Reads one chunk of a chunked body; `None` at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        use std::io::Read;
        let size = usize::from_str_radix(read_line(&mut self.stream)?.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// Answers with a body of known length.
    pub fn answer(&mut self, status: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.send(head.as_bytes());
        self.send(body);
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
        let _ = self.stream.flush();
    }
}

/// The values of a header among the lines of a head.
pub fn values(lines: &[String], name: &str) -> Vec<String> {
    let pairs = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    pairs.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned()).collect()
}

fn read_head(stream: &mut TcpStream) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let line = read_line(stream)?;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() && !lines.is_empty() {
            return Some(lines);
        }
        lines.push(line.to_owned());
    }
}

/// Reads a line byte by byte, so that nothing of what follows is taken.
fn read_line(stream: &mut TcpStream) -> Option<String> {
    use std::io::Read;
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        line.push(byte[0]);
        if byte[0] == b'\n' {
            return String::from_utf8(line).ok();
        }
    }
}
