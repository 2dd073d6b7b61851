//! The faults of a process, as its sources, sinks and files meet them.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use super::journal::{Event, Journal, Line};
use super::schedule::{Effect, Fault, Moment};
use crate::error::{Error, Result};
use crate::time::Clock;

/// The faults that have begun or will begin.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) journal: Journal,
    schedule: Vec<Fault>,
    /// Items of the whole input.
    items: u64,
    /// Whether a sink delivers by epochs: then it is deliveries that are slow.
    delivers: bool,
    armed: Mutex<Armed>,
    /// How far the clock is ahead, in nanoseconds.
    shift: Arc<AtomicI64>,
}

#[derive(Debug, Default)]
struct Armed {
    /// Items read since the last fault has begun, by all processes.
    read: u64,
    /// The next fault to begin.
    next: usize,
    active: Vec<Active>,
}

/// A fault that has begun.
#[derive(Debug)]
struct Active {
    fault: usize,
    /// How many more calls it concerns at least.
    left: u32,
    /// When it had an effect for the first time, in nanoseconds since 1970.
    since: Option<i64>,
}

/// What a call meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) fault: usize,
    pub(super) effect: Effect,
    /// Whether the fault ends with it.
    is_last: bool,
}

impl Faults {
    /// The faults of a process that continues after `lines` of the journal. Those that have begun without an effect still have it before them; an outage goes on.
    pub(super) fn after(
        lines: &[Line],
        schedule: Vec<Fault>,
        items: u64,
        delivers: bool,
        journal: Journal,
    ) -> Self {
        let (mut armed, mut shift) = (Armed::default(), 0_i64);
        for line in lines {
            match line.event {
                Event::Read => armed.read += 1,
                Event::Began { fault } => {
                    (armed.read, armed.next) = (0, fault + 1);
                    if let Some(Fault { effect, .. }) = schedule.get(fault) {
                        armed.begin(fault, effect, &schedule);
                    }
                }
                Event::Struck { fault } => match schedule.get(fault).map(|fault| &fault.effect) {
                    Some(Effect::Outage { .. }) => armed.struck(fault, line.nanos),
                    effect => {
                        armed.end(fault);
                        if let Some(Effect::Clock { seconds }) = effect {
                            shift = shift.saturating_add(nanos(*seconds));
                        }
                    }
                },
                Event::Ended { fault } => armed.end(fault),
                _ => {}
            }
        }
        let shift = Arc::new(AtomicI64::new(shift));
        Self { journal, schedule, items, delivers, armed: Mutex::new(armed), shift }
    }

    /// The clock of the run.
    pub(super) fn clock(&self) -> Clock {
        Clock::shifted(Arc::clone(&self.shift))
    }

    /// An item of the input was read: begins the faults that are due. Returns how much longer that takes.
    pub(super) fn read(&self) -> Result<Duration> {
        self.journal.note(Event::Read)?;
        let mut armed = self.armed();
        armed.read += 1;
        while let Some(fault) = self.due(&armed) {
            self.begin(fault, &mut armed)?;
        }
        let is_of_input = |effect: &Effect| match effect {
            Effect::Slow { .. } => !self.delivers,
            effect => matches!(effect, Effect::Input { .. }),
        };
        let Some(met) = self.meet(&mut armed, is_of_input)? else { return Ok(Duration::ZERO) };
        self.over(&met)?;
        match met.effect {
            Effect::Input { silent: None } => {
                Err(Error::unavailable("chaos: the input has failed").transient())
            }
            _ => Ok(met.longer()),
        }
    }

    /// The next fault, if enough was read since the last one.
    fn due(&self, armed: &Armed) -> Option<usize> {
        let begins = |at: usize| u64::from(self.schedule[at].at) * self.items / 1000;
        let next = armed.next;
        let gap = begins(self.schedule.get(next).map(|_| next)?) - next.checked_sub(1).map_or(0, begins);
        (armed.read >= gap).then_some(next)
    }

    fn begin(&self, fault: usize, armed: &mut Armed) -> Result<()> {
        (armed.read, armed.next) = (0, fault + 1);
        self.journal.note(Event::Began { fault })?;
        let effect = &self.schedule[fault].effect;
        match effect {
            Effect::Kill { moment: Moment::Reading } => self.die(fault),
            Effect::Clock { seconds } => {
                self.shift.fetch_add(nanos(*seconds), Ordering::Relaxed);
                self.journal.note(Event::Struck { fault })?;
                self.journal.note(Event::Ended { fault })
            }
            effect => {
                armed.begin(fault, effect, &self.schedule);
                Ok(())
            }
        }
    }

