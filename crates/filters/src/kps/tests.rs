//! The filters and selectors together, over a store in memory.

use std::sync::Arc;

use serde_json::json;
use store::sources::memory::Memory;
use store::{DataSource, StoreHandle};

use crate::fixture::{get, partners, policy, told, world};
use policy::testing::Fixture;

const PUT: &str = r#"
    [[filter]]
    use   = "kps.put"
    store = "partners"
    [filter.row]
    id        = "${request.query.id}"
    email     = "${request.query.email ??}"
    limit     = "${request.query.limit ??}"
    last_seen = "${now}"
"#;

const GET: &str = r#"
    [[filter]]
    use   = "kps.get"
    store = "partners"
    key   = "${request.query.key}"
    into  = "row"
    [[filter]]
    use  = "respond"
    json = "${vars.row}"
"#;

/// A policy that puts a row first, and then does this.
fn after_put(filters: &str) -> Fixture {
    policy(&format!("{PUT}{filters}"))
}

#[test]
fn a_row_that_was_put_is_found() {
    let ran = after_put(GET).run(get("/x?id=acme&limit=10&key=acme", &[]));
    let found = ran.json();
    assert_eq!((&found["id"], &found["limit"]), (&json!("acme"), &json!(10)));
    assert!(found["last_seen"].is_i64(), "a time is Unix seconds: {found}");
    assert_eq!(found.get("email"), None);
    assert_eq!(told(&after_put(GET).run(get("/x?id=acme&key=other", &[]))), "404 no-row");
    assert_eq!(told(&after_put(GET).run(get("/x?id=acme", &[]))), "400 missing-value");
    let second = GET.replace("key   =", "second_key =").replace("query.key", "query.email");
    let ran = after_put(&second).run(get("/x?id=acme&email=a@b", &[]));
    assert_eq!(ran.json()["id"], "acme");
}

#[test]
fn a_row_that_is_not_there_may_stay_absent() {
    let text = GET
        .replace("into ", "required = false\ninto ")
        .replace("json = \"${vars.row}\"", "text = \"${vars.row ?? none}\"");
    assert_eq!(policy(&text).run(get("/x?key=a", &[])).text(), "none");
}

#[test]
fn what_does_not_fit_is_the_clients_fault() {
    assert_eq!(told(&after_put(GET).run(get("/x?id=acme&limit=ten&key=acme", &[]))), "400 bad-row");
    assert_eq!(told(&after_put(GET).run(get("/x?id=&key=acme", &[]))), "400 missing-value");
}

#[test]
fn modes_of_put() {
    let twice = |mode: &str| {
        let second = PUT
            .replace("[filter.row]", &format!("mode = '{mode}'\n[filter.row]"))
            .replace("limit     = \"${request.query.limit ??}\"\n", "");
        told(&after_put(&format!("{second}{GET}")).run(get("/x?id=a&limit=1&key=a", &[])))
    };
    assert_eq!(
        (twice("replace"), twice("merge"), twice("insert")),
        ("200".into(), "200".into(), "409 row-exists".into())
    );
    let merged = PUT
        .replace("[filter.row]", "mode = 'merge'\n[filter.row]")
        .replace("    limit     = \"${request.query.limit ??}\"\n", "");
    let ran = after_put(&format!("{merged}{GET}")).run(get("/x?id=a&limit=1&key=a", &[]));
    assert_eq!(ran.json()["limit"], 1, "a column that is not given stays");
}

#[test]
fn a_second_key_that_another_row_has() {
    let other = PUT.replace("${request.query.id}", "other");
    let ran = after_put(&format!("{other}{GET}")).run(get("/x?id=a&email=e&key=a", &[]));
    assert_eq!(told(&ran), "409 row-exists");
}

#[test]
fn a_row_is_deleted() {
    let delete = "[[filter]]\nuse = 'kps.delete'\nstore = 'partners'\nkey = '${request.query.id}'\n";
    assert_eq!(told(&after_put(&format!("{delete}{GET}")).run(get("/x?id=a&key=a", &[]))), "404 no-row");
    let required = format!("{delete}required = true\n");
    assert_eq!(told(&after_put(&format!("{required}{required}{GET}")).run(get("/x?id=a&key=a", &[]))), "404 no-row");
}

