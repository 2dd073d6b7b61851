//! The state of a chain as bytes, from which other processes resume: sensors are written by name.
//!
//! An envelope (`tmch`, version, content, hash) has the names of the sensors and, for each stage, its [identity](Identity), its ledger and the state of each sensor. The state of a
//! sensor does not depend on which others are beside it, so states can be divided and merged without loss.

use serde::{Deserialize, Serialize};

use super::groups::GroupPlaces;
use super::{Chain, Step};
use crate::error::guard::{asked, guarded};
use crate::error::{Error, Result};
use crate::kernel::stable_hash::stable_hash;
use crate::metrics::Ledger;
use crate::sensor::{SensorId, SensorNames, Sensors};
use crate::stage::state::Envelope;
use crate::stage::{Identity, SensorStates};

const ENVELOPE: Envelope = Envelope { magic: *b"tmch", version: 2, what: "the state of a chain" };

/// The state of a group of sensors.
#[derive(Serialize, Deserialize)]
struct SavedChain {
    sensors: SensorNames,
    stages: Vec<SavedStage>,
}

#[derive(Serialize, Deserialize)]
struct SavedStage {
    identity: Identity,
    /// What it depends on besides its own sensors: see [`Process::goes_by`](crate::stage::Process::goes_by).
    goes_by: Option<String>,
    /// If the state is divided: the first part has the ledger of all.
    ledger: Ledger,
    kept: Kept,
}

#[derive(Serialize, Deserialize)]
enum Kept {
    /// The state as a whole, which refers to sensors by their ids.
    Whole(Vec<u8>),
    BySensor {
        /// The state of each sensor, with the index of its name.
        states: Vec<(u32, Vec<u8>)>,
        shared: Vec<Vec<u8>>,
        /// If the state is divided: the first part has the counts of all, the others zeros.
        counts: Vec<u64>,
    },
}

impl Chain {
    /// Saves the complete state, between two pushes: `sensors` are those of the batches so far.
    ///
    /// # Errors
    /// An internal error if a stage cannot save its state.
    pub fn save(&self, sensors: &Sensors) -> Result<Vec<u8>> {
        let mut one = self.save_divided(sensors, 1)?;
        one.pop().ok_or_else(|| Error::internal("a state in no group"))
    }

    /// The same, divided into `groups` groups of sensors by [`Chain::group_of`]: one state per group. Counts over all sensors, such as the ledgers, are in the
    /// first group.
    ///
    /// # Errors
    /// As for [`Chain::save`]; a configuration error that names the stage whose state cannot be divided, because it depends on all sensors (see
    /// [`Chain::partitioned`]) or is saved as a whole.
    pub fn save_groups(&self, sensors: &Sensors, groups: usize) -> Result<Vec<Vec<u8>>> {
        self.steps.iter().try_for_each(Step::check_partitioned)?;
        self.save_divided(sensors, groups.max(1))
    }

    /// The group of the sensor called `name`, from 0, where there are `groups` of them: a hash of the name (64-bit FNV-1a of its bytes, then the finaliser of MurmurHash3)
    /// modulo their number. It is the same in every release and on every platform.
    pub fn group_of(name: &str, groups: usize) -> usize {
        (stable_hash(name.as_bytes()) % groups.max(1) as u64) as usize
    }

    /// Resumes from what [`Chain::save`] or [`Chain::save_groups`] returned: from one state, or from several states of different sensors, merged. The chain must have the same stages and
    /// must not have been used. New sensor names are added to `sensors`, which gives later batches their ids.
    ///
    /// # Errors
    /// A data error if the bytes are not states of such a chain, if two of them have the same sensor, or if the state of a stage cannot be merged
    /// or restored under other ids; then the chain must not be used. The error of `sensors` if they are too many.
    pub fn restore(&mut self, states: &[impl AsRef<[u8]>], sensors: &mut Sensors) -> Result<()> {
        if self.steps.iter().any(|step| step.entry.ledger != Ledger::default()) {
            return Err(Error::config("a state cannot be restored into a chain that has been used")
                .with_help("make a new chain of the same stages"));
        }
        if states.len() > 1 {
            self.steps.iter().try_for_each(Step::check_partitioned)?;
        }
        let mut parts: Vec<Vec<OpenedStage>> = self.steps.iter().map(|_| Vec::new()).collect();
        for (at, bytes) in states.iter().enumerate() {
            let opened = self.open(bytes.as_ref(), sensors);
            let opened = opened.map_err(|error| match states.len() {
                1 => error,
                count => error.with_context(format!("state {at} of {count}")),
            })?;
            parts.iter_mut().zip(opened).for_each(|(parts, part)| parts.push(part));
        }
        for (step, parts) in self.steps.iter_mut().zip(parts) {
            step.restore(parts, sensors)?;
        }
        Ok(())
    }

