//! Messages on a stream: a header that says how long, then JSON. Whatever comes that is no message, the next one is found.

use std::io::{self, BufRead, Read, Write};

use lsp_server::{ErrorCode, Message};
use serde_json::{Value, json};

/// A longer message is passed over: a configuration file has at most 4 MiB.
const LONGEST: u64 = 64 << 20;

/// A longer line of a header is none.
const LONGEST_LINE: u64 = 4 << 10;

/// What was read.
#[derive(Debug)]
pub(super) enum Read_ {
    Message(Message),
    /// Something that is no message, with what is to be answered.
    Refused(Value),
}

/// The next message; `None` at the end of the stream.
pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Read_>> {
    let Some(length) = header(from)? else { return Ok(None) };
    if length > LONGEST {
        let passed = io::copy(&mut from.take(length), &mut io::sink())?;
        let message = format!("the message is longer than {} MiB", LONGEST >> 20);
        return Ok((passed == length).then(|| Read_::Refused(refusal(Value::Null, ErrorCode::InvalidRequest, message))));
    }
    let mut body = Vec::new();
    if from.take(length).read_to_end(&mut body)? as u64 != length {
        return Ok(None);
    }
    Ok(Some(message(&body)))
}

/// A message as it goes over the stream.
pub(super) fn write(to: &mut impl Write, message: &Message) -> io::Result<()> {
    message.write(to)
}

/// The same for an answer to what could not be understood.
pub(super) fn write_raw(to: &mut impl Write, message: &Value) -> io::Result<()> {
    let text = message.to_string();
    write!(to, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    to.flush()
}

fn message(body: &[u8]) -> Read_ {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(why) => return Read_::Refused(refusal(Value::Null, ErrorCode::ParseError, why.to_string())),
    };
    let id = value.get("id").cloned().unwrap_or_default();
    let refused = |id| Read_::Refused(refusal(id, ErrorCode::InvalidRequest, String::from("this is no request")));
    match serde_json::from_value(value) {
        // Its id can be none, so that nobody could answer it.
        Ok(Message::Notification(_)) if !id.is_null() => refused(id),
        Ok(message) => Read_::Message(message),
        Err(_) => refused(id),
    }
}

fn refusal(id: Value, code: ErrorCode, message: String) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code as i32, "message": message } })
}

/// The length that the next header gives. Lines that belong to none are passed over.
fn header(from: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut length = None;
    loop {
        let Some(line) = line(from)? else { return Ok(None) };
        if line.is_empty() {
            match length {
                Some(length) => return Ok(Some(length)),
                None => continue,
            }
        }
        let text = String::from_utf8_lossy(&line);
        // What came without a header stands before it on its line.
        if let Some((name, value)) = text.rsplit_once(':')
            && name.trim_end().to_ascii_lowercase().ends_with("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}

/// A line without its end; of a line that is too long, nothing that says anything.
fn line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<String> {
        let mut from = io::BufReader::new(bytes);
        let mut found = Vec::new();
        while let Some(read) = read(&mut from).unwrap() {
            found.push(match read {
                Read_::Message(Message::Notification(n)) => n.method,
                Read_::Message(Message::Request(r)) => format!("{} {}", r.id, r.method),
                Read_::Message(Message::Response(r)) => format!("answer {}", r.id),
                Read_::Refused(answer) => format!("{} {}", answer["id"], answer["error"]["code"]),
            });
        }
        found
    }

    fn framed(body: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn messages_and_what_is_none() {
        let note = framed(r#"{"jsonrpc":"2.0","method":"x"}"#);
        let long = format!("Content-Length: {}\r\n\r\n{}", LONGEST + 1, "x".repeat(LONGEST as usize + 1));
        for (bytes, expected) in [
            (String::new(), vec![]),
            (note.clone(), vec!["x"]),
            (framed(r#"{"jsonrpc":"2.0","id":1,"method":"y","params":{}}"#), vec!["1 y"]),
            (format!("garbage\r\n\r\n{note}"), vec!["x"]),
            (format!("{}\n{note}", "g".repeat(10_000)), vec!["x"]),
            (format!("{{\"id\":1}}{note}{note}"), vec!["x", "x"]),
            (format!("Content-Length: 1\r\n\r\n{{\"id\":1}}{note}"), vec!["null -32700", "x"]),
            (format!("{}{note}", framed("{")), vec!["null -32700", "x"]),
            (format!("{}{note}", framed("[1]")), vec!["null -32600", "x"]),
            (format!("{}{note}", framed(r#"{"id":7}"#)), vec!["7 -32600", "x"]),
            (format!("{}{note}", framed(r#"{"id":1.5,"method":"z"}"#)), vec!["1.5 -32600", "x"]),
            (format!("content-length: {}\n\nContent-Type: x\n\n{note}", 2), vec!["null -32700", "x"]),
            (String::from("Content-Length: 99999999999999999999\r\n\r\nab"), vec![]),
            (String::from("Content-Length: 10\r\n\r\nab"), vec![]),
            (format!("{long}{note}"), vec!["null -32600", "x"]),
        ] {
            assert_eq!(all(bytes.as_bytes()), expected, "{}", &bytes[..bytes.len().min(80)]);
        }
    }
}
