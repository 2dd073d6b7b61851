//! The process that holds a lock: what it says of itself in the file, for people; found by the file that it has open, and ended.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, visible};
use crate::files::{FileHandle, FileSystem, write_all_at};
use crate::time::Timestamp;

/// How long a process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// By how much a run that takes a folder over may come later than another one that is asked for at the same time, in nanoseconds.
const AT_ONCE: i64 = 1_000_000_000;

/// What a run says of itself in the lock that it holds. Nothing is decided by it but what people are told, and who of several came first.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    process: u32,
    host: String,
    /// When it took the lock, in nanoseconds.
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

    /// Writes it into the lock that it holds; that it cannot, as on a full disk, keeps nobody from working.
    pub(super) fn tell(&self, lock: &dyn FileHandle) {
        let said = serde_json::to_vec(self).unwrap_or_default();
        let _only_for_people = lock.truncate(0).and_then(|()| write_all_at(lock, &said, 0));
    }

    /// What the holder of the lock at `path` has said; `None` where it has said nothing that can be read.
    pub(super) fn of(files: &dyn FileSystem, path: &Path) -> Option<Self> {
        serde_json::from_slice(&files.read(path).ok()?).ok()
    }

    /// Whether it has taken the folder over from another run while one that began at `begun` was about to do the same.
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

/// Ends the process that holds `lock`, and waits until it is gone. What a process does that is ended so, it does not do half, nor later:
/// all that it has written is there, and nothing more comes.
///
/// # Errors
/// When none is found, as on another machine, or one cannot be ended.
pub(super) fn end(lock: &Path) -> Result<()> {
    let path = &lock.display();
    let by_hand = "end that run by hand, on the machine on which it is";
    let holders = holders(lock).map_err(|error| Error::io("find out who holds", path, &error))?;
    if holders.is_empty() {
        return Err(Error::unavailable(format!("no process is found that holds {path}")).with_help(by_hand));
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
            return Err(
                Error::unavailable(format!("the run that holds {path} does not end")).with_help(by_hand)
            );
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The processes that hold the lock of `file`: those that the system names as the ones that have locked a file of its number, and that have it open. Whoever
/// only reads it is none.
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
        // It may end meanwhile.
        let Ok(open) = std::fs::read_dir(format!("/proc/{number}/fd")) else { continue };
        if number as u32 != std::process::id() && open.flatten().any(|open| is_it(&open.path())) {
            found.extend(Pid::from_raw(number));
        }
    }
    Ok(found)
}

/// Who has a file open is not told here.
#[cfg(not(target_os = "linux"))]
fn holders(file: &Path) -> std::io::Result<Vec<Pid>> {
    file.metadata().map(|meta| {
        let _inode = meta.ino();
        Vec::new()
    })
}
