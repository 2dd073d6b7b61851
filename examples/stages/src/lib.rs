//! Stages of one's own, in a crate of one's own: one for each protocol that a stage can be written against. Whoever links this crate can use them in
//! pipeline files, as the command in `main.rs` does; `tests/stages.rs` holds each of them to the one-thread loop, and to kills.
//!
//! | stage | protocol | state of |
//! |---|---|---|
//! | [`power`] | `SensorStage` | a sensor: its energy so far |
//! | [`smooth`] | `SeriesStage` | a measurement of a sensor: its last smoothed value |
//! | [`time_mean`] | `IntervalStatistic` | a measurement of a sensor: the interval that is open |
//! | [`dew_point`] | `RowStage` | nothing: a record is enough |

pub mod dew_point;
pub mod power;
pub mod smooth;
pub mod time_mean;
