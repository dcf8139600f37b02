use super::*;

const POLICY: &str = r#"
route = "/a"
listener = "public"
before = ["audit"]

[input]
message = "string"

[[filter]]
use  = "switch"
name = "which"
on   = "${input.message ?? ${values.word}}"
else = "fail"

[filter.case]
a = "code"
b = { call = "other" }

[[filter]]
use   = "oauth.validate-token"
store = "tokens"
when  = "values.on && x.values.no && vars.a == 1"
on_failure = { to = "code", as = "success" }

[[chain.code]]
use = "any"
of = ["one", 'two']
policy = "not a name here"

[[chain.code]]
use = "proxy"
upstream = "orders"
path = "/values.no/$${values.no}/${values.yes}"

[[response]]
use = "call"
policy = "last"

[[test]]
given = { stores = { tokens = "down" }, upstreams.orders = { fail = "timeout" } }
[[test.step]]
policy = "audit"
"#;

#[test]
fn names_and_what_they_stand_for() {
    let sketch = Sketch::of(POLICY);
    let found: Vec<String> = policy_mentions(POLICY, &sketch)
        .iter()
        .map(|m| {
            let declares = if m.declares { "+" } else { "" };
            assert_eq!(POLICY[m.span.start..m.span.end], m.name);
            format!("{declares}{:?} {}", m.thing, m.name)
        })
        .collect();
    let expected = [
        "Listener public",
        "Policy audit",
        "+Input message",
        "Value word",
        "Input message",
        "Chain code",
        "Policy other",
        "Store tokens",
        "Value on",
        "Variable a",
        "Chain code",
        "+Chain code",
        "Chain one",
        "Chain two",
        "+Chain code",
        "Upstream orders",
        "Value yes",
        "Policy last",
        "Store tokens",
        "Upstream orders",
        "Policy audit",
    ];
    assert_eq!(found, expected);
}

#[test]
fn filters_and_their_chains() {
    let sketch = Sketch::of(POLICY);
    let steps = steps(&sketch);
    let found: Vec<_> =
        steps.iter().map(|s| (s.chain.as_str(), s.index, s.uses.as_ref().unwrap().value.as_str())).collect();
    let expected = [
        ("filter", 0, "switch"),
        ("filter", 1, "oauth.validate-token"),
        ("chain.code", 0, "any"),
        ("chain.code", 1, "proxy"),
        ("response", 0, "call"),
    ];
    assert_eq!(found, expected);
    let in_case = POLICY.find("b = {").unwrap();
    assert_eq!(step_at(&steps, in_case).unwrap().name.as_ref().unwrap().value, "which");
    assert_eq!(step_at(&steps, 3), None);
}

/// What the compiler links is what an editor sees as a name, at the same place.
#[test]
fn every_link_is_a_name() {
    use crate::compile::links;

    let policy = "filter = [{ use = 'call', chain = 'a', on_failure = { to = 'b', as = 'success' }, on_abort = 'c' }]\n\
                  [chain]\na = [{ use = 'any', of = ['b', 'c'] }, { use = 'answer', on_success = 'c' }]\nb = [{ use = 'answer' }]\n\
                  [[chain.c]]\nuse = 'switch'\non = 'x'\nmissing = { call = 'q' }\nelse = 'd'\n\
                  [chain.c.case]\nx = 'd'\ny = { call = 'q' }\n\
                  [[chain.c]]\nuse = 'call'\npolicy = 'q'\n[[chain.d]]\nuse = 'answer'\non_failure = 'continue'\n";
    let fixture = crate::testing::lab::policy(policy).policy("q", "[[filter]]\nuse = 'answer'\n");
    let (text, linked) = fixture.compile_by(|input| {
        let text = input.files.files["policies/p.toml"].text.clone();
        (text, links(input, "p"))
    });
    assert_eq!(linked.len(), 11, "{linked:?}");
    let mentions = policy_mentions(&text, &Sketch::of(&text));
    let mut named: Vec<Span> = mentions
        .iter()
        .filter(|mention| !mention.declares && matches!(mention.thing, Thing::Chain | Thing::Policy))
        // With its quotes.
        .map(|mention| Span { start: mention.span.start - 1, end: mention.span.end + 1 })
        .collect();
    named.sort();
    assert_eq!(named, linked);
}
