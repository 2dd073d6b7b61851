//! The bytes of a Parquet file that is read by requests: columns are read side by side, so each has a window of its own, and no request reads beyond the end of a column chunk.
//! Several workers may read at once, but only one of them each column: so no two ask for the same bytes, and none waits for the request of another.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use crate::files::FileHandle;
use crate::source::file::{RemoteFile, read_exact_at};

/// Bytes of all windows.
const BUDGET: usize = 32 << 20;

/// The most bytes of a footer: one that is damaged may claim to be as long as the file, and would be requested in whole.
const LONGEST_FOOTER: usize = 64 << 20;

/// The bounds of the size of a window.
const SMALLEST: usize = 64 << 10;
const LARGEST: usize = 4 << 20;

/// A file that is read by requests. Clones share what was read.
#[derive(Clone)]
pub(super) struct RemoteParquet(Arc<Shared>);

struct Shared {
    file: Arc<dyn FileHandle>,
    size: u64,
    /// The column chunks, in order; known once the footer was read.
    columns: OnceLock<Columns>,
    read: Mutex<Windows>,
}

struct Columns {
    /// Where they end.
    ends: Vec<u64>,
    window: usize,
}

#[derive(Default)]
struct Windows {
    /// The least recently used first.
    all: Vec<Window>,
    /// The last request that failed: the library would call the file damaged.
    failure: Option<Arc<io::Error>>,
    /// How many there were.
    #[cfg(test)]
    requests: usize,
}

struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn slice(&self, start: u64, length: usize) -> Option<Bytes> {
        let from = usize::try_from(start.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(length).filter(|to| *to <= self.bytes.len())?;
        Some(self.bytes.slice(from..to))
    }
}

impl RemoteParquet {
    pub(super) fn new(file: &RemoteFile) -> Self {
        let (file, size) = (Arc::clone(file.handle()), file.length());
        Self(Arc::new(Shared { file, size, columns: OnceLock::new(), read: Mutex::default() }))
    }

    /// From now on, requests end at the ends of column chunks.
    pub(super) fn know(&self, metadata: &ParquetMetaData) {
        let groups = metadata.row_groups();
        let count = groups.iter().map(|group| group.num_columns()).max().unwrap_or(1).max(1);
        let end = |(start, length): (u64, u64)| start.saturating_add(length);
        let mut ends: Vec<u64> =
            groups.iter().flat_map(|group| group.columns()).map(|column| end(column.byte_range())).collect();
        ends.sort_unstable();
        let _known = self.0.columns.set(Columns { ends, window: (BUDGET / count).clamp(SMALLEST, LARGEST) });
    }

    /// The request that has failed, if any has: also for what another worker finds damaged later, since the run ends anyway.
    pub(super) fn failure(&self) -> Option<Arc<io::Error>> {
        self.read().failure.clone()
    }

    fn read(&self) -> MutexGuard<'_, Windows> {
        self.0.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes to request for the `length` bytes at `start`.
    fn window(&self, start: u64, length: usize) -> (u64, usize) {
        let size = self.0.size;
        let Some(columns) = self.0.columns.get() else {
            // The footer is at the end.
            let begin = start.min(size.saturating_sub(SMALLEST as u64));
            let room = usize::try_from(size - begin).unwrap_or(usize::MAX);
            return (begin, if room > LONGEST_FOOTER { length } else { room });
        };
        let after = columns.ends.partition_point(|end| *end <= start);
        let end = columns.ends.get(after).copied().unwrap_or(size).min(size);
        let room = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        (start, room.min(columns.window).max(length))
    }

    /// Whether a column chunk ends at `start`, so that what begins there belongs to another one.
    fn begins_column(&self, start: u64) -> bool {
        self.0.columns.get().is_some_and(|columns| columns.ends.binary_search(&start).is_ok())
    }