#[test]
fn selectors_look_rows_up() {
    let respond = |text: &str| format!("[[filter]]\nuse = 'respond'\n{text}\n");
    let ran = |text: &str, query: &str| after_put(&respond(text)).run(get(&format!("/x?id=acme&{query}"), &[]));
    let limit = "json = { limit = '${kps.partners[request.query.key].limit}' }";
    assert_eq!(ran(limit, "limit=10&key=acme").json(), json!({ "limit": 10 }));
    // Without a row, without the column, without the key: absent, and never a placeholder.
    for query in ["limit=10&key=other", "key=acme", "limit=10"] {
        assert_eq!(told(&ran(limit, query)), "400 missing-value", "{query}");
    }
    let default = "text = '${kps.partners[request.query.key].limit ?? none}'";
    for (query, text) in [("limit=10&key=acme", "10"), ("limit=10&key=other", "none"), ("limit=10", "none")] {
        assert_eq!(ran(default, query).text(), text, "{query}");
    }
    for written in ["kps.partners['acme'].limit", "kps.partners.acme.limit"] {
        assert_eq!(ran(&format!("text = \"${{{written}}}\""), "limit=7").text(), "7", "{written}");
    }
    assert_eq!(ran("json = '${kps.partners[request.query.key]}'", "key=acme").json()["id"], "acme");
}

#[test]
fn conditions_look_rows_up() {
    let require =
        |that: &str| format!("[[filter]]\nuse = 'require'\nthat = '''{that}'''\n[[filter]]\nuse = 'respond'\n");
    let ran = |that: &str, query: &str| told(&after_put(&require(that)).run(get(&format!("/x?id=acme&{query}"), &[])));
    let enough = "kps.partners[request.query.key].limit > 5";
    assert_eq!(ran(enough, "limit=10&key=acme"), "200");
    assert_eq!(ran(enough, "limit=5&key=acme"), "403 condition-not-met");
    let has = "has(kps.partners[request.query.key].limit)";
    assert_eq!((ran(has, "limit=1&key=acme"), ran(has, "key=acme")), ("200".into(), "403 condition-not-met".into()));
    assert_eq!(ran("kps.partners[\"acme\"].limit == 1 && kps.partners[\"acme\"].id == \"acme\"", "limit=1"), "200");
    let when =
        "[[filter]]\nuse = 'fail'\nwhen = 'kps.partners[request.query.key].limit < 5'\n[[filter]]\nuse = 'respond'\n";
    let ran = |query: &str| told(&after_put(when).run(get(&format!("/x?id=acme&key=acme&{query}"), &[])));
    assert_eq!((ran("limit=10"), ran("limit=1")), ("200".into(), "403 failed".into()));
}

#[test]
fn what_is_wrong_is_told_at_load() {
    let filter = |settings: &str| format!("[[filter]]\n{settings}\n[[filter]]\nuse = 'respond'\n");
    for (settings, said) in [
        ("use = 'kps.get'\nstore = 'partner'\nkey = 'a'\ninto = 'a'", "kps.partner"),
        ("use = 'kps.get'\nstore = 'partners'\ninto = 'a'", "looked up by `key` or by `second_key`"),
        ("use = 'kps.get'\nstore = 'partners'\nkey = 'a'\nsecond_key = 'b'\ninto = 'a'", "looked up by `key` or by"),
        ("use = 'kps.put'\nstore = 'partners'\nrow = { limit = 1 }", "the key `id` is missing"),
        ("use = 'kps.put'\nstore = 'partners'\nrow = { id = 'a', limt = 1 }", "column `limt`"),
        (
            "use = 'kps.put'\nstore = 'partners'\nrow = { id = 'a', limit = 'ten' }",
            "column `limit`: it is to be a whole number",
        ),
        ("use = 'kps.put'\nstore = 'partners'\nrow = { id = 'a' }\nttl = '10ms'", "at least one second"),
        ("use = 'set'\nvars = { a = '${kps.partners[path.nope].limit}' }", "path.nope"),
        ("use = 'set'\nvars = { a = '${kps.partners[client.id].limit}' }", "client"),
        ("use = 'set'\nvars = { a = '${kps.partners[\"a\"].limt}' }", "column `limt`"),
        ("use = 'set'\nvars = { a = '${kps.partners[\"a\"].limit.x}' }", "it has nothing inside"),
        ("use = 'set'\nvars = { a = '${kps.nothing[\"a\"].limit}' }", "kps.nothing"),
    ] {
        let problems = policy(&filter(settings)).problems();
        assert!(problems.iter().any(|p| p.contains(said)), "{settings}: {problems:#?}");
    }
}

