//! The forms of `portcullis check`: JSON and SARIF, whole and in a stable order.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::harness::{Folder, portcullis};

/// Several problems of one line, of one file, and of all kinds of files; two files that are each other's problem.
const WRONG: &[(&str, &str)] = &[
    ("node.toml", "nam = 1\n[log]\nlevel = \"loud\"\nformat = \"xml\"\n[upstream.orders]\ntarget = [\"http://a\"]\n"),
    ("stores/stores.toml", "default = \"lokal\"\n[source.local]\ntype = \"sqlit\"\n[store.client]\nsorce = \"x\"\n"),
    ("policies/a.toml", "route = \"/a\"\n[[filter]]\nuse = \"respond\"\ntext = \"${valeus.x}\"\nstatsu = 1\n"),
    (
        "policies/b.toml",
        "route = \"/a\"\n[[filter]]\nuse = \"respond\"\ntext = \"${client.idd} ${values.y} ${vars.z}\"\n",
    ),
    (
        "policies/ü b/c.toml",
        "route = \"/c\"\n[[filter]]\nuse = \"call\"\npolicy = \"aa\"\n[[filter]]\nuse = \"respnd\"\n",
    ),
    ("policies/d.toml", "route = \"/d\"\nfilter = [ { use = \"respnd\" }, { use = \"swich\" }, { us = \"x\" } ]\n"),
    ("policies/e.toml", "route = \n"),
    ("policies/f.toml", ""),
    (
        "policies/g.toml",
        "route = \"/g\"\n[[filter]]\nuse = \"require\"\nthat = \"request.metod == 'GET' && nothing(1)\"\n",
    ),
    (
        "policies/oauth/server.toml",
        "isuer = \"https://a.example\"\nprofil = \"x\"\n[maximum_lifetime]\naccess_tokn = \"1h\"\n",
    ),
    (
        "policies/oauth/token.toml",
        "route = \"POST /t\"\n[[filter]]\nuse = \"oauth.issue-token\"\nlifetime = \"soon\"\nstore = \"acess-token\"\n",
    ),
];

fn wrong() -> Folder {
    let folder = Folder::empty();
    for (path, text) in WRONG {
        folder.write(path, text);
    }
    folder
}

