//! The command line: help, exit codes, JSON, and the commands on files.

use std::io::Read;
use std::process::Stdio;

use crate::harness::program::{command, finish};
use crate::harness::{Folder, Node, portcullis};

const WORKS: &[&str] = &[
    "run", "check", "test", "fmt", "explain", "schema", "lsp", "init", "reload", "status", "client", "user", "token",
    "key", "store", "kps", "cluster", "log", "help",
];
const LATER: &[&str] = &["graph", "trace", "diff", "plan", "top", "store verify"];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn help_shows_what_works_and_nothing_else() {
    let folder = Folder::empty();
    let help = folder.run(["--help"]).code(0).stdout;
    let listed: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(listed, WORKS);
    for line in [
        "run",
        "check",
        "test",
        "explain",
        "schema",
        "fmt",
        "lsp",
        "init",
        "reload",
        "status",
        "client add",
        "client rotate",
        "token revoke",
        "store schema",
        "cluster status",
        "cluster verify",
        "log level",
    ] {
        let help = portcullis(folder.path(), words(line).into_iter().chain(["--help"])).code(0).stdout;
        assert!(help.contains("Example"), "{line}:\n{help}");
        assert!(!help.contains('\u{1b}'), "plain where it is no terminal");
    }
    assert_eq!(
        folder.run(["help", "client", "add"]).code(0).stdout,
        folder.run(["client", "add", "--help"]).code(0).stdout
    );
    folder.run(["--version"]).code(0).says("portcullis 0.");
}

#[test]
fn commands_of_later_versions_say_so() {
    let folder = Folder::empty();
    for line in LATER {
        let run = portcullis(folder.path(), words(line)).code(2);
        assert!(run.stderr.contains("not there yet") && run.stdout.is_empty(), "{line}: {}{}", run.stdout, run.stderr);
        let json = portcullis(folder.path(), ["--json"].into_iter().chain(words(line))).code(2).json();
        assert!(json["error"]["message"].as_str().is_some_and(|text| text.contains("not there yet")), "{json}");
    }
}

#[test]
fn wrong_usage_is_2() {
    let folder = Folder::shipped();
    for line in [
        "chek",
        "client",
        "client ad",
        "client show",
        "client add --secret x --secret-stdin",
        "client add --auth-method magic",
        "client add --auth-method none --secret x",
        "client rotate app --keep soon",
        "token inspect",
        "token revoke",
        "token revoke x --client y",
        "run --listen nowhere",
        "check --deny everything",
        "check --admin 127.0.0.1:1",
        "init",
        "store schema oracle",
        "test no-such-policy",
        "--lisen 127.0.0.1:1 run",
        "reload --values x",
    ] {
        let run = portcullis(folder.path(), words(line));
        assert_eq!(run.code, 2, "{line}: {}{}", run.stdout, run.stderr);
        assert!(!run.stderr.is_empty(), "{line}: it says why");
    }
    folder.run(["chek"]).says("'check'");
}

#[test]
fn options_stand_before_or_after_the_words() {
    let folder = Folder::shipped();
    let elsewhere = Folder::empty();
    let dir = folder.path().to_str().unwrap();
    for line in [
        format!("-c {dir} check --json"),
        format!("check -c {dir} --json"),
        format!("--json check -c {dir}"),
        format!("--config={dir} --json --deny warnings check"),
    ] {
        assert_eq!(portcullis(elsewhere.path(), words(&line)).code(0).json()["ok"], true, "{line}");
    }
    let line = format!("--grant client_credentials --id early -c {dir} client --json add --scope a");
    assert_eq!(portcullis(elsewhere.path(), words(&line)).code(0).json()["client_id"], "early");
}

