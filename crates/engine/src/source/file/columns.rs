//! The columns of an input whose files may have different columns.

use super::blocks::Blocks;
use super::input_file::InputFile;
use super::open_file::head;
use crate::batch::Schema;
use crate::error::Result;
use crate::format::Format;
use crate::format::columns::Columns;
use crate::source::OpenOptions;

/// The columns of the first file (`first`), merged with those of the other `files` if the options ask for that, and with those that the
/// options name.
///
/// # Errors
/// If one of the files cannot be read or has another format.
pub(super) fn joined(
    format: &dyn Format,
    first: Schema,
    files: &[InputFile],
    options: &OpenOptions,
) -> Result<Schema> {
    let mut schema = first;
    if format.columns().are_joined() {
        // Live inputs cannot be inspected in advance.
        for file in files.iter().filter(|file| file.is_at_rest() && !file.is_empty()) {
            let mut blocks = Blocks::open(file, options)?;
            let (bytes, is_whole) = blocks.head()?;
            schema = Columns::joined(&schema, &format.schema(head(file, bytes, is_whole))?)?;
        }
    }
    format.columns().declared(&schema)
}
