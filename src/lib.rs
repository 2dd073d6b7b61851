//! **tidemill** runs one pipeline of sources, stages and sinks over sensor data: threshold away what is
//! invalid, normalise to a common scale, average over windows, raise alerts, write it out.
//!
//! ```text
//! file → chunks of bytes → decode → stage → stage → … → sinks → rename
//!        (source)          (format)  (stage, kernel)     (sink)
//! ```
//!
//! This crate re-exports by name what users and authors of components need; two crates below have the code: `tidemill-core` (columns, kernels, text
//! formats, stages: no files, no threads) and `tidemill-engine` (sources, sinks, runtimes, checkpoints). What they have besides may change in any release.
//! `ARCHITECTURE.md` shows the path of a record through them.
//!
//! | you want to | see |
//! |---|---|
//! | build or load a pipeline and run it | [`Pipeline`], [`pipeline`], [`runtime`], [`verify`] |
//! | choose its parts | [`source`], [`stage`], [`sink`] |
//! | know what went wrong | [`error`] |
//! | push batches through stages on your own thread | [`chain`], [`batch`], [`sensor`] |
//! | write a stage | [`stage`], [`options`], [`time`]; a moving statistic: [`kernel`] |
//! | write a source | [`source`], [`format`](mod@format), [`offset`] |
//! | write a sink | [`sink`], [`files`] |
//! | find components by name | [`registry`] |
//! | call the command line | [`cli`] |
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
//! assert_eq!(report.records(), 10_000);
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

/// Pipelines: built in code ([`Builder`](pipeline::Builder)), or read from a file ([`Spec`](pipeline::Spec)) and checked with all mistakes reported at once.
pub mod pipeline {
    pub use tidemill_engine::pipeline::{
        Builder, InputOptions, MaxRejects, Merge, OnFailure, Order, OutputOptions, Pipeline, Spec, SpecError,
        StageOptions, WhenFull, Wrong,
    };
}

/// How a pipeline is run ([`RunOptions`]), here or on a thread of its own ([`Running`](runtime::Running)), who watches ([`Observer`](runtime::Observer)),
/// and the result ([`Report`]).
pub mod runtime {
    pub use tidemill_engine::runtime::{
        FirstPassReport, Observer, Rejects, Report, RunOptions, Shown, StateOptions,
    };
    pub use tidemill_engine::{Running, Status};
}

/// Runs a pipeline in several ways and compares the outputs byte by byte.
pub mod verify {
    pub use tidemill_engine::verify::{Difference, Verdict, VerifyOptions, verify};
}

/// Sources: where records come from. Implement [`SourceSpec`](source::SourceSpec) for a new one.
pub mod source {
    #[cfg(feature = "polars")]
    pub use tidemill_engine::source::Frame;
    pub use tidemill_engine::source::{
        Changes, Component, Csv, FileOptions, Influx, Input, Io, JsonLines, Kind, OneOrMany, OpenOptions,
        Parquet, Progress, Recorder, Resumption, Shape, Source, SourceSpec, Synthetic, Traits, Tsv,
    };
}

/// Stages: what happens to records. Implement [`RowStage`](stage::RowStage) (sees one record), [`SeriesStage`](stage::SeriesStage) (one measurement of a sensor), [`SensorStage`](stage::SensorStage) (a sensor),
/// [`WindowStatistic`](stage::WindowStatistic) or [`IntervalStatistic`](stage::IntervalStatistic) for a new one; [`Stage`](stage::Stage) itself where whole columns are needed.
pub mod stage {
    pub use tidemill_core::stage::{
        Action, Aggregate, Average, Bounds, ByColumn, Change, Columns, Component, Dedupe, EachRow,
        EachSensor, EachSeries, Emitted, Exception, Fit, Fitted, Flow, Foresight, Interval,
        IntervalStatistic, Intervals, IntoStage, Keep, Last, Look, Max, Method, Middle, Min, Moving,
        MovingAverage, MovingMax, MovingMedian, MovingMin, MovingStd, Normalize, Nulls, Output, Pivot,
        Process, Rate, Reach, ReadColumn, Record, Row, RowStage, Run, SensorStage, SeriesStage, Silence,
        Stage, Statistic, Std, Threshold, Timer, Unknown, Unusual, Value, Window, WindowStatistic,
        WriteColumn,
    };
}