    /// The `length` bytes at `start`, which are in the file.
    fn bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let is_inside = start.checked_add(length as u64).is_some_and(|end| end <= self.0.size);
        if !is_inside {
            return Err(ParquetError::EOF(format!("there are no {length} bytes at {start}")));
        }
        if length > LONGEST_FOOTER && self.0.columns.get().is_none() {
            return Err(ParquetError::General(format!(
                "its footer claims to have {length} bytes, and {LONGEST_FOOTER} are read at most"
            )));
        }
        if let Some(found) = self.read().find(start, length) {
            return Ok(found);
        }
        #[cfg(test)]
        (self.read().requests += 1);
        let (begin, wanted) = self.window(start, length);
        let mut bytes = vec![0; wanted];
        if let Err(error) = read_exact_at(&*self.0.file, &mut bytes, begin) {
            let told = error.to_string();
            self.read().failure = Some(Arc::new(error));
            return Err(ParquetError::General(told));
        }
        let window = Window { start: begin, bytes: bytes.into() };
        let found = window.slice(start, length).unwrap_or_default();
        self.read().add(window, !self.begins_column(begin));
        Ok(found)
    }
}

impl Windows {
    /// What a window has of the `length` bytes at `start`.
    fn find(&mut self, start: u64, length: usize) -> Option<Bytes> {
        let at = self.all.iter().position(|window| window.slice(start, length).is_some())?;
        let window = self.all.remove(at);
        let found = window.slice(start, length);
        self.all.push(window);
        found
    }

    /// Adds a window, in place of those used longest ago, if there are too many, and of the one that it `continues`.
    fn add(&mut self, window: Window, continues: bool) {
        self.all.retain(|other| !continues || other.start + other.bytes.len() as u64 != window.start);
        self.all.push(window);
        let mut sum: usize = self.all.iter().map(|window| window.bytes.len()).sum();
        while sum > BUDGET && self.all.len() > 1 {
            sum -= self.all.remove(0).bytes.len();
        }
    }
}

impl Length for RemoteParquet {
    fn len(&self) -> u64 {
        self.0.size
    }
}

impl ChunkReader for RemoteParquet {
    type T = RemoteRead;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(RemoteRead { file: self.clone(), place: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.bytes(start, length)
    }
}

/// Reads from some place on.
pub(super) struct RemoteRead {
    file: RemoteParquet,
    place: u64,
}

impl Read for RemoteRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.0.size.saturating_sub(self.place);
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = self.file.bytes(self.place, length).map_err(io::Error::other)?;
        buffer[..length].copy_from_slice(&bytes);
        self.place += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::super::file::{ParquetFile, Stored};
    use super::super::relay::Relay;
    use super::LONGEST_FOOTER;
    use crate::files::memory::Memory;
    use crate::source::file::{FileOptions, InputFile};

