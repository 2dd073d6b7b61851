//! The stages that run before those written, because options of a source ask for them: in the order in which they stand here.

use std::sync::Arc;

use super::{Order, SourceEntry};
use crate::error::{Error, Result};
use crate::stage::{InPeriod, MaxJump, NewestFirst, Reorder, SecondShowing, Stage, TimeOfDay};
use crate::time::{Period, TimeParser, parse_duration};

/// Those of one source.
///
/// # Errors
/// A configuration error that names the option.
pub(crate) fn leading(source: &SourceEntry) -> Result<Vec<Arc<dyn Stage>>> {
    let disorder = disorder(source)?;
    let times = source.spec.times()?;
    let period = period_of(source, times.as_ref())?;
    let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
    // What a time is must be known before anything goes by it.
    stages.extend(times.map(|times| clocks(source, times, disorder)).transpose()?.flatten());
    if !period.is_all() {
        stages.push(Arc::new(InPeriod::new(period)));
    }
    stages.extend(max_jump(source)?);
    match source.input.order {
        Order::Input => {}
        Order::Time => stages.push(Arc::new(Reorder::new(disorder))),
        Order::NewestFirst => stages.push(newest_first(source)?),
    }
    Ok(stages)
}

fn newest_first(source: &SourceEntry) -> Result<Arc<dyn Stage>> {
    match source.spec.traits().is_bounded {
        true => Ok(Arc::new(NewestFirst::new())),
        false => Err(Error::config("`order = \"newest_first\"` needs an input that ends").with_help(
            "what comes last leaves first; for live input sort within a bound: order = \"time\" and `disorder`",
        )),
    }
}

/// The times that are asked for.
///
/// # Errors
/// A configuration error where `from` or `until` is no time, or nothing lies between them.
pub(crate) fn period(source: &SourceEntry) -> Result<Period> {
    period_of(source, source.spec.times()?.as_ref())
}

fn period_of(source: &SourceEntry, times: Option<&TimeParser>) -> Result<Period> {
    let moment = |option: &str, text: &Option<String>| {
        let read = |text: &String| match times {
            Some(times) => times.moment(text),
            None => TimeParser::utc().moment(text),
        };
        let time = text.as_ref().map(read).transpose();
        time.map_err(|why| Error::config(format!("`{option}`: {why}")))
    };
    let from = moment("from", &source.input.from)?;
    let until = moment("until", &source.input.until)?;
    match from.zip(until).filter(|(from, until)| from >= until) {
        None => Ok(Period { from, until }),
        Some((from, until)) => {
            Err(Error::config(format!("`from` is {from} and `until` is {until}: no time lies between them"))
                .with_help("`until` has to be later than `from`"))
        }
    }
}

/// How far back a record may come, in nanoseconds: not at all, where order is the input's.
fn disorder(source: &SourceEntry) -> Result<i64> {
    let help = "say how far back a record may come, such as `disorder = \"5m\"` in [source]";
    let only = |order: &str| {
        Err(Error::config("`disorder` has no meaning without `order = \"time\"`")
            .with_help(format!("leave it out, or write order = \"time\" instead of \"{order}\"")))
    };
    match (source.input.order, &source.input.disorder) {
        (Order::Input | Order::NewestFirst, None) => Ok(0),
        (Order::Input, Some(_)) => only("input"),
        (Order::NewestFirst, Some(_)) => only("newest_first"),
        (Order::Time, None) => Err(Error::config("`order = \"time\"` needs `disorder`").with_help(help)),
        (Order::Time, Some(disorder)) => parse_duration(disorder)
            .map_err(|why| Error::config(format!("`disorder`: {why}")).with_help(help)),
    }
}

/// What tells which day, or which of two hours, a clock was read.
fn clocks(source: &SourceEntry, times: TimeParser, disorder: i64) -> Result<Option<Arc<dyn Stage>>> {
    let newest_first = source.input.order == Order::NewestFirst;
    if let Some((clock, start)) = times.day_clock() {
        return match newest_first {
            true => Err(Error::config("times of day do not go with `order = \"newest_first\"`")
                .with_help("where the last day ends cannot be known: turn the file round first")),
            false => Ok(Some(Arc::new(TimeOfDay::new(clock, start, disorder)))),
        };
    }
    if times.folds().is_none() {
        return Ok(None);
    }
    let stage = SecondShowing::new(times, disorder);
    Ok(Some(Arc::new(if newest_first { stage.newest_first() } else { stage })))
}

fn max_jump(source: &SourceEntry) -> Result<Option<Arc<dyn Stage>>> {
    let Some(text) = &source.input.max_jump else { return Ok(None) };
    if source.input.order == Order::NewestFirst {
        return Err(Error::config("`max_jump` does not go with `order = \"newest_first\"`")
            .with_help("a jump ahead shows in the order in which records were made"));
    }
    let bound = parse_duration(text).map_err(|why| {
        Error::config(format!("`max_jump`: {why}"))
            .with_help("say how far a clock may go ahead, such as `max_jump = \"1h\"`")
    })?;
    Ok(Some(Arc::new(MaxJump::new(bound))))
}
