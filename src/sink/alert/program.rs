//! The command that alerts go to: a process with a group of its own, which ends with the run.

use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::courier::{LOOK, Limit};
use crate::atomic::Outset;
use crate::error::{Error, Result};
use crate::files::Base;

/// How long a command that was asked to end may take for it.
const GRACE: Duration = Duration::from_millis(500);

/// The groups of all commands that run.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A command that was started.
pub(super) struct Program {
    /// What was started, as messages show it: quoted, and without what must not be said.
    pub(super) name: String,
    child: Child,
    group: Pid,
    stop: Arc<AtomicBool>,
}

/// Ends all alert commands at once: for whoever ends the process without waiting for its runs.
pub fn end_alert_commands() {
    for group in running().drain(..) {
        let _gone_already = kill_process_group(group, Signal::KILL);
    }
}

/// What is started: a path as all paths of the pipeline, a name as it is.
fn executable(name: &str, base: &Base) -> PathBuf {
    let path = base.join(name);
    if name.contains('/') { std::path::absolute(&path).unwrap_or(path) } else { name.into() }
}

fn running() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Program {
    /// Starts `command` in the folder of `base`; what it says goes to standard error, for standard output may be a sink's. An interrupt of
    /// the terminal does not reach it: the run that is interrupted has alerts for it still.
    pub(super) fn start(command: &[String], base: &Base, outset: &Outset) -> Result<(Self, ChildStdin)> {
        let name = format!("`{}`", outset.masks.hide_value(&command.join(" ")));
        let failed = |error: &std::io::Error| {
            let why = crate::error::plain(error);
            Error::unavailable(format!("the alert command {name} cannot be started: {why}")).with_help(
                match executable(&command[0], base) {
                    path if path.is_absolute() => format!("it was looked for at {}", path.display()),
                    _ => "check `command`".to_owned(),
                },
            )
        };
        let said = std::io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
        let mut started = Command::new(executable(&command[0], base));
        started.args(&command[1..]).stdin(Stdio::piped()).stdout(said).process_group(0);
        if base != &Base::default() {
            started.current_dir(base.folder());
        }
        let mut child = started.spawn().map_err(|error| failed(&error))?;
        let (Some(input), Some(group)) = (child.stdin.take(), Pid::from_raw(child.id() as i32)) else {
            return Err(Error::internal("an alert command without an input"));
        };
        running().push(group);
        Ok((Self { name, child, group, stop: Arc::clone(&outset.stop) }, input))
    }

    /// Waits until it has ended, which it is told by the end of its input, not for long where the run `ends_early`, and not at all where it `is_stuck`;
    /// `None` where it had to be ended.
    pub(super) fn wait(&mut self, ends_early: bool, is_stuck: bool) -> std::io::Result<Option<ExitStatus>> {
        let stop = Arc::clone(&self.stop);
        let mut limit = Limit::new(&stop, ends_early);
        loop {
            if let Some(status) = self.child.try_wait()? {
                running().retain(|group| *group != self.group);
                return Ok(Some(status));
            }
            if is_stuck || limit.is_reached(0) {
                self.end()?;
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends it: first it is asked to.
    fn end(&mut self) -> std::io::Result<()> {
        let _gone_already = kill_process_group(self.group, Signal::TERM);
        let asked = std::time::Instant::now();
        while self.child.try_wait()?.is_none() && asked.elapsed() < GRACE {
            std::thread::sleep(LOOK);
        }
        // Those that it has started, too.
        let _gone_already = kill_process_group(self.group, Signal::KILL);
        self.child.wait().map(drop)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _gone_already = self.end();
        }
        running().retain(|group| *group != self.group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_command_that_was_waited_for_in_vain_is_ended_at_once() {
        let command = ["sleep".to_owned(), "1000".to_owned()];
        let (mut program, _input) =
            Program::start(&command, &Base::default(), &Outset::default()).expect("it runs");
        let start = Instant::now();
        assert!(program.wait(false, true).expect("ended").is_none());
        assert!(start.elapsed() < Duration::from_secs(30), "the patience of a run that ends is 60 s");
    }
}
