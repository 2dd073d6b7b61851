//! The threads of the sources, and the channel from which workers take what they have read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;

use super::gate::Gate;
use crate::error::Result;
use crate::pipeline::WhenFull;
use crate::runtime::crew::{Claim, Dropped, Feed, Piece, Spent};
use crate::runtime::inlet::{Arrived, Inlet};
use crate::runtime::inlets::Inlets;
use crate::runtime::room::Room;
use crate::sensor::SensorIds;
use crate::source::{Input, Progress};
use crate::time::Timestamp;

/// Bytes that the sources of one thread may have given that have not been handed to the sinks.
const ROOM: usize = 4 << 20;

/// Pieces of them.
const PIECES: usize = 64;

/// How long a thread waits for the workers before it looks whether the run has failed.
const PATIENCE: Duration = Duration::from_millis(50);

/// A thread that reads sources: those that end one after the other, one that does not alone.
pub(super) struct Reader {
    inlets: Inlets,
    /// The source that was read last.
    source: usize,
    ids: SensorIds,
    gate: Arc<Gate>,
    room: Arc<Room>,
    /// How far the source was when it was asked last.
    reached: u64,
    policy: Policy,
    /// Whether the others make cuts without it.
    is_resting: bool,
    /// What was dropped since the last piece.
    dropped: Dropped,
}

/// How live input is taken on.
#[derive(Clone)]
pub(super) struct Policy {
    /// By source.
    pub(super) when_full: Vec<WhenFull>,
    /// Nothing is read any more.
    pub(super) finishes: bool,
    /// Where it is stopped, it goes on later.
    pub(super) goes_on: bool,
    /// Set when the run is to stop.
    pub(super) stop: Arc<AtomicBool>,
    /// Set when the run has failed.
    pub(super) cancelled: Arc<AtomicBool>,
}

/// What workers take pieces from.
pub(super) struct Intake {
    receiver: Receiver<Claim>,
}

impl Intake {
    /// What comes out of a channel that is bounded by the room of those who send.
    pub(super) fn new(receiver: Receiver<Claim>) -> Self {
        Self { receiver }
    }
}

/// What a thread gives back.
pub(super) struct Read {
    pub(super) ended: Ended,
    /// Of the source that was read last: records dropped behind its last piece.
    pub(super) dropped: (usize, u64),
    pub(super) inlets: Inlets,
}

/// What the source says of a piece.
#[derive(Default)]
struct About {
    latest: Option<Timestamp>,
    progress: Progress,
}

/// Why a thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ended {
    /// There is no more input.
    Over,
    /// The run was asked to stop; what had come in is on its way.
    Stopped,
    /// A source or a worker has failed.
    Failed,
}

