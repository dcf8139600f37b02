//! How filters reach stores: typed, by name, with the kind checked when the policy is loaded.

use std::sync::Arc;

use http::StatusCode;

use policy::diagnostic::{Problem, codes};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, ReasonCode, Value};
use store::seal::Sealer;
use store::{
    AccessTokens, AuthzCodes, ClientAccessTokens, Clients, Consents, DeviceCodes, Kind, Kps, Replay, Sessions,
    SigningKeys, StoreError, StoreHandle, Users,
};

/// A store's source is down, too slow or full.
pub const STORE_UNAVAILABLE: ReasonCode = ReasonCode::new("store-unavailable");
/// A store's source refuses for good.
pub const STORE_BROKEN: ReasonCode = ReasonCode::new("store-broken");

/// The word under which [`policy::ports::Resources`] gives a [`StoreHandle`].
const STORE: &str = "store";

/// The word under which [`policy::ports::Resources`] gives the node's [`Sealer`].
pub const SEALER: &str = "sealer";

/// The fact that a policy seals something, for which several nodes need a key in common.
pub const SEALS: &str = "seals";

/// Typed stores for filters. Without a name it is the store that is named after its kind.
pub trait StoreExt {
    /// A store of the kind `access-token`.
    fn access_tokens(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<AccessTokens>, Diagnostics>;
    /// A store of the kind `client-access-token`.
    fn client_access_tokens(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<ClientAccessTokens>, Diagnostics>;
    /// A store of the kind `authz-code`.
    fn authz_codes(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<AuthzCodes>, Diagnostics>;
    /// A store of the kind `clients`.
    fn clients(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Clients>, Diagnostics>;
    /// A store of the kind `consents`.
    fn consents(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Consents>, Diagnostics>;
    /// A store of the kind `device-code`.
    fn device_codes(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<DeviceCodes>, Diagnostics>;
    /// A store of the kind `users`.
    fn users(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Users>, Diagnostics>;
    /// A store of the kind `sessions`.
    fn sessions(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Sessions>, Diagnostics>;
    /// A store of the kind `keys`.
    fn signing_keys(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<SigningKeys>, Diagnostics>;
    /// A store of the kind `replay`.
    fn replay(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Replay>, Diagnostics>;
    /// Seals and opens what must come back as it was, with the node's keys.
    fn sealer(&mut self) -> Result<Arc<Sealer>, Diagnostics>;
    /// The key property store `[kps.NAME]`.
    fn kps(&mut self, name: &Spanned<String>) -> Result<Arc<Kps>, Diagnostics>;
}

impl StoreExt for BuildContext<'_> {
    fn access_tokens(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<AccessTokens>, Diagnostics> {
        typed(self, name, Kind::AccessToken, |handle| match handle {
            StoreHandle::AccessToken(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn client_access_tokens(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<ClientAccessTokens>, Diagnostics> {
        typed(self, name, Kind::ClientAccessToken, |handle| match handle {
            StoreHandle::ClientAccessToken(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn authz_codes(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<AuthzCodes>, Diagnostics> {
        typed(self, name, Kind::AuthzCode, |handle| match handle {
            StoreHandle::AuthzCode(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn clients(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Clients>, Diagnostics> {
        typed(self, name, Kind::Clients, |handle| match handle {
            StoreHandle::Clients(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn consents(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Consents>, Diagnostics> {
        typed(self, name, Kind::Consents, |handle| match handle {
            StoreHandle::Consents(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn device_codes(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<DeviceCodes>, Diagnostics> {
        typed(self, name, Kind::DeviceCode, |handle| match handle {
            StoreHandle::DeviceCode(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn users(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Users>, Diagnostics> {
        typed(self, name, Kind::Users, |handle| match handle {
            StoreHandle::Users(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn signing_keys(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<SigningKeys>, Diagnostics> {
        self.publish(SEALS, Value::Bool(true));
        typed(self, name, Kind::Keys, |handle| match handle {
            StoreHandle::Keys(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn sessions(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Sessions>, Diagnostics> {
        typed(self, name, Kind::Sessions, |handle| match handle {
            StoreHandle::Sessions(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn replay(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<Replay>, Diagnostics> {
        typed(self, name, Kind::Replay, |handle| match handle {
            StoreHandle::Replay(store) => Some(store.clone()),
            _ => None,
        })
    }

    fn sealer(&mut self) -> Result<Arc<Sealer>, Diagnostics> {
        self.aborts_rarely(&[STORE_BROKEN]);
        self.publish(SEALS, Value::Bool(true));
        self.of_node::<Sealer>(SEALER)
    }

    fn kps(&mut self, name: &Spanned<String>) -> Result<Arc<Kps>, Diagnostics> {
        // Among all stores it goes by its whole name.
        let whole = Some(Spanned { span: name.span, value: format!("kps.{}", name.value) });
        typed(self, &whole, Kind::Kps, |handle| match handle {
            StoreHandle::Kps(store) => Some(store.clone()),
            _ => None,
        })
    }
}

fn typed<T>(
    cx: &mut BuildContext<'_>,
    name: &Option<Spanned<String>>,
    wanted: Kind,
    pick: impl FnOnce(&StoreHandle) -> Option<Arc<T>>,
) -> Result<Arc<T>, Diagnostics> {
    let own_name = kind_name(wanted);
    let name = name.clone().unwrap_or_else(|| Spanned { span: cx.own_place().span, value: own_name.to_owned() });
    cx.aborts(&[STORE_UNAVAILABLE]);
    cx.aborts_rarely(&[STORE_BROKEN]);
    let handle = cx.resource::<StoreHandle>(STORE, &name)?;
    pick(&handle).ok_or_else(|| {
        let is = kind_name(kind_of(&handle));
        let message = format!("store `{}` is of the kind `{is}`, and this filter needs `{own_name}`", name.value);
        let help =
            format!("name a store with `kind = \"{own_name}\"`, or leave `store` out to use the store `{own_name}`");
        Problem::error(codes::STORE, message).with_help(help).at(cx.place(name.span)).into()
    })
}

fn kind_of(handle: &StoreHandle) -> Kind {
    match handle {
        StoreHandle::AccessToken(_) => Kind::AccessToken,
        StoreHandle::ClientAccessToken(_) => Kind::ClientAccessToken,
        StoreHandle::AuthzCode(_) => Kind::AuthzCode,
        StoreHandle::Clients(_) => Kind::Clients,
        StoreHandle::Consents(_) => Kind::Consents,
        StoreHandle::DeviceCode(_) => Kind::DeviceCode,
        StoreHandle::Users(_) => Kind::Users,
        StoreHandle::Sessions(_) => Kind::Sessions,
        StoreHandle::Keys(_) => Kind::Keys,
        StoreHandle::Replay(_) => Kind::Replay,
        StoreHandle::Kps(_) => Kind::Kps,
        StoreHandle::Mapped(kind) => *kind,
    }
}

fn kind_name(kind: Kind) -> &'static str {
    // A key property store is named by its own table, `kps.NAME`.
    Kind::ALL.iter().find(|(k, _)| *k == kind).map_or("kps", |(_, name)| name)
}

/// A store's error as a fault: what is down may be tried again; what is broken needs an operator.
pub fn abort_from(error: StoreError) -> Abort {
    match error {
        StoreError::Unavailable(why) => Abort::unavailable(STORE_UNAVAILABLE, why),
        StoreError::Broken(why) => Abort::new(STORE_BROKEN, StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_down_is_worth_another_try_and_a_broken_one_is_not() {
        let down = abort_from(StoreError::Unavailable("connection refused".into()));
        assert_eq!((down.status, down.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(5)));
        let broken = abort_from(StoreError::Broken("no rights".into()));
        assert_eq!((broken.status, broken.retry_after), (StatusCode::INTERNAL_SERVER_ERROR, None));
    }
}
