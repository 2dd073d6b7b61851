//! The thread of a session: connects, finds the nodes, subscribes, receives, and connects again.
//!
//! It begins with [`Link::start`] and ends when the first attempt has failed, the server refuses this client, or the [`Link`] is dropped.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore, Session};
use opcua::types::{
    DataChangeFilter, DataChangeNotification, DataChangeTrigger, DataValue, DeadbandType, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NotificationMessage, ReadValueId,
    StatusChangeNotification, StatusCode, TimestampsToReturn, Variant,
};
use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::resilience::Backoff;
use tidemill_engine::time::{Clock, Timestamp};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::browse::BATCH;
use crate::failure::{failed, of_status};
use crate::nodes::{Node, Target, find};
use crate::options::Connection;
use crate::session::Connected;

/// How often the server sends a sign of life if nothing changes.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// For how long the server keeps a subscription that nobody takes anything from: a pipeline may stand still so long.
const PATIENCE: Duration = Duration::from_secs(300);

/// A value as it arrived.
pub(super) struct Arrived {
    pub(super) nodes: Arc<[Node]>,
    /// Which of them.
    pub(super) node: usize,
    pub(super) value: DataValue,
    pub(super) at: Timestamp,
}

impl Arrived {
    /// The bytes that it occupies, about.
    fn size(&self) -> usize {
        let text = match &self.value.value {
            Some(Variant::String(text)) => text.as_ref().len(),
            Some(Variant::Array(array)) => array.values.len() * size_of::<Variant>(),
            _ => 0,
        };
        size_of::<Self>() + text
    }
}

/// How values are subscribed to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameters {
    pub(super) publishing: Duration,
    pub(super) sampling: Duration,
    pub(super) queue_size: u32,
    pub(super) deadband: Option<f64>,
    pub(super) deadband_percent: Option<f64>,
}

/// What to subscribe to.
pub(super) struct Wanted {
    pub(super) connection: Connection,
    pub(super) targets: Vec<Target>,
    pub(super) parameters: Parameters,
    pub(super) clock: Clock,
}

/// The thread, as the reader sees it.
pub(super) struct Link {
    /// Sent or dropped: the thread ends.
    close: Option<oneshot::Sender<()>>,
    inbox: Arc<Inbox<Arrived>>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    pub(super) fn start(wanted: Wanted, inbox: Arc<Inbox<Arrived>>) -> Result<Self> {
        let (close, closed) = oneshot::channel();
        let failed = |error: std::io::Error| Error::io("cannot start a thread for", "OPC UA", &error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let worker = Worker { wanted, inbox: Arc::clone(&inbox), closed };
        let work = move || runtime.block_on(worker.run());
        let thread = thread::Builder::new().name("opcua".into()).spawn(work).map_err(failed)?;
        Ok(Self { close: Some(close), inbox, thread: Some(thread) })
    }

    /// Lets the thread close the session and end.
    pub(super) fn close(&mut self) {
        self.close = None;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.inbox.close();
        self.close();
        if let Some(thread) = self.thread.take() {
            // A panic has nothing more to say.
            drop(thread.join());
        }
    }
}

/// What runs on the thread.
struct Worker {
    wanted: Wanted,
    inbox: Arc<Inbox<Arrived>>,
    closed: oneshot::Receiver<()>,
}

impl Worker {
    async fn run(mut self) {
        // Says that nothing more comes, also if the client panics.
        let end = End {
            inbox: Arc::clone(&self.inbox),
            error: Some(Error::internal("the OPC UA client has panicked")),
        };
        let error = self.sessions().await;
        end.with(error);
    }

    /// One session after another; the error that ends them.
    async fn sessions(&mut self) -> Option<Error> {
        let mut backoff = Backoff::default();
        loop {
            let before = self.inbox.connections().made;
            let error = match self.session().await {
                Ok(()) => return None,
                Err(error) => error,
            };
            if !self.inbox.is_ready() || !error.is_transient() {
                return Some(error);
            }
            match self.inbox.connections().made > before {
                true => {
                    backoff.reset();
                    self.inbox.count(|connections| connections.lost += 1);
                }
                false => self.inbox.count(|connections| connections.failed += 1),
            }
            if self.pause(backoff.delay(None)).await.is_break() {
                return None;
            }
        }
    }

    /// Waits, unless the reader closes.
    async fn pause(&mut self, delay: Duration) -> ControlFlow<()> {
        match timeout(delay, &mut self.closed).await {
            Ok(_) => ControlFlow::Break(()),
            Err(_) => ControlFlow::Continue(()),
        }
    }

