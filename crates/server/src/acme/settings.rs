//! What an authority is asked for.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use rustls::pki_types::CertificateDer;

/// How it is proven that the names are ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Proof {
    /// The authority asks over TLS at port 443 (RFC 8737).
    #[default]
    TlsAlpn,
    /// It asks over plain HTTP at port 80 (RFC 8555, section 8.3).
    Http,
}

impl Proof {
    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Proof::TlsAlpn => "tls-alpn-01",
            Proof::Http => "http-01",
        }
    }
}

/// `tls.acme` of a listener.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AcmeSettings {
    /// Where the authority's directory is.
    pub(crate) directory: String,
    /// The names that the certificate is for.
    pub(crate) names: Vec<String>,
    /// Where the authority may write to: `mailto:...`.
    pub(crate) contact: Vec<String>,
    /// Whom to trust as the authority's server; the machine's authorities where none is named.
    pub(crate) ca: Option<Vec<CertificateDer<'static>>>,
    /// How the names are proven.
    pub(crate) proof: Proof,
    /// The account at the authority that a new one is bound to: its id, and the key (RFC 8555, section 7.3.4).
    pub(crate) external: Option<(String, Vec<u8>)>,
    /// Where the certificate and its key are kept, relative to the configuration folder.
    pub(crate) file: String,
    /// The certificate that is there: from when to when it holds, in seconds since 1970, and its names.
    pub(crate) there: Option<There>,
}

/// A certificate that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct There {
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) names: Vec<String>,
}

impl AcmeSettings {
    /// When another certificate is due, in seconds since 1970: when two thirds of the time of this one are over, and at once where there
    /// is none, or one for other names.
    pub(crate) fn due(&self) -> i64 {
        let same =
            |there: &&There| self.names.iter().all(|name| there.names.iter().any(|has| has.eq_ignore_ascii_case(name)));
        match self.there.as_ref().filter(same) {
            Some(there) => there.not_after - (there.not_after - there.not_before) / 3,
            None => 0,
        }
    }

    /// What it says, as far as connections have to do with it.
    pub(crate) fn hash_into(&self, hasher: &mut impl Hasher) {
        (&self.directory, &self.names, &self.contact, self.proof).hash(hasher);
    }

    /// Where the account with this authority is kept, relative to the configuration folder.
    pub(super) fn account_file(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.directory, &self.external.as_ref().map(|(id, _)| id)).hash(&mut hasher);
        format!("var/acme/account-{:016x}.json", hasher.finish())
    }
}

/// Nothing of the key.
impl fmt::Debug for AcmeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmeSettings")
            .field("directory", &self.directory)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_time_or_where_the_names_are_others() {
        let mut settings = AcmeSettings {
            directory: String::from("https://ca.example/directory"),
            names: vec![String::from("a.example")],
            contact: Vec::new(),
            ca: None,
            proof: Proof::TlsAlpn,
            external: None,
            file: String::from("var/acme/public.pem"),
            there: None,
        };
        assert_eq!(settings.due(), 0);
        settings.there = Some(There { not_before: 1000, not_after: 1900, names: vec![String::from("A.example")] });
        assert_eq!(settings.due(), 1600);
        settings.names.push(String::from("b.example"));
        assert_eq!(settings.due(), 0);
    }
}
