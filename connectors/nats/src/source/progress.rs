//! Which messages of a stream were read. This, in the checkpoint, is the truth: acknowledgements only tell the server what it need not send again, and it may forget them.
//!
//! Messages usually come in the order of their numbers, but not always: one whose acknowledgement is late or was lost comes again, behind newer ones. So the position is the set of
//! the numbers that were read: all up to the `floor`, which the server reports as acknowledged (and nothing is acknowledged before it is durable), and single ones above.
//! A number alone does not tell whether the stream still has the same message there: the time at which the newest one was stored does.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemill_engine::error::{Error, Result};

/// The version of positions.
const VERSION: u8 = 2;

/// What acknowledges a message: the subject to which the answer goes.
pub(super) type Reply = Box<str>;

/// The message with the highest number that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Newest {
    /// 0 if none was read.
    pub(super) sequence: u64,
    /// When the stream has stored it, in nanoseconds since 1970.
    pub(super) stored: i64,
}

/// The messages that were read.
#[derive(Debug)]
pub(super) struct Progress {
    /// Everything up to here was read and acknowledged. Raised by the thread of the connection.
    floor: Arc<AtomicU64>,
    /// When the stream was made, in nanoseconds since 1970; 0 while that is not known.
    pub(super) created: i64,
    /// Who reads: a number that all runs of a state have in common, and no others.
    pub(super) owner: u64,
    pub(super) newest: Newest,
    /// Read, durable, and above the floor.
    durable: BTreeSet<u64>,
    /// Read, and not durable.
    pending: BTreeMap<u64, Reply>,
    /// Those, in the order in which they were read.
    order: VecDeque<u64>,
    /// Messages read so far, also in earlier runs.
    read: u64,
}

/// A position as saved.
#[derive(Debug, PartialEq)]
pub(super) struct Position {
    pub(super) created: i64,
    owner: u64,
    newest: Newest,
    floor: u64,
    read: u64,
    above: Vec<u64>,
}

impl Progress {
    pub(super) fn new(floor: Arc<AtomicU64>) -> Self {
        Self {
            floor,
            created: 0,
            owner: RandomState::new().build_hasher().finish(),
            newest: Newest::default(),
            durable: BTreeSet::new(),
            pending: BTreeMap::new(),
            order: VecDeque::new(),
            read: 0,
        }
    }

    /// Whether the stream has another message now where the newest one was that was read: it has lost its end, and the numbers mean something else.
    pub(super) fn is_other(&self, sequence: u64, stored: i64) -> bool {
        sequence == self.newest.sequence && stored != self.newest.stored
    }

    /// Takes the message with this number: `Ok(())` if it is new, or else what is to be acknowledged at once, if anything.
    pub(super) fn take(
        &mut self,
        sequence: u64,
        stored: i64,
        reply: &str,
    ) -> std::result::Result<(), Option<(u64, Reply)>> {
        if sequence <= self.floor.load(Ordering::Acquire) || self.durable.contains(&sequence) {
            return Err(Some((sequence, reply.into())));
        }
        let before = self.pending.insert(sequence, reply.into());
        if before.is_some() {
            // The newer subject acknowledges it later.
            return Err(None);
        }
        self.order.push_back(sequence);
        self.saw(sequence, stored);
        self.read += 1;
        Ok(())
    }

    /// A message with this number was read.
    pub(super) fn saw(&mut self, sequence: u64, stored: i64) {
        if sequence > self.newest.sequence {
            self.newest = Newest { sequence, stored };
        }
    }

    /// Messages that were read and are not acknowledged.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.pending.len() as u64
    }

    /// Everything that was read, as bytes.
    pub(super) fn position(&self) -> Vec<u8> {
        let floor = self.floor.load(Ordering::Acquire);
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.created.to_le_bytes());
        out.extend_from_slice(&self.owner.to_le_bytes());
        out.extend_from_slice(&self.newest.sequence.to_le_bytes());
        out.extend_from_slice(&self.newest.stored.to_le_bytes());
        out.extend_from_slice(&floor.to_le_bytes());
        out.extend_from_slice(&self.read.to_le_bytes());
        let above: BTreeSet<u64> =
            self.durable.range(floor + 1..).copied().chain(self.pending.keys().copied()).collect();
        let mut last = floor;
        for sequence in above.into_iter().filter(|&sequence| sequence > floor) {
            push_varint(sequence - last, &mut out);
            last = sequence;
        }
        out
    }

    /// Continues behind a position of an earlier run.
    pub(super) fn resume(&mut self, position: Position) {
        self.floor.store(position.floor, Ordering::Release);
        (self.created, self.owner, self.newest) = (position.created, position.owner, position.newest);
        self.read = position.read;
        self.durable = position.above.into_iter().collect();
    }

    /// The messages before a position are durable: returns those that are to be acknowledged.
    pub(super) fn durable(&mut self, position: &Position) -> Vec<(u64, Reply)> {
        let mut acknowledged = Vec::new();
        while self.read - (self.order.len() as u64) < position.read {
            let Some(sequence) = self.order.pop_front() else { break };
            acknowledged.extend(self.pending.remove_entry(&sequence));
            self.durable.insert(sequence);
        }
        self.durable = self.durable.split_off(&(self.floor.load(Ordering::Acquire) + 1));
        acknowledged
    }
}

