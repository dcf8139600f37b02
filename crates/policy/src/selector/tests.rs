//! A bench for selectors and expressions: one setting of a file is compiled, then evaluated for one request.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{HeaderValue, Method, StatusCode};

use super::{Condition, Dynamic, Getter};
use crate::attribute::{Attribute, Field, Key, Slot};
use crate::compile::{Layout, NodeFacts, Shared};
use crate::diagnostic::{Diagnostics, Place, Problem, SourceFile, codes};
use crate::exchange::ClientCertificate;
use crate::exchange::{Body, Exchange, FailureInfo, Request, RequestBody, Response};
use crate::filter::{BuildContext, Effects, Keeper, Library};
use crate::outcome::Reason;
use crate::ports::{Environment, Resources};
use crate::reader::{NoOutside, deserialize_node, parse};
use crate::settings::{Duration, Spanned};
use crate::testing::lab::LAB;
use crate::testing::{Fixture, Plain, TestClock, TestRandom};
use crate::value::{FromValue, Type, Value};

/// An attribute with fields of all kinds.
pub(super) struct Token {
    scopes: Vec<&'static str>,
    expires: i64,
    subject: Option<&'static str>,
}

static TOKEN: Key<Token> = Key::new(
    "token",
    &[
        Field {
            name: "scopes",
            doc: "",
            of: Type::List,
            optional: false,
            get: |t| Some(Value::texts(t.scopes.iter().copied())),
        },
        Field { name: "expires", doc: "", of: Type::Int, optional: false, get: |t| Some(Value::Int(t.expires)) },
        Field { name: "subject", doc: "", of: Type::Text, optional: true, get: |t| t.subject.map(Value::text) },
        Field { name: "active", doc: "", of: Type::Bool, optional: false, get: |_| Some(Value::Bool(true)) },
        Field {
            name: "extra",
            doc: "",
            of: Type::Any,
            optional: false,
            get: |_| Value::from_json(&serde_json::json!({ "a": { "b": [1, "x"] } })),
        },
    ],
);

const LIBRARY: Library = Library {
    filters: &[],
    attributes: &[&TOKEN as &dyn Attribute],
    plain: &Plain,
    look_up: None,
    lints: &[],
    settings: &[],
};

struct Nothing;
impl Resources for Nothing {
    fn get(&self, _: &str, _: &str) -> Result<Arc<dyn Any + Send + Sync>, Problem> {
        Err(Problem::error(codes::STORE, "nothing"))
    }
}

