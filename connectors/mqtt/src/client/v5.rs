//! MQTT 5.

use std::future::ready;

use rumqttc_v5::mqttbytes::Error as WireError;
use rumqttc_v5::mqttbytes::v5::{PubAckReason, PubRecReason};
use rumqttc_v5::{
    AckMode, AsyncClient, Broker, ConnectReturnCode, ConnectionError, DisconnectReasonCode,
    Event as Happening, EventLoop, Incoming, ManualAck, MqttOptions, NetworkOptions, Outgoing as Sent,
    Packet, PersistedAckMode, PersistedSession, PubAck, PubRec, PublishOptions, PublishProperties, QoS,
    RetainForwardRule, SessionStore, SessionStoreError, SessionStoreKey, StateError, SubscribeFilterInput,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use tidemill_engine::error::Error;

use super::reasons::Reason;
use super::{
    Ack, Client, Event, FAREWELL, Message, Outgoing, Properties, REQUESTS, Sender, Setup, UNDER_WAY, UNUSED,
    insecure, no_broker, refused, too_large, unavailable,
};

/// A client of MQTT 5.
pub(crate) struct V5 {
    sender: AsyncClient,
    events: EventLoop,
    address: String,
    max_packet: u32,
}

impl Client for V5 {
    type Sender = AsyncClient;

    fn new(setup: &Setup) -> Result<Self, Error> {
        let mut options = MqttOptions::new(&setup.client_id, Broker::tcp(&setup.host, setup.port));
        if let Some(tls) = &setup.tls {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())));
        }
        match &setup.login {
            Some((user, Some(password))) => drop(options.set_credentials(user, password.clone())),
            Some((user, None)) => drop(options.set_username(user)),
            None => {}
        }
        options.set_keep_alive(setup.keep_alive).set_connect_timeout(setup.connect_timeout);
        options.set_clean_start(setup.session.is_none());
        options.set_session_expiry_interval(setup.session.map(|session| session.expiry));
        options.set_receive_maximum(Some(setup.receive_maximum)).set_max_packet_size(Some(setup.max_packet));
        let ack_mode = if setup.acknowledges { AckMode::Automatic } else { AckMode::Manual };
        options
            .set_ack_mode(ack_mode)
            .set_max_request_batch(REQUESTS)
            .set_read_batch_size(setup.read_batch())
            .set_outgoing_inflight_upper_limit(UNDER_WAY);
        if setup.session.is_some() {
            let ack_mode = match setup.acknowledges {
                true => PersistedAckMode::Automatic,
                false => PersistedAckMode::Manual,
            };
            options.set_session_store(Nothing { client_id: setup.client_id.clone(), ack_mode });
        }
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(setup.connect_timeout.as_secs().max(1)).set_tcp_nodelay(true);
        options.set_network_options(network);
        let built = AsyncClient::builder(options).capacity(REQUESTS).try_build();
        let (sender, events) = built.map_err(|error| Error::config(format!("{}: {error}", setup.address)))?;
        Ok(Self { sender, events, address: setup.address.clone(), max_packet: setup.max_packet })
    }

    fn sender(&self) -> AsyncClient {
        self.sender.clone()
    }

    async fn next(&mut self) -> Result<Event, Error> {
        let polled = self.events.poll().await;
        let happened = polled.map_err(|error| lost(&self.address, self.max_packet, &error))?;
        if let Happening::Incoming(Packet::ConnAck(_)) = happened {
            // From here on there is nothing to save, which would take time for every packet.
            self.events.options.clear_session_store();
        }
        Ok(match happened {
            Happening::Incoming(packet) => event(packet),
            Happening::Outgoing(Sent::Publish(0)) => Event::Published(Ok(())),
            Happening::Outgoing(Sent::PubAck(_) | Sent::PubRec(_)) => Event::Acknowledged,
            Happening::Outgoing(_) | Happening::Auth(_) => Event::Other,
        })
    }

    fn has_more(&self) -> bool {
        !self.events.state.events.is_empty()
    }
}

/// What a client that starts anew knows of its session: that it has no message on its way to the broker. The library asks for it, because
/// it could not tell such messages from new ones otherwise.
#[derive(Debug)]
struct Nothing {
    client_id: String,
    ack_mode: PersistedAckMode,
}

