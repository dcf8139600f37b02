//! Every step is the libraries' own: they refuse what does not fit their checks of `iss`, `aud`, `nonce`, `at_hash`, signatures and lifetimes.

mod person;

use std::thread::sleep;

use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicTokenType};
use oauth2::url::Url;
use oauth2::{RequestTokenError, StandardErrorResponse, StandardRevocableToken, TokenIntrospectionResponse};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
    CoreClientAuthMethod, CoreDeviceAuthorizationResponse, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AuthUrl, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, DeviceAuthorizationUrl, EndSessionUrl, IntrospectionUrl, IssuerUrl, LogoutRequest, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PostLogoutRedirectUrl, ProviderMetadata, RedirectUrl, RevocationUrl, Scope,
    TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};

use crate::person::{Page, Person, http};

/// What our metadata says beyond OpenID Connect Discovery (RFC 8414; OpenID Connect RP-Initiated Logout).
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Endpoints {
    device_authorization_endpoint: DeviceAuthorizationUrl,
    end_session_endpoint: EndSessionUrl,
    introspection_endpoint: IntrospectionUrl,
    revocation_endpoint: RevocationUrl,
}
impl AdditionalProviderMetadata for Endpoints {}
type Metadata = ProviderMetadata<
    Endpoints,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

const CALLBACK: &str = "http://127.0.0.1:9/cb";
const BYE: &str = "http://127.0.0.1:9/bye";

fn say(text: &str) {
    println!("\n== {text}");
}

fn scopes(names: &str) -> Vec<Scope> {
    names.split(' ').map(|name| Scope::new(name.into())).collect()
}

