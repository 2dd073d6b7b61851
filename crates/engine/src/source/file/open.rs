//! Opening a source of text: its columns, which the first file, the options or the checkpoint determine, and its input.

use std::collections::VecDeque;
use std::sync::Arc;

use super::blocks::Blocks;
use super::columns::joined;
use super::follow::{Awaited, Follower};
use super::input_file::InputFile;
use super::open_file::{await_head, head};
use super::options::FileOptions;
use super::position::ReadPosition;
use super::recording::{self, Recording};
use super::resume::ResumePosition;
use super::{Concatenated, FileSource, TextInput};
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::source::stream::StreamLayout;
use crate::source::{OpenOptions, Resumption};

impl FileSource {
    fn new(layout: StreamLayout, options: &OpenOptions, input: impl TextInput + 'static) -> Self {
        Self {
            layout,
            options: options.clone(),
            input: Box::new(input),
            sequence: 0,
            received: None,
            given: None,
            finishes: None,
            unfinished: VecDeque::new(),
            remarks: Vec::new(),
        }
    }

    /// Opens the first of `files`. The columns of the input are those of the first file that is not empty; after a restart, those of the
    /// checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read or has another format.
    pub fn open(format: Arc<dyn Format>, files: Vec<InputFile>, options: &OpenOptions) -> Result<Self> {
        let first = files.first().ok_or_else(|| Error::config("`path` is empty"))?;
        if let Some(path) = first.path.as_ref().filter(|path| recording::is_recording(path)) {
            let recording = Recording::open(first, path, Arc::clone(&format), options)?;
            let layout = layout(format, Arc::clone(recording.schema()), options);
            return Ok(Self::new(layout, options, recording));
        }
        let (schema, blocks) = match &options.resume {
            Some(resume) => (columns_before(resume, &*format)?, None),
            None => columns_of(&*format, &files, options)?,
        };
        let layout = layout(format, schema, options);
        let input = Concatenated::open(files, blocks, layout.clone(), options)?;
        Ok(Self::new(layout, options, input))
    }

    /// Follows the files of `options`, which grow; `files` are those that exist. The columns are those of the options or of the first file
    /// whose beginning is complete; if neither is available, waits for them. After a restart, they are those of the checkpoint.
    ///
    /// # Errors
    /// If a file has another format; if the run is to stop before the columns are known.
    pub fn follow(
        format: Arc<dyn Format>,
        options: &FileOptions,
        files: Vec<InputFile>,
        extensions: &[&str],
        open: &OpenOptions,
    ) -> Result<Self> {
        let schema = match &open.resume {
            Some(resume) => columns_before(resume, &*format)?,
            None => {
                format.check_streams()?;
                let awaited = Awaited { format: &format, options, extensions, open };
                Arc::new(awaited.columns(files)?)
            }
        };
        let layout = layout(format, schema, open);
        let follower = Follower::open(options, extensions, Arc::clone(&open.outputs), layout.clone())?;
        Ok(Self::new(layout, open, follower))
    }

    /// A source of an input that was read to its end: the input need not exist any more.
    ///
    /// # Errors
    /// If the position cannot be decoded.
    pub(super) fn finished(
        format: Arc<dyn Format>,
        resume: &Resumption,
        options: &OpenOptions,
    ) -> Result<Self> {
        let schema = columns_before(resume, &*format)?;
        let layout = layout(format, schema, options);
        let mut source = Self::new(layout.clone(), options, Concatenated::without_files(layout, options));
        if let ReadPosition::Growing(following) = ResumePosition::from_bytes(&resume.place)?.reading {
            source.unfinished = following.unfinished(&source.layout).into();
        }
        source.finishes = Some(resume.place.to_vec());
        Ok(source)
    }
}

fn layout(format: Arc<dyn Format>, schema: Arc<Schema>, options: &OpenOptions) -> StreamLayout {
    StreamLayout { format, schema, chunk_size: options.chunk_size }
}

/// The columns of `files`, and the bytes of the first one if it was opened for them.
fn columns_of(
    format: &dyn Format,
    files: &[InputFile],
    options: &OpenOptions,
) -> Result<(Arc<Schema>, Option<Blocks>)> {
    let first = &files[0];
    if first.address.is_some() {
        // Nothing has been sent yet: the options must determine the columns.
        format.check_streams()?;
        let schema = format.schema(head(first, &[], true)).map_err(|error| unnamed(error.message()))?;
        return Ok((Arc::new(format.columns().declared(&schema)?), None));
    }
    // An empty file says nothing about the columns.
    let telling = files.iter().position(|file| !file.is_empty()).unwrap_or(0);
    let mut blocks = Blocks::open(&files[telling], options)?;
    await_head(&files[telling], &mut blocks, options, format)?;
    let (bytes, is_whole) = blocks.head()?;
    let schema = format.schema(head(&files[telling], bytes, is_whole))?;
    let schema = joined(format, schema, &files[telling + 1..], options)?;
    let blocks = if telling == 0 { blocks } else { Blocks::open(first, options)? };
    Ok((Arc::new(schema), Some(blocks)))
}

/// The columns from a checkpoint, with times parsed as the options say.
fn columns_before(resume: &Resumption, format: &dyn Format) -> Result<Arc<Schema>> {
    let schema = ResumePosition::from_bytes(&resume.place)?.schema()?;
    Ok(Arc::new(schema.with_local_times(format.columns().may_be_local())))
}

fn unnamed(why: &str) -> Error {
    Error::config(format!("the columns must be given, because nothing has arrived yet: {why}"))
        .with_help("give `measurements`, and for csv `header = false` with `names`")
}
