//! Where a run is in the history of its nodes.

use serde::{Deserialize, Serialize};
use tidemill_engine::error::{Error, Result};
use tidemill_engine::time::Timestamp;

use crate::nodes::Node;

/// Behind all values that were read: those of the nodes before, and of this one those up to a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// A checksum of all nodes, once they are known.
    nodes: Option<u64>,
    /// Which node is read.
    pub(super) node: usize,
    /// The time of the last value, in nanoseconds since 1970; that from which on values are read if there is none.
    time: i64,
    /// How many values of exactly this time were read.
    pub(super) seen: u64,
}

impl Position {
    /// Before all values from `from` on.
    pub(super) fn start(from: Timestamp) -> Self {
        Self { nodes: None, node: 0, time: from.as_nanos(), seen: 0 }
    }

    /// The time of the last value.
    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_nanos(self.time)
    }

    /// A value of this time was read. Values come in the order of time.
    pub(super) fn pass(&mut self, time: Timestamp) {
        if time == self.time() {
            self.seen += 1;
        } else {
            (self.time, self.seen) = (time.as_nanos(), 1);
        }
    }

    /// All values of the node were read.
    pub(super) fn next_node(&mut self, from: Timestamp) {
        (self.node, self.time, self.seen) = (self.node + 1, from.as_nanos(), 0);
    }

    /// These are the nodes.
    ///
    /// # Errors
    /// If they are others than before.
    pub(super) fn check(&mut self, nodes: &[Node]) -> Result<()> {
        let sum = checksum(nodes);
        match self.nodes.replace(sum) {
            Some(before) if before != sum => Err(Error::data(
                "the nodes of the server are others than those of which some were read already",
            )
            .with_help("start anew with another --state, or name the nodes by their ids")),
            _ => Ok(()),
        }
    }

    pub(super) fn to_bytes(self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self)
            .map_err(|error| Error::internal(format!("the position cannot be written: {error}")))
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|_| Error::data("the saved position is not one of the history of an OPC UA server"))
    }
}

/// FNV-1a, 64 bits, of ids and paths.
fn checksum(nodes: &[Node]) -> u64 {
    let texts = nodes.iter().flat_map(|node| [&node.written, &node.path]);
    let bytes = texts.flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    #[test]
    fn values_of_one_time_are_counted() {
        let mut position = Position::start(at(5));
        assert_eq!((position.time(), position.seen), (at(5), 0));
        [5, 5, 6, 7, 7].into_iter().for_each(|time| position.pass(at(time)));
        assert_eq!((position.time(), position.seen), (at(7), 2));
        position.next_node(at(5));
        assert_eq!((position.node, position.time(), position.seen), (1, at(5), 0));
        let bytes = position.to_bytes().expect("bytes");
        assert_eq!(Position::of_bytes(&bytes).expect("a position"), position);
        assert!(Position::of_bytes(b"x").is_err());
    }

    #[test]
    fn other_nodes_are_noticed() {
        let node = |path: &str| Node { path: path.into(), ..Node::default() };
        let mut position = Position::start(at(0));
        position.check(&[node("a"), node("b")]).expect("the first");
        position.check(&[node("a"), node("b")]).expect("the same");
        let error = position.check(&[node("ab")]).expect_err("others").to_string();
        assert!(error.contains("--state"), "{error}");
    }
}
