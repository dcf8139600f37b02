//! What a client's certificate says, for policies.

use std::net::IpAddr;

use bytes::Bytes;
use policy::exchange::ClientCertificate;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::der_parser::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// What it says; `None` where it cannot be read (TLS has checked its chain and its dates before).
pub(crate) fn client_certificate(der: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let mut certificate = ClientCertificate {
        subject: distinguished_name(parsed.subject()),
        issuer: distinguished_name(parsed.issuer()),
        common_name: common_name(parsed.subject()),
        serial: parsed.serial.to_str_radix(16),
        sha256: sha256(der),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
        der: Bytes::copy_from_slice(der),
        ..ClientCertificate::default()
    };
    let alternative = parsed.subject_alternative_name().ok().flatten();
    for name in alternative.map(|names| &names.value.general_names).into_iter().flatten() {
        match name {
            GeneralName::DNSName(name) => certificate.dns_names.push((*name).to_owned()),
            GeneralName::URI(uri) => certificate.uris.push((*uri).to_owned()),
            GeneralName::RFC822Name(mail) => certificate.emails.push((*mail).to_owned()),
            GeneralName::IPAddress(bytes) => certificate.ip_addresses.extend(address(bytes)),
            _ => {}
        }
    }
    Some(certificate)
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string())
}

fn sha256(bytes: &[u8]) -> String {
    store::hex(Sha256::digest(bytes))
}

/// The only common name of a subject.
fn common_name(name: &X509Name<'_>) -> Option<String> {
    let mut names = name.iter_common_name();
    let one = names.next()?.as_str().ok()?;
    names.next().is_none().then(|| one.to_owned())
}

/// The string of a distinguished name by RFC 4514: the last part first.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let rdns: Vec<_> = name.iter_rdn().collect();
    let shown = rdns.iter().rev().map(|rdn| {
        let parts = rdn.iter().map(|part| match (short(part.attr_type()), part.as_str()) {
            (Some(name), Ok(value)) => format!("{name}={}", escaped(value)),
            (_, _) => format!("{}=#{}", part.attr_type().to_id_string(), store::hex(part.attr_value().data)),
        });
        parts.collect::<Vec<_>>().join("+")
    });
    shown.collect::<Vec<_>>().join(",")
}

fn short<'o>(oid: &'o Oid<'_>) -> Option<&'o str> {
    match oid2abbrev(oid, oid_registry()).ok()? {
        // As RFC 4514, section 3, and OpenLDAP have it.
        "S" => Some("ST"),
        name => Some(name),
    }
}

/// A value of RFC 4514, section 2.4.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '\0' => text.push_str("\\00"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber};

    #[test]
    fn what_a_certificate_says() {
        let mut params = CertificateParams::new([String::from("app.example")]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "CH");
        params.distinguished_name.push(DnType::OrganizationName, "Partner, Inc.");
        params.distinguished_name.push(DnType::CommonName, " app#1 ");
        params.serial_number = Some(SerialNumber::from(0x0a1bu64));
        params.subject_alt_names.push(SanType::URI("urn:app".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("app@partner.example".try_into().unwrap()));
        params.subject_alt_names.push(SanType::IpAddress("10.0.0.1".parse().unwrap()));
        params.subject_alt_names.push(SanType::IpAddress("fd00::1".parse().unwrap()));
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = client_certificate(made.der()).unwrap();
        assert_eq!(read.subject, "CN=\\ app#1\\ ,O=Partner\\, Inc.,C=CH");
        assert_eq!((read.issuer, read.common_name.as_deref()), (read.subject.clone(), Some(" app#1 ")));
        assert_eq!((read.serial.as_str(), read.not_after - read.not_before), ("a1b", 365 * 86_400));
        assert_eq!((read.dns_names, read.uris), (vec![String::from("app.example")], vec![String::from("urn:app")]));
        assert_eq!(read.emails, ["app@partner.example"]);
        assert_eq!(read.ip_addresses, ["10.0.0.1", "fd00::1"]);
        assert_eq!((read.sha256.len(), read.der.as_ref()), (64, made.der().as_ref()));
    }
}
