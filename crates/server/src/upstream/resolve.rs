//! Where the names of targets lead. They are looked up beside requests, by the machine's own resolver; a look-up that fails changes
//! nothing.

use std::net::{IpAddr, SocketAddr};

use super::settings::Target;

/// The addresses of a target, in an order that does not depend on the answer's.
pub(super) async fn look_up(target: &Target, admin: Option<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let mut found: Vec<_> = found.map_err(|why| format!("`{}` cannot be looked up: {why}", target.host))?.collect();
    found.sort_unstable();
    found.dedup();
    let before = found.len();
    // Policies must not reach it on anybody's behalf, whatever a name leads to.
    found.retain(|address| admin.is_none_or(|admin| !is_admin(*address, admin)));
    match (found.is_empty(), before) {
        (true, 0) => Err(format!("`{}` has no address", target.host)),
        (true, _) => Err(format!("`{}` leads to the admin address", target.host)),
        (false, _) => Ok(found),
    }
}

/// The address of a target that needs no look-up.
pub(super) fn literal(target: &Target) -> Option<SocketAddr> {
    target.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, target.port))
}

/// Whether this is the admin address, as far as can be told without asking the network.
pub(crate) fn is_admin(address: SocketAddr, admin: SocketAddr) -> bool {
    let here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    // `::ffff:127.0.0.1` leads to 127.0.0.1.
    let (ip, own) = (address.ip().to_canonical(), admin.ip().to_canonical());
    address.port() == admin.port() && (ip == own || (here(ip) && here(own)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::settings::Way;
    use super::*;

    fn target(host: &str, port: u16) -> Target {
        Target { way: Arc::<Way>::default(), host: host.to_owned(), port, weight: 1 }
    }

    #[tokio::test]
    async fn a_name_leads_to_all_its_addresses_but_never_to_the_admin_address() {
        let found = look_up(&target("localhost", 80), None).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 80), "{found:?}");
        let admin = Some(SocketAddr::from(([127, 0, 0, 1], 80)));
        let refused = look_up(&target("localhost", 80), admin).await.unwrap_err();
        assert_eq!(refused, "`localhost` leads to the admin address");
        assert!(look_up(&target("localhost", 81), admin).await.is_ok());
        assert!(look_up(&target("no-such-name.invalid", 80), None).await.is_err());
    }

    #[test]
    fn the_admin_address_is_known_however_it_is_written() {
        let admin = |address: &str, admin: &str| is_admin(address.parse().unwrap(), admin.parse().unwrap());
        for address in ["127.0.0.1:90", "127.0.0.2:90", "[::1]:90", "0.0.0.0:90", "[::]:90", "[::ffff:127.0.0.1]:90"] {
            assert!(admin(address, "127.0.0.1:90"), "{address}");
        }
        assert!(admin("[::ffff:10.0.0.1]:90", "10.0.0.1:90") && admin("10.0.0.1:90", "[::ffff:10.0.0.1]:90"));
        assert!(!admin("[::ffff:10.0.0.1]:90", "127.0.0.1:90") && !admin("[::ffff:127.0.0.1]:91", "127.0.0.1:90"));
    }

    #[test]
    fn an_address_needs_no_look_up() {
        assert_eq!(literal(&target("::1", 80)), Some("[::1]:80".parse().unwrap()));
        assert_eq!(literal(&target("localhost", 80)), None);
    }
}
