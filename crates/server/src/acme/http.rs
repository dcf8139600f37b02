//! Calls to an authority, over our own upstreams: each in bounded time, with a bounded answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use policy::Body;
use policy::ports::{Clock, Upstream};

use super::AcmeSettings;
use crate::upstream::{HttpUpstream, Retries, TlsSettings, UpstreamSettings, Way, Whole};

/// How long a call may take.
const LONGEST: Duration = Duration::from_secs(30);

/// How large an answer may be: a chain of certificates has some kilobytes.
const LARGEST: usize = 256 * 1024;

/// The way to one authority.
pub(super) struct Calls {
    tls: TlsSettings,
    clock: Arc<dyn Clock>,
}

impl Calls {
    pub(super) fn new(settings: &AcmeSettings, clock: &Arc<dyn Clock>) -> Calls {
        let tls = TlsSettings { authorities: settings.ca.clone(), ..TlsSettings::default() };
        Calls { tls, clock: clock.clone() }
    }

    /// The way to where this URL is. It must be `https`: what an authority signs is worth what the way to it is.
    fn way(&self, uri: &Uri) -> Result<Whole, Error> {
        let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
        let host = host.ok_or(Error::Str("the authority named a URL that is not `https`"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let way = Way { tls: Some(self.tls.clone()), ..Way::default() };
        let settings = UpstreamSettings {
            retries: Retries { attempts: 0, ..Retries::default() },
            ..UpstreamSettings::to(way, host, uri.port_u16().unwrap_or(443))
        };
        Ok(Whole::new(Arc::new(HttpUpstream::new("acme", settings, self.clock.clone(), None)), LONGEST, LARGEST))
    }
}

impl HttpClient for Calls {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let way = self.way(request.uri());
        Box::pin(async move {
            let upstream = way?;
            let (mut parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            if let Some(path) = parts.uri.path_and_query().cloned() {
                parts.uri = Uri::from(path);
            }
            let answer = upstream.send(Request::from_parts(parts, Body::from(body))).await;
            answer.map(BytesResponse::from).map_err(|why| Error::Other(why.to_string().into()))
        })
    }
}
