use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::diagnostic::{Code, SourceFile, codes};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("portcullis-files-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn read(&self) -> (Vec<String>, Vec<(String, String)>) {
        let files = read_folder(&self.0);
        let problems = files
            .diagnostics
            .iter()
            .map(|d| (d.problem.code.to_string(), d.place.as_ref().map(ToString::to_string).unwrap_or_default()));
        (files.files.keys().cloned().collect(), problems.collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn problem(code: Code, place: &str) -> (String, String) {
    (code.to_string(), place.to_owned())
}

#[test]
fn reads_what_belongs_to_a_configuration() {
    let folder = Folder::new();
    for path in ["policies/a.toml", "policies/oauth/token.toml", "stores/stores.toml", "node.toml"] {
        folder.write(path, "");
    }
    for path in [
        "policies/readme.md",
        "policies/.hidden.toml",
        "policies/.git/x.toml",
        "stores/schema/x.sql",
        "other.toml",
        "tls/a.toml",
    ] {
        folder.write(path, [0xff]);
    }
    let expected = ["node.toml", "policies/a.toml", "policies/oauth/token.toml", "stores/stores.toml"];
    assert_eq!(folder.read(), (expected.map(String::from).to_vec(), Vec::new()));
}

#[test]
fn an_empty_folder_is_fine_and_a_missing_one_is_not() {
    let folder = Folder::new();
    assert_eq!(folder.read(), (Vec::new(), Vec::new()));
    let missing = read_folder(&folder.0.join("missing"));
    let messages: Vec<_> = missing.diagnostics.iter().map(|d| d.problem.message.clone()).collect();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].ends_with("cannot be read: No such file or directory"), "{messages:?}");
}

#[test]
fn a_config_map_is_read_through_its_links() {
    let folder = Folder::new();
    folder.write("policies/..2026_01_01/token.toml", "a = 1");
    folder.link("..2026_01_01", "policies/..data");
    folder.link("..data/token.toml", "policies/token.toml");
    assert_eq!(folder.read(), (vec!["policies/token.toml".into()], Vec::new()));
}

#[test]
fn links_are_followed_and_loops_refused() {
    let folder = Folder::new();
    folder.write("elsewhere/b.toml", "");
    folder.link("../elsewhere", "policies/linked");
    folder.link("../policies", "policies/loop");
    folder.link("nowhere", "policies/dangling.toml");
    let (files, problems) = folder.read();
    assert_eq!(files, ["policies/linked/b.toml"]);
    assert_eq!(
        problems,
        [problem(codes::UNREADABLE, "policies/dangling.toml:1:1"), problem(codes::UNREADABLE, "policies/loop:1:1")]
    );
}

#[test]
fn what_is_no_text_is_told_with_its_place() {
    let folder = Folder::new();
    folder.write("policies/latin.toml", b"a = 1\nb = \"\xe4\"\n");
    folder.write("policies/large.toml", vec![b'#'; LARGEST as usize + 1]);
    folder.write("policies/largest.toml", vec![b'#'; LARGEST as usize]);
    fs::create_dir_all(folder.0.join("node.toml")).unwrap();
    let (files, problems) = folder.read();
    assert_eq!(files, ["policies/largest.toml"]);
    assert_eq!(
        problems,
        [
            problem(codes::NOT_TEXT, "policies/large.toml:1:1"),
            problem(codes::NOT_TEXT, "policies/latin.toml:2:6"),
            problem(codes::UNREADABLE, "node.toml:1:1"),
        ]
    );
}

