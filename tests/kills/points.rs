//! Killed at a named point: before, after or in the midst of a call by which output, outbox or checkpoint changes on the disk, or of a delivery; or at
//! any moment. The run has plain files, files that roll, and sinks that deliver, of which one is slow and one fails and comes back.
//!
//! The run is a process of this test binary, over a file system that counts the calls of one kind and kills its process at one of them. The
//! process that resumes is killed too, then one runs to its end. Its outputs are those of a run that was not disturbed.

#[path = "points/disk.rs"]
mod disk;
#[path = "points/process.rs"]
mod process;
#[path = "points/sink.rs"]
mod sink;
#[path = "points/story.rs"]
mod story;

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

pub(crate) use process::process;
pub(crate) use story::campaign;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Create,
    Write,
    Truncate,
    Sync,
    Rename,
    Remove,
    SyncFolder,
    Deliver,
    /// None in particular: whoever has started the process kills it.
    Any,
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Of the output: a part file, its name, its folder.
    Output,
    /// Rows of a Parquet file that is not complete.
    Rows,
    /// The mark that tells whose a part file is.
    Mark,
    Checkpoint,
    Outbox,
    StateFolder,
}

/// A point at which a run can be killed.
#[derive(Clone, Copy, Debug)]
struct Point {
    name: &'static str,
    call: Call,
    part: Part,
}

const fn point(name: &'static str, call: Call, part: Part) -> Point {
    Point { name, call, part }
}

const POINTS: [Point; 22] = [
    point("part file created", Call::Create, Part::Output),
    point("part file written", Call::Write, Part::Output),
    point("part file truncated", Call::Truncate, Part::Output),
    point("part file synced", Call::Sync, Part::Output),
    point("part file renamed", Call::Rename, Part::Output),
    point("output folder synced", Call::SyncFolder, Part::Output),
    point("rows created", Call::Create, Part::Rows),
    point("rows written", Call::Write, Part::Rows),
    point("rows synced", Call::Sync, Part::Rows),
    point("rows removed", Call::Remove, Part::Rows),
    point("mark created", Call::Create, Part::Mark),
    point("mark removed", Call::Remove, Part::Mark),
    point("outbox created", Call::Create, Part::Outbox),
    point("outbox written", Call::Write, Part::Outbox),
    point("outbox synced", Call::Sync, Part::Outbox),
    point("outbox removed", Call::Remove, Part::Outbox),
    point("checkpoint written", Call::Write, Part::Checkpoint),
    point("checkpoint synced", Call::Sync, Part::Checkpoint),
    point("checkpoint renamed", Call::Rename, Part::Checkpoint),
    point("state folder synced", Call::SyncFolder, Part::StateFolder),
    point("epoch delivered", Call::Deliver, Part::Outbox),
    point("any moment", Call::Any, Part::Output),
];

impl Point {
    /// How many times as many kills as others it has.
    const fn weight(self) -> u64 {
        match self.call {
            Call::Any => 4,
            _ => 1,
        }
    }
}

/// When in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    /// Half of the bytes are written.
    Midway,
    After,
}

/// Kills this process at one call.
#[derive(Debug)]
struct Killer {
    point: Point,
    moment: Moment,
    /// How many such calls there are before it.
    left: AtomicU64,
}

impl Killer {
    /// Makes a call, unless the process is killed there.
    fn at<T>(&self, call: Call, part: Option<Part>, midway: impl FnOnce(), act: impl FnOnce() -> T) -> T {
        let is_here = (call, part) == (self.point.call, Some(self.point.part))
            && self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if !is_here {
            return act();
        }
        match self.moment {
            Moment::Before => {}
            Moment::Midway => midway(),
            Moment::After => drop(act()),
        }
        kill_process(getpid(), Signal::KILL).expect("killed");
        loop {
            std::thread::park();
        }
    }
}
