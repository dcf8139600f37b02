//! Lints of `node.toml` and `stores/stores.toml`: what no filter uses, limits that nobody chose, what expires.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};
use policy::lint::Lints;
use policy::ports::{DOCUMENTS, UPSTREAM, VALUE};
use policy::reader::{Document, Entry, Files, parse};
use store::Kind;

use crate::expiry;
use crate::load::Recorder;
use crate::settings::{ListenerSettings, ProviderSettings, Settings, Way};
use crate::upstream::Target;

/// The word for stores, among the things that filters use.
const STORE: &str = "store";

/// The time limits of an upstream.
const TIMEOUTS: &[&str] = &["connect", "first_byte", "idle"];

/// Everything that lints have to say of a configuration without errors, policies included.
pub(crate) fn told(
    of_policies: Lints,
    used: &BTreeSet<(String, String)>,
    files: &Files,
    settings: &Settings,
    outside: &Recorder,
    unix_seconds: u64,
) -> Diagnostics {
    let mut lints = of_policies;
    lints.join(settings.allows.clone());
    for path in ["node.toml", "stores/stores.toml"] {
        let Some(document) = files.files.get(path).and_then(|file| parse(file).ok()) else { continue };
        let view = View { document: &document, used };
        lints.extend(if path == "node.toml" { view.of_node(settings) } else { view.of_stores() });
    }
    lints.extend(expiry::lint(files, outside, unix_seconds));
    lints.told()
}

/// Whether a provider is reached through this upstream, or spans and metrics are sent to it.
fn reaches(settings: &Settings, upstream: &str) -> bool {
    let through = |provider: &ProviderSettings| matches!(&provider.way, Way::Upstream(name) if name == upstream);
    let collects = settings.node.telemetry.as_ref().is_some_and(|telemetry| telemetry.upstream == upstream);
    collects || settings.node.providers.values().flatten().any(through)
}

/// Where a target is, as far as can be told without asking the network.
fn places(target: &Target) -> Vec<SocketAddr> {
    let ips: Vec<IpAddr> = match target.host.parse() {
        Ok(ip) => vec![ip],
        Err(_) if target.host.eq_ignore_ascii_case("localhost") => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Err(_) => Vec::new(),
    };
    ips.into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect()
}

struct View<'a> {
    document: &'a Document,
    used: &'a BTreeSet<(String, String)>,
}

impl View<'_> {
    fn of_node(&self, settings: &Settings) -> Diagnostics {
        let mut found: Diagnostics = self
            .unused("upstream", UPSTREAM)
            .filter(|entry| !reaches(settings, &entry.name) && !self.has_documents(&entry.name))
            .map(|entry| {
                let message = format!("nothing is sent to the upstream `{}`", entry.name);
                let lint = Problem::warning(codes::UNUSED_UPSTREAM, message);
                lint.with_help("take it out, or name it in a `proxy`").at(self.document.place(entry.name_span))
            })
            .chain(self.unused("values", VALUE).map(|entry| {
                let message = format!("no file uses the value `{}`", entry.name);
                let lint = Problem::warning(codes::UNUSED_VALUE, message);
                let help = format!("take it out, or use it: `${{values.{}}}`", entry.name);
                lint.with_help(help).at(self.document.place(entry.name_span))
            }))
            .chain(self.entries("upstream").filter_map(|entry| self.timeouts(entry)))
            .chain(self.entries("upstream").filter_map(|entry| self.own_listener(entry, settings)))
            .collect();
        if let Some(address) = self.document.root.get("admin").and_then(|admin| admin.as_table()?.get("address"))
            && !settings.node.admin.ip().is_loopback()
        {
            let message = "the admin address can be reached from other machines, without TLS";
            let help = "listen on loopback; from elsewhere reach it through ssh or a proxy that speaks TLS";
            let lint = Problem::warning(codes::OPEN_ADMIN, message);
            found.push(lint.with_help(help).at(self.document.place(address.span)));
        }
        found
    }

    /// Whether a filter reads something from this upstream that is named in a file of settings: keys of clients.
    fn has_documents(&self, upstream: &str) -> bool {
        self.used.contains(&(DOCUMENTS.to_owned(), upstream.to_owned()))
    }

    fn of_stores(&self) -> Diagnostics {
        // A store that is named after its kind says where that kind is kept, whoever comes to use it.
        let named = self.unused("store", STORE).filter(|entry| Kind::named(&entry.name).is_none());
        let tables =
            self.entries("kps").filter(|entry| !self.used.contains(&(STORE.to_owned(), format!("kps.{}", entry.name))));
        let tables = tables.map(|entry| {
            let message = format!("no policy uses the key property store `{}`", entry.name);
            let lint = Problem::warning(codes::UNUSED_STORE, message);
            let help = format!(
                "take it out, or use it: `${{kps.{0}[KEY].COLUMN}}`, `store = \"{0}\"` in `kps.get`",
                entry.name
            );
            lint.with_help(help).at(self.document.place(entry.name_span))
        });
        named
            .map(|entry| {
                let message = format!("no filter uses the store `{}`", entry.name);
                let lint = Problem::warning(codes::UNUSED_STORE, message);
                let help = format!("take it out, or name it in a filter: `store = \"{}\"`", entry.name);
                lint.with_help(help).at(self.document.place(entry.name_span))
            })
            .chain(tables)
            .collect()
    }

    fn timeouts(&self, entry: &Entry) -> Option<policy::Diagnostic> {
        let timeouts = entry.value.as_table()?.get("timeouts").and_then(|timeouts| timeouts.as_table());
        let said = |name: &&&str| timeouts.is_some_and(|table| table.entry(name).is_some());
        let missing: Vec<&str> = TIMEOUTS.iter().filter(|name| !said(name)).copied().collect();
        if missing.is_empty() {
            return None;
        }
        let message =
            format!("the upstream `{}` does not say how long `{}` may take", entry.name, missing.join("`, `"));
        let help = "the defaults are connect 3s, first_byte 30s, idle 60s: write what this API needs, \
                    `timeouts = { connect = \"1s\", first_byte = \"10s\", idle = \"60s\" }`";
        let lint = Problem::warning(codes::MISSING_TIMEOUTS, message);
        Some(lint.with_help(help).at(self.document.place(entry.name_span)))
    }

    /// An upstream that leads to the node itself.
    fn own_listener(&self, entry: &Entry, settings: &Settings) -> Option<policy::Diagnostic> {
        let upstream = settings.node.upstreams.get(&entry.name)?.as_ref()?;
        let listeners = &settings.node.listeners;
        let (target, listener) = upstream.targets.iter().find_map(|target| {
            let leads_to = |listener: &&ListenerSettings| {
                places(target).into_iter().any(|place| listener.address.is_reached_by(place))
            };
            Some((target, listeners.iter().find(leads_to)?))
        })?;
        let message = format!("the upstream `{}` leads to the listener `{}` of this node", entry.name, listener.name);
        let help = format!(
            "a request that comes round is refused with 508 in the end: name the API's own address instead of {}:{}",
            target.host, target.port
        );
        let lint = Problem::warning(codes::OWN_LISTENER, message);
        Some(lint.with_help(help).at(self.document.place(entry.name_span)))
    }

    fn entries(&self, table: &str) -> impl Iterator<Item = &Entry> {
        self.document.root.get(table).and_then(|node| node.as_table()).into_iter().flat_map(|table| &table.entries)
    }

    fn unused(&self, table: &str, kind: &'static str) -> impl Iterator<Item = &Entry> {
        let used = self.used;
        self.entries(table).filter(move |entry| !used.contains(&(kind.to_owned(), entry.name.clone())))
    }
}
