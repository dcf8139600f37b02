//! `portcullis lsp`, as an editor sees it.

use serde_json::{Value, json};

use crate::harness::{Editor, Folder};

const ORDERS: &str = r#"# A protected API.
route = "/orders/{id}"

[[filter]]
use = "oauth.validate-token"

[[filter]]
use = "switch"
on = "${request.method}"
else = "fail"

[filter.case]
GET = "read"

[[filter]]
use = "proxy"
upstream = "orders"

[[chain.read]]
use = "oauth.check-scope"
asked = "orders:read"
allowed = "${token.scopes}"
"#;

const NODE: &str = "[values]\ndomain = \"example.com\"\n\n[upstream.orders]\ntargets = [\"http://127.0.0.1:9\"]\n\n\
                    [[listener]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\n";

fn shop() -> Folder {
    let folder = Folder::shipped();
    folder.write("node.toml", NODE).write("policies/orders.toml", ORDERS);
    folder
}

/// The labels of what is offered at the `|` of this text.
#[track_caller]
fn offered(editor: &mut Editor, path: &str, version: i32, text: &str) -> Vec<String> {
    editor.change(path, version, &text.replacen('|', "", 1));
    let place = editor.at(path, text);
    let list = editor.ask("textDocument/completion", place);
    let mut items: Vec<&Value> = list["items"].as_array().unwrap().iter().collect();
    items.sort_by_key(|item| item["sortText"].as_str().unwrap());
    items.iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn has(offered: &[String], wanted: &[&str], unwanted: &[&str]) {
    for label in wanted {
        assert!(offered.iter().any(|own| own == label), "`{label}` is offered: {offered:?}");
    }
    for label in unwanted {
        assert!(offered.iter().all(|own| own != label), "`{label}` is not offered: {offered:?}");
    }
}

#[test]
fn what_is_typed_is_checked() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    editor.open("policies/orders.toml", ORDERS);
    assert_eq!(editor.diagnostics("policies/orders.toml", 1), [""; 0]);
    editor.change("policies/orders.toml", 2, &ORDERS.replace("\"read\"", "\"raed\""));
    assert_eq!(editor.diagnostics("policies/orders.toml", 2), ["P0106 12:6"]);
    // A character beyond the first plane counts as two.
    editor.change("policies/orders.toml", 3, &ORDERS.replace("GET = \"read\"", "\"𝄞ü\" = \"raed\""));
    assert_eq!(editor.diagnostics("policies/orders.toml", 3), ["P0106 12:8"]);
    editor.change("policies/orders.toml", 4, ORDERS);
    assert_eq!(editor.diagnostics("policies/orders.toml", 4), [""; 0]);
    // What is typed in one file is right or wrong in another.
    editor.open("node.toml", &NODE.replace("orders", "order"));
    assert_eq!(editor.diagnostics("policies/orders.toml", 4), ["P0109 16:11"]);
    editor.change("node.toml", 2, NODE);
    assert_eq!(editor.diagnostics("policies/orders.toml", 4), [""; 0]);
    assert_eq!(editor.end(), 0);
}

#[test]
fn all_kinds_of_files_are_checked() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    for (path, text, expected) in [
        ("node.toml", "nam = 1\n", "P0101 0:0"),
        ("stores/stores.toml", "default = \"no\"\n", "P0401 0:10"),
        ("policies/oauth/server.toml", "isuer = 1\n", "P0101 0:0"),
        ("policies/oauth/token.test.toml", "[[test]]\nname = \"x\"\nrequest = 1\nexpect = {}\n", "P0115 2:10"),
        (
            "policies/oauth/token.test.toml",
            "[[test]]\nname = \"x\"\ngiven = { cliens = [] }\nexpect = { status = 400 }\n",
            "P0115 2:10",
        ),
        ("policies/new.toml", "[[filter]]\nuse = \"respnd\"\n", "P0105 1:6"),
    ] {
        let before = folder.read("node.toml");
        editor.open(path, text);
        let told = editor.diagnostics(path, 1);
        assert!(told.iter().any(|t| t.starts_with(expected)), "{path}: {told:?}");
        editor.tell("textDocument/didClose", json!({ "textDocument": { "uri": editor.uri(path) } }));
        assert_eq!(editor.diagnostics(path, Value::Null), [""; 0], "{path}");
        assert_eq!(folder.read("node.toml"), before);
    }
    // The related places of a collision are of the other file.
    editor.open("policies/again.toml", "route = \"/orders/{id}\"\n[[filter]]\nuse = \"respond\"\nstatus = 204\n");
    let uri = editor.uri("policies/orders.toml");
    let told = editor.wait_for("the collision", |m| {
        m["params"]["uri"] == uri && !m["params"]["diagnostics"][0]["relatedInformation"].is_null()
    });
    let told = &told["params"]["diagnostics"][0];
    assert_eq!(told["relatedInformation"][0]["location"]["uri"], editor.uri("policies/again.toml"));
    assert!(told["message"].as_str().unwrap().contains("have routes that match the same requests"));
}

