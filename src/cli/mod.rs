//! The command line: `args` says what can be written, one file a verb does it, `exit` ends the process.
//!
//! Data goes to standard output, everything else to standard error. A closed pipe ends a verb quietly.

mod args;
mod completions;
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
mod memory;
mod output;
mod profile;
mod progress;
mod record;
mod reference;
mod replay;
mod roofline;
mod run;
mod schema;
mod signals;
mod state;
mod summary;
mod timings;
mod validate;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Verb};
use failure::Outcome;
use tidemill_core::error::visible;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    memory::keep_freed();
    signals::ignore_file_too_large();
    exit::guard(|| match Arguments::try_parse() {
        Ok(arguments) => dispatch(arguments.verb),
        Err(error) => Err(harmless(error).into()),
    })
}

/// The same error about arguments in which nothing is obeyed by a terminal: one may be the name of a file that somebody else has made.
fn harmless(error: clap::Error) -> clap::Error {
    let shown = std::env::args_os().map(|argument| visible(&argument.to_string_lossy()).into_owned());
    Arguments::try_parse_from(shown).err().unwrap_or(error)
}

fn dispatch(verb: Verb) -> Outcome {
    match verb {
        Verb::Run(args) => run::run(&args),
        Verb::Validate(args) => validate::validate(&args),
        Verb::Record(args) => record::record(&args),
        Verb::Replay(args) => replay::replay(&args),
        Verb::Verify(args) => verify::verify(&args),
        Verb::Explain(args) => explain::explain(&args),
        Verb::Init(args) => init::init(&args),
        Verb::List => list::list(),
        Verb::Schema(args) => schema::schema(&args),
        Verb::Fit(args) => fit::fit(&args),
        Verb::State(verb) => state::state(&verb),
        Verb::Roofline(args) => roofline::roofline(&args),
        Verb::Generate(args) => generate::generate(&args),
        Verb::Completions { shell } => completions::completions(shell),
    }
}
