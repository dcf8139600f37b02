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
    /// `check`, with this code, in this line of the file, or at `FILE:LINE`.
    Check { code: &'static str, place: &'static str },
    /// `test`: this one fails, and `check` has nothing to say.
    Test(&'static str),
    /// `test --mutants`: this one survives, `POLICY MUTANT`, and neither of the others has anything to say.
    Mutants(&'static str),
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
        found: Found::Check { code: "P0002", place: "24" },
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
        replace: r#"use = "xml-to-json""#,
        found: Found::Check { code: "P0004", place: "27" },
    },
    Mistake {
        what: "a setting is misspelt",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: "methods = [",
        replace: "method = [",
        found: Found::Check { code: "P0101", place: "12" },
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
        found: Found::Check { code: "P0106", place: "21" },
    },
    Mistake {
        what: "a `switch` lacks its case, and its chain is never reached",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"client_credentials = "client-credentials"
"#,
        replace: "",
        found: Found::Check { code: "P0203", place: "41" },
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
        found: Found::Check { code: "P0209", place: "16" },
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
        found: Found::Check { code: "P0205", place: "policies/partners/orders.toml:16" },
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
        found: Found::Check { code: "P0112", place: "10" },
    },
    Mistake {
        what: "two listeners have one name",
        template: GATEWAY,
        file: NODE,
        find: r#"name    = "internal""#,
        replace: r#"name    = "public""#,
        found: Found::Check { code: "P0113", place: "17" },
    },
    Mistake {
        what: "a listener has the admin address",
        template: GATEWAY,
        file: NODE,
        find: r#"address = "127.0.0.1:8081""#,
        replace: r#"address = "127.0.0.1:8090""#,
        found: Found::Check { code: "P0113", place: "17" },
    },
    Mistake {
        what: "an upstream leads back to the node",
        template: GATEWAY,
        file: NODE,
        find: "http://127.0.0.1:9001",
        replace: "http://127.0.0.1:8080",
        found: Found::Check { code: "P0718", place: "22" },
    },
    Mistake {
        what: "a test's expectation is misspelt",
        template: PROTECT,
        file: ORDERS,
        find: "expect  = { status = 404, reason",
        replace: "expect  = { staus = 404, reason",
        found: Found::Check { code: "P0115", place: "89" },
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
        found: Found::Check { code: "P0204", place: "19" },
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
        found: Found::Check { code: "P0206", place: "27" },
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
        found: Found::Check { code: "P0301", place: "policies/partners/orders.toml:2" },
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
        found: Found::Check { code: "P0501", place: "5" },
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
        template: GATEWAY,
        file: TOKEN,
        find: r#"lifetime = "1h""#,
        replace: r#"lifetime = "2h""#,
        found: Found::Check { code: "P0103", place: "33" },
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
        found: Found::Test("partners/orders: a reader reads; the API is told who it is, and not its token"),
    },
    Mistake {
        what: "what is internal asks for a scope that partners have",
        template: GATEWAY,
        file: INTERNAL,
        find: r#"["orders:admin"]"#,
        replace: r#"["orders:write"]"#,
        found: Found::Check { code: "P0708", place: "policies/oauth/server.toml:9" },
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
    Mistake {
        what: "a route on which nothing decides who may pass",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[filter]]
use = "oauth.validate-token"

[[filter]]
use     = "oauth.check-scope"
by      = "${request.method}"
asked   = { GET = ["orders:read"], POST = ["orders:write"] }      # a method without an entry is refused
allowed = "${token.scopes}"

[[filter]]
use   = "rate-limit"
key   = "${client.id}"
limit = "100/1s"

[[filter]]
use = "set-header"
set = { X-Client = "${client.id}" }                               # whatever a caller sent under this name is gone

"#,
        replace: "",
        found: Found::Check { code: "P0704", place: "2" },
    },
    Mistake {
        what: "what is kept is given without asking the limit",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[filter]]
use   = "rate-limit"
"#,
        replace: r#"[[filter]]
use = "cache"
key = "${client.id}"

[[filter]]
use   = "rate-limit"
"#,
        found: Found::Check { code: "P0716", place: "18" },
    },
    Mistake {
        what: "what was made for one client is given to another",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[filter]]