#[test]
fn a_store_that_is_down_is_a_fault() {
    let down: Arc<dyn DataSource> = Arc::new(store::guard::Guarded::new("far", Arc::new(Memory::new())));
    let world = || world().resource("store", "kps.partners", StoreHandle::Kps(partners(down.clone())));
    for filters in [
        PUT,
        GET,
        "[[filter]]\nuse = 'kps.delete'\nstore = 'partners'\nkey = 'a'\n",
        "[[filter]]\nuse = 'respond'\ntext = '${kps.partners.a.limit ?? none}'\n",
        "[[filter]]\nuse = 'respond'\nwhen = 'kps.partners.a.limit == 1'\n[[filter]]\nuse = 'fail'",
    ] {
        let text = format!(
            "route = \"/**\"\n{filters}\n{}",
            if filters.contains("respond") { "" } else { "[[filter]]\nuse = 'respond'" }
        );
        let ran = world().policy("tested", &text).run(get("/x?id=a&key=a", &[]));
        assert_eq!(told(&ran), "503 store-unavailable", "{filters}");
    }
}

#[test]
fn flow_words_look_rows_up() {
    let switch = r#"
        [[filter]]
        use  = "switch"
        on   = "${kps.partners[request.query.key].limit}"
        case = { 7 = "seven" }
        else = "other"
        missing = "none"
        [[chain.seven]]
        use  = "respond"
        text = "seven"
        [[chain.other]]
        use  = "respond"
        text = "other"
        [[chain.none]]
        use  = "respond"
        text = "none"
    "#;
    let ran = |query: &str| after_put(switch).run(get(&format!("/x?id=acme&{query}"), &[])).text().to_owned();
    assert_eq!(
        (ran("limit=7&key=acme"), ran("limit=8&key=acme"), ran("key=other")),
        ("seven".into(), "other".into(), "none".into())
    );
}

#[test]
fn a_fault_of_a_look_up_is_the_steps() {
    let down: Arc<dyn DataSource> = Arc::new(store::guard::Guarded::new("far", Arc::new(Memory::new())));
    let text = r#"
        route = "/**"
        [[filter]]
        use      = "set"
        vars     = { a = "${kps.partners.a.limit ?? none}" }
        on_abort = "taken"
        [[filter]]
        use = "respond"
        [[chain.taken]]
        use  = "respond"
        text = "taken"
    "#;
    let world = world().resource("store", "kps.partners", StoreHandle::Kps(partners(down)));
    assert_eq!(world.policy("tested", text).run(get("/x", &[])).text(), "taken");
}

#[test]
fn what_is_encrypted_is_in_clear_for_policies() {
    let put = PUT.replace("[filter.row]", "[filter.row]\n    password  = \"geheim\"");
    let ran = policy(&format!("{put}{GET}")).run(get("/x?id=acme&key=acme", &[]));
    assert_eq!(ran.json()["password"], "geheim");
    let selector = format!("{put}[[filter]]\nuse = 'respond'\ntext = '${{kps.partners.acme.password}}'\n");
    assert_eq!(policy(&selector).run(get("/x?id=acme", &[])).text(), "geheim");
}
