//! Networks: addresses that begin alike.

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};

/// Addresses that begin alike, written `"10.1.0.0/16"`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits count.
    length: u32,
}

impl Network {
    /// What one looks like, for messages.
    pub const EXPECTED: &'static str = "an address, or a network without bits behind its length: `10.1.0.0/16`";

    /// `10.1.0.0/16`, or a single address; `None` where it is neither, or has bits behind its length.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) if !length.starts_with('+') => length.parse().ok().filter(|length| *length <= most)?,
            Some(_) => return None,
            None => most,
        };
        let network = Network { address, length };
        // Bits behind the length are a mistake: another length was meant, or another address.
        (network.first() == bits(address)).then_some(network)
    }

    /// Whether the address is one of them. One of IPv4 counts as such also where it comes over IPv6.
    pub fn has(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_ipv4() == self.address.is_ipv4() && bits(peer) & self.mask() == self.first()
    }

    fn first(&self) -> u128 {
        bits(self.address) & self.mask()
    }

    fn mask(&self) -> u128 {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        u128::MAX.checked_shl(most - self.length).unwrap_or(0)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Network::parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &Self::EXPECTED))
    }
}

impl JsonSchema for Network {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Network")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["10.1.0.0/16", "fd00::1"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, inside, outside) in [
            (
                "10.1.0.0/16",
                &["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3"][..],
                &["10.2.0.0", "10.0.255.255", "::a01:1"][..],
            ),
            ("10.1.2.3", &["10.1.2.3"], &["10.1.2.2", "10.1.2.4"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["::1"]),
            ("::/0", &["::1", "fd00::1"], &["1.2.3.4"]),
            ("fd00::/8", &["fd00::1", "fdff::"], &["fc00::1", "fe00::"]),
            ("::1/128", &["::1"], &["::2"]),
        ] {
            let parsed = Network::parse(network).expect(network);
            let has = |text: &&str| parsed.has(text.parse().expect("an address"));
            assert!(inside.iter().all(has), "{network}");
            assert!(!outside.iter().any(has), "{network}");
        }
        for bad in ["", "10.1.0.1/16", "10.1.0.0/33", "10.1.0.0/", "10.1.0.0/+8", "10.1", "::/129", "localhost", "/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
