//! The source in use: file after file, only the columns that are wanted.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::convert::{carried, joined, measurement, texts, times};
use super::file::ParquetFile;
use super::library::library;
use super::segments::{Segment, segments, take_sensors};
use super::statistics::Statistics;
use crate::batch::Schema;
use crate::error::Result;
use crate::format::Decoded;
use crate::format::columns::{Columns, Composite, Roles};
use crate::offset::Offset;
use crate::sensor::SensorLookup;
use crate::source::file::{Ahead, InFiles, InputFile, Place, Reading, Seen, another_kind};
use crate::source::typed::{Arrays, Typed, batch_rows};
use crate::source::{Changes, Foresee, Foreseen, Input, OpenOptions, Progress, Source};

/// Reads Parquet files.
pub(super) struct Reader {
    files: Vec<InputFile>,
    schema: Arc<Schema>,
    columns: Columns,
    origins: bool,
    batch: usize,
    offset: Offset,
    open: Option<Open>,
    done: u64,
    total: u64,
    foresee: Option<Foresee>,
    unread: Unread,
    changes: Changes,
    /// Files that are done, as a checkpoint has them, in a run that keeps its place; and what lies ahead, as it lay there at first.
    read: Vec<Seen>,
    ahead: Option<Ahead>,
    /// The place of a run that only finishes what it has read.
    finishes: Option<Vec<u8>>,
    remarks: Vec<String>,
}

/// What was left unread.
#[derive(Debug, Default)]
struct Unread {
    records: u64,
    groups: u64,
}

/// The file that is being read.
struct Open {
    file: ParquetFile,
    /// What is still to come.
    segments: VecDeque<Segment>,
    /// What is being read.
    batches: Option<ParquetRecordBatchReader>,
    /// By column of the schema: where among those of the file its values are. None for a column that the file does not have, several
    /// for one that is put together.
    in_file: Vec<Vec<usize>>,
    /// Where among those read.
    sources: Vec<Vec<usize>>,
    /// Those that are read.
    wanted: Vec<usize>,
}

/// What comes next.
enum Step {
    Records(RecordBatch),
    /// So many that need not be read, for a stage filters them.
    Foreseen(u64, usize),
}

