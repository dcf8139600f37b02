//! What must not be told: what is in a field with a telling name, what a selector takes from a place with one, what lies at a JSONPath of
//! the settings, and whatever looks like a credential wherever it stands.

use std::borrow::Cow;
use std::sync::LazyLock;

use policy::Value;
use policy::selector::JsonPath;
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics};
use regex::Regex;
use serde_json::Value as Json;

/// What stands in its place.
pub(super) const REDACTED: &str = "[redacted]";

/// A name with one of these in it says that its value is secret.
const TELLING: [&str; 13] = [
    "authorization",
    "authorisation",
    "cookie",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api-key",
    "apikey",
    "assertion",
    "private-key",
    "credential",
];

/// So do these names, whole or after a `-`.
const CODES: [&str; 6] = ["code", "otp", "pin", "cvv", "cvc", "pwd"];

/// Words before `code` that make it a secret; `status-code` and `country-code` are none.
const CODES_OF: [&str; 5] = ["auth", "authorization", "user", "device", "verification"];

/// Whether a name says that its value is secret.
pub(super) fn is_telling(name: &str) -> bool {
    let mut plain = String::with_capacity(name.len());
    let mut lower = false;
    for c in name.chars() {
        // `accessToken` is `access-token`.
        if c.is_ascii_uppercase() && lower {
            plain.push('-');
        }
        lower = c.is_ascii_lowercase();
        plain.push(if c == '_' || c == ' ' || c == '.' { '-' } else { c.to_ascii_lowercase() });
    }
    if TELLING.iter().any(|telling| plain.contains(telling)) || plain.contains("code-verifier") {
        return true;
    }
    let (before, last) = plain.rsplit_once('-').unwrap_or(("", &plain));
    let of = before.rsplit('-').next().unwrap_or_default();
    CODES.contains(&last) && (before.is_empty() || last != "code" || CODES_OF.contains(&of))
}

/// Where a selector reads what its last words say: what a client or an upstream sent, and what is kept.
static SOURCES: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"\b(?:request|response|vars|input|kps|held|values)([.\[:$][\w.\[\]"'\\:$@*{}-]*)"#));

/// Whether what a setting reads stands in a place whose name says that it is secret.
fn reads_a_secret(setting: &str) -> bool {
    SOURCES
        .captures_iter(setting)
        .filter_map(|found| found.get(1))
        .any(|path| path.as_str().split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).any(is_telling))
}

