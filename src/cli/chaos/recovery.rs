//! How long a run needed to recover from its faults.

use std::time::Duration;

use serde::Serialize;

use crate::cli::summary::time;
use tidemill_engine::chaos::{Event, Fault, Line};

/// From the end of a fault to the next record that is safe: delivered, or for sinks of files in a checkpoint.
#[derive(Debug, Serialize)]
pub(super) struct Recovery {
    faults: usize,
    median_seconds: Option<f64>,
    longest_seconds: Option<f64>,
}

impl Recovery {
    pub(super) fn of(schedule: &[Fault], lines: &[Line], end: i64, delivers: bool) -> Self {
        let is_safe = |event: &Event| match delivers {
            true => matches!(event, Event::Delivered { .. }),
            false => *event == Event::Durable,
        };
        let recovered = |fault: usize| {
            let is_its =
                |line: &&Line| line.event == Event::Struck { fault } || line.event == Event::Ended { fault };
            let over = lines.iter().rposition(|line| is_its(&line))?;
            let after = lines[over..].iter().find(|line| is_safe(&line.event)).map_or(end, |line| line.nanos);
            Some((after - lines[over].nanos).max(0) as f64 / 1e9)
        };
        let mut seconds: Vec<_> = (0..schedule.len()).filter_map(recovered).collect();
        seconds.sort_unstable_by(f64::total_cmp);
        let median_seconds = seconds.get(seconds.len() / 2).copied();
        Self { faults: seconds.len(), median_seconds, longest_seconds: seconds.last().copied() }
    }

    pub(super) fn told(&self) -> String {
        let Some((median, longest)) = self.median_seconds.zip(self.longest_seconds) else {
            return "no fault to recover from".into();
        };
        let [median, longest] = [median, longest].map(|seconds| time(Duration::from_secs_f64(seconds)));
        format!("median {median}, longest {longest}, from the end of a fault to the next record that is safe")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_engine::chaos::{FaultKind, schedule};

    #[test]
    fn recovery_is_from_the_end_of_a_fault_to_the_next_record_that_is_safe() {
        let schedule = schedule(1, &FaultKind::ALL, 3, true);
        let journal = "\
            {\"nanos\":1000000000,\"event\":\"struck\",\"fault\":0}\n\
            {\"nanos\":2000000000,\"event\":\"delivered\",\"sink\":0,\"epoch\":1,\"records\":5}\n\
            {\"nanos\":3000000000,\"event\":\"ended\",\"fault\":0}\n\
            {\"nanos\":4000000000,\"event\":\"durable\"}\n\
            {\"nanos\":6000000000,\"event\":\"delivered\",\"sink\":0,\"epoch\":2,\"records\":5}\n\
            {\"nanos\":7000000000,\"event\":\"struck\",\"fault\":1}\n";
        let lines: Vec<Line> =
            journal.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        let of = |delivers| {
            let found = Recovery::of(&schedule, &lines, 12_000_000_000, delivers);
            (found.faults, found.median_seconds, found.longest_seconds)
        };
        // The third has not struck; after the second, only the end is safe.
        assert_eq!(of(true), (2, Some(5.0), Some(5.0)));
        assert_eq!(of(false), (2, Some(5.0), Some(5.0)));
        let found = Recovery::of(&schedule, &lines[..5], 12_000_000_000, true);
        assert_eq!((found.faults, found.longest_seconds), (1, Some(3.0)));
        let none = Recovery::of(&[], &[], 0, true);
        assert_eq!(none.told(), "no fault to recover from");
    }
}
