//! The computing core of **tidemill**: columns, kernels, text formats and stages. No files, no threads, no C: it compiles wherever Rust
//! does. Sources, sinks and runtimes are in the engine.
//!
//! The modules are listed in the order of the data; each depends only on lower layers.
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 0 | [`time`], [`offset`], [`metrics`], [`kernel`], [`random`] | when, where, how many; numeric loops, which know no other module |
//! | 1 | [`error`], [`sensor`] | what goes wrong; who measures |
//! | 2 | [`batch`], [`options`], [`paths`] | records in columns; options and paths in a pipeline file |
//! | 3 | [`format`](mod@format) | bytes to records and back |
//! | 4 | [`stage`] | what happens to records, one stage a file |
//! | 5 | [`chain`] | stages in use, without a runtime |

pub mod error;
pub mod metrics;
pub mod offset;
pub mod random;
pub mod time;

pub mod batch;
pub mod kernel;
pub mod options;
pub mod paths;
pub mod sensor;

pub mod format;
pub mod stage;

pub mod chain;
