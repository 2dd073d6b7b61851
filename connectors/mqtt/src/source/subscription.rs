//! The reading side of the source: messages from the inbox become lines, and are acknowledged when they are durable.

use std::str;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill_connect::inbox::Inbox;
use tidemill_connect::message::{Lines, Received, Subscription};
use tidemill_engine::cuts::CutRequest;
use tidemill_engine::error::{Error, ErrorKind, Result};
use tidemill_engine::time::Timestamp;

use super::acks::Acks;
use super::link::{Arrived, Command, Link, Subscriptions};
use crate::client::{FAREWELL, Message, Outgoing};
use crate::sparkplug::{Sparkplug, rebirth};
use crate::topics::{Field, Topics};

/// How often a wait for the broker looks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Receives messages.
pub(super) struct Receiver {
    /// Taken when the run begins.
    pub(super) subscriptions: Option<Subscriptions>,
    pub(super) topics: Topics,
    /// Of the envelope, in the order in which [`Lines`] asks for them.
    pub(super) fields: Vec<Field>,
    /// What is acknowledged later; `None` if the client acknowledges at once.
    pub(super) acks: Option<Acks>,
    pub(super) sparkplug: Option<Sparkplug>,
    /// Whether nodes of Sparkplug are asked to be born again.
    pub(super) asks: bool,
    pub(super) cuts: CutRequest,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) inbox: Arc<Inbox<Arrived>>,
    pub(super) link: Option<Link>,
    /// Taken from the inbox, and not read yet.
    pub(super) arrived: std::vec::IntoIter<Arrived>,
    /// How long to wait for messages once the run stops: not at all if they come again, or else until the connection has ended.
    pub(super) closed: Option<Duration>,
    pub(super) counts: Counts,
}

/// For the remarks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    repeated: u64,
}

impl Subscription for Receiver {
    fn begin(&mut self) -> Result<()> {
        let subscriptions = self.subscriptions.take();
        let subscriptions = subscriptions.ok_or_else(|| Error::internal("the source has begun twice"))?;
        self.link = Some(Link::start(subscriptions, Arc::clone(&self.inbox))?);
        loop {
            if let Some(ready) = self.inbox.wait_ready(LOOK) {
                return ready;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Interrupted, "stopped while connecting to the broker"));
            }
        }
    }

    fn receive(&mut self, lines: &mut Lines, wait: Duration) -> Result<Received> {
        if self.arrived.as_slice().is_empty() {
            self.arrived = self.inbox.take(self.closed.unwrap_or(wait))?.into_iter();
            if self.arrived.as_slice().is_empty() && self.closed.is_none() {
                self.stalled();
            }
        }
        while !lines.is_full() {
            let Some(arrived) = self.arrived.next() else { break };
            self.read(arrived, lines);
        }
        if self.acks.as_ref().is_some_and(Acks::needs_cut) {
            self.cuts.ask();
        }
        Ok(Received::More)
    }

    fn position(&self) -> Result<Option<Vec<u8>>> {
        let Some(acks) = &self.acks else { return Ok(None) };
        let nodes = self.sparkplug.as_ref().map(Sparkplug::save).unwrap_or_default();
        Ok(Some([acks.position().to_le_bytes().as_slice(), &nodes].concat()))
    }

    fn resume(&mut self, position: &[u8]) -> Result<()> {
        let (position, nodes) = parts(position)?;
        if let Some(acks) = &mut self.acks {
            acks.resume(position);
        }
        self.sparkplug.as_mut().map_or(Ok(()), |sparkplug| sparkplug.restore(nodes))
    }

    fn durable(&mut self, _epoch: u64, position: &[u8]) -> Result<()> {
        let (position, _) = parts(position)?;
        if let (Some(acks), Some(link)) = (&mut self.acks, &self.link) {
            let durable = acks.take(position);
            if !durable.is_empty() {
                link.send(Command::Acknowledge(durable));
            }
        }
        Ok(())
    }

    fn close(&mut self, can_resume: bool) -> Result<()> {
        if can_resume && self.acks.is_some() {
            // What was not read comes again. The connection stays: the last checkpoint is still to come.
            self.inbox.close();
            self.arrived = Vec::new().into_iter();
            self.closed = Some(Duration::ZERO);
            return Ok(());
        }
        if let Some(link) = &self.link {
            link.close();
        }
        self.closed = Some(FAREWELL);
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.inbox.connections().remarks("broker");
        if self.counts.repeated > 0 {
            remarks.push(format!("{} messages were sent a second time", self.counts.repeated));
        }
        if let Some(limit) = self.acks.as_ref().and_then(Acks::limit) {
            remarks.push(format!("the broker sends at most {limit} messages before the first is acknowledged, which a checkpoint does: raise its limit (in mosquitto: max_inflight_messages) for more throughput"));
        }
        let is_saved = self.acks.is_some();
        remarks.extend(self.sparkplug.iter().flat_map(|sparkplug| sparkplug.remarks(is_saved)));
        remarks
    }
}

impl Receiver {
    fn read(&mut self, arrived: Arrived, lines: &mut Lines) {
        let Arrived { message, at, connection } = arrived;
        self.counts.repeated += u64::from(message.is_repeated);
        match str::from_utf8(&message.topic) {
            Ok(topic) => self.push(topic, &message, at, lines),
            Err(_) => lines.reject("the topic is not UTF-8", &message.payload),
        }
        if let (Some(acks), Some(ack)) = (&mut self.acks, message.ack) {
            acks.push(connection, ack);
        }
    }

    fn push(&mut self, topic: &str, message: &Message, at: Timestamp, lines: &mut Lines) {
        let Self { topics, fields, sparkplug, link, asks, .. } = self;
        let value = |field: usize| fields.get(field).and_then(|field| field.value(topics, topic, message));
        let Some(sparkplug) = sparkplug else {
            lines.push(&message.payload, at, value);
            return;
        };
        let asked =
            sparkplug.decode(
                topic,
                &message.payload,
                at,
                message.is_repeated,
                &mut |reading| match reading {
                    Ok(reading) => lines.push_reading(&reading, at, value),
                    Err(why) => lines.reject(format!("topic {topic}: {why}"), &message.payload),
                },
            );
        if let (Some(topic), Some(link), true) = (asked, link, *asks) {
            let payload = rebirth(at);
            link.send(Command::Publish(Outgoing {
                topic,
                payload,
                qos: 0,
                is_retained: false,
                property: None,
            }));
        }
    }

    /// Nothing has come: perhaps because the broker waits for acknowledgements.
    fn stalled(&mut self) {
        if self.acks.as_mut().is_some_and(Acks::stalled) {
            self.cuts.ask();
        }
    }
}

/// The parts of a saved position: how many messages were read, and the nodes of Sparkplug.
fn parts(position: &[u8]) -> Result<(u64, &[u8])> {
    let (read, nodes) = position
        .split_first_chunk()
        .ok_or_else(|| Error::data("the saved position is not one of an MQTT source"))?;
    Ok((u64::from_le_bytes(*read), nodes))
}
