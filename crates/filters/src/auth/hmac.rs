//! `auth.hmac`: lets in who signs the request with a secret that the two share (RFC 9421, HTTP message signatures, by `hmac-sha256`), and
//! sets `subject.*`. Oracle API Gateway has none; it takes the place of keys that go over the wire as they are.
//!
//! `Signature-Input` names what the signature covers: it must be the method, the authority, the path and the query, what `covered` asks for besides,
//! and, where the request has a body, `content-digest` (RFC 9530), which must be that of the body. Parts of a field (`;key=`, `;name=`, `;sf`)
//! are not understood. `created` must be there, and no older than `max_age`; with `once`, a signature counts once in the cluster, so that
//! nobody can send again what was overheard. Path and authority are signed in their normal form.
//!
//! ```toml
//! [[filter]]
//! use     = "auth.hmac"
//! keys    = { partner = "${values.partner_key}" }
//! covered = ["content-type"]
//! max_age = "2m"
//! once    = true
//! ```

use std::sync::Arc;
use std::time::Duration as StdDuration;

use http::{HeaderMap, HeaderName};
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::message_signature::{self, MessageSignature, SHORTEST_SECRET};
use policy::attribute::Slot;
use policy::diagnostic::{Problem, codes};
use policy::settings::{Duration, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
    Request,
};
use store::Replay;

use crate::StoreExt;
use crate::entries::Entries;
use crate::oauth::{SUBJECT, Stop, Subject, settle, unix_seconds};

/// The request has no signature.
const NO_SIGNATURE: ReasonCode = ReasonCode::new("no-signature");
/// It has none that counts.
const WRONG_SIGNATURE: ReasonCode = ReasonCode::new("wrong-signature");

/// What every signature must cover: another request would else be as good.
const ALWAYS: [&str; 4] = ["@method", "@authority", "@path", "@query"];

/// So far a sender's clock may be ahead of ours, in seconds.
const AHEAD: i64 = 30;

