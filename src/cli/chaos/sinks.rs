//! The sinks of a chaos run: what each is promised, and by what it is judged.

use crate::cli::args::ChaosArgs;
use tidemill_core::error::{Error, Result};
use tidemill_engine::chaos::{Place, place_of};
use tidemill_engine::pipeline::{Delivery, Pipeline};
use tidemill_engine::sink::{SinkSpec, Takes};

/// A sink, and how it is judged.
pub(super) struct SinkSetup {
    pub(super) label: String,
    pub(super) name: String,
    /// What it may do, as the pipeline is promised.
    pub(super) promise: Promise,
    pub(super) evidence: Evidence,
    /// Whether others see what it writes.
    pub(super) is_outside: bool,
    /// Whether a stand-in takes its place.
    pub(super) stands_in: bool,
    /// Whether it delivers by epochs, itself or by a stand-in.
    pub(super) delivers: bool,
    /// A command that prints how many records its target has.
    pub(super) count: Option<String>,
}

/// What may become of records.
#[derive(Clone, Debug, Default)]
pub(super) struct Promise {
    pub(super) told: String,
    pub(super) may_lose: bool,
    pub(super) may_repeat: bool,
}

/// What a sink is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Its file.
    File,
    /// Its rolling files.
    Files,
    /// What its stand-in has kept.
    StandIn,
    /// What its real target has acknowledged.
    Acknowledgements,
    /// Nothing: nobody keeps what it writes.
    Nothing,
}

/// All sinks of `pipeline`.
///
/// # Errors
/// A usage error if one would write to a real target, and that was not asked for.
pub(super) fn sinks(pipeline: &Pipeline, args: &ChaosArgs) -> Result<Vec<SinkSetup>> {
    let mut counts = counts(args, pipeline.sinks.len())?;
    let promises = promises(pipeline)?;
    let (mut sinks, mut outside) = (Vec::new(), Vec::new());
    for (at, (sink, promise)) in pipeline.sinks.iter().zip(promises).enumerate() {
        let label = format!("sink {at} ({})", sink.spec.name());
        let evidence = evidence(&*sink.spec, args.stand_ins);
        let is_outside = place_of(&*sink.spec) == Place::Outside;
        if is_outside {
            outside.push(label.clone());
        }
        if counts[at].is_some() && evidence != Evidence::Acknowledgements {
            return Err(Error::usage(format!("--count-by {at}: {label} does not deliver to a target"))
                .with_help(
                    "its output is judged by itself; count the records of sinks that deliver by epochs",
                ));
        }
        sinks.push(SinkSetup {
            label,
            name: sink.spec.name().to_owned(),
            promise,
            evidence,
            is_outside,
            stands_in: args.stand_ins,
            delivers: evidence == Evidence::StandIn || sink.spec.delivers(),
            count: counts[at].take(),
        });
    }
    if !outside.is_empty() && !args.yes && !args.stand_ins {
        return Err(Error::usage(format!("a chaos run would write to real targets: {}", outside.join(", ")))
            .with_help(
                "--stand-ins replaces them; --yes writes to them, best to a table or topic made for this",
            ));
    }
    Ok(sinks)
}

fn evidence(sink: &dyn SinkSpec, stands_in: bool) -> Evidence {
    match place_of(sink) {
        Place::File => Evidence::File,
        Place::Files => Evidence::Files,
        Place::Outside if sink.takes() == Takes::Rejections => Evidence::Nothing,
        Place::Outside if stands_in => Evidence::StandIn,
        Place::Outside if sink.delivers() => Evidence::Acknowledgements,
        Place::Outside | Place::Nowhere => Evidence::Nothing,
    }
}

/// By sink, the worst that any of its sources is promised.
fn promises(pipeline: &Pipeline) -> Result<Vec<Promise>> {
    let mut promises = vec![Promise::default(); pipeline.sinks.len()];
    for guarantee in pipeline.guarantees()? {
        let (promise, delivery) = (&mut promises[guarantee.sink], guarantee.delivery());
        promise.may_lose |= matches!(delivery, Delivery::AtMostOnce | Delivery::AnyNumber);
        promise.may_repeat |= matches!(delivery, Delivery::AtLeastOnce | Delivery::AnyNumber);
        promise.told = match (promise.may_lose, promise.may_repeat) {
            (false, false) => Delivery::ExactlyOnce,
            (false, true) => Delivery::AtLeastOnce,
            (true, false) => Delivery::AtMostOnce,
            (true, true) => Delivery::AnyNumber,
        }
        .to_string();
    }
    Ok(promises)
}

/// By sink, the command that counts its records.
fn counts(args: &ChaosArgs, sinks: usize) -> Result<Vec<Option<String>>> {
    let mut counts = vec![None; sinks];
    for written in &args.counts {
        let wrong = |why: &str| {
            Error::usage(format!("--count-by {written}: {why}"))
                .with_help("such as --count-by '0=psql -Atc \"select count(*) from readings\"'")
        };
        let (at, command) = written.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        let at: usize = at.parse().map_err(|_| wrong("the number of a sink comes first"))?;
        *counts.get_mut(at).ok_or_else(|| wrong("there is no such sink"))? = Some(command.to_owned());
    }
    Ok(counts)
}