    /// One session, until it is lost (an error) or the reader closes.
    async fn session(&mut self) -> Result<()> {
        let Self { wanted, inbox, closed } = self;
        let (ended, mut end) = mpsc::unbounded_channel();
        let subscribed = async {
            let mut connected = Connected::new(&wanted.connection).await?;
            let session = Arc::clone(&connected.session);
            connected.during(subscribe(&session, wanted, inbox, ended)).await?;
            Ok::<_, Error>(connected)
        };
        let mut connected = tokio::select! {
            _ = &mut *closed => return Ok(()),
            connected = subscribed => connected?,
        };
        inbox.count(|connections| connections.made += 1);
        inbox.ready();
        loop {
            let step = async {
                // While there is no room, nothing is asked for: the server's queues fill instead.
                inbox.room().await;
                connected.step().await
            };
            tokio::select! {
                _ = &mut *closed => break,
                Some(status) = end.recv() => {
                    return Err(of_status(&wanted.connection.url, "the server has ended the subscription", status).transient());
                }
                stepped = step => stepped?,
            }
        }
        connected.close().await;
        Ok(())
    }
}

/// Ends the inbox when it is dropped.
struct End {
    inbox: Arc<Inbox<Arrived>>,
    error: Option<Error>,
}

impl End {
    fn with(mut self, error: Option<Error>) {
        self.error = error;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.inbox.end(self.error.take());
    }
}

/// Finds the nodes and subscribes to them; `ended` hears of the end of the subscription.
async fn subscribe(
    session: &Session,
    wanted: &Wanted,
    inbox: &Arc<Inbox<Arrived>>,
    ended: mpsc::UnboundedSender<StatusCode>,
) -> Result<()> {
    let Wanted { connection, targets, parameters, clock } = wanted;
    let url = connection.url.as_str();
    let nodes: Arc<[Node]> = find(session, url, targets).await?.into();
    let taker = Taker { nodes: Arc::clone(&nodes), inbox: Arc::clone(inbox), clock: clock.clone(), ended };
    let alive = intervals(SIGN_OF_LIFE, parameters.publishing);
    let lifetime = intervals(PATIENCE, parameters.publishing).max(3 * alive);
    let created = session.create_subscription(parameters.publishing, lifetime, alive, 0, 0, true, taker);
    let id = created.await.map_err(|error| failed(url, "cannot subscribe", &error))?;
    let mut first = 0;
    for batch in nodes.chunks(BATCH) {
        let items = (first..).zip(batch).map(|(at, node)| item(at, node, parameters)).collect();
        let created = session.create_monitored_items(id, TimestampsToReturn::Both, items).await;
        let created = created.map_err(|error| failed(url, "cannot subscribe", &error))?;
        for (node, created) in batch.iter().zip(created) {
            let status = created.result.status_code;
            if status.is_bad() {
                return Err(of_status(url, &format!("cannot subscribe to {}", node.path), status));
            }
        }
        first += batch.len();
    }
    Ok(())
}

/// How many publishing intervals fill so much time.
fn intervals(time: Duration, interval: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(interval.as_nanos().max(1))).unwrap_or(u32::MAX / 3)
}

/// The request for the values of a node; its handle is its place, counted from 1.
fn item(at: usize, node: &Node, parameters: &Parameters) -> MonitoredItemCreateRequest {
    let kind_and_value = match (parameters.deadband, parameters.deadband_percent) {
        (Some(change), _) => Some((DeadbandType::Absolute, change)),
        (None, Some(percent)) => Some((DeadbandType::Percent, percent)),
        (None, None) => None,
    };
    let filter = kind_and_value.map_or_else(ExtensionObject::null, |(kind, value)| {
        ExtensionObject::from_message(DataChangeFilter {
            trigger: DataChangeTrigger::StatusValue,
            deadband_type: kind as u32,
            deadband_value: value,
        })
    });
    MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId::from(&node.id),
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: u32::try_from(at + 1).unwrap_or(u32::MAX),
            sampling_interval: parameters.sampling.as_secs_f64() * 1000.0,
            filter,
            queue_size: parameters.queue_size,
            discard_oldest: true,
        },
    }
}

/// Puts values into the inbox as they come.
struct Taker {
    nodes: Arc<[Node]>,
    inbox: Arc<Inbox<Arrived>>,
    clock: Clock,
    ended: mpsc::UnboundedSender<StatusCode>,
}

impl OnSubscriptionNotificationCore for Taker {
    fn on_subscription_notification(&mut self, message: NotificationMessage, _items: MonitoredItemMap<'_>) {
        let at = self.clock.read();
        let (mut arrived, mut bytes) = (Vec::new(), 0);
        for part in message.notification_data.into_iter().flatten() {
            if let Some(change) = part.inner_as::<StatusChangeNotification>() {
                // Nobody listens: the session has ended.
                let _gone = self.ended.send(change.status);
            } else if let Some(changes) = part.into_inner_as::<DataChangeNotification>() {
                for item in changes.monitored_items.into_iter().flatten() {
                    let node = (item.client_handle as usize).wrapping_sub(1);
                    if node < self.nodes.len() {
                        let one = Arrived { nodes: Arc::clone(&self.nodes), node, value: item.value, at };
                        bytes += one.size();
                        arrived.push(one);
                    }
                }
            }
        }
        self.inbox.offer(&mut arrived, bytes);
    }
}
