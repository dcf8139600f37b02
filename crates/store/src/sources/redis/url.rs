//! The URL of a server: a secret as a whole, since a password stands in it. What is wrong with one is said without quoting it.

use std::fmt;

use oauth::Secret;
use redis::io::tcp::TcpSettings;
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
};

use crate::sources::secret;

/// `redis://user:password@host:6379/0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Secret);

secret::formed!(Url, "SecretUrl");

impl Url {
    /// Wraps a URL.
    pub fn new(url: Secret) -> Self {
        Url(url)
    }

    /// Where it leads; or what is wrong, in words that show nothing of it.
    pub(super) fn parse(&self) -> Result<Place, String> {
        const FORM: &str = "write redis://USER:PASSWORD@HOST:6379/0, or redis://:PASSWORD@HOST:6379/0 where the server knows no users, \
                            with @ : / ? # and % in a password as %40 %3A %2F %3F %23 %25";
        let text = self.0.expose().trim();
        if text.is_empty() {
            return Err(format!("its url is empty: {FORM}"));
        }
        if text.starts_with("rediss:") || text.starts_with("valkeys:") {
            return Err(NO_TLS.to_owned());
        }
        let info: ConnectionInfo =
            text.into_connection_info().map_err(|_| format!("its url cannot be read: {FORM}"))?;
        if !matches!(info.addr(), ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_)) {
            return Err(NO_TLS.to_owned());
        }
        let login = info.redis_settings();
        // A name without a password would connect as the default user, which may do more than was meant.
        if login.username().is_some() && login.password().is_none() {
            return Err(format!("its url names a user and no password: {FORM}"));
        }
        if login.db() < 0 {
            return Err(format!("its url names a database below 0: {FORM}"));
        }
        Ok(Place { address: info.addr().clone(), database: login.db(), login: login.clone() })
    }
}

const NO_TLS: &str = "TLS to Redis is not supported yet, and the url asks for it (rediss, valkeys): nothing is sent in clear instead. Use \
     redis:// over a network that you trust, or a TLS tunnel on this host";

/// Where a server is, and who we are there. Shown without the latter.
#[derive(Clone)]
pub(super) struct Place {
    address: ConnectionAddr,
    pub(super) database: i64,
    login: RedisConnectionInfo,
}

impl Place {
    /// The address and nothing more: the log-in is done by us, and needs no `CLIENT SETINFO`, which old proxies do not know.
    /// A command is not held back to travel with the next (Nagle's algorithm): somebody waits for each.
    pub(super) fn address(&self) -> Result<ConnectionInfo, RedisError> {
        let bare = RedisConnectionInfo::default().set_skip_set_lib_name();
        let info = self.address.clone().into_connection_info()?;
        Ok(info.set_redis_settings(bare).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }

    /// The address with the log-in and the third version of the protocol, which knows messages that nobody asked for.
    pub(super) fn pushing(&self) -> Result<ConnectionInfo, RedisError> {
        let login = self.login.clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        Ok(self.address()?.set_redis_settings(login))
    }

    /// The command that logs in, where there is a password.
    pub(super) fn login(&self) -> Option<Cmd> {
        let password = self.login.password()?;
        let mut login = redis::cmd("AUTH");
        if let Some(user) = self.login.username() {
            login.arg(user);
        }
        login.arg(password);
        Some(login)
    }

    /// What makes it the same place: not the user.
    pub(super) fn place(&self) -> (&ConnectionAddr, i64) {
        (&self.address, self.database)
    }

    /// Whether what is sent leaves this machine, in clear.
    pub(super) fn leaves_this_machine(&self) -> bool {
        match &self.address {
            ConnectionAddr::Tcp(host, _) => {
                host != "localhost" && !host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
            _ => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            ConnectionAddr::Tcp(host, port) => write!(f, "{host}:{port}/{}", self.database),
            address => write!(f, "{address} database {}", self.database),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Place, String> {
        Url::new(Secret::new(url.to_owned())).parse()
    }

    #[test]
    fn a_url_that_asks_for_tls_is_refused() {
        for url in ["rediss://u:p@h", "rediss://h/#insecure", "valkeys://h"] {
            let why = parse(url).map(|place| place.to_string()).unwrap_err();
            assert!(why.contains("not supported yet"), "{url}: {why}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for url in [
            "",
            "hunter2",
            "redis//u:hunter2@h",
            "http://u:hunter2@h",
            "redis://u:hunter2@h:port",
            "redis://:hunter2@h/x",
            "redis://hunter2@h",
            "redis://:hunter2@h/-1",
        ] {
            let why = parse(url).map(|place| place.to_string()).unwrap_err();
            assert!(!why.contains("hun") && !why.contains("u:h"), "{url}: {why}");
            assert!(why.contains("redis://USER:PASSWORD@HOST:6379/0"), "{url}: {why}");
        }
    }

    #[test]
    fn the_address_shows_neither_user_nor_password() {
        for (url, shown) in [
            ("redis://u:hunter2@db.example", "db.example:6379/0"),
            ("valkey://:hunter2@10.0.0.7:7000/3", "10.0.0.7:7000/3"),
            ("redis://u:hunter2@[::1]:7000/3", "::1:7000/3"),
            ("unix:///run/redis.sock?db=2&pass=hunter2", "/run/redis.sock database 2"),
        ] {
            assert_eq!(parse(url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn the_log_in_is_as_the_url_says() {
        let login = |url: &str| parse(url).unwrap().login().map(|login| login.get_packed_command());
        assert_eq!(login("redis://h"), None);
        assert_eq!(login("redis://:p%40ss@h").unwrap(), b"*2\r\n$4\r\nAUTH\r\n$4\r\np@ss\r\n");
        assert_eq!(login("redis://u:p@h").unwrap(), b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n");
    }

    #[test]
    fn what_leaves_this_machine_is_known() {
        for (url, leaves) in [
            ("redis://127.0.0.1", false),
            ("redis://localhost", false),
            ("redis://[::1]", false),
            ("unix:///run/redis.sock", false),
            ("redis://db.example", true),
            ("redis://10.0.0.7", true),
        ] {
            assert_eq!(parse(url).unwrap().leaves_this_machine(), leaves, "{url}");
        }
    }
}
