//! What a store answers, as errors of the operating system. Messages have the status, and the code and text of the store's own error; never an address that was signed, and
//! nothing else of an answer.

use std::error::Error as _;
use std::io;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use crate::address::Kind;
use crate::http::is_of_certificate;

/// Describes failures of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failures(pub(crate) Kind);

/// The code of S3 for a conditional request while another one for the same key is on its way.
const CONFLICT: &str = "ConditionalRequestConflict";

/// The most characters that are shown of an answer.
const MOST: usize = 200;

/// Stands for what a machine in the cloud would have answered about its credentials.
const METADATA: &str = "no credentials of the machine";

impl Failures {
    /// The error of a request.
    pub(crate) fn of(self, error: Error) -> io::Error {
        let told = told(&error);
        let (kind, what) = match status(&error) {
            Some(400 | 401 | 403) if has_expired(&told) => {
                (io::ErrorKind::PermissionDenied, self.expired(&told))
            }
            Some(409) if told.contains(CONFLICT) => (io::ErrorKind::ResourceBusy, told),
            Some(404) => (io::ErrorKind::NotFound, self.missing(&told)),
            Some(409) => (io::ErrorKind::AlreadyExists, "it exists already".into()),
            Some(304 | 412) => (io::ErrorKind::StaleNetworkFileHandle, "it was replaced or removed".into()),
            Some(401 | 403) => (io::ErrorKind::PermissionDenied, self.refused(&told)),
            Some(408 | 429 | 500 | 502..=504) => (io::ErrorKind::ResourceBusy, told),
            None if self.0 == Kind::Web && matches!(error, Error::NotSupported { .. }) => {
                (io::ErrorKind::Other, no_ranges())
            }
            _ if is_of_certificate(&error) => (io::ErrorKind::PermissionDenied, untrusted(&told)),
            // Whether the store has done it is not known.
            None if error.to_string().contains("Got invalid") => (
                io::ErrorKind::ConnectionAborted,
                format!("the answer of the store is not one of its protocol ({told})"),
            ),
            _ => (cause(&error), self.explained(told)),
        };
        io::Error::new(kind, what)
    }

    /// The error if no client can be made.
    pub(crate) fn of_configuration(self, error: &Error) -> io::Error {
        let what = format!(
            "the environment has no valid configuration for it: {}; see {}",
            told(error),
            self.variables()
        );
        io::Error::new(io::ErrorKind::AddrNotAvailable, what)
    }

    /// The environment variables with credentials.
    fn variables(self) -> &'static str {
        match self.0 {
            Kind::S3 => {
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL"
            }
            Kind::Google => "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT_KEY",
            Kind::Azure => {
                "AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN"
            }
            Kind::Web => "the address",
        }
    }

    fn missing(self, told: &str) -> String {
        let is_bucket = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"];
        match is_bucket.iter().any(|code| told.contains(code)) {
            true => "the bucket does not exist".into(),
            false => "it does not exist".into(),
        }
    }

    fn refused(self, told: &str) -> String {
        match self.0 {
            Kind::Web => format!("the server refuses it ({told})"),
            _ => format!("the store refuses it ({told}): check {}, and what they may do", self.variables()),
        }
    }

    fn expired(self, told: &str) -> String {
        format!("the credentials have expired ({told}): renew {}, then run again", self.variables())
    }

    fn explained(self, told: String) -> String {
        if told == METADATA {
            return format!("no credentials were found: set {}", self.variables());
        }
        if told.contains("configured region") {
            return format!("{told}: set AWS_REGION to that of the bucket");
        }
        if told.contains("scheme is not allowed") {
            return "the endpoint is not encrypted: set AWS_ALLOW_HTTP=true (AZURE_ALLOW_HTTP, GOOGLE_ALLOW_HTTP) if that is intended".into();
        }
        told
    }
}

/// Whether it is not known what has become of a conditional request: its answer was lost, or another one for the same key was on its way.
pub(crate) fn is_undecided(error: &Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let is_lost = cause
            .downcast_ref::<HttpError>()
            .is_some_and(|error| matches!(error.kind(), HttpErrorKind::Timeout | HttpErrorKind::Interrupted));
        if is_lost {
            return true;
        }
        next = cause.source();
    }
    matches!(error, Error::AlreadyExists { .. }) && told(error).contains(CONFLICT)
}

fn has_expired(told: &str) -> bool {
    ["ExpiredToken", "RequestExpired", "TokenRefreshRequired"].iter().any(|code| told.contains(code))
}

fn untrusted(told: &str) -> String {
    format!(
        "the certificate of the server is not accepted ({told}): check the endpoint; an authority of your own is named by SSL_CERT_FILE"
    )
}

fn no_ranges() -> String {
    "the server does not answer requests for a part of a file (ranges): download the file, and read the copy"
        .into()
}