#[test]
fn a_file_without_rights_is_told() {
    let folder = Folder::new();
    folder.write("policies/a.toml", "");
    let path = folder.0.join("policies/a.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The super-user may read it nevertheless.
    let expected =
        if fs::read(&path).is_ok() { vec![] } else { vec![problem(codes::UNREADABLE, "policies/a.toml:1:1")] };
    assert_eq!(folder.read().1, expected);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let folder = Folder::new();
    folder.write("node.toml", "\u{feff}a = 1\r\n");
    let files = read_folder(&folder.0);
    assert_eq!(files.files["node.toml"].text, "a = 1\r\n");
    assert!(crate::reader::parse(&files.files["node.toml"]).is_ok());
}

#[test]
fn names_that_differ_only_in_case_collide() {
    let files =
        Files::from_texts([("policies/Orders.toml", ""), ("policies/orders.toml", ""), ("policies/other.toml", "")]);
    let found: Vec<_> = files.diagnostics.iter().collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].problem.code, codes::NAME_COLLISION);
    assert_eq!(found[0].place.as_ref().unwrap().file.path, "policies/orders.toml");
    assert_eq!(found[0].related[0].0.file.path, "policies/Orders.toml");
}

#[test]
fn the_hash_is_of_paths_and_contents() {
    let hash = |texts: &[(&str, &str)]| Files::from_texts(texts.iter().copied()).hash();
    let one = hash(&[("a", "b"), ("c", "d")]);
    assert_eq!(one, hash(&[("c", "d"), ("a", "b")]));
    for other in
        [&[("a", "b"), ("c", "e")][..], &[("a", "bc"), ("", "d")], &[("a", "b")], &[("ab", ""), ("c", "d")], &[]]
    {
        assert_ne!(one, hash(other), "{other:?}");
    }
}

/// A ConfigMap is swapped while it is read, once in each read and at another moment of it: what comes back is always of
/// one state.
#[test]
fn what_is_read_belongs_together() {
    let folder = Folder::new();
    let names: Vec<String> = (0..20).map(|n| format!("p{n}.toml")).collect();
    for state in ["old", "new"] {
        names.iter().for_each(|name| folder.write(&format!("policies/..{state}/{name}"), state));
    }
    folder.link("..old", "policies/..data");
    names.iter().for_each(|name| folder.link(&format!("..data/{name}"), &format!("policies/{name}")));
    // How many reads have begun; the last number ends it.
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let policies = folder.0.join("policies");
            let mut swapped = 0;
            for state in ["new", "old"].iter().cycle() {
                while begun.load(Ordering::Relaxed) == swapped {
                    std::thread::yield_now();
                }
                swapped = begun.load(Ordering::Relaxed);
                if swapped == usize::MAX {
                    break;
                }
                (0..swapped % 40).for_each(|_| drop(fs::metadata(&policies)));
                symlink(format!("..{state}"), policies.join("..next")).unwrap();
                fs::rename(policies.join("..next"), policies.join("..data")).unwrap();
            }
        });
        let mixed = (0..600).filter(|_| {
            begun.fetch_add(1, Ordering::Relaxed);
            let files = read_folder(&folder.0);
            assert_eq!(files.files.len(), names.len());
            let mut texts = files.files.values().map(|file| file.text.as_str());
            let first = texts.next().unwrap();
            texts.any(|text| text != first)
        });
        let mixed = mixed.count();
        begun.store(usize::MAX, Ordering::Relaxed);
        assert_eq!(mixed, 0, "reads of two states at once");
    });
}

#[test]
fn texts_lie_over_files() {
    let folder = Folder::new();
    folder.write("policies/a.toml", "on disk");
    folder.write("policies/b.toml", b"\xff");
    let mut files = read_folder(&folder.0);
    assert!(files.diagnostics.has_errors());
    let file = |path: &str, text: String| (path.to_owned(), Arc::new(SourceFile::new(path, text)));
    let texts = [
        file("policies/a.toml", "typed".into()),
        file("policies/b.toml", "typed".into()),
        file("policies/A.toml", "typed".into()),
        file("policies/large.toml", "x".repeat(LARGEST as usize + 1)),
    ];
    files.lay_over(&texts.into());
    assert_eq!(files.files.values().map(|file| file.text.as_str()).collect::<Vec<_>>(), ["typed"; 3]);
    let problems: Vec<_> =
        files.diagnostics.iter().map(|d| (d.problem.code, d.place.as_ref().unwrap().file.path.as_str())).collect();
    assert_eq!(problems, [(codes::NOT_TEXT, "policies/large.toml"), (codes::NAME_COLLISION, "policies/a.toml")]);
}
