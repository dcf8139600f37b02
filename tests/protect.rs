//! A protected API: RFC 6750, and the filters that stand before it.

use crate::harness::folder::{Client, altered};
use crate::harness::upstream::Upstream;
use crate::harness::{Folder, Node, wait_until};

/// `/orders/...`: GET by one scope, POST by another, and nothing else, before an upstream that tells what it got.
const ORDERS: &str = r#"
route = "/orders/{*rest}"

[[filter]]
use = "oauth.validate-token"

[[filter]]
use     = "oauth.check-scope"
by      = "${request.method}"
asked   = { GET = ["orders:read"], POST = ["orders:write"] }
allowed = "${token.scopes}"

[[filter]]
use = "set-header"
set = { X-Client = "${client.id}", X-Scope = "${token.scopes}" }

[[filter]]
use      = "proxy"
upstream = "orders"

[[response]]
use = "security-headers"
"#;

struct Api {
    folder: Folder,
    upstream: Upstream,
    client: Client,
}

fn api() -> Api {
    let folder = Folder::shipped();
    let upstream = Upstream::echo();
    folder.append("node.toml", &upstream.toml("orders"));
    folder.write("policies/orders.toml", ORDERS);
    let client = folder.client("app", "orders:read orders:write other", &[]);
    Api { folder, upstream, client }
}

impl Api {
    fn token(&self, node: &Node, scope: &str) -> String {
        let json = node.ask_token(&self.client, &[("scope", scope)]).status(200).json();
        crate::harness::folder::text(&json, "access_token")
    }
}

/// D16, D17, D18.
#[test]
fn who_comes_in_and_who_does_not() {
    let api = api();
    let node = Node::start(&api.folder);
    let (read, write, other) =
        (api.token(&node, "orders:read"), api.token(&node, "orders:write"), api.token(&node, "other"));
    let ask = |method: &str, token: &str| node.request(method, "/orders/1").bearer(token).send();

    let none = node.get("/orders/1").send().status(401);
    let challenge = none.header("www-authenticate").expect("a challenge").to_owned();
    assert!(challenge.starts_with("Bearer") && !challenge.contains("error"), "no credentials, no error: {challenge}");

    let changed = altered(&read);
    for bad in ["nonsense", "pca_", &changed] {
        let refused = ask("GET", bad).status(401);
        assert!(
            refused.header("www-authenticate").is_some_and(|c| c.contains("error=\"invalid_token\"")),
            "{refused:?}"
        );
    }

    let refused = ask("GET", &other).status(403);
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"orders:read\""),
        "{challenge}"
    );

    ask("GET", &read).status(200);
    ask("POST", &read).status(403);
    ask("POST", &write).status(200);
    ask("GET", &write).status(403);
    for method in ["DELETE", "PUT", "PATCH"] {
        ask(method, &read).status(403);
    }
    assert_eq!(ask("HEAD", &read).status, 200, "HEAD is served as GET, and uses its entry");
    assert_eq!(ask("HEAD", &write).status, 403);
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        node.get("/orders/1").header("Authorization", &format!("{scheme} {read}")).send().status(200);
    }
    assert_eq!(api.upstream.heads().len(), 6, "nobody else reached the upstream");
}

/// D15, D19: one token, and only where it is looked for.
#[test]
fn one_token_in_its_place() {
    let api = api();
    let node = Node::start(&api.folder);
    let token = api.token(&node, "orders:read orders:write");
    let form = [("access_token", token.as_str())];
    node.get(&format!("/orders/1?access_token={token}")).bearer(&token).send().status(400);
    node.get("/orders/1").bearer(&token).bearer(&token).send().status(400);
    node.get(&format!("/orders/1?access_token={token}")).send().status(401);
    node.post("/orders/1").form(&form).send().status(401);
    node.get("/orders/1").header("Authorization", "Bearer").send().status(400);
    node.get("/orders/1").header("Authorization", &format!("Bearer {token} {token}")).send().status(400);
    let basic = node.get("/orders/1").basic("app", &api.client.secret).send().status(401);
    assert!(basic.header("www-authenticate").is_some_and(|c| c.starts_with("Bearer") && !c.contains("error")));
    assert!(api.upstream.heads().is_empty());

    // Where the body is looked at too, it counts as one way; and only a form in it, and not with GET.
    api.folder.edit(
        "policies/orders.toml",
        "use = \"oauth.validate-token\"",
        "use = \"oauth.validate-token\"\nfrom = [\"header\", \"form\"]",
    );
    node.reload();
    node.post("/orders/1").form(&form).send().status(200);
    node.post("/orders/1").bearer(&token).form(&form).send().status(400);
    let body = format!("access_token={token}");
    node.post("/orders/1").header("Content-Type", "text/plain").body(body.clone()).send().status(401);
    node.get("/orders/1").header("Content-Type", "application/x-www-form-urlencoded").body(body).send().status(401);
}