impl Reader {
    /// Will read `inlets` through `gate`.
    pub(super) fn new(inlets: Inlets, ids: SensorIds, gate: Arc<Gate>, policy: Policy) -> Self {
        let drops = |inlet: &&Inlet| policy.when_full[inlet.at()] == WhenFull::Drop;
        inlets.iter().filter(drops).for_each(Inlet::hold);
        let source = inlets.iter().next().map_or(0, Inlet::at);
        gate.enter();
        let room = Room::new(ROOM, PIECES);
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

    /// The life of the thread: it waits for its sources, and for room among what waits for the workers; it ends with the
    /// input, when the run is asked to stop, or when the run has failed. The workers end when the channel is empty and all these are gone.
    pub(super) fn read(mut self) -> Read {
        let ended = self.read_all();
        let noted = self.gate.leave(&self.inlets);
        let ended = if noted.is_ok() { ended } else { self.fail(noted) };
        let dropped = (self.source, self.dropped.records);
        Read { ended, dropped, inlets: self.inlets }
    }

    fn read_all(&mut self) -> Ended {
        let mut is_idle = false;
        loop {
            if self.is_cancelled() {
                return Ended::Failed;
            }
            if self.policy.finishes {
                return self.drain(Ended::Over, false);
            }
            if self.policy.stop.load(Ordering::Relaxed) {
                return self.drain(Ended::Stopped, self.policy.goes_on);
            }
            match self.gate.cut(&self.inlets) {
                Ok(true) => {}
                Ok(false) => return Ended::Failed,
                Err(error) => return self.fail(Err(error)),
            }
            if std::mem::take(&mut is_idle) && self.gate.has_others() {
                if let Err(error) = self.gate.rest(&self.inlets) {
                    return self.fail(Err(error));
                }
                self.is_resting = true;
            }
            let next = self.inlets.look(&mut self.ids);
            if std::mem::take(&mut self.is_resting) {
                self.gate.wake();
            }
            let next = match next {
                Ok(None) => return Ended::Over,
                Ok(Some(Arrived { input: Input::Nothing, progress, .. })) => {
                    if progress.done != self.reached {
                        self.gate.mark();
                    }
                    self.reached = progress.done;
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
                return Ended::Failed;
            }
        }
    }

    /// Hands on what the source has taken in already, and takes no more; then the reading has `ended`.
    fn drain(&mut self, ended: Ended, goes_on: bool) -> Ended {
        loop {
            let given = match self.policy.finishes {
                true => self.inlets.finish(),
                false => self.inlets.drain(goes_on),
            };
            let next = match given {
                Ok(None) => return ended,
                Ok(Some(arrived)) => Ok(arrived),
                Err(error) => Err(error),
            };
            if !self.hand_on(next) {
                return Ended::Failed;
            }
        }
    }

    /// Lets the run fail.
    fn fail(&mut self, failed: Result<()>) -> Ended {
        if let Err(error) = failed {
            self.send(Piece::Failed(error), About::default());
        }
        Ended::Failed
    }

    /// Hands on what the source gave; whether more may follow.
    fn hand_on(&mut self, next: Result<Arrived>) -> bool {
        match next {
            Err(error) => {
                self.fail(Err(error));
                false
            }
            Ok(Arrived { input, source, latest, progress }) => {
                self.source = source;
                self.send(Piece::Input(input), About { latest, progress })
            }
        }
    }

    /// Hands a piece to the workers as soon as they have room for it; whether it did. Where the pipeline says so, what there is no
    /// room for is dropped.
    fn send(&mut self, piece: Piece, About { latest, progress }: About) -> bool {
        let (arrived, source) = (Instant::now(), self.source);
        let may_drop = self.policy.when_full[source] == WhenFull::Drop && matches!(piece, Piece::Input(_));
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
            latest,
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

    /// Counts a piece that there is no room for; the run goes on.
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

/// The bytes that a piece takes, about.
fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Input(Input::Chunk(chunk)) => chunk.bytes.len(),
        Piece::Input(Input::Records(decoded)) => {
            let batch = &decoded.batch;
            batch.len() * 8 * batch.schema().fields().len() + batch.text.len()
        }
        Piece::Input(Input::Nothing | Input::Foreseen(_)) | Piece::Failed(_) | Piece::Cut(_) => 0,
    }
}

/// How much a piece has that is dropped unread: a record for each of its lines.
fn size_of_dropped(piece: &Piece) -> Dropped {
    match piece {
        Piece::Input(Input::Chunk(chunk)) => {
            let lines = chunk.decoder.lines(chunk.bytes.as_slice());
            // A chunk that knows where it stands, as those of connections do, is followed by others that do.
            let is_counted = chunk.offset.line == 0;
            Dropped { records: lines, lines: if is_counted { lines } else { 0 } }
        }
        Piece::Input(Input::Records(decoded)) => {
            Dropped { records: (decoded.batch.len() + decoded.rejections.len()) as u64, lines: 0 }
        }
        Piece::Input(Input::Foreseen(foreseen)) => Dropped { records: foreseen.records, lines: 0 },
        _ => Dropped::default(),
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
