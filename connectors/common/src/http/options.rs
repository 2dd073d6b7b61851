//! The options that all clients share.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::tls::Tls;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{HeaderName, HeaderValue};
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::secret::Secret;
use tidemill_engine::time::parse_duration;

use super::{Endpoint, Proxy, Route};

/// Text that may be a secret: as it stands in the pipeline, or `{ env = "NAME" }` or `{ file = "path" }`, which is shown in its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Text {
    /// As it stands in the pipeline.
    Open(String),
    /// By a reference.
    Secret(Secret),
}

impl Text {
    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Open(text) => text,
            Self::Secret(secret) => secret.reveal(),
        }
    }

    /// Whether it must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Text as it is written.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes, { env = \"NAME\" } or { file = \"path\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Text, E> {
        Ok(Text::Open(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Text, A::Error> {
        Secret::deserialize(MapAccessDeserializer::new(map)).map(Text::Secret)
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Secret::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Secret::json_schema(generator)
    }
}

/// The options of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClientOptions {
    /// How long a request may take until its answer has come, such as "10s".
    pub timeout: String,
    /// How the server is verified, and how this client identifies itself: `{ ca = "ca.pem", certificate = "client.pem", key = "client.key" }`. For addresses that begin with https.
    pub tls: Tls,
    /// More headers of every request, such as `{ X-Api-Key = { env = "KEY" } }`. Their values are secrets.
    pub headers: IndexMap<String, Secret>,
    /// Whether a token, a password, headers and other secrets may be sent to another machine without encryption: whoever is in between can read them.
    pub insecure: bool,
    /// The proxy by which the server is reached, such as `http://proxy.example:3128`. Proxies that are named in the environment are not used.
    pub proxy: Option<String>,
    /// The user, for a proxy that asks for a name and a password.
    pub proxy_user: Option<String>,
    /// The password of that user.
    pub proxy_password: Option<Secret>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            timeout: "10s".into(),
            tls: Tls::default(),
            headers: IndexMap::new(),
            insecure: false,
            proxy: None,
            proxy_user: None,
            proxy_password: None,
        }
    }
}

impl ClientOptions {
    /// The same with relative paths resolved against `base`.
    #[must_use]
    pub fn with_base(&self, base: &Base) -> Self {
        Self { tls: self.tls.with_base(base), ..self.clone() }
    }

    /// Checks everything that can be without a connection.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn check(&self) -> Result<()> {
        self.timeout()?;
        headers(&self.headers)?;
        self.route()?;
        self.tls.client().map(drop)
    }

    /// Checks that no secret is sent to `endpoint` so that others can read it; `has_secret` says whether there are any besides the headers.
    ///
    /// # Errors
    /// A configuration error, unless the connection is encrypted or does not leave this machine, or `insecure` says that it may.
    pub fn check_secrecy(&self, endpoint: &Endpoint, has_secret: bool) -> Result<()> {
        let is_open = !endpoint.is_tls && !endpoint.is_local() && !self.insecure;
        match is_open && (has_secret || !self.headers.is_empty()) {
            true => Err(Error::config(format!("{endpoint}: a secret would be sent without encryption")).with_help(
                "use https or wss; or set `insecure = true` where nobody else can listen, such as within a cluster",
            )),
            false => Ok(()),
        }
    }

    /// How the server is reached.
    ///
    /// # Errors
    /// A configuration error that names the option.
    pub fn route(&self) -> Result<Route> {
        let Self { proxy, proxy_user, proxy_password, .. } = self;
        let proxy = match proxy {
            Some(url) => Some(Proxy::new(url, proxy_user.as_deref(), proxy_password.as_ref())?),
            None if proxy_user.is_some() || proxy_password.is_some() => {
                return Err(Error::config(
                    "`proxy_user` and `proxy_password` are for a `proxy`, and none is named",
                ));
            }
            None => None,
        };
        Ok(Route { tls: self.tls.clone(), proxy })
    }

    /// How long a request may take.
    ///
    /// # Errors
    /// A configuration error if it is not a duration.
    pub fn timeout(&self) -> Result<Duration> {
        duration("timeout", &self.timeout)
    }
}

