//! **tidemill** runs one pipeline of sources, stages and sinks over sensor data: threshold away what is
//! invalid, normalise to a common scale, average over windows, raise alerts, write it out.
//!
//! ```text
//! file → chunks of bytes → decode → stage → stage → … → sinks → rename
//!        (source)          (format)  (stage, kernel)     (sink)
//! ```
//!
//! The modules stand in the order of the data. Each may lean on those of lower layers only; a test
//! reads the `use` lines and holds them to it.
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 0 | [`time`], [`offset`], [`metrics`], [`kernel`] | words: when, where, how many; numeric loops, which know no other module |
//! | 1 | [`error`], `notes`, [`sensor`] | what goes wrong; what is said while a run goes on; who measures |
//! | 2 | [`batch`], [`files`], [`atomic`], [`checkpoint`] | records in columns; files that appear when complete |
//! | 3 | [`format`](mod@format) | bytes to records and back |
//! | 4 | [`source`], [`stage`], [`sink`], [`registry`] | the parts of a pipeline, one a file, found by name |
//! | 5 | [`pipeline`] | as written → checked → planned |
//! | 6 | `runtime` | what both runtimes are made of: workers that take chunks through the stages to the sinks |
//! | 7 | [`executor`], [`streaming`] | runs it over a bounded input; over an unbounded one |
//! | 8 | [`verify`] | whether all ways of running give the same |
//! | 9 | [`cli`] | the command line, on the public API only |
//!
//! # A whole program
//!
//! ```
//! use tidemill::Pipeline;
//! use tidemill::sink::Null;
//! use tidemill::source::Synthetic;
//! use tidemill::stage::{MovingAverage, Threshold};
//!
//! let report = Pipeline::builder()
//!     .source(Synthetic::default().records(10_000))
//!     .stage(Threshold::between(-40.0, 125.0))
//!     .stage(MovingAverage::rows(20))
//!     .sink(Null::default())
//!     .run()?;
//! assert_eq!(report.source.ledger.output, 10_000);
//! # Ok::<(), tidemill::Error>(())
//! ```
//!
//! # Cargo features
//!
//! - `polars`, off by default: `source::Frame` reads a polars `DataFrame` or `LazyFrame`, `sink::Frame` makes a `DataFrame`.
//!
//! What a pipeline means, to the bit, is written in `docs/semantics.md`; clause numbers in these
//! pages refer to it. To add a source, a stage or a sink, implement its trait and register it; see
//! [`stage`] and `examples/custom_stage.rs`.

// Words.
pub mod error;
pub mod metrics;
pub(crate) mod notes;
pub mod offset;
mod random;
pub mod time;

// Data.
pub mod batch;
pub mod kernel;
pub mod sensor;

// Bytes to records and back.
pub mod format;

// Where output is written.
pub mod atomic;
pub mod checkpoint;
pub mod files;

// The flow.
pub mod sink;
pub mod source;
pub mod stage;

// Assembly.
pub mod options;
pub mod pipeline;
pub mod registry;

// The runtimes, and what they have in common.
pub mod executor;
pub mod runtime;
pub mod streaming;

mod run;

// Whether both give the same.
pub mod verify;

pub mod cli;

pub use error::{Error, ErrorKind, Rejection, Result};
pub use pipeline::Pipeline;
pub use runtime::{Report, RunOptions};

/// For registration of components from other crates: `tidemill::submit! { stage::Component::of::<Mine>("mine", "…") }`.
pub use inventory::submit;

/// The version of polars that [`source::Frame`] and [`sink::Frame`] speak of; needs the Cargo feature `polars`.
#[cfg(feature = "polars")]
pub use polars;

/// The README's and the guide's programs, compiled and run.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/guide.md")]
    struct Guide;
}
