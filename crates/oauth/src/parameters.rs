//! Rules for all parameters of a request to an OAuth endpoint (RFC 6749, section 3.2).

use std::collections::HashSet;

use crate::error::Error;

/// Parameters that a form may have several times: RFC 8707, section 2, and RFC 8693, section 2.1.
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// What must not stand in the query of an endpoint, where logs and histories keep it (RFC 6749, sections 2.3.1 and 3.2;
/// RFC 9700).
const NEVER_IN_QUERY: [&str; 14] = [
    "client_id",
    "client_secret",
    "client_assertion",
    "access_token",
    "refresh_token",
    "token",
    "code",
    "code_verifier",
    "device_code",
    "username",
    "password",
    "assertion",
    "subject_token",
    "actor_token",
];

/// Refuses a form with a repeated parameter (RFC 6749, section 3.2).
pub fn refuse_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) && !REPEATABLE.contains(&name) {
            return Err(Error::invalid_request("A parameter is repeated"));
        }
    }
    Ok(())
}

/// Refuses credentials and tokens in the query of an endpoint.
pub fn refuse_in_query<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    for name in names {
        if let Some(name) = NEVER_IN_QUERY.iter().find(|never| **never == name) {
            return Err(Error::invalid_request(format!("`{name}` must stand in the body, never in the query")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    /// D2: a repeated parameter is refused, known or not; but those that other RFCs allow to repeat.
    #[test]
    fn rfc6749_3_2_no_parameter_twice() {
        assert!(refuse_repeated(["grant_type", "scope", "other"].into_iter()).is_ok());
        assert!(refuse_repeated(["resource", "resource", "audience", "audience"].into_iter()).is_ok());
        for names in [["scope", "scope"], ["unknown", "unknown"], ["", ""]] {
            let refused = refuse_repeated(names.into_iter()).expect_err("repeated");
            assert_eq!(refused.code, ErrorCode::InvalidRequest);
        }
    }

    /// D5: credentials and tokens never stand in a query.
    #[test]
    fn rfc6749_2_3_1_no_credentials_in_the_query() {
        assert!(refuse_in_query(["", "tenant", "grant_type"].into_iter()).is_ok());
        for name in [
            "client_id",
            "client_secret",
            "access_token",
            "refresh_token",
            "token",
            "code",
            "password",
            "client_assertion",
            "assertion",
        ] {
            let refused = refuse_in_query(["tenant", name].into_iter()).expect_err(name);
            assert_eq!(refused.code, ErrorCode::InvalidRequest);
        }
    }
}