#[test]
fn init_makes_a_configuration_and_overwrites_nothing() {
    let folder = Folder::empty();
    let made = folder.run(["init", "gateway", "--json"]).code(0).json();
    let files: Vec<_> =
        made["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned()).collect();
    for file in &files {
        assert!(folder.at("gateway").join(file).is_file(), "{file}");
    }
    for file in ["node.toml", "stores/stores.toml", "policies/oauth/token.toml", "policies/oauth/introspect.toml"] {
        assert!(files.iter().any(|made| made == file), "{file} in {files:?}");
    }
    let node_toml = folder.read("gateway/node.toml");
    assert!(node_toml.lines().all(|line| line.is_empty() || line.starts_with('#')), "{node_toml}");
    for file in files.iter().filter(|file| file.starts_with("policies/")) {
        let text = folder.read(&format!("gateway/{file}"));
        for route in text.lines().filter(|line| line.starts_with("route")) {
            assert!(route.contains("/api/oauth/") || route.contains("/.well-known/"), "{file}: {route}");
        }
    }
    folder.run(["-c", "gateway", "check", "--deny", "warnings"]).code(0);

    std::fs::remove_file(folder.at("gateway/node.toml")).unwrap();
    folder.write("gateway/stores/stores.toml", "# mine\n");
    let refused = folder.run(["init", "gateway"]).code(1).says("stores/stores.toml");
    assert!(refused.stdout.is_empty());
    assert_eq!(folder.read("gateway/stores/stores.toml"), "# mine\n");
    assert!(!folder.at("gateway/node.toml").exists(), "nothing was written at all");
}

#[test]
fn check_shows_place_code_and_remedy() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", "route = \"/hello\"\n[[filter]]\nuse = \"respnd\"\ntext = \"x\"\n");
    folder.write(
        "policies/again.toml",
        "route = \"POST /api/oauth/token\"\n[[filter]]\nuse = \"respond\"\ntxt = \"x\"\n",
    );
    let run = folder.run(["check"]).code(1);
    let text = &run.stdout;
    for expected in [
        "error[P0105]",
        "policies/hello.toml:3:7",
        "use = \"respnd\"",
        "respond",
        "policies/again.toml:4:1",
        "error[P0101]",
    ] {
        assert!(text.contains(expected), "no `{expected}` in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "plain where it is no terminal");
    let json = folder.run(["check", "--json"]).code(1).json();
    assert_eq!(json["ok"], false);
    assert!(json["errors"].as_u64().unwrap() >= 2, "{json}");
    let place =
        |d: &serde_json::Value| (d["code"].as_str().map(str::to_owned), d["line"].as_u64(), d["column"].as_u64());
    let places: Vec<_> = json["diagnostics"].as_array().unwrap().iter().map(place).collect();
    assert!(places.contains(&(Some("P0105".into()), Some(3), Some(7))), "{places:?}");

    folder.write("policies/hello.toml", "route = \"/hello\"\n[[filter]]\nuse = \"respond\"\ntext = \"x\"\n");
    folder.edit("policies/again.toml", "txt", "text");
    let collision = folder.run(["check"]).code(1).says("P0301");
    assert!(collision.stdout.contains("policies/again.toml") && collision.stdout.contains("policies/oauth/token.toml"));
    std::fs::remove_file(folder.at("policies/again.toml")).unwrap();
    folder.run(["check"]).code(0);
}

/// An unset variable is a warning of `check`, and an error of `run`.
#[test]
fn what_is_not_set_warns_in_check_and_stops_run() {
    let folder = Folder::shipped();
    let stores =
        "default = \"oauth-db\"\n[source.oauth-db]\ntype = \"postgres\"\nurl = { env = \"PORTCULLIS_TEST_UNSET\" }\n";
    folder.write("stores/stores.toml", stores);
    folder.run(["check"]).code(0).says("warning[P0006]").says("PORTCULLIS_TEST_UNSET");
    folder.run(["check", "--deny", "warnings"]).code(1);
    let run = Node::on(&folder).try_start().err().expect("it does not start");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("error[P0006]") && run.stderr.contains("stores/stores.toml:"), "{}", run.stderr);
}

#[test]
fn a_broken_configuration_does_not_start() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", "route = \"/hello\"\n");
    let run = Node::on(&folder).try_start().err().expect("it does not start");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("policies/hello.toml:"), "{}", run.stderr);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON and nothing else");
    assert_eq!(json["error"]["diagnostics"][0]["file"], "policies/hello.toml");
    let nothing = Folder::empty();
    assert_eq!(Node::on(&nothing).try_start().err().expect("no configuration").code, 1);
    nothing.run(["check"]).code(1);
    nothing.run(["-c", "no-such-folder", "check"]).code(1).says("no-such-folder");
}

