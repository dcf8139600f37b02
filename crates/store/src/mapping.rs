//! The mapping of stores to data sources, what may be wrong with it, and (`opened.rs`) the stores that can be used.
//!
//! The mapping holds names only; whoever reads it from files knows the places and tells them with each [`Problem`].

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::opened::{Move, Moved, Opened};
use crate::cached::CacheSettings;
use crate::guard::FailurePolicy;
use crate::handle::Kind;
use crate::kps;
use crate::moving::Phase;
use crate::seal::{Encryption, Key};
use crate::sources::SourceSettings;

mod opened;

/// Which store keeps its records where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The data source of every store that names none.
    pub default: String,
    /// `[source.NAME]`
    pub sources: BTreeMap<String, SourceSettings>,
    /// `[store.NAME]`; a kind that has no store of its own name gets one on the default source.
    pub stores: BTreeMap<String, StoreMapping>,
    /// `[kps.NAME]`, by `kps.NAME`: what the stores of that name and of the kind `Kps` hold.
    pub kps: BTreeMap<String, Arc<kps::Settings>>,
    /// `[encryption]` of the node: the keys of what is sealed.
    pub encryption: Encryption,
}

/// `[store.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreMapping {
    /// Its kind: by its name, or `kind =`.
    pub kind: Kind,
    /// The data source; none = the default.
    pub source: Option<String>,
    /// The other one, while the store moves: `next` or `previous`.
    pub moving: Option<(Phase, String)>,
    /// What it does where its source fails.
    pub failure: FailurePolicy,
    /// Whether rows are remembered, and how.
    pub cache: Option<CacheSettings>,
}

impl StoreMapping {
    /// A store with nothing of its own but these.
    pub fn new(kind: Kind, source: Option<String>) -> Self {
        StoreMapping { kind, source, moving: None, failure: FailurePolicy::default(), cache: None }
    }
}

/// What is wrong with a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `default` names no `[source.*]`.
    UnknownDefault(String),
    /// A store names a source that there is not.
    UnknownSource {
        /// The store.
        store: String,
        /// The name it gives.
        source: String,
    },
    /// A store moves from or to a source that there is not.
    UnknownMoving {
        /// The store.
        store: String,
        /// The name it gives.
        source: String,
    },
    /// A store moves to the place where it is.
    SamePlace {
        /// The store.
        store: String,
        /// Its source.
        source: String,
        /// What it names beside it.
        other: String,
    },
    /// A store moves from or to a source in which a move can note nothing: one that only people write.
    CannotMove {
        /// The store.
        store: String,
        /// The source.
        source: String,
    },
    /// A store is mapped to a source that cannot keep its records: one that only people write.
    CannotKeep {
        /// The store.
        store: String,
        /// The source.
        source: String,
    },
    /// Two stores of one kind on one source would share a table, and each would see the other's records.
    SharedTable {
        /// The second store by name, which is to get another source.
        store: String,
        /// The first one.
        other: String,
        /// The source of both.
        source: String,
    },
}

impl Mapping {
    /// All stores on memory sources, for tests.
    pub fn in_memory() -> Mapping {
        let sources = BTreeMap::from([("memory".to_owned(), SourceSettings::Memory(Default::default()))]);
        // A key that goes with the records.
        let encryption = Key::random("memory").map_or(Encryption::Missing, |key| Encryption::Keys(vec![key]));
        Mapping { default: "memory".into(), sources, stores: BTreeMap::new(), kps: BTreeMap::new(), encryption }
    }

    /// All stores: name, kind, source. Those of the mapping, and one of its own name for each other kind.
    pub fn stores(&self) -> BTreeMap<&str, (Kind, &str)> {
        let mut stores: BTreeMap<&str, (Kind, &str)> =
            Kind::ALL.iter().map(|(kind, name)| (*name, (*kind, self.default.as_str()))).collect();
        for (name, store) in &self.stores {
            stores.insert(name, (store.kind, store.source.as_deref().unwrap_or(&self.default)));
        }
        stores
    }

