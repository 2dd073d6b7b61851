//! Who may ask. A page in somebody's browser can send requests to an address of this machine, under any name that leads to it: so the name in a request must be one that is known to be ours.

#![cfg_attr(not(any(feature = "observe", test)), expect(dead_code, reason = "without a server, nobody asks"))]

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use super::super::args::ListenArgs;
use super::super::failure::Outcome;
use tidemill_core::error::{Error, Hidden};
use tidemill_engine::environment;

/// The variable with the token, where no file is given.
pub(super) const TOKEN: &str = "TIDEMILL_LISTEN_TOKEN";

/// Where to listen, and to whom.
pub(super) struct Access {
    pub(super) address: SocketAddr,
    /// Host names beside `localhost`; addresses are always right.
    hosts: Vec<String>,
    token: Option<Hidden>,
}

impl Access {
    /// What `args` ask for; `None` without an address.
    pub(super) fn of(args: &ListenArgs) -> Outcome<Option<Self>> {
        let Some(written) = &args.listen else { return Ok(None) };
        let wrong = |why: String| Error::usage(format!("--listen {written}: {why}"));
        let address = written.to_socket_addrs().ok().and_then(|mut all| all.next());
        let address = address.ok_or_else(|| {
            wrong("not an address of this machine".into()).with_help("such as 127.0.0.1:9464")
        })?;
        let token = token(args.listen_token.as_deref())?;
        if !address.ip().is_loopback() && token.is_none() && !args.insecure {
            let why = "whoever reaches this machine could read the metrics".to_owned();
            return Err(wrong(why).with_help(format!("give a token (--listen-token FILE, or {TOKEN} in the environment), listen at 127.0.0.1, or say --insecure")).into());
        }
        Ok(Some(Self { address, hosts: args.listen_host.clone(), token }))
    }

    /// Whether the `Host` of a request is ours.
    pub(super) fn knows_host(&self, host: Option<&str>) -> bool {
        let Some(name) = host.map(without_port) else { return false };
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let is_ours = |own: &String| own.eq_ignore_ascii_case(name);
        bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(is_ours)
    }

    /// Whether a request with this `Authorization` may be answered.
    pub(super) fn is_authorized(&self, authorization: Option<&str>) -> bool {
        let Some(token) = &self.token else { return true };
        let given = authorization.and_then(|value| value.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        given.is_some_and(|(_, given)| is_same(given.trim(), token.value()))
    }
}

/// The token: in the file, or in the environment. It is masked in everything that is written.
pub(super) fn token(file: Option<&Path>) -> Outcome<Option<Hidden>> {
    let text = match file {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            Some(read.map_err(|error| Error::io("read the token in", path.display(), &error))?)
        }
        None => environment::variable(TOKEN),
    };
    let Some(text) = text else { return Ok(None) };
    let token = text.trim();
    if token.len() < 8 {
        return Err(Error::usage("the token of --listen has fewer than 8 letters")
            .with_help("make one by `openssl rand -hex 16`")
            .into());
    }
    Ok(Some(Hidden::new(token.to_owned(), "(listen token)".into())))
}

/// A host and nothing else.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

/// Compares in a time that tells nothing of where they differ.
fn is_same(one: &str, other: &str) -> bool {
    let differing = one.bytes().zip(other.bytes()).fold(0, |differing, (a, b)| differing | (a ^ b));
    one.len() == other.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(token: Option<&str>) -> Access {
        Access {
            address: "127.0.0.1:9464".parse().expect("an address"),
            hosts: vec!["plant.example".into()],
            token: token.map(|token| Hidden::new(token.into(), "(token)".into())),
        }
    }

    #[test]
    fn a_host_is_an_address_or_a_name_of_ours() {
        let access = access(None);
        for host in [
            "127.0.0.1:9464",
            "127.0.0.1",
            "localhost:1",
            "LOCALHOST",
            "[::1]:9464",
            "[::1]",
            "10.0.0.7:80",
            "Plant.Example:443",
        ] {
            assert!(access.knows_host(Some(host)), "{host}");
        }
        for host in [
            None,
            Some(""),
            Some("evil.example"),
            Some("evil.example:9464"),
            Some("localhost.evil.example"),
            Some("127.0.0.1.evil.example:9464"),
        ] {
            assert!(!access.knows_host(host), "{host:?}");
        }
    }

    #[test]
    fn a_token_must_be_the_same() {
        let access = access(Some("correct-horse"));
        assert!(
            access.is_authorized(Some("Bearer correct-horse"))
                && access.is_authorized(Some("bearer  correct-horse"))
        );
        for given in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer correct-hors"),
            Some("Bearer correct-horse2"),
            Some("Basic correct-horse"),
        ] {
            assert!(!access.is_authorized(given), "{given:?}");
        }
        assert!(super::tests::access(None).is_authorized(None));
    }
}