#[test]
fn completion_goes_by_what_is_set() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let path = "policies/orders.toml";
    editor.open(path, ORDERS);
    editor.diagnostics(path, 1);
    let allowed = |inner: &str| ORDERS.replace("\"${token.scopes}\"", inner);
    // In the middle of a text that is no TOML.
    has(
        &offered(&mut editor, path, 2, &allowed("\"${|")),
        &["token", "client", "subject", "request"],
        &["grant", "failure"],
    );
    has(&offered(&mut editor, path, 3, &allowed("\"${token.|")), &["scopes"], &["method"]);
    has(&offered(&mut editor, path, 4, &allowed("\"${path.|}\"")), &["id"], &["name"]);
    has(&offered(&mut editor, path, 5, &allowed("\"${values.|")), &["domain"], &["id"]);
    // Behind a character of several bytes.
    has(&offered(&mut editor, path, 50, &allowed("\"${ü|")), &["token"], &[]);
    // Before anything is set.
    let first = ORDERS.replacen("use = \"oauth.validate-token\"\n", "use = \"oauth.validate-token\"\nwhen = \"|\n", 1);
    has(&offered(&mut editor, path, 6, &first), &["request", "path", "values"], &["token", "client", "vars"]);
    let first = first.replace("when = \"|", "when = \"request.method == 'GET' && request.pa|");
    has(&offered(&mut editor, path, 7, &first), &["path"], &["token"]);
}

#[test]
fn completion_of_key_property_stores() {
    let folder = shop();
    folder.append("stores/stores.toml", "[kps.partners]\nkey = \"id\"\n");
    let path = "policies/orders.toml";
    let get = "use = \"oauth.validate-token\"\n\n[[filter]]\nuse = \"kps.get\"\nstore = \"partners\"\nkey = \"a\"\ninto = \"partner\"\n";
    let text = ORDERS.replacen("use = \"oauth.validate-token\"\n", get, 1);
    folder.write(path, &text);
    let mut editor = Editor::begin(folder.path());
    editor.open(path, &text);
    editor.diagnostics(path, 1);
    has(
        &offered(&mut editor, path, 2, &text.replace("\"partners\"", "\"|\"")),
        &["partners"],
        &["clients", "access-token"],
    );
    let allowed = |inner: &str| text.replace("\"${token.scopes}\"", inner);
    has(&offered(&mut editor, path, 3, &allowed("\"${|")), &["kps", "token"], &[]);
    has(&offered(&mut editor, path, 4, &allowed("\"${kps.|")), &["partners"], &["clients"]);
    // From the filter to the table that declares it.
    editor.change(path, 5, &text);
    let place = editor.at(path, &text.replace("\"partners\"", "\"part|ners\""));
    let found = editor.ask("textDocument/definition", place);
    assert!(found.to_string().contains("stores/stores.toml"), "{found}");
}

#[test]
fn completion_of_providers() {
    let folder = shop();
    let provider = "[provider.partner]\ntoken_endpoint = \"http://127.0.0.1:9/token\"\nclient_id = \"gateway\"\nauth_method = \"none\"\n";
    folder.append("node.toml", provider);
    let path = "policies/orders.toml";
    let get =
        "use = \"oauth.validate-token\"\n\n[[filter]]\nuse = \"oauth-client.get-token\"\nprovider = \"partner\"\n";
    let text = ORDERS.replacen("use = \"oauth.validate-token\"\n", get, 1);
    let text = text.replace("upstream = \"orders\"", "upstream = \"orders\"\ntoken = \"partner\"");
    folder.write(path, &text);
    let mut editor = Editor::begin(folder.path());
    editor.open(path, &text);
    assert_eq!(editor.diagnostics(path, 1), [] as [&str; 0]);
    let at = |from: &str, to: &str| text.replace(from, to);
    has(&offered(&mut editor, path, 2, &at("provider = \"partner\"", "provider = \"|\"")), &["partner"], &["orders"]);
    has(&offered(&mut editor, path, 3, &at("token = \"partner\"", "token = \"|\"")), &["partner"], &["orders"]);
    has(&offered(&mut editor, path, 4, &at("provider = \"partner\"", "|")), &["provider", "scopes", "for"], &[]);
    // From the call to the table that declares it.
    editor.change(path, 5, &text);
    let place = editor.at(path, &at("token = \"partner\"", "token = \"part|ner\""));
    let found = editor.ask("textDocument/definition", place);
    assert!(found.to_string().contains("node.toml"), "{found}");
}

