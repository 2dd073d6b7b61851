//! Output files, which appear under their final names only when they are complete (clause 19). Until then an output is a *part file*: a hidden file in the same
//! folder.
//!
//! | module | what it has |
//! |---|---|
//! | `file` | [`AtomicFile`]: a file that appears when it is complete, or a stream |
//! | `part`, `stream`, `pipe` | a part file; an open stream; a named pipe that is waited for |
//! | `saved_part` | what a checkpoint records of a part file |
//! | `paths` | what the path of an output stands for: a file, a stream, standard output |
//! | `hidden`, `leftovers`, `marks` | the names of part files; part files that earlier runs left; whether the state folder of such a run still exists |
//! | `checksum`, `tickets`, `named` | checksums of what was written; waiting for jobs that write; whether an open file still has its name |
//! | `template`, `outputs` | the names of rolled files; the names of all files that a run writes |

use crate::error::Result;

mod checksum;
mod file;
mod hidden;
pub(crate) mod leftovers;
pub(crate) mod marks;
mod named;
mod outputs;
mod part;
mod paths;
mod pipe;
mod saved_part;
mod stream;
mod template;
mod tickets;

pub use file::AtomicFile;
pub(crate) use file::{SavedFile, rename_beside};
pub(crate) use named::{cannot_write, check_named};
pub use outputs::Outputs;
pub use paths::{check, file, is_stdout, is_stream, stream};
pub use saved_part::{Phase, SavedPart};
pub use template::Template;

/// Follows the final name in the name of an output that is kept although no run resumes it; the number of records that had come by then comes next.
pub(crate) const UNTIL: &str = ".until-";

/// A write that any thread may make, before the file is committed.
pub type Job = Box<dyn FnOnce() -> Result<()> + Send>;
