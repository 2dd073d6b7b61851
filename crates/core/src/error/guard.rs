//! Between the engine and code that others wrote: a panic there becomes an error that names the part.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Error, Result};

/// Calls `act` for the part called `label`, which its errors then name.
pub fn guarded<T>(label: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(label, || act().map_err(|error| error.with_context(label)))
}

/// The same, for errors that need no name. After a panic nothing of the run is published, so that what the part left
/// half done is never seen.
pub fn caught<T>(label: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        Err(Error::internal(format!("{label} panicked: {}", message(&*panic)))
            .with_help("this is a bug in that part; no output file was completed"))
    })
}

/// The same, for what a part cannot refuse to answer.
pub fn asked<T>(label: &str, act: impl FnOnce() -> T) -> Result<T> {
    caught(label, || Ok(act()))
}

thread_local! {
    static IS_SURVIVED: Cell<bool> = const { Cell::new(false) };
}

/// Calls a library that panics where its input is damaged: that is an error of the input, and no bug to be reported.
///
/// # Errors
/// The message of the panic.
pub fn survived<T>(act: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let before = IS_SURVIVED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(act));
    IS_SURVIVED.set(before);
    result.map_err(|panic| message(&*panic).to_owned())
}

/// Whether a panic of this thread becomes an error of the input, which is told in its place.
pub fn is_survived() -> bool {
    IS_SURVIVED.get()
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