/// D50: what the gateway says of the caller is the gateway's word alone; and the token stays here.
#[test]
fn forged_headers_do_not_reach_the_upstream() {
    let api = api();
    let node = Node::start(&api.folder);
    let token = api.token(&node, "orders:read");
    let request = node.get("/orders/1?x=1").bearer(&token);
    let forged = [
        ("X-Client", "admin"),
        ("x-client", "root"),
        ("X-Scope", "everything"),
        ("Forwarded", "for=1.2.3.4;host=evil"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Port", "443"),
        ("X-Real-IP", "1.2.3.4"),
    ];
    forged.iter().fold(request, |request, (name, value)| request.header(name, value)).send().status(200);
    let head = &api.upstream.heads()[0];
    let all = |name: &str| crate::harness::upstream::values(head, name);
    assert_eq!(head[0], "GET /orders/1?x=1 HTTP/1.1");
    assert_eq!(all("x-client"), ["app"]);
    assert_eq!(all("x-scope"), ["orders:read"]);
    assert_eq!(all("authorization"), Vec::<String>::new(), "the token stays at the gateway");
    let whole = head.join("\n").to_ascii_lowercase();
    for word in ["1.2.3.4", "evil", "admin", "root", "everything", "-port", token.as_str()] {
        assert!(!whole.contains(word), "`{word}` came through:\n{whole}");
    }
}

/// A client that names a header in `Connection` asks for it to be dropped: not one that the gateway put there.
#[test]
fn the_gateways_headers_are_not_the_connections() {
    let api = api();
    let node = Node::start(&api.folder);
    let token = api.token(&node, "orders:read");
    let names = "close, X-Client, x-scope, X-Forwarded-For, Via, Host";
    node.get("/orders/1").bearer(&token).header("Connection", names).send().status(200);
    let head = &api.upstream.heads()[0];
    let all = |name: &str| crate::harness::upstream::values(head, name);
    assert_eq!((all("x-client"), all("x-scope")), (vec![String::from("app")], vec![String::from("orders:read")]));
    assert_eq!(all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all("host"), [api.upstream.address.to_string()]);
}

/// With an underscore in it a header means the same to many upstreams.
#[test]
fn forged_headers_in_disguise() {
    let api = api();
    let node = Node::start(&api.folder);
    let token = api.token(&node, "orders:read");
    let disguised = ["X_Client", "x_scope", "Content_Length", "Transfer_Encoding", "Proxy_Authorization", "X_Real-IP"];
    for name in disguised {
        node.get("/orders/1").bearer(&token).header(name, "admin").send().status(200);
    }
    // A space before the colon: no HTTP, so the connection is closed, with or without an answer.
    let answer = node.get("/orders/1").bearer(&token).header("x-scope ", "all").try_send();
    assert!(answer.is_none_or(|answer| answer.status == 400));
    assert!(api.upstream.heads().len() >= disguised.len());
    for head in api.upstream.heads() {
        let whole = head.join("\n").to_ascii_lowercase();
        assert!(!whole.contains("admin") && !whole.contains(": all"), "{whole}");
    }
}

/// What a policy judged by one spelling does not go on by the other, which nobody looked at.
#[test]
fn a_header_that_a_policy_reads_goes_on_in_that_spelling_alone() {
    let api = api();
    api.folder.write(
        "policies/role.toml",
        "route = \"/role\"\n[[filter]]\nuse = \"require\"\nthat = 'request.header[\"x-role\"] == \"user\"'\n\
         [[filter]]\nuse = \"proxy\"\nupstream = \"orders\"\n",
    );
    let node = Node::start(&api.folder);
    let asks = || node.get("/role").header("X-Role", "user").header("X_Other", "kept");
    asks().header("X_Role", "admin").send().status(200);
    let head = api.upstream.heads().concat();
    let all = |name: &str| crate::harness::upstream::values(&head, name);
    assert_eq!((all("x-role"), all("x_other")), (vec![String::from("user")], vec![String::from("kept")]));
    assert!(all("x_role").is_empty(), "{head:?}");
    assert_ne!(asks().header("X-Role", "admin").send().status, 200, "two of one spelling are one value, of both");
}

#[test]
fn every_answer_has_the_response_filters_headers() {
    let api = api();
    let node = Node::start(&api.folder);
    let token = api.token(&node, "orders:read");
    for response in [
        node.get("/orders/1").bearer(&token).send().status(200),
        node.get("/orders/1").send().status(401),
        node.post("/orders/1").bearer(&token).send().status(403),
    ] {
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{response:?}");
    }
}

/// What the upstream said is no JSON, so that nothing can be taken out of it, and it does not go out.
#[test]
fn the_answer_in_the_place_of_one_that_cannot_be_edited_has_them_too() {
    let edit = "[[response]]\nuse = \"json-edit\"\nof = \"response\"\nremove = [\"$.password\"]\n";
    let headers = "[[response]]\nuse = \"security-headers\"\n";
    let marked = "[[response]]\nuse = \"set-header\"\nof = \"response\"\nwhen = \"response.status == 200\"\nset = { cache-control = \"max-age=60\" }\n";
    for response in [[headers, marked, edit], [marked, edit, headers]] {
        let folder = Folder::empty();
        let respond = "[[filter]]\nuse = \"respond\"\ntext = \"password: secret\"\n";
        folder.write("policies/a.toml", &format!("route = \"/a\"\n{respond}{}", response.concat()));
        let node = Node::start(&folder);
        let answer = node.get("/a").send().status(502);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer:?}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{answer:?}");
        assert_ne!(answer.header("cache-control"), Some("max-age=60"), "{answer:?}");
        assert!(!answer.text().contains("secret"), "{answer:?}");
    }
}

