//! What a token claims (RFC 7519, section 4), once its signature is proved.

use serde_json::{Map, Value};

use super::Rejected;

/// The claims of a proved token.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(Map<String, Value>);

/// By when times are held against the clock, Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The time.
    pub now: u64,
    /// How many seconds clocks may differ.
    pub leeway: u64,
    /// How far away the expiry may be, where that is bounded.
    pub longest: Option<u64>,
}

impl Claims {
    /// These claims.
    pub(super) fn new(claims: Map<String, Value>) -> Claims {
        Claims(claims)
    }

    /// All of them.
    pub fn all(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A claim that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A claim that is a time, in whole Unix seconds. One that is there and is none is refused (RFC 7519, section 2: a number, perhaps
    /// with a fraction).
    pub fn time(&self, name: &str) -> Result<Option<u64>, Rejected> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let whole = |number: f64| (0.0..=1e15).contains(&number).then_some(number as u64);
        let time = value.as_u64().or_else(|| value.as_f64().and_then(whole));
        time.map(Some).ok_or(Rejected::Claim("a time in the token is no number of seconds"))
    }

    /// Whom it is for (RFC 7519, section 4.1.3): one, or a list.
    pub fn audience(&self) -> Result<Vec<&str>, Rejected> {
        const WRONG: Rejected = Rejected::Claim("`aud` is neither text nor a list of texts");
        match self.0.get("aud") {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(many)) => many.iter().map(|one| one.as_str().ok_or(WRONG)).collect(),
            Some(_) => Err(WRONG),
        }
    }

    /// Checks `exp`, which must be there, `nbf` and `iat` (RFC 7519, sections 4.1.4 to 4.1.6); gives the expiry.
    pub fn check_times(&self, times: Times) -> Result<u64, Rejected> {
        let Times { now, leeway, longest } = times;
        let expires_at = self.time("exp")?.ok_or(Rejected::Claim("the token has no expiry (`exp`)"))?;
        if expires_at.saturating_add(leeway) <= now {
            return Err(Rejected::Claim("the token has expired"));
        }
        if longest.is_some_and(|longest| expires_at > now.saturating_add(longest).saturating_add(leeway)) {
            return Err(Rejected::Claim("the token expires too far in the future"));
        }
        if self.time("nbf")?.is_some_and(|at| at > now.saturating_add(leeway)) {
            return Err(Rejected::Claim("the token is not valid yet (`nbf`)"));
        }
        if self.time("iat")?.is_some_and(|at| at > now.saturating_add(leeway)) {
            return Err(Rejected::Claim("the token was issued in the future (`iat`)"));
        }
        Ok(expires_at)
    }

    /// Checks who issued it.
    pub fn check_issuer(&self, issuer: &str) -> Result<(), Rejected> {
        match self.text("iss") {
            Some(own) if own == issuer => Ok(()),
            _ => Err(Rejected::Claim("the token is of another issuer (`iss`)")),
        }
    }

    /// Checks that it is for one of these (RFC 8725, section 3.9).
    pub fn check_audience(&self, accepted: &[impl AsRef<str>]) -> Result<(), Rejected> {
        match self.audience()?.iter().any(|own| accepted.iter().any(|accepted| accepted.as_ref() == *own)) {
            true => Ok(()),
            false => Err(Rejected::Claim("the token is for somebody else (`aud`)")),
        }
    }
}
