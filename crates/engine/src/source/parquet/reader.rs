//! The running source: file after file, only the columns that are needed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::file::ParquetFile;
use super::relay::{ClaimedRecords, Relay};
use super::segments::{Segment, segments, take_sensors};
use super::statistics::Statistics;
use crate::arrow::records::RecordArrays;
use crate::arrow::typed::Typed;
use crate::batch::Schema;
use crate::error::Result;
use crate::format::Decoded;
use crate::format::columns::{Columns, Roles};
use crate::offset::Offset;
use crate::sensor::SensorLookup;
use crate::source::file::{Ahead, InFiles, InputFile, ReadPosition, ResumePosition, Seen, another_kind};
use crate::source::{Changes, Deferred, Foresee, Foreseen, Input, OpenOptions, Progress, Source};

/// Reads Parquet files.
pub(super) struct ParquetReader {
    files: Vec<InputFile>,
    schema: Arc<Schema>,
    columns: Arc<Columns>,
    origins: bool,
    batch: usize,
    offset: Offset,
    open: Option<OpenParquet>,
    done: u64,
    total: u64,
    foresee: Option<Foresee>,
    unread: UnreadCounts,
    changes: Changes,
    /// The files done and the files ahead, for checkpoints.
    read: Vec<Seen>,
    ahead: Option<Ahead>,
    /// The position of a run that only finishes earlier input.
    finishes: Option<Vec<u8>>,
    remarks: Vec<String>,
}

/// Counts of what was not read.
#[derive(Debug, Default)]
struct UnreadCounts {
    records: u64,
    groups: u64,
}

/// The file being read.
struct OpenParquet {
    shared: Arc<Shared>,
    /// The segments ahead.
    segments: VecDeque<Segment>,
    /// The segment being read.
    relay: Option<Relay>,
    /// For each column of the schema: its columns in the file. None if the file does not have it, several if it is composed.
    in_file: Vec<Vec<usize>>,
    /// The columns that are read.
    wanted: Vec<usize>,
    /// The one of them that has the names of the sensors, as they are.
    names: Option<usize>,
}

/// What the workers share that decode batches of a file.
struct Shared {
    file: ParquetFile,
    stem: Arc<str>,
    schema: Arc<Schema>,
    columns: Arc<Columns>,
    origins: bool,
    /// For each column of the schema: its columns among those that are read.
    sources: Vec<Vec<usize>>,
}

impl Shared {
    /// The records of a batch, the first of which is behind `before` others.
    fn decode(
        &self,
        records: ClaimedRecords,
        before: u64,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Decoded> {
        let (count, name) = (records.len(), self.file.name());
        let columns = records.decode(&self.file)?;
        let mut typed = Typed::new(&self.columns, &self.schema, count);
        let arrays = RecordArrays { columns: &columns, sources: &self.sources, name };
        typed.fill(&arrays, &self.stem, sensors)?;
        Ok(typed.finish(name, before, self.origins))
    }
}

/// The next step of reading.
enum ReadStep {
    Records(ClaimedRecords, Arc<Shared>),
    /// This many records need not be read, because a stage filters them.
    Foreseen(u64, usize),
}

impl ParquetReader {
    /// Reads `files`, which have `total` records, from the beginning.
    pub(super) fn new(
        files: Vec<InputFile>,
        columns: Columns,
        schema: Arc<Schema>,
        total: u64,
        options: &OpenOptions,
    ) -> Result<Self> {
        let (origins, batch) = (options.origins, options.batch_rows());
        let (offset, foresee) = (Offset::default(), options.foresee.clone());
        let unread = UnreadCounts::default();
        let ahead = if options.keeps_place { Some(Ahead::look(&files, 0)?) } else { None };
        Ok(Self {
            files,
            schema,
            columns: Arc::new(columns),
            origins,
            batch,
            offset,
            open: None,
            done: 0,
            total,
            foresee,
            unread,
            changes: options.changes,
            read: Vec::new(),
            ahead,
            finishes: None,
            remarks: Vec::new(),
        })
    }

    /// A reader that was read to its end and stays at `place`.
    pub(super) fn finished(self, place: &[u8]) -> Self {
        Self { finishes: Some(place.to_vec()), ..self }
    }

    fn file(&self) -> Option<&InputFile> {
        self.files.get(self.offset.file as usize)
    }

    fn open(&self, file: &InputFile) -> Result<OpenParquet> {
        let stem = Arc::clone(&file.stem);
        let file = ParquetFile::open(file)?;
        let roles = self.columns.roles(file.name(), &file.names(&self.columns), &self.schema)?;
        let sources = |at| roles.sources(at);
        let in_file: Vec<Vec<usize>> = (0..self.schema.fields().len()).map(sources).collect();
        let names = match in_file[self.schema.sensor()][..] {
            [source] if self.columns.made_sensor().is_none() => Some(source),
            _ => None,
        };
        let (wanted, mut sources) = (wanted(&roles), in_file.clone());
        // Columns that are not needed are not read, so indices shift.
        for at in sources.iter_mut().flatten() {
            *at = wanted.partition_point(|wanted| wanted < at);
        }
        let statistics = self.statistics(&file, &in_file);
        let segments = segments(&statistics, self.foresee.as_ref(), self.offset.at);
        let (schema, columns) = (Arc::clone(&self.schema), Arc::clone(&self.columns));
        let shared = Shared { file, stem, schema, columns, origins: self.origins, sources };
        Ok(OpenParquet { shared: Arc::new(shared), segments, relay: None, in_file, wanted, names })
    }

