//! Differences between the files of an input and those of a checkpoint, and their messages.

use std::ops::Range;

use super::seen::changed;
use crate::error::Error;
use crate::source::Changes;

/// A difference in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileChange {
    /// A file that was read no longer exists.
    ReadGone(String),
    /// A file that was read has another length or content.
    ReadOther(String),
    /// The file that was being read no longer exists; the offset up to which it was read.
    OpenGone(String, u64),
    /// A file that was not begun no longer exists.
    Gone(String),
    /// A new file; its ordinals among the files that are there now.
    New(String, Range<usize>),
    /// A new file whose name sorts before the position.
    Behind(String),
    /// A file that was not begun has another length or content.
    Other(String),
    /// From this file on, the order is different.
    Moved(String),
}

impl FileChange {
    /// The remark if the change is accepted.
    pub(super) fn remark(&self) -> String {
        match self {
            Self::ReadGone(name) => {
                format!("{name}: was read before the checkpoint and has been removed since")
            }
            Self::ReadOther(name) => {
                format!("{name}: is not read again, though it was replaced after it was read")
            }
            Self::OpenGone(name, at) => {
                format!("{name}: is not read from byte {at} on, because it was removed after the checkpoint")
            }
            Self::Gone(name) => format!("{name}: is not read, because it was removed after the checkpoint"),
            Self::New(name, _) => format!("{name}: is read though it is new since the checkpoint"),
            Self::Behind(name) => format!(
                "{name}: is read next though it is new since the checkpoint and sorts before files that were read by then"
            ),
            Self::Other(name) => {
                format!("{name}: is read as it is now; it was a different file at the checkpoint")
            }
            Self::Moved(name) => {
                format!("{name}: from here on, files are read in a different order than at the checkpoint")
            }
        }
    }

    /// The error if `changes` are not accepted.
    pub(super) fn error(&self, changes: Changes) -> Error {
        let (name, what, first) = match self {
            Self::ReadGone(name) | Self::OpenGone(name, _) | Self::Gone(name) => {
                (name, "is no longer part of the input", "restore it")
            }
            Self::New(name, _) | Self::Behind(name) => {
                (name, "is new since the checkpoint", "move it away until this run has ended")
            }
            Self::ReadOther(name) | Self::Other(name) => {
                (name, "is a different file than at the checkpoint", "restore the original")
            }
            Self::Moved(name) => (name, "is in a different position", "list the files in the original order"),
        };
        let or = match changes {
            Changes::Unacceptable => {
                "a first pass was fitted to the whole input, and the output so far depends on it"
            }
            _ => "or give `--accept changes` to resume with the files as they are now",
        };
        changed(name, what).with_help(format!("{first}; {or}; or start a new run with another --state"))
    }
}