#[test]
fn completion_of_keys_and_names() {
    let folder = shop();
    folder.append("stores/stores.toml", "[store.partner-tokens]\nkind = \"access-token\"\nsource = \"local\"\n");
    let mut editor = Editor::begin(folder.path());
    let path = "policies/orders.toml";
    editor.open(path, ORDERS);
    editor.diagnostics(path, 1);
    let mut version = 1;
    let mut ask = |text: &str| {
        version += 1;
        offered(&mut editor, path, version, text)
    };
    let add = |more: &str| {
        ORDERS.replacen("use = \"oauth.validate-token\"\n", &format!("use = \"oauth.validate-token\"\n{more}\n"), 1)
    };
    has(&ask(&add("[[filter]]\nuse = \"|")), &["proxy", "oauth.check-scope", "switch"], &["oauth.verify-saml"]);
    has(&ask(&add("[[filter]]\nuse = |")), &["proxy"], &[]);
    has(&ask(&add("|")), &["store", "when", "[[filter]]", "[[chain.read]]"], &["use", "upstream"]);
    has(&ask(&add("sto|")), &["store", "on_failure"], &[]);
    let required = ask(&ORDERS.replace("asked = \"orders:read\"\n", "|\n"));
    assert_eq!(required.first().map(String::as_str), Some("asked"), "what is required comes first: {required:?}");
    has(&ask(&add("store = \"|\"")), &["access-token", "partner-tokens"], &["clients"]);
    has(&ask(&add("clients = \"|\"")), &["clients"], &["access-token"]);
    has(&ask(&add("from = [\"|\"]")), &["header", "query"], &[]);
    has(&ask(&ORDERS.replace("asked =", "match = \"|\"\nasked =")), &["all", "any"], &[]);
    has(&ask(&add("store = |")), &["access-token", "partner-tokens"], &["clients"]);
    has(&ask(&ORDERS.replace("upstream = \"orders\"", "upstream = \"|")), &["orders"], &["read"]);
    has(&ask(&ORDERS.replace("upstream = \"orders\"", "upstream = or|")), &["orders"], &["read"]);
    has(&ask(&ORDERS.replace("GET = \"read\"", "GET = \"|\"")), &["read"], &["continue", "orders"]);
    has(&ask(&ORDERS.replace("else = \"fail\"", "else = \"|\"")), &["read", "continue", "fail"], &[]);
    has(&ask(&ORDERS.replace("GET = \"read\"", "GET = { call = \"|\" }")), &["oauth/token"], &["orders", "read"]);
    has(&ask(&add("on_failure = { to = \"|\" }")), &["read"], &["fail"]);
    has(&ask(&add("on_failure = { | }")), &["to", "as"], &["store"]);
    has(&ask(&ORDERS.replace("route", "li|\nroute")), &["listener", "description"], &["route"]);
    has(&ask(&ORDERS.replace("route", "listener = \"|\"\nroute")), &["public"], &["orders"]);
    has(&ask(&ORDERS.replace("else =", "fold_case = |\nelse =")), &["true", "false"], &[]);
    has(&ask(&add("[[filter]]\nuse = \"any\"\ntry = \"|\"")), &["all"], &[]);

    for (file, text, wanted) in [
        ("node.toml", "[log]\nlevel = \"|\"", "warn"),
        ("node.toml", "[debug]\ngeneration_header = |", "true"),
        ("policies/oauth/server.toml", "|", "issuer"),
        ("policies/oauth/token.test.toml", "[[test]]\nrequest = { | }", "basic"),
        ("policies/oauth/token.test.toml", "[[test]]\nexpect = { outcome = \"|\" }", "answered"),
        ("policies/oauth/token.test.toml", "[[test]]\n[test.given.stores]\n|", "clients"),
        ("policies/oauth/token.test.toml", "[[test]]\n[[test.step]]\npolicy = \"|\"", "oauth/revoke"),
    ] {
        editor.open(file, "");
        has(&offered(&mut editor, file, 2, text), &[wanted], &[]);
    }

    editor.open("stores/stores.toml", "");
    has(
        &offered(&mut editor, "stores/stores.toml", 2, "default = \"|\"\n[source.local]\ntype = \"sqlite\"\n"),
        &["local"],
        &[],
    );
}

#[test]
fn hover_definition_and_references() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let path = "policies/orders.toml";
    let other = "route = \"/other\"\n[[filter]]\nuse = \"call\"\npolicy = \"orders\"\n";
    folder.write("policies/other.toml", other);
    editor.open(path, ORDERS);
    editor.open("policies/other.toml", other);
    let mut hover = |text: &str| {
        let place = editor.at(path, text);
        editor.ask("textDocument/hover", place)["contents"]["value"].as_str().unwrap_or_default().to_owned()
    };
    for (from, to, expected) in [
        ("oauth.check-scope", "oauth.check|-scope", "allowed"),
        ("asked =", "as|ked =", "`asked`"),
        ("token.scopes", "token.sc|opes", "set here on every way"),
        ("request.method", "requ|est.method", "The request"),
        ("GET = \"read\"", "GET = \"re|ad\"", "oauth.check-scope"),
        ("\"switch\"", "\"swi|tch\"", "fold_case"),
        ("upstream = \"orders\"", "upstream = \"ord|ers\"", "targets = [\"http://127.0.0.1:9\"]"),
    ] {
        let said = hover(&ORDERS.replacen(from, to, 1));
        assert!(said.contains(expected), "{to}: {said}");
    }
    // What a diagnostic's code means.
    editor.change("policies/other.toml", 2, &other.replace("\"orders\"", "\"ordrs\""));
    assert_eq!(editor.diagnostics("policies/other.toml", 2), ["P0107 3:9"]);
    let place = editor.at("policies/other.toml", &other.replace("\"orders\"", "\"or|drs\""));
    let said = editor.ask("textDocument/hover", place)["contents"]["value"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains("a policy that does not exist") && !said.contains("```"), "{said}");
    editor.change("policies/other.toml", 3, other);

    let line = |found: &Value| {
        let uri = found["uri"].as_str().unwrap().rsplit_once("/").unwrap().1.to_owned();
        format!("{uri}:{}", found["range"]["start"]["line"])
    };
    let lines = |found: Value| found.as_array().unwrap().iter().map(line).collect::<Vec<_>>();
    let text = ORDERS.replace("GET = \"read\"", "GET = \"re|ad\"");
    let place = editor.at(path, &text);
    assert_eq!(lines(editor.ask("textDocument/definition", place.clone())), ["orders.toml:18"]);
    let mut params = place;
    params["context"] = json!({ "includeDeclaration": true });
    assert_eq!(lines(editor.ask("textDocument/references", params)), ["orders.toml:12", "orders.toml:18"]);
    let place = editor.at(path, &ORDERS.replace("upstream = \"orders\"", "upstream = \"ord|ers\""));
    assert_eq!(lines(editor.ask("textDocument/definition", place)), ["node.toml:3"]);
    let place = editor.at("policies/other.toml", &other.replace("\"orders\"", "\"ord|ers\""));
    assert_eq!(lines(editor.ask("textDocument/definition", place)), ["orders.toml:0"]);
    let place = editor.at(path, &ORDERS.replace("GET = \"read\"", "GET = \"re|ad\""));
    let marks = editor.ask("textDocument/documentHighlight", place);
    assert_eq!(marks.as_array().unwrap().len(), 2, "{marks}");
    let symbols = editor.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": editor.uri(path) } }));
    let names: Vec<_> = symbols.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["[[filter]]", "read"]);
}

