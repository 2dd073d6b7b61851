//! Builds the time parser from the options.

use super::ColumnOptions;
use crate::error::{Error, Result};
use crate::time::{TimeFormat, TimeParser};

impl ColumnOptions {
    /// The parser for the input's times.
    ///
    /// # Errors
    /// A configuration error that names the option: an invalid time format or time zone, or options that contradict each other.
    pub fn times(&self) -> Result<TimeParser> {
        let of = |option: &'static str| move |why| Error::config(format!("`{option}`: {why}"));
        let format = TimeFormat::parse(&self.time_format).map_err(of("time_format"))?;
        let mut times = TimeParser::new(format, self.timezone.as_deref()).map_err(of("timezone"))?;
        times = times.with_zones(&self.zones).map_err(of("zones"))?;
        if let Some(start) = &self.start {
            times = times.with_start(start).map_err(of("start")).map_err(|error| {
                error.with_help("a timestamp, such as \"2024-01-01T00:00:00Z\", from which epochs or times of day are counted; leave it out if times are complete")
            })?;
        }
        times.check().map_err(of("time_format"))?;
        self.check_use(&times)?;
        Ok(times)
    }

    /// Rejects time options without a time column, and a time zone for times that do not depend on one.
    fn check_use(&self, times: &TimeParser) -> Result<()> {
        let said = [
            ("start", self.start.is_some()),
            ("zones", !self.zones.is_empty()),
            ("timezone", self.timezone.is_some()),
            ("time_format", *times.format() != TimeFormat::Rfc3339),
        ];
        if let (Some((option, _)), None) = (said.iter().find(|(_, is_said)| *is_said), &self.time) {
            return Err(Error::config(format!("`{option}` has no meaning without a time column"))
                .with_help("name the column in `time`"));
        }
        if self.timezone.is_some() && self.start.is_none() && matches!(times.format(), TimeFormat::Epoch(_)) {
            let message =
                format!("`timezone` has no effect: `{}` does not depend on a time zone", times.format());
            return Err(Error::config(message).with_help("leave `timezone` out"));
        }
        Ok(())
    }
}
