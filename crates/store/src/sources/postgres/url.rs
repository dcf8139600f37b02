//! The URL of a server: a secret as a whole, since a password stands in it. What is wrong with one is said without quoting it.

use std::time::Duration;

use oauth::Secret;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, SslNegotiation, TargetSessionAttrs};

use crate::sources::secret;

/// `postgres://user:password@host:5432/database`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Secret);

secret::formed!(Url, "SecretUrl");

impl Url {
    /// Wraps a URL.
    pub fn new(url: Secret) -> Self {
        Url(url)
    }

    /// What the driver makes of it; or what is wrong, in words that show nothing of it.
    pub(super) fn parse(&self) -> Result<Config, String> {
        const FORM: &str = "write postgres://USER:PASSWORD@HOST:5432/DATABASE, with @ : / ? # and % in a password as %40 %3A %2F \
                            %3F %23 %25";
        let text = self.0.expose().trim();
        if text.is_empty() {
            return Err(format!("its url is empty: {FORM}"));
        }
        if asks_for_tls(text) {
            return Err(NO_TLS.to_owned());
        }
        let mut config: Config = text.parse().map_err(|_| format!("its url cannot be read: {FORM}"))?;
        if config.get_ssl_mode() == SslMode::Require
            || config.get_ssl_negotiation() == SslNegotiation::Direct
            || config.get_channel_binding() == ChannelBinding::Require
        {
            return Err(NO_TLS.to_owned());
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(format!("its url names no host: {FORM}"));
        }
        // The rest of a password with a bare `@`, which the driver takes for a host: it would stand in every message as the address.
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(host) if host.contains('@'))) {
            return Err(format!("its url has an @ too many: {FORM}"));
        }
        if config.get_user().is_none() {
            return Err(format!("its url names no user: {FORM}"));
        }
        // Whatever the url says: what a standby answers may be long past. Each connection is asked, so that a fail-over is noticed.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        // Without TLS nothing but plain is possible; said, so that the driver does not even ask.
        config.ssl_mode(SslMode::Disable);
        limits(&mut config);
        Ok(config)
    }
}

const NO_TLS: &str = "TLS to PostgreSQL is not supported yet, and the url asks for it (sslmode, sslnegotiation, channel_binding \
     or a certificate): nothing is sent in clear instead. Use sslmode=disable over a network that you trust, or a TLS tunnel on this host";

/// Whether a URL asks for TLS in a way that the driver has no word for (`verify-full`, certificates).
fn asks_for_tls(url: &str) -> bool {
    let word = |at: usize| url[at..].split(['&', ' ', '\'']).find(|text| !text.is_empty()).unwrap_or("");
    let value = |name: &str| url.match_indices(name).map(|(at, _)| word(at + name.len())).collect::<Vec<_>>();
    value("sslmode=").iter().any(|mode| !matches!(*mode, "disable" | "allow" | "prefer"))
        || ["sslrootcert=", "sslcert=", "sslkey="].iter().any(|name| url.contains(name))
}

/// How soon a connection counts as dead. A host that vanished answers nothing, not even a refusal: data that is not
/// acknowledged within 5 s closes the connection, and idle ones are probed.
fn limits(config: &mut Config) {
    let asked = config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(2));
    config.connect_timeout(asked.min(Duration::from_secs(3)));
    config.tcp_user_timeout(Duration::from_secs(5));
    config.keepalives_idle(Duration::from_secs(10)).keepalives_interval(Duration::from_secs(2)).keepalives_retries(3);
    if config.get_application_name().is_none() {
        config.application_name("portcullis");
    }
}

/// `host:port/database`, for messages: neither user nor password.
pub(super) fn address(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| match host {
        Host::Tcp(host) => format!("{host}:{}", port(at)),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    });
    let mut hosts: Vec<String> = hosts.collect();
    if hosts.is_empty() {
        hosts = config.get_hostaddrs().iter().enumerate().map(|(at, host)| format!("{host}:{}", port(at))).collect();
    }
    format!("{}/{}", hosts.join(","), config.get_dbname().or(config.get_user()).unwrap_or(""))
}

/// Whether what is sent leaves this machine, in clear.
pub(super) fn leaves_this_machine(config: &Config) -> bool {
    let named = config.get_hosts().iter().any(|host| match host {
        Host::Tcp(host) => host != "localhost" && !host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => false,
    });
    match config.get_hostaddrs() {
        [] => named,
        addresses => addresses.iter().any(|ip| !ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Config, String> {
        Url::new(Secret::new(url.to_owned())).parse()
    }

    #[test]
    fn a_url_that_asks_for_tls_is_refused() {
        for url in [
            "postgres://u:p@h/d?sslmode=require",
            "postgres://u:p@h/d?connect_timeout=1&sslmode=verify-full",
            "postgres://u:p@h/d?sslmode=verify-ca&sslrootcert=/ca.pem",
            "postgres://u:p@h/d?sslrootcert=/ca.pem",
            "postgres://u:p@h/d?sslmode=require&sslnegotiation=direct",
            "postgres://u:p@h/d?channel_binding=require",
            "host=h user=u dbname=d sslmode='verify-full'",
            "host=h user=u sslmode=require",
        ] {
            let why = parse(url).unwrap_err();
            assert!(why.contains("not supported yet"), "{url}: {why}");
        }
        for url in ["postgres://u:p@h/d", "postgres://u:p@h/d?sslmode=disable", "host=h user=u sslmode=prefer"] {
            assert_eq!(parse(url).unwrap().get_ssl_mode(), SslMode::Disable, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for url in [
            "",
            "postgres//u:hunter2@h",
            "postgres://u:hunter2@h:port/d",
            "x=hunter2",
            "hunter2",
            "postgres://u:a@hunter2@h/d",
        ] {
            let why = parse(url).unwrap_err();
            assert!(!why.contains("hun") && !why.contains("u:"), "{url}: {why}");
            assert!(why.contains("postgres://USER:PASSWORD@HOST:5432/DATABASE"), "{url}: {why}");
        }
    }

    #[test]
    fn the_address_shows_neither_user_nor_password() {
        let config = parse("postgres://u:hunter2@one:6000,two:6001/oauth?target_session_attrs=read-write").unwrap();
        assert_eq!(address(&config), "one:6000,two:6001/oauth");
        assert_eq!(address(&parse("postgres://u:hunter2@one/oauth").unwrap()), "one:5432/oauth");
        assert_eq!(address(&parse("host=/run/postgresql user=u dbname=d").unwrap()), "/run/postgresql/d");
    }

    #[test]
    fn what_leaves_this_machine_is_known() {
        for (url, leaves) in [
            ("postgres://u@127.0.0.1/d", false),
            ("postgres://u@localhost/d", false),
            ("postgres://u@[::1]/d", false),
            ("host=/run/postgresql user=u", false),
            ("host=db hostaddr=127.0.0.1 user=u", false),
            ("postgres://u@127.0.0.1,db/d", true),
            ("postgres://u@10.0.0.7/d", true),
            ("host=localhost hostaddr=10.0.0.7 user=u", true),
        ] {
            assert_eq!(leaves_this_machine(&parse(url).unwrap()), leaves, "{url}");
        }
    }

    #[test]
    fn a_connection_attempt_has_a_limit_whatever_the_url_says() {
        assert_eq!(parse("postgres://u@h/d").unwrap().get_connect_timeout(), Some(&Duration::from_secs(2)));
        let long = parse("postgres://u@h/d?connect_timeout=600").unwrap();
        assert_eq!(long.get_connect_timeout(), Some(&Duration::from_secs(3)));
    }
}
