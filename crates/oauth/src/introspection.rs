//! Introspection (RFC 7662): who may see which token, and what is told of it.

use serde::Serialize;
use serde::ser::SerializeMap;

use crate::id::ClientId;
use crate::scope::Scopes;
use crate::token_endpoint::BEARER;

/// Whose tokens a caller was given to see, beside its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees<'a> {
    /// Its own only.
    Own,
    /// All.
    Any,
    /// Those for one of these audiences.
    Audiences(&'a [String]),
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The client.
    pub client_id: &'a ClientId,
    /// Whether it proved who it is; a public client cannot.
    pub proved: bool,
    /// What it was given to see.
    pub sees: Sees<'a>,
}

/// A token that is good, as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Active<'a> {
    /// The client it was issued to.
    pub client_id: &'a ClientId,
    /// The resource owner; for a token of the client's own, the client.
    pub subject: &'a str,
    /// What it grants.
    pub scope: &'a Scopes,
    /// Whom it is for; empty = anybody.
    pub audience: &'a [String],
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// What the token is bound to (RFC 7800: `jkt`, `x5t#S256`).
    pub confirmation: Option<&'a serde_json::Value>,
}

/// The answer. `Inactive` is all that is told of a token that is unknown, expired, revoked, or none of the caller's
/// business (section 2.2).
#[derive(Clone, Copy, Debug)]
pub enum Introspection<'a> {
    /// `{"active": false}` and nothing else.
    Inactive,
    /// The token's properties.
    Active(Active<'a>),
}

/// Whether the caller may see a token of this client for these audiences. One that did not prove who it is sees only
/// its own (section 4).
pub fn may_see(caller: &Caller<'_>, client_id: &ClientId, audience: &[String]) -> bool {
    if caller.client_id == client_id {
        return true;
    }
    caller.proved
        && match caller.sees {
            Sees::Own => false,
            Sees::Any => true,
            Sees::Audiences(given) => audience.iter().any(|of| given.contains(of)),
        }
}

/// What is told of a token that was found good, or of none.
pub fn answer<'a>(caller: &Caller<'_>, token: Option<Active<'a>>) -> Introspection<'a> {
    match token {
        Some(token) if may_see(caller, token.client_id, token.audience) => Introspection::Active(token),
        _ => Introspection::Inactive,
    }
}

impl Serialize for Introspection<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        let Introspection::Active(token) = self else {
            map.serialize_entry("active", &false)?;
            return map.end();
        };
        map.serialize_entry("active", &true)?;
        map.serialize_entry("client_id", token.client_id)?;
        map.serialize_entry("sub", token.subject)?;
        map.serialize_entry("scope", token.scope)?;
        map.serialize_entry("token_type", BEARER)?;
        map.serialize_entry("exp", &token.expires_at)?;
        map.serialize_entry("iat", &token.issued_at)?;
        match token.audience {
            [] => {}
            [one] => map.serialize_entry("aud", one)?,
            several => map.serialize_entry("aud", several)?,
        }
        if let Some(confirmation) = token.confirmation {
            map.serialize_entry("cnf", confirmation)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id(text: &str) -> ClientId {
        ClientId::new(text)
    }

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| item.to_string()).collect()
    }

    /// D26, D29: whose tokens a caller sees.
    #[test]
    fn rfc7662_4_who_may_see_what() {
        let (me, orders) = (id("me"), list(&["orders"]));
        let may = |proved, sees, owner: &str, audience: &[&str]| {
            may_see(&Caller { client_id: &me, proved, sees }, &id(owner), &list(audience))
        };
        for (proved, sees, owner, audience, seen) in [
            (true, Sees::Own, "me", &[][..], true),
            (true, Sees::Own, "other", &[], false),
            (true, Sees::Own, "other", &["me"], false),
            (true, Sees::Any, "other", &[], true),
            (true, Sees::Audiences(&orders), "other", &["orders", "x"], true),
            (true, Sees::Audiences(&orders), "other", &["x"], false),
            (true, Sees::Audiences(&orders), "other", &[], false),
            (true, Sees::Audiences(&orders), "me", &[], true),
            // A public client never sees others' tokens, whatever it was given.
            (false, Sees::Any, "other", &[], false),
            (false, Sees::Audiences(&orders), "other", &["orders"], false),
            (false, Sees::Own, "me", &[], true),
        ] {
            assert_eq!(may(proved, sees, owner, audience), seen, "{proved} {sees:?} {owner} {audience:?}");
        }
    }

    fn told(caller: Sees<'_>, audience: &[String], confirmation: Option<&serde_json::Value>) -> serde_json::Value {
        let (me, app, scope) = (id("me"), id("app"), Scopes::parse("a b").expect("scopes"));
        let token = Active {
            client_id: &app,
            subject: "app",
            scope: &scope,
            audience,
            issued_at: 1,
            expires_at: 3601,
            confirmation,
        };
        let caller = Caller { client_id: &me, proved: true, sees: caller };
        serde_json::to_value(answer(&caller, Some(token))).expect("json")
    }

    /// D26: unknown, and not the caller's to see, are exactly `{"active":false}`.
    #[test]
    fn rfc7662_2_2_inactive_tells_nothing_else() {
        let me = id("me");
        let caller = Caller { client_id: &me, proved: true, sees: Sees::Any };
        let unknown = serde_json::to_string(&answer(&caller, None)).expect("json");
        assert_eq!(unknown, r#"{"active":false}"#);
        assert_eq!(told(Sees::Own, &[], None).to_string(), unknown);
    }

    /// D27: `exp` and `iat` are integers, `scope` is text with spaces.
    #[test]
    fn rfc7662_2_2_types() {
        assert_eq!(
            told(Sees::Any, &[], None),
            json!({"active": true, "client_id": "app", "sub": "app", "scope": "a b", "token_type": "Bearer", "exp": 3601, "iat": 1})
        );
        assert_eq!(told(Sees::Any, &list(&["x"]), None)["aud"], json!("x"));
        assert_eq!(told(Sees::Any, &list(&["x", "y"]), None)["aud"], json!(["x", "y"]));
    }

    /// D28: a bound token's `cnf` is told, or its receiver could not check the binding.
    #[test]
    fn rfc7662_and_rfc8705_3_2_cnf_of_bound_tokens() {
        let confirmation = json!({"x5t#S256": "abc"});
        assert_eq!(told(Sees::Any, &[], Some(&confirmation))["cnf"], confirmation);
    }
}
