//! Running a stage on several workers, according to its reach.

use std::cell::OnceCell;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::turn::Turn;
use crate::batch::{Batch, Schema};
use crate::error::guard::{asked, guarded};
use crate::error::{Error, Result};
use crate::sensor::{SensorId, SharedSensors};
use crate::stage::{Cut, CutKind, Flow, Groups, Made, Pieces, Process, Reach, Shards, Stage, in_one_piece};

/// A stage of a parallel pass, shared by all workers.
pub(crate) struct Lane {
    label: String,
    input: Arc<Schema>,
    way: LaneKind,
}

enum LaneKind {
    /// Each worker has its own process, and takes batches in any order.
    Rows {
        stage: Arc<dyn Stage>,
        /// Identifies the fitted constants in checkpoints; empty if there are none.
        constants: Vec<u8>,
    },
    /// Each shard of the sensors processes its share of the batches in order. A reload replaces them while it has all turns.
    Shards { shards: RwLock<Arc<dyn Shards>>, turns: Vec<Turn<()>> },
    /// A stage that cannot be sharded processes one batch after the other.
    Whole(Turn<Box<dyn Process>>),
}

/// The ordinal of a batch, and what all workers share.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) ordinal: u64,
    pub(crate) sensors: &'a SharedSensors,
    pub(crate) cancelled: &'a AtomicBool,
}

