//! The form of tokens that we issue: a prefix, then 42 bytes as 56 characters of base64url: when it expires (6 bytes,
//! Unix milliseconds), 256 random bits, and a CRC-32 of all that stands before it.
//!
//! A token expires at a whole second; the milliseconds beside it say when in its second it was issued. They put the keys of
//! tokens in the order of their issue, so that a store appends: by the second alone, the rows of one busy second lie
//! scattered over as many pages as there are rows, and each costs a page of its own in every tree of a commit.
//!
//! The prefix and the checksum are for secret scanners, and let us refuse what was never ours without a read. 42 bytes
//! fill 56 characters without a bit to spare, so that a token has exactly one text, and its hash is its identity.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const EXPIRY: usize = 6;
const RANDOM: usize = 32;
const CHECKSUM: usize = 4;
const BYTES: usize = EXPIRY + RANDOM + CHECKSUM;
const PREFIX: usize = 4;
/// The length of every token's text.
pub const LENGTH: usize = PREFIX + BYTES / 3 * 4;
/// The latest expiry that fits, Unix milliseconds (in some nine thousand years).
const LATEST: u64 = (1 << (8 * EXPIRY)) - 1;

/// What a token is for, which is its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// `pca_`
    Access,
    /// `pcr_`
    Refresh,
    /// `pcc_`
    Code,
    /// `pcd_`: a device code (RFC 8628).
    Device,
    /// `pcw_`, in the cookie of a browser that somebody logged in with.
    Session,
    /// `pcm_`: by it a client manages its own registration (RFC 7592).
    Management,
}

/// The expiry and SHA-256 of a token: its row's key, ordered by expiry and, within a second of it, by issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey {
    /// Unix milliseconds, as they stand in the token.
    pub expires_millis: u64,
    /// SHA-256 of the whole token text.
    pub hash: [u8; 32],
}

/// A well-formed token: right prefix and checksum. Its text is a secret; `Debug` shows only its kind and expiry.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    kind: TokenKind,
    expires_millis: u64,
    text: Zeroizing<String>,
}

impl TokenKind {
    /// All kinds.
    pub const ALL: [TokenKind; 6] = [
        TokenKind::Access,
        TokenKind::Refresh,
        TokenKind::Code,
        TokenKind::Session,
        TokenKind::Management,
        TokenKind::Device,
    ];

    /// The first four characters of its tokens.
    pub const fn prefix(self) -> &'static str {
        match self {
            TokenKind::Access => "pca_",
            TokenKind::Refresh => "pcr_",
            TokenKind::Code => "pcc_",
            TokenKind::Device => "pcd_",
            TokenKind::Session => "pcw_",
            TokenKind::Management => "pcm_",
        }
    }
}

impl TokenKey {
    fn of(text: &str, expires_millis: u64) -> TokenKey {
        TokenKey { expires_millis, hash: Sha256::digest(text.as_bytes()).into() }
    }

    /// 40 bytes: expiry big-endian, then the hash.
    pub fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&self.expires_millis.to_be_bytes());
        bytes[8..].copy_from_slice(&self.hash);
        bytes
    }
}

impl Token {
    /// Makes a token from 32 random bytes; `expires_at` in Unix seconds.
    pub fn mint(kind: TokenKind, expires_at: u64, random: [u8; 32]) -> Token {
        Token::mint_in_order(kind, expires_at, 0, random)
    }

    /// Makes a token that stands among those that expire in the same second (`expires_at`, Unix seconds) where `millis`, those
    /// of the time at which it is issued, put it.
    pub fn mint_in_order(kind: TokenKind, expires_at: u64, millis: u64, random: [u8; 32]) -> Token {
        let expires_millis = expires_at.saturating_mul(1000).saturating_add(millis % 1000).min(LATEST);
        let mut bytes = Zeroizing::new([0; BYTES]);
        bytes[..EXPIRY].copy_from_slice(&expires_millis.to_be_bytes()[8 - EXPIRY..]);
        bytes[EXPIRY..EXPIRY + RANDOM].copy_from_slice(&random);
        let checksum = checksum(kind, &bytes[..EXPIRY + RANDOM]);
        bytes[EXPIRY + RANDOM..].copy_from_slice(&checksum);
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(kind.prefix());
        URL_SAFE_NO_PAD.encode_string(&bytes[..], &mut text);
        Token { kind, expires_millis, text }
    }

    /// Reads a token; `None` where prefix, length, alphabet or checksum is wrong. No look-up is needed for such a one.
    pub fn parse(text: &str) -> Option<Token> {
        let (kind, expires_millis) = Token::read(text)?;
        Some(Token { kind, expires_millis, text: Zeroizing::new(text.to_owned()) })
    }

    /// The row's key of a well-formed token of this kind that expires after `now` (Unix seconds), without a copy of its text.
    pub fn key_of(text: &str, kind: TokenKind, now: u64) -> Option<TokenKey> {
        let (found, expires_millis) = Token::read(text)?;
        (found == kind && expires_millis / 1000 > now).then(|| TokenKey::of(text, expires_millis))
    }

