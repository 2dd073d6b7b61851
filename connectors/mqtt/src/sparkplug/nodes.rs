//! What is known of edge nodes and their devices: from birth certificates, until they die.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidemill_engine::time::Timestamp;

/// Metrics, nodes and devices that are remembered, at most.
pub(super) const MAX_KNOWN: usize = 1_000_000;

/// The bytes of their names, at most.
pub(super) const MAX_NAMES: usize = 128 << 20;

/// A metric that a birth certificate has named.
#[derive(Debug, PartialEq)]
pub(super) struct Known {
    pub(super) sensor: Box<str>,
    pub(super) datatype: u64,
    pub(super) alias: Option<u64>,
}

/// An edge node itself, or a device at it.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// It was born, and did not die since.
    pub(super) is_alive: bool,
    /// The timestamp of its birth certificate.
    pub(super) born: Option<u64>,
    pub(super) metrics: BTreeMap<Box<str>, Arc<Known>>,
}

/// An edge node.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// It was born, and did not die since.
    pub(super) is_alive: bool,
    /// The sequence number of its last message.
    pub(super) seq: Option<u8>,
    /// Which birth its death belongs to.
    pub(super) bd_seq: Option<u64>,
    /// When it was last asked to be born again.
    pub(super) asked: Option<Timestamp>,
    pub(super) aliases: HashMap<u64, Arc<Known>>,
    /// By name; the node itself has none.
    pub(super) devices: BTreeMap<Box<str>, Device>,
}

/// All edge nodes by `group/node`.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    all: HashMap<Box<str>, Node>,
    /// What is remembered, as counted against the limits.
    known: usize,
    names: usize,
}

/// The limits are reached.
#[derive(Debug)]
pub(super) struct Full;

impl Nodes {
    /// The node, which is remembered from now on.
    pub(super) fn node(&mut self, name: &str) -> Result<&mut Node, Full> {
        if !self.all.contains_key(name) {
            self.take(name.len())?;
            self.all.insert(name.into(), Node::default());
        }
        self.all.get_mut(name).ok_or(Full)
    }

    /// The nodes that are alive.
    pub(super) fn alive(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.all.iter().filter(|(_, node)| node.is_alive).map(|(name, node)| (&**name, node))
    }

    /// The node or device is born, by a certificate with this timestamp: what an earlier certificate said is forgotten, and for a node what those of its devices said.
    pub(super) fn born(&mut self, name: &str, device: Option<&str>, at: Option<u64>) -> Result<(), Full> {
        let node = self.node(name)?;
        let gone: Vec<(Box<str>, Device)> = match device {
            None => std::mem::take(&mut node.devices).into_iter().collect(),
            Some(device) => node.devices.remove_entry(device).into_iter().collect(),
        };
        for (device, metrics) in gone.iter().map(|(device, is)| (device, is.metrics.values())) {
            self.known -= 1;
            self.names -= device.len();
            metrics.for_each(|known| self.give_back(name, known));
        }
        let device = device.unwrap_or_default();
        self.take(device.len())?;
        let newborn = Device { is_alive: true, born: at, ..Device::default() };
        self.node(name)?.devices.insert(device.into(), newborn);
        Ok(())
    }

    /// Remembers a metric of a birth certificate.
    pub(super) fn learn(
        &mut self,
        (name, device): (&str, Option<&str>),
        metric: &str,
        known: Known,
    ) -> Result<Arc<Known>, Full> {
        self.take(2 * known.sensor.len())?;
        let known = Arc::new(known);
        let node = self.node(name)?;
        if let Some(alias) = known.alias {
            node.aliases.insert(alias, Arc::clone(&known));
        }
        let metrics = &mut node.devices.entry(device.unwrap_or_default().into()).or_default().metrics;
        // The same name may stand in one certificate twice.
        if let Some(before) = metrics.insert(metric.into(), Arc::clone(&known)) {
            self.give_back(name, &before);
        }
        Ok(known)
    }

    /// A metric is no longer remembered.
    fn give_back(&mut self, name: &str, known: &Arc<Known>) {
        self.known -= 1;
        self.names -= 2 * known.sensor.len();
        let Some((node, alias)) = self.all.get_mut(name).zip(known.alias) else { return };
        // Another metric may have the alias by now.
        if node.aliases.get(&alias).is_some_and(|found| Arc::ptr_eq(found, known)) {
            node.aliases.remove(&alias);
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Full> {
        if self.known >= MAX_KNOWN || self.names + bytes > MAX_NAMES {
            return Err(Full);
        }
        self.known += 1;
        self.names += bytes;
        Ok(())
    }

    /// What is remembered: how much, and the bytes of its names.
    #[cfg(test)]
    pub(super) fn counted(&self) -> (usize, usize) {
        (self.known, self.names)
    }
}