/// Credentials that are known by how they look.
static LOOKS: LazyLock<[(Regex, &str); 6]> = LazyLock::new(|| {
    // As `is_telling` knows them, in the text of a query, of a form, of JSON.
    let names = r"[a-z0-9_.-]*(?:authori[sz]ation|cookie|token|secret|password|passwd|passphrase|assertion|api[_-]?key|private[_-]?key|credential|code_verifier)[a-z0-9_.-]*|(?:[a-z0-9_.-]*[_.-])?(?:otp|pin|cvv|cvc|pwd)|(?:(?:auth|authorization|user|device|verification)[_-]?)?code";
    [
        (pattern(r"(?i)\b(bearer|basic|dpop|negotiate)[ \t]+[A-Za-z0-9._~+/=-]{4,}"), "$1 [redacted]"),
        (pattern(r"\bpc[a-z]_[A-Za-z0-9_.~-]{16,}"), REDACTED),
        (pattern(r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){2,4}"), REDACTED),
        (pattern(&format!(r#"(?i)\b({names})=[^&\s"';]+"#)), "$1=[redacted]"),
        (pattern(&format!(r#"(?i)"({names})"(\s*:\s*)(?:"(?:[^"\\]|\\.)*"?|[0-9.eE+-]+)"#)), r#""$1"$2"[redacted]""#),
        (pattern(r"://[^/\s:@]+:[^/\s@]+@"), "://[redacted]@"),
    ]
});

#[allow(clippy::expect_used, reason = "the patterns are constants, and a test compiles them")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of this file")
}

/// The text without what looks like a credential.
pub(super) fn scrub(text: &str) -> Cow<'_, str> {
    let mut scrubbed = Cow::Borrowed(text);
    for (looks, instead) in LOOKS.iter() {
        if let Cow::Owned(less) = looks.replace_all(&scrubbed, *instead) {
            scrubbed = Cow::Owned(less);
        }
    }
    scrubbed
}

/// What a filter keeps to itself beside that.
pub(super) struct Redactor {
    names: Vec<String>,
    paths: Vec<JsonPath>,
}

impl Redactor {
    /// Of the settings `secret` and `redact`.
    pub(super) fn new(
        names: &[String],
        paths: &[Spanned<String>],
        cx: &BuildContext<'_>,
    ) -> Result<Redactor, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut parsed = Vec::new();
        for path in paths {
            match JsonPath::parse(&path.value) {
                Ok(path) => parsed.push(path),
                Err(why) => {
                    let message = format!("`{}` is no JSONPath: {why}", path.value);
                    problems.push(cx.error(path.span, message, "\"$.card.number\": a place in the value of a field"));
                }
            }
        }
        let names = names.iter().map(|name| name.to_lowercase()).collect();
        if problems.has_errors() { Err(problems) } else { Ok(Redactor { names, paths: parsed }) }
    }

    /// Whether the field of this name, read so, is kept back as a whole.
    pub(super) fn hides(&self, name: &str, setting: &str) -> bool {
        self.is_secret(name) || reads_a_secret(setting)
    }

    fn is_secret(&self, name: &str) -> bool {
        is_telling(name) || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// The value as it may be told.
    pub(super) fn told(&self, value: &Value) -> Json {
        let json = value.to_json();
        let places: Vec<&Json> = self.paths.iter().flat_map(|path| path.find(&json)).collect();
        self.redacted(&json, &places)
    }

    fn redacted(&self, json: &Json, places: &[&Json]) -> Json {
        if places.iter().any(|place| std::ptr::eq(*place, json)) {
            return REDACTED.into();
        }
        match json {
            Json::String(text) => scrub(text).into(),
            Json::Array(items) => items.iter().map(|item| self.redacted(item, places)).collect(),
            Json::Object(members) => {
                let member = |(name, value): (&String, &Json)| {
                    let told = if self.is_secret(name) { REDACTED.into() } else { self.redacted(value, places) };
                    (scrub(name).into_owned(), told)
                };
                Json::Object(members.iter().map(member).collect())
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_tell() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "set-cookie",
            "password",
            "new_password",
            "clientSecret",
            "access_token",
            "refreshToken",
            "x-api-key",
            "apiKey",
            "code",
            "user_code",
            "authCode",
            "code_verifier",
            "client_assertion",
            "otp",
            "card.cvv",
            "PIN",
        ] {
            assert!(is_telling(name), "{name}");
        }
        for name in ["status_code", "country-code", "postcode", "codec", "author", "spin", "partner", "id", "pinned"] {
            assert!(!is_telling(name), "{name}");
        }
    }

    #[test]
    fn places_tell() {
        for setting in [
            "${request.header.authorization}",
            "${request.header[\"x-api-key\"]}",
            "${request.cookie.theme}",
            "${request.form.password ?? none}",
            "${request.json:$.user.password}",
            "${vars.client_secret}",
            "${kps.partners[${path.id}].api_key}",
            "Cel(\"request.query.access_token\")",
        ] {
            assert!(reads_a_secret(setting), "{setting}");
        }
        for setting in [
            "${token.subject}",
            "${client.id}",
            "${request.header.user-agent}",
            "${request.path}",
            "the token of ${request.id}",
        ] {
            assert!(!reads_a_secret(setting), "{setting}");
        }
    }

    #[test]
    fn credentials_are_known_by_their_looks() {
        for (text, expected) in [
            ("Bearer abc.def", "Bearer [redacted]"),
            ("it was basic YTpi= then", "it was basic [redacted] then"),
            ("pca_0123456789abcdef_XYZ!", "[redacted]!"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln and", "[redacted] and"),
            ("/cb?code=abc&state=1", "/cb?code=[redacted]&state=1"),
            ("/x?access_token=abc#y", "/x?access_token=[redacted]"),
            (
                "user=ann&pwd=abc&new_pin=12&passphrase=a%20b",
                "user=ann&pwd=[redacted]&new_pin=[redacted]&passphrase=[redacted]",
            ),
            (
                "spin=1&pinned=2&country_code=3&postcode=4&author=5",
                "spin=1&pinned=2&country_code=3&postcode=4&author=5",
            ),
            (
                r#"{"a":{"password" : "x\"y","pin":1234,"clientSecret":"s"},"status_code":7,"user":"ann"}"#,
                r#"{"a":{"password" : "[redacted]","pin":"[redacted]","clientSecret":"[redacted]"},"status_code":7,"user":"ann"}"#,
            ),
            (r#"cut off: {"token":"abc"#, r#"cut off: {"token":"[redacted]""#),
            ("postgres://ann:pw@db/x", "postgres://[redacted]@db/x"),
            ("status_code=7, a plain text: http://a/b", "status_code=7, a plain text: http://a/b"),
        ] {
            assert_eq!(scrub(text), expected);
        }
    }

    #[test]
    fn what_lies_deep_is_redacted_too() {
        let paths = ["$.card.number", "$..iban"].map(|path| JsonPath::parse(path).expect("a path"));
        let redactor = Redactor { names: vec![String::from("salary")], paths: paths.into() };
        let given = json!({
            "card": { "number": "4711", "name": "Ann" },
            "list": [{ "iban": "DE1" }, { "Salary": 7, "password": { "a": 1 }, "note": "Bearer abcdefgh" }],
        });
        let expected = json!({
            "card": { "number": "[redacted]", "name": "Ann" },
            "list": [{ "iban": "[redacted]" }, { "Salary": "[redacted]", "password": "[redacted]", "note": "Bearer [redacted]" }],
        });
        assert_eq!(redactor.told(&Value::from_json(&given).expect("a value")), expected);
    }
}
