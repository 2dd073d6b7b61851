//! `tidemill completions`: a script that completes commands in a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Arguments;
use super::failure::Outcome;
use super::output;

pub(super) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tidemill", &mut script);
    output::data(&String::from_utf8_lossy(&script))
}
