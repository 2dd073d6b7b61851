//! `tidemill chaos`: runs a pipeline while processes are killed, connections lost, a disk is full and the clock jumps; says what was lost, and what came twice.
//!
//! | module | what |
//! |---|---|
//! | `setup` | the pipeline, and the folder of all that is written |
//! | `sinks` | what each sink is promised, and by what it is judged |
//! | `child` | one process that runs it |
//! | `supervise` | processes, one after the other, until the input has ended |
//! | `judge` | what has arrived at each sink |
//! | `compare` | records of two runs |
//! | `recovery`, `ledger` | how long recovery took, and whether the counts add up |
//! | `report` | all of it, for people and as JSON |

mod child;
mod compare;
mod judge;
mod ledger;
mod recovery;
mod report;
mod setup;
mod sinks;
mod supervise;

use super::args::ChaosArgs;
use super::failure::Outcome;
use super::output;
use super::summary::plural;
use tidemill_core::error::Error;
use tidemill_engine::chaos::{Event, Plan, schedule};

use report::Report;
use setup::{CHAOS, Setup};

pub(super) fn chaos(args: &ChaosArgs) -> Outcome {
    let setup = Setup::new(args)?;
    setup.tell();
    let quiet = child::quiet(&setup)?;
    let items = quiet.lines.iter().filter(|line| line.event == Event::Read).count() as u64;
    let delivers = setup.sinks.iter().any(|sink| sink.delivers);
    let schedule = schedule(setup.seed, &setup.kinds, args.count.into(), delivers);
    output::note(&format!("seed {}: {}", setup.seed, plural(schedule.len() as u64, "fault")));
    schedule.iter().for_each(|fault| output::note(&format!("  {fault}")));
    let pace = setup.spread.as_micros() as u64 / items.max(1);
    let plan = Plan { schedule, items, pace, ..setup.plan(CHAOS) };
    let before = judge::counts(&setup)?;
    let run = supervise::supervise(&setup, &plan)?;
    let sinks = judge::judge(&setup, &quiet, &run, &before)?;
    let report = Report::new(&setup, &plan, &quiet, &run, sinks);
    match args.json {
        true => output::data(&report.json())?,
        false => output::data(&report.text())?,
    }
    match report.broken() {
        broken if broken.is_empty() => Ok(()),
        broken => Err(Error::internal("the run has not done what it promises under faults")
            .with_lines(broken)
            .with_help(format!(
                "`--seed {}` repeats the schedule; `--keep DIR` keeps the outputs, the state folder and the logs",
                setup.seed
            ))
            .into()),
    }
}
