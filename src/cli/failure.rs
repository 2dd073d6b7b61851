//! Why a command ended early.

use tidemill_core::error::Error;
use tidemill_engine::pipeline::{SpecError, Wrong};

/// The result of a command.
pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// The pipeline file is wrong.
    Spec(SpecError),
    /// Anything else.
    Error(Error),
    /// The reader of the output has closed it: there is nothing to report.
    Closed,
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self::Spec(error)
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Written(error) => Self::Spec(error),
            Wrong::Other(error) => Self::Error(error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
