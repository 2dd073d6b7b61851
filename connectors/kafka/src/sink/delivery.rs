//! The delivery of epochs. Any failure ends the session with the brokers: the next attempt begins a new one, which first settles what the old one left open.

use std::time::Duration;

use tidemill_engine::error::Result;
use tidemill_engine::sink::SinkContext;

use super::Kafka;
use super::frames::Frames;
use super::producer::{Session, Writer};
use crate::patience::Patience;

/// How long brokers may take to answer a question before the delivery is tried anew.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long they may take to accept messages, as long as brokers leave a transaction open.
const ACCEPTANCE: Duration = Duration::from_secs(60);

/// How long a run waits at its start to learn whether the topic exists; if no broker answers until then, it starts without.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// Delivers epochs.
pub(super) struct Delivery {
    writer: Writer,
    patience: Patience,
    session: Option<Session>,
}

impl Delivery {
    /// Contacts nobody yet.
    pub(super) fn new(spec: &Kafka, topic: Option<&str>, context: &SinkContext) -> Result<Self> {
        // Without a state folder nothing is delivered again, and no later run has the same name.
        let has_state = context.state.is_some() || context.run.is_some();
        let id = context.writer.as_ref().filter(|_| has_state && spec.messages.transactions);
        let writer = Writer {
            config: spec.connection.config()?,
            brokers: spec.connection.brokers.clone(),
            compression: spec.messages.compression,
            topic: topic.map(str::to_owned),
            id: id.map(|id| format!("tidemill-{id}")),
            acceptance: Patience { stop: context.stop.clone(), limit: ACCEPTANCE },
        };
        let patience = Patience { stop: context.stop.clone(), limit: PATIENCE };
        Ok(Self { writer, patience, session: None })
    }

    /// Checks that the topic exists, if the brokers can be reached.
    ///
    /// # Errors
    /// If they say that it does not exist, or refuse this client.
    pub(super) fn check_topic(&self) -> Result<()> {
        let Some(topic) = &self.writer.topic else { return Ok(()) };
        let patience = Patience { limit: FIRST_ANSWER, ..self.patience.clone() };
        match self.writer.session(&patience)?.check_topic(topic) {
            Err(error) if error.is_transient() => Ok(()),
            checked => checked,
        }
    }

    /// Delivers an epoch, unless it was delivered before.
    ///
    /// # Errors
    /// A transient error for what may pass by itself.
    pub(super) fn deliver(
        &mut self,
        epoch: u64,
        rows: &mut dyn Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<()> {
        let delivered = self.attempt(epoch, rows);
        if delivered.is_err() {
            self.session.take().into_iter().for_each(Session::abandon);
        }
        delivered
    }

    fn attempt(&mut self, epoch: u64, rows: &mut dyn Iterator<Item = Result<Vec<u8>>>) -> Result<()> {
        let first = loop {
            match rows.next().transpose()? {
                None => return Ok(()),
                Some(block) if block.is_empty() => {}
                Some(block) => break block,
            }
        };
        let Some(topic) = Frames(&first).next().transpose()?.map(|frame| frame.topic) else { return Ok(()) };
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.writer.session(&self.patience)?),
        };
        if !session.begin(epoch, topic)? {
            return Ok(());
        }
        session.send(&first)?;
        for block in rows {
            session.send(&block?)?;
        }
        session.finish(epoch)
    }
}
