//! What errors mean.

use std::error::Error as StdError;
use std::io::{self, ErrorKind as Io};

use delta_kernel::KernelError;
use delta_kernel::object_store::Error as StoreError;
use tidemill_engine::error::{Error, ErrorKind};

/// An error of the library while `what` was done with the table in `place`; transient if it may pass.
pub(crate) fn failure(place: &str, what: &str, error: KernelError) -> Error {
    let error = match error {
        // The rest is for its developers.
        KernelError::Backtraced { source, .. } => *source,
        error => error,
    };
    let message = format!("{place}: cannot {what}: {}", said(&error));
    match &error {
        KernelError::Unsupported(_) | KernelError::InvalidProtocol(_) => Error::config(message)
            .with_help("the table has a feature that this sink cannot write to: drop the feature, or write to another table"),
        KernelError::Schema(_) | KernelError::InvalidPartitionValues(_) => Error::config(message)
            .with_help("rename columns in `columns`, or leave them out with `omit`"),
        KernelError::MalformedJson(_)
        | KernelError::InvalidCheckpoint(_)
        | KernelError::InvalidLogPath(_)
        | KernelError::InvalidLogSegment(_)
        | KernelError::MissingMetadata
        | KernelError::MissingProtocol
        | KernelError::MissingMetadataAndProtocol => {
            Error::data(message).with_help("the log of the table is damaged: restore the table")
        }
        error => match cause(error) {
            Cause::Passes => Error::unavailable(message).with_help("the disk is full, or does not answer").transient(),
            Cause::Refused => Error::new(ErrorKind::Io, message).with_help("check the permissions of the folder and what is in it"),
            Cause::Other => Error::unavailable(message),
        },
    }
}

/// An error of the store.
pub(crate) fn store_failure(place: &str, what: &str, error: StoreError) -> Error {
    failure(place, what, error.into())
}

enum Cause {
    Passes,
    Refused,
    Other,
}

fn cause(error: &KernelError) -> Cause {
    let Some(error) = io_error(error) else { return Cause::Other };
    match error.kind() {
        Io::StorageFull
        | Io::QuotaExceeded
        | Io::Interrupted
        | Io::ResourceBusy
        | Io::StaleNetworkFileHandle
        | Io::TimedOut
        | Io::WouldBlock => Cause::Passes,
        Io::PermissionDenied | Io::ReadOnlyFilesystem | Io::NotADirectory | Io::IsADirectory => {
            Cause::Refused
        }
        _ => Cause::Other,
    }
}

/// The error of the operating system that is behind it.
fn io_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let behind = || match error.downcast_ref::<KernelError>() {
        // It does not tell its source.
        Some(KernelError::ObjectStore(error)) => io_error(error),
        Some(KernelError::IOError(error)) => Some(error),
        _ => error.source().and_then(io_error),
    };
    error.downcast_ref::<io::Error>().or_else(behind)
}

/// Its message, without what the library says of itself.
fn said(error: &KernelError) -> String {
    match error {
        KernelError::Unsupported(what) | KernelError::InvalidProtocol(what) | KernelError::Generic(what) => {
            what.clone()
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Io) -> Error {
        let source = Box::new(io::Error::from(kind));
        store_failure("t", "write a file", StoreError::Generic { store: "folder", source })
    }

    #[test]
    fn a_full_disk_may_pass_and_a_permission_does_not() {
        assert!(of(Io::StorageFull).is_transient());
        assert!(!of(Io::PermissionDenied).is_transient());
        assert!(!of(Io::NotADirectory).is_transient());
        // As the system numbers them on Linux: no space, a quota; a disk that fails.
        for (number, may_pass) in [(28, true), (122, true), (5, false)] {
            let source = Box::new(io::Error::from_raw_os_error(number));
            let error = store_failure("t", "write a file", StoreError::Generic { store: "folder", source });
            assert_eq!(error.is_transient(), may_pass, "{error}");
        }
    }

    #[test]
    fn a_feature_is_named() {
        let error = failure(
            "t",
            "write to the table",
            KernelError::unsupported("Feature 'identityColumns' is not supported"),
        );
        assert!(error.to_string().contains("identityColumns"), "{error}");
        assert!(!error.is_transient());
    }
}
