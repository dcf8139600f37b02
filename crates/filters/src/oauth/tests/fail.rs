//! `oauth.fail`, and failures among the branches of `any`.

use super::*;

fn failing(settings: &str) -> Ran {
    let text = format!("route = \"POST /x\"\n[[filter]]\nuse = \"oauth.fail\"\n{settings}\n");
    World::over(Arc::new(Memory::new())).policy("endpoint", &text).post("/x", &[], "x=%22quoted%22%0D%0A%C3%A9")
}

/// D12: whatever a description is made from, it has only the characters that it may have.
#[test]
fn rfc6749_5_2_a_description_from_the_request() {
    let ran = failing("error = \"invalid_grant\"\ndescription = \"no: ${request.form.x} ${request.form.y ??}\"");
    assert_eq!(error(&ran), refused(400, "invalid_grant"));
    let description = ran.json()["error_description"].as_str().expect("text").to_owned();
    assert!(description.starts_with("no: 'quoted'???"), "{description}");
    assert!(description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "{description}");
    // One whose value is missing is left out: the failure stays what was written.
    let ran = failing("error = \"invalid_grant\"\ndescription = \"${request.form.y}\"");
    assert_eq!(ran.text(), r#"{"error":"invalid_grant"}"#);
}

#[test]
fn rfc9110_15_5_2_a_401_has_a_challenge() {
    let ran = failing("error = \"invalid_client\"\nrealm = \"partners\"");
    assert_eq!((ran.status, ran.header("www-authenticate")), (401, "Basic realm=\"partners\", charset=\"UTF-8\""));
    let ran = failing("error = \"invalid_token\"");
    assert_eq!((ran.status, ran.header("www-authenticate")), (401, "Bearer realm=\"oauth\", error=\"invalid_token\""));
    assert_eq!(failing("error = \"temporarily_unavailable\"").status, 503);
}

/// A request without a token goes on to the next way in; one with a bad token does not.
#[test]
fn only_an_absent_token_leads_to_the_next_way() {
    let filters = "[[filter]]\nuse = \"any\"\nof = [\"bearer\", \"key\"]\n[[filter]]\nuse = \"respond\"\n\
        [[chain.bearer]]\nuse = \"oauth.validate-token\"\n\
        [[chain.key]]\nuse = \"require\"\nthat = \"request.path == '/key'\"\nstatus = 401\nchallenge = \"Key\"\n";
    let world = World::protecting(filters);
    let header = format!("Bearer {}", world.token(|_| {}));
    assert_eq!(world.get("/", &[("authorization", &header)]).status, 200);
    assert_eq!(world.get("/key", &[]).status, 200);
    assert_eq!(world.get("/key", &[("authorization", "Bearer x")]).status, 401);
    let ran = world.get("/", &[]);
    let challenges = ran.headers.get_all("www-authenticate").iter().map(|value| value.to_str().expect("text"));
    assert_eq!((ran.status, challenges.collect::<Vec<_>>()), (401, vec!["Bearer realm=\"api\"", "Key"]));
}
