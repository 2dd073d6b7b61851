//! SIGHUP. A live run reads its pipeline file again and continues with its options; what cannot change, or is wrong, is reported, and the run continues as before. A
//! bounded run stops, and so does a live one whose terminal has hung up.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;

use tracing::Level;

use super::args::FileArgs;
use super::failure::Outcome;
use super::load::{self, locate};
use super::observe::Reloaded;
use super::output::{self, TerminalText};
use super::{exit, interrupt, log, service, signals};
use tidemill_core::error::Masks;
use tidemill_engine::notes::Event;
use tidemill_engine::pipeline::Pipeline;
use tidemill_engine::runtime::{Reloads, RunOptions};

/// Handles SIGHUP for the run of `pipeline`, which was read from a file, with these options.
pub(super) fn on_hangup(args: &FileArgs, pipeline: &Pipeline, options: &RunOptions) {
    if args.file == Path::new("-") || pipeline.traits().is_bounded {
        return;
    }
    let (args, reloads, stop) = (args.clone(), options.reloads.clone(), std::sync::Arc::clone(&options.stop));
    let has_terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    let act = move || match has_terminal && File::open("/dev/tty").is_err() {
        true => interrupt::interrupt(&stop),
        false => reloaded(&args, &reloads),
    };
    // Without a handler, SIGHUP stops the run.
    let _unhandled = signals::on_hangup(act);
}

/// Reads the file again, and says what became of it.
fn reloaded(args: &FileArgs, reloads: &Reloads) {
    let file = args.file.display();
    service::reloading();
    match reload(args, reloads) {
        Ok(options) if options.is_empty() => {
            say(Reloaded::Unchanged, &format!("reloaded {file}: no option has changed"));
        }
        Ok(options) => {
            let options = options.join(", ");
            say(Reloaded::Done, &format!("reloaded {file}: the run continues with new values of {options}"));
        }
        Err(failure) => {
            let mut page = exit::message_of(&failure);
            page.rendered(&format!("\n{file} was not reloaded: the run continues with the previous options"));
            refuse(&page);
        }
    }
    service::tell("READY=1");
}

fn say(what: Reloaded, sentence: &str) {
    what.count();
    Event::info("reloaded").say(&Masks::default(), sentence);
}

fn refuse(page: &TerminalText) {
    Reloaded::Refused.count();
    match log::is_json() {
        true => log::page(Level::WARN, "reload_refused", page),
        false => output::notes(page),
    }
}

fn reload(args: &FileArgs, reloads: &Reloads) -> Outcome<Vec<String>> {
    let resolved = load::pipeline(args)?;
    reloads.request(&resolved.pipeline).map_err(|error| locate(&resolved, error))
}
