//! `tidemill state`: what a folder of checkpoints holds, and whether it is whole. A run may be using it meanwhile.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::{InspectArgs, StateVerb, VerifyStateArgs};
use super::failure::Outcome;
use super::output::{self, Page};
use super::summary::{aligned, count, plural};
use tidemill_core::error::{Error, ErrorKind, Result, visible};
use tidemill_core::time::Timestamp;
use tidemill_engine::atomic::{Output, Stage};
use tidemill_engine::checkpoint::{self, Ending, Manifest, PartSpec, StageState};
use tidemill_engine::files::Disk;
use tidemill_engine::source;

pub(super) fn state(verb: &StateVerb) -> Outcome {
    match verb {
        StateVerb::Inspect(args) => inspect(args),
        StateVerb::Verify(args) => verify(args),
    }
}

/// A checkpoint file: what is in it, or what is wrong with it.
struct Checkpoint {
    path: PathBuf,
    bytes: u64,
    content: std::result::Result<Manifest, String>,
}

/// A part of the pipeline, as a checkpoint has it.
struct Kept<'a> {
    place: &'a str,
    /// `None` where it begins anew after a restart.
    bytes: Option<u64>,
    outputs: &'a [Output],
}

fn inspect(args: &InspectArgs) -> Outcome {
    let all = checkpoints(&args.folder)?;
    let newest = newest(&all);
    match args.json {
        true => output::data(&format!("{:#}\n", as_json(&all, newest))),
        false => output::page(&as_text(&all, newest)),
    }?;
    newest.map_or_else(|| Err(none_whole(&args.folder).into()), |_| Ok(()))
}

fn none_whole(folder: &Path) -> Error {
    Error::data(format!("no checkpoint in {} is whole", folder.display()))
        .with_help("start anew with another --state, or bring back a copy of this one")
}

fn verify(args: &VerifyStateArgs) -> Outcome {
    let all = checkpoints(&args.folder)?;
    let mut text = list(&all);
    let newest = newest(&all);
    let mut wrong: Option<Error> = None;
    for output in newest.into_iter().flat_map(|(_, manifest)| manifest.outputs.iter().flatten()) {
        let checked = output.check(&Disk);
        let shown = match &checked {
            Ok(Stage::InTheMaking) => "as at the checkpoint, in the making".to_owned(),
            Ok(Stage::Published) => "as at the checkpoint, under its name".to_owned(),
            Err(error) => error.message().to_owned(),
        };
        let _ = writeln!(text, "{}: {}", shown_path(&output.path), visible(&shown));
        wrong = wrong.or(checked.err());
    }
    output::page(&text)?;
    let damaged = all.iter().filter(|checkpoint| checkpoint.content.is_err()).count() as u64;
    match (wrong, newest) {
        (Some(error), _) => Err(error.into()),
        (None, None) => Err(none_whole(&args.folder).into()),
        (None, Some((path, _))) if damaged > 0 => Err(Error::data(format!("{} not whole", are(damaged)))
            .with_help(format!("a run goes on from {}, with exactly the same output", path.display()))
            .into()),
        _ => Ok(()),
    }
}

fn are(damaged: u64) -> String {
    format!("{} {}", plural(damaged, "checkpoint"), if damaged == 1 { "is" } else { "are" })
}

/// All checkpoints in a folder, the oldest first.
fn checkpoints(folder: &Path) -> Result<Vec<Checkpoint>> {
    let mut all = checkpoint::ordinals(&Disk, folder)
        .map_err(|error| Error::io("look into the state folder", folder.display(), &error))?;
    if all.is_empty() {
        return Err(Error::unavailable(format!("no checkpoint is in {}", folder.display())).with_help(
            "name the folder that was given as --state; its run makes the first one after --checkpoint-every",
        ));
    }
    all.sort_unstable();
    all.into_iter().map(|(_, path)| look(path)).collect()
}

