//! Custom stages in a separate crate, one for each stage protocol. A program that links this crate can use them in
//! pipeline files, as the command in `main.rs` does; `tests/stages.rs` compares each of them with the one-thread loop, also after kills.
//!
//! | stage | protocol | state |
//! |---|---|---|
//! | [`power`] | `SensorStage` | per sensor: its energy so far |
//! | [`smooth`] | `SeriesStage` | per measurement of a sensor: its last smoothed value |
//! | [`time_mean`] | `IntervalStatistic` | per measurement of a sensor: the open interval |
//! | [`dew_point`] | `RowStage` | none |

pub mod dew_point;
pub mod power;
pub mod smooth;
pub mod time_mean;
