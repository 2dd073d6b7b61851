//! The statements of the running source, one after the other, on connections that may end.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use futures_util::StreamExt;
use tidemill_connect::blocking::Blocking;
use tidemill_engine::error::{Error, ErrorKind, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::source::OpenOptions;
use tokio::time::{sleep, timeout};
use tokio_postgres::CopyOutStream;

use super::copied::{Cutter, InputColumn, Rows, last};
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

/// What is read, and how far.
pub(super) struct Reading {
    server: Server,
    pub(super) query: Query,
    /// Of unbounded input.
    repeats: Option<Repeats>,
    /// The rows that are read next.
    barrier: Option<Barrier>,
    pub(super) columns: Vec<InputColumn>,
    pub(super) position: Position,
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

/// When the statement of unbounded input is run again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeats {
    /// The interval.
    pub(super) every: Duration,
    /// How long to wait at most for transactions that may have rows before those that were seen.
    pub(super) settle: Duration,
}

/// The end of the rows that are read once all transactions have ended that were running when it was seen: one that has written an earlier row may commit later.
struct Barrier {
    /// The greatest cursor.
    end: String,
    /// The first transaction that had not begun.
    horizon: i64,
    /// When it was seen.
    since: Instant,
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
pub(super) enum Step {
    Rows(RecordBatch),
    Nothing,
    End,
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
    /// Nothing was read yet.
    pub(super) fn new(server: Server, query: Query, repeats: Option<Repeats>, open: &OpenOptions) -> Self {
        Self {
            server,
            query,
            repeats,
            barrier: None,
            columns: Vec::new(),
            position: Position::default(),
            skipped: 0,
            session: None,
            statement: None,
            due: Instant::now(),
            backoff: Backoff::default(),
            failures: 0,
            most_bytes: open.chunk_size,
            most_rows: ROWS.min(open.chunk_size / 16).max(1),
        }
    }

    /// Goes to the row after `rows` others.
    pub(super) fn seek(&mut self, rows: u64) {
        // Whatever is under way on the connection is not read to its end.
        (self.session, self.statement, self.barrier) = (None, None, None);
        self.position = Position::default();
        self.position.rows = rows;
        self.skipped = rows;
    }

    /// Learns the columns; a live input waits for its server.
    pub(super) fn look(&mut self, blocking: &Blocking, open: &OpenOptions) -> Result<()> {
        loop {
            let error = match blocking.wait(self.connect()) {
                Ok(columns) => {
                    self.columns = columns;
                    return Ok(());
                }
                Err(error) => error,
            };
            let waits = open.waits && self.repeats.is_some() && error.is_transient();
            if !waits {
                return Err(error);
            }
            let until = Instant::now() + self.backoff.delay(None);
            while Instant::now() < until {
                if open.stop.load(Ordering::Relaxed) {
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

    pub(super) fn restore(&mut self, state: &[u8]) -> Result<()> {
        let Saved { columns, position } = Saved::from_bytes(state)?;
        (self.statement, self.skipped) = (None, 0);
        (self.columns, self.position) = (columns, position);
        Ok(())
    }

    pub(super) async fn step(&mut self) -> Result<Step> {
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
                if !self.is_settled().await? {
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
            (0, true) if self.repeats.is_none() => Step::End,
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

    /// Whether there are rows to read, and none can come before them any more.
    async fn is_settled(&mut self) -> Result<bool> {
        let Some(Repeats { every, settle }) = self.repeats else { return Ok(true) };
        self.reconnect().await?;
        let session = self.session.as_ref().ok_or_else(no_session)?;
        let Some(Barrier { horizon, since, .. }) = &self.barrier else {
            let newest = self.query.newest(self.begin());
            let found = session.rows("look for new rows", &*newest, &[]).await?;
            let found = found.first().and_then(|row| Some((row.get::<_, Option<String>>(0)?, row.get(1))));
            match found {
                Some((end, horizon)) => self.barrier = Some(Barrier { end, horizon, since: Instant::now() }),
                None => self.due = Instant::now() + every,
            }
            return Ok(false);
        };
        let ended = "SELECT txid_snapshot_xmin(txid_current_snapshot()) >= $1";
        let ended = session.rows("look for running transactions", ended, &[horizon]).await?;
        let is_settled = ended.first().is_some_and(|row| row.get(0)) || since.elapsed() >= settle;
        if !is_settled {
            sleep(PATIENCE).await;
        }
        Ok(is_settled)
    }

    /// Where the next statement begins.
    fn begin(&self) -> Begin<'_> {
        match &self.position.cursor {
            Some(cursor) => Begin::At(cursor),
            None => Begin::Start(self.skipped),
        }
    }

    /// Connects, if there is no connection.
    async fn reconnect(&mut self) -> Result<()> {
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
        Ok(())
    }

    /// Begins a statement at the position.
    async fn start(&mut self) -> Result<Running> {
        self.reconnect().await?;
        let session = self.session.as_ref().ok_or_else(no_session)?;
        let end = self.barrier.as_ref().map(|barrier| barrier.end.as_str());
        let copy = self.query.copy(&self.columns, self.begin(), end);
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
        self.barrier = None;
        match self.repeats {
            Some(repeats) => self.due = Instant::now() + repeats.every,
            None => {
                self.position.is_over = true;
                self.session = None;
            }
        }
    }

    /// Gives the connection up. What may pass is tried again, if the position is known by a cursor or nothing was returned yet.
    fn failed(&mut self, error: Error) -> Result<Step> {
        (self.session, self.statement, self.barrier) = (None, None, None);
        self.failures += 1;
        if !error.is_transient() {
            return Err(error);
        }
        if self.query.cursor.is_none() && self.position.rows > 0 {
            return Err(error.with_help("with `cursor`, reading would continue after the last row"));
        }
        if self.repeats.is_none() && self.failures >= ATTEMPTS {
            return Err(error);
        }
        self.due = Instant::now() + self.backoff.delay(None);
        Ok(Step::Nothing)
    }
}

fn no_session() -> Error {
    Error::internal("no connection after connecting")
}