#[test]
fn an_address_that_is_taken() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    let other = Folder::shipped();
    let taken = node.address.to_string();
    let run = portcullis(other.path(), ["run", "--listen", &taken, "--admin", "127.0.0.1:0"]).code(1);
    assert!(run.stderr.contains(&taken) && run.stderr.contains("help"), "{}", run.stderr);
}

/// What is bound to a listener that `--listen` took away is told of the option, and not of a file that has it.
#[test]
fn a_listener_that_an_option_leaves_out() {
    let folder = Folder::empty();
    folder.run(["init", ".", "--template", "partner-gateway"]).code(0);
    let run = Node::on(&folder).try_start().err().expect("a policy is bound to the second listener");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("`--listen` leaves out the listener `internal`"), "{}", run.stderr);
    assert!(!run.stderr.contains("there is no listener"), "{}", run.stderr);
}

#[test]
fn tests_of_policies() {
    let folder = Folder::shipped();
    let passed = folder.run(["test"]).code(0);
    assert!(passed.stdout.contains("oauth/token") && passed.stdout.contains(" 0 failed"), "{}", passed.stdout);
    folder.write(
        "policies/hello.toml",
        "route = \"/hello\"\n[[filter]]\nuse = \"respond\"\ntext = \"hello\"\n\
         [[test]]\nname = \"it greets\"\nrequest = {}\nexpect = { status = 200, text = \"hello\" }\n\
         [[test]]\nname = \"it shouts\"\nrequest = {}\nexpect = { status = 200, text = \"HELLO\" }\n",
    );
    let failed = folder.run(["test"]).code(1).says("it shouts").says("P0601");
    assert!(
        failed.stdout.contains("policies/hello.toml:9:") && failed.stdout.contains("1 failed"),
        "{}",
        failed.stdout
    );
    folder.run(["test", "oauth/token"]).code(0);
    folder.run(["test", "--name", "greets"]).code(0).says("1 passed");
    let json = folder.run(["test", "hello", "--json"]).code(1).json();
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(1), Some(1)));
    folder.run(["check"]).code(1).says("P0601");
    folder.run(["check", "--no-tests"]).code(0);
}

/// The two lines that `run` prints on an empty registry do what they say, pasted into a shell.
#[test]
fn the_first_lines_lead_to_a_token() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    let lines: Vec<_> =
        node.started["first_token"].as_array().expect("two lines").iter().map(|l| l.as_str().unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let elsewhere = Folder::empty();
    let mut shell = std::process::Command::new("sh");
    let run = finish(shell.current_dir(elsewhere.path()).arg("-c").arg(lines.join("\n")), b"").code(0);
    let token = crate::harness::folder::text(&run.json(), "access_token");
    node.tokeninfo(&token).status(200);
    drop(node);
    assert!(Node::start(&folder).started["first_token"].is_null(), "there is a client now");
}

/// What `run` says to people.
#[test]
fn run_says_where_it_listens() {
    let folder = Folder::shipped();
    let mut child = command(folder.path(), &[])
        .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut text, mut buffer, mut stdout) = (String::new(), [0; 4096], child.stdout.take().unwrap());
    while !text.contains("curl ") {
        let read = stdout.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(text.contains("http://127.0.0.1:") && text.contains("admin") && text.contains("client add"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

/// `portcullis ... | head -1`: the reader has gone, and that is no error; nor does it hide one.
#[test]
fn a_reader_that_goes_away() {
    let (good, bad) = (Folder::shipped(), Folder::shipped());
    bad.write("policies/bad.toml", "x = 1\n");
    let of_good = ["check --json", "client list", "store schema sqlite", "--help", "test"].map(|line| (&good, line, 0));
    let of_bad = ["check", "check --json"].map(|line| (&bad, line, 1));
    for (folder, line, code) in of_good.into_iter().chain(of_bad) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = command(folder.path(), &[])
            .args(words(line))
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(code != 0 || output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{line}");
    }
}
