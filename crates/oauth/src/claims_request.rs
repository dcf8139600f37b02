//! The parameter `claims` of an authorization request (OpenID Connect Core, section 5.5): what it asks to be told, and what it demands.
//!
//! What is told is decided by scopes, since the user was asked about those; `claims` picks from it. Two of its members are demands: a `sub` with a
//! value (section 5.5.1), and an essential `acr` with values (section 5.5.1.1).

use serde_json::{Map, Value};

use crate::error::Error;

/// The places of claims: the ID token, and the answer of the UserInfo endpoint.
const PLACES: [&str; 2] = ["id_token", "userinfo"];

/// The text of the parameter as JSON, where it has the form that the section gives it.
pub fn parse(text: &str) -> Result<Value, Error> {
    let refused = || Error::invalid_request("`claims` is no JSON object of claims");
    let claims: Value = serde_json::from_str(text).map_err(|_| refused())?;
    let all = claims.as_object().ok_or_else(refused)?;
    for place in PLACES.iter().filter_map(|place| all.get(*place)).filter(|place| !place.is_null()) {
        let named = place.as_object().ok_or_else(refused)?;
        if named.values().any(|claim| !claim.is_null() && !claim.is_object()) {
            return Err(refused());
        }
    }
    Ok(claims)
}

/// The user whom the request is about, where it names one.
pub fn subject(claims: &Value) -> Result<Option<&str>, Error> {
    let mut named = PLACES.iter().flat_map(|place| wanted(claims, place, "sub")).flatten();
    let first = named.next();
    match named.all(|other| Some(other) == first) {
        true => Ok(first),
        false => Err(Error::invalid_request("`claims` names more than one user")),
    }
}

/// The authentication context classes of which one must be reached; empty where the request demands none.
pub fn essential_acr(claims: &Value) -> Vec<String> {
    let essential = claim(claims, "id_token", "acr").and_then(|acr| acr.get("essential")).and_then(Value::as_bool);
    match (essential, wanted(claims, "id_token", "acr")) {
        (Some(true), Some(classes)) => classes.map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The authentication context classes that are wished for: those of an `acr` that is not essential (section 5.5.1.1, as `acr_values`).
pub fn wished_acr(claims: &Value) -> Vec<String> {
    match essential_acr(claims) {
        demanded if demanded.is_empty() => {
            wanted(claims, "id_token", "acr").into_iter().flatten().map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// The values that a claim is wanted with; none where any will do.
fn wanted<'a>(claims: &'a Value, place: &str, name: &str) -> Option<impl Iterator<Item = &'a str>> {
    let claim = claim(claims, place, name)?;
    let several = claim.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(claim.get("value").into_iter().chain(several).filter_map(Value::as_str))
}

fn claim<'a>(claims: &'a Value, place: &str, name: &str) -> Option<&'a Map<String, Value>> {
    claims.get(place)?.get(name)?.as_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openid_core_5_5_the_form_of_the_parameter() {
        for text in [
            "{}",
            r#"{"userinfo":{"given_name":{"essential":true},"nickname":null},"id_token":{"auth_time":{"essential":true}}}"#,
            r#"{"id_token":null,"https://other.example":7}"#,
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for text in ["", "1", "[]", "{", r#"{"id_token":[]}"#, r#"{"userinfo":{"email":true}}"#, "{\"id_token\":\"x\"}"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn openid_core_5_5_1_a_subject_with_a_value_is_a_demand() {
        let of = |text: &str| subject(&parse(text).expect(text)).map(|found| found.map(str::to_owned));
        assert_eq!(of(r#"{"id_token":{"sub":{"value":"ann"}}}"#), Ok(Some("ann".to_owned())));
        assert_eq!(
            of(r#"{"userinfo":{"sub":{"value":"ann"}},"id_token":{"sub":{"value":"ann"}}}"#),
            Ok(Some("ann".to_owned()))
        );
        for text in [r#"{"id_token":{"sub":null}}"#, r#"{"id_token":{"sub":{"essential":true}}}"#, "{}"] {
            assert_eq!(of(text), Ok(None), "{text}");
        }
        for text in [
            r#"{"userinfo":{"sub":{"value":"bob"}},"id_token":{"sub":{"value":"ann"}}}"#,
            r#"{"id_token":{"sub":{"values":["ann","bob"]}}}"#,
        ] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn openid_core_5_5_1_1_an_essential_acr_is_a_demand() {
        let of = |text: &str| essential_acr(&parse(text).expect(text));
        assert_eq!(of(r#"{"id_token":{"acr":{"essential":true,"values":["gold","silver"]}}}"#), ["gold", "silver"]);
        assert_eq!(of(r#"{"id_token":{"acr":{"essential":true,"value":"gold"}}}"#), ["gold"]);
        for text in [
            r#"{"id_token":{"acr":{"values":["gold"]}}}"#,
            r#"{"id_token":{"acr":{"essential":true}}}"#,
            r#"{"id_token":{"acr":{"essential":"true","value":"gold"}}}"#,
            "{}",
            r#"{"userinfo":{"acr":{"essential":true,"value":"gold"}}}"#,
        ] {
            assert!(of(text).is_empty(), "{text}");
        }
        let wished = |text: &str| wished_acr(&parse(text).expect(text));
        assert_eq!(wished(r#"{"id_token":{"acr":{"values":["gold","silver"]}}}"#), ["gold", "silver"]);
        for text in ["{}", r#"{"id_token":{"acr":null}}"#, r#"{"id_token":{"acr":{"essential":true,"value":"gold"}}}"#]
        {
            assert!(wished(text).is_empty(), "{text}");
        }
    }
}
