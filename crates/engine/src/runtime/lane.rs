//! How a stage is run by several workers: by its reach.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::turn::Turn;
use crate::batch::{Batch, Schema};
use crate::error::guard::{asked, guarded};
use crate::error::{Error, Result};
use crate::sensor::{SensorId, SharedSensors};
use crate::stage::{Flow, Groups, Made, Pieces, Process, Reach, Shards, Stage, in_one_piece};

/// A stage of a parallel reading, shared by all workers.
pub(crate) struct Lane {
    label: String,
    way: Way,
}

enum Way {
    /// A row needs nothing but itself: every worker has its own process, batches in any order.
    Rows {
        stage: Arc<dyn Stage>,
        input: Arc<Schema>,
        /// What tells the constants that it has learnt from others, for checkpoints; nothing where it has none.
        learnt: Vec<u8>,
    },
    /// A series needs its earlier records: each shard of the sensors takes its share of one batch after the other.
    Shards { shards: Box<dyn Shards>, turns: Vec<Turn<()>> },
    /// A stage that cannot be split takes one batch after the other.
    Whole(Turn<Box<dyn Process>>),
}

/// Which batch it is, and what all workers share.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) ordinal: u64,
    pub(crate) sensors: &'a SharedSensors,
    pub(crate) cancelled: &'a AtomicBool,
}

