//! Records that components give, back into columns.
//!
//! | file | what |
//! |---|---|
//! | `infer` | which columns there are |
//! | `given` | one record as it was given |
//! | `builder` | columns under construction |
//! | `scalars` | single values |

mod builder;
mod given;
mod infer;
mod scalars;

pub(crate) use builder::Builder;
pub(crate) use infer::{declared, declared_schema, schema_like};
pub(crate) use scalars::{has_zone, nanos};

/// The value of a column.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Null,
    /// Nanoseconds since 1970.
    Time(i64),
    Text(String),
    F64(f64),
    I64(i64),
    U64(u64),
    Bool(bool),
}
