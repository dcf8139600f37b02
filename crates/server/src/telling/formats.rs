//! How a line of the access log looks: JSON, the Common Log Format, and the Combined one. Whatever a client sent is escaped, so that one
//! request is one line.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use crate::settings::{AccessField, AccessFormat, AccessLines};

/// What is known of a request that is over. What there is not is left out, or `-`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told<'a> {
    /// When it came, Unix milliseconds.
    pub(crate) at: u64,
    pub(crate) id: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) listener: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) version: &'a str,
    pub(crate) host: &'a str,
    pub(crate) status: Option<u16>,
    pub(crate) outcome: &'a str,
    pub(crate) policy: &'a str,
    pub(crate) route: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) place: &'a str,
    pub(crate) why: &'a str,
    pub(crate) bytes: u64,
    pub(crate) micros: u64,
    pub(crate) generation: u64,
    pub(crate) subject: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) referer: Option<&'a str>,
}

impl Told<'_> {
    /// The line, with its end.
    pub(crate) fn line(&self, lines: &AccessLines) -> String {
        let mut line = String::with_capacity(256);
        match lines.format {
            AccessFormat::Json => self.json(&lines.fields, &mut line),
            AccessFormat::Common => self.common(&mut line),
            AccessFormat::Combined => {
                self.common(&mut line);
                for value in [self.referer.map(without_query), self.user_agent] {
                    line.push_str(" \"");
                    quote(value.unwrap_or("-"), &mut line);
                    line.push('"');
                }
            }
        }
        line.push('\n');
        line
    }

    fn json(&self, fields: &[AccessField], line: &mut String) {
        line.push('{');
        for field in fields {
            let before = line.len();
            if before > 1 {
                line.push(',');
            }
            let named = line.len();
            let _ = write!(line, "\"{}\":", field.name());
            let written = match field {
                AccessField::Time => text(&rfc3339(self.at), line),
                AccessField::Id => text(self.id, line),
                AccessField::Client => self.client.is_some_and(|client| text(&client.to_string(), line)),
                AccessField::Listener => text(self.listener, line),
                AccessField::Method => text(self.method, line),
                AccessField::Path => text(self.path, line),
                AccessField::Version => text(self.version, line),
                AccessField::Host => text(self.host, line),
                AccessField::Status => self.status.is_some_and(|status| write!(line, "{status}").is_ok()),
                AccessField::Outcome => text(self.outcome, line),
                AccessField::Policy => text(self.policy, line),
                AccessField::Route => text(self.route, line),
                AccessField::Reason => text(self.reason, line),
                AccessField::Place => text(self.place, line),
                AccessField::Why => text(self.why, line),
                AccessField::Bytes => write!(line, "{}", self.bytes).is_ok(),
                AccessField::Micros => write!(line, "{}", self.micros).is_ok(),
                AccessField::Generation => write!(line, "{}", self.generation).is_ok(),
                AccessField::Subject => text(self.subject.unwrap_or_default(), line),
                AccessField::ClientId => text(self.client_id.unwrap_or_default(), line),
                AccessField::TraceId => text(self.trace_id.unwrap_or_default(), line),
                AccessField::UserAgent => text(self.user_agent.unwrap_or_default(), line),
                AccessField::Referer => text(self.referer.map(without_query).unwrap_or_default(), line),
            };
            if !written {
                line.truncate(if named > before { before } else { named });
            }
        }
        line.push('}');
    }

    fn common(&self, line: &mut String) {
        match self.client {
            Some(client) => _ = write!(line, "{client}"),
            None => line.push('-'),
        }
        line.push_str(" - ");
        match self.subject.or(self.client_id) {
            Some(who) => word(who, line),
            None => line.push('-'),
        }
        let _ = write!(line, " [{}] \"", clf_time(self.at));
        if self.path.is_empty() {
            line.push('-');
        } else {
            quote(self.method, line);
            line.push(' ');
            quote(self.path, line);
            line.push(' ');
            line.push_str(self.version);
        }
        let _ = match self.status {
            Some(status) => write!(line, "\" {status} "),
            None => write!(line, "\" - "),
        };
        let _ = if self.bytes == 0 { write!(line, "-") } else { write!(line, "{}", self.bytes) };
    }
}