/// Applies the text edits of a workspace edit to a folder's files, and renames them.
fn apply(folder: &Folder, root: &str, edit: &Value) -> Vec<String> {
    let name = |uri: &Value| uri.as_str().unwrap().strip_prefix(root).unwrap().trim_start_matches('/').to_owned();
    let mut done = Vec::new();
    for change in edit["documentChanges"].as_array().unwrap() {
        if change["kind"] == "rename" {
            let (old, new) = (name(&change["oldUri"]), name(&change["newUri"]));
            folder.write(&new, &folder.read(&old));
            std::fs::remove_file(folder.at(&old)).unwrap();
            done.push(format!("{old} -> {new}"));
            continue;
        }
        let path = name(&change["textDocument"]["uri"]);
        let text = folder.read(&path);
        let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let mut edits = change["edits"].as_array().unwrap().clone();
        edits.reverse();
        for edit in edits {
            let place = |end: &str| edit["range"][end]["character"].as_u64().unwrap() as usize;
            let line = edit["range"]["start"]["line"].as_u64().unwrap() as usize;
            lines[line].replace_range(place("start")..place("end"), edit["newText"].as_str().unwrap());
        }
        folder.write(&path, &lines.join("\n"));
        done.push(path);
    }
    done
}

#[test]
fn renaming() {
    let folder = shop();
    let other = "route = \"/other\"\n[[filter]]\nuse = \"call\"\npolicy = \"orders\"\n";
    folder.write("policies/other.toml", other).write("policies/orders.test.toml", "");
    let mut editor = Editor::begin(folder.path());
    editor.open("policies/orders.toml", ORDERS);
    editor.open("policies/other.toml", other);
    let chain = editor.at("policies/orders.toml", &ORDERS.replace("GET = \"read\"", "GET = \"re|ad\""));
    let policy = editor.at("policies/other.toml", &other.replace("\"orders\"", "\"ord|ers\""));
    let named = |place: &Value, name: &str| {
        let mut params = place.clone();
        params["newName"] = json!(name);
        params
    };
    for (place, name) in [
        (&chain, "fail"),
        (&chain, "read"),
        (&chain, "two words"),
        (&chain, ""),
        (&policy, "oauth/token"),
        (&policy, "orders"),
        (&policy, "OAuth/Token"),
        (&policy, "oauth/server"),
        (&policy, "../up"),
        (&policy, "a.test"),
        (&policy, "/a"),
    ] {
        let refused = editor.try_ask("textDocument/rename", named(place, name));
        assert!(refused["error"]["message"].is_string(), "`{name}` is refused: {refused}");
    }
    assert_eq!(editor.ask("textDocument/prepareRename", chain.clone())["placeholder"], "read");
    let edit = editor.ask("textDocument/rename", named(&chain, "fetch"));
    let root = editor.root.clone();
    assert_eq!(apply(&folder, &root, &edit), ["policies/orders.toml"]);
    let edit = editor.ask("textDocument/rename", named(&policy, "shop/orders"));
    let done = apply(&folder, &root, &edit);
    let expected = [
        "policies/other.toml",
        "policies/orders.toml -> policies/shop/orders.toml",
        "policies/orders.test.toml -> policies/shop/orders.test.toml",
    ];
    assert_eq!(done, expected);
    std::fs::remove_file(folder.at("policies/shop/orders.test.toml")).unwrap();
    folder.run(["check"]).code(0);
    assert!(folder.read("policies/shop/orders.toml").contains("[[chain.fetch]]"));
}

#[test]
fn formatting() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let path = "policies/orders.toml";
    let text = "route='/𝄞'   # ü\n\n\n\n[[filter]]\nuse = \"respond\"\ntext = 'x'\n";
    editor.open(path, text);
    let ask = json!({ "textDocument": { "uri": editor.uri(path) }, "options": { "tabSize": 2, "insertSpaces": true } });
    let edits = editor.ask("textDocument/formatting", ask.clone());
    // From the end to the start, by whole lines.
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    for edit in edits.as_array().unwrap().iter().rev() {
        let line = |end: &str| edit["range"][end]["line"].as_u64().unwrap() as usize;
        assert_eq!((&edit["range"]["start"]["character"], &edit["range"]["end"]["character"]), (&json!(0), &json!(0)));
        lines.splice(line("start")..line("end"), [edit["newText"].as_str().unwrap()]);
    }
    let formatted = lines.concat();
    folder.write("formatted.toml", text);
    folder.run(["fmt", "formatted.toml"]).code(0);
    assert_eq!(formatted, folder.read("formatted.toml"));
    editor.change(path, 2, &formatted);
    assert_eq!(editor.ask("textDocument/formatting", ask.clone()), json!([]));
    editor.change(path, 3, "a = [");
    assert_eq!(editor.ask("textDocument/formatting", ask), Value::Null);
}

