//! The transaction of an epoch.
//!
//! ```text
//! BEGIN · LOCK TABLE … IN ROW EXCLUSIVE MODE · types of the columns · epoch, unless it is there · COPY · (INSERT … ON CONFLICT) · COMMIT
//! ```
//! The lock keeps the types as they are: the binary format of another type of the same length would be taken for a value.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use tidemill_connect::blocking::Blocking;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::sink::{Prepare, Sink, SinkContext};
use tokio_postgres::Statement;

use super::rows::{Encoder, Rows};
use super::table::{COLUMNS, Known, STAGING, Target};
use crate::kind::Kind;
use crate::server::Server;
use crate::session::Session;
use crate::value::Losses;

/// What is before and behind the rows: a signature, no flags, no extension; and no more fields.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: &[u8] = &[0xff, 0xff];

/// How long a start of a run waits for a server that may be down.
const LOOK: Duration = Duration::from_secs(5);

/// Ends what a former connection of the same writer has left behind: a server may take hours to notice that the other end is gone, and holds its locks until then.
const FENCE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = left($1, 63) \
    AND pid <> pg_backend_pid() AND usename = current_user AND datname = current_database()";

/// A commit is on the server's disk when it is answered, whatever the defaults of the server and the user: the run forgets rows then.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// The sink in use.
pub(super) struct Writer {
    // It ends before the runtime, which it needs for that.
    transactions: Transactions,
    blocking: Blocking,
}

/// Its transactions.
struct Transactions {
    ready: Option<Ready>,
    server: Server,
    target: Target,
    kinds: Arc<OnceLock<Vec<Kind>>>,
    losses: Arc<Mutex<Losses>>,
    /// The name under which its epochs are counted.
    writer: Arc<str>,
    /// Whether no other run will ask for these epochs.
    is_once: bool,
    warning: Warning,
}

/// Says once that the table is one that a crash of the server empties.
struct Warning {
    context: SinkContext,
    /// The table, if that was said.
    said: OnceLock<String>,
}

/// A connection, and what was prepared on it.
struct Ready {
    session: Session,
    known: Known,
    columns: Statement,
    epoch: Statement,
}

impl Writer {
    pub(super) fn new(server: Server, target: Target, context: &SinkContext) -> Result<Self> {
        let transactions = Transactions {
            ready: None,
            server,
            target,
            kinds: Arc::default(),
            losses: Arc::default(),
            writer: context.writer.clone().unwrap_or_default(),
            is_once: context.state.is_none(),
            warning: Warning { context: context.clone(), said: OnceLock::new() },
        };
        Ok(Self { transactions, blocking: Blocking::new(Arc::clone(&context.stop))? })
    }

    /// Connects, and looks at the table.
    ///
    /// # Errors
    /// What is wrong with server, login, table or columns; a transient error if that may pass.
    pub(super) fn look(&mut self) -> Result<()> {
        let limit = LOOK.min(self.transactions.server.timeout);
        let ready = self.blocking.wait(self.transactions.connect(limit))?;
        self.transactions.ready = Some(ready);
        Ok(())
    }
}

impl Sink for Writer {
    fn preparer(&self) -> Option<Arc<dyn Prepare>> {
        let Transactions { target, kinds, losses, .. } = &self.transactions;
        let (columns, has_ordinals) = (target.columns.clone(), target.has_key());
        let (kinds, losses) = (Arc::clone(kinds), Arc::clone(losses));
        Some(Arc::new(Encoder { columns, kinds, has_ordinals, losses }))
    }

    fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        self.blocking.wait(self.transactions.deliver(epoch, rows))
    }

    fn pause(&mut self) -> Result<Vec<String>> {
        let Transactions { losses, warning, .. } = &self.transactions;
        let losses = *losses.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(losses.remarks().into_iter().chain(warning.remark()).collect())
    }

    fn commit(&mut self) -> Result<Vec<String>> {
        // What is left behind is one short row.
        let _ignored = self.blocking.wait(self.transactions.forget());
        self.pause()
    }
}

impl Warning {
    fn say(&self, table: &str) {
        if self.said.set(table.to_owned()).is_ok() {
            let remark = self.remark().unwrap_or_default();
            self.context.warn("not_durable", &remark);
        }
    }

    fn remark(&self) -> Option<String> {
        let table = self.said.get()?;
        Some(format!(
            "{table} is UNLOGGED: a crash of the server empties it, and rows that it has acknowledged are lost then"
        ))
    }
}

