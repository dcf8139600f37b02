use super::*;
use crate::diagnostic::Problem;

fn file(path: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile::new(path, text))
}

fn place(file: &Arc<SourceFile>, word: &str) -> Place {
    let start = file.text.find(word).unwrap();
    Place { file: file.clone(), span: Span { start, end: start + word.len() } }
}

fn shown(diagnostic: Diagnostic) -> String {
    render(&diagnostic.into(), false)
}

#[test]
fn a_diagnostic_with_all_its_parts() {
    let orders = file("policies/orders.toml", "route = \"/orders\"\n\n[[filter]]\nuse = \"respnd\"\n");
    let other = file("policies/other.toml", "route = \"/orders\"\n");
    let diagnostic = Problem::error(codes::UNKNOWN_FILTER, "there is no filter `respnd`")
        .with_help("did you mean `respond`?")
        .at(place(&orders, "\"respnd\""))
        .with_label("not known")
        .with_related(place(&other, "\"/orders\""), "the other one");
    let expected = "\
error[P0105]: there is no filter `respnd`
 --> policies/orders.toml:4:7
  |
4 | use = \"respnd\"
  |       ^^^^^^^^ not known
  |
 ::: policies/other.toml:1:9
  |
1 | route = \"/orders\"
  |         --------- the other one
  |
  = help: did you mean `respond`?

1 error
";
    assert_eq!(shown(diagnostic), expected);
}

#[test]
fn counts() {
    let error = |message: &str| Problem::error(codes::SYNTAX, message).nowhere();
    let warning = |message: &str| Problem::warning(codes::SYNTAX, message).nowhere();
    for (diagnostics, expected) in [
        (vec![error("x")], "1 error"),
        (vec![error("x"), error("y"), warning("x")], "2 errors, 1 warning"),
        (vec![warning("x"), warning("y")], "2 warnings"),
    ] {
        let text = render(&diagnostics.into_iter().collect(), false);
        assert_eq!(text.lines().last(), Some(expected));
    }
    assert_eq!(render(&Diagnostics::new(), false), "");
    let many = (0..20_000).map(|number| error(&number.to_string())).collect();
    let text = render(&many, false);
    assert!(text.ends_with("not shown: 19950 errors more\n20000 errors\n"), "{text}");
}

#[test]
fn places_in_difficult_texts() {
    for (text, span, expected_place, expected_line) in [
        ("ü = \"日本\" # x", (5, 13), "f:1:5", "1 | ü = \"日本\" # x"),
        ("a = 1\r\nb = 2\r\n", (7, 8), "f:2:1", "2 | b = 2"),
        ("\u{feff}a = 1", (0, 1), "f:1:1", "1 | a = 1"),
        ("\ta = 1", (1, 2), "f:1:2", "1 |     a = 1"),
        ("a = 1", (5, 5), "f:1:6", "1 | a = 1"),
        ("", (0, 0), "f:1:1", "1 |"),
        ("a = 1\n", (6, 6), "f:2:1", "2 | "),
        ("a = \"\"\"\nx\ny\"\"\"\n", (4, 13), "f:1:5", "1 | a = \"\"\""),
        ("a = 1", (900, 950), "f:1:6", "1 | a = 1"),
        ("a = ü", (5, 6), "f:1:5", "1 | a = ü"),
    ] {
        let file = file("f", text);
        let place = Place { file, span: Span { start: span.0, end: span.1 } };
        let text = shown(Problem::error(codes::SYNTAX, "x").at(place));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].trim(), format!("--> {expected_place}"), "{text}");
        assert_eq!(lines[3].trim_end(), expected_line.trim_end(), "{text}");
        assert!(lines[4].contains('^'), "{text}");
    }
}

#[test]
fn long_lines_are_cut_around_the_word() {
    let text = format!("a = \"{}\" word {}", "ü".repeat(1 << 19), "x".repeat(1 << 19));
    let file = file("f", &text);
    let text = shown(Problem::error(codes::SYNTAX, "x").at(place(&file, "word")));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1].trim(), format!("--> f:1:{}", 5 + (1 << 19) + 3));
    assert!(lines[3].chars().count() < 300 && lines[3].contains(" word "), "{}", lines[3]);
    let underlined = lines[4].find('^').unwrap();
    let before: String = lines[3].chars().skip(underlined).take(4).collect();
    assert_eq!(before, "word");
    // A word longer than the line that is shown.
    let whole = Place { file: file.clone(), span: Span { start: 0, end: file.text.len() } };
    assert!(shown(Problem::error(codes::SYNTAX, "x").at(whole)).len() < 2_000);
}

#[test]
fn secrets_are_shown_in_no_line() {
    let file = file("f", "db = { password = \"hunter2\", userr = \"x\" }\n");
    let clear =
        Problem::error(codes::CLEAR_SECRET, "a secret stands here in clear text").at(place(&file, "\"hunter2\""));
    let unknown = Problem::error(codes::UNKNOWN_KEY, "`userr` is not known here").at(place(&file, "userr"));
    let text = render(&[unknown, clear].into_iter().collect(), false);
    assert!(!text.contains("hunter2"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[3], "1 | db = { password = \"***\", userr = \"x\" }");
    assert_eq!(lines[4].find('^'), lines[3].find("userr"));
    assert_eq!(lines[10].find('^'), lines[9].find("\"***\""), "{text}");
    assert!(text.contains("f:1:30"), "{text}");
}

#[test]
fn colour_only_when_asked_for() {
    let diagnostic = || Diagnostics::from(Problem::error(codes::SYNTAX, "x").nowhere());
    assert!(!render(&diagnostic(), false).contains('\u{1b}'));
    assert!(render(&diagnostic(), true).contains('\u{1b}'));
}

#[test]
fn thousands_of_diagnostics_of_one_file() {
    let text = "a = ü\n".repeat(200_000);
    let file = file("f", &text);
    let all: Diagnostics = (0..2_000)
        .map(|n| {
            Problem::error(codes::SYNTAX, "x")
                .at(Place { file: file.clone(), span: Span { start: n * 700, end: n * 700 + 1 } })
        })
        .collect();
    let begin = std::time::Instant::now();
    render(&all, false);
    to_json(&all);
    // A scan of the file for each of them takes a hundred times as long.
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}

#[test]
fn json() {
    let file = file("policies/a.toml", "a = 1\nbü = 2\n");
    let diagnostic = Problem::warning(codes::UNKNOWN_KEY, "`bü` is not known here")
        .with_help("h")
        .at(place(&file, "bü"))
        .with_label("l")
        .with_related(place(&file, "a"), "w")
        .with_note("n");
    let nowhere = Problem::error(codes::ISSUER, "x").nowhere();
    let found = to_json(&[diagnostic, nowhere].into_iter().collect());
    let expected = json!([
        {
            "code": "P0101", "severity": "warning", "message": "`bü` is not known here", "help": "h",
            "file": "policies/a.toml", "line": 2, "column": 1, "end_line": 2, "end_column": 3, "label": "l",
            "related": [{ "word": "w", "file": "policies/a.toml", "line": 1, "column": 1 }],
            "notes": ["n"],
        },
        {
            "code": "P0501", "severity": "error", "message": "x", "help": null, "file": null, "line": null, "column": null,
            "end_line": null, "end_column": null, "label": null, "related": [], "notes": [],
        },
    ]);
    assert_eq!(found, expected);
}
