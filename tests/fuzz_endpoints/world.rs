//! A node with clients and people, and everything there that is good: codes, tokens, sessions, forms.

use crate::harness::browser::{Browser, location, resume};
use crate::harness::folder::{Client, altered, text};
use crate::harness::{Folder, Node, Response};

/// The path of each endpoint.
pub const AUTHORIZE: &str = "/api/oauth/authorize";
pub const TOKEN: &str = "/api/oauth/token";
pub const DEVICE: &str = "/api/oauth/device";
pub const VERIFY: &str = "/api/oauth/verify";
pub const GRANTED: &str = "/api/oauth/granted";
pub const INTROSPECT: &str = "/api/oauth/introspect";
pub const REVOKE: &str = "/api/oauth/revoke";
pub const TOKENINFO: &str = "/api/oauth/tokeninfo";
pub const USERINFO: &str = "/api/oauth/userinfo";
pub const JWKS: &str = "/api/oauth/jwks";
pub const REGISTER: &str = "/api/oauth/register";
pub const METADATA: &str = "/.well-known/oauth-authorization-server";
pub const OPENID: &str = "/.well-known/openid-configuration";

pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The redirect URIs of `app`; that of `native` may have any port.
pub const CALLBACKS: [&str; 2] = ["https://app.example/cb", "https://app.example/other?x=1"];
pub const LOOPBACK: &str = "http://127.0.0.1/done";
const PASSWORD: &str = "correct horse battery";
/// The password of `eve`, whom the fuzz logs in; nobody but her is ever locked by it.
pub const EVES: &str = "eves own password";

/// What does not change.
pub struct World {
    _folder: Folder,
    pub node: Node,
    /// A client for every grant.
    pub app: Client,
    /// Another one, for client credentials.
    pub other: Client,
    /// The token that lets clients register.
    pub initial: String,
}

/// What is good now, until something of the fuzz uses it up.
#[derive(Clone, Default)]
pub struct Good {
    pub code: String,
    pub used_code: String,
    pub access: String,
    pub refresh: String,
    pub rotated: String,
    pub id_token: String,
    pub others: String,
    pub device_code: String,
    pub user_code: String,
    /// A browser in which `ann` is logged in.
    pub cookies: Vec<(String, String)>,
    /// The forms of its pages.
    pub forms: Forms,
    /// Where a client that registered itself is managed, and its token for that.
    pub managed: (String, String),
}

/// What the hidden fields of forms carry.
#[derive(Clone, Default)]
pub struct Forms {
    pub login: String,
    pub consent: String,
    pub user_code: String,
    pub decide: String,
    pub withdraw: String,
}

impl World {
    pub fn start() -> World {
        let folder = Folder::shipped();
        // How many may come is for other tests.
        folder.edit("policies/oauth/verify.toml", "limit = \"5/10m\"", "limit = \"100000/1s\"");
        folder.edit("policies/oauth/register.toml", "limit = \"30/1m\"", "limit = \"100000/1s\"\nburst = 100000");
        folder.edit("policies/oauth/register.toml", "routes      = []", "route = \"POST /api/oauth/register\"");
        let routes = ["GET", "PUT", "DELETE"].map(|method| format!("\"{method} {REGISTER}/{{client}}\"")).join(", ");
        folder.edit("policies/oauth/registration.toml", "routes      = []", &format!("routes = [{routes}]"));
        for (name, password) in [("ann", PASSWORD), ("eve", EVES)] {
            folder.write("secrets/password", password);
            let file = folder.at("secrets/password");
            folder.run(["user", "add", name, "--password-file", file.to_str().unwrap()]).code(0);
        }
        let grants = ["authorization_code", "refresh_token", DEVICE_GRANT].map(|grant| ["--grant", grant]).concat();
        let uris = CALLBACKS.map(|uri| ["--redirect-uri", uri]).concat();
        let app = folder.client("app", "openid offline_access a b", &[grants, uris].concat());
        folder.client("native", "a", &["--grant", "authorization_code", "--redirect-uri", LOOPBACK]);
        let other = folder.client("other", "a", &[]);
        let registrar = folder.client("registrar", "clients:register", &[]);
        let node = Node::start(&folder);
        let initial = node.token(&registrar);
        World { _folder: folder, node, app, other, initial }
    }

