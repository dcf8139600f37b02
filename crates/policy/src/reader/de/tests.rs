use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Deserialize;

use super::*;
use crate::diagnostic::Severity;
use crate::reader::{SecretError, parse};
use crate::settings::{ByteSize, Duration, FromOutside, Literal, Method, Spanned};

/// As `oauth::Secret` reads itself; this crate may not import it.
#[derive(Debug, PartialEq)]
struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Secret;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a secret")
            }
            fn visit_newtype_struct<D: serde::Deserializer<'de>>(self, d: D) -> Result<Secret, D::Error> {
                String::deserialize(d).map(Secret)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }
        }
        d.deserialize_newtype_struct("Secret", Visitor)
    }
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Proof {
    ClientSecretBasic,
    None,
    Custom { name: String },
    Named(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Part {
    needed: i64,
    #[serde(default)]
    small: Option<u8>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    text: Option<String>,
    spanned: Option<Spanned<String>>,
    yes: bool,
    port: Option<u16>,
    share: Option<f64>,
    count: Option<NonZeroU32>,
    lifetime: Option<Duration>,
    size: Option<ByteSize>,
    proofs: Vec<Proof>,
    by_method: BTreeMap<Method, Vec<Spanned<String>>>,
    by_proof: BTreeMap<Proof, bool>,
    part: Option<Part>,
    parts: Vec<Part>,
    any: Option<Literal>,
    json: Option<serde_json::Value>,
    secret: Option<Secret>,
    outside: Option<FromOutside>,
}

struct World {
    clear: bool,
    strict: bool,
}

impl Outside for World {
    fn variable(&self, name: &str) -> Result<String, SecretError> {
        match name {
            "SET" => Ok("value".into()),
            "EMPTY" => Ok(String::new()),
            _ => Err(SecretError::Missing),
        }
    }
    fn file(&self, path: &str) -> Result<String, SecretError> {
        match path {
            "there" => Ok("content".into()),
            "locked" => Err(SecretError::Unreadable("permission denied".into())),
            _ => Err(SecretError::Missing),
        }
    }
    fn clear_secrets(&self) -> bool {
        self.clear
    }
    fn strict(&self) -> bool {
        self.strict
    }
}

const STRICT: World = World { clear: false, strict: true };

fn source(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile::new("f", text))
}

fn read_with(text: &str, world: &World) -> Result<(Settings, Diagnostics), Diagnostics> {
    let file = source(text);
    let document = parse(&file).unwrap();
    deserialize_with_warnings(&file, &document.root, &["use"], world)
}

fn read(text: &str) -> Settings {
    read_with(text, &STRICT).unwrap_or_else(|problems| panic!("{:?}", lines(&problems))).0
}

/// `LINE:COL CODE MESSAGE (HELP)`.
fn lines(problems: &Diagnostics) -> Vec<String> {
    problems
        .iter()
        .map(|d| {
            let (line, column) = d.place.as_ref().unwrap().line_column();
            let help = d.problem.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
            format!("{line}:{column} {} {}{help}", d.problem.code, d.problem.message)
        })
        .collect()
}

fn problems(text: &str) -> Vec<String> {
    lines(&read_with(text, &STRICT).unwrap_err())
}

#[test]
fn values_of_all_kinds() {
    let text = r#"
use = "x"
text = "ü"
spanned = "y"
yes = true
port = 8080
share = 1
count = 5
lifetime = "1h"
size = "1KiB"
proofs = ["none", "client_secret_basic", { custom = { name = "x" } }, { named = "z" }]
by_method = { GET = ["a"], POST = [] }
by_proof = { none = true }
part = { needed = 1, small = 255 }
any = { a = [1, 1.5, "t", false, { b = 1 }] }
json = { "$.error" = ["x", 1] }
outside = "plain"
[[parts]]
needed = 2
"#;
    let settings = read(text);
    assert_eq!(settings.text.as_deref(), Some("ü"));
    let spanned = settings.spanned.unwrap();
    assert_eq!((&text[spanned.span.start..spanned.span.end], spanned.value.as_str()), ("\"y\"", "y"));
    assert!(settings.yes);
    assert_eq!((settings.port, settings.share, settings.count), (Some(8080), Some(1.0), NonZeroU32::new(5)));
    assert_eq!((settings.lifetime.unwrap().0.as_secs(), settings.size), (3600, Some(ByteSize(1024))));
    let custom = Proof::Custom { name: "x".into() };
    assert_eq!(settings.proofs, [Proof::None, Proof::ClientSecretBasic, custom, Proof::Named("z".into())]);
    let get = &settings.by_method[&Method(http::Method::GET)][0];
    assert_eq!((&text[get.span.start..get.span.end], settings.by_method.len()), ("\"a\"", 2));
    assert_eq!(settings.by_proof, BTreeMap::from([(Proof::None, true)]));
    assert_eq!((settings.part.unwrap().small, settings.parts[0].needed), (Some(255), 2));
    let Some(Literal::Table(entries)) = settings.any else { panic!("a table") };
    assert_eq!(&text[entries[0].1.start..entries[0].1.end], "a");
    assert_eq!(settings.json.unwrap(), serde_json::json!({ "$.error": ["x", 1] }));
    assert_eq!(settings.outside, Some(FromOutside("plain".into())));
}

#[test]
fn all_problems_of_a_table_at_once() {
    let text = "txet = 1\ntext = 5\nport = 70000\n\nproofs = [\"none\", \"client_secret_basc\", 7]\nby_methd = {}\nyes = \"true\"\n[part]\nsmall = -1\nsmal = 2\n";
    assert_eq!(
        problems(text),
        [
            "1:1 P0101 `txet` is not known here (did you mean `text`?)",
            "2:8 P0103 expected text, found a whole number",
            "3:8 P0103 expected a whole number from 0 to 65535, found 70000",
            "5:19 P0103 `client_secret_basc` is none of the words known here (did you mean `client_secret_basic`?)",
            "5:41 P0103 expected one of `client_secret_basic`, `none`, `custom`, `named`, found a whole number",
            "6:1 P0101 `by_methd` is not known here (did you mean `by_method`?)",
            "7:7 P0103 expected true or false, found text",
            "8:1 P0102 `needed` is missing (this table needs `needed = ...`)",
            "9:9 P0103 expected a whole number from 0 to 255, found -1",
            "10:1 P0101 `smal` is not known here (did you mean `small`?)",
        ]
    );
}

#[test]
fn wrong_values_in_plain_words() {
    for (text, expected) in [
        ("text = 2026-01-01", "1:8 P0103 expected text, found a date or time"),
        ("text = [1]", "1:8 P0103 expected text, found a list"),
        ("proofs = \"none\"", "1:10 P0103 expected a list, found text"),
        ("share = \"x\"", "1:9 P0103 expected a number, found text"),
        ("count = 0", "1:9 P0103 expected a whole number from 1 to 4294967295, found 0"),
        (
            "lifetime = \"1 h\"",
            "1:12 P0103 expected a duration such as \"500ms\", \"30s\", \"1h30m\" or \"7d\", found \"1 h\"",
        ),
        (
            "lifetime = 5",
            "1:12 P0103 expected a duration such as \"500ms\", \"30s\", \"1h30m\" or \"7d\", found a whole number",
        ),
        ("size = -1", "1:8 P0103 expected a size such as \"64KiB\" or \"1MiB\", or a number of bytes, found -1"),
        ("part = 1", "1:8 P0103 expected a table, found a whole number"),
        ("part = { needed = 1.5 }", "1:19 P0103 expected a whole number, found a number with a fraction"),
        ("proofs = [\"custom\"]", "1:11 P0103 expected `{ custom = ... }`, found text"),
        ("proofs = [{ none = 1 }]", "1:11 P0103 expected the word \"none\" alone, found a table"),
        ("proofs = [{ custom = {} }]", "1:22 P0102 `name` is missing (this table needs `name = ...`)"),
        ("by_method = { get = [] }", "1:15 P0103 expected an HTTP method in capitals, such as \"GET\", found \"get\""),
        ("by_proof = { none = 1 }", "1:21 P0103 expected true or false, found a whole number"),
        (
            "any = 2026-01-01",
            "1:7 P0103 expected text, a number, true or false, a list or a table, found a date or time",
        ),
        ("text = 1\n[[parts]]\n", "1:8 P0103 expected text, found a whole number"),
    ] {
        assert_eq!(problems(text)[0], expected, "{text}");
    }
}

#[test]
fn secrets() {
    let cases = [
        (r#"secret = { env = "SET" }"#, Ok("value")),
        (r#"secret = { file = "there" }"#, Ok("content")),
        (
            r#"secret = "clear""#,
            Err("1:10 P0005 a secret stands here in clear text (write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`)"),
        ),
        (
            r#"secret = 5"#,
            Err("1:10 P0103 expected a secret: { env = \"NAME\" } or { file = \"PATH\" }, found a whole number"),
        ),
        (r#"secret = { env = "UNSET" }"#, Err("1:18 P0006 the environment variable `UNSET` is not set")),
        (r#"secret = { env = "EMPTY" }"#, Err("1:18 P0006 the environment variable `EMPTY` is empty")),
        (r#"secret = { file = "gone" }"#, Err("1:19 P0006 the file `gone` does not exist")),
        (r#"secret = { file = "locked" }"#, Err("1:19 P0006 the file `locked` cannot be read: permission denied")),
        (
            r#"secret = { env = "SET", default = "x" }"#,
            Err("1:25 P0005 a secret has no default (take `default` away: whoever can read this file could read it)"),
        ),
        (
            r#"secret = { env = "SET", file = "there" }"#,
            Err("1:10 P0103 a secret comes from one place (write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`)"),
        ),
        (
            r#"secret = {}"#,
            Err("1:10 P0103 a secret comes from one place (write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`)"),
        ),
        (r#"secret = { evn = "SET" }"#, Err("1:12 P0101 `evn` is not known here (did you mean `env`?)")),
        (r#"secret = { env = 5 }"#, Err("1:18 P0103 expected text, found a whole number")),
    ];
    for (text, expected) in cases {
        match (read_with(text, &STRICT), expected) {
            (Ok((settings, _)), Ok(value)) => assert_eq!(settings.secret, Some(Secret(value.into())), "{text}"),
            (Err(found), Err(expected)) => assert_eq!(lines(&found), [expected], "{text}"),
            (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
        }
    }
    let clear = World { clear: true, strict: true };
    assert_eq!(read_with(r#"secret = "clear""#, &clear).unwrap().0.secret, Some(Secret("clear".into())));
}

#[test]
fn what_is_missing_outside_is_a_warning_where_nothing_is_run() {
    let lax = World { clear: false, strict: false };
    let (settings, warnings) = read_with("secret = { env = \"UNSET\" }\noutside = { env = \"UNSET\" }", &lax).unwrap();
    assert_eq!((settings.secret, settings.outside), (Some(Secret(String::new())), Some(FromOutside(String::new()))));
    assert!(warnings.iter().all(|w| w.problem.severity == Severity::Warning));
    assert_eq!(
        lines(&warnings),
        [
            "1:18 P0006 the environment variable `UNSET` is not set (`run` needs it)",
            "2:19 P0006 the environment variable `UNSET` is not set (`run` needs it)",
        ]
    );
    // A secret in clear text stays an error.
    assert!(read_with("secret = \"x\"", &lax).is_err());
}

#[test]
fn texts_from_outside() {
    for (text, expected) in [
        (r#"outside = { env = "SET", default = "d" }"#, Ok("value")),
        (r#"outside = { env = "UNSET", default = "d" }"#, Ok("d")),
        (r#"outside = { env = "UNSET", default = "" }"#, Ok("")),
        (r#"outside = { env = "UNSET" }"#, Err("1:19 P0006 the environment variable `UNSET` is not set")),
        (r#"outside = { default = "d" }"#, Err("1:11 P0102 `env` is missing (this table needs `env = ...`)")),
        (
            r#"outside = 5"#,
            Err("1:11 P0103 expected text, or { env = \"NAME\", default = \"text\" }, found a whole number"),
        ),
    ] {
        match (read_with(text, &STRICT), expected) {
            (Ok((settings, _)), Ok(value)) => assert_eq!(settings.outside, Some(FromOutside(value.into())), "{text}"),
            (Err(found), Err(expected)) => assert_eq!(lines(&found), [expected], "{text}"),
            (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn unknown_keys_alone_leave_a_value_to_check_further() {
    let known = |text: &str| {
        let file = source(text);
        let document = parse(&file).unwrap();
        let (value, found) = deserialize_known::<Settings>(&file, &document.root, &[], &STRICT);
        (value.map(|v| v.text), lines(&found).len())
    };
    assert_eq!(known("text = \"x\"\ntxet = 1\npart = { needed = 1, x = 1 }"), (Some(Some("x".into())), 2));
    assert_eq!(known("text = \"x\"\ntxet = 1\nport = \"y\""), (None, 2));
    assert_eq!(known("text = \"x\""), (Some(Some("x".into())), 0));
}

#[test]
fn a_node_alone() {
    let file = source("a = [1, \"x\"]");
    let document = parse(&file).unwrap();
    let node = document.root.get("a").unwrap();
    assert_eq!(deserialize_node::<(i64, String)>(&file, node, &STRICT).unwrap().0, (1, "x".to_owned()));
    let found = deserialize_node::<Vec<i64>>(&file, node, &STRICT).unwrap_err();
    assert_eq!(lines(&found), ["1:9 P0103 expected a whole number, found text"]);
}

/// Whatever a file holds: no panic, and every problem stands within the file.
#[test]
fn any_file_is_read_or_told() {
    const WORDS: &[&str] = &[
        "text",
        "port",
        "part",
        "proofs",
        "secret",
        "any",
        "by_method",
        "GET",
        "needed",
        "none",
        " = ",
        "=",
        ".",
        "[",
        "]",
        "[[",
        "]]",
        "{ ",
        " }",
        ", ",
        "\n",
        "\"",
        "'",
        "\"\"\"",
        "\"x\"",
        "'y'",
        "1",
        "-1",
        "1.5",
        "true",
        "2026-01-01",
        "env",
        "file",
        "\\",
        "\\u00fc",
        "ü",
        "#",
        "\r\n",
        "inf",
    ];
    const WHOLE: &str = "text = \"ü\"\nport = 8080\nproofs = [\"none\", { custom = { name = \"x\" } }]\nsecret = { env = \"SET\" }\npart = { needed = 1 }\nby_method = { GET = [\"a\"] }\n[[parts]]\nneeded = 2\n";
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..4_000 {
        let mut dice = crate::testing::dice::Dice::new(seed);
        let text = if seed % 2 == 0 { dice.words(WORDS, 24) } else { dice.damaged(WHOLE) };
        let file = source(&text);
        let problems = match parse(&file) {
            Err(problems) => problems,
            Ok(document) => match deserialize::<Settings>(&file, &document.root, &[], &STRICT) {
                Ok(_) => {
                    taken += 1;
                    continue;
                }
                Err(problems) => problems,
            },
        };
        refused += 1;
        assert!(problems.has_errors(), "{text}");
        for place in problems.iter().map(|d| d.place.as_ref().unwrap()) {
            assert!(place.span.start <= place.span.end && place.span.end <= file.text.len(), "{text}: {place}");
        }
        crate::diagnostic::render(&problems, false);
    }
    assert!(taken > 50 && refused > 1_000, "{taken} taken, {refused} refused: the words are badly chosen");
}
