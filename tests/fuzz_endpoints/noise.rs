//! How good requests are made bad: parameters repeated, missing, huge, of another kind; bytes written wrongly; headers that contradict.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::rules::ECHOED;
use super::shapes::{Proof, Shape};
use crate::harness::dice::Dice;
use crate::harness::folder::altered;
use crate::harness::http::encode;

const FORM: &str = "application/x-www-form-urlencoded";

/// Texts that something may stumble over.
const WILD: [&str; 44] = [
    "",
    " ",
    "\0",
    "a\0b",
    "\r\nX-Injected: 1",
    "\u{202e}",
    "\u{feff}a",
    "ä€😀",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' autofocus onfocus=alert(1) '",
    "</style></title>\"'<b>",
    "{{31337*3}}",
    "{% raw %}",
    "${client.id}",
    "${values.x ??}",
    "%00",
    "%zz",
    "javascript:alert(1)",
    "https://evil.example/",
    "//evil.example/",
    "https://app.example@evil.example/cb",
    "https://app.example/cb/",
    "https://app.example/cb/../x",
    "https://app.example/cb#x",
    "https://app.example/cb?x=1",
    "HTTPS://app.example/cb",
    "http://127.0.0.1:4711/done",
    "http://127.0.0.1:99999999/done",
    "http://127.0.0.1:4711@evil.example/done",
    "http://localhost/done",
    "code id_token token",
    "none login consent",
    "plain",
    "-1",
    "1e999",
    "99999999999999999999",
    "null",
    "{\"id_token\":{\"sub\":{\"values\":[[]]}},\"userinfo\":7}",
    "client_credentials",
    "password",
    "openid openid  a",
    "app",
    "native",
];

/// Texts that are something else than text where they are not escaped.
const MARKUP: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "</title></style><b>",
    "{{31337*3}}",
    "javascript:alert(1)//\"",
];

/// Names of parameters, of this endpoint or another.
const NAMES: [&str; 40] = [
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "grant_type",
    "scope",
    "code",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "nonce",
    "prompt",
    "max_age",
    "login_hint",
    "id_token_hint",
    "claims",
    "ui_locales",
    "acr_values",
    "request",
    "request_uri",
    "registration",
    "resource",
    "refresh_token",
    "device_code",
    "user_code",
    "token",
    "token_type_hint",
    "access_token",
    "resume",
    "username",
    "password",
    "decision",
    "scope.0",
    "withdraw",
    "",
    "\"><b>",
];

/// What one request is made of.
pub struct Noise<'a> {
    /// Good values, those of another kind too.
    pub values: &'a [String],
    /// What is like them.
    pub nearly: &'a [String],
    /// Values that are not to stand where they are shown.
    pub secrets: &'a [String],
}

/// A request as it was sent.
pub struct Sent {
    pub method: String,
    pub path: String,
    /// The parameters of its query and of its body, as whoever reads them should.
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    /// Everything that may prove something.
    pub proofs: Vec<String>,
    pub bytes: Vec<u8>,
}

