//! The command that receives alerts: a process in its own process group, which ends with the run.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::context::SinkContext;
use crate::error::{Error, Result};
use crate::files::Base;
use crate::notes::courier::{AT_WORK, LOOK, ProgressLimit, Recipient};
use crate::secret::Secret;

/// Time between asking a command to end and killing it.
const GRACE: Duration = Duration::from_millis(500);

/// The process groups of all running commands.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The pipe to a command.
pub(super) struct CommandInput(ChildStdin);

/// A started command.
pub(super) struct Program {
    /// The command for messages: quoted, with secrets masked.
    pub(super) name: String,
    child: Child,
    group: Pid,
    stop: Arc<AtomicBool>,
}

/// Ends all alert commands at once, for a process that exits without waiting for its runs.
pub fn end_alert_commands() {
    for group in running().drain(..) {
        let _gone_already = kill_process_group(group, Signal::KILL);
    }
}

/// The program to start: a path is resolved like all paths of the pipeline, a bare name is left as it is.
fn executable(name: &str, base: &Base) -> PathBuf {
    let path = base.join(name);
    if name.contains('/') { std::path::absolute(&path).unwrap_or(path) } else { name.into() }
}

fn running() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Write for CommandInput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Recipient for CommandInput {
    /// Unread bytes in the pipe; an error once the other end is closed.
    fn untaken(&self) -> io::Result<u64> {
        let untaken = ioctl_fionread(&self.0)?;
        let mut pipes = [PollFd::new(&self.0, PollFlags::empty())];
        let is_gone = poll(&mut pipes, Some(&Timespec::default())).is_ok()
            && pipes[0].revents().contains(PollFlags::ERR);
        match is_gone && untaken > 0 {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(untaken),
        }
    }

    fn patience(&self) -> Duration {
        AT_WORK
    }
}

impl Program {
    /// Starts `command` in the folder of `base`. Its output goes to standard error, since standard output may belong to a sink. It does not
    /// receive the terminal's interrupts: an interrupted run still has alerts to deliver.
    pub(super) fn start(
        command: &[String],
        environment: &IndexMap<String, Secret>,
        base: &Base,
        context: &SinkContext,
    ) -> Result<(Self, CommandInput)> {
        let name = format!("`{}`", context.masks.hide_value(&command.join(" ")));
        let failed = |error: &io::Error| {
            let why = crate::error::plain(error);
            Error::unavailable(format!("the alert command {name} cannot be started: {why}")).with_help(
                match executable(&command[0], base) {
                    path if path.is_absolute() => format!("it was looked for at {}", path.display()),
                    _ => "check `command`".to_owned(),
                },
            )
        };
        let said = io::stderr().as_fd().try_clone_to_owned().map_or_else(|_| Stdio::null(), Stdio::from);
        let mut started = Command::new(executable(&command[0], base));
        started.args(&command[1..]).stdin(Stdio::piped()).stdout(said).process_group(0);
        started.envs(environment.iter().map(|(name, value)| (name, value.reveal())));
        if base != &Base::default() {
            started.current_dir(base.folder());
        }
        let mut child = started.spawn().map_err(|error| failed(&error))?;
        let (Some(input), Some(group)) = (child.stdin.take(), Pid::from_raw(child.id() as i32)) else {
            return Err(Error::internal("an alert command has no standard input"));
        };
        running().push(group);
        Ok((Self { name, child, group, stop: Arc::clone(&context.stop) }, CommandInput(input)))
    }

    /// Waits until the command ends after its input is closed: only briefly if the run `ends_early`, and not at all if it `is_stuck`.
    /// `None` if it had to be killed.
    pub(super) fn wait(&mut self, ends_early: bool, is_stuck: bool) -> Result<Option<ExitStatus>> {
        self.wait_for(ends_early, is_stuck).map_err(|error| Error::io("wait for", &self.name, &error))
    }

    fn wait_for(&mut self, ends_early: bool, is_stuck: bool) -> io::Result<Option<ExitStatus>> {
        let stop = Arc::clone(&self.stop);
        let mut limit = ProgressLimit::new(&stop, AT_WORK, ends_early);
        loop {
            if let Some(status) = self.status()? {
                return Ok(Some(status));
            }
            if is_stuck || limit.is_reached(0) {
                self.end()?;
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Its exit status, if it has ended. It is removed from the running commands before the system may reuse its process id.
    fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut running = running();
        let status = self.child.try_wait()?;
        if status.is_some() {
            running.retain(|group| *group != self.group);
        }
        Ok(status)
    }

    /// Ends the command: first asks, then kills.
    fn end(&mut self) -> io::Result<()> {
        let _gone_already = kill_process_group(self.group, Signal::TERM);
        let asked = std::time::Instant::now();
        while !self.has_ended()? && asked.elapsed() < GRACE {
            std::thread::sleep(LOOK);
        }
        // Including its child processes: the process id is not reused until it is waited for.
        let mut running = running();
        let _gone_already = kill_process_group(self.group, Signal::KILL);
        running.retain(|group| *group != self.group);
        self.child.wait().map(drop)
    }

    /// Whether it has ended, without reaping it, so that its process id is not reused.
    fn has_ended(&self) -> io::Result<bool> {
        let ended = waitid(
            WaitId::Pid(self.group),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG,
        )?;
        Ok(ended.is_some())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !matches!(self.status(), Ok(Some(_))) {
            let _gone_already = self.end();
        }
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
            Program::start(&command, &IndexMap::new(), &Base::default(), &SinkContext::default())
                .expect("it runs");
        let start = Instant::now();
        assert!(program.wait(false, true).expect("ended").is_none());
        // The system may reuse its process id.
        assert!(!running().contains(&program.group));
        assert!(start.elapsed() < Duration::from_secs(30), "the patience of a run that ends is 60 s");
    }
}
