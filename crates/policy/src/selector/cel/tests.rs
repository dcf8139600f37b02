use super::*;
use crate::selector::tests::{Bench, outcome, told};

#[test]
fn conditions() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    Bench::with_form(&mut exchange, "a=1&grant=x");
    for (expression, expected) in [
        ("true", "true"),
        ("request.method == \"POST\"", "true"),
        ("request.method in [\"GET\", \"HEAD\"]", "false"),
        ("request.path.startsWith(\"/orders/\")", "true"),
        ("request.path.matches(\"^/orders/[0-9]+$\")", "true"),
        ("matches(request.path, \"^/other\")", "false"),
        ("request.path.upperAscii().matches(\"^/ORDERS\")", "true"),
        ("request.header[\"x-api-key\"] == \"k\"", "true"),
        ("request.header['x-api-key'] == 'k'", "true"),
        ("has(request.header[\"x-api-key\"])", "true"),
        ("has(request.header[\"x-none\"])", "false"),
        ("\"x-api-key\" in request.header", "true"),
        ("\"x-none\" in request.header", "false"),
        ("has(request.form.a) && request.form.a == \"1\"", "true"),
        ("has(request.form.b) && request.form.b == \"1\"", "false"),
        ("!has(token.subject)", "true"),
        ("has(token.scopes)", "true"),
        ("has(vars.unset)", "false"),
        ("\"orders:read\" in token.scopes", "true"),
        ("size(token.scopes) > 1", "true"),
        ("token.scopes.size() == 2", "true"),
        ("token.scopes[0] == \"orders:read\"", "true"),
        ("token.scopes.exists(s, s.endsWith(\":write\"))", "true"),
        ("token.scopes.all(s, s.startsWith(\"orders:\"))", "true"),
        ("token.scopes.exists_one(s, s == \"orders:read\")", "true"),
        ("token.scopes.filter(s, s.contains(\"read\")).size() == 1", "true"),
        ("token.scopes.map(s, size(s)) == [11, 12]", "true"),
        ("vars.json.items.map(i, has(i.name), i.name) == [\"a\"]", "true"),
        ("vars.json.items.all(i, i[\"id\"] > 0)", "true"),
        ("vars.json.items.exists(i, has(i[\"name\"]))", "true"),
        ("vars.json.items.exists(i, [1, 2].exists(j, i.id == j))", "true"),
        ("vars.json.items[0].id == 1", "true"),
        ("vars.json.f > 1", "true"),
        ("vars.json.list[2][\"x y\"]", "true"),
        ("vars.number == 42 && token.active", "true"),
        ("vars.number == 42 ? token.active : false", "true"),
        ("int(vars.words) + 1 == 13", "true"),
        ("now > 1700000000", "true"),
        ("timestamp(now).getFullYear() == 2026", "true"),
        ("token.expires < now", "true"),
        ("path.id == \"7\" && request.query.page == \"2\"", "true"),
        ("input.message == \"in\" && values.number == 7 && node.name == \"node-1\"", "true"),
        ("\"ü\" == request.query.q", "true"),
        ("vars.unset == \"x\"", "! 400 missing-value: `vars.unset` is absent"),
        ("token.subject == \"x\"", "! 400 missing-value: `token.subject` is absent"),
        // As the CEL specification says: what does not matter for the result is no error.
        ("vars.unset == \"x\" || true", "true"),
        ("false && vars.unset == \"x\"", "false"),
        ("vars.unset == \"x\" && vars.number == 42", "! 400 missing-value: `vars.unset` is absent"),
        ("vars.json.nothing == 1", "! 400 missing-value: `vars.json.nothing` is absent"),
        (
            "vars.json.items.all(i, i.name == \"a\")",
            "! 400 missing-value: a field or item that the expression asks for is absent",
        ),
        (
            "token.scopes[vars.number] == \"x\"",
            "! 400 missing-value: a field or item that the expression asks for is absent",
        ),
        ("vars.number", "! 400 wrong-type: the condition is neither true nor false"),
        ("vars.text > vars.number", "! 400 wrong-type: "),
        ("vars.number.startsWith(\"x\")", "! 400 wrong-type: "),
        ("vars.number / (vars.number - 42) == 1", "! 400 wrong-type: the expression divides by zero"),
        ("vars.number * 9223372036854775807 == 1", "! 400 wrong-type: a number of the expression is too large"),
        ("vars.number.matches(\"x\")", "! 400 wrong-type: `matches` is for text"),
    ] {
        let condition = bench.condition(expression).unwrap_or_else(|e| panic!("{expression}: {:?}", told(&e)));
        let found = outcome(condition.holds(&exchange).map(Some));
        assert!(
            found.starts_with(expected) && (expected.ends_with(": ") || found == expected),
            "{expression}: {found}"
        );
    }
}

