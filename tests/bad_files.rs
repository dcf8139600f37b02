//! Configuration files of any kind: a diagnostic with its place, in bounded time, memory and output; never a crash, never silence.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::harness::Folder;
use crate::harness::program::{Run, finish};

/// So much address space the program has, in KiB, and so many seconds: much more than it needs, far less than a mistake would take.
const LIMITS: &str = "ulimit -v 2000000; exec timeout -k 1 60 \"$@\"";

/// Whatever was wrong, nobody has to scroll through more: 500 diagnostics of some lines each.
const MOST_OUTPUT: usize = 1 << 20;

const ROUTE: &str = "route = \"/x\"\n";
const ANSWER: &str = "[[filter]]\nuse = \"respond\"\ntext = \"x\"\n";
const TEST: &str = "[[test]]\nname = \"t\"\nrequest = { path = \"/x\" }\nexpect = { status = 200 }\n";

/// The program within limits. Whatever came, it ended by itself, and its words are fit for a terminal.
#[track_caller]
fn run(folder: &Folder, args: &[&str]) -> Run {
    let mut shell = Command::new("sh");
    shell.current_dir(folder.path()).args(["-c", LIMITS, "sh", env!("CARGO_BIN_EXE_portcullis")]).args(args);
    let ran = finish(&mut shell, b"");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let start: String = said.chars().take(2_000).collect();
    assert!(matches!(ran.code, 0 | 1), "{args:?} ended with {}: {start}", ran.code);
    assert!(said.len() < MOST_OUTPUT, "{args:?} said {} bytes: {start}", said.len());
    let raw = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!said.contains(raw), "{args:?} moves a terminal: {start:?}");
    ran
}

/// `check`, `check --format json` and `test` refuse the folder for this reason at this place.
#[track_caller]
fn refused(what: &str, folder: &Folder, code: &str, place: &str) {
    for args in [&["check"][..], &["check", "--format", "json"], &["test"]] {
        let ran = run(folder, args);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let start: String = said.chars().take(2_000).collect();
        let told = said.contains(&format!("error[{code}]")) && said.contains(&format!(" {place}"));
        assert!(ran.code == 1 && told, "{what}: {args:?} says no {code} at {place}, but\n{start}");
    }
    run(folder, &["fmt", "--check"]);
}

/// The same of one policy with this text.
#[track_caller]
fn refused_file(what: &str, text: impl AsRef<[u8]>, code: &str, place: &str) {
    let folder = Folder::empty();
    fs::create_dir(folder.at("policies")).unwrap();
    fs::write(folder.at("policies/a.toml"), text).unwrap();
    refused(what, &folder, code, &format!("policies/a.toml:{place}"));
}

#[test]
fn what_is_no_toml() {
    let nested = |open: &str, close: &str| format!("a = {}1{}\n", open.repeat(100_000), close.repeat(100_000));
    let all_bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let cases: &[(&str, Vec<u8>, &str, &str)] = &[
        ("binary", all_bytes, "P0003", "2:118"),
        ("UTF-16", b"\xff\xfer\0o\0u\0t\0e\0".to_vec(), "P0003", "1:1"),
        ("no UTF-8 in the middle", [ROUTE.as_bytes(), b"# \xff\n", ANSWER.as_bytes()].concat(), "P0003", "2:3"),
        ("NUL", b"route = \"/x\0\"\n".to_vec(), "P0002", "1:12"),
        ("a lone CR", b"route = \"/x\"\ra = 1\n".to_vec(), "P0002", "1:14"),
        ("a name twice", b"a = 1\na = 2\n".to_vec(), "P0002", "2:1"),
        ("a table twice", b"[a]\nx = 1\n[a]\n".to_vec(), "P0002", "3:2"),
        ("arrays", nested("[", "]").into(), "P0002", "1:69"),
        ("inline tables", nested("{ a = ", " }").into(), "P0002", "1:"),
        ("arrays that do not end", nested("[", "").into(), "P0002", "1:85"),
        ("a key of many words", format!("a{} = 1\n", ".a".repeat(100_000)).into(), "P0002", "1:1"),
        ("10,000 digits", format!("a = {}\n", "1".repeat(10_000)).into(), "P0002", "1:5"),
        ("comments of 50 MB", "# c\n".repeat(50 << 18).into(), "P0003", "1:1"),
        ("comments of 3 MB", "# c\n".repeat(3 << 18).into(), "P0104", "1:1"),
    ];
    for (what, text, code, place) in cases {
        refused_file(what, text, code, place);
    }
    let folder = Folder::empty();
    folder.write("policies/a.toml", "");
    fs::File::options().write(true).open(folder.at("policies/a.toml")).unwrap().set_len(100 << 20).unwrap();
    refused("100 MB", &folder, "P0003", "policies/a.toml:1:1");
}

