//! The endpoint of a server that is used, its certificate, and the login.

use std::str::FromStr;

use opcua::client::IdentityToken;
use opcua::crypto::{SecurityPolicy, X509};
use opcua::types::{DateTime, EndpointDescription, MessageSecurityMode, UserTokenType};
use tidemill_engine::error::{Error, Result};

use crate::certificates::{certificate, private_key};
use crate::options::{Connection, Security};

impl Security {
    fn mode(self) -> MessageSecurityMode {
        match self {
            Self::None => MessageSecurityMode::None,
            Self::Sign => MessageSecurityMode::Sign,
            Self::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
        }
    }
}

/// The endpoint to use of those that the server offers: the one with the best policy, at the address that was written.
///
/// # Errors
/// If there is none; the error lists what there is.
pub(crate) fn choose(connection: &Connection, all: &[EndpointDescription]) -> Result<EndpointDescription> {
    let wanted = connection.policy.as_deref();
    let fits = |endpoint: &&EndpointDescription| {
        let policy = policy(endpoint);
        endpoint.security_mode == connection.security.mode()
            && policy.is_supported()
            && match wanted {
                Some(wanted) => policy.to_str() == wanted,
                None => !policy.is_deprecated(),
            }
    };
    let best = all.iter().filter(fits).max_by_key(|endpoint| endpoint.security_level);
    let Some(best) = best else {
        let offered: Vec<_> = all.iter().map(name).collect();
        return Err(Error::config(format!(
            "{}: the server has no endpoint for `security` and `policy`",
            connection.url
        ))
        .with_help(format!("it offers {}", offered.join(", "))));
    };
    let token = match (&connection.user, &connection.user_certificate) {
        (Some(_), _) => UserTokenType::UserName,
        (None, Some(_)) => UserTokenType::Certificate,
        (None, None) => UserTokenType::Anonymous,
    };
    let tokens = best.user_identity_tokens.iter().flatten().map(|policy| policy.token_type);
    let tokens: Vec<_> = tokens.collect();
    if !tokens.contains(&token) {
        return Err(Error::config(format!(
            "{}: the server does not accept {}",
            connection.url,
            login(token)
        ))
        .with_help(format!("it accepts {}", tokens.into_iter().map(login).collect::<Vec<_>>().join(", "))));
    }
    // Servers often give a name of their own network.
    Ok(EndpointDescription { endpoint_url: connection.url.as_str().into(), ..best.clone() })
}

/// What an endpoint offers, in words.
pub(crate) fn name(endpoint: &EndpointDescription) -> String {
    match endpoint.security_mode {
        MessageSecurityMode::Sign => format!("{} (sign)", policy(endpoint).to_str()),
        MessageSecurityMode::SignAndEncrypt => format!("{} (sign_and_encrypt)", policy(endpoint).to_str()),
        _ => "no security".to_owned(),
    }
}

fn login(token: UserTokenType) -> &'static str {
    match token {
        UserTokenType::Anonymous => "anonymous users",
        UserTokenType::UserName => "users with a password",
        UserTokenType::Certificate => "users with a certificate",
        UserTokenType::IssuedToken => "issued tokens, which are not supported",
    }
}

fn policy(endpoint: &EndpointDescription) -> SecurityPolicy {
    SecurityPolicy::from_str(endpoint.security_policy_uri.as_ref()).unwrap_or(SecurityPolicy::Unknown)
}

/// Checks the certificate of the endpoint, which must be valid at the time `now`.
///
/// # Errors
/// Which check has failed.
pub(crate) fn verify(connection: &Connection, endpoint: &EndpointDescription, now: &DateTime) -> Result<()> {
    let Some(trusted) = &connection.server_certificate else { return Ok(()) };
    let refused = |why: String| {
        Error::unavailable(format!("{}: the server's certificate was refused: {why}", connection.url))
    };
    let shown = X509::from_byte_string(&endpoint.server_certificate)
        .map_err(|error| refused(format!("it cannot be read: {error}")))?;
    let expected = certificate("server_certificate", trusted)?;
    if shown.thumbprint().value() != expected.thumbprint().value()
        || shown.as_byte_string() != expected.as_byte_string()
    {
        let why = format!(
            "it is not the one in `server_certificate`, but {} with the thumbprint {}",
            shown.subject_name(),
            shown.thumbprint().as_hex_string()
        );
        return Err(refused(why).with_help("ask whoever runs the server whether it was replaced"));
    }
    let bits = shown.key_length().map_err(|_| refused("the length of its key is not known".into()))?;
    if !policy(endpoint).is_valid_keylength(bits) {
        let why = format!("{} does not allow its key of {bits} bits", policy(endpoint).to_str());
        return Err(refused(why).with_help("choose another `policy`"));
    }
    shown.is_time_valid(&now.as_chrono()).map_err(|error| {
        refused(format!("it is not valid now: {error}"))
            .with_help("check the clocks of both machines; the server may need a new certificate")
    })?;
    let (host, _) = connection.endpoint()?;
    if connection.verify_host && shown.is_hostname_valid(&host).is_err() {
        return Err(refused(format!("it is not made for the host {host}"))
            .with_help("use a host name that it contains, or set verify_host = false"));
    }
    let uri = endpoint.server.application_uri.as_ref();
    match shown.is_application_uri_valid(uri) {
        Ok(()) => Ok(()),
        Err(_) => {
            Err(refused(format!("it is not made for the application {uri}, which the server says to be")))
        }
    }
}

