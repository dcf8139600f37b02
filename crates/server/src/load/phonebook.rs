//! The people of a directory in the world of tests.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Mutex, PoisonError};

use policy::ports::{Directories, Directory, DirectoryEntry, Proving};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a test says of directories.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum GivenDirectory {
    /// Its people.
    People(Vec<GivenPerson>),
    /// `"down"`
    State(GivenState),
}

/// That no directory answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum GivenState {
    /// It does not.
    Down,
}

/// Somebody in a directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenPerson {
    /// The name to log in with.
    name: String,
    /// The password.
    password: String,
    /// What the entry says: `{ mail = ["ann@example.com"] }`. Where the attribute that names the subject is not there, it is the name.
    #[serde(default)]
    attributes: BTreeMap<String, Vec<String>>,
}

/// The people of every directory.
#[derive(Default)]
pub(super) struct Phonebook(Mutex<Option<GivenDirectory>>);

impl Phonebook {
    /// Who is in it from now on.
    pub(super) fn write(&self, people: Option<GivenDirectory>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = people;
    }
}

impl Directories for Phonebook {
    fn prove<'a>(&'a self, directory: &'a Directory, name: &'a str, password: &'a str) -> Proving<'a> {
        let proved = match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(None),
            Some(GivenDirectory::State(GivenState::Down)) => {
                Err(String::from("the test says that no directory answers"))
            }
            Some(GivenDirectory::People(people)) => {
                let person = people.iter().find(|person| person.name == name && person.password == password);
                Ok(person.map(|person| {
                    let value = |asked: &String| {
                        let own = || vec![person.name.clone()];
                        (asked.clone(), person.attributes.get(asked).cloned().unwrap_or_else(own))
                    };
                    // The first names the subject.
                    let mut attributes: BTreeMap<_, _> = directory.attributes.iter().take(1).map(value).collect();
                    let others = directory.attributes.iter().skip(1);
                    attributes.extend(
                        others
                            .filter_map(|name| person.attributes.get_key_value(name))
                            .map(|(name, values)| (name.clone(), values.clone())),
                    );
                    DirectoryEntry { attributes }
                }))
            }
        };
        Box::pin(ready(proved))
    }
}
