//! What the OAuth filters leave on the exchange, and what selectors may read of it.

use std::sync::Arc;

use ::oauth::authorization::{Asked, Parameters, Target};
use ::oauth::token::Token;
use ::oauth::{GrantId, Issuer, Scopes};
use policy::attribute::{Attribute, Field, Key};
use policy::value::{Type, Value};
use store::access_tokens::Presented;
use store::authz_codes::FoundCode;
use store::device_codes::{Decision, FoundDevice};
use store::record::Authentication;
use store::{AccessToken, AuthzCodes, Client, DeviceCodes};

use super::resume::{Resume, Step};

/// A grant that was proved: what a token may be made from.
pub struct Grant {
    /// `client_credentials` ...
    pub kind: &'static str,
    /// The resource owner; none where the client acts for itself.
    pub subject: Option<String>,
    /// What may be granted at most.
    pub scopes: Scopes,
    /// What is granted where nothing is asked.
    pub default_scopes: Scopes,
    /// Whether a refresh token may be given.
    pub offline: bool,
    /// How the resource owner was authenticated.
    pub authentication: Option<Authentication>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// The claims that were asked for by name.
    pub claims: Option<serde_json::Value>,
    /// What is used up when a token is made of it.
    pub(crate) proof: Proof,
}

/// What proves a grant, and is used up by `oauth.issue-token` and by nothing before it: so a refused scope costs nobody their grant.
pub(crate) enum Proof {
    /// The client itself: nothing is used up.
    Client,
    /// A code.
    Code {
        /// The store it is in.
        codes: Arc<AuthzCodes>,
        /// The code as it was found.
        found: Box<FoundCode>,
    },
    /// A code of a device.
    Device {
        /// The store it is in.
        codes: Arc<DeviceCodes>,
        /// The code as it was found.
        found: Box<FoundDevice>,
    },
    /// A refresh token.
    Refresh {
        /// The token as it was presented.
        presented: Box<Presented>,
        /// What comes of it.
        rotation: Rotation,
        /// Seconds for which a retry gets the same answer.
        grace: u64,
    },
}

/// What comes of a refresh token that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// A new one takes its place.
    Rotate,
    /// It stays.
    Keep,
    /// It is used up, and there is no other.
    End,
}

impl Proof {
    /// The grant that tokens are to belong to, where it is one that is kept.
    pub(crate) fn grant_id(&self) -> Option<&GrantId> {
        match self {
            Proof::Client => None,
            Proof::Code { found, .. } => Some(&found.record.grant_id),
            Proof::Device { found, .. } => match &found.record.decision {
                Decision::Allowed(allowed) => Some(&allowed.grant_id),
                Decision::Pending | Decision::Denied | Decision::Used(_) => None,
            },
            Proof::Refresh { presented, .. } => Some(&presented.record.grant_id),
        }
    }
}

/// An authorization request that was read: where its answer goes, and what it asks for.
pub struct Authorization {
    pub(super) target: Target,
    pub(super) asked: Asked,
    pub(super) issuer: Arc<Issuer>,
}

/// A user's visit to one of our pages, from the first request to the last form.
pub(crate) struct Visit {
    /// The parameters of the first request.
    pub(super) parameters: Parameters,
    /// When it began, Unix seconds.
    pub(super) began: u64,
    /// What the form of ours is for that came with the request, where one did.
    pub(super) form: Option<Step>,
}

impl Visit {
    /// The visit that a form carries.
    pub(super) fn of(resume: Resume) -> Visit {
        let parameters = resume.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Visit { parameters: Parameters::of(parameters), began: resume.began, form: Some(resume.step) }
    }

    /// Whether the form of ours that came is the one of the log-in page.
    pub(crate) fn is_log_in(&self) -> bool {
        self.form == Some(Step::Login)
    }

    /// Whether the user logged in on this visit before, or was elsewhere to do so. Who posts the form of the log-in page has not yet: the session
    /// that comes with it may be from another page, and would spare a log-in that is asked for anew.
    pub(super) fn is_after_log_in(&self) -> bool {
        matches!(self.form, Some(Step::Away | Step::Consent(_)))
    }

    /// The parameters, to be carried by a form.
    pub(super) fn kept(&self) -> Vec<(String, String)> {
        self.parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// The scopes of this exchange.
#[derive(Clone, Debug)]
pub struct Granted {
    /// What was asked for; empty where nothing was.
    pub asked: Scopes,
    /// What of it is granted.
    pub granted: Scopes,
}

/// Who calls: whoever logged in, or whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user, the resource owner; the client where it acts for itself.
    pub id: Arc<str>,
    /// Whether it is the client itself.
    pub is_client: bool,
    /// When the subject proved who it is, Unix seconds, where that is known.
    pub authenticated_at: Option<u64>,
    /// How it did, by the words of RFC 8176 (`amr`): `pwd`. Empty where that is not known.
    pub methods: Vec<String>,
    /// Which class of proof that was (`acr`), where somebody says so.
    pub acr: Option<Arc<str>>,
}

/// A token that was just made. Its text is for the answer only: no selector reads it.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The token.
    pub token: Token,
    /// Seconds.
    pub expires_in: u64,
    /// The refresh token beside it.
    pub refresh: Option<Token>,
}

