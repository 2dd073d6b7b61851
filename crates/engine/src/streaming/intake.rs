//! The threads of the sources, and the channel to the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;

use super::gate::Gate;
use crate::error::Result;
use crate::pipeline::WhenFull;
use crate::runtime::crew::{Claim, Dropped, Feed, Piece, Spent};
use crate::runtime::inlet::{Arrived, Inlet, Share};
use crate::runtime::inlets::Inlets;
use crate::runtime::meters::CrewMeters;
use crate::runtime::room::Room;
use crate::sensor::SensorIds;
use crate::source::{Input, Progress};

/// Maximum bytes in flight from the sources of one thread: sent, but not passed to the sinks yet.
const ROOM: usize = 4 << 20;

/// Maximum pieces in flight.
const PIECES: usize = 64;

/// How long a thread waits for the workers before it checks whether the run has failed.
const PATIENCE: Duration = Duration::from_millis(50);

/// A thread that reads sources: either all that end, one after the other, or one that does not.
pub(super) struct SourceReader {
    inlets: Inlets,
    /// The source that was read last.
    source: usize,
    ids: SensorIds,
    gate: Arc<Gate>,
    room: Arc<Room>,
    /// Its progress when last queried.
    reached: u64,
    policy: Policy,
    /// Whether cuts are made without this thread.
    is_resting: bool,
    /// What was dropped since the last piece.
    dropped: Dropped,
}

/// How live input is accepted.
#[derive(Clone)]
pub(super) struct Policy {
    /// By source.
    pub(super) when_full: Vec<WhenFull>,
    /// The run only finishes earlier input: nothing is read.
    pub(super) finishes: bool,
    /// The run only delivers what earlier ones had not: nothing is read, and the run is paused.
    pub(super) delivers: bool,
    /// If stopped, the run can resume.
    pub(super) can_resume: bool,
    /// Set when the run is to stop.
    pub(super) stop: Arc<AtomicBool>,
    /// Set when the run has failed.
    pub(super) cancelled: Arc<AtomicBool>,
    /// What other threads see.
    pub(super) meters: Option<Arc<CrewMeters>>,
}

/// The receiving end of the channel, shared by the workers.
pub(super) struct Intake {
    receiver: Receiver<Claim>,
}

impl Intake {
    /// Wraps a channel whose content is bounded by the senders.
    pub(super) fn new(receiver: Receiver<Claim>) -> Self {
        Self { receiver }
    }
}

/// The result of a thread.
pub(super) struct ReadResult {
    pub(super) ended: ReadEnd,
    /// For the source that was read last: records dropped after its last piece.
    pub(super) dropped: (usize, u64),
    pub(super) inlets: Inlets,
}

/// Why a thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ReadEnd {
    /// The input has ended.
    Over,
    /// The run was stopped; what had arrived has been sent.
    Stopped,
    /// A source or a worker has failed.
    Failed,
}

impl SourceReader {
    /// A thread that reads `inlets` and sends through `gate`.
    pub(super) fn new(inlets: Inlets, ids: SensorIds, gate: Arc<Gate>, policy: Policy) -> Self {
        let drops = |inlet: &&Inlet| policy.when_full[inlet.at()] == WhenFull::Drop;
        inlets.iter().filter(drops).for_each(Inlet::hold);
        let source = inlets.iter().next().map_or(0, Inlet::at);
        gate.enter();
        let shown = policy.meters.as_ref().map(|meters| meters.queued(source));
        let room = Room::new(ROOM, PIECES, shown.unwrap_or_default());
        Self {
            inlets,
            source,
            ids,
            gate,
            room,
            reached: 0,
            policy,
            is_resting: false,
            dropped: Dropped::default(),
        }
    }

    /// The main loop of the thread. It waits for its sources, and for room in the channel; it ends with the input, at a stop, or when the
    /// run has failed. The workers end when the channel is empty and all senders are gone.
    pub(super) fn read(mut self) -> ReadResult {
        let ended = self.read_all();
        let noted = self.gate.leave(&self.inlets);
        let ended = if noted.is_ok() { ended } else { self.fail(noted) };
        let dropped = (self.source, self.dropped.records);
        ReadResult { ended, dropped, inlets: self.inlets }
    }

    fn read_all(&mut self) -> ReadEnd {
        let mut is_idle = false;
        loop {
            if self.is_cancelled() {
                return ReadEnd::Failed;
            }
            if self.policy.delivers {
                return ReadEnd::Stopped;
            }
            if self.policy.finishes {
                return self.drain(ReadEnd::Over, false);
            }
            if self.policy.stop.load(Ordering::Relaxed) {
                return self.drain(ReadEnd::Stopped, self.policy.can_resume);
            }
            match self.gate.cut(&self.inlets) {
                Ok(true) => {}
                Ok(false) => return ReadEnd::Failed,
                Err(error) => return self.fail(Err(error)),
            }
            if std::mem::take(&mut is_idle) && self.gate.has_others() {
                if let Err(error) = self.gate.rest(&self.inlets) {
                    return self.fail(Err(error));
                }
                self.is_resting = true;
            }
            let next = self.inlets.look(&mut self.ids);
            if let Some(meters) = &self.policy.meters {
                self.inlets.iter().for_each(|inlet| meters.waits(inlet.at(), inlet.waiting()));
            }
            if std::mem::take(&mut self.is_resting) {
                self.gate.wake();
            }
            let next = match next {
                Ok(None) => return ReadEnd::Over,
                Ok(Some(arrived)) if arrived.is_nothing() => {
                    let done = arrived.progress.done;
                    if done != self.reached {
                        self.gate.mark();
                    }
                    self.reached = done;
                    is_idle = true;
                    continue;
                }
                Ok(Some(arrived)) => {
                    self.reached = arrived.progress.done;
                    Ok(arrived)
                }
                Err(error) => Err(error),
            };
            if !self.hand_on(next) {
                return ReadEnd::Failed;
            }
        }
    }