#[test]
fn malformed_requests_are_that_failure() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    Bench::with_form(&mut exchange, "a=%zz");
    let condition = bench.condition("has(request.form.a) && true").unwrap();
    let found = outcome(condition.holds(&exchange).map(Some));
    assert!(found.starts_with("! 400 bad-request: "), "{found}");
}

#[test]
fn no_message_shows_a_value() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    Bench::with_form(&mut exchange, "password=hunter2");
    for expression in [
        "int(request.form.password) == 1",
        "request.form.password > vars.number",
        "{\"a\": 1}[request.form.password] == 1",
        "timestamp(request.form.password) == timestamp(0)",
        "request.form.password.charAt(99) == \"x\"",
        "[request.form.password, request.form.password][vars.number] == \"x\"",
        "{request.form.password: 1, \"hunter2\": 2} == vars.json",
    ] {
        let condition = bench.condition(expression).unwrap_or_else(|e| panic!("{expression}: {:?}", told(&e)));
        let found = outcome(condition.holds(&exchange).map(Some));
        assert!(found.starts_with('!') && !found.contains("hunter"), "{expression}: {found}");
    }
}

#[test]
fn what_is_refused_at_load() {
    for (expression, expected) in [
        ("reqest.method == \"GET\"", "1:6-12 P0111 `reqest` is not known here (did you mean `request`?)"),
        ("\"ü\" == \"ü\" && tokn.scopes", "1:20-24 P0111 `tokn` is not known here (did you mean `token`?)"),
        ("request.methd == \"GET\"", "1:14-19 P0111 `request` has no `methd` (did you mean `request.method`?)"),
        ("request.header[\"a b\"] == \"\"", "1:21-26 P0110 `a b` cannot be the name of a header"),
        ("has(token.scops)", "1:16-21 P0111 `token` has no `scops` (did you mean `token.scopes`?)"),
        ("token.scopes.exists(s, t == \"x\")", "1:29-30 P0111 `t` is not known here (known here: `request`,"),
        ("request.header == \"x\"", "1:6-20 P0110 `request.header` needs a name"),
        ("values.nmber == 7", "1:13-18 P0112 there is no value `nmber` (did you mean `number`?)"),
        ("kps.t[\"x\"].f == \"y\"", "1:6-18 P0110 nothing is looked up here"),
        ("kps.t[path.id].f == \"y\"", "1:6-22 P0110 nothing is looked up here"),
        (
            "request.path.startWith(\"/\")",
            "1:19-28 P0110 there is no function `startWith` (did you mean `startsWith`?)",
        ),
        ("sze(token.scopes) > 0", "1:6-9 P0110 there is no function `sze` (did you mean `size`?)"),
        ("request.path.replace(\"a\", \"b\") == \"\"", "P0110 there is no function `replace`"),
        ("size(token.scopes, 1) > 0", "P0110 `size` takes one argument"),
        ("request.path.substring() == \"\"", "P0110 `substring` takes 1 or 2 arguments"),
        ("token.scopes == \"x\"", "P0103 a list and text are never equal"),
        ("token.expires > \"x\"", "P0103 a whole number and text have no order"),
        ("request.method", "1:5-21 P0103 a condition is true or false, and this is text"),
        ("request.method && true", "P0103 `&&`, `||` and `!` are for true and false, and this is text"),
        ("!token.expires", "P0103 `&&`, `||` and `!` are for true and false, and this is a whole number"),
        ("\"x\" in request.method", "P0103 `in` looks into a list or a table, and this is text"),
        ("token.expires.startsWith(\"x\")", "P0103 `startsWith` is for text, and this is a whole number"),
        ("token.expires.matches(\"x\")", "P0103 `matches` is for text, and this is a whole number"),
        ("token.expires + \"x\" == \"\"", "P0103 a whole number and text cannot be put together"),
        ("token.expires.all(x, true)", "P0103 `all` is for lists, and this is a whole number"),
        ("token.scopes.all(x, 1 + 1)", "P0103 the condition of `all` is true or false, and this is a whole number"),
        ("token.scopes.all(1, true)", "P0110 `all` needs a name for the item first"),
        ("token.scopes.all(x)", "P0110 `all` takes 2 arguments"),
        ("request.path.matches(\"(\")", "P0110 this pattern cannot be read: unclosed group"),
        ("request.path.matches(vars.text)", "P0110 the pattern of `matches` must be written out"),
        ("has(1 + 1)", "P0110 `has` asks for a name"),
        ("a.b{c: 1} == 1", "P0110 this cannot stand in an expression"),
        ("", "P0110 "),
        ("request.method ==", "P0110 "),
        ("request.method = \"GET\"", "P0110 "),
        ("(true", "P0110 "),
        ("\"abc", "P0110 "),
        ("\"ü\" == \"ü\" && )", "1:20-21 P0110 "),
        ("true &&\n  ) ", "2:3-4 P0110 "),
    ] {
        let problems = match Bench::new().condition(expression) {
            Ok(_) => panic!("{expression} is taken"),
            Err(problems) => told(&problems),
        };
        assert!(problems.iter().any(|p| p.contains(expected)), "{expression}: {problems:#?}");
    }
}

