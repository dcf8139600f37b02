//! Whatever is sent to an endpoint that ships, the answer is one of its RFC: no fault, no word that the RFC has not, no secret that comes
//! back, nobody led to a place that is not proven, and nothing in a page but text. And the node does what it should afterwards.
//!
//! Each request is a good one with up to three things about it wrong, written to a socket byte by byte. The same at every run;
//! `PORTCULLIS_FUZZ_REQUESTS` asks for more of them than [`REQUESTS`] (each test), `PORTCULLIS_FUZZ_SEED` for others.

use std::collections::BTreeMap;

use self::noise::{Noise, Sent, spoil};
use self::shapes::Shape;
use self::world::{Good, World};
use crate::harness::dice::Dice;
use crate::harness::wire::Wire;

mod noise;
pub mod rules;
mod shapes;
mod world;

/// Requests of one test.
const REQUESTS: usize = 1_500;
/// After so many, everything that is good is made anew.
const FRESH: usize = 30;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Sends them, and holds each answer to the rules; gives how often which path answered with which status.
fn fuzz(shapes: fn(&World, &Good) -> Vec<Shape>) -> BTreeMap<(String, u16), usize> {
    let world = World::start();
    let mut dice = Dice::new(number("PORTCULLIS_FUZZ_SEED", 5) as u64);
    let mut seen = BTreeMap::new();
    let (mut good, mut secrets, mut values) = (Good::default(), Vec::new(), Vec::new());
    for round in 0..number("PORTCULLIS_FUZZ_REQUESTS", REQUESTS) {
        if round % FRESH == 0 {
            good = world.good();
            secrets = world.secrets(&good);
            values = [good.id_token.clone(), good.user_code.clone(), good.forms.consent.clone()].to_vec();
            values.extend(secrets.iter().cloned());
        }
        let nearly = world.nearly(&good);
        let shapes = shapes(&world, &good);
        let shape = dice.pick(&shapes);
        let sent = spoil(&mut dice, &Noise { values: &values, nearly: &nearly, secrets: &secrets }, shape);
        let mut wire = Wire::open(world.node.address);
        let answer =
            wire.send(&sent.bytes).answer_to(&sent.method).unwrap_or_else(|| panic!("no answer: {}", told(&sent)));
        if let Err(why) = rules::judge(&world, &good, &sent, &answer, &secrets) {
            panic!("round {round}: {why}\n{}\n{} {:?}\n{}", told(&sent), answer.status, answer.headers, answer.text());
        }
        // Each client that registered itself has a path of its own.
        let path = if sent.path == good.managed.0 { String::from("managed") } else { sent.path };
        *seen.entry((path, answer.status)).or_default() += 1;
    }
    world.good();
    assert!(!world.node.log().contains("panicked"));
    seen
}

fn told(sent: &Sent) -> String {
    let bytes = &sent.bytes[..sent.bytes.len().min(8_000)];
    bytes.escape_ascii().to_string().replace("\\r\\n", "\n")
}

/// The requests are mixed: of these there are some.
#[track_caller]
fn mixed(seen: &BTreeMap<(String, u16), usize>, expected: &[(&str, &[u16])]) {
    for (path, statuses) in expected {
        for status in *statuses {
            assert!(seen.contains_key(&((*path).to_owned(), *status)), "none {status} of {path}: {seen:?}");
        }
    }
}

#[test]
fn whatever_clients_send() {
    let seen = fuzz(shapes::of_clients);
    mixed(
        &seen,
        &[
            (world::TOKEN, &[200, 400, 401, 405]),
            (world::DEVICE, &[200, 400, 401]),
            (world::INTROSPECT, &[200, 400, 401]),
            (world::REVOKE, &[200, 400, 401]),
            (world::TOKENINFO, &[200, 400]),
            (world::USERINFO, &[200, 401]),
            (world::METADATA, &[200]),
            (world::OPENID, &[200]),
            (world::JWKS, &[200]),
        ],
    );
}

#[test]
fn whatever_browsers_send() {
    let seen = fuzz(shapes::of_browsers);
    mixed(
        &seen,
        &[(world::AUTHORIZE, &[200, 303, 400, 401]), (world::VERIFY, &[200, 400, 404]), (world::GRANTED, &[200, 400])],
    );
}

#[test]
fn whatever_is_sent_to_register() {
    let seen = fuzz(shapes::of_registrations);
    mixed(&seen, &[(world::REGISTER, &[201, 400, 401]), ("managed", &[200, 204, 400, 401])]);
}
