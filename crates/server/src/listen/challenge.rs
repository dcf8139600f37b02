//! What a certificate authority asks over HTTP, to see that a name is ours (RFC 8555, section 8.3): answered on every listener, before any
//! policy, and only while it is asked.

use http::{HeaderValue, Response, header};
use policy::Body;

use crate::load::Generation;

const PATH: &str = "/.well-known/acme-challenge/";

/// The answer to a request that is such a question.
pub(super) fn answer(generation: &Generation, path: &str) -> Option<Response<Body>> {
    let token = path.strip_prefix(PATH)?;
    let mut asking = generation.listeners.iter().filter_map(|listener| listener.settings.tls.as_ref()?.acme());
    let answer = asking.find_map(|(_, challenges)| challenges.token(token))?;
    let mut response = Response::new(Body::from(answer));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Some(response)
}
