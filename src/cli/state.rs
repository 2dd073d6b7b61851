//! `tidemill state`: shows a state folder, and checks whether it is intact. A run may be using it meanwhile.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{InspectArgs, StateVerb, VerifyStateArgs};
use super::failure::Outcome;
use super::output::{self, TerminalText};
use super::summary::{aligned, count, plural};
use tidemill_core::error::{Error, Result, visible};
use tidemill_core::time::Timestamp;
use tidemill_engine::atomic::{Phase, SavedPart};
use tidemill_engine::checkpoint::{self, Ending, Listed, Manifest, PartSpec, StageState, none_intact};
use tidemill_engine::files::{Disk, everywhere};
use tidemill_engine::registry;
use tidemill_engine::sink::SinkSpec;
use tidemill_engine::source;

pub(super) fn state(verb: &StateVerb) -> Outcome {
    match verb {
        StateVerb::Inspect(args) => inspect(args),
        StateVerb::Verify(args) => verify(args),
    }
}

/// The state of a part of the pipeline in a checkpoint.
struct PartState<'a> {
    place: &'a str,
    /// How many a run reads to resume it, those included that later checkpoints have replaced; `None` if it starts anew.
    bytes: Option<u64>,
    outputs: &'a [SavedPart],
}

fn inspect(args: &InspectArgs) -> Outcome {
    let all = checkpoints(&args.folder)?;
    let newest = newest(&all);
    match args.json {
        true => output::data(&format!("{:#}\n", as_json(&all, newest))),
        false => output::page(&as_text(&all, newest)),
    }?;
    newest.map_or_else(|| Err(none_intact(&args.folder, damaged(&all)).into()), |_| Ok(()))
}

fn verify(args: &VerifyStateArgs) -> Outcome {
    let all = checkpoints(&args.folder)?;
    let mut text = list(&all);
    let newest = newest(&all);
    let mut wrong: Option<Error> = None;
    let files = everywhere(Some(&args.folder));
    for output in newest.into_iter().flat_map(|(_, manifest)| manifest.outputs.iter().flatten()) {
        let checked = output.check(&*files);
        let shown = match &checked {
            Ok(Phase::Unpublished) => "as at the checkpoint, unfinished".to_owned(),
            Ok(Phase::Published) => "as at the checkpoint, published".to_owned(),
            Err(error) => error.message().to_owned(),
        };
        let _ = writeln!(text, "{}: {}", shown_path(&output.path), visible(&shown));
        wrong = wrong.or(checked.err());
    }
    output::page(&text)?;
    let count = damaged(&all).count() as u64;
    match (wrong, newest) {
        (Some(error), _) => Err(error.into()),
        (None, None) => Err(none_intact(&args.folder, damaged(&all)).into()),
        (None, Some((path, manifest))) if count > 0 => {
            let help = match all.last() {
                Some(last) if last.path == path => {
                    format!("a run resumes from {}, which is newer than what is damaged", path.display())
                }
                _ => resumption(path, manifest),
            };
            Err(Error::data(format!("{} damaged", are(count))).with_help(help).into())
        }
        _ => Ok(()),
    }
}

fn are(damaged: u64) -> String {
    format!("{} {}", plural(damaged, "checkpoint"), if damaged == 1 { "is" } else { "are" })
}

/// What a run does if the checkpoint at `path` is the newest one that is intact, and newer ones are damaged.
fn resumption(path: &Path, manifest: &Manifest) -> String {
    let path = path.display();
    let delivering = sinks(manifest, |_, sink| sink.is_some_and(SinkSpec::delivers));
    if !delivering.is_empty() {
        return format!(
            "no run resumes from {path}: {delivering} may have delivered the rows of damaged ones, which would be delivered twice; \
             restore an intact copy of the state folder, or start a new run with another --state"
        );
    }
    let resumes = format!(
        "a run resumes from {path} and reads files again from there; what was received live after it is lost"
    );
    let rolls = |options: &Value, sink: Option<&dyn SinkSpec>| {
        !options["roll"].is_null() || sink.is_some_and(|sink| sink.rolls().is_some())
    };
    match sinks(manifest, rolls) {
        rolling if rolling.is_empty() => resumes,
        rolling => format!(
            "{resumes}; if there are files of {rolling} with a higher number, it ends with an error instead: what they have would be written twice"
        ),
    }
}

/// The sinks that are so by their options; `None` stands for one whose options are not understood, as where a secret is left out of them.
fn sinks(manifest: &Manifest, are_so: impl Fn(&Value, Option<&dyn SinkSpec>) -> bool) -> String {
    let is_so = |part: &&PartSpec| {
        let options = serde_json::from_str(&part.options).unwrap_or_default();
        are_so(&options, registry::sink(&part.name, &options).as_deref())
    };
    let sinks = manifest.pipeline.iter().filter(|part| part.place.starts_with("sink"));
    sinks.filter(is_so).map(|part| &*part.place).collect::<Vec<_>>().join(", ")
}

/// All checkpoints in a folder, the oldest first.
fn checkpoints(folder: &Path) -> Result<Vec<Listed>> {
    let all = checkpoint::list(&Disk, folder)?;
    if all.is_empty() {
        return Err(Error::unavailable(format!("there is no checkpoint in {}", folder.display())).with_help(
            "name the folder that was given as --state; a run makes its first checkpoint after --checkpoint-every",
        ));
    }
    Ok(all)
}