#[test]
fn words_that_are_too_long_or_too_deep() {
    let when = |condition: &str| format!("{ROUTE}{ANSWER}when = \"{condition}\"\n");
    let deep = |open: &str, close: &str| when(&format!("{}true{}", open.repeat(100_000), close.repeat(100_000)));
    for (what, text, code, place) in [
        ("a key of 1 MB", format!("{} = 1\n", "k".repeat(1_000_000)), "P0101", "1:1"),
        (
            "a selector of 1 MB",
            format!("{ROUTE}[[filter]]\nuse = \"respond\"\ntext = \"${{request.{}}}\"\n", "a.".repeat(500_000)),
            "P0110",
            "4:",
        ),
        ("parentheses", deep("(", ")"), "P0110", "5:"),
        ("negations", deep("!", ""), "P0110", "5:"),
        ("lists", deep("[", "]"), "P0110", "5:"),
        ("choices", deep("true ? ", " : false"), "P0110", "5:"),
        ("fields", when(&format!("request{}", ".a".repeat(100_000))), "P0110", "5:"),
        ("a route of 10,000 segments", format!("route = \"{}\"\n{ANSWER}", "/a".repeat(10_000)), "P0302", "1:9"),
    ] {
        refused_file(what, text, code, place);
    }
}

#[test]
fn chains_and_policies_that_lead_on_and_on() {
    let call = |what: &str, name: &str| format!("[[filter]]\nuse = \"call\"\n{what} = \"{name}\"\n");
    let chains = |last: usize, end: &str| {
        let chain = |n: usize| format!("[[chain.c{n}]]\nuse = \"call\"\nchain = \"c{}\"\n", n + 1);
        format!("{ROUTE}{}{}[[chain.c{last}]]\n{end}", call("chain", "c0"), (0..last).map(chain).collect::<String>())
    };
    refused_file("1,000 chains", chains(1_000, "use = \"respond\"\n"), "P0208", "2813:9");
    refused_file("a loop of 2 chains", chains(1, "use = \"call\"\nchain = \"c0\"\n"), "P0205", "7:");
    refused_file("a loop of 1,000 chains", chains(999, "use = \"call\"\nchain = \"c0\"\n"), "P0205", "7:");
    for (count, loops, code) in [(1_000, false, "P0208"), (2, true, "P0205"), (1_000, true, "P0205")] {
        let folder = Folder::empty();
        folder.write("policies/p0.toml", &format!("{ROUTE}{}", call("policy", "p1")));
        for n in 1..count {
            let last = n == count - 1;
            let next = if last { 0 } else { n + 1 };
            let text = if last && !loops { String::from(ANSWER) } else { call("policy", &format!("p{next}")) };
            folder.write(&format!("policies/p{n}.toml"), &text);
        }
        refused(&format!("{count} policies, loop: {loops}"), &folder, code, "policies/p");
    }
}

