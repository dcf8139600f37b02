//! `portcullis fmt`, through the binary.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::harness::Folder;
use crate::harness::program::portcullis_with;

const UNTIDY: &str = "# about\nroute='/hello'\n\n\n[[filter]]\nuse=\"respond\"   # at once\nstatus =200\n";
const TIDY: &str = "# about\nroute = \"/hello\"\n\n[[filter]]\nuse    = \"respond\" # at once\nstatus = 200\n";

#[test]
fn files_are_put_in_the_style() {
    let folder = Folder::shipped();
    folder.write("policies/hello.toml", UNTIDY);
    folder.write("shared/other.toml", UNTIDY);
    let file = folder.at("policies/hello.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../shared/other.toml", folder.at("policies/other.toml")).unwrap();

    let checked = folder.run(["fmt", "--check"]).code(1);
    for expected in ["--- policies/hello.toml", "-route='/hello'", "+route = \"/hello\"", "2 of "] {
        assert!(checked.stdout.contains(expected), "no `{expected}` in\n{}", checked.stdout);
    }
    assert_eq!(folder.read("policies/hello.toml"), UNTIDY, "--check writes nothing");
    let json = folder.run(["fmt", "--check", "--json"]).code(1).json();
    assert_eq!(json["changed"], serde_json::json!(["policies/hello.toml", "policies/other.toml"]));

    folder.run(["fmt"]).code(0).says("policies/hello.toml").says("2 of ");
    assert_eq!(folder.read("policies/hello.toml"), TIDY);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640, "its permissions stay");
    assert!(folder.at("policies/other.toml").is_symlink(), "a link stays one");
    assert_eq!(folder.read("shared/other.toml"), TIDY);
    let left: Vec<_> = fs::read_dir(folder.at("policies")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
    folder.run(["fmt", "--check"]).code(0).says("0 of ");
}

#[test]
fn named_files_alone() {
    let folder = Folder::empty();
    folder.write("a.toml", UNTIDY).write("b.toml", UNTIDY);
    folder.run(["fmt", "a.toml"]).code(0);
    assert_eq!((folder.read("a.toml").as_str(), folder.read("b.toml").as_str()), (TIDY, UNTIDY));
    folder.run(["fmt", "no-such.toml"]).code(1).says("no-such.toml");
    folder.run(["fmt"]).code(1).says("no configuration");
    folder.run(["fmt", "a.toml", "-"]).code(2);
}

#[test]
fn a_file_with_a_syntax_error_is_left_alone() {
    let folder = Folder::shipped();
    folder.write("policies/bad.toml", "route=  \"/x\n").write("policies/hello.toml", UNTIDY);
    let run = folder.run(["fmt"]).code(1).says("policies/bad.toml:1:").says("error[P0002]");
    assert!(run.stdout.contains("policies/hello.toml"), "the others are formatted: {}", run.stdout);
    assert_eq!(folder.read("policies/bad.toml"), "route=  \"/x\n");
    assert_eq!(folder.read("policies/hello.toml"), TIDY);
}

#[test]
fn standard_input_to_standard_output() {
    let folder = Folder::empty();
    let fmt = |args: &[&str], text: &str| portcullis_with(folder.path(), args, text.as_bytes());
    assert_eq!(fmt(&["fmt", "-"], UNTIDY).code(0).stdout, TIDY);
    assert_eq!(fmt(&["fmt", "-"], "\u{feff}a=1\r\n").code(0).stdout, "a = 1\n");
    assert_eq!(fmt(&["fmt", "-"], "").code(0).stdout, "");
    fmt(&["fmt", "-", "--check"], UNTIDY).code(1).says("+route = \"/hello\"");
    assert_eq!(fmt(&["fmt", "-", "--check"], TIDY).code(0).stdout, "");
    let wrong = fmt(&["fmt", "-"], "a = ").code(1).says("standard input:1:");
    assert_eq!(wrong.stdout, "", "half a file would be taken for a whole one");
    assert_eq!(fmt(&["fmt", "-", "--json"], UNTIDY).code(0).json()["text"], TIDY);
}

#[test]
fn what_init_makes_is_in_the_style() {
    for template in ["token-server", "protect-an-api", "partner-gateway"] {
        let folder = Folder::empty();
        folder.run(["init", ".", "--template", template]).code(0);
        folder.run(["fmt", "--check"]).code(0);
    }
}