impl Sent {
    fn pairs(&self) -> impl Iterator<Item = &(String, String)> {
        self.query.iter().chain(&self.form)
    }

    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.pairs().map(|(_, value)| value.as_str())
    }

    pub fn values_of(&self, names: &[&str]) -> impl Iterator<Item = &str> {
        self.pairs().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.as_str())
    }

    /// The values of a parameter where this method has it.
    pub fn read(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = if self.method == "POST" { &self.form } else { &self.query };
        pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A request like this one, with so much of it wrong.
pub fn spoil(dice: &mut Dice, noise: &Noise<'_>, shape: &Shape) -> Sent {
    let mut shape = shape.clone();
    for _ in 0..[0, 1, 1, 1, 2, 3][dice.roll(6)] {
        match dice.roll(9) {
            0 => spoil_proof(dice, noise, &mut shape),
            1 => spoil_cookies(dice, &mut shape),
            3 => mark_up(dice, if shape.form.is_empty() { &mut shape.query } else { &mut shape.form }),
            2 => shape.query.push((dice.pick(&NAMES).to_string(), value(dice, noise, ""))),
            _ if shape.form.is_empty() && shape.query.is_empty() => {
                shape.form.push(("x".into(), value(dice, noise, "")))
            }
            _ if shape.form.is_empty() => spoil_pairs(dice, noise, &mut shape.query),
            _ => spoil_pairs(dice, noise, &mut shape.form),
        }
    }
    write_down(dice, shape)
}

fn spoil_pairs(dice: &mut Dice, noise: &Noise<'_>, pairs: &mut Vec<(String, String)>) {
    let at = dice.roll(pairs.len());
    match dice.roll(7) {
        0 if pairs.len() > 1 => drop(pairs.remove(at)),
        1 => pairs.push(pairs[at].clone()),
        2 => {
            let name = pairs[at].0.clone();
            let value = value(dice, noise, &name);
            pairs.insert(dice.roll(pairs.len() + 1), (name, value));
        }
        3 => {
            let name = (*dice.pick(&NAMES)).to_owned();
            let value = value(dice, noise, &name);
            pairs.push((name, value));
        }
        4 => pairs[at].0 = format!("{}{}", pairs[at].0, dice.pick(&["[]", "\0", " ", "[0]", "%00", "."])),
        5 if !pairs[at].1.is_empty() && pairs[at].1.is_ascii() => pairs[at].1 = near(dice, &pairs[at].1),
        _ => {
            let name = pairs[at].0.clone();
            pairs[at].1 = value(dice, noise, &name);
        }
    }
}

/// Puts markup where something is shown.
fn mark_up(dice: &mut Dice, pairs: &mut Vec<(String, String)>) {
    let shown = |name: &str| ECHOED.contains(&name) || name == "client_id";
    let text = (*dice.pick(&MARKUP)).to_owned();
    match pairs.iter_mut().find(|(name, _)| shown(name)) {
        Some((_, value)) if !dice.once_in(3) => *value = text,
        _ => pairs.push(((*dice.pick(&ECHOED)).to_owned(), text)),
    }
}

/// A value for this parameter. What is secret stands nowhere where it would be shown.
fn value(dice: &mut Dice, noise: &Noise<'_>, name: &str) -> String {
    let value = match dice.roll(9) {
        0..3 => (*dice.pick(&WILD)).to_owned(),
        3..6 => dice.pick(noise.values).clone(),
        6 => dice.pick(noise.nearly).clone(),
        7 => "x".repeat(dice.roll(300)),
        _ => dice.pick(&["[", "%", "&", "ä", "a "]).repeat(dice.roll(2_000)),
    };
    let secret = noise.secrets.iter().any(|secret| value.contains(secret.as_str()));
    if secret && (ECHOED.contains(&name) || name.is_empty()) { String::from("x") } else { value }
}

/// A text with one thing about it another.
fn near(dice: &mut Dice, text: &str) -> String {
    match dice.roll(6) {
        0 if !text.is_empty() => altered(text),
        1 => text[..dice.roll(text.len() + 1)].to_owned(),
        2 => format!("{text}{text}"),
        3 => text.to_uppercase(),
        4 => format!(" {text} "),
        _ => format!("{text}{}", dice.pick(&["\0", "=", "\n", "/", "ä", "."])),
    }
}

fn spoil_proof(dice: &mut Dice, noise: &Noise<'_>, shape: &mut Shape) {
    shape.proof = match (dice.roll(6), &shape.proof) {
        (0, _) => Proof::None,
        (1, Proof::Basic(id, secret)) => Proof::Basic(id.clone(), near(dice, secret)),
        (2, Proof::Basic(_, secret)) => Proof::Basic((*dice.pick(&WILD)).to_owned(), secret.clone()),
        (1 | 2, Proof::Bearer(token)) => Proof::Bearer(near(dice, token).replace(['\0', '\n'], "~")),
        (3, _) => Proof::Bearer(dice.pick(noise.values).replace(['\0', '\n', '\r'], "~")),
        _ => Proof::Basic(String::from("app"), dice.pick(noise.values).clone()),
    };
}

fn spoil_cookies(dice: &mut Dice, shape: &mut Shape) {
    if shape.cookies.is_empty() {
        shape.cookies.push(("__Host-portcullis-session".into(), "pcw_x".into()));
        return;
    }
    let at = dice.roll(shape.cookies.len());
    match dice.roll(4) {
        0 => drop(shape.cookies.remove(at)),
        1 => shape.cookies.push(shape.cookies[at].clone()),
        2 if !shape.cookies[at].1.is_empty() => shape.cookies[at].1 = altered(&shape.cookies[at].1),
        _ => shape.cookies[at].1 = (*dice.pick(&["", "=", "\"x\"", "a,b", "%00", "x x"])).to_owned(),
    }
}

/// The bytes of a request, at times not as they should be.
fn write_down(dice: &mut Dice, shape: Shape) -> Sent {
    let query = encoded(dice, &shape.query, false);
    let (body, media) = body(dice, &shape);
    let method = match dice.once_in(12) {
        true => *dice.pick(&["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"]),
        false => shape.method,
    };
    let target = if query.is_empty() { shape.path.clone() } else { format!("{}?{}", shape.path, text(&query)) };
    let mut head = Head(format!("{method} {target} HTTP/1.1\r\n").into_bytes());
    head.add("Host", b"localhost");
    head.add("Connection", b"close");
    let mut proofs = Vec::from_iter(write_proof(dice, &shape.proof, &mut head));
    if !shape.cookies.is_empty() {
        let cookies: Vec<_> = shape.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        head.add("Cookie", cookies.join("; ").as_bytes());
        proofs.extend(cookies);
    }
    if dice.once_in(10) {
        let (name, value) = *dice.pick(&STRAY);
        head.add(name, value);
    }
    for media in media.iter().filter(|_| !body.is_empty()) {
        head.add("Content-Type", media.as_bytes());
    }
    let (query, form) = (decoded(&query), decoded(&body));
    proofs.extend(form.iter().filter(|(name, _)| name == "client_secret").map(|(_, value)| value.clone()));
    let bytes = head.framed(dice, &body);
    Sent { method: method.to_owned(), path: shape.path, query, form, proofs, bytes }
}

/// Headers that should change nothing.
const STRAY: [(&str, &[u8]); 6] = [
    ("X-Forwarded-Host", b"evil.example"),
    ("Forwarded", b"host=evil.example;proto=http"),
    ("Origin", b"https://evil.example"),
    ("Accept", b"\xff"),
    ("X-HTTP-Method-Override", b"GET"),
    ("Content-Encoding", b"gzip"),
];

/// A head in the making.
struct Head(Vec<u8>);

impl Head {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.0.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }

    /// With its end and a body, in one piece or in a chunk.
    fn framed(mut self, dice: &mut Dice, body: &[u8]) -> Vec<u8> {
        let chunked = dice.once_in(15) && !body.is_empty();
        match chunked {
            true => self.add("Transfer-Encoding", b"chunked"),
            false => self.add("Content-Length", body.len().to_string().as_bytes()),
        }
        self.0.extend(b"\r\n");
        match chunked {
            true => self.0.extend([format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()),
            false => self.0.extend(body),
        }
        self.0
    }
}

/// A body, and what it says that it is.
fn body(dice: &mut Dice, shape: &Shape) -> (Vec<u8>, Vec<&'static str>) {
    let (mut body, mut media) = (encoded(dice, &shape.form, true), vec![FORM]);
    if let Some(json) = &shape.json {
        (body, media) = (json.clone().into_bytes(), vec!["application/json"]);
        if dice.once_in(3) {
            let at = dice.roll(body.len());
            body[at] = dice.byte();
        }
    }
    if dice.once_in(200) {
        body = vec![b'a'; 1_100_000];
    }
    if dice.once_in(10) {
        media = match dice.roll(6) {
            0 => vec![],
            1 => vec!["application/json"],
            2 => vec!["application/x-www-form-urlencoded; charset=ISO-8859-1"],
            3 => vec!["multipart/form-data; boundary=x"],
            4 => vec![FORM, "application/json"],
            _ => vec![FORM, FORM],
        };
    }
    (body, media)
}

/// Writes `Authorization`, at times twice; gives what it proves.
fn write_proof(dice: &mut Dice, proof: &Proof, head: &mut Head) -> Option<String> {
    let (secret, value) = match proof {
        Proof::None => return None,
        Proof::Bearer(token) => (token, format!("Bearer {token}")),
        Proof::Basic(id, secret) => {
            (secret, format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret)))))
        }
    };
    head.add("Authorization", value.as_bytes());
    if dice.once_in(20) {
        let others: [&[u8]; 5] = [value.as_bytes(), b"Basic YTpi", b"Bearer \xff", b"", b"DPoP x"];
        let other = *dice.pick(&others);
        head.add("Authorization", other);
    }
    Some(secret.clone())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Pairs as a form has them, at times wrongly. In a body any byte can stand, in a query only what a target has.
