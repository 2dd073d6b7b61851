//! Messages without JetStream: at most once.

use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::{SelectAll, select_all};
use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tidemill_engine::time::Clock;

use super::Arrived;

/// Messages that are taken at once.
const AT_ONCE: usize = 256;

/// Subscribes, and waits until the server has seen it.
pub(super) async fn subscribed(
    client: &Client,
    url: &str,
    filters: &[String],
    queue: Option<&str>,
) -> Result<SelectAll<Subscriber>> {
    let failed = |filter: &str, error: &dyn std::fmt::Display| {
        Error::unavailable(format!("{url}: cannot subscribe to {filter:?}: {error}"))
    };
    let mut all = Vec::new();
    for filter in filters {
        let subscriber = match queue {
            Some(queue) => client.queue_subscribe(filter.clone(), queue.to_owned()).await,
            None => client.subscribe(filter.clone()).await,
        };
        all.push(subscriber.map_err(|error| failed(filter, &error))?);
    }
    client.flush().await.map_err(|error| failed(&filters.join(", "), &error))?;
    Ok(select_all(all))
}

/// Receives until the client ends. Messages for which there is no room are dropped and counted: nobody keeps them.
pub(super) async fn receive(messages: SelectAll<Subscriber>, inbox: &Inbox<Arrived>, clock: &Clock) {
    let mut messages = messages.ready_chunks(AT_ONCE);
    while let Some(some) = messages.next().await {
        if !inbox.has_room() {
            inbox.count(|all| all.dropped += some.len() as u64);
            continue;
        }
        let at = clock.read();
        let mut arrived: Vec<Arrived> = some.into_iter().map(|message| Arrived::plain(message, at)).collect();
        let bytes = arrived.iter().map(Arrived::size).sum();
        inbox.offer(&mut arrived, bytes);
    }
}