/// However many problems there are, some are shown and all are counted.
#[test]
fn thousands_of_problems() {
    for (what, count, text) in [("empty files", 10_000, ""), ("files of one mistake", 20_000, "= 1\n")] {
        let folder = Folder::empty();
        fs::create_dir(folder.at("policies")).unwrap();
        (0..count).for_each(|n| fs::write(folder.at(&format!("policies/p{n:05}.toml")), text).unwrap());
        let ran = run(&folder, &["check"]);
        assert!(ran.code == 1 && ran.stdout.contains("policies/p00000.toml:1:1"), "{what}");
        let end = ran.stdout.rsplit("\n\n").next().unwrap();
        assert!(end.contains("not shown: ") && end.contains(&format!("{count} errors")), "{what}: {end}");
        assert!(run(&folder, &["check", "--format", "json"]).code == 1, "{what}");
    }
    let filter = |name: &str| format!("[[filter]]\nuse = \"{name}\"\nset = {{ x-a = \"b\" }}\n").repeat(10_000);
    let wrong = Folder::empty();
    wrong.write("policies/a.toml", &format!("{ROUTE}{}{ANSWER}", filter("set-headr")));
    run(&wrong, &["check"])
        .code(1)
        .says("policies/a.toml:3:7")
        .says("not shown: 9950 errors more")
        .says("10000 errors");
    let right = Folder::empty();
    right.write("policies/a.toml", &format!("{ROUTE}{}{ANSWER}{TEST}", filter("set-header")));
    run(&right, &["check"]).code(0);
    run(&right, &["test"]).code(0).says("1 passed, 0 failed");
    let failing = Folder::empty();
    let tests: String = (0..200).map(|n| TEST.replace("\"t\"", &format!("\"t{n}\"")).replace("200", "201")).collect();
    failing.write("policies/a.toml", &format!("{ROUTE}{ANSWER}{tests}"));
    run(&failing, &["test"]).code(1).says("0 passed, 200 failed");
}

#[test]
fn what_is_no_plain_file() {
    let folder = Folder::empty();
    folder.write("policies/ok.toml", ROUTE);
    fs::create_dir(folder.at("policies/folder.toml")).unwrap();
    let _socket = UnixListener::bind(folder.at("policies/socket.toml")).unwrap();
    finish(Command::new("mkfifo").arg(folder.at("policies/pipe.toml")), b"").code(0);
    for (to, name) in [("no-such", "dangling"), ("b.toml", "a"), ("a.toml", "b"), ("/dev/zero", "device")] {
        symlink(to, folder.at(&format!("policies/{name}.toml"))).unwrap();
    }
    symlink(".", folder.at("policies/loop")).unwrap();
    for name in ["dangling.toml", "a.toml", "b.toml", "socket.toml", "pipe.toml", "device.toml", "loop"] {
        refused(name, &folder, "P0001", &format!("policies/{name}:1:1"));
    }
    // Named one by one, and none keeps the others from being formatted.
    let named =
        ["dangling", "a", "socket", "pipe", "device", "folder", "ok"].map(|name| format!("policies/{name}.toml"));
    folder.write("policies/ok.toml", "route='/x'\n");
    let args: Vec<&str> = ["fmt"].into_iter().chain(named.iter().map(String::as_str)).collect();
    let ran = run(&folder, &args).code(1);
    for name in &named[..6] {
        assert!(ran.stdout.contains(&format!(" {name}:1:1")), "{name}: {}", ran.stdout);
    }
    assert_eq!(folder.read("policies/ok.toml"), ROUTE);
}

#[test]
fn names_in_any_script() {
    let folder = Folder::empty();
    for (n, name) in ["заказы", "注文", "طلبات", "😀", "Grüße", "e\u{301}t", "می\u{200c}خواهم"].iter().enumerate()
    {
        folder.write(
            &format!("policies/{name}.toml"),
            &format!(
                "route = \"/{n}\"\n[[filter]]\nuse = \"call\"\nchain = \"{name}\"\n[[chain.\"{name}\"]]\nuse = \"set\"\n\
                 [chain.\"{name}\".vars]\nx = \"{name}\"\n[[chain.\"{name}\"]]\nname = \"{name}\"\nuse = \"respond\"\ntext = \"${{vars.x}}\"\n\
                 [[test]]\nname = \"{name}\"\nrequest = {{ path = \"/{n}\" }}\nexpect = {{ text = \"{name}\" }}\n"
            ),
        );
    }
    run(&folder, &["check"]).code(0);
    run(&folder, &["test"]).code(0).says("7 passed").says("注文: 注文");
    run(&folder, &["fmt"]).code(0);
    for (what, first, second) in [("case", "A", "a"), ("normal forms", "é", "e\u{301}")] {
        let folder = Folder::empty();
        folder.write(&format!("policies/{first}.toml"), &format!("{ROUTE}{ANSWER}"));
        folder.write(&format!("policies/{second}.toml"), &format!("route = \"/y\"\n{ANSWER}"));
        refused(what, &folder, "P0113", "policies/");
    }
}