#[test]
fn what_was_meant_is_offered() {
    let folder = shop();
    let text = ORDERS.replace("\"read\"", "\"raed\"").replace("oauth.validate-token", "oauth.validate-tokn");
    folder.write("policies/orders.toml", &text);
    let mut editor = Editor::begin(folder.path());
    editor.open("policies/orders.toml", &text);
    let uri = editor.uri("policies/orders.toml");
    let told = editor.wait_for("diagnostics", |m| m["params"]["uri"] == uri)["params"]["diagnostics"].clone();
    let params = json!({
        "textDocument": { "uri": uri },
        "range": told[0]["range"],
        "context": { "diagnostics": told },
    });
    let actions = editor.ask("textDocument/codeAction", params);
    let texts = actions.as_array().unwrap().iter().map(|a| a["edit"]["changes"][&uri][0]["newText"].as_str().unwrap());
    assert_eq!(texts.collect::<Vec<_>>(), ["\"oauth.validate-token\"", "\"read\""]);
}

#[test]
fn the_conversation_survives_anything() {
    let folder = shop();
    let mut editor = Editor::start(folder.path(), &[]);
    assert_eq!(editor.try_ask("textDocument/hover", json!({}))["error"]["code"], -32002, "before `initialize`");
    editor.send_bytes(b"garbage\r\n\r\nContent-Length: 1\r\n\r\n{");
    editor.wait_for("the parse error", |m| m["error"]["code"] == -32700);
    editor.ask("initialize", json!({ "capabilities": 7 }));
    assert_eq!(editor.try_ask("initialize", json!({}))["error"]["code"], -32600, "a second time");
    assert_eq!(editor.try_ask("no/such", json!({}))["error"]["code"], -32601);
    assert_eq!(editor.try_ask("textDocument/hover", json!([]))["error"]["code"], -32602);
    editor.tell("no/such", json!({}));
    editor.tell("textDocument/didOpen", json!({ "textDocument": 1 }));
    editor
        .tell("textDocument/didChange", json!({ "textDocument": { "uri": "x", "version": 1 }, "contentChanges": [] }));
    // Files that belong to no configuration, or are none.
    for uri in ["untitled:x", "file:///nowhere/x.toml", "http://x/y"] {
        let item = json!({ "uri": uri, "languageId": "toml", "version": 1, "text": "x" });
        editor.tell("textDocument/didOpen", json!({ "textDocument": item }));
        let place = json!({ "textDocument": { "uri": uri }, "position": { "line": 0, "character": 0 } });
        assert_eq!(editor.ask("textDocument/hover", place), Value::Null, "{uri}");
    }
    // A file that is not open is as it stands on the disk.
    let place = editor.at("policies/oauth/token.toml", "# The token|");
    assert!(editor.ask("textDocument/documentSymbol", place).as_array().is_some_and(|all| all.len() > 10));
    // Places that are none.
    editor.open("policies/orders.toml", ORDERS);
    for (line, character) in [(0, 4_000_000_000_u32), (4_000_000_000_u32, 0), (3, 7)] {
        let uri = editor.uri("policies/orders.toml");
        let place = json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } });
        for method in ["hover", "completion", "definition", "prepareRename"] {
            editor.ask(&format!("textDocument/{method}"), place.clone());
        }
    }
    // Texts that are none.
    let texts = [
        "\u{feff}a = 1",
        "[",
        "\u{0}",
        &"[".repeat(10_000),
        &"a = \"${".repeat(10_000),
        &"x".repeat(5 << 20),
        "\r\r\n",
    ];
    for (version, text) in texts.into_iter().enumerate() {
        editor.change("policies/orders.toml", version as i32 + 2, text);
        let place = editor.at("policies/orders.toml", "|");
        editor.ask("textDocument/completion", place);
        editor.diagnostics("policies/orders.toml", version as i32 + 2);
    }
    // The folder goes.
    let moved = Folder::empty();
    std::fs::rename(folder.path(), moved.at("gone")).unwrap();
    editor.change("policies/orders.toml", 99, ORDERS);
    assert_eq!(editor.diagnostics("policies/orders.toml", 99), ["P0109 16:11"]);
    assert_eq!(editor.end(), 0);
}

/// Texts that somebody is in the middle of, wrecked at random but the same each time: every question has an answer.
#[test]
fn any_question_about_any_text() {
    const PIECES: &[&str] = &[
        "\"", "${", "}", "[", "]]", "{", "\n", " = ", ".", "ü𝄞", "\\", "#", "use = \"", "\"\"\"", "'", "\r",
        "\u{feff}", "of = [",
    ];
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let path = "policies/orders.toml";
    editor.open(path, ORDERS);
    let mut seed = 7_u64;
    let mut dice = |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % sides
    };
    for version in 2..150 {
        let mut text = ORDERS.to_owned();
        for _ in 0..=dice(5) {
            let at = text.floor_char_boundary(dice(text.len() + 1));
            match dice(3) {
                0 => text.truncate(at),
                1 => text.insert_str(at, PIECES[dice(PIECES.len())]),
                _ => text.replace_range(at..text.floor_char_boundary(at + dice(30)).max(at), ""),
            }
        }
        editor.change(path, version, &text);
        let at = text.floor_char_boundary(dice(text.len() + 1));
        let mut params = editor.at(path, &format!("{}|", &text[..at]));
        params["newName"] = json!("other");
        params["context"] = json!({ "includeDeclaration": true });
        for method in ["completion", "hover", "definition", "references", "prepareRename", "rename", "documentSymbol"] {
            let answer = editor.try_ask(&format!("textDocument/{method}"), params.clone());
            // A renaming may be refused (-32803), and nothing else may be wrong.
            let code = answer["error"]["code"].as_i64();
            assert!(code.is_none_or(|code| code == -32803), "{method} at {at}: {answer}\n{text}");
        }
    }
    assert_eq!(editor.end(), 0);
}

