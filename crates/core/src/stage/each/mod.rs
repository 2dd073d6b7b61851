//! Stages written for one sensor or one record: the author implements those, this module does the rest.
//!
//! ```text
//! SensorStage  ─ EachSensor ─┐  state by sensor, in order, shards of sensors on any number of threads
//! SeriesStage  ─ EachSeries ─┼─▶ Stage
//! RowStage     ─ EachRow ────┘  no state, any order, any thread
//! ```

mod adaptor;
mod columns;
mod driver;
mod effects;
mod record;
mod row;
mod sensor;
#[cfg(test)]
pub(super) mod tests;
mod value;
mod watermarks;

pub use adaptor::EachSensor;
pub use columns::{Columns, ReadColumn, WriteColumn};
pub use record::{Emitted, Last, Record, Row, Timer};
pub use row::{EachRow, RowStage};
pub use sensor::SensorStage;
pub use value::Value;
