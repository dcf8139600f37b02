//! What the gateway sends to a provider (RFC 6749, sections 4.1.3, 4.4.2 and 6; RFC 7009, section 2.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::Provider;
use crate::client_auth::Method;
use crate::scope::Scopes;
use crate::secret::Secret;

/// What a token request is made of.
pub enum Grant<'a> {
    /// Nothing: the gateway asks for itself.
    ClientCredentials,
    /// A refresh token.
    Refresh(&'a Secret),
    /// A code, as the authorization endpoint gave it.
    Code {
        /// The code.
        code: &'a Secret,
        /// Where it was sent to.
        redirect_uri: &'a str,
        /// What the challenge was made from (RFC 7636).
        verifier: &'a Secret,
    },
}

/// A form for a provider, with how the gateway proves who it is.
pub struct Form {
    /// `Authorization`.
    pub authorization: Option<Zeroizing<String>>,
    /// The body, `application/x-www-form-urlencoded`.
    pub body: Zeroizing<String>,
}

/// A token request. The scopes stand in it where the gateway asks for itself; with a code or refresh token they would ask for what was
/// granted already.
pub fn token(provider: &Provider, grant: &Grant<'_>, scopes: &Scopes) -> Form {
    let scope = scopes.iter().map(|name| &**name).collect::<Vec<_>>().join(" ");
    match grant {
        Grant::ClientCredentials if scope.is_empty() => form(provider, &[("grant_type", "client_credentials")]),
        Grant::ClientCredentials => form(provider, &[("grant_type", "client_credentials"), ("scope", &scope)]),
        Grant::Refresh(token) => form(provider, &[("grant_type", "refresh_token"), ("refresh_token", token.expose())]),
        Grant::Code { code, redirect_uri, verifier } => form(
            provider,
            &[
                ("grant_type", "authorization_code"),
                ("code", code.expose()),
                ("redirect_uri", redirect_uri),
                ("code_verifier", verifier.expose()),
            ],
        ),
    }
}

/// A request that gives a token back; `hint` is `access_token` or `refresh_token`.
pub fn revocation(provider: &Provider, token: &Secret, hint: &str) -> Form {
    form(provider, &[("token", token.expose()), ("token_type_hint", hint)])
}

fn form(provider: &Provider, fields: &[(&str, &str)]) -> Form {
    let secret = provider.client_secret.as_ref().map_or("", Secret::expose);
    let id = provider.client_id.as_str();
    let mut body = Serializer::new(String::new());
    body.extend_pairs(fields);
    let authorization = match provider.auth_method {
        // Section 2.3.1: both are encoded as in a form before they are joined, so that a colon of theirs is none between them.
        Method::ClientSecretBasic => {
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
            Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
        }
        Method::ClientSecretPost => {
            body.append_pair("client_id", id).append_pair("client_secret", secret);
            None
        }
        // A public client says who it is, and proves nothing. Settings let no other method through.
        _ => {
            body.append_pair("client_id", id);
            None
        }
    };
    Form { authorization, body: body.finish().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::{Attempt, read};
    use crate::provider::example;

    const ODD: (&str, &str) = ("gate:way", "s:+%& \u{e4}");

    /// D3: our own server reads what we send, whatever is in the secret.
    #[test]
    fn rfc6749_2_3_1_the_secret_is_encoded_before_base64() {
        let provider = example(Method::ClientSecretBasic, ODD.0, ODD.1);
        let form = token(&provider, &Grant::ClientCredentials, &Scopes::default());
        let header = form.authorization.unwrap();
        let presented =
            read(Attempt { authorization: &[header.as_bytes()], ..Attempt::default() }).expect("it is well-formed");
        assert_eq!((presented.client_id.as_str(), presented.secret.unwrap().expose()), ODD);
        assert_eq!(*form.body, "grant_type=client_credentials", "a secret stands once");
    }

    /// D4: never more than one way to authenticate.
    #[test]
    fn rfc6749_2_3_one_way_to_authenticate() {
        let scopes = Scopes::parse("b a").unwrap();
        let post = token(&example(Method::ClientSecretPost, ODD.0, ODD.1), &Grant::ClientCredentials, &scopes);
        assert!(post.authorization.is_none());
        assert_eq!(
            *post.body,
            "grant_type=client_credentials&scope=b+a&client_id=gate%3Away&client_secret=s%3A%2B%25%26+%C3%A4"
        );
        let none = token(&example(Method::None, "app", "unused"), &Grant::ClientCredentials, &Scopes::default());
        assert!(none.authorization.is_none());
        assert_eq!(*none.body, "grant_type=client_credentials&client_id=app");
    }

    #[test]
    fn rfc6749_4_1_3_and_6_what_each_grant_sends() {
        let provider = example(Method::ClientSecretBasic, "app", "s");
        let scopes = Scopes::parse("a").unwrap();
        let secret = |text: &str| Secret::new(text.into());
        let (code, verifier, refresh) = (secret("c&1"), secret("v"), secret("r=1"));
        let sent =
            token(&provider, &Grant::Code { code: &code, redirect_uri: "https://g/cb", verifier: &verifier }, &scopes);
        assert_eq!(
            *sent.body,
            "grant_type=authorization_code&code=c%261&redirect_uri=https%3A%2F%2Fg%2Fcb&code_verifier=v"
        );
        assert_eq!(
            *token(&provider, &Grant::Refresh(&refresh), &scopes).body,
            "grant_type=refresh_token&refresh_token=r%3D1"
        );
        assert_eq!(*revocation(&provider, &refresh, "refresh_token").body, "token=r%3D1&token_type_hint=refresh_token");
    }
}
