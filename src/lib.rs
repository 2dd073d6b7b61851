//! **tidemill** runs one pipeline of sources, stages and sinks over sensor data: threshold away what is
//! invalid, normalise to a common scale, average over windows, raise alerts, write it out.
//!
//! ```text
//! file → chunks of bytes → decode → stage → stage → … → sinks → rename
//!        (source)          (format)  (stage, kernel)     (sink)
//! ```
//!
//! This crate re-exports by name what users and authors of components need; the code is in two crates: `tidemill-core` (columns, kernels, text
//! formats, stages: no files, no threads) and `tidemill-engine` (sources, sinks, runtimes, checkpoints). Items of theirs that are not re-exported here may change in any release.
//! `ARCHITECTURE.md` shows the path of a record through them.
//!
//! | you want to | see |
//! |---|---|
//! | build or load a pipeline and run it | [`Pipeline`], [`pipeline`], [`runtime`], [`verify`] |
//! | choose its parts | [`source`], [`stage`], [`sink`] |
//! | know what went wrong | [`error`] |
//! | push batches through stages on your own thread | [`chain`], [`batch`], [`sensor`], [`mod@arrow`] |
//! | write a stage | [`stage`], [`options`], [`time`]; a moving statistic: [`kernel`] |
//! | write a source | [`source`], [`format`](mod@format) |
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
//! - `cli`, on by default: the command `tidemill`, and [`cli`]. With `default-features = false`, the library is built without what only the command needs, such as clap.
//! - `observe`, on by default: metrics and health of a run over HTTP (`tidemill run --listen`).
//! - `delta`, `http`, `kafka`, `mail`, `modbus`, `mqtt`, `nats`, `opcua`, `postgres`, `sqlite`, off by default: sources and sinks for those systems, which pipeline files name by `type`. `objects`, off by default: files
//!   in object stores, by addresses such as `s3://bucket/key` in place of paths. `connectors` is all of them. `docs/connectors.md` has what each of them adds.
//! - `polars`, off by default: `source::Frame` reads a polars `DataFrame` or `LazyFrame`, `sink::Frame` makes a `DataFrame`.
//!
//! The exact meaning of a pipeline is defined in `docs/semantics.md`; clause numbers in this documentation
//! refer to it. To add a source, a stage or a sink, implement its trait and register it; see
//! [`stage`] and `examples/custom_stage.rs`.

/// Pipelines: built in code ([`Builder`](pipeline::Builder)), or read from a file ([`Spec`](pipeline::Spec)) and checked with all mistakes reported at once.
pub mod pipeline {
    pub use tidemill_engine::explain::Explanation;
    pub use tidemill_engine::pipeline::{
        Builder, InputOptions, MaxRejects, Merge, Order, Pipeline, Spec, SpecError, WhenFull, Wrong,
    };
}

/// How a pipeline is run ([`RunOptions`]), on the calling thread or another one ([`Running`](runtime::Running)), its progress ([`Observer`](runtime::Observer)),
/// and its result ([`Report`]), with ledgers (counts of records by outcome) and latencies.
pub mod runtime {
    pub use tidemill_core::metrics::{Entry, Latency, Ledger};
    pub use tidemill_engine::cuts::CutRequest;
    pub use tidemill_engine::meter::SourceMeter;
    pub use tidemill_engine::probe::{Probe, Step};
    pub use tidemill_engine::runtime::{
        FirstPassReport, Meters, Observer, Rejects, Reloads, Report, RunOptions, Shown, StateOptions,
    };
    pub use tidemill_engine::{Running, Status};
}

/// Runs a pipeline in several ways and compares the outputs byte by byte.
pub mod verify {
    pub use tidemill_engine::verify::{Difference, Verdict, VerifyOptions, verify};
}

/// Sources: where records come from. Implement [`SourceSpec`](source::SourceSpec) for a new one.
pub mod source {
    pub use tidemill_core::offset::Offset;
    #[cfg(feature = "polars")]
    pub use tidemill_engine::source::Frame;
    pub use tidemill_engine::source::{
        Changes, Component, Csv, Deferred, FileOptions, Influx, Input, Io, JsonLines, OneOrMany, OpenOptions,
        Parquet, Progress, Quantity, Recorder, Recovery, Resumption, Shape, Source, SourceSpec, Synthetic,
        Traits, Tsv,
    };
}

/// Stages: what happens to records. Implement [`RowStage`](stage::RowStage) (sees one record), [`SeriesStage`](stage::SeriesStage) (one measurement of a sensor), [`SensorStage`](stage::SensorStage) (a sensor),
/// [`WindowStatistic`](stage::WindowStatistic) or [`IntervalStatistic`](stage::IntervalStatistic) for a new one; [`Stage`](stage::Stage) itself where whole columns are needed.
pub mod stage {
    pub use tidemill_core::stage::{
        Action, Aggregate, Alerts, Average, Bounds, ByColumn, Columns, Component, Dedupe, EachRow,
        EachSensor, EachSeries, Emitted, Exception, Fit, Fitted, Flow, Foresight, Interval,
        IntervalStatistic, Intervals, IntoStage, Keep, Last, Look, Max, Method, Middle, Min, Moving,
        MovingAverage, MovingMax, MovingMedian, MovingMin, MovingStd, Normalize, Nulls, Pivot, Process, Rate,
        RateMethod, Reach, ReadColumn, Record, Row, RowStage, Run, SensorStage, SensorStates, SeriesStage,
        Silence, Stage, Statistic, Std, Threshold, TimeBasis, Timer, Unknown, Unusual, Value, Window,
        WindowStatistic, WriteColumn,
    };
}

