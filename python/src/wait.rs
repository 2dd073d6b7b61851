//! Waits of the engine's threads for components in Python, and of these for the engine.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use tidemill::Result;

use crate::exit::{closing, is_closing};

/// How long a wait lasts before it is checked whether it still makes sense.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// Waits for the next item; `None` if nobody sends any more.
///
/// # Errors
/// When the interpreter ends; that of `check`, which is called from time to time.
pub(crate) fn receive<T>(from: &Receiver<T>, check: impl Fn() -> Result<()>) -> Result<Option<T>> {
    loop {
        match from.recv_timeout(LOOK) {
            Ok(item) => return Ok(Some(item)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) if is_closing() => return Err(closing()),
            Err(RecvTimeoutError::Timeout) => check()?,
        }
    }
}

/// Waits until there is room for `item`; false if nobody receives any more.
///
/// # Errors
/// As [`receive`].
pub(crate) fn send<T>(to: &Sender<T>, mut item: T, check: impl Fn() -> Result<()>) -> Result<bool> {
    loop {
        match to.send_timeout(item, LOOK) {
            Ok(()) => return Ok(true),
            Err(SendTimeoutError::Disconnected(_)) => return Ok(false),
            Err(SendTimeoutError::Timeout(_)) if is_closing() => return Err(closing()),
            Err(SendTimeoutError::Timeout(again)) => item = again,
        }
        check()?;
    }
}
