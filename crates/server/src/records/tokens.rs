//! Tokens.

use store::AccessToken;
use store::access_tokens::Whose;
use store::oauth::ClientId;
use store::oauth::token::{Token, TokenKind};

use super::{Stores, failed};
use crate::admin::api::{Done, InspectToken, Refusal, RefusalKind, RevokeTokens, TokenView};

impl Stores {
    pub(crate) async fn inspect_token(&self, request: &InspectToken) -> Result<TokenView, Refusal> {
        let mut found = Err(unknown());
        for store in &self.access_tokens {
            let token = request.token.trim();
            let inspected = match store.inspect(token).await {
                Ok(None) => store.inspect_refresh_token(token).await,
                inspected => inspected,
            };
            match inspected {
                Ok(None) => {}
                Ok(Some(record)) => {
                    found = Ok(record);
                    break;
                }
                // Another store may know it; where none does, it may be in this one.
                Err(why) => found = Err(failed(why)),
            }
        }
        let record = found?;
        let state = self.state(&record).await?;
        Ok(TokenView {
            active: state == ACTIVE,
            state: state.to_owned(),
            client_id: record.client_id.to_string(),
            subject: record.subject,
            scope: record.scope.to_string(),
            grant_type: record.grant_type,
            issued_at: record.issued_at,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            audience: record.audience,
        })
    }

    pub(crate) async fn revoke_tokens(&self, request: &RevokeTokens) -> Result<Done, Refusal> {
        let of = match (&request.client_id, &request.subject) {
            (Some(client), _) => format!("client {client}"),
            (None, Some(subject)) => format!("subject {subject}"),
            // A token is a secret.
            (None, None) => String::from("one token"),
        };
        self.audit.change("token revoke", &of, self.revoke(request)).await
    }

    async fn revoke(&self, request: &RevokeTokens) -> Result<Done, Refusal> {
        let now = self.now();
        match (&request.token, &request.client_id, &request.subject) {
            (Some(token), None, None) => {
                let mut refused = unknown();
                let refresh = Token::parse(token.trim()).is_some_and(|token| token.kind() == TokenKind::Refresh);
                for store in &self.access_tokens {
                    let revoked = match refresh {
                        true => store.revoke_refresh_token(token.trim(), now).await,
                        false => store.revoke(token.trim(), now).await,
                    };
                    match revoked {
                        Ok(false) => {}
                        Ok(true) if refresh => {
                            return Ok(Done {
                                done: String::from("the refresh token is revoked, with all tokens of its grant"),
                            });
                        }
                        Ok(true) => return Ok(Done { done: String::from("the token is revoked") }),
                        // It may be in this one.
                        Err(why) => refused = failed(why),
                    }
                }
                Err(refused)
            }
            (None, Some(client), None) => {
                let id = ClientId::new(client.as_str());
                self.revoke_all(&Whose::Client(id.clone()), now).await?;
                // A client that is deleted may have tokens; but a name that nobody ever had is a slip of the pen, and must be seen.
                let found = self.clients.get(&id).await;
                Ok(Done {
                    done: match found {
                        Ok(None) => format!("no client `{client}` is registered; all tokens it ever had are revoked"),
                        _ => format!("all tokens of client `{client}` are revoked"),
                    },
                })
            }
            (None, None, Some(subject)) => {
                // Of whoever is not in the store `users` (a directory's, another provider's, a file's) nothing else ends the sessions, which
                // would give new tokens at once.
                self.cast_out(subject).await?;
                Ok(Done { done: format!("all tokens of subject `{subject}` are revoked, and the sessions are ended") })
            }
            _ => Err(Refusal::invalid("name one token, one client or one subject", "exactly one of the three")),
        }
    }

    pub(super) async fn revoke_all(&self, whose: &Whose, now: u64) -> Result<(), Refusal> {
        // In each, also where one of them fails: what can be revoked is.
        let mut refused = Vec::new();
        for store in &self.access_tokens {
            refused.extend(store.revoke_all(whose, now).await.err().map(failed));
        }
        let others = refused.len() < self.access_tokens.len();
        match refused.into_iter().next() {
            Some(mut first) => {
                if others {
                    first.message.push_str("; in the other stores of access tokens they are revoked");
                }
                Err(first)
            }
            None => Ok(()),
        }
    }

    async fn state(&self, record: &AccessToken) -> Result<&'static str, Refusal> {
        let now = self.now();
        if record.revoked_at.is_some() {
            return Ok("revoked");
        }
        if record.expires_at <= now {
            return Ok("expired");
        }
        let client = self.clients.get(&record.client_id).await.map_err(failed)?;
        Ok(match client {
            None => "its client is deleted",
            Some(client) if !client.enabled => "its client is disabled",
            Some(_) => ACTIVE,
        })
    }
}

const ACTIVE: &str = "active";

fn unknown() -> Refusal {
    Refusal {
        kind: RefusalKind::NotFound,
        message: String::from("no token is revoked or shown: it is unknown, was revoked before, or is purged"),
        help: Some(String::from(
            "the whole token as it was issued; it begins with `pca_`, a refresh token with `pcr_`",
        )),
    }
}
