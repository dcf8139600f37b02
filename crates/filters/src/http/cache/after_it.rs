//! What `check` tells of filters after `cache`.

use policy::filter::Answers;
use policy::testing::Fixture;

use crate::fixture::{policy, world};

/// Codes, and what each is about: a filter, or a selector.
fn told(fixture: &Fixture) -> Vec<String> {
    let compiled = fixture.compile();
    assert!(!compiled.diagnostics.has_errors(), "{:?}", fixture.problems());
    let told = compiled.lints.told().sorted();
    let of_caches = told.iter().filter(|lint| ["P0716", "P0717"].contains(&lint.problem.code.as_str()));
    of_caches.map(|lint| format!("{} {}", lint.problem.code, lint.problem.message.split('`').nth(1).unwrap())).collect()
}

/// What is told of `between`, which stands after `before` and `cache`, and before `proxy`.
fn between(before: &str, key: &str, between: &str) -> Vec<String> {
    let list = |filters: &str| match filters {
        "" => String::new(),
        filters => format!("[[filter]]\n{}\n\n", filters.replace("; ", "\n").replace(" | ", "\n\n[[filter]]\n")),
    };
    let key = if key.is_empty() { String::new() } else { format!("key = '{key}'\n") };
    let proxy = "[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n";
    told(&policy(&format!("{}[[filter]]\nuse = 'cache'\n{key}\n{}{proxy}", list(before), list(between))))
}

const TOKEN: &str = "use = 'oauth.validate-token'";
const TENANT: &str = "use = 'set-header'; set.x-tenant = '${request.header.x-tenant}'";

#[test]
fn a_filter_that_may_refuse() {
    for (filters, expected) in [
        ("use = 'oauth.validate-token'", "P0716 oauth.validate-token"),
        ("use = 'auth.ip-address'; deny = ['10.0.0.0/8']", "P0716 auth.ip-address"),
        ("use = 'require'; that = 'request.header[\"x-a\"] == \"b\"'", "P0716 require"),
        ("use = 'require'; that = 'request.path == \"/b\"'; when = 'request.client_ip == \"::1\"'", "P0716 require"),
        ("use = 'fail'; when = 'request.client_ip == \"::1\"'", "P0716 fail"),
        ("use = 'rate-limit'; limit = '1/1s'; key = '${request.client_ip}'", "P0716 rate-limit"),
        ("use = 'quota'; limit = 1; per = 'day'; key = '${request.header.x-a}'", "P0716 quota"),
        ("use = 'threat-patterns'; sets = ['xss']", "P0716 threat-patterns"),
        ("use = 'header-rules'; unknown = 'refuse'", "P0716 header-rules"),
        ("use = 'content-type'; accept = ['application/json']", "P0716 content-type"),
        ("use = 'kps.get'; store = 'partners'; key = '${request.header.x-a}'; into = 'row'", "P0716 kps.get"),
    ] {
        assert_eq!(between("", "", filters), [expected], "{filters}");
        assert_eq!(between(filters, "all", ""), [""; 0], "before it: {filters}");
    }
}

#[test]
fn what_judges_by_the_url_the_key_or_a_body_or_spares_the_upstream_may_stand_there() {
    for filters in [
        "use = 'require'; that = 'request.query.version == \"2\" && request.method == \"GET\"'",
        "use = 'require'; that = 'request.header[\"x-key\"] == \"b\"'",
        // What a refusal says makes no difference, and a failure that is passed over refuses nobody.
        "use = 'require'; that = 'request.path == \"/b\"'; message = 'from ${request.client_ip}'",
        "use = 'require'; that = 'request.header[\"x-a\"] == \"b\"'; on_failure = 'continue'",
        "use = 'query-rules'; allow.a = '.*'",
        "use = 'threat-patterns'; sets = ['xss']; in = ['query', 'path']",
        "use = 'json-limits'",
        "use = 'rate-limit'; limit = '1/1s'",
        "use = 'rate-limit'; limit = '1/1s'; key = '${request.path}'",
        "use = 'concurrency-limit'; limit = 1",
        "use = 'content-type'; allow = ['application/json']",
    ] {
        assert_eq!(between("", "${request.header.X-Key}", filters), [""; 0], "{filters}");
    }
    let counts = "use = 'rate-limit'; limit = '1/1s'; key = '${request.header.x-key}'";
    assert_eq!(between("", "${request.header.x-key}", counts), ["P0716 rate-limit"], "it counts, whatever the key is");
}

