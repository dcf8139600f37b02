//! `auth.header`: lets in whom a trusted peer names in a header, and sets `subject.*`: a proxy before the gateway that has logged the
//! user in. In Oracle API Gateway: HTTP Header Authentication.
//!
//! Whoever can send the header is believed, so it counts only on connections from the addresses in `from`, which is the address of the
//! connection itself and no `X-Forwarded-For`; from others it is taken off and counts as absent. The peer must take off what came
//! to it under that name.
//!
//! ```toml
//! [[filter]]
//! use    = "auth.header"
//! header = "x-remote-user"
//! from   = ["10.1.0.0/16", "fd00::1"]
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use crate::oauth::{SUBJECT, Subject};

/// No peer that is trusted names anybody.
const NO_SUBJECT: ReasonCode = ReasonCode::new("no-subject");
/// It names several, or nobody that could be.
const WRONG_SUBJECT: ReasonCode = ReasonCode::new("wrong-subject");

/// `use = "auth.header"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The header that names the subject: 1 to 255 visible ASCII characters, no comma.
    header: Spanned<String>,
    /// The peers that are believed: addresses, and networks such as `10.1.0.0/16`.
    from: Vec<Spanned<String>>,
    /// Whether the header stays on the request that goes upstream. Default: false.
    #[serde(default)]
    keep_credential: bool,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.header";
    type Filter = Header;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Header, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_SUBJECT, WRONG_SUBJECT]);
        let header = HeaderName::try_from(&self.header.value).map_err(|_| {
            let message = format!("`{}` is no name of a header", self.header.value);
            cx.error(self.header.span, message, "letters, digits and `-`: `x-remote-user`")
        })?;
        if self.from.is_empty() {
            let help = "name the addresses of the proxy that sets the header";
            return Err(cx.error(cx.own_place().span, "nobody is believed: `from` is empty", help).into());
        }
        let network = |text: &Spanned<String>| {
            Network::parse(&text.value).ok_or_else(|| {
                let help = "an address, or a network without bits behind its length: `10.1.0.0/16`";
                Diagnostics::from(cx.error(text.span, format!("`{}` is no network", text.value), help))
            })
        };
        let from = self.from.iter().map(network).collect::<Result<_, _>>()?;
        Ok(Header { header, from, keep_credential: self.keep_credential, subject: cx.writes(&SUBJECT) })
    }
}

/// The compiled filter.
pub(crate) struct Header {
    header: HeaderName,
    from: Vec<Network>,
    keep_credential: bool,
    subject: Slot<Subject>,
}

impl Filter for Header {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let request = &mut exchange.request;
        let peer = request.peer.ip();
        let believed = self.from.iter().any(|network| network.has(peer));
        let named: Vec<_> = request.headers.get_all(&self.header).iter().cloned().collect();
        if !believed || !self.keep_credential {
            request.headers.remove(&self.header);
        }
        let name = match named.as_slice() {
            [name] if believed => name.to_str().unwrap_or_default(),
            [] => return Ok(Outcome::Failure(absent("the request names nobody"))),
            _ if !believed => {
                return Ok(Outcome::Failure(absent("the request names somebody, and its peer is not believed")));
            }
            _ => "",
        };
        if !store::Users::is_name(name) || name.contains(',') {
            return Ok(Outcome::Failure(Reason::new(
                WRONG_SUBJECT,
                "the header names several, or nobody that could be",
            )));
        }
        let id = Arc::from(name);
        let subject = Subject { id, is_client: false, authenticated_at: None, methods: Vec::new(), acr: None };
        exchange.set(self.subject, subject);
        Ok(Outcome::Success)
    }
}

fn absent(message: &'static str) -> Reason {
    Reason::new(NO_SUBJECT, message).with_absent()
}

/// Addresses that begin alike.
#[derive(Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    /// How many bits count.
    length: u32,
}

impl Network {
    /// `10.1.0.0/16`, or a single address.
    fn parse(text: &str) -> Option<Network> {
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
    fn has(&self, peer: IpAddr) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{get, policy, sent, told};

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

    fn from(network: &str, more: &str) -> String {
        format!(
            "[[filter]]\nuse = 'auth.header'\nheader = 'x-remote-user'\nfrom = ['{network}']\n{more}\
             [[filter]]\nuse = 'set-header'\nset = {{ x-who = '${{subject.id}}' }}\n\
             [[filter]]\nuse = 'proxy'\nupstream = 'orders'\n"
        )
    }

    #[test]
    fn whom_a_trusted_peer_names_is_let_in() {
        let ran = policy(&from("127.0.0.0/8", "")).run(get("/", &[("x-remote-user", "ann")]));
        assert_eq!(sent(&ran)["headers"]["x-who"], "ann");
        assert_eq!(sent(&ran)["headers"].get("x-remote-user"), None);
        let kept = policy(&from("127.0.0.1", "keep_credential = true\n")).run(get("/", &[("x-remote-user", "ann")]));
        assert_eq!(sent(&kept)["headers"]["x-remote-user"], "ann");
    }

    /// D50: what others send under that name is nothing.
    #[test]
    fn from_others_and_without_a_name_nobody_is() {
        let others = policy(&from("10.0.0.0/8", "keep_credential = true\n"));
        assert_eq!(told(&others.run(get("/", &[("x-remote-user", "ann")]))), "403 no-subject");
        let forwarded = [("x-remote-user", "ann"), ("x-forwarded-for", "10.0.0.1")];
        assert_eq!(told(&others.run(get("/", &forwarded))), "403 no-subject");
        let peer = policy(&from("127.0.0.1", ""));
        for (headers, expected) in [
            (&[][..], "403 no-subject"),
            (&[("x-remote-user", "")], "403 wrong-subject"),
            (&[("x-remote-user", "ann, eve")], "403 wrong-subject"),
            (&[("x-remote-user", "ann,eve")], "403 wrong-subject"),
            (&[("x-remote-user", "ann"), ("x-remote-user", "eve")], "403 wrong-subject"),
        ] {
            assert_eq!(told(&peer.run(get("/", headers))), expected, "{headers:?}");
        }
    }

    #[test]
    fn what_comes_from_nowhere_is_refused_at_load() {
        let empty =
            "[[filter]]\nuse = 'auth.header'\nheader = 'x-remote-user'\nfrom = []\n[[filter]]\nuse = 'respond'\n";
        assert!(policy(empty).problems()[0].contains("nobody is believed"));
        assert!(policy(&from("10.1.0.1/16", "")).problems()[0].contains("`10.1.0.1/16` is no network"));
    }
}
