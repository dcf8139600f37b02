//! What every answer is held to, whatever was sent.

use serde_json::Value;

use super::noise::Sent;
use super::world::{
    AUTHORIZE, CALLBACKS, DEVICE, DEVICE_GRANT, EVES, GRANTED, Good, INTROSPECT, JWKS, METADATA, OPENID, REGISTER,
    REVOKE, TOKEN, TOKENINFO, USERINFO, VERIFY, World,
};
use crate::harness::Response;

/// Parameters whose values are shown or sent back, as they should be.
pub const ECHOED: [&str; 6] = ["state", "username", "login_hint", "user_code", "withdraw", "nonce"];

/// The errors of an endpoint, with their statuses, by the RFC that has it; 405, 413 and 415 are HTTP's.
fn errors(path: &str) -> &'static [(u16, &'static str)] {
    match path {
        // RFC 6749, section 5.2; RFC 8628, section 3.5.
        TOKEN => &[
            (400, "invalid_request"),
            (400, "invalid_grant"),
            (400, "unauthorized_client"),
            (400, "unsupported_grant_type"),
            (400, "invalid_scope"),
            (400, "authorization_pending"),
            (400, "slow_down"),
            (400, "access_denied"),
            (400, "expired_token"),
            (401, "invalid_client"),
        ],
        // RFC 8628, section 3.2.
        DEVICE => {
            &[(400, "invalid_request"), (400, "unauthorized_client"), (400, "invalid_scope"), (401, "invalid_client")]
        }
        // RFC 7662, section 2.3.
        INTROSPECT => &[(400, "invalid_request"), (401, "invalid_client")],
        // RFC 7009, section 2.2.1; a token of another client: section 2.1.
        REVOKE => &[(400, "invalid_request"), (400, "unauthorized_client"), (401, "invalid_client")],
        // Oracle API Gateway's.
        TOKENINFO => &[(400, "invalid_request"), (400, "invalid_token")],
        // RFC 6750, section 3.1.
        USERINFO => &[(400, "invalid_request"), (401, "invalid_token"), (403, "insufficient_scope")],
        // RFC 7591, section 3.2.2, behind RFC 6750.
        path if path.starts_with(REGISTER) => &[
            (400, "invalid_request"),
            (400, "invalid_redirect_uri"),
            (400, "invalid_client_metadata"),
            (401, "invalid_token"),
            (403, "insufficient_scope"),
        ],
        _ => &[],
    }
}

fn successes(path: &str) -> &'static [u16] {
    match path {
        REGISTER => &[201],
        AUTHORIZE => &[200, 303],
        path if path.starts_with(REGISTER) => &[200, 204],
        _ => &[200],
    }
}

fn has_pages(path: &str) -> bool {
    [AUTHORIZE, VERIFY, GRANTED].contains(&path)
}

/// Holds an answer to everything; says what is wrong with it.
pub fn judge(world: &World, good: &Good, sent: &Sent, answer: &Response, secrets: &[String]) -> Result<(), String> {
    let path = sent.path.as_str();
    if answer.status >= 500 || !answer.whole {
        return Err("the node broke".into());
    }
    nothing_comes_back(sent, answer, secrets)?;
    leads_nowhere_else(sent, answer)?;
    is_somebody(good, sent, answer)?;
    if sent.method == "HEAD" || answer.status == 405 {
        return (answer.status != 405 || answer.header("allow").is_some())
            .then_some(())
            .ok_or("405 without Allow".into());
    }
    // What may be asked of an endpoint that pages of other origins use is said without a body, and kept by nobody (RFC 9110, section 9.3.7).
    if sent.method == "OPTIONS" && answer.status == 204 {
        return (answer.header("allow").is_some() && answer.body.is_empty())
            .then_some(())
            .ok_or("204 without Allow".into());
    }
    match (path, answer.status) {
        (METADATA | OPENID | JWKS, 200 | 304) => is_json(answer).map(drop),
        (METADATA | OPENID | JWKS, 400 | 404 | 413 | 415) => Ok(()),
        (path, _) if has_pages(path) => page(sent, answer),
        (path, status) if successes(path).contains(&status) => {
            not_kept(answer)?;
            success(world, good, sent, answer)
        }
        (_, _) => error(sent, answer),
    }
}

