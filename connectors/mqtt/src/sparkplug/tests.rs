//! Payloads are made, and judged, by a protocol-buffer library.

use proptest::prelude::*;
use prost::Message as _;
use tidemill_engine::batch::Number;

use tidemill_connect::message::Reading;

use super::metric::Meant;
use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Sample>,
    #[prost(uint64, optional, tag = "3")]
    seq: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Sample {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    datatype: Option<u32>,
    #[prost(bool, optional, tag = "7")]
    is_null: Option<bool>,
    #[prost(message, optional, tag = "9")]
    properties: Option<PropertySet>,
    #[prost(oneof = "Content", tags = "10, 11, 12, 13, 14, 15, 16")]
    value: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Content {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    Text(String),
    #[prost(bytes, tag = "16")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PropertySet {
    #[prost(string, repeated, tag = "1")]
    keys: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    values: Vec<Property>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Property {
    #[prost(uint32, optional, tag = "1")]
    ty: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    int: Option<u32>,
}

pub(super) const INT32: u32 = 3;
pub(super) const DOUBLE: u32 = 10;
const TEXT: u32 = 12;

pub(super) fn named(name: &str, alias: Option<u64>, datatype: u32, value: Content) -> Sample {
    let datatype = Some(datatype);
    Sample { name: Some(name.to_owned()), alias, datatype, value: Some(value), ..Sample::default() }
}

pub(super) fn numbered(alias: u64, value: Content) -> Sample {
    Sample { alias: Some(alias), value: Some(value), ..Sample::default() }
}

pub(super) fn bd_seq(number: u64) -> Sample {
    named(BD_SEQ, None, 8, Content::Long(number))
}

/// What became of the messages, one line per reading or mistake.
#[derive(Default)]
pub(super) struct Host {
    pub(super) sparkplug: Sparkplug,
    pub(super) lines: Vec<String>,
    pub(super) asked: Vec<String>,
    pub(super) now: i64,
    /// The broker has sent the messages before.
    pub(super) is_repeated: bool,
    /// The timestamp of the messages.
    pub(super) timestamp: u64,
}

impl Host {
    pub(super) fn send(
        &mut self,
        topic: &str,
        seq: impl Into<Option<u64>>,
        metrics: Vec<Sample>,
    ) -> &mut Self {
        let payload = Payload { timestamp: Some(self.timestamp), metrics, seq: seq.into() };
        self.send_bytes(topic, &payload.encode_to_vec())
    }

    pub(super) fn send_bytes(&mut self, topic: &str, payload: &[u8]) -> &mut Self {
        self.now += 1_000_000_000;
        let arrived = Timestamp::from_nanos(self.now);
        let lines = &mut self.lines;
        let asked = self.sparkplug.decode(topic, payload, arrived, self.is_repeated, &mut |reading| {
            lines.push(match reading {
                Ok(Reading { sensor, value, text, quality, .. }) => {
                    let value = value.map(|value| format!("{value:?}")).or(text.map(str::to_owned));
                    format!("{sensor} {} {}", value.unwrap_or_default(), quality.unwrap_or_default())
                }
                Err(why) => format!("! {why}"),
            });
        });
        self.asked.extend(asked);
        self
    }

    /// The lines since the last call.
    pub(super) fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}

/// A host that has seen a node and a device be born.
pub(super) fn host() -> Host {
    let mut host = Host::default();
    let control = named("Node Control/Rebirth", None, 11, Content::Boolean(false));
    let node = vec![bd_seq(4), control, named("up", Some(1), INT32, Content::Int(7))];
    host.send("spBv1.0/g/NBIRTH/n", 0, node);
    let device = vec![
        named("t", Some(2), DOUBLE, Content::Double(20.5)),
        named("mode", None, TEXT, Content::Text("on".into())),
    ];
    host.send("spBv1.0/g/DBIRTH/n/d", 1, device);
    host
}

#[test]
fn births_name_what_data_only_numbers() {
    let mut host = host();
    assert_eq!(host.lines(), ["g/n/up I64(7) good", "g/n/d/t F64(20.5) good", "g/n/d/mode on good"]);
    host.send("spBv1.0/g/NDATA/n", 2, vec![numbered(1, Content::Int((-3_i32) as u32))]);
    host.send(
        "spBv1.0/g/DDATA/n/d",
        3,
        vec![numbered(2, Content::Double(21.0)), named("mode", None, TEXT, Content::Text("off".into()))],
    );
    assert_eq!(host.lines(), ["g/n/up I64(-3) good", "g/n/d/t F64(21.0) good", "g/n/d/mode off good"]);
    assert!(host.asked.is_empty());
    assert_eq!(host.sparkplug.counts, Counts { births: 2, ..Counts::default() });
}

#[test]
fn a_gap_in_the_numbers_asks_for_a_birth_once_in_a_while() {
    let mut host = host();
    host.send("spBv1.0/g/NDATA/n", 3, vec![numbered(1, Content::Int(1))]);
    host.send("spBv1.0/g/NDATA/n", 5, vec![numbered(1, Content::Int(2))]);
    assert_eq!(host.asked, ["spBv1.0/g/NCMD/n"]);
    host.now += ASK_EVERY;
    host.send("spBv1.0/g/NDATA/n", 7, vec![]);
    assert_eq!(host.asked.len(), 2);
    assert_eq!(host.sparkplug.counts.gaps, 3);
    // The readings are taken all the same.
    assert_eq!(host.lines().split_off(3), ["g/n/up I64(1) good", "g/n/up I64(2) good"]);
}

#[test]
fn numbers_wrap_around() {
    let mut host = host();
    for seq in 2..=600_u64 {
        host.send("spBv1.0/g/NDATA/n", seq % 256, vec![]);
    }
    assert_eq!(host.sparkplug.counts.gaps, 0);
}

#[test]
fn data_before_a_birth_asks_for_one_and_its_numbers_are_rejected() {
    let mut host = Host::default();
    host.send(
        "spBv1.0/g/DDATA/n/d",
        9,
        vec![numbered(2, Content::Double(1.0)), named("t", None, DOUBLE, Content::Double(2.0))],
    );
    assert_eq!(host.lines(), ["! alias 2 was named by no birth certificate", "g/n/d/t F64(2.0) good"]);
    assert_eq!(host.asked, ["spBv1.0/g/NCMD/n"]);
    assert_eq!(host.sparkplug.counts.unborn, 1);
}

#[test]
fn a_death_makes_everything_stale_unless_it_is_of_an_earlier_connection() {
    let mut host = host();
    host.lines();
    host.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(3)]);
    assert_eq!(host.lines(), Vec::<String>::new());
    host.send("spBv1.0/g/DDEATH/n/d", 2, vec![]);
    assert_eq!(host.lines(), ["g/n/d/mode  stale", "g/n/d/t  stale"]);
    host.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(4)]);
    host.send("spBv1.0/g/NDEATH/n", None, vec![bd_seq(4)]);
    assert_eq!(host.lines(), ["g/n/up  stale"]);
    assert_eq!(host.sparkplug.counts.deaths, 2);
    // Its numbers mean nothing any more.
    host.send("spBv1.0/g/NDATA/n", 3, vec![numbered(1, Content::Int(1))]);
    assert_eq!(host.lines(), ["! alias 1 was named by no birth certificate"]);
    assert_eq!(host.asked.len(), 1);
}