    fn bytes(records: &RecordBatch, group: usize) -> Vec<u8> {
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(group))
            .set_data_page_row_count_limit(group / 8)
            .set_write_batch_size(100)
            .build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), records.schema(), Some(properties)).expect("a writer");
        writer.write(records).expect("written");
        writer.into_inner().expect("closed")
    }

    fn object(path: &str) -> InputFile {
        let files = FileOptions::from(path).files(&["parquet"], &Default::default());
        files.expect("found").remove(0)
    }

    fn records(file: &ParquetFile) -> crate::error::Result<Vec<RecordBatch>> {
        let mut batches = file.records_from(0, &[0, 1, 2], 500)?;
        std::iter::from_fn(|| file.call(|| batches.next().transpose()).transpose()).collect()
    }

    #[test]
    fn an_object_has_the_records_of_a_file() {
        let numbers: Vec<f64> = (0..5_000).map(f64::from).collect();
        let texts: Vec<String> = (0..5_000).map(|at| format!("sensor {}", at % 77)).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("a", Arc::new(Int64Array::from_iter_values(0..5_000))),
            ("b", Arc::new(Float64Array::from(numbers))),
            ("c", Arc::new(StringArray::from(texts))),
        ];
        let bytes = bytes(&RecordBatch::try_from_iter(columns).expect("records"), 1_000);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.parquet");
        std::fs::write(&path, &bytes).expect("written");
        Memory::put("memory://parquet/x.parquet", &bytes);
        let here = records(&ParquetFile::open(&InputFile::new(&path)).expect("opened")).expect("read");
        let there = ParquetFile::open(&object("memory://parquet/x.parquet")).expect("opened");
        assert_eq!(records(&there).expect("read"), here);
        // A footer that claims to be long is not requested.
        let mut long = vec![0; LONGEST_FOOTER + 100];
        long.extend((LONGEST_FOOTER as u32 + 1).to_le_bytes());
        long.extend(b"PAR1");
        Memory::put("memory://parquet/long.parquet", &long);
        let error = ParquetFile::open(&object("memory://parquet/long.parquet")).err().expect("too long");
        assert!(error.to_string().contains("footer claims"), "{error}");
        // What is not Parquet is said to be damaged; what was replaced is not.
        Memory::put("memory://parquet/cut.parquet", &bytes[..bytes.len() / 2]);
        let error = ParquetFile::open(&object("memory://parquet/cut.parquet")).err().expect("damaged");
        assert!(error.to_string().contains("cannot be read as Parquet"), "{error}");
        let open = ParquetFile::open(&object("memory://parquet/x.parquet")).expect("opened");
        Memory::put(Path::new("memory://parquet/x.parquet"), &bytes);
        let error = records(&open).expect_err("another object");
        assert!(error.to_string().contains("input changed while reading"), "{error}");
    }

    #[test]
    fn each_column_chunk_is_requested_once_also_by_several_workers() {
        const RECORDS: usize = 100_000;
        let scattered = |by: usize| (0..RECORDS).map(move |at| (at * by % 1_000_003) as f64 / 3.0);
        let names = (0..RECORDS).map(|at| format!("name {}", at * 7919 % 100_003));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("a", Arc::new(Float64Array::from_iter_values(scattered(7919)))),
            ("b", Arc::new(StringArray::from_iter_values(names))),
            ("c", Arc::new(Float64Array::from_iter_values(scattered(104_729)))),
        ];
        let written = RecordBatch::try_from_iter(columns).expect("records");
        Memory::put("memory://parquet/requests.parquet", &bytes(&written, 20_000));
        let open = || ParquetFile::open(&object("memory://parquet/requests.parquet")).expect("opened");
        let requests = |file: &ParquetFile| {
            let Stored::Remote(remote) = file.stored() else { unreachable!("an object") };
            remote.read().requests
        };
        let file = open();
        let footer = requests(&file);
        let mut batches = file.records_from(0, &[0, 1, 2], 3_000).expect("a reader");
        while file.call(|| batches.next().transpose()).expect("read").is_some() {}
        assert!(requests(&file) <= footer + 3 * 5, "{} requests", requests(&file));
        let file = open();
        let mut relay = Relay::open(&file, &[0, 1, 2, 3, 4], 0, (&[0, 1, 2], None), 3_000).expect("readers");
        let claimed: Vec<_> = std::iter::from_fn(|| relay.claim()).collect();
        let decoded: Vec<_> = std::thread::scope(|scope| {
            let file = &file;
            let threads: Vec<_> =
                claimed.into_iter().map(|it| scope.spawn(move || it.decode(file))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic").expect("decoded")).collect()
        });
        assert!(requests(&file) <= footer + 3 * 5, "{} requests", requests(&file));
        let mut from = 0;
        for columns in &decoded {
            let expected = written.slice(from, columns[0].len());
            assert_eq!(columns, expected.columns(), "from {from}");
            from += columns[0].len();
        }
        assert_eq!(from, RECORDS);
    }
}