/// An error as the endpoint's RFC has it.
fn error(sent: &Sent, answer: &Response) -> Result<(), String> {
    let path = sent.path.as_str();
    not_kept(answer)?;
    let challenge = answer.header("www-authenticate");
    if answer.status == 401 && challenge.is_none() {
        return Err("401 without a challenge".into());
    }
    // RFC 6750, section 3.1: who brought nothing is told the challenge alone.
    if answer.status == 401 && answer.body.is_empty() && challenge.is_some_and(|told| !told.contains("error=")) {
        return Ok(());
    }
    // What is no error of OAuth is told to the clients of an API in their own words (RFC 9457).
    let is_resource = path == USERINFO || path.starts_with(REGISTER);
    if [413, 415].contains(&answer.status)
        && is_resource
        && answer.header("content-type") == Some("application/problem+json")
    {
        return Ok(());
    }
    let told = is_json(answer)?;
    let word = told["error"].as_str().unwrap_or_default();
    let of_http = [413, 415].contains(&answer.status) && word == "invalid_request";
    let known = of_http || errors(path).contains(&(answer.status, word));
    let of_device = ["authorization_pending", "slow_down", "access_denied", "expired_token"].contains(&word);
    if !known || (of_device && !sent.read("grant_type").any(|grant| grant == DEVICE_GRANT)) {
        return Err(format!("`{word}` with {} is no error of this endpoint", answer.status));
    }
    well_described(&told)
}

/// RFC 6749, section 5.2 (D12): what an error says of itself.
pub fn well_described(told: &Value) -> Result<(), String> {
    let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    let described = match &told["error_description"] {
        Value::Null => true,
        Value::String(text) => text.bytes().all(allowed) && text.len() < 600,
        _ => false,
    };
    let others = told.as_object().is_some_and(|told| {
        told.keys().all(|name| ["error", "error_description", "error_uri"].contains(&name.as_str()))
    });
    (described && others).then_some(()).ok_or_else(|| format!("an error does not look like {told}"))
}

fn is_json(answer: &Response) -> Result<Value, String> {
    let media = answer.header("content-type").unwrap_or_default();
    if !media.starts_with("application/json") && !media.starts_with("application/jwk-set+json") {
        return Err(format!("`{media}` is not JSON"));
    }
    serde_json::from_slice(&answer.body).map_err(|why| format!("no JSON: {why}"))
}

fn not_kept(answer: &Response) -> Result<(), String> {
    let kept = answer.header("cache-control") == Some("no-store");
    kept.then_some(()).ok_or_else(|| "a cache may keep it".into())
}

/// Who is let in has brought what lets in.
fn success(world: &World, good: &Good, sent: &Sent, answer: &Response) -> Result<(), String> {
    if answer.status == 204 || (sent.path == REVOKE && answer.body.is_empty()) {
        return proved(world, good, sent);
    }
    let told = is_json(answer)?;
    let complete = match sent.path.as_str() {
        TOKEN => told["access_token"].is_string() && told["token_type"] == "Bearer" && told["expires_in"].is_u64(),
        DEVICE => told["device_code"].is_string() && told["user_code"].is_string(),
        INTROSPECT => told["active"] == true || told == serde_json::json!({ "active": false }),
        TOKENINFO => told["audience"].is_string(),
        USERINFO => told["sub"].is_string(),
        _ => told["client_id"].is_string() && told["client_id"] != "registrar",
    };
    if !complete {
        return Err(format!("that is no success: {told}"));
    }
    proved(world, good, sent)
}

fn proved(world: &World, good: &Good, sent: &Sent) -> Result<(), String> {
    let proofs = match sent.path.as_str() {
        TOKENINFO | USERINFO => return Ok(()), // by the tokens that are sent, which come and go
        REGISTER => vec![&world.initial],
        path if path.starts_with(REGISTER) => vec![&good.managed.1],
        _ => vec![&world.app.secret, &world.other.secret],
    };
    let brought = proofs.iter().any(|proof| sent.proofs.iter().any(|sent| sent.contains(proof.as_str())));
    brought.then_some(()).ok_or_else(|| "nobody proved anything".into())
}

/// No secret that was sent comes back, and nothing that was sent becomes a header.
fn nothing_comes_back(sent: &Sent, answer: &Response, secrets: &[String]) -> Result<(), String> {
    let body = answer.text();
    // RFC 7592, section 3: the answer repeats the token that manages.
    let manages = sent.path.starts_with(&format!("{REGISTER}/"));
    let echoed = |secret: &str| sent.values_of(&ECHOED).any(|value| value.contains(secret));
    for secret in secrets.iter().filter(|secret| !echoed(secret) && !manages) {
        let in_header = answer.headers.iter().any(|(_, value)| value.contains(secret.as_str()));
        if body.contains(secret.as_str()) || in_header {
            return Err(format!("`{secret}` comes back"));
        }
    }
    match answer.headers.iter().find(|(name, _)| name == "x-injected") {
        Some(_) => Err("a header was injected".into()),
        None => Ok(()),
    }
}

