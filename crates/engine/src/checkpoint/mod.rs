//! Checkpoints: what a run needs to go on where it was, in files that are whole or are not taken.
//!
//! A [`Manifest`] says where the source was, what every stage kept and how much every sink had written, all at one cut between two
//! pieces of the input. A [`StateFolder`] keeps the last three of them. The order of a checkpoint: the sinks' output is durable →
//! the manifest is written aside, made durable, renamed, the folder made durable → older ones go.

mod changes;
mod folder;
mod holder;
mod manifest;
mod pieces;
mod reader;

pub use changes::Change;
pub(crate) use changes::{changes, matches, moved};
pub(crate) use folder::Fence;
pub use folder::{Found, Orphan, StateFolder, look, ordinals, read};
pub use manifest::{Ending, Manifest, PartSpec, Unwritten};
pub use pieces::StageState;
