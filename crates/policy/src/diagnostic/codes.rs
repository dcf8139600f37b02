//! Every diagnostic's code, in one table. A code is never reused for something else.

use std::fmt;

/// A diagnostic's code: `P0107`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static str);

impl Code {
    /// Its text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The page of a code, whatever the case it is written in: Markdown, with the mistake and its cure as files (or, where no file has
/// it, when it arises). `None` where there is no such code.
///
/// ```
/// assert!(policy::diagnostic::codes::explanation("p0107").unwrap().starts_with("# P0107: "));
/// assert!(policy::diagnostic::codes::explanation("P9999").is_none());
/// ```
pub fn explanation(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| known.as_str().eq_ignore_ascii_case(code)).map(|(_, page)| *page)
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: Code = Code($text);)+
        /// All codes with their one-line meaning, in order.
        pub const ALL: &[(Code, &str)] = &[$(($name, concat!($($doc),+))),+];
        /// Each code's page. A code without one does not compile.
        const PAGES: &[(Code, &str)] = &[$(($name, include_str!(concat!("explain/", $text, ".md")))),+];
    };
}

codes! {
    /// A file could not be read.
    UNREADABLE = "P0001";
    /// A file is no TOML.
    SYNTAX = "P0002";
    /// A file is larger than a configuration file can sensibly be, or no UTF-8.
    NOT_TEXT = "P0003";
    /// A part of the format that this version does not know yet.
    NOT_YET = "P0004";
    /// A secret in clear text.
    CLEAR_SECRET = "P0005";
    /// An environment variable or file that a setting names is not there.
    MISSING_OUTSIDE = "P0006";
    /// A key that is not known here.
    UNKNOWN_KEY = "P0101";
    /// A required key is missing.
    MISSING_KEY = "P0102";
    /// A value of the wrong type or out of its bounds.
    BAD_VALUE = "P0103";
    /// A policy file without a filter.
    EMPTY_POLICY = "P0104";
    /// A filter type that does not exist.
    UNKNOWN_FILTER = "P0105";
    /// A chain that does not exist.
    UNKNOWN_CHAIN = "P0106";
    /// A policy that does not exist.
    UNKNOWN_POLICY = "P0107";
    /// A store that does not exist or cannot do what the filter needs.
    STORE = "P0108";
    /// An upstream that does not exist.
    UNKNOWN_UPSTREAM = "P0109";
    /// A selector or CEL expression that cannot be read.
    SELECTOR = "P0110";
    /// An attribute or field that no filter of this library sets.
    UNKNOWN_ATTRIBUTE = "P0111";
    /// A value (`values.NAME`) that is not defined.
    UNKNOWN_VALUE = "P0112";
    /// A policy file or name that collides with another.
    NAME_COLLISION = "P0113";
    /// A step that an import left to be written by hand.
    TODO = "P0114";
    /// A `[[test]]` that cannot be read.
    BAD_TEST = "P0115";
    /// A provider that does not exist.
    UNKNOWN_PROVIDER = "P0118";
    /// An attribute is read where no filter has set it.
    NOT_SET = "P0201";
    /// An attribute is read where only some paths have set it.
    MAYBE_NOT_SET = "P0202";
    /// A chain or filter that nothing reaches.
    UNREACHABLE = "P0203";
    /// A path that ends without an answer.
    NO_ANSWER = "P0204";
    /// A loop of chains or policies.
    CYCLE = "P0205";
    /// A body is read or sent away after it was streamed away.
    BODY_GONE = "P0206";
    /// An authorizing filter behind a `when`.
    UNGUARDED = "P0207";
    /// A move that cannot be: `on_success` before the end of a chain, say.
    BAD_MOVE = "P0208";
    /// An input that the called policy does not declare, or the wrong type of one.
    INPUT = "P0209";
    /// A policy's own `before` takes the place of its listener's.
    BEFORE_REPLACED = "P0210";
    /// Two routes that match the same requests.
    ROUTE_COLLISION = "P0301";
    /// A route that cannot be read.
    BAD_ROUTE = "P0302";
    /// A listener that does not exist.
    UNKNOWN_LISTENER = "P0303";
    /// A data source that does not exist.
    UNKNOWN_SOURCE = "P0401";
    /// A store that is local to a node where there are several.
    LOCAL_STORE = "P0402";
    /// Records stay behind in the source that a store had before.
    LEFT_BEHIND = "P0403";
    /// A source that could not be opened.
    SOURCE_DOWN = "P0404";
    /// A source type whose driver this binary was built without.
    NO_DRIVER = "P0405";
    /// The authorization server's issuer is missing or not acceptable.
    ISSUER = "P0501";
    /// A node setting that takes effect only after a restart.
    RESTART = "P0502";
    /// A file that a running node serves by is gone.
    GONE = "P0503";
    /// A test of a policy failed.
    TEST_FAILED = "P0601";
    /// The tests of the policies did not finish in time.
    TESTS_SLOW = "P0602";
    /// An explanation of a mutant that explains nothing.
    STALE_EXPLANATION = "P0603";
    /// A store that no filter uses.
    UNUSED_STORE = "P0701";
    /// An upstream that no filter uses.
    UNUSED_UPSTREAM = "P0702";
    /// A value that no file uses.
    UNUSED_VALUE = "P0703";
    /// A route on which nothing decides who may pass.
    ROUTE_WITHOUT_AUTHORIZATION = "P0704";
    /// A route that no test tries.
    ROUTE_WITHOUT_TEST = "P0705";
    /// A route that issues tokens without authenticating the client.
    TOKEN_ROUTE_WITHOUT_CLIENT = "P0706";
    /// A scope is asked for that is not declared.
    UNDECLARED_SCOPE = "P0707";
    /// A declared scope that nothing asks for.
    UNUSED_SCOPE = "P0708";
    /// A credential is taken from the query.
    CREDENTIALS_IN_QUERY = "P0709";
    /// An upstream without time limits of its own.
    MISSING_TIMEOUTS = "P0710";
    /// A token's lifetime is unusually short or long.
    LIFETIME = "P0711";
    /// A certificate or token in the configuration has expired or soon will.
    EXPIRES_SOON = "P0712";
    /// The admin address can be reached from other machines.
    OPEN_ADMIN = "P0713";
    /// A lint is allowed where nothing needs it.
    NEEDLESS_ALLOW = "P0714";
    /// A client may come to the authorization endpoint without PKCE.
    WITHOUT_PKCE = "P0715";
    /// A filter that may refuse stands after a cache.
    REFUSAL_AFTER_CACHE = "P0716";
    /// What a cache keeps depends on something that its key does not have.
    ANSWER_OF_ANOTHER = "P0717";
    /// An upstream that leads to a listener of this node.
    OWN_LISTENER = "P0718";
}
