//! HTTP message signatures by a shared secret (RFC 9421, `hmac-sha256`), and digests of bodies (RFC 9530).
//!
//! Of the components that a signature can cover, those that stand for a whole field or a whole part of the request are understood; one with
//! parameters of its own (`;sf`, `;key=`, `;bs`, `;name=`) is not, and makes the signature count for nothing.

use aws_lc_rs::{digest, hmac};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, ListSerializer, Parser};
use subtle::ConstantTimeEq;

/// A shorter secret counts for nothing: it could be found by trying, away from here (as RFC 7518, section 3.2, says of HMAC in tokens).
pub const SHORTEST_SECRET: usize = 32;

/// More signatures than this are no message that anybody means.
const MOST: usize = 8;

/// A signature that nobody has checked yet.
#[derive(Clone, Debug)]
pub struct MessageSignature {
    components: Vec<String>,
    /// What `@signature-params` is, as it was signed: RFC 9421, section 2.3.
    parameters: String,
    /// Which key it names.
    pub key_id: String,
    /// When it was made, in Unix seconds.
    pub created: Option<i64>,
    /// When it ends, in Unix seconds.
    pub expires: Option<i64>,
    /// What it is for.
    pub tag: Option<String>,
    /// Makes it another one than the last.
    pub nonce: Option<String>,
    signature: Vec<u8>,
}

/// The signatures of a message that can be understood, from the values of `Signature-Input` and `Signature`; `None` where one of the two is
/// malformed. What is signed by another algorithm, names no key or covers what is not understood here is left out.
pub fn parse(inputs: &str, signatures: &str) -> Option<Vec<MessageSignature>> {
    let inputs: Dictionary = Parser::new(inputs).parse().ok()?;
    let signatures: Dictionary = Parser::new(signatures).parse().ok()?;
    if inputs.len() > MOST || signatures.len() > MOST {
        return None;
    }
    let mut found = Vec::new();
    for (label, entry) in &inputs {
        let ListEntry::InnerList(input) = entry else { return None };
        let Some(ListEntry::Item(item)) = signatures.get(label) else { continue };
        let BareItem::ByteSequence(signature) = &item.bare_item else { return None };
        found.extend(read(input, signature.clone()));
    }
    Some(found)
}

fn read(input: &InnerList, signature: Vec<u8>) -> Option<MessageSignature> {
    let mut components: Vec<String> = Vec::new();
    for item in &input.items {
        let BareItem::String(name) = &item.bare_item else { return None };
        let name = name.as_str().to_owned();
        // Section 2: each component once; section 2.1: names in small letters.
        if !item.params.is_empty() || components.contains(&name) || name.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        components.push(name);
    }
    let text = |name: &str| match input.params.get(name) {
        Some(BareItem::String(text)) => Some(text.as_str().to_owned()),
        _ => None,
    };
    let time = |name: &str| match input.params.get(name) {
        Some(BareItem::Integer(time)) => Some(Some(i64::from(*time))),
        Some(_) => None,
        None => Some(None),
    };
    if input.params.get("alg").is_some() && text("alg").as_deref() != Some("hmac-sha256") {
        return None;
    }
    let mut serialized = ListSerializer::new();
    serialized.members([&ListEntry::InnerList(input.clone())]);
    Some(MessageSignature {
        components,
        parameters: serialized.finish()?,
        key_id: text("keyid")?,
        created: time("created")?,
        expires: time("expires")?,
        tag: text("tag"),
        nonce: text("nonce"),
        signature,
    })
}

impl MessageSignature {
    /// Whether it covers this component: `@method`, `content-digest`.
    pub fn covers(&self, component: &str) -> bool {
        self.components.iter().any(|covered| covered == component)
    }

    /// Its bytes: no two messages have the same.
    pub fn bytes(&self) -> &[u8] {
        &self.signature
    }

    /// What was signed (section 2.5); `None` where the message lacks a component.
    pub fn base(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut base = String::new();
        for component in &self.components {
            // A value with a line end would be another component.
            let value = value(component).filter(|value| !value.contains(['\n', '\r']))?;
            base.push_str(&format!("\"{component}\": {value}\n"));
        }
        base.push_str(&format!("\"@signature-params\": {}", self.parameters));
        Some(base)
    }

    /// Whether this secret made it, told in a time that does not depend on how much of it is right.
    pub fn is_by(&self, secret: &[u8], base: &str) -> bool {
        let right = hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), base.as_bytes(), &self.signature).is_ok();
        right & (secret.len() >= SHORTEST_SECRET)
    }
}

