//! Sparkplug B: metrics of edge nodes and their devices, which births name and data only number.
//!
//! A birth certificate lists the metrics of a node or device with their types and, if it likes, a number for each (an alias); data may then give the number
//! alone. Messages of a node are numbered from 0 to 255, again and again: a gap means that some were lost, so the node is asked to be born again, as it is
//! when data comes before a birth. A death makes the metrics stale.

mod metric;
mod nodes;
#[cfg(test)]
mod tests;
mod topic;
mod wire;

use std::sync::Arc;

use tidemill_connect::message::Reading;
use tidemill_engine::time::Timestamp;

use self::metric::{Head, Meant, Metric, metrics};
use self::nodes::{Full, Known, Node, Nodes};
use self::topic::{Kind, Parsed, Topic};

/// A node is asked to be born again at most this often.
const ASK_EVERY: i64 = 10_000_000_000;

/// The number of the birth that a death belongs to: a metric of both.
const BD_SEQ: &str = "bdSeq";

/// Metrics that are commands, not measurements.
const CONTROLS: [&str; 2] = ["Node Control/", "Device Control/"];

/// The command that asks a node to be born again: a payload with this time and the metric `Node Control/Rebirth`, which is true.
pub(crate) fn rebirth(at: Timestamp) -> Vec<u8> {
    let mut payload = vec![0x08];
    wire::push_varint(at.as_nanos().max(0).unsigned_abs() / 1_000_000, &mut payload);
    payload.extend_from_slice(b"\x12\x1a\x0a\x14Node Control/Rebirth\x20\x0b\x70\x01");
    payload
}

/// What was met so far, for the remarks of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) births: u64,
    pub(crate) deaths: u64,
    /// Gaps in the numbers of messages.
    pub(crate) gaps: u64,
    /// Data of a node or device that was not born.
    pub(crate) unborn: u64,
    /// Requests to be born again.
    pub(crate) asked: u64,
}

impl Counts {
    pub(crate) fn remarks(self) -> Vec<String> {
        let Self { births, deaths, gaps, unborn, asked } = self;
        let mut remarks = vec![format!("Sparkplug: {births} births, {deaths} deaths")];
        if gaps + unborn > 0 {
            remarks.push(format!(
                "Sparkplug: messages were missing {gaps} times, {unborn} messages came before a birth; nodes were asked {asked} times to be born again"
            ));
        }
        remarks
    }
}

/// Decodes messages, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Sparkplug {
    nodes: Nodes,
    counts: Counts,
}

/// Where the readings go: or what was wrong with a metric.
type Each<'a> = dyn FnMut(Result<Reading<'_>, String>) + 'a;

impl Sparkplug {
    /// The readings of a message that arrived at this time. Returns the topic to which [`rebirth`] is to be sent, if the node is to be asked to be born again.
    pub(crate) fn decode(
        &mut self,
        topic: &str,
        payload: &[u8],
        arrived: Timestamp,
        each: &mut Each<'_>,
    ) -> Option<String> {
        let topic = match Topic::parse(topic) {
            Parsed::Topic(topic) => topic,
            Parsed::Ignored => return None,
            Parsed::Other => {
                each(Err("not a topic of Sparkplug B (spBv1.0/group/kind/node/device)".to_owned()));
                return None;
            }
        };
        let head = match Head::of(payload) {
            Ok(head) => head,
            Err(error) => {
                each(Err(error.to_string()));
                return None;
            }
        };
        let message =
            Message { topic, name: format!("{}/{}", topic.group, topic.node), payload, head, arrived };
        let is_known = match topic.kind {
            Kind::Birth => self.birth(&message, each),
            Kind::Death => self.death(&message, each),
            Kind::Data => self.data(&message, each),
        };
        match is_known {
            Ok(true) => None,
            Ok(false) => self.ask(&message),
            Err(Full) => {
                each(Err(format!(
                    "more than {} metrics, or names of more than {} MiB",
                    nodes::MAX_KNOWN,
                    nodes::MAX_NAMES >> 20
                )));
                None
            }
        }
    }

    /// What was met so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether nothing is missing.
    fn birth(&mut self, message: &Message<'_>, each: &mut Each<'_>) -> Result<bool, Full> {
        self.counts.births += 1;
        let Message { topic, name, head, .. } = message;
        let node = self.nodes.node(name)?;
        let mut is_known = true;
        if topic.device.is_none() {
            node.is_alive = true;
            node.seq = head.seq.map(|seq| seq as u8);
            node.bd_seq = None;
            node.asked = None;
        } else {
            is_known = node.is_alive && advance(node, head.seq, &mut self.counts);
        }
        self.nodes.born(name, topic.device)?;
        for metric in metrics(message.payload) {
            match metric {
                Ok(metric) => self.learn(message, &metric, each)?,
                Err(error) => each(Err(error.to_string())),
            }
        }
        Ok(is_known)
    }

