//! The process that holds a lock: its description in the file, for messages; how it is found by the file that it has open, and killed.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, visible};
use crate::files::{FileHandle, FileSystem, write_all_at};
use crate::time::Timestamp;

/// Time within which a killed process must have ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two checks.
const LOOK: Duration = Duration::from_millis(10);

/// Two runs that take over the folder within this time in nanoseconds count as simultaneous.
const AT_ONCE: i64 = 1_000_000_000;

/// The description of a run in the file that it has locked. Used for messages, and to find out which of several runs was first.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    process: u32,
    host: String,
    /// The time of locking, in nanoseconds since 1970.
    since: i64,
    /// Whether it did so with --take-over.
    has_taken_over: bool,
}

impl Holder {
    /// This process.
    pub(super) fn this(now: Timestamp, has_taken_over: bool) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().to_owned();
        Self { process: std::process::id(), host, since: now.as_nanos(), has_taken_over }
    }

    /// Writes the description into the locked file. The run continues if that fails, for example on a full disk.
    pub(super) fn tell(&self, lock: &dyn FileHandle) {
        let said = serde_json::to_vec(self).unwrap_or_default();
        let _only_for_people = lock.truncate(0).and_then(|()| write_all_at(lock, &said, 0));
    }

    /// The holder of the lock at `path`; `None` if it has no readable description.
    pub(super) fn of(files: &dyn FileSystem, path: &Path) -> Option<Self> {
        serde_json::from_slice(&files.read(path).ok()?).ok()
    }

    /// Whether it took over the folder while a run that began at `begun` was about to do the same.
    pub(super) fn has_taken_over_since(&self, begun: Timestamp) -> bool {
        self.has_taken_over && self.since >= begun.as_nanos().saturating_sub(AT_ONCE)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.process)?;
        if !self.host.is_empty() {
            write!(f, " on {}", visible(&self.host))?;
        }
        write!(f, ", since {}", Timestamp::from_nanos(self.since - self.since.rem_euclid(AT_ONCE)))
    }
}

/// Kills the process that holds `lock`, and waits until it has ended: everything that it has written is there then, and nothing more is written.
///
/// # Errors
/// If none is found, for example because it is on another machine, or if it cannot be killed.
pub(super) fn end(lock: &Path) -> Result<()> {
    let path = &lock.display();
    let by_hand = "end that run yourself, on the machine on which it runs";
    let holders = holders(lock).map_err(|error| Error::io("find out who holds", path, &error))?;
    if holders.is_empty() {
        return Err(Error::unavailable(format!("no process that holds {path} was found")).with_help(by_hand));
    }
    for &holder in &holders {
        kill_process(holder, Signal::KILL).or_else(|error| match error {
            rustix::io::Errno::SRCH => Ok(()),
            error => Err(Error::io("end the run that holds", path, &error.into()).with_help(by_hand)),
        })?;
    }
    let begun = Instant::now();
    while self::holders(lock).is_ok_and(|there| there.iter().any(|holder| holders.contains(holder))) {
        if begun.elapsed() > PATIENCE {
            return Err(Error::unavailable(format!("the run that holds {path} does not end after SIGKILL"))
                .with_help(by_hand));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The processes that hold the lock of `file`: those that have locked a file with its inode according to the system, and have `file` open. A process that
/// only reads it is not one of them.
#[cfg(target_os = "linux")]
fn holders(file: &Path) -> std::io::Result<Vec<Pid>> {
    let meta = file.metadata()?;
    let is_it =
        |open: &Path| open.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (meta.dev(), meta.ino()));
    let inode = format!(":{}", meta.ino());
    // A line is: number, `FLOCK`, `ADVISORY`, `WRITE`, process, device and inode, from, to.
    let locker = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.ends_with(&inode))?;
        words.contains(&"FLOCK").then(|| words[at - 1].parse::<i32>().ok()).flatten()
    };
    let mut found = Vec::new();
    for number in std::fs::read_to_string("/proc/locks")?.lines().filter_map(locker) {
        // The process may have ended meanwhile.
        let Ok(open) = std::fs::read_dir(format!("/proc/{number}/fd")) else { continue };
        if number as u32 != std::process::id() && open.flatten().any(|open| is_it(&open.path())) {
            found.extend(Pid::from_raw(number));
        }
    }
    Ok(found)
}

/// This system does not say which processes have a file open.
#[cfg(not(target_os = "linux"))]
fn holders(file: &Path) -> std::io::Result<Vec<Pid>> {
    file.metadata().map(|meta| {
        let _inode = meta.ino();
        Vec::new()
    })
}
