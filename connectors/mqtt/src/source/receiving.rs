//! The receiving side of a connection: from the client to the inbox.

use std::cell::Cell;

use tidemill_connect::inbox::Inbox;
use tidemill_engine::error::{Error, Result};
use tokio::sync::Notify;

use super::link::{Arrived, Subscriptions};
use crate::client::{Client, Event, READ_BATCH, Reason, Sender};

/// Bytes that are gathered before they are passed on, if more is there already.
const GATHERED: usize = 64 << 10;

/// So many unacknowledged messages are enough: no two may have the same packet identifier, and there are 65,535. Brokers are to wait themselves, but mosquitto before
/// 2.0.13 sends on with every acknowledgement.
const UNACKNOWLEDGED: u64 = 65_535 - READ_BATCH as u64;

/// Acknowledgements on their way to the broker.
#[derive(Default)]
pub(super) struct Pending {
    /// The client has so many, and has not written them yet: fewer than none for a moment, if one is written before it is counted.
    count: Cell<i64>,
    added: Notify,
    settled: Notify,
}

impl Pending {
    /// The client has one more.
    pub(super) fn add(&self) {
        self.count.set(self.count.get() + 1);
        self.added.notify_one();
    }

    /// The client has written one.
    fn remove(&self) {
        self.count.set(self.count.get() - 1);
    }

    /// Waits until the broker has taken all of them.
    pub(super) async fn settled(&self) {
        self.settled.notified().await;
    }

    /// Waits until the client has one that it has not written.
    async fn some(&self) {
        while self.count.get() <= 0 {
            self.added.notified().await;
        }
    }
}

/// The receiving side of a connection.
pub(super) struct Receiving<'a, S> {
    pub(super) subscriptions: &'a Subscriptions,
    pub(super) inbox: &'a Inbox<Arrived>,
    pub(super) sender: S,
    pub(super) pending: &'a Pending,
    pub(super) connection: u64,
    /// The broker has accepted the subscriptions, over this connection or an earlier one.
    pub(super) is_subscribed: &'a mut bool,
}

impl<S: Sender> Receiving<'_, S> {
    pub(super) async fn receive<C: Client>(&mut self, client: &mut C) -> Result<()> {
        let (mut gathered, mut bytes) = (Vec::new(), 0);
        let mut unacknowledged = 0;
        loop {
            if unacknowledged >= UNACKNOWLEDGED {
                self.inbox.put(&mut gathered, std::mem::take(&mut bytes)).await;
                // The client writes what it has before it reads on.
                self.pending.some().await;
            }
            match client.next().await {
                Ok(Event::Message(message)) => {
                    unacknowledged +=
                        u64::from(message.ack.is_some() && !self.subscriptions.setup.acknowledges);
                    bytes += message.size();
                    let at = self.subscriptions.clock.read();
                    gathered.push(Arrived { message, at, connection: self.connection });
                }
                Ok(Event::Acknowledged) => {
                    self.pending.remove();
                    unacknowledged = unacknowledged.saturating_sub(1);
                }
                Ok(event) => self.handle(event).await?,
                Err(error) => {
                    // What has arrived is read, and comes again unless it was acknowledged.
                    self.inbox.put(&mut gathered, bytes).await;
                    return Err(error);
                }
            }
            if !gathered.is_empty() && (!client.has_more() || bytes >= GATHERED) {
                self.inbox.put(&mut gathered, std::mem::take(&mut bytes)).await;
            }
        }
    }

    async fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Connected { is_resumed } => {
                let Subscriptions { setup, resumes, .. } = self.subscriptions;
                let had_session = *resumes || self.inbox.connections().made > 0;
                let is_forgotten = had_session && !is_resumed && setup.session.is_some();
                self.inbox.count(|connections| {
                    connections.made += 1;
                    connections.forgotten += u64::from(is_forgotten);
                });
                // The topics may be others than those of the session.
                if !*self.is_subscribed || !is_resumed {
                    let Subscriptions { filters, qos, .. } = self.subscriptions;
                    let _gone = self.sender.subscribe(filters, *qos).await;
                }
            }
            Event::Subscribed(answers) => self.subscribed(answers)?,
            Event::Settled => self.pending.settled.notify_one(),
            Event::Message(_) | Event::Acknowledged | Event::Published(_) | Event::Other => {}
        }
        Ok(())
    }

    fn subscribed(&mut self, answers: Vec<std::result::Result<u8, Reason>>) -> Result<()> {
        let Subscriptions { filters, setup, qos, .. } = self.subscriptions;
        for (filter, answer) in filters.iter().zip(answers) {
            let what = || format!("{}: cannot subscribe to {filter:?}", setup.address);
            let granted = answer.map_err(|reason| reason.error(&what()))?;
            // Otherwise nothing depends on it: messages are acknowledged as they arrive.
            if granted < *qos && !setup.acknowledges {
                let why = format!("the broker grants QoS {granted}, and `qos` asks for {qos}");
                return Err(Error::unavailable(format!("{}: {why}", what()))
                    .with_help(format!("set qos = {granted}, or let the broker grant more")));
            }
        }
        *self.is_subscribed = true;
        self.inbox.ready();
        Ok(())
    }
}