/// Sinks: where records go. Implement [`SinkSpec`](sink::SinkSpec) for a new one.
pub mod sink {
    pub use tidemill_engine::sink::{
        Alert, Block, Component, Console, CsvFile, DeadLetter, Job, JsonLinesFile, Null, Outset, ParquetFile,
        Prepare, Repeat, Roll, Saved, Sink, SinkSpec, Takes, Template, Thresholds,
    };
    #[cfg(feature = "polars")]
    pub use tidemill_engine::sink::{Frame, FrameHandle};
}

/// All registered components, by kind and name.
pub mod registry {
    pub use tidemill_engine::registry::{Component, ComponentKind, components};
}

/// The options of a component in a pipeline file, read with a message for each mistake.
pub mod options {
    pub use tidemill_core::options::{Configure, Diagnostic, Options, Untyped};
}

/// What goes wrong: an [`Error`] ends the run; a [`Rejection`] sets one record aside, and the run goes on.
pub mod error {
    pub use tidemill_core::error::{Error, ErrorKind, Part, Rejection, RejectionKind, Result};
}

/// Timestamps (nanoseconds since 1970, UTC), durations, formats of times, watermarks.
pub mod time {
    pub use tidemill_core::time::{
        Agreement, Clock, EpochUnit, Period, TimeError, TimeFormat, Timestamp, Watermark, format_duration,
        parse_duration,
    };
}

/// Where in the input a record stands.
pub mod offset {
    pub use tidemill_core::offset::{Offset, Position, Sequence, Trigger};
}

/// Sensors' names and the ids that stand for them in a batch.
pub mod sensor {
    pub use tidemill_core::sensor::{
        Beyond, SensorId, SensorIds, SensorLimits, SensorLookup, SensorNames, Sensors, SharedSensors, Surplus,
    };
}

/// Records in columns in the layout of Arrow: a [`Batch`](batch::Batch) has a [`Schema`](batch::Schema) and a [`Column`](batch::Column) for each field, all of one length, with validity.
pub mod batch {
    pub use tidemill_core::batch::{
        Batch, Booleans, Bytes, Column, Extent, Field, FieldRole, FieldType, Mask, Number, Numbers, Origin,
        Origins, Range, Schema, Span, Text, TimeColumn,
    };
}

/// Formats: bytes to records and back, without I/O. Authors of sources decode with the same formats as files do.
pub mod format {
    pub use tidemill_core::format::columns::{
        ColumnOptions, Decimal, Names, UnknownColumns, Unpivot, UnpivotNulls,
    };
    pub use tidemill_core::format::csv::{Csv, CsvEncoder, Dialect, Ragged};
    pub use tidemill_core::format::encoding::EncodingOptions;
    pub use tidemill_core::format::influx::{Influx, InfluxOptions, MissingTime, Precision};
    pub use tidemill_core::format::jsonl::{JsonEncoder, JsonLines, JsonOptions, Layout, UnknownFields};
    pub use tidemill_core::format::{
        BoundFormat, Chunk, Decode, Decoded, Encode, Format, Head, LineFormat, Refused, Witness,
    };
}

/// What a moving statistic is computed by: see [`WindowStatistic`](stage::WindowStatistic).
pub mod kernel {
    pub use tidemill_core::kernel::integers::{OfIntegers, Outcome};
    pub use tidemill_core::kernel::ring::Ring;
    pub use tidemill_core::kernel::window::{Aggregate, Counts, Slots};
}

/// Stages without a runtime, on the calling thread: batches in, batches out, state as bytes.
pub mod chain {
    pub use tidemill_core::chain::{Chain, Emitted, LetGo};
}

/// Files: where a path in a pipeline file leads, and the file system that sinks write to.
pub mod files {
    pub use tidemill_engine::atomic::Outputs;
    pub use tidemill_engine::files::{Access, Base, FileHandle, FilePath, FileSystem, Kind};
}

/// Counts of records by what became of them, and latencies.
pub mod metrics {
    pub use tidemill_core::metrics::{Entry, Latencies, Latency, Ledger};
}

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