#[test]
fn a_new_birth_replaces_the_old_one() {
    let mut host = host();
    host.send(
        "spBv1.0/g/NBIRTH/n",
        0,
        vec![bd_seq(5), named("other", Some(1), DOUBLE, Content::Double(1.0))],
    );
    host.lines();
    host.send(
        "spBv1.0/g/NDATA/n",
        1,
        vec![numbered(1, Content::Double(2.0)), numbered(2, Content::Double(3.0))],
    );
    assert_eq!(host.lines(), ["g/n/other F64(2.0) good", "! alias 2 was named by no birth certificate"]);
}

#[test]
fn qualities_nulls_times_and_what_is_no_single_value() {
    let mut host = host();
    host.lines();
    let quality = |number| {
        let values =
            vec![Property { ty: Some(3), int: Some(1) }, Property { ty: Some(3), int: Some(number) }];
        let properties = PropertySet { keys: vec!["x".into(), "Quality".into()], values };
        Sample { properties: Some(properties), ..numbered(1, Content::Int(1)) }
    };
    let null = Sample { is_null: Some(true), ..numbered(1, Content::Int(1)) };
    let late = Sample { timestamp: Some(u64::MAX), ..numbered(1, Content::Int(1)) };
    let all = vec![
        quality(192),
        quality(0),
        quality(500),
        quality(64),
        null,
        late,
        numbered(1, Content::Bytes(vec![1])),
    ];
    host.send("spBv1.0/g/NDATA/n", 2, all);
    assert_eq!(
        host.lines(),
        [
            "g/n/up I64(1) good",
            "g/n/up I64(1) bad",
            "g/n/up I64(1) stale",
            "g/n/up I64(1) uncertain",
            "g/n/up  good",
            "! metric g/n/up: its timestamp is beyond the year 2262",
            "! metric g/n/up: its value is not a single value",
        ]
    );
}