    /// What is wrong with it, all at once.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.sources.contains_key(&self.default) {
            problems.push(Problem::UnknownDefault(self.default.clone()));
        }
        let unknown = self.stores.iter().filter_map(|(store, mapped)| {
            let source = mapped.source.as_ref().filter(|source| !self.sources.contains_key(*source))?;
            Some(Problem::UnknownSource { store: store.clone(), source: source.clone() })
        });
        problems.extend(unknown);
        problems.extend(self.moving_problems());
        let mut default_is_told = false;
        for (store, (kind, source)) in self.stores() {
            // What the default is wrong for is mended by one line, and told once.
            let own = self.stores.get(store).is_some_and(|store| store.source.is_some());
            let cannot = self.sources.get(source).is_some_and(|settings| !settings.can_keep(kind));
            if cannot && (own || !std::mem::replace(&mut default_is_told, true)) {
                problems.push(Problem::CannotKeep { store: store.to_owned(), source: source.to_owned() });
            }
        }
        let mut tables: BTreeMap<(&'static str, &str), &str> = BTreeMap::new();
        for (store, (kind, source)) in self.stores() {
            // Key property stores share a table, each under its name.
            let Some(table) = kind.table().filter(|_| kind != Kind::Kps) else { continue };
            for source in [Some(source), self.moving(store).map(|(_, other)| other)].into_iter().flatten() {
                // That a store moves to where it is was told.
                if let Some(other) = tables.insert((table, self.place(source)), store).filter(|other| *other != store) {
                    let (store, other, source) = (store.to_owned(), other.to_owned(), source.to_owned());
                    problems.push(Problem::SharedTable { store, other, source });
                }
            }
        }
        problems
    }

    /// What is wrong with the moves.
    fn moving_problems(&self) -> impl Iterator<Item = Problem> {
        self.stores().into_iter().filter_map(|(store, (_, source))| {
            let (_, other) = self.moving(store)?;
            let (store, source, other) = (store.to_owned(), source.to_owned(), other.to_owned());
            let (Some(here), there) = (self.sources.get(&source), self.sources.get(&other)) else { return None };
            let read_only = |settings: &SourceSettings| matches!(settings, SourceSettings::File(_));
            match there {
                None => Some(Problem::UnknownMoving { store, source: other }),
                Some(_) if self.place(&source) == self.place(&other) => {
                    Some(Problem::SamePlace { store, source, other })
                }
                Some(there) if read_only(there) => Some(Problem::CannotMove { store, source: other }),
                Some(_) if read_only(here) => Some(Problem::CannotMove { store, source }),
                Some(_) => None,
            }
        })
    }

    /// How far the store's move is, and the source beside its own.
    pub fn moving(&self, store: &str) -> Option<(Phase, &str)> {
        self.stores.get(store)?.moving.as_ref().map(|(phase, other)| (*phase, other.as_str()))
    }

    /// The first of the sources that keep their records in the same place as this one.
    fn place<'a>(&'a self, source: &'a str) -> &'a str {
        let Some(settings) = self.sources.get(source) else { return source };
        let mut same = self.sources.iter().filter(|(_, other)| other.same_place(settings));
        same.next().map_or(source, |(name, _)| name)
    }

    /// The stores in use whose records only this node sees, with their sources: wrong where there are several nodes.
    pub fn node_local(&self) -> Vec<(&str, &str)> {
        let local = |source: &str| self.sources.get(source).is_some_and(SourceSettings::node_local);
        let stores = self.stores().into_iter().filter(|(_, (kind, _))| kind.table().is_some());
        let sources = stores.flat_map(|(store, (_, source))| {
            [Some(source), self.moving(store).map(|(_, other)| other)].into_iter().flatten().map(move |s| (store, s))
        });
        sources.filter(|(_, source)| local(source)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clients::Clients;
    use crate::handle::StoreHandle;
    use crate::source::{DataSource, Row, StoreError};

    fn mapping(default: &str, stores: &[(&str, Kind, Option<&str>)]) -> Mapping {
        let memory = || SourceSettings::Memory(Default::default());
        let sources = ["a", "b"].map(|name| (name.to_owned(), memory())).into();
        let store = |kind, source: Option<&str>| StoreMapping::new(kind, source.map(str::to_owned));
        let stores = stores.iter().map(|(name, kind, source)| ((*name).to_owned(), store(*kind, *source))).collect();
        // Not the key of its own that each of those has.
        let encryption = Encryption::Missing;
        Mapping { default: default.into(), sources, stores, encryption, ..Mapping::in_memory() }
    }

    fn open(mapping: &Mapping, previous: Option<&Opened>) -> Opened {
        Opened::new(mapping, Path::new("."), previous).unwrap()
    }

    fn clients(opened: &Opened) -> Arc<Clients> {
        match opened.store("clients") {
            Some(StoreHandle::Clients(clients)) => clients.clone(),
            _ => panic!("no clients store"),
        }
    }

    #[test]
    fn every_kind_has_a_store_of_its_own_name() {
        let opened = open(&mapping("a", &[("clients", Kind::Clients, Some("b"))]), None);
        for (kind, name) in Kind::ALL {
            let found = opened.stores().find(|(store, _, _)| store == name).map(|(_, kind, source)| (kind, source));
            let source = if *name == "clients" { "b" } else { "a" };
            assert_eq!(found, Some((*kind, source)));
        }
    }

    #[test]
    fn what_is_wrong_is_told_all_at_once() {
        let stores = [
            ("clients", Kind::Clients, Some("nowhere")),
            ("partners", Kind::AccessToken, Some("b")),
            ("others", Kind::AccessToken, Some("b")),
        ];
        let problems = mapping("c", &stores).problems();
        assert!(problems.contains(&Problem::UnknownDefault("c".into())), "{problems:?}");
        assert!(problems.contains(&Problem::UnknownSource { store: "clients".into(), source: "nowhere".into() }));
        let shared = Problem::SharedTable { store: "partners".into(), other: "others".into(), source: "b".into() };
        assert!(problems.contains(&shared), "{problems:?}");
        assert_eq!(problems.len(), 3);
    }

    /// Of the stores that are local to a node: these, whatever others there are.
    fn local(mapping: &Mapping) -> Vec<(&str, &str)> {
        let wanted = ["access-token", "clients", "partners"];
        mapping.node_local().into_iter().filter(|(store, _)| wanted.contains(store)).collect()
    }

    #[test]
    fn two_names_of_one_file_are_one_place() {
        let file = |path: &str, readers: usize| {
            SourceSettings::Sqlite(crate::sources::sqlite::Settings {
                readers,
                ..crate::sources::sqlite::Settings::at(path)
            })
        };
        let mut mapping = mapping("a", &[("partners", Kind::AccessToken, Some("b"))]);
        mapping.sources.insert("a".into(), file("x.db", 1));
        mapping.sources.insert("b".into(), file("x.db", 2));
        assert!(matches!(&mapping.problems()[..], [Problem::SharedTable { .. }]));
        mapping.sources.insert("b".into(), file("y.db", 1));
        assert_eq!(mapping.problems(), []);
        assert_eq!(local(&mapping), [("access-token", "a"), ("clients", "a"), ("partners", "b")]);
    }

    #[test]
    fn a_file_keeps_what_people_write() {
        let file = |path: &str, contents| {
            let settings = crate::sources::file::Settings { path: path.into(), contents };
            SourceSettings::File(settings)
        };
        let mut mapping = mapping("a", &[("clients", Kind::Clients, Some("b"))]);
        mapping.sources.insert("b".into(), file("clients.toml", Default::default()));
        assert_eq!(mapping.problems(), []);
        let cannot = |store: &str| Problem::CannotKeep { store: store.into(), source: "b".into() };
        mapping.stores.insert("replay".into(), StoreMapping::new(Kind::Replay, Some("b".into())));
        assert_eq!(mapping.problems(), [cannot("replay")]);
        mapping.stores.clear();
        mapping.default = "b".into();
        let problems = mapping.problems();
        assert!(problems.contains(&cannot("access-token")) && !problems.contains(&cannot("clients")), "{problems:?}");
        let used = |kind: &Kind| kind.table().is_some();
        let unused = Kind::ALL.iter().filter(|(kind, _)| !used(kind)).map(|(_, name)| cannot(name));
        assert!(
            !unused.into_iter().any(|unused| problems.contains(&unused)),
            "the default of what nothing uses is no mistake"
        );
        // Another content is another source in the same place.
        let row = Row { key: b"app".to_vec(), version: 1, expires_at: None, indexes: vec![], record: "{}".into() };
        let contents = crate::sources::file::Contents(vec![(&crate::tables::CLIENT, row)]);
        let (before, after) = (file("c.toml", Default::default()), file("c.toml", contents));
        assert!(before != after && before.same_place(&after));
    }

    #[test]
    fn a_store_with_another_failure_policy_is_another_one_on_the_same_source() {
        let mut mapping = mapping("a", &[("clients", Kind::Clients, None)]);
        let before = open(&mapping, None);
        assert!(Arc::ptr_eq(&clients(&before), &clients(&open(&mapping, Some(&before)))));
        let hasty = FailurePolicy { retries: 0, ..FailurePolicy::default() };
        mapping
            .stores
            .insert("clients".into(), StoreMapping { failure: hasty, ..StoreMapping::new(Kind::Clients, None) });
        let after = open(&mapping, Some(&before));
        assert!(!Arc::ptr_eq(&clients(&before), &clients(&after)));
        assert!(Arc::ptr_eq(before.source("a").unwrap(), after.source("a").unwrap()));
    }

    #[tokio::test]
    async fn what_did_not_change_stays_open() {
        let before = open(&mapping("a", &[]), None);
        assert_eq!(before.prepare().await, vec![]);
        let after = open(&mapping("a", &[("access-token", Kind::AccessToken, Some("b"))]), Some(&before));
        assert!(Arc::ptr_eq(&clients(&before), &clients(&after)), "the clients store was made anew");
        assert!(after.source("a").unwrap().prepared(), "the source that stays was closed");
        assert!(!after.source("b").unwrap().prepared());
        let moved = Moved { store: "access-token".into(), from: "a".into(), to: "b".into() };
        assert_eq!(after.moved(&before), [moved]);
        let changed = open(&mapping("b", &[]), Some(&after));
        assert!(!Arc::ptr_eq(&clients(&after), &clients(&changed)), "the clients store kept its old source");
        let sealed = Mapping { encryption: Mapping::in_memory().encryption, ..mapping("b", &[]) };
        let sealed = open(&sealed, Some(&changed));
        assert!(!Arc::ptr_eq(&clients(&changed), &clients(&sealed)), "the clients store kept its old keys");
    }

    #[test]
    fn a_cache_lives_on_until_its_settings_change() {
        let mut mapping = mapping("a", &[("access-token", Kind::AccessToken, None), ("clients", Kind::Clients, None)]);
        let with = |mapping: &mut Mapping, name: &str, cache| mapping.stores.get_mut(name).unwrap().cache = cache;
        let cache = |opened: &Opened| opened.caches().map(|(name, cache)| (name.to_owned(), cache.clone())).next();
        let without = open(&mapping, None);
        assert!(cache(&without).is_none());
        with(&mut mapping, "access-token", Some(CacheSettings::default()));
        let first = open(&mapping, Some(&without));
        let (name, made) = cache(&first).unwrap();
        assert_eq!(name, "access-token");
        assert!(Arc::ptr_eq(&made, &cache(&open(&mapping, Some(&first))).unwrap().1));
        with(&mut mapping, "access-token", Some(CacheSettings { entries: 7, ..CacheSettings::default() }));
        assert!(!Arc::ptr_eq(&made, &cache(&open(&mapping, Some(&first))).unwrap().1));
        with(&mut mapping, "access-token", None);
        assert!(cache(&open(&mapping, Some(&first))).is_none());
    }

    #[test]
    fn what_is_wrong_with_a_move_is_told() {
        let with = |other: &str| {
            let mut mapping = mapping("a", &[("clients", Kind::Clients, Some("b"))]);
            mapping.stores.get_mut("clients").unwrap().moving = Some((Phase::Previous, other.into()));
            mapping
        };
        let (store, source) = (String::from("clients"), String::from("b"));
        let unknown = Problem::UnknownMoving { store: store.clone(), source: "nowhere".into() };
        assert_eq!(with("nowhere").problems(), [unknown]);
        assert_eq!(
            with("b").problems(),
            [Problem::SamePlace { store: store.clone(), source: source.clone(), other: source }]
        );
        assert_eq!(with("a").problems(), []);
        assert_eq!(local(&with("a")), [("access-token", "a"), ("clients", "b"), ("clients", "a")]);
        let mut shared = with("a");
        let partners = StoreMapping::new(Kind::Clients, Some("a".into()));
        shared.stores.insert("partners".into(), partners);
        assert!(matches!(&shared.problems()[..], [Problem::SharedTable { source, .. }] if source == "a"));
        let file = crate::sources::file::Settings { path: "clients.toml".into(), contents: Default::default() };
        let mut people = with("a");
        people.sources.insert("a".into(), SourceSettings::File(file));
        people.default = "b".into();
        assert_eq!(people.problems(), [Problem::CannotMove { store, source: "a".into() }]);
    }

    #[tokio::test]
    async fn a_store_that_moves_has_two_sources_and_leaves_nothing_behind() {
        let before = open(&mapping("a", &[]), None);
        let mut moving = mapping("a", &[("clients", Kind::Clients, Some("b"))]);
        moving.stores.get_mut("clients").unwrap().moving = Some((Phase::Previous, "a".into()));
        let opened = open(&moving, Some(&before));
        assert_eq!(opened.moved(&before), []);
        assert!(!Arc::ptr_eq(&clients(&before), &clients(&opened)));
        assert!(Arc::ptr_eq(&clients(&opened), &clients(&open(&moving, Some(&opened)))), "nothing changed");
        assert_eq!(opened.sources_in_use().count(), 2);
        let moves: Vec<_> =
            opened.moves().map(|m| (m.store, m.old.name().to_owned(), m.new.name().to_owned())).collect();
        assert_eq!(moves, [("clients".to_owned(), "a".to_owned(), "b".to_owned())]);
        let after = open(&mapping("a", &[("clients", Kind::Clients, Some("b"))]), Some(&opened));
        assert!(!Arc::ptr_eq(&clients(&opened), &clients(&after)));
    }

    #[tokio::test]
    async fn a_source_that_is_not_open_is_unavailable() {
        let opened = open(&mapping("a", &[]), None);
        let key = crate::tables::CLIENT.name.as_bytes();
        let error = opened.source("a").unwrap().get(&crate::tables::CLIENT, key).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("`a`")), "{error}");
        opened.prepare().await;
        assert_eq!(opened.source("a").unwrap().get(&crate::tables::CLIENT, key).await, Ok(None));
        let names: Vec<&str> = opened.sources_in_use().map(|source| source.name()).collect();
        assert_eq!(names, ["a"]);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_rotated_password_is_the_same_place() {
        let at = |url: &str| {
            let settings = serde_json::json!({ "url": url });
            SourceSettings::Postgres(serde_json::from_value(settings).unwrap())
        };
        let this = at("postgres://app:one@db.example/oauth");
        assert!(this.same_place(&at("postgres://app:two@db.example:5432/oauth")));
        for other in [
            "postgres://app:one@db.example/other",
            "postgres://app:one@db2.example/oauth",
            "postgres://dba@db.example/oauth",
        ] {
            assert!(!this.same_place(&at(other)), "{other}");
        }
        assert!(!this.same_place(&SourceSettings::Sqlite(crate::sources::sqlite::Settings::at("x.db"))));
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn another_user_of_a_mysql_database_is_the_same_place() {
        let at = |url: &str| {
            let settings = serde_json::json!({ "url": url });
            SourceSettings::Mysql(serde_json::from_value(settings).unwrap())
        };
        let this = at("mysql://app:one@db.example/oauth");
        assert!(this.same_place(&at("mysql://dba:two@db.example:3306/oauth")));
        for other in ["mysql://app:one@db.example/other", "mysql://app:one@db2.example/oauth"] {
            assert!(!this.same_place(&at(other)), "{other}");
        }
    }
}
