//! What runs a pipeline of **tidemill**: sources, sinks, runtimes, checkpoints. Built on the columns, formats and stages of the core.
//!
//! The modules stand in the order of the data; each may lean on those of lower layers only.
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 1 | [`notes`], `arrow` | what is said to people while a run goes on; columns as arrays of Arrow, and back |
//! | 2 | [`files`], `outbox`, [`atomic`], `rows`, [`checkpoint`] | the file system; what is to be delivered; files that appear when complete, and the rows of those in the making; what a run goes on from |
//! | 4 | [`source`], [`sink`] | where records come from and go to, one a file |
//! | 5 | [`registry`] | all components by name |
//! | 6 | [`pipeline`] | as written → checked → planned |
//! | 7 | `runtime` | what both runtimes are made of: workers that take chunks through the stages to the sinks |
//! | 8 | [`executor`], [`streaming`], `run`, `running` | runs it over a bounded input; over an unbounded one; by the one that fits; on a thread of its own |
//! | 9 | [`verify`] | whether all ways of running give the same |

pub use tidemill_core::{
    batch, chain, error, format, kernel, metrics, offset, options, random, sensor, stage, time,
};

// What is said while a run goes on.
pub mod notes;

// Where output is written.
pub mod atomic;
pub mod checkpoint;
pub mod files;
mod outbox;
mod rows;

// Columns for others.
mod arrow;

// The flow.
pub mod sink;
pub mod source;

// Assembly.
pub mod pipeline;
pub mod registry;

// The runtimes, and what they have in common.
pub mod executor;
pub mod runtime;
pub mod streaming;

mod run;
mod running;

// Whether both give the same.
pub mod verify;

pub use error::{Error, ErrorKind, Rejection, Result};
pub use pipeline::Pipeline;
pub use running::{Running, Status};
pub use runtime::{Report, RunOptions};
