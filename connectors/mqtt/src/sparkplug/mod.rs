//! Sparkplug B: metrics of edge nodes and their devices, which births name and data only number.
//!
//! A birth certificate lists the metrics of a node or device with their types and, if it likes, a number for each (an alias); data may then give the number
//! alone. Messages of a node are numbered from 0 to 255, again and again: a gap means that some were lost, so the node is asked to be born again, as it is
//! when data comes before a birth. A death makes the metrics stale.

mod counts;
mod message;
mod metric;
mod nodes;
mod saved;
#[cfg(test)]
mod saved_tests;
#[cfg(test)]
mod tests;
mod topic;
mod wire;

use tidemill_engine::error::Result as EngineResult;
use tidemill_engine::time::Timestamp;

use self::counts::Counts;
use self::message::{BD_SEQ, Each, Message, is_control};
use self::metric::{Head, Metric, Sent, metrics};
use self::nodes::{Full, Known, Node, Nodes};
use self::saved::{MAX_SAVED, Saved};
use self::topic::{Kind, Parsed, Topic};

/// A node is asked to be born again at most this often.
const ASK_EVERY: i64 = 10_000_000_000;

/// The command that asks a node to be born again: a payload with this time and the metric `Node Control/Rebirth`, which is true.
pub(crate) fn rebirth(at: Timestamp) -> Vec<u8> {
    let mut payload = vec![0x08];
    wire::push_varint(at.as_nanos().max(0).unsigned_abs() / 1_000_000, &mut payload);
    payload.extend_from_slice(b"\x12\x1a\x0a\x14Node Control/Rebirth\x20\x0b\x70\x01");
    payload
}

/// Decodes messages, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Sparkplug {
    nodes: Nodes,
    counts: Counts,
}

impl Sparkplug {
    /// The readings of a message that arrived at this time, and that the broker may have sent before. Returns the topic to which [`rebirth`] is to be sent,
    /// if the node is to be asked to be born again.
    pub(crate) fn decode(
        &mut self,
        topic: &str,
        payload: &[u8],
        arrived: Timestamp,
        is_repeated: bool,
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
        let name = format!("{}/{}", topic.group, topic.node);
        let message = Message { topic, name, payload, head, arrived, is_repeated };
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

    /// What the nodes that are alive have said at birth, for a checkpoint.
    pub(crate) fn save(&self) -> Vec<u8> {
        Saved::of(&self.nodes, MAX_SAVED).bytes
    }

    /// Continues with the nodes of a checkpoint.
    ///
    /// # Errors
    /// A data error if it has no such nodes.
    pub(crate) fn restore(&mut self, saved: &[u8]) -> EngineResult<()> {
        self.nodes = saved::restore(saved)?;
        Ok(())
    }

    /// Remarks for the end of the run; one that `is_saved` has nodes in its checkpoints.
    pub(crate) fn remarks(&self, is_saved: bool) -> Vec<String> {
        let mut remarks = self.counts.remarks();
        let left_out = if is_saved { Saved::of(&self.nodes, MAX_SAVED).left_out } else { 0 };
        if left_out > 0 {
            remarks.push(format!(
                "Sparkplug: {left_out} nodes have no room in a checkpoint ({} MiB): after a restart they are asked to be born again",
                MAX_SAVED >> 20
            ));
        }
        remarks
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
            is_known = node.is_alive && advance(node, message, &mut self.counts);
        }
        self.nodes.born(name, topic.device, head.timestamp)?;
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
        let Message { topic, name, .. } = message;
        let node = self.nodes.node(name)?;
        if let Some(device) = topic.device {
            let is_known = advance(node, message, &mut self.counts);
            if let Some(device) = node.devices.get_mut(device).filter(|device| device.is_alive) {
                self.counts.deaths += 1;
                device.is_alive = false;
                message.stale(device.metrics.iter(), each);
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
            message.stale(device.metrics.iter(), each);
        }
        Ok(true)
    }

    fn data(&mut self, message: &Message<'_>, each: &mut Each<'_>) -> Result<bool, Full> {
        let Message { topic, name, .. } = message;
        let node = self.nodes.node(name)?;
        let device = node.devices.get(topic.device.unwrap_or_default());
        let is_alive = node.is_alive && device.is_some_and(|device| device.is_alive);
        if !is_alive {
            self.counts.unborn += 1;
        }
        let is_earlier = device.is_some_and(|device| message.precedes(device));
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
                (_, Some(alias)) if is_earlier => {
                    each(Err(format!(
                        "alias {alias} is one of an earlier birth certificate, and its message was read before"
                    )));
                    continue;
                }
                (_, Some(alias)) => node.aliases.get(&alias).filter(|_| is_alive),
                _ => None,
            };
            message.datum(&metric, known, each);
        }
        Ok(advance(node, message, &mut self.counts) && is_alive)
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

impl Metric<'_> {
    fn integer(&self) -> Option<u64> {
        match self.value {
            Sent::Integer(number) => Some(number),
            _ => None,
        }
    }
}

/// Takes the number of the node's next message; false if messages before it were lost.
fn advance(node: &mut Node, message: &Message<'_>, counts: &mut Counts) -> bool {
    let Some(seq) = message.head.seq else { return true };
    // The broker begins again with the first message that was not acknowledged.
    let is_next = message.is_repeated || node.seq.is_none_or(|last| u64::from(last.wrapping_add(1)) == seq);
    node.seq = Some(seq as u8);
    counts.gaps += u64::from(!is_next);
    is_next
}
