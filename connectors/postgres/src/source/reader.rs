//! The running source.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use futures_util::StreamExt;
use tidemill_connect::backoff::Backoff;
use tidemill_connect::blocking::Blocking;
use tidemill_engine::arrow::Decoder;
use tidemill_engine::batch::Schema;
use tidemill_engine::error::{Error, ErrorKind, Result};
use tidemill_engine::format::columns::ColumnOptions;
use tidemill_engine::offset::Offset;
use tidemill_engine::sensor::SensorLookup;
use tidemill_engine::source::{Input, OpenOptions, Progress, Source};
use tokio::time::{sleep, timeout};
use tokio_postgres::CopyOutStream;

use super::copied::{Cutter, InputColumn, Rows, last, schema};
use super::position::{Position, Progression, Saved};
use super::query::{Begin, Query};
use crate::failure::failure;
use crate::server::Server;
use crate::session::{Session, too_long};

/// How long one call waits for rows.
const PATIENCE: Duration = Duration::from_millis(50);

/// The most rows of a batch.
const ROWS: usize = 16_384;

/// So many attempts in a row without any rows end a bounded input.
const ATTEMPTS: u32 = 5;

/// The source as the run calls it.
pub(super) struct Reader {
    // It ends before the runtime, which it needs for that.
    reading: Reading,
    blocking: Blocking,
    decoder: Decoder,
    origins: bool,
}

/// What is read, and how far.
struct Reading {
    server: Server,
    query: Query,
    /// The interval between two statements of unbounded input.
    every: Option<Duration>,
    columns: Vec<InputColumn>,
    position: Position,
    /// Rows to be skipped at the start.
    skipped: u64,
    session: Option<Session>,
    statement: Option<Running>,
    /// When the next statement is due.
    due: Instant,
    backoff: Backoff,
    failures: u32,
    most_bytes: usize,
    most_rows: usize,
}

/// A statement whose rows arrive.
struct Running {
    stream: Pin<Box<CopyOutStream>>,
    cutter: Cutter,
    rows: Rows,
    progression: Progression,
    /// When something has arrived last.
    heard: Instant,
}

/// What came of a call.
enum Step {
    Rows(RecordBatch),
    Nothing,
    End,
}

impl Reader {
    /// Asks the server for the columns of `query`, unless a checkpoint has them.
    ///
    /// # Errors
    /// What is wrong with server, query or columns.
    pub(super) fn open(
        server: Server,
        query: Query,
        options: &ColumnOptions,
        every: Option<Duration>,
        open: &OpenOptions,
    ) -> Result<Self> {
        let blocking = Blocking::new(Arc::clone(&open.stop))?;
        let most_rows = ROWS.min(open.chunk_size / 16).max(1);
        let mut reading = Reading {
            server,
            query,
            every,
            columns: Vec::new(),
            position: Position::default(),
            skipped: 0,
            session: None,
            statement: None,
            due: Instant::now(),
            backoff: Backoff::default(),
            failures: 0,
            most_bytes: open.chunk_size,
            most_rows,
        };
        match &open.resume {
            Some(resume) => reading.restore(&resume.place)?,
            None => reading.look(&blocking, open)?,
        }
        let decoder = Decoder::new(Arc::clone(&reading.query.name), options, &schema(&reading.columns))?;
        Ok(Self { reading, blocking, decoder, origins: open.origins })
    }
}

/// The columns of the rows of `query`, for a look at it.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn described(session: &Session, query: &Query) -> Result<Vec<InputColumn>> {
    // A query that changes something is a mistake.
    session.run("set up the session", "SET default_transaction_read_only = on").await?;
    let describe = query.describe();
    let described = session.answer("prepare the query", session.client.prepare(&describe)).await?;
    query.columns(described.columns())
}

