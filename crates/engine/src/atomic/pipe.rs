//! A named pipe as an output. It can be opened only while a process reads it; until then the run waits.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::context::SinkContext;
use crate::error::{Error, ErrorKind, Result};
use crate::files::patient::waited_for;
use crate::notes::Event;

/// Pause between two attempts to open it.
const LOOK: Duration = Duration::from_millis(20);

/// How long it waits in silence: the reader may be started at the same time.
const SILENCE: Duration = Duration::from_secs(1);

/// Whether a named pipe is at `path`.
pub(super) fn is_there(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.file_type().is_fifo())
}

/// Opens the named pipe at `path` for the sink of `context`, as soon as a process reads it. Reports once that it waits, and once that it has been opened after a
/// wait that was reported.
///
/// # Errors
/// If the run is to stop before that; an I/O error.
pub(super) fn open(path: &Path, context: &SinkContext) -> Result<File> {
    let failed = |error: io::Error| Error::io("write", path.display(), &error);
    let tell = |kind, what: &str| {
        let (label, masks) = (&context.label, &context.masks);
        Event::info(kind).part(label).say(masks, &format!("{label}: {what}"));
    };
    let (begun, mut is_said) = (Instant::now(), false);
    loop {
        match File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(pipe) => {
                let flags = fcntl_getfl(&pipe).map_err(|error| failed(error.into()))?;
                fcntl_setfl(&pipe, flags - OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
                if is_said {
                    let waited = waited_for(begun.elapsed());
                    let path = path.display();
                    tell("sink_resumed", &format!("{path} has a reader after {waited}: the run continues"));
                }
                return Ok(pipe);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {}
            Err(error) => return Err(failed(error)),
        }
        if context.stop.load(Ordering::Relaxed) {
            let what = format!("stopped before the pipe {} had a reader", path.display());
            return Err(Error::new(ErrorKind::Interrupted, what).with_help("start its reader first"));
        }
        if !is_said && begun.elapsed() >= SILENCE {
            is_said = true;
            let path = path.display();
            tell("sink_stalled", &format!("the pipe {path} has no reader: the run waits for one"));
        }
        std::thread::sleep(LOOK);
    }
}