impl Position {
    pub(super) fn of(mut bytes: &[u8]) -> Result<Self> {
        Self::read_from(&mut bytes)
            .ok_or_else(|| Error::data("the saved position is not one of a NATS source"))
    }

    fn read_from(bytes: &mut &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        *bytes = rest;
        if version != VERSION {
            return None;
        }
        let created = i64::from_le_bytes(fixed(bytes)?);
        let owner = u64::from_le_bytes(fixed(bytes)?);
        let (sequence, stored) = (u64::from_le_bytes(fixed(bytes)?), i64::from_le_bytes(fixed(bytes)?));
        let floor = u64::from_le_bytes(fixed(bytes)?);
        let read = u64::from_le_bytes(fixed(bytes)?);
        let (mut above, mut last) = (Vec::new(), floor);
        while !bytes.is_empty() {
            last = last.checked_add(varint(bytes)?)?;
            above.push(last);
        }
        Some(Self { created, owner, newest: Newest { sequence, stored }, floor, read, above })
    }
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for at in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(7 * at)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn progress() -> (Progress, Arc<AtomicU64>) {
        let floor = Arc::new(AtomicU64::new(0));
        (Progress::new(Arc::clone(&floor)), floor)
    }

    #[test]
    fn a_message_is_new_once_and_acknowledged_when_it_is_durable() {
        let (mut progress, floor) = progress();
        assert_eq!(progress.take(5, 0, "a"), Ok(()));
        assert_eq!(progress.take(7, 0, "b"), Ok(()));
        let position = progress.position();
        assert_eq!(progress.take(9, 0, "c"), Ok(()));
        // Sent again before it was durable: the newer answer counts.
        assert_eq!(progress.take(5, 0, "d"), Err(None));
        let position = Position::of(&position).expect("a position");
        assert_eq!(progress.durable(&position), [(5, "d".into()), (7, "b".into())]);
        assert_eq!(progress.durable(&position), []);
        assert_eq!(progress.unacknowledged(), 1);
        // Sent again after that.
        assert_eq!(progress.take(7, 0, "e"), Err(Some((7, "e".into()))));
        floor.store(7, Ordering::Release);
        assert_eq!(progress.take(3, 0, "f"), Err(Some((3, "f".into()))));
    }

    #[test]
    fn a_resumed_run_skips_what_was_read_in_whatever_order_it_comes() {
        let (mut first, floor) = progress();
        for sequence in [1, 2, 4, 10] {
            assert_eq!(first.take(sequence, 0, "r"), Ok(()));
        }
        floor.store(2, Ordering::Release);
        let position = Position::of(&first.position()).expect("a position");
        assert_eq!(position.above, [4, 10]);
        let (mut second, _) = progress();
        second.resume(position);
        for sequence in [10, 4, 2, 1] {
            assert!(second.take(sequence, 0, "s").is_err());
        }
        for sequence in [3, 5, 11] {
            assert_eq!(second.take(sequence, 0, "s"), Ok(()));
        }
    }

    #[test]
    fn another_message_in_the_place_of_the_newest_is_noticed_also_by_a_resumed_run() {
        let (mut first, _) = progress();
        assert!(!first.is_other(1, 10));
        assert_eq!((first.take(1, 10, "r"), first.take(2, 20, "r")), (Ok(()), Ok(())));
        let (mut second, _) = progress();
        assert_ne!(first.owner, second.owner);
        second.resume(Position::of(&first.position()).expect("a position"));
        assert_eq!((first.owner, first.newest), (second.owner, second.newest));
        for progress in [first, second] {
            assert!(!progress.is_other(2, 20) && !progress.is_other(1, 99) && progress.is_other(2, 21));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_whatever_order_is_read_once_across_restarts(
            steps in proptest::collection::vec((1..60_u64, 0..6_u8), 1..300),
        ) {
            let (mut progress, mut floor) = progress();
            let mut saved = progress.position();
            // What a checkpoint has, and what was read since.
            let (mut kept, mut since, mut acknowledged) = (Vec::new(), Vec::new(), BTreeSet::new());
            for (sequence, step) in steps {
                match step {
                    0 => {
                        saved = progress.position();
                        kept.append(&mut since);
                        let position = Position::of(&saved).expect("a position");
                        acknowledged.extend(progress.durable(&position).into_iter().map(|(sequence, _)| sequence));
                        // The server's floor: all messages up to it are acknowledged.
                        let reached = (1..).take_while(|sequence| acknowledged.contains(sequence)).last();
                        floor.fetch_max(reached.unwrap_or(0), Ordering::AcqRel);
                    }
                    1 => {
                        since.clear();
                        (progress, floor) = super::tests::progress();
                        progress.resume(Position::of(&saved).expect("a position"));
                    }
                    _ => match progress.take(sequence, 0, "r") {
                        Ok(()) => since.push(sequence),
                        Err(_) => prop_assert!(kept.contains(&sequence) || since.contains(&sequence)),
                    },
                }
            }
            kept.extend(since);
            let once: BTreeSet<u64> = kept.iter().copied().collect();
            prop_assert_eq!(once.len(), kept.len());
        }

        #[test]
        fn no_bytes_are_harmful(bytes in any::<Vec<u8>>()) {
            let _result = Position::of(&bytes);
        }
    }
}