impl Reading {
    /// Learns the columns; a live input waits for its server.
    fn look(&mut self, blocking: &Blocking, open: &OpenOptions) -> Result<()> {
        loop {
            let error = match blocking.wait(self.connect()) {
                Ok(columns) => {
                    self.columns = columns;
                    return Ok(());
                }
                Err(error) => error,
            };
            let waits = open.waits && self.every.is_some() && error.is_transient();
            if !waits {
                return Err(error);
            }
            let until = Instant::now() + self.backoff.delay();
            while Instant::now() < until {
                if open.stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return Err(Error::new(ErrorKind::Interrupted, "stopped before the input began"));
                }
                std::thread::sleep(PATIENCE);
            }
        }
    }

    /// Connects, and asks for the columns.
    async fn connect(&mut self) -> Result<Vec<InputColumn>> {
        let session = Session::open(&self.server, "tidemill", self.server.timeout).await?;
        let columns = described(&session, &self.query).await?;
        self.session = Some(session);
        Ok(columns)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let Saved { columns, position } = Saved::from_bytes(state)?;
        (self.statement, self.skipped) = (None, 0);
        (self.columns, self.position) = (columns, position);
        Ok(())
    }

    async fn step(&mut self) -> Result<Step> {
        if self.position.is_over {
            return Ok(Step::End);
        }
        match self.advance().await {
            Ok(step) => Ok(step),
            Err(error) => self.failed(error),
        }
    }

    async fn advance(&mut self) -> Result<Step> {
        let mut running = match self.statement.take() {
            Some(running) => running,
            None => {
                let left = self.due.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    sleep(left.min(PATIENCE)).await;
                    return Ok(Step::Nothing);
                }
                self.start().await?
            }
        };
        let has_ended = self.receive(&mut running).await?;
        let count = running.rows.count();
        if has_ended {
            running.cutter.finish()?;
            self.ended();
        }
        let step = match (count, has_ended) {
            (0, true) if self.every.is_none() => Step::End,
            (0, _) => Step::Nothing,
            _ => {
                running.progression.settle(&mut self.position, count as u64);
                (self.failures, self.backoff) = (0, Backoff::default());
                Step::Rows(running.rows.take()?)
            }
        };
        self.statement = (!has_ended).then_some(running);
        Ok(step)
    }

    /// Takes what arrives until there is enough for a batch, or nothing more for a moment; gives whether the rows have ended.
    async fn receive(&self, running: &mut Running) -> Result<bool> {
        let fields = self.columns.len() + usize::from(self.query.cursor.is_some());
        let has_cursor = self.query.cursor.is_some();
        let Running { stream, cutter, rows, progression, heard } = running;
        while rows.count() < self.most_rows && rows.bytes() < self.most_bytes {
            let Ok(next) = timeout(PATIENCE, stream.next()).await else {
                if heard.elapsed() > self.server.timeout {
                    return Err(too_long(&self.server.name, "read rows", self.server.timeout));
                }
                return Ok(false);
            };
            *heard = Instant::now();
            let Some(next) = next else { return Ok(true) };
            let bytes = next.map_err(|error| failure(&self.server.name, "read rows", &error))?;
            cutter.cut(bytes, fields, |row| {
                let is_new = match has_cursor {
                    true => progression.is_new(last(&row).unwrap_or_default(), &row)?,
                    false => true,
                };
                if is_new { rows.push(&row) } else { Ok(()) }
            })?;
        }
        Ok(false)
    }

    /// Begins a statement at the position.
    async fn start(&mut self) -> Result<Running> {
        if self.session.is_none() {
            let columns = self.connect().await?;
            if columns != self.columns {
                return Err(Error::data(format!(
                    "the columns of `{}` have changed since the run began",
                    self.query.name
                ))
                .with_help("name the columns in `query`, or begin a new run with another --state"));
            }
        }
        let session =
            self.session.as_ref().ok_or_else(|| Error::internal("no connection after connecting"))?;
        let begin = match &self.position.cursor {
            Some(cursor) => Begin::At(cursor),
            None => Begin::Start(self.skipped),
        };
        let copy = self.query.copy(&self.columns, begin);
        let stream = session.answer("read rows", session.client.copy_out(&copy)).await?;
        Ok(Running {
            stream: Box::pin(stream),
            cutter: Cutter::default(),
            rows: Rows::new(&self.columns),
            progression: Progression::from(&self.position),
            heard: Instant::now(),
        })
    }

    /// A statement has given all its rows.
    fn ended(&mut self) {
        match self.every {
            Some(every) => self.due = Instant::now() + every,
            None => {
                self.position.is_over = true;
                self.session = None;
            }
        }
    }

    /// Gives the connection up. What may pass is tried again, if the position is known by a cursor or nothing was returned yet.
    fn failed(&mut self, error: Error) -> Result<Step> {
        (self.session, self.statement) = (None, None);
        self.failures += 1;
        if !error.is_transient() {
            return Err(error);
        }
        if self.query.cursor.is_none() && self.position.rows > 0 {
            return Err(error.with_help("with `cursor`, reading would continue after the last row"));
        }
        if self.every.is_none() && self.failures >= ATTEMPTS {
            return Err(error);
        }
        self.due = Instant::now() + self.backoff.delay();
        Ok(Step::Nothing)
    }
}

impl Source for Reader {
    fn schema(&self) -> &Arc<Schema> {
        self.decoder.schema()
    }

    fn next(&mut self, sensors: &mut dyn SensorLookup) -> Result<Option<Input>> {
        let before = self.reading.position.rows;
        match self.blocking.wait(self.reading.step())? {
            Step::End => Ok(None),
            Step::Nothing => Ok(Some(Input::Nothing)),
            Step::Rows(rows) => {
                let decoded = self.decoder.decode(&rows, before, self.origins, sensors)?;
                Ok(Some(Input::Records(decoded)))
            }
        }
    }

    fn offset(&self) -> Offset {
        Offset { file: 0, at: self.reading.position.rows, line: 0 }
    }

    fn seek(&mut self, offset: Offset) -> Result<()> {
        let reading = &mut self.reading;
        // Whatever is under way on the connection is not read to its end.
        (reading.session, reading.statement) = (None, None);
        reading.position = Position::default();
        reading.position.rows = offset.at;
        reading.skipped = offset.at;
        Ok(())
    }

    fn save(&self) -> Result<Option<Vec<u8>>> {
        if self.reading.query.cursor.is_none() {
            return Ok(None);
        }
        let (columns, position) = (self.reading.columns.clone(), self.reading.position.clone());
        Saved { columns, position }.to_bytes().map(Some)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.reading.restore(state)
    }

    fn remarks(&self) -> Vec<String> {
        self.decoder.remarks()
    }

    fn progress(&self) -> Progress {
        Progress { done: self.reading.position.rows, total: None }
    }
}