    fn statistics<'a>(&'a self, file: &'a ParquetFile, sources: &'a [Vec<usize>]) -> Statistics<'a> {
        Statistics { file, columns: &self.columns, schema: &self.schema, sources }
    }

    /// The next step in the open file, or in the one after.
    fn step(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<ReadStep>> {
        while let Some(file) = self.file().cloned() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.open(&file)?,
            };
            if let Some(step) = self.step_in(&mut open, &file, sensors)? {
                self.open = Some(open);
                return Ok(Some(step));
            }
            if self.ahead.is_some() {
                self.read.push(Seen::of(&file)?);
            }
            self.offset = Offset { file: self.offset.file + 1, at: 0, line: 0 };
        }
        Ok(None)
    }

    /// The next step in `open`; `None` at its end.
    fn step_in(
        &self,
        open: &mut OpenParquet,
        file: &InputFile,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Option<ReadStep>> {
        loop {
            if let Some(records) = open.relay.as_mut().and_then(Relay::claim) {
                return Ok(Some(ReadStep::Records(records, Arc::clone(&open.shared))));
            }
            open.relay = None;
            let (groups, skipped) = match open.segments.pop_front() {
                None => return Ok(None),
                Some(Segment::Read { groups, skipped }) => (groups, skipped),
                Some(Segment::Foreseen { group, skipped, records, stage }) => {
                    if self.take_sensors(open, file, (group, skipped), sensors)? {
                        return Ok(Some(ReadStep::Foreseen(records, stage)));
                    }
                    (vec![group], skipped)
                }
            };
            let columns = (&open.wanted[..], open.names);
            open.relay = Some(Relay::open(&open.shared.file, &groups, skipped, columns, self.batch)?);
        }
    }

    /// Assigns ids to the sensors of a row group that is not read; fails if one of its records would be rejected for its sensor.
    fn take_sensors(
        &self,
        open: &OpenParquet,
        file: &InputFile,
        group: (usize, u64),
        sensors: &mut dyn SensorLookup,
    ) -> Result<bool> {
        if let Some(name) = self.columns.file_sensor(&file.stem) {
            return sensors.id(name).map(|_| true);
        }
        let [source] = open.in_file[self.schema.sensor()][..] else { return Ok(false) };
        let statistics = self.statistics(&open.shared.file, &open.in_file);
        take_sensors(&statistics, group, source, (&file.name, self.batch), sensors)
    }
}

/// The fields of a file that become columns, in order.
fn wanted(roles: &Roles) -> Vec<usize> {
    let fields = roles.fields.iter().enumerate();
    fields.filter(|(_, role)| role.column().is_some()).map(|(field, _)| field).collect()
}

impl Source for ParquetReader {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let Some(step) = self.step(sensors)? else { return Ok(None) };
        let Some(file) = self.file() else { return Ok(None) };
        let (records, input) = match step {
            ReadStep::Records(records, shared) => {
                let (count, before) = (records.len() as u64, self.offset.at);
                let decode = move |sensors: &mut dyn SensorLookup| shared.decode(records, before, sensors);
                (count, Input::Deferred(Deferred::new(count, decode)))
            }
            ReadStep::Foreseen(records, stage) => {
                let none = Typed::new(&self.columns, &self.schema, 0);
                let none = none.finish(&file.name, self.offset.at, self.origins).batch;
                self.unread.records += records;
                self.unread.groups += 1;
                (records, Input::Foreseen(Foreseen { records, stage, none }))
            }
        };
        self.offset.at += records;
        self.done += records;
        Ok(Some(input))
    }

    fn offset(&self) -> Offset {
        self.offset
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        self.open = None;
        self.offset = offset;
        let before = self.files.iter().take(offset.file as usize);
        let before: u64 =
            before.map(|file| ParquetFile::open(file).map(|file| file.records())).sum::<Result<u64>>()?;
        self.done = before + offset.at;
        Ok(())
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        if self.finishes.is_some() {
            return Ok(self.finishes.clone());
        }
        let mut files = self.read.clone();
        if let Some(file) = self.file() {
            files.push(Seen::of(file)?);
        }
        let ahead = self.ahead.as_ref().map(|ahead| ahead.behind(self.offset.file as usize));
        let place = ReadPosition::Columns(InFiles { offset: self.offset, files, ahead });
        ResumePosition::new(&self.schema, place).to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let ReadPosition::Columns(place) = ResumePosition::from_bytes(state)?.reading else {
            return Err(another_kind());
        };
        if self.finishes.is_some() {
            return Ok(());
        }
        let found = place.find(&self.files, None, self.changes)?;
        (self.files, self.read, self.ahead) = (found.files, found.read, found.ahead);
        self.remarks.extend(found.remarks);
        self.seek(Offset { line: 0, ..found.offset })
    }

    fn remarks(&self) -> Vec<String> {
        let UnreadCounts { records, groups } = self.unread;
        let unread = (groups > 0).then(|| {
            let groups = if groups == 1 { "1 row group".to_owned() } else { format!("{groups} row groups") };
            format!("{groups} with {records} of {} records were not read: according to their statistics, all of those are filtered", self.total)
        });
        self.columns.remarks().into_iter().chain(unread).chain(self.remarks.iter().cloned()).collect()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, total: Some(self.total) }
    }

    /// The share of a file that was read is not known in bytes: files count when they are begun.
    fn bytes(&self) -> u64 {
        let begun = self.offset.file as usize + usize::from(self.offset.at > 0);
        self.files.iter().take(begun).filter_map(InputFile::len).sum()
    }
}
