//! The request that a step sends.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, header};

use super::Run;
use crate::exchange::{FORM, Request};
use crate::testing::model::{Step, TestBody, header_value};

/// Parameters that hold tokens: a test's word for one is replaced by the token itself.
const TOKEN_PARAMETERS: &[&str] = &["token", "access_token", "refresh_token", "code", "subject_token", "assertion"];

/// The request, with kept values and tokens in it.
pub(super) fn request(run: &Run<'_>, step: &Step) -> Result<Request, String> {
    let spec = &step.request;
    let (body, content_type) = body(run, &spec.body);
    let path = run.kept.text(&spec.path);
    let (path, own_query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (path.as_str(), None),
    };
    let mut request = Request::new(spec.method.clone(), path, body.clone().into());
    let query = (!spec.query.is_empty()).then(|| encoded(run, &spec.query));
    request.query = match (own_query, query) {
        (Some(own), Some(more)) => Some(format!("{own}&{more}")),
        (own, more) => own.or(more),
    };
    let listener = step.listener.as_deref().or_else(|| run.program.first_listener());
    request.listener = Arc::from(listener.unwrap_or_default());
    request.id = Arc::from("test");
    if let Some(from) = spec.from {
        request.peer.set_ip(from);
        request.client = from;
    }
    if spec.secure {
        request.scheme = "https";
    }
    request.certificate = spec.certificate.clone();
    if let Some(content_type) = content_type {
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        request.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    if let Some(credentials) = credentials(run, step) {
        let value = header_value(&credentials).ok_or("the credential cannot stand in a header")?;
        request.headers.insert(header::AUTHORIZATION, value);
    }
    for (name, value) in &spec.headers {
        let value = run.kept.text(value);
        let value = if name == header::COOKIE { cookies(run, &value) } else { value };
        let value = header_value(&value).ok_or_else(|| format!("the header `{name}` cannot be `{value}`"))?;
        if let (&header::HOST, Ok(host)) = (name, value.to_str()) {
            request.host = host.to_owned();
        }
        // The test's own content type replaces ours.
        if name == header::CONTENT_TYPE {
            request.headers.remove(name);
        }
        request.headers.append(name, value);
    }
    run.world.receive(&mut request)?;
    Ok(request)
}

fn body(run: &Run<'_>, body: &TestBody) -> (Bytes, Option<&'static str>) {
    match body {
        TestBody::None => (Bytes::new(), None),
        TestBody::Form(pairs) => (encoded(run, pairs).into(), Some(FORM)),
        TestBody::Json(json) => (run.kept.json(json).to_string().into(), Some("application/json")),
        TestBody::Text(text) => (run.kept.text(text).into(), Some("text/plain; charset=utf-8")),
    }
}

fn encoded(run: &Run<'_>, pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| {
        let value = run.kept.text(value);
        let token = TOKEN_PARAMETERS.contains(&name.as_str()).then(|| run.world.substitute(&value)).flatten();
        (name, token.unwrap_or(value))
    });
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A test's word for a session is replaced by the session's own value.
fn cookies(run: &Run<'_>, header: &str) -> String {
    let substituted = |pair: &str| {
        let (name, word) = pair.split_once('=')?;
        Some(format!("{name}={}", run.world.substitute(word.trim())?))
    };
    let pairs = header.split(';').map(|pair| substituted(pair).unwrap_or_else(|| pair.to_owned()));
    pairs.collect::<Vec<_>>().join(";")
}

fn credentials(run: &Run<'_>, step: &Step) -> Option<String> {
    if let Some((id, secret)) = &step.request.basic {
        let pair = format!("{}:{}", run.kept.text(id), run.kept.text(secret));
        return Some(format!("Basic {}", STANDARD.encode(pair)));
    }
    let bearer = run.kept.text(step.request.bearer.as_ref()?);
    Some(format!("Bearer {}", run.world.substitute(&bearer).unwrap_or(bearer)))
}