    /// Sends what the source has received already, without reading more; then the thread has `ended`.
    fn drain(&mut self, ended: ReadEnd, can_resume: bool) -> ReadEnd {
        loop {
            let given = match self.policy.finishes {
                true => self.inlets.finish(&mut self.ids),
                false => self.inlets.drain(can_resume, &mut self.ids),
            };
            let next = match given {
                Ok(None) => return ended,
                Ok(Some(arrived)) => Ok(arrived),
                Err(error) => Err(error),
            };
            if !self.hand_on(next) {
                return ReadEnd::Failed;
            }
        }
    }

    /// Makes the run fail.
    fn fail(&mut self, failed: Result<()>) -> ReadEnd {
        if let Err(error) = failed {
            self.send(Piece::Failed(error), Progress::default());
        }
        ReadEnd::Failed
    }

    /// Sends what the source returned; returns whether more may follow.
    fn hand_on(&mut self, next: Result<Arrived>) -> bool {
        match next {
            Err(error) => {
                self.fail(Err(error));
                false
            }
            Ok(arrived) => {
                self.source = arrived.source();
                let Arrived { shares, progress } = arrived;
                self.send(Piece::Input(shares), progress)
            }
        }
    }

    /// Hands a piece to the workers as soon as they have room for it; whether it did. Where the pipeline says so, what there is no
    /// room for is dropped.
    fn send(&mut self, piece: Piece, progress: Progress) -> bool {
        let (arrived, source) = (Instant::now(), self.source);
        let may_drop = self.policy.when_full[source] == WhenFull::Drop && is_of_one_source(&piece);
        let patience = if may_drop { Duration::ZERO } else { PATIENCE };
        let place = loop {
            match self.room.take(size(&piece), patience) {
                Some(place) => break place,
                None if self.is_cancelled() => return false,
                None if may_drop => return self.drop_piece(&piece),
                None => {}
            }
        };
        let dropped = std::mem::take(&mut self.dropped);
        let claim = |ordinal| Claim {
            ordinal,
            piece,
            source,
            progress,
            arrived: Some(arrived),
            dropped,
            place: Some(place),
        };
        let Some(ordinal) = self.gate.send(claim) else { return false };
        match self.inlets.inlet(source).map_or(Ok(()), |inlet| inlet.accept(ordinal)) {
            Ok(()) => true,
            Err(error) => {
                self.fail(Err(error));
                false
            }
        }
    }

    /// Counts a dropped piece; the run continues.
    fn drop_piece(&mut self, piece: &Piece) -> bool {
        self.inlets.inlet(self.source).into_iter().for_each(Inlet::drop_piece);
        let Dropped { records, lines } = size_of_dropped(piece);
        self.dropped.records += records;
        self.dropped.lines += lines;
        true
    }

    fn is_cancelled(&self) -> bool {
        self.policy.cancelled.load(Ordering::Acquire)
    }
}

fn is_of_one_source(piece: &Piece) -> bool {
    matches!(piece, Piece::Input(shares) if shares.len() == 1)
}

/// The bytes that a piece takes, about.
fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Input(shares) => shares.iter().map(size_of_share).sum(),
        Piece::Failed(_) | Piece::Cut(_) | Piece::Reload(_) => 0,
    }
}

fn size_of_share(share: &Share) -> usize {
    match &share.input {
        Input::Chunk(chunk) => chunk.bytes.len(),
        Input::Records(decoded) => {
            let batch = &decoded.batch;
            batch.len() * 8 * batch.schema().fields().len() + batch.text.len()
        }
        // Of which there will be one for each worker: the others are not in memory yet.
        Input::Deferred(deferred) => {
            usize::try_from(deferred.records()).map_or(usize::MAX, |records| records.saturating_mul(32))
        }
        Input::Nothing | Input::Foreseen(_) => 0,
    }
}

/// The size of a dropped piece: one record per line, since it is not decoded.
fn size_of_dropped(piece: &Piece) -> Dropped {
    let Piece::Input(shares) = piece else { return Dropped::default() };
    // What may be dropped comes live, and is of one source.
    let [Share { input, .. }] = &shares[..] else { return Dropped::default() };
    match input {
        Input::Chunk(chunk) => {
            let lines = chunk.decoder.lines(chunk.bytes.as_slice());
            // Chunks with their own line numbers, such as those of connections, do not need the count.
            let is_counted = chunk.offset.line == 0;
            Dropped { records: lines, lines: if is_counted { lines } else { 0 } }
        }
        Input::Records(decoded) => {
            Dropped { records: (decoded.batch.len() + decoded.rejections.len()) as u64, lines: 0 }
        }
        Input::Deferred(deferred) => Dropped { records: deferred.records(), lines: 0 },
        Input::Foreseen(foreseen) => Dropped { records: foreseen.records, lines: 0 },
        Input::Nothing => Dropped::default(),
    }
}

impl Feed for Intake {
    fn claim(&self, _ids: &mut SensorIds, spent: &mut Spent) -> Option<Claim> {
        let start = Instant::now();
        let claim = self.receiver.recv().ok();
        spent.claiming += start.elapsed();
        claim
    }
}