#[test]
fn sizes_are_bounded() {
    let long = "a".repeat(1 << 20);
    for expression in [
        long.clone(),
        format!("\"{long}\" == \"\""),
        "(".repeat(4_000),
        "[".repeat(4_000),
        "!".repeat(4_000),
        "-".repeat(4_000),
        format!("{}true{}", "(".repeat(200), ")".repeat(200)),
        format!("true{}", " ? true : true".repeat(200)),
        format!("1{} == 1", "+1".repeat(1_900)),
        format!("vars.a{} == 1", ".a".repeat(1_900)),
        format!("vars.a{} == 1", "[0]".repeat(900)),
        format!("{}x", "{1:".repeat(1_000)),
        "\u{0}".repeat(100),
        "`".repeat(100),
        "\\".repeat(100),
    ] {
        assert!(Bench::new().condition(&expression.replace('\u{0}', "\u{a0}")).is_err(), "{}", &expression[..20]);
    }
    // What is long but not deep is taken.
    let many = vec!["request.method == \"GET\""; 100].join(" || ");
    assert!(Bench::new().condition(&many).is_ok());
    let sum = format!("1{} == 101", "+1".repeat(100));
    assert!(Bench::new().condition(&sum).is_ok(), "{:?}", told(&Bench::new().condition(&sum).map(|_| ()).unwrap_err()));
}

#[test]
fn as_deep_as_is_taken_needs_no_deep_stack() {
    // What a thread of the server has at least; the generated parser needs more for these.
    let thread = std::thread::Builder::new().stack_size(1024 * 1024);
    let deep = thread.spawn(|| {
        for (open, close) in
            [("(", ")"), ("size([", "])"), ("[", "]"), ("{1: ", "}"), ("true ? ", ""), ("vars.a[", "]")]
        {
            let times = super::DEEPEST / open.matches(['(', '[', '{', '?']).count();
            let _ = Bench::new().condition(&open.repeat(times));
            let _ = Bench::new().condition(&format!("{}1{}", open.repeat(times), close.repeat(times)));
        }
        let whole = format!("{}true{}", "(".repeat(super::DEEPEST), ")".repeat(super::DEEPEST));
        Bench::new().condition(&whole).map(|_| ()).map_err(|problems| told(&problems))
    });
    assert_eq!(deep.expect("a thread").join().expect("it does not end in a panic"), Ok(()));
}

