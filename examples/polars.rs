//! A polars frame through a pipeline and back: polars prepares, tidemill cleans, polars aggregates.
//!
//! ```sh
//! cargo run --features polars --example polars
//! ```

use polars::prelude::*;
use tidemill::Pipeline;
use tidemill::stage::{MovingAverage, Threshold};
use tidemill::{sink, source};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let raw = df!(
        "sensor" => ["temp-1", "temp-2", "temp-1", "temp-1", "temp-2", "temp-1"],
        "timestamp" => [0_i64, 0, 1, 2, 2, 3],
        "value" => [Some(20.0), Some(19.0), Some(22.0), Some(999.0), None, Some(24.0)],
    )?;
    let seconds = (col("timestamp") * lit(1000)).cast(DataType::Datetime(TimeUnit::Milliseconds, None));
    let readings = raw.lazy().with_column(seconds);

    let clean = sink::Frame::new();
    let result = clean.handle();
    Pipeline::builder()
        .source(source::Frame::lazy(readings).time("timestamp").sensor("sensor"))
        .stage(Threshold::between(-40.0, 125.0))
        .stage(MovingAverage::rows(2))
        .sink(clean)
        .run()?;

    let clean = result.take().ok_or("a successful run gives a frame")?;
    assert_eq!(clean.height(), 4);
    let last = clean.lazy().group_by_stable([col("sensor")]).agg([col("value_avg").last()]).collect()?;
    let (sensors, means) = (last.column("sensor")?.cast(&DataType::String)?, last.column("value_avg")?);
    for (sensor, mean) in sensors.str()?.iter().zip(means.f64()?.iter()) {
        println!("{}: {}", sensor.unwrap_or_default(), mean.unwrap_or(f64::NAN));
    }
    Ok(())
}