impl Reader {
    /// Reads `files`, which have `total` records, from their beginning.
    pub(super) fn new(
        files: Vec<InputFile>,
        columns: Columns,
        schema: Arc<Schema>,
        total: u64,
        options: &OpenOptions,
    ) -> Result<Self> {
        let (origins, batch) = (options.origins, batch_rows(options));
        let (offset, foresee) = (Offset::default(), options.foresee.clone());
        let unread = Unread::default();
        let ahead = if options.keeps_place { Some(Ahead::look(&files, 0)?) } else { None };
        Ok(Self {
            files,
            schema,
            columns,
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

    /// The same, of which nothing is read any more: it stays at `place`.
    pub(super) fn finished(self, place: &[u8]) -> Self {
        Self { finishes: Some(place.to_vec()), ..self }
    }

    fn file(&self) -> Option<&InputFile> {
        self.files.get(self.offset.file as usize)
    }

    fn open(&self, file: &InputFile) -> Result<Open> {
        let file_name = Arc::clone(&file.name);
        let file = ParquetFile::open(file)?;
        let roles = self.columns.roles(&file_name, &file.names(&self.columns), &self.schema)?;
        let sources = |at| roles.sources(at);
        let in_file: Vec<Vec<usize>> = (0..self.schema.fields().len()).map(sources).collect();
        let (wanted, mut sources) = (wanted(&roles), in_file.clone());
        // What is not wanted is not read: the columns move up.
        for at in sources.iter_mut().flatten() {
            *at = wanted.partition_point(|wanted| wanted < at);
        }
        let statistics = self.statistics(&file, &in_file);
        let segments = segments(&statistics, self.foresee.as_ref(), self.offset.at);
        Ok(Open { file, segments, batches: None, in_file, sources, wanted })
    }

    fn statistics<'a>(&'a self, file: &'a ParquetFile, sources: &'a [Vec<usize>]) -> Statistics<'a> {
        Statistics { file, columns: &self.columns, schema: &self.schema, sources }
    }

    /// The next step in the file that is open, or in the one after.
    fn step(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Step>> {
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
        open: &mut Open,
        file: &InputFile,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Option<Step>> {
        loop {
            if let Some(batches) = &mut open.batches {
                if let Some(records) = library(&file.name, || batches.next().transpose())? {
                    return Ok(Some(Step::Records(records)));
                }
                open.batches = None;
            }
            let (groups, skipped) = match open.segments.pop_front() {
                None => return Ok(None),
                Some(Segment::Read { groups, skipped }) => (groups, skipped),
                Some(Segment::Foreseen { group, skipped, records, stage }) => {
                    if self.take_sensors(open, file, (group, skipped), sensors)? {
                        return Ok(Some(Step::Foreseen(records, stage)));
                    }
                    (vec![group], skipped)
                }
            };
            open.batches = Some(open.file.records_of(groups, skipped, &open.wanted, self.batch)?);
        }
    }

    /// Gives ids to the sensors of a row group that is not to be read; not where one of its records would be refused for its sensor.
    fn take_sensors(
        &self,
        open: &Open,
        file: &InputFile,
        group: (usize, u64),
        sensors: &mut dyn SensorLookup,
    ) -> Result<bool> {
        if let Some(name) = self.columns.file_sensor(&file.stem) {
            return sensors.id(name).map(|_| true);
        }
        let [source] = open.in_file[self.schema.sensor()][..] else { return Ok(false) };
        let statistics = self.statistics(&open.file, &open.in_file);
        take_sensors(&statistics, group, source, (&file.name, self.batch), sensors)
    }

    fn decode(
        &self,
        records: &RecordBatch,
        file: &InputFile,
        sensors: &mut dyn SensorLookup,
    ) -> Result<Decoded> {
        let mut typed = Typed::new(&self.columns, &self.schema, records.num_rows());
        let sources = self.open.as_ref().map_or(&[][..], |open| &open.sources);
        typed.fill(&Records { records, sources, file_name: &file.name }, &file.stem, sensors)?;
        Ok(typed.finish(&file.name, self.offset.at, self.origins))
    }
}

/// The columns of a batch, as the file has them.
struct Records<'r> {
    records: &'r RecordBatch,
    /// As [`Open::sources`].
    sources: &'r [Vec<usize>],
    file_name: &'r Arc<str>,
}

impl Arrays for Records<'_> {
    type Array = ArrayRef;

    fn of(&self, at: usize) -> Vec<&ArrayRef> {
        self.sources[at].iter().map(|&at| self.records.column(at)).collect()
    }

    fn joined(
        &self,
        typed: &mut Typed<'_>,
        at: usize,
        made: &Composite,
        arrays: &[&ArrayRef],
    ) -> Result<Vec<Option<String>>> {
        joined(typed, at, made, arrays, self.file_name)
    }

    fn times(&self, typed: &mut Typed<'_>, at: usize, array: &ArrayRef) -> Result<()> {
        times(typed, at, array, self.file_name)
    }

    fn sensors(
        &self,
        typed: &mut Typed<'_>,
        at: usize,
        array: &ArrayRef,
        sensors: &mut dyn SensorLookup,
    ) -> Result<()> {
        let names = texts(typed, at, array, self.file_name)?;
        typed.sensors(names.iter(), sensors)
    }

    fn measurement(&self, typed: &mut Typed<'_>, at: usize, array: &ArrayRef) -> Result<()> {
        measurement(typed, at, array, self.file_name)
    }

    fn carried(&self, typed: &mut Typed<'_>, at: usize, array: &ArrayRef) -> Result<()> {
        carried(typed, at, array, self.file_name)
    }
}

/// The fields of a file that become columns, in order.
fn wanted(roles: &Roles) -> Vec<usize> {
    let fields = roles.fields.iter().enumerate();
    fields.filter(|(_, role)| role.column().is_some()).map(|(field, _)| field).collect()
}

impl Source for Reader {
    fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let Some(step) = self.step(sensors)? else { return Ok(None) };
        let Some(file) = self.file() else { return Ok(None) };
        let (records, input) = match step {
            Step::Records(records) => {
                (records.num_rows() as u64, Input::Records(self.decode(&records, file, sensors)?))
            }
            Step::Foreseen(records, stage) => {
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
        let place = Reading::Columns(InFiles { offset: self.offset, files, ahead });
        Place::new(&self.schema, place).to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let Reading::Columns(place) = Place::from_bytes(state)?.reading else { return Err(another_kind()) };
        if self.finishes.is_some() {
            return Ok(());
        }
        let found = place.find(&self.files, None, self.changes)?;
        (self.files, self.read, self.ahead) = (found.files, found.read, found.ahead);
        self.remarks.extend(found.remarks);
        self.seek(Offset { line: 0, ..found.offset })
    }

    fn remarks(&self) -> Vec<String> {
        let Unread { records, groups } = self.unread;
        let unread = (groups > 0).then(|| {
            let groups = if groups == 1 { "1 row group".to_owned() } else { format!("{groups} row groups") };
            format!("{groups} with {records} of {} records were not read: their statistics show that all of those are filtered", self.total)
        });
        self.columns.remarks().into_iter().chain(unread).chain(self.remarks.iter().cloned()).collect()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.done, total: Some(self.total) }
    }

    /// Which part of a file its records took up so far is not known: files count when they are begun.
    fn bytes(&self) -> u64 {
        let begun = self.offset.file as usize + usize::from(self.offset.at > 0);
        self.files.iter().take(begun).filter_map(InputFile::len).sum()
    }
}
