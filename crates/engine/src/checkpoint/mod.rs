//! Checkpoints: what a run needs to resume, in files that are either intact or not used.
//!
//! A [`Manifest`] contains the positions of the sources, the state of every stage and the length of every output, all at one cut between two chunks. A checkpoint is complete, or contains
//! the changes since another one, its base. A [`StateFolder`] keeps the newest ones. The order of a checkpoint: the sinks' output is durable → the manifest is written under a temporary
//! name, synced, renamed, the folder synced → old checkpoints are removed.
//!
//! | module | what it has |
//! |---|---|
//! | `manifest`, `orphan`, `pieces` | the content of a checkpoint; unpublished files that no sink resumes; the state of a stage |
//! | `file`, `reader` | the file of a checkpoint, written and read |
//! | `chain`, `checkpoints` | incremental checkpoints and their bases; reading both |
//! | `folder`, `names`, `id`, `small_file` | the state folder |
//! | `fence`, `holder` | which run holds the folder |
//! | `retention` | which checkpoints are kept |
//! | `find`, `listing` | the newest intact checkpoint; all of them, for display |
//! | `changes` | the differences between two pipelines |

mod chain;
mod changes;
mod checkpoints;
mod fence;
mod file;
mod find;
mod folder;
#[cfg(test)]
mod folder_tests;
mod holder;
mod id;
mod listing;
#[cfg(test)]
mod listing_tests;
mod manifest;
mod names;
mod orphan;
mod pieces;
mod reader;
mod retention;
mod small_file;

pub use changes::Change;
pub(crate) use changes::{changes, matches, moved, successors};
pub use checkpoints::Checkpoints;
pub(crate) use fence::Fence;
pub use file::Unwritten;
pub use find::{Found, look, none_intact, read};
pub use folder::StateFolder;
pub use listing::{Listed, list};
pub use manifest::{Ending, Manifest, PartSpec};
pub use names::ordinals;
pub use orphan::Orphan;
pub use pieces::StageState;