    fn save_divided(&self, sensors: &Sensors, groups: usize) -> Result<Vec<Vec<u8>>> {
        let (places, names) = GroupPlaces::among(sensors, groups, Self::group_of);
        let mut all: Vec<SavedChain> =
            names.into_iter().map(|sensors| SavedChain { sensors, stages: Vec::new() }).collect();
        for step in &self.steps {
            let parts = step.save(&places, groups)?;
            all.iter_mut().zip(parts).for_each(|(saved, part)| saved.stages.push(part));
        }
        all.iter().map(|saved| ENVELOPE.seal(saved)).collect()
    }

    /// The states of the stages, with the ids of `sensors`.
    fn open(&self, bytes: &[u8], sensors: &mut Sensors) -> Result<Vec<OpenedStage>> {
        let saved: SavedChain = ENVELOPE.open(bytes)?;
        self.check_names(&saved.stages)?;
        for (step, stage) in self.steps.iter().zip(&saved.stages) {
            step.check(stage)?;
        }
        let ids = saved.sensors.iter().map(|name| known(name, sensors)).collect::<Result<Vec<_>>>()?;
        saved.stages.into_iter().map(|stage| stage.into_opened(&ids)).collect()
    }

    fn check_names(&self, saved: &[SavedStage]) -> Result<()> {
        let now: Vec<_> = self.steps.iter().map(|step| &*step.entry.name).collect();
        let then: Vec<_> = saved.iter().map(|stage| &*stage.identity.name).collect();
        if now == then {
            return Ok(());
        }
        Err(Error::data(format!(
            "the state was saved by a chain with other stages: {}; this one has {}",
            then.join(", "),
            now.join(", ")
        ))
        .with_help("build the chain with the same stages, or start without the saved state"))
    }
}

fn known(name: &str, sensors: &mut Sensors) -> Result<SensorId> {
    match sensors.id(name)? {
        id if id.index() < sensors.len() => Ok(id),
        _ => Err(Error::data(format!("sensor `{}` exceeds the limit of sensors", name.escape_debug()))
            .with_help("raise the limit of `sensors`, so that it can hold all sensors of the state")),
    }
}

/// The state of one stage, with the ids of this chain's sensors.
enum OpenedStage {
    /// Whether the sensors have the ids that they had.
    Whole(Ledger, Vec<u8>, bool),
    BySensor(Ledger, SensorStates),
}

impl SavedStage {
    /// Replaces the indices of names by `ids`, which are in the order of the names.
    fn into_opened(self, ids: &[SensorId]) -> Result<OpenedStage> {
        let Self { ledger, kept, .. } = self;
        match kept {
            Kept::Whole(state) => {
                let is_alike = (0..).map(SensorId).zip(ids).all(|(then, now)| then == *now);
                Ok(OpenedStage::Whole(ledger, state, is_alike))
            }
            Kept::BySensor { states, shared, counts } => {
                let state = |(place, state): (u32, Vec<u8>)| {
                    let sensor = ids.get(place as usize).copied();
                    sensor.map(|sensor| (sensor, state)).ok_or_else(|| {
                        Error::data("these bytes are not the state of a chain: a sensor has no name")
                    })
                };
                let states = states.into_iter().map(state).collect::<Result<_>>()?;
                Ok(OpenedStage::BySensor(ledger, SensorStates { states, shared, counts }))
            }
        }
    }
}

impl Step {
    /// Its state, divided by groups of sensors.
    fn save(&self, places: &GroupPlaces, groups: usize) -> Result<Vec<SavedStage>> {
        let kept = match guarded(&self.label, || self.process.save_sensors())? {
            Some(states) => divided(states, places, groups)?,
            None => self.save_whole(places, groups)?,
        };
        let goes_by = asked(&self.label, || self.process.goes_by())?.map(str::to_owned);
        let identity = asked(&self.label, || self.identity())?;
        let ledgers = std::iter::once(self.entry.ledger).chain(std::iter::repeat(Ledger::default()));
        let saved = kept.into_iter().zip(ledgers).map(|(kept, ledger)| SavedStage {
            identity: identity.clone(),
            goes_by: goes_by.clone(),
            ledger,
            kept,
        });
        Ok(saved.collect())
    }

