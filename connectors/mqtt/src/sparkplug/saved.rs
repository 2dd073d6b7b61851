//! What checkpoints keep of the nodes that are alive, so that the aliases in their data mean something after a restart.

use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};

use super::nodes::{Full, Known, Node, Nodes};

/// The bytes that nodes may take in a checkpoint.
pub(super) const MAX_SAVED: usize = 1 << 20;

/// The bytes of a metric besides its name, at least.
const LEAST: usize = 3;

/// The nodes of a checkpoint.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) bytes: Vec<u8>,
    /// Nodes that are alive, but have no room.
    pub(super) left_out: u64,
}

#[derive(Serialize, Deserialize)]
struct SavedNode<'a> {
    name: &'a str,
    seq: Option<u8>,
    bd_seq: Option<u64>,
    /// The node itself is the first.
    #[serde(borrow)]
    devices: Vec<SavedDevice<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SavedDevice<'a> {
    name: &'a str,
    born: Option<u64>,
    #[serde(borrow)]
    metrics: Vec<SavedMetric<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SavedMetric<'a> {
    name: &'a str,
    datatype: u64,
    alias: Option<u64>,
}

impl Saved {
    /// The nodes that are alive, as far as there is room.
    pub(super) fn of(nodes: &Nodes, room: usize) -> Self {
        let mut saved = Self::default();
        for (name, node) in nodes.alive() {
            let before = saved.bytes.len();
            // Nothing is encoded that has no room anyway.
            if before + least(name, node) <= room {
                let node = SavedNode::of(name, node);
                saved.bytes = postcard::to_extend(&node, saved.bytes).unwrap_or_default();
            }
            if saved.bytes.len() > room || saved.bytes.len() == before {
                saved.bytes.truncate(before);
                saved.left_out += 1;
            }
        }
        saved
    }
}

/// Remembers the nodes of a checkpoint.
///
/// # Errors
/// A data error if it has no such nodes.
pub(super) fn restore(mut bytes: &[u8]) -> Result<Nodes> {
    let mut nodes = Nodes::default();
    while !bytes.is_empty() {
        let (node, rest) = postcard::take_from_bytes::<SavedNode<'_>>(bytes)
            .map_err(|error| Error::data(format!("the saved nodes of Sparkplug cannot be read: {error}")))?;
        node.restore(&mut nodes)
            .map_err(|Full| Error::data("the saved nodes of Sparkplug are more than there can be"))?;
        bytes = rest;
    }
    Ok(nodes)
}

impl<'a> SavedNode<'a> {
    fn of(name: &'a str, node: &'a Node) -> Self {
        let devices = node.devices.iter().filter(|(_, device)| device.is_alive);
        let devices = devices.map(|(name, device)| SavedDevice {
            name,
            born: device.born,
            metrics: device.metrics.iter().map(|(name, known)| SavedMetric::of(name, known)).collect(),
        });
        Self { name, seq: node.seq, bd_seq: node.bd_seq, devices: devices.collect() }
    }

    fn restore(self, nodes: &mut Nodes) -> Result<(), Full> {
        let Self { name, seq, bd_seq, devices } = self;
        let node = nodes.node(name)?;
        (node.is_alive, node.seq, node.bd_seq) = (true, seq, bd_seq);
        for SavedDevice { name: device, born, metrics } in devices {
            let device = Some(device).filter(|device| !device.is_empty());
            nodes.born(name, device, born)?;
            let prefix = device.map_or_else(|| name.to_owned(), |device| format!("{name}/{device}"));
            for SavedMetric { name: metric, datatype, alias } in metrics {
                let known = Known { sensor: format!("{prefix}/{metric}").into(), datatype, alias };
                nodes.learn((name, device), metric, known)?;
            }
        }
        Ok(())
    }
}

impl<'a> SavedMetric<'a> {
    fn of(name: &'a str, known: &Known) -> Self {
        Self { name, datatype: known.datatype, alias: known.alias }
    }
}

/// A lower limit of the bytes that a node takes.
fn least(name: &str, node: &Node) -> usize {
    let metrics = node.devices.values().filter(|device| device.is_alive).flat_map(|device| &device.metrics);
    name.len() + metrics.map(|(name, _)| name.len() + LEAST).sum::<usize>()
}
