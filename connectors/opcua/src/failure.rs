//! What went wrong, in words, and whether it may pass.

use std::error::Error as _;

use opcua::types::{StatusCode, SubStatusCode};
use tidemill_engine::error::{Error, Result};

/// Why something that was asked of the server at `url` has failed; `doing` says what, as in "cannot connect".
pub(crate) fn failed(url: &str, doing: &str, error: &opcua::types::Error) -> Error {
    match (error.status().sub_code(), error.source()) {
        // It says what the system says.
        (SubStatusCode::BadCommunicationError, Some(why)) => {
            of_status(url, &format!("{doing}: {why}"), error.status())
        }
        _ => of_status(url, doing, error.status()),
    }
}

/// As [`failed`], by a status code.
pub(crate) fn of_status(url: &str, doing: &str, status: StatusCode) -> Error {
    let error = Error::unavailable(format!("{url}: {doing}: {}", words(status)));
    match help(status) {
        Some((help, true)) => error.transient().with_help(help),
        Some((help, false)) => error.with_help(help),
        None => error.transient(),
    }
}

/// The results of a request, one for each of so many that were `asked` for.
///
/// # Errors
/// Transient, if there are fewer or more: nobody knows which is whose.
pub(crate) fn all_of<T>(url: &str, doing: &str, results: Vec<T>, asked: usize) -> Result<Vec<T>> {
    match results.len() {
        found if found == asked => Ok(results),
        found => {
            let what = format!("{url}: {doing}: the server has answered {found} of {asked} requests");
            Err(Error::unavailable(what).transient())
        }
    }
}

/// The name of a status code and what it means.
pub(crate) fn words(status: StatusCode) -> String {
    let code = status.sub_code();
    format!("{} ({})", code.description().trim().trim_end_matches('.'), code.name())
}

/// What to do about it, and whether it may pass by itself.
fn help(status: StatusCode) -> Option<(&'static str, bool)> {
    Some(match status.sub_code() {
        SubStatusCode::BadUserAccessDenied
        | SubStatusCode::BadIdentityTokenInvalid
        | SubStatusCode::BadIdentityTokenRejected => {
            ("check `user` and `password`, or `user_certificate`, and the rights of this user", false)
        }
        SubStatusCode::BadCertificateUntrusted | SubStatusCode::BadSecurityChecksFailed => {
            ("the server refuses this client: let it trust `certificate`, and check `application_uri`", false)
        }
        SubStatusCode::BadCertificateUriInvalid => {
            ("`application_uri` must be the URI in `certificate`", false)
        }
        SubStatusCode::BadCertificateTimeInvalid => {
            ("check the clocks of both machines, and how long the certificates are valid", false)
        }
        SubStatusCode::BadCertificateInvalid | SubStatusCode::BadCertificateUseNotAllowed => {
            ("check `certificate` and `key`: the server cannot use them", false)
        }
        SubStatusCode::BadSecurityPolicyRejected | SubStatusCode::BadSecurityModeRejected => {
            ("check `security` and `policy`: `tidemill doctor` lists what the server offers", false)
        }
        SubStatusCode::BadTimeout
        | SubStatusCode::BadRequestTimeout
        | SubStatusCode::BadConnectionClosed
        | SubStatusCode::BadConnectionRejected
        | SubStatusCode::BadNotConnected
        | SubStatusCode::BadCommunicationError => {
            ("check that the server runs and listens there, and firewalls between", true)
        }
        SubStatusCode::BadHistoryOperationUnsupported | SubStatusCode::BadHistoryOperationInvalid => {
            ("the server keeps no history of this node: leave out `history`, or name other `nodes`", false)
        }
        SubStatusCode::BadFilterNotAllowed
        | SubStatusCode::BadMonitoredItemFilterUnsupported
        | SubStatusCode::BadDeadbandFilterInvalid => (
            "leave out `deadband` and `deadband_percent`: they are for numbers, the second for nodes with a range",
            false,
        ),
        SubStatusCode::BadTooManySessions => ("other clients use all sessions of the server", true),
        SubStatusCode::BadNoContinuationPoints => {
            ("the server cannot continue long answers now: other clients may use all it has for that", true)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_transient_and_what_needs_a_person_is_not() {
        let of = |status| of_status("opc.tcp://plant", "cannot connect", status);
        let login = of(StatusCode::BadUserAccessDenied);
        assert!(!login.is_transient() && login.to_string().contains("`password`"), "{login}");
        assert!(login.to_string().contains("BadUserAccessDenied"), "{login}");
        let refused = opcua::types::Error::new(StatusCode::BadCommunicationError, "connection refused");
        let error = failed("opc.tcp://plant", "cannot connect", &refused);
        assert!(error.is_transient() && error.to_string().contains("connection refused"), "{error}");
        assert!(of(StatusCode::BadTimeout).is_transient());
        assert!(of(StatusCode::BadServerHalted).is_transient());
    }
}
