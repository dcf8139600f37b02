//! The connection string: a secret as a whole, since a password stands in it. What is wrong with one is said without quoting it.

use crate::sources::secret;

/// `Driver={PostgreSQL Unicode};Server=db.example.com;Database=oauth;Uid=portcullis;Pwd=...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionString(oauth::Secret);

secret::formed!(ConnectionString, "SecretConnection");

/// A connection string that was read.
#[derive(Clone)]
pub(super) struct Secret {
    #[cfg(feature = "odbc")]
    string: String,
    /// Its parts, the names in lower case.
    parts: Vec<(String, String)>,
}

/// What may be shown.
#[cfg(feature = "odbc")]
const PLACE: [&str; 10] =
    ["dsn", "server", "servername", "host", "hostname", "port", "database", "db", "dbq", "service_name"];

/// What is a password.
const PASSWORD: [&str; 2] = ["pwd", "password"];

impl ConnectionString {
    /// Wraps one.
    pub fn new(string: oauth::Secret) -> Self {
        ConnectionString(string)
    }

    /// Its parts; or what is wrong, in words that show nothing of it.
    pub(super) fn parse(&self) -> Result<Secret, String> {
        const FORM: &str = "write Driver={PostgreSQL Unicode};Server=HOST;Port=5432;Database=NAME;Uid=USER;Pwd={PASSWORD} with the \
                            words that the driver knows, or DSN=NAME;Uid=USER;Pwd={PASSWORD}";
        let string = self.0.expose().trim();
        if string.is_empty() {
            return Err(format!("its connection is empty: {FORM}"));
        }
        let parts = parts(string).ok_or_else(|| format!("its connection cannot be read: {FORM}"))?;
        if !parts.iter().any(|(name, value)| matches!(name.as_str(), "driver" | "dsn") && !value.is_empty()) {
            return Err(format!("its connection names neither a Driver nor a DSN: {FORM}"));
        }
        if string.contains('\0') {
            return Err(format!("its connection cannot be read: {FORM}"));
        }
        Ok(Secret {
            #[cfg(feature = "odbc")]
            string: string.to_owned(),
            parts,
        })
    }
}

#[cfg(feature = "odbc")]
impl Secret {
    pub(super) fn string(&self) -> &str {
        &self.string
    }

    /// The password, to be taken out of messages; empty where there is none.
    pub(super) fn password(&self) -> &str {
        let found = self.parts.iter().find(|(name, _)| PASSWORD.contains(&name.as_str()));
        found.map_or("", |(_, value)| value)
    }

    /// Where it leads, for messages: neither user nor password.
    pub(super) fn place(&self) -> String {
        let shown = PLACE.iter().filter_map(|name| self.parts.iter().find(|(part, _)| part == name));
        shown.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl Secret {
    /// What two strings share that lead to the same tables: all but the password. Another user may mean another schema.
    pub(super) fn identity(&self) -> Vec<&(String, String)> {
        let mut parts: Vec<_> = self.parts.iter().filter(|(name, _)| !PASSWORD.contains(&name.as_str())).collect();
        parts.sort();
        parts
    }
}

/// `name=value;name={value; with }} in it}`, the names in lower case; `None` where it is not of this form.
fn parts(string: &str) -> Option<Vec<(String, String)>> {
    let mut parts = Vec::new();
    let mut rest = string;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t', '\r', '\n']);
        if rest.is_empty() {
            return Some(parts);
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || name.contains([';', '{', '}']) {
            return None;
        }
        let (value, after) = match after.trim_start().strip_prefix('{') {
            Some(braced) => in_braces(braced)?,
            None => {
                let (value, after) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), after)
            }
        };
        parts.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
}

/// What stands before the brace that closes, where `}}` is one brace, and what follows.
fn in_braces(text: &str) -> Option<(String, &str)> {
    let (mut value, mut rest) = (String::new(), text);
    loop {
        let (before, after) = rest.split_once('}')?;
        value.push_str(before);
        match after.strip_prefix('}') {
            Some(more) => {
                value.push('}');
                rest = more;
            }
            None => {
                let after = after.trim_start();
                return (after.is_empty() || after.starts_with(';')).then_some((value, after));
            }
        }
    }
}

#[cfg(feature = "odbc")]
#[cfg(test)]
mod tests {
    use super::*;

    fn parse(string: &str) -> Result<Secret, String> {
        ConnectionString::new(oauth::Secret::new(string.to_owned())).parse()
    }

    #[test]
    fn the_place_shows_neither_user_nor_password() {
        for (string, place, password) in [
            (
                "Driver={PostgreSQL Unicode};Server=db;Port=5432;Database=oauth;Uid=me;Pwd=hunter2",
                "db 5432 oauth",
                "hunter2",
            ),
            ("dsn=Oauth; uid = me; pwd = {a;}}b}", "Oauth", "a;}b"),
            ("DRIVER={SQLite3};Database=/var/lib/x.db;", "/var/lib/x.db", ""),
            ("Driver=Oracle;DBQ=//db:1521/orcl;UID=me;PASSWORD=x", "//db:1521/orcl", "x"),
        ] {
            let secret = parse(string).unwrap();
            assert_eq!((secret.place().as_str(), secret.password()), (place, password), "{string}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_string() {
        for string in [
            "",
            "hunter2",
            "Server=db;Pwd=hunter2",
            "Driver=;Pwd=hunter2",
            "Driver={x;Pwd=hunter2",
            "Driver={x}y;Pwd=hunter2",
            "=hunter2",
            "DSN=a;Pwd=hun\0ter2",
        ] {
            let why = parse(string).err().unwrap();
            assert!(!why.contains("hun") && why.contains("Driver={PostgreSQL Unicode}"), "{string:?}: {why}");
        }
    }

    #[test]
    fn another_password_leads_to_the_same_place() {
        let identity = |string: &str| format!("{:?}", parse(string).unwrap().identity());
        assert_eq!(identity("DSN=a;UID=me;PWD=1"), identity("uid=me;dsn=a;pwd={2}"));
        assert_ne!(identity("DSN=a;UID=me"), identity("DSN=a;UID=you"));
        assert_ne!(identity("DSN=a;UID=me"), identity("DSN=b;UID=me"));
    }
}
