//! The interpreter, held for calls that come from outside Python.
#![expect(
    unsafe_code,
    reason = "calls the interpreter's own functions for threads that it did not call us from"
)]

use pyo3::exceptions::{PyImportError, PyKeyboardInterrupt};
use pyo3::ffi::{
    PyGILState_Ensure, PyGILState_Release, PyGILState_STATE, PyInterpreterState_Get,
    PyInterpreterState_GetID, PyThreadState_SetAsyncExc,
};
use pyo3::prelude::*;

/// Refuses to be imported by a subinterpreter: threads that come from outside Python get the main interpreter, and would wait for the other one for ever.
pub(crate) fn check_interpreter(_py: Python<'_>) -> PyResult<()> {
    const MAIN: i64 = 0;
    // SAFETY: the token shows that this thread holds an interpreter, which exists as long as the call.
    match unsafe { PyInterpreterState_GetID(PyInterpreterState_Get()) } {
        MAIN => Ok(()),
        _ => Err(PyImportError::new_err(
            "tidemill does not support subinterpreters: import it in the main interpreter, or use processes",
        )),
    }
}

/// Raises KeyboardInterrupt in the thread `ident`, once it runs code of Python again.
pub(crate) fn interrupt(py: Python<'_>, ident: u64) {
    let raised = py.get_type::<PyKeyboardInterrupt>();
    // SAFETY: this thread holds the interpreter, and the exception is a class, as it must be; a thread that has ended is not found.
    unsafe { PyThreadState_SetAsyncExc(ident as _, raised.as_ptr()) };
}

/// Holds the interpreter as long as it exists.
///
/// `Python::attach` alone is not enough where a library such as pyarrow has let the interpreter go and then calls back: pyo3 counts its own calls on
/// this thread, and takes the interpreter for held.
pub(crate) struct Held(PyGILState_STATE);

impl Held {
    pub(crate) fn take() -> Self {
        // SAFETY: may be called from any thread, in any state, as long as the interpreter is there; it outlives the objects that call this.
        Self(unsafe { PyGILState_Ensure() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: once for each `PyGILState_Ensure`, on the same thread, in reverse order: the guard cannot be sent elsewhere, and is a local variable.
        unsafe { PyGILState_Release(self.0) }
    }
}
