//! The stages that options of a source insert before those in the file, in their order.

use std::sync::Arc;

use super::{Order, SourceEntry};
use crate::error::{Error, Result};
use crate::stage::{InPeriod, MaxJump, NewestFirst, Reorder, SecondShowing, Stage, TimeOfDay};
use crate::time::{Period, TimeParser, parse_duration};

/// The stages for one source.
///
/// # Errors
/// A configuration error that names the option.
pub(crate) fn leading(source: &SourceEntry) -> Result<Vec<Arc<dyn Stage>>> {
    let disorder = disorder(source)?;
    let times = source.spec.times()?;
    let period = period_of(source, times.as_ref())?;
    let mut stages: Vec<Arc<dyn Stage>> = Vec::new();
    // The time of a record must be final before any stage uses it.
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
        false => Err(Error::config("`order = \"newest_first\"` needs a bounded input").with_help(
            "the last record is the first of the output; for live input sort within a bound: order = \"time\" and `disorder`",
        )),
    }
}

/// The requested range of times.
///
/// # Errors
/// A configuration error if `from` or `until` is not a time, or the range is empty.
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
        Some((from, until)) => Err(Error::config(format!(
            "`from` is {from} and `until` is {until}: there is no time between them"
        ))
        .with_help("`until` must be later than `from`")),
    }
}

/// By how much a record may be out of order, in nanoseconds; 0 if the order is that of the input.
fn disorder(source: &SourceEntry) -> Result<i64> {
    let help = "give a bound for out-of-order records, such as `disorder = \"5m\"` in [source]";
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

/// The stage that determines the day, or which of two hours, of a local time.
fn clocks(source: &SourceEntry, times: TimeParser, disorder: i64) -> Result<Option<Arc<dyn Stage>>> {
    let newest_first = source.input.order == Order::NewestFirst;
    if let Some((clock, start)) = times.day_clock() {
        return match newest_first {
            true => Err(Error::config("times of day cannot be combined with `order = \"newest_first\"`")
                .with_help("the end of the last day is not known: reverse the file first")),
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
        return Err(Error::config("`max_jump` cannot be combined with `order = \"newest_first\"`")
            .with_help("a jump can only be detected in the order in which records were made"));
    }
    let bound = parse_duration(text).map_err(|why| {
        Error::config(format!("`max_jump`: {why}"))
            .with_help("give a bound for jumps, such as `max_jump = \"1h\"`")
    })?;
    Ok(Some(Arc::new(MaxJump::new(bound))))
}
