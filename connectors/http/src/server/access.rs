//! Who may send.

use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use ring::digest::{SHA256, digest};
use tidemill_engine::secret::Secret;

/// What a request must have to be served.
#[derive(Debug)]
pub(super) struct Access {
    token: Option<Secret>,
    /// The names under which the server may be called, in lower case; all of them if that is `None`.
    hosts: Option<Vec<String>>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str);

impl Access {
    pub(super) fn new(token: Option<Secret>, hosts: Option<Vec<String>>, address: SocketAddr) -> Self {
        let own = || {
            let ip = address.ip();
            let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
            ip.is_loopback().then(|| names.into_iter().chain([ip.to_string()]).collect())
        };
        let hosts = hosts.map(|hosts| hosts.iter().map(|host| host.to_ascii_lowercase()).collect());
        Self { token, hosts: hosts.or_else(own) }
    }

    /// Checks a request with these headers and this query.
    pub(super) fn check(&self, headers: &HeaderMap, query: &str) -> Result<(), Refusal> {
        // A name that leads here by another name server than it should: a page in a browser could send.
        if let Some(hosts) = &self.hosts {
            let host = text(headers, &HOST).map(host_of);
            if !host.is_some_and(|host| hosts.contains(&host)) {
                return Err(Refusal(
                    StatusCode::MISDIRECTED_REQUEST,
                    "the header Host is not one of this server",
                ));
            }
        }
        let Some(token) = &self.token else {
            return match headers.contains_key(ORIGIN) {
                true => Err(Refusal(StatusCode::FORBIDDEN, "pages in browsers may not send without a token")),
                false => Ok(()),
            };
        };
        let given = text(headers, &AUTHORIZATION).and_then(credentials);
        let given = given.or_else(|| parameter(query, "p"));
        match given {
            Some(given) if is_equal(&given, token.reveal()) => Ok(()),
            Some(_) => Err(Refusal(StatusCode::UNAUTHORIZED, "the token is wrong")),
            None => Err(Refusal(StatusCode::UNAUTHORIZED, "a token is missing: Authorization: Bearer …")),
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The name in a header `Host`, without the port.
fn host_of(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    if let Some(inner) = text.strip_prefix('[') {
        return inner.split(']').next().unwrap_or_default().to_owned();
    }
    match text.rsplit_once(':') {
        // An address of version 6 without brackets has more colons.
        Some((host, _)) if host.parse::<IpAddr>().is_ok() || !host.contains(':') => host.to_owned(),
        _ => text,
    }
}

/// The token in a header `Authorization`: itself, or as the password of a user.
fn credentials(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    match &*scheme.to_ascii_lowercase() {
        "bearer" | "token" => Some(rest.trim().to_owned()),
        "basic" => {
            let both = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
            both.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

/// Whether two texts are equal, in a time that does not depend on where they differ.
fn is_equal(one: &str, other: &str) -> bool {
    digest(&SHA256, one.as_bytes()).as_ref() == digest(&SHA256, other.as_bytes()).as_ref()
}

/// The value of a parameter in a query.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(own, _)| decoded(own) == name).map(|(_, value)| decoded(value)).next()
}

/// Text of a query: `+` is a space, `%41` a byte.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let hex = || u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok();
        let (decoded, taken) = match byte {
            b'+' => (b' ', 1),
            b'%' => hex().map_or((byte, 1), |decoded| (decoded, 3)),
            byte => (byte, 1),
        };
        out.push(decoded);
        at += taken;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    fn local(token: Option<&str>) -> Access {
        Access::new(token.map(Secret::new), None, "127.0.0.1:80".parse().expect("an address"))
    }

    fn status(access: &Access, pairs: &[(&'static str, &str)], query: &str) -> u16 {
        access.check(&headers(pairs), query).map_or_else(|refusal| refusal.0.as_u16(), |()| 200)
    }

    #[test]
    fn a_local_server_is_called_by_its_own_names() {
        let access = local(None);
        for host in ["localhost", "LOCALHOST:8086", "127.0.0.1", "127.0.0.1:80", "[::1]:80", "::1"] {
            assert_eq!(status(&access, &[("host", host)], ""), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:80", "", "127.0.0.1.evil.example"] {
            assert_eq!(status(&access, &[("host", host)], ""), 421, "{host}");
        }
        assert_eq!(status(&access, &[], ""), 421);
        assert_eq!(status(&access, &[("host", "localhost"), ("origin", "http://evil.example")], ""), 403);
        let named = Access::new(None, Some(vec!["Plant.example".into()]), "0.0.0.0:80".parse().expect("one"));
        assert_eq!(status(&named, &[("host", "plant.example:80")], ""), 200);
        assert_eq!(status(&named, &[("host", "localhost")], ""), 421);
    }

    #[test]
    fn a_token_comes_in_any_of_the_ways_that_clients_have() {
        let access = local(Some("s3cret"));
        let basic = format!("Basic {}", BASE64_STANDARD.encode("user:s3cret"));
        for header in ["Bearer s3cret", "Token s3cret", "bearer  s3cret", &basic] {
            assert_eq!(
                status(&access, &[("host", "localhost"), ("authorization", header)], ""),
                200,
                "{header}"
            );
        }
        assert_eq!(status(&access, &[("host", "localhost")], "db=x&u=me&p=s3cret"), 200);
        for header in ["Bearer other", "Bearer ", "s3cret", "Basic %%", "Basic dXNlcg=="] {
            assert_eq!(
                status(&access, &[("host", "localhost"), ("authorization", header)], ""),
                401,
                "{header}"
            );
        }
        assert_eq!(status(&access, &[("host", "localhost")], ""), 401);
    }

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(parameter("a=1&b=x%20y+z&c", "b").as_deref(), Some("x y z"));
        assert_eq!((parameter("a=1&c", "c").as_deref(), parameter("a=1", "d")), (Some(""), None));
    }

    proptest! {
        #[test]
        fn nothing_that_strangers_send_is_a_panic(host in ".*", authorization in ".*", query in ".*") {
            let pairs = [("host", host), ("authorization", authorization)];
            let pairs = pairs.into_iter().filter_map(|(name, text)| Some((HeaderName::from_static(name), text.parse().ok()?)));
            prop_assert!(local(Some("a long secret")).check(&pairs.collect(), &query).is_err());
        }
    }
}
