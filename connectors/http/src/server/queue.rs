//! What has been received, and is not in the pipeline yet: bounded in bytes. Each request has a ticket, in the order in which the pipeline takes them; its answer
//! waits until that is durable.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemill_engine::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::content::Content;
use super::fields::Values;

/// Bytes of one permit: a semaphore has no more permits than fit into 32 bits.
const UNIT: usize = 1024;

/// A request that was accepted.
pub(super) struct Accepted {
    pub(super) content: Content,
    pub(super) values: Values,
    pub(super) received: Timestamp,
    /// Tells the sender that its records are safe.
    pub(super) answer: oneshot::Sender<()>,
    pub(super) claim: Claim,
    /// Given back when the pipeline has taken the request.
    pub(super) room: Room,
}

/// Who has a request that was accepted: the queue, until the pipeline takes it or the sender gives up. So what a sender sends again because it got no answer is not there twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim(Arc<AtomicU8>);

/// The states of a claim.
const QUEUED: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Claim {
    fn change(&self, to: u8) -> bool {
        self.0.compare_exchange(QUEUED, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Takes the request into the pipeline; false if it was withdrawn.
    fn take(&self) -> bool {
        self.change(TAKEN)
    }

    /// Withdraws the request; false if it was taken.
    pub(super) fn withdraw(&self) -> bool {
        self.change(WITHDRAWN)
    }
}

/// Room that a request takes.
#[derive(Debug)]
pub(super) struct Room(OwnedSemaphorePermit);

/// The end of requests.
#[derive(Clone)]
pub(super) struct Entry {
    sender: Arc<Mutex<Option<Sender<Accepted>>>>,
    room: Arc<Semaphore>,
    /// All permits: what is larger takes all of them.
    most: u32,
}

/// The end of the pipeline.
pub(super) struct Exit {
    receiver: Receiver<Accepted>,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    /// The last ticket.
    last: u64,
}

/// A queue with room for `bytes`.
pub(super) fn queue(bytes: usize) -> (Entry, Exit) {
    let (sender, receiver) = channel();
    let most = units(bytes);
    let room = Arc::new(Semaphore::new(most as usize));
    let entry = Entry { sender: Arc::new(Mutex::new(Some(sender))), room, most };
    (entry, Exit { receiver, waiting: VecDeque::new(), last: 0 })
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1)
}

impl Entry {
    /// Whether there is room for `bytes` now.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.room.available_permits() >= units(bytes).min(self.most) as usize
    }

    /// Room for `bytes`, if there is.
    pub(super) fn room(&self, bytes: usize) -> Option<Room> {
        Arc::clone(&self.room).try_acquire_many_owned(units(bytes).min(self.most)).ok().map(Room)
    }

    /// Hands over a request; `None` if no more are accepted.
    pub(super) fn send(&self, accepted: Accepted) -> Option<()> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref()?.send(accepted).ok()
    }

    /// Accepts no more.
    pub(super) fn close(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Room {
    /// The same with room for `bytes` in all, if there is.
    pub(super) fn resized(mut self, bytes: usize, entry: &Entry) -> Option<Self> {
        let (has, needs) = (self.0.num_permits(), units(bytes).min(entry.most) as usize);
        if needs > has {
            self.0.merge(entry.room((needs - has) * UNIT)?.0);
        } else {
            drop(self.0.split(has - needs));
        }
        Some(self)
    }
}

impl Exit {
    /// The next request, after at most `wait`; it is answered by [`Exit::answer`], at once if `is_safe`.
    pub(super) fn next(
        &mut self,
        wait: Duration,
        is_safe: bool,
    ) -> Result<(Content, Values, Timestamp), RecvTimeoutError> {
        let mut wait = wait;
        let Accepted { content, values, received, answer, room, .. } = loop {
            let accepted = match wait.is_zero() {
                true => self.receiver.try_recv().map_err(|_| RecvTimeoutError::Timeout)?,
                false => self.receiver.recv_timeout(wait)?,
            };
            if accepted.claim.take() {
                break accepted;
            }
            wait = Duration::ZERO;
        };
        drop(room);
        self.last += 1;
        match is_safe {
            true => tell(answer),
            false => self.waiting.push_back((self.last, answer)),
        }
        Ok((content, values, received))
    }

    /// The ticket of the last request that the pipeline has taken.
    pub(super) fn ticket(&self) -> u64 {
        self.last
    }

    /// Goes on behind the ticket of an earlier run.
    pub(super) fn resume(&mut self, ticket: u64) {
        self.last = self.last.max(ticket);
    }

    /// Whether requests wait for their answers.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Everything up to `ticket` is durable.
    pub(super) fn answer(&mut self, ticket: u64) {
        while self.waiting.front().is_some_and(|(own, _)| *own <= ticket) {
            if let Some((_, answer)) = self.waiting.pop_front() {
                tell(answer);
            }
        }
    }
}

/// Lets a request be answered.
fn tell(answer: oneshot::Sender<()>) {
    // A client that has gone does not wait.
    let _gone = answer.send(());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(entry: &Entry) -> (Accepted, oneshot::Receiver<()>) {
        let (answer, answered) = oneshot::channel();
        let room = entry.room(5000).expect("room");
        let content = Content::Text(Vec::new());
        (
            Accepted {
                content,
                values: Vec::new(),
                received: Timestamp::MIN,
                answer,
                claim: Claim::default(),
                room,
            },
            answered,
        )
    }

    #[test]
    fn answers_come_when_what_was_taken_before_is_durable() {
        let (entry, mut exit) = queue(1 << 20);
        let mut answers: Vec<_> = (0..3)
            .map(|_| {
                let (accepted, answered) = accepted(&entry);
                entry.send(accepted).expect("sent");
                answered
            })
            .collect();
        exit.resume(7);
        exit.next(Duration::ZERO, false).expect("a request");
        exit.next(Duration::from_secs(1), false).expect("a request");
        let first = exit.ticket();
        exit.next(Duration::ZERO, false).expect("a request");
        assert_eq!((first, exit.ticket()), (9, 10));
        assert!(exit.next(Duration::ZERO, false).is_err());
        exit.answer(first);
        let is_answered: Vec<bool> = answers.iter_mut().map(|answer| answer.try_recv().is_ok()).collect();
        assert_eq!(is_answered, [true, true, false]);
        assert!(exit.is_waited_for());
        exit.answer(10);
        assert!(answers[2].try_recv().is_ok() && !exit.is_waited_for());
    }

    #[test]
    fn what_a_sender_has_given_up_is_not_taken() {
        let (entry, mut exit) = queue(1 << 20);
        let [(first, mut given_up), (second, mut answered)] = [accepted(&entry), accepted(&entry)];
        let (early, late) = (first.claim.clone(), second.claim.clone());
        entry.send(first).expect("sent");
        entry.send(second).expect("sent");
        assert!(early.withdraw());
        exit.next(Duration::from_secs(1), true).expect("the second one");
        assert!(!late.withdraw() && exit.ticket() == 1);
        assert!(given_up.try_recv().is_err() && answered.try_recv().is_ok());
    }

    #[test]
    fn room_is_bounded_and_comes_back() {
        let (entry, mut exit) = queue(10 * UNIT);
        let first = entry.room(4 * UNIT).expect("room");
        assert!(entry.room(7 * UNIT).is_none());
        assert!(entry.has_room(6 * UNIT) && !entry.has_room(7 * UNIT) && !entry.has_room(100 * UNIT));
        let first = first.resized(9 * UNIT, &entry).expect("room");
        assert!(entry.room(2 * UNIT).is_none());
        let first = first.resized(UNIT, &entry).expect("less");
        drop((first, entry.room(9 * UNIT).expect("room")));
        let (accepted, _answered) = accepted(&entry);
        entry.send(accepted).expect("sent");
        assert!(entry.room(10 * UNIT).is_none());
        exit.next(Duration::ZERO, true).expect("a request");
        assert!(entry.room(10 * UNIT).is_some());
        assert!(entry.room(100 * UNIT).is_some(), "what is larger than the queue takes all of it");
        entry.close();
        let (answer, _) = oneshot::channel();
        let room = entry.room(1).expect("room");
        let late = Accepted {
            content: Content::Text(Vec::new()),
            values: Vec::new(),
            received: Timestamp::MIN,
            answer,
            claim: Claim::default(),
            room,
        };
        assert!(entry.send(late).is_none());
    }
}
