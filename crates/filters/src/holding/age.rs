//! How old a token is, as far as it matters for whoever wants to use it.

use ::oauth::provider::answer::Tokens;

/// Seconds before its end in which a token is not used any more: it has a way to go, and clocks differ.
const LAST: u64 = 5;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It is used.
    Fresh,
    /// It is used, and another one is got in the meantime.
    Ageing,
    /// It is not used.
    Over,
}

/// The age at `now` of a token that is to be renewed `before` its end, both in seconds. Where it does not live long, the last quarter of its
/// life is enough for that, and a tenth for its way.
pub(super) fn age(tokens: &Tokens, now: u64, before: u64) -> Age {
    let left = tokens.expires_at.saturating_sub(now);
    let lifetime = tokens.expires_at.saturating_sub(tokens.obtained_at);
    if left <= LAST.min(lifetime / 10) {
        Age::Over
    } else if left <= before.min(lifetime / 4) {
        Age::Ageing
    } else {
        Age::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::oauth::{Scopes, Secret};

    #[test]
    fn a_token_is_renewed_before_its_end_and_not_used_at_it() {
        let at = |lifetime: u64, left: u64| {
            let tokens = Tokens {
                access: Secret::new("t".into()),
                refresh: None,
                id_token: None,
                granted: Scopes::default(),
                obtained_at: 1_000,
                expires_at: 1_000 + lifetime,
                refresh_until: None,
            };
            age(&tokens, 1_000 + lifetime - left, 60)
        };
        use Age::{Ageing, Fresh, Over};
        for (lifetime, left, expected) in [
            (3_600, 3_600, Fresh),
            (3_600, 61, Fresh),
            (3_600, 60, Ageing),
            (3_600, 6, Ageing),
            (3_600, 5, Over),
            (3_600, 0, Over),
            (40, 11, Fresh),
            (40, 10, Ageing),
            (40, 5, Ageing),
            (40, 4, Over),
            (4, 2, Fresh),
            (4, 1, Ageing),
            (4, 0, Over),
            (1, 1, Fresh),
            (0, 0, Over),
        ] {
            assert_eq!(at(lifetime, left), expected, "{left} of {lifetime}");
        }
    }
}