#[test]
fn other_topics_are_rejected_or_of_no_interest() {
    let mut host = Host::default();
    for ignored in ["spBv1.0/STATE/host", "spBv1.0/g/NCMD/n", "spBv1.0/g/DCMD/n/d"] {
        host.send_bytes(ignored, b"x");
    }
    assert_eq!(host.lines(), Vec::<String>::new());
    for wrong in ["plant/t1", "spBv1.0/g/NBIRTH/n/d", "spBv1.0/g/DDATA/n", "spBv1.0/g/NDATA/n/d/e", "spBv1.0"]
    {
        host.send_bytes(wrong, b"");
        assert_eq!(host.lines().len(), 1, "{wrong}");
    }
    host.send_bytes("spBv1.0/g/NDATA/n", b"\xff");
    assert_eq!(host.lines(), ["! not a protocol buffer of Sparkplug B"]);
}

#[test]
fn what_births_say_is_forgotten_with_them() {
    let mut host = host();
    for round in 0..50_u64 {
        host.send("spBv1.0/g/DBIRTH/n/d", 1, vec![named("t", Some(round), DOUBLE, Content::Double(1.0)); 2]);
    }
    let all = format!("{:?}", host.sparkplug.nodes);
    // Of the device: its newest certificate.
    assert_eq!(all.matches("g/n/d/t").count(), 2, "{all}");
    host.send("spBv1.0/g/NBIRTH/n", 0, vec![]);
    assert_eq!(host.sparkplug.nodes.counted(), (2, "g/n".len()));
}

#[test]
fn the_command_is_what_a_node_understands() {
    let payload =
        Payload::decode(&*rebirth(Timestamp::from_nanos(1_700_000_000_000_000_000))).expect("a payload");
    let command = named("Node Control/Rebirth", None, 11, Content::Boolean(true));
    assert_eq!(payload, Payload { timestamp: Some(1_700_000_000_000), metrics: vec![command], seq: None });
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        any::<u32>().prop_map(Content::Int),
        any::<u64>().prop_map(Content::Long),
        (-1e9_f32..1e9).prop_map(Content::Float),
        (-1e99_f64..1e99).prop_map(Content::Double),
        any::<bool>().prop_map(Content::Boolean),
        ".{0,8}".prop_map(Content::Text),
        any::<Vec<u8>>().prop_map(Content::Bytes),
    ]
}