use = "set-header"
"#,
        replace: r#"[[filter]]
use = "cache"
key = "all"

[[filter]]
use = "set-header"
"#,
        found: Found::Check { code: "P0717", place: "24" },
    },
    Mistake {
        what: "a policy without a test",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[test]]
name    = "no token: asked for one, and the API hears nothing of it"
request = { path = "/orders/1" }
expect  = { status = 401, headers = { www-authenticate = 'Bearer realm="api"', x-content-type-options = "nosniff" }, upstreams = { orders = [] } }

[[test]]
name    = "a reader reads; the API is told who it is, and not its token"
given   = { clients = [{ id = "shop" }], tokens = [{ token = "reader", client = "shop", scope = "orders:read" }], upstreams = { orders = { json = { id = 1 } } } }
request = { path = "/orders/1", bearer = "reader", headers = { x-client = "somebody else" } }

[test.expect]
status    = 200
json      = { "$.id" = 1 }
headers   = { x-content-type-options = "nosniff" }
upstreams = { orders = [{ method = "GET", path = "/orders/1", headers = { x-client = "shop", authorization = false } }] }

[[test]]
name    = "${case.method} with ${case.scope}: ${case.status}"
given   = { clients = [{ id = "shop" }], tokens = [{ token = "t", client = "shop", scope = "${case.scope}" }], upstreams = { orders = {} } }
request = { method = "${case.method}", path = "/orders/1", bearer = "t" }
expect  = { status = "${case.status}" }
cases   = [
    { method = "GET", scope = "orders:write", status = 403 },
    { method = "POST", scope = "orders:write", status = 200 },
    { method = "POST", scope = "orders:read", status = 403 },
    { method = "DELETE", scope = "orders:read orders:write", status = 403 },     # nobody deletes
]

[[test]]
name  = "each client has a limit of its own, and after a while there is room again"
given = { clients = [{ id = "shop" }, { id = "kiosk" }], tokens = [{ token = "s", client = "shop", scope = "orders:read" }, { token = "k", client = "kiosk", scope = "orders:read" }], upstreams = { orders = {} } }

[[test.step]]
times   = 100
request = { path = "/orders/1", bearer = "s" }
expect  = { status = 200, headers = { ratelimit-policy = '"100-per-1s";q=100;w=1' } }

[[test.step]]
request = { path = "/orders/1", bearer = "s" }
expect  = { status = 429, reason = "rate-limited", upstreams = { orders = [] } }

[[test.step]]
request = { path = "/orders/1", bearer = "k" }
expect  = { status = 200 }

[[test.step]]
advance = "10ms"
request = { path = "/orders/1", bearer = "s" }
expect  = { status = 200 }

[[test]]
name    = "an API that does not answer, a store that is down: a fault, never a way in"
given   = { clients = [{ id = "shop" }], tokens = [{ token = "reader", client = "shop", scope = "orders:read" }], upstreams = { orders = { fail = "timeout" } }, stores = { access-token = "${case.store}" } }
request = { path = "/orders/1", bearer = "reader" }
expect  = { status = "${case.status}", outcome = "abort" }
cases   = [{ store = "up", status = 504 }, { store = "down", status = 503 }]

