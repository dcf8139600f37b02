//! Settings that are secrets: what the JSON Schema of a file says of them, and how one is read and held to a form.

use oauth::Secret;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// What stands in the file for a secret: where it is.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    let named = |key: &str, what: &str| {
        json_schema!({
            "type": "object",
            "properties": { key: { "type": "string", "description": what } },
            "required": [key],
            "additionalProperties": false,
        })
    };
    json_schema!({
        "description": "A secret, which stands outside the file: in an environment variable, or in a file of its own.",
        "anyOf": [named("env", "The environment variable."), named("file", "The file, relative to the configuration folder.")],
    })
}

/// Reads a secret of which `check` says what is wrong, in words that show nothing of it. Empty is what the command `check` gives for
/// a variable that is not set where it runs; opening the source refuses it.
pub(super) fn checked<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    check: impl FnOnce(&Secret) -> Result<T, String>,
) -> Result<Secret, D::Error> {
    let secret = Secret::deserialize(deserializer)?;
    if !secret.expose().is_empty() {
        check(&secret).map_err(serde::de::Error::custom)?;
    }
    Ok(secret)
}

/// A setting that is a secret of some form, which its method `parse` knows: it reads it, or says what is wrong in words that show
/// nothing of it.
macro_rules! formed {
    ($name:ident, $schema:literal) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                $crate::sources::secret::checked(d, |secret| $name(secret.clone()).parse()).map($name)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::sources::secret::schema(generator)
            }
        }
    };
}

pub(super) use formed;
