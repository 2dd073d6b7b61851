//! The subscription of a session: which nodes it has, and what comes of them.

use std::sync::Arc;
use std::time::Duration;

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore, Session};
use opcua::types::{
    DataChangeFilter, DataChangeNotification, DataChangeTrigger, DataValue, DeadbandType, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NotificationMessage, ReadValueId,
    StatusChangeNotification, StatusCode, TimestampsToReturn, Variant,
};
use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::Result;
use tidemill_engine::time::{Clock, Timestamp};
use tokio::sync::mpsc;

use crate::browse::BATCH;
use crate::failure::{failed, of_status};
use crate::nodes::{Node, Target, find};
use crate::options::Connection;

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

/// Finds the nodes and subscribes to them; `ended` hears of the end of the subscription.
pub(super) async fn subscribe(
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
