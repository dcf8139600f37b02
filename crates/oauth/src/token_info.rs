//! Token information as Oracle API Gateway answers it: for clients that were written for it. RFC 7662 is the standard's
//! way.

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::id::ClientId;
use crate::scope::Scopes;

/// What is told of a good token: `{audience, user_id, scope, expires_in, ...}`.
#[derive(Clone, Copy, Debug)]
pub struct TokenInfo<'a> {
    /// The client it was issued to: `audience`.
    pub client_id: &'a ClientId,
    /// The resource owner; for a token of the client's own, the client: `user_id`.
    pub subject: &'a str,
    /// What it grants.
    pub scope: &'a Scopes,
    /// Seconds left.
    pub expires_in: u64,
    /// Properties kept with the token that are to be shown. None may stand for one of the names above.
    pub extra: &'a [(&'a str, &'a str)],
}

/// The names that are the answer's own.
pub const NAMES: [&str; 4] = ["audience", "user_id", "scope", "expires_in"];

impl Serialize for TokenInfo<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("audience", self.client_id)?;
        map.serialize_entry("user_id", self.subject)?;
        map.serialize_entry("scope", self.scope)?;
        map.serialize_entry("expires_in", &self.expires_in)?;
        for (name, value) in self.extra.iter().filter(|(name, _)| !NAMES.contains(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oag_shape_and_no_property_in_the_place_of_another() {
        let (client_id, scope) = (ClientId::new("app"), Scopes::parse("a b").expect("scopes"));
        let mut info = TokenInfo { client_id: &client_id, subject: "app", scope: &scope, expires_in: 2518, extra: &[] };
        let json = |info: &TokenInfo<'_>| serde_json::to_string(info).expect("json");
        assert_eq!(json(&info), r#"{"audience":"app","user_id":"app","scope":"a b","expires_in":2518}"#);
        info.extra = &[("tenant", "t1"), ("user_id", "root")];
        assert_eq!(json(&info), r#"{"audience":"app","user_id":"app","scope":"a b","expires_in":2518,"tenant":"t1"}"#);
    }
}