/// Why a batch did not come through.
pub(crate) enum Stopped {
    /// The stage failed.
    Failed(Error),
    /// The run ends for another reason.
    Cancelled,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Lane {
    /// With `is_kept`, what the stage keeps can be saved between two batches.
    pub(crate) fn new(
        stage: &Arc<dyn Stage>,
        label: String,
        input: &Arc<Schema>,
        shards: usize,
        is_kept: bool,
    ) -> Result<Self> {
        let start = || guarded(&label, || stage.start(input));
        let way = match asked(&label, || stage.reach())? {
            // What every worker keeps for itself is nowhere in one piece between two batches.
            Reach::Row if is_kept && asked(&label, || stage.keeps_state())? => {
                Way::Whole(Turn::new(start()?))
            }
            // Whatever had to be learnt is known by now.
            Reach::Row | Reach::Global => Way::Rows {
                stage: Arc::clone(stage),
                input: Arc::clone(input),
                learnt: if is_kept { asked(&label, || learnt(&**stage))? } else { Vec::new() },
            },
            Reach::Series => match guarded(&label, || stage.shards(input, shards))? {
                None => Way::Whole(Turn::new(start()?)),
                Some(shards) => {
                    let count = asked(&label, || shards.count())?;
                    let turns = (0..count).map(|_| Turn::new(())).collect();
                    Way::Shards { shards, turns }
                }
            },
        };
        Ok(Self { label, way })
    }

    /// What messages call it.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// What a worker keeps of the stage.
    pub(crate) fn local(&self) -> Result<Option<Box<dyn Process>>> {
        match &self.way {
            Way::Rows { stage, input, .. } => guarded(&self.label, || stage.start(input)).map(Some),
            _ => Ok(None),
        }
    }

    /// Puts `batch` through the stage, in its turn; how long that was waited for is added to `waiting`. `local` and `groups` are the
    /// worker's own.
    pub(crate) fn process(
        &self,
        batch: Batch,
        at: Moment<'_>,
        local: &mut Option<Box<dyn Process>>,
        groups: &mut Groups,
        flow: &mut Flow,
        waiting: &mut Duration,
    ) -> Result<Batch, Stopped> {
        let sensors = at.sensors;
        match &self.way {
            Way::Rows { .. } => {
                let local = local.as_mut().ok_or_else(|| Error::internal("a worker without a process"))?;
                Ok(guarded(&self.label, || local.process(batch, &sensors.read(), flow))?)
            }
            Way::Whole(turn) => {
                let mut process = turn.take(at.ordinal, at.cancelled, waiting).ok_or(Stopped::Cancelled)?;
                Ok(guarded(&self.label, || process.process(batch, &sensors.read(), flow))?)
            }
            Way::Shards { shards, turns } => {
                groups.sort(batch.sensors(), turns.len());
                let step = |shard: usize| {
                    guarded(&self.label, || shards.step(shard, &batch, groups.share(shard), &sensors.read()))
                };
                let made = in_turn(turns, at, step, waiting)?;
                Ok(guarded(&self.label, || shards.assemble(batch, groups, made, &sensors.read(), flow))?)
            }
        }
    }

    /// Forgets the sensors that are `gone`, in the turn of `at`; gives back what was held of them. `local` is the worker's own.
    pub(crate) fn give_up(
        &self,
        gone: &[SensorId],
        at: Moment<'_>,
        local: &mut Option<Box<dyn Process>>,
        flow: &mut Flow,
    ) -> Result<Option<Batch>, Stopped> {
        let give_up = |process: &mut dyn Process, flow: &mut Flow| {
            guarded(&self.label, || process.give_up(gone, &at.sensors.read(), flow))
        };
        match &self.way {
            Way::Rows { .. } => local.as_mut().map_or(Ok(None), |local| Ok(give_up(&mut **local, flow)?)),
            Way::Whole(turn) => {
                let mut process = turn
                    .take(at.ordinal, at.cancelled, &mut Duration::default())
                    .ok_or(Stopped::Cancelled)?;
                Ok(give_up(&mut **process, flow)?)
            }
            Way::Shards { shards, turns } => {
                let mut waiting = Duration::ZERO;
                let take = |turn| Turn::take(turn, at.ordinal, at.cancelled, &mut waiting);
                let _taken: Vec<_> =
                    turns.iter().map(take).collect::<Option<_>>().ok_or(Stopped::Cancelled)?;
                Ok(guarded(&self.label, || shards.give_up(gone, &at.sensors.read(), flow))?)
            }
        }
    }

    /// Lets the turn of `at` go by.
    pub(crate) fn pass(&self, at: Moment<'_>) -> Result<(), Stopped> {
        let pass = |turn: &Turn<()>| turn.pass(at.ordinal, at.cancelled).ok_or(Stopped::Cancelled);
        match &self.way {
            Way::Rows { .. } => Ok(()),
            Way::Shards { turns, .. } => turns.iter().try_for_each(pass),
            Way::Whole(turn) => turn.pass(at.ordinal, at.cancelled).ok_or(Stopped::Cancelled),
        }
    }

    /// The input has ended: gives back what was held. `locals` are those of all workers.
    pub(crate) fn finish(
        &mut self,
        locals: &mut Vec<Box<dyn Process>>,
        sensors: &SharedSensors,
        flow: &mut Flow,
    ) -> Result<Option<Batch>> {
        let Self { label, way, .. } = self;
        let process = match way {
            Way::Rows { .. } => {
                for other in locals.drain(1.min(locals.len())..).collect::<Vec<_>>() {
                    let first = &mut locals[0];
                    guarded(label, || first.merge(other))?;
                }
                locals.first_mut()
            }
            Way::Whole(turn) => Some(turn.get_mut()),
            Way::Shards { shards, .. } => return guarded(label, || shards.finish(&sensors.read(), flow)),
        };
        let Some(process) = process else { return Ok(None) };
        guarded(label, || process.finish(&sensors.read(), flow))
    }

    /// How many records are held inside, when no worker is there. `locals` are those of all workers.
    pub(crate) fn held(&mut self, locals: &[Box<dyn Process>]) -> Result<u64> {
        let Self { label, way } = self;
        asked(label, || match way {
            Way::Rows { .. } => locals.iter().map(|process| process.held()).sum(),
            Way::Whole(turn) => turn.get_mut().held(),
            Way::Shards { .. } => 0,
        })
    }

    /// What the stage has to say, when no worker is there.
    pub(crate) fn remarks(&mut self) -> Result<Vec<String>> {
        let Self { label, way } = self;
        match way {
            Way::Rows { .. } | Way::Shards { .. } => Ok(Vec::new()),
            Way::Whole(turn) => asked(label, || turn.get_mut().remarks()),
        }
    }

    /// What the stage keeps between batch `at.ordinal` − 1 and the one after `at.ordinal`, which is none but this look.
    pub(crate) fn cut(&self, at: Moment<'_>) -> Result<Pieces, Stopped> {
        let mut waiting = Duration::ZERO;
        match &self.way {
            Way::Rows { learnt, .. } => Ok(in_one_piece(learnt.clone())),
            Way::Whole(turn) => {
                let process = turn.take(at.ordinal, at.cancelled, &mut waiting).ok_or(Stopped::Cancelled)?;
                Ok(in_one_piece(guarded(&self.label, || process.save())?))
            }
            Way::Shards { shards, turns } => {
                let take = |turn| Turn::take(turn, at.ordinal, at.cancelled, &mut waiting);
                let _taken: Vec<_> =
                    turns.iter().map(take).collect::<Option<_>>().ok_or(Stopped::Cancelled)?;
                Ok(guarded_pieces(&self.label, guarded(&self.label, || shards.cut())?))
            }
        }
    }

    /// The same, when no worker is there.
    pub(crate) fn cut_at_rest(&mut self) -> Result<Pieces> {
        let Self { label, way } = self;
        match way {
            Way::Rows { learnt, .. } => Ok(in_one_piece(learnt.clone())),
            Way::Whole(turn) => Ok(in_one_piece(guarded(label, || turn.get_mut().save())?)),
            Way::Shards { shards, .. } => Ok(guarded_pieces(label, guarded(label, || shards.cut())?)),
        }
    }

    /// Goes on from what [`Lane::cut`] gave.
    pub(crate) fn restore(
        &mut self,
        mut pieces: impl Iterator<Item = Result<Vec<u8>>>,
        sensors: &SharedSensors,
    ) -> Result<()> {
        let Self { label, way } = self;
        match way {
            Way::Rows { learnt, .. } if together(&mut pieces)? == *learnt => Ok(()),
            Way::Rows { .. } => Err(Error::data(format!(
                "{label} has other constants than at the checkpoint: its input, or its file, has changed"
            ))
            .with_help("bring back what they came from, or start anew with another --state")),
            Way::Whole(turn) => {
                let state = together(&mut pieces)?;
                guarded(label, || turn.get_mut().restore(&state, &sensors.read()))
            }
            Way::Shards { shards, .. } => guarded(label, || shards.restore(&mut pieces, &sensors.read())),
        }
    }

    /// Makes it the turn of batch `ordinal`, when no worker is there.
    pub(crate) fn skip_to(&mut self, ordinal: u64) {
        match &mut self.way {
            Way::Rows { .. } => {}
            Way::Shards { turns, .. } => turns.iter_mut().for_each(|turn| turn.skip_to(ordinal)),
            Way::Whole(turn) => turn.skip_to(ordinal),
        }
    }

    /// Lets everybody who waits look whether the run was cancelled.
    pub(crate) fn wake(&self) {
        match &self.way {
            Way::Rows { .. } => {}
            Way::Shards { turns, .. } => turns.iter().for_each(Turn::wake),
            Way::Whole(turn) => turn.wake(),
        }
    }
}

/// The same pieces, each of which the stage called `label` makes when it is asked for.
fn guarded_pieces(label: &str, mut pieces: Pieces) -> Pieces {
    let label = label.to_owned();
    Box::new(std::iter::from_fn(move || guarded(&label, || pieces.next().transpose()).transpose()))
}

/// A state in one piece.
fn together(pieces: impl Iterator<Item = Result<Vec<u8>>>) -> Result<Vec<u8>> {
    let mut state = Vec::new();
    for piece in pieces {
        let mut piece = piece?;
        // Most are all of it.
        if state.is_empty() { state = piece } else { state.append(&mut piece) }
    }
    Ok(state)
}

/// What tells the constants that a stage has learnt from others; nothing where it has none.
fn learnt(stage: &dyn Stage) -> Vec<u8> {
    stage.fitted().map_or_else(Vec::new, |text| crc32c::crc32c(text.as_bytes()).to_le_bytes().to_vec())
}

/// Does the work of every shard for a batch, each in its turn; those whose turn has come go first.
fn in_turn(
    turns: &[Turn<()>],
    at: Moment<'_>,
    step: impl Fn(usize) -> Result<Made>,
    waited: &mut Duration,
) -> Result<Vec<Made>, Stopped> {
    let mut made: Vec<Option<Made>> = turns.iter().map(|_| None).collect();
    let mut waiting: Vec<usize> = (0..turns.len()).collect();
    while let Some(&first) = waiting.first() {
        let before = waiting.len();
        let ready = |&shard: &usize| turns[shard].has_come(at.ordinal);
        let come: Vec<usize> = waiting.iter().copied().filter(ready).collect();
        let come = if come.is_empty() { vec![first] } else { come };
        waiting.retain(|shard| !come.contains(shard));
        debug_assert!(waiting.len() < before, "at least one shard is done each time");
        for shard in come {
            let _turn = turns[shard].take(at.ordinal, at.cancelled, waited).ok_or(Stopped::Cancelled)?;
            made[shard] = Some(step(shard)?);
        }
    }
    Ok(made.into_iter().flatten().collect())
}
