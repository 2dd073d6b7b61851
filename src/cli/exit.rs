//! How the process ends: the message on standard error, and the exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | success |
//! | 64 | the command line is wrong |
//! | 65 | the input does not match the pipeline |
//! | 69 | a required file or service is unavailable |
//! | 70 | a bug in this program |
//! | 74 | reading or writing failed |
//! | 78 | the pipeline is wrong |
//! | 130 | interrupted |

use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use super::failure::{Failure, Outcome};
use super::output::{self, TerminalText};
use tidemill_core::error::guard::is_survived;
use tidemill_core::error::{Error, ErrorKind, visible, visible_lines};
use tidemill_engine::notes;

/// Runs `act`, the whole command: reports its error, and returns the exit code.
pub(super) fn guard(act: impl FnOnce() -> Outcome) -> u8 {
    panic::set_hook(Box::new(tell_panic));
    let code = match panic::catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(()) | Err(Failure::Closed)) => 0,
        Ok(Err(failure)) => tell(&failure),
        Err(_) => ErrorKind::Internal.exit_code(),
    };
    notes::finish();
    code
}

fn tell(failure: &Failure) -> u8 {
    match failure {
        Failure::Closed => {}
        Failure::Usage(error) => {
            // Help and version go to standard output and are not errors.
            let is_help = !error.use_stderr();
            let _closed = error.print();
            return if is_help { 0 } else { ErrorKind::Usage.exit_code() };
        }
        failure => output::error(&message_of(failure)),
    }
    match failure {
        Failure::Error(error) => error.kind().exit_code(),
        Failure::Spec(error) => error.kind().exit_code(),
        _ => ErrorKind::Config.exit_code(),
    }
}

/// The message for a verb that ended early.
pub(super) fn message_of(failure: &Failure) -> TerminalText {
    let mut page = TerminalText::default();
    match failure {
        Failure::Spec(error) => page.rendered(&error.render(output::is_styled())),
        Failure::Error(error) => page = message(error),
        Failure::Usage(error) => page.rendered(&visible_lines(&error.to_string())),
        Failure::Closed => {}
    }
    page
}

fn message(error: &Error) -> TerminalText {
    let mut page = TerminalText::default();
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

/// The message of a panic: that it is a bug, and where it happened, for the bug report.
fn tell_panic(info: &PanicHookInfo<'_>) {
    if is_survived() {
        return;
    }
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    output::error(&TerminalText::from(&*format!(
        "error: internal error{place}\n  help: this is a bug in tidemill, please report it with the pipeline file \
         and a piece of the data"
    )));
}
