//! The position in each kind of input, as stored in a checkpoint.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::seen::Seen;
use super::tail::SeenTail;
use crate::error::Error;
use crate::files::path_bytes;
use crate::offset::Offset;
use crate::source::stream::partial::PartialRecord;

/// The position by kind of input.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) enum ReadPosition {
    /// Files, one after the other.
    Files(InFiles),
    /// Followed files.
    Growing(Following),
    /// A recording, and the frame in it.
    Played(InFiles, FramePosition),
    /// Parquet files, whose offsets count records.
    Columns(InFiles),
    /// The number of generated records.
    Made(u64),
}

impl ReadPosition {
    /// The error if another kind of input is to resume from it.
    pub(super) fn of_another_input(&self) -> Error {
        not_resumed(match self {
            Self::Files(_) => "at the checkpoint, `follow` was off, and its files were no recordings",
            Self::Growing(_) => "at the checkpoint, `follow` was on",
            Self::Played(..) => "at the checkpoint, it was a recording",
            Self::Columns(_) | Self::Made(_) => return another_kind(),
        })
    }
}

/// The error for a position of another kind of source.
pub(in crate::source) fn another_kind() -> Error {
    not_resumed("at the checkpoint, a different kind of source read it")
}

fn not_resumed(why: &str) -> Error {
    Error::config(format!("the input cannot be resumed: {why}"))
        .with_help("undo the change, or start a new run with another --state")
}

/// A position in a list of files, with fingerprints.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) struct InFiles {
    /// Its `file` is an index into `files`.
    pub(in crate::source) offset: Offset,
    /// Files that were read; the last one possibly in part.
    pub(in crate::source) files: Vec<Seen>,
    /// Files that were not begun; `None` if they were not inspected.
    pub(in crate::source) ahead: Option<Ahead>,
}

/// The position of a follower in a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source) struct Following {
    pub(in crate::source::file) open: Vec<SeenTail>,
    /// Released files.
    pub(in crate::source::file) gone: Vec<SeenTail>,
    /// Incomplete records of removed files, not rejected yet.
    pub(in crate::source::file) missed: Vec<PartialRecord>,
}

/// A position between two frames.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::source) struct FramePosition {
    pub(in crate::source::file) at: u64,
    pub(in crate::source::file) ordinal: Option<u64>,
    pub(in crate::source::file) has_ended: bool,
    pub(in crate::source::file) lost: LostFrames,
}

impl FramePosition {
    /// The byte offset `at`, of which nothing else is known.
    pub(in crate::source::file) fn of_byte(at: u64) -> Self {
        Self { at, ordinal: None, has_ended: false, lost: LostFrames::default() }
    }

    /// The byte offset in the file.
    pub(in crate::source::file) fn at(self) -> u64 {
        self.at
    }
}

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in crate::source::file) struct LostFrames {
    /// The offset of the first unreadable byte.
    pub(in crate::source::file) first: u64,
    pub(in crate::source::file) bytes: u64,
    /// The number of frames, as far as it is known.
    pub(in crate::source::file) frames: u64,
    /// Whether the mark of completeness is missing.
    pub(in crate::source::file) is_cut_off: bool,
}

/// The length of a recording at a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::source::file) struct Reached {
    #[serde(with = "path_bytes")]
    pub(in crate::source::file) path: PathBuf,
    pub(in crate::source::file) length: u64,
    pub(in crate::source::file) frames: u64,
    pub(in crate::source::file) next: u64,
}