#[test]
fn an_evaluation_ends() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange();
    let items: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let body = format!("[{}]", items.join(","));
    Bench::with_json(&mut exchange, String::leak(body));
    for (expression, expected) in [
        ("request.json.all(x, x >= 0)", "true"),
        ("request.json.map(x, x).size() == 20000", "true"),
        ("request.json.filter(x, x > 10).size() == 19989", "true"),
        ("request.json.all(x, request.json.all(y, y >= 0))", "! 400 wrong-type: the expression's loops read too much"),
        ("request.json.map(x, request.json).size() > 0", "! 400 wrong-type: the expression's loops read too much"),
        (
            "request.body.split(\"\").all(c, request.body.split(\"\").all(d, d != \"x\"))",
            "! 400 wrong-type: the expression's loops read too much",
        ),
        ("[request.json].map(x, x.map(y, x)).size() > 0", "! 400 wrong-type: the expression's loops read too much"),
        (
            "request.json.map(x, request.body + \"x\").size() > 0",
            "! 400 wrong-type: the expression's loops read too much",
        ),
        (
            "[request.body].all(b, request.json.all(x, b.contains(string(x))))",
            "! 400 wrong-type: the expression's loops read too much",
        ),
    ] {
        let condition = bench.condition(expression).unwrap_or_else(|e| panic!("{expression}: {:?}", told(&e)));
        let begin = std::time::Instant::now();
        assert_eq!(outcome(condition.holds(&exchange).map(Some)), expected, "{expression}");
        assert!(begin.elapsed().as_secs() < 20, "{expression}: {:?}", begin.elapsed());
    }
}

use crate::testing::dice::Dice;

/// An expression that may well be one.
fn expression(dice: &mut Dice, depth: usize) -> String {
    const LEAVES: &[&str] = &[
        "request.method",
        "request.header[\"x-api-key\"]",
        "request.form.a",
        "vars.json",
        "vars.json.items",
        "vars.number",
        "vars.unset",
        "token.scopes",
        "token.subject",
        "now",
        "i",
        "j",
        "1",
        "-9223372036854775808",
        "9223372036854775807",
        "1.5",
        "\"ü\"",
        "'x'",
        "true",
        "null",
        "[]",
        "{}",
        "1u",
        "b'x'",
        "vars.json.list[5]",
        "vars.text",
        "path.id",
    ];
    const BINARY: &[&str] = &["==", "!=", "<", ">=", "&&", "||", "+", "-", "*", "/", "%", "in"];
    const MEMBERS: &[&str] = &[
        "size()",
        "startsWith(\"x\")",
        "matches(\"^a+\")",
        "lowerAscii()",
        "split(\"\")",
        "substring(1)",
        "charAt(7)",
        "indexOf(\"é\", 3)",
        "trim()",
        "getHours()",
    ];
    const GLOBALS: &[&str] = &["size", "int", "string", "double", "uint", "bool", "timestamp", "duration", "has"];
    if depth == 0 {
        return (*dice.pick(LEAVES)).to_owned();
    }
    let inner = |dice: &mut Dice| expression(dice, depth - 1);
    match dice.below(10) {
        0..=2 => format!("({} {} {})", inner(dice), dice.pick(BINARY), inner(dice)),
        3 => format!("{}.{}", inner(dice), dice.pick(MEMBERS)),
        4 => format!("{}({})", dice.pick(GLOBALS), inner(dice)),
        5 => format!(
            "{}.{}(i, {})",
            inner(dice),
            dice.pick(&["all", "exists", "map", "filter", "exists_one"]),
            inner(dice)
        ),
        6 => format!("({} ? {} : {})", inner(dice), inner(dice), inner(dice)),
        7 => format!("[{}, {}]", inner(dice), inner(dice)),
        8 => format!("{}[{}]", inner(dice), inner(dice)),
        _ => format!("!{}", inner(dice)),
    }
}