    /// A metric of a birth certificate.
    fn learn(&mut self, message: &Message<'_>, metric: &Metric<'_>, each: &mut Each<'_>) -> Result<(), Full> {
        let Some(name) = metric.name.filter(|name| !name.is_empty()) else {
            each(Err("a metric of a birth certificate has no name".to_owned()));
            return Ok(());
        };
        let topic = &message.topic;
        if topic.device.is_none() && name == BD_SEQ {
            self.nodes.node(&message.name)?.bd_seq = metric.integer();
            return Ok(());
        }
        let known = Known {
            sensor: topic.sensor(name).into(),
            datatype: metric.datatype.unwrap_or_default(),
            alias: metric.alias,
        };
        let known = self.nodes.learn((&message.name, topic.device), name, known)?;
        if !is_control(name) {
            each(message.reading(metric, &known.sensor, known.datatype));
        }
        Ok(())
    }

    fn death(&mut self, message: &Message<'_>, each: &mut Each<'_>) -> Result<bool, Full> {
        let Message { topic, name, head, .. } = message;
        let node = self.nodes.node(name)?;
        if let Some(device) = topic.device {
            let is_known = advance(node, head.seq, &mut self.counts);
            if let Some(device) = node.devices.get_mut(device).filter(|device| device.is_alive) {
                self.counts.deaths += 1;
                device.is_alive = false;
                stale(message, device.metrics.iter(), each);
            }
            return Ok(is_known);
        }
        let of = metrics(message.payload).flatten().find(|metric| metric.name == Some(BD_SEQ));
        let of = of.and_then(|metric| metric.integer());
        // The broker may send the death of an earlier connection after the birth in a later one.
        if !node.is_alive || (of.is_some() && node.bd_seq.is_some() && of != node.bd_seq) {
            return Ok(true);
        }
        self.counts.deaths += 1;
        node.is_alive = false;
        for device in node.devices.values_mut().filter(|device| device.is_alive) {
            device.is_alive = false;
            stale(message, device.metrics.iter(), each);
        }
        Ok(true)
    }

    fn data(&mut self, message: &Message<'_>, each: &mut Each<'_>) -> Result<bool, Full> {
        let Message { topic, name, head, .. } = message;
        let node = self.nodes.node(name)?;
        let device = node.devices.get(topic.device.unwrap_or_default());
        let is_alive = node.is_alive && device.is_some_and(|device| device.is_alive);
        if !is_alive {
            self.counts.unborn += 1;
        }
        for metric in metrics(message.payload) {
            let metric = match metric {
                Ok(metric) => metric,
                Err(error) => {
                    each(Err(error.to_string()));
                    continue;
                }
            };
            // A name decides, where there is one.
            let known = match (metric.name, metric.alias) {
                (Some(name), _) if !name.is_empty() => device.and_then(|device| device.metrics.get(name)),
                (_, Some(alias)) => node.aliases.get(&alias).filter(|_| is_alive),
                _ => None,
            };
            message.datum(&metric, known, each);
        }
        Ok(advance(node, head.seq, &mut self.counts) && is_alive)
    }

    /// The topic by which the node is asked to be born again, unless it was asked a moment ago.
    fn ask(&mut self, message: &Message<'_>) -> Option<String> {
        let node = self.nodes.node(&message.name).ok()?;
        let is_soon = |asked: Timestamp| {
            message.arrived.checked_since(asked).is_some_and(|since| (0..ASK_EVERY).contains(&since))
        };
        if node.asked.is_some_and(is_soon) {
            return None;
        }
        node.asked = Some(message.arrived);
        self.counts.asked += 1;
        Some(message.topic.command())
    }
}

/// A message of a node.
struct Message<'a> {
    topic: Topic<'a>,
    /// Of the node: `group/node`.
    name: String,
    payload: &'a [u8],
    head: Head,
    arrived: Timestamp,
}

impl Message<'_> {
    /// A metric of a data message.
    fn datum(&self, metric: &Metric<'_>, known: Option<&Arc<Known>>, each: &mut Each<'_>) {
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
    fn reading<'r>(
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
}

impl Metric<'_> {
    fn integer(&self) -> Option<u64> {
        match self.value {
            metric::Sent::Integer(number) => Some(number),
            _ => None,
        }
    }
}

/// A reading without a value.
fn reading_of(time: Timestamp, sensor: &str) -> Reading<'_> {
    Reading { time: Some(time), sensor, ..Reading::default() }
}

/// One reading without a value for each of these metrics.
fn stale<'m>(
    message: &Message<'_>,
    metrics: impl Iterator<Item = (&'m Box<str>, &'m Arc<Known>)>,
    each: &mut Each<'_>,
) {
    for (_, known) in metrics.filter(|(name, _)| !is_control(name)) {
        each(Ok(Reading { quality: Some("stale"), ..reading_of(message.arrived, &known.sensor) }));
    }
}

/// Takes the number of the node's next message; false if messages before it were lost.
fn advance(node: &mut Node, seq: Option<u64>, counts: &mut Counts) -> bool {
    let Some(seq) = seq else { return true };
    let is_next = node.seq.is_none_or(|last| u64::from(last.wrapping_add(1)) == seq);
    node.seq = Some(seq as u8);
    counts.gaps += u64::from(!is_next);
    is_next
}

fn is_control(name: &str) -> bool {
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
