//! `tidemill outbox`: what the sinks of a run have not delivered. A run may be using the state folder meanwhile, unless it is to be delivered here.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::args::{DeliverArgs, OutboxArgs, OutboxVerb};
use super::failure::Outcome;
use super::load::{self, run_options};
use super::output::{self, TerminalText};
use super::run::drive_with;
use super::summary::{aligned, count, plural};
use tidemill_core::error::{Error, ErrorKind, Result, visible};
use tidemill_core::time::format_duration;
use tidemill_engine::files::{Disk, FileSystem};
use tidemill_engine::outbox::{Content, Outbox, check_file, outboxes};
use tidemill_engine::runtime::StateOptions;

pub(super) fn outbox(verb: &OutboxVerb) -> Outcome {
    match verb {
        OutboxVerb::Inspect(args) if args.path.is_file() => verify_file(args),
        OutboxVerb::Inspect(args) => inspect(args),
        OutboxVerb::Verify(args) if args.path.is_file() => verify_file(args),
        OutboxVerb::Verify(args) => verify(args),
        OutboxVerb::Deliver(args) => deliver(args),
    }
}

fn disk() -> Arc<dyn FileSystem> {
    Arc::new(Disk)
}

fn inspect(args: &OutboxArgs) -> Outcome {
    let all = outboxes(&disk(), &args.path)?;
    match args.json {
        true => output::data(&format!("{:#}\n", as_json(&all))),
        false => output::page(&as_text(&all)),
    }
}

/// Numbers that are not known are left out.
fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), count)
}

fn age(age: Option<Duration>) -> String {
    age.map_or_else(String::new, |age| {
        format_duration(i64::try_from(age.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000_000_000))
    })
}

fn as_text(all: &[Outbox]) -> TerminalText {
    let mut text = TerminalText::default();
    if all.is_empty() {
        let _ = writeln!(text, "everything is delivered");
        return text;
    }
    let head = ["", "checkpoints", "records", "bytes", "oldest"].map(str::to_owned).to_vec();
    let row = |outbox: &Outbox| {
        let epochs = count(outbox.epochs.len() as u64);
        let sizes = [number(outbox.records()), count(outbox.bytes()), age(outbox.age(SystemTime::now()))];
        [visible(&outbox.sink).into_owned(), epochs].into_iter().chain(sizes).collect()
    };
    let rows: Vec<_> = std::iter::once(head).chain(all.iter().map(row)).collect();
    let _ = text.write_str(&aligned(&rows));
    text
}

fn as_json(all: &[Outbox]) -> serde_json::Value {
    let now = SystemTime::now();
    let outbox = |outbox: &Outbox| {
        let epochs = outbox.epochs.iter();
        json!({
            "sink": outbox.sink,
            "records": outbox.records(),
            "bytes": outbox.bytes(),
            "oldest_seconds": outbox.age(now).map(|age| age.as_secs_f64()),
            "epochs": epochs.map(|epoch| json!({ "epoch": epoch.epoch, "records": epoch.records, "bytes": epoch.bytes })).collect::<Vec<_>>(),
        })
    };
    json!(all.iter().map(outbox).collect::<Vec<_>>())
}

fn verify(args: &OutboxArgs) -> Outcome {
    let all = outboxes(&disk(), &args.path)?;
    let (mut text, mut found, mut wrong) = (TerminalText::default(), Vec::new(), None::<Error>);
    for outbox in &all {
        for epoch in &outbox.epochs {
            let checked = outbox.check(epoch);
            let shown = match &checked {
                Ok(Some(content)) => format!("intact, {}", told(content)),
                Ok(None) => "delivered meanwhile".to_owned(),
                Err(error) => error.message().to_owned(),
            };
            let _ =
                writeln!(text, "{}, checkpoint {}: {}", visible(&outbox.sink), epoch.epoch, visible(&shown));
            found.push(json!({ "sink": outbox.sink, "epoch": epoch.epoch, "is_intact": checked.is_ok() }));
            wrong = wrong.or(checked.err());
        }
    }
    match args.json {
        true => output::data(&format!("{:#}\n", json!(found))),
        false if all.is_empty() => output::page(&as_text(&all)),
        false => output::page(&text),
    }?;
    wrong.map_or(Ok(()), |error| Err(error.into()))
}

fn told(content: &Content) -> String {
    format!("{} in {}", plural(content.bytes, "byte"), plural(content.blocks, "block"))
}

fn verify_file(args: &OutboxArgs) -> Outcome {
    let content = check_file(&disk(), &args.path)?;
    match args.json {
        true => output::data(&format!("{:#}\n", json!({ "bytes": content.bytes, "blocks": content.blocks }))),
        false => {
            let mut text = TerminalText::default();
            let _ =
                writeln!(text, "{}: intact, {}", visible(&args.path.display().to_string()), told(&content));
            output::page(&text)
        }
    }
}

fn deliver(args: &DeliverArgs) -> Outcome {
    let resolved = load::pipeline(&args.pipeline)?;
    let before = waiting(&args.state)?;
    let mut options = run_options(&args.drive);
    options.state = Some(StateOptions { delivers: true, ..StateOptions::new(&args.state) });
    drive_with(&resolved, &args.drive, &options)?;
    let left = waiting(&args.state)?;
    if left > 0 {
        let what = format!("the rows of {} are not delivered", plural(left, "checkpoint"));
        return Err(Error::new(ErrorKind::Interrupted, what)
            .with_help("the same command delivers them")
            .into());
    }
    if !args.drive.quiet {
        output::note(&format!("delivered the rows of {}", plural(before, "checkpoint")));
    }
    Ok(())
}

/// The number of epochs that are not delivered.
fn waiting(folder: &Path) -> Result<u64> {
    Ok(outboxes(&disk(), folder)?.iter().map(|outbox| outbox.epochs.len() as u64).sum())
}
