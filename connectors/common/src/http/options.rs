//! The options that all clients share.

use std::time::Duration;

use crate::tls::Tls;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{HeaderName, HeaderValue};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::files::Base;
use tidemill_engine::secret::Secret;
use tidemill_engine::time::parse_duration;

use super::{Proxy, Route};

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
