//! `frame`: a polars `DataFrame` or `LazyFrame`, available in code only.

use std::sync::{Arc, OnceLock};

use polars::prelude::{Column as PolarsColumn, DataFrame, LazyFrame};

use super::{Input, OpenOptions, Progress, Recovery, Source, SourceSpec, Traits};
use crate::arrow::polars::{can_be, carried, clock, field_type, joined, measurement, sensors, times};
use crate::arrow::typed::{Arrays, Typed};
use crate::batch::{FieldRole, Schema};
use crate::error::{Error, Result};
use crate::format::Decoded;
use crate::format::columns::{ColumnOptions, Columns, Composite, Names, Role, Roles};
use crate::offset::Offset;
use crate::options::{merged, parameters_of};
use crate::sensor::SensorLookup;
use crate::time::TimeParser;

/// The name in messages and positions, and the sensor of a frame without one.
const NAME: &str = "frame";

/// A polars frame, row by row; memory is shared with it, not copied.
///
/// | column of the frame | becomes |
/// |---|---|
/// | `time` | [`FieldRole::Time`]: a `Datetime` of any unit, or a `Date` (midnight), without a zone in the zone that [`ColumnOptions::timezone`] names, UTC by default; text or numbers as [`ColumnOptions::time_format`] says |
/// | `sensor` | [`FieldRole::Sensor`]: `String`, `Categorical`, `Enum`; anything else as its text |
/// | `measurements`; by default, all numbers | [`FieldRole::Measurement`]: integers, floats and booleans as they are (narrower ones widen), text as in CSV |
/// | any other | [`FieldRole::Tag`]: booleans as they are, anything else as polars casts it to `String`, dates and times in RFC 3339 |
///
/// Null is null, NaN is NaN. A record without time or sensor is rejected; its line is its row, from 1.
#[derive(Clone)]
pub struct Frame {
    rows: FrameRows,
    /// The columns.
    pub columns: ColumnOptions,
}

#[derive(Clone)]
enum FrameRows {
    Ready(DataFrame),
    /// The collected frame is kept, so that a second pass reads the same records.
    Lazy(Box<LazyFrame>, Arc<OnceLock<DataFrame>>),
}

impl Frame {
    /// The rows of `frame`.
    pub fn new(frame: DataFrame) -> Self {
        Self { rows: FrameRows::Ready(frame), columns: ColumnOptions::default() }
    }

    /// The rows of `frame`. It is collected as a whole when the pipeline is first opened, by polars' default engine on polars' threads, and
    /// kept as long as the pipeline.
    pub fn lazy(frame: LazyFrame) -> Self {
        Self { rows: FrameRows::Lazy(Box::new(frame), Arc::default()), columns: ColumnOptions::default() }
    }

    /// The column with the event time.
    pub fn time(mut self, column: impl Into<String>) -> Self {
        self.columns.time = Some(Names::One(column.into()));
        self
    }

    /// The column with the sensor's name.
    pub fn sensor(mut self, column: impl Into<String>) -> Self {
        self.columns.sensor = Some(column.into());
        self
    }

    /// The name of the one sensor of all rows, instead of a column; "frame" if neither is given.
    pub fn sensor_name(mut self, name: impl Into<String>) -> Self {
        self.columns.sensor_name = Some(name.into());
        self
    }

    /// The columns of numbers.
    pub fn measurements<N: Into<String>>(mut self, columns: impl IntoIterator<Item = N>) -> Self {
        self.columns.measurements = Some(columns.into_iter().map(Into::into).collect());
        self
    }
}

impl SourceSpec for Frame {
    fn name(&self) -> &str {
        NAME
    }

    fn parameters(&self) -> serde_json::Value {
        let rows = match &self.rows {
            FrameRows::Ready(frame) => Some(frame.height()),
            FrameRows::Lazy(_, collected) => collected.get().map(DataFrame::height),
        };
        merged([serde_json::json!({ "rows": rows }), parameters_of(&self.columns)])
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: true, is_replayable: true, is_open: false, recovery: Recovery::Replayed }
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.columns.times().map(Some)
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let columns = Columns::new(&self.columns)?.without_unpivot("frame")?;
        let frame = self.rows.collect()?;
        let schema = columns.declared(&schema(&frame, &columns)?)?;
        let roles = columns.roles(NAME, &names(&frame), &schema)?;
        Ok(Box::new(FrameReader {
            name: NAME.into(),
            frame,
            schema: Arc::new(schema),
            roles,
            columns,
            origins: options.origins,
            batch: options.batch_rows(),
            next: 0,
        }))
    }
}

