//! How the options say that times are written.

use super::ColumnOptions;
use crate::error::{Error, Result};
use crate::time::{TimeFormat, TimeParser};

impl ColumnOptions {
    /// Who reads the times of such an input.
    ///
    /// # Errors
    /// A configuration error that names the option: a time format or a zone that is none, options that do not go together.
    pub fn times(&self) -> Result<TimeParser> {
        let of = |option: &'static str| move |why| Error::config(format!("`{option}`: {why}"));
        let format = TimeFormat::parse(&self.time_format).map_err(of("time_format"))?;
        let mut times = TimeParser::new(format, self.timezone.as_deref()).map_err(of("timezone"))?;
        times = times.with_zones(&self.zones).map_err(of("zones"))?;
        if let Some(start) = &self.start {
            times = times.with_start(start).map_err(of("start")).map_err(|error| {
                error.with_help("a moment, such as \"2024-01-01T00:00:00Z\", from which epochs or times of day count; leave it out for whole times")
            })?;
        }
        times.check().map_err(of("time_format"))?;
        self.check_use(&times)?;
        Ok(times)
    }

    /// Nothing is said of times that there are none of, and no zone of times that are the same everywhere.
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
                format!("`timezone` has no effect: `{}` counts from one moment everywhere", times.format());
            return Err(Error::config(message).with_help("leave `timezone` out"));
        }
        Ok(())
    }
}
