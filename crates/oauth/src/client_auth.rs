//! How a client proves who it is (RFC 6749, section 2.3): which method a request uses, and whether this client may use
//! it.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::client_assertion;
use crate::error::{Error, ErrorCode};
use crate::id::ClientId;
use crate::jose::Jws;
use crate::secret::Secret;

/// Padding may be left off, as some clients do; what the bits say is the same.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A client authentication method, by its registered name (RFC 7591, section 2; RFC 8705).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `client_secret_basic`
    ClientSecretBasic,
    /// `client_secret_post`
    ClientSecretPost,
    /// `client_secret_jwt`
    ClientSecretJwt,
    /// `private_key_jwt`
    PrivateKeyJwt,
    /// `tls_client_auth`
    TlsClientAuth,
    /// `self_signed_tls_client_auth`
    SelfSignedTlsClientAuth,
    /// `none`: a public client, which only says its id.
    None,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 7] = [
        Method::ClientSecretBasic,
        Method::ClientSecretPost,
        Method::ClientSecretJwt,
        Method::PrivateKeyJwt,
        Method::TlsClientAuth,
        Method::SelfSignedTlsClientAuth,
        Method::None,
    ];

    /// Its registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::ClientSecretBasic => "client_secret_basic",
            Method::ClientSecretPost => "client_secret_post",
            Method::ClientSecretJwt => "client_secret_jwt",
            Method::PrivateKeyJwt => "private_key_jwt",
            Method::TlsClientAuth => "tls_client_auth",
            Method::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
            Method::None => "none",
        }
    }

    /// The method of this name.
    pub fn parse(text: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// What of a request matters here. Empty parameters are absent (RFC 6749, section 3.2): the caller leaves them out.
#[derive(Clone, Copy, Default)]
pub struct Attempt<'a> {
    /// Every value of `Authorization`.
    pub authorization: &'a [&'a [u8]],
    /// `client_id` of the form.
    pub client_id: Option<&'a str>,
    /// `client_secret` of the form.
    pub client_secret: Option<&'a str>,
    /// `client_assertion` of the form.
    pub client_assertion: Option<&'a str>,
    /// `client_assertion_type` of the form.
    pub client_assertion_type: Option<&'a str>,
}

/// Who a request says it is from, and with what it would prove that.
#[derive(Debug, PartialEq, Eq)]
pub struct Presented {
    /// How.
    pub method: Method,
    /// Who.
    pub client_id: ClientId,
    /// The secret, where the method has one.
    pub secret: Option<Secret>,
    /// The assertion, where the method has one: a signed token that nobody has checked yet.
    pub assertion: Option<Secret>,
}

/// No identifier or secret is longer: what is, is refused before anything is hashed or looked up.
const LONGEST: usize = 1024;

/// Reads who the request says it is from. More than one way to prove it is `invalid_request`; none at all is
/// `invalid_client`.
pub fn read(attempt: Attempt<'_>) -> Result<Presented, Error> {
    let header = match attempt.authorization {
        [] => None,
        [one] => Some(*one),
        _ => return Err(Error::invalid_request("`Authorization` is repeated")),
    };
    let ways = [header.is_some(), attempt.client_secret.is_some(), attempt.has_assertion()];
    if ways.into_iter().filter(|used| *used).count() > 1 {
        return Err(Error::invalid_request("The client uses more than one way to authenticate"));
    }
    let presented = match header {
        Some(header) => from_header(header, attempt.client_id)?,
        None if attempt.has_assertion() => from_assertion(attempt)?,
        None => from_form(attempt.client_id, attempt.client_secret)?,
    };
    presented.is_plausible().then_some(presented).ok_or(Error::invalid_client())
}

fn from_header(header: &[u8], named: Option<&str>) -> Result<Presented, Error> {
    let (client_id, secret) = basic(header).ok_or(Error::invalid_client())?;
    if named.is_some_and(|other| other != client_id.as_str()) {
        return Err(Error::invalid_request("`client_id` is another one than in `Authorization`"));
    }
    Ok(Presented { method: Method::ClientSecretBasic, client_id, secret: Some(secret), assertion: None })
}

