//! The mistakes. Each is a text of a shipped file and what stands in its place.

/// A mistake that somebody makes.
pub(super) struct Mistake {
    /// In words.
    pub(super) what: &'static str,
    /// The template that it is made in.
    pub(super) template: &'static str,
    /// The file.
    pub(super) file: &'static str,
    /// What stands there once.
    pub(super) find: &'static str,
    /// What stands there then.
    pub(super) replace: &'static str,
    /// Who finds it first.
    pub(super) found: Found,
}

/// Who finds a mistake.
#[derive(Clone, Copy)]
pub(super) enum Found {
    /// `check --no-tests`, with this code, in this line of the file, or at `FILE:LINE`.
    Check { code: &'static str, place: &'static str },
    /// `test`: this one fails, and `check` has nothing to say.
    Test(&'static str),
}

const ORDERS: &str = "policies/orders.toml";
const TOKEN: &str = "policies/oauth/token.toml";
const SERVER: &str = "policies/oauth/server.toml";
const PARTNERS_ORDERS: &str = "policies/partners/orders.toml";
const CATALOGUE: &str = "policies/partners/catalogue.toml";
const PARTNER: &str = "policies/shared/partner.toml";
const INTERNAL: &str = "policies/internal/orders.toml";
const FAULTS: &str = "policies/global/faults.toml";
const STORES: &str = "stores/stores.toml";
const NODE: &str = "node.toml";

const TOKEN_SERVER: &str = "token-server";
const PROTECT: &str = "protect-an-api";
const GATEWAY: &str = "partner-gateway";

/// All of them.
pub(super) const MISTAKES: &[Mistake] = &[
    Mistake {
        what: "a quote is missing",
        template: PROTECT,
        file: ORDERS,
        find: r#"upstream = "orders"
"#,
        replace: r#"upstream = "orders
"#,
        found: Found::Check { code: "P0002", place: "25" },
    },
    Mistake {
        what: "a filter is misspelt",
        template: PROTECT,
        file: ORDERS,
        find: r#"use = "oauth.validate-token""#,
        replace: r#"use = "oauth.validate-tokn""#,
        found: Found::Check { code: "P0105", place: "5" },
    },
    Mistake {
        what: "a filter of another product, or of a later version",
        template: PROTECT,
        file: ORDERS,
        find: r#"use = "security-headers""#,
        replace: r#"use = "cors""#,
        found: Found::Check { code: "P0004", place: "28" },
    },
    Mistake {
        what: "a setting is misspelt",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: "methods = [",
        replace: "method = [",
        found: Found::Check { code: "P0101", place: "7" },
    },
    Mistake {
        what: "a required setting is missing",
        template: PROTECT,
        file: ORDERS,
        find: r#"allowed = "${token.scopes}"
"#,
        replace: "",
        found: Found::Check { code: "P0102", place: "7" },
    },
    Mistake {
        what: "a limit is no limit",
        template: PROTECT,
        file: ORDERS,
        find: r#"limit = "100/1s""#,
        replace: r#"limit = "100/s""#,
        found: Found::Check { code: "P0103", place: "16" },
    },
    Mistake {
        what: "a chain is misspelt",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"client_credentials = "client-credentials""#,
        replace: r#"client_credentials = "client-credential""#,
        found: Found::Check { code: "P0106", place: "16" },
    },
    Mistake {
        what: "a `switch` lacks its case, and its chain is never reached",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"client_credentials = "client-credentials"
"#,
        replace: "",
        found: Found::Check { code: "P0203", place: "31" },
    },
    Mistake {
        what: "a called policy is misspelt",
        template: GATEWAY,
        file: PARTNERS_ORDERS,
        find: r#"policy = "shared/partner""#,
        replace: r#"policy = "shared/partners""#,
        found: Found::Check { code: "P0107", place: "16" },
    },
    Mistake {
        what: "a called policy does not get its input",
        template: GATEWAY,
        file: PARTNERS_ORDERS,
        find: r#"with   = { api = "orders" }
"#,
        replace: "",
        found: Found::Check { code: "P0209", place: "15" },
    },
    Mistake {
        what: "an input of another type",
        template: GATEWAY,
        file: PARTNER,
        find: r#"api = "string""#,
        replace: r#"api = "integer""#,
        found: Found::Check { code: "P0209", place: "policies/partners/orders.toml:17" },
    },
    Mistake {
        what: "policies that call each other in a circle",
        template: GATEWAY,
        file: PARTNER,
        find: r#"use   = "rate-limit"
key   = "${client.id}"
limit = "50/1s"
burst = 100
"#,
        replace: r#"use    = "call"
policy = "partners/orders"
"#,
        found: Found::Check { code: "P0205", place: "8" },
    },
    Mistake {
        what: "a store is misspelt",
        template: TOKEN_SERVER,
        file: STORES,
        find: r#"default = "local""#,
        replace: r#"store.acces-token.source = "local"
default = "local""#,
        found: Found::Check { code: "P0108", place: "3" },
    },
    Mistake {
        what: "a filter is given a store of the wrong kind",
        template: PROTECT,
        file: ORDERS,
        find: r#"use = "oauth.validate-token""#,
        replace: r#"use = "oauth.validate-token"
store = "clients""#,
        found: Found::Check { code: "P0108", place: "6" },
    },
    Mistake {
        what: "an upstream is misspelt",
        template: PROTECT,
        file: ORDERS,
        find: r#"upstream = "orders""#,
        replace: r#"upstream = "order""#,
        found: Found::Check { code: "P0109", place: "24" },
    },
    Mistake {
        what: "an attribute is misspelt",
        template: PROTECT,
        file: ORDERS,
        find: "${token.scopes}",
        replace: "${tokn.scopes}",
        found: Found::Check { code: "P0111", place: "11" },
    },
    Mistake {
        what: "a field is misspelt",
        template: PROTECT,
        file: ORDERS,
        find: "${token.scopes}",
        replace: "${token.scope}",
        found: Found::Check { code: "P0111", place: "11" },
    },
    Mistake {
        what: "a selector is not closed",
        template: PROTECT,
        file: ORDERS,
        find: r#"X-Client = "${client.id}""#,
        replace: r#"X-Client = "${client.id""#,
        found: Found::Check { code: "P0110", place: "20" },
    },
    Mistake {
        what: "a value is misspelt",
        template: GATEWAY,
        file: FAULTS,
        find: "${values.support}",
        replace: "${values.suport}",
        found: Found::Check { code: "P0112", place: "11" },
    },
    Mistake {
        what: "two listeners have one name",
        template: GATEWAY,
        file: NODE,
        find: r#"name    = "internal""#,
        replace: r#"name    = "public""#,
        found: Found::Check { code: "P0113", place: "18" },
    },
    Mistake {
        what: "a test's expectation is misspelt",
        template: PROTECT,
        file: ORDERS,
        find: "expect  = { status = 404, reason",
        replace: "expect  = { staus = 404, reason",
        found: Found::Check { code: "P0115", place: "90" },
    },
    Mistake {
        what: "the scopes are checked before there is a token",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[filter]]
use = "oauth.validate-token"

"#,
        replace: "",
        found: Found::Check { code: "P0201", place: "8" },
    },
    Mistake {
        what: "a token that is not good lets in all the same",
        template: PROTECT,
        file: ORDERS,
        find: r#"use = "oauth.validate-token""#,
        replace: r#"use = "oauth.validate-token"
on_failure = "continue""#,
        found: Found::Check { code: "P0202", place: "12" },
    },
    Mistake {
        what: "who calls is not asked: no client authentication at the token endpoint",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"[[filter]]
use     = "oauth.authenticate-client"
methods = ["client_secret_basic", "client_secret_post"]

"#,
        replace: "",
        found: Found::Check { code: "P0201", place: "28" },
    },
    Mistake {
        what: "the request goes nowhere",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[filter]]
use      = "proxy"
upstream = "orders"

"#,
        replace: "",
        found: Found::Check { code: "P0204", place: "18" },
    },
    Mistake {
        what: "a body is read after it was sent away",
        template: PROTECT,
        file: ORDERS,
        find: "[[response]] ",
        replace: r#"[[filter]]
use = "set-header"
of = "response"
set = { x-order = "${request.json:$.id}" }

[[response]] "#,
        found: Found::Check { code: "P0206", place: "26" },
    },
    Mistake {
        what: "a token is asked for by some methods only",
        template: PROTECT,
        file: ORDERS,
        find: r#"use = "oauth.validate-token""#,
        replace: r#"use = "oauth.validate-token"
when = 'request.method != "GET"'"#,
        found: Found::Check { code: "P0207", place: "6" },
    },
    Mistake {
        what: "a route that cannot be read",
        template: PROTECT,
        file: ORDERS,
        find: r#""/orders/{*rest}""#,
        replace: r#""/orders/{*rest""#,
        found: Found::Check { code: "P0302", place: "2" },
    },
    Mistake {
        what: "two policies on one route",
        template: GATEWAY,
        file: CATALOGUE,
        find: r#""GET /catalogue/{*rest}""#,
        replace: r#""/orders/**""#,
        found: Found::Check { code: "P0301", place: "2" },
    },
    Mistake {
        what: "a listener is misspelt",
        template: GATEWAY,
        file: INTERNAL,
        find: r#""internal""#,
        replace: r#""intern""#,
        found: Found::Check { code: "P0303", place: "3" },
    },
    Mistake {
        what: "the policy for errors is misspelt",
        template: GATEWAY,
        file: NODE,
        find: r#""global/faults""#,
        replace: r#""global/fault""#,
        found: Found::Check { code: "P0107", place: "15" },
    },
    Mistake {
        what: "a data source is misspelt",
        template: GATEWAY,
        file: STORES,
        find: r#"default = "local""#,
        replace: r#"default = "shred""#,
        found: Found::Check { code: "P0401", place: "3" },
    },
    Mistake {
        what: "records that one node sees, and two nodes",
        template: GATEWAY,
        file: NODE,
        find: "nodes = 1",
        replace: "nodes = 2",
        found: Found::Check { code: "P0402", place: "stores/stores.toml:3" },
    },
    Mistake {
        what: "no default for stores",
        template: TOKEN_SERVER,
        file: STORES,
        find: r#"default = "local"                  # the data source of every store that names none
"#,
        replace: "",
        found: Found::Check { code: "P0102", place: "1" },
    },
    Mistake {
        what: "a password in clear text",
        template: GATEWAY,
        file: STORES,
        find: r#"{ env = "DATABASE_URL" }"#,
        replace: r#""postgres://gateway:secret@db.example.com/oauth""#,
        found: Found::Check { code: "P0005", place: "11" },
    },
    Mistake {
        what: "a time limit without a unit",
        template: PROTECT,
        file: NODE,
        find: r#"connect = "1s""#,
        replace: r#"connect = "1""#,
        found: Found::Check { code: "P0103", place: "7" },
    },
    Mistake {
        what: "an upstream that is the node's own admin address",
        template: PROTECT,
        file: NODE,
        find: "http://127.0.0.1:9001",
        replace: "http://127.0.0.1:8090",
        found: Found::Check { code: "P0103", place: "6" },
    },
    Mistake {
        what: "an issuer in plain http",
        template: TOKEN_SERVER,
        file: SERVER,
        find: r#"# issuer = "https://"#,
        replace: r#"issuer = "http://"#,
        found: Found::Check { code: "P0501", place: "6" },
    },
    Mistake {
        what: "an environment variable that nobody sets",
        template: GATEWAY,
        file: SERVER,
        find: r#"{ env = "ISSUER", default = "http://127.0.0.1:8080" }"#,
        replace: r#"{ env = "NO_SUCH_ISSUER" }"#,
        found: Found::Check { code: "P0006", place: "4" },
    },
    Mistake {
        what: "tokens that live longer than the server allows",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"lifetime = "1h""#,
        replace: r#"lifetime = "90d""#,
        found: Found::Check { code: "P0103", place: "26" },
    },
    Mistake {
        what: "the scope check is gone",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[filter]]
