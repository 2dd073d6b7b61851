//! The native part of the Python package `tidemill`: pipelines and chains of the library as Python objects, and components written in Python as
//! components of the library.
//!
//! | file | what |
//! |---|---|
//! | `pipeline`, `run` | building pipelines, running them, their results |
//! | `look` | explaining and verifying pipelines |
//! | `chain`, `fit`, `direct` | stages without a runtime, the first pass of those that are fitted, and what these two share |
//! | `object`, `source`, `stage`, `sink` | components written in Python, by the protocols of the library |
//! | `runs`, `saved` | what runs and components know of each other; positions and states in checkpoints |
//! | `records`, `stream`, `columns` | records as Python sees them: one, many in turn, and back into columns |
//! | `command` | the command line |
//! | `collect` | the sink behind `to_arrow` and `stream` |
//! | `capsule`, `held` | Arrow's C interface, in capsules; the interpreter for calls from there |
//! | `pandas` | what is peculiar to tables of pandas |
//! | `errors`, `values` | errors to exceptions, JSON to Python values |
//! | `exit`, `wait` | the end of the interpreter, and forks; waits that notice it |
//!
//! No thread holds the interpreter while Rust works or waits. Components in Python run on threads of their own, which are started here.

mod capsule;
mod chain;
mod collect;
mod columns;
mod command;
mod direct;
mod errors;
mod exit;
mod fit;
mod held;
mod look;
mod object;
mod pandas;
mod pipeline;
mod records;
mod run;
mod runs;
mod saved;
mod sink;
mod source;
mod stage;
mod stream;
mod values;
mod wait;

use mimalloc::MiMalloc;
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    use super::direct::loaded;
    #[pymodule_export]
    use super::exit::forked;
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

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        held::check_interpreter(module.py())
    }
}
