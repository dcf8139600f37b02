//! Certificates and tokens in what the configuration names outside: which have expired, and which soon will.

use policy::Diagnostics;
use policy::diagnostic::{Place, Problem, Span, codes};
use policy::reader::{Files, Node, NodeKind, Outside, parse};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use x509_parser::parse_x509_crl;
use x509_parser::pem::Pem;

use crate::load::Recorder;

/// Seconds before the end in which it is told: 30 days.
const SOON: u64 = 30 * 86_400;

/// The same of a revocation list, which is made anew every day or week: 6 hours.
const SOON_OF_A_LIST: u64 = 6 * 3_600;

const LIST: &str = "revocation list";

/// P0712: every secret file and variable that was asked for, where it has a certificate (PEM) or is a JSON Web Token.
pub(crate) fn lint(files: &Files, outside: &Recorder, unix_seconds: u64) -> Diagnostics {
    let texts = outside.files().into_iter().map(|path| ("file", outside.file(&path), path));
    let variables = outside.variables().into_iter().map(|name| ("env", outside.variable(&name), name));
    let mut found = Diagnostics::new();
    for (key, text, name) in texts.chain(variables) {
        let Ok(text) = text else { continue };
        let Some((what, end)) = first_end(&text) else { continue };
        if end > unix_seconds.saturating_add(if what == LIST { SOON_OF_A_LIST } else { SOON }) {
            continue;
        }
        let when = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(end));
        let message = match end <= unix_seconds {
            true => format!("the {what} in `{name}` expired at {when}"),
            false => format!("the {what} in `{name}` expires at {when}, in {} days", (end - unix_seconds) / 86_400),
        };
        // A list that has run out says nothing of who was taken back since.
        let message = if what == LIST { format!("{message}: then nobody is let in") } else { message };
        let lint = Problem::warning(codes::EXPIRES_SOON, message)
            .with_help("renew it; a file that changes is taken up while running");
        found.push(match place(files, key, &name) {
            Some(place) => lint.at(place),
            None => lint.nowhere(),
        });
    }
    found
}

/// What it is, and the first of its ends, in Unix seconds.
fn first_end(text: &str) -> Option<(&'static str, u64)> {
    let blocks = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
    let ends = blocks.filter_map(|pem| {
        let (what, end) = match pem.label.as_str() {
            "X509 CRL" => (LIST, parse_x509_crl(&pem.contents).ok()?.1.next_update()?),
            _ => ("certificate", pem.parse_x509().ok()?.validity().not_after),
        };
        Some((what, u64::try_from(end.timestamp()).ok()?))
    });
    ends.min_by_key(|(_, end)| *end).or_else(|| token_end(text.trim()).map(|end| ("token", end)))
}

/// `exp` of a JSON Web Token (RFC 7519, section 4.1.4).
fn token_end(text: &str) -> Option<u64> {
    let mut parts = text.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    claims.get("exp")?.as_u64()
}

/// Where a file names it: `{ file = "NAME" }`, `{ env = "NAME" }`, and a file also by its path alone.
fn place(files: &Files, key: &str, name: &str) -> Option<Place> {
    files.files.values().find_map(|file| {
        let document = parse(file).ok()?;
        let span = document.root.entries.iter().find_map(|entry| named(&entry.name, &entry.value, key, name))?;
        Some(document.place(span))
    })
}

fn named(under: &str, node: &Node, key: &str, name: &str) -> Option<Span> {
    match &node.kind {
        NodeKind::Text(text) if (under == key || key == "file") && text == name => Some(node.span),
        NodeKind::List(list) => list.iter().find_map(|node| named("", node, key, name)),
        NodeKind::Table(table) => table.entries.iter().find_map(|entry| named(&entry.name, &entry.value, key, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_their_end() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(first_end(&token("{\"exp\":1000}")), Some(("token", 1000)));
        assert_eq!(first_end(&token("{}")), None);
        assert_eq!(first_end("postgres://gateway@db.example.com/oauth"), None);
        assert_eq!(first_end("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), None);
    }
}
