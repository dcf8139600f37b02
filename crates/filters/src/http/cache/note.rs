//! What `Cache-Status` tells (RFC 9211), and the answer from what is kept.

use std::fmt::Write as _;

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use policy::{Exchange, Response};

use super::rules;
use super::shelf::Entry;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What this cache did for a request. `None` where policies want nothing told.
#[derive(Clone, Default)]
pub(super) struct Note(Option<String>);

impl Note {
    pub(super) fn hit(told: bool) -> Note {
        Note(told.then(|| String::from("portcullis; hit")))
    }

    /// Why the request goes on: `uri-miss`, `vary-miss`, `stale`, `request`, `bypass`, `method`.
    pub(super) fn forward(told: bool, why: &str) -> Note {
        Note(told.then(|| format!("portcullis; fwd={why}")))
    }

    fn with(&self, more: std::fmt::Arguments<'_>) -> Note {
        let mut note = self.clone();
        if let Some(text) = &mut note.0 {
            // Writing to a String cannot fail.
            let _ = text.write_fmt(more);
        }
        note
    }

    pub(super) fn fwd_status(&self, status: StatusCode) -> Note {
        self.with(format_args!("; fwd-status={}", status.as_u16()))
    }

    pub(super) fn stored(&self) -> Note {
        self.with(format_args!("; stored"))
    }

    pub(super) fn collapsed(&self) -> Note {
        self.with(format_args!("; collapsed"))
    }

    pub(super) fn because(&self, why: &str) -> Note {
        self.with(format_args!("; detail={why}"))
    }

    pub(super) fn ttl(&self, seconds: i64) -> Note {
        self.with(format_args!("; ttl={seconds}"))
    }

    /// After what caches before this one have said.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Some(value) = self.0.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.append(CACHE_STATUS, value);
        }
    }

    /// Answers with what is kept, or that the client has it already.
    pub(super) fn answer(&self, exchange: &mut Exchange, entry: &Entry, request: &HeaderMap, now: u64) {
        let mut response = Response::new(entry.status);
        response.headers = entry.headers.clone();
        response.headers.insert(AGE, HeaderValue::from(entry.age(now)));
        if entry.status == StatusCode::OK && rules::client_has_it(request, &entry.headers) {
            response.status = StatusCode::NOT_MODIFIED;
            // RFC 9110, section 15.4.5: nothing of what the client has already.
            for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE] {
                response.headers.remove(name);
            }
            if response.headers.contains_key(ETAG) {
                response.headers.remove(LAST_MODIFIED);
            }
        } else {
            response.body = entry.body.clone().into();
        }
        self.write(&mut response.headers);
        exchange.response = Some(response);
    }
}
