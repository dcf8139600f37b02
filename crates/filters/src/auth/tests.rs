use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use ::oauth::{ClientId, Secret, credential};
use policy::exchange::FORM;
use policy::testing::{Fixture, Ran, block_on, request};
use store::record::ClientSecret;
use store::sources::memory::Memory;
use store::users::Lockout;
use store::{Client, Clients, DataSource, Sessions, StoreHandle, User, Users};

use crate::fixture::{get, sent, told, world};
use crate::session::cookie;

/// A policy, and what stands in its stores: Ann, whose password is `right`, and Bob, who is disabled.
struct World {
    fixture: Fixture,
    users: Arc<Users>,
    sessions: Arc<Sessions>,
}

fn protecting(filters: &str) -> World {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let (users, sessions) = (Arc::new(Users::new(source.clone())), Arc::new(Sessions::new(source)));
    for (name, enabled) in [("ann", true), ("bob", false)] {
        // The fast hash: the slow one is the store's to test.
        let password = Some(credential::hash_generated(&Secret::new("right".into())));
        let user = User { name: name.into(), enabled, password, claims: Default::default(), created_at: 0 };
        assert!(block_on(users.add(&user)).expect("memory"));
    }
    let fixture = world()
        .resource("store", "users", StoreHandle::Users(users.clone()))
        .resource("store", "sessions", StoreHandle::Sessions(sessions.clone()))
        .policy("tested", &format!("route = \"/**\"\n\n{filters}"));
    World { fixture, users, sessions }
}

impl World {
    fn form(&self, form: &str) -> Ran {
        self.fixture.run(request(Method::POST, "/", &[("content-type", FORM)], form))
    }

    fn get(&self, headers: &[(&str, &str)]) -> Ran {
        self.fixture.run(get("/", headers))
    }