/// Those that are not intact, the newest first, and what is wrong with them.
fn damaged(all: &[Listed]) -> impl Iterator<Item = (&Path, &Error)> {
    all.iter().rev().filter_map(|listed| Some((&*listed.path, listed.content.as_ref().err()?)))
}

/// The one that a run resumes from.
fn newest(all: &[Listed]) -> Option<(&Path, &Manifest)> {
    all.iter().rev().find_map(|checkpoint| Some((&*checkpoint.path, checkpoint.content.as_ref().ok()?)))
}

/// Source, stages and sinks, in order.
fn parts<'a>(manifest: &'a Manifest) -> Vec<PartState<'a>> {
    let mut sources = manifest.sources.iter();
    let mut stages = manifest.stages.iter();
    let mut sinks = manifest.sinks.iter().zip(&manifest.outputs);
    let length = |state: &Option<Vec<u8>>| state.as_ref().map(|state| state.len() as u64);
    let part = |spec: &'a PartSpec| {
        let (bytes, outputs) = match &*spec.place {
            place if place.starts_with("source") => (sources.next().and_then(length), &[][..]),
            // A complete run keeps no state of stages.
            place if place.starts_with("stage") => {
                (Some(stages.next().map_or(0, StageState::bytes)), &[][..])
            }
            _ => sinks.next().map_or((None, &[][..]), |(state, outputs)| (length(state), &outputs[..])),
        };
        PartState { place: &spec.place, bytes, outputs }
    };
    manifest.pipeline.iter().map(part).collect()
}

/// The position where each source resumes; `None` for those that start anew.
fn places(manifest: &Manifest) -> impl Iterator<Item = Option<String>> {
    manifest.sources.iter().map(|place| place.as_deref().and_then(source::place))
}

/// The same as a value: a list if there are several sources.
fn input(manifest: &Manifest) -> Value {
    let mut places: Vec<_> = places(manifest).collect();
    if places.len() == 1 { json!(places.remove(0)) } else { json!(places) }
}

fn as_text(all: &[Listed], newest: Option<(&Path, &Manifest)>) -> TerminalText {
    let mut text = list(all);
    let Some((path, manifest)) = newest else { return text };
    let _ = writeln!(text, "\n{}", shown_path(path));
    let mut rows = vec![
        ("made", Timestamp::from_nanos(manifest.made).to_string()),
        ("status", ending(manifest.ending).to_owned()),
        ("records", count(manifest.records)),
        ("sensors", count(manifest.sensors.len() as u64)),
    ];
    let input = |state: &Option<Vec<u8>>| match state {
        None => "starts anew".to_owned(),
        Some(state) => source::place(state).unwrap_or_else(|| "resumes".to_owned()),
    };
    rows.extend(manifest.sources.iter().map(|state| ("input", input(state))));
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<8}  {}", visible(&value));
    }
    let _ = writeln!(text);
    let head = ["", "read to resume", "has written"].map(str::to_owned).to_vec();
    let row = |part: PartState<'_>| {
        let bytes = part.bytes.map_or_else(|| "starts anew".to_owned(), |bytes| plural(bytes, "byte"));
        let written = match part.outputs {
            [] => String::new(),
            outputs => plural(outputs.iter().map(|output| output.length).sum(), "byte"),
        };
        vec![visible(part.place).into_owned(), bytes, written]
    };
    let rows: Vec<_> = std::iter::once(head).chain(parts(manifest).into_iter().map(row)).collect();
    let _ = text.write_str(&aligned(&rows));
    text
}

/// A line for each checkpoint.
fn list(all: &[Listed]) -> TerminalText {
    let mut text = TerminalText::default();
    for Listed { path, bytes, content } in all {
        let found = match content {
            Ok(manifest) => {
                let base = manifest.base.map_or_else(String::new, |base| format!(", changes since {base}"));
                format!("after {}, intact{base}", plural(manifest.records, "record"))
            }
            Err(why) => why.message().to_owned(),
        };
        let _ = writeln!(text, "{}: {}, {}", shown_path(path), plural(*bytes, "byte"), visible(&found));
    }
    text
}

fn shown_path(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Running => "not complete",
        Ending::Complete => "complete; its output is not published yet",
        Ending::Published => "complete; its output is published",
    }
}

fn as_json(all: &[Listed], newest: Option<(&Path, &Manifest)>) -> Value {
    let checkpoints: Vec<_> = all
        .iter()
        .map(|Listed { path, bytes, content }| {
            let (records, base, wrong) = match content {
                Ok(manifest) => (Some(manifest.records), manifest.base, None),
                Err(why) => (None, None, Some(why.message())),
            };
            json!({
                "path": path,
                "bytes": bytes,
                "is_whole": content.is_ok(),
                "records": records,
                "changes_since": base,
                "wrong": wrong,
            })
        })
        .collect();
    let newest = newest.map(|(path, manifest)| {
        let parts: Vec<_> = parts(manifest)
            .into_iter()
            .map(|part| json!({ "part": part.place, "bytes": part.bytes, "output": part.outputs.last() }))
            .collect();
        json!({
            "path": path,
            "made": Timestamp::from_nanos(manifest.made).to_string(),
            "ending": manifest.ending,
            "records": manifest.records,
            "sensors": manifest.sensors.len(),
            "input": input(manifest),
            "parts": parts,
        })
    });
    json!({ "checkpoints": checkpoints, "newest": newest })
}
