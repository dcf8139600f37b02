//! A bare service that nginx's `auth_request` asks: hashes the bearer token, looks it up, checks its scope, and says whose it is. What
//! asking another process costs at least.
//!
//! `auth_service ADDRESS FILE`: in FILE a line a token: the token, its client and its scopes, separated by tabs.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

const CLIENT: HeaderName = HeaderName::from_static("x-client");
const SCOPE: &str = "bench:read";

struct Token {
    client: HeaderValue,
    scopes: String,
}

/// By hash: no service of this kind should hold the tokens themselves.
type Tokens = HashMap<[u8; 32], Token>;

fn read(path: &str) -> Result<Tokens, Box<dyn Error>> {
    let mut tokens = Tokens::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let mut parts = line.split('\t');
        let (Some(token), Some(client), Some(scopes)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a line is a token, a client and scopes".into());
        };
        let token_of = Token { client: HeaderValue::from_str(client)?, scopes: scopes.to_owned() };
        tokens.insert(Sha256::digest(token).into(), token_of);
    }
    Ok(tokens)
}

fn find<'a>(tokens: &'a Tokens, headers: &HeaderMap) -> Option<&'a Token> {
    let token = headers.get(AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ")?;
    tokens.get(&<[u8; 32]>::from(Sha256::digest(token)))
}

async fn answer(tokens: Arc<Tokens>, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    match find(&tokens, request.headers()) {
        Some(token) if token.scopes.split(' ').any(|scope| scope == SCOPE) => {
            response.headers_mut().insert(CLIENT, token.client.clone());
        }
        Some(_) => *response.status_mut() = StatusCode::FORBIDDEN,
        None => {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
    Ok(response)
}

#[tokio::main]
async fn main() -> Result<Infallible, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: auth_service ADDRESS FILE".into());
    };
    let tokens = Arc::new(read(&file)?);
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let tokens = tokens.clone();
        let service = service_fn(move |request| answer(tokens.clone(), request));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
