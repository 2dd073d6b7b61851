//! The statements of the running source, one after the other, on connections that may end.
//!
//! ```text
//! BEGIN · types of the columns · COPY · COMMIT
//! ```
//! Looking at the columns locks the tables against changes until the end of the transaction: the binary format of another type of the same length would be taken for a
//! value.

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
use tokio_postgres::{CopyOutStream, Row};

use super::copied::{Cutter, InputColumn, Rows, last};
use super::position::{Position, Progression, Saved};
use super::query::{Begin, ENDED, Query};
use crate::failure::failure;
use crate::server::Server;
use crate::session::{Session, too_long};

/// How long one call waits for rows.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a login may take, however long queries may: somebody may be waiting for the columns.
const LOGIN: Duration = Duration::from_secs(10);

/// How often to look at most whether transactions have ended: the server locks its table of locks for that.
const GLANCE: Duration = Duration::from_millis(200);

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
    /// Columns that came after those that are read.
    later: Vec<String>,
    /// Rows that were read before all transactions had ended that may write earlier ones.
    unsettled: u64,
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
    /// The first transaction that had no number.
    horizon: i64,
    /// The transactions that were running.
    running: Vec<String>,
    /// When it was seen.
    since: Instant,
    /// Whether they have not ended in time.
    is_overdue: bool,
}

/// A statement whose rows arrive.
struct Running {
    stream: Pin<Box<CopyOutStream>>,
    cutter: Cutter,
    rows: Rows,
    progression: Progression,
    /// Whether earlier rows may come after it.
    is_overdue: bool,
    /// When something has arrived last.
    heard: Instant,
}

/// What came of a call.
pub(super) enum Step {
    Rows(RecordBatch),
    Nothing,
    End,
}

/// Lets `session` only read: a query that changes something is a mistake.
///
/// # Errors
/// Those of the server.
async fn restrict(session: &Session) -> Result<()> {
    session.run("set up the session", "SET default_transaction_read_only = on").await
}

/// The columns of the rows of `query`, for a look at it.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn looked(session: &Session, query: &Query) -> Result<Vec<InputColumn>> {
    restrict(session).await?;
    described(session, query).await
}

/// The columns of the rows of `query`, as they are now.
///
/// # Errors
/// What is wrong with it.
async fn described(session: &Session, query: &Query) -> Result<Vec<InputColumn>> {
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
            later: Vec::new(),
            unsettled: 0,
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
            let error = match blocking.wait(self.describe()) {
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

    /// Connects, if there is no connection.
    async fn connect(&mut self) -> Result<()> {
        if self.session.is_none() {
            let session = Session::open(&self.server, "tidemill", self.server.timeout.min(LOGIN)).await?;
            restrict(&session).await?;
            self.session = Some(session);
        }
        Ok(())
    }

    /// Connects, and asks for the columns.
    async fn describe(&mut self) -> Result<Vec<InputColumn>> {
        self.connect().await?;
        let session = self.session.as_ref().ok_or_else(no_session)?;
        described(session, &self.query).await
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
            self.ended().await?;
        }
        let step = match (count, has_ended) {
            (0, true) if self.repeats.is_none() => Step::End,
            (0, _) => Step::Nothing,
            _ => {
                running.progression.settle(&mut self.position, count as u64);
                self.unsettled += if running.is_overdue { count as u64 } else { 0 };
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
        let Running { stream, cutter, rows, progression, heard, .. } = running;
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
        self.connect().await?;
        let session = self.session.as_ref().ok_or_else(no_session)?;
        let Some(barrier) = &mut self.barrier else {
            let newest = self.query.newest(self.begin());
            let found = session.rows("look for new rows", &*newest, &[]).await?;
            self.barrier = found.first().and_then(Barrier::of);
            if self.barrier.is_none() {
                self.due = Instant::now() + every;
            }
            return Ok(false);
        };
        let (horizon, running) = (&barrier.horizon, &barrier.running);
        let ended = session.rows("look for running transactions", ENDED, &[horizon, running]).await?;
        let have_ended = ended.first().is_some_and(|row| row.get(0));
        barrier.is_overdue = !have_ended && barrier.since.elapsed() >= settle;
        let is_settled = have_ended || barrier.is_overdue;
        if !is_settled {
            self.due = Instant::now() + every.min(GLANCE);
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

    /// Begins a statement at the position.
    async fn start(&mut self) -> Result<Running> {
        self.connect().await?;
        let session = self.session.as_ref().ok_or_else(no_session)?;
        session.run("begin a transaction", "BEGIN").await?;
        let now = described(session, &self.query).await?;
        self.later = self.query.compare(&self.columns, &now)?;
        let end = self.barrier.as_ref().map(|barrier| barrier.end.as_str());
        let copy = self.query.copy(&self.columns, self.begin(), end);
        let stream = session.answer("read rows", session.client.copy_out(&copy)).await?;
        Ok(Running {
            stream: Box::pin(stream),
            cutter: Cutter::default(),
            rows: Rows::new(&self.columns),
            progression: Progression::from(&self.position),
            is_overdue: self.barrier.as_ref().is_some_and(|barrier| barrier.is_overdue),
            heard: Instant::now(),
        })
    }

    /// A statement has given all its rows.
    async fn ended(&mut self) -> Result<()> {
        self.barrier = None;
        match (self.repeats, &self.session) {
            (Some(repeats), Some(session)) => {
                session.run("end the transaction", "COMMIT").await?;
                self.due = Instant::now() + repeats.every;
            }
            _ => {
                self.position.is_over = true;
                self.session = None;
            }
        }
        Ok(())
    }

    /// Remarks for the end of a run.
    pub(super) fn remarks(&self) -> Vec<String> {
        let Self { later, unsettled, query, .. } = self;
        let later = (!later.is_empty()).then(|| {
            format!(
                "`{}` has got columns since the run began, which are not read: {}",
                query.name,
                later.join(", ")
            )
        });
        let unsettled = (*unsettled > 0).then(|| {
            format!("{unsettled} rows were read while transactions that were older had not ended within `settle`: rows that these write may be missed")
        });
        later.into_iter().chain(unsettled).collect()
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

impl Barrier {
    /// The answer to [`Query::newest`]; `None` if there is no row.
    fn of(row: &Row) -> Option<Self> {
        let (end, horizon, running) = (row.get::<_, Option<String>>(0)?, row.get(1), row.get(2));
        Some(Self { end, horizon, running, since: Instant::now(), is_overdue: false })
    }
}

fn no_session() -> Error {
    Error::internal("no connection after connecting")
}
