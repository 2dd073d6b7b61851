//! `from` and `until`: only the records of a time range (clause 24).

use std::sync::Arc;

use serde_json::json;

use super::{Flow, Foresight, Process, Reach, Stage};
use crate::batch::{Batch, Extent, Mask, Schema};
use crate::error::{Error, Result};
use crate::sensor::Sensors;
use crate::time::Period;

/// Keeps the records in a time range.
#[derive(Clone, Debug)]
pub struct InPeriod(Period);

impl InPeriod {
    /// Keeps the records in `period`.
    pub fn new(period: Period) -> Self {
        Self(period)
    }
}

impl Stage for InPeriod {
    fn name(&self) -> &str {
        "period"
    }

    fn parameters(&self) -> serde_json::Value {
        let written = |time: Option<crate::time::Timestamp>| time.map(|time| time.to_string());
        json!({ "from": written(self.0.from), "until": written(self.0.until) })
    }

    fn reach(&self) -> Reach {
        Reach::Row
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn output(&self, input: &Schema) -> Result<Schema> {
        match input.time() {
            Some(_) => Ok(input.clone()),
            None => Err(Error::config("`from` and `until` need a time column")
                .with_help("name it in [source] `time`")),
        }
    }

    fn foresee(&self, _input: &Schema, records: &Extent) -> Foresight {
        let Some((first, last)) = records.times else { return Foresight::Unknown };
        let Period { from, until } = self.0;
        if self.0.contains(first) && self.0.contains(last) {
            Foresight::Kept
        } else if from.is_some_and(|from| last < from) || until.is_some_and(|until| until <= first) {
            Foresight::Filtered
        } else {
            Foresight::Unknown
        }
    }

    fn start(&self, input: &Arc<Schema>) -> Result<Box<dyn Process>> {
        self.output(input)?;
        let period = self.0;
        Ok(Box::new(move |mut batch: Batch, _: &Sensors, flow: &mut Flow| {
            let times = batch.times().unwrap_or_default();
            if times.iter().all(|&time| period.contains(time)) {
                return Ok(batch);
            }
            let keep: Mask = times.iter().map(|&time| period.contains(time)).collect();
            flow.filter(&mut batch, &keep);
            Ok(batch)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::testing::{Table, run};
    use crate::time::Timestamp;

    #[test]
    fn clause_24_from_is_in_the_period_and_until_is_not() {
        let table = (0..10).fold(Table::new(&["v"]), |table, at| table.row("s", at, &[Some(at as f64)]));
        let at = |nanos: i64| Some(Timestamp::from_nanos(nanos));
        for (period, kept) in [
            (Period { from: at(3), until: at(6) }, 3..6),
            (Period { from: None, until: at(4) }, 0..4),
            (Period { from: at(8), until: None }, 8..10),
            (Period { from: at(20), until: None }, 0..0),
        ] {
            let result = run(&InPeriod::new(period), &table, 4);
            let expected: Vec<_> = kept.clone().map(|at| Some(at as f64)).collect();
            assert_eq!(result.measurement("v"), expected);
            assert_eq!(result.flow.filtered, 10 - kept.len() as u64);
        }
    }
}