#[test]
fn a_revoked_token_and_a_disabled_client() {
    let api = api();
    let node = Node::start(&api.folder);
    let token = api.token(&node, "orders:read");
    let ask = |token: &str| node.get("/orders/1").bearer(token).send();
    ask(&token).status(200);
    let revoke = [("token", token.as_str())];
    node.post("/api/oauth/revoke").basic("app", &api.client.secret).form(&revoke).send().status(200);
    let refused = ask(&token).status(401);
    assert!(refused.header("www-authenticate").is_some_and(|c| c.contains("invalid_token")));
    let token = api.token(&node, "orders:read");
    ask(&token).status(200);
    api.folder.run(["client", "disable", "app"]).code(0);
    wait_until("refused", || ask(&token).status == 401);
}

/// The other filters of this issue, each through the program.
#[test]
fn filters_before_an_answer_of_our_own() {
    let folder = Folder::shipped();
    folder.write(
        "policies/hello.toml",
        r#"
route = "POST /hello/{name}"

[[filter]]
use   = "json-path"
into  = { amount = "$.order.amount" }

[[filter]]
use  = "set"
vars = { greeting = "hello ${path.name}" }

[[filter]]
use    = "require"
that   = "vars.amount > 10"
status = 409
reason = "too-little"

[[filter]]
use     = "respond"
status  = 201
headers = { X-Greeting = "${vars.greeting}" }
json    = { amount = "${vars.amount}", text = "${vars.greeting}!" }
"#,
    );
    folder.write(
        "policies/gone.toml",
        "route = \"/gone\"\n[[filter]]\nuse = \"fail\"\nstatus = 410\nreason = \"gone\"\n",
    );
    folder.write(
        "policies/limited.toml",
        "route = \"/limited\"\n[[filter]]\nuse = \"rate-limit\"\nlimit = \"2/1h\"\n[[filter]]\nuse = \"respond\"\ntext = \"ok\"\n",
    );
    let node = Node::start(&folder);
    let hello =
        |body: &str| node.post("/hello/w%C3%B6rld").header("Content-Type", "application/json").body(body).send();
    let answer = hello(r#"{"order": {"amount": 12}}"#).status(201);
    assert_eq!(answer.json(), serde_json::json!({ "amount": 12, "text": "hello wörld!" }));
    hello(r#"{"order": {"amount": 9}}"#).status(409);
    let missing = hello("{}");
    assert!((400..500).contains(&missing.status), "{missing:?}");
    assert_eq!(hello("{").status(400).header("content-type"), Some("application/problem+json"));
    let refused = node.get("/gone").send().status(410);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert!(!refused.text().contains("gone.toml"), "never an internal name");
    node.get("/limited").send().status(200);
    node.get("/limited").send().status(200);
    let limited = node.get("/limited").send().status(429);
    assert!(limited.header("retry-after").and_then(|v| v.parse::<u32>().ok()).is_some_and(|s| s > 0), "{limited:?}");
    node.get("/nowhere").send().status(404);
    let method = node.get("/hello/x").send().status(405);
    assert_eq!(method.header("allow"), Some("POST"));
}

/// What is sent to an OAuth endpoint with another method stays here, whoever stands behind all other paths.
#[test]
fn a_catch_all_gets_no_credentials_of_the_oauth_endpoints() {
    let folder = Folder::shipped();
    let upstream = Upstream::echo();
    folder.append("node.toml", &upstream.toml("site"));
    folder.write("policies/site.toml", "route = \"/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"site\"\n");
    let node = Node::start(&folder);
    for (path, allow) in
        [("token", "POST, OPTIONS"), ("introspect?token=secret", "POST"), ("revoke?token=secret", "POST, OPTIONS")]
    {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let path = format!("/api/oauth/{path}");
            let refused = node.request(method, &path).basic("app", "secret").send();
            let status = if method == "OPTIONS" && allow.contains(method) { 204 } else { 405 };
            assert_eq!((refused.status, refused.header("allow")), (status, Some(allow)), "{method} {path}");
        }
    }
    assert_eq!(upstream.heads(), Vec::<Vec<String>>::new());
    node.get("/anything/else").send().status(200);
    assert_eq!(upstream.heads().len(), 1);
}

/// What docs/policies.md says of paths: a parameter and an encoded slash are part of their segment, and so is the case.
#[test]
fn paths_that_an_upstream_may_read_otherwise() {
    let folder = Folder::shipped();
    let upstream = Upstream::echo();
    folder.append("node.toml", &upstream.toml("site"));
    folder.write("policies/site.toml", "route = \"/{*rest}\"\n[[filter]]\nuse = \"proxy\"\nupstream = \"site\"\n");
    folder.write("policies/admin.toml", "route = \"/admin/**\"\n[[filter]]\nuse = \"fail\"\nreason = \"admin\"\n");
    let node = Node::start(&folder);
    for path in
        ["/admin", "/admin/", "/admin/y", "/admin/;x=1/y", "/%61dmin/y", "/admin/%2Fy", "//admin/y", "/./admin/y"]
    {
        let status = node.get(path).send().status;
        assert!([400, 403].contains(&status), "{path}: {status}");
    }
    assert_eq!(upstream.heads(), Vec::<Vec<String>>::new());
    for path in ["/admin;x=1/y", "/admin;/y", "/admin%3B/y", "/admin%2Fy", "/Admin/y"] {
        node.get(path).send().status(200);
        let head = &upstream.heads().pop().expect("it came through")[0];
        assert_eq!(*head, format!("GET {path} HTTP/1.1"));
    }
}
