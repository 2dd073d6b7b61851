//! MQTT 3.1.1.

use rumqttc_v4::mqttbytes::Error as WireError;
use rumqttc_v4::{
    AckMode, AsyncClient, Broker, ConnectReturnCode, ConnectionError, Event as Happening, EventLoop,
    Incoming, ManualAck, MqttOptions, NetworkOptions, Outgoing as Sent, Packet, PubAck, PubRec,
    PublishOptions, QoS, StateError, SubscribeFilterInput, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tidemill_engine::error::Error;

use super::reasons::Reason;
use super::{
    Ack, Client, Event, FAREWELL, Message, Outgoing, REQUESTS, Sender, Setup, UNUSED, insecure, no_broker,
    refused, too_large, unavailable,
};

/// The largest packet of the protocol: what the broker accepts is up to it.
const LARGEST: usize = 268_435_455;

/// A client of MQTT 3.1.1.
pub(crate) struct V4 {
    sender: AsyncClient,
    events: EventLoop,
    address: String,
    max_packet: u32,
    /// Why the connection was lost, once what came before has been returned.
    lost: Option<Error>,
}

impl Client for V4 {
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
        options.set_keep_alive(setup.keep_alive);
        let clean = options.try_set_clean_session(setup.session.is_none());
        clean.map_err(|error| Error::config(format!("{}: {error}", setup.address)))?;
        options.set_max_packet_size(setup.max_packet as usize, LARGEST);
        let ack_mode = if setup.acknowledges { AckMode::Automatic } else { AckMode::Manual };
        options
            .set_ack_mode(ack_mode)
            .set_max_request_batch(REQUESTS)
            .set_read_batch_size(setup.read_batch());
        let built = AsyncClient::builder(options).capacity(REQUESTS).try_build();
        let (sender, mut events) =
            built.map_err(|error| Error::config(format!("{}: {error}", setup.address)))?;
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(setup.connect_timeout.as_secs().max(1)).set_tcp_nodelay(true);
        events.set_network_options(network);
        Ok(Self { sender, events, address: setup.address.clone(), max_packet: setup.max_packet, lost: None })
    }

    fn sender(&self) -> AsyncClient {
        self.sender.clone()
    }

    async fn next(&mut self) -> Result<Event, Error> {
        let happened = self.happened().await?;
        Ok(match happened {
            Happening::Incoming(packet) => event(packet),
            Happening::Outgoing(Sent::Publish(0)) => Event::Published(Ok(())),
            Happening::Outgoing(Sent::PubAck(_) | Sent::PubRec(_)) => Event::Acknowledged,
            Happening::Outgoing(_) => Event::Other,
        })
    }

    fn has_more(&self) -> bool {
        !self.events.state.events.is_empty() || self.lost.is_some()
    }
}

impl V4 {
    /// The next event of the library, which returns an error before what came just before it: a refusal, for one. (That of MQTT 5 forgets it.)
    async fn happened(&mut self) -> Result<Happening, Error> {
        if self.lost.is_none() {
            match self.events.poll().await {
                Ok(happened) => return Ok(happened),
                Err(error) => self.lost = Some(lost(&self.address, self.max_packet, &error)),
            }
        }
        match (self.events.state.events.pop_front(), self.lost.take()) {
            (Some(happened), error) => {
                self.lost = error;
                Ok(happened)
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(unavailable(&self.address, "the connection has ended")),
        }
    }
}

fn event(packet: Incoming) -> Event {
    match packet {
        Packet::ConnAck(ack) => Event::Connected { is_resumed: ack.session_present },
        Packet::SubAck(ack) => {
            let answer = |code: &SubscribeReasonCode| match code {
                SubscribeReasonCode::Success(granted) => Ok(*granted as u8),
                SubscribeReasonCode::Failure => Err(Reason::Refused),
            };
            Event::Subscribed(ack.return_codes.iter().map(answer).collect())
        }
        Packet::Publish(publish) => {
            let ack = Ack { packet: publish.pkid, is_qos_2: publish.qos == QoS::ExactlyOnce };
            Event::Message(Message {
                qos: publish.qos as u8,
                is_retained: publish.retain,
                is_repeated: publish.dup,
                ack: (publish.qos != QoS::AtMostOnce).then_some(ack),
                topic: publish.topic,
                payload: publish.payload,
                properties: None,
            })
        }
        Packet::PubAck(_) | Packet::PubComp(_) => Event::Published(Ok(())),
        Packet::UnsubAck(_) => Event::Settled,
        _ => Event::Other,
    }
}

impl Sender for AsyncClient {
    async fn subscribe(&self, filters: &[String], qos: u8) -> bool {
        let filters = filters.iter().map(|filter| SubscribeFilterInput::new(filter, of(qos)));
        self.subscribe_many(filters).await.is_ok()
    }

    async fn publish(&self, message: Outgoing) -> bool {
        let options = PublishOptions::new(of(message.qos)).retain(message.is_retained);
        AsyncClient::publish(self, message.topic, message.payload, options).await.is_ok()
    }

    async fn acknowledge(&self, ack: Ack) -> bool {
        let ack = match ack {
            Ack { packet, is_qos_2: false } => ManualAck::PubAck(PubAck::new(packet)),
            Ack { packet, is_qos_2: true } => ManualAck::PubRec(PubRec::new(packet)),
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
        ConnectionError::ConnectionRefused(code) => refused(address, reason(*code)),
        ConnectionError::Tls(error) => insecure(address, error),
        ConnectionError::NotConnAck(_) => no_broker(address),
        ConnectionError::MqttState(StateError::Deserialization(WireError::PayloadSizeLimitExceeded(_))) => {
            too_large(address, max_packet)
        }
        ConnectionError::NetworkTimeout => unavailable(address, "no answer in time"),
        ConnectionError::Io(error) => insecure_or_lost(address, error),
        ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(WireError::Io(error)),
        ) => insecure_or_lost(address, error),
        other => unavailable(address, other),
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
        ConnectReturnCode::RefusedProtocolVersion => Reason::Version,
        ConnectReturnCode::BadClientId => Reason::ClientId,
        ConnectReturnCode::BadUserNamePassword => Reason::Login,
        ConnectReturnCode::NotAuthorized => Reason::NotAuthorized,
        ConnectReturnCode::ServiceUnavailable => Reason::Unavailable,
        ConnectReturnCode::Success => Reason::Unspecified,
    }
}
