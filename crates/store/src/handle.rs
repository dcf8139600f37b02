//! A store by its kind: what the configuration's `[store.NAME]` becomes.

use std::sync::Arc;

use crate::access_tokens::AccessTokens;
use crate::authz_codes::AuthzCodes;
use crate::client_access_tokens::ClientAccessTokens;
use crate::clients::Clients;
use crate::consents::Consents;
use crate::counters::Counters;
use crate::device_codes::DeviceCodes;
use crate::kps::Kps;
use crate::replay::Replay;
use crate::sessions::Sessions;
use crate::signing_keys::SigningKeys;
use crate::source::Table;
use crate::tables;
use crate::users::Users;

/// The kinds of store that can be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `access-token`
    AccessToken,
    /// `authz-code`
    AuthzCode,
    /// `client-access-token`
    ClientAccessToken,
    /// `clients`
    Clients,
    /// `users`
    Users,
    /// `sessions`
    Sessions,
    /// `consents`
    Consents,
    /// `keys`
    Keys,
    /// `replay`
    Replay,
    /// `device-code`
    DeviceCode,
    /// `counters`
    Counters,
    /// `kps.NAME`
    Kps,
}

impl Kind {
    /// All kinds that stand under `[store.*]`, with their names.
    pub const ALL: &'static [(Kind, &'static str)] = &[
        (Kind::AccessToken, "access-token"),
        (Kind::AuthzCode, "authz-code"),
        (Kind::ClientAccessToken, "client-access-token"),
        (Kind::Clients, "clients"),
        (Kind::Users, "users"),
        (Kind::Sessions, "sessions"),
        (Kind::Consents, "consents"),
        (Kind::Keys, "keys"),
        (Kind::Replay, "replay"),
        (Kind::DeviceCode, "device-code"),
        (Kind::Counters, "counters"),
    ];

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// The table of its records, where the kind is in use already.
    pub fn table(self) -> Option<&'static str> {
        match self {
            Kind::AccessToken => Some(tables::ACCESS_TOKEN.name),
            Kind::ClientAccessToken => Some(tables::CLIENT_ACCESS_TOKEN.name),
            Kind::AuthzCode => Some(tables::AUTHZ_CODE.name),
            Kind::Clients => Some(tables::CLIENT.name),
            Kind::Consents => Some(tables::CONSENT.name),
            Kind::Counters => Some(tables::TRAFFIC_COUNTER.name),
            Kind::DeviceCode => Some(tables::DEVICE_CODE.name),
            Kind::Users => Some(tables::USER_ACCOUNT.name),
            Kind::Sessions => Some(tables::USER_SESSION.name),
            Kind::Keys => Some(tables::SIGNING_KEY.name),
            Kind::Replay => Some(tables::REPLAY.name),
            Kind::Kps => Some(tables::KPS.name),
        }
    }

    /// All tables of its records, which move together: tokens are nothing without the epochs that refuse them.
    pub fn tables(self) -> &'static [&'static Table] {
        match self {
            Kind::AccessToken => {
                const { &[&tables::EPOCH, &tables::TOKEN_GRANT, &tables::ACCESS_TOKEN, &tables::REFRESH_TOKEN] }
            }
            Kind::AuthzCode => const { &[&tables::AUTHZ_CODE] },
            Kind::ClientAccessToken => const { &[&tables::CLIENT_ACCESS_TOKEN] },
            Kind::Clients => const { &[&tables::CLIENT] },
            Kind::Consents => const { &[&tables::CONSENT] },
            Kind::Counters => const { &[&tables::TRAFFIC_COUNTER] },
            Kind::DeviceCode => const { &[&tables::DEVICE_CODE] },
            Kind::Users => const { &[&tables::USER_ACCOUNT] },
            Kind::Sessions => const { &[&tables::USER_SESSION] },
            Kind::Keys => const { &[&tables::SIGNING_KEY] },
            Kind::Replay => const { &[&tables::REPLAY] },
            Kind::Kps => const { &[&tables::KPS] },
        }
    }
}

/// A store that filters can be given.
#[derive(Clone)]
pub enum StoreHandle {
    /// Access tokens.
    AccessToken(Arc<AccessTokens>),
    /// Tokens that the gateway holds.
    ClientAccessToken(Arc<ClientAccessTokens>),
    /// Authorization codes.
    AuthzCode(Arc<AuthzCodes>),
    /// The client registry.
    Clients(Arc<Clients>),
    /// What users have agreed to.
    Consents(Arc<Consents>),
    /// What limits have counted.
    Counters(Arc<Counters>),
    /// Codes of devices.
    DeviceCode(Arc<DeviceCodes>),
    /// The people who may log in.
    Users(Arc<Users>),
    /// Sessions of browsers.
    Sessions(Arc<Sessions>),
    /// The keys that sign tokens.
    Keys(Arc<SigningKeys>),
    /// Identifiers that were used.
    Replay(Arc<Replay>),
    /// A key property store.
    Kps(Arc<Kps>),
    /// A kind that is mapped but that nothing uses yet.
    Mapped(Kind),
}
