//! The form of tokens that we issue: `pca_` + expiry + 256 random bits + checksum.

use std::fmt;

/// What a token is for, which is its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// `pca_`
    Access,
    /// `pcr_`
    Refresh,
    /// `pcc_`
    Code,
}

/// The expiry (Unix seconds) and SHA-256 of a token: its row's key, ordered by expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenKey {
    /// Unix seconds.
    pub expires_at: u64,
    /// SHA-256 of the whole token text.
    pub hash: [u8; 32],
}

/// A well-formed token: right prefix and checksum. Its text is a secret; `Debug` shows only its kind and expiry.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    kind: TokenKind,
    expires_at: u64,
    text: zeroize::Zeroizing<String>,
}

impl TokenKey {
    /// 40 bytes: expiry big-endian, then the hash.
    pub fn to_bytes(self) -> [u8; 40] {
        unimplemented!()
    }
}

impl Token {
    /// Makes a token from 32 random bytes.
    pub fn mint(kind: TokenKind, expires_at: u64, random: [u8; 32]) -> Token {
        let _ = (kind, expires_at, random);
        unimplemented!()
    }
    /// Reads a token; `None` where prefix, length, alphabet or checksum is wrong. No look-up is needed for such a one.
    pub fn parse(text: &str) -> Option<Token> {
        let _ = text;
        unimplemented!()
    }
    /// What it is for.
    pub fn kind(&self) -> TokenKind {
        self.kind
    }
    /// The expiry that stands in it (Unix seconds): only ever used to refuse.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }
    /// Its row's key.
    pub fn key(&self) -> TokenKey {
        unimplemented!()
    }
    /// The text, for the client it is given to.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, expires {})", self.kind, self.expires_at)
    }
}