/// Whether a `Content-Digest` (RFC 9530) is that of this body: each digest in it that is known here is right, and there is one.
pub fn is_digest_of(field: &str, body: &[u8]) -> bool {
    let Ok(digests) = Parser::new(field).parse::<Dictionary>() else { return false };
    let mut known = 0;
    for (name, algorithm) in [("sha-256", &digest::SHA256), ("sha-512", &digest::SHA512)] {
        match digests.get(name) {
            None => {}
            Some(ListEntry::Item(item)) => {
                let BareItem::ByteSequence(said) = &item.bare_item else { return false };
                if !bool::from(digest::digest(algorithm, body).as_ref().ct_eq(said)) {
                    return false;
                }
                known += 1;
            }
            Some(ListEntry::InnerList(_)) => return false,
        }
    }
    known > 0
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Section B.1.5.
    const SECRET: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    /// Section B.2.5.
    const INPUT: &str = r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    const SIGNATURE: &str = "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:";

    fn value(component: &str) -> Option<String> {
        let value = match component {
            "date" => "Tue, 20 Apr 2021 02:07:55 GMT",
            "@authority" => "example.com",
            "content-type" => "application/json",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn one(input: &str, signature: &str) -> Option<MessageSignature> {
        parse(input, signature)?.pop()
    }

    #[test]
    fn rfc9421_b_2_5_a_request_by_a_shared_secret() {
        let signature = one(INPUT, SIGNATURE).expect("a signature");
        let secret = STANDARD.decode(SECRET).expect("a secret");
        let base = signature.base(value).expect("all is there");
        assert_eq!(
            base,
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": application/json\n\
             \"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
        );
        assert!(signature.is_by(&secret, &base));
        assert_eq!((signature.key_id.as_str(), signature.created), ("test-shared-secret", Some(1_618_884_473)));
        assert!(signature.covers("date") && !signature.covers("@method"));
        assert!(!signature.is_by(&secret, &base.replace("example.com", "example.org")));
        assert!(!signature.is_by(b"another secret that is long enough", &base));
    }

    #[test]
    fn rfc9421_2_what_cannot_be_understood_counts_for_nothing() {
        for input in [
            r#"sig-b25=("date";sf);created=1;keyid="k""#,
            r#"sig-b25=("date" "date");created=1;keyid="k""#,
            r#"sig-b25=("Date");created=1;keyid="k""#,
            r#"sig-b25=(date);created=1;keyid="k""#,
            r#"sig-b25=("date");created=1"#,
            r#"sig-b25=("date");created="1";keyid="k""#,
            r#"sig-b25=("date");created=1;keyid="k";alg="rsa-pss-sha512""#,
            r#"sig-b25=("date");created=1;keyid="k";alg=hmac-sha256"#,
            r#"other=("date");created=1;keyid="k""#,
        ] {
            assert_eq!(parse(input, SIGNATURE).map(|found| found.len()), Some(0), "{input}");
        }
        for (input, signature) in [("(", SIGNATURE), (INPUT, ":"), ("sig-b25=1", SIGNATURE), (INPUT, "sig-b25=1")] {
            assert!(parse(input, signature).is_none(), "{input} {signature}");
        }
        let many = (0..9).map(|at| format!("s{at}=()")).collect::<Vec<_>>().join(", ");
        assert!(parse(&many, SIGNATURE).is_none());
    }

    #[test]
    fn rfc9421_2_5_a_value_cannot_become_another_component() {
        let signature = one(INPUT, SIGNATURE).expect("a signature");
        assert_eq!(signature.base(|_| Some("a\n\"@method\": GET".into())), None);
        assert_eq!(signature.base(|_| None), None);
    }

    #[test]
    fn a_secret_that_is_short_counts_for_nothing() {
        let signature = one(INPUT, SIGNATURE).expect("a signature");
        for length in [0, 31, 32] {
            let secret = vec![b'a'; length];
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), b"base");
            let signed = MessageSignature { signature: tag.as_ref().to_vec(), ..signature.clone() };
            assert_eq!(signed.is_by(&secret, "base"), length == 32, "{length}");
        }
    }

    #[test]
    fn rfc9530_digests_of_bodies() {
        let body = br#"{"hello": "world"}"#;
        let sha256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        let sha512 =
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
        for field in [sha256, sha512, &format!("{sha256}, {sha512}"), &format!("md5=:AAAA:, {sha256}")] {
            assert!(is_digest_of(field, body), "{field}");
            assert!(!is_digest_of(field, b"another"), "{field}");
        }
        let one_wrong = format!("{sha256}, sha-512=:AAAA:");
        for field in
            ["", "sha-256", "sha-256=\"a\"", "sha-256=(:AAAA:)", "md5=:AAAA:", "sha-256=:AAAA:", one_wrong.as_str()]
        {
            assert!(!is_digest_of(field, body), "{field}");
        }
    }
}
