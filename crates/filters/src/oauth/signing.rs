//! What filters share that sign tokens, check them or publish the keys: which keys there are to be, told to the node that keeps their
//! schedule; and the algorithms that a setting pins.

use std::sync::Arc;

use ::oauth::jose::Algorithm;
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Value};
use store::signing_keys::schedule::{FACT, Schedule};

/// Tells the node which keys there are to be.
pub(super) fn publish_schedule(cx: &mut BuildContext<'_>, store: &Option<Spanned<String>>, schedule: &Schedule) {
    let store = store.as_ref().map_or("keys", |store| &store.value);
    let seconds = |seconds| Value::Int(i64::try_from(seconds).unwrap_or(i64::MAX));
    let fact = [
        ("store", Value::text(store)),
        ("algorithms", Value::texts(schedule.algorithms.iter().map(|algorithm| algorithm.as_str()))),
        ("rotate", seconds(schedule.rotate)),
        ("publish", seconds(schedule.publish)),
    ];
    cx.publish(FACT, Value::Map(Arc::new(fact.into_iter().map(|(name, value)| (name.into(), value)).collect())));
}

/// The algorithms with a public key that a setting names; all of them where it names none. No secret counts beside them: what is signed
/// by a secret can be made by whoever checks it.
pub(crate) fn public_algorithms(
    named: &Option<Vec<Spanned<String>>>,
    cx: &BuildContext<'_>,
) -> Result<Vec<Algorithm>, Diagnostics> {
    pinned(named, &Algorithm::PUBLIC, cx)
}

/// The algorithms that a setting names of these; all of them where it names none.
pub(super) fn pinned(
    named: &Option<Vec<Spanned<String>>>,
    all: &[Algorithm],
    cx: &BuildContext<'_>,
) -> Result<Vec<Algorithm>, Diagnostics> {
    let Some(named) = named else { return Ok(all.to_vec()) };
    let mut algorithms = Vec::with_capacity(named.len());
    for name in named {
        match Algorithm::parse(&name.value).filter(|algorithm| all.contains(algorithm)) {
            Some(algorithm) => algorithms.push(algorithm),
            None => {
                let names: Vec<String> = all.iter().map(|algorithm| format!("`{algorithm}`")).collect();
                let help = format!("use one of {}", names.join(", "));
                return Err(cx.error(name.span, format!("no token is signed with `{}` here", name.value), help).into());
            }
        }
    }
    Ok(algorithms)
}