#[test]
fn a_selector_that_the_key_does_not_have() {
    for (filters, expected) in [
        (TENANT, "P0717 request.header.x-tenant"),
        ("use = 'set-header'; of = 'response'; set.x-a = '${request.cookie.a ??}'", "P0717 request.cookie.a"),
        ("use = 'rewrite'; set_query.a = '${request.client_ip}'", "P0717 request.client_ip"),
        ("use = 'set-header'; set.x-a = 'b'; when = 'request.header[\"x-a\"] == \"b\"'", "P0717 request.header.x-a"),
        (
            "use = 'set'; vars = { a = '${request.header.x-a}', b = 1} | use = 'set-header'; set.x-a = '${vars.a}'",
            "P0717 vars.a",
        ),
        (
            "use = 'threat-patterns'; sets = ['xss']; mode = 'log'; in = ['headers']; into = 'a' | use = 'set-header'; set.x-a = '${vars.a ??}'",
            "P0717 vars.a",
        ),
        ("use = 'unset'; vars = ['a']; when = 'request.header[\"x-a\"] == \"b\"'", "P0717 request.header.x-a"),
    ] {
        assert_eq!(between("", "", filters), [expected], "{filters}");
        assert_eq!(between(filters, "", ""), [""; 0], "before it: {filters}");
    }
}

/// Whatever the filter: what leaves an answer, or edits one, by a selector.
#[test]
fn whatever_answers_by_a_selector() {
    const F: &str = "${request.header.x-f ??}";
    for filter in [
        format!("use = 'static-files'\nfolder = 'site'\npath = '{F}'"),
        format!("use = 'respond'\ntext = '{F}'"),
        format!("use = 'redirect'\nto = '/{F}'"),
        format!("use = 'template'\ntext = '{{{{ a }}}}'\nwith.a = '{F}'"),
    ] {
        let text = format!("[[filter]]\nuse = 'cache'\n[[filter]]\n{filter}");
        assert_eq!(told(&policy(&text)), ["P0717 request.header.x-f"], "{filter}");
    }
    let when = "when = 'request.header[\"x-f\"] == \"b\"'";
    for filter in
        ["use = 'static-files'; folder = 'site'", "use = 'respond'", "use = 'security-headers'", "use = 'decompress'"]
    {
        assert_eq!(between("", "", &format!("{filter}; {when}")), ["P0717 request.header.x-f"], "{filter}");
    }
    assert_eq!(between("", "", &format!("use = 'cache'; key = '{F}'")), ["P0717 request.header.x-f"]);
    let fallback = "use = 'static-files'; folder = 'site'; fallback = 'index.html'; missing = 'continue'";
    assert_eq!(between("", "", fallback), ["P0717 request.header.accept"]);
}

/// A filter that says that it makes no difference is one of these, leaves no answer and edits none.
#[test]
fn what_makes_no_difference_says_so_and_is_known() {
    const KNOWN: &[&str] = &[
        "audit",
        "auth.ip-address",
        "circuit-breaker",
        "concurrency-limit",
        "content-type",
        "delay",
        "fail",
        "fetch",
        "json-path",
        "kps.delete",
        "kps.get",
        "kps.put",
        "log",
        "metric",
        "oauth-client.delete-token",
        "oauth-client.get-token",
        "oauth-client.refresh-token",
        "oauth-client.save-token",
        "require",
        "set",
        "template",
        "threat-patterns",
        "trace-point",
    ];
    let mut found = std::collections::BTreeSet::new();
    let into = String::from("route = '/'\n[[filter]]\nuse = 'template'\ntext = 'a'\ninto = 'b'\n");
    for text in crate::examples::all().chain([into]) {
        let (_, survey) = world().policy("example", &text).compile_by(policy::compile::survey);
        let chains = survey.policies.iter().flat_map(|policy| policy.chains.values());
        for step in chains.flat_map(|chain| &chain.steps).filter(|step| step.effects.shapes_nothing) {
            let effects = &step.effects;
            let leaves = effects.sets_response || effects.edits_headers || effects.answers != Answers::Never;
            assert!(!leaves, "{}: {text}", step.uses);
            found.insert(step.uses.clone());
        }
    }
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), KNOWN);
}

