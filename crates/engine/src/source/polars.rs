//! `frame`: a polars `DataFrame` or `LazyFrame`, in code only.

use std::sync::{Arc, OnceLock};

use polars::prelude::{
    Column as PolarsColumn, DataFrame, DataType, IntoSeries, LazyFrame, PolarsError, Series, StringChunked,
    TimeUnit,
};

use super::typed::{Arrays, Clock, Typed, batch_rows, float_text, single_text};
use super::{Input, OpenOptions, Progress, Source, SourceSpec, Traits};
use crate::batch::{FieldRole, FieldType, Number, Schema};
use crate::error::{Error, Result};
use crate::format::Decoded;
use crate::format::columns::{ColumnOptions, Columns, Composite, Names, Role, Roles};
use crate::offset::Offset;
use crate::options::{merged, parameters_of};
use crate::sensor::SensorLookup;
use crate::time::TimeParser;

/// What messages and positions call it, and the sensor of a frame without one.
const NAME: &str = "frame";

/// A polars frame, row by row as it stands; memory is shared with it, not copied.
///
/// | column of the frame | becomes |
/// |---|---|
/// | `time` | [`FieldRole::Time`]: a `Datetime` of any unit, or a `Date` (midnight), without a zone in the zone that [`ColumnOptions::timezone`] names, UTC by default; text or numbers as [`ColumnOptions::time_format`] says |
/// | `sensor` | [`FieldRole::Sensor`]: `String`, `Categorical`, `Enum`; anything else as its text |
/// | `measurements`; if not given, all numbers | [`FieldRole::Measurement`]: integers, floats and booleans as they are (narrower ones widen), text as in CSV |
/// | any other | [`FieldRole::Tag`]: booleans as they are, anything else as polars casts it to `String`, dates and times in RFC 3339 |
///
/// Null is null, NaN is NaN. A record without time or sensor is rejected; its line is its row, from 1.
#[derive(Clone)]
pub struct Frame {
    rows: Rows,
    /// What the columns are.
    pub columns: ColumnOptions,
}

#[derive(Clone)]
enum Rows {
    Ready(DataFrame),
    /// What it gave stays, so that a second pass reads the same records.
    Lazy(Box<LazyFrame>, Arc<OnceLock<DataFrame>>),
}

impl Frame {
    /// The rows of `frame`.
    pub fn new(frame: DataFrame) -> Self {
        Self { rows: Rows::Ready(frame), columns: ColumnOptions::default() }
    }

    /// The rows that `frame` gives. It is collected as a whole when the pipeline is first opened, by polars' default engine
    /// and on polars' own threads, and kept as long as the pipeline is.
    pub fn lazy(frame: LazyFrame) -> Self {
        Self { rows: Rows::Lazy(Box::new(frame), Arc::default()), columns: ColumnOptions::default() }
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

    /// The name of the one sensor that all rows are of, instead of a column; "frame" where neither is given.
    pub fn sensor_name(mut self, name: impl Into<String>) -> Self {
        self.columns.sensor_name = Some(name.into());
        self
    }

    /// The columns with numbers.
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
            Rows::Ready(frame) => Some(frame.height()),
            Rows::Lazy(_, collected) => collected.get().map(DataFrame::height),
        };
        merged([serde_json::json!({ "rows": rows }), parameters_of(&self.columns)])
    }

    fn traits(&self) -> Traits {
        Traits { is_bounded: true, is_replayable: true, is_open: false, is_kept: true }
    }

    fn times(&self) -> Result<Option<TimeParser>> {
        self.columns.times().map(Some)
    }

    fn open(&self, options: &OpenOptions) -> Result<Box<dyn Source>> {
        let columns = Columns::new(&self.columns)?.without_unpivot("frame")?;
        let frame = self.rows.collect()?;
        let schema = columns.declared(&schema(&frame, &columns)?)?;
        let roles = columns.roles(NAME, &names(&frame), &schema)?;
        Ok(Box::new(Reader {
            name: NAME.into(),
            frame,
            schema: Arc::new(schema),
            roles,
            columns,
            origins: options.origins,
            batch: batch_rows(options),
            next: 0,
        }))
    }
}

impl Rows {
    fn collect(&self) -> Result<DataFrame> {
        match self {
            Self::Ready(frame) => Ok(frame.clone()),
            Self::Lazy(plan, collected) => {
                if let Some(frame) = collected.get() {
                    return Ok(frame.clone());
                }
                let frame = plan.as_ref().clone().collect().map_err(|error| {
                    Error::data(format!("the LazyFrame cannot be collected: {error}"))
                        .with_help("call `collect` on it to look into it")
                })?;
                Ok(collected.get_or_init(|| frame).clone())
            }
        }
    }
}

