//! The command line: `args` defines the arguments, each command has a file, `exit` ends the process.
//!
//! Data goes to standard output, everything else to standard error. A closed pipe ends a command silently.

mod args;
mod chaos;
mod completions;
mod doctor;
mod exit;
mod explain;
mod failure;
mod fit;
mod generate;
mod guess;
mod init;
mod interrupt;
mod list;
mod load;
mod log;
mod masked;
mod memory;
mod observe;
mod outbox;
mod output;
mod profile;
mod progress;
mod record;
mod reference;
mod reload;
mod replay;
mod retry;
mod roofline;
mod run;
mod schema;
mod service;
mod signals;
mod state;
mod summary;
mod timings;
mod validate;
mod verify;

use std::ffi::OsString;

use clap::Parser;

use args::{Arguments, Verb};
use failure::Outcome;
use tidemill_core::error::visible;

/// Runs the command with `arguments`, the first of which is the name of the program; returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    memory::keep_freed();
    let arguments: Vec<_> = arguments.into_iter().collect();
    signals::ignore_file_too_large();
    log::install();
    exit::guard(|| match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => dispatch(arguments.verb),
        Err(error) => Err(harmless(error, &arguments).into()),
    })
}

/// The same error, with control characters in the arguments escaped: a file name from elsewhere may be among them.
fn harmless(error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let shown = arguments.iter().map(|argument| visible(&argument.to_string_lossy()).into_owned());
    Arguments::try_parse_from(shown).err().unwrap_or(error)
}

fn dispatch(verb: Verb) -> Outcome {
    match verb {
        Verb::Run(args) => run::run(&args),
        Verb::Validate(args) => validate::validate(&args),
        Verb::Record(args) => record::record(&args),
        Verb::Replay(args) => replay::replay(&args),
        Verb::Verify(args) => verify::verify(&args),
        Verb::Chaos(args) => chaos::chaos(&args),
        Verb::Explain(args) => explain::explain(&args),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Init(args) => init::init(&args),
        Verb::List => list::list(),
        Verb::Schema(args) => schema::schema(&args),
        Verb::Fit(args) => fit::fit(&args),
        Verb::State(verb) => state::state(&verb),
        Verb::Health(args) => observe::health(&args),
        Verb::Outbox(verb) => outbox::outbox(&verb),
        Verb::Retry(args) => retry::retry(&args),
        Verb::Roofline(args) => roofline::roofline(&args),
        Verb::Generate(args) => generate::generate(&args),
        Verb::Completions { shell } => completions::completions(shell),
    }
}
