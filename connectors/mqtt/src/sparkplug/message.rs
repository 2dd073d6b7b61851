//! A message of a node, and the readings of its metrics.

use std::sync::Arc;

use tidemill_connect::message::Reading;
use tidemill_engine::time::Timestamp;

use super::metric::{Head, Meant, Metric};
use super::nodes::{Device, Known};
use super::topic::Topic;

/// The number of the birth that a death belongs to: a metric of both.
pub(super) const BD_SEQ: &str = "bdSeq";

/// Metrics that are commands, not measurements.
const CONTROLS: [&str; 2] = ["Node Control/", "Device Control/"];

/// Where the readings go: or what was wrong with a metric.
pub(super) type Each<'a> = dyn FnMut(Result<Reading<'_>, String>) + 'a;

/// A message of a node.
pub(super) struct Message<'a> {
    pub(super) topic: Topic<'a>,
    /// Of the node: `group/node`.
    pub(super) name: String,
    pub(super) payload: &'a [u8],
    pub(super) head: Head,
    pub(super) arrived: Timestamp,
    /// The broker has sent it before.
    pub(super) is_repeated: bool,
}

impl Message<'_> {
    /// Whether it was sent before the newest birth certificate of `device`. A broker that has sent both before repeats it: its aliases are those of an
    /// earlier certificate.
    pub(super) fn precedes(&self, device: &Device) -> bool {
        self.is_repeated && self.head.timestamp.zip(device.born).is_some_and(|(sent, born)| sent < born)
    }

    /// A metric of a data message.
    pub(super) fn datum(&self, metric: &Metric<'_>, known: Option<&Arc<Known>>, each: &mut Each<'_>) {
        match (known, metric.name, metric.alias) {
            (_, Some(name), _) if is_control(name) || name == BD_SEQ => {}
            (Some(known), ..) => {
                each(self.reading(metric, &known.sensor, metric.datatype.unwrap_or(known.datatype)));
            }
            (None, Some(name), _) if !name.is_empty() => {
                let sensor = self.topic.sensor(name);
                each(self.reading(metric, &sensor, metric.datatype.unwrap_or_default()));
            }
            (None, _, Some(alias)) => each(Err(format!("alias {alias} was named by no birth certificate"))),
            (None, ..) => each(Err("a metric has neither a name nor an alias".to_owned())),
        }
    }

    /// The reading of a metric.
    pub(super) fn reading<'r>(
        &self,
        metric: &Metric<'r>,
        sensor: &'r str,
        datatype: u64,
    ) -> Result<Reading<'r>, String> {
        let time = match metric.timestamp.or(self.head.timestamp) {
            None => Some(self.arrived),
            Some(millis) => i64::try_from(millis)
                .ok()
                .and_then(|millis| millis.checked_mul(1_000_000))
                .map(Timestamp::from_nanos),
        };
        let time = time.ok_or_else(|| format!("metric {sensor}: its timestamp is beyond the year 2262"))?;
        let meant = metric.meant(datatype);
        let meant = meant.ok_or_else(|| format!("metric {sensor}: its value is not a single value"))?;
        let (value, text) = match meant {
            Meant::Nothing => (None, None),
            Meant::Number(number) => (Some(number), None),
            Meant::Text(text) => (None, Some(text)),
        };
        Ok(Reading { value, text, quality: Some(quality(metric.quality)), ..reading_of(time, sensor) })
    }

    /// One reading without a value for each of these metrics.
    pub(super) fn stale<'m>(
        &self,
        metrics: impl Iterator<Item = (&'m Box<str>, &'m Arc<Known>)>,
        each: &mut Each<'_>,
    ) {
        for (_, known) in metrics.filter(|(name, _)| !is_control(name)) {
            each(Ok(Reading { quality: Some("stale"), ..reading_of(self.arrived, &known.sensor) }));
        }
    }
}

/// A reading without a value.
fn reading_of(time: Timestamp, sensor: &str) -> Reading<'_> {
    Reading { time: Some(time), sensor, ..Reading::default() }
}

/// Whether a metric of this name is a command.
pub(super) fn is_control(name: &str) -> bool {
    CONTROLS.iter().any(|control| name.starts_with(control))
}

/// The property `Quality` in words: its numbers are those of OPC.
fn quality(number: Option<u64>) -> &'static str {
    match number {
        None => "good",
        Some(500) => "stale",
        // Bits 6 and 7 of the lowest byte.
        Some(number) => match number >> 6 & 3 {
            3 => "good",
            0 => "bad",
            _ => "uncertain",
        },
    }
}
