//! **tidemill** runs one pipeline of sources, stages and sinks over sensor data: threshold away what is
//! invalid, normalise to a common scale, average over windows, raise alerts, write it out.
//!
//! ```text
//! file → chunks of bytes → decode → stage → stage → … → sinks → rename
//!        (source)          (format)  (stage, kernel)     (sink)
//! ```
//!
//! The modules are those of two crates below, which it puts together: `tidemill-core` (columns, kernels, text formats, stages: no files, no threads) and
//! `tidemill-engine` (sources, sinks, runtimes, checkpoints). `ARCHITECTURE.md` shows the way of a record through them.
//!
//! | modules | what they are |
//! |---|---|
//! | [`time`], [`offset`], [`metrics`], [`kernel`] | when, where, how many; numeric loops |
//! | [`error`], [`sensor`], [`batch`] | what goes wrong; who measures; records in columns |
//! | [`format`](mod@format) | bytes to records and back |
//! | [`source`], [`stage`], [`sink`], [`registry`] | the parts of a pipeline, one a file, found by name |
//! | [`chain`] | stages without a runtime: batches in, batches out |
//! | [`pipeline`] | as written → checked → planned |
//! | [`executor`], [`streaming`], [`verify`] | runs it over a bounded input; over an unbounded one; whether all ways give the same |
//! | [`files`], [`atomic`], [`checkpoint`] | files that appear when complete; what a run goes on from |
//! | [`cli`] | the command line, on the public API only |
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

pub use tidemill_core::{batch, chain, error, format, kernel, metrics, offset, options, sensor, stage, time};
pub use tidemill_engine::{
    atomic, checkpoint, executor, files, notes, pipeline, registry, runtime, sink, source, streaming, verify,
};

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
