//! Files, pipes and addresses, read one after another.

use std::sync::Arc;

use super::ahead::Ahead;
use super::blocks::Blocks;
use super::input::TextInput;
use super::input_file::InputFile;
use super::open_file::{NextChunk, OpenFile};
use super::position::{InFiles, ReadPosition};
use super::seen::Seen;
use crate::error::Result;
use crate::offset::{Offset, Sequence};
use crate::source::sockets::Sockets;
use crate::source::stream::StreamLayout;
use crate::source::{Input, OpenOptions, Progress};
use crate::time::{Clock, Timestamp};

/// A list of files, of which one at a time is open.
pub(super) struct Concatenated {
    layout: StreamLayout,
    options: OpenOptions,
    files: Vec<InputFile>,
    /// The ordinal of the open file; after the last one, the number of files.
    at: usize,
    open: Option<OpenInput>,
    /// Bytes of finished files, as stored.
    done: u64,
    total: Option<u64>,
    /// The finished files, for a checkpoint.
    read: Vec<Seen>,
    /// The files not begun when the run started, if the run has checkpoints.
    ahead: Option<Ahead>,
}

/// The input being read.
enum OpenInput {
    File(Box<OpenFile>),
    /// An address before the run begins: inspecting a pipeline must not take its port.
    Unbound,
    Sockets(Box<Sockets>),
}

impl OpenInput {
    /// Whether it cannot be read twice.
    fn is_live(&self) -> bool {
        match self {
            Self::File(file) => file.blocks.is_live(),
            Self::Unbound | Self::Sockets(_) => true,
        }
    }

    /// Bytes read, as stored or received.
    fn consumed(&self) -> u64 {
        match self {
            Self::File(file) => file.blocks.consumed(),
            Self::Unbound => 0,
            Self::Sockets(sockets) => sockets.bytes(),
        }
    }
}

impl Concatenated {
    /// Reads `files` from the first one on, of which `blocks` are open already, if any. An address is opened when the run begins.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn open(
        files: Vec<InputFile>,
        blocks: Option<Blocks>,
        layout: StreamLayout,
        options: &OpenOptions,
    ) -> Result<Self> {
        let mut all = Self::without_files(layout, options);
        all.total = files.iter().map(InputFile::len).sum();
        // After a restart, this is compared with the checkpoint instead.
        if options.keeps_place && options.resume.is_none() {
            all.ahead = Some(Ahead::look(&files, 0)?);
        }
        all.files = files;
        all.open = match blocks {
            Some(blocks) => Some(all.bind(0, blocks)?),
            None => all.files[0].address.is_some().then_some(OpenInput::Unbound),
        };
        Ok(all)
    }

    /// Nothing to read.
    pub(super) fn without_files(layout: StreamLayout, options: &OpenOptions) -> Self {
        Self {
            layout,
            options: options.clone(),
            files: Vec::new(),
            at: 0,
            open: None,
            done: 0,
            total: None,
            read: Vec::new(),
            ahead: None,
        }
    }

    fn open_at(&self, at: usize) -> Result<OpenInput> {
        let file = &self.files[at];
        let Some(address) = &file.address else {
            return self.bind(at, Blocks::open(file, &self.options)?);
        };
        let sockets = Sockets::open(address, at as u64, self.layout.clone(), &self.options.meter)?;
        Ok(OpenInput::Sockets(Box::new(sockets)))
    }

    /// Prepares the opened file `at` to be read from its first record.
    fn bind(&self, at: usize, blocks: Blocks) -> Result<OpenInput> {
        let file = OpenFile::bind(&self.files[at], at, blocks, &self.layout)?;
        Ok(OpenInput::File(Box::new(file)))
    }

    /// Ends the open file and opens the next one.
    fn open_next(&mut self) -> Result<()> {
        self.read.push(self.seen(None)?);
        self.done += self.open.take().map_or(0, |open| open.consumed());
        self.at += 1;
        if self.at < self.files.len() {
            self.open = Some(self.open_at(self.at)?);
        }
        Ok(())
    }

    /// The state of the open input for a checkpoint, once everything before `at` has been read; all of it if `None`.
    fn seen(&self, at: Option<u64>) -> Result<Seen> {
        match &self.open {
            Some(OpenInput::File(file)) => file.blocks.seen(at),
            _ => Ok(Seen::stream(self.files.get(self.at).map_or("", |file| &file.name))),
        }
    }
}