fn look(path: PathBuf) -> Result<Checkpoint> {
    let bytes = path.metadata().map_or(0, |meta| meta.len());
    let content = match checkpoint::read(&Disk, &path) {
        Ok(manifest) => Ok(manifest),
        Err(error) if error.kind() == ErrorKind::Data => Err(error.message().to_owned()),
        Err(error) => return Err(error),
    };
    Ok(Checkpoint { path, bytes, content })
}

/// The one that a run goes on from.
fn newest(all: &[Checkpoint]) -> Option<(&Path, &Manifest)> {
    all.iter().rev().find_map(|checkpoint| Some((&*checkpoint.path, checkpoint.content.as_ref().ok()?)))
}

/// Source, stages and sinks, in order.
fn parts<'a>(manifest: &'a Manifest) -> Vec<Kept<'a>> {
    let mut sources = manifest.sources.iter();
    let mut stages = manifest.stages.iter();
    let mut sinks = manifest.sinks.iter().zip(&manifest.outputs);
    let length = |state: &Option<Vec<u8>>| state.as_ref().map(|state| state.len() as u64);
    let part = |spec: &'a PartSpec| {
        let (bytes, outputs) = match &*spec.place {
            place if place.starts_with("source") => (sources.next().and_then(length), &[][..]),
            // A run that is over keeps nothing of them.
            place if place.starts_with("stage") => {
                (Some(stages.next().map_or(0, StageState::bytes)), &[][..])
            }
            _ => sinks.next().map_or((None, &[][..]), |(state, outputs)| (length(state), &outputs[..])),
        };
        Kept { place: &spec.place, bytes, outputs }
    };
    manifest.pipeline.iter().map(part).collect()
}

/// Where each source goes on; `None` for those that begin anew.
fn places(manifest: &Manifest) -> impl Iterator<Item = Option<String>> {
    manifest.sources.iter().map(|place| place.as_deref().and_then(source::place))
}

/// The same as a value, which is no list where there is one source.
fn input(manifest: &Manifest) -> Value {
    let mut places: Vec<_> = places(manifest).collect();
    if places.len() == 1 { json!(places.remove(0)) } else { json!(places) }
}

fn as_text(all: &[Checkpoint], newest: Option<(&Path, &Manifest)>) -> Page {
    let mut text = list(all);
    let Some((path, manifest)) = newest else { return text };
    let _ = writeln!(text, "\n{}", shown_path(path));
    let mut rows = vec![
        ("made", Timestamp::from_nanos(manifest.made).to_string()),
        ("the run", ending(manifest.ending).to_owned()),
        ("records", count(manifest.records)),
        ("sensors", count(manifest.sensors.len() as u64)),
    ];
    rows.extend(places(manifest).map(|place| ("input", place.unwrap_or_else(|| "begins anew".to_owned()))));
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<8}  {}", visible(&value));
    }
    let _ = writeln!(text);
    let head = ["", "keeps", "has written"].map(str::to_owned).to_vec();
    let row = |part: Kept<'_>| {
        let bytes = part.bytes.map_or_else(|| "begins anew".to_owned(), |bytes| plural(bytes, "byte"));
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
fn list(all: &[Checkpoint]) -> Page {
    let mut text = Page::default();
    for Checkpoint { path, bytes, content } in all {
        let found = match content {
            Ok(manifest) => format!("behind {}, whole", plural(manifest.records, "record")),
            Err(why) => why.clone(),
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
        Ending::Running => "goes on",
        Ending::Complete => "is over; its output is about to get its names",
        Ending::Published => "is over; its output has its names",
    }
}

fn as_json(all: &[Checkpoint], newest: Option<(&Path, &Manifest)>) -> Value {
    let checkpoints: Vec<_> = all.iter().map(|Checkpoint { path, bytes, content }| {
        let (records, wrong) = match content {
            Ok(manifest) => (Some(manifest.records), None),
            Err(why) => (None, Some(why)),
        };
        json!({ "path": path, "bytes": bytes, "is_whole": content.is_ok(), "records": records, "wrong": wrong })
    }).collect();
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
