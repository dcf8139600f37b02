//! Cookies that we give a browser.
//!
//! `__Host-`: a browser takes it over TLS alone (and from its own machine), for this host alone and all its paths, so that no neighbour under
//! the same domain can set one. No script reads it (`HttpOnly`), and no other site's form carries it along (`SameSite=Lax`). What they are
//! called begins with `__Host-`.

use http::HeaderValue;
use http::header::InvalidHeaderValue;

/// `Set-Cookie` that gives it to the browser: for so many seconds, or until the browser is closed.
pub(crate) fn set(name: &str, value: &str, max_age: Option<u64>) -> Result<HeaderValue, InvalidHeaderValue> {
    let age = max_age.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let mut header = HeaderValue::from_str(&format!("{name}={value}{age}; Path=/; Secure; HttpOnly; SameSite=Lax"))?;
    header.set_sensitive(true);
    Ok(header)
}
