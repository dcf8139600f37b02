//! HTTP/1.1 by hand, on a blocking socket: what is sent is exactly what the test says, also where it is malformed.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::http::Response;

/// How long a socket may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    /// Connects.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Wire {
        Wire::try_open(address).unwrap_or_else(|why| panic!("no connection to {address}: {why}"))
    }

    /// Connects, where somebody listens.
    pub fn try_open(address: SocketAddr) -> std::io::Result<Wire> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream: BufReader::new(stream) })
    }

    /// Sends bytes. A peer that has closed already is no error here: its answer tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Wire {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
        self
    }

    /// Sends bytes, and says whether they went.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Ends our side.
    pub fn finish(&mut self) -> &mut Wire {
        let _ = self.stream.get_mut().shutdown(std::net::Shutdown::Write);
        self
    }

    /// Reads an answer; `None` where the peer closed without one.
    pub fn answer(&mut self) -> Option<Response> {
        self.answer_to("GET")
    }

    /// Reads the answer to a request with this method.
    pub fn answer_to(&mut self, method: &str) -> Option<Response> {
        let mut response = self.head()?;
        // 1xx answers come before the one that counts.
        while response.status / 100 == 1 {
            response = self.head()?;
        }
        let bodiless = method == "HEAD" || response.status == 204 || response.status == 304;
        if !bodiless {
            response.whole = self.body(&mut response);
        }
        Some(response)
    }

    /// Reads status line and headers.
    pub fn head(&mut self) -> Option<Response> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            match self.stream.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(why) if why.kind() == ErrorKind::ConnectionReset => return None,
                Err(why) => panic!("no answer: {why}"),
            }
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        Some(Response::from_head(&lines))
    }

    /// Reads the body as its headers frame it; `false` where it broke off.
    fn body(&mut self, response: &mut Response) -> bool {
        if response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return self.chunked(response);
        }
        match response.header("content-length") {
            Some(length) => {
                let length: u64 = length.parse().expect("a length");
                let read = (&mut self.stream).take(length).read_to_end(&mut response.body);
                read.is_ok() && response.body.len() as u64 == length
            }
            None => self.stream.read_to_end(&mut response.body).is_ok(),
        }
    }

    fn chunked(&mut self, response: &mut Response) -> bool {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return false;
            }
            let Ok(size) = u64::from_str_radix(line.trim_end().split(';').next().unwrap_or_default(), 16) else {
                return false;
            };
            if size == 0 {
                return self.trailers(response);
            }
            let before = response.body.len() as u64;
            let read = (&mut self.stream).take(size).read_to_end(&mut response.body);
            let mut end = [0; 2];
            if read.is_err() || response.body.len() as u64 != before + size || self.stream.read_exact(&mut end).is_err()
            {
                return false;
            }
        }
    }

    fn trailers(&mut self, response: &mut Response) -> bool {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return false;
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => return true,
            }
        }
    }

    /// Reads an answer, where one begins within this time.
    pub fn answer_within(&mut self, time: Duration) -> Option<Response> {
        self.stream.get_ref().set_read_timeout(Some(time)).ok()?;
        let begins = matches!(self.stream.fill_buf(), Ok([_, ..]));
        self.stream.get_ref().set_read_timeout(Some(SILENCE)).ok()?;
        begins.then(|| self.answer()).flatten()
    }

    /// Reads some bytes of a body that streams.
    pub fn read_some(&mut self) -> Vec<u8> {
        let bytes = self.stream.fill_buf().expect("bytes of a body").to_vec();
        self.stream.consume(bytes.len());
        bytes
    }

    /// Whether the peer has closed, or does so soon.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(more) => more.is_empty(),
            // Time that is up says nothing.
            Err(why) => !matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}