/// Writes JSON text; whether there was something.
fn text(value: &str, line: &mut String) -> bool {
    if value.is_empty() {
        return false;
    }
    line.push_str(&serde_json::Value::from(value).to_string());
    true
}

/// Inside of quotes, as Apache writes it: nothing ends the quotes or the line.
fn quote(value: &str, line: &mut String) {
    for c in value.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            c if c.is_ascii_graphic() || c == ' ' => line.push(c),
            c => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(line, "\\x{byte:02x}");
                }
            }
        }
    }
}

/// A word between spaces.
fn word(value: &str, line: &mut String) {
    let before = line.len();
    quote(value, line);
    // A space, and what begins another column, would move the columns after it.
    let quoted = line.split_off(before);
    line.push_str(&quoted.replace(' ', "\\x20").replace('[', "\\x5b"));
}

/// People put secrets into queries.
fn without_query(url: &str) -> &str {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    &url[..end]
}

fn rfc3339(millis: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
}

/// `28/Nov/2026:09:12:44 +0000`
fn clf_time(millis: u64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = rfc3339(millis);
    let month = time.get(5..7).and_then(|month| month.parse::<usize>().ok()).unwrap_or(1);
    let part = |from, to| time.get(from..to).unwrap_or_default();
    format!("{}/{}/{}:{} +0000", part(8, 10), MONTHS[(month - 1).min(11)], part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told<'static> {
        Told {
            at: 1_795_857_164_105,
            id: "r1",
            client: "192.0.2.7".parse().ok(),
            method: "GET",
            path: "/a",
            version: "HTTP/1.1",
            status: Some(200),
            bytes: 12,
            referer: Some("https://a.example/x?code=secret#y"),
            user_agent: Some("curl/8"),
            ..Told::default()
        }
    }

    fn lines(format: AccessFormat) -> AccessLines {
        AccessLines { format, file: None, fields: AccessField::usual() }
    }

    #[test]
    fn the_common_and_the_combined_format() {
        let common = "192.0.2.7 - - [28/Nov/2026:09:12:44 +0000] \"GET /a HTTP/1.1\" 200 12";
        assert_eq!(told().line(&lines(AccessFormat::Common)), format!("{common}\n"));
        let combined = format!("{common} \"https://a.example/x\" \"curl/8\"\n");
        assert_eq!(told().line(&lines(AccessFormat::Combined)), combined);
        let nothing = Told { at: 0, ..Told::default() };
        assert_eq!(
            nothing.line(&lines(AccessFormat::Combined)),
            "- - - [01/Jan/1970:00:00:00 +0000] \"-\" - - \"-\" \"-\"\n"
        );
    }

    #[test]
    fn nothing_that_a_client_sends_makes_another_line_or_column() {
        let forged = Told {
            path: "/\" 200 1\n127.0.0.1 - admin",
            user_agent: Some("x\"\r\n\\ é\u{1b}[2J"),
            subject: Some("ann [x] \"y\nz"),
            ..told()
        };
        for format in [AccessFormat::Common, AccessFormat::Combined] {
            let line = forged.line(&lines(format));
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(line.contains("- ann\\x20\\x5bx]\\x20\\\"y\\x0az ["), "{line}");
            assert!(!line.contains('\u{1b}') && line.is_ascii(), "{line}");
        }
        let all = AccessLines { fields: AccessField::ALL.to_vec(), ..lines(AccessFormat::Json) };
        let line = forged.line(&all);
        assert_eq!(line.matches('\n').count(), 1);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["path"], "/\" 200 1\n127.0.0.1 - admin");
        assert_eq!(json["subject"], "ann [x] \"y\nz");
        assert_eq!(json["referer"], "https://a.example/x");
    }

    #[test]
    fn json_has_the_fields_that_are_asked_for_and_there() {
        let fields = vec![AccessField::Reason, AccessField::Status, AccessField::TraceId, AccessField::Bytes];
        let line = told().line(&AccessLines { fields, ..lines(AccessFormat::Json) });
        assert_eq!(line, "{\"status\":200,\"bytes\":12}\n");
        let usual = told().line(&lines(AccessFormat::Json));
        assert!(usual.starts_with("{\"time\":\"2026-11-28T09:12:44.105Z\",\"id\":\"r1\","), "{usual}");
        assert!(!usual.contains("curl") && !usual.contains("referer"), "{usual}");
    }
}
