//! The native part of the Python package `tidemill`: a thin binding, with no logic of its own.
//!
//! | file | what |
//! |---|---|
//! | `pipeline`, `run` | building pipelines, running them, their results |
//! | `chain`, `fit` | stages without a runtime, and the first pass of those that are fitted |
//! | `object`, `source`, `stage`, `sink` | components written in Python, by the protocols of the library |
//! | `records`, `stream`, `build` | records as Python sees them: one, many in turn, and back into columns |
//! | `command` | the command line |
//! | `collect` | the sink behind `to_arrow` and `stream` |
//! | `capsule`, `held` | Arrow's C interface, in capsules; the interpreter for calls from there |
//! | `errors`, `values` | errors to exceptions, JSON to Python values |
//! | `exit` | the end of the interpreter |
//!
//! No thread holds the interpreter while Rust works or waits. Components in Python run on threads of their own, which are started here.

mod build;
mod capsule;
mod chain;
mod collect;
mod command;
mod errors;
mod exit;
mod fit;
mod held;
mod object;
mod pipeline;
mod records;
mod run;
mod sink;
mod source;
mod stage;
mod stream;
mod values;

use pyo3::prelude::*;

/// The native part of `tidemill`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::capsule::Batch;
    #[pymodule_export]
    use super::capsule::Table;
    #[pymodule_export]
    use super::chain::Chain;
    #[pymodule_export]
    use super::command::command;
    #[pymodule_export]
    use super::exit::shut_down;
    #[pymodule_export]
    use super::fit::Fit;
    #[pymodule_export]
    use super::pipeline::Pipeline;
    #[pymodule_export]
    use super::pipeline::components;
    #[pymodule_export]
    use super::records::Record;
    #[pymodule_export]
    use super::run::Running;
    #[pymodule_export]
    use super::stream::Stream;
    #[pymodule_export]
    use super::values::toml_of;
}