/// Compiles and evaluates.
pub(super) struct Bench {
    pub(super) layout: Layout,
    pub(super) repeated_refused: bool,
    pub(super) effects: Effects,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench { layout: Layout::default(), repeated_refused: false, effects: Effects::default() }
    }

    fn with<T>(
        &mut self,
        file: &Arc<SourceFile>,
        build: impl FnOnce(&mut BuildContext<'_>) -> Result<T, Diagnostics>,
    ) -> Result<T, Diagnostics> {
        let values =
            [("domain", Value::text("example.com")), ("number", Value::Int(7)), ("list", Value::texts(["a", "b"]))];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        let node = NodeFacts { name: "node-1".into(), values, ..NodeFacts::default() };
        let shared = Shared {
            library: LIBRARY,
            resources: &Nothing,
            keeper: &Keeper::default(),
            outside: &NoOutside,
            node: &node,
            documents: &BTreeMap::new(),
            conditions: Default::default(),
            settings: Mutex::default(),
        };
        let inputs = BTreeMap::from([("message".to_owned(), Type::Text), ("count".to_owned(), Type::Int)]);
        let mut cx = BuildContext {
            shared: &shared,
            layout: &mut self.layout,
            place: Place { file: file.clone(), span: Default::default() },
            id: String::new(),
            stands_first: false,
            effects: Effects::default(),
            look_ups: Vec::new(),
            inputs: &inputs,
            repeated_refused: self.repeated_refused,
        };
        let built = build(&mut cx);
        self.effects = cx.effects;
        built
    }

    /// A setting as it stands in a file after `v = `.
    pub(super) fn setting<T: FromValue + Clone>(&mut self, written: &str) -> Result<Getter<T>, Diagnostics> {
        let file = Arc::new(SourceFile::new("f", format!("v = {written}\n")));
        let document = parse(&file).unwrap_or_else(|e| panic!("{written}: {e:?}"));
        let (dynamic, _): (Dynamic<T>, _) = deserialize_node(&file, document.root.get("v").unwrap(), &NoOutside)?;
        self.with(&file, |cx| cx.dynamic(&dynamic))
    }

    pub(super) fn condition(&mut self, expression: &str) -> Result<Condition, Diagnostics> {
        let written = if expression.contains(['\'', '\n']) {
            format!("\"\"\"{expression}\"\"\"")
        } else {
            format!("'{expression}'")
        };
        let file = Arc::new(SourceFile::new("f", format!("v = {written}\n")));
        let document = parse(&file).unwrap_or_else(|e| panic!("{written}: {e:?}"));
        let (text, _): (Spanned<String>, _) = deserialize_node(&file, document.root.get("v").unwrap(), &NoOutside)?;
        self.with(&file, |cx| Condition::compile(&text, cx))
    }

    /// A request in the middle of its run.
    pub(super) fn exchange(&mut self) -> Exchange {
        let mut request = Request::new(Method::POST, "/orders/7", Body::Empty);
        request.query = Some("page=2&page=3&q=%C3%BC&empty=".into());
        for (name, value) in [("x-api-key", "k"), ("x-two", "1"), ("x-two", "2"), ("cookie", "a=b; s=t")] {
            request.headers.append(name, HeaderValue::from_static(value));
        }
        request.headers.append("x-bytes", HeaderValue::from_bytes(&[0xff]).unwrap());
        request.params.push((Arc::from("id"), "7".into()));
        request.id = Arc::from("req-1");
        let program = Fixture::new(LAB).policy("p", "route = '/'\n[[filter]]\nuse = 'answer'").program();
        let environment =
            Environment { clock: Arc::new(TestClock::default()), random: Arc::new(TestRandom::default()) };
        let mut exchange = Exchange::new(program, environment, request);
        let slot: Slot<Token> = Slot::new(self.layout.slot("token"), "token");
        exchange.set(slot, Token { scopes: vec!["orders:read", "orders:write"], expires: 9, subject: None });
        let var = |name: &str, layout: &mut Layout| Slot::<Value>::new(layout.slot(&format!("vars.{name}")), "vars");
        exchange.set(var("text", &mut self.layout), Value::text("hello"));
        exchange.set(var("number", &mut self.layout), Value::Int(42));
        exchange.set(var("words", &mut self.layout), Value::text("12"));
        let json = serde_json::json!({ "list": [1, 2, { "x y": true }], "f": 1.5, "n": null, "items": [{ "id": 1, "name": "a" }, { "id": 2 }] });
        exchange.set(var("json", &mut self.layout), Value::from_json(&json).unwrap());
        exchange.input = vec![(Arc::from("message"), Value::text("in")), (Arc::from("count"), Value::Int(3))];
        exchange
    }

    pub(super) fn with_form(exchange: &mut Exchange, body: &'static str) {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        exchange.request.headers.insert("content-type", form);
        exchange.request.body = RequestBody::Buffered(body.into());
    }

    pub(super) fn with_json(exchange: &mut Exchange, body: &'static str) {
        exchange.request.headers.insert("content-type", HeaderValue::from_static("application/json"));
        exchange.request.body = RequestBody::Buffered(body.into());
    }
}

/// `LINE:COL-COL CODE MESSAGE (HELP)`.
pub(super) fn told(problems: &Diagnostics) -> Vec<String> {
    let one = |d: &crate::diagnostic::Diagnostic| {
        let place = d.place.as_ref().unwrap();
        let (line, column) = place.line_column();
        let (_, end) = place.file.line_column(place.span.end);
        let help = d.problem.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
        format!("{line}:{column}-{end} {} {}{help}", d.problem.code, d.problem.message)
    };
    problems.iter().map(one).collect()
}

pub(super) fn outcome<T: ToString>(result: Result<Option<T>, Reason>) -> String {
    match result {
        Ok(Some(value)) => value.to_string(),
        Ok(None) => "-".into(),
        Err(reason) => format!("! {} {}: {}", reason.status.as_u16(), reason.code, reason.message),
    }
}

