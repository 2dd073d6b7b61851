//! What went wrong between a client and its brokers, in words, and whether it may pass by itself.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tidemill_engine::error::Error;

/// Events that librdkafka may hold back: it gives one at a time.
const EVENTS: usize = 64;

/// Calls `poll`, which handles one event without waiting, until what librdkafka has to say is said.
pub(crate) fn listen(mut poll: impl FnMut()) {
    (0..EVENTS).for_each(|_| poll());
}

/// The last words of librdkafka about a connection: an error code alone does not say why.
#[derive(Debug, Default)]
pub(crate) struct Words {
    last: Mutex<Option<Said>>,
    /// The first message that a broker refused since the last [`Words::take_refused`].
    refused: Mutex<Option<KafkaError>>,
}

/// An error that was reported aside.
#[derive(Clone, Debug)]
struct Said {
    code: Option<RDKafkaErrorCode>,
    reason: String,
}

impl Words {
    fn say(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" says less than what came before it.
        if code == Some(RDKafkaErrorCode::AllBrokersDown) && last.is_some() {
            return;
        }
        *last = Some(Said { code, reason: without_prefix(reason).to_owned() });
    }

    fn last(&self) -> Option<Said> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the brokers do not want this client.
    pub(crate) fn has_refused(&self) -> bool {
        self.last().is_some_and(|said| is_refusal(&said))
    }

    /// The brokers answer: what was said before does not matter any more.
    pub(crate) fn clear(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The first message that was refused since the last call.
    pub(crate) fn take_refused(&self) -> Option<KafkaError> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Words {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(facility, "FAIL" | "ERROR") && (level as i32) <= RDKafkaLogLevel::Error as i32 {
            self.say(None, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.say(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Words {}

impl ProducerContext for Words {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
    }
}

/// A message of librdkafka without the names of its threads: `[thrd:host:9092/bootstrap]: host:9092/bootstrap: …`.
fn without_prefix(message: &str) -> &str {
    match message.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((_, rest)) => rest,
        None => message,
    }
}

/// The error that `doing` failed at `brokers`; what may pass by itself is transient.
pub(crate) fn failed(brokers: &str, doing: &str, error: &KafkaError, words: &Words) -> Error {
    let code = error.rdkafka_error_code();
    let said = words.last();
    // A refused login or certificate looks like a broker that cannot be reached; the reason was said before.
    let refused = said.as_ref().filter(|said| is_refusal(said));
    let why = code.map_or_else(|| error.to_string(), described);
    let reason = said.as_ref().map_or_else(String::new, |said| format!(" ({})", said.reason));
    let what = Error::unavailable(format!("Kafka at {brokers}: {doing} failed: {why}{reason}"));
    match (refused, code.and_then(help)) {
        (Some(said), _) if said.code == Some(RDKafkaErrorCode::SSL) => what.with_help(
            "the certificate of the brokers is verified: name the certificate of their authority in `tls.ca`, and use host names that the certificate contains",
        ),
        (Some(_), _) => what.with_help("check `sasl`: mechanism, user and password"),
        (None, Some(help)) => what.with_help(help),
        (None, None) if code.is_none_or(passes) => what.transient(),
        (None, None) => what,
    }
}

/// Whether the brokers do not want this client, which time does not change.
fn is_refusal(said: &Said) -> bool {
    match said.code {
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => true,
        Some(RDKafkaErrorCode::SSL) => said.reason.contains("verify failed"),
        _ => false,
    }
}

/// The text of a code, without the name of the library's part.
fn described(code: RDKafkaErrorCode) -> String {
    let text = code.to_string();
    // `BrokerTransportFailure (Local: Broker transport failure)`
    let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(&text);
    inner.trim_start_matches("Local: ").trim_start_matches("Broker: ").to_owned()
}

/// Whether an error passes without anybody's help.
pub(crate) fn passes(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
        code,
        Code::InvalidArgument
            | Code::InvalidRequest
            | Code::InvalidTopic
            | Code::UnsupportedFeature
            | Code::UnsupportedVersion
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType
            | Code::UnsupportedSASLMechanism
    ) && help(code).is_none()
}

/// What to do about an error that does not pass by itself.
fn help(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    Some(match code {
        Code::Authentication | Code::SaslAuthenticationFailed => "check `sasl`: mechanism, user and password",
        Code::TopicAuthorizationFailed => "permit this user to use the topic",
        Code::GroupAuthorizationFailed => "permit this user to use the group",
        Code::ClusterAuthorizationFailed | Code::TransactionalIdAuthorizationFailed => {
            "permit this user to write idempotently and in transactions, or set `transactions = false`"
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
            "raise `max.message.bytes` of the topic, and `message.max.bytes` in `properties`"
        }
        Code::InvalidTimestamp | Code::InvalidRecord => {
            "the topic refuses such messages: of times far from now, unless `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` permit them, or with `timestamp = \"delivery\"`; without a key, if it is compacted"
        }
        Code::InvalidTransactionTimeout => "lower `transaction.timeout.ms` in `properties`",
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            "create the topic, or correct its name"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_said_is_in_the_error() {
        let words = Words::default();
        words.log(RDKafkaLogLevel::Error, "FAIL", "[thrd:a:1/bootstrap]: a:1/bootstrap: Connection refused");
        let error = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
        let error = failed("a:1", "reading the topic", &error, &words);
        assert!(error.is_transient());
        let message = error.message();
        assert!(
            message.contains("broker transport failure") || message.contains("Broker transport failure"),
            "{message}"
        );
        assert!(message.contains("a:1/bootstrap: Connection refused"), "{message}");
        assert!(!message.contains("thrd"), "{message}");
    }

    #[test]
    fn a_refused_login_does_not_pass() {
        let words = Words::default();
        words.error(KafkaError::Global(RDKafkaErrorCode::Authentication), "a:1: SASL authentication failed");
        words.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let error = KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
        let error = failed("a:1", "reading the topic", &error, &words);
        assert!(!error.is_transient());
        assert!(error.message().contains("SASL authentication failed"), "{}", error.message());
    }

    #[test]
    fn an_error_with_help_does_not_pass() {
        assert!(passes(RDKafkaErrorCode::NotEnoughReplicas));
        assert!(!passes(RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(!passes(RDKafkaErrorCode::UnsupportedVersion));
    }
}
