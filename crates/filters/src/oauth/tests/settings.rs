//! What is wrong in the settings, and where.

use super::*;

/// What `check` says of the shipped policies with this server.toml.
fn server(text: &str) -> Vec<String> {
    let world = World::shipped();
    world.fixture.file("policies/oauth/server.toml", text).problems()
}

fn filter(text: &str) -> Vec<String> {
    World::over(Arc::new(Memory::new()))
        .policy("api", &format!("route = \"/x\"\n[[filter]]\n{text}\n"))
        .fixture
        .problems()
}

#[test]
fn what_ships_is_right_with_and_without_server_toml() {
    assert_eq!(World::shipped().fixture.problems(), Vec::<String>::new());
    for text in [
        "",
        include_str!("../../../../../policies/oauth/server.toml"),
        "profile = \"default\"\n[maximum_lifetime]\naccess_token = \"1h\"",
        "profile = \"oauth-2.1\"",
    ] {
        assert_eq!(server(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn server_toml() {
    for (text, told) in [
        ("issuer = \"http://login.example.com\"", "policies/oauth/server.toml:1:10: error[P0501]"),
        ("issuer = \"https://login.example.com?x\"", "policies/oauth/server.toml:1:10: error[P0501]"),
        ("profile = \"fapi\"", "policies/oauth/server.toml:1:11: error[P0103]"),
        ("[maximum_lifetime]\nrefresh_token = \"1h\"", "policies/oauth/token.toml:34:49: error[P0103]"),
        ("isuer = \"https://x.example\"", "policies/oauth/server.toml:1:1: error[P0101]"),
        ("[lockout]\ntries = 0", "policies/oauth/server.toml:2:9: error[P0103]"),
        ("[lockout]\ntries = 101", "policies/oauth/server.toml:2:9: error[P0103]"),
        ("[lockout]\nwithin = \"0s\"", "policies/oauth/server.toml:2:10: error[P0103]"),
        ("[lockout]\nlasts = \"25h\"", "policies/oauth/server.toml:2:9: error[P0103]"),
        ("[maximum_lifetime]\naccess_token = \"30m\"", "policies/oauth/token.toml:33:12: error[P0103]"),
    ] {
        let problems = server(text);
        assert!(problems.iter().any(|problem| problem.starts_with(told)), "{text}: {problems:?}");
    }
}

/// A mistake in it must not wait for the first policy that would read it.
#[test]
fn server_toml_is_checked_whoever_reads_it_and_all_at_once() {
    let text =
        "issuer = \"ftp://x\"\nprofile = \"fapi\"\n[maximum_lifetime]\ncode = \"1m\"\n[scopes]\n\"a b\" = \"two\"\n";
    let expected = [
        "policies/oauth/server.toml:1:10: error[P0501]",
        "policies/oauth/server.toml:2:11: error[P0103]",
        "policies/oauth/server.toml:6:1: error[P0103]",
    ];
    let alone = World::over(Arc::new(Memory::new())).fixture.file("policies/oauth/server.toml", text).problems();
    assert_eq!(alone.len(), expected.len(), "{alone:?}");
    assert!(alone.iter().zip(expected).all(|(problem, told)| problem.starts_with(told)), "{alone:?}");
    let used = server(text).into_iter().filter(|problem| problem.starts_with("policies/oauth/server.toml"));
    assert_eq!(used.collect::<Vec<_>>(), alone, "once, however many filters read it");
    let misspelt = World::over(Arc::new(Memory::new())).fixture.file("policies/oauth/server.toml", "isuer = 'x'");
    assert!(misspelt.problems()[0].starts_with("policies/oauth/server.toml:1:1: error[P0101]"));
}

/// D96: what OAuth 2.1 has no more is an error with its profile. What is not mentioned here has no setting: neither
/// profile has the implicit flow, passwords as a grant, `plain`, or a public client that keeps its refresh token.
#[test]
fn oauth_2_1_one_switch_for_all_that_is_lax() {
    let told = |authorize: &str, places: &str, server: &str| {
        let filters = format!(
            "route = '/x'\n[[filter]]\nuse = 'oauth.authorize'\nwithout_pkce = {authorize}\n\
             [[filter]]\nuse = 'oauth.validate-token'\nfrom = {places}\n[[filter]]\nuse = 'respond'\n"
        );
        World::over(Arc::new(Memory::new()))
            .policy("api", &filters)
            .fixture
            .file("policies/oauth/server.toml", server)
            .problems()
    };
    let (lax, strict) = ("profile = 'default'", "profile = 'oauth-2.1'");
    assert_eq!(told("['old', 'older']", "['header', 'query']", lax), Vec::<String>::new());
    assert_eq!(told("[]", "['header', 'form']", strict), Vec::<String>::new());
    let excepted = told("['old', 'older']", "['header', 'form']", strict);
    let in_query = told("[]", "['header', 'query']", strict);
    let at = ["policies/api.toml:4:17", "policies/api.toml:4:24", "policies/api.toml:7:19"];
    let refused: Vec<String> = excepted.into_iter().chain(in_query).collect();
    assert_eq!(refused.len(), at.len(), "{refused:?}");
    for (told, at) in refused.iter().zip(at) {
        assert!(told.starts_with(&format!("{at}: error[P0103]")) && told.contains("OAuth 2.1"), "{told}");
    }
}

/// The default lifetime is bounded too.
#[test]
fn a_lifetime_that_is_left_out_is_bounded_too() {
    let mut world = World::shipped().policy("oauth/token", &SHIPPED[3].1.replace("lifetime = \"1h\"\n", ""));
    assert_eq!(world.fixture.problems(), Vec::<String>::new());
    world.fixture = world.fixture.file("policies/oauth/server.toml", "[maximum_lifetime]\naccess_token = \"30m\"");
    assert!(world.fixture.problems().iter().any(|problem| problem.contains("beyond the maximum of 30m")));
}

/// D36: without an issuer, and without a loopback listener that gives one, `check` says so.
#[test]
fn an_issuer_is_needed() {
    let mut world = World::shipped();
    world.fixture = world.fixture.node(|node| node.default_issuer = None);
    let problems = world.fixture.problems();
    assert!(
        problems.iter().any(|p| p.starts_with("policies/oauth/metadata.toml") && p.contains("[P0501]")),
        "{problems:?}"
    );
}

/// D25: an endpoint where clients must authenticate cannot be written without.
#[test]
fn endpoints_without_authentication_are_refused() {
    for filter in ["introspect", "revoke-token", "client-credentials", "redeem-code", "refresh-token"] {
        let problems = self::filter(&format!("use = \"oauth.{filter}\""));
        assert!(
            problems.iter().any(|p| p.contains("error[P0201]") && p.contains("`client`")),
            "{filter}: {problems:?}"
        );
    }
}

#[test]
fn settings_of_filters() {
    for (text, told) in [
        ("use = \"oauth.authenticate-client\"\nmethods = [\"tls_client_auth\"]", "4:12: error[P0004]"),
        (
            "use = \"oauth.authenticate-client\"\nmethods = [\"client_secret_jwt\"]\nalgorithms = [\"ES256\"]",
            "5:15: error[P0103]",
        ),
        (
            "use = \"oauth.authenticate-client\"\nmethods = [\"client_secret_jwt\", \"private_key_jwt\"]\n\
             algorithms = [\"ES256\"]",
            "5:15: error[P0103]",
        ),
        ("use = \"oauth.authenticate-client\"\nmethods = [\"basic\"]", "4:12: error[P0103]"),
        ("use = \"oauth.authenticate-client\"\nstore = \"access-token\"", "4:9: error[P0108]"),
        ("use = \"oauth.issue-token\"\nrefresh = { lifetime = \"500ms\" }", "4:24: error[P0103]"),
        ("use = \"oauth.refresh-token\"\nrotation = \"sometimes\"", "4:12: error[P0103]"),
        ("use = \"oauth.refresh-token\"\ngrace = \"soon\"", "4:9: error[P0103]"),
        ("use = \"oauth.refresh-token\"\ngrace = \"10m\"", "4:9: error[P0103]"),
        ("use = \"oauth.issue-token\"\nlifetime = \"500ms\"", "4:12: error[P0103]"),
        ("use = \"oauth.issue-code\"\nlifetime = \"11m\"", "4:12: error[P0103]"),
        ("use = \"oauth.device-authorize\"\nverification = \"/v\"\nlifetime = \"2h\"", "5:12: error[P0103]"),
        ("use = \"oauth.validate-token\"\nfrom = [\"cookie\"]", "4:9: error[P0103]"),
        ("use = \"oauth.token-info\"\nshow = [\"user_id\"]", "4:9: error[P0103]"),
        ("use = \"oauth.fail\"\nerror = \"invalid_thing\"", "4:9: error[P0103]"),
        ("use = \"oauth.check-scope\"\nasked = [\"a b\"]\nallowed = \"a\"", "4:9: error[P0103]"),
        ("use = \"oauth.check-scope\"\nasked = [\"a\"]\nallowed = \"a\"\nmatch = \"some\"", "6:9: error[P0103]"),
        (
            "use = \"oauth.check-scope\"\nasked = [\"a\"]\nallowed = \"a\"\nby = \"${request.method}\"",
            "4:9: error[P0103]",
        ),
        ("use = \"oauth.metadata\"\nissuer = \"x\"", "4:1: error[P0101]"),
        ("use = \"oauth.verify-saml\"", "3:7: error[P0004]"),
    ] {
        let problems = filter(text);
        assert!(
            problems.iter().any(|problem| problem.starts_with(&format!("policies/api.toml:{told}"))),
            "{text}: {problems:?}"
        );
    }
}
