//! The good requests of each endpoint, from which bad ones are made.

use serde_json::json;

use super::world::{
    AUTHORIZE, CALLBACKS, CHALLENGE, DEVICE, DEVICE_GRANT, EVES, GRANTED, Good, INTROSPECT, JWKS, LOOPBACK, METADATA,
    OPENID, REGISTER, REVOKE, TOKEN, TOKENINFO, USERINFO, VERIFIER, VERIFY, World,
};

/// How a request says who it is from.
#[derive(Clone)]
pub enum Proof {
    None,
    Basic(String, String),
    Bearer(String),
}

/// A request, before it is written down.
#[derive(Clone)]
pub struct Shape {
    pub method: &'static str,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub form: Vec<(String, String)>,
    /// A body that is no form.
    pub json: Option<String>,
    pub proof: Proof,
    pub cookies: Vec<(String, String)>,
}

impl Shape {
    fn new(method: &'static str, path: &str) -> Shape {
        let (path, query, form, cookies) = (path.to_owned(), Vec::new(), Vec::new(), Vec::new());
        Shape { method, path, query, form, json: None, proof: Proof::None, cookies }
    }

    fn with(mut self, pairs: &[(&str, &str)]) -> Shape {
        let of = if self.method == "POST" { &mut self.form } else { &mut self.query };
        of.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    fn by(self, proof: Proof) -> Shape {
        Shape { proof, ..self }
    }

    fn in_browser(self, good: &Good) -> Shape {
        Shape { cookies: good.cookies.clone(), ..self }
    }
}

/// Requests of clients, and of those who ask for documents.
pub fn of_clients(world: &World, good: &Good) -> Vec<Shape> {
    let app = || Proof::Basic(world.app.id.clone(), world.app.secret.clone());
    let code = [("code", good.code.as_str()), ("redirect_uri", CALLBACKS[0]), ("code_verifier", VERIFIER)];
    let used = [("code", good.used_code.as_str()), ("redirect_uri", CALLBACKS[0]), ("code_verifier", VERIFIER)];
    let in_form = [("client_id", world.app.id.as_str()), ("client_secret", world.app.secret.as_str())];
    let token = |grant: &str| Shape::new("POST", TOKEN).with(&[("grant_type", grant)]);
    vec![
        token("client_credentials")
            .with(&[("scope", "a")])
            .by(Proof::Basic("other".into(), world.other.secret.clone())),
        token("client_credentials").with(&[("client_id", "other"), ("client_secret", &world.other.secret)]),
        token("authorization_code").with(&code).by(app()),
        token("authorization_code").with(&code).with(&in_form),
        token("authorization_code").with(&used).by(app()),
        token("refresh_token").with(&[("refresh_token", &good.refresh), ("scope", "a")]).by(app()),
        token("refresh_token").with(&[("refresh_token", &good.rotated)]).by(app()),
        token(DEVICE_GRANT).with(&[("device_code", &good.device_code)]).by(app()),
        Shape::new("POST", DEVICE).with(&[("scope", "a")]).by(app()),
        Shape::new("POST", INTROSPECT).with(&[("token", &good.access), ("token_type_hint", "access_token")]).by(app()),
        Shape::new("POST", INTROSPECT).with(&[("token", &good.others)]).by(app()),
        Shape::new("POST", REVOKE).with(&[("token", &good.access)]).by(app()),
        Shape::new("POST", REVOKE)
            .with(&[("token", &good.refresh), ("token_type_hint", "access_token")])
            .with(&in_form),
        Shape::new("POST", TOKENINFO).with(&[("access_token", &good.access)]),
        Shape::new("GET", USERINFO).by(Proof::Bearer(good.access.clone())),
        Shape::new("POST", USERINFO).by(Proof::Bearer(good.access.clone())),
        Shape::new("GET", METADATA),
        Shape::new("GET", OPENID),
        Shape::new("GET", JWKS),
    ]
}

/// Requests of browsers.
pub fn of_browsers(_: &World, good: &Good) -> Vec<Shape> {
    let asked = [("response_type", "code"), ("client_id", "app"), ("redirect_uri", CALLBACKS[0]), ("state", "s1")];
    let native = [("response_type", "code"), ("client_id", "native"), ("redirect_uri", LOOPBACK), ("state", "s1")];
    let other = [("response_type", "code"), ("client_id", "app"), ("redirect_uri", CALLBACKS[1]), ("scope", "b a")];
    let more = [("scope", "openid a"), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let openid = [("nonce", "n"), ("prompt", "consent"), ("max_age", "60"), ("id_token_hint", &good.id_token)];
    let claims = [("claims", r#"{"id_token":{"email":null}}"#), ("login_hint", "ann"), ("display", "page")];
    let log_in = [("resume", good.forms.login.as_str()), ("username", "eve"), ("password", EVES)];
    let consent = [("resume", good.forms.consent.as_str()), ("decision", "allow"), ("scope.0", "a")];
    let form = |path: &str, resume: &str| Shape::new("POST", path).with(&[("resume", resume)]).in_browser(good);
    vec![
        Shape::new("GET", AUTHORIZE).with(&asked).with(&more),
        Shape::new("GET", AUTHORIZE).with(&[("login_hint", "ann")]).with(&asked).with(&more),
        Shape::new("GET", AUTHORIZE).with(&native).with(&more[1..]),
        Shape::new("GET", AUTHORIZE).with(&other).with(&more[1..]).in_browser(good),
        Shape::new("GET", AUTHORIZE).with(&asked).with(&more).with(&openid).in_browser(good),
        Shape::new("POST", AUTHORIZE).with(&asked).with(&more).with(&claims).in_browser(good),
        Shape::new("POST", AUTHORIZE).with(&log_in).in_browser(good),
        Shape::new("POST", AUTHORIZE).with(&consent).in_browser(good),
        // A page of another site sends what our forms would, without what only our forms have.
        Shape::new("POST", AUTHORIZE).with(&asked).with(&more).with(&log_in[1..]).in_browser(good),
        Shape::new("POST", AUTHORIZE).with(&asked).with(&more).with(&consent[1..]).in_browser(good),
        Shape::new("POST", VERIFY).with(&log_in[1..]),
        Shape::new("GET", VERIFY).with(&[("user_code", &good.user_code)]).in_browser(good),
        form(VERIFY, &good.forms.user_code).with(&[("user_code", &good.user_code)]),
        form(VERIFY, &good.forms.decide).with(&[("decision", "allow")]),
        Shape::new("GET", GRANTED).in_browser(good),
        form(GRANTED, &good.forms.withdraw).with(&[("withdraw", "app")]),
        form(GRANTED, &good.forms.login).with(&[("username", "eve"), ("password", EVES)]),
    ]
}

/// Requests of clients that register themselves. What stands in the bodies is for `tests/registration.rs`.
pub fn of_registrations(world: &World, good: &Good) -> Vec<Shape> {
    let (path, own) = &good.managed;
    let json = |shape: Shape, body: serde_json::Value| Shape { json: Some(body.to_string()), ..shape };
    let id = path.rsplit('/').next().unwrap_or_default();
    let new = json!({ "redirect_uris": ["https://new.example/cb"], "client_name": "New" });
    let put = json!({ "client_id": id, "redirect_uris": ["https://new.example/cb"] });
    vec![
        json(Shape::new("POST", REGISTER).by(Proof::Bearer(world.initial.clone())), new),
        json(Shape::new("PUT", path).by(Proof::Bearer(own.clone())), put),
        Shape::new("GET", path).by(Proof::Bearer(own.clone())),
        Shape::new("DELETE", path).by(Proof::Bearer(own.clone())),
    ]
}
