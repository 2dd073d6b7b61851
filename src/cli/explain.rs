//! `tidemill explain`: describes what a pipeline would do, stage by stage, and what it guarantees.

use std::fmt::Write;

use serde_json::Value;

use super::args::ValidateArgs;
use super::failure::Outcome;
use super::load;
use super::output::{self, TerminalText};
use tidemill_core::batch::Schema;
use tidemill_core::error::{Masks, visible};
use tidemill_core::stage::{Reach, Stage};
use tidemill_engine::pipeline::{Delivery, Order, Pipeline, Plan, SinkEntry};
use tidemill_engine::runtime::has_one_thread;
use tidemill_engine::sink::{Repeat, Takes};

pub(super) fn explain(args: &ValidateArgs) -> Outcome {
    let (resolved, plan) = load::plan(&args.pipeline)?;
    output::page(&explanation(&resolved.pipeline, &plan))
}

fn explanation(pipeline: &Pipeline, plan: &Plan) -> TerminalText {
    let mut text = TerminalText::default();
    let options = pipeline.parameters();
    let shown = MaskedNames(pipeline.secrets.masks());
    for (at, options) in options.sources.iter().enumerate() {
        source(pipeline, at, plan, options, shown, &mut text);
    }
    let first = pipeline.stages_before();
    for (at, stage) in plan.stages.iter().enumerate() {
        let (label, options, own) = match at.checked_sub(first) {
            Some(at) => {
                let own = pipeline.secrets.masks_of(&["stage", &at.to_string()]);
                (format!("stage {at}: {}", stage.name()), options.stages[at].clone(), own)
            }
            // Options of a source require it.
            None => {
                let own = pipeline.secrets.masks_of(&["source"]);
                let mut options = stage.parameters();
                own.hide_values(&mut options);
                (format!("before the stages: {}", stage.name()), options, own)
            }
        };
        let _ = writeln!(text, "\n{label}");
        parameters(&options, &mut text);
        let _ = writeln!(text, "  reach: {}", reach(&**stage));
        let _ = writeln!(text, "  keeps: {}", own.hide_value(&stage.memory()));
        describe_columns(plan.into_stage(at), plan.out_of_stage(at), shown, &mut text);
    }
    for (at, (sink, delivery)) in pipeline.sinks.iter().zip(pipeline.deliveries()).enumerate() {
        let _ = writeln!(text, "\nsink {at}: {}", sink.spec.name());
        parameters(&options.sinks[at], &mut text);
        describe_sink(sink, delivery, plan.into_sink(at), shown, &mut text);
    }
    passes(pipeline, plan, &mut text);
    text
}

/// Shows names from the pipeline's options: escaped, with secrets masked.
#[derive(Clone, Copy)]
struct MaskedNames<'m>(&'m Masks);

impl MaskedNames<'_> {
    fn name(self, name: &str) -> String {
        visible(&self.0.hide_value(name)).into_owned()
    }

    fn columns(self, schema: &Schema) -> String {
        let columns = schema
            .fields()
            .iter()
            .map(|field| format!("{} ({})", self.name(&field.name), self.name(&field.summary())));
        columns.collect::<Vec<_>>().join(", ")
    }
}

fn source(
    pipeline: &Pipeline,
    at: usize,
    plan: &Plan,
    options: &Value,
    shown: MaskedNames<'_>,
    text: &mut TerminalText,
) {
    let spec = &pipeline.sources[at].spec;
    let _ = match pipeline.sources.len() {
        1 => writeln!(text, "source: {}", spec.name()),
        _ if at == 0 => writeln!(text, "source {at}: {}", spec.name()),
        _ => writeln!(text, "\nsource {at}: {}", spec.name()),
    };
    parameters(options, text);
    let traits = spec.traits();
    let ends = if traits.is_bounded { "ends" } else { "does not end" };
    let again = if traits.is_replayable { "can be read again" } else { "can be read only once" };
    let _ = writeln!(text, "  the input {ends} and {again}");
    let _ = writeln!(text, "  columns: {}", shown.columns(&plan.schemas[at]));
    let files = spec.files(&pipeline.outputs());
    if !files.is_empty() {
        let names: Vec<_> =
            files.iter().take(5).map(|file| shown.name(&file.display().to_string())).collect();
        let more = files.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(text, "  reads {}{more}", names.join(", "));
    }
}

fn reach(stage: &dyn Stage) -> &'static str {
    match stage.reach() {
        Reach::Row => "row: each record alone, on any thread",
        Reach::Series => "series: all earlier records of its sensor, in order",
        Reach::Global => "global: needs a first pass over the whole input",
    }
}