/// What the methods of a [`SessionStore`] return.
type Stored<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

impl SessionStore for Nothing {
    fn load<'a>(&'a self, _key: &'a SessionStoreKey) -> Stored<'a, Option<PersistedSession>> {
        Box::pin(ready(Ok(Some(PersistedSession {
            format_version: 1,
            client_id: self.client_id.clone(),
            clean_start: false,
            session_expiry_interval: None,
            outgoing_inflight_upper_limit: Some(UNDER_WAY),
            ack_mode: self.ack_mode,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        }))))
    }

    fn save<'a>(&'a self, _key: &'a SessionStoreKey, _session: &'a PersistedSession) -> Stored<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn clear<'a>(&'a self, _key: &'a SessionStoreKey) -> Stored<'a, ()> {
        Box::pin(ready(Ok(())))
    }
}

fn event(packet: Incoming) -> Event {
    match packet {
        Packet::ConnAck(ack) => Event::Connected { is_resumed: ack.session_present },
        Packet::SubAck(ack) => Event::Subscribed(ack.return_codes.iter().map(subscribed).collect()),
        Packet::Publish(publish) => {
            let ack = Ack { packet: publish.pkid, is_qos_2: publish.qos == QoS::ExactlyOnce };
            let properties = publish.properties.map(|properties| {
                Box::new(Properties {
                    content_type: properties.content_type,
                    user: properties.user_properties,
                })
            });
            Event::Message(Message {
                qos: publish.qos as u8,
                is_retained: publish.retain,
                is_repeated: publish.dup,
                ack: (publish.qos != QoS::AtMostOnce).then_some(ack),
                topic: publish.topic,
                payload: publish.payload,
                properties,
            })
        }
        Packet::PubAck(PubAck {
            reason: PubAckReason::Success | PubAckReason::NoMatchingSubscribers,
            ..
        }) => Event::Published(Ok(())),
        Packet::PubAck(ack) => Event::Published(Err(Reason::of(ack.reason as u8))),
        // The first answer to QoS 2; if it refuses the message, there is no other.
        Packet::PubRec(PubRec {
            reason: PubRecReason::Success | PubRecReason::NoMatchingSubscribers,
            ..
        }) => Event::Other,
        Packet::PubRec(rec) => Event::Published(Err(Reason::of(rec.reason as u8))),
        Packet::PubComp(_) => Event::Published(Ok(())),
        Packet::UnsubAck(_) => Event::Settled,
        _ => Event::Other,
    }
}

fn subscribed(code: &SubscribeReasonCode) -> Result<u8, Reason> {
    Err(match code {
        SubscribeReasonCode::Success(granted) => return Ok(*granted as u8),
        SubscribeReasonCode::Failure | SubscribeReasonCode::Unspecified => Reason::Unspecified,
        SubscribeReasonCode::ImplementationSpecific => Reason::Implementation,
        SubscribeReasonCode::NotAuthorized => Reason::NotAuthorized,
        SubscribeReasonCode::TopicFilterInvalid => Reason::Filter,
        SubscribeReasonCode::PkidInUse => Reason::InUse,
        SubscribeReasonCode::QuotaExceeded => Reason::Quota,
        SubscribeReasonCode::SharedSubscriptionsNotSupported => Reason::Shared,
        SubscribeReasonCode::SubscriptionIdNotSupported => Reason::Unsupported,
        SubscribeReasonCode::WildcardSubscriptionsNotSupported => Reason::Wildcards,
    })
}

impl Sender for AsyncClient {
    async fn subscribe(&self, filters: &[String], qos: u8) -> bool {
        // Retained messages come once for each subscription, not once for each connection.
        let filter = |filter: &String| {
            let filter = SubscribeFilterInput::new(filter, of(qos)).preserve_retain(true);
            filter.retain_forward_rule(RetainForwardRule::OnNewSubscribe)
        };
        self.subscribe_many(filters.iter().map(filter)).await.is_ok()
    }

    async fn publish(&self, message: Outgoing) -> bool {
        let mut options = PublishOptions::new(of(message.qos)).retain(message.is_retained);
        if let Some((name, value)) = message.property {
            let user_properties = vec![(name.to_owned(), value)];
            options = options.properties(PublishProperties { user_properties, ..Default::default() });
        }
        AsyncClient::publish(self, message.topic, message.payload, options).await.is_ok()
    }