/// The ID token that was just made, where there is one. Its text is for the answer only: no selector reads it.
pub(crate) struct IdToken(pub Option<String>);

/// The client that authenticated, or that the token was issued to.
pub static CLIENT: Key<Client> = Key::new(
    "client",
    &[
        Field {
            name: "id",
            doc: "Its identifier.",
            of: Type::Text,
            optional: false,
            get: |c| Some(Value::Text(c.client_id.shared())),
        },
        Field {
            name: "name",
            doc: "Its name, for people.",
            of: Type::Text,
            optional: true,
            get: |c| c.client_name.as_deref().map(Value::text),
        },
        Field {
            name: "scopes",
            doc: "The scopes it is registered for.",
            of: Type::List,
            optional: false,
            get: |c| Some(list(&c.scope)),
        },
        Field {
            name: "grants",
            doc: "The grants it is registered for.",
            of: Type::List,
            optional: false,
            get: |c| Some(Value::texts(c.grant_types.iter().map(String::as_str))),
        },
        Field {
            name: "owner",
            doc: "Whose it is.",
            of: Type::Text,
            optional: true,
            get: |c| c.notes.owner.as_deref().map(Value::text),
        },
    ],
);

/// The grant that a token is to be made from.
pub static GRANT: Key<Grant> = Key::new(
    "grant",
    &[
        Field {
            name: "kind",
            doc: "Its `grant_type`.",
            of: Type::Text,
            optional: false,
            get: |g| Some(Value::text(g.kind)),
        },
        Field {
            name: "subject",
            doc: "The resource owner; absent where the client acts for itself.",
            of: Type::Text,
            optional: true,
            get: |g| g.subject.as_deref().map(Value::text),
        },
        Field {
            name: "scopes",
            doc: "What may be granted at most.",
            of: Type::List,
            optional: false,
            get: |g| Some(list(&g.scopes)),
        },
        Field {
            name: "default_scopes",
            doc: "What is granted where nothing is asked.",
            of: Type::List,
            optional: false,
            get: |g| Some(list(&g.default_scopes)),
        },
        Field {
            name: "offline",
            doc: "Whether a refresh token may be given.",
            of: Type::Bool,
            optional: false,
            get: |g| Some(Value::Bool(g.offline)),
        },
    ],
);

/// The access token of the exchange, without its text.
pub static TOKEN: Key<AccessToken> = Key::new(
    "token",
    &[
        Field {
            name: "client_id",
            doc: "The client it was issued to.",
            of: Type::Text,
            optional: false,
            get: |t| Some(Value::Text(t.client_id.shared())),
        },
        Field {
            name: "subject",
            doc: "The resource owner; absent for client credentials.",
            of: Type::Text,
            optional: true,
            get: |t| t.subject.as_deref().map(Value::text),
        },
        Field {
            name: "scopes",
            doc: "What it grants.",
            of: Type::List,
            optional: false,
            get: |t| Some(list(&t.scope)),
        },
        Field {
            name: "grant_type",
            doc: "The grant that it came from.",
            of: Type::Text,
            optional: false,
            get: |t| Some(Value::text(t.grant_type.as_str())),
        },
        Field {
            name: "audience",
            doc: "Whom it is for; empty = anybody.",
            of: Type::List,
            optional: false,
            get: |t| Some(Value::texts(t.audience.iter().map(String::as_str))),
        },
        Field {
            name: "issued_at",
            doc: "Unix seconds.",
            of: Type::Int,
            optional: false,
            get: |t| i64::try_from(t.issued_at).ok().map(Value::Int),
        },
        Field {
            name: "expires_at",
            doc: "Unix seconds.",
            of: Type::Int,
            optional: false,
            get: |t| i64::try_from(t.expires_at).ok().map(Value::Int),
        },
        Field {
            name: "properties",
            doc: "Extra properties kept with it.",
            of: Type::Map,
            optional: false,
            get: |t| {
                let pairs =
                    t.properties.iter().map(|(name, value)| (Arc::from(name.as_str()), Value::text(value.as_str())));
                Some(Value::Map(Arc::new(pairs.collect())))
            },
        },
    ],
);