fn describe_columns(input: &Schema, output: &Schema, shown: MaskedNames<'_>, text: &mut TerminalText) {
    let added: Vec<_> = output
        .fields()
        .iter()
        .filter(|field| input.index_of(&field.name).is_none())
        .map(|field| format!("{} ({})", shown.name(&field.name), shown.name(&field.summary())))
        .collect();
    if !added.is_empty() {
        let _ = writeln!(text, "  adds: {}", added.join(", "));
    }
    let _ = writeln!(text, "  columns out: {}", shown.columns(output));
}

fn describe_sink(
    sink: &SinkEntry,
    delivery: Delivery,
    input: &Schema,
    shown: MaskedNames<'_>,
    text: &mut TerminalText,
) {
    let spec = &sink.spec;
    let sensors = match &sink.sensors {
        Some(patterns) => format!("the sensors {}", shown.name(&patterns.join(", "))),
        None => "all sensors".to_owned(),
    };
    let _ = match spec.takes() {
        Takes::Records => {
            writeln!(text, "  takes: the records of {sensors}: {}", shown.columns(input))
        }
        Takes::Rejections => writeln!(text, "  takes: rejected records, with place, reason and raw text"),
    };
    let rolls = spec.rolls().map(|template| shown.name(&template.path().display().to_string()));
    let appears = match (spec.file(), spec.is_stdout()) {
        _ if rolls.is_some() => format!(
            "files called {}, one after the other: each appears when it is complete, and with --state when its checkpoint is durable",
            rolls.as_deref().unwrap_or_default()
        ),
        (Some(file), _) => {
            let file = file.display().to_string();
            format!(
                "{} appears when complete, or not at all; an older one stays until then",
                shown.name(&file)
            )
        }
        (None, true) => "standard output, as the records arrive".to_owned(),
        (None, false) => "delivered as the records arrive".to_owned(),
    };
    let _ = writeln!(text, "  delivery: {appears}");
    let repeat = match spec.repeat() {
        Repeat::Harmless if rolls.is_some() => {
            "repeating the run writes additional files; with --state, a new run is refused if such files exist"
        }
        Repeat::Harmless => "repeating the run writes the same output again, without duplicates",
        Repeat::Duplicates => "repeating the run delivers its records again",
    };
    let _ = writeln!(text, "  repeat: {repeat}");
    let _ = writeln!(text, "  with --state: {delivery}: {}", delivery.meaning());
}

fn passes(pipeline: &Pipeline, plan: &Plan, text: &mut TerminalText) {
    let first = pipeline.stages_before();
    let fitted = plan.stages.iter().enumerate().filter(|(_, stage)| stage.reach() == Reach::Global);
    let fitted: Vec<_> = fitted.map(|(at, _)| format!("stage {}", at.saturating_sub(first))).collect();
    let _ = match fitted.len() {
        0 => writeln!(text, "\npasses over the input: 1"),
        count => {
            writeln!(text, "\npasses over the input: {} or more, first for {}", count + 1, fitted.join(", "))
        }
    };
    let orders: Vec<_> = pipeline.sources.iter().map(|source| source.input.order).collect();
    let traits = pipeline.traits();
    let is_merged = pipeline.sources.iter().any(|source| source.input.merge.is_some());
    let order = match &orders[..] {
        [Order::Input] => "the input's",
        [Order::Time] => "the order of emission after sorting: by time within each sensor",
        [Order::NewestFirst] => "by time",
        _ if is_merged && traits.is_bounded => {
            "by time where sources are merged; the others one after the other"
        }
        _ if is_merged => "sources that end first, by time where they are merged; then that of arrival",
        _ if traits.is_bounded => "that of the sources, one after the other, each in its own order",
        _ => "sources that end first, one after the other; then that of arrival",
    };
    let _ = match has_one_thread(pipeline) {
        Some(option) => writeln!(
            text,
            "order of the output: {order}\nthreads: 1, whatever `--threads` says, because of `{option}`"
        ),
        None => writeln!(text, "order of the output: {order}, with any number of threads"),
    };
    let memory = match orders.contains(&Order::NewestFirst) {
        true => "grows with the input: all records are kept until its end",
        false => "does not grow with the input, only with the state of the stages",
    };
    let _ = writeln!(text, "memory: {memory}");
}

/// One line per parameter, as it would be written in the file; unset ones are left out.
fn parameters(values: &Value, text: &mut TerminalText) {
    let Value::Object(values) = values else { return };
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(table) => !table.is_empty(),
        _ => true,
    };
    for (name, value) in values.iter().filter(|(_, value)| is_set(value)) {
        let value = &given(value);
        let value = match toml::Value::try_from(value) {
            Ok(value) => value.to_string(),
            Err(_) => value.to_string(),
        };
        let _ = writeln!(text, "  {} = {}", visible(name), visible(&value));
    }
}

/// A value without what is not given in it.
fn given(value: &Value) -> Value {
    match value {
        Value::Object(table) => {
            let set = table.iter().filter(|(_, value)| !value.is_null());
            set.map(|(name, value)| (name.clone(), given(value))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().map(given).collect(),
        other => other.clone(),
    }
}
