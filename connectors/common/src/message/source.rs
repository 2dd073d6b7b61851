//! A client that receives messages, as a source.

use std::sync::Arc;
use std::time::Duration;

use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::format::Decoded;
use tidemill_engine::offset::Offset;
use tidemill_engine::sensor::SensorLookup;
use tidemill_engine::source::{Input, Progress, Source};
use tidemill_engine::time::Timestamp;

use super::lines::Lines;

/// How long [`Subscription::receive`] may wait: a stop and a checkpoint wait as long.
const WAIT: Duration = Duration::from_millis(50);

/// The version of saved positions.
const VERSION: u8 = 1;

/// What a call of [`Subscription::receive`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Messages, or nothing within the time: call again.
    More,
    /// The input has ended.
    End,
}

/// A client of a broker, a server or devices that receives messages. All methods are called by one thread at a time:
/// `begin` → `resume` → { `receive` | `position` | `durable` }… → `close` → `receive` until it has nothing more.
pub trait Subscription: Send {
    /// Connects, when the run begins.
    ///
    /// # Errors
    /// If the server refuses, or there is none: nothing has been read yet.
    fn begin(&mut self) -> Result<()>;

    /// Pushes what has arrived to `lines`, until they are [full](Lines::is_full); waits at most `wait` if there is nothing, and does not wait for more if there is.
    ///
    /// # Errors
    /// Any error ends the run: what passes, such as a lost connection, is not one.
    fn receive(&mut self, lines: &mut Lines, wait: Duration) -> Result<Received>;

    /// The position behind all messages that were pushed, for a checkpoint; `None` if messages cannot be received again.
    ///
    /// # Errors
    /// If there is no position.
    fn position(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Continues behind the messages before `position`.
    ///
    /// # Errors
    /// If the position is one of another input.
    fn resume(&mut self, _position: &[u8]) -> Result<()> {
        Ok(())
    }

    /// All messages before `position` are durable with the checkpoint that closes `epoch`: acknowledge them.
    ///
    /// # Errors
    /// Any error ends the run.
    fn durable(&mut self, _epoch: u64, _position: &[u8]) -> Result<()> {
        Ok(())
    }

    /// The run stops: no more messages are asked for. If it `can_resume`, what has not been pushed will be received again.
    ///
    /// # Errors
    /// Any error ends the run.
    fn close(&mut self, _can_resume: bool) -> Result<()> {
        Ok(())
    }

    /// The number of messages that wait at the origin, where it is known without asking: shown as `tidemill_source_waiting_messages`.
    fn waiting(&self) -> Option<u64> {
        None
    }

    /// Remarks for the end of the run, such as the number of lost connections. While it runs, others see them by [`SourceMeter`](tidemill_engine::meter::SourceMeter).
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A [`Subscription`] as a source.
pub struct MessageSource<S> {
    subscription: S,
    lines: Lines,
    /// What is read instead of messages, and how much of it was.
    letters: Option<(Arc<[Vec<u8>]>, usize)>,
    /// Whether messages are received: not in a run that only finishes.
    has_begun: bool,
    is_closed: bool,
    has_ended: bool,
}

impl<S: Subscription> MessageSource<S> {
    /// The source of the messages of `subscription`, gathered in `lines`.
    pub fn new(subscription: S, lines: Lines) -> Self {
        let letters = lines.decoding().letters.clone().map(|letters| (letters, 0));
        Self { subscription, lines, letters, has_begun: false, is_closed: false, has_ended: false }
    }

    /// Gathers the next messages; returns whether there may be more.
    fn receive(&mut self, wait: Duration) -> Result<Received> {
        let Self { subscription, lines, letters, .. } = self;
        let Some((letters, read)) = letters else { return subscription.receive(lines, wait) };
        while let Some(letter) = letters.get(*read).filter(|_| !lines.is_full()) {
            lines.push_again(letter);
            *read += 1;
        }
        Ok(if *read < letters.len() { Received::More } else { Received::End })
    }

    /// What was gathered. Messages that could not be read are returned together with the records before them: both are before the same position.
    fn take(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let (chunk, rejections) = self.lines.take();
        if rejections.is_empty() {
            return Ok(chunk.map(Input::Chunk));
        }
        let mut decoded = match chunk {
            Some(chunk) => chunk.decode(sensors)?,
            None => {
                let batch = tidemill_engine::batch::Batch::empty(Arc::clone(self.schema()));
                Decoded { batch, rejections: Vec::new(), lines: 0 }
            }
        };
        decoded.batch.received = self.lines.received();
        decoded.rejections.extend(rejections);
        decoded.rejections.sort_by_key(|rejection| rejection.trigger());
        Ok(Some(Input::Records(decoded)))
    }
}

impl<S: Subscription> Source for MessageSource<S> {
    fn schema(&self) -> &Arc<Schema> {
        &self.lines.decoding().schema
    }

    fn begin(&mut self) -> Result<()> {
        if self.letters.is_some() {
            return Ok(());
        }
        self.has_begun = true;
        self.subscription.begin()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        if !self.has_ended {
            self.has_ended = self.receive(WAIT)? == Received::End;
            self.lines.report();
        }
        match self.take(sensors)? {
            None if self.has_ended => Ok(None),
            input => Ok(Some(input.unwrap_or(Input::Nothing))),
        }
    }

    fn drain(&mut self, can_resume: bool, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        if !self.has_begun {
            return Ok(None);
        }
        if !std::mem::replace(&mut self.is_closed, true) {
            self.subscription.close(can_resume)?;
        }
        if !self.has_ended {
            self.has_ended = self.receive(Duration::ZERO)? == Received::End;
        }
        self.take(sensors)
    }

    fn offset(&self) -> Offset {
        self.lines.offset()
    }

    fn seek(&mut self, _offset: Offset) -> Result<()> {
        Err(Error::internal("messages cannot be read a second time"))
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        let Some(position) = self.subscription.position()? else { return Ok(None) };
        let Offset { at, line, .. } = self.lines.offset();
        Ok(Some([&[VERSION], at.to_le_bytes().as_slice(), &line.to_le_bytes(), &position].concat()))
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let (offset, position) = parts(state)?;
        self.lines.resume(offset);
        self.subscription.resume(position)
    }

    fn durable(&mut self, epoch: u64, position: &[u8]) -> Result<()> {
        self.subscription.durable(epoch, parts(position)?.1)
    }

    fn received(&self) -> Option<Timestamp> {
        self.lines.received()
    }

    fn remarks(&self) -> Vec<String> {
        [self.subscription.remarks(), self.lines.remarks()].concat()
    }

    fn waiting(&self) -> Option<u64> {
        self.subscription.waiting()
    }

    fn reads_letters(&self) -> bool {
        self.letters.is_some()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.lines.offset().at, total: None }
    }
}

/// The parts of a saved position: where the lines are, and the position of the subscription.
fn parts(state: &[u8]) -> Result<(Offset, &[u8])> {
    let wrong = || Error::data("the saved position of a source of messages cannot be read");
    let (version, rest) = state.split_first().ok_or_else(wrong)?;
    let (at, rest) = rest.split_first_chunk().ok_or_else(wrong)?;
    let (line, position) = rest.split_first_chunk().ok_or_else(wrong)?;
    match *version {
        VERSION => {
            Ok((Offset { file: 0, at: u64::from_le_bytes(*at), line: u64::from_le_bytes(*line) }, position))
        }
        other => {
            Err(Error::data(format!("the saved position has version {other}, and this is version {VERSION}"))
                .with_help("resume with the release that made the checkpoint, or use another --state"))
        }
    }
}
