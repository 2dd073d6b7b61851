//! One process that runs the pipeline by a plan.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::setup::{QUIET, Setup};
use tidemill_core::error::{Error, ErrorKind, Result};
use tidemill_engine::chaos::{Line, Plan, read_journal};

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A process that reads and delivers nothing for so long hangs: longer than a circuit breaker waits.
const PATIENCE: Duration = Duration::from_secs(360);

/// How many lines of a log are shown.
const SHOWN: usize = 12;

/// A process that has ended.
pub(super) struct Ended {
    /// `None` if it hung, and was killed for it.
    status: Option<ExitStatus>,
    /// The last lines that it has written to standard error.
    pub(super) said: Vec<String>,
    /// Its report, if it came to its end.
    pub(super) report: Option<Value>,
    /// The journal of all processes so far.
    pub(super) lines: Vec<Line>,
}

impl Ended {
    pub(super) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Whether it was killed.
    pub(super) fn is_killed(&self) -> bool {
        self.status.is_some_and(|status| status.code().is_none())
    }

    pub(super) fn has_hung(&self) -> bool {
        self.status.is_none()
    }
}

/// Runs the pipeline once without faults, and without its real targets.
///
/// # Errors
/// If it fails by itself.
pub(super) fn quiet(setup: &Setup) -> Result<Ended> {
    let ended = run(setup, &setup.plan(QUIET), QUIET)?;
    match ended.is_success() {
        true => Ok(ended),
        false => Err(Error::data("the pipeline fails without any fault:")
            .with_lines(ended.said)
            .with_help("run it with `tidemill run`, and try again when that succeeds")),
    }
}

/// Runs the pipeline in the folder `name` by `plan`, to the end of the process; it resumes what an earlier one has left there.
///
/// # Errors
/// If it cannot be started; an interruption if the user has asked to stop.
pub(super) fn run(setup: &Setup, plan: &Plan, name: &str) -> Result<Ended> {
    let folder = setup.of(name);
    let failed = |error| Error::io("write", folder.display(), &error);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let (path, log, report) = (folder.join("plan.json"), folder.join("log"), folder.join("report.json"));
    let text = serde_json::to_string(plan).map_err(|error| Error::internal(error.to_string()))?;
    std::fs::write(&path, text).map_err(failed)?;
    let _none_yet = std::fs::remove_file(&report);
    let said = File::options().append(true).create(true).open(&log).map_err(failed)?;
    let begun = said.metadata().map_err(failed)?.len();
    let mut command = command(setup, name)?;
    command.arg("--chaos-plan").arg(&path).arg("--report").arg(&report);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    let mut child = command.spawn().map_err(|error| Error::io("start", "another process", &error))?;
    let status = wait(&mut child, &plan.journal, &setup.stop)?;
    let report = std::fs::read(&report).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut said = last_lines(&log, begun);
    if status.is_none() {
        said.push(format!("it has read and delivered nothing for {} s, and was killed", PATIENCE.as_secs()));
    }
    Ok(Ended { status, said, report, lines: read_journal(&plan.journal)? })
}

/// `tidemill run`, with the arguments of the pipeline.
fn command(setup: &Setup, name: &str) -> Result<Command> {
    let mut command = this_program()?;
    command.arg("run").arg(&setup.file.file);
    for set in setup.file.set.iter().chain(&setup.overrides(name)) {
        command.arg("--set").arg(set);
    }
    if let Some(base) = &setup.file.base {
        command.arg("--base").arg(base);
    }
    if let Some(threads) = setup.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    command.arg("--state").arg(setup.of(name).join("state"));
    let every = format!("{}us", setup.checkpoint_every.as_micros().max(1));
    command.args(["--checkpoint-every", &every, "--quiet", "--progress", "never"]);
    Ok(command)
}

/// This command, also where it is part of a Python.
fn this_program() -> Result<Command> {
    let path = std::env::current_exe().map_err(|error| Error::io("find", "this program", &error))?;
    let is_python = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"));
    let mut command = Command::new(path);
    if is_python {
        command.args(["-m", "tidemill"]);
    }
    Ok(command)
}

/// Waits for the end; a process that makes no progress is killed.
fn wait(child: &mut Child, journal: &Path, stop: &AtomicBool) -> Result<Option<ExitStatus>> {
    let failed = |error| Error::io("wait for", "another process", &error);
    let size = || journal.metadata().map_or(0, |meta| meta.len());
    let (mut seen, mut since) = (size(), Instant::now());
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Some(status));
        }
        if seen != size() {
            (seen, since) = (size(), Instant::now());
        }
        let (is_hung, is_stopped) = (since.elapsed() > PATIENCE, stop.load(Ordering::Relaxed));
        if is_hung || is_stopped {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
        }
        if is_stopped {
            return Err(Error::new(ErrorKind::Interrupted, "stopped before the end of the chaos run"));
        }
        if is_hung {
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// The last lines of the log from `begun` on.
fn last_lines(log: &PathBuf, begun: u64) -> Vec<String> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let own = bytes.get(usize::try_from(begun).unwrap_or(usize::MAX)..).unwrap_or_default();
    let text = String::from_utf8_lossy(own);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[lines.len().saturating_sub(SHOWN)..].to_vec()
}
