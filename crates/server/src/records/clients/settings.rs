//! What can be said of a client: read, checked, and changed.

use policy::reader::did_you_mean;
use serde_json::{Map, Value};
use store::Client;
use store::oauth::Scopes;
use store::oauth::registration::{self, GRANT_TYPES, Registration, Unfit};
use store::record::Introspects;

use crate::admin::api::{ClientSettings, Refusal};

/// The ways to authenticate that a client can be held to.
const METHODS: [&str; 5] =
    ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"];

/// Those of later versions.
const LATER_METHODS: [&str; 2] = ["tls_client_auth", "self_signed_tls_client_auth"];

/// Tags of a client, and characters of each note.
const MOST_TAGS: usize = 32;
const LONGEST_NOTE: usize = 1_024;

/// What is said of a client.
pub(super) fn settings_of(client: &Client) -> ClientSettings {
    ClientSettings {
        client_name: client.client_name.clone(),
        grant_types: client.grant_types.clone(),
        scope: client.scope.to_string(),
        default_scope: client.default_scope.as_ref().map(Scopes::to_string),
        token_endpoint_auth_method: client.token_endpoint_auth_method.clone(),
        introspect: match &client.introspect {
            Introspects::Own => Vec::new(),
            Introspects::Any => vec![String::from("any")],
            Introspects::Audiences(audiences) => audiences.clone(),
        },
        notes: client.notes.clone(),
        metadata: client.metadata.clone(),
    }
}

/// Puts what is said of a client on it. Whether the parts fit each other, [`check_whole`] says.
pub(super) fn apply(settings: &ClientSettings, client: &mut Client) -> Result<(), Refusal> {
    settings.grant_types.iter().try_for_each(|grant| check_grant(grant))?;
    if let Some(method) = settings.token_endpoint_auth_method.as_deref() {
        check_known_method(method)?;
    }
    check_notes(settings)?;
    client.client_name = settings.client_name.clone();
    client.grant_types = settings.grant_types.clone();
    client.scope = scopes(&settings.scope)?;
    client.default_scope = settings.default_scope.as_deref().map(scopes).transpose()?;
    client.authenticate_by(settings.token_endpoint_auth_method.clone());
    client.introspect = introspects(&settings.introspect);
    client.notes = settings.notes.clone();
    client.metadata = settings.metadata.clone();
    Ok(())
}

/// What is said of a client after these changes (RFC 7396): a member is replaced, one that is null is taken off.
pub(super) fn changed(client: &Client, changes: &Map<String, Value>) -> Result<ClientSettings, Refusal> {
    let malformed = |why: String| {
        Refusal::invalid(format!("this is nothing that a client can have: {why}"), "see `portcullis client set --help`")
    };
    changes.keys().try_for_each(|name| ClientSettings::check_name(name)).map_err(malformed)?;
    let mut settings = serde_json::to_value(settings_of(client)).map_err(|why| malformed(why.to_string()))?;
    merge(&mut settings, changes);
    serde_json::from_value(settings).map_err(|why| malformed(why.to_string()))
}

fn merge(target: &mut Value, changes: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, change) in changes {
        match change {
            Value::Null => drop(target.remove(name)),
            Value::Object(changes) => merge(target.entry(name.as_str()).or_insert(Value::Null), changes),
            other => drop(target.insert(name.clone(), other.clone())),
        }
    }
}

/// Whether a client can be registered so (RFC 7591).
pub(super) fn check_whole(client: &Client, has_secret: bool) -> Result<(), Refusal> {
    let checked = registration::check(&Registration { has_secret, ..client.as_registration() });
    checked.map_err(|Unfit { message, help, .. }| Refusal::invalid(message, help))
}

/// A grant that a client can be registered for, or why it is none.
pub(crate) fn check_grant(grant: &str) -> Result<(), Refusal> {
    if GRANT_TYPES.contains(&grant) {
        return Ok(());
    }
    let help = match did_you_mean(grant, GRANT_TYPES) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of {}", GRANT_TYPES.join(", ")),
    };
    Err(Refusal::invalid(format!("`{grant}` is no grant type"), help))
}

