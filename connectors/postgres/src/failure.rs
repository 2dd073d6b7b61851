//! What went wrong at the server, in words, and whether it may pass.

use std::error::Error as StdError;
use std::io;

use tidemill_connect::tls::failed_check;
use tidemill_engine::error::{Error, ErrorKind};
use tokio_postgres::error::{DbError, SqlState};

/// Who is blamed in messages: the address of the server and the database.
pub(crate) type Whom = str;

/// The error of `whom` while `doing` something.
pub(crate) fn failure(whom: &Whom, doing: &str, error: &tokio_postgres::Error) -> Error {
    if let Some(said) = error.as_db_error() {
        return of_server(whom, doing, said);
    }
    if let Some(check) = failed_check(error) {
        return Error::unavailable(format!("{whom}: cannot {doing}: {check}"));
    }
    let cause = error.source();
    let what = match (cause, error.is_closed()) {
        (_, true) => "the connection was closed".to_owned(),
        (Some(cause), _) => format!("{error}: {cause}"),
        (None, _) => error.to_string(),
    };
    let what = Error::unavailable(format!("{whom}: cannot {doing}: {what}"));
    // What the network does may pass. Anything else was refused by this side: no password for a server that asks for one, a login that it does not know, no TLS at the server.
    match cause.is_none_or(|cause| cause.is::<io::Error>()) {
        true => what.transient().with_help("check the host in `url`, and that the server runs there"),
        false => {
            what.with_help("check what the server asks for: `password` (by scram-sha-256), `tls` or none")
        }
    }
}

/// An error that the server has reported.
fn of_server(whom: &Whom, doing: &str, said: &DbError) -> Error {
    let code = said.code();
    let mut message = format!("{whom}: cannot {doing}: {}", said.message());
    if let Some(detail) = said.detail() {
        message.push_str(&format!(" ({detail})"));
    }
    if let Some(place) = said.where_().and_then(|place| place.lines().next()) {
        message.push_str(&format!(" at {place}"));
    }
    message.push_str(&format!(" [{}]", code.code()));
    let kind = if is_wrong_option(code) { ErrorKind::Config } else { ErrorKind::Unavailable };
    let error = Error::new(kind, message);
    let error = if is_passing(code) { error.transient() } else { error };
    match help(code, said) {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// Whether the same may succeed later: connections (08), resources (53), conflicts with others (40, 55), stops and starts of the server (57), its disk (58), and a
/// server that is not the primary one yet.
fn is_passing(code: &SqlState) -> bool {
    // A table that is no table does not pass; the rest of its class is about locks.
    let is_lock = ["55006", "55P03"].contains(&code.code());
    let class = ["08", "40", "53", "57", "58"].iter().any(|class| code.code().starts_with(class));
    (class || is_lock || *code == SqlState::READ_ONLY_SQL_TRANSACTION)
        && *code != SqlState::PROTOCOL_VIOLATION
}

/// Whether the options must be changed: login, names, permissions.
fn is_wrong_option(code: &SqlState) -> bool {
    ["28", "3D", "3F", "42"].iter().any(|class| code.code().starts_with(class))
}

/// What to do next.
fn help(code: &SqlState, said: &DbError) -> Option<String> {
    let own = match *code {
        SqlState::INVALID_PASSWORD => "check the user in `url`, and `password`",
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check the user in `url`, and what pg_hba.conf allows it: perhaps connections by TLS only, that is tls = {}"
        }
        SqlState::INVALID_CATALOG_NAME => "create the database, or name another one in `url`",
        SqlState::INVALID_SCHEMA_NAME => "create the schema (CREATE SCHEMA …), or name another one",
        SqlState::INSUFFICIENT_PRIVILEGE => "GRANT the permission to the user in `url`, or use another user",
        SqlState::UNIQUE_VIOLATION => {
            "set `key` to the columns of that index, so that such rows replace each other, or drop the index"
        }
        SqlState::NOT_NULL_VIOLATION => "drop the NOT NULL of that column, or leave out such records before",
        SqlState::FOREIGN_KEY_VIOLATION | SqlState::CHECK_VIOLATION => {
            "change the constraint, or leave out such records before"
        }
        SqlState::STRING_DATA_RIGHT_TRUNCATION => "make the column wider, such as ALTER … TYPE text",
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE => "make the column wider, or leave out such records before",
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            "this server is a standby: name the primary one, or all of them with target_session_attrs=read-write"
        }
        SqlState::TOO_MANY_CONNECTIONS => "raise max_connections, or end other clients",
        SqlState::DISK_FULL => "free space at the server",
        _ => return said.hint().map(str::to_owned),
    };
    Some(own.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_tell_what_passes_and_what_is_a_wrong_option() {
        let of = |code: &str| {
            (is_passing(&SqlState::from_code(code)), is_wrong_option(&SqlState::from_code(code)))
        };
        for code in [
            "08006", "40001", "40P01", "53100", "53300", "57014", "57P01", "57P03", "55P03", "58030", "25006",
        ] {
            assert_eq!(of(code), (true, false), "{code}");
        }
        for code in ["28P01", "28000", "3D000", "3F000", "42P01", "42703", "42501", "42804"] {
            assert_eq!(of(code), (false, true), "{code}");
        }
        for code in ["22003", "22P03", "23505", "23502", "08P01", "XX000", "21000", "55000"] {
            assert_eq!(of(code), (false, false), "{code}");
        }
    }
}
