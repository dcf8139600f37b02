//! `[[listener]]`.

use std::net::SocketAddr;

use policy::Diagnostics;
use policy::compile::{ListenerFacts, NamedPolicy};
use policy::diagnostic::{Place, Problem, codes};
use policy::reader::Keys;
use policy::settings::{Network, Spanned};

use super::limits::{self, ClientLimits};
use super::{Within, tls};
use crate::listen::Address;
use crate::tls::ServerTls;

/// The address of the one listener that there is where the file names none.
pub(super) const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerSettings {
    /// Its name.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: Address,
    /// The mode of a Unix socket's file.
    pub(crate) mode: u32,
    /// TLS; none = in the clear.
    pub(crate) tls: Option<ServerTls>,
    /// Which HTTP it speaks.
    pub(crate) http: Http,
    /// The balancers that say whose connection they pass on.
    pub(crate) proxy_protocol: Vec<Network>,
    /// Its limits: those of the node, but for what it says itself.
    pub(crate) limits: ClientLimits,
    /// Policies that run before every policy on it.
    pub(crate) before: Vec<NamedPolicy>,
    /// Policies that run on every answer.
    pub(crate) after: Vec<NamedPolicy>,
    /// The policy that answers what nothing took.
    pub(crate) on_error: Option<NamedPolicy>,
}

/// Which HTTP a listener speaks: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    /// Both.
    Both,
    /// HTTP/1.1 alone.
    One,
    /// HTTP/2 alone.
    Two,
}

impl Http {
    /// Whether HTTP/1.1 is spoken, and HTTP/2.
    pub(crate) fn spoken(self) -> (bool, bool) {
        (self != Http::Two, self != Http::One)
    }
}

/// The mode of a Unix socket's file where nobody says: for the user and the group that the node runs as.
const SOCKET_MODE: u32 = 0o660;

impl ListenerSettings {
    /// The one listener of a node whose file names none.
    pub(crate) fn default_one() -> Self {
        ListenerSettings {
            name: String::from("default"),
            address: Address::Tcp(DEFAULT_ADDRESS),
            mode: SOCKET_MODE,
            tls: None,
            http: Http::Both,
            proxy_protocol: Vec::new(),
            limits: ClientLimits::default(),
            before: Vec::new(),
            after: Vec::new(),
            on_error: None,
        }
    }

