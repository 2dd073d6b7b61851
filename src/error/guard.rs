//! Between the engine and code that others wrote: a panic there becomes an error that names the part.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Error, Result};

/// Calls `act` for the part called `label`, which its errors then name.
pub(crate) fn guarded<T>(label: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(label, || act().map_err(|error| error.with_context(label)))
}

/// The same, for errors that need no name. After a panic nothing of the run is published, so that what the part left
/// half done is never seen.
pub(crate) fn caught<T>(label: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        Err(Error::internal(format!("{label} panicked: {}", message(&*panic)))
            .with_help("this is a bug in that part; nothing was written"))
    })
}

/// The same, for what a part cannot refuse to answer.
pub(crate) fn asked<T>(label: &str, act: impl FnOnce() -> T) -> Result<T> {
    caught(label, || Ok(act()))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
