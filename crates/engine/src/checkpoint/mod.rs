//! Checkpoints: what a run needs to resume, in files that are either intact or not used.
//!
//! A [`Manifest`] contains the positions of the sources, the state of every stage and the length of every output, all at one cut between two chunks. It contains
//! everything, or what changed since the previous one, to which it refers then (`chain`). A [`StateFolder`] keeps the last ones. The order of a checkpoint: the
//! sinks' output is durable → the manifest is written under a temporary name, synced, renamed, the folder synced → older ones are removed.

mod chain;
mod changes;
mod checkpoints;
mod fence;
mod folder;
#[cfg(test)]
mod folder_tests;
mod holder;
mod listing;
#[cfg(test)]
mod listing_tests;
mod manifest;
mod pieces;
mod reader;
mod small_file;

pub use changes::Change;
pub(crate) use changes::{changes, matches, moved, successors};
pub use checkpoints::Checkpoints;
pub(crate) use fence::Fence;
pub use folder::{Found, Orphan, StateFolder, look, none_intact, ordinals, read};
pub use listing::{Listed, list};
pub use manifest::{Ending, Manifest, PartSpec, Unwritten};
pub use pieces::StageState;