fn encoded(dice: &mut Dice, pairs: &[(String, String)], any: bool) -> Vec<u8> {
    let style = dice.roll(12);
    let mut out = Vec::new();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            let between = if style == 0 { *dice.pick(&["&&", ";", "&=&"]) } else { "&" };
            out.extend(between.bytes());
        }
        for (part, text) in [(0, name), (1, value)] {
            if part == 1 && !(style == 1 && text.is_empty()) {
                out.push(b'=');
            }
            for byte in text.bytes() {
                let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                let raw = style == 2 && (any || b":/?@!$'()*,%".contains(&byte));
                match byte {
                    _ if style == 3 => out.extend(format!("%{byte:02x}").bytes()),
                    b' ' if style < 8 => out.push(b'+'),
                    byte if plain || raw => out.push(byte),
                    byte => out.extend(format!("%{byte:02X}").bytes()),
                }
            }
        }
    }
    if style == 4 && dice.once_in(3) {
        out.extend(*dice.pick(&[&b"%"[..], b"%f", b"%zz", b"%ff", b"%C0%AF", b"%ED%A0%80", b"&=", b"=", b"&%00=%00"]));
    }
    if style == 5 && any && dice.once_in(3) && !out.is_empty() {
        let at = dice.roll(out.len());
        out[at] = dice.byte();
    }
    out
}

fn decoded(form: &[u8]) -> Vec<(String, String)> {
    let part = |bytes: &[u8]| {
        let mut out = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let hex = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
            match (bytes[at], hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
                (b'%', Some(byte)) => {
                    out.push(byte);
                    at += 2;
                }
                (b'+', _) => out.push(b' '),
                (byte, _) => out.push(byte),
            }
            at += 1;
        }
        text(&out)
    };
    let pair = |pair: &[u8]| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (part(&pair[..at]), part(pair.get(at + 1..).unwrap_or_default()))
    };
    form.split(|byte| *byte == b'&').map(pair).collect()
}