impl Transactions {
    async fn connect(&self, limit: Duration) -> Result<Ready> {
        let application = format!("tidemill {}", self.writer);
        let session = Session::open(&self.server, &application, limit).await?;
        let client = &session.client;
        session.run("set up the session", DURABLE).await?;
        if !self.writer.is_empty() {
            session.rows("end former connections", FENCE, &[&application]).await?;
        }
        let known = self.target.look(&session).await?;
        let columns = session.answer("read the columns of the table", client.prepare(COLUMNS)).await?;
        // No row is changed if the epoch, or a later one, is there.
        let epoch = format!(
            "INSERT INTO {0} AS own VALUES ($1, $2) ON CONFLICT (writer) \
             DO UPDATE SET epoch = EXCLUDED.epoch WHERE own.epoch < EXCLUDED.epoch RETURNING own.epoch",
            known.epochs
        );
        let epoch = session.answer("prepare the epoch", client.prepare(&epoch)).await?;
        if self.target.has_key() {
            session.run("create a temporary table", &self.target.staging(&known.table)).await?;
        }
        if known.is_unlogged {
            self.warning.say(&known.table);
        }
        let _known_already = self.kinds.set(known.kinds.clone());
        Ok(Ready { session, known, columns, epoch })
    }

    async fn deliver(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let Some(ready) = self.begin(epoch).await? else { return Ok(()) };
        // After an error, the connection is not used again.
        self.write(&ready, rows).await?;
        self.ready = Some(ready);
        Ok(())
    }

    /// Removes the number of the last epoch, if nobody will ask for it.
    async fn forget(&mut self) -> Result<()> {
        if let Some(Ready { session, known, .. }) = self.ready.as_ref().filter(|_| self.is_once) {
            let forget = format!("DELETE FROM {} WHERE writer = $1", known.epochs);
            session.rows("remove the epoch", &*forget, &[&&*self.writer]).await?;
        }
        Ok(())
    }

    /// Begins the transaction of `epoch`; `None` if the epoch is there already.
    async fn begin(&mut self, epoch: u64) -> Result<Option<Ready>> {
        // One that was idle may have been closed by the server, and its table may have changed.
        if let Some(ready) = self.ready.take() {
            match self.enter(&ready, epoch).await {
                Ok(Entered::New) => return Ok(Some(ready)),
                Ok(Entered::There) => {
                    self.ready = Some(ready);
                    return Ok(None);
                }
                Ok(Entered::Changed) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
        let ready = self.connect(self.server.timeout).await?;
        match self.enter(&ready, epoch).await? {
            Entered::New => Ok(Some(ready)),
            Entered::There => {
                self.ready = Some(ready);
                Ok(None)
            }
            Entered::Changed => Err(Error::unavailable(format!(
                "{}: the table {} is being changed",
                self.server.name, ready.known.table
            ))
            .transient()),
        }
    }

    async fn enter(&self, ready: &Ready, epoch: u64) -> Result<Entered> {
        let Ready { session, known, columns, epoch: upsert } = ready;
        let begin = format!("BEGIN; LOCK TABLE {} IN ROW EXCLUSIVE MODE", known.table);
        session.run("begin a transaction", &begin).await?;
        let rows = session.rows("read the columns of the table", columns, &[&known.table]).await?;
        if self.target.fit(&known.table, &rows)? != known.kinds {
            return Ok(Entered::Changed);
        }
        let number = i64::try_from(epoch).unwrap_or(i64::MAX);
        if !session.rows("write the epoch", upsert, &[&&*self.writer, &number]).await?.is_empty() {
            return Ok(Entered::New);
        }
        session.run("end the transaction", "ROLLBACK").await?;
        Ok(Entered::There)
    }

    async fn write(&self, ready: &Ready, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let Ready { session, known, .. } = ready;
        let has_key = self.target.has_key();
        let copy = self.target.copy(if has_key { STAGING } else { &known.table });
        let sink = session.answer("copy rows", session.client.copy_in::<_, Bytes>(&copy)).await?;
        let mut sink = std::pin::pin!(sink);
        session.answer("copy rows", sink.feed(Bytes::from_static(HEAD))).await?;
        let (mut before, mut losses) = (0, Losses::default());
        for bytes in rows {
            let rows = Rows::read(bytes?, &self.target.columns, has_key)?;
            let tuples = rows.tuples(&known.kinds, before, &self.target.columns, &mut losses)?;
            before += rows.count();
            session.answer("copy rows", sink.send(tuples)).await?;
        }
        session.answer("copy rows", sink.feed(Bytes::from_static(END))).await?;
        session.answer("copy rows", sink.finish()).await?;
        if has_key {
            session.run("write rows", &self.target.merge(&known.table)).await?;
        }
        session.run("commit", "COMMIT").await?;
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).add(losses);
        Ok(())
    }
}

/// What the beginning of a transaction has found.
enum Entered {
    /// The epoch is to be written.
    New,
    /// It is there.
    There,
    /// The table has other types than before.
    Changed,
}