    async fn acknowledge(&self, ack: Ack) -> bool {
        let ack = match ack {
            Ack { packet, is_qos_2: false } => ManualAck::PubAck(PubAck::new(packet, None)),
            Ack { packet, is_qos_2: true } => ManualAck::PubRec(PubRec::new(packet, None)),
        };
        self.manual_ack(ack).await.is_ok()
    }

    async fn settle(&self) -> bool {
        self.unsubscribe(UNUSED).await.is_ok()
    }

    async fn disconnect(&self) -> bool {
        self.disconnect_with_timeout(FAREWELL).await.is_ok()
    }
}

fn of(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

/// Why the connection is lost.
fn lost(address: &str, max_packet: u32, error: &ConnectionError) -> Error {
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => {
            refused(address, reason(*code))
        }
        ConnectionError::Tls(error) => insecure(address, error),
        ConnectionError::NotConnAck(_) => no_broker(address),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            ended(address, max_packet, *reason_code)
        }
        ConnectionError::MqttState(
            StateError::IncomingPacketTooLarge { .. }
            | StateError::Deserialization(WireError::PayloadSizeLimitExceeded { .. }),
        ) => too_large(address, max_packet),
        ConnectionError::MqttState(StateError::OutgoingPacketTooLarge { pkt_size, max }) => Error::data(
            format!("{address}: the broker accepts packets of {max} bytes, not one of {pkt_size}"),
        ),
        ConnectionError::Timeout(_) => unavailable(address, "no answer in time"),
        ConnectionError::Io(error) => insecure_or_lost(address, error),
        ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(WireError::Io(error)),
        ) => insecure_or_lost(address, error),
        other => unavailable(address, other),
    }
}

/// The broker has ended the connection with a reason.
fn ended(address: &str, max_packet: u32, code: DisconnectReasonCode) -> Error {
    match Reason::of(code as u8) {
        Reason::TooLarge => too_large(address, max_packet),
        // It has understood the others.
        Reason::Malformed => unavailable(address, "the broker has ended the connection over a packet"),
        reason => reason.error(&format!("{address}: the broker has ended the connection")),
    }
}

/// An error of input or output contains those of TLS.
fn insecure_or_lost(address: &str, error: &std::io::Error) -> Error {
    match tidemill_connect::tls::failed_check(error) {
        Some(_) => insecure(address, error),
        None => unavailable(address, error),
    }
}

fn reason(code: ConnectReturnCode) -> Reason {
    match code {
        ConnectReturnCode::RefusedProtocolVersion | ConnectReturnCode::UnsupportedProtocolVersion => {
            Reason::Version
        }
        ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid => Reason::ClientId,
        ConnectReturnCode::BadUserNamePassword => Reason::Login,
        ConnectReturnCode::NotAuthorized => Reason::NotAuthorized,
        ConnectReturnCode::Banned => Reason::Banned,
        ConnectReturnCode::BadAuthenticationMethod => Reason::Authentication,
        ConnectReturnCode::MalformedPacket | ConnectReturnCode::ProtocolError => Reason::Malformed,
        ConnectReturnCode::ImplementationSpecificError => Reason::Implementation,
        ConnectReturnCode::UseAnotherServer | ConnectReturnCode::ServerMoved => Reason::Moved,
        ConnectReturnCode::RetainNotSupported | ConnectReturnCode::QoSNotSupported => Reason::Unsupported,
        ConnectReturnCode::TopicNameInvalid => Reason::Filter,
        ConnectReturnCode::PayloadFormatInvalid => Reason::Payload,
        ConnectReturnCode::PacketTooLarge => Reason::TooLarge,
        ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::ServerUnavailable => Reason::Unavailable,
        ConnectReturnCode::ServerBusy => Reason::Busy,
        ConnectReturnCode::ConnectionRateExceeded => Reason::Rate,
        ConnectReturnCode::QuotaExceeded => Reason::Quota,
        ConnectReturnCode::Success | ConnectReturnCode::UnspecifiedError => Reason::Unspecified,
    }
}
