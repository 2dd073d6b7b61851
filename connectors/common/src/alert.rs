//! Alerts in words: the records of the stage `alert`, for sinks that tell people.

use tidemill_engine::batch::{Batch, Schema};
use tidemill_engine::error::Result;
use tidemill_engine::sensor::Sensors;

use crate::template::{Language, Template, text_of, value_of};

/// The columns of the records of the stage `alert`, by index.
#[derive(Clone, Copy, Debug)]
pub struct AlertColumns {
    state: usize,
    rule: usize,
    column: usize,
    value: usize,
    side: usize,
    threshold: usize,
    sensor: usize,
    time: Option<usize>,
}

/// The values of one alert, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    /// "raised" or "cleared".
    pub state: String,
    /// The name of the rule.
    pub rule: String,
    /// The measurement.
    pub column: String,
    /// Its value.
    pub value: String,
    /// "above" or "below".
    pub side: String,
    /// The threshold on that side.
    pub threshold: String,
    /// The sensor.
    pub sensor: String,
    /// The time, if records have one.
    pub time: Option<String>,
}

impl AlertColumns {
    /// The columns of alerts in `schema`, if it has all of them.
    #[must_use]
    pub fn find(schema: &Schema) -> Option<Self> {
        let of = |name| schema.index_of(name);
        Some(Self {
            state: of("state")?,
            rule: of("rule")?,
            column: of("column")?,
            value: of("value")?,
            side: of("side")?,
            threshold: of("threshold")?,
            sensor: schema.sensor(),
            time: schema.time(),
        })
    }

    /// The alert in record `row` of `batch`.
    #[must_use]
    pub fn record(&self, batch: &Batch, row: usize, sensors: &Sensors) -> AlertRecord {
        let text = |at: usize| text_of(&value_of(batch, at, row, sensors));
        AlertRecord {
            state: text(self.state),
            rule: text(self.rule),
            column: text(self.column),
            value: text(self.value),
            side: text(self.side),
            threshold: text(self.threshold),
            sensor: text(self.sensor),
            time: self.time.map(text),
        }
    }
}

impl AlertRecord {
    /// Whether the incident is over.
    #[must_use]
    pub fn is_cleared(&self) -> bool {
        self.state == "cleared"
    }

    /// The alert as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { rule, column, value, side, threshold, sensor, time, .. } = self;
        let at = time.as_ref().map_or_else(String::new, |time| format!(" at {time}"));
        let no_longer = if self.is_cleared() { "no longer " } else { "" };
        format!("{rule}: {column} of {sensor} is {value}{at}, {no_longer}{side} {threshold}")
    }
}

/// How a record is told to people.
#[derive(Clone, Debug)]
pub enum Wording {
    /// By a template of the user.
    Template(Template),
    /// As the sentence of an alert.
    Alert(AlertColumns),
    /// As the sensor, the time and all values.
    Values(Vec<String>),
}

impl Wording {
    /// By the template `text` of the option `option`; without one, by the columns in `schema`.
    ///
    /// # Errors
    /// A configuration error if a placeholder is not a column.
    pub fn new(option: &str, text: Option<&str>, schema: &Schema) -> Result<Self> {
        if let Some(text) = text {
            return Template::new(option, text, Language::Plain, schema).map(Self::Template);
        }
        let names = || schema.fields().iter().map(|field| field.name.to_string()).collect();
        Ok(AlertColumns::find(schema).map_or_else(|| Self::Values(names()), Self::Alert))
    }

    /// Record `row` of `batch` in words.
    #[must_use]
    pub fn text(&self, batch: &Batch, row: usize, sensors: &Sensors) -> String {
        match self {
            Self::Template(template) => template.text(batch, row, sensors),
            Self::Alert(columns) => columns.record(batch, row, sensors).sentence(),
            Self::Values(names) => {
                let value = |(at, name): (usize, &String)| {
                    let text = text_of(&value_of(batch, at, row, sensors));
                    (!text.is_empty()).then(|| format!("{name}: {text}"))
                };
                names.iter().enumerate().filter_map(value).collect::<Vec<_>>().join(", ")
            }
        }
    }
}
