//! What the statistics of a row group say about its records, if none of them can be rejected: otherwise they must be read.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;

use super::file::ParquetFile;
use crate::arrow::convert::{cast, clock, is_text};
use crate::arrow::field_type;
use crate::batch::{Extent, FieldRole, FieldType, Range, Schema};
use crate::format::columns::Columns;
use crate::time::Timestamp;

/// Integers up to this magnitude are exact in an `f64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The columns of a file, for evaluating statistics.
pub(super) struct Statistics<'a> {
    pub(super) file: &'a ParquetFile,
    pub(super) columns: &'a Columns,
    pub(super) schema: &'a Schema,
    /// For each column of the schema: its columns in the file.
    pub(super) sources: &'a [Vec<usize>],
}

impl Statistics<'_> {
    /// What is known of the records of `group`; `None` if one of them might be rejected, or cause a remark.
    pub(super) fn extent(&self, group: &RowGroupMetaData) -> Option<Extent> {
        let mut extent = Extent::default();
        for (at, field) in self.schema.fields().iter().enumerate() {
            let source = match self.sources[at].as_slice() {
                [] => None,
                [source] => Some(*source),
                _ => return None,
            };
            extent.measurements.push(None);
            match (field.role, source) {
                (FieldRole::Time, Some(source)) if self.columns.made_time().is_none() => {
                    extent.times = Some(self.times(group, source)?);
                }
                (FieldRole::Time, _) => return None,
                // The names are evaluated when sensors are assigned ids.
                (FieldRole::Sensor, _) if self.columns.made_sensor().is_some() => return None,
                (FieldRole::Sensor, _) => {}
                (FieldRole::Measurement, None) => {
                    extent.measurements[at] = Some(Range { numbers: None, has_nulls: true });
                }
                (FieldRole::Measurement, Some(source)) => {
                    extent.measurements[at] = self.range(group, source, field.ty)?;
                }
                (_, None) => {}
                (_, Some(source)) if self.is_good(source, field.ty) => {}
                (_, Some(_)) => return None,
            }
        }
        Some(extent)
    }

    /// Whether no value of a column can be rejected when it is carried as type `ty`.
    fn is_good(&self, source: usize, ty: FieldType) -> bool {
        let kind = self.file.kind(source);
        match ty {
            // Not all bytes are UTF-8.
            FieldType::Text => is_always_good(kind),
            ty => ty == field_type(kind),
        }
    }

    /// The first and the last time, if every record has one.
    fn times(&self, group: &RowGroupMetaData, source: usize) -> Option<(Timestamp, Timestamp)> {
        let clock = clock(self.file.kind(source))?;
        let statistics = self.file.statistics(source)?;
        if nulls(&statistics, group)? > 0 {
            return None;
        }
        let (first, last) = bounds(&statistics, group)?;
        let moment = |bound: &ArrayRef| {
            let counts = cast(bound, &DataType::Int64, "").ok()?;
            let count = counts.is_valid(0).then(|| counts.as_primitive::<Int64Type>().value(0))?;
            clock.moment(count, self.columns).ok()
        };
        let (first, last) = (moment(&first)?, moment(&last)?);
        (first <= last).then_some((first, last))
    }

    /// The range of a measurement column; empty if its values cannot be rejected but nothing more is known.
    fn range(&self, group: &RowGroupMetaData, source: usize, ty: FieldType) -> Option<Option<Range>> {
        let kind = self.file.kind(source);
        if ty != FieldType::F64 && ty != field_type(kind) {
            // A number outside the type would be rejected.
            return None;
        }
        if !kind.is_numeric()
            || matches!(
                kind,
                DataType::Decimal32(..)
                    | DataType::Decimal64(..)
                    | DataType::Decimal128(..)
                    | DataType::Decimal256(..)
            )
        {
            return (is_always_good(kind) && !is_text(kind)).then_some(None);
        }
        let range = self.file.statistics(source).and_then(|statistics| self.numbers(&statistics, group));
        let beyond = |(lowest, highest): (f64, f64)| lowest < -EXACT || highest > EXACT;
        // Rounding is reported, so the records must be read.
        let may_be_rounded = ty == FieldType::F64
            && matches!(kind, DataType::Int64 | DataType::UInt64)
            && range.is_none_or(|range| range.numbers.is_some_and(beyond));
        (!may_be_rounded).then_some(range)
    }

    fn numbers(&self, statistics: &StatisticsConverter<'_>, group: &RowGroupMetaData) -> Option<Range> {
        let nulls = nulls(statistics, group)?;
        let has_nulls = nulls > 0 || !self.columns.null_numbers().is_empty();
        if nulls == u64::try_from(group.num_rows()).ok()? {
            return Some(Range { numbers: None, has_nulls });
        }
        let (lowest, highest) = bounds(statistics, group)?;
        let number = |bound: &ArrayRef| {
            let numbers = cast(bound, &DataType::Float64, "").ok()?;
            numbers.is_valid(0).then(|| numbers.as_primitive::<Float64Type>().value(0))
        };
        let (lowest, highest) = (number(&lowest)?, number(&highest)?);
        // NaN compares false.
        (lowest <= highest).then_some(Range { numbers: Some((lowest, highest)), has_nulls })
    }

    /// The name of the sensor, if the statistics show that all records of `group` have the same one.
    pub(super) fn only_sensor(&self, group: &RowGroupMetaData, source: usize) -> Option<String> {
        let statistics = self.file.statistics(source)?;
        let is_exact = |exact: parquet::errors::Result<arrow_array::BooleanArray>| {
            exact.is_ok_and(|exact| exact.len() == 1 && exact.is_valid(0) && exact.value(0))
        };
        if nulls(&statistics, group)? > 0
            || !is_exact(statistics.row_group_is_min_value_exact([group]))
            || !is_exact(statistics.row_group_is_max_value_exact([group]))
        {
            return None;
        }
        let (first, last) = bounds(&statistics, group)?;
        let name = |bound: &ArrayRef| {
            let texts = cast(bound, &DataType::Utf8, "").ok()?;
            texts.is_valid(0).then(|| texts.as_string::<i32>().value(0).to_owned())
        };
        let (first, last) = (name(&first)?, name(&last)?);
        (first == last).then_some(first)
    }
}

fn nulls(statistics: &StatisticsConverter<'_>, group: &RowGroupMetaData) -> Option<u64> {
    let nulls = statistics.row_group_null_counts([group]).ok()?;
    (nulls.len() == 1 && nulls.is_valid(0)).then(|| nulls.value(0))
}

fn bounds(statistics: &StatisticsConverter<'_>, group: &RowGroupMetaData) -> Option<(ArrayRef, ArrayRef)> {
    let lowest = statistics.row_group_mins([group]).ok()?;
    let highest = statistics.row_group_maxes([group]).ok()?;
    (lowest.len() == 1 && highest.len() == 1).then_some((lowest, highest))
}

/// Whether no value of the type can be rejected.
pub(super) fn is_always_good(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_always_good(values),
        DataType::Boolean | DataType::FixedSizeBinary(_) | DataType::Null => true,
        kind => is_text(kind) || kind.is_numeric(),
    }
}
