//! Where requests go.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;
use hyper::header::HeaderValue;
use tidemill_engine::error::{Error, Result};

use super::Text;

/// A server and a path. It is shown without the path, which may contain a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The name or the address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The path, with its query.
    pub path: String,
    /// The scheme, such as `https`.
    scheme: &'static str,
    /// Whether the path is a secret.
    is_secret: bool,
}

/// Letters of a part of a secret path that is looked for by itself: words such as `api` stand in messages for other reasons.
const SHORTEST_PART: usize = 8;

/// The same of the value of a parameter, which is seldom such a word.
const SHORTEST_VALUE: usize = 4;

/// Each scheme, whether it is encrypted, and its usual port.
const SCHEMES: [(&str, bool, u16); 4] =
    [("http", false, 80), ("https", true, 443), ("ws", false, 80), ("wss", true, 443)];

impl Endpoint {
    /// Reads the address `url`; `schemes` are those that make sense. `option` is the name of the option, for messages, which do not show the address.
    ///
    /// # Errors
    /// A configuration error if it is not an address.
    pub fn parse(option: &str, url: &str, schemes: &[&str]) -> Result<Self> {
        let all = schemes.iter().map(|scheme| format!("{scheme}://…")).collect::<Vec<_>>().join(" or ");
        let wrong = |why: &str| Err(Error::config(format!("`{option}` {why}")));
        let Ok(uri) = url.parse::<Uri>() else {
            return wrong(&format!("is not an address: it begins with {all}"));
        };
        let given = uri.scheme_str().unwrap_or_default();
        let scheme = SCHEMES.iter().find(|(name, ..)| *name == given && schemes.contains(name));
        let Some(&(scheme, is_tls, usual)) = scheme else { return wrong(&format!("must begin with {all}")) };
        let Some(authority) = uri.authority() else { return wrong("names no server") };
        if authority.as_str().contains('@') {
            return wrong("contains a user or a password: there are options of their own for these");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return wrong("names no server");
        }
        let port = authority.port_u16().unwrap_or(usual);
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { host, port, is_tls, path, scheme, is_secret: false })
    }

    /// Reads the address in `text`, which is a secret if that is one; as [`Endpoint::parse`].
    ///
    /// # Errors
    /// A configuration error if it is not an address.
    pub fn of(option: &str, text: &Text, schemes: &[&str]) -> Result<Self> {
        let endpoint = Self::parse(option, text.reveal(), schemes)?;
        Ok(Self { is_secret: text.is_secret(), ..endpoint })
    }

    /// What records call it: the address as it is written, or the server alone if it is a secret.
    #[must_use]
    pub fn shown(&self, text: &Text) -> String {
        match text {
            Text::Open(url) => url.clone(),
            Text::Secret(_) => self.to_string(),
        }
    }

    /// Whether requests do not leave this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The same, as a secret: messages that repeat the path are shown without it.
    #[must_use]
    pub fn into_secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// Whether the path is a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// `text` without the path and its parts, if they are a secret.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        if !self.is_secret {
            return text.to_owned();
        }
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let parts = path.split('/').map(|part| (part, SHORTEST_PART));
        let values = query
            .split('&')
            .map(|pair| (pair.split_once('=').map_or(pair, |(_, value)| value), SHORTEST_VALUE));
        let long = parts.chain(values).flat_map(|(part, least)| {
            [part.to_owned(), decoded(part)].into_iter().filter(move |part| part.chars().count() >= least)
        });
        let mut all: Vec<String> = long.chain([self.path.clone()]).filter(|part| part.len() > 1).collect();
        // A part may contain another one.
        all.sort_by_key(|part| std::cmp::Reverse(part.len()));
        all.iter().fold(text.to_owned(), |text, part| text.replace(part.as_str(), "…"))
    }

    /// The same server with `path` behind the own one, and these parameters.
    #[must_use]
    pub fn at(&self, path: &str, query: &[(&str, &str)]) -> Self {
        let (before, own) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let mut all: Vec<String> = Some(own.to_owned()).into_iter().filter(|own| !own.is_empty()).collect();
        all.extend(query.iter().map(|(name, value)| format!("{name}={}", encoded(value))));
        let question = if all.is_empty() { "" } else { "?" };
        let path = format!("{}{path}{question}{}", before.trim_end_matches('/'), all.join("&"));
        Self { path, ..self.clone() }
    }

    /// The same server with another path.
    #[must_use]
    pub fn with_path(&self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self.clone() }
    }

    /// Whether `other` is the same server by the same scheme.
    #[must_use]
    pub fn is_same_server(&self, other: &Self) -> bool {
        (&self.host, self.port, self.is_tls) == (&other.host, other.port, other.is_tls)
    }

    /// Whether its requests are HTTP without encryption, and no WebSocket.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.scheme == "http"
    }

    /// The server and its port.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }

    /// The value of the header `Host`.
    ///
    /// # Errors
    /// A configuration error if the host is none.
    pub fn host_header(&self) -> Result<HeaderValue> {
        let usual = if self.is_tls { 443 } else { 80 };
        let host = bracketed(&self.host);
        let text = if self.port == usual { host } else { format!("{host}:{}", self.port) };
        HeaderValue::from_str(&text)
            .map_err(|_| Error::config(format!("{:?} is not the name of a server", self.host)))
    }
}

/// Without the path.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority())
    }
}

/// An address of version 6 in brackets.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// Text as a part of a query.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A part of a query or a path as text: `%41` is a byte.
fn decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [byte, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                rest = &after[2..];
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP: &[&str] = &["http", "https"];

    #[test]
    fn an_address_has_a_server_a_port_and_a_path() {
        let at = |url: &str| Endpoint::parse("url", url, HTTP).expect(url);
        let plain = at("http://influx.example:8086/base/?a=b");
        assert_eq!((&*plain.host, plain.port, plain.is_tls), ("influx.example", 8086, false));
        assert_eq!(plain.at("/write", &[("db", "a b&c")]).path, "/base/write?a=b&db=a%20b%26c");
        assert_eq!(plain.to_string(), "http://influx.example:8086");
        let secure = at("https://[::1]");
        assert_eq!((&*secure.host, secure.port, &*secure.path), ("::1", 443, "/"));
        assert_eq!(secure.host_header().expect("a host"), "[::1]");
        assert_eq!(secure.at("/write", &[]).path, "/write");
    }

    #[test]
    fn a_secret_path_is_hidden_in_whole_and_in_parts() {
        let open =
            Endpoint::parse("url", "http://a.example/api/readings?key=p%C3%A4ss1&b", HTTP).expect("one");
        let text = "/api/readings?key=p%C3%A4ss1&b or readings or päss1 of the api";
        assert_eq!(open.hide(text), text);
        assert_eq!(open.clone().into_secret().hide(text), "… or … or … of the api");
        assert_eq!(open.with_path("/").into_secret().hide("/a/b"), "/a/b");
    }

    #[test]
    fn what_is_no_address_is_said_without_showing_it() {
        for url in
            ["ftp://a/secret", "secret", "http://", "http://u:secret@a/", "http:// secret", "ws://secret"]
        {
            let error = Endpoint::parse("url", url, HTTP).expect_err(url).to_string();
            assert!(error.contains("`url`") && !error.contains("secret"), "{error}");
        }
    }
}