/// The JSON of a setting of any type.
fn any(bench: &mut Bench, exchange: &Exchange, written: &str) -> String {
    let getter: Getter<Value> = bench.setting(written).unwrap_or_else(|e| panic!("{written}: {:?}", told(&e)));
    outcome(getter.get_optional(exchange).map(|value| value.map(|v| v.to_json())))
}

#[test]
fn what_selectors_read() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    exchange.request.host = "api.example".into();
    exchange.request.certificate = Some(Arc::new(ClientCertificate {
        subject: String::from("CN=app"),
        dns_names: vec![String::from("a.example"), String::from("b.example")],
        ..ClientCertificate::default()
    }));
    for (written, expected) in [
        ("'plain'", r#""plain""#),
        ("5", "5"),
        ("'${request.method}'", r#""POST""#),
        ("'${request.path}'", r#""/orders/7""#),
        ("'${request.uri}'", r#""/orders/7?page=2&page=3&q=%C3%BC&empty=""#),
        ("'${request.url}'", r#""http://api.example/orders/7?page=2&page=3&q=%C3%BC&empty=""#),
        ("'${request.query_string}'", r#""page=2&page=3&q=%C3%BC&empty=""#),
        ("'${request.host}'", r#""api.example""#),
        ("'${request.scheme}'", r#""http""#),
        ("'${request.id}'", r#""req-1""#),
        ("'${request.client_ip}'", r#""127.0.0.1""#),
        ("'${request.client_network}'", r#""127.0.0.1""#),
        ("'${request.cert.subject}'", r#""CN=app""#),
        ("'${request.cert.dns_names[1]}'", r#""b.example""#),
        ("'${request.cert.common_name ??}'", "-"),
        ("'${request.content_type}'", "! 400 missing-value: `request.content_type` is absent"),
        ("'${request.header.X-Api-Key}'", r#""k""#),
        ("'${request.header[\"x-two\"]}'", r#""1, 2""#),
        ("'${request.header.x-none}'", "! 400 missing-value: `request.header.x-none` is absent"),
        ("'${request.header.x-none ??}'", "-"),
        ("'${request.header.x-none ?? text}'", r#""text""#),
        ("'${request.header.x-none ?? ${request.header.x-none2 ?? ${vars.number}}}'", "42"),
        ("'${request.header.x-bytes ??}'", "! 400 bad-request: the header `x-bytes` is no text"),
        ("'${request.query.page}'", r#""2""#),
        ("'${request.query.q}'", r#""ü""#),
        ("'${request.query.empty ??}'", "-"),
        ("'${request.cookie.s}'", r#""t""#),
        ("'${request.cookie.x ??}'", "-"),
        ("'${request.body ??}'", "-"),
        ("'${path.id}'", r#""7""#),
        ("'${path.other ??}'", "-"),
        ("'${token.scopes}'", r#"["orders:read","orders:write"]"#),
        ("'${token.scopes[1]}'", r#""orders:write""#),
        ("'${token.scopes[2] ??}'", "-"),
        ("'${token.expires}'", "9"),
        ("'${token.subject}'", "! 400 missing-value: `token.subject` is absent"),
        ("'${token.extra.a.b[1]}'", r#""x""#),
        ("'${vars.json.list[2][\"x y\"]}'", "true"),
        ("'${vars.json.nothing.here ??}'", "-"),
        ("'${vars.unset ??}'", "-"),
        ("'${input.message}'", r#""in""#),
        ("'${input.count}'", "3"),
        ("'${values.domain}'", r#""example.com""#),
        ("'${values.list[1]}'", r#""b""#),
        ("'${node.name}'", r#""node-1""#),
        ("'${now}'", "1767225600"),
        (
            "'a ${vars.text}, ${vars.number} ${token.scopes} $${x} ${vars.unset ??}.'",
            r#""a hello, 42 orders:read orders:write ${x} .""#,
        ),
        ("'${values.domain}/${values.number}'", r#""example.com/7""#),
        ("['${vars.number}', 1, '${vars.unset ??}', [true]]", "[42,1,[true]]"),
        (
            "{ a = '${vars.number}', b = { c = '${vars.text}' }, d = '${vars.unset ??}' }",
            r#"{"a":42,"b":{"c":"hello"}}"#,
        ),
        ("{ a = '${vars.unset}' }", "! 400 missing-value: `vars.unset` is absent"),
        ("{ cel = 'vars.number + 1' }", "43"),
        ("{ cel = 'null' }", "-"),
        ("[{ cel = '1 + 1' }, { a = { cel = '[1, 2.5]' } }]", r#"[2,{"a":[1,2.5]}]"#),
        ("'${response.status ??}'", "-"),
        ("'${failure.reason ?? none}'", r#""none""#),
    ] {
        assert_eq!(any(&mut bench, &exchange, written), expected, "{written}");
    }
}

#[test]
fn of_ipv6_a_subscriber_has_a_network() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    for (client, expected) in [
        ("2001:db8:1:2:3:4:5:6", r#""2001:db8:1:2::/64""#),
        ("2001:db8:1:3::1", r#""2001:db8:1:3::/64""#),
        ("::ffff:192.0.2.1", r#""192.0.2.1""#),
        ("192.0.2.1", r#""192.0.2.1""#),
    ] {
        exchange.request.client = client.parse().expect("an address");
        assert_eq!(any(&mut bench, &exchange, "'${request.client_network}'"), expected, "{client}");
    }
}

#[test]
fn forms() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    Bench::with_form(&mut exchange, "a=1&b=x+y%21&two=1&two=2&empty=");
    for (written, expected) in [
        ("'${request.form.a}'", r#""1""#),
        ("'${request.form.b}'", r#""x y!""#),
        ("'${request.form.two}'", r#""1""#),
        ("'${request.form.empty ??}'", "-"),
        ("'${request.form.none}'", "! 400 missing-value: `request.form.none` is absent"),
        ("'${request.content_type}'", r#""application/x-www-form-urlencoded""#),
    ] {
        assert_eq!(any(&mut bench, &exchange, written), expected, "{written}");
    }
    let mut two = bench.exchange();
    Bench::with_form(&mut two, "a=1");
    two.request.headers.append("content-type", HeaderValue::from_static("text/plain"));
    for written in ["'${request.content_type ??}'", "'${request.form.a ??}'", "'${request.json:$.a ??}'"] {
        let found = any(&mut bench, &two, written);
        assert_eq!(found, "! 400 bad-request: the request has more than one `Content-Type`", "{written}");
    }
    bench.repeated_refused = true;
    let repeated = "! 400 bad-request: the parameter `two` stands there more than once";
    for (written, expected) in [
        ("'${request.form.two}'", repeated),
        ("'${request.form.two ?? x}'", repeated),
        ("'${request.form.a}'", r#""1""#),
        ("'${request.query.page}'", "! 400 bad-request: the parameter `page` stands there more than once"),
    ] {
        assert_eq!(any(&mut bench, &exchange, written), expected, "{written}");
    }
    let mut exchange = bench.exchange();
    Bench::with_form(&mut exchange, "a=%zz");
    let malformed = any(&mut bench, &exchange, "'${request.form.b ?? x}'");
    assert!(malformed.starts_with("! 400 bad-request: "), "{malformed}");
}

/// What is wrong with an answer is not the client's fault.
#[test]
fn a_response_that_cannot_be_read_is_the_upstreams_fault() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    let mut response = Response::new(StatusCode::OK);
    response.headers.insert("x-bytes", HeaderValue::from_bytes(b"\xff").expect("a header may hold it"));
    response.body = bytes::Bytes::from_static(b"\xff").into();
    exchange.response = Some(response);
    for (written, expected) in [
        ("'${response.header.x-bytes ??}'", "! 502 bad-response: the header `x-bytes` of the response is no text"),
        ("'${response.body ??}'", "! 502 bad-response: the response's body is no UTF-8 text"),
        ("'${response.json:$.a ??}'", "! 502 bad-response: the response is no JSON: expected value at line 1 column 1"),
    ] {
        assert_eq!(any(&mut bench, &exchange, written), expected, "{written}");
    }
    let headers = &mut exchange.response.as_mut().expect("just set").headers;
    headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    for written in ["'${response.json:$.a ??}'", "'${response.body ??}'"] {
        let found = any(&mut bench, &exchange, written);
        assert!(found.starts_with("! 502 bad-response: the response is compressed"), "{found}");
    }
}

#[test]
fn json_of_request_and_response() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    Bench::with_json(&mut exchange, r#"{"a":{"b":[1,2,3]},"n":null,"items":[{"id":1},{"id":2}],"s":["x"]}"#);
    let mut response = Response::new(StatusCode::CREATED);
    response.headers.insert("x-r", HeaderValue::from_static("v"));
    response.body = String::from(r#"{"ok":true}"#).into();
    exchange.response = Some(response);
    exchange.failure = Some(FailureInfo {
        reason: "denied",
        message: "no".into(),
        filter: "check".into(),
        status: StatusCode::FORBIDDEN,
    });
    for (written, expected) in [
        ("'${request.json:$.a.b[-1]}'", "3"),
        ("'${request.json:$.a}'", r#"{"b":[1,2,3]}"#),
        ("'${request.json.a.b[0]}'", "1"),
        ("'${request.json[\"a\"]}'", r#"{"b":[1,2,3]}"#),
        ("'${request.json:$.items[*].id}'", "[1,2]"),
        ("'${request.json:$.none[*]}'", "[]"),
        ("'${request.json:$.none ??}'", "-"),
        ("'${request.json:$.n ??}'", "-"),
        ("'${request.json:$.s}'", r#"["x"]"#),
        ("'${response.json:$.ok}'", "true"),
        ("'${response.status}'", "201"),
        ("'${response.header.x-r}'", r#""v""#),
        ("'${response.body}'", r#""{\"ok\":true}""#),
        (
            "'${failure.reason}: ${failure.message} (${failure.filter}, ${failure.status})'",
            r#""denied: no (check, 403)""#,
        ),
    ] {
        assert_eq!(any(&mut bench, &exchange, written), expected, "{written}");
    }
    // Where the setting is no list, several results are the first.
    let first: Getter<i64> = bench.setting("'${request.json:$.items[*].id}'").unwrap();
    assert_eq!(outcome(first.get_optional(&exchange)), "1");
    let list: Getter<Vec<Arc<str>>> = bench.setting("'${request.json:$.items[*].id}'").unwrap();
    assert_eq!(list.get(&exchange).unwrap().join(","), "1,2");

    let mut exchange = bench.exchange();
    Bench::with_json(&mut exchange, "{");
    let malformed = any(&mut bench, &exchange, "'${request.json:$.a ?? x}'");
    assert!(malformed.starts_with("! 400 bad-request: the body is no JSON"), "{malformed}");
}

#[test]
fn types() {
    let mut bench = Bench::new();
    let exchange = bench.exchange();
    macro_rules! case {
        ($type:ty, $written:literal, $expected:literal) => {
            let getter: Getter<$type> =
                bench.setting($written).unwrap_or_else(|e| panic!("{}: {:?}", $written, told(&e)));
            let found = getter.get_optional(&exchange).map(|v| v.map(|v| format!("{v:?}")));
            let written: &str = $written;
            assert_eq!(outcome(found), $expected, "{written}");
        };
    }
    case!(i64, "'${vars.number}'", "42");
    case!(i64, "'${vars.words}'", "12");
    case!(i64, "'${vars.unset ?? 5}'", "5");
    case!(i64, "'5'", "5");
    case!(i64, "'${vars.text}'", "! 400 wrong-type: `vars.text` is text where a whole number is wanted");
    case!(i64, "{ cel = 'vars.number * 2' }", "84");
    case!(f64, "1", "1.0");
    case!(f64, "'${vars.json.f}'", "1.5");
    case!(bool, "true", "true");
    case!(bool, "'${token.active}'", "true");
    case!(bool, "'${vars.unset ?? false}'", "false");
    case!(bool, "'${vars.text}'", "! 400 wrong-type: `vars.text` is text where true or false is wanted");
    case!(String, "'${vars.number}'", "\"42\"");
    case!(String, "5", "\"5\"");
    case!(Arc<str>, "'${token.scopes}'", "\"orders:read orders:write\"");
    case!(Vec<Arc<str>>, "['a', '${vars.text}']", "[\"a\", \"hello\"]");
    case!(Vec<Arc<str>>, "'a  b'", "[\"a\", \"b\"]");
    case!(Vec<Arc<str>>, "'${token.scopes}'", "[\"orders:read\", \"orders:write\"]");
    case!(Duration, "'1h'", "Duration(3600s)");
    case!(
        Duration,
        "'${vars.text}'",
        "! 400 wrong-type: `vars.text` is text where a duration such as \"500ms\", \"30s\", \"1h30m\" or \"7d\" is wanted"
    );
    case!(Value, "'${vars.json.n ??}'", "-");
}

#[test]
fn a_value_that_is_absent_on_purpose_is_still_missing_for_a_setting_that_needs_one() {
    let mut bench = Bench::new();
    let exchange = bench.exchange();
    let getter: Getter<String> = bench.setting("'${vars.unset ??}'").unwrap();
    assert_eq!(outcome(getter.get(&exchange).map(Some)), "! 400 missing-value: `vars.unset` is absent");
    assert_eq!(outcome(getter.get_optional(&exchange)), "-");
}

#[test]
fn constants_are_known_before_any_request() {
    let mut bench = Bench::new();
    let mut constant = |written: &str| {
        let getter: Getter<Value> = bench.setting(written).unwrap();
        getter.constant().map(|value| value.to_json().to_string())
    };
    for (written, expected) in [
        ("'x'", Some(r#""x""#)),
        ("'$${x}'", Some(r#""${x}""#)),
        ("'${values.number}'", Some("7")),
        ("'${values.domain}:${node.name}'", Some(r#""example.com:node-1""#)),
        ("['${values.number}', { a = '${node.name}' }]", Some(r#"[7,{"a":"node-1"}]"#)),
        ("'${now}'", None),
        ("['${now}']", None),
        ("{ a = '${now}' }", None),
    ] {
        assert_eq!(constant(written).as_deref(), expected, "{written}");
    }
}

#[test]
fn what_is_refused_at_load() {
    for (written, expected) in [
        ("'${reqest.method}'", "1:8-14 P0111 `reqest` is not known here (did you mean `request`?)"),
        ("'ü ${tokn.scopes}'", "1:10-14 P0111 `tokn` is not known here (did you mean `token`?)"),
        (
            "'${zzz}'",
            "1:8-11 P0111 `zzz` is not known here (known here: `request`, `response`, `path`, `vars`, `input`, `failure`, `values`, `node`, `now`, `kps`, `token`)",
        ),
        ("'${request.methd}'", "1:16-21 P0111 `request` has no `methd` (did you mean `request.method`?)"),
        ("'${token.scope}'", "1:14-19 P0111 `token` has no `scope` (did you mean `token.scopes`?)"),
        (
            "'${response.zzz}'",
            "1:17-20 P0111 `response` has no `zzz` (it has: `response.status`, `response.header`, `response.body`, `response.json`)",
        ),
        (
            "'${request}'",
            "1:8-15 P0110 `request` alone is no value (it has: `request.method`, `request.path`, `request.uri`, `request.url`, `request.query_string`, `request.host`, `request.scheme`, `request.id`, `request.content_type`, `request.header`, `request.query`, `request.form`, `request.cookie`, `request.body`, `request.json`, `request.client_ip`, `request.client_network`, `request.cert`)",
        ),
        (
            "'${request.header}'",
            "1:8-22 P0110 `request.header` needs a name (for example `request.header.name` or `request.header[\"name\"]`)",
        ),
        ("'${request.header[\"a b\"]}'", "1:24-27 P0110 `a b` cannot be the name of a header"),
        ("'${request.method.x}'", "1:23-24 P0111 `request.method` is text: it has nothing inside"),
        ("'${request.form.a.b}'", "1:23-24 P0111 `request.form.a` is text: it has nothing inside"),
        ("'${token.expires[0]}'", "1:22-23 P0111 `token.expires` is a whole number: it has nothing inside"),
        ("'${vars}'", "1:8-12 P0110 `vars` needs a name (for example `vars.subject`)"),
        ("'${input.mesage}'", "1:14-20 P0209 this policy declares no input `mesage` (did you mean `message`?)"),
        ("'${values.domian}'", "1:15-21 P0112 there is no value `domian` (did you mean `domain`?)"),
        ("'${values.list[9]}'", "1:8-22 P0112 the value `list` has nothing of this name"),
        ("'${kps.t[\"k\"].f}'", "1:8-20 P0110 nothing is looked up here"),
        (
            "'${kps.t}'",
            "1:8-13 P0110 `kps.t` needs a key (for example `kps.partners[client.id].limit`, `kps.partners[\"acme\"].limit`)",
        ),
        (
            "'${kps.t[path.id][0]}'",
            "1:23-24 P0110 `kps.t[path.id]` needs the name of a column (for example `kps.partners[client.id].limit`, `kps.partners[\"acme\"].limit`)",
        ),
        (
            "'${vars.a[path.id]}'",
            "1:15-22 P0110 a key in brackets can stand after `kps.NAME` only (a value is kept in a variable first, or taken apart in CEL; names stand in quotes: `[\"name\"]`)",
        ),
        (
            "'${request.cert.subjects}'",
            "1:21-29 P0111 `request.cert` has no `subjects` (did you mean `request.cert.subject`?)",
        ),
        ("'${vars.x:$.a}'", "1:15-18 P0110 a JSONPath can stand after `request.json` and `response.json` only"),
        (
            "'${request.json:$[}'",
            "1:21-23 P0110 this JSONPath cannot be read: it is not understood from character 3 on",
        ),
        ("'${a'", "1:6-9 P0110 this selector has no end (a selector ends with `}`; a plain `${` is written `$${`)"),
        ("{ cel = 'now', b = 1 }", "1:7-10 P0103 `cel` stands alone in its table (write `{ cel = \"...\" }`)"),
        (
            "{ cel = 5 }",
            "1:13-14 P0103 expected a CEL expression in text, found a whole number (write `{ cel = \"...\" }`)",
        ),
        ("\"\\u0024{reqest}\"", "1:5-21 P0111 `reqest` is not known here (did you mean `request`?)"),
    ] {
        let problems = match Bench::new().setting::<Value>(written) {
            Ok(_) => panic!("{written} is taken"),
            Err(problems) => told(&problems),
        };
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{written}: {problems:?}");
    }
    let both = Bench::new().setting::<Value>("['${a} ${b ?? ${c}}', { x = '${d}' }]");
    let both = both.map(|_| ()).unwrap_err();
    assert_eq!(both.iter().count(), 4);
}

#[test]
fn types_that_cannot_fit_are_refused_at_load() {
    let constant_or = "a selector (`${...}`) or an expression (`{ cel = \"...\" }`) may stand here too";
    macro_rules! refused {
        ($type:ty, $written:literal, $expected:literal) => {
            let problems = Bench::new().setting::<$type>($written).map(|_| ()).expect_err($written);
            let written: &str = $written;
            assert_eq!(told(&problems), [format!("{} ({constant_or})", $expected)], "{written}");
        };
    }
    refused!(i64, "'x'", "1:5-8 P0103 expected a whole number, found \"x\"");
    refused!(i64, "true", "1:5-9 P0103 expected a whole number, found true");
    refused!(i64, "1.5", "1:5-8 P0103 expected a whole number, found 1.5");
    refused!(i64, "'${token.scopes}'", "1:5-22 P0103 expected a whole number, found a selector that is a list");
    refused!(bool, "'${now}'", "1:5-13 P0103 expected true or false, found a selector that is a whole number");
    refused!(
        bool,
        "{ cel = '1 + 1' }",
        "1:5-22 P0103 expected true or false, found an expression that is a whole number"
    );
    refused!(Vec<Arc<str>>, "5", "1:5-6 P0103 expected a list, found 5");
    refused!(String, "['a']", "1:5-10 P0103 expected text, found a list");
    refused!(String, "{ a = 1 }", "1:5-14 P0103 expected text, found a table");
    refused!(String, "['${now}']", "1:5-15 P0103 expected text, found a value that is a list");
    refused!(
        Duration,
        "'1 hour'",
        "1:5-13 P0103 expected a duration such as \"500ms\", \"30s\", \"1h30m\" or \"7d\", found \"1 hour\""
    );
}

#[test]
fn reads_are_recorded() {
    let reads = |written: &str| {
        let mut bench = Bench::new();
        bench.setting::<Value>(written).map(|_| ()).unwrap_or_else(|e| panic!("{written}: {:?}", told(&e)));
        let effects = &bench.effects;
        let mut list: Vec<String> = effects
            .reads
            .iter()
            .map(|read| format!("{}{} {}", read.attribute, if read.optional { "?" } else { "" }, read.place))
            .collect();
        list.extend(effects.reads_request_body.then(|| "request body".into()));
        list.extend(effects.reads_response_body.then(|| "response body".into()));
        list.join(", ")
    };
    for (written, expected) in [
        ("'${request.method} ${now} ${values.number}'", ""),
        ("'${vars.a} ${token.scopes ??}'", "vars.a f:1:8, token? f:1:18"),
        ("'${vars.a ?? ${vars.b}}'", "vars.a? f:1:8, vars.b f:1:20"),
        ("'${input.message}'", "input.message f:1:8"),
        ("'${request.form.a}'", "request body"),
        ("'${request.json:$.a}'", "request body"),
        ("'${request.body}'", "request body"),
        ("'${response.status}'", "response f:1:8"),
        ("'${response.json:$.a}'", "response f:1:8, response body"),
        ("'${response.body ??}'", "response? f:1:8, response body"),
        ("'${failure.reason}'", "failure f:1:8"),
        ("{ cel = 'vars.a == 1 && request.form.b == \"x\"' }", "vars.a f:1:14, request body"),
        ("{ cel = 'has(vars.a) && vars.a == 1' }", "vars.a? f:1:18, vars.a? f:1:29"),
    ] {
        assert_eq!(reads(written), expected, "{written}");
    }
}

/// Whatever a text holds: no panic at load nor at run, and every problem stands within the file.
#[test]
fn any_text_is_compiled_or_told() {
    const WORDS: &[&str] = &[
        "${",
        "}",
        " ?? ",
        "??",
        "$",
        "$${",
        ".",
        "[",
        "]",
        "\"x\"",
        "[0]",
        "[9]",
        ":",
        "$.a",
        "$.items[*].id",
        "$..*",
        "request",
        "response",
        "json",
        "form",
        "header",
        "a",
        "x-api-key",
        "vars",
        "json",
        "text",
        "token",
        "scopes",
        "extra",
        "input",
        "message",
        "values",
        "list",
        "now",
        "node",
        "name",
        "failure",
        "reason",
        "path",
        "id",
        " ",
        "ü",
        "{",
        "kps",
        "cert",
    ];
    const WHOLE: &[&str] = &[
        "${request.header[\"x-api-key\"] ?? ${vars.text ?? none}} and ${token.scopes[0]}",
        "${request.json:$.items[?(@.id > 1)].id ?? ${vars.json.list[2]}}",
        "${input.message}${values.list[1]}${now}$${x}",
    ];
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..4_000 {
        let mut dice = crate::testing::dice::Dice::new(seed);
        let text = match seed % 2 {
            0 => format!("${{{}", dice.words(WORDS, 8)),
            _ => {
                let whole = *dice.pick(WHOLE);
                dice.damaged(whole)
            }
        };
        // TOML's escapes for a text are JSON's.
        let written = serde_json::Value::from(text.as_str()).to_string();
        let mut bench = Bench::new();
        bench.repeated_refused = seed % 3 == 0;
        match bench.setting::<Value>(&written) {
            Ok(getter) => {
                taken += 1;
                let mut exchange = bench.exchange();
                match seed % 5 {
                    0 => Bench::with_json(&mut exchange, r#"{"a":1,"items":[{"id":1},{"id":2}]}"#),
                    1 => Bench::with_form(&mut exchange, "a=1&a=2&x=%zz"),
                    _ => {}
                }
                let _ = getter.get(&exchange);
            }
            Err(problems) => {
                refused += 1;
                for place in problems.iter().map(|d| d.place.as_ref().unwrap()) {
                    assert!(place.span.end <= place.file.text.len() && place.span.start >= 4, "{text}: {place}");
                }
            }
        }
    }
    assert!(taken > 300 && refused > 1_000, "{taken} taken, {refused} refused: the words are badly chosen");
}