/// The columns of a frame; those that could only come out maimed are refused.
fn schema(frame: &DataFrame, columns: &Columns) -> Result<Schema> {
    let names = names(frame);
    let schema = columns.schema_of(NAME, &names, |at| field_type(frame.columns()[at].dtype()))?;
    let roles = columns.roles(NAME, &names, &schema)?;
    let time = roles.fields.iter().position(|role| matches!(role, Role::Time(_)));
    for (column, role) in frame.columns().iter().zip(roles.fields) {
        // A part of something is text.
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

fn is_number(dtype: &DataType) -> bool {
    dtype.is_primitive_numeric() || dtype.is_decimal()
}

/// The type that the values of a column have as they are.
fn field_type(dtype: &DataType) -> FieldType {
    match dtype {
        DataType::Boolean => FieldType::Bool,
        dtype if dtype.is_signed_integer() => FieldType::I64,
        dtype if dtype.is_unsigned_integer() => FieldType::U64,
        dtype if is_number(dtype) => FieldType::F64,
        _ => FieldType::Text,
    }
}

fn can_be(dtype: &DataType, role: FieldRole) -> bool {
    match dtype {
        DataType::String | DataType::Categorical(..) | DataType::Enum(..) | DataType::Null => true,
        DataType::Boolean => role != FieldRole::Time,
        DataType::Date | DataType::Datetime(..) => matches!(role, FieldRole::Time | FieldRole::Tag),
        _ => is_number(dtype),
    }
}

/// The source in use.
struct Reader {
    name: Arc<str>,
    frame: DataFrame,
    schema: Arc<Schema>,
    columns: Columns,
    roles: Roles,
    origins: bool,
    /// Rows a batch.
    batch: usize,
    /// The next row.
    next: usize,
}

impl Reader {
    fn decode(&self, rows: &DataFrame, sensors: &mut dyn SensorLookup) -> Result<Decoded> {
        let mut typed = Typed::new(&self.columns, &self.schema, rows.height());
        typed.fill(&Columnar { rows, roles: &self.roles }, NAME, sensors)?;
        Ok(typed.finish(&self.name, self.next as u64, self.origins))
    }
}

/// The columns of some rows, as the frame has them.
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
        sensors: &mut dyn SensorLookup,
    ) -> Result<()> {
        typed.sensors(texts(column)?.str().map_err(broken)?.iter(), sensors)
    }

    fn measurement(&self, typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
        measurement(typed, at, column)
    }

    fn carried(&self, typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
        carried(typed, at, column)
    }
}

/// What a column of dates or times counts.
fn clock(dtype: &DataType) -> Option<Clock> {
    match dtype {
        DataType::Date => Some(Clock::DAYS),
        DataType::Datetime(TimeUnit::Milliseconds, zone) => Some(Clock::of(1_000_000, zone.is_none())),
        DataType::Datetime(TimeUnit::Microseconds, zone) => Some(Clock::of(1000, zone.is_none())),
        DataType::Datetime(TimeUnit::Nanoseconds, zone) => Some(Clock::of(1, zone.is_none())),
        _ => None,
    }
}

fn times(typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
    match clock(column.dtype()) {
        Some(clock) => {
            let counts = cast(column, &DataType::Int64)?;
            typed.moments(at, counts.i64().map_err(broken)?.iter(), clock);
        }
        None => typed.time_texts(at, texts(column)?.str().map_err(broken)?.iter()),
    }
    Ok(())
}

fn measurement(typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
    match column.dtype() {
        DataType::String | DataType::Categorical(..) | DataType::Enum(..) => {
            typed.number_texts(at, texts(column)?.str().map_err(broken)?.iter());
        }
        dtype => match field_type(dtype) {
            FieldType::I64 => {
                let numbers = cast(column, &DataType::Int64)?;
                typed.values(at, numbers.i64().map_err(broken)?.iter().map(|value| value.map(Number::I64)));
            }
            FieldType::U64 => {
                let numbers = cast(column, &DataType::UInt64)?;
                typed.values(at, numbers.u64().map_err(broken)?.iter().map(|value| value.map(Number::U64)));
            }
            FieldType::Bool => {
                let values = cast(column, &DataType::Boolean)?;
                typed.values(at, values.bool().map_err(broken)?.iter().map(|value| value.map(Number::Bool)));
            }
            _ => {
                let numbers = cast(column, &DataType::Float64)?;
                let numbers = numbers.f64().map_err(broken)?.iter();
                match typed.ty(at) {
                    FieldType::F64 => typed.floats(at, numbers),
                    _ => typed.values(at, numbers.map(|value| value.map(Number::F64))),
                }
            }
        },
    }
    Ok(())
}

fn carried(typed: &mut Typed<'_>, at: usize, column: &PolarsColumn) -> Result<()> {
    if typed.ty(at) != FieldType::Text {
        return measurement(typed, at, column);
    }
    match clock(column.dtype()) {
        Some(clock) => {
            let counts = cast(column, &DataType::Int64)?;
            typed.moment_texts(at, counts.i64().map_err(broken)?.iter(), clock);
        }
        None => typed.texts(at, texts(column)?.str().map_err(broken)?.iter()),
    }
    Ok(())
}

/// The texts that several columns give together.
fn joined(typed: &Typed<'_>, made: &Composite, columns: &[&PolarsColumn]) -> Result<Vec<Option<String>>> {
    let parts: Vec<Series> = columns.iter().map(|column| texts(column)).collect::<Result<_>>()?;
    let parts: Vec<Vec<Option<&str>>> = parts.iter().map(records).collect::<Result<_>>()?;
    Ok(typed.joined(made, &parts))
}

/// A column of text, record by record.
fn records(texts: &Series) -> Result<Vec<Option<&str>>> {
    Ok(texts.str().map_err(broken)?.iter().collect())
}

/// A column as text, numbers in their shortest form.
fn texts(column: &PolarsColumn) -> Result<Series> {
    let series = column.as_materialized_series();
    let texts: StringChunked = match column.dtype() {
        DataType::Float64 => {
            series.f64().map_err(broken)?.iter().map(|number| number.map(float_text)).collect()
        }
        DataType::Float32 => {
            series.f32().map_err(broken)?.iter().map(|number| number.map(single_text)).collect()
        }
        _ => return cast(column, &DataType::String),
    };
    Ok(texts.into_series())
}

fn cast(column: &PolarsColumn, to: &DataType) -> Result<Series> {
    column.as_materialized_series().cast(to).map_err(broken)
}

/// What was checked when the frame was opened does not hold.
fn broken(error: PolarsError) -> Error {
    Error::internal(format!("a column of the frame cannot be read: {error}"))
}

impl Source for Reader {
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
