//! Opening file sources: at the first file or, after a restart, with the columns from the checkpoint.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ahead::Ahead;
use super::columns::joined;
use super::follow::{Awaited, Follower};
use super::input_file::InputFile;
use super::open_file::{await_head, head};
use super::options::FileOptions;
use super::recording::{self, Recording};
use super::resume::{ReadPosition, ResumePosition};
use super::{Blocks, FileSource, OpenInput};
use crate::batch::Schema;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::source::{OpenOptions, Resumption};

impl FileSource {
    fn new(
        format: Arc<dyn Format>,
        files: Vec<InputFile>,
        schema: Arc<Schema>,
        open: Option<OpenInput>,
        options: &OpenOptions,
    ) -> Self {
        Self {
            format,
            files,
            schema,
            options: options.clone(),
            at: 0,
            open,
            sequence: 0,
            received: None,
            given: None,
            done: 0,
            total: None,
            read: Vec::new(),
            ahead: None,
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
            let recording = Recording::open(path, Arc::clone(&format), options.speed)?;
            let (schema, files) = (Arc::clone(recording.schema()), vec![first.clone()]);
            return Ok(Self::new(
                format,
                files,
                schema,
                Some(OpenInput::Recording(Box::new(recording))),
                options,
            ));
        }
        let total = files.iter().map(InputFile::len).sum();
        let is_address = first.address.is_some();
        let before = options.resume.as_ref().map(|resume| columns_before(resume, &*format)).transpose()?;
        let (schema, blocks) = match before {
            Some(schema) => (schema, None),
            // Nothing has been sent yet: the options must determine the columns.
            None if is_address => {
                format.check_streams()?;
                let schema =
                    format.schema(head(first, &[], true)).map_err(|error| unnamed(error.message()))?;
                (Arc::new(format.columns().declared(&schema)?), None)
            }
            None => {
                // An empty file says nothing about the columns.
                let telling = files.iter().position(|file| !file.is_empty()).unwrap_or(0);
                let mut blocks = Blocks::open(&files[telling], options)?;
                await_head(&files[telling], &mut blocks, options, &*format)?;
                let (bytes, is_whole) = blocks.head()?;
                let schema = format.schema(head(&files[telling], bytes, is_whole))?;
                let schema = joined(&*format, schema, &files[telling + 1..], options)?;
                let blocks = if telling == 0 { blocks } else { Blocks::open(first, options)? };
                (Arc::new(schema), Some(blocks))
            }
        };
        let mut source = Self::new(format, files, schema, is_address.then_some(OpenInput::Unbound), options);
        source.total = total;
        // After a restart, this is compared with the checkpoint instead.
        if options.keeps_place && options.resume.is_none() {
            source.ahead = Some(Ahead::look(&source.files, 0)?);
        }
        if let Some(blocks) = blocks {
            source.open = Some(source.bind(0, blocks)?);
        }
        Ok(source)
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
        let mut source = Self::new(format, Vec::new(), schema, None, open);
        let follower = Follower::open(options, extensions, Arc::clone(&open.outputs), source.layout())?;
        source.open = Some(OpenInput::Growing(Box::new(follower)));
        Ok(source)
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
        let mut source = Self::new(format, Vec::new(), schema, None, options);
        if let ReadPosition::Growing(following) = ResumePosition::from_bytes(&resume.place)?.reading {
            source.unfinished = following.unfinished(&source.layout()).into();
        }
        source.finishes = Some(resume.place.to_vec());
        Ok(source)
    }
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
