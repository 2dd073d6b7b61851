//! How the process ends: what is said on standard error, and the exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | fine |
//! | 64 | the command line cannot be understood |
//! | 65 | the input is not what the pipeline says |
//! | 69 | something that should be there is not |
//! | 70 | a bug in this program |
//! | 74 | reading or writing failed |
//! | 78 | the pipeline is wrong |
//! | 130 | interrupted |

use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;

use super::failure::{Failure, Outcome};
use super::output::{self, Page};
use tidemill_core::error::guard::is_survived;
use tidemill_core::error::{Error, ErrorKind, visible};
use tidemill_engine::notes;

/// Runs `act` to the end of the process: tells what went wrong, and gives the exit code.
pub(super) fn guard(act: impl FnOnce() -> Outcome) -> ExitCode {
    panic::set_hook(Box::new(tell_panic));
    let code = match panic::catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(()) | Err(Failure::Closed)) => ExitCode::SUCCESS,
        Ok(Err(failure)) => tell(&failure),
        Err(_) => ErrorKind::Internal.exit_code().into(),
    };
    notes::finish();
    code
}

fn tell(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Usage(error) => {
            // Help and version go to standard output and are no error.
            let is_help = !error.use_stderr();
            let _closed = error.print();
            return if is_help { ExitCode::SUCCESS } else { ErrorKind::Usage.exit_code().into() };
        }
        Failure::Spec(error) => {
            let mut page = Page::default();
            page.rendered(&error.render(output::is_styled()));
            output::notes(&page);
        }
        Failure::Error(error) => output::notes(&message(error)),
        Failure::Closed => {}
    }
    match failure {
        Failure::Error(error) => error.kind().exit_code().into(),
        Failure::Spec(error) => error.kind().exit_code().into(),
        _ => ErrorKind::Config.exit_code().into(),
    }
}

fn message(error: &Error) -> Page {
    let mut page = Page::default();
    page.strong("error:");
    let place = error.position().map(|position| format!(" ({position})")).unwrap_or_default();
    let _ = write!(page, " {}{}", visible(error.message()), visible(&place));
    for line in error.lines() {
        let _ = write!(page, "\n{}", visible(line));
    }
    if let Some(help) = error.help() {
        let _ = write!(page, "\n  help: {}", visible(help));
    }
    page
}

/// What a user reads of a panic: that it is not their fault, and where it happened, for the report.
fn tell_panic(info: &PanicHookInfo<'_>) {
    if is_survived() {
        return;
    }
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    output::note(&format!(
        "error: internal error{place}\n  help: this is a bug in tidemill, please report it with the pipeline file \
         and a piece of the data"
    ));
}
