//! Why a verb ended early.

use tidemill_core::error::Error;
use tidemill_engine::pipeline::{SpecError, Wrong};

/// The result of a verb.
pub(super) type Outcome<T = ()> = Result<T, Failure>;

/// Why a verb ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// The pipeline file is wrong.
    Spec(SpecError),
    /// Anything else.
    Error(Error),
    /// Whoever read the output has closed it: nobody is left to tell.
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
