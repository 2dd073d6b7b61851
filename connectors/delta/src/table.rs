//! The table as its log has it: what it is, and commits to it.

use std::sync::Arc;

use delta_kernel::KernelError;
use delta_kernel::arrow::array::RecordBatch;
use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::object_store::path::Path;
use delta_kernel::object_store::{DynObjectStore, ObjectStoreExt};
use delta_kernel::snapshot::{Snapshot, SnapshotRef};
use delta_kernel::transaction::create_table::create_table;
use delta_kernel::transaction::data_layout::DataLayout;
use delta_kernel::transaction::{
    CommitResult, CommittedTransaction, Transaction, UpdateTableOperation, WriteState,
};
use delta_kernel::{Engine, FileMeta};
use delta_kernel_default_engine::executor::TaskExecutor;
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use tidemill_engine::error::{Error, Result};
use url::Url;

use crate::failure::{failure, store_failure};
use crate::folder::{self, Folder};
use crate::target::Target;

/// Who writes, in the history of the table.
const ENGINE: &str = concat!("tidemill/", env!("CARGO_PKG_VERSION"));

/// Commits between two checkpoints of the log, unless the table says otherwise.
const CHECKPOINT_INTERVAL: u64 = 10;

/// Threads of the library's runtime: one may wait for what another does.
const THREADS: usize = 2;

/// A table, which may not exist yet.
pub(crate) struct Table {
    /// The name in messages.
    place: String,
    location: Url,
    store: Arc<DynObjectStore>,
    /// The threads of its runtime end with the sink.
    executor: Arc<TokioMultiThreadExecutor>,
    engine: DefaultEngine<TokioMultiThreadExecutor>,
}

/// An identifier under which the table counts the epochs of a writer, and one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch<'a> {
    pub(crate) app: &'a str,
    pub(crate) number: i64,
}

impl Table {
    /// The table of `target`: nothing is read yet.
    ///
    /// # Errors
    /// If its path is not one, or the system has no resources for it.
    pub(crate) fn open(target: &Target) -> Result<Self> {
        let (place, folder) = (target.path.to_string(), target.folder()?);
        let location = Url::from_directory_path(&folder)
            .map_err(|()| Error::config(format!("`path` {place} is not a folder")))?;
        let store: Arc<DynObjectStore> = Arc::new(Folder::new(folder));
        let executor = TokioMultiThreadExecutor::new_owned_runtime(Some(THREADS), None)
            .map_err(|error| Error::internal(format!("a runtime cannot be started: {error}")))?;
        let executor = Arc::new(executor);
        let engine =
            DefaultEngineBuilder::new(Arc::clone(&store)).with_task_executor(Arc::clone(&executor)).build();
        Ok(Self { place, location, store, executor, engine })
    }