    /// A delivery begins: the fault that it meets.
    pub(super) fn delivery(&self) -> Result<Option<Met>> {
        let mut armed = self.armed();
        let is_kill = |effect: &Effect| matches!(effect, Effect::Kill { moment: Moment::Delivered });
        match self.meet(&mut armed, is_kill)? {
            None => self.meet(&mut armed, is_of_network),
            kill => Ok(kill),
        }
    }

    /// The call that has met a fault is over.
    pub(super) fn over(&self, met: &Met) -> Result<()> {
        match met.is_last {
            true => self.journal.note(Event::Ended { fault: met.fault }),
            false => Ok(()),
        }
    }

    /// The file system is called to change something; `grows`: for more space.
    pub(super) fn change(&self, grows: bool) -> io::Result<()> {
        let mut armed = self.armed();
        let is_kill = |effect: &Effect| matches!(effect, Effect::Kill { moment: Moment::Writing(_) });
        if let Some(kill) = self.find(&mut armed, is_kill) {
            kill.left = kill.left.saturating_sub(1);
            if kill.left == 0 {
                self.die(kill.fault);
            }
        }
        if !grows {
            return Ok(());
        }
        let is_full = |effect: &Effect| matches!(effect, Effect::Disk { .. });
        match self.meet(&mut armed, is_full).map_err(io::Error::other)? {
            None => Ok(()),
            Some(met) => {
                self.over(&met).map_err(io::Error::other)?;
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }

    /// Ends the process as `kill -9` does.
    pub(super) fn die(&self, fault: usize) -> ! {
        // A journal that cannot be written shows a kill that has not struck.
        let _noted = self.journal.note(Event::Struck { fault });
        loop {
            let _sent = kill_process(getpid(), Signal::KILL);
        }
    }

    /// The first active fault of this kind, which concerns one call less from now on. A kill concerns any number, until it happens.
    fn meet(&self, armed: &mut Armed, concerns: impl Fn(&Effect) -> bool) -> Result<Option<Met>> {
        let Some(active) = self.find(armed, concerns) else { return Ok(None) };
        let effect = self.schedule[active.fault].effect.clone();
        if let Effect::Kill { .. } = effect {
            return Ok(Some(Met { fault: active.fault, effect, is_last: false }));
        }
        let (fault, now) = (active.fault, Clock::default().read().as_nanos());
        let is_first = active.since.is_none();
        let since = *active.since.get_or_insert(now);
        active.left = active.left.saturating_sub(1);
        let is_last = active.left == 0 && now.abs_diff(since) >= effect.lasts();
        if is_first {
            self.journal.note(Event::Struck { fault })?;
        }
        if is_last {
            armed.end(fault);
        }
        Ok(Some(Met { fault, effect, is_last }))
    }

    fn find<'a>(&self, armed: &'a mut Armed, concerns: impl Fn(&Effect) -> bool) -> Option<&'a mut Active> {
        armed.active.iter_mut().find(|active| concerns(&self.schedule[active.fault].effect))
    }

    fn armed(&self) -> MutexGuard<'_, Armed> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Met {
    /// How much longer the call takes.
    pub(super) fn longer(&self) -> Duration {
        match self.effect {
            Effect::Slow { millis, .. } | Effect::Input { silent: Some(millis) } => {
                Duration::from_millis(millis)
            }
            _ => Duration::ZERO,
        }
    }
}

impl Armed {
    /// A fault begins. The network has one at a time: several that begin before the next delivery would add up to an outage that nobody has scheduled. One that was
    /// comes to its end first.
    fn begin(&mut self, fault: usize, effect: &Effect, schedule: &[Fault]) {
        if is_of_network(effect) {
            let is_over = |effect: &Effect| is_of_network(effect) && !matches!(effect, Effect::Outage { .. });
            self.active.retain(|active| !is_over(&schedule[active.fault].effect));
        }
        self.active.push(Active { fault, left: effect.calls(), since: None });
    }

    /// An earlier process has met the fault.
    fn struck(&mut self, fault: usize, nanos: i64) {
        let active = self.active.iter_mut().filter(|active| active.fault == fault);
        active.for_each(|active| active.since = Some(nanos));
    }

    fn end(&mut self, fault: usize) {
        self.active.retain(|active| active.fault != fault);
    }
}

/// Whether it is deliveries that meet it, and are not killed by it.
fn is_of_network(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Drop { .. } | Effect::Slow { .. } | Effect::Refuse { .. } | Effect::Outage { .. }
    )
}

fn nanos(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000)
}