/// The duration in the option `option`.
///
/// # Errors
/// A configuration error if it is none.
pub fn duration(option: &str, text: &str) -> Result<Duration> {
    let nanos = parse_duration(text).map_err(|why| Error::config(format!("`{option}`: {why}")))?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

/// The headers in the option `headers`.
///
/// # Errors
/// A configuration error if one is none.
pub fn headers(written: &IndexMap<String, Secret>) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let header = |(name, value): (&String, &Secret)| {
        let parsed = name.parse::<HeaderName>();
        let parsed =
            parsed.map_err(|_| Error::config(format!("`headers`: {name:?} is not the name of a header")))?;
        Ok((parsed, header_value(&format!("headers.{name}"), value.reveal())?))
    };
    written.iter().map(header).collect()
}

/// Text as the value of a header that logs do not show.
///
/// # Errors
/// A configuration error that names the option, not the value.
pub fn header_value(option: &str, text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::config(format!("`{option}` contains characters that no header may have")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header `Authorization`: by a token with its scheme, such as `Bearer`, or by name and password.
///
/// # Errors
/// A configuration error if both are given, or only half of the latter.
pub fn authorization(
    token: Option<(&str, &Secret)>,
    user: Option<&str>,
    password: Option<&Secret>,
) -> Result<Option<HeaderValue>> {
    match (token, user, password) {
        (None, None, None) => Ok(None),
        (Some((scheme, token)), None, None) => {
            header_value("token", &format!("{scheme} {}", token.reveal())).map(Some)
        }
        (None, Some(user), Some(password)) => {
            let both = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
            header_value("password", &format!("Basic {both}")).map(Some)
        }
        (None, ..) => Err(Error::config("`user` and `password` belong together: one of them is missing")),
        _ => Err(Error::config("`token` and `user` cannot be used together")),
    }
}

/// The options of a component and those of its client, for `explain` and the report.
#[must_use]
pub fn merged(own: &impl Serialize, client: &ClientOptions) -> serde_json::Value {
    let group = |value: serde_json::Result<serde_json::Value>| match value {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (mut all, client) = (group(serde_json::to_value(own)), group(serde_json::to_value(client)));
    all.extend(client);
    serde_json::Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sent_encrypted_or_within_this_machine() {
        let check = |url: &str, has_secret: bool, client: &ClientOptions| {
            let endpoint = Endpoint::parse("url", url, &["http", "https", "ws", "wss"]).expect(url);
            client.check_secrecy(&endpoint, has_secret)
        };
        let plain = ClientOptions::default();
        for url in [
            "https://a.example",
            "wss://a.example",
            "http://localhost:80",
            "ws://127.0.0.2",
            "http://[::1]:8086",
        ] {
            assert!(check(url, true, &plain).is_ok(), "{url}");
        }
        for url in
            ["http://a.example", "ws://10.0.0.1", "http://localhost.example", "http://127.0.0.1.example"]
        {
            assert!(check(url, false, &plain).is_ok(), "{url}");
            let error = check(url, true, &plain).expect_err(url);
            assert!(error.help().is_some_and(|help| help.contains("`insecure = true`")), "{error}");
        }
        let with = |headers: IndexMap<String, Secret>, insecure| ClientOptions {
            headers,
            insecure,
            ..plain.clone()
        };
        let headers = IndexMap::from([("X-Key".to_owned(), Secret::new("planted"))]);
        assert!(check("http://a.example", false, &with(headers.clone(), false)).is_err());
        assert!(check("http://a.example", true, &with(headers, true)).is_ok());
    }

    #[test]
    fn text_is_shown_unless_it_is_a_secret() {
        let read = |json: serde_json::Value| serde_json::from_value::<Text>(json);
        let open = read("https://a.example".into()).expect("text");
        assert_eq!((open.reveal(), open.is_secret()), ("https://a.example", false));
        assert_eq!(serde_json::to_value(&open).expect("JSON"), "https://a.example");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "https://a.example/4711\n").expect("written");
        let reference = serde_json::json!({ "file": file.path() });
        let secret = read(reference.clone()).expect("a secret");
        assert_eq!((secret.reveal(), secret.is_secret()), ("https://a.example/4711", true));
        assert_eq!(serde_json::to_value(&secret).expect("JSON"), reference);
        assert!(read(serde_json::json!({ "value": "x" })).is_err() && read(serde_json::json!(7)).is_err());
    }
}
