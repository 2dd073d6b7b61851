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
            times = times.with_start(start).map_err(of("start"))?;
        }
        times.check().map_err(of("time_format"))?;
        if self.time.is_none() && !(self.zones.is_empty() && self.start.is_none()) {
            let option = if self.start.is_some() { "start" } else { "zones" };
            return Err(Error::config(format!("`{option}` has no meaning without a time column"))
                .with_help("name the column in `time`"));
        }
        Ok(times)
    }
}