    /// With these sessions in the request.
    fn with(&self, cookies: &str) -> Ran {
        self.get(&[("cookie", cookies)])
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// The cookie of a session that an answer sets, as a request brings it.
fn cookie_of(ran: &Ran) -> String {
    let set = ran.header("set-cookie");
    let (pair, attributes) = set.split_once(';').expect("a cookie with attributes");
    assert_eq!(attributes, " Path=/; Secure; HttpOnly; SameSite=Lax");
    pair.to_owned()
}

const WHO: &str = r#"
[[filter]]
use  = "respond"
text = "${subject.id} ${subject.is_client} ${subject.methods} ${subject.authenticated_at}"
"#;

const PASSWORD: &str = "[[filter]]\nuse = 'auth.password'\n";
const LOG_IN: &str = "[[filter]]\nuse = 'auth.password'\n[[filter]]\nuse = 'session.start'\n";
const SESSION: &str = "[[filter]]\nuse = 'auth.session'\n";

#[test]
fn a_form_with_the_right_password_is_let_in() {
    let world = protecting(&format!("{PASSWORD}{WHO}"));
    let ran = world.form("username=ann&password=right&more=1");
    assert_eq!(ran.status, 200, "{}", ran.text());
    assert!(ran.text().starts_with("ann false pwd 1"), "{}", ran.text());
    for (form, expected) in [
        ("username=ann&password=wrong", "403 wrong-credentials"),
        ("username=bob&password=right", "403 wrong-credentials"),
        ("username=eve&password=right", "403 wrong-credentials"),
        ("username=ann", "403 no-credentials"),
        ("username=ann&password=", "403 no-credentials"),
        ("password=right", "403 no-credentials"),
        ("", "403 no-credentials"),
        ("username=ann&password=right&password=right", "400 bad-request"),
        ("username=ann&username=ann&password=right", "400 bad-request"),
        ("username=ann&password=%ff", "400 bad-request"),
    ] {
        assert_eq!(told(&world.form(form)), expected, "{form}");
    }
    let query = world.fixture.run(get("/?username=ann&password=right", &[]));
    assert_eq!(told(&query), "403 no-credentials", "never from a URL");
}

#[test]
fn the_fields_of_the_form_may_have_other_names() {
    let world = protecting(&format!("[[filter]]\nuse = 'auth.password'\nusername = 'login'\npassword = 'pin'\n{WHO}"));
    assert_eq!(world.form("login=ann&pin=right").status, 200);
    assert_eq!(told(&world.form("username=ann&password=right")), "403 no-credentials");
}

#[test]
fn refusals_are_answered_alike_locked_names_included() {
    let world = protecting(&format!("{PASSWORD}{WHO}"));
    let wrong = world.form("username=ann&password=wrong");
    let unknown = world.form("username=eve&password=wrong");
    assert_eq!(wrong.text(), unknown.text());
    for _ in 1..Lockout::DEFAULT.tries {
        world.form("username=ann&password=wrong");
    }
    let locked = world.form("username=ann&password=right");
    assert_eq!(told(&locked), "403 locked");
    assert_eq!(locked.text(), wrong.text());
    assert!(wrong.is_held && unknown.is_held && locked.is_held, "their times tell nothing");
    world.fixture.clock().advance(Duration::from_secs(Lockout::DEFAULT.lasts));
    let right = world.form("username=ann&password=right");
    assert_eq!((right.status, right.is_held), (200, false));
}

/// `[lockout]` of oauth/server.toml is for whatever proves a password of a user.
#[test]
fn how_many_wrong_passwords_lock_a_name_and_for_how_long_is_a_setting() {
    let filters = format!(
        "[[filter]]\nuse = 'any'\nof = ['form', 'basic']\n{WHO}[[chain.form]]\nuse = 'auth.password'\n[[chain.basic]]\nuse = 'auth.basic'\n"
    );
    let mut world = protecting(&filters);
    world.fixture = world.fixture.file("policies/oauth/server.toml", "[lockout]\ntries = 3\nlasts = \"2m\"");
    for _ in 0..2 {
        world.form("username=ann&password=wrong");
    }
    assert_eq!(told(&world.get(&[("authorization", &basic("ann", "wrong"))])), "401 locked");
    assert_eq!(told(&world.form("username=ann&password=right")), "403 locked");
    assert_eq!(told(&world.get(&[("authorization", &basic("ann", "right"))])), "401 locked");
    world.fixture.clock().advance(Duration::from_secs(119));
    assert_eq!(told(&world.form("username=ann&password=right")), "403 locked");
    world.fixture.clock().advance(Duration::from_secs(1));
    assert_eq!(world.form("username=ann&password=right").status, 200);
}

#[test]
fn rfc7617_2_basic_asks_for_a_password_and_takes_it_off() {
    let world = protecting(
        "[[filter]]\nuse = 'auth.basic'\nrealm = 'reports'\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n",
    );
    let right = world.get(&[("authorization", &basic("ann", "right")), ("x-a", "1")]);
    assert_eq!(sent(&right)["headers"].get("authorization"), None);
    assert_eq!(sent(&right)["headers"]["x-a"], "1");
    for (header, expected) in [
        (basic("ann", "wrong"), "401 wrong-credentials"),
        (basic("bob", "right"), "401 wrong-credentials"),
        (basic("eve", "right"), "401 wrong-credentials"),
        (basic("ann", ""), "401 wrong-credentials"),
        (String::from("Basic !"), "401 wrong-credentials"),
        (String::from("Bearer x"), "401 no-credentials"),
    ] {
        let ran = world.get(&[("authorization", &header)]);
        assert_eq!(told(&ran), expected, "{header}");
        assert_eq!(ran.header("www-authenticate"), "Basic realm=\"reports\", charset=\"UTF-8\"");
    }
    assert_eq!(told(&world.get(&[])), "401 no-credentials");
    let right = basic("ann", "right");
    let twice = world.get(&[("authorization", &right), ("authorization", &right)]);
    assert_eq!(told(&twice), "401 wrong-credentials");
    for _ in 0..Lockout::DEFAULT.tries {
        world.get(&[("authorization", &basic("ann", "wrong"))]);
    }
    assert_eq!(told(&world.get(&[("authorization", &right)])), "401 locked");
}

#[test]
fn the_credential_stays_where_the_upstream_is_to_have_it() {
    let world = protecting(
        "[[filter]]\nuse = 'auth.basic'\nkeep_credential = true\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n",
    );
    let right = basic("ann", "right");
    assert_eq!(sent(&world.get(&[("authorization", &right)]))["headers"]["authorization"], right);
}

#[test]
fn a_session_lasts_as_long_as_it_is_used_and_is_not_over() {
    let log_in = protecting(&format!("{LOG_IN}{WHO}"));
    let ran = log_in.form("username=ann&password=right");
    assert_eq!(ran.header("cache-control"), "no-store");
    let session = cookie_of(&ran);
    assert!(session.starts_with("__Host-portcullis-session=pcw_"), "{session}");
    // The same clock and store, another policy.
    let protected = |filters: &str| {
        let fixture = world()
            .resource("store", "users", StoreHandle::Users(log_in.users.clone()))
            .resource("store", "sessions", StoreHandle::Sessions(log_in.sessions.clone()))
            .policy("tested", &format!("route = \"/**\"\n\n{filters}"));
        fixture.clock().set_unix_millis(log_in.fixture.environment().clock.unix_millis());
        World { fixture, users: log_in.users.clone(), sessions: log_in.sessions.clone() }
    };
    let api = protected(&format!("{SESSION}{WHO}"));
    let who = api.with(&session);
    assert_eq!(who.text(), ran.text(), "who it is, how and since when");
    for _ in 0..20 {
        api.fixture.clock().advance(Duration::from_secs(30 * 60 - 1));
        assert_eq!(api.with(&format!("a=b; {session}; c=d")).text(), ran.text());
    }
    api.fixture.clock().advance(Duration::from_secs(20));
    assert_eq!(told(&api.with(&session)), "403 no-session", "ten hours");

    let session = cookie_of(&log_in.form("username=ann&password=right"));
    let api = protected(&format!("[[filter]]\nuse = 'auth.session'\nidle = '1m'\n{WHO}"));
    assert_eq!(api.with(&session).status, 200);
    api.fixture.clock().advance(Duration::from_secs(60));
    assert_eq!(told(&api.with(&session)), "403 no-session", "unused");
    for other in ["", "__Host-portcullis-session=", "__Host-portcullis-session=pcw_x", "portcullis-session=x"] {
        assert_eq!(told(&api.with(other)), "403 no-session", "{other}");
    }
}

#[test]
fn a_log_in_is_always_a_new_session_and_the_one_before_ends() {
    let world = protecting(&format!(
        "[[filter]]\nuse = 'switch'\non = '${{request.method}}'\ncase = {{ POST = 'in', DELETE = 'out' }}\nelse = 'who'\n\
         [[chain.in]]\nuse = 'auth.password'\n[[chain.in]]\nuse = 'session.start'\n[[chain.in]]\nuse = 'respond'\n\
         [[chain.out]]\nuse = 'session.end'\n[[chain.out]]\nuse = 'respond'\n\
         [[chain.who]]\nuse = 'auth.session'\n{}",
        WHO.replace("[[filter]]", "[[chain.who]]")
    ));
    let log_in = |cookie: &str| {
        let headers = [("content-type", FORM), ("cookie", cookie)];
        world.fixture.run(request(Method::POST, "/", &headers, "username=ann&password=right"))
    };
    let first = cookie_of(&log_in(""));
    let second = cookie_of(&log_in(&first));
    assert_ne!(first, second);
    assert_eq!(told(&world.with(&first)), "403 no-session", "what was planted before the log-in is nothing");
    assert_eq!(world.with(&second).status, 200);
    // Who fails to log in stays logged in, and gets no cookie.
    let headers = [("content-type", FORM), ("cookie", &*second)];
    let failed = world.fixture.run(request(Method::POST, "/", &headers, "username=ann&password=wrong"));
    assert_eq!((told(&failed), failed.header("set-cookie")), ("403 wrong-credentials".into(), ""));
    assert_eq!(world.with(&second).status, 200);

    let out = |cookie: &str| world.fixture.run(request(Method::DELETE, "/", &[("cookie", cookie)], ""));
    let gone = out(&second);
    assert_eq!(
        gone.header("set-cookie"),
        "__Host-portcullis-session=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    assert_eq!(told(&world.with(&second)), "403 no-session");
    assert_eq!(out(&second).status, 200, "twice is once");
    assert_eq!(out("").header("set-cookie"), "");
}

#[test]
fn no_upstream_sees_a_session_unless_it_is_to() {
    for (kept, expected) in [("", "a=b"), ("keep_credential = true\n", "a=b; SESSION")] {
        let world = protecting(&format!(
            "[[filter]]\nuse = 'auth.session'\n{kept}[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n"
        ));
        let now = world.fixture.environment().clock.unix_millis() / 1000;
        let session = store::Session {
            subject: "ann".into(),
            authenticated_at: now,
            methods: vec![],
            acr: None,
            created_at: now,
            expires_at: now + 60,
            seen_at: now,
        };
        let token = ::oauth::token::Token::mint(::oauth::token::TokenKind::Session, now + 60, [1; 32]);
        block_on(world.sessions.start(&token, &session)).expect("memory");
        let cookie = format!("{}={}", cookie::NAME, token.expose());
        let sent = sent(&world.with(&format!("a=b; {cookie}")));
        assert_eq!(sent["headers"]["cookie"], expected.replace("SESSION", &cookie));
    }
}

/// Whoever is disabled is let in no more, by whichever way that came about; whom the store does not know is let in unless it must.
#[test]
fn a_session_of_somebody_who_is_disabled_is_none() {
    for (users, of_a_directory) in [("", "200"), ("users = 'users'\n", "403 no-credentials")] {
        let world = protecting(&format!(
            "[[filter]]\nuse = 'any'\nof = ['form', 'cookie']\n{WHO}\
             [[chain.form]]\nuse = 'auth.password'\n[[chain.form]]\nuse = 'session.start'\n\
             [[chain.cookie]]\nuse = 'auth.session'\n{users}"
        ));
        let session = cookie_of(&world.form("username=ann&password=right"));
        assert_eq!(world.with(&session).status, 200);
        block_on(world.users.update("ann", |user| user.enabled = false)).expect("memory");
        assert_eq!(told(&world.with(&session)), "403 no-credentials", "as if there were none");
        block_on(world.users.delete("ann")).expect("memory");
        let ran = world.with(&session);
        assert_eq!(if ran.status == 200 { "200".to_owned() } else { told(&ran) }, of_a_directory);
    }
}

/// A bad credential ends `any`, an absent one lets the next way be tried.
#[test]
fn any_of_several_ways_leads_in() {
    let world = protecting(&format!(
        "[[filter]]\nuse = 'any'\nof = ['token', 'password', 'session']\n{WHO}\
         [[chain.token]]\nuse = 'oauth.validate-token'\n\
         [[chain.password]]\nuse = 'auth.basic'\n\
         [[chain.session]]\nuse = 'auth.session'\n"
    ));
    let who = world.get(&[("authorization", &basic("ann", "right"))]);
    assert!(who.text().starts_with("ann "), "{}", who.text());
    assert_eq!(told(&world.get(&[("authorization", &basic("ann", "wrong"))])), "401 wrong-credentials");
    assert_eq!(told(&world.get(&[("authorization", "Bearer x")])), "401 invalid_token");
    assert_eq!(told(&world.get(&[])), "401 no-token", "the first way is asked for");
}

#[test]
fn an_api_key_is_a_client_s_id_and_secret() {
    let respond = "[[filter]]\nuse = 'respond'\ntext = '${client.id} ${subject.id} ${subject.is_client}'\n";
    let with = |settings: &str, rest: &str| {
        let source: Arc<dyn DataSource> = Arc::new(Memory::new());
        let clients = Arc::new(Clients::new(source, Arc::new(crate::fixture::sealer())));
        for (id, enabled) in [("app.one", true), ("off", false)] {
            let hash = credential::hash_generated(&Secret::new("right".into()));
            let mut client = Client { enabled, ..Client::new(ClientId::new(id)) };
            client.secrets.push(ClientSecret::hashed(hash));
            assert!(block_on(clients.add(&client)).expect("memory"));
        }
        let policy = format!("route = '/**'\n\n[[filter]]\nuse = 'auth.api-key'\n{settings}{rest}");
        world().resource("store", "clients", StoreHandle::Clients(clients)).policy("tested", &policy)
    };
    let header = with("", respond);
    let ran = header.run(get("/", &[("x-api-key", "app.one.right")]));
    assert_eq!(ran.text(), "app.one app.one true");
    for (headers, expected) in [
        (&[][..], "401 no-key"),
        (&[("x-api-key", "")], "401 no-key"),
        (&[("x-api-key", "app.one.wrong")], "401 wrong-key"),
        (&[("x-api-key", "app.one.")], "401 wrong-key"),
        (&[("x-api-key", "app.one")], "401 wrong-key"),
        (&[("x-api-key", "off.right")], "401 wrong-key"),
        (&[("x-api-key", "other.right")], "401 wrong-key"),
        (&[("x-api-key", "right")], "401 wrong-key"),
        (&[("x-api-key", "app.one.right"), ("x-api-key", "app.one.right")], "401 wrong-key"),
        (&[("authorization", "app.one.right")], "401 no-key"),
    ] {
        let ran = header.run(get("/", headers));
        assert_eq!(told(&ran), expected, "{headers:?}");
        assert_eq!(ran.header("www-authenticate"), "Key realm=\"api\"");
    }
    assert_eq!(
        told(&header.run(get("/?x-api-key=app.one.right", &[]))),
        "401 no-key",
        "never from a URL unless asked to"
    );
    assert!(
        header.run(get("/", &[("x-api-key", "off.right")])).is_held
            && header.run(get("/", &[("x-api-key", "no.right")])).is_held
    );
    let long = format!("{}.right", "a".repeat(3_000));
    assert_eq!(told(&header.run(get("/", &[("x-api-key", &long)]))), "401 wrong-key");

    let proxy = "[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n";
    let sent_by =
        |settings: &str, path: &str, headers: &[(&str, &str)]| sent(&with(settings, proxy).run(get(path, headers)));
    let both = "query = 'api_key'\nheader = 'x-key'\n";
    assert_eq!(sent_by(both, "/a?b=%zz1&api%5Fkey=app.one.right&c", &[])["uri"], "/a?b=%zz1&c");
    assert_eq!(sent_by("query = 'api_key'\n", "/a?api_key=app.one.right", &[])["uri"], "/a");
    let taken = sent_by(both, "/a?b=1", &[("x-key", "app.one.right")]);
    assert_eq!((&taken["uri"], taken["headers"].get("x-key")), (&"/a?b=1".into(), None));
    let kept = sent_by("keep_credential = true\n", "/a", &[("x-api-key", "app.one.right")]);
    assert_eq!(kept["headers"]["x-api-key"], "app.one.right");
    let twice = with(both, proxy).run(get("/a?api_key=app.one.right", &[("x-key", "app.one.right")]));
    assert_eq!(told(&twice), "401 wrong-key", "both is one too many");
}

#[test]
fn settings_that_cannot_be_are_told() {
    for (filters, expected) in [
        ("[[filter]]\nuse = 'auth.session'\nidle = '500ms'", "a session may be left unused for a second at least"),
        (
            "[[filter]]\nuse = 'auth.password'\n[[filter]]\nuse = 'session.start'\nabsolute = '500ms'",
            "a session lasts for a second at least",
        ),
        ("[[filter]]\nuse = 'session.start'", "`subject`"),
        ("[[filter]]\nuse = 'auth.api-key'\nheader = 'a b'", "`a b` is no name of a header"),
        (
            "[[filter]]\nuse = 'auth.basic'\nstore = 'clients'",
            "store `clients` is of the kind `clients`, and this filter needs `users`",
        ),
    ] {
        let problems = protecting(&format!("{filters}\n[[filter]]\nuse = 'respond'\n")).fixture.problems();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{filters}: {problems:?}");
    }
}