/// SARIF 2.1.0 as strictly as its schema reads it: only the objects and properties that we write, with what must be there.
mod sarif {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Log {
        #[serde(rename = "$schema")]
        pub schema: String,
        pub version: String,
        pub runs: Vec<Run>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Run {
        pub tool: Tool,
        pub column_kind: String,
        pub original_uri_base_ids: BTreeMap<String, Base>,
        pub results: Vec<Outcome>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Base {
        #[serde(rename = "description")]
        pub _description: Message,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Tool {
        pub driver: Driver,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Driver {
        pub name: String,
        pub semantic_version: String,
        pub rules: Vec<Rule>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Rule {
        pub id: String,
        pub name: Option<String>,
        pub short_description: Message,
        pub full_description: Message,
        pub help: Help,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Help {
        pub text: String,
        pub markdown: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Message {
        pub text: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Outcome {
        pub rule_id: String,
        pub rule_index: usize,
        pub level: Level,
        pub message: Message,
        #[serde(default)]
        pub locations: Vec<Location>,
        #[serde(default)]
        pub related_locations: Vec<Location>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Level {
        Error,
        Warning,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Location {
        pub physical_location: Physical,
        pub message: Option<Message>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Physical {
        pub artifact_location: Artifact,
        pub region: Region,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Artifact {
        pub uri: String,
        pub uri_base_id: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    pub struct Region {
        pub start_line: usize,
        pub start_column: usize,
        pub end_line: usize,
        pub end_column: usize,
    }
}

fn sarif_of(dir: &Path, args: &[&str], code: i32) -> sarif::Run {
    let run = portcullis(dir, ["check", "--format", "sarif"].iter().chain(args)).code(code);
    let log: sarif::Log = serde_json::from_str(&run.stdout).unwrap_or_else(|why| panic!("{why}\n{}", run.stdout));
    assert_eq!(log.version, "2.1.0");
    assert!(log.schema.ends_with("/sarif-schema-2.1.0.json"), "{}", log.schema);
    log.runs.into_iter().next().expect("one run")
}

/// The file of a location, which must be there, with the line it points to.
#[track_caller]
fn line_of(folder: &Folder, location: &sarif::Location) -> (String, String) {
    let artifact = &location.physical_location.artifact_location;
    assert_eq!(artifact.uri_base_id.as_deref(), Some("%SRCROOT%"), "{}", artifact.uri);
    let path = artifact.uri.replace("%20", " ").replace("%C3%BC", "ü");
    let region = &location.physical_location.region;
    let text = folder.read(&path);
    let line = |number: usize| text.split('\n').nth(number - 1).unwrap_or_else(|| panic!("{path}:{number}"));
    assert!(region.start_column <= line(region.start_line).chars().count() + 1, "{path}:{}", region.start_line);
    assert!(region.end_column <= line(region.end_line).chars().count() + 1, "{path}:{}", region.end_line);
    assert!((region.start_line, region.start_column) <= (region.end_line, region.end_column));
    (path.clone(), line(region.start_line).to_owned())
}

#[test]
fn sarif_says_what_json_says() {
    let folder = wrong();
    let said = folder.run(["check", "--json"]).code(1).json();
    let run = sarif_of(folder.path(), &[], 1);
    assert_eq!((run.tool.driver.name.as_str(), run.column_kind.as_str()), ("portcullis", "unicodeCodePoints"));
    assert!(
        run.tool.driver.semantic_version.split('.').count() == 3 && run.original_uri_base_ids.contains_key("%SRCROOT%")
    );
    let rules = &run.tool.driver.rules;
    assert!(rules.windows(2).all(|pair| pair[0].id < pair[1].id), "each code once, in order");
    for rule in rules {
        assert!(rule.help.text.starts_with(&format!("# {}: ", rule.id)) && rule.help.markdown == rule.help.text);
        assert!(rule.short_description.text.ends_with('.') && rule.full_description.text.len() > 20, "{}", rule.id);
        assert_eq!(rule.name, None, "{}: only lints have names", rule.id);
    }
    let found = said["diagnostics"].as_array().unwrap();
    assert!(found.len() > 25, "{}", found.len());
    assert_eq!(run.results.len(), found.len());
    let mut files = BTreeMap::<String, usize>::new();
    for (one, expected) in run.results.iter().zip(found) {
        assert_eq!(
            (one.rule_id.as_str(), &rules[one.rule_index].id),
            (expected["code"].as_str().unwrap(), &one.rule_id)
        );
        assert_eq!(one.level == sarif::Level::Error, expected["severity"] == "error");
        let message = expected["message"].as_str().unwrap().replace('{', "{{").replace('}', "}}");
        assert!(one.message.text.starts_with(&message), "{} {message}", one.message.text);
        assert_eq!(one.message.text.contains("\nhelp: "), expected["help"].is_string());
        assert_eq!(one.related_locations.len(), expected["related"].as_array().unwrap().len());
        let [location] = one.locations.as_slice() else { panic!("{expected}: one place") };
        let (path, _) = line_of(&folder, location);
        let region = &location.physical_location.region;
        assert_eq!(expected["file"], path.as_str());
        assert_eq!(
            (expected["line"].as_u64(), expected["column"].as_u64()),
            (Some(region.start_line as u64), Some(region.start_column as u64))
        );
        for related in &one.related_locations {
            line_of(&folder, related);
            assert!(related.message.as_ref().is_some_and(|message| !message.text.is_empty()));
        }
        *files.entry(path).or_default() += 1;
    }
    let expected: BTreeMap<String, usize> = WRONG.iter().map(|(path, _)| ((*path).to_owned(), 1)).collect();
    assert_eq!(files.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "every file is told of");
    let of_a_line = run.results.iter().filter(|one| line_of(&folder, &one.locations[0]).1.starts_with("filter = ["));
    assert!(of_a_line.count() >= 3, "several problems of one line");
    assert!(run.results.iter().any(|one| !one.related_locations.is_empty()), "two files that are each other's problem");
}

#[test]
fn lints_have_names_in_sarif() {
    let folder = Folder::shipped();
    folder.write("node.toml", "[upstream.orders]\ntargets = [\"http://127.0.0.1:9001\"]\n");
    let run = sarif_of(folder.path(), &[], 0);
    assert!(run.results.iter().all(|one| one.level == sarif::Level::Warning), "warnings alone exit 0");
    let names: Vec<_> = run.tool.driver.rules.iter().map(|rule| rule.name.as_deref()).collect();
    assert!(names.contains(&Some("unused-upstream")), "{names:?}");
    assert_eq!(sarif_of(folder.path(), &["--deny", "warnings"], 1).results.len(), run.results.len());
}

#[test]
fn paths_in_sarif_are_seen_from_the_current_folder() {
    let folder = Folder::empty();
    for path in ["gateway", "elsewhere/gateway"] {
        folder.write(&format!("{path}/policies/a.toml"), "route = \"/a\"\n");
    }
    folder.write("values.toml", "a =\n");
    let uris = |dir: &str, args: &[&str]| -> Vec<(String, bool)> {
        let run = sarif_of(&folder.at(dir), args, 1);
        let places = run.results.into_iter().flat_map(|one| one.locations);
        let artifacts = places.map(|place| place.physical_location.artifact_location);
        artifacts.map(|artifact| (artifact.uri, artifact.uri_base_id.is_some())).collect()
    };
    assert_eq!(uris("", &["-c", "gateway"]), [("gateway/policies/a.toml".to_owned(), true)]);
    assert_eq!(uris("gateway", &[]), [("policies/a.toml".to_owned(), true)]);
    let whole = |path: &str| format!("file://{}", folder.at(path).canonicalize().unwrap().display());
    assert_eq!(uris("elsewhere", &["-c", "../gateway"]), [(whole("gateway/policies/a.toml"), false)]);
    let with_values = uris("", &["-c", "gateway", "--values", "values.toml"]);
    assert_eq!(with_values, [("gateway/policies/a.toml".to_owned(), true), ("values.toml".to_owned(), true)]);
}

#[test]
fn nothing_wrong_is_a_run_without_results() {
    let folder = Folder::shipped();
    let run = sarif_of(folder.path(), &["--deny", "warnings"], 0);
    assert!(run.results.is_empty() && run.tool.driver.rules.is_empty());
}

#[test]
fn no_form_shows_a_secret() {
    let folder = Folder::empty();
    folder.write(
        "stores/stores.toml",
        "default = \"a\"\n[source.a]\ntype = \"postgres\"\nurl = \"postgres://u:s3cr3t-of-ours@h/d\"\n",
    );
    for format in ["human", "json", "sarif"] {
        let run = folder.run(["check", "--format", format]).code(1);
        assert!(run.stdout.contains("P0005"), "{format}: {}", run.stdout);
        assert!(!run.stdout.contains("s3cr3t-of-ours") && !run.stderr.contains("hunter2"), "{format}");
    }
}

#[test]
fn forms_are_chosen_once() {
    let folder = Folder::shipped();
    let json = folder.run(["check", "--json"]).code(0).stdout;
    assert_eq!(folder.run(["check", "--format", "json"]).code(0).stdout, json);
    assert_eq!(folder.run(["check", "--format", "json", "--json"]).code(0).stdout, json);
    let human = folder.run(["check", "--format", "human"]).code(0);
    assert_eq!(human.stdout, folder.run(["check"]).code(0).stdout);
    for other in ["human", "sarif"] {
        let said = folder.run(["check", "--json", "--format", other]).code(2).json();
        assert!(said["error"]["message"].as_str().unwrap().contains("`--format`"), "{said}");
    }
    let unknown = folder.run(["check", "--format", "sarrif"]).code(2);
    assert!(unknown.stderr.contains("'sarif'") && unknown.stdout.is_empty(), "{}", unknown.stderr);
    let usage = folder.run(["check", "--format", "json", "--admin", "127.0.0.1:1"]).code(2).json();
    assert!(usage["error"]["message"].is_string());
}

#[test]
fn the_order_is_that_of_the_files_not_of_their_making() {
    let one = wrong();
    let other = Folder::empty();
    for (path, text) in WRONG.iter().rev() {
        // Something else lay there before, so that the folder has its entries in another order.
        other.write(&format!("{path}.old"), "").write(path, text);
        std::fs::remove_file(other.at(&format!("{path}.old"))).unwrap();
    }
    for format in ["human", "json", "sarif"] {
        let said = |folder: &Folder| folder.run(["check", "--format", format]).code(1).stdout;
        let first = said(&one);
        assert!(first.contains("P0301"), "routes collide: {first}");
        assert_eq!(first, said(&other), "{format}");
        assert_eq!(first, said(&one), "{format}: again");
    }
}
