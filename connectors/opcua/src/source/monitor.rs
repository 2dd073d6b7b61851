//! The subscription of a session: which nodes it has, and what comes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcua::client::{MonitoredItemMap, OnSubscriptionNotificationCore, Session};
use opcua::types::{
    DataChangeFilter, DataChangeNotification, DataChangeTrigger, DeadbandType, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NotificationMessage, ReadValueId,
    StatusChangeNotification, StatusCode, TimestampsToReturn,
};
use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::Result;
use tidemill_engine::time::{Clock, Timestamp};
use tokio::sync::mpsc;

use crate::failure::{all_of, failed, of_status};
use crate::nodes::{Node, Nodes, Target, find};
use crate::options::Connection;
use crate::references::BATCH;
use crate::session::PATIENCE;
use crate::value::Measured;

/// How often the server sends a sign of life if nothing changes.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// A value as it arrived.
pub(super) struct Arrived {
    pub(super) nodes: Arc<[Node]>,
    /// Which of them.
    pub(super) node: usize,
    pub(super) value: Measured,
    pub(super) at: Timestamp,
}

impl Arrived {
    /// The bytes that it occupies, about.
    fn size(&self) -> usize {
        size_of::<Self>() + self.value.text_len()
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
    /// How many nodes the server did not show to this client the last time that nodes were looked for.
    pub(super) hidden: Arc<AtomicU64>,
}

/// Finds the nodes and subscribes to them; `ended` hears of the end of the subscription.
pub(super) async fn subscribe(
    session: &Session,
    wanted: &Wanted,
    inbox: &Arc<Inbox<Arrived>>,
    ended: mpsc::UnboundedSender<StatusCode>,
) -> Result<()> {
    let Wanted { connection, targets, parameters, clock, .. } = wanted;
    let url = connection.url.as_str();
    let Nodes { all, hidden } = find(session, url, targets).await?;
    wanted.hidden.store(hidden, Ordering::Relaxed);
    let nodes: Arc<[Node]> = all.into();
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
        let created = all_of(url, "cannot subscribe", created, batch.len())?;
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
        let mut arrived = self.values(message);
        let bytes = arrived.iter().map(Arrived::size).sum();
        self.inbox.offer(&mut arrived, bytes);
    }
}

impl Taker {
    /// What has arrived with a message, without what no record can have: it may be large, and waits to be read.
    fn values(&self, message: NotificationMessage) -> Vec<Arrived> {
        let (at, mut arrived) = (self.clock.read(), Vec::new());
        for part in message.notification_data.into_iter().flatten() {
            if let Some(change) = part.inner_as::<StatusChangeNotification>() {
                // Nobody listens: the session has ended.
                let _gone = self.ended.send(change.status);
            } else if let Some(changes) = part.into_inner_as::<DataChangeNotification>() {
                for item in changes.monitored_items.into_iter().flatten() {
                    let node = (item.client_handle as usize).wrapping_sub(1);
                    if node < self.nodes.len() {
                        let value = Measured::from(&item.value);
                        arrived.push(Arrived { nodes: Arc::clone(&self.nodes), node, value, at });
                    }
                }
            }
        }
        arrived
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{ByteString, DataValue, LocalizedText, MonitoredItemNotification, Variant};

    use super::*;

    /// The bytes for which a value counts.
    fn size(value: impl Into<Variant>) -> usize {
        let (ended, _end) = mpsc::unbounded_channel();
        let taker = Taker {
            nodes: vec![Node::default()].into(),
            inbox: Arc::new(Inbox::default()),
            clock: Clock::default(),
            ended,
        };
        let item = MonitoredItemNotification { client_handle: 1, value: DataValue::value_only(value.into()) };
        let changes = DataChangeNotification { monitored_items: Some(vec![item]), diagnostic_infos: None };
        let message = NotificationMessage {
            notification_data: Some(vec![ExtensionObject::from_message(changes)]),
            ..NotificationMessage::default()
        };
        let arrived = taker.values(message);
        assert_eq!(arrived.len(), 1);
        arrived.iter().map(Arrived::size).sum()
    }

    #[test]
    fn texts_count_and_what_no_record_can_have_is_not_kept() {
        let (large, number) = (1 << 20, size(1.0));
        let text = "x".repeat(large);
        for text in [
            Variant::from(text.as_str()),
            Variant::from(LocalizedText::new("en", &text)),
            Variant::Variant(Box::new(Variant::from(text.as_str()))),
        ] {
            assert_eq!(size(text), number + large);
        }
        assert_eq!(size(ByteString::from(vec![0; large])), number);
        assert_eq!(size(vec![0.0; large]), number);
    }
}
