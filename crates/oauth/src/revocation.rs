//! Revocation (RFC 7009): what a client's wish to revoke a token leads to.

use crate::error::{Error, ErrorCode};
use crate::id::ClientId;
use crate::token::TokenKind;

/// What is to be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The token alone.
    Token,
    /// Its whole grant, access tokens included (section 2.1).
    Grant,
}

/// How much goes with a token of this kind. What the token is says its own prefix; `token_type_hint` is a hint for
/// servers that must search, and a wrong one changes nothing (section 2.1).
pub fn extent(kind: TokenKind) -> Extent {
    match kind {
        // A browser's session, or one to manage a registration, is none of these: it is as unknown.
        TokenKind::Access | TokenKind::Device | TokenKind::Session | TokenKind::Management => Extent::Token,
        TokenKind::Refresh | TokenKind::Code => Extent::Grant,
    }
}

/// Whether there is anything to do. `owner` is whose token was found, none where it is unknown, expired or revoked
/// already: then the wish is fulfilled as it is (section 2.2). Another client's token is refused and stays good
/// (section 2.1).
pub fn decide(caller: &ClientId, owner: Option<&ClientId>) -> Result<bool, Error> {
    match owner {
        None => Ok(false),
        Some(owner) if owner == caller => Ok(true),
        Some(_) => Err(Error::new(ErrorCode::UnauthorizedClient, "The token was issued to another client")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D20, D22: an unknown token is no error, another client's is refused.
    #[test]
    fn rfc7009_2_1_and_2_2_whose_token() {
        let (me, other) = (ClientId::new("me"), ClientId::new("other"));
        assert_eq!(decide(&me, Some(&me)), Ok(true));
        assert_eq!(decide(&me, None), Ok(false));
        let refused = decide(&me, Some(&other)).expect_err("refused");
        assert_eq!((refused.code, refused.code.status()), (ErrorCode::UnauthorizedClient, 400));
    }

    /// D23: a refresh token takes its access tokens along.
    #[test]
    fn rfc7009_2_1_what_goes_along() {
        assert_eq!(extent(TokenKind::Access), Extent::Token);
        assert_eq!(extent(TokenKind::Refresh), Extent::Grant);
        assert_eq!(extent(TokenKind::Code), Extent::Grant);
    }
}
