//! How filters reach stores: typed, by name, with the kind checked when the policy is loaded.

use std::sync::Arc;

use http::StatusCode;

use policy::diagnostic::{Problem, codes};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, ReasonCode, Value};
use store::seal::Sealer;
use store::{
    AccessTokens, AuthzCodes, ClientAccessTokens, Clients, Consents, Counters, DeviceCodes, Kind, Kps, Replay,
    Sessions, SigningKeys, StoreError, StoreHandle, Users,
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

/// A store that filters work with, by its type.
pub trait TypedStore: Sized {
    /// What it is a store of.
    const KIND: Kind;

    /// The store behind a handle, where that is one of this type.
    fn of(handle: &StoreHandle) -> Option<&Arc<Self>>;
}

macro_rules! typed {
    ($($store:ident is $kind:ident;)*) => {$(
        impl TypedStore for $store {
            const KIND: Kind = Kind::$kind;

            fn of(handle: &StoreHandle) -> Option<&Arc<Self>> {
                match handle {
                    StoreHandle::$kind(store) => Some(store),
                    _ => None,
                }
            }
        }
    )*};
}

typed! {
    AccessTokens is AccessToken;
    ClientAccessTokens is ClientAccessToken;
    AuthzCodes is AuthzCode;
    Clients is Clients;
    Consents is Consents;
    Counters is Counters;
    DeviceCodes is DeviceCode;
    Users is Users;
    Sessions is Sessions;
    SigningKeys is Keys;
    Replay is Replay;
    Kps is Kps;
}

/// What filters get of the node when they are built.
pub trait StoreExt {
    /// The store of this name; without one, that which is named after its kind.
    fn store<T: TypedStore>(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<T>, Diagnostics>;
    /// The same for a filter that goes on without it while it is down, and states what else it ends in.
    fn store_if_up<T: TypedStore>(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<T>, Diagnostics>;
    /// The key property store `[kps.NAME]`.
    fn kps(&mut self, name: &Spanned<String>) -> Result<Arc<Kps>, Diagnostics>;
    /// Seals and opens what must come back as it was, with the node's keys.
    fn sealer(&mut self) -> Result<Arc<Sealer>, Diagnostics>;
}

impl StoreExt for BuildContext<'_> {
    fn store<T: TypedStore>(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<T>, Diagnostics> {
        self.aborts(&[STORE_UNAVAILABLE]);
        self.aborts_rarely(&[STORE_BROKEN]);
        self.store_if_up(name)
    }

    fn store_if_up<T: TypedStore>(&mut self, name: &Option<Spanned<String>>) -> Result<Arc<T>, Diagnostics> {
        let own_name = kind_name(T::KIND);
        let name = name.clone().unwrap_or_else(|| Spanned { span: self.own_place().span, value: own_name.to_owned() });
        if T::KIND == Kind::Keys {
            self.publish(SEALS, Value::Bool(true));
        }
        let handle = self.resource::<StoreHandle>(STORE, &name)?;
        T::of(&handle).cloned().ok_or_else(|| {
            let is = kind_name(kind_of(&handle));
            let message = format!("store `{}` is of the kind `{is}`, and this filter needs `{own_name}`", name.value);
            let help = format!(
                "name a store with `kind = \"{own_name}\"`, or leave `store` out to use the store `{own_name}`"
            );
            Problem::error(codes::STORE, message).with_help(help).at(self.place(name.span)).into()
        })
    }

    fn kps(&mut self, name: &Spanned<String>) -> Result<Arc<Kps>, Diagnostics> {
        // Among all stores it goes by its whole name.
        self.store(&Some(Spanned { span: name.span, value: format!("kps.{}", name.value) }))
    }

    fn sealer(&mut self) -> Result<Arc<Sealer>, Diagnostics> {
        self.aborts_rarely(&[STORE_BROKEN]);
        self.publish(SEALS, Value::Bool(true));
        self.of_node::<Sealer>(SEALER)
    }
}

fn kind_of(handle: &StoreHandle) -> Kind {
    match handle {
        StoreHandle::AccessToken(_) => Kind::AccessToken,
        StoreHandle::ClientAccessToken(_) => Kind::ClientAccessToken,
        StoreHandle::AuthzCode(_) => Kind::AuthzCode,
        StoreHandle::Clients(_) => Kind::Clients,
        StoreHandle::Consents(_) => Kind::Consents,
        StoreHandle::Counters(_) => Kind::Counters,
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
