//! What has become of the files of an input since a checkpoint, and what is said of it.

use std::ops::Range;

use super::seen::changed;
use crate::error::Error;
use crate::source::Changes;

/// One file that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// One that was read is there no more.
    ReadGone(String),
    /// One that was read has another length or other bytes.
    ReadOther(String),
    /// The one that was being read is there no more; how far it was read.
    OpenGone(String, u64),
    /// One that had not been begun is there no more.
    Gone(String),
    /// It was not there; what it is among the files that are there.
    New(String, Range<usize>),
    /// It was not there, and its name sorts before the place.
    Behind(String),
    /// One that had not been begun has another length or other bytes.
    Other(String),
    /// The order is another from here on.
    Moved(String),
}

impl Change {
    /// What is said of it where it is accepted.
    pub(super) fn remark(&self) -> String {
        match self {
            Self::ReadGone(name) => format!("{name}: was read until the checkpoint, and is gone since"),
            Self::ReadOther(name) => {
                format!("{name}: is not read again, though it is another file than it was when it was read")
            }
            Self::OpenGone(name, at) => {
                format!("{name}: is not read from byte {at} on, because it is gone since the checkpoint")
            }
            Self::Gone(name) => format!("{name}: is not read, because it is gone since the checkpoint"),
            Self::New(name, _) => format!("{name}: is read though it has come since the checkpoint"),
            Self::Behind(name) => format!(
                "{name}: is read next though it has come since the checkpoint, and comes before what was read by then"
            ),
            Self::Other(name) => {
                format!("{name}: is read as it is now; at the checkpoint it was another file")
            }
            Self::Moved(name) => {
                format!("{name}: from there on, files are read in another order than at the checkpoint")
            }
        }
    }

    /// What is wrong where `changes` are not accepted.
    pub(super) fn error(&self, changes: Changes) -> Error {
        let (name, what, first) = match self {
            Self::ReadGone(name) | Self::OpenGone(name, _) | Self::Gone(name) => {
                (name, "is no longer part of the input", "bring it back")
            }
            Self::New(name, _) | Self::Behind(name) => {
                (name, "has come since", "move it away until this run is over")
            }
            Self::ReadOther(name) | Self::Other(name) => {
                (name, "is another file than it was", "bring it back as it was")
            }
            Self::Moved(name) => (name, "comes at another turn", "name the files in the order that they had"),
        };
        let or = match changes {
            Changes::Unacceptable => {
                "a first pass learns from all of the input, and what is written already goes by what it was"
            }
            _ => "or give `--accept changes` to go on with the files as they are now",
        };
        changed(name, what).with_help(format!("{first}; {or}; or start anew with another --state"))
    }
}