    /// A client that registers itself: where it is managed, and its token for that.
    fn registered(&self) -> (String, String) {
        let asked = serde_json::json!({ "redirect_uris": ["https://new.example/cb"] }).to_string();
        let asked = self.node.post(REGISTER).header("Content-Type", "application/json").body(asked);
        let registered = asked.bearer(&self.initial).send().status(201).json();
        let uri = text(&registered, "registration_client_uri");
        let path = uri[uri.find("/api/").expect("a path")..].to_owned();
        (path, text(&registered, "registration_access_token"))
    }

    fn app(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.node.post(path).basic(&self.app.id, &self.app.secret).form(form).send()
    }

    /// Everything anew, each by a good request: after whatever was sent, all of them still do what they should.
    #[track_caller]
    pub fn good(&self) -> Good {
        let node = &self.node;
        let mut browser = Browser::default();
        let asked = |more: &str| {
            format!(
                "{AUTHORIZE}?response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=s1\
                 &scope=openid+offline_access+a+b&code_challenge={CHALLENGE}&code_challenge_method=S256{more}"
            )
        };
        let page = resume(&browser.send(node.get(&asked(""))).status(200));
        let form = [("resume", page.as_str()), ("username", "ann"), ("password", PASSWORD)];
        let mut answer = browser.send(node.post(AUTHORIZE).form(&form));
        if answer.status == 200 {
            let page = resume(&answer);
            let form = [("resume", page.as_str()), ("decision", "allow"), ("scope.0", "a"), ("scope.1", "b")];
            let form = [&form[..], &[("scope.2", "offline_access")]].concat();
            answer = browser.send(node.post(AUTHORIZE).form(&form));
        }
        let used_code = location(&answer.status(303), "code").expect("a code");
        let redeemed = |code: &str| {
            let code = [("grant_type", "authorization_code"), ("code", code)];
            let proof = [("redirect_uri", CALLBACKS[0]), ("code_verifier", VERIFIER)];
            self.app(TOKEN, &[code, proof].concat()).status(200).json()
        };
        let tokens = redeemed(&used_code);
        let rotated = text(&tokens, "refresh_token");
        let tokens =
            self.app(TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", &rotated)]).status(200).json();
        let refresh = text(&tokens, "refresh_token");
        // The first use of the new one ends the grace of the one before.
        let tokens =
            self.app(TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)]).status(200).json();
        let access = text(&tokens, "access_token");
        let told = node.get(USERINFO).bearer(&access).send().status(200).json();
        assert_eq!(told["sub"], "ann");
        let another = location(&browser.send(node.get(&asked(""))).status(303), "code").expect("another code");
        let device = self.app(DEVICE, &[("scope", "a")]).status(200).json();
        let user_code = text(&device, "user_code");
        let forms = Forms {
            consent: resume(&browser.send(node.get(&asked("&prompt=consent"))).status(200)),
            login: resume(&browser.send(node.get(&asked("&prompt=login"))).status(200)),
            user_code: resume(&browser.send(node.get(VERIFY)).status(200)),
            withdraw: resume(&browser.send(node.get(GRANTED)).status(200)),
            decide: String::new(),
        };
        let form = [("resume", forms.user_code.as_str()), ("user_code", user_code.as_str())];
        let decide = resume(&browser.send(node.post(VERIFY).form(&form)).status(200));
        let others = node.token(&self.other);
        node.tokeninfo(&others).status(200);
        Good {
            code: another,
            used_code,
            access,
            refresh: text(&tokens, "refresh_token"),
            rotated,
            id_token: text(&tokens, "id_token"),
            others,
            device_code: text(&device, "device_code"),
            user_code,
            cookies: browser.cookies,
            forms: Forms { decide, ..forms },
            managed: self.registered(),
        }
    }

    /// What nobody may be told who did not have it.
    pub fn secrets(&self, good: &Good) -> Vec<String> {
        let kept = [&self.app.secret, &self.other.secret, &self.initial, &good.managed.1];
        let given = [&good.code, &good.used_code, &good.access, &good.refresh, &good.rotated, &good.others];
        let cookies = good.cookies.iter().map(|(_, value)| value);
        let all = kept.into_iter().chain(given).chain([&good.device_code]).chain(cookies);
        all.cloned().chain([PASSWORD.to_owned(), EVES.to_owned()]).collect()
    }

    /// What is like something good, and is not.
    pub fn nearly(&self, good: &Good) -> Vec<String> {
        [&self.app.secret, &good.code, &good.access, &good.refresh, &good.device_code, &good.forms.consent]
            .map(|text| altered(text))
            .to_vec()
    }
}
