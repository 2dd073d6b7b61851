//! The columns of an input whose files may differ.

use super::Blocks;
use super::input_file::InputFile;
use super::open_file::head;
use crate::batch::Schema;
use crate::error::Result;
use crate::format::Format;
use crate::format::columns::Columns;
use crate::source::OpenOptions;

/// `first`, the columns of the first file, with those of the other `files` where the options join them, and with those that the
/// options name.
///
/// # Errors
/// When one of the files cannot be read, or is not of the format.
pub(super) fn joined(
    format: &dyn Format,
    first: Schema,
    files: &[InputFile],
    options: &OpenOptions,
) -> Result<Schema> {
    let mut schema = first;
    if format.columns().are_joined() {
        // What has not come yet cannot be looked at.
        for file in files.iter().filter(|file| file.regular().is_some() && !file.is_empty()) {
            let mut blocks = Blocks::open(file, options)?;
            let (bytes, is_whole) = blocks.head()?;
            schema = Columns::joined(&schema, &format.schema(head(file, bytes, is_whole))?)?;
        }
    }
    format.columns().declared(&schema)
}