/// RFC 7521, section 4.2: `client_id` is not needed, since the assertion says whose it is; where it is there, it says the same.
fn from_assertion(attempt: Attempt<'_>) -> Result<Presented, Error> {
    let (Some(assertion), Some(kind)) = (attempt.client_assertion, attempt.client_assertion_type) else {
        return Err(Error::invalid_request("`client_assertion` and `client_assertion_type` go together"));
    };
    if kind != client_assertion::TYPE {
        return Err(Error::new(ErrorCode::InvalidClient, "The client assertion is of a type that is not supported"));
    }
    let parsed = Jws::parse(assertion).map_err(client_assertion::refused)?;
    let client_id = client_assertion::claimed_client(&parsed).ok_or(Error::invalid_client())?;
    if attempt.client_id.is_some_and(|other| other != client_id.as_str()) {
        return Err(Error::invalid_request("`client_id` is another one than in `client_assertion`"));
    }
    let by_secret = client_assertion::is_by_secret(&parsed);
    let method = if by_secret { Method::ClientSecretJwt } else { Method::PrivateKeyJwt };
    Ok(Presented { method, client_id, secret: None, assertion: Some(Secret::new(assertion.to_owned())) })
}

fn from_form(client_id: Option<&str>, client_secret: Option<&str>) -> Result<Presented, Error> {
    match (client_id, client_secret) {
        (Some(id), Some(secret)) => Ok(Presented {
            method: Method::ClientSecretPost,
            client_id: ClientId::new(id),
            secret: Some(Secret::new(secret.to_owned())),
            assertion: None,
        }),
        (Some(id), None) => {
            Ok(Presented { method: Method::None, client_id: ClientId::new(id), secret: None, assertion: None })
        }
        (None, Some(_)) => Err(Error::invalid_request("`client_secret` without `client_id`")),
        (None, None) => Err(Error::new(ErrorCode::InvalidClient, "No client authentication included")),
    }
}

impl Attempt<'_> {
    fn has_assertion(&self) -> bool {
        self.client_assertion.is_some() || self.client_assertion_type.is_some()
    }
}

impl Presented {
    /// Whether any client could be called so. RFC 6749, appendix A.1, has only visible characters and the space in
    /// identifiers; we refuse those that do harm in logs and data bases.
    fn is_plausible(&self) -> bool {
        let id = self.client_id.as_str();
        let secret = self.secret.as_ref().map_or("", Secret::expose);
        id.len() <= LONGEST && secret.len() <= LONGEST && !id.chars().any(char::is_control)
    }
}

/// Takes `Basic` credentials apart: base64 of id, colon and secret, where id and secret were form-encoded each by
/// itself *before* (RFC 6749, section 2.3.1), so that either may hold a colon. `None` where they are malformed or of
/// another scheme.
pub fn basic(authorization: &[u8]) -> Option<(ClientId, Secret)> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64.decode(rest.trim_ascii()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let id = form_decode(&decoded[..colon])?;
    let secret = form_decode(&decoded[colon + 1..])?;
    (!id.is_empty()).then(|| (ClientId::new(id), Secret::new(secret)))
}

/// Whether this client may use the method: what is registered for it decides, else what the policy lists; but `none`,
/// assertions and certificates only where registered, and `none` never for a client that has a secret.
pub fn may_use(method: Method, listed: &[Method], registered: Option<&str>, has_secret: bool) -> bool {
    if !listed.contains(&method) {
        return false;
    }
    match registered {
        Some(registered) if registered != method.as_str() => false,
        Some(_) => method != Method::None || !has_secret,
        None => matches!(method, Method::ClientSecretBasic | Method::ClientSecretPost),
    }
}

/// The challenge that goes with a 401 of an endpoint where clients authenticate (RFC 6749, section 5.2; RFC 7617).
pub fn challenge(realm: &str) -> String {
    format!("Basic realm={}, charset=\"UTF-8\"", crate::bearer::quoted(realm))
}