prop_compose! {
    fn sample()(
        name in proptest::option::of(".{0,8}"), alias in proptest::option::of(any::<u64>()),
        timestamp in proptest::option::of(any::<u64>()), datatype in proptest::option::of(0..20_u32),
        is_null in proptest::option::of(any::<bool>()), value in proptest::option::of(content()),
    ) -> Sample {
        Sample { name, alias, timestamp, datatype, is_null, properties: None, value }
    }
}

/// The same metric, as it is read here.
fn read(sample: &Sample) -> Metric<'_> {
    let value = match &sample.value {
        None => Sent::Nothing,
        Some(Content::Int(number)) => Sent::Integer(u64::from(*number)),
        Some(Content::Long(number)) => Sent::Integer(*number),
        Some(Content::Float(number)) => Sent::Real(f64::from(*number)),
        Some(Content::Double(number)) => Sent::Real(*number),
        Some(Content::Boolean(bit)) => Sent::Boolean(*bit),
        Some(Content::Text(text)) => Sent::Text(text),
        Some(Content::Bytes(_)) => Sent::Other,
    };
    Metric {
        name: sample.name.as_deref(),
        alias: sample.alias,
        timestamp: sample.timestamp,
        datatype: sample.datatype.map(u64::from),
        is_null: sample.is_null.unwrap_or_default(),
        value,
        quality: None,
    }
}

proptest! {
    #[test]
    fn payloads_are_read_as_the_library_reads_them(
        timestamp in proptest::option::of(any::<u64>()), seq in proptest::option::of(any::<u64>()),
        samples in proptest::collection::vec(sample(), 0..6),
    ) {
        let payload = Payload { timestamp, metrics: samples.clone(), seq }.encode_to_vec();
        prop_assert_eq!(Head::of(&payload), Ok(Head { timestamp, seq }));
        let all: Vec<_> = metrics(&payload).collect();
        let expected: Vec<_> = samples.iter().map(|sample| Ok(read(sample))).collect();
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn no_bytes_are_harmful(
        messages in proptest::collection::vec((0..6_usize, any::<Vec<u8>>()), 0..20),
    ) {
        let topics = ["NBIRTH/n", "NDATA/n", "NDEATH/n", "DBIRTH/n/d", "DDATA/n/d", "DDEATH/n/d"];
        let mut host = Host::default();
        for (topic, payload) in messages {
            host.send_bytes(&format!("spBv1.0/g/{}", topics[topic]), &payload);
        }
    }

    #[test]
    fn no_damage_to_a_payload_is_harmful(
        samples in proptest::collection::vec(sample(), 1..6), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let mut payload = Payload { timestamp: None, metrics: samples, seq: Some(1) }.encode_to_vec();
        let at = at.index(payload.len());
        payload[at] = byte;
        payload.truncate(end.index(payload.len()) + 1);
        let mut host = host();
        for topic in ["spBv1.0/g/NDATA/n", "spBv1.0/g/DBIRTH/n/d", "spBv1.0/g/DDATA/n/d", "spBv1.0/g/NBIRTH/n", "spBv1.0/g/NDEATH/n"] {
            host.send_bytes(topic, &payload);
        }
    }
}

#[test]
fn integers_have_the_sign_of_their_type() {
    let metric = |bits| Metric { value: Sent::Integer(bits), ..Metric::default() };
    for (datatype, bits, expected) in [
        (1, 0xff, Number::I64(-1)),
        (1, 0xffff_ffff, Number::I64(-1)),
        (2, 0x8000, Number::I64(-32768)),
        (3, 0xffff_fffe, Number::I64(-2)),
        (4, u64::MAX, Number::I64(-1)),
        (7, 0xffff_ffff, Number::U64(0xffff_ffff)),
        (8, u64::MAX, Number::U64(u64::MAX)),
    ] {
        assert_eq!(metric(bits).meant(datatype), Some(Meant::Number(expected)), "type {datatype}");
    }
}
