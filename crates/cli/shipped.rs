//! The files that ship: the repository's own `policies/` and `stores/`, in the binary. One line a file.

/// Path below the configuration folder, and text.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("node.toml", include_str!("node.toml")),
    ("policies/oauth/introspect.toml", include_str!("../../policies/oauth/introspect.toml")),
    ("policies/oauth/metadata.toml", include_str!("../../policies/oauth/metadata.toml")),
    ("policies/oauth/revoke.toml", include_str!("../../policies/oauth/revoke.toml")),
    ("policies/oauth/server.toml", include_str!("../../policies/oauth/server.toml")),
    ("policies/oauth/token.toml", include_str!("../../policies/oauth/token.toml")),
    ("policies/oauth/tokeninfo.toml", include_str!("../../policies/oauth/tokeninfo.toml")),
    ("stores/schema/postgres.sql", include_str!("../../stores/schema/postgres.sql")),
    ("stores/schema/sqlite.sql", include_str!("../../stores/schema/sqlite.sql")),
    ("stores/stores.toml", include_str!("../../stores/stores.toml")),
];

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

    /// Every file of the repository's `policies/` and `stores/`.
    fn on_disk() -> BTreeMap<String, String> {
        fn walk(root: &Path, at: &Path, found: &mut BTreeMap<String, String>) {
            for entry in std::fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, found);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                    found.insert(name, std::fs::read_to_string(&path).unwrap());
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeMap::new();
        ["policies", "stores"].iter().for_each(|folder| walk(root, &root.join(folder), &mut found));
        found
    }

    #[test]
    fn they_are_the_repositorys_own_and_all_of_them() {
        let shipped: BTreeMap<_, _> = FILES
            .iter()
            .filter(|(path, _)| *path != "node.toml")
            .map(|(p, t)| (p.to_string(), t.to_string()))
            .collect();
        let disk = on_disk();
        assert_eq!(shipped.keys().collect::<Vec<_>>(), disk.keys().collect::<Vec<_>>());
        assert_eq!(shipped, disk);
    }
}