/// What is to be done about it is said, and is true: `cache` is of no use after what makes the answer.
#[test]
fn where_else_a_filter_could_stand() {
    let help = |filters: &str| -> Vec<String> {
        let text = format!(
            "[[filter]]\nuse = 'cache'\n[[filter]]\n{}\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'\nhost = '${{request.header.x-f ??}}'\n",
            filters.replace("; ", "\n")
        );
        let told = policy(&text).compile().lints.told().sorted();
        let helps = told
            .iter()
            .filter(|lint| lint.problem.code.as_str() == "P0717")
            .filter_map(|lint| lint.problem.help.as_deref());
        helps.map(|help| help.split("; where it is meant").next().unwrap().to_owned()).collect()
    };
    let key = "add `request.header.x-f` to the `key` of `cache`";
    for (filters, elsewhere) in [
        (
            "use = 'set-header'; set.x-a = '${request.header.x-f ??}'",
            "; or let `set-header` stand before `cache`, which then sees the URL that it makes, or a header that `Vary` of the answer names",
        ),
        (
            "use = 'set-header'; of = 'response'; set.x-a = '${request.header.x-f ??}'",
            "; or let `set-header` stand in `[[response]]`",
        ),
        ("use = 'respond'; when = 'request.header[\"x-f\"] == \"b\"'", ""),
    ] {
        assert_eq!(help(filters), [format!("{key}{elsewhere}"), key.to_owned()], "{filters}");
    }
}

#[test]
fn what_the_url_or_the_key_has_and_what_is_only_told_may_stand_there() {
    for (key, filters) in [
        ("${request.header.x-tenant}", TENANT),
        ("", "use = 'set-header'; set.x-a = '${request.uri} ${request.host} ${request.id} ${values.partner_key}'"),
        ("", "use = 'log'; message = '${request.header.x-a}'; when = 'request.client_ip != \"::1\"'"),
        (
            "",
            "use = 'set'; vars = { a = '${request.header.x-a}', b = '${request.path}'} | use = 'set-header'; set.x-a = '${vars.b}'",
        ),
    ] {
        assert_eq!(between("", key, filters), [""; 0], "{filters}");
    }
    let no_matter = "[[filter]]\nuse = 'cache'\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'\nkey = '${request.client_ip}'\n[[filter]]\nuse = 'set-header'\nof = 'response'\nset.x-a = '${response.header.b ??}'\n";
    assert_eq!(told(&policy(no_matter)), [""; 0]);
}

#[test]
fn who_the_caller_is() {
    let sets = |selector: &str| format!("use = 'set-header'; set.x-a = '{selector}'");
    assert_eq!(between(TOKEN, "all", &sets("${token.subject ??}")), ["P0717 token.subject"]);
    assert_eq!(between(TOKEN, "${client.id}", &sets("${token.subject ??}")), ["P0717 token.subject"]);
    assert_eq!(between(TOKEN, "${client.id}", &sets("${client.name ??}")), [""; 0], "it goes with the id");
    assert_eq!(between(TOKEN, "", &sets("${client.id}")), [""; 0], "without a key nothing is kept for a caller");
    assert_eq!(
        between("", "all", &format!("{TOKEN} | {}", sets("${client.id}"))),
        ["P0716 oauth.validate-token"],
        "nor what is let pass after it"
    );
    let named = format!("{TOKEN} | use = 'set'; vars.who = 'x ${{client.id}}'");
    assert_eq!(between(&named, "all", &sets("${vars.who}")), ["P0717 vars.who"]);
    assert_eq!(between(&named, "${vars.who}", &sets("${vars.who}")), [""; 0]);
}

#[test]
fn a_token_that_goes_along_is_somebodys() {
    let proxied = |subject: &str| {
        let filters = format!(
            "[[filter]]\nuse = 'oauth.validate-token'\n[[filter]]\nuse = 'cache'\nkey = 'all'\n[[filter]]\nuse = 'oauth-client.get-token'\nprovider = 'partner'\n{subject}\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'\ntoken = 'partner'\n"
        );
        told(&policy(&filters))
    };
    assert_eq!(proxied("for = '${client.id}'"), ["P0717 held"]);
    assert_eq!(proxied(""), [""; 0]);
}