#[test]
fn exit_codes() {
    let folder = shop();
    assert_eq!(Editor::begin(folder.path()).end(), 0);
    let mut hasty = Editor::begin(folder.path());
    hasty.tell("exit", Value::Null);
    assert_eq!(hasty.exit_code(), 1, "`exit` without `shutdown`");
    assert_eq!(Editor::begin(folder.path()).exit_code(), 1, "the stream ends");
    let mut late = Editor::begin(folder.path());
    late.ask("shutdown", Value::Null);
    assert_eq!(late.try_ask("textDocument/hover", json!({}))["error"]["code"], -32600);
    assert_eq!(late.exit_code(), 0);
    folder.run(["-c", "no-such-folder", "lsp"]).code(2).says("no-such-folder");
}

/// Files that are saved by somebody else are seen as soon as the editor tells of them.
#[test]
fn files_on_the_disk_and_the_folder_that_is_named() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    editor.open("policies/orders.toml", ORDERS);
    assert_eq!(editor.diagnostics("policies/orders.toml", 1), [""; 0]);
    folder.edit("node.toml", "[upstream.orders]", "[upstream.order]");
    editor.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    assert_eq!(editor.diagnostics("policies/orders.toml", 1), ["P0109 16:11"]);

    // The folder that is named, whatever else has the file among its files.
    let mut none = Editor::start(folder.path(), &["-c", "."]);
    none.ask("initialize", json!({ "capabilities": {} }));
    let place = none.at("node.toml", "|");
    assert!(none.ask("textDocument/completion", place).is_object());
    let other = shop();
    none.root = format!("file://{}", other.path().canonicalize().unwrap().display());
    let place = none.at("node.toml", "|");
    assert_eq!(none.ask("textDocument/completion", place), Value::Null);

    let elsewhere = shop();
    let dir = elsewhere.path().to_str().unwrap().to_owned();
    let mut editor = Editor::start(folder.path(), &["-c", &dir]);
    editor.ask("initialize", json!({ "capabilities": { "general": { "positionEncodings": ["utf-8"] } } }));
    editor.open("policies/orders.toml", "");
    editor.root = format!("file://{}", elsewhere.path().canonicalize().unwrap().display());
    editor.open("policies/orders.toml", &ORDERS.replace("GET = \"read\"", "\"𝄞ü\" = \"raed\""));
    // In bytes; and of the other folder nothing was said.
    assert_eq!(editor.diagnostics("policies/orders.toml", 1), ["P0106 12:11"]);
}

/// What is asked in one go is answered in one go, and the last text counts.
#[test]
fn many_changes_at_once() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    editor.open("policies/orders.toml", ORDERS);
    for version in 2..200 {
        editor.change("policies/orders.toml", version, &ORDERS.replace("\"read\"", &format!("\"r{version}\"")));
    }
    editor.change("policies/orders.toml", 200, ORDERS);
    assert_eq!(editor.diagnostics("policies/orders.toml", 200), [""; 0]);
}

#[test]
fn tests_run_when_a_policy_is_saved() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let path = "policies/hello.toml";
    let text = "route = \"/hello\"\n[[filter]]\nuse = \"respond\"\ntext = \"hello\"\n[[test]]\nname = \"it greets\"\n\
                request = {}\nexpect = { text = \"HELLO\" }\n";
    editor.open(path, text);
    assert_eq!(editor.diagnostics(path, 1), [""; 0], "it is not saved");
    folder.write(path, text);
    editor.tell("textDocument/didSave", json!({ "textDocument": { "uri": editor.uri(path) } }));
    let told = editor.diagnostics(path, 1);
    assert!(told.len() == 1 && told[0].starts_with("P0601"), "{told:?}");
    editor.change(path, 2, &text.replace("HELLO", "hello"));
    assert_eq!(editor.diagnostics(path, 2), [""; 0]);
}