/// Whatever an expression holds: no panic at load nor at run, and every problem stands within the file.
#[test]
fn any_expression_is_compiled_or_told() {
    const WORDS: &[&str] = &[
        "request", ".", "method", "header", "[", "]", "(", ")", "\"x\"", "'", "\"", "&&", "||", "!", "?", ":", " ",
        "1", "0x", "1e999", "in", "has", "size", "all", "token", "scopes", "{", "}", ",", "b'", "r\"", "\\", "\\x",
        "ü", "//", "\n", "`", ";", "@v0", "@result", "@budget", "_", "-",
    ];
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..1_500 {
        let mut dice = Dice::new(seed);
        let depth = dice.below(4);
        let text = match seed % 4 {
            0 => dice.words(WORDS, 12),
            1 => {
                let whole = expression(&mut dice, depth);
                dice.damaged(&whole)
            }
            _ => expression(&mut dice, depth),
        };
        let mut bench = Bench::new();
        let written = serde_json::Value::from(text.as_str()).to_string();
        match bench.setting::<Value>(&format!("{{ cel = {written} }}")) {
            Ok(getter) => {
                taken += 1;
                let mut exchange = bench.exchange();
                if seed % 2 == 0 {
                    Bench::with_form(&mut exchange, "a=1&a=2");
                }
                let _ = getter.get(&exchange);
            }
            Err(problems) => {
                refused += 1;
                for place in problems.iter().map(|d| d.place.as_ref().unwrap()) {
                    assert!(place.span.end <= place.file.text.len(), "{text}: {place}");
                }
            }
        }
    }
    assert!(taken > 100 && refused > 500, "{taken} taken, {refused} refused: the words are badly chosen");
}

/// What the quick evaluator decides, the crate decides the same.
#[test]
fn quick_and_thorough_agree() {
    const TEXTS: &[&str] =
        &["request.method", "\"POST\"", "\"P\"", "\"\"", "\"\u{fc}\"", "vars.text", "vars.words", "vars.unset"];
    const NUMBERS: &[&str] =
        &["vars.number", "42", "-1", "token.expires", "size(token.scopes)", "size(request.method)", "vars.json.f"];
    const LISTS: &[&str] = &["token.scopes", "[\"GET\", \"POST\"]", "[]", "vars.json.list", "[1, \"P\"]"];
    const BOOLS: &[&str] =
        &["true", "false", "has(vars.unset)", "has(token.scopes)", "request.path.matches(\"^/o\")", "token.active"];
    fn condition(dice: &mut Dice, depth: usize) -> String {
        // One operand in eight is of some other type.
        let mut one = |of: &[&str]| {
            let of = if dice.below(8) == 0 { *dice.pick(&[TEXTS, NUMBERS, LISTS, BOOLS]) } else { of };
            (*dice.pick(of)).to_owned()
        };
        let (text, other_text, number, other_number, list, bool) =
            (one(TEXTS), one(TEXTS), one(NUMBERS), one(NUMBERS), one(LISTS), one(BOOLS));
        let order = *dice.pick(&["==", "!=", "<", "<=", ">", ">="]);
        match dice.below(if depth == 0 { 5 } else { 8 }) {
            0 => bool,
            1 => format!("({text} {order} {other_text})"),
            2 => format!("({number} {order} {other_number})"),
            3 => format!("{text}.{}({other_text})", dice.pick(&["startsWith", "endsWith", "contains"])),
            4 => format!("({text} in {list})"),
            5 => format!("!{}", condition(dice, depth - 1)),
            6 => format!("({} && {})", condition(dice, depth - 1), condition(dice, depth - 1)),
            _ => format!("({} || {})", condition(dice, depth - 1), condition(dice, depth - 1)),
        }
    }
    let mut decided = 0;
    for seed in 0..800 {
        let mut dice = Dice::new(seed);
        let depth = dice.below(3);
        let text = condition(&mut dice, depth);
        let mut bench = Bench::new();
        let Ok(condition) = bench.condition(&text) else { continue };
        let mut expression = condition.0;
        let exchange = bench.exchange();
        let quick = outcome(expression.value(&exchange).map(|v| v.map(|v| v.to_json())));
        decided += usize::from(expression.quick.take().is_some() && !quick.starts_with('!'));
        let thorough = outcome(expression.value(&exchange).map(|v| v.map(|v| v.to_json())));
        assert_eq!(quick, thorough, "{text}");
    }
    assert!(decided > 250, "{decided} were decided: the expressions are badly chosen");
}