impl FrameRows {
    fn collect(&self) -> Result<DataFrame> {
        match self {
            Self::Ready(frame) => Ok(frame.clone()),
            Self::Lazy(plan, collected) => {
                if let Some(frame) = collected.get() {
                    return Ok(frame.clone());
                }
                let frame = plan.as_ref().clone().collect().map_err(|error| {
                    Error::data(format!("the LazyFrame cannot be collected: {error}"))
                        .with_help("call `collect` on it to find out why")
                })?;
                Ok(collected.get_or_init(|| frame).clone())
            }
        }
    }
}

/// The columns of a frame; an error for columns that cannot be represented.
fn schema(frame: &DataFrame, columns: &Columns) -> Result<Schema> {
    let names = names(frame);
    let schema = columns.schema_of(NAME, &names, |at| field_type(frame.columns()[at].dtype()))?;
    let roles = columns.roles(NAME, &names, &schema)?;
    let time = roles.fields.iter().position(|role| matches!(role, Role::Time(_)));
    for (column, role) in frame.columns().iter().zip(roles.fields) {
        // A part of a composite column is text.
        let (wanted, what) = match role {
            Role::Skip => continue,
            Role::Part { .. } => (FieldRole::Tag, "text"),
            role => role.column().map_or((FieldRole::Tag, "text"), |at| {
                let field = &schema.fields()[at];
                (field.role, field.description())
            }),
        };
        if !can_be(column.dtype(), wanted) {
            let (name, dtype) = (column.name(), column.dtype());
            return Err(Error::config(format!("column `{name}` of type {dtype} cannot be a {what}"))
                .with_help("cast it in polars first, or leave it out with `select`"));
        }
    }
    let clock = time.and_then(|at| clock(frame.columns()[at].dtype()));
    let is_local = clock.map_or(schema.has_local_times(), |clock| clock.is_local);
    Ok(schema.with_local_times(is_local))
}

fn names(frame: &DataFrame) -> Vec<String> {
    frame.columns().iter().map(|column| column.name().to_string()).collect()
}

/// The running source.
struct FrameReader {
    name: Arc<str>,
    frame: DataFrame,
    schema: Arc<Schema>,
    columns: Columns,
    roles: Roles,
    origins: bool,
    /// Rows per batch.
    batch: usize,
    /// The next row.
    next: usize,
}

impl FrameReader {
    fn decode(&self, rows: &DataFrame, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let mut typed = Typed::new(&self.columns, &self.schema, rows.height());
        typed.fill(&Columnar { rows, roles: &self.roles }, NAME, sensors)?;
        Ok(typed.finish(&self.name, self.next as u64, self.origins))
    }
}

/// A range of rows of the frame's columns.
struct Columnar<'r> {
    rows: &'r DataFrame,
    roles: &'r Roles,
}

impl Arrays for Columnar<'_> {
    type Array = PolarsColumn;

    fn of(&self, at: usize) -> Vec<&PolarsColumn> {
        self.roles.sources(at).into_iter().map(|at| &self.rows.columns()[at]).collect()
    }

    fn joined(
        &self,
        typed: &mut Typed<'_>,
        _at: usize,
        made: &Composite,
        columns: &[&PolarsColumn],
    ) -> Result<Vec<Option<String>>> {
        joined(typed, made, columns)
    }

    fn times(&self, typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
        times(typed, at, column)
    }

    fn sensors(
        &self,
        typed: &mut Typed<'_>,
        _at: usize,
        column: &PolarsColumn,
        lookup: &mut dyn SensorLookup,
    ) -> Result<()> {
        sensors(typed, column, lookup)
    }

    fn measurement(&self, typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
        measurement(typed, at, column)
    }

    fn carried(&self, typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
        carried(typed, at, column)
    }
}

impl Source for FrameReader {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let rows = self.batch.min(self.frame.height() - self.next);
        if rows == 0 {
            return Ok(None);
        }
        let decoded = self.decode(&self.frame.slice(self.next as i64, rows), sensors)?;
        self.next += rows;
        Ok(Some(Input::Records(decoded)))
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.next as u64, line: 0 }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.next = usize::try_from(offset.at).unwrap_or(usize::MAX).min(self.frame.height());
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        self.columns.remarks()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.next as u64, total: Some(self.frame.height() as u64) }
    }
}