    /// Its state as a whole, which can be divided only if it is empty.
    fn save_whole(&self, places: &GroupPlaces, groups: usize) -> Result<Vec<Kept>> {
        let state = guarded(&self.label, || self.process.save())?;
        if state.is_empty() {
            return divided(SensorStates::default(), places, groups);
        }
        if groups > 1 || places.has_gaps() {
            return Err(Error::config(format!("the state of {} cannot be divided by sensors", self.label)).with_help(
                "let its process implement `save_sensors` and `restore_sensors`, or move all sensors together",
            ));
        }
        Ok(vec![Kept::Whole(state)])
    }

    /// Checks that `saved` is a state of this stage.
    fn check(&self, saved: &SavedStage) -> Result<()> {
        let goes_by = asked(&self.label, || self.process.goes_by())?;
        guarded(&self.label, || {
            self.identity().check(&saved.identity)?;
            if saved.goes_by.as_deref() != goes_by {
                let shown = |what: Option<&str>| what.unwrap_or("a watermark that is given to it").to_owned();
                let (then, now) = (shown(saved.goes_by.as_deref()), shown(goes_by));
                return Err(Error::data(format!(
                    "the saved state does not fit: it depends on {then}, and this chain on {now}"
                ))
                .with_help(
                    "restore a state of `Chain::partitioned` with `Chain::partitioned`, and one of `Chain::new` with `Chain::new`",
                ));
            }
            Ok(())
        })
    }

    fn restore(&mut self, parts: Vec<OpenedStage>, sensors: &Sensors) -> Result<()> {
        let Self { label, process, entry, .. } = self;
        let (mut all, mut ledger) = (SensorStates::default(), Ledger::default());
        let count = parts.len();
        for part in parts {
            let (more, states) = match part {
                OpenedStage::Whole(ledger, state, true) if count == 1 => {
                    guarded(label, || process.restore(&state, sensors))?;
                    entry.ledger = ledger;
                    return Ok(());
                }
                OpenedStage::Whole(..) => {
                    return Err(Error::data(format!(
                        "the state of {label} cannot be divided by sensors, and refers to them by their ids"
                    ))
                    .with_help("restore that state alone, with `sensors` still empty"));
                }
                OpenedStage::BySensor(ledger, states) => (ledger, states),
            };
            add_ledger(&mut ledger, more)
                .ok_or_else(|| Error::data(format!("the ledger of {label} is damaged")))?;
            all.states.extend(states.states);
            all.shared.extend(states.shared);
            all.counts.resize(all.counts.len().max(states.counts.len()), 0);
            all.counts.iter_mut().zip(states.counts).for_each(|(all, more)| *all = all.saturating_add(more));
        }
        all.states.sort_by_key(|(sensor, _)| *sensor);
        if let Some(pair) = all.states.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let name = sensors.name(pair[0].0).escape_debug();
            return Err(Error::data(format!(
                "two of the states contain sensor `{name}`: {label} accepts one per sensor"
            ))
            .with_help("restore states of different sensors together"));
        }
        guarded(label, || process.restore_sensors(&all, sensors))?;
        // Those that are held here may be fewer than were counted there, or more.
        let held = asked(label, || process.held())?;
        entry.ledger = Ledger { input: (ledger.input + held).saturating_sub(ledger.held), held, ..ledger };
        Ok(())
    }
}

/// What is kept of the sensors of each group.
fn divided(kept: SensorStates, places: &GroupPlaces, groups: usize) -> Result<Vec<Kept>> {
    let SensorStates { states, shared, counts } = kept;
    let mut by_group: Vec<Vec<(u32, Vec<u8>)>> = (0..groups).map(|_| Vec::new()).collect();
    for (sensor, state) in states {
        let nameless = || Error::internal("a state belongs to a sensor that has no name");
        let (group, place) = places.of(sensor).ok_or_else(nameless)?;
        by_group[group].push((place, state));
    }
    let zeros = vec![0; counts.len()];
    let counts = std::iter::once(counts).chain(std::iter::repeat(zeros));
    let kept = |(states, counts)| Kept::BySensor { states, shared: shared.clone(), counts };
    Ok(by_group.into_iter().zip(counts).map(kept).collect())
}

/// Adds a ledger that was read, unless no run can have that.
fn add_ledger(all: &mut Ledger, more: Ledger) -> Option<()> {
    /// More records than any machine has seen.
    const MOST: u64 = 1 << 56;
    let Ledger { input, output, made, folded, filtered, rejected, late, dropped, held } = more;
    let counts = [input, output, made, folded, filtered, rejected, late, dropped, held];
    counts.iter().all(|&count| count < MOST).then(|| *all += more)
}
