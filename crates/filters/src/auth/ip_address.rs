//! `auth.ip-address`: lets in, or keeps out, by the address that a request comes from. In Oracle API Gateway: IP Address filter.
//!
//! The address is `request.client_ip`: that of the connection, or what a trusted proxy says of it. An address is no person:
//! whoever is in that network is let in. `deny` comes first; with `allow`, all others are refused (403), and `any` takes that as a credential
//! that is absent and goes on to its next chain, while a denied address ends it. A list that is only `deny` lets in nobody by itself: the route
//! still needs something that authorizes.
//!
//! ```toml
//! [[filter]]
//! use        = "auth.ip-address"
//! allow      = ["10.0.0.0/8", "fd00::/8"]
//! deny       = ["10.66.0.0/16"]
//! allow_from = "${kps.partners[request.query.partner].email ??}"
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use policy::filter::Judges;
use policy::settings::{Network, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};

/// The address is none of those that are let in, or one of those that are kept out.
const ADDRESS_NOT_ALLOWED: ReasonCode = ReasonCode::new("address-not-allowed");

/// `use = "auth.ip-address"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Those that are let in: addresses, and networks such as `10.1.0.0/16`. Default: all that `deny` does not keep out, unless `allow_from`
    /// is set.
    allow: Option<Spanned<Vec<Network>>>,
    /// Those that are kept out, whatever `allow` says. Default: none.
    #[serde(default)]
    deny: Vec<Network>,
    /// More that are let in, from a row or an attribute: a list, or text with blanks between. What is no network lets in nobody.
    /// Default: none.
    allow_from: Option<Dynamic<Vec<Arc<str>>>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.ip-address";
    type Filter = IpAddress;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<IpAddress, Diagnostics> {
        cx.shapes_nothing();
        if let Some(allow) = &self.allow
            && allow.value.is_empty()
            && self.allow_from.is_none()
        {
            let help = "name those that are let in, or take `allow` out";
            return Err(cx.error(allow.span, "nobody is let in: `allow` is empty", help).into());
        }
        let allow = self.allow.as_ref().map(|allow| allow.value.clone()).unwrap_or_default();
        let allows = !allow.is_empty() || self.allow_from.is_some();
        if !allows && self.deny.is_empty() {
            let help = "write `allow = [\"10.0.0.0/8\"]`, or `deny`";
            return Err(cx.error(cx.own_place().span, "`auth.ip-address` has no list", help).into());
        }
        if allows {
            cx.authorizes();
        }
        cx.fails(&[ADDRESS_NOT_ALLOWED]);
        cx.judges(Judges::Alike);
        cx.goes_by("request.client_ip");
        let allow_from = self.allow_from.as_ref().map(|list| cx.dynamic(list)).transpose()?;
        Ok(IpAddress { allow, deny: self.deny.clone(), allow_from })
    }
}

/// The compiled filter.
pub(crate) struct IpAddress {
    allow: Vec<Network>,
    deny: Vec<Network>,
    allow_from: Option<Getter<Vec<Arc<str>>>>,
}

impl Filter for IpAddress {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let address = exchange.request.client;
        if self.deny.iter().any(|network| network.has(address)) {
            return Ok(Outcome::Failure(refused(address)));
        }
        if self.allow.iter().any(|network| network.has(address)) {
            return Ok(Outcome::Success);
        }
        let listed = match &self.allow_from {
            None if self.allow.is_empty() => return Ok(Outcome::Success),
            None => None,
            Some(list) => match list.get_optional(exchange) {
                Ok(listed) => listed,
                Err(reason) => return Ok(Outcome::Failure(reason)),
            },
        };
        let has = |text: &Arc<str>| Network::parse(text).is_some_and(|network| network.has(address));
        Ok(match listed.is_some_and(|listed| listed.iter().any(has)) {
            true => Outcome::Success,
            false => Outcome::Failure(refused(address).with_absent()),
        })
    }
}

fn refused(address: IpAddr) -> Reason {
    Reason::new(ADDRESS_NOT_ALLOWED, format!("{address} is not let in"))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy, told};
    use policy::testing::Fixture;

    fn tested(settings: &str) -> Fixture {
        policy(&format!("[[filter]]\nuse = 'auth.ip-address'\n{settings}\n[[filter]]\nuse = 'respond'\n"))
    }

    fn from(fixture: &Fixture, address: &str, path: &str) -> String {
        let mut request = get(path, &[("x-forwarded-for", "10.0.0.1"), ("x-real-ip", "10.0.0.1")]);
        request.client = address.parse().expect("an address");
        told(&fixture.run(request))
    }

    #[test]
    fn who_is_let_in() {
        let refused = "403 address-not-allowed";
        let both = "allow = ['10.0.0.0/8', 'fd00::/8']\ndeny = ['10.66.0.0/16', '10.1.2.3']";
        for (settings, address, expected) in [
            (both, "10.0.0.1", "200"),
            (both, "::ffff:10.0.0.1", "200"),
            (both, "fd12::1", "200"),
            (both, "10.66.1.1", refused),
            (both, "::ffff:10.66.1.1", refused),
            (both, "10.1.2.3", refused),
            (both, "127.0.0.1", refused),
            ("deny = ['10.0.0.0/8']", "10.0.0.1", refused),
            ("deny = ['10.0.0.0/8']", "127.0.0.1", "200"),
        ] {
            assert_eq!(from(&tested(settings), address, "/"), expected, "{settings} {address}");
        }
    }

    #[test]
    fn more_may_come_from_an_attribute() {
        let fixture = tested("allow_from = '${request.query.list ??}'");
        for (path, expected) in [
            ("/?list=10.1.0.0/16+10.2.0.1", "200"),
            ("/?list=10.2.0.1", "403 address-not-allowed"),
            ("/?list=10.1.2.3/16+x", "403 address-not-allowed"),
            ("/?list=0", "403 address-not-allowed"),
            ("/", "403 address-not-allowed"),
        ] {
            assert_eq!(from(&fixture, "10.1.2.3", path), expected, "{path}");
        }
    }

    #[test]
    fn any_goes_on_unless_the_address_is_denied() {
        let text = "[[filter]]\nuse = 'any'\nof = ['inside', 'outside']\n[[filter]]\nuse = 'respond'\n\
                    [[chain.inside]]\nuse = 'auth.ip-address'\nallow = ['10.0.0.0/8']\ndeny = ['10.6.0.0/16']\n\
                    [[chain.outside]]\nuse = 'require'\nthat = 'request.query.key == \"k\"'\n";
        for (address, path, expected) in [
            ("10.1.0.1", "/", "200"),
            ("127.0.0.1", "/?key=k", "200"),
            ("127.0.0.1", "/?key=x", "403 condition-not-met"),
            ("10.6.0.1", "/?key=k", "403 address-not-allowed"),
        ] {
            assert_eq!(from(&policy(text), address, path), expected, "{address} {path}");
        }
    }

    #[test]
    fn lists_that_are_none_are_refused_at_load() {
        for (settings, said) in [
            ("", "`auth.ip-address` has no list"),
            ("allow = []", "nobody is let in: `allow` is empty"),
            ("allow = []\ndeny = ['10.0.0.0/8']", "nobody is let in: `allow` is empty"),
            ("allow = ['10.0.0.1/8']", "a network without bits behind its length"),
            ("deny = ['localhost']", "a network without bits behind its length"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