#[test]
fn wherever_it_runs_after_the_cache() {
    let cache = "[[filter]]\nuse = 'cache'\n\n";
    let ends = "[[filter]]\nuse = 'respond'\n\n";
    let sets = "use = 'set-header'\nset.x-a = '${request.header.x-a ??}'\n\n";
    for (policies, expected) in [
        // A chain that is switched to, and what it is switched by.
        (
            vec![("p", format!("route = '/**'\n{cache}[[filter]]\nuse = 'switch'\non = '${{request.header.x-b}}'\nelse = 'continue'\ncase = {{ a = 'other' }}\n{ends}[[chain.other]]\n{sets}"))],
            vec!["P0717 request.header.x-b", "P0717 request.header.x-a"],
        ),
        // What comes after the chain that has the cache.
        (
            vec![("p", format!("route = '/**'\n[[filter]]\nuse = 'call'\nchain = 'kept'\n[[filter]]\n{sets}{ends}[[chain.kept]]\nuse = 'cache'\n"))],
            vec!["P0717 request.header.x-a"],
        ),
        // The same of another policy, and of its caller's caller; what does not come back to them is not after it.
        (
            vec![
                ("kept", cache.to_owned()),
                ("p", "[[filter]]\nuse = 'call'\npolicy = 'kept'\n".to_owned()),
                ("q", format!("route = '/**'\n[[filter]]\nuse = 'call'\npolicy = 'p'\n[[filter]]\n{sets}{ends}")),
                ("r", format!("route = '/r'\n[[filter]]\n{sets}{ends}")),
            ],
            vec!["P0717 request.header.x-a"],
        ),
        // An input is what it is given.
        (
            vec![
                ("p", "[input]\na = 'string'\nb = 'string'\n[[filter]]\nuse = 'set-header'\nset.x-a = '${input.a} ${input.b}'\n".to_owned()),
                ("q", format!("route = '/**'\n{cache}[[filter]]\nuse = 'call'\npolicy = 'p'\nwith = {{ a = '${{request.header.x-a}}', b = '${{request.path}}' }}\n{ends}")),
            ],
            vec!["P0717 input.a"],
        ),
        // Whether a chain runs, though it sets the same for all.
        (
            vec![("p", format!("route = '/**'\n{cache}[[filter]]\nuse = 'call'\nchain = 'other'\nwhen = 'request.header[\"x-b\"] == \"b\"'\n{ends}[[chain.other]]\nuse = 'set-header'\nset.x-a = 'a'\n"))],
            vec!["P0717 request.header.x-b"],
        ),
        (
            vec![("p", format!("route = '/**'\n[[filter]]\nuse = 'set'\nvars.a = 'a'\n[[filter]]\nuse = 'call'\nchain = 'other'\nwhen = 'request.header[\"x-b\"] == \"b\"'\n{cache}[[filter]]\nuse = 'set-header'\nset.x-a = '${{vars.a}}'\n{ends}[[chain.other]]\nuse = 'set'\nvars.a = 'b'\n"))],
            vec!["P0717 vars.a"],
        ),
        (
            vec![("p", format!("route = '/**'\n[[filter]]\nuse = 'any'\nof = ['one', 'two']\n{cache}[[filter]]\nuse = 'set-header'\nset.x-a = '${{vars.a}}'\n{ends}[[chain.one]]\nuse = 'require'\nthat = 'request.header[\"x-b\"] == \"b\"'\n[[chain.one]]\nuse = 'set'\nvars.a = 'a'\n[[chain.two]]\nuse = 'set'\nvars.a = 'b'\n"))],
            vec!["P0717 vars.a"],
        ),
        // Whoever comes to the cache in such a chain has come the same way.
        (
            vec![("p", format!("route = '/**'\n[[filter]]\nuse = 'call'\nchain = 'other'\nwhen = 'request.header[\"x-b\"] == \"b\"'\n{ends}[[chain.other]]\nuse = 'set'\nvars.a = 'a'\n[[chain.other]]\nuse = 'cache'\n[[chain.other]]\nuse = 'set-header'\nset.x-a = '${{vars.a}}'\n"))],
            vec![],
        ),
        // Another path in the place of the client's, without what the route took of that, and with it.
        (
            vec![("p", format!("route = '/{{id}}'\n[[filter]]\nuse = 'rewrite'\npath = '/all'\n{cache}[[filter]]\nuse = 'set-header'\nset.x-a = '${{path.id}}'\n{ends}"))],
            vec!["P0717 path.id"],
        ),
        (
            vec![("p", format!("route = '/{{id}}'\n[[filter]]\nuse = 'rewrite'\npath = '/all/${{path.id}}'\n{cache}[[filter]]\nuse = 'set-header'\nset.x-a = '${{path.id}}'\n{ends}"))],
            vec![],
        ),
        // A policy that runs before: what it runs before stands after its cache.
        (
            vec![
                ("kept", cache.to_owned()),
                ("p", format!("route = '/**'\nbefore = ['kept']\n[[filter]]\n{sets}{ends}")),
                ("q", format!("route = '/q'\n[[filter]]\n{sets}{ends}")),
            ],
            vec!["P0717 request.header.x-a"],
        ),
        // `[[response]]` runs for every request.
        (vec![("p", format!("route = '/**'\n{cache}{ends}[[response]]\nof = 'response'\n{sets}"))], vec![]),
    ] {
        let fixture = policies.iter().fold(world(), |world, (name, text)| world.policy(name, text));
        let mut found = told(&fixture);
        found.sort();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(found, expected, "{policies:?}");
    }
}
