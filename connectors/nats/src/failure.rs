//! Errors of the client in words, and whether they may pass.

use std::error::Error as StdError;

use async_nats::ConnectErrorKind;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use tidemill_connect::tls::failed_check;
use tidemill_engine::error::Error;

/// What to do about a refused login.
const LOGIN: &str = "check `user` and `password`, `token`, `nkey` or `credentials`";

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

/// The server has refused something on a connection that it had accepted.
pub(crate) fn refused(url: &str, why: &str) -> Error {
    let error = Error::unavailable(format!("{url}: {why}"));
    if why.to_ascii_lowercase().contains("authorization") {
        error.with_help(LOGIN)
    } else {
        error.with_help("check the permissions of this user at the server")
    }
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

/// Why a message was not stored. The first message of a run shows whether there is a stream for it at all: later, the stream may only be away.
pub(crate) fn publishing(url: &str, subject: &str, is_first: bool, error: &PublishError) -> Error {
    let what = |why: &str| format!("{url}: a message for {subject:?} was not stored: {why}");
    match error.kind() {
        PublishErrorKind::StreamNotFound => {
            let error = Error::unavailable(what("no stream takes this subject"))
                .with_help("make a stream for it, or set jetstream = false");
            if is_first { error } else { error.transient() }
        }
        PublishErrorKind::MaxPayloadExceeded => {
            Error::data(what("it is larger than the server accepts (max_payload)"))
        }
        PublishErrorKind::TimedOut => Error::unavailable(what("no answer in time")).transient(),
        _ => Error::unavailable(what(&chain(error))).transient(),
    }
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
