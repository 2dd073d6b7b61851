//! The engine of **tidemill**: sources, sinks, pipelines, runtimes and checkpoints, built on the columns, formats and stages of the core.
//!
//! Modules are listed in the order of the data; each may use only modules of its own layer and of lower ones (`tests/layers.rs`).
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 1 | [`notes`], [`cuts`], [`meter`], [`environment`], [`resilience`], [`files`], [`context`], [`probe`], [`arrow`] | what is said during a run: events, and notes on standard error; requests for cuts; what sources report of their connections; environment variables; retries and circuit breakers; the file system; what a sink opens with; looks at endpoints; conversion between columns and Arrow arrays |
//! | 2 | [`secret`], `rows`, [`atomic`], [`checkpoint`] | options that hold a secret; logs of undelivered rows by epoch; files that appear when complete; checkpoints |
//! | 3 | [`source`], [`sink`] | where records come from and go to |
//! | 4 | [`registry`] | all components by name |
//! | 5 | [`pipeline`] | the pipeline as written, checked and planned |
//! | 6 | [`runtime`] | what both runtimes share: workers that take chunks through the stages to the sinks |
//! | 7 | [`executor`], [`streaming`], `run`, `running` | runs a bounded input; an unbounded one; whichever fits; on a thread of its own |
//! | 8 | [`explain`], [`verify`], [`doctor`], [`outbox`], [`chaos`] | describes what a pipeline would do; checks that all ways of running give the same output; checks every endpoint before a run; what sinks have not delivered; a run under faults |

pub use tidemill_core::{
    batch, chain, error, format, kernel, metrics, offset, options, random, sensor, stage, time,
};

// Messages and requests during a run.
pub mod cuts;
pub mod meter;
pub mod notes;
pub mod probe;

// What the process was given.
pub mod environment;
pub mod secret;

// Calls that may fail.
pub mod resilience;

// Output and state on disk.
pub mod atomic;
pub mod checkpoint;
pub mod context;
pub mod files;
mod rows;

// Arrow conversions.
pub mod arrow;

// Sources and sinks.
pub mod sink;
pub mod source;

// Pipelines.
pub mod pipeline;
pub mod registry;

// Runtimes.
pub mod executor;
pub mod runtime;
pub mod streaming;

mod run;
mod running;

// Explanation and verification.
pub mod chaos;
pub mod doctor;
pub mod explain;
pub mod outbox;
pub mod verify;

pub use error::{Error, ErrorKind, Rejection, Result};
pub use pipeline::Pipeline;
pub use running::{Running, Status};
pub use runtime::{Report, RunOptions};