/// `use = "auth.hmac"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Key and secret: the `keyid` that signatures name, which becomes `subject.id`, and a selector that gives the secret, of at least 32 bytes.
    keys: Spanned<Entries<Dynamic<String>>>,
    /// What a signature must cover beside `@method`, `@authority`, `@path`, `@query` and, of a request with a body, `content-digest`: names of
    /// headers in small letters, `@scheme`. Default: none.
    #[serde(default)]
    covered: Vec<Spanned<String>>,
    /// How old a signature may be. Default: 5 minutes.
    max_age: Option<Duration>,
    /// The `tag` that a signature must have. Default: any or none.
    tag: Option<String>,
    /// Whether a signature counts once only, in the cluster. Default: false.
    #[serde(default)]
    once: bool,
    /// Whether `Signature` and `Signature-Input` stay on the request that goes upstream. Default: false.
    #[serde(default)]
    keep_credential: bool,
    /// The store of the kind `replay`, for `once`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.hmac";
    type Filter = Hmac;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Hmac, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_SIGNATURE, WRONG_SIGNATURE]);
        cx.reads_request_body();
        let mut problems = Diagnostics::new();
        let mut keys = Vec::new();
        for (id, secret) in &self.keys.value.0 {
            let has_selector =
                cx.file().text.get(secret.span().start..secret.span().end).is_some_and(|text| text.contains("${"));
            if !has_selector {
                let help = "put it outside the files: `[values] partner_key = { env = \"PARTNER_KEY\" }` in `node.toml`, and `${values.partner_key}` here";
                let problem = Problem::error(codes::CLEAR_SECRET, "a secret stands here in clear text").with_help(help);
                problems.push(problem.at(cx.place(secret.span())));
                continue;
            }
            match cx.dynamic(secret) {
                Ok(secret) => keys.push((id.value.clone(), secret)),
                Err(more) => problems.extend(more),
            }
        }
        if self.keys.value.0.is_empty() {
            let help = "write `keys = { partner = \"${values.partner_key}\" }`";
            problems.push(cx.error(self.keys.span, "nobody can sign: `keys` is empty", help));
        }
        for component in &self.covered {
            let known = match component.value.strip_prefix('@') {
                Some(_) => derived(&component.value),
                None => HeaderName::from_bytes(component.value.as_bytes())
                    .is_ok_and(|name| name.as_str() == component.value),
            };
            if !known {
                let help = "the name of a header in small letters, or `@scheme`, `@target-uri`, `@request-target`";
                problems.push(cx.error(component.span, format!("`{}` is no component", component.value), help));
            }
        }
        if problems.has_errors() {
            return Err(problems);
        }
        Ok(Hmac {
            keys,
            covered: self.covered.iter().map(|component| component.value.clone()).collect(),
            max_age: self.max_age.map_or(StdDuration::from_secs(300), |age| age.0).as_secs().max(1),
            tag: self.tag.clone(),
            replay: if self.once { Some(cx.store(&self.store)?) } else { None },
            keep_credential: self.keep_credential,
            subject: cx.writes(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct Hmac {
    keys: Vec<(String, Getter<String>)>,
    covered: Vec<String>,
    /// In seconds.
    max_age: u64,
    tag: Option<String>,
    replay: Option<Arc<Replay>>,
    keep_credential: bool,
    subject: Slot<Subject>,
}

impl Filter for Hmac {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.prove(exchange).await)
    }
}

impl Hmac {
    async fn prove(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let headers = &exchange.request.headers;
        let (input, signature) = (joined(headers, "signature-input"), joined(headers, "signature"));
        let (Some(input), Some(signature)) = (input, signature) else {
            return Err(Reason::new(NO_SIGNATURE, "the request is not signed").with_absent().into());
        };
        let signatures = message_signature::parse(&input, &signature).ok_or_else(|| wrong("it is malformed"))?;
        let is_ours = |s: &MessageSignature| self.tag.is_none() || s.tag == self.tag;
        let mut known = signatures.iter().filter(|s| is_ours(s)).filter_map(|s| {
            let (_, secret) = self.keys.iter().find(|(id, _)| *id == s.key_id)?;
            Some((s, secret))
        });
        let (signature, secret) = known.next().ok_or_else(|| wrong("no key of ours made it"))?;
        let until = self.check(signature, &secret.get(exchange)?, &exchange.request, unix_seconds(exchange))?;
        if let Some(replay) = &self.replay {
            let used: String = signature.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            if !replay.is_first(&signature.key_id, &used, until).await? {
                return Err(wrong("it was used before").into());
            }
        }
        let id = Arc::from(signature.key_id.as_str());
        if !self.keep_credential {
            exchange.request.headers.remove("signature");
            exchange.request.headers.remove("signature-input");
        }
        let subject = Subject { id, is_client: false, authenticated_at: None, methods: Vec::new(), acr: None };
        exchange.set(self.subject, subject);
        Ok(Outcome::Success)
    }

    /// Whether the signature is right and is of this request; tells until when it would be believed.
    fn check(&self, signature: &MessageSignature, secret: &str, request: &Request, now: u64) -> Result<u64, Reason> {
        let body = request.body_bytes().map_or(&[][..], |bytes| bytes);
        let needed = ALWAYS.iter().copied().chain(self.covered.iter().map(String::as_str));
        for component in needed.chain((!body.is_empty()).then_some("content-digest")) {
            if !signature.covers(component) {
                return Err(wrong(format!("it does not cover `{component}`")));
            }
        }
        let base = signature
            .base(|component| value(component, request))
            .ok_or_else(|| wrong("it covers what is not there"))?;
        if secret.len() < SHORTEST_SECRET {
            return Err(wrong(format!("the secret of `{}` is shorter than {SHORTEST_SECRET} bytes", signature.key_id)));
        }
        if !signature.is_by(secret.as_bytes(), &base) {
            return Err(wrong("it is not right"));
        }
        let (now, created) =
            (i64::try_from(now).unwrap_or(i64::MAX), signature.created.ok_or_else(|| wrong("it has no `created`"))?);
        let max_age = i64::try_from(self.max_age).unwrap_or(i64::MAX);
        let until = created.saturating_add(max_age);
        if created > now.saturating_add(AHEAD) || now > until || signature.expires.is_some_and(|expires| now > expires)
        {
            return Err(wrong("it is not of now"));
        }
        if let Some(field) = joined(&request.headers, "content-digest")
            && !message_signature::is_digest_of(&field, body)
        {
            return Err(wrong("`Content-Digest` is not that of the body"));
        }
        Ok(u64::try_from(until).unwrap_or_default().saturating_add(1))
    }
}

fn wrong(why: impl std::fmt::Display) -> Reason {
    Reason::new(WRONG_SIGNATURE, format!("the signature does not count: {why}"))
}

/// Whether a component is one that stands for a part of the request.
fn derived(component: &str) -> bool {
    matches!(component, "@method" | "@authority" | "@scheme" | "@path" | "@query" | "@target-uri" | "@request-target")
}

/// What a component is in this request (RFC 9421, sections 2.1 and 2.2).
fn value(component: &str, request: &Request) -> Option<String> {
    let query = request.query.as_deref();
    let target = || query.map_or_else(|| request.path.clone(), |query| format!("{}?{query}", request.path));
    let authority = || {
        let host = request.host.to_ascii_lowercase();
        let usual = if request.scheme == "https" { ":443" } else { ":80" };
        host.strip_suffix(usual).map_or(host.clone(), str::to_owned)
    };
    Some(match component {
        "@method" => request.method.as_str().to_owned(),
        "@authority" => authority(),
        "@scheme" => request.scheme.to_owned(),
        "@path" => request.path.clone(),
        "@query" => format!("?{}", query.unwrap_or_default()),
        "@request-target" => target(),
        "@target-uri" => format!("{}://{}{}", request.scheme, authority(), target()),
        header if !header.starts_with('@') => joined(&request.headers, header)?,
        _ => return None,
    })
}

/// All values of a field, with `, ` between; `None` where there is none, or one is no text.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Option<Vec<&str>> =
        headers.get_all(name).iter().map(|value| value.to_str().ok().map(str::trim)).collect();
    values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use http::Method;
    use sha2::{Digest, Sha256};

    use crate::fixture::{request, sent, told, world};
    use policy::exchange::Request;
    use policy::testing::Fixture;

    const SECRET: &str = "a secret that is long enough: 0123456789";

    fn tested(settings: &str) -> Fixture {
        let text = format!(
            "route = '/**'\n[[filter]]\nuse = 'auth.hmac'\n{settings}\n\
             [[filter]]\nuse = 'set-header'\nset = {{ x-who = '${{subject.id}}' }}\n\
             [[filter]]\nuse = 'proxy'\nupstream = 'orders'\n"
        );
        world().policy("tested", &text)
    }

    /// The keys come from headers here: what a policy reads of the node is the same selector.
    const KEYS: &str = "keys = { partner = '${request.header.x-secret}' }";

    /// HMAC-SHA-256 (RFC 2104), by nothing of what checks it.
    fn hmac(secret: &[u8], text: &str) -> String {
        let hash = |parts: &[&[u8]]| Sha256::digest(parts.concat()).to_vec();
        let pad = |byte: u8| (0..64).map(|at| secret.get(at).unwrap_or(&0) ^ byte).collect::<Vec<u8>>();
        STANDARD.encode(hash(&[&pad(0x5c), &hash(&[&pad(0x36), text.as_bytes()])]))
    }

    struct Signed {
        covered: &'static str,
        params: String,
        body: &'static str,
        digest_of: &'static str,
        secret: &'static str,
        path: &'static str,
    }

    fn usual() -> Signed {
        Signed {
            covered: r#""@method" "@authority" "@path" "@query" "content-digest""#,
            params: format!(";created={};keyid=\"partner\"", created(0)),
            body: "{}",
            digest_of: "{}",
            secret: SECRET,
            path: "/x?a=b",
        }
    }

    /// So many seconds from the time of the fixture's clock, which stands still.
    fn created(from_now: i64) -> i64 {
        1_767_225_600 + from_now
    }

    impl Signed {
        fn request(&self) -> Request {
            let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(self.digest_of)));
            let params = format!("({}){}", self.covered, self.params);
            let mut base = String::new();
            for component in self.covered.split(' ').filter(|c| !c.is_empty()) {
                let value = match component.trim_matches('"') {
                    "@method" => "POST",
                    "@authority" => "localhost",
                    "@path" => "/x",
                    "@query" => "?a=b",
                    "content-digest" => &digest,
                    _ => "other",
                };
                base.push_str(&format!("{component}: {value}\n"));
            }
            base.push_str(&format!("\"@signature-params\": {params}"));
            let signature = format!("s=:{}:", hmac(self.secret.as_bytes(), &base));
            let headers = [
                ("signature-input", &format!("s={params}")[..]),
                ("signature", &signature),
                ("content-digest", &digest),
                ("x-secret", self.secret),
            ];
            request(Method::POST, self.path, &headers, self.body)
        }
    }

    #[test]
    fn who_signs_is_let_in() {
        let seen = sent(&tested(KEYS).run(usual().request()));
        assert_eq!(seen["headers"]["x-who"], "partner");
        assert_eq!((seen["headers"].get("signature"), seen["headers"].get("signature-input")), (None, None));
        let kept = sent(&tested(&format!("{KEYS}\nkeep_credential = true")).run(usual().request()));
        assert!(kept["headers"].get("signature").is_some());
    }

    #[test]
    fn what_was_not_signed_so_is_refused() {
        let params = |text: String| Signed { params: text, ..usual() };
        let at = |from_now: i64| params(format!(";created={};keyid=\"partner\"", created(from_now)));
        let wrong = "403 wrong-signature";
        for (what, signed, expected) in [
            ("another query", Signed { path: "/x?a=c", ..usual() }, wrong),
            ("another path", Signed { path: "/y?a=b", ..usual() }, wrong),
            ("another body", Signed { body: "[]", ..usual() }, wrong),
            (
                "a body that is not covered",
                Signed { covered: r#""@method" "@authority" "@path" "@query""#, ..usual() },
                wrong,
            ),
            (
                "a method that is not covered",
                Signed { covered: r#""@authority" "@path" "@query" "content-digest""#, ..usual() },
                wrong,
            ),
            (
                "what is not there",
                Signed { covered: r#""@method" "@authority" "@path" "@query" "content-digest" "x-none""#, ..usual() },
                wrong,
            ),
            ("a secret that is short", Signed { secret: "short", ..usual() }, wrong),
            ("another key", params(format!(";created={};keyid=\"other\"", created(0))), wrong),
            ("no time", params(";keyid=\"partner\"".into()), wrong),
            ("another algorithm", params(format!(";created={};keyid=\"partner\";alg=\"ed25519\"", created(0))), wrong),
            ("long ago", at(-301), wrong),
            ("not so long ago", at(-300), "200"),
            ("of tomorrow", at(31), wrong),
            ("a clock that is ahead", at(30), "200"),
            ("expired", params(format!(";created={};expires={};keyid=\"partner\"", created(-9), created(-1))), wrong),
        ] {
            assert_eq!(told(&tested(KEYS).run(signed.request())), expected, "{what}");
        }
        let mut altered = usual().request();
        altered.headers.insert("signature", "s=:AAAA:".parse().expect("a value"));
        assert_eq!(told(&tested(KEYS).run(altered)), wrong);
        let mut unsigned = usual().request();
        unsigned.headers.remove("signature");
        assert_eq!(told(&tested(KEYS).run(unsigned)), "403 no-signature");
    }

    #[test]
    fn a_request_without_a_body_needs_no_digest() {
        let signed =
            Signed { covered: r#""@method" "@authority" "@path" "@query""#, body: "", digest_of: "", ..usual() };
        assert_eq!(told(&tested(KEYS).run(signed.request())), "200");
    }

    #[test]
    fn what_a_policy_asks_for_besides() {
        let tagged = tested(&format!("{KEYS}\ntag = 'orders'"));
        assert_eq!(told(&tagged.run(usual().request())), "403 wrong-signature");
        let with_tag =
            Signed { params: format!(";created={};keyid=\"partner\";tag=\"orders\"", created(0)), ..usual() };
        assert_eq!(told(&tagged.run(with_tag.request())), "200");
        assert_eq!(
            told(&tested(&format!("{KEYS}\ncovered = ['content-type']")).run(usual().request())),
            "403 wrong-signature"
        );
    }

    #[test]
    fn once_is_once() {
        let once = tested(&format!("{KEYS}\nonce = true"));
        assert_eq!(told(&once.run(usual().request())), "200");
        assert_eq!(told(&once.run(usual().request())), "403 wrong-signature");
        let again = tested(KEYS);
        assert_eq!(told(&again.run(usual().request())), "200");
        assert_eq!(told(&again.run(usual().request())), "200");
    }

    #[test]
    fn what_cannot_be_signed_is_refused_at_load() {
        for (settings, said) in [
            ("keys = {}", "nobody can sign"),
            ("keys = { a = 'geheim' }", "a secret stands here in clear text"),
            (&format!("{KEYS}\ncovered = ['Content-Type']"), "is no component"),
            (&format!("{KEYS}\ncovered = ['@query-param']"), "is no component"),
        ] {
            let problems = tested(settings).problems();
            assert!(!problems.is_empty() && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