/// Decodes strictly: broken percent-encoding and bytes that are no UTF-8 are `None`.
fn form_decode(part: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(*bytes.next()?).to_digit(16)?;
                let low = char::from(*bytes.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            other => *other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD as PLAIN;

    fn header(credentials: &str) -> String {
        format!("Basic {}", PLAIN.encode(credentials))
    }

    /// As a client encodes them.
    fn encoded(id: &str, secret: &str) -> String {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        header(&format!("{}:{}", encode(id), encode(secret)))
    }

    fn attempt(attempt: Attempt<'_>) -> Result<(Method, String, Option<String>), ErrorCode> {
        read(attempt)
            .map(|p| (p.method, p.client_id.to_string(), p.secret.map(|s| s.expose().to_owned())))
            .map_err(|error| error.code)
    }

    /// D3: id and secret are form-encoded before base64.
    #[test]
    fn rfc6749_2_3_1_basic_is_form_decoded() {
        for (id, secret) in [
            ("app", "right"),
            ("a:b", "c:d"),
            ("a+b", "1+1=2"),
            ("100%", "%25"),
            ("a b", "pass word"),
            ("äpp", "påss☃"),
            ("app", ""),
        ] {
            let read = basic(encoded(id, secret).as_bytes()).expect(id);
            assert_eq!((read.0.as_str(), read.1.expose()), (id, secret));
        }
        // As it comes over the wire, with nothing of ours in between: `a%3Ab:c+d%26` is `a:b` and `c d&`.
        let read = basic(b"Basic YSUzQWI6YytkJTI2").expect("well-formed");
        assert_eq!((read.0.as_str(), read.1.expose()), ("a:b", "c d&"));
    }

    #[test]
    fn rfc7617_2_only_the_first_colon_parts_them() {
        let read = basic(header("app:a:b").as_bytes()).expect("well-formed");
        assert_eq!((read.0.as_str(), read.1.expose()), ("app", "a:b"));
    }

    /// D18 for Basic: the scheme's name is case-insensitive. Padding may be left off.
    #[test]
    fn rfc9110_11_1_scheme_and_padding_are_lenient() {
        for header in ["basic YTpi", "BASIC YTpi", "Basic  YTpi ", "Basic YTpiYw==", "Basic YTpiYw"] {
            assert!(basic(header.as_bytes()).is_some(), "{header}");
        }
    }

    #[test]
    fn rfc6749_2_3_1_malformed_basic_is_invalid_client() {
        let no_utf8 = header("a:%FF");
        let broken = header("a:%2");
        let no_colon = header("ab");
        let no_id = header(":secret");
        for bad in [
            "Basic",
            "Basic ",
            "Basic !!!",
            "Basic YTp",
            "Basic YTpi=YTpi",
            "Bearer abc",
            "Digest a=b",
            "",
            "é",
            &no_utf8,
            &broken,
            &no_colon,
            &no_id,
        ] {
            let got = attempt(Attempt { authorization: &[bad.as_bytes()], ..Attempt::default() });
            assert_eq!(got, Err(ErrorCode::InvalidClient), "{bad}");
        }
    }

    #[test]
    fn rfc6749_2_3_1_post() {
        let got = attempt(Attempt { client_id: Some("app"), client_secret: Some("right"), ..Attempt::default() });
        assert_eq!(got, Ok((Method::ClientSecretPost, "app".into(), Some("right".into()))));
        let got = attempt(Attempt { client_id: Some("app"), ..Attempt::default() });
        assert_eq!(got, Ok((Method::None, "app".into(), None)));
        let got = attempt(Attempt { client_secret: Some("right"), ..Attempt::default() });
        assert_eq!(got, Err(ErrorCode::InvalidRequest));
        assert_eq!(attempt(Attempt::default()), Err(ErrorCode::InvalidClient));
    }

    #[test]
    fn rfc6749_a_1_what_can_be_no_client_is_not_looked_up() {
        let long = "x".repeat(LONGEST + 1);
        for (id, secret) in [("a\0b", "right"), ("a\nb", "right"), (long.as_str(), "right"), ("app", long.as_str())] {
            let form = Attempt { client_id: Some(id), client_secret: Some(secret), ..Attempt::default() };
            assert_eq!(attempt(form), Err(ErrorCode::InvalidClient));
            let header = encoded(id, secret);
            assert_eq!(
                attempt(Attempt { authorization: &[header.as_bytes()], ..Attempt::default() }),
                Err(ErrorCode::InvalidClient)
            );
        }
    }

    /// D4: two methods in one request are refused, also where both are right.
    #[test]
    fn rfc6749_2_3_never_more_than_one_method() {
        let basic = encoded("app", "right");
        let one: &[&[u8]] = &[basic.as_bytes()];
        let two: &[&[u8]] = &[basic.as_bytes(), basic.as_bytes()];
        for both in [
            Attempt { authorization: one, client_id: Some("app"), client_secret: Some("right"), ..Attempt::default() },
            Attempt { authorization: one, client_secret: Some("right"), ..Attempt::default() },
            Attempt { authorization: one, client_assertion: Some("x"), ..Attempt::default() },
            Attempt { authorization: one, client_assertion_type: Some("x"), ..Attempt::default() },
            Attempt {
                client_id: Some("app"),
                client_secret: Some("right"),
                client_assertion: Some("x"),
                ..Attempt::default()
            },
            Attempt { authorization: two, ..Attempt::default() },
            Attempt { authorization: one, client_id: Some("other"), ..Attempt::default() },
        ] {
            assert_eq!(attempt(both), Err(ErrorCode::InvalidRequest));
        }
        // Naming itself once more is no second method (RFC 6749, section 3.2.1).
        let named = Attempt { authorization: one, client_id: Some("app"), ..Attempt::default() };
        assert_eq!(attempt(named), Ok((Method::ClientSecretBasic, "app".into(), Some("right".into()))));
    }

    #[test]
    fn rfc7521_4_2_an_assertion_says_whose_it_is() {
        // {"alg":"ES256"} and {"alg":"HS256"}, {"sub":"app"}
        let (by_key, by_secret) =
            ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhcHAifQ.AA", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhcHAifQ.AA");
        let with = |assertion, kind, client_id| {
            attempt(Attempt {
                client_assertion: assertion,
                client_assertion_type: kind,
                client_id,
                ..Attempt::default()
            })
        };
        let jwt = Some(client_assertion::TYPE);
        let of = |method| Ok((method, "app".to_owned(), None));
        assert_eq!(with(Some(by_key), jwt, None), of(Method::PrivateKeyJwt));
        assert_eq!(with(Some(by_key), jwt, Some("app")), of(Method::PrivateKeyJwt));
        assert_eq!(with(Some(by_secret), jwt, None), of(Method::ClientSecretJwt));
        for (assertion, kind, client_id, code) in [
            (Some(by_key), jwt, Some("other"), ErrorCode::InvalidRequest),
            (Some(by_key), None, Some("app"), ErrorCode::InvalidRequest),
            (None, jwt, Some("app"), ErrorCode::InvalidRequest),
            (
                Some(by_key),
                Some("urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
                None,
                ErrorCode::InvalidClient,
            ),
            (Some("x"), jwt, Some("app"), ErrorCode::InvalidClient),
            // {"alg":"none"}; {}
            (Some("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhcHAifQ."), jwt, Some("app"), ErrorCode::InvalidClient),
            (Some("eyJhbGciOiJFUzI1NiJ9.e30.AA"), jwt, Some("app"), ErrorCode::InvalidClient),
        ] {
            assert_eq!(with(assertion, kind, client_id), Err(code), "{assertion:?} {kind:?}");
        }
    }

    #[test]
    fn rfc7591_2_the_registered_method_binds() {
        use Method::{ClientSecretBasic, ClientSecretPost, PrivateKeyJwt, TlsClientAuth};
        let public = [Method::None];
        let shipped = [ClientSecretBasic, ClientSecretPost];
        for (method, listed, registered, has_secret, may) in [
            (ClientSecretBasic, &shipped[..], None, true, true),
            (ClientSecretPost, &shipped[..], None, true, true),
            (ClientSecretPost, &[ClientSecretBasic][..], None, true, false),
            (ClientSecretPost, &[ClientSecretBasic][..], Some("client_secret_post"), true, false),
            (ClientSecretPost, &shipped[..], Some("client_secret_basic"), true, false),
            (ClientSecretBasic, &shipped[..], Some("client_secret_basic"), true, true),
            (ClientSecretBasic, &shipped[..], Some("private_key_jwt"), true, false),
            (Method::None, &public[..], None, false, false),
            (Method::None, &public[..], Some("none"), true, false),
            (Method::None, &public[..], Some("none"), false, true),
            (Method::None, &shipped[..], Some("none"), false, false),
            (PrivateKeyJwt, &Method::ALL[..], None, true, false),
            (TlsClientAuth, &Method::ALL[..], None, true, false),
            (PrivateKeyJwt, &Method::ALL[..], Some("private_key_jwt"), false, true),
        ] {
            assert_eq!(may_use(method, listed, registered, has_secret), may, "{method:?} {registered:?} {has_secret}");
        }
    }

    #[test]
    fn method_names_read_back() {
        for method in Method::ALL {
            assert_eq!(Method::parse(method.as_str()), Some(method));
        }
        assert_eq!(Method::parse("None"), None);
    }

    /// D7: the challenge of the 401 is of the scheme that endpoints take.
    #[test]
    fn rfc6749_5_2_basic_challenge() {
        assert_eq!(challenge("oauth"), r#"Basic realm="oauth", charset="UTF-8""#);
        assert_eq!(challenge(r#"a "b" \c"#), r#"Basic realm="a \"b\" \\c", charset="UTF-8""#);
    }
}
