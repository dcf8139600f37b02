//! `json-schema`: what is valid, what the client is told, and which schemas are none.

use http::Method;
use serde_json::{Value as Json, json};

use crate::fixture::{always, answer, policy, post_json, request, told, world};
use policy::ports::UPSTREAM;
use policy::testing::Fixture;

/// A policy with the schema in a file.
fn tested(schema: &Json, settings: &str) -> Fixture {
    let text = format!(
        "[[filter]]\nuse = 'json-schema'\nfile = 'schemas/order.json'\n{settings}\n[[filter]]\nuse = 'respond'\n"
    );
    policy(&text).content("schemas/order.json", &schema.to_string())
}

fn order() -> Json {
    json!({
        "type": "object",
        "required": ["id", "items"],
        "properties": {
            "id": { "type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "maxLength": 8 },
            "mail": { "type": "string", "format": "email" },
            "items": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/item" } },
        },
        "additionalProperties": false,
        "$defs": { "item": { "type": "object", "properties": { "count": { "type": ["integer", "null"], "minimum": 1 } } } },
    })
}

#[test]
fn what_is_valid_passes_and_the_rest_is_told_where_and_what() {
    let fixture = tested(&order(), "");
    for (body, errors) in [
        (json!({ "id": "AB1", "items": [{ "count": 1 }, {}], "mail": "a@example.com" }), vec![]),
        (json!({ "id": "AB1" }), vec![("#", "the member \"items\" is missing")]),
        (json!({ "id": "geheim", "items": [{}] }), vec![("#/id", "it does not match the pattern")]),
        (json!({ "id": "AB1", "items": [] }), vec![("#/items", "it has fewer than 1 items")]),
        (json!({ "id": "AB1", "items": [{}], "mail": "geheim" }), vec![("#/mail", "it is no email")]),
        (json!({ "id": "AB1", "items": [{ "count": 0 }] }), vec![("#/items/0/count", "it is less than 1")]),
        (
            json!({ "id": "AB1", "items": [{ "count": "geheim" }] }),
            vec![("#/items/0/count", "it is to be of type null or integer")],
        ),
        (json!({ "id": "AB1", "items": [{}], "geheim": 1 }), vec![("#", "there is a value that is not allowed")]),
        (json!("geheim"), vec![("#", "it is to be of type object")]),
    ] {
        let ran = fixture.run(post_json("/x", &body.to_string()));
        if errors.is_empty() {
            assert_eq!(told(&ran), "200", "{body}");
            continue;
        }
        assert_eq!(told(&ran), "400 invalid-json", "{body}");
        let expected: Vec<_> = errors.iter().map(|(at, what)| json!({ "pointer": at, "detail": what })).collect();
        assert_eq!(ran.json()["errors"], json!(expected), "{body}");
        assert!(!ran.text().contains("geheim"), "{}", ran.text());
    }
}

#[test]
fn no_more_than_ten_violations_are_told() {
    let fixture = tested(&json!({ "items": { "type": "string" } }), "");
    let ran = fixture.run(post_json("/x", &json!(vec![1; 1000]).to_string()));
    assert_eq!(ran.json()["errors"].as_array().map(Vec::len), Some(10));
}

#[test]
fn what_is_no_json_is_not_valid() {
    let fixture = tested(&json!(true), "");
    for body in ["", "{", "a=b", &"[".repeat(100_000)] {
        let ran = fixture.run(request(Method::POST, "/x", &[], body));
        assert_eq!(told(&ran), "400 bad-request", "{body:.20}");
    }
    let packed = request(Method::POST, "/x", &[("content-encoding", "gzip")], "{}");
    assert_eq!(told(&fixture.run(packed)), "415 bad-request");
}

#[test]
fn a_schema_in_the_policy_itself() {
    let text = "[[filter]]\nuse = 'json-schema'\n[filter.schema]\n'$ref' = '#/$defs/a'\n'$defs' = { a = { type = 'integer' } }\n[[filter]]\nuse = 'respond'\n";
    assert_eq!(told(&policy(text).run(post_json("/x", "1"))), "200");
    assert_eq!(told(&policy(text).run(post_json("/x", "\"1\""))), "400 invalid-json");
}

#[test]
fn other_documents_are_found_among_those_that_are_named_and_nowhere_else() {
    let schema = json!({ "$ref": "https://example.com/address#/$defs/zip" });
    let address = json!({ "$id": "https://example.com/address", "$defs": { "zip": { "pattern": "^[0-9]{5}$" } } });
    let with = |settings: &str| tested(&schema, settings).content("schemas/address.json", &address.to_string());
    let fixture = with("more = ['schemas/address.json']");
    assert_eq!(told(&fixture.run(post_json("/x", "\"12345\""))), "200");
    assert_eq!(told(&fixture.run(post_json("/x", "\"1234\""))), "400 invalid-json");
    let problems = with("").problems();
    assert!(problems.len() == 1 && problems[0].contains("nothing is fetched"), "{problems:#?}");
    for remote in ["http://127.0.0.1:9/a", "file:///etc/passwd", "other.json"] {
        let problems = tested(&json!({ "$ref": remote }), "").problems();
        assert!(
            problems.len() == 1 && problems[0].contains("no JSON Schema that can be used"),
            "{remote}: {problems:#?}"
        );
    }
}

#[test]
fn drafts_differ() {
    // Before draft 6, `exclusiveMinimum` was a word beside `minimum`.
    let old = json!({ "minimum": 1, "exclusiveMinimum": true });
    assert_eq!(told(&tested(&old, "draft = '4'").run(post_json("/x", "1"))), "400 invalid-json");
    assert!(!tested(&old, "").problems().is_empty());
    let new = json!({ "prefixItems": [{ "type": "integer" }] });
    assert_eq!(told(&tested(&new, "").run(post_json("/x", "[\"a\"]"))), "400 invalid-json");
    assert_eq!(told(&tested(&new, "draft = '7'").run(post_json("/x", "[\"a\"]"))), "200");
    let says = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": [{ "type": "integer" }] });
    assert_eq!(told(&tested(&says, "").run(post_json("/x", "[\"a\"]"))), "200");
}

/// A pointer names members that the client named: as long as it likes.
#[test]
fn a_pointer_does_not_become_as_long_as_the_client_likes() {
    let fixture = tested(&json!({ "additionalProperties": { "type": "integer" } }), "");
    let ran = fixture.run(post_json("/x", &json!({ "ä".repeat(100_000): "a" }).to_string()));
    assert_eq!(told(&ran), "400 invalid-json");
    assert!(ran.text().len() < 3_000, "{}", ran.text().len());
}

/// A pattern that a matcher with backtracking would need 2^30 steps for.
#[test]
fn patterns_are_matched_in_linear_time() {
    let fixture = tested(&json!({ "pattern": "^(a+)+$" }), "");
    let body = json!("a".repeat(100_000) + "!").to_string();
    assert_eq!(told(&fixture.run(post_json("/x", &body))), "400 invalid-json");
}

#[test]
fn what_is_no_schema_is_refused_at_load() {
    for (schema, said) in [
        (json!({ "type": "text" }), "no JSON Schema that can be used at `/type`"),
        (json!({ "pattern": "(" }), "no JSON Schema that can be used"),
        (json!({ "pattern": "(?=a)b" }), "no JSON Schema that can be used"),
        (json!({ "pattern": "(a)\\1" }), "no JSON Schema that can be used"),
        (json!({ "pattern": "(a{1000}){1000}" }), "no JSON Schema that can be used"),
        (json!({ "format": "postcode" }), "no JSON Schema that can be used"),
        (json!({ "$ref": "#/$defs/none" }), "no JSON Schema that can be used"),
        (json!(1), "no JSON Schema that can be used"),
    ] {
        let problems = tested(&schema, "").problems();
        assert!(problems.len() == 1 && problems[0].contains(said), "{schema}: {problems:#?}");
    }
    let file = |text: &str| {
        policy("[[filter]]\nuse = 'json-schema'\nfile = 'a.json'\n[[filter]]\nuse = 'respond'\n")
            .content("a.json", text)
            .problems()
    };
    assert!(file("{")[0].contains("`a.json` is no JSON"));
    let none = policy("[[filter]]\nuse = 'json-schema'\n[[filter]]\nuse = 'respond'\n").problems();
    assert!(none[0].contains("`json-schema` needs one schema"), "{none:#?}");
}

/// A schema that refers to itself and to nothing else asks for nothing; it must not be asked for ever.
#[test]
fn a_schema_that_goes_round_in_circles_ends() {
    let fixture = tested(&json!({ "$ref": "#" }), "");
    let ends = fixture.problems().is_empty().then(|| fixture.run(post_json("/x", "1")).status);
    assert!(matches!(ends, None | Some(200 | 400)), "{ends:?}");
    let deep = json!({ "properties": { "a": { "$ref": "#" } }, "required": ["b"] });
    let body = "{\"b\":1,\"a\":".repeat(100) + "{\"b\":1}" + &"}".repeat(100);
    assert_eq!(told(&tested(&deep, "").run(post_json("/x", &body))), "200");
}

#[test]
fn a_response_that_is_not_valid_is_the_upstreams_fault_and_nothing_of_it_is_told() {
    for (body, expected) in [("1", "200"), ("\"geheim\"", "502 invalid-json"), ("geheim", "502 bad-response")] {
        let text = "route = '/**'\n[[filter]]\nuse = 'proxy'\nupstream = 'odd'\n[[filter]]\nuse = 'json-schema'\nof = 'response'\nschema = { type = 'integer' }";
        let upstream = always(move || Ok(answer(200, &[], body.to_owned())));
        let ran = world().resource(UPSTREAM, "odd", upstream).policy("tested", text).get("/x");
        assert_eq!(told(&ran), expected, "{body}");
        assert!(!ran.text().contains("geheim") && !ran.text().contains("errors"), "{}", ran.text());
    }
}