/// The deepest of the causes, in one line.
fn told(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let is_of_metadata = |error: &dyn std::error::Error| {
        let text = error.to_string();
        text.contains("169.254.") || text.contains("metadata.google.internal")
    };
    let mut asks_machine = is_of_metadata(cause);
    while let Some(next) = cause.source() {
        asks_machine |= is_of_metadata(next);
        cause = next;
    }
    if asks_machine {
        return METADATA.into();
    }
    shown(&cause.to_string())
}

/// Of an answer: the status, and the code and the text of the error in it.
fn shown(text: &str) -> String {
    let of = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once('<').map(|(content, _)| content.trim().to_owned())
    };
    let start = text.split(['<', '{', '?']).next().unwrap_or(text);
    let start = start.replace("Server returned non-2xx status code: ", "");
    let start: String = start.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MOST).collect();
    let start = start.trim_end_matches([':', ' ']).to_owned();
    let own: Vec<String> = [of("Code"), of("Message")].into_iter().flatten().collect();
    let own: String = own.join(": ").lines().next().unwrap_or_default().chars().take(MOST).collect();
    if own.is_empty() { start } else { format!("{start}, {own}") }
}

/// The status of the answer: as the library says, or, where it only passes the error on, as the text does.
fn status(error: &Error) -> Option<u16> {
    match error {
        Error::NotFound { .. } => return Some(404),
        Error::AlreadyExists { .. } => return Some(409),
        Error::Precondition { .. } => return Some(412),
        Error::NotModified { .. } => return Some(304),
        Error::PermissionDenied { .. } => return Some(403),
        Error::Unauthenticated { .. } => return Some(401),
        _ => {}
    }
    let text = error.to_string();
    if text.contains("Server returned error response") {
        // S3 answers 200 before it knows whether a long request succeeds.
        return Some(500);
    }
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The kind of what went wrong below HTTP.
fn cause(error: &Error) -> io::ErrorKind {
    let mut next = error.source();
    let mut kind = io::ErrorKind::AddrNotAvailable;
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<HttpError>() {
            kind = match error.kind() {
                HttpErrorKind::Timeout => io::ErrorKind::TimedOut,
                HttpErrorKind::Connect | HttpErrorKind::Request | HttpErrorKind::Interrupted => {
                    io::ErrorKind::ConnectionAborted
                }
                _ => kind,
            };
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            kind = error.kind();
        }
        if cause.to_string().contains("timed out") {
            kind = io::ErrorKind::TimedOut;
        }
        next = cause.source();
    }
    match kind {
        // What these mean to readers of files is something else.
        io::ErrorKind::Other
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof => io::ErrorKind::ConnectionAborted,
        kind => kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn an_answer_is_told_without_what_was_signed() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
            <Message>The signature does not match.</Message><StringToSign>hunter2</StringToSign></Error>";
        assert_eq!(shown(body), "403 Forbidden, SignatureDoesNotMatch: The signature does not match.");
        assert_eq!(shown("error for url https://a/b?sig=hunter2&se=1"), "error for url https://a/b");
        assert!(shown(&"long ".repeat(1000)).len() <= MOST);
    }

    #[test]
    fn what_may_pass_is_known_from_what_does_not() {
        let failures = Failures(Kind::S3);
        for (text, kind) in [
            ("Server returned non-2xx status code: 503 Slow Down: ", io::ErrorKind::ResourceBusy),
            ("Server returned non-2xx status code: 429 Too Many Requests: ", io::ErrorKind::ResourceBusy),
            ("Server returned non-2xx status code: 400 Bad Request: ", io::ErrorKind::AddrNotAvailable),
            ("Server returned non-2xx status code: 403 Forbidden: ", io::ErrorKind::PermissionDenied),
            ("Server returned non-2xx status code: 404 Not Found: ", io::ErrorKind::NotFound),
            ("operation timed out", io::ErrorKind::TimedOut),
            (
                "Server returned error response: <Error><Code>InternalError</Code></Error>",
                io::ErrorKind::ResourceBusy,
            ),
            ("Got invalid multipart response: missing field `ETag`", io::ErrorKind::ConnectionAborted),
            (
                "Server returned non-2xx status code: 400 Bad Request: <Error><Code>ExpiredToken</Code></Error>",
                io::ErrorKind::PermissionDenied,
            ),
        ] {
            assert_eq!(failures.of(generic(text)).kind(), kind, "{text}");
        }
    }

    #[test]
    fn what_to_do_is_said() {
        let failures = Failures(Kind::S3);
        let told = |text: &str| failures.of(generic(text)).to_string();
        assert!(
            told("Error performing PUT http://169.254.169.254/latest/api/token")
                .contains("AWS_ACCESS_KEY_ID")
        );
        assert!(told("this normally indicates an incorrectly configured region").contains("AWS_REGION"));
        assert!(told("URL scheme is not allowed").contains("AWS_ALLOW_HTTP"));
    }
}
