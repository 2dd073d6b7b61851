//! Isolates panics in foreign code: they become errors that name the component.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Error, Result};

/// Calls `act` of the component `label`, whose name is added to its errors.
pub fn guarded<T>(label: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(label, || act().map_err(|error| error.with_context(label)))
}

/// The same for errors that need no name. After a panic, no output of the run is published, so partial effects of the component are never
/// visible.
pub fn caught<T>(label: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        Err(Error::internal(format!("{label} panicked: {}", message(&*panic)))
            .with_help("this is a bug in that component; no output file was completed"))
    })
}

/// The same for a call that cannot fail otherwise.
pub fn asked<T>(label: &str, act: impl FnOnce() -> T) -> Result<T> {
    caught(label, || Ok(act()))
}

thread_local! {
    static IS_SURVIVED: Cell<bool> = const { Cell::new(false) };
}

/// Calls a library that panics on damaged input: the result is a data error, not a bug to report.
///
/// # Errors
/// The panic message.
pub fn survived<T>(act: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let before = IS_SURVIVED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(act));
    IS_SURVIVED.set(before);
    result.map_err(|panic| message(&*panic).to_owned())
}

/// Whether the current panic of this thread becomes a data error, which is reported instead.
pub fn is_survived() -> bool {
    IS_SURVIVED.get()
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
