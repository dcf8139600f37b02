//! `[[listener]]`.

use std::net::SocketAddr;

use policy::Diagnostics;
use policy::compile::{ListenerFacts, NamedPolicy};
use policy::diagnostic::{Place, Problem, codes};
use policy::reader::Keys;
use policy::settings::Spanned;

use super::{Within, not_yet};

/// The address of the one listener that there is where the file names none.
pub(super) const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerSettings {
    /// Its name.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Policies that run before every policy on it.
    pub(crate) before: Vec<NamedPolicy>,
    /// Policies that run on every answer.
    pub(crate) after: Vec<NamedPolicy>,
    /// The policy that answers what nothing took.
    pub(crate) on_error: Option<NamedPolicy>,
}

impl ListenerSettings {
    /// The one listener of a node whose file names none.
    pub(crate) fn default_one() -> Self {
        ListenerSettings {
            name: String::from("default"),
            address: DEFAULT_ADDRESS,
            before: Vec::new(),
            after: Vec::new(),
            on_error: None,
        }
    }

    /// What policies may know of it.
    pub(crate) fn facts(&self) -> ListenerFacts {
        ListenerFacts {
            name: self.name.clone(),
            before: self.before.clone(),
            after: self.after.clone(),
            on_error: self.on_error.clone(),
        }
    }
}

/// Reads all listeners; the default one where there are none.
pub(super) fn read_all(
    within: Within<'_>,
    tables: &[Spanned<&policy::reader::Table>],
    diagnostics: &mut Diagnostics,
) -> Vec<ListenerSettings> {
    let mut listeners: Vec<(ListenerSettings, Place)> = Vec::new();
    for table in tables {
        let place = within.place(table.span);
        let Some(listener) = read(within.inner(table.value), diagnostics) else { continue };
        let same = |other: &&(ListenerSettings, Place)| {
            other.0.name == listener.name || (other.0.address == listener.address && listener.address.port() != 0)
        };
        if let Some((other, first)) = listeners.iter().find(same) {
            let what = if other.name == listener.name { "name" } else { "address" };
            let problem = Problem::error(codes::NAME_COLLISION, format!("two listeners have one {what}"));
            let problem = problem.with_help(format!("give one of them another {what}"));
            diagnostics.push(problem.at(place).with_related(first.clone(), "the other listener"));
            continue;
        }
        listeners.push((listener, place));
    }
    if listeners.is_empty() {
        return vec![ListenerSettings::default_one()];
    }
    listeners.into_iter().map(|(listener, _)| listener).collect()
}

fn read(within: Within<'_>, diagnostics: &mut Diagnostics) -> Option<ListenerSettings> {
    let mut keys = Keys::new(within.file, within.table);
    let name = keys.required_text("name").map(|name| name.value.to_owned());
    let address = match keys.required_text("address") {
        Some(text) => address(&mut keys, text),
        None => None,
    };
    if let Some(tls) = keys.entry("tls") {
        let instead = "terminate TLS before the gateway, and let this listener be reached from there only";
        keys.push(not_yet("TLS on a listener", instead).at(within.place(tls.name_span)));
    }
    let named = |text: Spanned<&str>| NamedPolicy { name: text.value.to_owned(), place: Some(within.place(text.span)) };
    let before = keys.texts("before").into_iter().flatten().map(named).collect();
    let after = keys.texts("after").into_iter().flatten().map(named).collect();
    let on_error = keys.text("on_error").map(named);
    super::finish(keys, diagnostics);
    Some(ListenerSettings { name: name?, address: address?, before, after, on_error })
}

/// An IP address and a port.
pub(super) fn address(keys: &mut Keys<'_>, text: Spanned<&str>) -> Option<SocketAddr> {
    let address = text.value.parse().ok();
    if address.is_none() {
        let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is no address to listen on", text.value));
        let help = "an IP address and a port: \"127.0.0.1:8080\", \"0.0.0.0:8080\", \"[::]:8080\"";
        keys.push(problem.with_help(help).at(keys.place_of(text.span)));
    }
    address
}
