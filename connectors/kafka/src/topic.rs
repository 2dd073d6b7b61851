//! Which topics exist, and how many partitions they have.

use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
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
    let what = format!("reading about the topic `{topic}`");
    let found = ask(words, (brokers, &what), patience, listen, || {
        for _ in 0..MISSING {
            if let Some(count) = partitions(client, topic, STEP)? {
                return Ok(Some(count));
            }
            // A broker learns a little later of a topic that was made just now.
            std::thread::sleep(PAUSE);
        }
        Ok(None)
    })?;
    found.ok_or_else(|| {
        Error::config(format!("Kafka at {brokers}: the topic `{topic}` does not exist"))
            .with_help("create the topic, or correct its name in `topic`")
    })
}

/// All topics with their numbers of partitions. `listen` as above.
///
/// # Errors
/// If the brokers refuse this client; a transient one if they do not answer.
pub(crate) fn all<C: ClientContext>(
    client: &Client<C>,
    words: &Words,
    brokers: &str,
    patience: &Patience,
    listen: impl Fn(),
) -> Result<Vec<(String, i32)>> {
    let metadata = ask(words, (brokers, "reading about topics"), patience, listen, || {
        client.fetch_metadata(None, STEP)
    })?;
    let count = |topic: &MetadataTopic| i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), count(topic))).collect())
}

/// Asks a question until the brokers answer, as long as there is patience.
fn ask<T>(
    words: &Words,
    (brokers, what): (&str, &str),
    patience: &Patience,
    listen: impl Fn(),
    question: impl Fn() -> KafkaResult<T>,
) -> Result<T> {
    let mut wait = patience.begin();
    loop {
        let error = match question() {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        listen();
        if !is_away(&error) || words.has_refused() || !wait.may_go_on() {
            return Err(failed(brokers, what, &error, words));
        }
        std::thread::sleep(PAUSE);
    }
}

/// The number of partitions; `None` if the topic does not exist.
pub(crate) fn partitions<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    step: Duration,
) -> KafkaResult<Option<i32>> {
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