    /// What it is for, and its expiry in Unix milliseconds.
    fn read(text: &str) -> Option<(TokenKind, u64)> {
        if text.len() != LENGTH {
            return None;
        }
        let kind = TokenKind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let mut bytes = Zeroizing::new([0; BYTES]);
        URL_SAFE_NO_PAD.decode_slice(&text[PREFIX..], &mut bytes[..]).ok()?;
        let (signed, found) = bytes.split_at(EXPIRY + RANDOM);
        if found != checksum(kind, signed) {
            return None;
        }
        Some((kind, signed[..EXPIRY].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
    }

    /// What it is for.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The expiry that stands in it (Unix seconds): only ever used to refuse.
    pub fn expires_at(&self) -> u64 {
        self.expires_millis / 1000
    }

    /// Its row's key.
    pub fn key(&self) -> TokenKey {
        TokenKey::of(&self.text, self.expires_millis)
    }

    /// The text, for the client it is given to.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, expires {})", self.kind, self.expires_at())
    }
}

/// The prefix counts too: a refresh token with its prefix changed is no access token.
fn checksum(kind: TokenKind, signed: &[u8]) -> [u8; CHECKSUM] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(kind.prefix().as_bytes());
    crc.update(signed);
    crc.finalize().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Token {
        Token::mint(TokenKind::Access, 1_800_000_000, std::array::from_fn(|i| i as u8))
    }

    #[test]
    fn what_is_minted_reads_back() {
        for kind in TokenKind::ALL {
            let token = Token::mint(kind, 1_800_000_000, [0xA5; 32]);
            assert_eq!(token.expose().len(), LENGTH);
            assert!(token.expose().starts_with(kind.prefix()));
            let read = Token::parse(token.expose()).expect("own token");
            assert_eq!((read.kind(), read.expires_at(), read.key()), (kind, 1_800_000_000, token.key()));
        }
    }

    #[test]
    fn the_key_is_had_of_a_token_of_that_kind_that_has_not_expired() {
        let token = sample();
        let text = token.expose();
        assert_eq!(Token::key_of(text, TokenKind::Access, 1_799_999_999), Some(token.key()));
        assert_eq!(Token::key_of(text, TokenKind::Access, 1_800_000_000), None);
        assert_eq!(Token::key_of(text, TokenKind::Refresh, 0), None);
        assert_eq!(Token::key_of(&text[1..], TokenKind::Access, 0), None);
    }

    /// D14: 256 bits of the caller's randomness, all of them in the text.
    #[test]
    fn rfc6749_10_10_every_random_bit_changes_the_token() {
        let one = Token::mint(TokenKind::Access, 1, [0; 32]);
        for bit in 0..256 {
            let mut random = [0; 32];
            random[bit / 8] = 1 << (bit % 8);
            assert_ne!(Token::mint(TokenKind::Access, 1, random).expose(), one.expose(), "bit {bit}");
        }
    }

    #[test]
    fn a_token_has_exactly_one_text() {
        let text = sample().expose().to_owned();
        for at in 0..text.len() {
            for other in "AZaz09-_.+/= ~é".chars() {
                let mut changed: String = text.chars().take(at).collect();
                changed.push(other);
                changed.extend(text.chars().skip(at + 1));
                assert_eq!(Token::parse(&changed).is_some(), changed == text, "{changed}");
            }
        }
        for changed in [
            format!("{text}="),
            format!(" {text}"),
            format!("{text}A"),
            text[..59].to_owned(),
            text.replace("pca_", "pcr_"),
            String::new(),
        ] {
            assert!(Token::parse(&changed).is_none(), "{changed}");
        }
    }

    #[test]
    fn keys_are_ordered_by_expiry() {
        let key = |expires_at, seed| Token::mint(TokenKind::Access, expires_at, [seed; 32]).key();
        let (early, late) = (key(255, 9), key(256, 1));
        assert!(early < late);
        assert!(early.to_bytes() < late.to_bytes());
        assert_eq!(late.to_bytes()[..8], 256_000u64.to_be_bytes());
    }

    #[test]
    fn within_a_second_keys_are_ordered_by_issue() {
        let token = |millis, seed| Token::mint_in_order(TokenKind::Access, 7, millis, [seed; 32]);
        let mut keys: Vec<_> = (0..1000).map(|millis| token(1_800_000_000_000 + millis, 255 - millis as u8)).collect();
        assert!(keys.is_sorted_by_key(|token| token.key().to_bytes()));
        assert!(keys.drain(..).all(|token| token.expires_at() == 7));
        assert_eq!(Token::parse(token(999, 1).expose()).expect("own token").key(), token(999, 1).key());
        assert!(token(999, 1).key() < Token::mint(TokenKind::Access, 8, [0; 32]).key());
    }

    #[test]
    fn an_expiry_beyond_all_measure_is_cut_never_wrapped() {
        assert_eq!(Token::mint(TokenKind::Access, u64::MAX, [0; 32]).expires_at(), LATEST / 1000);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", sample()), "Token(Access, expires 1800000000)");
    }
}
