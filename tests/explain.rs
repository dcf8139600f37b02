//! `portcullis explain`, through the binary.

use crate::harness::Folder;

#[test]
fn every_kind_of_word() {
    let folder = Folder::shipped();
    for (word, kind, said) in [
        (
            "oauth.check-scope",
            "filter",
            &["# oauth.check-scope", "Validate Access Token", "| `asked`", "sets `scopes`", "`insufficient_scope`"][..],
        ),
        ("switch", "filter", &["Chooses", "| `case`"][1..]),
        ("oauth.verify-saml", "filter", &["not there yet", "Until then"]),
        ("oauth.check-scope.match", "setting", &["one is enough", "`all`, `any`"]),
        ("rate-limit.when", "setting", &["CEL"]),
        (
            "token",
            "attribute",
            &["Set by `oauth.issue-token`, `oauth.validate-token` and `auth.jwt`", "| `token.scopes`"],
        ),
        ("token.scopes", "attribute", &["What it grants", "a list"]),
        ("request.header", "attribute", &["header field"]),
        ("listener.address", "setting", &["An IP address and a port", "Required", "node.toml"]),
        ("[cluster] nodes", "setting", &["How many nodes", "Default: `1`"]),
        ("upstream", "setting", &["`upstream.NAME.timeouts.connect`", "Default: `3s`"]),
        ("source.postgres.url", "setting", &["postgres://", "stores/stores.toml"]),
        ("source.mysql.url", "setting", &["mysql://", "stores/stores.toml"]),
        ("maximum_lifetime.access_token", "setting", &["duration", "server.toml"]),
        ("route", "setting", &["POST /path"]),
        ("p0107", "diagnostic", &["# P0107", "## The cure"]),
        ("${request.form.x ?? y}", "selector", &["`request.form.x`", "Type: text", "the text `y`"]),
        ("${token.scopes}", "selector", &["a list", "fails: `missing-value`"]),
        ("${now ??}", "selector", &["a whole number", "absent"]),
    ] {
        let run = folder.run(["explain", word]).code(0);
        said.iter().for_each(|part| assert!(run.stdout.contains(part), "{word}: no `{part}` in\n{}", run.stdout));
        let json = folder.run(["explain", word, "--json"]).code(0).json();
        assert_eq!(json["kind"], kind, "{word}");
        assert!(run.stdout.starts_with(json["text"].as_str().unwrap().trim_end()), "{word}");
    }
}

#[test]
fn a_policy_in_plain_words() {
    let folder = Folder::empty();
    folder.run(["init", ".", "--template", "partner-gateway"]).code(0);
    folder.write(
        "policies/odd.toml",
        "route = { path = \"/odd\", methods = [\"GET\"] }\n\n[[filter]]\nuse = \"call\"\nchain = \"inner\"\nwhen = 'request.method == \"GET\"'\n\
         on_failure = { to = \"late\", as = \"success\" }\n\n[[chain.inner]]\nname = \"the rule\"\nuse = \"require\"\nthat = \"false\"\n\n\
         [[chain.late]]\nuse = \"respond\"\n\n[[filter]]\nuse = \"respond\"\n",
    );
    let odd = folder.run(["explain", "odd"]).code(0).stdout;
    for part in [
        "It takes `GET /odd`.",
        "1. `call`, line 3, only when `request.method == \"GET\"`: Runs the chain `inner`",
        "after a failure the run goes to the chain `late`, and ends with it, as a success",
        "1. *the rule* (`require`)",
        "problem details",
    ] {
        assert!(odd.contains(part), "no `{part}` in\n{odd}");
    }
    let token = folder.run(["explain", "policies/oauth/token.toml"]).code(0).stdout;
    for part in [
        "It takes `POST /api/oauth/token`.",
        "`client_credentials` runs the chain `client-credentials`",
        "anything else runs the chain `unsupported`",
        "uses the store `access-token`",
        "can fail with `unauthorized_client`",
        "as an OAuth endpoint answers",
        "A store that is down is answered with 503.",
    ] {
        assert!(token.contains(part), "no `{part}` in\n{token}");
    }
    assert!(!token.contains("An upstream"), "{token}");
    let orders = folder.run(["explain", "partners/orders", "--json"]).code(0).json();
    assert_eq!((orders["kind"].as_str(), orders["name"].as_str()), (Some("policy"), Some("partners/orders")));
    assert!(orders["text"].as_str().unwrap().contains("as a protected resource answers"), "{orders}");
    folder.write("policies/bad.toml", "route = \n");
    folder.run(["explain", "bad"]).code(0).says("no TOML");
}

#[test]
fn what_is_not_known() {
    let folder = Folder::shipped();
    for (word, near) in [
        ("check-scope", "`oauth.check-scope`"),
        ("oauth/tokn", "`oauth/token`"),
        ("listner.address", "`listener.address`"),
        ("P9999", "P"),
        ("${request.bodyx}", "request.body"),
        ("${token.scopes", "no selector"),
    ] {
        let run = folder.run(["explain", word]).code(1).says(near);
        assert_eq!(run.stdout, "", "{word}");
    }
    folder.run(["explain", "entirely-elsewhere"]).code(1).says("lists what there is");
}

#[test]
fn without_a_word_everything_is_listed() {
    let folder = Folder::empty();
    let list = folder.run(["explain"]).code(0).stdout;
    for word in ["oauth.issue-token", "switch", "request", "client", "listener", "default", "issuer", "P0101"] {
        assert!(list.lines().any(|line| line.trim_start().starts_with(&format!("{word} "))), "{word} in\n{list}");
    }
    assert!(!list.contains("oauth.verify-saml"), "what is not there yet is not offered");
    assert!(folder.run(["explain", "--json"]).code(0).json().as_array().is_some_and(|groups| groups.len() > 8));
}