/// A way to authenticate that a client can be held to, or why it is none.
pub(crate) fn check_known_method(method: &str) -> Result<(), Refusal> {
    if METHODS.contains(&method) {
        return Ok(());
    }
    let known = format!("one of {}; leave it out for all that the policy lists", METHODS.join(", "));
    Err(match LATER_METHODS.contains(&method) {
        true => Refusal::invalid(format!("`{method}` is not there yet in this version"), known),
        false => Refusal::invalid(format!("`{method}` is no way to authenticate a client"), known),
    })
}

fn check_notes(settings: &ClientSettings) -> Result<(), Refusal> {
    let notes = &settings.notes;
    let tags = notes.tags.iter().flat_map(|(name, value)| [name, value]);
    let texts = notes.description.iter().chain(&notes.owner).chain(tags);
    if notes.tags.len() > MOST_TAGS {
        return Err(Refusal::invalid(format!("there are {} tags", notes.tags.len()), "at most 32"));
    }
    match texts.into_iter().all(|text| text.chars().count() <= LONGEST_NOTE) {
        true => Ok(()),
        false => {
            Err(Refusal::invalid("a note or tag is longer than 1024 characters", "keep it elsewhere, and a link here"))
        }
    }
}

fn scopes(text: &str) -> Result<Scopes, Refusal> {
    let help = "names with a space between, without quotes and backslashes";
    Scopes::parse(text).ok_or_else(|| Refusal::invalid(format!("`{text}` is no list of scopes"), help))
}

fn introspects(asked: &[String]) -> Introspects {
    match asked {
        [] => Introspects::Own,
        list if list.iter().any(|word| word == "any") => Introspects::Any,
        list => Introspects::Audiences(list.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use store::oauth::ClientId;

    fn client() -> Client {
        let settings = json!({
            "client_name": "An app", "grant_types": ["client_credentials"], "scope": "a b", "introspect": ["api"],
            "redirect_uris": ["https://a.example/cb"], "tags": { "x": "1", "y": "2" }, "owner": "us"
        });
        let mut client = Client::new(ClientId::new("app"));
        apply(&serde_json::from_value(settings).unwrap(), &mut client).unwrap();
        client
    }

    #[test]
    fn what_is_said_of_a_client_comes_back() {
        let client = client();
        let mut again = Client::new(ClientId::new("app"));
        apply(&settings_of(&client), &mut again).unwrap();
        assert_eq!(again, client);
    }

    #[test]
    fn rfc7396_changes() {
        let changes = |changes: Value| changed(&client(), changes.as_object().unwrap());
        let same = settings_of(&client());
        assert_eq!(changes(json!({})), Ok(same.clone()));
        let got =
            changes(json!({ "scope": "c", "client_name": null, "redirect_uris": [], "tags": { "x": null, "z": "3" } }))
                .unwrap();
        assert_eq!((got.scope.as_str(), &got.client_name, got.metadata.redirect_uris.len()), ("c", &None, 0));
        assert_eq!(got.notes.tags, [("y", "2"), ("z", "3")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        assert_eq!((got.notes.owner, got.introspect), (same.notes.owner, same.introspect));
        for (wrong, word) in [
            (json!({ "scopes": "a" }), "scopes"),
            (json!({ "client_id": "b" }), "client_id"),
            (json!({ "secrets": [] }), "secrets"),
            (json!({ "registration": "x" }), "registration"),
            (json!({ "redirect_uri": null }), "redirect_uri"),
            (json!({ "redirect_uris": "https://a.example/" }), "sequence"),
        ] {
            let refusal = changes(wrong.clone()).unwrap_err();
            assert!(refusal.message.contains(word), "{wrong}: {}", refusal.message);
        }
    }

    #[test]
    fn notes_are_bounded() {
        let refused = |settings: Value| {
            apply(&serde_json::from_value(settings).unwrap(), &mut Client::new(ClientId::new("app"))).is_err()
        };
        let tags = |count: usize| (0..count).map(|n| (n.to_string(), json!("x"))).collect::<Map<_, _>>();
        assert!(!refused(json!({ "tags": tags(MOST_TAGS), "owner": "x".repeat(LONGEST_NOTE) })));
        assert!(refused(json!({ "tags": tags(MOST_TAGS + 1) })));
        for long in
            [json!({ "owner": "x".repeat(LONGEST_NOTE + 1) }), json!({ "tags": { "x": "x".repeat(LONGEST_NOTE + 1) } })]
        {
            assert!(refused(long));
        }
    }
}
