//! The certificate that a client proved itself with (mutual TLS).

use bytes::Bytes;

use crate::value::{Type, Value};

/// A client's certificate, whose chain the listener has checked: `request.cert` in selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject's distinguished name (RFC 4514).
    pub subject: String,
    /// The issuer's distinguished name (RFC 4514).
    pub issuer: String,
    /// The subject's common name, where it has exactly one.
    pub common_name: Option<String>,
    /// The serial number: lower-case hexadecimal digits, without leading zeros.
    pub serial: String,
    /// SHA-256 of the certificate (DER): 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// From when on it holds, in seconds since 1970.
    pub not_before: i64,
    /// Until when it holds, in seconds since 1970.
    pub not_after: i64,
    /// Names of hosts among its alternative names.
    pub dns_names: Vec<String>,
    /// URIs among its alternative names.
    pub uris: Vec<String>,
    /// Addresses of mail among its alternative names.
    pub emails: Vec<String>,
    /// IP addresses among its alternative names.
    pub ip_addresses: Vec<String>,
    /// The certificate itself (DER).
    pub der: Bytes,
}

impl ClientCertificate {
    /// What selectors may ask of it: name, what it is, its type.
    pub const FIELDS: &'static [(&'static str, &'static str, Type)] = &[
        ("subject", "The subject's distinguished name (RFC 4514).", Type::Text),
        ("issuer", "The issuer's distinguished name (RFC 4514).", Type::Text),
        ("common_name", "The subject's common name.", Type::Text),
        ("serial", "The serial number, in hexadecimal digits.", Type::Text),
        ("sha256", "SHA-256 of the certificate, in hexadecimal digits.", Type::Text),
        ("not_before", "From when on it holds, in seconds since 1970.", Type::Int),
        ("not_after", "Until when it holds, in seconds since 1970.", Type::Int),
        ("dns_names", "Names of hosts among its alternative names.", Type::List),
        ("uris", "URIs among its alternative names.", Type::List),
        ("emails", "Addresses of mail among its alternative names.", Type::List),
        ("ip_addresses", "IP addresses among its alternative names.", Type::List),
    ];

    /// What it has in a field of [`FIELDS`](Self::FIELDS).
    pub fn read(&self, field: usize) -> Option<Value> {
        let texts = |texts: &[String]| Value::texts(texts.iter().map(String::as_str));
        Some(match Self::FIELDS.get(field)?.0 {
            "subject" => Value::text(&*self.subject),
            "issuer" => Value::text(&*self.issuer),
            "common_name" => Value::text(self.common_name.as_deref()?),
            "serial" => Value::text(&*self.serial),
            "sha256" => Value::text(&*self.sha256),
            "not_before" => Value::Int(self.not_before),
            "not_after" => Value::Int(self.not_after),
            "dns_names" => texts(&self.dns_names),
            "uris" => texts(&self.uris),
            "emails" => texts(&self.emails),
            "ip_addresses" => texts(&self.ip_addresses),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_read_as_its_type_says() {
        let certificate = ClientCertificate { common_name: Some(String::from("a")), ..ClientCertificate::default() };
        for (index, (name, _, of)) in ClientCertificate::FIELDS.iter().enumerate() {
            assert_eq!(certificate.read(index).map(|value| value.type_of()), Some(*of), "{name}");
        }
    }
}
