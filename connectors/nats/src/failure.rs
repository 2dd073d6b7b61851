//! Errors of the client in words, and whether they may pass.

use std::error::Error as StdError;

use async_nats::ConnectErrorKind;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    GetStreamByNameError, GetStreamByNameErrorKind, GetStreamError, GetStreamErrorKind, PublishError,
    PublishErrorKind,
};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use tidemill_connect::tls::failed_check;
use tidemill_engine::error::Error;

/// What to do about a refused login.
const LOGIN: &str = "check `user` and `password`, `token`, `nkey` or `credentials`";

/// What to do about a subject that no stream takes.
const STREAM: &str = "make a stream for it, or set jetstream = false";

/// Why no connection was made.
pub(crate) fn connecting(url: &str, error: &async_nats::ConnectError) -> Error {
    let because = || error.source().map_or_else(|| error.to_string(), ToString::to_string);
    if let Some(check) = failed_check(error) {
        return Error::unavailable(format!("{url}: {check}"));
    }
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            Error::unavailable(format!("{url}: the server refuses the login")).with_help(LOGIN)
        }
        ConnectErrorKind::ServerParse => Error::config(format!("`url` {url:?}: {}", because())),
        ConnectErrorKind::Tls => Error::unavailable(format!("{url}: TLS failed: {}", because())),
        ConnectErrorKind::TimedOut => Error::unavailable(format!("{url}: no answer in time")).transient(),
        _ => Error::unavailable(format!("{url}: {}", because()))
            .transient()
            .with_help("check that the server runs and listens there"),
    }
}

/// What the server or the client of it says about a connection that was accepted before, if it does not pass by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// A secret was rotated, or has expired.
    Login,
    /// The server has another certificate, or refuses that of this client.
    Certificate,
    /// A permission was withdrawn.
    Permission,
}

impl Lasting {
    /// By the words of the server, of its client and of its TLS: they give no more than that.
    pub(crate) fn of(why: &str) -> Option<Self> {
        const WORDS: [(&str, Lasting); 8] = [
            ("authorization violation", Lasting::Login),
            ("authentication expired", Lasting::Login),
            ("authentication revoked", Lasting::Login),
            ("failed signing nonce", Lasting::Login),
            ("invalid peer certificate", Lasting::Certificate),
            ("received fatal alert", Lasting::Certificate),
            ("permissions violation", Lasting::Permission),
            ("permissions for", Lasting::Permission),
        ];
        let why = why.to_ascii_lowercase();
        WORDS.iter().find(|(words, _)| why.contains(words)).map(|(_, lasting)| *lasting)
    }

    pub(crate) fn error(self, url: &str, why: &str) -> Error {
        let why = why.strip_prefix("IO error: ").unwrap_or(why);
        match self {
            Self::Login => {
                Error::unavailable(format!("{url}: the server refuses the login: {why}")).with_help(LOGIN)
            }
            Self::Certificate => {
                let error = match why.strip_prefix("invalid peer certificate: ") {
                    Some(check) => format!("{url}: the server's certificate was refused: {check}"),
                    None => format!("{url}: the server refused the TLS connection: {why}"),
                };
                Error::unavailable(error).with_help(
                    "check the certificate of the server, and `ca`, `certificate` and `key` in `tls`",
                )
            }
            Self::Permission => Error::unavailable(format!("{url}: {why}"))
                .with_help("check the permissions of this user at the server"),
        }
    }
}

/// One of the reasons why all servers of a cluster could not be connected to, if none of them passes.
pub(crate) fn lasting_of_all<'a>(mut reasons: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = reasons.next()?;
    let lasts = |why: &str| Lasting::of(why).is_some();
    (lasts(first) && reasons.all(lasts)).then_some(first)
}

/// Why a stream cannot be used.
pub(crate) fn stream(url: &str, name: &str, error: &GetStreamError) -> Error {
    let what = format!("{url}: the stream {name:?}");
    match error.kind() {
        GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            Error::unavailable(format!("{what} does not exist"))
                .with_help("check `stream`; `nats stream ls` lists those that exist")
        }
        GetStreamErrorKind::JetStream(error) if is_off(error.error_code()) => {
            Error::unavailable(format!("{what} cannot be used: JetStream is not enabled"))
                .with_help("enable it in the server, or leave out `stream`")
        }
        GetStreamErrorKind::EmptyName | GetStreamErrorKind::InvalidStreamName => {
            Error::config(format!("`stream` {name:?} is not the name of a stream"))
        }
        _ => Error::unavailable(format!("{what} does not answer: {}", chain(error)))
            .transient()
            .with_help("check that JetStream is enabled, and the permissions of this user"),
    }
}

fn is_off(code: ErrorCode) -> bool {
    [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT].contains(&code)
}