#[test]
fn line_ends_and_marks_of_other_systems() {
    let text = format!("{ROUTE}{ANSWER}{TEST}");
    for text in [text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let folder = Folder::empty();
        folder.write("policies/a.toml", &text);
        run(&folder, &["check"]).code(0);
        run(&folder, &["test"]).code(0).says("1 passed");
        run(&folder, &["fmt", "--check"]).code(1);
    }
}

/// Written as TOML escapes, as they are, and in names of files: `run` above looks at every word.
#[test]
fn what_would_move_a_terminal() {
    let folder = |text: &str| {
        let folder = Folder::empty();
        folder.write("policies/a.toml", text);
        folder
    };
    for bad in
        ["\\u001b[31m\\u0007\\u009b2J\\u202eabc\\u2066\\u200f", "\u{9b}2J\u{202e}abc\u{2066}\u{200f}\u{e000}\u{e001}"]
    {
        let told = folder(&format!("{ROUTE}\"{bad}\" = 1 # {bad}\n[[filter]]\nuse = \"{bad}\"\n"));
        run(&told, &["check"]).code(1).says("policies/a.toml:2:1").says("policies/a.toml:4:7").says("\\u{202e}");
        run(&told, &["fmt", "--check"]).code(1);
        let tests = format!("{ROUTE}{ANSWER}name = \"{bad}\"\n{}", TEST.replace("\"t\"", &format!("\"{bad}\"")));
        let failing = folder(&tests.replace("status = 200", &format!("text = \"{bad}\", path = [\"{bad}:failure\"]")));
        for args in [&["check"][..], &["test"], &["test", "--coverage"], &["test", "--mutants"], &["fmt", "--check"]] {
            run(&failing, args).code(1);
        }
    }
    let named = Folder::empty();
    for name in ["a\u{202e}b", "a\u{1b}[31m", "a\u{9b}2J", "\u{200b}"] {
        named.write(&format!("policies/{name}.toml"), ROUTE);
    }
    refused("names of files", &named, "P0003", "policies/a\\u{202e}b.toml:1:1");
}

/// A secret that somebody wrote in clear is in no output, also where its name is misspelt or its line is no TOML.
#[test]
fn secrets_are_not_printed() {
    let folder = Folder::empty();
    for (code, source) in [
        ("P0005", "[source.d]\ntype = \"postgres\"\nurl = \"postgres://u:zebra77@h/db\"\nx = 1\n"),
        ("P0005", "[source]\nd = { type = \"postgres\", url = \"postgres://u:zebra77@h/db\", x = 1 }\n"),
        ("P0101", "[source.d]\ntype = \"postgres\"\nurll = \"postgres://u:zeb@ra77@h/db\"\n"),
        ("P0101", "[source]\nd = { type = \"postgres\", urll = \"postgres://zebra77@h/db\" }\n"),
        ("P0002", "[source.d]\ntype = \"postgres\"\nurl = \"postgres://u:zebra77@h/db\n"),
        ("P0002", "[source.d]\ntype = \"postgres\"\nurl = postgres://u:zebra77@h/db\n"),
    ] {
        folder.write("stores/stores.toml", &format!("default = \"d\"\n{source}"));
        for args in [&["check"][..], &["check", "--format", "json"], &["check", "--format", "sarif"], &["test"]] {
            let ran = run(&folder, args).code(1).says(code).says("stores/stores.toml");
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!said.contains("zebra77") && !said.contains("ra77"), "{source}: {said}");
        }
    }
}
