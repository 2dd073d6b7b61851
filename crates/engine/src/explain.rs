//! What a pipeline would do, part by part, and what it guarantees.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::batch::Schema;
use crate::error::{Masks, Result, visible};
use crate::executor;
use crate::pipeline::{Order, Pipeline, Plan, SinkEntry};
use crate::runtime::has_one_thread;
use crate::sink::{Repeat, Takes};
use crate::source::OpenOptions;
use crate::stage::{Reach, Stage};

/// What a pipeline would do. As text for people it is what `tidemill explain` prints; serialized, it has the lists `source`, `stage` and `sink`, whose
/// parts have `name`, `label`, `options` and `facts`, and the `facts` of the whole. The values of secrets are masked.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    source: Vec<Explained>,
    stage: Vec<Explained>,
    sink: Vec<Explained>,
    facts: Facts,
}

/// What one part would do.
#[derive(Clone, Debug, Serialize)]
struct Explained {
    /// Its type, as in the pipeline file.
    name: String,
    /// What messages call it.
    label: String,
    options: Value,
    facts: Facts,
}

/// What is to be known, by topic.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
struct Facts(Map<String, Value>);

impl Facts {
    fn add(&mut self, topic: &str, text: impl Into<String>) {
        self.0.insert(topic.into(), Value::String(text.into()));
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(topic, text)| Some((topic.as_str(), text.as_str()?)))
    }
}

impl Pipeline {
    /// Explains what it would do. Opens its sources to find their columns, and reads nothing else.
    ///
    /// # Errors
    /// An error in opening a source; a configuration error if the parts do not fit together.
    pub fn explain(&self, options: &OpenOptions) -> Result<Explanation> {
        let explain = || Ok(Explanation::new(self, &Plan::new(self, executor::columns(self, options)?)?));
        explain().map_err(|error| self.hide_error(error))
    }
}

impl Explanation {
    /// Explains `pipeline`, which runs as in `plan`.
    pub fn new(pipeline: &Pipeline, plan: &Plan) -> Self {
        let mut explanation = Self {
            source: (0..pipeline.sources.len()).map(|at| source(pipeline, at, plan)).collect(),
            stage: (0..plan.stages.len()).map(|at| stage(pipeline, at, plan)).collect(),
            sink: (0..pipeline.sinks.len()).map(|at| sink(pipeline, at, plan)).collect(),
            facts: whole(pipeline, plan),
        };
        explanation.hide(pipeline.secrets.masks());
        explanation
    }