[[test]]
name    = "what is not below /orders is not here"
request = { path = "/other", bearer = "any" }
expect  = { status = 404, reason = "not-found" }
"#,
        replace: "",
        found: Found::Check { code: "P0705", place: "2" },
    },
    Mistake {
        what: "a scope is misspelt where it is asked for",
        template: GATEWAY,
        file: CATALOGUE,
        find: r#"["catalogue:read"]"#,
        replace: r#"["catalogue:raed"]"#,
        found: Found::Check { code: "P0707", place: "9" },
    },
    Mistake {
        what: "a token is taken from the URL",
        template: PROTECT,
        file: ORDERS,
        find: r#"use = "oauth.validate-token""#,
        replace: r#"use = "oauth.validate-token"
from = ["header", "query"]"#,
        found: Found::Check { code: "P0709", place: "6" },
    },
    Mistake {
        what: "an upstream without time limits",
        template: PROTECT,
        file: NODE,
        find: r#"timeouts = { connect = "1s", first_byte = "10s", idle = "60s" }
"#,
        replace: "",
        found: Found::Check { code: "P0710", place: "5" },
    },
    Mistake {
        what: "an upstream that nothing uses any more",
        template: PROTECT,
        file: NODE,
        find: "[upstream.orders]",
        replace: r#"[upstream.old-orders]
targets = ["http://127.0.0.1:9000"]
timeouts = { connect = "1s", first_byte = "10s", idle = "60s" }

[upstream.orders]"#,
        found: Found::Check { code: "P0702", place: "5" },
    },
    Mistake {
        what: "a value that nothing uses any more",
        template: GATEWAY,
        file: FAULTS,
        find: r#", support = "${values.support}""#,
        replace: "",
        found: Found::Check { code: "P0703", place: "node.toml:9" },
    },
    Mistake {
        what: "a store that nothing uses",
        template: TOKEN_SERVER,
        file: STORES,
        find: r#"default = "local""#,
        replace: r#"store.old-tokens = { kind = "access-token", source = "old" }
source.old = { type = "sqlite", path = "var/old.db" }
default = "local""#,
        found: Found::Check { code: "P0701", place: "3" },
    },
    Mistake {
        what: "tokens that live for a week",
        template: TOKEN_SERVER,
        file: TOKEN,
        find: r#"lifetime = "1h""#,
        replace: r#"lifetime = "7d""#,
        found: Found::Check { code: "P0711", place: "33" },
    },
    Mistake {
        what: "an admin address for the world",
        template: PROTECT,
        file: NODE,
        find: "[upstream.orders]",
        replace: r#"[admin]
address = "0.0.0.0:8090"

[upstream.orders]"#,
        found: Found::Check { code: "P0713", place: "6" },
    },
    Mistake {
        what: "a test case is deleted: who may read may write",
        template: PROTECT,
        file: ORDERS,
        find: r#"    { method = "POST", scope = "orders:read", status = 403 },
"#,
        replace: "",
        found: Found::Mutants("orders oauth.check-scope:asked POST emptied"),
    },
    Mistake {
        what: "a test no longer looks at what the API gets",
        template: PROTECT,
        file: ORDERS,
        find: r#"upstreams = { orders = [{ method = "GET", path = "/orders/1", headers = { x-client = "shop", authorization = false } }] }
"#,
        replace: "",
        found: Found::Mutants("orders set-header:removed"),
    },
    Mistake {
        what: "the test of the scope for deleting is deleted",
        template: GATEWAY,
        file: INTERNAL,
        find: r#"[[test]]
name    = "a partner that got this far is refused"
given   = { clients = [{ id = "shop" }], tokens = [{ token = "partner", client = "shop", scope = "orders:read orders:write" }] }
request = { path = "/orders/1", bearer = "partner" }
expect  = { status = 403, reason = "insufficient_scope" }

"#,
        replace: "",
        found: Found::Mutants("internal/orders oauth.check-scope:failure-inverted"),
    },
    Mistake {
        what: "the test of the limit is deleted",
        template: PROTECT,
        file: ORDERS,
        find: r#"[[test]]
name  = "each client has a limit of its own, and after a while there is room again"
given = { clients = [{ id = "shop" }, { id = "kiosk" }], tokens = [{ token = "s", client = "shop", scope = "orders:read" }, { token = "k", client = "kiosk", scope = "orders:read" }], upstreams = { orders = {} } }

[[test.step]]
times   = 100
request = { path = "/orders/1", bearer = "s" }
expect  = { status = 200, headers = { ratelimit-policy = '"100-per-1s";q=100;w=1' } }

[[test.step]]
request = { path = "/orders/1", bearer = "s" }
expect  = { status = 429, reason = "rate-limited", upstreams = { orders = [] } }

[[test.step]]
request = { path = "/orders/1", bearer = "k" }
expect  = { status = 200 }

[[test.step]]
advance = "10ms"
request = { path = "/orders/1", bearer = "s" }
expect  = { status = 200 }

"#,
        replace: "",
        found: Found::Mutants("orders rate-limit:removed"),
    },
];
