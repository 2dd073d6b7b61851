//! The thread of the source, and the bounded channel from which workers take what it has read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, SendTimeoutError, Sender, bounded};

use crate::error::Result;
use crate::pipeline::WhenFull;
use crate::runtime::crew::{Claim, Dropped, Feed, Piece, Spent};
use crate::runtime::inlet::{Arrived, Inlet};
use crate::runtime::room::Room;
use crate::runtime::schedule::Schedule;
use crate::sensor::SensorIds;
use crate::source::{Input, Progress, Recorder};
use crate::time::Timestamp;

/// Bytes that may have been read and not been handed to the sinks.
const ROOM: usize = 4 << 20;

/// Pieces that may wait for a worker.
const PIECES: usize = 64;

/// How long the source's thread waits for the workers before it looks whether the run has failed.
const PATIENCE: Duration = Duration::from_millis(50);

/// What the source's thread keeps.
pub(super) struct Reader {
    pub(super) source: Inlet,
    pub(super) ids: SensorIds,
    sender: Sender<Claim>,
    room: Arc<Room>,
    stop: Arc<AtomicBool>,
    /// Set when the run has failed.
    cancelled: Arc<AtomicBool>,
    next: u64,
    /// Says when a checkpoint is due.
    schedule: Schedule,
    /// Whether anything has come since the last one, be it a part of a record.
    is_dirty: bool,
    /// How far the source was when it was asked last.
    reached: u64,
    policy: Policy,
    /// Where the pieces are kept that are taken on.
    record: Option<Recorder>,
    /// What was dropped since the last piece.
    dropped: Dropped,
}

/// How live input is taken on.
#[derive(Clone)]
pub(super) struct Policy {
    /// What is believed of a record's time, in nanoseconds ahead of the clock.
    pub(super) max_ahead: i64,
    pub(super) when_full: WhenFull,
    /// Nothing is read any more.
    pub(super) finishes: bool,
    /// Where it is stopped, it goes on later.
    pub(super) goes_on: bool,
}

/// What workers take pieces from.
pub(super) struct Intake {
    receiver: Receiver<Claim>,
}

/// What the source's thread gives back.
pub(super) struct Read {
    pub(super) ended: Ended,
    /// Records dropped behind the last piece.
    pub(super) dropped: u64,
    pub(super) source: Inlet,
}

/// What the source says of a piece.
#[derive(Default)]
struct About {
    received: Option<Timestamp>,
    progress: Progress,
}

/// Why the source's thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is no more input.
    Over,
    /// The run was asked to stop; what had come in is on its way.
    Stopped,
    /// The source or a worker has failed.
    Failed,
}

/// Both ends of the channel between `source` and the workers.
pub(super) fn between(
    source: Inlet,
    ids: SensorIds,
    stop: Arc<AtomicBool>,
    cancelled: Arc<AtomicBool>,
    schedule: Schedule,
    policy: Policy,
    record: Option<Recorder>,
) -> (Reader, Intake) {
    if policy.when_full == WhenFull::Drop {
        record.iter().for_each(Recorder::hold);
    }
    let (sender, receiver) = bounded(PIECES);
    let reader = Reader {
        source,
        ids,
        sender,
        room: Room::new(ROOM),
        stop,
        cancelled,
        next: 0,
        schedule,
        is_dirty: false,
        reached: 0,
        policy,
        dropped: Dropped::default(),
        record,
    };
    (reader, Intake { receiver })
}