/// The scopes asked and granted.
pub static SCOPES: Key<Granted> = Key::new(
    "scopes",
    &[
        Field {
            name: "asked",
            doc: "What was asked for.",
            of: Type::List,
            optional: false,
            get: |s| Some(list(&s.asked)),
        },
        Field {
            name: "granted",
            doc: "What of it is granted.",
            of: Type::List,
            optional: false,
            get: |s| Some(list(&s.granted)),
        },
    ],
);

/// Who calls.
pub static SUBJECT: Key<Subject> = Key::new(
    "subject",
    &[
        Field {
            name: "id",
            doc: "The user who logged in, or the resource owner of the token; the client where it acts for itself.",
            of: Type::Text,
            optional: false,
            get: |s| Some(Value::Text(s.id.clone())),
        },
        Field {
            name: "is_client",
            doc: "Whether it is the client itself: an identifier of one may look like one of the other.",
            of: Type::Bool,
            optional: false,
            get: |s| Some(Value::Bool(s.is_client)),
        },
        Field {
            name: "authenticated_at",
            doc: "When it proved who it is, Unix seconds; absent where only a token says who it is.",
            of: Type::Int,
            optional: true,
            get: |s| s.authenticated_at.and_then(|at| i64::try_from(at).ok()).map(Value::Int),
        },
        Field {
            name: "methods",
            doc: "How it did, by the words of RFC 8176 (`pwd`); empty where only a token says who it is.",
            of: Type::List,
            optional: false,
            get: |s| Some(Value::texts(s.methods.iter().map(String::as_str))),
        },
        Field {
            name: "acr",
            doc: "Which class of proof that was, as `session.start` named it.",
            of: Type::Text,
            optional: true,
            get: |s| s.acr.clone().map(Value::Text),
        },
    ],
);

/// The authorization request.
pub static AUTHORIZE: Key<Authorization> = Key::new(
    "authorization",
    &[
        Field {
            name: "redirect_uri",
            doc: "Where the answer goes.",
            of: Type::Text,
            optional: false,
            get: |a| Some(Value::text(a.target.redirect_uri.as_str())),
        },
        Field {
            name: "scopes",
            doc: "What is asked for.",
            of: Type::List,
            optional: false,
            get: |a| Some(list(&a.asked.scope)),
        },
        Field {
            name: "login_hint",
            doc: "Who the client thinks the user is.",
            of: Type::Text,
            optional: true,
            get: |a| a.asked.login_hint.as_deref().map(Value::text),
        },
        Field {
            name: "acr_values",
            doc: "The authentication context classes that are wanted, the most wanted first.",
            of: Type::List,
            optional: false,
            get: |a| Some(Value::texts(a.asked.wanted_acr().iter().map(String::as_str))),
        },
    ],
);

/// The user's visit. Not in [`ATTRIBUTES`]: selectors cannot name it.
pub(crate) static VISIT: Key<Visit> = Key::new("visit", &[]);

/// The token that was just made, from `oauth.issue-token` to `oauth.token-response`. Not in [`ATTRIBUTES`]: selectors
/// cannot name it.
pub(super) static ISSUED: Key<Issued> = Key::new("token (issued)", &[]);

/// The ID token that was just made, from `oauth.id-token` to `oauth.token-response`. No selector names it either.
pub(super) static ID_TOKEN: Key<IdToken> = Key::new("id_token (issued)", &[]);

/// What selectors may read.
pub const ATTRIBUTES: &[&dyn Attribute] = &[&CLIENT, &GRANT, &TOKEN, &SCOPES, &SUBJECT, &AUTHORIZE];

impl Subject {
    /// How it was authenticated, where that is known.
    pub(super) fn authentication(&self) -> Option<Authentication> {
        let (methods, acr) = (self.methods.clone(), self.acr.as_deref().map(str::to_owned));
        self.authenticated_at.map(|at| Authentication { at, methods, acr })
    }

    /// The subject of this token.
    pub fn of(token: &AccessToken) -> Subject {
        let (id, is_client) = match &token.subject {
            Some(subject) => (Arc::from(subject.as_str()), false),
            None => (token.client_id.shared(), true),
        };
        Subject { id, is_client, authenticated_at: None, methods: Vec::new(), acr: None }
    }

    /// Somebody who proved just now (`at`, Unix seconds) who it is, by this method of RFC 8176.
    pub fn proved(name: &str, at: u64, method: &str) -> Subject {
        let methods = vec![method.to_owned()];
        Subject { id: Arc::from(name), is_client: false, authenticated_at: Some(at), methods, acr: None }
    }
}

fn list(scopes: &Scopes) -> Value {
    Value::List(scopes.iter().cloned().map(Value::Text).collect())
}
