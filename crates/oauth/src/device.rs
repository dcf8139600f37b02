//! The device authorization grant (RFC 8628): a device without a keyboard shows a short code, and its user types it elsewhere.

use serde::Serialize;

use crate::error::{Error, ErrorCode};

/// The grant type (section 3.4).
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Seconds between two questions of a device, where nobody said otherwise (section 3.2).
pub const INTERVAL: u64 = 5;

/// What is added, for good, for a device that asks too often (section 3.5).
pub const SLOWER: u64 = 5;

/// Letters of a code that is typed: no vowels, so that it spells nothing, and none that look like others (section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// How many it has: 20 to the 8th is 2 to the 34.5th, so that five tries find one with a chance of 2 to the minus 32nd (section 5.1).
const LENGTH: usize = 8;

/// A code that is typed, from random bytes: eight letters. None where too many of the bytes would have made some letters likelier.
pub fn user_code(random: &[u8]) -> Option<String> {
    // Up to the largest multiple of the number of letters, all are as likely.
    let fair = random.iter().filter(|byte| **byte < 240);
    let code: String = fair.take(LENGTH).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect();
    (code.len() == LENGTH).then_some(code)
}

/// As it is shown: `BCDF-GHJK`.
pub fn shown(user_code: &str) -> String {
    match user_code.split_at_checked(LENGTH / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => user_code.to_owned(),
    }
}

/// What a person typed, as it is kept: case and everything but letters count for nothing (section 6.1).
pub fn typed(text: &str) -> Option<String> {
    let code: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    (code.len() == LENGTH && code.bytes().all(|b| LETTERS.contains(&b))).then_some(code)
}

/// The answer to a device (section 3.2).
#[derive(Debug, Serialize)]
pub struct DeviceAuthorization<'a> {
    /// For the device.
    pub device_code: &'a str,
    /// For the user, as it is shown.
    pub user_code: &'a str,
    /// Where the user types it.
    pub verification_uri: &'a str,
    /// The same with the code on it, for a picture that is scanned.
    pub verification_uri_complete: &'a str,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds between two questions.
    pub interval: u64,
}

/// Where a device's code is (section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The user has not decided.
    Pending,
    /// The device asks too often.
    TooOften,
    /// The user has said no.
    Denied,
    /// It has expired.
    Expired,
    /// It is unknown, used, or another client's.
    Unknown,
}

/// What a device is told that gets no token.
pub fn refused(state: State) -> Error {
    let (code, why) = match state {
        State::Pending => (ErrorCode::AuthorizationPending, "The user has not decided yet"),
        State::TooOften => {
            (ErrorCode::SlowDown, "The device asks too often: 5 seconds more between two questions, from now on")
        }
        State::Denied => (ErrorCode::AccessDenied, "The user does not allow it"),
        State::Expired => (ErrorCode::ExpiredToken, "The device code has expired: begin again"),
        State::Unknown => {
            (ErrorCode::InvalidGrant, "The device code is unknown, used, or was issued to another client")
        }
    };
    Error::new(code, why)
}

/// The interval of a device that asks `now`, having asked before (Unix seconds): longer where it did not wait.
pub fn interval(interval: u64, asked_before: Option<u64>, now: u64) -> (u64, bool) {
    match asked_before {
        Some(before) if now.saturating_sub(before) < interval => (interval.saturating_add(SLOWER), true),
        _ => (interval, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D84: compared without case and punctuation; every letter as likely.
    #[test]
    fn rfc8628_6_1_the_code_that_a_user_types() {
        let code = user_code(&(0..=255).collect::<Vec<u8>>()).expect("enough bytes");
        assert_eq!((code.as_str(), shown(&code).as_str()), ("BCDFGHJK", "BCDF-GHJK"));
        for text in ["BCDF-GHJK", "bcdfghjk", " b c d f_g.h j k ", "BCDF‐GHJK"] {
            assert_eq!(typed(text).as_deref(), Some("BCDFGHJK"), "{text}");
        }
        for text in ["", "BCDFGHJ", "BCDFGHJKL", "ACDFGHJK", "BCDF1HJK"] {
            assert_eq!(typed(text), None, "{text}");
        }
        assert_eq!(user_code(&[255; 64]), None);
        let counts = (0..240u32).fold([0; 20], |mut counts, byte| {
            counts[(byte % 20) as usize] += 1;
            counts
        });
        assert!(counts.iter().all(|count| *count == 12));
    }

    /// D82: five seconds more, for good. D83: the words.
    #[test]
    fn rfc8628_3_5_what_a_device_is_told() {
        assert_eq!(interval(5, None, 100), (5, false));
        assert_eq!(interval(5, Some(95), 100), (5, false));
        assert_eq!(interval(5, Some(96), 100), (10, true));
        assert_eq!(interval(10, Some(90), 100), (10, false));
        for (state, code) in [
            (State::Pending, "authorization_pending"),
            (State::TooOften, "slow_down"),
            (State::Denied, "access_denied"),
            (State::Expired, "expired_token"),
            (State::Unknown, "invalid_grant"),
        ] {
            assert_eq!((refused(state).code.as_str(), refused(state).code.status()), (code, 400));
        }
    }
}
