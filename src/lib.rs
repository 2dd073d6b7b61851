//! tidemill
pub mod batch;
pub mod chunk;
pub mod cli;
pub mod error;
pub mod executor;
pub mod format;
pub mod kernel;
pub mod metrics;
pub mod offset;
pub mod pipeline;
pub mod registry;
pub mod sensor;
pub mod sink;
pub mod source;
pub mod stage;
pub mod time;
