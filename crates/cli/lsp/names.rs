//! Where names stand in `node.toml` and `stores.toml`; for policies the engine knows it.

use policy::outline::{Pattern, Thing};

/// In `node.toml`.
pub(super) const IN_NODE: &[Pattern] = &[
    Pattern::declares_as_text(Thing::Listener, &["listener", "[]", "name"]),
    Pattern::uses(Thing::Policy, &["listener", "[]", "before", "[]"]),
    Pattern::uses(Thing::Policy, &["listener", "[]", "after", "[]"]),
    Pattern::uses(Thing::Policy, &["listener", "[]", "on_error"]),
    Pattern::declares(Thing::Upstream, &["upstream", "*"]),
    Pattern::declares(Thing::Provider, &["provider", "*"]),
    Pattern::uses(Thing::Upstream, &["provider", "*", "upstream"]),
    Pattern::declares(Thing::Value, &["values", "*"]),
];

/// In `stores/stores.toml`.
pub(super) const IN_STORES: &[Pattern] = &[
    Pattern::uses(Thing::Source, &["default"]),
    Pattern::declares(Thing::Source, &["source", "*"]),
    Pattern::declares(Thing::Store, &["store", "*"]),
    Pattern::uses(Thing::Source, &["store", "*", "source"]),
    Pattern::uses(Thing::Source, &["store", "*", "previous"]),
    Pattern::uses(Thing::Source, &["store", "*", "next"]),
    Pattern::declares(Thing::Store, &["kps", "*"]),
    Pattern::uses(Thing::Source, &["kps", "*", "source"]),
];
