//! Options that hold a secret: a password, a token, a key.
//!
//! A secret is a *reference*, such as `{ env = "DB_PASSWORD" }`, and a *value*, which is read when the option is. Whatever is compared, written or shown is
//! the reference: checkpoints, reports, `explain`, `Debug`. Only [`Secret::reveal`] gives the value.

mod file;
mod reading;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Hidden, Result};
use crate::files::FilePath;

pub(crate) use reading::{FoundSecrets, Reading};

/// What stands in place of a secret that is written in the pipeline itself.
const INLINE: &str = "(secret)";

/// How a secret is written.
const EXPECTED: &str = "a secret: { env = \"NAME\" }, { file = \"path\" }, or the text itself in quotes";

/// An option that holds a secret. In a pipeline file it is `{ env = "NAME" }` (a variable of the environment), `{ file = "path" }` (a file of text, at most 64 KiB,
/// without its last line end), or the text itself.
///
/// It serialises, compares and prints as that reference, never as the value, so that a new value does not make another pipeline. As long as a secret or a clone of
/// it lives, its value is replaced by the reference in errors, reports and notes; then it is wiped from memory.
#[derive(Clone)]
pub struct Secret {
    reference: Reference,
    hidden: Hidden,
}

/// Where the value comes from.
#[derive(Clone, Debug, PartialEq)]
enum Reference {
    Env(String),
    File(FilePath),
    /// It is written in the pipeline, as text with variables or as it is.
    Text(String),
}

impl Secret {
    /// A secret of this value. Prefer a reference where there is one: this one is compared and shown as any other text that is secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self::of(Reference::Text(INLINE.to_owned()), value.into())
    }

    /// The value of the environment variable `name`.
    ///
    /// # Errors
    /// A configuration error where it is not set, is empty, or is not Unicode.
    pub fn from_env(name: impl Into<String>) -> Result<Self> {
        reading::read(Reference::Env(name.into()))
    }

    /// The text of the file at `path`, a relative one from the current folder, without the line end behind it.
    ///
    /// # Errors
    /// If it does not exist, cannot be read, is not a regular file, is empty, larger than 64 KiB or not UTF-8.
    pub fn from_file(path: impl Into<FilePath>) -> Result<Self> {
        reading::read(Reference::File(path.into()))
    }

    /// The value. The caller must not pass it on.
    pub fn reveal(&self) -> &str {
        self.hidden.value()
    }

    fn of(reference: Reference, value: String) -> Self {
        let hidden = Hidden::new(value, reference.to_string());
        Self { reference, hidden }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "{{ env = {name:?} }}"),
            Self::File(path) => write!(f, "{{ file = {:?} }}", path.written()),
            Self::Text(written) => f.write_str(written),
        }
    }
}

/// The reference.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

/// The reference.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.reference)
    }
}

/// By reference: a new value is no other secret.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.reference == other.reference
    }
}

impl Eq for Secret {}

/// The reference.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (name, value) = match &self.reference {
            Reference::Env(name) => ("env", &**name),
            Reference::File(path) => ("file", path.written()),
            Reference::Text(written) => return serializer.serialize_str(written),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(name, value)?;
        map.end()
    }
}

/// Reads the value, from where the pipeline that is being read says.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let reference = deserializer.deserialize_any(Written)?;
        let read = match reference {
            Reference::Text(value) => reading::inline(value),
            reference => reading::read(reference),
        };
        read.map_err(|error| de::Error::custom(in_one_line(&error)))
    }
}

fn in_one_line(error: &Error) -> String {
    match error.help() {
        Some(help) => format!("{}; {help}", error.message()),
        None => error.message().to_owned(),
    }
}

/// A secret as it is written. What else stands there may be one without quotes: it is not quoted.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Reference;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Reference, E> {
        Ok(Reference::Text(text.to_owned()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> std::result::Result<Reference, E> {
        reading::mistaken(number.to_string());
        Err(E::custom(format!("expected {EXPECTED}, found a number")))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> std::result::Result<Reference, E> {
        reading::mistaken(number.to_string());
        Err(E::custom(format!("expected {EXPECTED}, found a number")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Reference, A::Error> {
        let wrong = || de::Error::custom(format!("expected {EXPECTED}, found another table"));
        let name = map.next_key::<String>()?.ok_or_else(wrong)?;
        let reference = match &*name {
            "env" => Reference::Env(map.next_value()?),
            "file" => Reference::File(map.next_value()?),
            _ => {
                map.next_value::<String>().into_iter().for_each(reading::mistaken);
                return Err(wrong());
            }
        };
        match map.next_key::<String>()? {
            None => Ok(reference),
            Some(_) => Err(wrong()),
        }
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let table = |name: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { name: { "type": "string" } },
                "required": [name],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "anyOf": [table("env"), table("file"), { "type": "string" }],
            "title": "secret",
            "writeOnly": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::hide_secrets;
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Options {
        password: Secret,
    }

    fn options(toml: &str) -> std::result::Result<Options, String> {
        let reading = Reading::new(crate::files::Base::default(), |name: &str| match name {
            "TOKEN" => Some("s3cr3t-of-env".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        });
        reading.around(|| toml::from_str(toml).map_err(|error| error.message().to_owned())).0
    }

    #[test]
    fn it_is_its_reference_for_everybody_but_whoever_reveals_it() {
        let options = options("password = { env = 'TOKEN' }").expect("a secret");
        assert_eq!(options.password.reveal(), "s3cr3t-of-env");
        assert_eq!(serde_json::to_value(&options).expect("JSON"), json!({ "password": { "env": "TOKEN" } }));
        assert_eq!(format!("{options:?}"), r#"Options { password: Secret({ env = "TOKEN" }) }"#);
        assert_eq!(options.password.to_string(), r#"{ env = "TOKEN" }"#);
        assert_eq!(hide_secrets("with s3cr3t-of-env"), r#"with { env = "TOKEN" }"#);
    }

    #[test]
    fn two_values_of_one_reference_are_equal_and_two_references_are_not() {
        assert_eq!(Secret::new("one"), Secret::new("another"));
        let of = |name: &str| Secret::of(Reference::Env(name.into()), "same".into());
        assert_ne!(of("A"), of("B"));
        let file = Secret::of(Reference::File("A".into()), "same".into());
        assert_ne!(of("A"), file);
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_quoted() {
        for (toml, wrong) in [
            ("password = 73519462", "found a number"),
            ("password = { env = 'TOKEN', file = 'x' }", "found another table"),
            ("password = { value = 'abcdef' }", "found another table"),
            ("password = { env = 'NONE' }", "the variable `NONE` is not set"),
            ("password = { env = 'EMPTY' }", "the variable `EMPTY` is empty"),
            ("password = ''", "the secret is empty"),
        ] {
            let error = options(toml).expect_err(toml);
            assert!(error.contains(wrong), "{toml}: {error}");
            assert!(!error.contains("73519462") && !error.contains("abcdef"), "{error}");
        }
    }
}