    /// Of what decides whom its TLS lets in; nothing in the clear.
    pub(crate) fn admits(&self) -> Option<u64> {
        self.tls.as_ref().map(ServerTls::admits)
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

/// Reads all listeners, each with its place; the default one, which has none, where there are none.
pub(super) fn read_all(
    within: Within<'_>,
    tables: &[Spanned<&policy::reader::Table>],
    limits: ClientLimits,
    diagnostics: &mut Diagnostics,
) -> Vec<(ListenerSettings, Option<Place>)> {
    let mut listeners: Vec<(ListenerSettings, Place)> = Vec::new();
    for table in tables {
        let place = within.place(table.span);
        let Some(listener) = read(within.inner(table.value), limits, diagnostics) else { continue };
        let same = |other: &&(ListenerSettings, Place)| {
            other.0.name == listener.name || other.0.address.is_same_as(&listener.address)
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
        return vec![(ListenerSettings { limits, ..ListenerSettings::default_one() }, None)];
    }
    listeners.into_iter().map(|(listener, place)| (listener, Some(place))).collect()
}

/// A listener at the admin address: whichever of the two a node bound first, it could not have the other. `named`: where the file
/// names that address.
pub(super) fn refuse_admin(
    listeners: &[(ListenerSettings, Option<Place>)],
    admin: SocketAddr,
    named: Option<&Place>,
    diagnostics: &mut Diagnostics,
) {
    for (listener, place) in listeners.iter().filter(|(listener, _)| listener.address.is_same_as(&Address::Tcp(admin)))
    {
        let message = format!("the listener `{}` has the admin address", listener.name);
        let help =
            format!("the admin address is {admin}: give the listener another one, or `[admin]` another `address`");
        let problem = Problem::error(codes::NAME_COLLISION, message).with_help(help);
        diagnostics.push(match (place, named) {
            (Some(place), Some(admin)) => problem.at(place.clone()).with_related(admin.clone(), "the admin address"),
            (Some(place), None) | (None, Some(place)) => problem.at(place.clone()),
            (None, None) => problem.nowhere(),
        });
    }
}

fn read(within: Within<'_>, limits: ClientLimits, diagnostics: &mut Diagnostics) -> Option<ListenerSettings> {
    let mut keys = Keys::new(within.file, within.table);
    let name = keys.required_text("name").map(|name| name.value.to_owned());
    let address = match keys.required_text("address") {
        Some(text) => listen_address(&mut keys, text),
        None => None,
    };
    let mode = keys.text("mode").and_then(|text| mode(&mut keys, text, address.as_ref())).unwrap_or(SOCKET_MODE);
    let http = http(&mut keys);
    let tls = match keys.table("tls") {
        Some(table) => tls::read(within.inner(table.value), name.as_deref(), http.spoken(), diagnostics),
        None => None,
    };
    let proxy_protocol = keys.deserialize::<Vec<Network>>("proxy_protocol", within.outside).unwrap_or_default();
    let limits = match keys.table("limits") {
        Some(table) => limits::of_listener(within.inner(table.value), limits, diagnostics),
        None => limits,
    };
    let named = |text: Spanned<&str>| NamedPolicy { name: text.value.to_owned(), place: Some(within.place(text.span)) };
    let before = keys.texts("before").into_iter().flatten().map(named).collect();
    let after = keys.texts("after").into_iter().flatten().map(named).collect();
    let on_error = keys.text("on_error").map(named);
    super::finish(keys, diagnostics);
    Some(ListenerSettings {
        name: name?,
        address: address?,
        mode,
        tls,
        http,
        proxy_protocol,
        limits,
        before,
        after,
        on_error,
    })
}

/// An IP address and a port, or a Unix socket.
fn listen_address(keys: &mut Keys<'_>, text: Spanned<&str>) -> Option<Address> {
    match text.value.starts_with("unix:") {
        true => {
            let address = Address::parse(text.value);
            if address.is_none() {
                let problem = Problem::error(codes::BAD_VALUE, format!("`{}` names no socket", text.value));
                let help = "`unix:` and a path: \"unix:run/gateway.sock\", relative to the configuration folder";
                keys.push(problem.with_help(help).at(keys.place_of(text.span)));
            }
            address
        }
        false => address(keys, text).map(Address::Tcp),
    }
}

/// `"0660"`, as `chmod` has it, for a Unix socket.
fn mode(keys: &mut Keys<'_>, text: Spanned<&str>, address: Option<&Address>) -> Option<u32> {
    let mode = u32::from_str_radix(text.value, 8).ok().filter(|mode| *mode <= 0o777 && text.value.len() >= 3);
    let problem = match (mode, address) {
        (None, _) => "this is no mode of a file",
        (Some(_), Some(Address::Tcp(_))) => "a mode is for the file of a Unix socket, and this listener has none",
        (Some(mode), _) => return Some(mode),
    };
    let help = "mode = \"0660\", beside address = \"unix:run/gateway.sock\"";
    keys.push(Problem::error(codes::BAD_VALUE, problem).with_help(help).at(keys.place_of(text.span)));
    None
}

/// `http = ["1.1", "2"]`.
fn http(keys: &mut Keys<'_>) -> Http {
    let Some(span) = keys.node("http").map(|node| node.span) else { return Http::Both };
    let Some(words) = keys.texts("http") else { return Http::Both };
    let has = |word| words.iter().any(|text| text.value == word);
    match (words.iter().all(|text| matches!(text.value, "1.1" | "2")), has("1.1"), has("2")) {
        (true, true, true) => Http::Both,
        (true, true, false) => Http::One,
        (true, false, true) => Http::Two,
        _ => {
            let problem = Problem::error(codes::BAD_VALUE, "a listener speaks HTTP/1.1, HTTP/2, or both");
            keys.push(problem.with_help("http = [\"1.1\", \"2\"]").at(keys.place_of(span)));
            Http::Both
        }
    }
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
