//! What is said to people on standard error, where an error or the summary would come too late, and those too: nobody waits for somebody
//! who does not read.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | notes | the first note | the next note; whoever reads standard error | with the process |

pub(crate) mod courier;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::courier::{Courier, Recipient};
use crate::error::visible;

/// Bytes of notes that may wait; what there is no room for is dropped and counted.
const ROOM: usize = 64 << 10;

/// How long a note is waited for: so that it stands before what is written after it, and the run goes on without it where nobody reads.
const PATIENCE: Duration = Duration::from_millis(100);

/// The thread that writes notes, once there was one.
static NOTES: Mutex<Option<Courier>> = Mutex::new(None);

/// Says a line to whoever looks at a run that goes on. That nobody does is no error.
pub fn say(text: &str) {
    write(&format!("{}\n", visible(text)));
}

/// Writes lines that are fit to be read, likewise.
pub fn write(lines: &str) {
    let mut notes = notes();
    if notes.is_none() {
        *notes = Courier::start(standard_error(), &Arc::new(AtomicBool::new(true)), ROOM).ok();
    }
    // Without a thread there are no notes.
    let Some(courier) = &mut *notes else { return };
    let _nobody_reads = courier.send(lines.as_bytes());
    courier.settle(PATIENCE);
}

/// How many notes nobody has read so far.
pub fn unread() -> u64 {
    notes().as_ref().map_or(0, Courier::untaken)
}

/// The process ends: waits for those who still read.
pub fn finish() {
    let courier = notes().take();
    if let Some(mut courier) = courier {
        let _nobody_reads = courier.finish(true);
    }
}

/// Standard error, written past the lock of this process on it, which others must not wait for.
pub(crate) fn standard_error() -> Box<dyn Recipient> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(log) => Box::new(File::from(log)),
        Err(_) => Box::new(io::sink()),
    }
}

fn notes() -> MutexGuard<'static, Option<Courier>> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}
