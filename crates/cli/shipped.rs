//! The files that ship, in the binary: the repository's own `policies/` and `stores/`, and what the templates lay over them.
//! One line a file.

/// Path below the configuration folder, and text.
pub(crate) type File = (&'static str, &'static str);

/// What every template has.
const FILES: &[File] = &[
    ("node.toml", include_str!("node.toml")),
    ("policies/oauth/authorize.toml", include_str!("../../policies/oauth/authorize.toml")),
    ("policies/oauth/device.toml", include_str!("../../policies/oauth/device.toml")),
    ("policies/oauth/granted.toml", include_str!("../../policies/oauth/granted.toml")),
    ("policies/oauth/introspect.toml", include_str!("../../policies/oauth/introspect.toml")),
    ("policies/oauth/jwks.toml", include_str!("../../policies/oauth/jwks.toml")),
    ("policies/oauth/log-in.toml", include_str!("../../policies/oauth/log-in.toml")),
    ("policies/oauth/logout.toml", include_str!("../../policies/oauth/logout.toml")),
    ("policies/oauth/metadata.toml", include_str!("../../policies/oauth/metadata.toml")),
    ("policies/oauth/register.toml", include_str!("../../policies/oauth/register.toml")),
    ("policies/oauth/registration.toml", include_str!("../../policies/oauth/registration.toml")),
    ("policies/oauth/revoke.toml", include_str!("../../policies/oauth/revoke.toml")),
    ("policies/oauth/server.toml", include_str!("../../policies/oauth/server.toml")),
    ("policies/oauth/token.toml", include_str!("../../policies/oauth/token.toml")),
    ("policies/oauth/tokeninfo.toml", include_str!("../../policies/oauth/tokeninfo.toml")),
    ("policies/oauth/userinfo.toml", include_str!("../../policies/oauth/userinfo.toml")),
    ("policies/oauth/verify.toml", include_str!("../../policies/oauth/verify.toml")),
    ("stores/schema/cassandra.cql", include_str!("../../stores/schema/cassandra.cql")),
    ("stores/schema/mysql.sql", include_str!("../../stores/schema/mysql.sql")),
    ("stores/schema/odbc-db2.sql", include_str!("../../stores/schema/odbc-db2.sql")),
    ("stores/schema/odbc-mssql.sql", include_str!("../../stores/schema/odbc-mssql.sql")),
    ("stores/schema/odbc-oracle.sql", include_str!("../../stores/schema/odbc-oracle.sql")),
    ("stores/schema/postgres.sql", include_str!("../../stores/schema/postgres.sql")),
    ("stores/schema/redis.txt", include_str!("../../stores/schema/redis.txt")),
    ("stores/schema/sqlite.sql", include_str!("../../stores/schema/sqlite.sql")),
    ("stores/stores.toml", include_str!("../../stores/stores.toml")),
];

/// A file of an example: these are the templates, so that each of them runs, tested, in the repository.
macro_rules! example {
    ($template:literal, $path:literal) => {
        ($path, include_str!(concat!("../../examples/", $template, "/", $path)))
    };
}

const PROTECT_AN_API: &[File] =
    &[example!("protect-an-api", "node.toml"), example!("protect-an-api", "policies/orders.toml")];

const PARTNER_GATEWAY: &[File] = &[
    example!("partner-gateway", "node.toml"),
    example!("partner-gateway", "policies/global/faults.toml"),
    example!("partner-gateway", "policies/global/headers.toml"),
    example!("partner-gateway", "policies/internal/orders.toml"),
    example!("partner-gateway", "policies/oauth/server.toml"),
    example!("partner-gateway", "policies/partners/catalogue.toml"),
    example!("partner-gateway", "policies/partners/orders.toml"),
    example!("partner-gateway", "policies/shared/partner.test.toml"),
    example!("partner-gateway", "policies/shared/partner.toml"),
    example!("partner-gateway", "stores/stores.toml"),
];

/// What `portcullis init --template` can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Template {
    /// OAuth endpoints: token, tokeninfo, introspection, revocation, metadata; nothing else is answered
    TokenServer,
    /// The same, and one API behind it: a token, scopes by method, a limit by client
    ProtectAnApi,
    /// Partners with client credentials: several APIs, a limit for each partner, an internal listener, one line to share records
    PartnerGateway,
}

impl Template {
    /// Its files, by path: what it has of its own stands in place of the shipped one.
    pub(crate) fn files(self) -> Vec<File> {
        let own = match self {
            Template::TokenServer => &[],
            Template::ProtectAnApi => PROTECT_AN_API,
            Template::PartnerGateway => PARTNER_GATEWAY,
        };
        let replaced = |path: &str| own.iter().any(|(other, _)| *other == path);
        let mut files: Vec<File> = FILES.iter().copied().filter(|(path, _)| !replaced(path)).collect();
        files.extend(own);
        files.sort_unstable();
        files
    }
}

/// The schemas among them: kind of data source, and text.
pub(crate) fn schemas() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().filter_map(|(path, text)| {
        let name = path.strip_prefix("stores/schema/")?;
        Some((name.split('.').next()?, *text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// Every file of a configuration below its folder.
    fn on_disk(root: &Path, folders: &[&str]) -> BTreeMap<String, String> {
        fn walk(root: &Path, at: &Path, found: &mut BTreeMap<String, String>) {
            if !at.is_dir() {
                let name = at.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(name, std::fs::read_to_string(at).unwrap());
                return;
            }
            for entry in std::fs::read_dir(at).unwrap() {
                walk(root, &entry.unwrap().path(), found);
            }
        }
        let mut found = BTreeMap::new();
        folders.iter().for_each(|folder| walk(root, &root.join(folder), &mut found));
        found
    }

    fn made(template: Template, but: &str) -> BTreeMap<String, String> {
        let files = template.files().into_iter().filter(|(path, _)| !path.starts_with(but));
        files.map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn they_are_the_repositorys_own_and_all_of_them() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(made(Template::TokenServer, "node.toml"), on_disk(root, &["policies", "stores"]));
    }

    /// An example names the shipped files by symbolic links, and has no schema.
    #[test]
    fn a_template_is_the_example_of_its_name() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        for (template, name) in
            [(Template::ProtectAnApi, "protect-an-api"), (Template::PartnerGateway, "partner-gateway")]
        {
            let disk = on_disk(&examples.join(name), &["node.toml", "policies", "stores"]);
            assert_eq!(made(template, "stores/schema/"), disk, "{name}");
        }
    }
}