/// Why a consumer cannot be used or made.
pub(crate) fn consumer(url: &str, name: &str, error: &ConsumerError) -> Error {
    let what = format!("{url}: the consumer {name:?}");
    match error.kind() {
        ConsumerErrorKind::InvalidConsumerType => {
            Error::unavailable(format!("{what} is one to which the server pushes"))
                .with_help("choose another name in `consumer`")
        }
        ConsumerErrorKind::InvalidName => Error::config(format!("`consumer` {name:?} is not a name")),
        ConsumerErrorKind::JetStream(error) if error.code() < 500 => {
            Error::unavailable(format!("{what} cannot be made: {error}"))
                .with_help("check `subject`, `consumer` and `start`")
        }
        _ => Error::unavailable(format!("{what} does not answer: {}", chain(error))).transient(),
    }
}

/// Whether the server has said that no stream takes a subject: a stream may also be away, such as while the server starts.
pub(crate) fn is_unknown(error: &GetStreamByNameError) -> bool {
    error.kind() == GetStreamByNameErrorKind::NotFound
}

/// Why a message was not stored. If there `is_no_stream` for it, that does not pass by itself.
pub(crate) fn publishing(url: &str, subject: &str, is_no_stream: bool, error: &PublishError) -> Error {
    let what = |why: &str| format!("{url}: a message for {subject:?} was not stored: {why}");
    let passes = |why: &str| Error::unavailable(what(why)).transient();
    match error.kind() {
        PublishErrorKind::StreamNotFound if is_no_stream => {
            Error::unavailable(what("no stream takes this subject")).with_help(STREAM)
        }
        PublishErrorKind::StreamNotFound => passes("no stream has answered").with_help(STREAM),
        PublishErrorKind::MaxPayloadExceeded => {
            Error::data(what("it is larger than the server accepts (max_payload)"))
        }
        PublishErrorKind::TimedOut => passes("no answer in time"),
        // Such as a stream that is full.
        _ => passes(&chain(error)),
    }
}

/// Why a message was not published, which nobody stores.
pub(crate) fn sending(url: &str, subject: &str, error: &async_nats::PublishError) -> Error {
    match error.kind() {
        async_nats::client::PublishErrorKind::Send => unsent(url, error),
        // It would be refused again.
        _ => Error::data(format!("{url}: a message for {subject:?} cannot be published: {}", chain(error))),
    }
}

/// Messages are not on their way to the server.
pub(crate) fn unsent(url: &str, why: &dyn std::fmt::Display) -> Error {
    Error::unavailable(format!("{url}: messages were not published: {why}")).transient()
}

/// An error with those behind it.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_from_what_passes() {
        let table = [
            ("Authorization Violation", Some(Lasting::Login)),
            ("nats: authorization violation", Some(Lasting::Login)),
            ("IO error: nats: User Authentication Expired", Some(Lasting::Login)),
            ("Account Authentication Expired", Some(Lasting::Login)),
            ("User Authentication Revoked", Some(Lasting::Login)),
            ("IO error: invalid peer certificate: Expired", Some(Lasting::Certificate)),
            ("IO error: received fatal alert: CertificateExpired", Some(Lasting::Certificate)),
            ("Permissions Violation for Publish to \"out.t1\"", Some(Lasting::Permission)),
            ("Permissions for Subscription", Some(Lasting::Permission)),
            ("Authentication Timeout", None),
            ("Stale Connection", None),
            ("Maximum Connections Exceeded", None),
            ("IO error: Connection refused (os error 111)", None),
            ("timed out", None),
            ("DNS error: no such host", None),
            ("", None),
        ];
        for (why, expected) in table {
            assert_eq!(Lasting::of(why), expected, "{why}");
        }
    }

    #[test]
    fn one_server_that_may_be_met_again_is_tried_again() {
        let (expired, down) = ("IO error: invalid peer certificate: Expired", "timed out");
        assert_eq!(lasting_of_all([expired, expired].into_iter()), Some(expired));
        for some in [&[expired, down][..], &[down, expired], &[expired, ""], &[down], &[""], &[]] {
            assert_eq!(lasting_of_all(some.iter().copied()), None, "{some:?}");
        }
    }

    #[test]
    fn connections_that_are_refused_are_not_tried_again() {
        use ConnectErrorKind as Kind;
        let table = [
            (Kind::AuthorizationViolation, false),
            (Kind::Authentication, false),
            (Kind::ServerParse, false),
            (Kind::Tls, false),
            (Kind::TimedOut, true),
            (Kind::Io, true),
            (Kind::Dns, true),
            (Kind::MaxReconnects, true),
        ];
        for (kind, passes) in table {
            let error = async_nats::ConnectError::new(kind);
            assert_eq!(connecting("nats://plant", &error).is_transient(), passes, "{kind:?}");
        }
    }

    #[test]
    fn messages_that_are_not_stored_are_sent_again_unless_that_is_of_no_use() {
        use PublishErrorKind as Kind;
        let table = [
            (Kind::StreamNotFound, true, false),
            (Kind::StreamNotFound, false, true),
            (Kind::MaxPayloadExceeded, false, false),
            (Kind::TimedOut, true, true),
            (Kind::BrokenPipe, true, true),
            (Kind::Other, false, true),
            (Kind::MaxAckPending, false, true),
        ];
        for (kind, is_no_stream, passes) in table {
            let error = publishing("nats://plant", "out", is_no_stream, &PublishError::new(kind));
            assert_eq!(error.is_transient(), passes, "{kind:?}, {is_no_stream}");
        }
    }
}