/// Why a batch was not processed.
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
    /// With `is_kept`, its state can be saved between two batches.
    pub(crate) fn new(
        stage: &Arc<dyn Stage>,
        label: String,
        input: &Arc<Schema>,
        shards: usize,
        is_kept: bool,
    ) -> Result<Self> {
        let start = || guarded(&label, || stage.start(input));
        let way = match asked(&label, || stage.reach())? {
            // State of separate workers cannot be saved between two batches.
            Reach::Row if is_kept && asked(&label, || stage.keeps_state())? => {
                LaneKind::Whole(Turn::new(start()?))
            }
            // The stage has been fitted.
            Reach::Row | Reach::Global => LaneKind::Rows {
                stage: Arc::clone(stage),
                constants: if is_kept { asked(&label, || constants(&**stage))? } else { Vec::new() },
            },
            Reach::Series => match guarded(&label, || stage.shards(input, shards))? {
                None => LaneKind::Whole(Turn::new(start()?)),
                Some(shards) => {
                    let count = asked(&label, || shards.count())?;
                    let turns = (0..count).map(|_| Turn::new(())).collect();
                    LaneKind::Shards { shards: RwLock::new(Arc::from(shards)), turns }
                }
            },
        };
        Ok(Self { label, input: Arc::clone(input), way })
    }

    /// Its name in messages.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Creates the state of a worker.
    pub(crate) fn local(&self) -> Result<Option<Box<dyn Process>>> {
        match &self.way {
            LaneKind::Rows { stage, .. } => self.start(stage).map(Some),
            _ => Ok(None),
        }
    }

    /// What one worker needs to run `stage` here.
    pub(crate) fn start(&self, stage: &Arc<dyn Stage>) -> Result<Box<dyn Process>> {
        guarded(&self.label, || stage.start(&self.input))
    }

    /// Puts `stage`, if there is one, in the place of what runs, with what that has kept up to batch `at.ordinal`, which is none but this. What workers have for
    /// themselves, they replace.
    pub(crate) fn reload(&self, at: Moment<'_>, stage: Option<&Arc<dyn Stage>>) -> Result<(), Stopped> {
        let mut waiting = Duration::ZERO;
        match (&self.way, stage) {
            (_, None) => self.pass(at),
            (LaneKind::Rows { .. }, Some(_)) => Ok(()),
            (LaneKind::Whole(turn), Some(stage)) => {
                let mut process =
                    turn.take(at.ordinal, at.cancelled, &mut waiting).ok_or(Stopped::Cancelled)?;
                let mut new = self.start(stage)?;
                guarded(&self.label, || new.restore(&process.save()?, &at.sensors.read()))?;
                *process = new;
                Ok(())
            }
            (LaneKind::Shards { shards, turns }, Some(stage)) => {
                let take = |turn| Turn::take(turn, at.ordinal, at.cancelled, &mut waiting);
                let _taken: Vec<_> =
                    turns.iter().map(take).collect::<Option<_>>().ok_or(Stopped::Cancelled)?;
                let new = guarded(&self.label, || {
                    let mut new = stage.shards(&self.input, turns.len())?.ok_or_else(not_split)?;
                    let Cut { pieces, .. } = current(shards).cut(CutKind::Complete)?;
                    new.restore(vec![pieces], &at.sensors.read())?;
                    if new.count() == turns.len() { Ok(new) } else { Err(not_split()) }
                })?;
                *shards.write().unwrap_or_else(PoisonError::into_inner) = Arc::from(new);
                Ok(())
            }
        }
    }

    /// Puts `batch` through the stage in its turn; the time waited is added to `waiting`. `local` and `groups` belong to the worker.
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
            LaneKind::Rows { .. } => {
                let local = local.as_mut().ok_or_else(|| Error::internal("a worker has no process"))?;
                Ok(guarded(&self.label, || local.process(batch, &sensors.read(), flow))?)
            }
            LaneKind::Whole(turn) => {
                let mut process = turn.take(at.ordinal, at.cancelled, waiting).ok_or(Stopped::Cancelled)?;
                Ok(guarded(&self.label, || process.process(batch, &sensors.read(), flow))?)
            }
            LaneKind::Shards { shards, turns } => {
                groups.sort(batch.sensors(), turns.len());
                // Those that are there in the first turn of this batch are there in all of them.
                let own = OnceCell::new();
                let step = |shard: usize| {
                    let shards = own.get_or_init(|| current(shards));
                    guarded(&self.label, || shards.step(shard, &batch, groups.share(shard), &sensors.read()))
                };
                let made = in_turn(turns, at, step, waiting)?;
                let shards = own.into_inner().unwrap_or_else(|| current(shards));
                Ok(guarded(&self.label, || shards.assemble(batch, groups, made, &sensors.read(), flow))?)
            }
        }
    }

    /// Gives up sensors in the turn of `at`; returns the records held for them. `local` belongs to the worker.
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
            LaneKind::Rows { .. } => {
                local.as_mut().map_or(Ok(None), |local| Ok(give_up(&mut **local, flow)?))
            }
            LaneKind::Whole(turn) => {
                let mut process = turn
                    .take(at.ordinal, at.cancelled, &mut Duration::default())
                    .ok_or(Stopped::Cancelled)?;
                Ok(give_up(&mut **process, flow)?)
            }
            LaneKind::Shards { shards, turns } => {
                let mut waiting = Duration::ZERO;
                let take = |turn| Turn::take(turn, at.ordinal, at.cancelled, &mut waiting);
                let _taken: Vec<_> =
                    turns.iter().map(take).collect::<Option<_>>().ok_or(Stopped::Cancelled)?;
                Ok(guarded(&self.label, || current(shards).give_up(gone, &at.sensors.read(), flow))?)
            }
        }
    }

    /// Skips the turn of `at`.
    pub(crate) fn pass(&self, at: Moment<'_>) -> Result<(), Stopped> {
        let pass = |turn: &Turn<()>| turn.pass(at.ordinal, at.cancelled).ok_or(Stopped::Cancelled);
        match &self.way {
            LaneKind::Rows { .. } => Ok(()),
            LaneKind::Shards { turns, .. } => turns.iter().try_for_each(pass),
            LaneKind::Whole(turn) => turn.pass(at.ordinal, at.cancelled).ok_or(Stopped::Cancelled),
        }
    }

    /// The input has ended: returns the records held. `locals` are those of all workers.
    pub(crate) fn finish(
        &mut self,
        locals: &mut Vec<Box<dyn Process>>,
        sensors: &SharedSensors,
        flow: &mut Flow,
    ) -> Result<Option<Batch>> {
        let Self { label, way, .. } = self;
        let process = match way {
            LaneKind::Rows { .. } => {
                for other in locals.drain(1.min(locals.len())..).collect::<Vec<_>>() {
                    let first = &mut locals[0];
                    guarded(label, || first.merge(other))?;
                }
                locals.first_mut()
            }
            LaneKind::Whole(turn) => Some(turn.get_mut()),
            LaneKind::Shards { shards, .. } => {
                return guarded(label, || current(shards).finish(&sensors.read(), flow));
            }
        };
        let Some(process) = process else { return Ok(None) };
        guarded(label, || process.finish(&sensors.read(), flow))
    }

    /// The number of records held, while no worker runs. `locals` are those of all workers.
    pub(crate) fn held(&mut self, locals: &[Box<dyn Process>]) -> Result<u64> {
        let Self { label, way, .. } = self;
        asked(label, || match way {
            LaneKind::Rows { .. } => locals.iter().map(|process| process.held()).sum(),
            LaneKind::Whole(turn) => turn.get_mut().held(),
            LaneKind::Shards { .. } => 0,
        })
    }

    /// The remarks of the stage, while no worker runs.
    pub(crate) fn remarks(&mut self) -> Result<Vec<String>> {
        let Self { label, way, .. } = self;
        match way {
            LaneKind::Rows { .. } | LaneKind::Shards { .. } => Ok(Vec::new()),
            LaneKind::Whole(turn) => asked(label, || turn.get_mut().remarks()),
        }
    }

    /// Its state between batch `at.ordinal` − 1 and the one after `at.ordinal`, which is this cut. A stage that is not split always gives all of it.
    pub(crate) fn cut(&self, at: Moment<'_>, kind: CutKind) -> Result<Cut, Stopped> {
        let mut waiting = Duration::ZERO;
        match &self.way {
            LaneKind::Rows { constants, .. } => Ok(complete_cut(constants.clone())),
            LaneKind::Whole(turn) => {
                let process = turn.take(at.ordinal, at.cancelled, &mut waiting).ok_or(Stopped::Cancelled)?;
                Ok(complete_cut(guarded(&self.label, || process.save())?))
            }
            LaneKind::Shards { shards, turns } => {
                let take = |turn| Turn::take(turn, at.ordinal, at.cancelled, &mut waiting);
                let _taken: Vec<_> =
                    turns.iter().map(take).collect::<Option<_>>().ok_or(Stopped::Cancelled)?;
                Ok(guarded_cut(&self.label, guarded(&self.label, || current(shards).cut(kind))?))
            }
        }
    }

    /// The same, while no worker runs.
    pub(crate) fn cut_at_rest(&mut self, kind: CutKind) -> Result<Cut> {
        let Self { label, way, .. } = self;
        match way {
            LaneKind::Rows { constants, .. } => Ok(complete_cut(constants.clone())),
            LaneKind::Whole(turn) => Ok(complete_cut(guarded(label, || turn.get_mut().save())?)),
            LaneKind::Shards { shards, .. } => {
                Ok(guarded_cut(label, guarded(label, || current(shards).cut(kind))?))
            }
        }
    }

    /// Resumes from what [`Lane::cut`] returned: a complete state, then the changes of the cuts that followed.
    pub(crate) fn restore(&mut self, cuts: Vec<Pieces>, sensors: &SharedSensors) -> Result<()> {
        let Self { label, way, .. } = self;
        match way {
            LaneKind::Rows { constants, .. } => match concatenated(cuts)? == *constants {
                true => Ok(()),
                false => Err(Error::data(format!(
                    "the constants of {label} differ from those at the checkpoint: the input or file that they come from has changed"
                ))
                .with_help("restore that input or file, or start a new run with another --state")),
            },
            LaneKind::Whole(turn) => {
                let state = concatenated(cuts)?;
                guarded(label, || turn.get_mut().restore(&state, &sensors.read()))
            }
            LaneKind::Shards { shards, .. } => {
                let shards = shards.get_mut().unwrap_or_else(PoisonError::into_inner);
                // No worker is there.
                let shards =
                    Arc::get_mut(shards).ok_or_else(|| Error::internal("shards that are in use"))?;
                guarded(label, || shards.restore(cuts, &sensors.read()))
            }
        }
    }

    /// Sets the turn to batch `ordinal`, while no worker runs.
    pub(crate) fn skip_to(&mut self, ordinal: u64) {
        match &mut self.way {
            LaneKind::Rows { .. } => {}
            LaneKind::Shards { turns, .. } => turns.iter_mut().for_each(|turn| turn.skip_to(ordinal)),
            LaneKind::Whole(turn) => turn.skip_to(ordinal),
        }
    }

    /// Wakes all waiting workers to check whether the run was cancelled.
    pub(crate) fn wake(&self) {
        match &self.way {
            LaneKind::Rows { .. } => {}
            LaneKind::Shards { turns, .. } => turns.iter().for_each(Turn::wake),
            LaneKind::Whole(turn) => turn.wake(),
        }
    }
}

