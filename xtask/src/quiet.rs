//! Commands whose output is kept in a file while they run, and shown when they have ended, so that it is not mixed with that of others.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Outcome, line, root};

/// How long a command may take to end after it was interrupted.
const GRACE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(100);

/// A command, and the file that gets what it prints.
pub(crate) struct Quiet {
    pub(crate) command: Command,
    pub(crate) printed: PathBuf,
}

impl Quiet {
    /// Runs it for at most `limit`, then interrupts it, so that it can say where it was.
    pub(crate) fn run(mut self, limit: Duration) -> Outcome {
        let name = line(&self.command);
        let start = Instant::now();
        let mut child = self.start().map_err(|error| format!("`{name}` cannot be run: {error}"))?;
        eprintln!("$ {name}\n  its output is in {}", self.printed.display());
        let ended = end_of(&mut child, limit).map_err(|error| format!("`{name}`: {error}"))?;
        let printed =
            fs::read(&self.printed).map_err(|error| format!("{}: {error}", self.printed.display()))?;
        eprintln!("$ {name}\n{}  {} s", String::from_utf8_lossy(&printed), start.elapsed().as_secs());
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("`{name}` failed: {status}")),
            None => Err(format!("`{name}` was ended after {} s", limit.as_secs())),
        }
    }

    fn start(&mut self) -> io::Result<Child> {
        if let Some(folder) = self.printed.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::create(&self.printed)?;
        self.command.current_dir(root()).stdout(file.try_clone()?).stderr(file).spawn()
    }
}

/// How a process ended; none if it was ended because of the `limit`.
fn end_of(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    if let Some(status) = wait(child, limit)? {
        return Ok(Some(status));
    }
    // The standard library can only kill.
    Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status()?;
    if wait(child, GRACE)?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(None)
}

/// How a process ended, if it does within `limit`.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || start.elapsed() >= limit {
            return Ok(ended);
        }
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::Quiet;

    /// What a script comes to, and what it has printed.
    fn run(name: &str, script: &str, limit: Duration) -> (Result<(), String>, String) {
        let folder = std::env::temp_dir().join(format!("tidemill-xtask-{}-{name}", std::process::id()));
        let printed = folder.join("printed.txt");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let outcome = Quiet { command, printed: printed.clone() }.run(limit);
        let text = std::fs::read_to_string(&printed).unwrap_or_default();
        std::fs::remove_dir_all(folder).unwrap_or_default();
        (outcome, text)
    }

    #[test]
    fn what_is_printed_is_kept() {
        let (outcome, text) = run("ends", "echo begun; echo oh >&2", Duration::from_secs(60));
        assert_eq!((outcome, text.as_str()), (Ok(()), "begun\noh\n"));
        let (outcome, _) = run("fails", "exit 3", Duration::from_secs(60));
        assert!(outcome.is_err_and(|why| why.ends_with("failed: exit status: 3")));
    }

    #[test]
    fn a_command_that_hangs_is_ended_and_shows_what_it_did() {
        let script = "trap 'echo interrupted; exit 0' INT; echo begun; while true; do sleep 0.1; done";
        let (outcome, text) = run("hangs", script, Duration::from_millis(500));
        assert!(outcome.is_err_and(|why| why.ends_with("was ended after 0 s")));
        // Where interrupts are ignored, as in the background of a script, it is killed.
        assert!(["begun\n", "begun\ninterrupted\n"].contains(&text.as_str()), "{text}");
    }
}
