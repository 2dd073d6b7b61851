//! What is said during a run, because it cannot wait for the summary or an error: [events](event), and lines on standard error. A reader that does not keep up blocks nothing.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | notes | the first note | the next note; the reader of standard error | with the process |

pub(crate) mod courier;
pub mod event;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::courier::{Courier, Recipient};
use crate::error::{hide_secrets, visible};

pub use event::Event;

/// Capacity of the queue in bytes; notes that do not fit are dropped and counted.
const ROOM: usize = 64 << 10;

/// How long to wait for a note to be written, so that it precedes later output; if nobody reads, the run continues without it.
const PATIENCE: Duration = Duration::from_millis(100);

/// The thread that writes notes, started by the first one.
static NOTES: Mutex<Option<Courier>> = Mutex::new(None);

/// Writes a line to standard error, escaping control characters. Never fails and never blocks for long.
pub fn say(text: &str) {
    write(&format!("{}\n", visible(text)));
}

/// Writes lines that need no escaping; otherwise like [`say`].
pub fn write(lines: &str) {
    let mut notes = notes();
    if notes.is_none() {
        *notes = Courier::start(standard_error(), &Arc::new(AtomicBool::new(true)), ROOM).ok();
    }
    // Without a thread, notes are lost.
    let Some(courier) = &mut *notes else { return };
    let _nobody_reads = courier.send(hide_secrets(lines).as_bytes());
    courier.settle(PATIENCE);
}

/// The number of notes not read yet or dropped.
pub fn unread() -> u64 {
    notes().as_ref().map_or(0, Courier::untaken)
}

/// Waits at the end of the process while notes are still being read.
pub fn finish() {
    let courier = notes().take();
    if let Some(mut courier) = courier {
        let _nobody_reads = courier.finish(true);
    }
}

/// Standard error without the process-wide lock, on which other threads would block.
pub(crate) fn standard_error() -> Box<dyn Recipient> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(log) => Box::new(File::from(log)),
        Err(_) => Box::new(io::sink()),
    }
}

fn notes() -> MutexGuard<'static, Option<Courier>> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}