/// D1, D52: `Location` leads to a redirect URI of the client that was named, or there is none.
fn leads_nowhere_else(sent: &Sent, answer: &Response) -> Result<(), String> {
    let Some(location) = answer.header("location") else { return Ok(()) };
    if sent.path != AUTHORIZE || answer.status != 303 {
        return Err(format!("it leads to {location}"));
    }
    // Everything of a form of ours stands in what it carries, and that was made for `app`.
    let form = sent.method == "POST" && sent.read("resume").next().is_some();
    let of_app = CALLBACKS.iter().any(|uri| begins_as(location, uri));
    let named = |name: &str| sent.read(name).filter(|value| !value.is_empty()).collect::<Vec<_>>();
    let proven = match (named("client_id").as_slice(), named("redirect_uri").as_slice()) {
        _ if form => of_app,
        (["app"], [uri]) => of_app && begins_as(location, uri),
        // RFC 8252, section 7.3: any port.
        (["native"], [uri]) => {
            let port = uri.strip_prefix("http://127.0.0.1").and_then(|rest| rest.strip_suffix("/done"));
            let digits = port.is_some_and(|port| port.trim_start_matches(':').bytes().all(|b| b.is_ascii_digit()));
            digits && begins_as(location, uri)
        }
        (["native"], []) => begins_as(location, super::world::LOOPBACK),
        _ => false,
    };
    let word = location.split(['?', '&']).find_map(|pair| pair.strip_prefix("error="));
    // RFC 6749, section 4.1.2.1; OpenID Connect Core, section 3.1.2.6.
    let known = word.is_none_or(|word| {
        [
            "invalid_request",
            "unauthorized_client",
            "access_denied",
            "unsupported_response_type",
            "invalid_scope",
            "login_required",
            "consent_required",
            "request_not_supported",
            "request_uri_not_supported",
            "registration_not_supported",
        ]
        .contains(&word)
    });
    (proven && known).then_some(()).ok_or_else(|| format!("it leads to {location}"))
}

/// Nobody is logged in but by a form of ours in the browser that it was made for, and nobody else gets a code.
fn is_somebody(good: &Good, sent: &Sent, answer: &Response) -> Result<(), String> {
    let brought = |name: &str| {
        let mut cookies = good.cookies.iter().filter(|(known, _)| known == name);
        cookies.any(|(_, value)| sent.proofs.contains(&format!("{name}={value}")))
    };
    let form = sent.read("resume").any(|form| form == good.forms.login) && brought("__Host-portcullis-form");
    let logged_in = form && sent.read("password").any(|password| password == EVES);
    let session = |cookie: &str| cookie.starts_with("__Host-portcullis-session=pcw_");
    if answer.all("set-cookie").any(session) && !logged_in {
        return Err("somebody was logged in without a form of ours".into());
    }
    let code = answer.header("location").is_some_and(|location| location.contains("code="));
    let known = logged_in || brought("__Host-portcullis-session");
    (known || !code).then_some(()).ok_or_else(|| "a code for nobody".into())
}

fn begins_as(location: &str, uri: &str) -> bool {
    location.strip_prefix(uri).is_some_and(|rest| rest.starts_with(if uri.contains('?') { '&' } else { '?' }))
}

/// D51: a page that nobody frames, that runs nothing, and in which what was sent is text.
fn page(sent: &Sent, answer: &Response) -> Result<(), String> {
    let statuses: &[u16] =
        if sent.path == VERIFY { &[200, 400, 401, 404, 413, 415] } else { &[200, 303, 400, 401, 413, 415] };
    if !statuses.contains(&answer.status) {
        return Err(format!("{} is no answer here", answer.status));
    }
    not_kept(answer)?;
    if answer.status == 303 {
        return Ok(());
    }
    let has = |name: &str, text: &str| answer.header(name).is_some_and(|value| value.contains(text));
    let guarded = has("content-security-policy", "default-src 'none'")
        && has("content-security-policy", "frame-ancestors 'none'")
        && has("x-frame-options", "DENY")
        && has("x-content-type-options", "nosniff")
        && has("referrer-policy", "no-referrer")
        && has("content-type", "text/html; charset=utf-8");
    if !guarded || answer.all("content-security-policy").count() != 1 {
        return Err("a page without its guards".into());
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    let (_, targets) = policy.split_once("form-action 'self'").ok_or("forms may go anywhere")?;
    if !["", " https://app.example", " http://127.0.0.1"].iter().any(|known| {
        targets.strip_prefix(known).is_some_and(|port| port.trim_start_matches(':').bytes().all(|b| b.is_ascii_digit()))
    }) {
        return Err(format!("forms may go to{targets}"));
    }
    let text = answer.text();
    for value in sent.values().filter(|value| value.contains(['<', '>', '"', '\''])) {
        if text.contains(value) {
            return Err(format!("`{value}` stands in the page as it is"));
        }
    }
    let runs = ["<script", "<img", "href=\"javascript:", "94011"].iter().find(|mark| text.contains(**mark));
    runs.map_or(Ok(()), |mark| Err(format!("`{mark}` stands in the page")))
}