/// How the user logs in.
///
/// # Errors
/// If the files of the user cannot be read.
pub(crate) fn identity(connection: &Connection) -> Result<IdentityToken> {
    if let (Some(user), Some(password)) = (&connection.user, &connection.password) {
        return Ok(IdentityToken::new_user_name(user, password.reveal()));
    }
    match (&connection.user_certificate, &connection.user_key) {
        (Some(own), Some(key)) => {
            Ok(IdentityToken::new_x509(certificate("user_certificate", own)?, private_key("user_key", key)?))
        }
        _ => Ok(IdentityToken::new_anonymous()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use opcua::types::{ApplicationDescription, UserTokenPolicy};
    use tidemill_engine::files::FilePath;

    use super::*;
    use crate::certificates::prepare;

    fn protected(folder: &Path) -> Connection {
        let at = |name: &str| Some(FilePath::from(folder.join(name).display().to_string()));
        Connection {
            security: Security::SignAndEncrypt,
            certificate: at("own.der"),
            key: at("own.pem"),
            server_certificate: at("own.der"),
            ..Connection::new("opc.tcp://localhost")
        }
    }

    fn endpoint(mode: MessageSecurityMode, policy: SecurityPolicy, level: u8) -> EndpointDescription {
        EndpointDescription {
            security_mode: mode,
            security_policy_uri: policy.to_uri().into(),
            security_level: level,
            user_identity_tokens: Some(vec![UserTokenPolicy::anonymous()]),
            server: ApplicationDescription {
                application_uri: "urn:tidemill:client".into(),
                ..ApplicationDescription::default()
            },
            ..EndpointDescription::default()
        }
    }

    #[test]
    fn the_best_endpoint_is_chosen_and_others_are_listed() {
        let all = [
            endpoint(MessageSecurityMode::None, SecurityPolicy::None, 0),
            endpoint(MessageSecurityMode::Sign, SecurityPolicy::Basic256, 9),
            endpoint(MessageSecurityMode::Sign, SecurityPolicy::Basic256Sha256, 1),
            endpoint(MessageSecurityMode::Sign, SecurityPolicy::Aes256Sha256RsaPss, 2),
        ];
        let sign = Connection { security: Security::Sign, ..Connection::new("opc.tcp://plant") };
        let chosen = choose(&sign, &all).expect("an endpoint");
        assert_eq!(
            (policy(&chosen), chosen.endpoint_url.as_ref()),
            (SecurityPolicy::Aes256Sha256RsaPss, "opc.tcp://plant")
        );
        let old = Connection { policy: Some("Basic256".into()), ..sign.clone() };
        assert_eq!(policy(&choose(&old, &all).expect("asked for")), SecurityPolicy::Basic256);
        let encrypted = Connection { security: Security::SignAndEncrypt, ..sign.clone() };
        let error = choose(&encrypted, &all).expect_err("none").to_string();
        assert!(error.contains("no security") && error.contains("Basic256Sha256 (sign)"), "{error}");
        let user = Connection { user: Some("u".into()), ..sign };
        let error = choose(&user, &all).expect_err("refused").to_string();
        assert!(
            error.contains("users with a password") && error.contains("it accepts anonymous users"),
            "{error}"
        );
    }

    #[test]
    fn a_certificate_is_made_once_and_each_check_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let connection = protected(folder.path());
        prepare(&connection).expect("made");
        let made = fs::read(folder.path().join("own.der")).expect("a certificate");
        prepare(&connection).expect("read");
        assert_eq!(fs::read(folder.path().join("own.der")).expect("a certificate"), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join("own.pem")).expect("a key").permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
        let shown = |uri: &str| EndpointDescription {
            server_certificate: made.clone().into(),
            server: ApplicationDescription {
                application_uri: uri.into(),
                ..ApplicationDescription::default()
            },
            ..endpoint(MessageSecurityMode::SignAndEncrypt, SecurityPolicy::Basic256Sha256, 1)
        };
        let anywhere = Connection { verify_host: false, ..connection.clone() };
        let now = DateTime::now();
        verify(&anywhere, &shown("urn:tidemill:client"), &now).expect("trusted");
        for (year, why) in [(2020, "not yet valid"), (2060, "not valid now")] {
            let then = DateTime::ymd(year, 1, 1);
            let error = verify(&anywhere, &shown("urn:tidemill:client"), &then).expect_err("refused");
            assert!(!error.is_transient() && error.to_string().contains(why), "{year}: {error}");
        }
        let why = |connection: &Connection, uri| {
            verify(connection, &shown(uri), &now).expect_err("refused").to_string()
        };
        let elsewhere = Connection { url: "opc.tcp://elsewhere.test".into(), ..connection.clone() };
        assert!(why(&elsewhere, "urn:tidemill:client").contains("the host elsewhere.test"));
        assert!(why(&anywhere, "urn:other").contains("the application urn:other"));
        // Another certificate.
        let other = tempfile::tempdir().expect("a folder");
        let others = protected(other.path());
        prepare(&others).expect("made");
        let stranger = Connection { server_certificate: others.certificate, ..anywhere };
        assert!(why(&stranger, "urn:tidemill:client").contains("not the one in `server_certificate`"));
        // A key without its certificate is not overwritten.
        fs::remove_file(folder.path().join("own.der")).expect("removed");
        assert!(prepare(&connection).expect_err("refused").to_string().contains("`certificate`"));
    }
}