/// A key that is offered is one that the checker knows.
#[test]
fn what_is_offered_is_right() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let filters = ["oauth.validate-token", "oauth.check-scope", "proxy", "rate-limit", "switch", "call", "any"];
    let filters = filters.map(|name| ("policies/orders.toml", format!("[[filter]]\nuse = \"{name}\"\n")));
    let others = [
        ("policies/orders.toml", ""),
        ("node.toml", ""),
        ("node.toml", "[cluster]\n"),
        ("node.toml", "[[listener]]\n"),
        ("node.toml", "[admin]\n"),
        ("node.toml", "[upstream.x]\n"),
        ("node.toml", "[upstream.x.timeouts]\n"),
        ("node.toml", "[limits]\n"),
        ("node.toml", "[log]\n"),
        ("node.toml", "[debug]\n"),
        ("stores/stores.toml", "[store.x]\n"),
        ("stores/stores.toml", "[kps.x]\n"),
        ("policies/oauth/server.toml", ""),
        ("policies/oauth/server.toml", "[maximum_lifetime]\n"),
        ("policies/oauth/token.test.toml", "[[test]]\n"),
        ("policies/oauth/token.test.toml", "[[test]]\n[[test.step]]\n"),
        ("policies/oauth/token.test.toml", "[[test]]\n[test.request]\n"),
        ("policies/oauth/token.test.toml", "[[test]]\n[test.expect]\n"),
    ];
    let mut version = 1;
    for (path, header) in filters.into_iter().chain(others.map(|(path, header)| (path, header.to_owned()))) {
        editor.open(path, "");
        version += 1;
        let keys = offered(&mut editor, path, version, &format!("{header}|"));
        let keys: Vec<&String> = keys.iter().filter(|key| !key.starts_with('[') && *key != "allow").collect();
        assert!(!keys.is_empty(), "{path} {header}");
        let lines: String = keys.iter().map(|key| format!("{key} = 1\n")).collect();
        version += 1;
        editor.change(path, version, &format!("{header}{lines}"));
        let uri = editor.uri(path);
        let told = editor.wait_for("diagnostics", |m| m["params"]["uri"] == uri && m["params"]["version"] == version);
        let unknown = told["params"]["diagnostics"].as_array().unwrap().iter().map(|d| d["message"].as_str().unwrap());
        let unknown: Vec<_> = unknown.filter(|message| message.contains("not known")).collect();
        assert!(unknown.is_empty(), "{path} {header}: {unknown:?}");
    }
}

#[test]
fn lints_are_warnings_and_allowed_with_a_reason() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    editor.open("node.toml", NODE);
    let told = editor.all_diagnostics("node.toml", 1);
    assert!(told.contains(&String::from("warning P0703 1:0")), "{told:?}");
    has(&offered(&mut editor, "node.toml", 2, "[allow]\n|"), &["unused-value", "missing-timeouts"], &[]);
    editor.change("node.toml", 3, NODE);
    let uri = editor.uri("node.toml");
    let told = editor.wait_for("version 3", |m| m["params"]["uri"] == uri && m["params"]["version"] == 3);
    let all = told["params"]["diagnostics"].as_array().unwrap();
    let lint = all.iter().find(|told| told["code"] == "P0703").unwrap();
    let params =
        json!({ "textDocument": { "uri": uri }, "range": lint["range"], "context": { "diagnostics": [lint] } });
    let actions = editor.ask("textDocument/codeAction", params);
    let edit = &actions[0]["edit"]["changes"][&uri][0];
    assert_eq!(edit["newText"], "[allow]\nunused-value = \"\"\n\n");
    assert_eq!(edit["range"]["start"], json!({ "line": 0, "character": 0 }));
    let text = format!("{}{NODE}", edit["newText"].as_str().unwrap());
    editor.change("node.toml", 4, &text);
    assert!(!editor.all_diagnostics("node.toml", 4).iter().all(|told| told.starts_with("warning")), "it has no reason");
    editor.change("node.toml", 5, &text.replace("\"\"", "\"an example\""));
    let told = editor.all_diagnostics("node.toml", 5);
    assert!(told.iter().all(|told| told.starts_with("warning") && !told.contains("P0703")), "{told:?}");
}

/// Editors that watch files tell of a save twice; and another file may be opened meanwhile.
#[test]
fn failed_tests_are_shown_until_the_next_change() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let path = "policies/hello.toml";
    let text = "route = \"/hello\"\n[[filter]]\nuse = \"respond\"\ntext = \"hello\"\n[[test]]\nname = \"it greets\"\n\
                request = {}\nexpect = { text = \"HELLO\" }\n";
    folder.write(path, text);
    editor.open(path, text);
    let uri = editor.uri(path);
    editor.tell("textDocument/didSave", json!({ "textDocument": { "uri": uri } }));
    editor.wait_for("the failed test", |m| m["params"]["uri"] == uri && m.to_string().contains("P0601"));
    editor.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    editor.open("node.toml", NODE);
    let uri = editor.uri("node.toml");
    // The last check of these has told what it has to tell.
    editor.wait_for("the other file", |m| m["params"]["uri"] == uri && m["params"]["version"] == 1);
    let hover = json!({ "textDocument": { "uri": editor.uri(path) }, "position": { "line": 4, "character": 3 } });
    let said = editor.ask("textDocument/hover", hover)["contents"]["value"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains("P0601"), "{said}");
}

/// While one file is no TOML, the others are as right as they were.
#[test]
fn a_broken_file_is_the_only_one_that_is_wrong() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let text = folder.read("policies/oauth/revoke.toml");
    editor.open("policies/oauth/revoke.toml", &text);
    // Its tests are of `oauth/revoke` too.
    editor.open("policies/oauth/token.toml", &folder.read("policies/oauth/token.toml"));
    assert_eq!(editor.diagnostics("policies/oauth/token.toml", 1), [""; 0]);
    editor.change("policies/oauth/revoke.toml", 2, &format!("[{text}"));
    editor.change("policies/oauth/token.toml", 2, &folder.read("policies/oauth/token.toml"));
    assert_eq!(editor.diagnostics("policies/oauth/token.toml", 2), [""; 0]);
}