/// The shards as they are now.
fn current(shards: &RwLock<Arc<dyn Shards>>) -> Arc<dyn Shards> {
    Arc::clone(&shards.read().unwrap_or_else(PoisonError::into_inner))
}

fn not_split() -> Error {
    Error::internal("a stage with other options is divided differently")
}

/// A complete state in one piece.
fn complete_cut(state: Vec<u8>) -> Cut {
    Cut::complete(in_one_piece(state))
}

/// The same cut; each piece is produced by the stage `label` on demand, under a guard.
fn guarded_cut(label: &str, Cut { kind, mut pieces }: Cut) -> Cut {
    let label = label.to_owned();
    let guarded = std::iter::from_fn(move || guarded(&label, || pieces.next().transpose()).transpose());
    Cut { kind, pieces: Box::new(guarded) }
}

/// The state of a stage that always gives all of it, in one piece.
fn concatenated(cuts: Vec<Pieces>) -> Result<Vec<u8>> {
    let mut state = Vec::new();
    for piece in cuts.into_iter().flatten() {
        let mut piece = piece?;
        // Usually there is one piece.
        if state.is_empty() { state = piece } else { state.append(&mut piece) }
    }
    Ok(state)
}

/// Identifies the fitted constants of a stage; empty if there are none.
fn constants(stage: &dyn Stage) -> Vec<u8> {
    stage.fitted().map_or_else(Vec::new, |text| crc32c::crc32c(text.as_bytes()).to_le_bytes().to_vec())
}

/// Processes a batch in every shard, each in its turn; shards whose turn has come go first.
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