    /// Masks secrets that are long enough not to be anything else.
    fn hide(&mut self, masks: &Masks) {
        let parts = self.source.iter_mut().chain(&mut self.stage).chain(&mut self.sink);
        for facts in parts.map(|part| &mut part.facts).chain([&mut self.facts]) {
            for text in facts.0.values_mut() {
                let hidden = text.as_str().map(|text| masks.hide_long(text).into_owned());
                *text = hidden.unwrap_or_default().into();
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.source.iter().chain(&self.stage).chain(&self.sink).enumerate() {
            writeln!(f, "{}{}", if at > 0 { "\n" } else { "" }, visible(&part.label))?;
            parameters(&part.options, f)?;
            part.facts.iter().try_for_each(|(topic, text)| writeln!(f, "  {topic}: {}", visible(text)))?;
        }
        writeln!(f)?;
        self.facts.iter().try_for_each(|(topic, text)| writeln!(f, "{topic}: {}", visible(text)))
    }
}

/// One line per option, as it would be written in the file; unset ones are left out.
fn parameters(options: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Value::Object(options) = options else { return Ok(()) };
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(table) => !table.is_empty(),
        _ => true,
    };
    for (name, value) in options.iter().filter(|(_, value)| is_set(value)) {
        let value = &given(value);
        let value = match toml::Value::try_from(value) {
            Ok(value) => value.to_string(),
            Err(_) => value.to_string(),
        };
        writeln!(f, "  {} = {}", visible(name), visible(&value))?;
    }
    Ok(())
}

/// A value without what is not given in it.
fn given(value: &Value) -> Value {
    match value {
        Value::Object(table) => {
            let set = table.iter().filter(|(_, value)| !value.is_null());
            set.map(|(name, value)| (name.clone(), given(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().map(given).collect(),
        other => other.clone(),
    }
}

fn source(pipeline: &Pipeline, at: usize, plan: &Plan) -> Explained {
    let (spec, masks) = (&pipeline.sources[at].spec, pipeline.secrets.masks());
    let label = match pipeline.sources.len() {
        1 => format!("source: {}", spec.name()),
        _ => format!("source {at}: {}", spec.name()),
    };
    let mut facts = Facts::default();
    let traits = spec.traits();
    let ends = if traits.is_bounded { "ends" } else { "does not end" };
    let again = if traits.is_replayable { "can be read again" } else { "can be read only once" };
    facts.add("input", format!("it {ends} and {again}"));
    facts.add("columns", columns(&plan.schemas[at], masks));
    let files = spec.files(&pipeline.outputs());
    if !files.is_empty() {
        let names = files.iter().take(5).map(|file| shown(&file.display().to_string(), masks));
        let more = files.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        facts.add("reads", format!("{}{more}", names.collect::<Vec<_>>().join(", ")));
    }
    let options = pipeline.parameters().sources.swap_remove(at);
    Explained { name: spec.name().into(), label, options, facts }
}

fn stage(pipeline: &Pipeline, at: usize, plan: &Plan) -> Explained {
    let stage = &plan.stages[at];
    let (label, options, own) = match at.checked_sub(pipeline.stages_before()) {
        Some(at) => {
            let own = pipeline.secrets.masks_of(&["stage", &at.to_string()]);
            let options = pipeline.parameters().stages.swap_remove(at);
            (format!("stage {at}: {}", stage.name()), options, own)
        }
        // Options of a source require it.
        None => {
            let own = pipeline.secrets.masks_of(&["source"]);
            let mut options = stage.parameters();
            own.hide_values(&mut options);
            (format!("before the stages: {}", stage.name()), options, own)
        }
    };
    let mut facts = Facts::default();
    facts.add("reach", reach(&**stage));
    facts.add("keeps", own.hide_value(&stage.memory()));
    let (input, output, masks) = (plan.into_stage(at), plan.out_of_stage(at), pipeline.secrets.masks());
    let added = output.fields().iter().filter(|field| input.index_of(&field.name).is_none());
    let added: Vec<_> = added.map(|field| column(&field.name, &field.summary(), masks)).collect();
    if !added.is_empty() {
        facts.add("adds", added.join(", "));
    }
    facts.add("columns out", columns(output, masks));
    Explained { name: stage.name().into(), label, options, facts }
}

fn reach(stage: &dyn Stage) -> &'static str {
    match stage.reach() {
        Reach::Row => "row: each record alone, on any thread",
        Reach::Series => "series: all earlier records of its sensor, in order",
        Reach::Global => "global: needs a first pass over the whole input",
    }
}

fn sink(pipeline: &Pipeline, at: usize, plan: &Plan) -> Explained {
    let (entry, masks) = (&pipeline.sinks[at], pipeline.secrets.masks());
    let spec = &entry.spec;
    let mut facts = Facts::default();
    let sensors = match &entry.sensors {
        Some(patterns) => format!("the sensors {}", shown(&patterns.join(", "), masks)),
        None => "all sensors".to_owned(),
    };
    facts.add(
        "takes",
        match spec.takes() {
            Takes::Records => format!("the records of {sensors}: {}", columns(plan.into_sink(at), masks)),
            Takes::Rejections => "rejected records, with place, reason and raw text".to_owned(),
        },
    );
    facts.add("delivery", appears(entry, masks));
    facts.add("repeat", repeat(entry));
    let guarantees = pipeline.guarantees_in(&plan.graph);
    let guarantees = guarantees.iter().filter(|guarantee| guarantee.sink == at);
    let guarantees: Vec<_> = guarantees.map(|guarantee| guarantee.told(pipeline)).collect();
    facts.add("with --state", shown(&guarantees.join("; "), masks));
    let options = pipeline.parameters().sinks.swap_remove(at);
    Explained { name: spec.name().into(), label: format!("sink {at}: {}", spec.name()), options, facts }
}

/// When its output appears, and where.
fn appears(SinkEntry { spec, .. }: &SinkEntry, masks: &Masks) -> String {
    if let Some(template) = spec.rolls() {
        let template = shown(&template.path().display().to_string(), masks);
        return format!(
            "files called {template}, one after the other: each appears when it is complete, and with --state when its checkpoint is durable"
        );
    }
    match (spec.file(), spec.is_stdout()) {
        (Some(file), _) => {
            let file = shown(&file.display().to_string(), masks);
            format!("{file} appears when complete, or not at all; an older one stays until then")
        }
        (None, true) => "standard output, as the records arrive".to_owned(),
        (None, false) => "delivered as the records arrive".to_owned(),
    }
}

fn repeat(SinkEntry { spec, .. }: &SinkEntry) -> &'static str {
    match spec.repeat() {
        Repeat::Harmless if spec.rolls().is_some() => {
            "repeating the run writes additional files; with --state, a new run is refused if such files exist"
        }
        Repeat::Harmless => "repeating the run writes the same output again, without duplicates",
        Repeat::Duplicates => "repeating the run delivers its records again",
    }
}

/// Names come from options and from the input: what is secret in them is masked.
fn shown(name: &str, masks: &Masks) -> String {
    masks.hide_value(name).into_owned()
}

fn column(name: &str, summary: &str, masks: &Masks) -> String {
    format!("{} ({})", shown(name, masks), shown(summary, masks))
}

fn columns(schema: &Schema, masks: &Masks) -> String {
    let columns = schema.fields().iter().map(|field| column(&field.name, &field.summary(), masks));
    columns.collect::<Vec<_>>().join(", ")
}

/// What holds for the pipeline as a whole.
fn whole(pipeline: &Pipeline, plan: &Plan) -> Facts {
    let mut facts = Facts::default();
    let first = pipeline.stages_before();
    let fitted = plan.stages.iter().enumerate().filter(|(_, stage)| stage.reach() == Reach::Global);
    let fitted: Vec<_> = fitted.map(|(at, _)| format!("stage {}", at.saturating_sub(first))).collect();
    let passes = match fitted.len() {
        0 => "1".to_owned(),
        count => format!("{} or more, first for {}", count + 1, fitted.join(", ")),
    };
    facts.add("passes over the input", passes);
    let order = order(pipeline);
    match has_one_thread(pipeline) {
        Some(option) => {
            facts.add("order of the output", order);
            facts.add("threads", format!("1, whatever `--threads` says, because of `{option}`"));
        }
        None => facts.add("order of the output", format!("{order}, with any number of threads")),
    }
    let is_kept = pipeline.sources.iter().any(|source| source.input.order == Order::NewestFirst);
    facts.add(
        "memory",
        match is_kept {
            true => "grows with the input: all records are kept until its end",
            false => "does not grow with the input, only with the state of the stages",
        },
    );
    facts
}

fn order(pipeline: &Pipeline) -> &'static str {
    let orders: Vec<_> = pipeline.sources.iter().map(|source| source.input.order).collect();
    let is_merged = pipeline.sources.iter().any(|source| source.input.merge.is_some());
    let is_bounded = pipeline.traits().is_bounded;
    match &orders[..] {
        [Order::Input] => "the input's",
        [Order::Time] => "the order of emission after sorting: by time within each sensor",
        [Order::NewestFirst] => "by time",
        _ if is_merged && is_bounded => "by time where sources are merged; the others one after the other",
        _ if is_merged => "sources that end first, by time where they are merged; then that of arrival",
        _ if is_bounded => "that of the sources, one after the other, each in its own order",
        _ => "sources that end first, one after the other; then that of arrival",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sink::Null;
    use crate::source::Synthetic;
    use crate::stage::{MovingAverage, Threshold};

    #[test]
    fn every_part_is_explained_as_values_and_as_text() {
        let pipeline = Pipeline::builder()
            .source(Synthetic::default())
            .stage(Threshold::between(-1.0, 1.0))
            .stage(MovingAverage::rows(20))
            .sink(Null::default())
            .build()
            .expect("a pipeline");
        let explanation = pipeline.explain(&OpenOptions::default()).expect("an explanation");
        let values = serde_json::to_value(&explanation).expect("values");
        assert_eq!(values["stage"][1]["label"], "stage 1: moving_average");
        assert_eq!(values["stage"][0]["options"]["max"], 1.0);
        assert_eq!(values["stage"][1]["facts"]["adds"], "value_avg (measurement)");
        assert_eq!(values["facts"]["passes over the input"], "1");
        assert_eq!(
            [&values["source"], &values["sink"]].map(|list| list.as_array().map(Vec::len)),
            [Some(1); 2]
        );
        assert_eq!(values["sink"][0]["name"], json!("null"));
        let text = explanation.to_string();
        assert!(text.contains("\nstage 1: moving_average\n  window = 20\n"), "{text}");
        assert!(text.contains("\n  reach: row: each record alone, on any thread\n"), "{text}");
        assert!(
            text.ends_with("\nmemory: does not grow with the input, only with the state of the stages\n"),
            "{text}"
        );
    }
}