/// Sinks: where records go. Implement [`SinkSpec`](sink::SinkSpec) for a new one.
pub mod sink {
    pub use tidemill_engine::sink::{
        Alert, Block, Component, Console, CsvFile, DeadLetter, FileTarget, Job, JsonLinesFile, Null,
        ParquetFile, Prepare, Repeat, Roll, Sink, SinkCheckpoint, SinkContext, SinkSpec, Takes, Template,
        Thresholds,
    };
    #[cfg(feature = "polars")]
    pub use tidemill_engine::sink::{Frame, FrameHandle};
}

/// All registered components, by kind and name.
pub mod registry {
    pub use tidemill_engine::registry::{Component, ComponentKind, components};
}

/// The options of a component in a pipeline file, read with a message for each mistake; one that holds a password is a [`Secret`](options::Secret).
pub mod options {
    pub use tidemill_core::options::{Configure, Diagnostic, Options, Untyped, merged, parameters_of};
    pub use tidemill_engine::secret::Secret;
}

/// Failures: an [`Error`] ends the run; a [`Rejection`] rejects one record, and the run continues.
pub mod error {
    pub use tidemill_core::error::{Error, ErrorKind, PartIndex, Rejection, RejectionKind, Result};
    pub use tidemill_core::offset::{Position, Trigger};
}

/// Timestamps (nanoseconds since 1970, UTC), durations, watermarks.
pub mod time {
    pub use tidemill_core::time::{
        Agreement, Clock, Period, TimeParser, Timestamp, Watermark, parse_duration,
    };
}

/// Sensor names and their ids in a batch.
pub mod sensor {
    pub use tidemill_core::sensor::{
        Beyond, SensorId, SensorLimits, SensorLookup, SensorNames, Sensors, Surplus,
    };
}

/// Records in columns in the layout of Arrow: a [`Batch`](batch::Batch) has a [`Schema`](batch::Schema) and a [`Column`](batch::Column) for each field, all of one length, with validity.
pub mod batch {
    pub use tidemill_core::batch::{
        Batch, Booleans, Buffer, Bytes, Column, Extent, Field, FieldRole, FieldType, Mask, Number, Numbers,
        Origin, Origins, Range, Schema, Span, Text, TimeColumn,
    };
    pub use tidemill_core::offset::Sequence;
}

/// Arrow record batches to batches and back, sharing memory. Parquet files and the polars feature use the same conversions.
pub mod arrow {
    pub use tidemill_engine::arrow::{Decoder, Encoder};
}

/// Formats: bytes to records and back, without I/O. Authors of sources decode with the same formats as files do.
pub mod format {
    pub use tidemill_core::format::columns::{
        ColumnOptions, Decimal, Names, UnknownColumns, Unpivot, UnpivotNulls,
    };
    pub use tidemill_core::format::csv::{Csv, CsvEncoder, Dialect, Ragged};
    pub use tidemill_core::format::encoding::EncodingOptions;
    pub use tidemill_core::format::influx::{Influx, InfluxOptions, MissingTime, Precision};
    pub use tidemill_core::format::jsonl::{JsonEncoder, JsonLayout, JsonLines, JsonOptions, UnknownFields};
    pub use tidemill_core::format::{
        BoundFormat, Chunk, Decode, Decoded, Encode, Format, Head, LineFormat, Refused, Witness, unpivoted,
    };
}

/// The data structures of moving statistics: see [`WindowStatistic`](stage::WindowStatistic).
pub mod kernel {
    pub use tidemill_core::kernel::integers::{OfIntegers, Outcome};
    pub use tidemill_core::kernel::ring::Ring;
    pub use tidemill_core::kernel::window::{Aggregate, Counts};
}

/// Stages without a runtime, on the calling thread: batches in, batches out, state as bytes.
pub mod chain {
    pub use tidemill_core::chain::{Chain, Emitted, Released};
}

/// For components that call others: delays between attempts, a limit of retries, a circuit breaker. Sinks that [deliver by epochs](sink::SinkSpec::delivers) need none of
/// this: the run retries for them.
pub mod resilience {
    pub use tidemill_engine::resilience::{Backoff, Breaker, BreakerOptions, Permit, RetryBudget};
}

/// Files: paths of a pipeline file, and the file system that sinks write to.
pub mod files {
    pub use tidemill_engine::atomic::Outputs;
    pub use tidemill_engine::files::{Access, Base, FileHandle, FilePath, FileScheme, FileSystem, FileType};
}

#[cfg(feature = "cli")]
pub mod cli;

// Linked for their registrations.
#[cfg(feature = "delta")]
use tidemill_delta as _;
#[cfg(feature = "http")]
use tidemill_http as _;
#[cfg(feature = "kafka")]
use tidemill_kafka as _;
#[cfg(feature = "mail")]
use tidemill_mail as _;
#[cfg(feature = "modbus")]
use tidemill_modbus as _;
#[cfg(feature = "mqtt")]
use tidemill_mqtt as _;
#[cfg(feature = "nats")]
use tidemill_nats as _;
#[cfg(feature = "objects")]
use tidemill_objects as _;
#[cfg(feature = "opcua")]
use tidemill_opcua as _;
#[cfg(feature = "postgres")]
use tidemill_postgres as _;
#[cfg(feature = "sqlite")]
use tidemill_sqlite as _;

pub use error::{Error, ErrorKind, Rejection, Result};
pub use pipeline::Pipeline;
pub use runtime::{Report, RunOptions};

/// For registration of components from other crates: `tidemill::submit! { stage::Component::of::<Mine>("mine", "…") }`.
pub use inventory::submit;

/// The version of polars that [`source::Frame`] and [`sink::Frame`] use; needs the Cargo feature `polars`.
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