use     = "oauth.check-scope"
by      = "${request.method}"
asked   = { GET = ["orders:read"], POST = ["orders:write"] }      # a method without an entry is refused
allowed = "${token.scopes}"

"#,
        replace: "",
        found: Found::Test("orders: POST with orders:read: 403"),
    },
    Mistake {
        what: "the wrong scope for writing",
        template: PROTECT,
        file: ORDERS,
        find: r#"POST = ["orders:write"]"#,
        replace: r#"POST = ["orders:read"]"#,
        found: Found::Test("orders: POST with orders:write: 200"),
    },
    Mistake {
        what: "one scope of several will do",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"allowed = "${grant.scopes}""#,
        replace: r#"allowed = "${grant.scopes}"
match = "any""#,
        found: Found::Test("oauth/token: more scope than the client has is refused"),
    },
    Mistake {
        what: "a method more, by the scope for reading",
        template: PROTECT,
        file: ORDERS,
        find: r#"GET = ["orders:read"]"#,
        replace: r#"GET = ["orders:read"], DELETE = ["orders:read"]"#,
        found: Found::Test("orders: DELETE with orders:read orders:write: 403"),
    },
    Mistake {
        what: "the rate limit is gone",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[filter]]
use   = "rate-limit"
key   = "${client.id}"
limit = "100/1s"

