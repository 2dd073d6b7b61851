//! What a pipeline would do, and whether it always does the same: on a thread of its own, so that Ctrl-C works.
//!
//! | thread | started by | waits for | ends |
//! |---|---|---|---|
//! | pipeline | `explain`, `verify` | the sources, or what runtimes wait for | with its work, or soon after Ctrl-C |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{RecvTimeoutError, bounded};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tidemill::pipeline::Explanation;
use tidemill::source::OpenOptions;
use tidemill::verify::{Verdict, VerifyOptions};
use tidemill::{Error, ErrorKind, Pipeline, Result};

use crate::errors::exception;
use crate::exit::{note_run, start_thread};
use crate::wait::LOOK;

/// Explains `pipeline`.
pub(crate) fn explain(py: Python<'_>, pipeline: Pipeline) -> PyResult<Result<Explanation>> {
    let options = OpenOptions::default();
    interruptible(py, &Arc::clone(&options.stop), move || pipeline.explain(&options))
}

/// Verifies `pipeline`, which `remake` makes again with some overrides.
pub(crate) fn verify(
    py: Python<'_>,
    pipeline: Pipeline,
    remake: impl Fn(Vec<String>) -> Result<Pipeline> + Send + 'static,
    scratch: PathBuf,
    options: VerifyOptions,
) -> PyResult<Result<Verdict>> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let make = move |folder: &Path| {
        if stopped.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "the verification was stopped"));
        }
        remake(pipeline.overrides_into(folder))
    };
    interruptible(py, &stop, move || tidemill::verify::verify(&make, &scratch, &options))
}

/// Does `work` on a thread of its own. Ctrl-C is raised at once, and sets `stop`, by which the thread ends.
fn interruptible<R: Send + 'static>(
    py: Python<'_>,
    stop: &Arc<AtomicBool>,
    work: impl FnOnce() -> R + Send + 'static,
) -> PyResult<R> {
    let (outbox, done) = bounded(1);
    note_run(stop);
    // If nobody waits for the result, it is dropped.
    let run = move || drop(outbox.send(work()));
    start_thread("pipeline", run).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    loop {
        match py.detach(|| done.recv_timeout(LOOK)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(exception(py, &Error::internal("the thread of a pipeline is gone")));
            }
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals().inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            }
        }
    }
}
