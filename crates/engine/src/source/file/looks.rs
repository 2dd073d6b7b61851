//! Schedules checks for growth over many files: files that grew recently first, all others in rotation.
//!
//! A check costs a system call, and most files are quiet: so all files are checked over a period that grows with their number, a few at a
//! time, and recently grown ones in an additional, shorter period.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Minimum pause between checks.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// Maximum time for checking all files, however many there are.
const LONGEST: Duration = Duration::from_secs(1);

/// Pause after a check, as a multiple of its duration: about 2 % of a core, unless that makes the period longer than [`LONGEST`].
pub(super) const REST: u32 = 50;

/// Approximate duration of a check.
const LOOK: Duration = Duration::from_micros(2);

/// How long a file counts as recently grown.
const LATELY: Duration = Duration::from_secs(2);

/// The files to check, by ordinal.
pub(super) struct Looks {
    pause: Duration,
    all: Tour,
    lately: Tour,
    /// The times of the last growth of recently grown files.
    grown: BTreeMap<usize, Instant>,
}

/// A rotation over some files.
#[derive(Default)]
struct Tour {
    next: usize,
    /// The time up to which the files before `next` were due; `None` before the first rotation.
    reached: Option<Instant>,
}

impl Looks {
    /// Periods are multiples of `pause`; if it is zero, every call checks all files.
    pub(super) fn every(pause: Duration) -> Self {
        Self { pause, all: Tour::default(), lately: Tour::default(), grown: BTreeMap::new() }
    }

    /// File `at` has grown.
    pub(super) fn has_grown(&mut self, at: usize, now: Instant) {
        self.grown.insert(at, now);
    }

    /// The files to check now, of `files` in all.
    pub(super) fn due(&mut self, files: usize, now: Instant) -> Vec<usize> {
        self.grown.retain(|at, since| *at < files && now.duration_since(*since) < LATELY);
        let lately: Vec<usize> = self.grown.keys().copied().collect();
        let lately_due = self.lately.due(lately.len(), self.pause, now).map(|at| lately[at]);
        lately_due.chain(self.all.due(files, self.pause, now)).collect()
    }

    /// The ordinals have changed: all files are due.
    pub(super) fn clear(&mut self) {
        *self = Self::every(self.pause);
    }
}

impl Tour {
    /// The next of `count` files: a share that corresponds to the elapsed part of the period.
    fn due(&mut self, count: usize, pause: Duration, now: Instant) -> impl Iterator<Item = usize> + use<> {
        let each = if pause.is_zero() { pause } else { (LOOK * REST).min(LONGEST / count.max(1) as u32) };
        let tour = (each * count as u32).max(pause);
        let passed = self.reached.map_or(tour, |reached| now.duration_since(reached));
        let start = if self.next < count { self.next } else { 0 };
        let due = if passed >= tour {
            self.reached = Some(now);
            count
        } else {
            let due = (count as u128 * passed.as_nanos() / tour.as_nanos()) as usize;
            // The remaining time counts for the next call.
            self.reached = self.reached.map(|reached| reached + tour * due as u32 / count.max(1) as u32);
            due
        };
        self.next = start + due;
        (start..start + due).map(move |at| at % count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of `files` is checked in `seconds`, with a call per pause; `busy` ones grow all the time.
    fn looked(files: usize, busy: std::ops::Range<usize>, seconds: u32) -> Vec<usize> {
        let (mut looks, mut counts, mut now) = (Looks::every(PAUSE), vec![0; files], Instant::now());
        for _ in 0..seconds * 200 {
            for at in looks.due(files, now) {
                counts[at] += 1;
                if busy.contains(&at) {
                    looks.has_grown(at, now);
                }
            }
            now += PAUSE;
        }
        counts
    }

    #[test]
    fn idle_files_are_looked_at_once_a_tour_and_a_tour_is_longer_the_more_they_are() {
        for (files, tours) in [(1, 2000), (50, 2000), (500, 200), (5000, 20), (50_000, 10)] {
            let counts = looked(files, 0..0, 10);
            let (least, most) = (counts.iter().min(), counts.iter().max());
            let is_near = |count: &usize| (tours * 9 / 10..=tours + 2).contains(count);
            assert!(
                least.is_some_and(is_near) && most.is_some_and(is_near),
                "{files}: {least:?} to {most:?}"
            );
        }
    }

    #[test]
    fn those_that_grow_are_looked_at_at_every_turn_among_many_that_do_not() {
        let counts = looked(5000, 100..110, 10);
        assert!(counts[100..110].iter().all(|count| *count > 1800), "{:?}", &counts[95..115]);
        assert!(counts.iter().sum::<usize>() < 10 * 2200 + 5000 * 22);
        // If all grow, the cost is twice that of no growth.
        assert!(looked(5000, 0..5000, 10).iter().all(|count| *count <= 44));
    }

    #[test]
    fn without_a_pause_everybody_is_looked_at_every_time() {
        let mut looks = Looks::every(Duration::ZERO);
        let now = Instant::now();
        assert_eq!(
            (looks.due(3, now), looks.due(3, now), looks.due(0, now)),
            (vec![0, 1, 2], vec![0, 1, 2], vec![])
        );
    }
}