    fn failed(&self, what: &'static str) -> impl Fn(KernelError) -> Error {
        move |error| failure(&self.place, what, error)
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    /// The newest version of the table; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or not be written to.
    pub(crate) fn snapshot(&self) -> Result<Option<SnapshotRef>> {
        if !self.has_log()? {
            return Ok(None);
        }
        let snapshot = Snapshot::builder_for(self.location.as_str()).build(&self.engine);
        snapshot.map(Some).map_err(self.failed("read the log of the table"))
    }

    fn has_log(&self) -> Result<bool> {
        let failed = self.failed("list the log of the table");
        let log = self.location.join("_delta_log/").map_err(|error| failed(error.into()))?;
        let is_absent = |error: &KernelError| matches!(error, KernelError::FileNotFound(_));
        match self.engine.storage_handler().list_from(&log).map(|mut files| files.next()) {
            Ok(None) => Ok(false),
            Ok(Some(Ok(_))) => Ok(true),
            Ok(Some(Err(error))) | Err(error) if is_absent(&error) => Ok(false),
            Ok(Some(Err(error))) | Err(error) => Err(failed(error)),
        }
    }

    /// Creates the table.
    ///
    /// # Errors
    /// If that fails; not if somebody else has created it meanwhile.
    pub(crate) fn create(&self, target: &Target) -> Result<()> {
        let columns = Arc::new(target.new_columns()?);
        folder::create(&target.folder()?).map_err(|error| self.failed("create the table")(error.into()))?;
        let layout = match &*target.partition_by {
            [] => DataLayout::None,
            names => DataLayout::partitioned(names),
        };
        let builder = create_table(&self.location, columns, ENGINE, true).with_data_layout(layout);
        let built = builder.build(&self.engine, Box::new(FileSystemCommitter::new()));
        match built.and_then(|transaction| transaction.commit(&self.engine)) {
            Ok(CommitResult::Committed(_) | CommitResult::Conflicted(_)) => Ok(()),
            Err(KernelError::TableAlreadyExistsAtPath(_)) => Ok(()),
            Ok(CommitResult::Retryable(failed)) => Err(self.failed("create the table")(failed.error)),
            Err(error) => Err(self.failed("create the table")(error)),
        }
    }

    /// Whether the table has this epoch, or a later one.
    pub(crate) fn has(&self, snapshot: &Snapshot, epoch: Epoch<'_>) -> Result<bool> {
        let newest = snapshot.get_app_id_version(epoch.app, &self.engine);
        let newest = newest.map_err(self.failed("read the transaction identifiers of the table"))?;
        Ok(newest.is_some_and(|newest| newest >= epoch.number))
    }

    /// What writers of files have to know.
    ///
    /// # Errors
    /// If the table has a feature that this sink cannot write to.
    pub(crate) fn write_state(&self, snapshot: &SnapshotRef, target: &Target) -> Result<Arc<WriteState>> {
        self.transaction(snapshot, target)?.write_state().map_err(self.failed("write to the table"))
    }

    fn transaction(&self, snapshot: &SnapshotRef, target: &Target) -> Result<Transaction> {
        let failed = self.failed("write to the table");
        let builder = Arc::clone(snapshot).update_table(UpdateTableOperation::StreamingUpdate, ENGINE, true);
        let builder = builder.with_blind_append();
        let built = builder.build(&self.engine, Box::new(FileSystemCommitter::new()));
        let mut transaction = built.map_err(&failed)?;
        let defaults = transaction.top_level_column_defaults().map_err(&failed)?;
        let is_written = |name: &str| target.columns.iter().any(|written| written.is(name));
        if let Some(column) = defaults.into_keys().find(|name| !is_written(name)) {
            return Err(Error::config(format!(
                "column `{column}` of the table in {} has a default (feature allowColumnDefaults), which this sink cannot apply",
                self.place
            ))
            .with_help("drop the default, or name the column of the records in `columns`"));
        }
        transaction.ack_column_defaults();
        Ok(transaction)
    }

    /// Adds files to the version after `snapshot`; `None` if there is another one already.
    ///
    /// # Errors
    /// If that fails; it is not known then whether the files were added.
    pub(crate) fn append(
        &self,
        snapshot: &SnapshotRef,
        target: &Target,
        epoch: Epoch<'_>,
        files: &[RecordBatch],
    ) -> Result<Option<CommittedTransaction>> {
        let mut transaction = self.transaction(snapshot, target)?;
        for file in files {
            transaction.add_files(Box::new(ArrowEngineData::new(file.clone())));
        }
        let transaction = transaction.with_transaction_id(epoch.app.to_owned(), epoch.number);
        let failed = self.failed("commit to the table");
        match transaction.commit(&self.engine).map_err(&failed)? {
            CommitResult::Committed(committed) => Ok(Some(committed)),
            CommitResult::Conflicted(_) => Ok(None),
            CommitResult::Retryable(retryable) => Err(failed(retryable.error)),
        }
    }

    /// Writes a checkpoint of the log, if it is time for one.
    ///
    /// # Errors
    /// If that fails; the table can be read without it.
    pub(crate) fn checkpoint(&self, committed: &CommittedTransaction) -> Result<()> {
        let Some(snapshot) = committed.post_commit_snapshot() else { return Ok(()) };
        let interval = snapshot.table_properties().checkpoint_interval;
        let interval = interval.map_or(CHECKPOINT_INTERVAL, std::num::NonZero::get);
        if committed.post_commit_stats().commits_since_checkpoint < interval {
            return Ok(());
        }
        let written = snapshot.checkpoint(&self.engine, None).map(drop);
        written.map_err(self.failed("write a checkpoint of the log"))
    }

    /// Writes a data file.
    pub(crate) fn put(&self, location: Url, bytes: Vec<u8>) -> Result<FileMeta> {
        let failed = |error| store_failure(&self.place, "write a file", error);
        let path = Path::from_url_path(location.path()).map_err(|error| failed(error.into()))?;
        let (store, size) = (Arc::clone(&self.store), bytes.len() as u64);
        let put = async move {
            store.put(&path, bytes.into()).await?;
            store.head(&path).await
        };
        let written = self.executor.block_on(put).map_err(failed)?;
        Ok(FileMeta { location, last_modified: written.last_modified.timestamp_millis(), size })
    }
}

/// Whether files that were written for one version can be added to the other.
pub(crate) fn is_alike(one: &Snapshot, other: &Snapshot) -> bool {
    let (one, other) = (one.table_configuration(), other.table_configuration());
    one.metadata() == other.metadata() && one.protocol() == other.protocol()
}
