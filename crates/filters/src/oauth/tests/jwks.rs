//! The key set (RFC 7517, section 5), and `[keys]` of `server.toml`.

use super::*;

const PATH: &str = "/api/oauth/jwks";

fn with_settings(text: &str) -> World {
    let mut world = World::shipped();
    world.fixture = world.fixture.file("policies/oauth/server.toml", text);
    world
}

#[test]
fn rfc7517_5_the_public_keys_and_nothing_else() {
    let world = with_settings("[keys]\nalgorithms = [\"ES256\", \"EdDSA\"]\n");
    let ran = world.get(PATH, &[]);
    assert_eq!((ran.status, ran.header("content-type")), (200, "application/jwk-set+json"));
    assert_eq!((ran.header("cache-control"), ran.header("access-control-allow-origin")), ("public, max-age=300", "*"));
    let json = ran.json();
    let keys = json["keys"].as_array().expect("a list");
    assert_eq!(keys.iter().map(|key| key["alg"].as_str().expect("text")).collect::<Vec<_>>(), ["ES256", "EdDSA"]);
    for key in keys {
        assert!(key.get("d").is_none() && key["kid"].is_string() && key["use"] == "sig", "{key}");
    }
    assert_eq!(world.get(PATH, &[]).json(), json, "they are made once");
}

#[test]
fn a_cache_keeps_the_set_for_less_than_a_key_is_published_before_it_signs() {
    let world = with_settings("[keys]\nrotate = \"10m\"\npublish = \"1m\"\n");
    assert_eq!(world.get(PATH, &[]).header("cache-control"), "public, max-age=30");
}

#[test]
fn keys_that_cannot_be_are_refused_where_they_stand() {
    for (keys, word) in [
        ("algorithms = []", "no algorithm"),
        ("algorithms = [\"HS256\"]", "not signed with `HS256`"),
        ("algorithms = [\"none\"]", "not signed with `none`"),
        ("algorithms = [\"ES256\", \"ES256\"]", "twice"),
        ("rotate = \"1h\"", "as long as it signs"),
        ("rotate = \"1h\"\npublish = \"1h\"", "as long as it signs"),
        ("publish = \"10ms\"", "not at all"),
    ] {
        let told = with_settings(&format!("[keys]\n{keys}\n")).fixture.problems().join("\n");
        assert!(told.contains(word), "{keys}: {told}");
    }
    let world = World::over(Arc::new(Memory::new()))
        .policy("keys", "route = \"GET /keys\"\n\n[[filter]]\nuse = \"oauth.jwks\"\nmax_age = \"1d\"\n");
    let told = world.fixture.problems().join("\n");
    assert!(told.contains("for longer than a new one"), "{told}");
}