"#,
        replace: "",
        found: Found::Test("orders: each client has a limit of its own, and after a while there is room again"),
    },
    Mistake {
        what: "one rate limit for all clients together",
        template: PROTECT,
        file: ORDERS,
        find: r#"key   = "${client.id}"
"#,
        replace: "",
        found: Found::Test("orders: each client has a limit of its own, and after a while there is room again"),
    },
    Mistake {
        what: "the headers of each answer are gone",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[response]]                                                      # on every answer, refusals included
use = "security-headers"

"#,
        replace: "",
        found: Found::Test("orders: no token: asked for one, and the API hears nothing of it"),
    },
    Mistake {
        what: "the API is not told who calls",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[filter]]
use = "set-header"
set = { X-Client = "${client.id}" }                               # whatever a caller sent under this name is gone

"#,
        replace: "",
        found: Found::Test("orders: a reader reads; the API is told who it is, and not its token"),
    },
    Mistake {
        what: "the token goes on to the API",
        template: PROTECT,
        file: ORDERS,
        find: r#"use = "oauth.validate-token""#,
        replace: r#"use = "oauth.validate-token"
keep_credential = true"#,
        found: Found::Test("orders: a reader reads; the API is told who it is, and not its token"),
    },
    Mistake {
        what: "a route that is too wide",
        template: PROTECT,
        file: ORDERS,
        find: r#""/orders/{*rest}""#,
        replace: r#""/{*rest}""#,
        found: Found::Test("orders: what is not below /orders is not here"),
    },
    Mistake {
        what: "a route for partners that was for the internal listener",
        template: GATEWAY,
        file: INTERNAL,
        find: r#"listener    = "internal"
"#,
        replace: "",
        found: Found::Test("partners/orders: DELETE with orders:read orders:write orders:admin: 403"),
    },
    Mistake {
        what: "what is internal asks for a scope that partners have",
        template: GATEWAY,
        file: INTERNAL,
        find: r#"["orders:admin"]"#,
        replace: r#"["orders:write"]"#,
        found: Found::Test("internal/orders: a partner that got this far is refused"),
    },
    Mistake {
        what: "the API gets a path that it does not know",
        template: GATEWAY,
        file: CATALOGUE,
        find: r#"rewrite  = "/v3/${path.rest}"
"#,
        replace: "",
        found: Found::Test(
            "partners/catalogue: who may read the catalogue reads it, under the path that the API knows",
        ),
    },
    Mistake {
        what: "refusals answered as if the API were down",
        template: GATEWAY,
        file: FAULTS,
        find: r#"when    = 'failure.filter == "proxy" && failure.status >= 500'
"#,
        replace: "",
        found: Found::Test("partners/orders: no token: asked for one, and the API hears nothing of it"),
    },
    Mistake {
        what: "a listener without its headers",
        template: GATEWAY,
        file: NODE,
        find: r#"after    = ["global/headers"]                     # runs on every answer
"#,
        replace: "",
        found: Found::Test("partners/orders: no token: asked for one, and the API hears nothing of it"),
    },
    Mistake {
        what: "tokens that live a day in place of an hour",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"lifetime = "1h""#,
        replace: r#"lifetime = "24h""#,
        found: Found::Test("oauth/token: a token by client credentials, with HTTP Basic"),
    },
    Mistake {
        what: "the wrong OAuth error",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"error = "unsupported_grant_type""#,
        replace: r#"error = "invalid_grant""#,
        found: Found::Test("oauth/token: a grant that is not offered is refused"),
    },
    Mistake {
        what: "a secret is taken in one way only",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"["client_secret_basic", "client_secret_post"]"#,
        replace: r#"["client_secret_basic"]"#,
        found: Found::Test("oauth/token: a token by client credentials, with the secret in the form"),
    },
];