/// A parameter with which the server sent the browser back to the application.
fn told(page: &Page, name: &str) -> Option<String> {
    assert!(page.url.as_str().starts_with(CALLBACK), "back at the application: {} {}", page.url, page.text);
    page.url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// The word with which the server refused.
fn refused<T, E>(answer: Result<T, RequestTokenError<E, StandardErrorResponse<BasicErrorResponseType>>>) -> String
where
    E: std::error::Error + 'static,
{
    match answer {
        Err(RequestTokenError::ServerResponse(refusal)) => refusal.error().to_string(),
        Err(other) => panic!("a refusal of the server, not: {other:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

fn main() {
    let [issuer, password, shop_secret, job_secret] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("four arguments");
    let server = Url::parse(&issuer).expect("the issuer's URL");
    let mut ann = Person::new(&server);

    say("openidconnect: discovery, with the keys that sign");
    let metadata = Metadata::discover(&IssuerUrl::new(issuer.clone()).expect("a URL"), &http).expect("metadata");
    assert!(!metadata.jwks().keys().is_empty());
    let endpoints = metadata.additional_metadata().clone();
    // It revokes at `https` only (RFC 7009, section 2).
    let revocation = RevocationUrl::new(endpoints.revocation_endpoint.replacen("http:", "https:", 1)).expect("a URL");
    let openid = |id: &str, secret: Option<&str>| {
        CoreClient::from_provider_metadata(
            metadata.clone(),
            ClientId::new(id.into()),
            secret.map(|secret| ClientSecret::new(secret.into())),
        )
        .set_redirect_uri(RedirectUrl::new(CALLBACK.into()).expect("a URL"))
        .set_device_authorization_url(endpoints.device_authorization_endpoint.clone())
        .set_introspection_url(endpoints.introspection_endpoint.clone())
        .set_revocation_url(revocation.clone())
    };
    let shop = openid("shop", Some(&shop_secret));

    say("A code with PKCE: ann logs in, at her second try, and allows it");
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = shop
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(scopes("profile offline_access orders"))
        .set_pkce_challenge(challenge)
        .url();
    let page = ann.go(url);
    let page = ann.log_in(&page, "ann", "not that");
    assert_eq!(page.status, 401);
    let page = ann.log_in(&page, "ann", &password);
    let back = ann.allow(&page);
    assert_eq!(told(&back, "state").as_ref(), Some(state.secret()));
    assert_eq!(told(&back, "iss").as_ref(), Some(&issuer), "RFC 9207");
    let code = AuthorizationCode::new(told(&back, "code").expect("a code"));
    let tokens =
        shop.exchange_code(code).expect("an endpoint").set_pkce_verifier(verifier).request(&http).expect("tokens");
    assert_eq!(tokens.token_type(), &BasicTokenType::Bearer);

    say(
        "Its ID token: signature, issuer, audience, nonce, the access token's hash; and with another nonce or for another client it is refused",
    );
    let id_token = tokens.id_token().expect("an ID token").clone();
    let checks = shop.id_token_verifier();
    let claims = id_token.claims(&checks, &nonce).expect("an ID token that holds");
    assert_eq!(claims.subject().as_str(), "ann");
    assert!(claims.auth_time().is_some());
    if let Some(hash) = claims.access_token_hash() {
        let algorithm = id_token.signing_alg().expect("an algorithm");
        let key = id_token.signing_key(&checks).expect("a key");
        assert_eq!(&AccessTokenHash::from_token(tokens.access_token(), algorithm, key).expect("a hash"), hash);
    }
    assert!(matches!(
        id_token.claims(&checks, &Nonce::new("other".into())),
        Err(ClaimsVerificationError::InvalidNonce(_))
    ));
    let job = openid("job", Some(&job_secret));
    assert!(matches!(
        id_token.claims(&job.id_token_verifier(), &nonce),
        Err(ClaimsVerificationError::InvalidAudience(_))
    ));

    say("Userinfo: of the same subject");
    let info: CoreUserInfoClaims = shop
        .user_info(tokens.access_token().clone(), Some(claims.subject().clone()))
        .expect("an endpoint")
        .request(&http)
        .expect("claims");
    assert_eq!(info.name().and_then(|name| name.get(None)).map(|name| name.as_str()), Some("Ann Example"));
    assert!(info.email().is_none(), "`email` was not granted");

    say("Refresh: rotated, with an ID token of the same log-in; the old one ends the family once the new one was used");
    let first = tokens.refresh_token().expect("a refresh token");
    let refresh = |token| shop.exchange_refresh_token(token).expect("an endpoint").request(&http);
    let second = refresh(first).expect("tokens");
    assert_ne!(second.refresh_token().expect("a refresh token").secret(), first.secret());
    let anew = second
        .id_token()
        .expect("an ID token")
        .claims(&checks, |_: Option<&Nonce>| Ok(()))
        .expect("an ID token that holds");
    assert_eq!((anew.subject(), anew.auth_time()), (claims.subject(), claims.auth_time()));
    let third = refresh(second.refresh_token().expect("a refresh token")).expect("tokens");
    let active = |token| shop.introspect(token).request(&http).expect("an answer").active();
    assert!(active(third.access_token()));
    assert_eq!(refused(refresh(first)), "invalid_grant");
    assert_eq!(refused(refresh(third.refresh_token().expect("a refresh token"))), "invalid_grant");
    assert!(!active(third.access_token()));

    say("A device: its user types the code and allows it");
    let tv = openid("tv", None).set_auth_type(oauth2::AuthType::RequestBody);
    let codes: CoreDeviceAuthorizationResponse =
        tv.exchange_device_code().add_scopes(scopes("orders")).request(&http).expect("codes");
    let page = ann.go(codes.verification_uri().url().clone());
    let page = ann.send(&page, &[("user_code", codes.user_code().secret())]);
    assert_eq!(ann.allow(&page).status, 200);
    let tokens =
        tv.exchange_device_access_token(&codes).expect("an endpoint").request(&http, sleep, None).expect("tokens");
    let claims = tokens
        .id_token()
        .expect("an ID token")
        .claims(&tv.id_token_verifier(), |_: Option<&Nonce>| Ok(()))
        .expect("it holds")
        .clone();
    assert_eq!(claims.subject().as_str(), "ann");

    say("oauth2: a code with PKCE and without OpenID; ann is logged in, and is asked for nothing that she has allowed");
    let plain = |id: &str, secret: &str| {
        BasicClient::new(ClientId::new(id.into()))
            .set_client_secret(ClientSecret::new(secret.into()))
            .set_auth_uri(AuthUrl::new(format!("{issuer}/api/oauth/authorize")).expect("a URL"))
            .set_token_uri(TokenUrl::new(format!("{issuer}/api/oauth/token")).expect("a URL"))
            .set_redirect_uri(RedirectUrl::new(CALLBACK.into()).expect("a URL"))
            .set_introspection_url(endpoints.introspection_endpoint.clone())
            .set_revocation_url(revocation.clone())
    };
    let shop = plain("shop", &shop_secret);
    let mut ask = || {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) =
            shop.authorize_url(CsrfToken::new_random).add_scopes(scopes("orders")).set_pkce_challenge(challenge).url();
        let back = ann.go(url);
        assert_eq!(told(&back, "state").as_ref(), Some(state.secret()));
        (told(&back, "code").expect("a code"), verifier)
    };
    let (code, verifier) = ask();
    let redeem = |code: &str, verifier: &oauth2::PkceCodeVerifier| {
        let verifier = oauth2::PkceCodeVerifier::new(verifier.secret().clone());
        shop.exchange_code(AuthorizationCode::new(code.into())).set_pkce_verifier(verifier).request(&http)
    };
    let tokens = redeem(&code, &verifier).expect("tokens");
    let introspected = shop.introspect(tokens.access_token()).request(&http).expect("an answer");
    assert!(introspected.active());
    assert_eq!((introspected.sub(), introspected.client_id().map(|id| id.as_str())), (Some("ann"), Some("shop")));
    assert_eq!(introspected.scopes(), Some(&scopes("orders")));

    say("With another verifier there is no token; and a code twice takes back what it gave");
    let (other, _) = ask();
    assert_eq!(refused(redeem(&other, &verifier)), "invalid_grant");
    assert_eq!(refused(redeem(&code, &verifier)), "invalid_grant");
    assert!(!shop.introspect(tokens.access_token()).request(&http).expect("an answer").active());

    say("Revoked, and refused");
    let (code, verifier) = ask();
    let tokens = redeem(&code, &verifier).expect("tokens");
    let refresh_token = tokens.refresh_token().expect("a refresh token");
    shop.revoke_token(StandardRevocableToken::RefreshToken(refresh_token.clone()))
        .expect("https")
        .request(&http)
        .expect("done");
    assert!(!shop.introspect(tokens.access_token()).request(&http).expect("an answer").active());
    assert_eq!(refused(shop.exchange_refresh_token(refresh_token).request(&http)), "invalid_grant");

    say("Client credentials: a part of what the client may have, not what is another's, not with a wrong secret");
    let job = plain("job", &job_secret);
    let tokens =
        job.exchange_client_credentials().add_scope(Scope::new("stock".into())).request(&http).expect("a token");
    assert!(tokens.refresh_token().is_none());
    assert_eq!(
        refused(job.exchange_client_credentials().add_scope(Scope::new("profile".into())).request(&http)),
        "invalid_scope"
    );
    assert_eq!(refused(plain("job", "wrong").exchange_client_credentials().request(&http)), "invalid_client");

    say("Log-out: who comes with her ID token is believed; then nobody is logged in");
    let state = CsrfToken::new_random();
    let url = LogoutRequest::from(endpoints.end_session_endpoint.clone())
        .set_id_token_hint(&id_token)
        .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(BYE.into()).expect("a URL"))
        .set_state(state.clone())
        .http_get_url();
    let back = ann.go(url);
    assert_eq!(back.url.as_str(), format!("{BYE}?state={}", state.secret()));
    let (challenge, _) = PkceCodeChallenge::new_random_sha256();
    let shop = openid("shop", Some(&shop_secret));
    let (url, ..) = shop
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_prompt(CoreAuthPrompt::None)
        .set_pkce_challenge(challenge)
        .url();
    assert_eq!(told(&ann.go(url), "error").as_deref(), Some("login_required"));
}