impl TextInput for Concatenated {
    fn begin(&mut self) -> Result<()> {
        if matches!(self.open, Some(OpenInput::Unbound)) {
            self.open = Some(self.open_at(self.at)?);
        }
        Ok(())
    }

    fn next(&mut self, sequence: Sequence) -> Result<Option<Input>> {
        while let Some(open) = &mut self.open {
            match open {
                OpenInput::Unbound => self.begin()?,
                OpenInput::Sockets(sockets) => return sockets.next(sequence).map(Some),
                OpenInput::File(file) => match file.chunk(self.options.chunk_size, sequence)? {
                    NextChunk::Chunk(chunk) => return Ok(Some(Input::Chunk(chunk))),
                    NextChunk::Nothing => return Ok(Some(Input::Nothing)),
                    NextChunk::End => self.open_next()?,
                },
            }
        }
        Ok(None)
    }

    fn drain(&mut self, sequence: Sequence, _can_resume: bool) -> Result<Option<Input>> {
        match &mut self.open {
            Some(OpenInput::Sockets(sockets)) => Ok(sockets.drain(sequence)),
            Some(OpenInput::File(file)) => file.drain(&self.layout, sequence),
            Some(OpenInput::Unbound) | None => Ok(None),
        }
    }

    fn received(&self, clock: &Clock) -> Option<Timestamp> {
        match &self.open {
            // History is believed as it is.
            Some(OpenInput::File(file)) if !file.blocks.is_live() || self.options.shred.is_some() => None,
            _ => Some(clock.read()),
        }
    }

    fn stem(&self) -> &str {
        match &self.open {
            Some(OpenInput::File(file)) => &file.stem,
            Some(OpenInput::Sockets(sockets)) => sockets.stem(),
            Some(OpenInput::Unbound) | None => "",
        }
    }

    fn offset(&self) -> Offset {
        match &self.open {
            Some(OpenInput::File(open)) => open.offset,
            _ => Offset { file: self.at as u64, at: 0, line: 1 },
        }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        let file = offset.file as usize;
        // An input that cannot be read twice starts as it was opened.
        if file == self.at && self.open.as_ref().is_some_and(OpenInput::is_live) {
            return Ok(());
        }
        (self.at, self.open) = (file, None);
        if file >= self.files.len() {
            return Ok(());
        }
        let mut open = self.open_at(file)?;
        if let OpenInput::File(open) = &mut open
            && offset.at > open.offset.at
            && !open.blocks.is_live()
        {
            open.blocks.skip(offset.at - open.offset.at)?;
            open.offset = offset;
        }
        self.open = Some(open);
        Ok(())
    }

    fn save(&self) -> Result<ReadPosition> {
        let offset = Offset { file: self.read.len() as u64, ..self.offset() };
        let mut files = self.read.clone();
        if self.at < self.files.len() {
            files.push(self.seen(Some(offset.at))?);
        }
        let ahead = self.ahead.as_ref().map(|ahead| ahead.behind(self.at));
        Ok(ReadPosition::Files(InFiles { offset, files, ahead }))
    }

    fn restore(&mut self, position: ReadPosition) -> Result<Vec<String>> {
        let ReadPosition::Files(position) = position else { return Err(position.of_another_input()) };
        let format = Arc::clone(&self.layout.format);
        let found = position.find(&self.files, Some(&*format), self.options.changes)?;
        (self.files, self.read, self.ahead) = (found.files, found.read, found.ahead);
        self.seek(found.offset)?;
        Ok(found.remarks)
    }

    fn progress(&self) -> Progress {
        let open = self.open.as_ref().map_or(0, OpenInput::consumed);
        Progress { done: self.done + open, total: self.total }
    }

    fn remarks(&self) -> Vec<String> {
        match &self.open {
            Some(OpenInput::Sockets(sockets)) => vec![sockets.remark()],
            _ => Vec::new(),
        }
    }
}
