//! The URL of a server: a secret as a whole, since a password stands in it. What is wrong with one is said without quoting it.

use std::time::Duration;

use mysql_async::{Opts, OptsBuilder};
use oauth::Secret;

use crate::sources::secret;

/// `mysql://user:password@host:3306/database`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Secret);

secret::formed!(Url, "SecretUrl");

const FORM: &str =
    "write mysql://USER:PASSWORD@HOST:3306/DATABASE, with @ : / ? # and % in a password as %40 %3A %2F %3F %23 %25";

const NO_TLS: &str = "TLS to MySQL and MariaDB is not supported yet, and the url asks for it: nothing is sent in clear instead. Leave \
     that out over a network that you trust, or use a TLS tunnel on this host";

impl Url {
    /// Wraps a URL.
    pub fn new(url: Secret) -> Self {
        Url(url)
    }

    /// What the driver makes of it; or what is wrong, in words that show nothing of it.
    pub(super) fn parse(&self) -> Result<Opts, String> {
        let text = self.0.expose().trim();
        if text.is_empty() {
            return Err(format!("its url is empty: {FORM}"));
        }
        check_parameters(text)?;
        let opts = Opts::from_url(text).map_err(|_| format!("its url cannot be read: {FORM}"))?;
        if !names_a_host(text) && opts.socket().is_none() {
            return Err(format!("its url names no host: {FORM}"));
        }
        if opts.user().is_none_or(str::is_empty) {
            return Err(format!("its url names no user: {FORM}"));
        }
        if opts.db_name().is_none_or(str::is_empty) {
            return Err(format!("its url names no database: {FORM}"));
        }
        // What was named is connected to: the driver would go on to the server's socket by itself. All statements of all tables
        // stay prepared. An UPDATE counts the rows that it found.
        let opts = OptsBuilder::from_opts(opts).prefer_socket(false).tcp_keepalive(Some(Duration::from_secs(10)));
        Ok(opts.stmt_cache_size(128).client_found_rows(true).into())
    }
}

/// The driver has words of its own after the `?`, some of which would break what the verbs rely on: only `socket` may stand there.
fn check_parameters(url: &str) -> Result<(), String> {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    for name in
        parameters.split('&').filter_map(|parameter| parameter.split('=').next()).filter(|name| !name.is_empty())
    {
        let lower = name.to_ascii_lowercase();
        if lower.contains("ssl") || lower.contains("tls") || lower.starts_with("verify") || lower.contains("root") {
            return Err(NO_TLS.to_owned());
        }
        if name != "socket" {
            return Err(format!("its url has a parameter other than `socket`: {FORM}"));
        }
    }
    Ok(())
}

fn names_a_host(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
    let place = authority.rsplit('@').next().unwrap_or("");
    !place.is_empty() && !place.starts_with(':')
}

/// `host:port/database`, for messages: neither user nor password.
pub(super) fn address(opts: &Opts) -> String {
    let database = opts.db_name().unwrap_or("");
    match opts.socket() {
        Some(socket) => format!("{socket}/{database}"),
        None => format!("{}:{}/{database}", opts.ip_or_hostname(), opts.tcp_port()),
    }
}

/// Whether what is sent leaves this machine, in clear.
pub(super) fn leaves_this_machine(opts: &Opts) -> bool {
    let host = opts.ip_or_hostname().trim_start_matches('[').trim_end_matches(']');
    opts.socket().is_none()
        && host != "localhost"
        && !host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Opts, String> {
        Url::new(Secret::new(url.to_owned())).parse()
    }

    #[test]
    fn a_url_that_asks_for_tls_is_refused() {
        for parameter in
            ["require_ssl=true", "ssl-mode=REQUIRED", "socket=/s&sslmode=require", "tls=1", "verify_ca=false"]
        {
            let why = parse(&format!("mysql://u:hunter2@h/d?{parameter}")).unwrap_err();
            assert!(why.contains("not supported yet") && !why.contains("hunter2"), "{parameter}: {why}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for (url, what) in [
            ("", "is empty"),
            ("mysql//u:hunter2@h", "cannot be read"),
            ("postgres://u:hunter2@h/d", "cannot be read"),
            ("mysql://u:hunter2@h:port/d", "cannot be read"),
            ("hunter2", "cannot be read"),
            ("mysql://u:hunter2@/d", "be read"),
            ("mysql://:hunter2@h/d", "no user"),
            ("mysql://h/d", "no user"),
            ("mysql:///d", "cannot be read"),
            ("mysql://u:hunter2@:3306/d", "be read"),
            ("mysql://u:hunter2@h", "no database"),
            ("mysql://u:hunter2@h/", "no database"),
            ("mysql://u:hunter2@h/d?pool_max=3", "a parameter other than `socket`"),
            ("mysql://u:hunter2@h/d?reset_connection=hunter2", "a parameter other than `socket`"),
        ] {
            let why = parse(url).unwrap_err();
            assert!(why.contains(what) && !why.contains("hunter"), "{url}: {why}");
            assert!(why.contains("mysql://USER:PASSWORD@HOST:3306/DATABASE"), "{url}: {why}");
        }
    }

    #[test]
    fn a_password_may_hold_anything() {
        assert_eq!(parse("mysql://u:a%40b%3A%2F%25@h/d").unwrap().pass(), Some("a@b:/%"));
        assert_eq!(parse("mysql://u@h/d").unwrap().pass(), None);
    }

    #[test]
    fn the_address_shows_neither_user_nor_password() {
        assert_eq!(address(&parse("mysql://u:hunter2@one:3307/oauth").unwrap()), "one:3307/oauth");
        assert_eq!(address(&parse("mysql://u:hunter2@one/oauth").unwrap()), "one:3306/oauth");
        let socket = parse("mysql://u:hunter2@localhost/oauth?socket=/run/mysqld/mysqld.sock").unwrap();
        assert_eq!(address(&socket), "/run/mysqld/mysqld.sock/oauth");
    }

    #[test]
    fn what_leaves_this_machine_is_known() {
        for (url, leaves) in [
            ("mysql://u@127.0.0.1/d", false),
            ("mysql://u@localhost/d", false),
            ("mysql://u@[::1]/d", false),
            ("mysql://u@db/d?socket=/run/mysqld/mysqld.sock", false),
            ("mysql://u@10.0.0.7/d", true),
            ("mysql://u@db/d", true),
        ] {
            assert_eq!(leaves_this_machine(&parse(url).unwrap()), leaves, "{url}");
        }
    }
}