#[test]
fn a_word_outside_of_a_selector_is_a_word() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let path = "policies/orders.toml";
    for (version, (inner, expected)) in
        [("${tok|en.scopes}", true), ("the tok|en", false), ("$${tok|en}", false), ("${token.scopes} tok|en", false)]
            .into_iter()
            .enumerate()
    {
        let text = ORDERS.replace("${token.scopes}", inner);
        editor.open(path, ORDERS);
        editor.change(path, version as i32 + 2, &text.replace('|', ""));
        let place = editor.at(path, &text);
        let said = editor.ask("textDocument/hover", place)["contents"]["value"].to_string();
        assert_eq!(said.contains("attribute `token`"), expected, "{inner}: {said}");
    }
}

/// An editor names files by the way that it came to them.
#[test]
fn a_folder_behind_a_link() {
    let (folder, links) = (shop(), Folder::empty());
    let link = links.path().canonicalize().unwrap().join("link");
    std::os::unix::fs::symlink(folder.path().canonicalize().unwrap(), &link).unwrap();
    for args in [&["-c", "link"][..], &[]] {
        let mut editor = Editor::start(links.path(), args);
        editor.ask("initialize", json!({ "capabilities": {} }));
        editor.root = format!("file://{}", link.display());
        editor.open("policies/orders.toml", &ORDERS.replace("\"read\"", "\"raed\""));
        assert_eq!(editor.diagnostics("policies/orders.toml", 1), ["P0106 12:6"], "{args:?}");
    }
}

/// A policy may have the name of another file of the configuration.
#[test]
fn a_policy_that_is_called_node() {
    let folder = shop();
    folder.write("policies/team/node.toml", "");
    let mut editor = Editor::begin(folder.path());
    editor.open("policies/team/node.toml", "route = \"/team\"\n[[filter]]\nuse = \"respnd\"\n");
    assert_eq!(editor.diagnostics("policies/team/node.toml", 1), ["P0105 2:6"]);
}

/// Wherever a file has its `[allow]`, the lint goes there, and comments stay with what they are of.
#[test]
fn a_lint_is_allowed_where_others_are() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let uri = editor.uri("node.toml");
    editor.open("node.toml", NODE);
    let new = "unused-value = \"\"";
    for (version, (before, expected)) in [
        ("[allow] # why\n", format!("[allow] # why\n{new}\n")),
        ("allow.x = \"y\" # why\n", format!("allow.x = \"y\" # why\nallow.{new}\n")),
        ("# A node.\n\n# What differs.\n", format!("# A node.\n\n[allow]\n{new}\n\n# What differs.\n")),
        ("allow = { x = \"y\" }\n", String::new()),
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!("{before}{NODE}");
        editor.change("node.toml", version as i32 + 2, &text);
        let range = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 0, "character": 0 } });
        let lint = json!({ "range": range, "code": "P0703", "message": "no file uses it" });
        let context = json!({ "diagnostics": [lint] });
        let params = json!({ "textDocument": { "uri": uri }, "range": range, "context": context });
        let actions = editor.ask("textDocument/codeAction", params);
        let edit = &actions[0]["edit"]["changes"][&uri][0];
        let written = edit["newText"].as_str().map_or_else(String::new, |new| {
            let place = |of: &str| edit["range"]["start"][of].as_u64().unwrap() as usize;
            let line: usize = text.split_inclusive('\n').take(place("line")).map(str::len).sum();
            let mut text = text.clone();
            text.insert_str(line + place("character"), new);
            text.strip_suffix(NODE).unwrap().to_owned()
        });
        assert_eq!(written, expected, "{before}");
    }
}

/// What is offered takes the place of what is there.
#[test]
fn what_is_taken_stands_where_it_was_asked_for() {
    let folder = shop();
    let mut editor = Editor::begin(folder.path());
    let path = "policies/orders.toml";
    editor.open(path, ORDERS);
    for (version, (before, label, expected)) in [
        ("[[ch|", "[[chain.read]]", "[[chain.read]]"),
        ("[[chain.|]] # more", "[[chain.read]]", "[[chain.read]] # more"),
        ("[|]", "[[filter]]", "[[filter]]"),
        ("use = pro|", "proxy", "use = \"proxy\""),
        ("use = \"pro|xy\"", "proxy", "use = \"proxy\""),
        ("upstr|eam = 1", "upstream", "upstream = 1"),
        ("upstr|", "upstream", "upstream = "),
    ]
    .into_iter()
    .enumerate()
    {
        let above = ORDERS.replace("upstream = \"orders\"\n", "");
        let (above, below) = above.split_once("\n[[chain.read]]").unwrap();
        let text = format!("{above}{before}\n[[chain.read]]{below}");
        editor.change(path, version as i32 + 2, &text.replacen('|', "", 1));
        let list = editor.ask("textDocument/completion", editor.at(path, &text));
        let offer = list["items"].as_array().unwrap().iter().find(|item| item["label"] == label);
        let edit = &offer.unwrap_or_else(|| panic!("{label} at {before}: {list}"))["textEdit"];
        let place = |end: &str| edit["range"][end]["character"].as_u64().unwrap() as usize;
        let mut line = before.replacen('|', "", 1);
        line.replace_range(place("start")..place("end"), edit["newText"].as_str().unwrap());
        assert_eq!(line, expected, "{before}");
    }
}