impl Reader {
    /// The life of the source's thread: it waits for the source, and for room among what waits for the workers; it ends with the
    /// input, when the run is asked to stop, or when the run has failed. The workers end when the channel is empty and this is gone.
    pub(super) fn read(mut self) -> Read {
        let ended = loop {
            if self.is_cancelled() {
                break Ended::Failed;
            }
            if self.policy.finishes {
                break self.drain(Ended::Over, false);
            }
            if self.stop.load(Ordering::Relaxed) {
                break self.drain(Ended::Stopped, self.policy.goes_on);
            }
            if self.schedule.is_due(self.is_dirty) {
                let cut = self.source.save().map_or_else(Piece::Failed, Piece::Cut);
                self.is_dirty = false;
                if !self.send(cut, About::default()) {
                    break Ended::Failed;
                }
            }
            let next = match self.source.next(&mut self.ids) {
                Ok(None) => break Ended::Over,
                Ok(Some(Arrived { input: Input::Nothing, progress, .. })) => {
                    self.is_dirty |= progress.done != self.reached;
                    self.reached = progress.done;
                    continue;
                }
                Ok(Some(arrived)) => {
                    self.reached = arrived.progress.done;
                    Ok(arrived)
                }
                Err(error) => Err(error),
            };
            self.is_dirty = true;
            if !self.hand_on(next) {
                break Ended::Failed;
            }
        };
        Read { ended, dropped: self.dropped.records, source: self.source }
    }

    /// Hands on what the source has taken in already, and takes no more; then the reading has `ended`.
    fn drain(&mut self, ended: Ended, goes_on: bool) -> Ended {
        loop {
            let next = match self.source.drain(goes_on) {
                Ok(None) => return ended,
                Ok(Some(arrived)) => Ok(arrived),
                Err(error) => Err(error),
            };
            if !self.hand_on(next) {
                return Ended::Failed;
            }
        }
    }

    /// Hands on what the source gave; whether more may follow.
    fn hand_on(&mut self, next: Result<Arrived>) -> bool {
        match next {
            Err(error) => {
                self.send(Piece::Failed(error), About::default());
                false
            }
            Ok(Arrived { input, received, progress }) => {
                self.send(Piece::Input(input), About { received, progress })
            }
        }
    }

    /// Hands a piece to the workers as soon as they have room for it; whether it did. Where the pipeline says so, what there is no
    /// room for is dropped.
    fn send(&mut self, piece: Piece, About { received, progress }: About) -> bool {
        let arrived = Instant::now();
        let latest = received.map(|received| received.saturating_add(self.policy.max_ahead));
        let may_drop = self.policy.when_full == WhenFull::Drop && matches!(piece, Piece::Input(_));
        let patience = if may_drop { Duration::ZERO } else { PATIENCE };
        let place = loop {
            match self.room.take(size(&piece), patience) {
                Some(place) => break place,
                None if self.is_cancelled() => return false,
                None if may_drop => {
                    return self.drop_piece(Dropped::default(), &piece);
                }
                None => {}
            }
        };
        let dropped = std::mem::take(&mut self.dropped);
        let ordinal = self.next;
        let mut claim =
            Claim { ordinal, piece, progress, arrived: Some(arrived), dropped, latest, place: Some(place) };
        loop {
            claim = match self.sender.send_timeout(claim, patience) {
                Ok(()) => break,
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Err(SendTimeoutError::Timeout(_)) if self.is_cancelled() => return false,
                Err(SendTimeoutError::Timeout(claim)) if may_drop => {
                    return self.drop_piece(claim.dropped, &claim.piece);
                }
                Err(SendTimeoutError::Timeout(claim)) => claim,
            };
        }
        self.next += 1;
        match self.record.as_ref().map_or(Ok(()), Recorder::accept) {
            Ok(()) => true,
            Err(error) => {
                self.send(Piece::Failed(error), About::default());
                false
            }
        }
    }

    /// Counts a piece that there is no room for, with what was dropped before; the run goes on.
    fn drop_piece(&mut self, before: Dropped, piece: &Piece) -> bool {
        self.record.iter().for_each(Recorder::drop_held);
        let Dropped { records, lines } = size_of_dropped(piece);
        self.dropped.records += before.records + records;
        self.dropped.lines += before.lines + lines;
        true
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
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
