//! Columns of polars, which has arrays of its own. Values of numbers and times are shared both ways; validity, booleans, sensors and text are copied.

mod read;
mod write;

pub(crate) use read::{can_be, carried, clock, field_type, joined, measurement, sensors, times};
pub(crate) use write::{ColumnBuilder, broken};
