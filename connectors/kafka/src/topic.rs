//! Whether a topic exists, and how many partitions it has.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tidemill_engine::error::{Error, Result};

use crate::failure::{Words, failed};
use crate::patience::{Patience, is_away};

/// How long one question may take, and how soon after it the next may follow.
const STEP: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(50);

/// How often a topic may be missing before it does not exist.
const MISSING: u32 = 10;

/// The number of partitions of a topic, which must exist. `listen` lets librdkafka say why something has failed.
///
/// # Errors
/// An error that names it if it does not, or if the brokers refuse this client; a transient one if they do not answer.
pub(crate) fn find<C: ClientContext>(
    client: &Client<C>,
    words: &Words,
    (brokers, topic): (&str, &str),
    patience: &Patience,
    listen: impl Fn(),
) -> Result<i32> {
    let mut wait = patience.begin();
    let mut missing = 0;
    let found = loop {
        let error = match partitions(client, topic, STEP) {
            // A broker learns a little later of a topic that was made just now.
            Ok(None) if missing < MISSING => {
                missing += 1;
                std::thread::sleep(PAUSE);
                continue;
            }
            Ok(found) => break found,
            Err(error) => error,
        };
        listen();
        if !is_away(&error) || words.has_refused() || !wait.may_go_on() {
            return Err(failed(brokers, &format!("reading about the topic `{topic}`"), &error, words));
        }
        std::thread::sleep(PAUSE);
    };
    found.ok_or_else(|| {
        Error::config(format!("Kafka at {brokers}: the topic `{topic}` does not exist"))
            .with_help("create the topic, or correct its name in `topic`")
    })
}

/// The number of partitions; `None` if the topic does not exist.
fn partitions<C: ClientContext>(client: &Client<C>, topic: &str, step: Duration) -> KafkaResult<Option<i32>> {
    let metadata = client.fetch_metadata(Some(topic), step)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(i32::try_from(found.partitions().len()).ok()),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        Some(code) => Err(KafkaError::MetadataFetch(code)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;
    use crate::failure::listen;

    #[test]
    fn brokers_that_nobody_has_started_are_an_error_with_the_reason() {
        let mut config = ClientConfig::new();
        // Nobody listens there.
        config.set("bootstrap.servers", "127.0.0.1:1");
        let client: BaseConsumer<Words> = config.create_with_context(Words::default()).expect("a client");
        let patience = Patience { stop: Arc::default(), limit: Duration::from_secs(1) };
        let said = || listen(|| drop(client.poll(Duration::ZERO)));
        let error = find(client.client(), client.context(), ("127.0.0.1:1", "t"), &patience, said)
            .expect_err("nobody is there");
        assert!(error.is_transient() && error.message().contains("Connection refused"), "{error}");
    }
}
