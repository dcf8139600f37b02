//! Other ways than access tokens to prove who calls: a password, a session, a key.

mod api_key;
mod basic;
mod certificate;
mod header;
mod hmac;
mod ip_address;
mod jwt;
#[cfg(test)]
mod jwt_tests;
mod ldap;
mod password;
mod people;
mod session;
#[cfg(test)]
mod tests;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] =
    policy::filters![password, basic, session, api_key, certificate, header, hmac, ip_address, jwt, ldap];
