//! Remarks about options that had no effect, so that no user relies on them.

use std::sync::Arc;

use globset::{GlobSet, GlobSetBuilder};

use crate::batch::Schema;
use crate::pipeline::label::stage_label;
use crate::pipeline::{Pipeline, SourceEntry, StageEntry, WhenFull};
use crate::sensor::{Sensors, matcher};
use crate::source::is_recording;

/// One remark for every option of `pipeline` that had no effect on a run with these sensors.
pub(crate) fn without_effect(pipeline: &Pipeline, sensors: &Sensors) -> Vec<String> {
    let mut remarks = at_rest(pipeline);
    remarks.extend(unmatched(pipeline, sensors));
    remarks
}

/// Options for live input, if the input is at rest. Not an error, since one pipeline may serve both.
fn at_rest(pipeline: &Pipeline) -> Vec<String> {
    let bounded = pipeline.sources.iter().filter(|source| source.spec.traits().is_bounded);
    let mut remarks = Vec::new();
    for SourceEntry { spec, input } in bounded {
        let is_recorded = || spec.files(&pipeline.outputs()).iter().any(|file| is_recording(file));
        if input.max_ahead.is_some() && !is_recorded() {
            remarks.push("`max_ahead` had no effect: it does not apply to files at rest".into());
        }
        if input.when_full == WhenFull::Drop {
            remarks.push("`when_full` had no effect: files at rest wait".into());
        }
    }
    remarks
}

/// `max_ahead`, if the records of a source (with the columns `inputs`) have no times.
pub(crate) fn untimed(pipeline: &Pipeline, inputs: &[Arc<Schema>]) -> Option<String> {
    let mut sources = pipeline.sources.iter().zip(inputs);
    let is_idle = sources.any(|(source, input)| source.input.max_ahead.is_some() && input.time().is_none());
    is_idle.then(|| "`max_ahead` had no effect: the records have no times".into())
}

/// Patterns that match no sensor.
fn unmatched(pipeline: &Pipeline, sensors: &Sensors) -> Vec<String> {
    let all = patterns(pipeline);
    let Some(set) = set(all.iter().map(|(_, pattern)| &**pattern)).filter(|_| !sensors.is_empty()) else {
        return Vec::new();
    };
    let (mut is_met, mut left, mut fitting) = (vec![false; all.len()], all.len(), Vec::new());
    for name in sensors.names() {
        if left == 0 {
            break;
        }
        set.matches_into(name, &mut fitting);
        for &at in &fitting {
            left -= usize::from(!std::mem::replace(&mut is_met[at], true));
        }
    }
    let unmet = all.into_iter().zip(is_met).filter(|(_, is_met)| !is_met);
    unmet.map(|((label, pattern), _)| format!("{label}: `{pattern}` matches no sensor")).collect()
}

/// All patterns for sensor names, and the parts that have them.
fn patterns(pipeline: &Pipeline) -> Vec<(String, String)> {
    let first = pipeline.stages_before();
    let mut all = Vec::new();
    for (at, StageEntry { stage, .. }) in pipeline.stages.iter().enumerate() {
        let label = stage_label(pipeline, first + at, &**stage);
        all.extend(stage.sensor_patterns().into_iter().map(|pattern| (label.clone(), pattern)));
    }
    for (at, sink) in pipeline.sinks.iter().enumerate() {
        let label = format!("sink {at} ({})", sink.spec.name());
        let patterns = sink.sensors.iter().flatten().cloned().chain(sink.spec.sensor_patterns());
        all.extend(patterns.map(|pattern| (label.clone(), pattern)));
    }
    all
}

/// All of them as one set; they were checked before.
fn set<'p>(patterns: impl Iterator<Item = &'p str>) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(matcher(pattern).ok()?.glob().clone());
    }
    set.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{Alert, Null};
    use crate::source::Synthetic;
    use crate::stage::Threshold;

    #[test]
    fn rules_that_fit_no_sensor_are_said() {
        let stage = Threshold {
            min: Some(0.0),
            sensors: [("temp-*", 1.0), ("tmep-*", 2.0)]
                .map(|(name, min)| (name.into(), crate::stage::Bounds { min: Some(min), max: None }))
                .into(),
            ..Threshold::default()
        };
        let mut alert = Alert::above("value", 1e9);
        alert
            .rules
            .insert("nobody".into(), crate::sink::Thresholds { above: Some(1.0), ..Default::default() });
        let mut sensors = Sensors::default();
        let pipeline = Pipeline::builder()
            .source(Synthetic::default())
            .stage(stage)
            .sink_for(["temp-1", "temp-2"], Null::default())
            .sink(alert)
            .build()
            .expect("a pipeline");
        assert_eq!(without_effect(&pipeline, &sensors), [""; 0], "nothing has been read");
        for name in ["temp-1", "press-1"] {
            sensors.id(name).expect("room");
        }
        let expected = [
            "stage 0 (threshold): `tmep-*` matches no sensor",
            "sink 0 (null): `temp-2` matches no sensor",
            "sink 1 (alert): `nobody` matches no sensor",
        ];
        assert_eq!(without_effect(&pipeline, &sensors), expected);
    }
}
